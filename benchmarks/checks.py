"""What can be wrong with a prediction file: the rules that scoring and leaderboards share.

Every rule names the records that break it, what is wrong with each and what to do. Knows no file
format; a leaderboard says which rules its server has.
"""

# E episodes, T longest path

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vln.data.predictions import Prediction
from vln.errors import BadPredictions
from vln.graph import NavGraph
from vln.metrics.paths import locate, without_repeats
from vln.types import Episode

Ints = npt.NDArray[np.int64]
Pair = tuple[Episode, Prediction]

REMEDIES = {
    "missing": "Predict every instruction of the split; an agent that gives up still submits the "
    "viewpoint it starts from.",
    "duplicate": "Keep one record per instruction.",
    "unknown id": "Remove the record, or check the split and data set.",
    "unknown viewpoint": "Use the `image_id`s marked `included` in the scan's connectivity file.",
    "wrong start": "Let the trajectory begin with the episode's own start viewpoint.",
    "jump": "List every viewpoint walked through, backtracks included, one entry each.",
    "unreachable": "Stay in the part of the scan that can be walked to from the start.",
    "nested": "Give every viewpoint an entry of its own: `--fix OUT` writes the file so.",
}
"""The rules by name, and what to do about each."""


class Offence(NamedTuple):
    """One record that breaks one rule.

    Attributes:
        rule: A key of `REMEDIES`.
        id: The instruction's id.
        problem: What is wrong with it.
    """

    rule: str
    id: str
    problem: str

    def __str__(self) -> str:
        return f"instr_id {self.id}: {self.problem} ({self.rule}). {REMEDIES[self.rule]}"


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """The repeat-free paths of E episodes as panoramas.

    Attributes:
        episodes: E episodes.
        starts: (E,) int64, where the episodes begin.
        paths: (E, T) int64, padded with -1.
        lengths: (E,) int64, at least 1.
    """

    episodes: Sequence[Episode]
    starts: Ints
    paths: Ints
    lengths: Ints


def id_offences(
    predictions: Sequence[Prediction], *, expected: Sequence[Episode]
) -> Iterator[Offence]:
    """Gives ids that are missing, predicted twice, or unknown.

    Args:
        predictions: The file's records.
        expected: The episodes that must be there.
    """
    counts = Counter(prediction.id for prediction in predictions)
    known = {episode.id for episode in expected}
    for episode in expected:
        if not counts[episode.id]:
            yield Offence("missing", episode.id, "has no record")
    for name, count in counts.items():
        if name not in known:
            yield Offence("unknown id", name, "is no instruction of this split")
        elif count > 1:
            yield Offence("duplicate", name, f"has {count} records")


def first_records(predictions: Sequence[Prediction], *, episodes: Sequence[Episode]) -> list[Pair]:
    """Gives the first record of every episode that has one, in the order of the episodes."""
    first: dict[str, Prediction] = {}
    for prediction in predictions:
        first.setdefault(prediction.id, prediction)
    return [(episode, first[episode.id]) for episode in episodes if episode.id in first]


def viewpoint_offences(pairs: Sequence[Pair], *, graph: NavGraph) -> Iterator[Offence]:
    """Gives the entries whose viewpoint the episode's scan does not hold."""
    held: dict[str, set[str]] = {}
    for scan in {episode.start.scan for episode, _ in pairs}:
        held[scan] = {graph.viewpoints[panorama] for panorama in graph.members(scan)}
    for episode, prediction in pairs:
        scan = episode.start.scan
        if held[scan].issuperset(prediction.viewpoints):
            continue
        for number, viewpoint in enumerate(prediction.viewpoints):
            if viewpoint not in held[scan]:
                problem = (
                    f"entry {number} is viewpoint {viewpoint}, which scan {scan} does not hold"
                )
                yield Offence("unknown viewpoint", prediction.id, problem)


def walks(pairs: Sequence[Pair], *, graph: NavGraph) -> Walks:
    """Gives the repeat-free paths of episodes and their records.

    Raises:
        UnknownViewpoint: A record leaves its scan; `viewpoint_offences` names them all.
    """
    episodes = [episode for episode, _ in pairs]
    scans = [episode.start.scan for episode in episodes]
    padded, lengths = locate(graph, scans=scans, paths=[record.viewpoints for _, record in pairs])
    starts, _ = locate(graph, scans=scans, paths=[(e.start.viewpoint,) for e in episodes])
    return Walks(episodes, starts[:, 0], *without_repeats(padded, lengths))


def start_offences(walked: Walks, *, graph: NavGraph) -> Iterator[Offence]:
    """Gives the paths that do not begin where their episode does."""
    for row in np.flatnonzero(walked.paths[:, 0] != walked.starts).tolist():
        found = graph.viewpoints[walked.paths[row, 0]]
        problem = f"starts at {found}, the episode at {graph.viewpoints[walked.starts[row]]}"
        yield Offence("wrong start", walked.episodes[row].id, problem)


def jump_offences(walked: Walks, *, graph: NavGraph) -> Iterator[Offence]:
    """Gives the moves between viewpoints that no edge joins."""
    here, there = walked.paths[:, :-1], walked.paths[:, 1:]
    moved = np.arange(here.shape[1]) < walked.lengths[:, None] - 1
    row_of, move_of = np.nonzero(moved)
    jumped = ~graph.is_edge(here[moved], there[moved])
    for row, move in zip(row_of[jumped].tolist(), move_of[jumped].tolist(), strict=True):
        names = (graph.viewpoints[walked.paths[row, at]] for at in (move, move + 1))
        problem = "move {} goes from {} to {}, which no edge joins".format(move + 1, *names)
        yield Offence("jump", walked.episodes[row].id, problem)


def unreachable_offences(walked: Walks, *, graph: NavGraph) -> Iterator[Offence]:
    """Gives the paths that enter a part of the scan to which no walk leads from the start."""
    inside = np.arange(walked.paths.shape[1]) < walked.lengths[:, None]
    nodes = np.where(inside, walked.paths, walked.paths[:, :1])
    away = ~np.isfinite(graph.distance(walked.starts[:, None], nodes))
    for row in np.flatnonzero(away.any(axis=1)).tolist():
        name = graph.viewpoints[nodes[row, away[row].argmax()]]
        problem = f"visits {name}, to which no walk leads from the start"
        yield Offence("unreachable", walked.episodes[row].id, problem)


def refuse(offences: Sequence[Offence], *, file: object, shown: int = 3) -> None:
    """Raises for offences of one rule, naming the first few and counting the rest.

    Raises:
        BadPredictions: There is at least one.
    """
    if not offences:
        return
    rule = offences[0].rule
    named = "; ".join(f"instr_id {o.id} {o.problem}" for o in offences[:shown])
    more = f"; and {len(offences) - shown:,} more" if len(offences) > shown else ""
    raise BadPredictions.of(file, "", f"{rule} ({len(offences):,}): {named}{more}", REMEDIES[rule])
