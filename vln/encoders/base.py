"""Names of encoders, and what each needs to turn a world into features.

An encoder of this kind looks at a world as a whole, annotations included. Networks, which look at
pictures, are in `vln.encoders.network`; what their clients know of them is `Encodes`. Knows no
particular encoder and nothing of where features are kept; `vln.encoders` registers the names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vln.encoders.recipe import Recipe
from vln.graph import NavGraph
from vln.registry import Registry
from vln.types import EncoderSpec


@dataclass(frozen=True)
class World:
    """What an encoder may look at.

    Attributes:
        data: The world's folder.
        graph: Its graph.
        cache: Root of the feature store; the user's cache where None.
        fit: A file with what an encoder learnt from the training scans of this world or another;
            where None, it learns from this one's.
    """

    data: Path
    graph: NavGraph
    cache: Path | None = None
    fit: Path | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose features these are.

    Attributes:
        encoder: Name or handle.
        fingerprint: Identity of the encoder, hex.
    """

    encoder: str
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Sight:
    """What an encoder sees of a world, not worked out yet.

    Attributes:
        identity: Whose features come out.
        compute: Gives them: (R, 36, D), or (R, 1, D) where all views of a panorama share one
            vector; float16 or float32.
        source: Identity of what they are made from, hex.
        row: (V,) int64, which of the R rows stands for a panorama; None: row v for panorama v.
        kept_as: Whose name the computed rows are stored under; None for what is quickly made.
    """

    identity: Identity
    compute: Callable[[], npt.NDArray[Any]]
    source: str = ""
    row: npt.NDArray[np.int64] | None = None
    kept_as: Identity | None = None


class Encodes(Protocol):
    """A network as those know it who have its pictures encoded: here, or by a server."""

    @property
    def handle(self) -> str:
        """What it is asked for by."""

    @property
    def dim(self) -> int:
        """D, features of a picture."""

    @property
    def has_text(self) -> bool:
        """Whether it reads texts."""

    @property
    def text_dim(self) -> int:
        """Features of a text, 0 where it reads none."""

    @property
    def recipe(self) -> Recipe:
        """What is done to pictures."""

    @property
    def spec(self) -> EncoderSpec:
        """Who it is."""

    def tokens(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Gives (N, L) tokens of texts, what it encodes as `text`."""


WorldEncoder = Callable[[World], Sight | None]
"""Gives what is seen of a world; None for an encoder that sees nothing."""

ENCODERS: Registry[WorldEncoder] = Registry("encoder")
"""Encoders that look at worlds; names of networks are in `NETWORKS`."""
