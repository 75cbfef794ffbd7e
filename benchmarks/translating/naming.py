"""Which objects instructions name, and whether they are in sight along the path; our worlds only.

Knows the nouns and colours that the worlds' own writer uses, no others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vln.data.objects import load_objects
from vln.graph import NavGraph
from vln.houses.building.catalogue import COLOURS
from vln.houses.words.phrases import CATEGORY_OF

Flags = npt.NDArray[np.bool_]


class InSight:
    """What is in sight from every viewpoint of a made world.

    Args:
        data: The world's folder.
        graph: Its graph.
    """

    def __init__(self, data: Path, graph: NavGraph) -> None:
        objects = load_objects(data, graph)
        self._graph = graph
        self._seen = np.zeros((len(graph.viewpoints), len(objects.names)), dtype=np.bool_)
        self._seen[objects.panorama, objects.name] = True
        parts = [name.split(" ", 1) for name in objects.names]
        self._colour = np.array([colour for colour, _ in parts])
        self._category = np.array([category for _, category in parts])

    def named(
        self, texts: Sequence[str], paths: Sequence[tuple[str, Sequence[str]]]
    ) -> tuple[int, int]:
        """Gives how many objects texts name, and how many of those are in sight somewhere.

        An object counts as in sight where one of its category, and of its colour where that is
        said, is seen from a viewpoint of the path.

        Args:
            texts: One per path.
            paths: Scan and viewpoints of each.
        """
        count, found = 0, 0
        for text, (scan, path) in zip(texts, paths, strict=True):
            seen: Flags = np.any(self._seen[self._graph.indices(scan, path)], axis=0)
            for colour, category in objects_in(text):
                count += 1
                found += bool(np.any(seen & self._like(colour, category)))
        return count, found

    def _like(self, colour: str, category: str) -> Flags:
        like: Flags = self._category == category
        return like & (self._colour == colour) if colour else like


def objects_in(text: str) -> list[tuple[str, str]]:
    """Gives colour, empty where it is not said, and category of every object that a text names."""
    return [
        (match["colour"] or "", CATEGORY_OF[match["noun"]])
        for match in _pattern().finditer(text.lower())
    ]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    nouns = sorted(CATEGORY_OF, key=len, reverse=True)  # "chest of drawers" is no chest
    return re.compile(rf"\b(?:(?P<colour>{'|'.join(COLOURS)}) )?(?P<noun>{'|'.join(nouns)})\b")
