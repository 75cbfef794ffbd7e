"""How a view becomes numbers, beside the weights: every choice that changes features is one here.

`--encoder NAME+WORD+WORD` starts from what the encoder called NAME does and changes it by words:

    center squash wide native   which part of a picture is seen, and how it is fitted
    112px                       the shorter side of what the network sees
    direct                      views are rendered at that size at once
    bgr                         colours swapped, as in feature files made from MatterSim's frames
    bf16 fp16                   arithmetic of the network
    grid                        the mean of the grid before the pooling, instead of the pooled
    w512                        a fixed random projection to so many features

Knows no network and no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from vln.errors import BadConfig, UnknownName

Frame = Literal["center", "squash", "wide", "native"]
Precision = Literal["fp32", "bf16", "fp16"]
Colour = Literal["rgb", "bgr"]
Output = Literal["pooled", "grid_mean"]
Interpolation = Literal["bicubic", "bilinear"]

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
"""Source: the `preprocess` of OpenAI's released CLIP."""
MIN_SIZE, MAX_SIZE = 16, 2048
MAX_WIDTH = 65_536


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is done to a picture, and which numbers are taken.

    Attributes:
        frame: `center` fits the shorter side to `size` and keeps the middle square, as CLIP does
            (a quarter of a 640 x 480 view is lost); `squash` fits both sides to `size`; `wide` fits
            the shorter side and keeps all; `native` leaves the picture as large as it is.
        size: Pixels of the shorter side, for every frame but `native`.
        direct: Views are rendered at the network's size at once, antialiased, instead of at
            640 x 480 and resized; pictures that come from elsewhere are resized nevertheless.
        interpolation: Of the resizing, antialiased, to whole grey levels.
        mean: Subtracted from RGB in [0, 1], in the network's channel order.
        std: Divides afterwards.
        colour: `rgb`, or `bgr` to match feature files that were made with swapped colours.
        precision: Of the network's arithmetic; features come out as float32.
        output: `pooled` is what the network's own pooling and projection give, unnormalised;
            `grid_mean` the mean over places of the grid before them.
        width: Features after a fixed random projection; 0 for none.
    """

    frame: Frame = "center"
    size: int = 224
    direct: bool = False
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    colour: Colour = "rgb"
    precision: Precision = "fp32"
    output: Output = "pooled"
    width: int = 0

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise BadConfig(
                f"pictures of {self.size} pixels for an encoder; expected {MIN_SIZE} to {MAX_SIZE}."
            )
        if not 0 <= self.width <= MAX_WIDTH:
            raise BadConfig(f"a projection to {self.width} features; expected 1 to {MAX_WIDTH}.")
        if self.direct and self.frame not in ("center", "wide"):
            raise BadConfig(
                f"+direct with +{self.frame}: a camera renders what +center or +wide would keep, "
                "nothing else. Leave one of the two out."
            )

    def changed(self, words: Iterable[str]) -> Recipe:
        """Gives the recipe that words of a handle ask for.

        Raises:
            UnknownName: A word means nothing; the closest is suggested.
            BadConfig: What they ask for together cannot be.
        """
        changes: dict[str, Any] = {}
        for word in words:
            field, value = _meaning(word)
            if field in changes:
                raise BadConfig(
                    f"+{word} and another word before it both set the {field} of an encoder. "
                    "Leave one of them out."
                )
            changes[field] = value
        recipe = replace(self, **changes)
        if "size" in changes and recipe.frame == "native":
            raise BadConfig(
                f"+{recipe.size}px, but this encoder sees pictures at their own size. Say how they "
                "shall be fitted as well: +center, +squash or +wide."
            )
        return recipe

    def as_json(self) -> dict[str, Any]:
        """Gives plain values, for fingerprints and files."""
        values = asdict(self)
        return {**values, "mean": list(self.mean), "std": list(self.std)}


_WORDS: Final[dict[str, tuple[str, Any]]] = {
    **{frame: ("frame", frame) for frame in ("center", "squash", "wide", "native")},
    "direct": ("direct", True),
    "bgr": ("colour", "bgr"),
    "bf16": ("precision", "bf16"),
    "fp16": ("precision", "fp16"),
    "grid": ("output", "grid_mean"),
}
_PIXELS = re.compile(r"([1-9]\d{0,4})px")
_WIDTH = re.compile(r"w([1-9]\d{0,4})")


def _meaning(word: str) -> tuple[str, Any]:
    """Gives the field that a word sets, and its value."""
    if word in _WORDS:
        return _WORDS[word]
    for field, pattern in (("size", _PIXELS), ("width", _WIDTH)):
        found = pattern.fullmatch(word)
        if found:
            return field, int(found[1])
    raise UnknownName.of("word after + in --encoder", word, (*_WORDS, "112px", "w512"))
