"""How far a mean can be trusted: intervals that respect houses, paths and seeds; pure functions.

The episodes of a split are not independent: R2R's val_unseen holds 2,349 instructions, but they
describe 783 paths in 11 scans, two of which have only 15 and 6 paths. An agent is good or bad at a
house, so a plain bootstrap over instructions gives intervals that are far too narrow (0.8 instead
of 1.2 points of standard error at a success rate of 17). Here scans are drawn first, with
replacement, then paths within each drawn scan; the instructions of a path stay together. With 11
scans the intervals are wide, and honest: they speak of other houses, not of other wordings. With
few clusters a percentile interval is still somewhat too narrow; read its edges accordingly.
"""

# E episodes, P paths, S scans, M metrics, D draws, N seeds

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int32]

LEAST_SEEDS = 3
"""Runs per condition below which resampling seeds says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """Which path every episode belongs to, and which scan every path lies in.

    Attributes:
        path_of: (E,) int64 in 0..P-1, episode to path.
        scan_of: (P,) int64 in 0..S-1, path to scan.
    """

    path_of: Ints
    scan_of: Ints

    @classmethod
    def of(cls, scans: Sequence[Hashable], *, paths: Sequence[Hashable]) -> Hierarchy:
        """Gives the hierarchy of E episodes from the scan and the path of each.

        Args:
            scans: E scan names.
            paths: E names of paths, equal for episodes that share a path; a name needs to be
                unique within its scan only.
        """
        place: dict[tuple[Hashable, Hashable], int] = {}
        path_of = [place.setdefault(key, len(place)) for key in zip(scans, paths, strict=True)]
        number: dict[Hashable, int] = {}
        scan_of = [number.setdefault(scan, len(number)) for scan, _ in place]
        return cls(np.array(path_of, dtype=np.int64), np.array(scan_of, dtype=np.int64))

    @property
    def num_scans(self) -> int:
        """S."""
        return int(self.scan_of.max(initial=-1)) + 1

    @property
    def num_paths(self) -> int:
        """P."""
        return len(self.scan_of)

    @property
    def scan_of_episode(self) -> Ints:
        """(E,) int64 in 0..S-1."""
        return self.scan_of[self.path_of]


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """An estimate and the two ends of its interval, each (M,) float64."""

    estimate: Floats
    low: Floats
    high: Floats


def resample(hierarchy: Hierarchy, *, draws: int, generator: np.random.Generator) -> Weights:
    """Gives (D, P) int32: how often each path occurs in each bootstrap sample.

    A sample draws S scans with replacement, then, for every time a scan is drawn, as many of its
    paths as it has, with replacement. Two files weighed with the same samples are paired.

    Args:
        hierarchy: Scans and paths.
        draws: Samples, D.
        generator: The caller's source of randomness.

    Raises:
        BadConfig: No samples are asked for.
    """
    if draws < 1:
        raise BadConfig(f"{draws} bootstrap samples give no interval. Ask for 1,000 or more.")
    num_scans = hierarchy.num_scans
    times = generator.multinomial(num_scans, np.full(num_scans, 1 / num_scans), size=draws)
    weights = np.zeros((draws, hierarchy.num_paths), dtype=np.int32)
    for scan in range(num_scans):
        members = np.flatnonzero(hierarchy.scan_of == scan)
        size = len(members)
        # k independent draws of `size` paths are one draw of k * size
        weights[:, members] = generator.multinomial(times[:, scan] * size, np.full(size, 1 / size))
    return weights


def resampled_means(values: npt.ArrayLike, *, hierarchy: Hierarchy, weights: Weights) -> Floats:
    """Gives the (D, M) means over episodes of every bootstrap sample.

    Args:
        values: (E, M), per episode.
        hierarchy: Scans and paths of the E episodes.
        weights: (D, P) from `resample`.
    """
    values = np.asarray(values, dtype=np.float64)
    counted = np.concatenate([values, np.ones((len(values), 1))], axis=1)
    sums = np.zeros((hierarchy.num_paths, counted.shape[1]))
    np.add.at(sums, hierarchy.path_of, counted)
    blocks = np.array_split(weights, 1 + len(weights) // 256)  # a product copies them as float64
    totals = np.concatenate([block @ sums for block in blocks])
    means: Floats = totals[:, :-1] / totals[:, -1:]
    return means


def percentile_interval(samples: Floats, *, estimate: Floats, level: float = 0.95) -> Interval:
    """Gives the interval that holds the middle `level` of (D, M) bootstrap samples."""
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return Interval(estimate, low, high)


def mean_interval(
    values: npt.ArrayLike, *, hierarchy: Hierarchy, weights: Weights, level: float = 0.95
) -> Interval:
    """Gives mean and percentile interval of M per-episode metrics.

    Args:
        values: (E, M), or (N, E, M) for N seeds of one condition, which are averaged per episode:
            the interval then speaks of other houses for these very runs.
        hierarchy: Scans and paths of the E episodes.
        weights: (D, P) from `resample`.
        level: Share of the samples inside.
    """
    averaged = _over_seeds(values)
    samples = resampled_means(averaged, hierarchy=hierarchy, weights=weights)
    return percentile_interval(samples, estimate=averaged.mean(axis=0), level=level)


def difference_interval(
    values: npt.ArrayLike,
    *,
    baseline: npt.ArrayLike,
    hierarchy: Hierarchy,
    weights: Weights,
    level: float = 0.95,
) -> Interval:
    """Gives the mean paired difference, values minus baseline, and its interval.

    Both sides are weighed with the same samples, so what a house does to both cancels.

    Args:
        values: (E, M), or (N, E, M) for several seeds, averaged per episode.
        baseline: The same episodes under the other condition; N may differ.
        hierarchy: Scans and paths of the E episodes.
        weights: (D, P) from `resample`.
        level: Share of the samples inside.
    """
    return mean_interval(
        _over_seeds(values) - _over_seeds(baseline),
        hierarchy=hierarchy,
        weights=weights,
        level=level,
    )


def seeded_mean_interval(
    values: npt.ArrayLike,
    *,
    hierarchy: Hierarchy,
    weights: Weights,
    generator: np.random.Generator,
    level: float = 0.95,
) -> Interval:
    """Gives a mean and its interval over other seeds *and* other houses.

    For a difference of runs that share their seeds, give the differences per seed and episode: a
    seed is then drawn for both sides at once. With few seeds the interval is on the narrow side,
    see `seeded_difference_interval`.

    Args:
        values: (N, E, M), N >= 3 seeds.
        hierarchy: Scans and paths of the E episodes.
        weights: (D, P) from `resample`.
        generator: The caller's source of randomness.
        level: Share of the samples inside.

    Raises:
        BadConfig: Fewer than three seeds.
    """
    runs = np.asarray(values, dtype=np.float64)
    samples = _seeded_means(runs, hierarchy=hierarchy, weights=weights, generator=generator)
    return percentile_interval(samples, estimate=_over_seeds(runs).mean(axis=0), level=level)


def seeded_difference_interval(
    values: npt.ArrayLike,
    *,
    baseline: npt.ArrayLike,
    hierarchy: Hierarchy,
    weights: Weights,
    generator: np.random.Generator,
    level: float = 0.95,
) -> Interval:
    """Gives the difference of two conditions and an interval over other seeds *and* other houses.

    The outermost level draws the seeds of each side with replacement, independently, since seed 1
    of one condition has nothing to do with seed 1 of the other. A bootstrap over N seeds shows
    only (N - 1) / N of their variance: with three seeds the interval is on the narrow side.

    Args:
        values: (N, E, M), N >= 3 seeds of the condition.
        baseline: (N', E, M), N' >= 3 seeds of the other.
        hierarchy: Scans and paths of the E episodes.
        weights: (D, P) from `resample`.
        generator: The caller's source of randomness.
        level: Share of the samples inside.

    Raises:
        BadConfig: Fewer than three seeds on a side.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (values, baseline)]
    means = [
        _seeded_means(side, hierarchy=hierarchy, weights=weights, generator=generator)
        for side in sides
    ]
    estimate = _over_seeds(sides[0]).mean(axis=0) - _over_seeds(sides[1]).mean(axis=0)
    return percentile_interval(means[0] - means[1], estimate=estimate, level=level)


def _seeded_means(
    runs: Floats, *, hierarchy: Hierarchy, weights: Weights, generator: np.random.Generator
) -> Floats:
    """Gives the (D, M) means of (N, E, M), drawing seeds beside the given samples of paths."""
    num_seeds = len(runs)
    if num_seeds < LEAST_SEEDS:
        raise BadConfig(
            f"{num_seeds} seeds cannot be resampled, at least {LEAST_SEEDS} are needed per "
            "condition. Give more runs, or take the intervals for these very runs."
        )
    per_seed = np.stack(
        [resampled_means(run, hierarchy=hierarchy, weights=weights) for run in runs], axis=1
    )
    drawn = generator.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=len(weights))
    means: Floats = np.einsum("dn,dnm->dm", drawn / num_seeds, per_seed)
    return means


def clustered_standard_error(values: npt.ArrayLike, *, clusters: npt.ArrayLike) -> Floats:
    """Gives the (M,) standard errors of the means over episodes, clusters being independent.

    Args:
        values: (E, M), per episode.
        clusters: (E,) integers, equal within a cluster; every episode its own for the plain error.

    Returns:
        sqrt(C / (C - 1) * sum over clusters of (sum of deviations)^2) / E; 0/0 is NaN for C = 1.

    Source: Liang and Zeger 1986, the sandwich estimator of a mean.
    """
    values = np.asarray(values, dtype=np.float64)
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    num_clusters = int(cluster.max()) + 1
    if num_clusters == 1:
        return np.full(values.shape[1], np.nan)
    sums = np.zeros((num_clusters, values.shape[1]))
    np.add.at(sums, cluster, values - values.mean(axis=0))
    correction = num_clusters / (num_clusters - 1)
    error: Floats = np.sqrt(correction * (sums**2).sum(axis=0)) / len(values)
    return error


def _over_seeds(values: npt.ArrayLike) -> Floats:
    """Averages (N, E, M) over seeds; gives (E, M) back as it is."""
    values = np.asarray(values, dtype=np.float64)
    averaged: Floats = values.mean(axis=0) if values.ndim == 3 else values
    return averaged
