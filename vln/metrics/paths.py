"""Scores of walked paths against reference paths, batched over episodes; pure functions.

Distances are always walked metres on the navigation graph. Knows nothing of files, of agents, or
of which episodes a protocol counts.
"""

# E episodes, T longest path, R longest reference, M metrics

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig, Unreachable
from vln.graph import NavGraph
from vln.types import Episode

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
T = TypeVar("T", bound=np.generic)

SUCCESS_RADIUS = 3.0
"""Metres from the goal that count as arrived, strictly less (Anderson et al. 2018)."""

SHORTEST_WALK = 0.01
"""Metres that EnvDrop's SPL counts at least, so that an episode at its goal does not divide 0/0."""

_CELLS = 1 << 21  # path x reference cells scored at once, 16 MB per table


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of a results table.

    Attributes:
        label: The field's abbreviation.
        attribute: Where `PathScores` holds it.
        scale: What the stored value is multiplied with: 100 where the field writes percent.
        unit: The unit after scaling.
    """

    label: str
    attribute: str
    scale: float
    unit: str


METRICS = (
    Metric("TL", "trajectory_length", 1.0, "m"),
    Metric("NE", "navigation_error", 1.0, "m"),
    Metric("OSR", "oracle_success", 100.0, "%"),
    Metric("SR", "success", 100.0, "%"),
    Metric("SPL", "spl", 100.0, "%"),
    Metric("CLS", "cls", 100.0, "%"),
    Metric("nDTW", "ndtw", 100.0, "%"),
    Metric("SDTW", "sdtw", 100.0, "%"),
)
"""The columns of every table that we print, in order and in the field's units."""


@dataclass(frozen=True, slots=True, eq=False)
class PathScores:
    """Scores of E episodes, all (E,) float64.

    Attributes:
        trajectory_length: TL, metres walked.
        navigation_error: NE, metres from the last viewpoint to the goal.
        oracle_error: Metres from the closest viewpoint of the path to the goal.
        oracle_success: OSR, 1 where the oracle error is under the radius.
        success: SR, 1 where the navigation error is under the radius.
        spl: Success weighted by path length, in [0, 1].
        cls: Coverage weighted by length score, in [0, 1].
        dtw: Metres of the dynamic time warping onto the reference.
        ndtw: exp(-dtw / (radius * reference nodes)), in (0, 1].
        sdtw: success * ndtw.
    """

    trajectory_length: Floats
    navigation_error: Floats
    oracle_error: Floats
    oracle_success: Floats
    success: Floats
    spl: Floats
    cls: Floats
    dtw: Floats
    ndtw: Floats
    sdtw: Floats

    def mean(self) -> dict[str, float]:
        """Gives the unweighted mean over episodes of every score: metres, and rates in [0, 1]."""
        return {field.name: float(np.mean(getattr(self, field.name))) for field in fields(self)}

    def table(self) -> Floats:
        """Gives (E, M) float64, one column per entry of `METRICS`, in its unit."""
        return np.stack([getattr(self, m.attribute) * m.scale for m in METRICS], axis=1)


def score_episodes(
    graph: NavGraph, *, episodes: Sequence[Episode], paths: Sequence[Sequence[str]]
) -> PathScores:
    """Scores viewpoint-id paths against the references of their episodes.

    Args:
        graph: The graph that holds the episodes' scans.
        episodes: E episodes with references.
        paths: E paths of viewpoint ids, start first, repeats (turns on the spot) allowed.

    Raises:
        BadConfig: An episode has no reference.
        UnknownViewpoint: A path or reference leaves its scan.
        Unreachable: No walk joins two viewpoints that a score needs.
    """
    held_out = next((episode.id for episode in episodes if episode.reference is None), None)
    if held_out is not None:
        raise BadConfig(
            f"episode {held_out} has no reference: its labels are held out, so it cannot be "
            "scored. Score a split with labels, such as val_unseen."
        )
    scans = [episode.start.scan for episode in episodes]
    walked, lengths = locate(graph, scans=scans, paths=paths)
    goals, reference_lengths = locate(
        graph, scans=scans, paths=[episode.reference or () for episode in episodes]
    )
    return score_paths(
        graph,
        paths=walked,
        lengths=lengths,
        references=goals,
        reference_lengths=reference_lengths,
    )


def locate(
    graph: NavGraph, *, scans: Sequence[str], paths: Sequence[Sequence[str]]
) -> tuple[Ints, Ints]:
    """Gives viewpoint-id paths as panorama indices, (E, T) int64 padded with -1, and lengths (E,).

    Args:
        graph: The graph that holds the scans.
        scans: E scan ids.
        paths: E paths of viewpoint ids.

    Raises:
        UnknownViewpoint: A viewpoint is not in its scan.
    """
    lengths = np.fromiter(map(len, paths), dtype=np.int64, count=len(paths))
    padded = np.full((len(paths), int(lengths.max(initial=1))), -1, dtype=np.int64)
    rows_of: dict[str, list[int]] = {}
    for row, scan in enumerate(scans):
        rows_of.setdefault(scan, []).append(row)
    inside = np.arange(padded.shape[1]) < lengths[:, None]
    for scan, rows in rows_of.items():
        names = list(itertools.chain.from_iterable(paths[row] for row in rows))
        block = np.full((len(rows), padded.shape[1]), -1, dtype=np.int64)
        block[inside[rows]] = graph.indices(scan, names)
        padded[rows] = block
    return padded, lengths


def score_paths(
    graph: NavGraph,
    *,
    paths: Ints,
    lengths: Ints,
    references: Ints,
    reference_lengths: Ints,
    radius: float = SUCCESS_RADIUS,
    keep_repeats: bool = False,
) -> PathScores:
    """Scores E paths at once.

    The start of an episode is the first viewpoint of its path, the goal the last of its reference.

    Args:
        graph: Where the distances come from.
        paths: (E, T) int64 panoramas, start first; entries past the length are ignored.
        lengths: (E,) int64, at least 1.
        references: (E, R) int64 panoramas of the guides' paths, in the same scans.
        reference_lengths: (E,) int64, at least 1.
        radius: Metres that count as arrived.
        keep_repeats: Let consecutive repeats, which are turns on the spot, count in DTW. Every
            repeat then costs its distance again; published code that forgets to remove them
            (HAMT's on R2R files) reports such numbers.

    Raises:
        Unreachable: No walk joins two viewpoints that a score needs.

    Source: TL, NE, SR, OSR: Anderson et al. 2018, arXiv:1711.07280. SPL: arXiv:1807.06757 with
    EnvDrop's floor of 0.01 m. CLS: Jain et al. 2019, arXiv:1905.12255, lengths in metres as in
    HAMT's `cal_cls`. DTW: Ilharco et al. 2019, arXiv:1907.05446.
    """
    walked = without_repeats(paths, lengths)
    rows_at_once = max(1, _CELLS // max(1, paths.shape[1] * references.shape[1]))
    parts = []
    for at in range(0, max(1, len(paths)), rows_at_once):
        rows = slice(at, at + rows_at_once)
        path = _Padded(walked[0][rows], walked[1][rows])
        parts.append(
            _score(
                graph,
                path=path,
                warped=_Padded(paths[rows], lengths[rows]) if keep_repeats else path,
                reference=_Padded(references[rows], reference_lengths[rows]),
                radius=radius,
                number=at,
            )
        )
    names = [field.name for field in fields(PathScores)]
    return PathScores(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def without_repeats(paths: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Gives the paths without consecutive repeats, moved left, padded with -1; and their lengths.

    Args:
        paths: (E, T) int64.
        lengths: (E,) int64.
    """
    keep = np.arange(paths.shape[1]) < lengths[:, None]
    keep[:, 1:] &= paths[:, 1:] != paths[:, :-1]
    kept = keep.sum(axis=1)
    moved = np.full((len(paths), int(kept.max(initial=1))), -1, dtype=np.int64)
    moved[np.arange(moved.shape[1]) < kept[:, None]] = paths[keep]
    return moved, kept


class _Padded:
    """Paths whose padding repeats their first node, so that every gather stays in the scan."""

    def __init__(self, nodes: Ints, lengths: Ints) -> None:
        self.inside = np.arange(nodes.shape[1]) < lengths[:, None]
        self.nodes = np.where(self.inside, nodes, nodes[:, :1])
        self.lengths = lengths

    def last(self, values: npt.NDArray[T]) -> npt.NDArray[T]:
        """Gives the (E,) entries of (E, n) values at the end of each path."""
        ends: npt.NDArray[T] = values[np.arange(len(values)), self.lengths - 1]
        return ends

    def metres(self, graph: NavGraph) -> Floats:
        """Gives the metres along each path, (E,)."""
        steps = graph.distance(self.nodes[:, :-1], self.nodes[:, 1:])
        metres: Floats = np.where(self.inside[:, 1:], steps, 0.0).sum(axis=1)
        return metres


def _score(
    graph: NavGraph,
    *,
    path: _Padded,
    warped: _Padded,
    reference: _Padded,
    radius: float,
    number: int,
) -> PathScores:
    goal = reference.last(reference.nodes)
    to_goal = graph.distance(path.nodes, goal[:, None])
    cells = graph.distance(path.nodes[:, :, None], reference.nodes[:, None, :])
    length, reference_length = path.metres(graph), reference.metres(graph)
    _refuse_unreachable(length + reference_length + cells.max(axis=(1, 2)), number=number)
    navigation_error = path.last(to_goal)
    oracle_error = to_goal.min(axis=1)  # the padding repeats the start: no mask needed
    success = (navigation_error < radius).astype(np.float64)
    shortest = to_goal[:, 0]
    warped_cells = (
        cells
        if warped is path
        else graph.distance(warped.nodes[:, :, None], reference.nodes[:, None, :])
    )
    dtw = _warp(warped_cells, rows=warped.lengths, columns=reference.lengths)
    ndtw = np.exp(-dtw / (radius * reference.lengths))
    return PathScores(
        trajectory_length=length,
        navigation_error=navigation_error,
        oracle_error=oracle_error,
        oracle_success=(oracle_error < radius).astype(np.float64),
        success=success,
        spl=success * shortest / np.maximum(np.maximum(shortest, length), SHORTEST_WALK),
        cls=_coverage(cells.min(axis=1), reference, length, reference_length, radius=radius),
        dtw=dtw,
        ndtw=ndtw,
        sdtw=success * ndtw,
    )


def _refuse_unreachable(sums: Floats, *, number: int) -> None:
    unreachable = np.flatnonzero(~np.isfinite(sums))
    if len(unreachable):
        raise Unreachable(
            f"path {number + unreachable[0]} (counted from 0) cannot be scored: no walk joins it "
            "to its reference. A path must stay in the component of the graph that holds its "
            "reference."
        )


def _coverage(
    closest: Floats, reference: _Padded, length: Floats, reference_length: Floats, *, radius: float
) -> Floats:
    """CLS of E episodes; `closest` (E, R) is each reference node's distance to the path."""
    covered = np.where(reference.inside, np.exp(-closest / radius), 0.0)
    coverage = covered.sum(axis=1) / reference.lengths
    expected = coverage * reference_length
    total = expected + np.abs(expected - length)
    # two paths that never move have equal length: 0/0 counts as 1
    length_score = np.divide(expected, total, out=np.ones_like(total), where=total > 0)
    score: Floats = coverage * length_score
    return score


def _warp(cells: Floats, *, rows: Ints, columns: Ints) -> Floats:
    """Dynamic time warping of E distance tables, one antidiagonal of all tables at a time.

    Args:
        cells: (E, T, R) metres.
        rows: (E,) path lengths.
        columns: (E,) reference lengths.
    """
    episodes, num_rows, num_columns = cells.shape
    corner = np.full((episodes, num_rows + 1), np.inf)  # entry i + 1 is row i, entry 0 the border
    corner[:, 0] = 0.0
    side = np.full_like(corner, np.inf)
    result = np.empty(episodes)
    for diagonal in range(num_rows + num_columns - 1):
        row = np.arange(max(0, diagonal - num_columns + 1), min(num_rows, diagonal + 1))
        best = np.minimum(np.minimum(side[:, row], side[:, row + 1]), corner[:, row])
        ahead = np.full_like(corner, np.inf)
        ahead[:, row + 1] = cells[:, row, diagonal - row] + best
        ended = np.flatnonzero(rows + columns - 2 == diagonal)
        result[ended] = ahead[ended, rows[ended]]
        corner, side = side, ahead
    return result
