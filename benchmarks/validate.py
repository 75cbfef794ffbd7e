"""Checks a leaderboard file as its server does, before one of few submissions is spent on it.

`python -m benchmarks.validate FILE --env r2r --split test`: names every offence and exits with 1,
or says that there is none and exits with 0.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.checks import REMEDIES, Offence
from benchmarks.leaderboards import LEADERBOARDS, title_of
from benchmarks.score import load_split
from vln import worlds
from vln.data.episodes import DATASETS
from vln.data.locations import read_bytes
from vln.errors import UnknownName
from vln.runs import entry_point, say


@dataclass(frozen=True)
class Config:
    """Checks a prediction file as the leaderboard's server does."""

    file: Annotated[Path, tyro.conf.Positional]
    """The file to upload: .json or .json.gz."""
    env: str
    """Data set or world whose leaderboard it is for: r2r, houses."""
    split: str
    """Split it answers: test, or another to try the checks on."""
    fix: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """Write the file here with multi-hop steps spread out, and check that one."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.validate")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    worlds.check(config.env)
    if config.env in DATASETS and config.env not in LEADERBOARDS:
        raise UnknownName.of(LEADERBOARDS.kind, config.env, LEADERBOARDS)
    read_bytes(config.file, remedy="Name the file to check.")  # before a world is made for it
    graph, split = load_split(config.env, config.split, data=config.data)
    leaderboard = LEADERBOARDS[split.dataset]
    file = config.file
    if config.fix is not None:
        leaderboard.flatten(file, out=config.fix)
        file = config.fix
    offences = leaderboard.validate(file, split=split, graph=graph)
    if offences:
        say(report(offences, file=file))
        return 1
    title = title_of(config.env, leaderboard)
    say(f"{file}: in order for {title}: {len(split):,} records of {config.split}.")
    return 0


def report(offences: Sequence[Offence], *, file: Path) -> str:
    """Gives every offence on a line of its own, grouped by rule under what to do about it."""
    lines = []
    for rule, remedy in REMEDIES.items():
        broken = [offence for offence in offences if offence.rule == rule]
        if broken:
            lines.append(f"{rule} ({len(broken):,}). {remedy}")
            lines.extend(f"  instr_id {offence.id} {offence.problem}" for offence in broken)
    records = len({offence.id for offence in offences})
    lines.append(f"{file}: {len(offences):,} offences in {records:,} records; not in order.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
