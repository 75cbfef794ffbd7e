"""Leaderboards by data set: how to write their file, and what their server checks.

One is added with a module that has `write` and `validate`, and one line below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks import evalai
from benchmarks.checks import Offence
from vln.data.episodes import DATASETS
from vln.data.splits import EpisodeSet
from vln.graph import NavGraph
from vln.registry import Registry
from vln.types import Trajectory


class Validate(Protocol):
    """Gives everything in a file that a server would refuse."""

    def __call__(self, file: Path, *, split: EpisodeSet, graph: NavGraph) -> list[Offence]:
        """Gives the offences, none for a file in order."""
        ...


class Flatten(Protocol):
    """Writes a file anew with one viewpoint per entry."""

    def __call__(self, file: Path, *, out: Path) -> None:
        """Writes `out`."""
        ...


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """One server's rules.

    Attributes:
        title: Its name and where it is.
        write: Writes the file to upload.
        validate: Gives what the server would refuse.
        flatten: Rewrites a file whose steps span several edges.
    """

    title: str
    write: Callable[[Iterable[Trajectory], Path], None]
    validate: Validate
    flatten: Flatten


LEADERBOARDS: Registry[Leaderboard] = Registry("leaderboard")
LEADERBOARDS.add(
    "r2r",
    Leaderboard("R2R, EvalAI challenge 97", evalai.write, evalai.validate, evalai.flatten),
)


def title_of(env: str, leaderboard: Leaderboard) -> str:
    """Gives what a file for a data set or a world of ours, which has no server, is in order for."""
    if env in DATASETS:
        return leaderboard.title
    return f"{env}, in the form of {leaderboard.title.partition(',')[0]}'s leaderboard"
