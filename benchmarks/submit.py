"""Writes a leaderboard's file: `python -m benchmarks.submit --run RUN --split test --out FILE`.

The agent plays every episode of the split once; the file appears only if the leaderboard's own
checks find nothing wrong with it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.leaderboards import LEADERBOARDS
from benchmarks.players import Choice, open_player
from benchmarks.validate import report
from vln.errors import BadPredictions
from vln.runs import entry_point, say


@dataclass(frozen=True, kw_only=True)
class Config(Choice):
    """Plays an agent over a split and writes the leaderboard's file."""

    out: Path
    """The file to upload; gzipped where it ends in .gz."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.submit")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    player = open_player(config)
    leaderboard = LEADERBOARDS[player.episodes.dataset]
    unchecked = config.out.with_name(f".unchecked-{config.out.name}")
    try:
        leaderboard.write(player.play(), unchecked)
        offences = leaderboard.validate(unchecked, split=player.episodes, graph=player.graph)
        if offences:
            raise BadPredictions(
                f"{config.out} is not written, the server would refuse it:\n"
                + report(offences, file=config.out)
            )
        unchecked.replace(config.out)
    finally:
        unchecked.unlink(missing_ok=True)
    say(
        f"{player.title}\n{config.out}: in order for {leaderboard.title}: "
        f"{len(player.episodes):,} records of {config.split}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
