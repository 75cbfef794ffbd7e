"""Names of encoders, and what each needs to turn a world into features.

Knows no particular encoder; `vln.encoders` registers them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vln.features.source import FeatureTable
from vln.graph import NavGraph
from vln.registry import Registry


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


Encoder = Callable[[World], FeatureTable | None]
"""Gives the features of a world; None for an encoder that sees nothing."""

ENCODERS: Registry[Encoder] = Registry("encoder")
