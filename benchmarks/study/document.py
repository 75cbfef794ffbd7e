"""Lays a study out: a document for people, the same for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import flips
from benchmarks.curves import Curves
from benchmarks.flips import TOTAL
from benchmarks.score import metrics_object
from benchmarks.study.results import SR, Difference, Measured, Results
from benchmarks.study.setup import PARTS, UNSEEN, Config, Row
from benchmarks.tables import Table, as_markdown
from vln.metrics.intervals import LEAST_SEEDS, Interval

LIMITS: Final = (
    "This is a study of kinds of supervision in a small world, with small towers and a follower "
    "trained for a short while. It says nothing about CLIP trained on pictures of the whole web. "
    "The order of the rows is reported whatever it is."
)
FIGURES: Final = {
    "curves": "Success on val_unseen in training: mean over seeds, band from lowest to highest",
    "differences": "Paired differences in success on val_unseen, 95 % intervals",
    "novelty": "Success by what is new, 95 % intervals",
}
"""What is drawn, by the end of the file's name."""


def as_document(results: Results, config: Config, *, figures: Mapping[str, str]) -> str:
    """Gives the Markdown document.

    Args:
        results: What to lay out.
        config: The study.
        figures: Names of the pictures beside the document, by keys of `FIGURES`.
    """
    parts = [
        f"# What the eyes were taught, and what it buys in {config.env}",
        f"Written by `python -m benchmarks.encoders`. {LIMITS}",
        unfinished(results.missing),
        _setting(results, config),
        as_markdown(_rows_table(results)),
        "## Success rate, %",
        as_markdown(scores_table(results)),
        _order(results),
        *difference_parts(results),
        *_flip_parts(results),
        "## Figures",
        *figure_parts(figures, FIGURES),
        "## How it was measured",
        method(results, draws=config.draws),
        machines_text(results.machines),
    ]
    return joined(parts)


def joined(parts: Sequence[str]) -> str:
    """Gives the paragraphs that are not empty as one text."""
    return "\n\n".join(part for part in parts if part) + "\n"


def unfinished(missing: Sequence[str]) -> str:
    """Gives a paragraph on the runs that are left out, empty where none is."""
    return f"**Not finished, and left out: {', '.join(missing)}.**" if missing else ""


def figure_parts(figures: Mapping[str, str], captions: Mapping[str, str]) -> list[str]:
    """Gives a paragraph for each picture."""
    return [f"{captions[key]}:\n\n![{key}]({file})" for key, file in figures.items()]


def _setting(results: Results, config: Config) -> str:
    return (
        f"Every row is the same follower (recipe `{config.recipe}`) after {config.updates:,} "
        "updates, with its last weights: nothing was chosen on any split. Rows differ in what the "
        "follower sees, runs of a row in their seed."
    )


def _rows_table(results: Results) -> Table:
    header = ("row", "seeds", "s per update", "--encoder", "features", "what it is")
    body = [
        (
            one.row.name,
            str(len(one.seeds)),
            f"{one.update_seconds:.2f}",
            shown(one.row),
            one.features[:12],
            one.row.about or "a tower",
        )
        for one in results.rows
    ]
    return Table(header, body)


def shown(row: Row) -> str:
    """Gives a row's encoder, of a file no more than its name and its folder's."""
    family, colon, name = row.encoder.partition(":")
    return f"{family}{colon}{'/'.join(Path(name).parts[-2:])}"


def scores_table(results: Results) -> Table:
    """Gives the success rates of every row."""
    header = ("mean [95 %] ± s.d. of seeds", *results.splits)
    body = [
        (
            one.row.name,
            *(cell(one.scores[split]) + _spread(one, split) for split in results.splits),
        )
        for one in results.rows
    ]
    return Table(header, body)


def cell(interval: Interval, sign: str = "", *, metric: int = SR) -> str:
    """Gives a mean and its interval.

    Args:
        interval: Of the entries of `METRICS`.
        sign: "+" for differences.
        metric: Which entry.
    """
    mean, low, high = (side[metric] for side in (interval.estimate, interval.low, interval.high))
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _spread(one: Measured, split: str) -> str:
    return f" ± {one.spread[split]:.1f}" if np.isfinite(one.spread[split]) else ""


def order(results: Results) -> list[tuple[str, float]]:
    """Gives names and success rates on val_unseen, best first."""
    found = [(one.row.name, float(one.scores[UNSEEN].estimate[SR])) for one in results.rows]
    return sorted(found, key=lambda pair: -pair[1])


def _order(results: Results) -> str:
    line = ", ".join(f"{name} {value:.1f}" for name, value in order(results))
    return f"In order on {UNSEEN}: {line}. Neighbours need not differ; see the differences."


def difference_parts(results: Results) -> list[str]:
    """Gives a title and a table for every baseline."""
    parts = []
    for baseline in dict.fromkeys(one.baseline for one in results.differences):
        chosen = [one for one in results.differences if one.baseline == baseline]
        parts += [
            f"## Paired differences in success from {baseline}, points",
            as_markdown(_difference_table(chosen, results)),
        ]
    return parts


def _difference_table(chosen: Sequence[Difference], results: Results) -> Table:
    header = ("", "seeds", *results.splits)
    body = [
        (
            one.row,
            str(len(one.seeds)),
            *(cell(one.scores[split], "+") for split in results.splits),
        )
        for one in chosen
    ]
    return Table(header, body)


def _flip_parts(results: Results) -> list[str]:
    if not results.flips:
        return []
    header = ("%", "seeds", "pairs", "SR original", "SR twin", "flip rate")
    body = [
        (
            one.condition,
            str(one.runs),
            f"{one.pairs:,}",
            *(flips.cell(one.shares[column]) for column in flips.COLUMNS),
        )
        for one in results.flips
        if one.change == TOTAL
    ]
    return [
        "## Twins: homes with one change that moves the goal",
        as_markdown(Table(header, body)),
        "Flip rate: of the pairs whose original is solved, those whose twin is solved at its new "
        "goal. Intervals over homes and paths, seeds averaged. Each kind of change by itself is "
        "in the JSON file.",
    ]


def method(results: Results, *, draws: int) -> str:
    """Gives what was scored, and what the intervals are."""
    counted = "\n".join(
        f"- {split}: {episodes:,} instructions of {paths:,} paths in {homes} homes"
        for split, (episodes, paths, homes) in results.splits.items()
    )
    parts = (
        f" ({', '.join(part for part in PARTS if part in results.splits)}: the parts of {UNSEEN} "
        "whose homes, whose styles too, or whose pairs of object and colour too are new)"
        if any(part in results.splits for part in PARTS)
        else ""
    )
    return (
        f"Success: stopped less than 3 m from the goal. Splits{parts}:\n\n{counted}\n\n"
        f"Intervals: {draws:,} bootstrap samples of seeds, of homes, and of paths within "
        "homes. A difference pairs the same episodes and the same seed, which gives both sides "
        "the same order of training episodes. A bootstrap over N seeds shows (N - 1) / N of their "
        f"variance, so intervals are on the narrow side; rows with fewer than {LEAST_SEEDS} seeds "
        "have intervals over homes and paths alone. No interval is corrected for their number."
    )


def machines_text(machines: Sequence[Mapping[str, Any]]) -> str:
    """Gives a paragraph on where runs were trained, empty where that is not known."""
    if not machines:
        return ""
    lines = [
        ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in machine.items())
        for machine in machines
    ]
    return (
        "Trained on (seconds per update are wall clock, other work may have shared the cores):"
        "\n\n" + "\n".join(f"- {line}" for line in lines)
    )


def as_object(results: Results, config: Config) -> dict[str, Any]:
    """Gives the same for programs, every metric and every kind of change included."""
    return {
        "env": config.env,
        "recipe": config.recipe,
        "updates": config.updates,
        **results_object(results, draws=config.draws),
        "order": [name for name, _ in order(results)],
        "flips": [flips.as_object(one) for one in results.flips],
        "curves": {"metric": "SR", "split": UNSEEN, "rows": curves_object(results.curves)},
    }


def results_object(results: Results, *, draws: int) -> dict[str, Any]:
    """Gives splits, rows and differences, every metric included."""
    return {
        "interval": {"level": 0.95, "draws": draws},
        "splits": {
            split: dict(zip(("instructions", "paths", "homes"), counts, strict=True))
            for split, counts in results.splits.items()
        },
        "rows": [_row_object(one) for one in results.rows],
        "differences": [
            {
                "row": one.row,
                "from": one.baseline,
                "seeds": one.seeds,
                "metrics": _metrics(one.scores),
            }
            for one in results.differences
        ],
        "missing": list(results.missing),
        "machines": list(results.machines),
    }


def curves_object(curves: Curves) -> dict[str, dict[str, list[float]]]:
    """Gives curves with keys that JSON knows."""
    return {
        name: {str(step): values for step, values in curve.items()}
        for name, curve in curves.items()
    }


def _row_object(one: Measured) -> dict[str, Any]:
    spread = {k: v if np.isfinite(v) else None for k, v in one.spread.items()}
    return {
        **asdict(one.row),
        "encoder": shown(one.row),
        "features": one.features,
        "seeds": one.seeds,
        "update_seconds": one.update_seconds,
        "metrics": _metrics(one.scores),
        "seed_standard_deviation_of_SR": spread,
    }


def _metrics(scores: Mapping[str, Interval]) -> dict[str, Any]:
    return {split: metrics_object(interval) for split, interval in scores.items()}
