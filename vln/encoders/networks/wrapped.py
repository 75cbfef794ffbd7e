"""The right network around any model of open_clip's."""

from __future__ import annotations

from typing import Any

from torch import nn

from vln.encoders.networks.protocol import ClipResNet, ClipTransformer, Network
from vln.encoders.networks.timm import TimmTower
from vln.errors import BadConfig


def network_of(model: nn.Module) -> Network:
    """Gives the network around a model of open_clip's.

    Raises:
        BadConfig: Its image tower is of a kind that is not known here.
    """
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    towers: dict[type, Any] = {
        ModifiedResNet: ClipResNet,
        VisionTransformer: ClipTransformer,
        TimmModel: TimmTower,
    }
    if type(model.visual) not in towers:
        raise BadConfig(
            f"an image tower of type {type(model.visual).__name__}; expected one of "
            f"{', '.join(kind.__name__ for kind in towers)}. Use another network of open_clip."
        )
    network: Network = towers[type(model.visual)](model)
    return network
