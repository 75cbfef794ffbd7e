"""Writes a leaderboard's file: `python -m benchmarks.submit --run RUN --split test --out FILE`.

The agent plays every episode of the split once; the file appears only if the leaderboard's own
checks find nothing wrong with it. A world of ours has no server: `--local` scores the file against
the labels that lie apart in the world's folder, which nothing else reads; `--local --file FILE`
scores one that is there already.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from benchmarks.leaderboards import LEADERBOARDS, title_of
from benchmarks.players import Choice, Player, open_player
from benchmarks.protocols import score_predictions
from benchmarks.score import as_text, bootstrap, load_split
from benchmarks.validate import report
from vln import worlds
from vln.data import r2r
from vln.data.locations import HELD_OUT
from vln.data.predictions import Prediction, read_predictions
from vln.data.splits import EpisodeSet
from vln.errors import BadConfig, BadPredictions, CorruptData, MissingData
from vln.graph import NavGraph
from vln.runs import entry_point, say

PROTOCOL = "envdrop"


@dataclass(frozen=True, kw_only=True)
class Config(Choice):
    """Plays an agent over a split and writes the leaderboard's file, or scores it here."""

    out: Path | None = None
    """The file to upload; gzipped where it ends in .gz. Needed without --local."""
    local: bool = False
    """Score against the labels that a world of ours holds out."""
    file: Path | None = None
    """With --local: a file that is there already, instead of --run or --agent; needs --env."""
    draws: int = 2000
    """Bootstrap samples behind the intervals of --local."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.submit")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    _check(config)
    if config.file is not None:
        assert config.env is not None
        predictions = read_predictions(config.file)  # first: a world may have to be made for it
        graph, episodes = load_split(config.env, config.split, data=config.data)
        _refuse(config.file, episodes, graph, named=config.file)
        labels = _labels(config, config.env, graph=graph, episodes=episodes)
        _score(
            predictions,
            config,
            file=str(config.file),
            env=config.env,
            graph=graph,
            labels=labels,
        )
        return 0
    player = open_player(config)
    if not config.local:
        assert config.out is not None
        _write(player, config.out, split=config.split)
        return 0
    # before it plays
    labels = _labels(config, player.env, graph=player.graph, episodes=player.episodes)
    with tempfile.TemporaryDirectory() as scratch:
        out = config.out or Path(scratch) / "submission.json"
        file = "" if config.out is None else str(out)
        _write(player, out, split=config.split, named=file or "not kept (no --out)")
        _score(
            read_predictions(out),
            config,
            file=file or player.title,
            env=player.env,
            graph=player.graph,
            labels=labels,
        )
    return 0


def _check(config: Config) -> None:
    if not config.local:
        if config.file is not None:
            raise BadConfig(
                "--file goes with --local; check one for a server with `benchmarks.validate`."
            )
        if config.out is None:
            raise BadConfig("name the file to write with --out, or score here with --local.")
    elif config.file is not None and (config.run, config.agent, config.out) != (None, None, None):
        raise BadConfig("--file scores a file that is there: leave --run, --agent and --out out.")
    elif config.file is not None and config.env is None:
        raise BadConfig("--file needs --env, the world that it answers.")


def _write(player: Player, out: Path, *, split: str, named: str = "") -> None:
    """Plays, and writes the file if the leaderboard would take it; `named` is what it is called."""
    leaderboard = LEADERBOARDS[player.episodes.dataset]
    unchecked = out.with_name(f".unchecked-{out.name}")
    try:
        leaderboard.write(player.play(), unchecked)
        _refuse(unchecked, player.episodes, player.graph, named=out)
        unchecked.replace(out)
    finally:
        unchecked.unlink(missing_ok=True)
    say(
        f"{player.title}\n{named or out}: in order for {title_of(player.env, leaderboard)}: "
        f"{len(player.episodes):,} records of {split}."
    )


def _refuse(file: Path, episodes: EpisodeSet, graph: NavGraph, *, named: Path) -> None:
    """Refuses a file that the server would refuse; `named` is what the error calls it."""
    offences = LEADERBOARDS[episodes.dataset].validate(file, split=episodes, graph=graph)
    if offences:
        problem = "is not written, the" if file != named else "is not in order: a"
        raise BadPredictions(
            f"{named} {problem} server would refuse it:\n" + report(offences, file=named)
        )


def _score(
    predictions: Sequence[Prediction],
    config: Config,
    *,
    file: str,
    env: str,
    graph: NavGraph,
    labels: EpisodeSet,
) -> None:
    scored = score_predictions(
        predictions, file=file, split=labels, graph=graph, protocol=PROTOCOL, env=env
    )
    interval = bootstrap(scored, draws=config.draws, seed=config.seed)
    say(as_text(scored, interval, draws=config.draws))


def _labels(config: Config, env: str, *, graph: NavGraph, episodes: EpisodeSet) -> EpisodeSet:
    """Gives the split with the references that lie apart.

    Raises:
        MissingData: The world has none.
        CorruptData: They are another split's.
    """
    file = worlds.find(env, config.data).data / HELD_OUT / f"R2R_{config.split}.json"
    if not file.is_file():
        raise MissingData(
            f"no {file}: the labels of {env} {config.split!r} are not here. --local works for the "
            "test split of worlds of ours (--env houses); a split with labels of its own is scored "
            "by `python -m benchmarks.evaluate`, and for R2R's test split upload the file."
        )
    labels = replace(r2r.load(file.parent, str(file), graph), split=config.split)
    asked = [(e.id, e.start, e.instruction) for e in episodes]
    if [(e.id, e.start, e.instruction) for e in labels] != asked:
        problem = f"is not about the instructions of {episodes.file}"
        raise CorruptData.of(file, "", problem, "Make the world again.")
    return labels


if __name__ == "__main__":
    sys.exit(main())
