"""Networks of timm's, by themselves or as the image tower of a model of open_clip's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.layers.format import Format
from timm.models import VisionTransformer
from torch import Tensor

from vln.encoders.networks.memory import is_out_of_memory
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

    def taken(whole_N3HW: Tensor) -> Tensor:
        grids: list[Tensor] = trunk.forward_intermediates(
            whole_N3HW, indices=1, norm=False, output_fmt="NCHW", intermediates_only=True
        )
        return grids[-1]

    return seen(trunk, images_N3HW, taken)


def grid_dim_of(trunk: Any) -> int:  # noqa: ANN401
    """Gives the channels of `grid_of`; 0 where there is no grid."""
    return int(trunk.feature_info[-1]["num_chs"]) if has_grid(trunk) else 0


def grid_size_of(trunk: Any, height: int, width: int) -> tuple[int, int]:  # noqa: ANN401
    """Gives the rows and columns of `grid_of` for pictures of so many pixels.

    Found by trying: some of timm's networks round up to whole places, others down.
    """
    weight = next(trunk.parameters())
    blank_13HW = torch.zeros((1, 3, height, width), dtype=weight.dtype, device=weight.device)
    with torch.inference_mode():
        rows, columns = grid_of(trunk, blank_13HW).shape[2:]
    return rows, columns


def seen(trunk: Any, images_N3HW: Tensor, look: Callable[[Tensor], Tensor]) -> Tensor:  # noqa: ANN401
    """Gives what a network sees in pictures of any size, or says that it cannot.

    Pixels right and below that fill no patch are not seen, as by CLIP's transformers.

    Args:
        trunk: The network.
        images_N3HW: Pictures.
        look: Called with what fills patches.

    Raises:
        BadConfig: The network is made for another size.
    """
    embed = getattr(trunk, "patch_embed", None)
    height, width = images_N3HW.shape[2:]
    down, right = getattr(embed, "patch_size", None) or (1, 1)
    try:
        return look(images_N3HW[:, :, : height // down * down, : width // right * right])
    except (AssertionError, RuntimeError, IndexError, ValueError) as error:
        own = trunk.pretrained_cfg["input_size"][-1]
        if height == width == own or is_out_of_memory(error):
            raise
        raise BadConfig(
            f"timm's {type(trunk).__name__} cannot see pictures of {width} x {height} pixels; it "
            f"is made for {own} x {own}. Use +{own}px with +center or +squash."
        ) from error


def let_see_any_size(trunk: Any) -> None:  # noqa: ANN401
    """Has a transformer meet its positions at any size, as timm's `dynamic_img_size` does.

    For those that were made without it; with rotary positions it is too late.
    """
    if not isinstance(trunk, VisionTransformer) or trunk.pos_embed is None:
        return
    embed: Any = trunk.patch_embed
    embed.strict_img_size, embed.flatten, embed.output_fmt = False, False, Format.NHWC
    vars(trunk)["dynamic_img_size"] = True  # typed as final


class TimmNetwork:
    """A network of timm's without its classifier.

    Args:
        module: As `timm.create_model` makes it.
    """

    text_dim = vocabulary = 0

    def __init__(self, module: Any) -> None:  # noqa: ANN401
        self.module = module
        self.dim: int = module.head_hidden_size or module.num_features
        self.grid_dim = grid_dim_of(module)
        self.size: int = module.pretrained_cfg["input_size"][-1]
        self.stride = stride_of(module)
        self.convolutional = is_convolutional(module)

    def pooled(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D), what the classifier would see."""

        def look(whole_N3HW: Tensor) -> Tensor:
            features = self.module.forward_features(whole_N3HW)
            pooled_ND: Tensor = self.module.forward_head(features, pre_logits=True)
            return pooled_ND

        return seen(self.module, images_N3HW, look)

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
        let_see_any_size(trunk)
        self.grid_dim = grid_dim_of(trunk)
        self.size: int = model.visual.image_size[0]
        self.stride = stride_of(trunk)
        self.convolutional = is_convolutional(trunk)

    def pooled(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D), projected."""
        return seen(self.module.visual.trunk, images_N3HW, self.module.visual)

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
