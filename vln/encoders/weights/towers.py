"""Files of small towers: weights in half precision, and a header that says what they belong to."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vln.errors import CorruptData, MissingWeights
from vln.runs import atomic

KEY: Final = "vln_tower"
"""Of the header."""
_REMEDY: Final = "Use a file that `python -m vln.pretrain.contrastive` wrote."


def our_tower(name: str, *, folders: Sequence[Path]) -> Path:
    """Gives the file of a tower that comes with this toolkit.

    Args:
        name: `clip_house`.
        folders: Looked through first; then the checkout's assets and where pip puts them.

    Raises:
        MissingWeights: It is nowhere.
    """
    places = (
        *folders,
        Path(__file__).parents[3] / "assets" / "weights",
        Path(sys.prefix) / "share" / "vln-toolkit" / "weights",
    )
    file = next((f for place in places if (f := place / f"{name}.safetensors").is_file()), None)
    if file is None:
        raise MissingWeights(
            f"no {name}.safetensors in {', '.join(map(str, places))}. Copy it from the toolkit's "
            "assets/weights/, or train it with `python -m vln.pretrain.contrastive`."
        )
    return file


def write_tower(
    file: Path, tensors: Mapping[str, Tensor], *, spec: Mapping[str, Any], about: Mapping[str, Any]
) -> None:
    """Writes a tower; the file appears only when it is whole.

    Args:
        file: Where.
        tensors: Weights by name; floating-point ones are kept in half precision.
        spec: What is built from it, plain values.
        about: How it was made: command, seed, data, figures.
    """
    packed = {name: _halved(tensor) for name, tensor in tensors.items()}
    header = json.dumps({"spec": dict(spec), "about": dict(about)}, sort_keys=True)
    with atomic(file) as stream:
        stream.write(safetensors.torch.save(packed, metadata={KEY: header}))


def _halved(tensor: Tensor) -> Tensor:
    kept = tensor.detach().cpu().contiguous()
    return kept.to(torch.float16) if kept.is_floating_point() else kept


def tower_header(file: Path) -> dict[str, Any]:
    """Gives what `write_tower` was told, `spec` and `about`.

    Raises:
        MissingWeights: There is no such file.
        CorruptData: It is no tower's.
    """
    if not file.is_file():
        raise MissingWeights(f"no file of weights {file}. {_REMEDY}")
    try:
        with safetensors.safe_open(str(file), framework="pt") as opened:
            header = json.loads((opened.metadata() or {})[KEY])
    except (safetensors.SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        problem = f"it holds no tower ({type(error).__name__}: {error})"
        raise CorruptData.of(file, "", problem, _REMEDY) from None
    if not isinstance(header, dict) or not isinstance(header.get("spec"), dict):
        raise CorruptData.of(file, "header", "it describes no tower", _REMEDY)
    return header
