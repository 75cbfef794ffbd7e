"""Weights as tensors by name, from any of the forms in which networks are handed on.

TorchScript archives (OpenAI's), PyTorch's state dicts and training checkpoints, safetensors.
Nothing in a file is run. Knows no network: what the names mean is its owner's business.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from vln.data.locations import RESTORE
from vln.encoders.weights.archive import checked_zip, is_archive, read_archive
from vln.encoders.weights.safely import PICKLE, ZIP, Kind, load_safely
from vln.errors import CorruptData, MissingWeights

NOTES: Final = frozenset(("input_resolution", "context_length", "vocab_size"))
"""Integers that OpenAI's archives hold beside the weights; state dicts may lack them."""
_NESTED: Final = ("state_dict", "model_state_dict", "model")
"""Where training checkpoints hold the weights: open_clip's and timm's, then others'."""
_WRAPPERS: Final = ("module.", "_orig_mod.")
"""What torch's DistributedDataParallel and torch.compile put before every name."""
_HEAD: Final = 512
_GIT_LFS = b"version https://git-lfs"
_WEB_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|\?xml)", re.I | re.S
)
_STATE_DICT: Final = Kind(
    "state dict",
    remedy=f"{RESTORE} If it is whole, save it again with torch.save and its own pickle protocol.",
)


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Gives the tensors of a file of weights by name, on the CPU and without gradients.

    The form is told by the content, whatever the suffix. Of a training checkpoint the weights are
    taken, and what a wrapper puts before all names (`module.`, `_orig_mod.`) is dropped.

    Raises:
        MissingWeights: There is no such file, or it may not be read.
        CorruptData: It is damaged, holds no weights, or would run code.
    """
    head = _head(file)
    if head.startswith(ZIP):
        with checked_zip(file) as packed:
            scripted = is_archive(packed)
        held: object = read_archive(file) if scripted else load_safely(file, _STATE_DICT)
    elif _is_safetensors(file, head):
        held = _safetensors(file)
    elif head.startswith(PICKLE):
        held = load_safely(file, _STATE_DICT)
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
