"""What kind of CLIP weights in OpenAI's layout are of, read off the shapes of their tensors.

Knows no library and builds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from vln.errors import CheckpointMismatch

HEAD_WIDTH = 64
"""Features of an attention head, everywhere in OpenAI's networks; no tensor's shape tells."""
STRIDE = 32
"""Pixels a side that become one place of a ResNet's grid."""


@dataclass(frozen=True, kw_only=True)
class ClipArchitecture:
    """The sizes of a CLIP.

    Attributes:
        layers: Blocks of a ResNet's four stages, or of a transformer.
        width: Channels of a ResNet's first stage, or features of a transformer.
        patch: Pixels a side of a transformer's patches; 0 for a ResNet.
        image_size: Pixels a side of the pictures that the position table is made for.
        dim: Features of a picture or a text.
        context: Tokens of a text.
        vocabulary: Different tokens.
        text_width: Features of the text transformer.
        text_layers: Its blocks.
    """

    layers: tuple[int, ...]
    width: int
    patch: int
    image_size: int
    dim: int
    context: int
    vocabulary: int
    text_width: int
    text_layers: int

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> ClipArchitecture:
        """Gives what one of open_clip's model configurations describes."""
        vision, text = config["vision_cfg"], config["text_cfg"]
        layers = vision["layers"]
        return cls(
            layers=tuple(layers) if isinstance(layers, list) else (layers,),
            width=vision["width"],
            patch=vision["patch_size"] or 0,
            image_size=vision["image_size"],
            dim=config["embed_dim"],
            context=text["context_length"],
            vocabulary=text["vocab_size"],
            text_width=text["width"],
            text_layers=text["layers"],
        )

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], *, source: object) -> ClipArchitecture:
        """Gives what weights in OpenAI's layout are made for.

        Args:
            tensors: By name.
            source: Where they are from, for the message.

        Raises:
            CheckpointMismatch: They are in no such layout.
        """
        try:
            found = cls(**_vision(tensors), **_text(tensors))
        except (KeyError, IndexError, ValueError) as error:
            problem = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
            raise CheckpointMismatch(
                f"{source} holds no CLIP in the layout of OpenAI's weights ({problem}). Expected "
                "tensors such as visual.conv1.weight and text_projection; weights of other "
                "networks are read with open_clip:NAME/FILE or timm:NAME."
            ) from None
        seen = found.width * (1 if found.patch else STRIDE)
        for name, width in (("pictures", seen), ("texts", found.text_width)):
            if not width or width % HEAD_WIDTH:
                raise CheckpointMismatch(
                    f"{source}: {width} features for {name} are no multiple of {HEAD_WIDTH}, the "
                    "features of a head in OpenAI's networks. Use open_clip:NAME/FILE for others."
                )
        return found

    def __str__(self) -> str:
        stages = ", ".join(map(str, self.layers))
        kind = (
            f"a ViT of {stages} blocks, {self.patch}-px patches"
            if self.patch
            else f"a ResNet of {stages} blocks"
        )
        return (
            f"{kind}, width {self.width}, for pictures of {self.image_size} px, with {self.dim} "
            f"features and a text transformer of {self.text_layers} blocks, width "
            f"{self.text_width}, {self.context} of {self.vocabulary} tokens"
        )

    def as_json(self) -> dict[str, Any]:
        """Gives plain values."""
        return {**asdict(self), "layers": list(self.layers)}


def _text(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "dim": tensors["text_projection"].shape[1],
        "context": tensors["positional_embedding"].shape[0],
        "vocabulary": tensors["token_embedding.weight"].shape[0],
        "text_width": tensors["ln_final.weight"].shape[0],
        "text_layers": _count(tensors, "transformer.resblocks."),
    }


def _vision(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    if "visual.proj" in tensors:
        first = tensors["visual.conv1.weight"]
        patch = first.shape[3]
        return {
            "layers": (_count(tensors, "visual.transformer.resblocks."),),
            "width": first.shape[0],
            "patch": patch,
            "image_size": patch * _side(tensors["visual.positional_embedding"]),
        }
    return {
        "layers": tuple(_count(tensors, f"visual.layer{stage}.") for stage in (1, 2, 3, 4)),
        "width": tensors["visual.layer1.0.conv1.weight"].shape[0],
        "patch": 0,
        "image_size": STRIDE * _side(tensors["visual.attnpool.positional_embedding"]),
    }


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Gives how many numbered blocks there are under a prefix, at least one."""
    blocks = {name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)}
    if not blocks:
        raise KeyError(f"{prefix}0")
    return len(blocks)


def _side(table: Tensor) -> int:
    """Gives the places a side of a square table of positions that has a first one for all."""
    side = math.isqrt(max(table.shape[0] - 1, 0))
    if side < 1 or side**2 + 1 != table.shape[0]:
        raise ValueError(f"{table.shape[0]} positions, which are no square and one")
    return side
