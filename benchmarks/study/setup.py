"""What the study of encoders is made of: rows, seeds, one recipe for all; and where runs live.

What other studies of rows and seeds share with it is `Study`, `Row` and the folders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Protocol

import tyro

from agents.config import TrainConfig
from agents.recipes import RECIPES
from vln.encoders import check
from vln.errors import BadConfig, UnknownName

BLIND: Final = "none"
RANDOM: Final = "random"
SHUFFLED: Final = "shuffled"
CEILING: Final = "object_words"
UNTRAINED: Final = "untrained"
"""The name of a tower that nobody trained: where it is given, it is a second baseline."""
SEEN: Final = "val_seen"
UNSEEN: Final = "val_unseen"
PARTS: Final = ("val_unseen_home", "val_unseen_style", "val_unseen_pair")
"""Parts of val_unseen by what is new, where a world has them."""
MACHINE: Final = "machine.json"
"""In a run's folder: where it was trained."""
_NAME: Final = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*")


class Study(Protocol):
    """What reports ask of a study's settings."""

    @property
    def env(self) -> str:
        """World or data set."""

    @property
    def data(self) -> Path | None:
        """Its folder, see `vln.worlds.find`."""

    @property
    def out(self) -> Path:
        """Folder of the runs."""

    @property
    def seeds(self) -> int:
        """Runs of every row."""

    @property
    def draws(self) -> int:
        """Bootstrap samples behind the intervals."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Trains one follower per tower, control and seed, all alike, and compares them.

    What is finished is kept: an interrupted study goes on when the same command is given again.
    """

    tower: tyro.conf.UseAppendAction[tuple[str, ...]]
    """NAME=HANDLE of an encoder, such as contrastive=clip_house; once for each. The first is what
    the others are compared with, and a tower called untrained is a second one."""
    env: str = "houses-study-v1"
    """World or data set."""
    seeds: int = 5
    """Runs of every row, seeds 0, 1, ..."""
    updates: int = 1200
    """Weight updates of every run."""
    curve: int = 6
    """Points of a learning curve, evenly spaced."""
    recipe: str = "houses_bench"
    """Everything else of a run, see `agents.recipes`."""
    out: Path = Path("runs/encoders")
    """Folder of the runs."""
    results: Path = Path("runs/encoders/results")
    """Report: RESULTS.md, RESULTS.json and pictures beside them."""
    only: tuple[str, ...] = ()
    """Rows to train and report; all where absent."""
    stage: Literal["all", "train", "report"] = "all"
    """Train and let play, report on what is there, or both."""
    twins: Path | None = None
    """Folder made by `python -m vln.houses twin`; no flip rates without it."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""
    threads: int = 1
    """Threads of matrix products on a CPU."""
    jobs: int = 1
    """Processes that train side by side, each another run."""
    device: str = "cpu"
    """Where networks live: cpu, cuda, cuda:1."""
    draws: int = 2000
    """Bootstrap samples behind the intervals."""

    def __post_init__(self) -> None:
        for name in ("seeds", "updates", "curve", "threads", "jobs", "draws"):
            if getattr(self, name) < 1:
                raise BadConfig(f"--{name} {getattr(self, name)}; expected 1 or more.")


@dataclass(frozen=True)
class Row:
    """One kind of run: of eyes in the study of encoders, of further paths in that of translation.

    Attributes:
        name: What tables call it, part of folder names too.
        encoder: Handle of what it sees with.
        eyes: As in `TrainConfig`.
        about: What it is, in words; empty for a tower.
    """

    name: str
    encoder: str
    eyes: Literal["own", "elsewhere"] = "own"
    about: str = ""


def rows_of(config: Config) -> list[Row]:
    """Gives the rows: towers as named, then controls and the ceiling.

    Raises:
        BadConfig: A tower is not NAME=HANDLE, or two have one name.
        UnknownName: No such encoder, or --only names no row.
    """
    towers = [_tower(given) for given in config.tower]
    if not towers:
        raise BadConfig("no tower to study; give --tower NAME=HANDLE, once for each.")
    rows = [*towers, *_controls(towers[0])]
    names = [row.name for row in rows]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadConfig(
            f"two rows are called {twice!r}. Give every tower its own name; "
            f"{', '.join(row.name for row in _controls(towers[0]))} are controls."
        )
    for row in rows:
        check(row.encoder)
    for name in config.only:
        if name not in names:
            raise UnknownName.of("row", name, names)
    return [row for row in rows if not config.only or row.name in config.only]


def _tower(given: str) -> Row:
    name, _, handle = given.partition("=")
    if not _NAME.fullmatch(name) or not handle:
        raise BadConfig(
            f"--tower {given!r}; expected NAME=HANDLE, the name of letters, digits, _ and -, such "
            "as contrastive=clip_house."
        )
    return Row(name, handle)


def _controls(first: Row) -> list[Row]:
    return [
        Row(
            SHUFFLED,
            first.encoder,
            "elsewhere",
            f"{first.name}, but every viewpoint has the features of another one of its home, in "
            "training and in tests",
        ),
        Row(RANDOM, "random", about="one random vector per viewpoint, the same in all views"),
        Row(BLIND, "none", about="sees nothing: directions alone"),
        Row(CEILING, "object_words", about="the true objects in each view, by the words for them"),
    ]


def training_of(config: Config, row: Row, seed: int) -> TrainConfig:
    """Gives the settings of one run; rows differ in what they see, seeds in chance.

    Raises:
        UnknownName: No such recipe.
    """
    return replace(
        RECIPES[config.recipe](),
        env=config.env,
        encoder=row.encoder,
        eyes=row.eyes,
        seed=seed,
        iterations=config.updates,
        evaluate_every=max(1, config.updates // config.curve),
        evaluate=(UNSEEN,),
        device=config.device,
        threads=config.threads,
    )


def folder_of(config: Study, row: Row, seed: int) -> Path:
    """Gives where a run lives."""
    return config.out / f"{row.name}-seed{seed}"


def predictions_of(run: Path, split: str, *, walker: str = "") -> Path:
    """Gives where the walks of a run's last weights are kept.

    Args:
        run: Its folder.
        split: What was walked.
        walker: How; greedily where empty.
    """
    how = f"-{walker}" if walker else ""
    return run / "predictions" / f"{split}{how}-last.json"


def twin_split(name: str) -> str:
    """Gives what the walks over a side of the twins are kept as."""
    return f"twins-{name}"


def runs_of(config: Config, rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """Gives every row of seed 0, then of seed 1, ...: half a study is one of fewer seeds."""
    return [(row, seed) for seed in range(config.seeds) for row in rows]
