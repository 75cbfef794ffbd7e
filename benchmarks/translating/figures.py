"""Draws the study of back-translation: success and losses over both phases, paired differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.curves import draw
from benchmarks.study.figures import differences
from benchmarks.study.setup import UNSEEN
from benchmarks.translating.results import Found, two_phases
from benchmarks.translating.setup import Config

FIGURES: Final = {
    "curves": f"Success on {UNSEEN} over both phases: mean over seeds, band from lowest to highest",
    "losses": "Imitation loss in training over both phases, means since the point before",
    "differences": f"Paired differences in success on {UNSEEN}, 95 % intervals",
}
"""What is drawn, by the end of the file's name."""


def drawn(found: Found, config: Config) -> dict[str, Callable[[Path], None]]:
    """Gives what draws each figure that there is something to draw in."""
    figures: dict[str, Callable[[Path], None]] = {
        "curves": partial(_curves, found, config),
        "losses": partial(_losses, found, config),
    }
    if found.greedy.differences:
        figures["differences"] = partial(differences, found.greedy)
    return figures


def _curves(found: Found, config: Config, file: Path) -> None:
    draw({UNSEEN: two_phases(found.greedy.curves, config)}, ylabel="SR (%)", file=file)


def _losses(found: Found, config: Config, file: Path) -> None:
    panels = {
        f"{kind} paths": two_phases(found.losses[kind], config)
        for kind in ("further", "labelled")  # the last one's legend is shown, and has every row
        if found.losses[kind]
    }
    draw(panels, ylabel="imitation loss (nats per path)", file=file)
