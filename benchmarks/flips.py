"""Whether an agent's choice hangs on the thing named: success in a home and in its twin.

`python -m benchmarks.flips --run RUN --twins DIR` walks the same instructions in homes as they were
and in homes with one change that moves the right goal elsewhere. Of the pairs whose original it
solves, the flip rate is the share that it solves in the twin as well: an agent that reads and looks
has nearly 100 %, one that remembers or guesses much less. Runs of one encoder and recipe are seeds
of one condition.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import tyro

from benchmarks import tables
from benchmarks.curves import condition_of
from benchmarks.evaluate import evaluate
from benchmarks.players import AGENTS, Choice, Player, open_player
from vln.data.twins import ORIGINAL, Twins, check, load_twins
from vln.errors import BadConfig
from vln.metrics.intervals import Hierarchy, resample, resampled_means
from vln.runs import entry_point, generator, say

Floats = npt.NDArray[np.float64]

TOTAL = "all"
COLUMNS = ("original", "twin", "flip_rate")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measures success in homes and in their changed twins."""

    twins: Path
    """Folder of twins, made by `python -m vln.houses twin`."""
    run: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Folder of a trained run; once for each."""
    agent: Annotated[str | None, tyro.conf.arg(help=f"{AGENTS}; instead of --run.")] = None
    checkpoint: Literal["best", "last"] = "best"
    """Which weights of the runs."""
    json: bool = False
    """Print one JSON object instead of a table."""
    device: str = "cpu"
    """Where networks live: cpu, cuda, cuda:1."""
    threads: int = 1
    """Threads of matrix products on a CPU."""
    draws: int = 2000
    """Bootstrap samples behind the intervals."""
    seed: int = 0
    """Seed of a scripted agent and of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Flips:
    """One condition over one kind of change; shares are 0..1.

    Attributes:
        condition: Who walked.
        runs: Seeds of it.
        change: What was done to the homes; `TOTAL` for all pairs.
        pairs: Instructions walked twice.
        shares: `COLUMNS`: share, low and high end of the 95 % interval; NaN where there is none.
    """

    condition: str
    runs: int
    change: str
    pairs: int
    shares: Mapping[str, tuple[float, float, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.flips")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    measured = measure(config)
    if config.json:
        option = orjson.OPT_INDENT_2
        samples = {"level": 0.95, "draws": config.draws, "seed": config.seed}
        result = {"interval": samples, "flips": [as_object(one) for one in measured]}
        say(orjson.dumps(result, option=option).decode())
    else:
        say(as_text(measured, draws=config.draws))
    return 0


def measure(config: Config) -> list[Flips]:
    """Gives every condition's flips, one entry per change and one for all pairs.

    Raises:
        BadConfig: Neither runs nor an agent, or both.
        MissingData: The folder holds no twins.
        CorruptData: They do not pair.
    """
    if bool(config.run) == (config.agent is not None):
        raise BadConfig("name who walks: either --run RUN, once or more, or --agent NAME.")
    check(config.twins)  # before whoever walks is opened
    walked: dict[str, list[Floats]] = {}
    twins: Twins | None = None
    for run in config.run or (None,):
        player = open_player(
            Choice(
                split=ORIGINAL,
                run=run,
                agent=config.agent,
                env="r2r",
                checkpoint=config.checkpoint,
                seed=config.seed,
                data=config.twins,
                device=config.device,
                threads=config.threads,
            )
        )
        twins = twins or load_twins(config.twins, player.graph)
        name = str(config.agent) if run is None else condition_of(run)
        walked.setdefault(name, []).append(_solved(player, twins))
    assert twins is not None
    return [
        flips
        for name, runs in walked.items()
        for flips in by_change(name, np.stack(runs), twins, draws=config.draws, seed=config.seed)
    ]


def _solved(player: Player, twins: Twins) -> Floats:
    """Gives (E, 3) whether the original is solved, the twin, and both; by protocol envdrop."""
    first, second = (
        evaluate(replace(player, episodes=episodes)).scores.success
        for episodes in (twins.original, twins.twin)
    )
    return solved(first, second)


def solved(original: npt.ArrayLike, twin: npt.ArrayLike) -> Floats:
    """Gives (E, 3) whether the original is solved, the twin, and both, as 0 or 1."""
    first, second = (np.asarray(side, dtype=np.float64) for side in (original, twin))
    return np.stack([first, second, first * second], axis=1)


def by_change(name: str, solved: Floats, twins: Twins, *, draws: int, seed: int = 0) -> list[Flips]:
    """Gives a condition's flips per change, and over all.

    Args:
        name: What the condition is called.
        solved: (N, E, 3) from `solved`, N runs.
        twins: The E pairs.
        draws: Bootstrap samples behind the intervals.
        seed: Of the bootstrap.
    """
    change = np.array(twins.change)
    chosen = {kind: np.flatnonzero(change == kind) for kind in sorted(set(twins.change))}
    chosen[TOTAL] = np.arange(len(twins))
    return [
        Flips(
            name,
            len(solved),
            kind,
            len(rows),
            _shares(solved[:, rows], twins, rows, draws=draws, seed=seed),
        )
        for kind, rows in chosen.items()
    ]


def _shares(
    solved: Floats, twins: Twins, rows: npt.NDArray[np.int64], *, draws: int, seed: int
) -> dict[str, tuple[float, float, float]]:
    episodes = [twins.original.episodes[row] for row in rows]
    hierarchy = Hierarchy.of(
        [episode.start.scan for episode in episodes],
        paths=[episode.id.rpartition("_")[0] for episode in episodes],
    )
    weights = resample(hierarchy, draws=draws, generator=generator(seed, "bootstrap"))
    values = solved.mean(axis=0)
    means = np.vstack(
        [values.mean(axis=0), resampled_means(values, hierarchy=hierarchy, weights=weights)]
    )
    with np.errstate(invalid="ignore"):  # 0 / 0 where no original was solved: no rate
        rate = means[:, 2] / means[:, 0]
    shares = (means[:, 0], means[:, 1], rate)
    return {name: _interval(share) for name, share in zip(COLUMNS, shares, strict=True)}


def _interval(values: Floats) -> tuple[float, float, float]:
    """Gives the estimate, which stands first, and the ends of the interval of the samples."""
    estimate, samples = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not np.isfinite(estimate) or not samples.size:
        return estimate, float("nan"), float("nan")
    low, high = np.quantile(samples, [0.025, 0.975]).tolist()
    return estimate, low, high


def as_object(flips: Flips) -> dict[str, Any]:
    """Gives one entry for programs: shares in percent, null where there is none."""
    percent = {
        name: {
            key: 100 * value if np.isfinite(value) else None
            for key, value in zip(("mean", "low", "high"), share, strict=True)
        }
        for name, share in flips.shares.items()
    }
    about = {"condition": flips.condition, "runs": flips.runs, "change": flips.change}
    return {**about, "pairs": flips.pairs, "unit": "%", **percent}


def as_text(measured: Sequence[Flips], *, draws: int) -> str:
    """Gives one row per condition and change."""
    header = ("", "change", "pairs", "SR original (%)", "SR twin (%)", "flip rate (%)")
    rows = []
    for one in measured:
        name = one.condition if one.runs == 1 else f"{one.condition} ({one.runs} seeds)"
        cells = [cell(one.shares[column]) for column in COLUMNS]
        rows.append((name, one.change, f"{one.pairs:,}", *cells))
    return (
        f"{tables.as_text(tables.Table(header, rows))}\n\n"
        "flip rate: of the pairs whose original is solved, those whose twin is solved at its new "
        f"goal\n95 % intervals: {draws:,} bootstrap samples of scans, then of paths within them"
    )


def cell(share: tuple[float, float, float]) -> str:
    """Gives a share and its interval in percent, or that there is none."""
    if not np.isfinite(share[0]):
        return "none"
    mean, low, high = (100 * value for value in share)
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    sys.exit(main())
