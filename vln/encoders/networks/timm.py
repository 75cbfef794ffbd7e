"""Networks of timm's, by themselves or as the image tower of a model of open_clip's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vln.encoders.networks.protocol import ReadsText
from vln.errors import BadConfig

# N pictures, h w places, C channels of the grid, D features


def has_grid(trunk: Any) -> bool:  # noqa: ANN401, untyped library
    """Tells whether timm gives the grid of a network."""
    return hasattr(trunk, "forward_intermediates")


def grid_of(trunk: Any, images_N3HW: Tensor) -> Tensor:  # noqa: ANN401
    """Gives (N, C, h, w), what timm calls the last intermediate of a network, not normalised.

    Raises:
        BadConfig: timm takes no intermediates from this network.
    """
    if not has_grid(trunk):
        raise BadConfig(
            f"timm gives no grid of a {type(trunk).__name__}. Take the pooled features (without "
            "+grid), or another network."
        )
    taken: list[Tensor] = trunk.forward_intermediates(
        images_N3HW, indices=1, norm=False, output_fmt="NCHW", intermediates_only=True
    )
    return taken[-1]


def grid_size_of(trunk: Any, height: int, width: int) -> tuple[int, int]:  # noqa: ANN401
    """Gives the rows and columns of `grid_of` for pictures of so many pixels.

    Found by trying: some of timm's networks round up to whole places, others down.
    """
    weight = next(trunk.parameters())
    blank_13HW = torch.zeros((1, 3, height, width), dtype=weight.dtype, device=weight.device)
    with torch.inference_mode():
        rows, columns = grid_of(trunk, blank_13HW).shape[2:]
    return rows, columns


class TimmNetwork:
    """A network of timm's without its classifier.

    Args:
        module: As `timm.create_model` makes it.
    """

    text_dim = 0

    def __init__(self, module: Any) -> None:  # noqa: ANN401
        self.module = module
        self.dim: int = module.head_hidden_size or module.num_features
        self.grid_dim: int = module.num_features if has_grid(module) else 0
        self.size: int = module.pretrained_cfg["input_size"][-1]
        self.stride = stride_of(module)
        self.convolutional = is_convolutional(module)

    def pooled(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D), what the classifier would see."""
        features = self.module.forward_features(images_N3HW)
        pooled_ND: Tensor = self.module.forward_head(features, pre_logits=True)
        return pooled_ND

    def grid(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, C, h, w), before the pooling."""
        return grid_of(self.module, images_N3HW)

    def grid_size(self, height: int, width: int) -> tuple[int, int]:
        """Gives the rows and columns of the grid of pictures of so many pixels."""
        return grid_size_of(self.module, height, width)

    def text(self, tokens_NL: Tensor) -> Tensor:
        """Refuses: there is no text side."""
        raise AssertionError("a network without words was given some")


class TimmTower(ReadsText):
    """A model of open_clip's whose image tower is timm's."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        trunk = model.visual.trunk
        super().__init__(model, dim=_text_features(model))
        self.grid_dim: int = trunk.num_features if has_grid(trunk) else 0
        self.size: int = model.visual.image_size[0]
        self.stride = stride_of(trunk)
        self.convolutional = is_convolutional(trunk)

    def pooled(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D), projected."""
        pooled_ND: Tensor = self.module.visual(images_N3HW)
        return pooled_ND

    def grid(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, C, h, w), before the pooling."""
        return grid_of(self.module.visual.trunk, images_N3HW)

    def grid_size(self, height: int, width: int) -> tuple[int, int]:
        """Gives the rows and columns of the grid of pictures of so many pixels."""
        return grid_size_of(self.module.visual.trunk, height, width)


def stride_of(trunk: Any) -> int:  # noqa: ANN401
    """Gives the pixels a side that become one place of the grid."""
    return int(trunk.feature_info[-1]["reduction"])


def is_convolutional(trunk: Any) -> bool:  # noqa: ANN401
    """Tells whether a network has no patches, hence grids of channels all the way."""
    return not hasattr(trunk, "patch_embed")


def _text_features(model: Any) -> int:  # noqa: ANN401
    """Gives the features that images and texts share."""
    text = getattr(model, "text", model)
    return int(getattr(text, "output_dim", None) or text.text_projection.shape[1])
