"""Draws a study: learning curves, differences, success by what is new. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.curves import draw, keep, plotting
from benchmarks.study.results import SR, Difference, Results
from benchmarks.study.setup import SEEN, UNSEEN
from vln.metrics.intervals import Interval


def curves(results: Results, file: Path) -> None:
    """Draws success on val_unseen against updates, one line per row, seeds as a band."""
    draw({UNSEEN: results.curves}, ylabel="SR (%)", file=file)


def differences(results: Results, file: Path) -> None:
    """Draws every row's difference from each baseline with its interval, one panel per baseline."""
    baselines = list(dict.fromkeys(one.baseline for one in results.differences))
    if not baselines:
        return
    pyplot = plotting()
    height = 1.2 + 0.36 * len(results.rows)
    figure, panels = pyplot.subplots(
        1, len(baselines), figsize=(4.6 * len(baselines), height), squeeze=False
    )
    for panel, baseline in zip(panels[0], baselines, strict=True):
        chosen = [one for one in results.differences if one.baseline == baseline]
        _forest(panel, chosen, _colours(results))
        panel.set(title=f"{UNSEEN}, minus {baseline}", xlabel="difference in SR (points)")
    keep(figure, file)


def _forest(panel: Any, chosen: Sequence[Difference], colours: dict[str, str]) -> None:  # noqa: ANN401
    for place, one in enumerate(chosen):
        mean, low, high = _ends(one.scores[UNSEEN])
        panel.errorbar(
            mean,
            place,
            xerr=[[mean - low], [high - mean]],
            fmt="o",
            capsize=3,
            color=colours[one.row],
        )
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_yticks(range(len(chosen)), [one.row for one in chosen])
    panel.set_ylim(len(chosen) - 0.5, -0.5)
    panel.grid(axis="x", alpha=0.3)


def novelty(results: Results, file: Path) -> None:
    """Draws every row's success on seen homes and on each kind of new ones."""
    pyplot = plotting()
    splits = [split for split in results.splits if split != UNSEEN or len(results.splits) == 2]
    figure, panel = pyplot.subplots(figsize=(2.2 + 2.1 * len(splits), 4.2))
    width = 0.84 / len(results.rows)
    for place, one in enumerate(results.rows):
        ends = [_ends(one.scores[split]) for split in splits]
        panel.bar(
            [number + (place + 0.5) * width - 0.42 for number in range(len(splits))],
            [mean for mean, _, _ in ends],
            width,
            yerr=[[mean - low for mean, low, _ in ends], [high - mean for mean, _, high in ends]],
            color=_colours(results)[one.row.name],
            error_kw={"linewidth": 0.8},
            label=one.row.name,
        )
    panel.set_xticks(range(len(splits)), [_title(split) for split in splits])
    panel.set(ylabel="SR (%)")
    panel.grid(axis="y", alpha=0.3)
    panel.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    keep(figure, file)


def _title(split: str) -> str:
    return "seen homes" if split == SEEN else split.replace("val_unseen_", "new ")


def _colours(results: Results) -> dict[str, str]:
    """Gives each row the colour that the curves give it."""
    return {one.row.name: f"C{place}" for place, one in enumerate(results.rows)}


def _ends(interval: Interval) -> tuple[float, float, float]:
    mean, low, high = (float(side[SR]) for side in (interval.estimate, interval.low, interval.high))
    # A percentile interval need not hold the mean, and a bar cannot be negative.
    return mean, min(low, mean), max(high, mean)


DRAWN: Final[dict[str, Callable[[Results, Path], None]]] = {
    "curves": curves,
    "differences": differences,
    "novelty": novelty,
}
"""Every figure, by the end of its file's name."""
