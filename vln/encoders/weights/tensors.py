"""Weights as tensors by name, from any of the forms in which networks are handed on.

TorchScript archives (OpenAI's), PyTorch's state dicts and training checkpoints, safetensors.
Nothing in a file is run. Knows no network: what the names mean is its owner's business.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import struct
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch

from vln.data.locations import RESTORE
from vln.encoders.weights.archive import BROKEN_ZIP, UNSAFE, checked_zip, is_archive, read_archive
from vln.encoders.weights.pickles import named_globals
from vln.errors import CorruptData, MissingWeights

NOTES: Final = frozenset(("input_resolution", "context_length", "vocab_size"))
"""Integers that OpenAI's archives hold beside the weights; state dicts may lack them."""
_NESTED: Final = ("state_dict", "model_state_dict", "model")
"""Where training checkpoints hold the weights: open_clip's and timm's, then others'."""
_WRAPPERS: Final = ("module.", "_orig_mod.")
"""What torch's DistributedDataParallel and torch.compile put before every name."""
_HEAD: Final = 512
_ZIP, _PICKLE, _GIT_LFS = b"PK\x03\x04", b"\x80", b"version https://git-lfs"
_WEB_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|\?xml)", re.I | re.S
)
_REFUSED = re.compile(r"GLOBAL ([\w.]*\w)")
_SAID = re.compile(r"WeightsUnpickler error:\s*(.+?)\.?\s*$", re.M)
_SAVE: Final = "If it is whole, save it again with torch.save and its own pickle protocol."
_HARMLESS = re.compile(
    r"torch\.(?:\w+|_utils\._rebuild\w+|nn\.parameter\.\w+|_tensor\.\w+|storage\.\w+)"
    r"|collections\.\w+|_codecs\.encode"
)
_UNLOADABLE: Final[tuple[type[Exception], ...]] = (
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


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Gives the tensors of a file of weights by name, on the CPU and without gradients.

    The form is told by the content, whatever the suffix. Of a training checkpoint the weights are
    taken, and what a wrapper puts before all names (`module.`, `_orig_mod.`) is dropped.

    Raises:
        MissingWeights: There is no such file, or it may not be read.
        CorruptData: It is damaged, holds no weights, or would run code.
    """
    head = _head(file)
    if head.startswith(_ZIP):
        with checked_zip(file) as packed:
            scripted = is_archive(packed)
        held: object = read_archive(file) if scripted else _loaded(file)
    elif _is_safetensors(file, head):
        held = _safetensors(file)
    elif head.startswith(_PICKLE):
        held = _loaded(file)
    else:
        raise _not_weights(file, head)
    return _checked(file, _unwrapped(_weights(file, held)))


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Gives a SHA-256 in hex of names, types, shapes and values, whatever file they came from.

    Their order does not count, nor do OpenAI's notes (`NOTES`), which some forms leave out.
    """
    whole = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        if name in NOTES and not tensor.dim():
            continue
        whole.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\n".encode())
        whole.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def _head(file: Path) -> bytes:
    """Gives the first bytes of a file that is there and is not empty."""
    expected = "Expected a file of weights: .pt, .pth or .safetensors."
    if file.is_dir():
        raise MissingWeights(f"{file} is a folder. {expected}")
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise MissingWeights(f"cannot read {file} ({error.strerror}). {expected}") from error
    if not head:
        raise CorruptData.of(file, "", "empty", RESTORE)
    return head


def _not_weights(file: Path, head: bytes) -> CorruptData:
    """Gives the error for content that no form of weights begins with."""
    if head.startswith(_GIT_LFS):
        problem = "a git-lfs pointer, which stands for the weights and does not hold them"
        return CorruptData.of(file, "", problem, "Run `git lfs pull` where it was cloned.")
    if _WEB_PAGE.match(head):
        problem = "a web page, saved under the name of weights"
        return CorruptData.of(file, "", problem, "Open it in a browser to see what went wrong.")
    problem = "neither a TorchScript archive nor a state dict nor safetensors"
    return CorruptData.of(file, "", problem, RESTORE)


def _is_safetensors(file: Path, head: bytes) -> bool:
    """Tells by the header, which is JSON after its length in 8 bytes, or by the suffix."""
    named = file.suffix == ".safetensors" and not head.startswith(_GIT_LFS)
    return (named and not _WEB_PAGE.match(head)) or head[8:9] == b"{"


def _safetensors(file: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        problem = f"not whole safetensors ({error})"
        raise CorruptData.of(file, "", problem, RESTORE) from error


def _loaded(file: Path) -> object:
    """Gives what torch.load reads of plain tensors and containers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of forms that are refused if they matter
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        names = _refused(file, str(error))
        if not names:
            # The rest of what torch says is advice to load the file unsafely.
            found = _SAID.search(str(error))
            reason = found[1] if found else "damaged"
            problem = f"not a state dict that torch reads safely ({reason})"
            raise CorruptData.of(file, "", problem, f"{RESTORE} {_SAVE}") from error
        problem = f"names {', '.join(names)}, and loading it would run code. Nothing was run"
        raise CorruptData.of(file, "", problem, UNSAFE) from error
    except _UNLOADABLE as error:
        said = str(error).splitlines()
        problem = f"not a whole state dict ({said[0] if said else type(error).__name__})"
        raise CorruptData.of(file, "", problem, RESTORE) from error


def _refused(file: Path, message: str) -> list[str]:
    """Gives the globals for which torch refused a file, as far as they can be told."""
    said = _REFUSED.findall(message)
    if said:
        return [said[0]]
    named: list[str] = []
    with file.open("rb") as stream:
        if stream.read(len(_ZIP)) != _ZIP:
            stream.seek(0)
            for _ in range(4):  # the legacy form is a row of pickles: three notes, then the object
                named += named_globals(stream)
            return [name for name in named if not _HARMLESS.fullmatch(name)]
    with checked_zip(file) as packed, suppress(*BROKEN_ZIP):  # torch's own error says what it met
        for entry in packed.namelist():
            if entry.endswith("data.pkl"):
                with packed.open(entry) as stream:
                    named += named_globals(stream)
    return [name for name in named if not _HARMLESS.fullmatch(name)]


def _weights(file: Path, held: object) -> dict[str, torch.Tensor]:
    """Gives the part of what a file holds that is tensors by name."""
    for key in _NESTED:
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
            break
    if not isinstance(held, dict):
        problem = f"holds a {type(held).__name__}, expected tensors by name"
        raise CorruptData.of(file, "", problem, "Give the state dict of a network.")
    if not held:
        raise CorruptData.of(file, "", "holds no tensor", "Give the state dict of a network.")
    for name, value in held.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            problem = f"a {type(value).__name__}, expected a tensor under a name"
            raise CorruptData.of(file, repr(name), problem, "Give the state dict of a network.")
    return {name: value.detach() for name, value in held.items()}


def _unwrapped(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in _WRAPPERS:
        if all(name.startswith(prefix) for name in tensors):
            shorter = {name.removeprefix(prefix): value for name, value in tensors.items()}
            return _unwrapped(shorter)
    return tensors


def _checked(file: Path, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Gives the tensors where each is plain numbers that really lie in the file."""
    for name, tensor in tensors.items():
        plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
        if not plain or tensor.is_quantized or tensor.is_complex():
            problem = f"a tensor of {tensor.dtype}, {tensor.layout}, {tensor.device}"
            raise CorruptData.of(file, name, problem, "Expected a plain dense tensor of numbers.")
        if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            problem = f"claims {tensor.numel()} numbers and holds fewer"
            raise CorruptData.of(file, name, problem, RESTORE)
    return tensors
