"""Checkpoints of torch.save, read without running anything in them.

What optimisers leave in a file beside tensors, numbers of NumPy's for example, is read as plain
numbers or not at all: nothing of NumPy is called with what a file says. Knows no agent.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor

from vln.data.locations import RESTORE
from vln.encoders.weights.archive import BROKEN_ZIP, UNSAFE, checked_zip
from vln.encoders.weights.pickles import named_globals
from vln.errors import CorruptData, MissingData

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_LEGACY_PICKLES: Final = 4
"""The older form is a row of pickles: three notes, then the object."""
_DTYPE = re.compile(r"[biuf]\d")
_REFUSED = re.compile(r"GLOBAL ([\w.]*\w)")
_SAID = re.compile(r"WeightsUnpickler error:\s*(.+?)\.?\s*$", re.M)
_READABLE = re.compile(
    r"torch\.(?:\w+|_utils\._rebuild\w+|nn\.parameter\.\w+|_tensor\.\w+|storage\.\w+|cuda\.\w+)"
    r"|collections\.\w+|_codecs\.encode|numpy\.(?:dtype|ndarray)"
    r"|numpy\._?core\.multiarray\.(?:scalar|_reconstruct)"
)
_DAMAGED: Final[tuple[type[Exception], ...]] = (
    *BROKEN_ZIP,
    struct.error,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    ArithmeticError,
    MemoryError,
)
"""What torch.load raises on damaged files."""


def read_checkpoint(file: Path) -> object:
    """Gives what torch.save wrote into a file: tensors on the CPU, containers, numbers and texts.

    Both of its forms are read, the zip and the older one.

    Raises:
        MissingData: There is no such file, or it may not be read.
        CorruptData: It is damaged, is no such file, or would run code.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(len(_ZIP))
    except OSError as error:
        problem = f"cannot read {file} ({error.strerror})."
        raise MissingData(f"{problem} Name a file that torch.save wrote.") from error
    if head == _ZIP:
        checked_zip(file).close()
    elif head[:1] != _PICKLE:
        problem = f"not a file that torch.save wrote: it begins with {head!r}"
        raise CorruptData.of(file, "", problem, RESTORE)
    return _loaded(file)


def plain_floats(tensors: Mapping[str, object], *, file: Path) -> dict[str, Tensor]:
    """Gives tensors as float32, where each is plain numbers that really lie in the file.

    Args:
        tensors: By name.
        file: For messages.

    Raises:
        CorruptData: One is none, is no dense row of finite floats, or claims more numbers than the
            file holds; it is named.
    """
    for name, tensor in tensors.items():
        problem = _problem(tensor)
        if problem:
            raise CorruptData.of(file, f"tensor {name}", problem, RESTORE)
    return {
        name: tensor.detach().to(torch.float32).contiguous()
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor)
    }


def _problem(tensor: object) -> str:
    if not isinstance(tensor, Tensor):
        return f"is a {type(tensor).__name__}, expected a tensor"
    is_plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not is_plain or not tensor.is_floating_point():
        return f"is of {tensor.dtype}, {tensor.layout}, {tensor.device}; expected dense floats"
    if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
        return f"claims {tensor.numel():,} numbers and holds fewer"
    if not bool(tensor.isfinite().all()):
        return "holds NaN or infinity"
    return ""


def _loaded(file: Path) -> object:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            warnings.simplefilter("ignore", UserWarning)  # of forms that are refused if they matter
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(file, str(error)) from error
    except _DAMAGED as error:
        said = str(error).splitlines()
        problem = f"not a whole checkpoint ({said[0] if said else type(error).__name__})"
        raise CorruptData.of(file, "", problem, RESTORE) from error


def _refusal(file: Path, message: str) -> CorruptData:
    """Gives the error for a file that torch does not read safely."""
    names = _REFUSED.findall(message)[:1] or _strangers(file)
    if names:
        problem = f"names {', '.join(names)}, and loading it would run code. Nothing was run"
        return CorruptData.of(file, "", problem, UNSAFE)
    # The rest of what torch says is advice to load the file unsafely.
    found = _SAID.search(message)
    problem = f"not a checkpoint that torch reads safely ({found[1] if found else 'damaged'})"
    return CorruptData.of(file, "", problem, RESTORE)


def _strangers(file: Path) -> list[str]:
    """Gives what a file's pickles import beside tensors and containers, as far as can be told."""
    named: list[str] = []
    with file.open("rb") as stream:
        if stream.read(len(_ZIP)) != _ZIP:
            stream.seek(0)
            for _ in range(_LEGACY_PICKLES):
                named += named_globals(stream)
            return [name for name in named if not _READABLE.fullmatch(name)]
    with checked_zip(file) as packed, suppress(*BROKEN_ZIP):  # torch's own error says what it met
        for entry in packed.namelist():
            if entry.endswith("data.pkl"):
                with packed.open(entry) as stream:
                    named += named_globals(stream)
    return [name for name in named if not _READABLE.fullmatch(name)]


class _Dtype:
    """Stands for a NumPy type: a letter, a size and an order of bytes."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise pickle.UnpicklingError(f"a NumPy type {code!r}, expected that of numbers")
        self.code = code
        self.order: Literal[">", "<"] = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if isinstance(state, tuple) and ">" in state[:2]:
            self.order = ">"


class _Array:
    """Stands for a NumPy array, whose content is not read."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        del state


def _scalar(dtype: object, raw: object = b"") -> float | int | bool:
    """Gives the number that NumPy would make of a type and bytes."""
    if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
        raise pickle.UnpicklingError("a NumPy number that is none")
    found = np.frombuffer(raw, dtype=np.dtype(dtype.code).newbyteorder(dtype.order))
    if found.size != 1:
        raise pickle.UnpicklingError(f"a NumPy number of {len(raw)} bytes")
    number: float | int | bool = found[0].item()
    return number


_STAND_INS: Final[list[Callable[..., Any] | tuple[Callable[..., Any], str]]] = [
    (_Dtype, "numpy.dtype"),
    (_Array, "numpy.ndarray"),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_Array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]
"""Names that a file may use for NumPy's, old and new, and what they are read as."""
