"""The two protocols of the field, and a prediction file's scores by either of them.

Knows no command line; `benchmarks.score` is the command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks import checks
from vln.data.predictions import Prediction
from vln.data.splits import EpisodeSet
from vln.errors import BadConfig, BadPredictions, UnknownViewpoint
from vln.graph import NavGraph
from vln.metrics.intervals import Hierarchy
from vln.metrics.paths import PathScores, locate, score_paths
from vln.registry import Registry
from vln.types import Episode

Duplicates = Literal["refuse", "first"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """Which instructions count, and whether a move has to follow an edge.

    Attributes:
        counts: Says of an episode whether it is in the denominator.
        edges_only: Refuse moves between viewpoints that no edge joins; otherwise they count with
            the length of the shortest walk.
    """

    counts: Callable[[Episode], bool]
    edges_only: bool


def _among_first_three(episode: Episode) -> bool:
    """Anderson et al.'s evaluator writes range(3): 1,020 instructions of val_seen, not 1,021."""
    return episode.id.rpartition("_")[2] in {"0", "1", "2"}


PROTOCOLS: Registry[Protocol] = Registry("protocol")
PROTOCOLS.add("envdrop", Protocol(counts=lambda episode: True, edges_only=False))
PROTOCOLS.add("mattersim", Protocol(counts=_among_first_three, edges_only=True))


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A prediction file's scores, and what is needed to judge them.

    Attributes:
        file: Where the predictions came from.
        split: The split they were scored on.
        protocol: Name in `PROTOCOLS`.
        walked: The E counted episodes and the repeat-free paths.
        references: (E, R) int64 panoramas, padded with -1.
        reference_lengths: (E,) int64.
        scores: Scores of the E episodes.
        ignored: Records whose id the protocol does not count.
        repeated: Records after the first of their id.
        jumps: Moves between viewpoints that no edge joins.
        env: The data set or world that was asked for; empty for the split's data set.
    """

    file: str
    split: EpisodeSet
    protocol: str
    walked: checks.Walks
    references: npt.NDArray[np.int64]
    reference_lengths: npt.NDArray[np.int64]
    scores: PathScores
    ignored: int
    repeated: int
    jumps: int
    env: str = ""

    def hierarchy(self) -> Hierarchy:
        """Gives the scans and paths of the E episodes; a path is its reference."""
        episodes = self.walked.episodes
        return Hierarchy.of(
            [episode.start.scan for episode in episodes],
            paths=[episode.reference for episode in episodes],
        )


def score_predictions(
    predictions: Sequence[Prediction],
    *,
    file: str,
    split: EpisodeSet,
    graph: NavGraph,
    protocol: str,
    duplicates: Duplicates = "refuse",
    env: str = "",
) -> Scored:
    """Scores predictions by a protocol.

    Args:
        predictions: The records, in the file's order.
        file: Where they came from, named in errors.
        split: Episodes with references.
        graph: The graph that holds them.
        protocol: A name in `PROTOCOLS`.
        duplicates: What to do with several records for one id: refuse the file, or score the
            first as the reference evaluators do.
        env: What was asked for, a data set or a world; empty for the split's data set.

    Raises:
        UnknownName: No such protocol.
        BadConfig: The split's labels are held out.
        BadPredictions: An id is missing or twice, a viewpoint unknown, a start wrong, a move not
            allowed; the message says which, and what to do.
    """
    rules = PROTOCOLS[protocol]
    episodes = _labelled(split, rules)
    ignored = _refuse_ids(predictions, episodes=episodes, file=file, duplicates=duplicates)
    walked = _walks(checks.first_records(predictions, episodes=episodes), graph=graph, file=file)
    jumps = _refuse_moves(walked, graph=graph, file=file, edges_only=rules.edges_only)
    references, reference_lengths = locate(
        graph,
        scans=[episode.start.scan for episode in episodes],
        paths=[episode.reference or () for episode in episodes],
    )
    scores = score_paths(
        graph,
        paths=walked.paths,
        lengths=walked.lengths,
        references=references,
        reference_lengths=reference_lengths,
    )
    return Scored(
        file=file,
        split=split,
        protocol=protocol,
        walked=walked,
        references=references,
        reference_lengths=reference_lengths,
        scores=scores,
        ignored=ignored,
        repeated=len(predictions) - ignored - len(episodes),
        jumps=jumps,
        env=env,
    )


def _labelled(split: EpisodeSet, rules: Protocol) -> list[Episode]:
    if any(episode.reference is None for episode in split):
        raise BadConfig(
            f"split {split.split!r} of {split.dataset} cannot be scored here: its reference paths "
            "are held out. Check the file with `python -m benchmarks.validate`, write one with "
            "`python -m benchmarks.submit`, and upload it to the leaderboard."
        )
    return [episode for episode in split if rules.counts(episode)]


def _refuse_ids(
    predictions: Sequence[Prediction],
    *,
    episodes: Sequence[Episode],
    file: str,
    duplicates: Duplicates,
) -> int:
    """Refuses missing and repeated ids; gives the number of records with an id not counted."""
    offences = list(checks.id_offences(predictions, expected=episodes))
    missing = [offence for offence in offences if offence.rule == "missing"]
    if len(missing) == len(episodes):
        problem = f"none of its {len(predictions):,} records is an instruction of the split"
        raise BadPredictions.of(file, "", problem, "Check --env and --split.")
    checks.refuse(missing, file=file)
    if duplicates == "refuse":
        checks.refuse([o for o in offences if o.rule == "duplicate"], file=file)
    counted = {episode.id for episode in episodes}
    return sum(prediction.id not in counted for prediction in predictions)


def _walks(pairs: Sequence[checks.Pair], *, graph: NavGraph, file: str) -> checks.Walks:
    try:
        return checks.walks(pairs, graph=graph)
    except UnknownViewpoint:
        checks.refuse(list(checks.viewpoint_offences(pairs, graph=graph)), file=file)
        raise


def _refuse_moves(walked: checks.Walks, *, graph: NavGraph, file: str, edges_only: bool) -> int:
    """Refuses wrong starts and moves that cannot be scored; gives the number of jumps."""
    checks.refuse(list(checks.start_offences(walked, graph=graph)), file=file)
    jumps = list(checks.jump_offences(walked, graph=graph))
    if edges_only:
        checks.refuse(jumps, file=file)
    checks.refuse(list(checks.unreachable_offences(walked, graph=graph)), file=file)
    return len(jumps)
