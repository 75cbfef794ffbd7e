"""Checkpoints of torch.save, read without running anything in them.

What optimisers leave in a file beside tensors, numbers of NumPy's for example, is read as plain
numbers or not at all: nothing of NumPy is called with what a file says. Knows no agent.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor

from vln.data.locations import RESTORE
from vln.encoders.weights.archive import checked_zip
from vln.encoders.weights.safely import PICKLE, ZIP, Kind, StandIn, load_safely
from vln.errors import CorruptData, MissingData

_DTYPE = re.compile(r"[biuf]\d")
_NUMPY: Final = r"torch\.cuda\.\w+|numpy\.(?:dtype|ndarray)" + (
    r"|numpy\._?core\.multiarray\.(?:scalar|_reconstruct)"
)


def read_checkpoint(file: Path) -> object:
    """Gives what torch.save wrote into a file: tensors on the CPU, containers, numbers and texts.

    Both of its forms are read, the zip and the older one.

    Raises:
        MissingData: There is no such file, or it may not be read.
        CorruptData: It is damaged, is no such file, or would run code.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(len(ZIP))
    except OSError as error:
        problem = f"cannot read {file} ({error.strerror})."
        raise MissingData(f"{problem} Name a file that torch.save wrote.") from error
    if head == ZIP:
        checked_zip(file).close()
    elif head[:1] != PICKLE:
        problem = f"not a file that torch.save wrote: it begins with {head!r}"
        raise CorruptData.of(file, "", problem, RESTORE)
    return load_safely(file, Kind("checkpoint", harmless=_NUMPY, stand_ins=_STAND_INS))


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


_STAND_INS: Final[list[StandIn]] = [
    (_Dtype, "numpy.dtype"),
    (_Array, "numpy.ndarray"),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_Array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]
"""Names that a file may use for NumPy's, old and new, and what they are read as."""
