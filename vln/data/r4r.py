"""placeholder."""

from __future__ import annotations

from pathlib import Path

from vln.data.splits import EpisodeSet
from vln.graph import NavGraph


def load(data: Path, split: str, graph: NavGraph) -> EpisodeSet:
    """Stub, being written."""
    raise NotImplementedError
