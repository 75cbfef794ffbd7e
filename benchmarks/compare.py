"""Puts prediction files side by side: `python -m benchmarks.compare A.json B.json --env r2r ...`.

Scores with intervals, paired differences from the first, who stopped wrong, where each leaves the
reference; as text, or to paste as Markdown or LaTeX, or as JSON. Files given the same name by
`--names` are seeds of one condition.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import orjson
import tyro

from benchmarks import tables
from benchmarks.conditions import (
    LAST_MOVE,
    Condition,
    Seeds,
    conduct,
    difference,
    group,
    interval,
    seed_deviation,
    shared_success,
)
from benchmarks.protocols import Duplicates, Scored, score_predictions
from benchmarks.score import load_split, metrics_object, summary
from benchmarks.tables import Table
from vln.data.predictions import read_predictions
from vln.metrics.divergence import OUTCOMES
from vln.metrics.intervals import Interval, Weights, resample
from vln.metrics.paths import METRICS
from vln.runs import entry_point, generator, say

Format = Literal["text", "markdown", "latex", "json"]
LAYOUTS: dict[str, Callable[[Table], str]] = {
    "text": tables.as_text,
    "markdown": tables.as_markdown,
    "latex": tables.as_latex,
}


@dataclass(frozen=True)
class Config:
    """Compares prediction files for the same split."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Prediction files; differences are taken from the first."""
    env: str
    """Data set or world: r2r, r4r, houses."""
    split: str
    """Split, such as val_unseen."""
    names: tuple[str, ...] = ()
    """One name per file; files of the same name are seeds of one condition. Default: file names."""
    format: Format = "text"
    """How to print."""
    seeds: Seeds = "average"
    """Intervals of differences: average the seeds, or resample them too (three or more each)."""
    protocol: Literal["envdrop", "mattersim"] = "envdrop"
    """envdrop: every instruction, any move. mattersim: three per path, moves along edges only."""
    duplicates: Duplicates = "refuse"
    """Several records for one id: refuse the file, or score the first."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""
    draws: int = 2000
    """Bootstrap samples behind the intervals."""
    seed: int = 0
    """Seed of the bootstrap."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One condition beside the first.

    Attributes:
        condition: Its runs.
        scores: Means and intervals of `METRICS`.
        against_first: Paired differences and intervals; None for the first itself.
    """

    condition: Condition
    scores: Interval
    against_first: Interval | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.compare")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    conditions = group(_score_all(config), names=config.names or default_names(config.files))
    hierarchy = conditions[0].runs[0].hierarchy()
    weights = resample(hierarchy, draws=config.draws, generator=generator(config.seed, "bootstrap"))
    compared = compare(conditions, weights=weights, seeds=config.seeds, seed=config.seed)
    if config.format == "json":
        say(orjson.dumps(as_object(compared), option=orjson.OPT_INDENT_2).decode())
    else:
        say(as_document(compared, layout=config.format, draws=config.draws, seeds=config.seeds))
    return 0


def _score_all(config: Config) -> list[Scored]:
    predictions = [read_predictions(file) for file in config.files]
    graph, split = load_split(config.env, config.split, data=config.data)
    return [
        score_predictions(
            records,
            file=str(file),
            split=split,
            graph=graph,
            protocol=config.protocol,
            duplicates=config.duplicates,
            env=config.env,
        )
        for file, records in zip(config.files, predictions, strict=True)
    ]


def default_names(files: Sequence[Path]) -> list[str]:
    """Gives the files' names without endings, or the whole paths where those are not distinct."""
    stems = [file.name.removesuffix(".gz").removesuffix(".json") for file in files]
    return stems if len(set(stems)) == len(stems) else [str(file) for file in files]


def compare(
    conditions: Sequence[Condition], *, weights: Weights, seeds: Seeds, seed: int
) -> list[Compared]:
    """Gives every condition's scores, and its differences from the first.

    Args:
        conditions: At least one, on the same episodes.
        weights: Bootstrap samples for all of them.
        seeds: Take runs as they are, or resample them.
        seed: Seed of the resampling of runs.

    Raises:
        BadConfig: Runs are to be resampled, and a condition has fewer than three.
    """
    first = conditions[0]
    return [
        Compared(
            one,
            interval(one, weights=weights),
            None
            if one is first
            else difference(
                one,
                baseline=first,
                weights=weights,
                seeds=seeds,
                generator=generator(seed, f"seeds of {one.name}"),
            ),
        )
        for one in conditions
    ]


def as_object(compared: Sequence[Compared]) -> dict[str, Any]:
    """Gives everything as one JSON object."""
    first = compared[0].condition
    return {"conditions": [_condition_object(one, first=first) for one in compared]}


def _condition_object(one: Compared, *, first: Condition) -> dict[str, Any]:
    walked = conduct(one.condition)
    deviations = zip(METRICS, seed_deviation(one.condition).tolist(), strict=True)
    result = {
        "name": one.condition.name,
        "runs": [summary(run) for run in one.condition.runs],
        "metrics": metrics_object(one.scores),
        "seed_standard_deviation": {m.label: s if np.isfinite(s) else None for m, s in deviations},
        "outcomes": dict(zip(OUTCOMES, walked.outcomes, strict=True)),
        "never_diverges": walked.never_diverges,
        "first_divergence_at_move": dict(zip(_move_labels(), walked.divergence, strict=True)),
    }
    if one.against_first is not None:
        result["against_first"] = metrics_object(one.against_first)
        result["solved"] = shared_success(one.condition, baseline=first)
    return result


def as_document(compared: Sequence[Compared], *, layout: str, draws: int, seeds: Seeds) -> str:
    """Gives all tables in one of `LAYOUTS`, each under its title."""
    first = compared[0].condition
    about = summary(first.runs[0])
    note = "% " if layout == "latex" else ""
    resampled = "scans, then paths" + (", and seeds" if seeds == "resample" else "")
    # wide tables stand upright on a screen
    upright = tables.transposed if layout == "text" else lambda table: table
    sections = [
        ("Scores, mean and 95 % interval", upright(scores_table(compared))),
        (
            f"Paired differences from {first.name}, 95 % interval",
            upright(difference_table(compared)),
        ),
        ("Standard deviation over seeds", upright(seed_table(compared))),
        ("How episodes end, %", outcome_table(compared)),
        (f"Episodes solved, beside {first.name}, %", solved_table(compared)),
        ("Move at which a path first leaves its reference, %", move_table(compared)),
    ]
    head = [
        f"{about['env']} {about['split']}, protocol {about['protocol']}, annotations sha256 "
        f"{about['annotations_sha256'][:12]}",
        f"{about['instructions_scored']:,} of {about['instructions_in_split']:,} instructions: "
        f"{about['paths']:,} paths in {about['scans']} scans",
        f"intervals: {draws:,} bootstrap samples of {resampled}",
    ]
    parts = ["\n".join(note + line for line in head)]
    for title, table in sections:
        if len(table.rows) and len(table.header) > 1:
            parts.append(f"{note}{title}\n\n{LAYOUTS[layout](table)}")
    return "\n\n".join(parts)


def scores_table(compared: Sequence[Compared]) -> Table:
    """Gives one row per condition, one column per entry of `METRICS`."""
    rows = [(_label(one.condition), *_cells(one.scores, sign="")) for one in compared]
    return Table(("", *_metric_labels()), rows)


def difference_table(compared: Sequence[Compared]) -> Table:
    """Gives one row per condition after the first."""
    rows = [
        (_label(one.condition), *_cells(one.against_first, sign="+"))
        for one in compared
        if one.against_first is not None
    ]
    return Table(("", *_metric_labels()), rows)


def seed_table(compared: Sequence[Compared]) -> Table:
    """Gives the spread of the runs' means, one row per condition of several runs."""
    rows = [
        (
            _label(one.condition),
            *(f"{deviation:.2f}" for deviation in seed_deviation(one.condition)),
        )
        for one in compared
        if len(one.condition.runs) > 1
    ]
    return Table(("", *_metric_labels()), rows)


def outcome_table(compared: Sequence[Compared]) -> Table:
    """Gives the shares of `OUTCOMES`, one row per condition."""
    rows = [
        (one.condition.name, *map(_percent, conduct(one.condition).outcomes)) for one in compared
    ]
    return Table(("", *OUTCOMES), rows)


def solved_table(compared: Sequence[Compared]) -> Table:
    """Gives which episodes are solved by whom, one row per condition after the first."""
    first = compared[0].condition
    rows = []
    for one in compared[1:]:
        solved = shared_success(one.condition, baseline=first)
        rows.append((one.condition.name, *map(_percent, solved.values())))
    return Table(("", "by both", "only by this", "only by the first", "by neither"), rows)


def move_table(compared: Sequence[Compared]) -> Table:
    """Gives the histogram of first divergences."""
    rows = []
    for one in compared:
        walked = conduct(one.condition)
        shares = (*walked.divergence, walked.never_diverges)
        rows.append((one.condition.name, *map(_percent, shares)))
    return Table(("", *_move_labels(), "never"), rows)


def _label(condition: Condition) -> str:
    runs = len(condition.runs)
    return condition.name if runs == 1 else f"{condition.name} ({runs} seeds)"


def _metric_labels() -> list[str]:
    return [f"{metric.label} ({metric.unit})" for metric in METRICS]


def _move_labels() -> list[str]:
    return [*map(str, range(1, LAST_MOVE)), f"{LAST_MOVE}+"]


def _cells(values: Interval, *, sign: str) -> list[str]:
    ends = zip(METRICS, values.estimate, values.low, values.high, strict=True)
    return [
        f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
        for metric, mean, low, high in ends
        for digits in [1 if metric.unit == "%" else 2]
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    sys.exit(main())
