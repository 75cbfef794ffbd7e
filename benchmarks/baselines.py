"""The trivial rows beside the published ones: `python -m benchmarks.baselines --out FOLDER`.

Plays the scripted agents over R2R's validation splits and writes `baselines.md` and
`baselines.json`. Scored as R2R's own evaluator does (protocol mattersim: three instructions per
path), since that is where the published rows come from.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import tyro

from benchmarks import tables
from benchmarks.conditions import Condition, group, seed_deviation
from benchmarks.evaluate import evaluate
from benchmarks.players import scripted
from benchmarks.score import load_split, summary
from vln.errors import BadConfig
from vln.metrics.paths import METRICS
from vln.runs import atomic, entry_point, say

SPLITS = ("val_seen", "val_unseen")
AGENTS = ("shortest", "random", "stop", "straight")
PUBLISHED: dict[tuple[str, str], dict[str, float]] = {
    ("shortest", "val_seen"): {"TL": 10.19, "NE": 0.0, "SR": 100.0, "OSR": 100.0},
    ("shortest", "val_unseen"): {"TL": 9.48, "NE": 0.0, "SR": 100.0, "OSR": 100.0},
    ("random", "val_seen"): {"TL": 9.58, "NE": 9.45, "SR": 15.9, "OSR": 21.4},
    ("random", "val_unseen"): {"TL": 9.77, "NE": 9.23, "SR": 16.3, "OSR": 22.0},
}
"""Source: Anderson et al. 2018, arXiv:1711.07280, table of results."""
COLUMNS = ("TL", "NE", "SR", "OSR", "SPL", "nDTW")
RANDOM = ("random",)
"""Agents that a seed changes."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measures the scripted agents on R2R's validation splits."""

    out: Path
    """Folder for baselines.md and baselines.json."""
    seeds: int = 20
    """Runs of the random agent."""
    data: Path | None = None
    """Data folder; without it VLN_DATA."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.baselines")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    if config.seeds < 2:
        raise BadConfig(f"--seeds {config.seeds} shows no spread. Ask for 10 or more.")
    measured = [
        (split, condition)
        for split in SPLITS
        for condition in measure(split, seeds=config.seeds, data=config.data)
    ]
    document = as_document(measured, seeds=config.seeds)
    objects = [as_object(split, condition) for split, condition in measured]
    with atomic(config.out / "baselines.json") as stream:
        stream.write(orjson.dumps(objects, option=orjson.OPT_INDENT_2))
    with atomic(config.out / "baselines.md", "w") as stream:
        stream.write(document)
    say(document)
    return 0


def measure(split: str, *, seeds: int, data: Path | None) -> list[Condition]:
    """Gives the scores of every scripted agent on a split, one condition each.

    Args:
        split: A split with labels.
        seeds: Runs of agents that a seed changes; the others run once.
        data: The data folder; `$VLN_DATA` where None.
    """
    graph, episodes = load_split("r2r", split, data=data)
    runs = [(name, seed) for name in AGENTS for seed in range(seeds if name in RANDOM else 1)]
    scored = [
        evaluate(scripted(name, graph=graph, episodes=episodes, seed=seed), protocol="mattersim")
        for name, seed in runs
    ]
    return group(scored, names=[name for name, _ in runs])


def as_object(split: str, condition: Condition) -> dict[str, Any]:
    """Gives one row for programs: means, deviations over seeds, published values."""
    labels = [metric.label for metric in METRICS]
    means = condition.values.mean(axis=(0, 1)).tolist()
    deviation = [None if np.isnan(x) else x for x in seed_deviation(condition).tolist()]
    about = summary(condition.runs[0])
    del about["annotations"]  # a path of this machine; the digest says which file it was
    return {
        **about,
        "agent": condition.name,
        "seeds": len(condition.runs),
        "mean": dict(zip(labels, means, strict=True)),
        "seed_deviation": dict(zip(labels, deviation, strict=True)),
        "published": PUBLISHED.get((condition.name, split)),
    }


def as_document(measured: Sequence[tuple[str, Condition]], *, seeds: int) -> str:
    """Gives the Markdown document: published rows above ours."""
    rows: list[tuple[str, ...]] = []
    for split, condition in measured:
        rows.extend(_rows(split, condition))
    digests = {split: condition.runs[0].split.sha256[:12] for split, condition in measured}
    annotations = ", ".join(f"{split} {digest}" for split, digest in digests.items())
    return f"""# R2R without learning

Written by `python -m benchmarks.baselines`. Published: Anderson et al. 2018 (arXiv:1711.07280), one
run of the random agent. Ours: the mean of {seeds} runs of the random agent with the standard
deviation of *one* run, and the published value's distance from the mean in such deviations (of the
difference of a run and a mean of {seeds}). Protocol mattersim: three instructions per path.
Annotations (sha256): {annotations}.

{tables.as_markdown(tables.Table(("agent, split", "", *_headings()), rows))}

The random agent turns 0 to 11 steps to the right, then walks five hops, each to the neighbour
nearest to the middle of its view. The straight agent takes five hops of the smallest turn, from the
heading that the environment shows, which is snapped to 30 degrees: at the start from the annotated
one, afterwards to the view that showed the viewpoint it went to.
"""


def _headings() -> list[str]:
    unit = {metric.label: metric.unit for metric in METRICS}
    return [f"{label} ({unit[label]})" for label in COLUMNS]


def apart(split: str, condition: Condition) -> dict[str, float]:
    """Gives how far published values lie from our mean, in deviations of that difference.

    A published value is one run and ours the mean of n, so their difference deviates by
    sqrt(1 + 1 / n) times a run's deviation over seeds. Empty where nothing is published or the
    agent was run once; a metric on which all runs agree is left out.
    """
    published = PUBLISHED.get((condition.name, split), {})
    runs = len(condition.runs)
    if runs == 1:
        return {}
    means, spread = condition.values.mean(axis=(0, 1)), seed_deviation(condition)
    return {
        metric.label: float((published[metric.label] - mean) / (deviation * np.sqrt(1 + 1 / runs)))
        for metric, mean, deviation in zip(METRICS, means, spread, strict=True)
        if metric.label in published and deviation > 0
    }


def _rows(split: str, condition: Condition) -> list[tuple[str, ...]]:
    """Gives the published row where there is one, ours, and how far apart they are."""
    row = as_object(split, condition)
    runs, mean, spread = row["seeds"], row["mean"], row["seed_deviation"]
    cells = [
        f"{mean[label]:.2f}" + (f" ± {spread[label]:.2f}" if runs > 1 else "") for label in COLUMNS
    ]
    name = f"{condition.name}, {split}"
    rows: list[tuple[str, ...]] = [(name, f"ours ({runs})" if runs > 1 else "ours", *cells)]
    published = row["published"]
    if published:
        given = [f"{published[label]:.2f}" if label in published else "" for label in COLUMNS]
        rows.insert(0, (name, "published", *given))
    distances = apart(split, condition)
    if distances:
        given = [f"{distances[label]:+.1f} sd" if label in distances else "" for label in COLUMNS]
        rows.append((name, "apart", *given))
    return rows


if __name__ == "__main__":
    sys.exit(main())
