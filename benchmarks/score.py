"""Scores a prediction file: `python -m benchmarks.score FILE --env r2r --split val_unseen`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import tyro

from benchmarks import tables
from benchmarks.protocols import Duplicates, Scored, score_predictions
from vln import worlds
from vln.data.connectivity import load_graph
from vln.data.episodes import EpisodeSet, load_episodes
from vln.data.predictions import read_predictions
from vln.graph import NavGraph
from vln.metrics.intervals import Interval, mean_interval, resample
from vln.metrics.paths import METRICS
from vln.runs import entry_point, generator, say


@dataclass(frozen=True)
class Config:
    """Scores a prediction file in the leaderboard's format."""

    file: Annotated[Path, tyro.conf.Positional]
    """Predictions: .json or .json.gz."""
    env: str
    """Data set or world: r2r, r4r, houses."""
    split: str
    """Split, such as val_unseen."""
    protocol: Literal["envdrop", "mattersim"] = "envdrop"
    """envdrop: every instruction, any move. mattersim: three per path, moves along edges only."""
    duplicates: Duplicates = "refuse"
    """Several records for one id: refuse the file, or score the first."""
    json: bool = False
    """Print one JSON object instead of a table."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""
    draws: int = 2000
    """Bootstrap samples behind the intervals."""
    seed: int = 0
    """Seed of the bootstrap."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.score")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    predictions = read_predictions(config.file)  # first: a world may have to be made for it
    graph, split = load_split(config.env, config.split, data=config.data)
    scored = score_predictions(
        predictions,
        file=str(config.file),
        split=split,
        graph=graph,
        protocol=config.protocol,
        duplicates=config.duplicates,
        env=config.env,
    )
    interval = bootstrap(scored, draws=config.draws, seed=config.seed)
    samples = {"level": 0.95, "draws": config.draws, "seed": config.seed}
    if config.json:
        result = {**summary(scored), "interval": samples, "metrics": metrics_object(interval)}
        say(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
    else:
        say(as_text(scored, interval, draws=config.draws))
    return 0


def load_split(env: str, split: str, *, data: Path | None) -> tuple[NavGraph, EpisodeSet]:
    """Gives the graph and the episodes that a command line names; neither needs pictures."""
    found = worlds.locate(env, data, pictures=False)
    graph = load_graph(found.data)
    return graph, load_episodes(found.dataset, split, data=found.data, graph=graph)


def bootstrap(scored: Scored, *, draws: int, seed: int) -> Interval:
    """Gives means and 95 % intervals of `METRICS`, scans resampled first, then paths."""
    hierarchy = scored.hierarchy()
    weights = resample(hierarchy, draws=draws, generator=generator(seed, "bootstrap"))
    return mean_interval(scored.scores.table(), hierarchy=hierarchy, weights=weights)


def summary(scored: Scored) -> dict[str, Any]:
    """Gives what was scored and how: counts, protocol, annotation file."""
    hierarchy = scored.hierarchy()
    return {
        "file": scored.file,
        "env": scored.env or scored.split.dataset,
        "split": scored.split.split,
        "protocol": scored.protocol,
        "annotations": scored.split.file,
        "annotations_sha256": scored.split.sha256,
        "instructions_scored": len(scored.walked.episodes),
        "instructions_in_split": len(scored.split),
        "paths": hierarchy.num_paths,
        "scans": hierarchy.num_scans,
        "records_ignored": scored.ignored,
        "records_repeated": scored.repeated,
        "moves_without_edge": scored.jumps,
    }


def metrics_object(interval: Interval) -> dict[str, dict[str, float | str]]:
    """Gives the entries of `METRICS` by label: mean, ends of the interval, unit."""
    ends = (interval.estimate.tolist(), interval.low.tolist(), interval.high.tolist())
    return {
        metric.label: {"mean": mean, "low": low, "high": high, "unit": metric.unit}
        for metric, mean, low, high in zip(METRICS, *ends, strict=True)
    }


def as_text(scored: Scored, interval: Interval, *, draws: int) -> str:
    """Gives what was scored and how, then one line per metric."""
    about = summary(scored)
    lines = [
        f"{about['file']}",
        f"data set     {about['env']} {about['split']}, protocol {about['protocol']}",
        f"annotations  {about['annotations']}, sha256 {about['annotations_sha256'][:12]}",
        f"denominator  {about['instructions_scored']:,} of {about['instructions_in_split']:,} "
        f"instructions: {about['paths']:,} paths in {about['scans']} scans",
        f"in the file  {about['records_ignored']:,} records with other ids (ignored), "
        f"{about['records_repeated']:,} repeated records (the first counts), "
        f"{about['moves_without_edge']:,} moves without an edge",
        "",
        tables.as_text(metrics_table(interval)),
        "",
        f"95 % intervals: {draws:,} bootstrap samples of scans, then of paths within them",
    ]
    return "\n".join(lines)


def metrics_table(interval: Interval) -> tables.Table:
    """Gives one row per entry of `METRICS`."""
    ends = zip(METRICS, interval.estimate, interval.low, interval.high, strict=True)
    rows = [
        (f"{metric.label} ({metric.unit})", f"{mean:.2f}", f"[{low:.2f}, {high:.2f}]")
        for metric, mean, low, high in ends
    ]
    return tables.Table(("metric", "mean", "95 % interval"), rows)


if __name__ == "__main__":
    sys.exit(main())
