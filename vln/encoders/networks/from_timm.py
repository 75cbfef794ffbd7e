"""Whatever timm holds, by its own names, and torchvision's ResNets, which timm builds as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from vln.encoders.networks.filling import check_finite, fill, weights_of
from vln.encoders.networks.protocol import Network
from vln.encoders.networks.timm import TimmNetwork
from vln.encoders.recipe import Recipe
from vln.encoders.weights.files import (
    check_known,
    checked_interpolation,
    library_weights_missing,
)
from vln.encoders.weights.hub import OFFLINE, hub, said


def timm_recipe(name: str) -> Recipe:
    """Gives what a network of timm's does to pictures; the share it crops to is not taken over.

    Raises:
        BadConfig: timm knows no such network, or it is trained on pictures resized otherwise.
    """
    config = _timm_config(name)
    return Recipe(
        frame="squash" if config.crop_mode == "squash" else "center",
        size=config.input_size[-1],
        interpolation=checked_interpolation(config.interpolation, name),
        mean=tuple(config.mean),
        std=tuple(config.std),
    )


def timm_weights(name: str, *, folders: Sequence[Path], download: bool) -> dict[str, Tensor]:
    """Gives the weights that timm fetches, or keeps in its own cache.

    Raises:
        MissingWeights: They are not here and not to be had.
        CorruptData: They hold NaN or infinity.
    """
    why = "no download is wanted"
    if download:
        try:
            with hub():
                tensors = weights_of(_module(name, pretrained=True).state_dict())
        except OFFLINE as error:
            why = said(error)
        else:
            check_finite(tensors, source=f"timm:{name}")
            return tensors
    raise library_weights_missing(f"timm:{name}", f"{name}.safetensors", folders, why=why)


def timm_network(name: str, tensors: Mapping[str, Tensor], *, source: object) -> Network:
    """Gives one of timm's networks with weights.

    Raises:
        CheckpointMismatch: They are not its.
    """
    module = _module(name, pretrained=False)
    fill(module, tensors, source=source, of=f"timm:{name}")
    return TimmNetwork(module)


def resnet(name: str, tensors: Mapping[str, Tensor], *, source: object, of: str) -> Network:
    """Gives a ResNet of torchvision's with weights in torchvision's layout, which is timm's too.

    Raises:
        CheckpointMismatch: They are not its.
    """
    with torch.device("meta"):
        module = timm.create_model(f"{name}.tv_in1k", pretrained=False)
    fill(module, tensors, source=source, of=of)
    return TimmNetwork(module)


def _module(name: str, *, pretrained: bool) -> nn.Module:
    """Gives one of timm's networks, for pictures of any size where timm can."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        try:
            made: nn.Module = timm.create_model(name, pretrained=pretrained, dynamic_img_size=True)
        except TypeError:  # most networks are not asked how large pictures are
            made = timm.create_model(name, pretrained=pretrained)
    return made


def _timm_config(name: str) -> Any:  # noqa: ANN401
    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None:
        check_known("timm", name, timm.list_models(pretrained=True))
    return config
