"""Tensors -> a network that holds exactly them.

Knows no file and no library of networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from vln.errors import CheckpointMismatch, CorruptData

_COUNTER = ".num_batches_tracked"
_SCALARS = frozenset(("logit_scale", "logit_bias"))
"""The field saves them with one dimension or none."""
_SHOWN = 3


def weights_of(tensors: Mapping[str, Tensor], *, leave: Iterable[str] = ()) -> dict[str, Tensor]:
    """Gives the tensors that change what a network gives, in float32; scalars without dimensions.

    How many batches a network was trained on (`num_batches_tracked`) changes nothing, and the
    field's files hold it or not.

    Args:
        tensors: By name.
        leave: Names to leave out.
    """
    left = set(leave)
    return {
        name: _plain(name, tensor)
        for name, tensor in tensors.items()
        if name not in left and not name.endswith(_COUNTER)
    }


def _plain(name: str, tensor: Tensor) -> Tensor:
    if name in _SCALARS and tensor.numel() == 1:
        tensor = tensor.reshape(())
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor


def check_finite(tensors: Mapping[str, Tensor], *, source: object) -> None:
    """Refuses weights that are no numbers.

    Raises:
        CorruptData: NaN or infinity in a tensor, which is named.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CorruptData.of(
                source,
                f"tensor {name}",
                "it holds NaN or infinity, expected finite weights",
                "The file is damaged or its training failed: use another one.",
            )


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, source: object, of: str) -> None:
    """Puts tensors into a module, all of them and exactly them.

    The module takes the tensors over without a copy, so it may have been built on `meta`.

    Args:
        module: Takes them.
        tensors: As `weights_of` gives them.
        source: Where they are from, for the message.
        of: What the module is, for the message.

    Raises:
        CheckpointMismatch: Names or shapes differ; the message says which.
    """
    state = module.state_dict()
    wanted = weights_of(state)
    problems = {
        "missing": sorted(wanted.keys() - tensors.keys()),
        "not expected": sorted(tensors.keys() - wanted.keys()),
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)}"
            for name in sorted(wanted.keys() & tensors.keys())
            if wanted[name].shape != tensors[name].shape
        ],
        "of another type": [
            f"{name} {tensors[name].dtype} instead of {wanted[name].dtype}"
            for name in sorted(wanted.keys() & tensors.keys())
            if wanted[name].dtype != tensors[name].dtype
        ],
    }
    if any(problems.values()):
        listed = "; ".join(f"{kind}: {_some(names)}" for kind, names in problems.items() if names)
        raise CheckpointMismatch(
            f"{source} does not hold the weights of {of}: {listed}. Use the weights that belong "
            "to this encoder, or the encoder that belongs to these weights."
        )
    shaped = {name: tensor.reshape(state[name].shape) for name, tensor in tensors.items()}
    counters = {
        name: torch.zeros((), dtype=torch.int64, device="cpu")
        for name in state
        if name not in wanted
    }
    module.load_state_dict({**shaped, **counters}, assign=True)


def _some(names: list[str]) -> str:
    """Gives the first few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
