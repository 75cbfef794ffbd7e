"""Conditions under comparison: one or several runs (seeds) each, on the same episodes.

Pure functions on scored files; `benchmarks.compare` is the command.
"""

# N runs of one condition, E episodes, M metrics

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.protocols import Scored
from vln.errors import BadConfig
from vln.metrics.divergence import OUTCOMES, first_divergence, outcomes
from vln.metrics.intervals import (
    Interval,
    Weights,
    difference_interval,
    mean_interval,
    seeded_difference_interval,
)

Floats = npt.NDArray[np.float64]
Seeds = Literal["average", "resample"]

LAST_MOVE = 7
"""First divergences at this move or later share one column."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """Runs that share a name.

    Attributes:
        name: What the tables call it.
        runs: N scored files, one per seed.
        values: (N, E, M) float64, the entries of `METRICS` in their units.
        success: (E,) float64, the share of runs that succeed.
    """

    name: str
    runs: tuple[Scored, ...]
    values: Floats
    success: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Conduct:
    """How a condition walks, as shares of all episodes and runs.

    Attributes:
        outcomes: Share per entry of `OUTCOMES`.
        never_diverges: Share of paths that never leave the reference.
        divergence: Shares that are first off the reference after move 1, 2, ..., `LAST_MOVE` and
            later.
    """

    outcomes: tuple[float, ...]
    never_diverges: float
    divergence: tuple[float, ...]


def group(scored: Sequence[Scored], *, names: Sequence[str]) -> list[Condition]:
    """Gives the conditions in the order of their first file; equal names are seeds of one.

    Args:
        scored: Files scored on the same episodes.
        names: One name per file.

    Raises:
        BadConfig: The number of names is not the number of files.
    """
    if len(names) != len(scored):
        raise BadConfig(
            f"{len(names)} names for {len(scored)} files. Give one per file, in their order; "
            "files with the same name are seeds of one condition."
        )
    runs: dict[str, list[Scored]] = {}
    for name, one in zip(names, scored, strict=True):
        runs.setdefault(name, []).append(one)
    return [
        Condition(
            name,
            tuple(same),
            np.stack([one.scores.table() for one in same]),
            np.mean([one.scores.success for one in same], axis=0),
        )
        for name, same in runs.items()
    ]


def interval(condition: Condition, *, weights: Weights) -> Interval:
    """Gives means and intervals of `METRICS`, runs averaged per episode."""
    hierarchy = condition.runs[0].hierarchy()
    return mean_interval(condition.values, hierarchy=hierarchy, weights=weights)


def difference(
    condition: Condition,
    *,
    baseline: Condition,
    weights: Weights,
    seeds: Seeds,
    generator: np.random.Generator,
) -> Interval:
    """Gives the paired difference, condition minus baseline, of `METRICS`.

    Args:
        condition: One side.
        baseline: The other.
        weights: Bootstrap samples, the same for both.
        seeds: Take the runs as they are, or resample them too.
        generator: Used where runs are resampled.

    Raises:
        BadConfig: Runs are to be resampled, and a side has fewer than three.
    """
    hierarchy = condition.runs[0].hierarchy()
    if seeds == "average":
        return difference_interval(
            condition.values, baseline=baseline.values, hierarchy=hierarchy, weights=weights
        )
    return seeded_difference_interval(
        condition.values,
        baseline=baseline.values,
        hierarchy=hierarchy,
        weights=weights,
        generator=generator,
    )


def seed_deviation(condition: Condition) -> Floats:
    """Gives the (M,) standard deviations of the runs' means, NaN for a single run."""
    means = condition.values.mean(axis=1)
    if len(means) == 1:
        return np.full(means.shape[1], np.nan)
    deviation: Floats = means.std(axis=0, ddof=1)
    return deviation


def conduct(condition: Condition) -> Conduct:
    """Gives how the condition's paths end and where they leave the reference."""
    ended = np.zeros(len(OUTCOMES))
    moves = np.zeros(LAST_MOVE + 1)
    for run in condition.runs:
        diverged = first_divergence(
            run.walked.paths,
            lengths=run.walked.lengths,
            references=run.references,
            reference_lengths=run.reference_lengths,
        )
        ended += np.bincount(outcomes(run.scores, divergence=diverged), minlength=len(OUTCOMES))
        moves += np.bincount(np.minimum(diverged, LAST_MOVE), minlength=LAST_MOVE + 1)
    total = ended.sum()
    return Conduct(
        outcomes=tuple((ended / total).tolist()),
        never_diverges=float(moves[0] / total),
        divergence=tuple((moves[1:] / total).tolist()),
    )


def shared_success(condition: Condition, *, baseline: Condition) -> dict[str, float]:
    """Gives the shares of episodes solved by both, by one only, by neither.

    With several runs, the shares are the averages over all pairs of a run of each.
    """
    ours, theirs = condition.success, baseline.success
    return {
        "by both": float(np.mean(ours * theirs)),
        "only by this": float(np.mean(ours * (1 - theirs))),
        "only by the first": float(np.mean((1 - ours) * theirs)),
        "by neither": float(np.mean((1 - ours) * (1 - theirs))),
    }
