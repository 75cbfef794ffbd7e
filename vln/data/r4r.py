"""Room-for-Room: long, winding episodes made by joining Room-to-Room's.

Two paths of one house are joined where the first ends within 3 m (walked) of where the second
begins; the shortest walk connects them and every pair of their instructions is an episode.

Source: Jain et al. 2019, arXiv:1905.12255. The published files differ by a few pairs, their
distances having come from slightly other geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import chain, groupby, product
from pathlib import Path

import numpy as np

from vln.data import r2r
from vln.data.splits import EpisodeSet
from vln.errors import BadConfig
from vln.graph import Ints, NavGraph
from vln.types import Episode

MAX_GAP = 3.0
"""Metres walked between the end of one path and the start of the next, exclusive."""

_Path = tuple[Episode, ...]  # the episodes of one annotated path


def load(data: Path, split: str, graph: NavGraph) -> EpisodeSet:
    """Gives the R4R episodes made from R2R's of the same split.

    Ids are `<first path_id>_<second path_id>_<k>`, k counting the pairs of instructions; the
    heading is the first's. `sha256` and `file` are those of the R2R file.

    Args:
        data: The data root.
        split: As for `vln.data.r2r.load`; joins stay within a house, so `dev` stays held out.
        graph: The navigation graph.

    Raises:
        BadConfig: The split has no labels, so its paths cannot be joined.
        UnknownName, MissingData, CorruptData: As `vln.data.r2r.load`.
    """
    source = r2r.load(data, split, graph)
    if any(episode.reference is None for episode in source):
        raise BadConfig(
            f"R4R cannot be made from split {split!r}: R2R holds its labels out. "
            "Use train, val_seen, val_unseen, dev or train_fit."
        )
    paths = [tuple(group) for _, group in groupby(source, key=_path_id)]
    pairs, joints = _pairs(paths, graph)
    joined = (
        _join(paths[first], paths[second], joint)
        for (first, second), joint in zip(pairs, joints, strict=True)
    )
    return replace(source, dataset="r4r", episodes=tuple(chain.from_iterable(joined)))


def _path_id(episode: Episode) -> str:
    return episode.id.rpartition("_")[0]


def _pairs(
    paths: Sequence[_Path], graph: NavGraph
) -> tuple[list[list[int]], list[tuple[str, ...]]]:
    """Gives the paths to join, in order, and the viewpoints strictly after the first's end.

    The joint runs up to the second's start and is empty where the two are the same viewpoint.
    """
    terminals = np.array([_terminals(path[0], graph) for path in paths], np.int64).reshape(-1, 2)
    starts, ends = terminals.T
    scans = graph.scan_index[starts]
    houses = [np.flatnonzero(scans == scan) for scan in np.unique(scans)]
    near = [house[_near(ends[house], starts[house], graph)] for house in houses]
    pairs = np.concatenate([*near, np.zeros((0, 2), np.int64)])
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    walk = cache(partial(_walk, graph=graph))
    joints = zip(ends[pairs[:, 0]].tolist(), starts[pairs[:, 1]].tolist(), strict=True)
    return pairs.tolist(), [walk(end, start) for end, start in joints]


def _terminals(episode: Episode, graph: NavGraph) -> tuple[int, int]:
    scan, reference = episode.start.scan, episode.reference
    assert reference is not None, "load refuses splits without labels"
    return graph.index(scan, reference[0]), graph.index(scan, reference[-1])


def _near(ends: Ints, starts: Ints, graph: NavGraph) -> Ints:
    near = graph.distance(ends[:, None], starts[None, :]) < MAX_GAP
    np.fill_diagonal(near, val=False)  # a path is not joined to itself
    return np.argwhere(near)


def _walk(end: int, start: int, *, graph: NavGraph) -> tuple[str, ...]:
    return tuple(graph.viewpoints[panorama] for panorama in graph.shortest_path(end, start)[1:])


def _join(first: _Path, second: _Path, joint: tuple[str, ...]) -> list[Episode]:
    before, after = first[0].reference, second[0].reference
    assert before is not None, "load refuses splits without labels"
    assert after is not None, "load refuses splits without labels"
    reference = before + joint + after[1:]
    prefix = f"{_path_id(first[0])}_{_path_id(second[0])}_"
    start = first[0].start
    return [
        Episode(prefix + str(k), start, f"{a.rstrip()} {b.lstrip()}", first[0].language, reference)
        for k, (a, b) in enumerate(
            product([e.instruction for e in first], [e.instruction for e in second])
        )
    ]
