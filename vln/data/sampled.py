"""Paths that nobody described: shortest paths drawn from the graph, to be put into words.

Speaker-Follower and EnvDrop train on such paths beside R2R's own (back-translation). Knows no file
and no words.
"""

# P pairs of viewpoints of one scan, N paths, H most edges

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from vln.data.splits import EpisodeSet
from vln.errors import BadConfig
from vln.graph import Floats, Ints, NavGraph
from vln.types import Episode, Pose

NO_FILE = "shortest paths of the navigation graph"
"""What a set of sampled paths gives for the file it came from."""


def sample_paths(
    graph: NavGraph,
    scans: Collection[str],
    *,
    labelled: Iterable[tuple[str, Sequence[str]]],
    count: int,
    rng: np.random.Generator,
    edges: tuple[int, int] = (4, 6),
    least_metres: float = 5.0,
    dataset: str = "r2r",
    split: str = "sampled",
) -> EpisodeSet:
    """Gives shortest paths without words, each at most once, in the graph's order.

    The default bounds hold for all but 8 of R2R's 4,675 training paths, which have 3 edges. Its 61
    training scans hold 178,300 such paths, 173,633 without those that R2R describes
    (Speaker-Follower reports 178,330 sampled paths, EnvDrop 176,776).

    An episode's instruction is empty, its language `en`, its reference the path. Its id is
    `sampled_<number>`, the number being the pair's of start and end in the graph: a path has the
    same id in every draw. `sha256` is that of the drawn paths and headings.

    Args:
        graph: The navigation graph; its next hops choose among walks of equal length.
        scans: Scans to draw from.
        labelled: (scan, viewpoints) of paths to leave out, those of other scans without effect.
            The same way walked backwards is another path.
        count: How many to draw, uniformly and without replacement; 0 for all.
        rng: Draws the paths and their start headings, which are uniform in [0, 2 pi).
        edges: Fewest and most edges of a path.
        least_metres: What the walk from start to end measures at least.
        dataset: Name of the set.
        split: Name of the split.

    Raises:
        UnknownViewpoint: A scan, or a viewpoint of a labelled path in one, is not in the graph.
        BadConfig: There is no such path or fewer than `count`, or a bound cannot be met.
    """
    _check(count, edges=edges, least_metres=least_metres)
    houses = sorted((graph.members(scan) for scan in set(scans)), key=lambda members: members.start)
    found = [_walks(graph, house, edges=edges, least_metres=least_metres) for house in houses]
    walks = np.concatenate([np.zeros((0, edges[1] + 1), np.int64), *found])
    known = _rows(graph, labelled, scans=frozenset(scans), edges=edges)
    walks = walks[~_among(walks, known, graph=graph)]
    if not len(walks) or count > len(walks):
        raise BadConfig(
            f"{count or 'all'} paths asked for, but {len(houses)} scans have {len(walks)} shortest "
            f"paths of {edges[0]} to {edges[1]} edges and at least {least_metres:g} m that are not "
            "labelled. Ask for fewer (0: all there are), for other lengths or for more scans."
        )
    if count:
        walks = walks[np.sort(rng.choice(len(walks), size=count, replace=False))]
    headings = rng.uniform(0, 2 * math.pi, size=len(walks))
    episodes = _episodes(walks, headings, graph=graph)
    return EpisodeSet(dataset, split, _fingerprint(walks, headings, graph=graph), NO_FILE, episodes)


def _check(count: int, *, edges: tuple[int, int], least_metres: float) -> None:
    if count < 0:
        raise BadConfig(f"{count} paths asked for. Ask for 1 or more, or 0 for all there are.")
    if not 1 <= edges[0] <= edges[1]:
        raise BadConfig(
            f"paths of {edges[0]} to {edges[1]} edges asked for. Give the fewest first, at least 1."
        )
    if not math.isfinite(least_metres):
        raise BadConfig(f"paths of at least {least_metres} m asked for. Give a finite length.")


def _walks(graph: NavGraph, house: range, *, edges: tuple[int, int], least_metres: float) -> Ints:
    """Gives the (N, H + 1) panoramas of one scan's shortest paths, -1 after the end."""
    panoramas = np.arange(house.start, house.stop)
    start, end = (side.ravel() for side in np.meshgrid(panoramas, panoramas, indexing="ij"))
    metres = graph.distance(start, end)
    wanted = (start != end) & np.isfinite(metres) & (metres >= least_metres)
    start, end = start[wanted], end[wanted]
    walks = np.full((len(start), edges[1] + 1), -1, dtype=np.int64)
    walks[:, 0] = start
    underway = np.arange(len(start))
    for hop in range(1, edges[1] + 1):  # all pairs take their next step together
        here, there = walks[underway, hop - 1], end[underway]
        walks[underway, hop] = graph.neighbour[here, graph.next_slot(here, there)]
        underway = underway[walks[underway, hop] != there]
    fit: NDArray[np.bool_] = (walks >= 0).sum(axis=1) > edges[0]
    fit[underway] = False
    return walks[fit]


def _rows(
    graph: NavGraph,
    labelled: Iterable[tuple[str, Sequence[str]]],
    *,
    scans: Collection[str],
    edges: tuple[int, int],
) -> Ints:
    """Gives the labelled paths that could have been drawn, in the form of `_walks`."""
    paths = {(scan, tuple(path)) for scan, path in labelled if scan in scans}
    fit = [one for one in paths if edges[0] < len(one[1]) <= edges[1] + 1]
    rows = np.full((len(fit), edges[1] + 1), -1, dtype=np.int64)
    for row, (scan, path) in zip(rows, fit, strict=True):
        row[: len(path)] = graph.indices(scan, path)
    return rows


def _among(walks: Ints, rows: Ints, *, graph: NavGraph) -> NDArray[np.bool_]:
    """Says of (N, H + 1) walks in the graph's order whether they are among other rows."""
    found = np.zeros(len(walks), dtype=np.bool_)
    if len(walks):
        # a pair has one walk, so its place is known
        place = np.searchsorted(_pairs(walks, graph), _pairs(rows, graph))
        place = np.minimum(place, len(walks) - 1)
        found[place[(walks[place] == rows).all(axis=1)]] = True
    return found


def _pairs(walks: Ints, graph: NavGraph) -> Ints:
    """Gives the (N,) places of the walks' starts and ends in the graph's tables of pairs."""
    last = (walks >= 0).sum(axis=1) - 1
    pairs: Ints = graph.pair_base[walks[:, 0]] + walks[np.arange(len(walks)), last]
    return pairs


def _episodes(walks: Ints, headings: Floats, *, graph: NavGraph) -> tuple[Episode, ...]:
    scans = [graph.scans[scan] for scan in graph.scan_index[walks[:, 0]].tolist()]
    names = np.array(graph.viewpoints, dtype=object)[walks].tolist()
    lengths = (walks >= 0).sum(axis=1).tolist()
    pairs = _pairs(walks, graph).tolist()
    rows = zip(pairs, scans, names, lengths, headings.tolist(), strict=True)
    return tuple(
        Episode(f"sampled_{pair}", Pose(scan, row[0], heading, 0.0), "", "en", tuple(row[:length]))
        for pair, scan, row, length, heading in rows
    )


def _fingerprint(walks: Ints, headings: Floats, *, graph: NavGraph) -> str:
    digest = hashlib.sha256(graph.world.encode())
    for values in (walks.astype("<i8"), headings.astype("<f8")):
        digest.update(values.tobytes())
    return digest.hexdigest()
