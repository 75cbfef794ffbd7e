"""Weights and everything else a run needs to go on, in one safetensors file, written atomically.

Nothing is unpickled: tensors are safetensors, the rest is JSON in the file's header.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from vln.errors import CheckpointMismatch
from vln.runs import atomic


def save(file: Path, *, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Writes tensors and JSON values; the file appears only when it is whole."""
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = json.dumps(dict(state))  # not orjson: generators hold 128-bit integers
    with atomic(file) as stream:
        stream.write(safetensors.torch.save(packed, metadata={"state": header}))


def load(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Gives what `save` wrote.

    Raises:
        CheckpointMismatch: No such file, or not one of ours.
    """
    if not file.is_file():
        raise CheckpointMismatch(
            f"no checkpoint {file}. The run was stopped before its first one; start it again."
        )
    try:
        with safetensors.safe_open(str(file), framework="pt") as opened:
            state = json.loads((opened.metadata() or {})["state"])
            return {name: opened.get_tensor(name) for name in opened.keys()}, state  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointMismatch(
            f"{file} is not a checkpoint of ours or is damaged ({error}). Use another one."
        ) from None


def sha256(tensors: Mapping[str, Tensor]) -> str:
    """Gives the SHA-256 of tensors by name, in hex: of numbers, names, shapes and types alone."""
    packed = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    return hashlib.sha256(safetensors.torch.save(packed)).hexdigest()


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], *, source: object) -> None:
    """Puts tensors into a module, all of them and exactly them.

    Raises:
        CheckpointMismatch: Names or shapes differ; the message lists them.
    """
    wanted = module.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - wanted.keys())
    reshaped = [
        f"{name} is {tuple(tensors[name].shape)}, expected {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & tensors.keys())
        if wanted[name].shape != tensors[name].shape
    ]
    if missing or surplus or reshaped:
        raise CheckpointMismatch(
            f"{source} does not fit the network: missing {missing or 'none'}; surplus "
            f"{surplus or 'none'}; other shapes: {'; '.join(reshaped) or 'none'}. Use the "
            "settings, the vocabulary and the encoder that the checkpoint was trained with."
        )
    module.load_state_dict(dict(tensors))
