"""Learning curves of runs: success against updates, seeds of one condition together.

`python -m benchmarks.curves RUN... --out curves.png` draws the mean over seeds with their range
shaded, and writes the numbers beside the picture. Needs matplotlib, which the development
environment holds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import tyro

from agents.config import from_json
from vln.errors import BadConfig
from vln.metrics.paths import METRICS
from vln.runs import Run, atomic, entry_point, say

Curves = dict[str, dict[int, list[float]]]
"""Condition -> updates -> one value per seed."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Draws learning curves of runs."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs."""
    out: Path
    """Picture to write; its numbers go to the same name with .json."""
    splits: tuple[str, ...] = ("val_seen", "val_unseen")
    """Splits that the runs were evaluated on."""
    metric: str = "SR"
    """Column of the score tables."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.curves")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    chosen = next((metric for metric in METRICS if metric.label == config.metric), None)
    if chosen is None:
        labels = ", ".join(metric.label for metric in METRICS)
        raise BadConfig(f"--metric {config.metric}; expected one of {labels}.")
    found = {
        split: gather(config.runs, key=f"{split}/{chosen.attribute}", scale=chosen.scale)
        for split in config.splits
    }
    draw(found, ylabel=f"{chosen.label} ({chosen.unit})", file=config.out)
    numbers = config.out.with_suffix(".json")
    with atomic(numbers) as stream:
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        stream.write(orjson.dumps({"metric": chosen.label, **found}, option=option))
    say(f"{config.out} and {numbers}")
    return 0


def condition_of(run: Path) -> str:
    """Gives what tables call a run: its encoder, what it learns from, and where.

    Raises:
        CheckpointMismatch: No run there.
    """
    config = from_json(Run.read_config(run))
    taught = "imitation + reward" if config.learning.reinforcement else "imitation"
    hidden = "" if config.hide == "nothing" else f", {config.hide} hidden"
    hidden += "" if config.eyes == "own" else f", eyes {config.eyes}"
    env = "" if config.env == "r2r" else f", {config.env}"
    return f"{config.encoder}, {taught}{hidden}{env}"


def gather(
    runs: Sequence[Path], *, key: str, scale: float, names: Sequence[str] | None = None
) -> Curves:
    """Gives the logged values of all runs, those of one condition together.

    Args:
        runs: Folders of runs.
        key: What was logged.
        scale: Factor for the values.
        names: The condition of each run; see `condition_of` where None.

    Raises:
        BadConfig: A run has logged no such value.
    """
    curves: Curves = {}
    for run, name in zip(runs, names or map(condition_of, runs), strict=True):
        history = [entry for entry in Run(run, seed=0).history() if key in entry]
        if not history:
            raise BadConfig(f"{run} has logged no {key!r}; name a split it was evaluated on.")
        curve = curves.setdefault(name, {})
        for entry in history:
            curve.setdefault(int(entry["step"]), []).append(scale * float(entry[key]))
    return curves


def plotting() -> Any:  # noqa: ANN401
    """Gives matplotlib's pyplot, which draws to files alone.

    Raises:
        BadConfig: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise BadConfig("figures need matplotlib: install the `dev` extra.") from None
    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def keep(figure: Any, file: Path) -> None:  # noqa: ANN401
    """Writes a figure to a PNG file, whose folder is made, and closes it."""
    figure.tight_layout()
    with atomic(file) as stream:
        figure.savefig(stream, dpi=110, format="png")
    plotting().close(figure)


def draw(found: Mapping[str, Curves], *, ylabel: str, file: Path) -> None:
    """Draws one panel per split; a condition has the same colour in all.

    Raises:
        BadConfig: matplotlib is not installed.
    """
    pyplot = plotting()
    figure, panels = pyplot.subplots(
        1, len(found), figsize=(5.2 * len(found) + 1.6, 3.8), sharey=True, squeeze=False
    )
    fullest = max(found.values(), key=lambda curves: len(curves))
    colours = {name: f"C{place}" for place, name in enumerate(fullest)}
    for panel, (split, curves) in zip(panels[0], found.items(), strict=True):
        for name, curve in curves.items():
            _draw_curve(panel, name, curve, colour=colours.setdefault(name, f"C{len(colours)}"))
        panel.set(title=split, xlabel="updates", ylabel=ylabel)
        panel.grid(alpha=0.3)
    # Beside the panel: nine rows would hide their own curves.
    panels[0][-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    keep(figure, file)


def _draw_curve(
    panel: Any,  # noqa: ANN401
    name: str,
    curve: Mapping[int, Sequence[float]],
    *,
    colour: str,
) -> None:
    steps = sorted(curve)
    means = [sum(curve[step]) / len(curve[step]) for step in steps]
    seeds = max(len(values) for values in curve.values())
    label = f"{name} ({seeds})"
    panel.plot(steps, means, marker="o", markersize=3, label=label, color=colour)
    low, high = [min(curve[s]) for s in steps], [max(curve[s]) for s in steps]
    panel.fill_between(steps, low, high, alpha=0.15, color=colour)


if __name__ == "__main__":
    sys.exit(main())
