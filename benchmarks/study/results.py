"""What the runs of a study came to: means, paired differences, curves and flips, with intervals.

Lays nothing out.
"""

# N seeds, E episodes, M metrics

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from agents.trainer import LAST
from benchmarks.conditions import Condition, seed_deviation
from benchmarks.curves import Curves, gather
from benchmarks.flips import Flips
from benchmarks.study.setup import MACHINE, UNSEEN, Row, folder_of
from benchmarks.study.walks import Walks
from vln import checkpoint
from vln.errors import CheckpointMismatch
from vln.metrics.intervals import (
    LEAST_SEEDS,
    Hierarchy,
    Interval,
    Weights,
    mean_interval,
    resample,
    seeded_mean_interval,
)
from vln.metrics.paths import METRICS
from vln.runs import Run, generator

Floats = npt.NDArray[np.float64]

SR: Final = [metric.label for metric in METRICS].index("SR")


@dataclass(frozen=True, eq=False)
class Measured:
    """One row of a study.

    Attributes:
        row: Which.
        seeds: N seeds whose runs are finished.
        scores: Entries of `METRICS` by split.
        spread: Standard deviation over seeds of the success rate by split, points; NaN for one.
        update_seconds: Of one update, on average.
        features: Identity of what it sees, hex; empty for nothing.
    """

    row: Row
    seeds: tuple[int, ...]
    scores: Mapping[str, Interval]
    spread: Mapping[str, float]
    update_seconds: float
    features: str


@dataclass(frozen=True, eq=False)
class Difference:
    """One row minus another, entries of `METRICS` by split, over the seeds that both have."""

    row: str
    baseline: str
    seeds: tuple[int, ...]
    scores: Mapping[str, Interval]


@dataclass(frozen=True, eq=False)
class Results:
    """All that a study has come to.

    Attributes:
        splits: Instructions, paths and homes of every split.
        rows: One per row with a finished run.
        differences: From the first baseline, then from the second, and so on.
        curves: Success rate in percent on val_unseen, against updates.
        flips: One per row and change, and one per row for all.
        missing: Names of runs that are not finished.
        machines: Where runs were trained, each kind of machine once.
    """

    splits: Mapping[str, tuple[int, int, int]]
    rows: Sequence[Measured]
    differences: Sequence[Difference]
    curves: Curves
    flips: Sequence[Flips]
    missing: Sequence[str]
    machines: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Samples:
    """Scans and paths of a split's E episodes, and bootstrap samples for all that they yield."""

    hierarchy: Hierarchy
    weights: Weights

    @classmethod
    def of(cls, hierarchy: Hierarchy, *, draws: int) -> Samples:
        """Gives the samples that every report of the split draws."""
        source = generator(0, "bootstrap")
        return cls(hierarchy, resample(hierarchy, draws=draws, generator=source))

    def interval(self, values: Floats, *, name: str) -> Interval:
        """Gives the mean of (N, E, M) and its interval, over seeds too where they are enough."""
        if len(values) < LEAST_SEEDS:
            return mean_interval(values, hierarchy=self.hierarchy, weights=self.weights)
        return seeded_mean_interval(
            values,
            hierarchy=self.hierarchy,
            weights=self.weights,
            generator=generator(0, f"seeds of {name}"),
        )


@dataclass(frozen=True, eq=False)
class Split:
    """The conditions of a split, by row, and bootstrap samples for all of them."""

    conditions: Mapping[str, Condition]
    samples: Samples


def collect(walks: Walks, *, baselines: Sequence[str], twins: Path | None = None) -> Results:
    """Gives the results of all finished runs.

    Args:
        walks: Theirs.
        baselines: Names of rows that the others are compared with, where they are there.
        twins: Folder of twins that they have walked too.

    Raises:
        BadPredictions, MissingData, CorruptData: Walks or data are not those of the runs.
        CheckpointMismatch: Runs of one row were trained on different features.
    """
    splits = {name: _split(walks, name) for name in walks.splits()}
    runs = [
        (row.name, folder_of(walks.config, row, seed))
        for row, seeds in walks.seeds.items()
        for seed in seeds
    ]
    return Results(
        splits={name: counts(split.samples.hierarchy) for name, split in splits.items()},
        rows=[_measured(walks, row, splits) for row in walks.seeds],
        differences=_differences(walks, splits, baselines),
        curves=gather(
            [run for _, run in runs],
            key=f"{UNSEEN}/{METRICS[SR].attribute}",
            scale=METRICS[SR].scale,
            names=[name for name, _ in runs],
        ),
        flips=[] if twins is None else walks.flips(twins),
        missing=walks.missing,
        machines=machines([run for _, run in runs]),
    )


def _split(walks: Walks, name: str) -> Split:
    conditions = walks.conditions(name)
    hierarchy = next(iter(conditions.values())).runs[0].hierarchy()
    return Split(conditions, Samples.of(hierarchy, draws=walks.config.draws))


def counts(hierarchy: Hierarchy) -> tuple[int, int, int]:
    """Gives the numbers of instructions, of paths and of homes."""
    return len(hierarchy.path_of), hierarchy.num_paths, hierarchy.num_scans


def _measured(walks: Walks, row: Row, splits: Mapping[str, Split]) -> Measured:
    seeds = walks.seeds[row]
    seconds = [_update_seconds(folder_of(walks.config, row, seed)) for seed in seeds]
    return Measured(
        row,
        seeds,
        scores={
            name: split.samples.interval(split.conditions[row.name].values, name=row.name)
            for name, split in splits.items()
        },
        spread={
            name: float(seed_deviation(split.conditions[row.name])[SR])
            for name, split in splits.items()
        },
        update_seconds=float(np.mean(seconds)),
        features=_features([folder_of(walks.config, row, seed) for seed in seeds]),
    )


def _features(runs: Sequence[Path]) -> str:
    """Gives the identity of what seeds of one row were trained on."""
    found = {run: str(checkpoint.load(run / LAST)[1]["features"]) for run in runs}
    other = next((run for run in runs if found[run] != found[runs[0]]), None)
    if other is not None:
        raise CheckpointMismatch(
            f"{other} was trained on other features than {runs[0]}, so they are no seeds of one "
            "row. Remove the one whose features are out of date, and train it again."
        )
    return found[runs[0]]


def _update_seconds(run: Path) -> float:
    last = Run(run, seed=0).history()[-1]
    return float(last["update_seconds"]) / float(last["step"])


def _differences(
    walks: Walks, splits: Mapping[str, Split], baselines: Sequence[str]
) -> list[Difference]:
    """Gives every row minus each baseline that is there."""
    rows = list(walks.seeds)
    names = [row.name for row in rows]
    return [
        _difference(walks, row, rows[names.index(baseline)], splits)
        for baseline in dict.fromkeys(baselines)
        if baseline in names
        for row in rows
        if row.name != baseline and set(walks.seeds[row]) & set(_seeds(walks, baseline))
    ]


def _seeds(walks: Walks, name: str) -> tuple[int, ...]:
    return next(seeds for row, seeds in walks.seeds.items() if row.name == name)


def _difference(walks: Walks, row: Row, baseline: Row, splits: Mapping[str, Split]) -> Difference:
    """Gives one row minus another: the same episodes, and seed by seed the same batches."""
    ours, theirs = walks.seeds[row], walks.seeds[baseline]
    shared = tuple(seed for seed in ours if seed in theirs)
    scores = {}
    for name, split in splits.items():
        values, others = (
            split.conditions[one.name].values[[seeds.index(seed) for seed in shared]]
            for one, seeds in ((row, ours), (baseline, theirs))
        )
        pair = f"{row.name} - {baseline.name}"
        scores[name] = split.samples.interval(values - others, name=pair)
    return Difference(row.name, baseline.name, shared, scores)


def machines(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """Gives the machines, without what changes from run to run."""
    found = {}
    for run in runs:
        if not (run / MACHINE).is_file():  # a run of `agents.train` put there by hand
            continue
        machine: dict[str, Any] = orjson.loads((run / MACHINE).read_bytes())
        kept = {k: v for k, v in machine.items() if k not in ("load_average", "date")}
        found[orjson.dumps(kept)] = kept
    return list(found.values())
