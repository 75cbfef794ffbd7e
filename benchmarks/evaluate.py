"""Plays an agent over a split, every episode exactly once, and scores it.

`python -m benchmarks.evaluate --run RUN --split val_unseen` writes the predictions to
RUN/predictions/val_unseen.json and their scores beside it; `--agent random --env r2r --seeds 5`
plays a scripted agent. Scores are those that `benchmarks.score` gives the written file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson
import tyro

from benchmarks import tables
from benchmarks.conditions import Condition, group, interval, seed_deviation
from benchmarks.players import Choice, Player, as_predictions, open_player, scripted
from benchmarks.protocols import Scored, score_predictions
from benchmarks.score import as_text, metrics_object, summary
from vln import worlds
from vln.data.predictions import write_predictions
from vln.errors import BadConfig
from vln.metrics.intervals import Interval, resample
from vln.metrics.paths import METRICS
from vln.runs import atomic, entry_point, generator, say


@dataclass(frozen=True, kw_only=True)
class Config(Choice):
    """Plays an agent over a split and scores it."""

    seeds: int = 1
    """Runs of a scripted agent, averaged."""
    out: Path | None = None
    """Predictions go here, scores beside them. RUN/predictions/SPLIT.json where absent; a scripted
    agent's are not kept without it."""
    protocol: Literal["envdrop", "mattersim"] = "envdrop"
    """envdrop: every instruction, any move. mattersim: three per path, moves along edges only."""
    json: bool = False
    """Print one JSON object instead of a table."""
    draws: int = 2000
    """Bootstrap samples behind the intervals."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.evaluate")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    players = _players(config)
    out = _out(config, players[0])
    scored = [
        evaluate(player, file=_seed_file(out, number, config), protocol=config.protocol)
        for number, player in enumerate(players)
    ]
    title = players[0].title
    if config.seeds > 1:
        title = f"agent {config.agent}, means over {config.seeds} seeds"
        scored[0] = replace(scored[0], file=title)
    condition = group(scored, names=[title] * len(scored))[0]
    estimate = _estimate(condition, config)
    result = {**_as_object(condition, estimate, config), "agent": dict(players[0].about)}
    if out is not None:
        with atomic(metrics_file(out)) as stream:
            stream.write(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    if config.json:
        say(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
    else:
        say(f"{players[0].title}\n{_as_text(condition, estimate, config)}")
    return 0


def _players(config: Config) -> list[Player]:
    """Gives one player per seed; the world is read once."""
    if config.seeds < 1 or (config.seeds > 1 and config.agent is None):
        raise BadConfig(
            f"--seeds {config.seeds}: give the number of runs of a scripted agent (--agent) to "
            "average. A trained agent plays greedily, the same every time; to average trained "
            "runs, evaluate each and use `python -m benchmarks.compare`."
        )
    first = open_player(config)
    if any(episode.reference is None for episode in first.episodes):
        raise BadConfig(
            f"split {config.split!r} cannot be scored here: its reference paths are held out. "
            "Write the leaderboard's file with `python -m benchmarks.submit`."
        )
    others = range(config.seed + 1, config.seed + config.seeds)
    name, graph, episodes = str(config.agent), first.graph, first.episodes
    if not others:
        return [first]
    data = worlds.find(first.env, config.data).data
    return [
        first,
        *(
            scripted(name, graph=graph, episodes=episodes, seed=n, env=first.env, data=data)
            for n in others
        ),
    ]


def _out(config: Config, player: Player) -> Path | None:
    """Gives where the predictions go, None where they are not kept."""
    if config.out is not None or config.run is None:
        return config.out
    name = Path(config.split).stem if "/" in config.split else config.split
    env = "" if player.env == player.about["trained_on"] else f"{player.env}-"
    last = "-last" if config.checkpoint == "last" else ""
    how = "" if config.search.rule == "none" else f"-search-{config.search.rule}"
    return config.run / "predictions" / f"{env}{name}{last}{how}.json"


def _seed_file(out: Path | None, number: int, config: Config) -> Path | None:
    if out is None or config.seeds == 1:
        return out
    stem, dot, suffix = out.name.partition(".")
    return out.with_name(f"{stem}-seed{config.seed + number}{dot}{suffix}")


def metrics_file(predictions: Path) -> Path:
    """Gives where the scores of a prediction file are kept: beside it."""
    stem = predictions.name.removesuffix(".gz").removesuffix(".json")
    return predictions.with_name(f"{stem}.metrics.json")


def evaluate(player: Player, *, file: Path | None = None, protocol: str = "envdrop") -> Scored:
    """Plays every episode once and gives the scores.

    Args:
        player: Who plays what.
        file: Where the predictions are kept, in the leaderboard's form; nowhere where None.
        protocol: A name in `benchmarks.protocols.PROTOCOLS`.

    Raises:
        UnknownName: No such protocol.
        BadConfig: The split's labels are held out.
    """
    trajectories = player.play()
    if file is not None:
        write_predictions(trajectories, file)
    return score_predictions(
        as_predictions(trajectories),
        file=player.title if file is None else str(file),
        split=player.episodes,
        graph=player.graph,
        protocol=protocol,
        env=player.env,
    )


def _estimate(condition: Condition, config: Config) -> Interval:
    hierarchy = condition.runs[0].hierarchy()
    source = generator(config.seed, "bootstrap")
    return interval(condition, weights=resample(hierarchy, draws=config.draws, generator=source))


def _as_object(condition: Condition, estimate: Interval, config: Config) -> dict[str, Any]:
    result: dict[str, Any] = {
        **summary(condition.runs[0]),
        "interval": {"level": 0.95, "draws": config.draws, "seed": config.seed},
        "metrics": metrics_object(estimate),
    }
    if config.seeds > 1:
        deviation = seed_deviation(condition).tolist()
        labels = [metric.label for metric in METRICS]
        result |= {"seeds": config.seeds}
        result |= {"seed_deviation": dict(zip(labels, deviation, strict=True))}
    return result


def _as_text(condition: Condition, estimate: Interval, config: Config) -> str:
    text = as_text(condition.runs[0], estimate, draws=config.draws)
    if config.seeds == 1:
        return text
    header = ("", *(f"{metric.label} ({metric.unit})" for metric in METRICS))
    row = ("standard deviation", *(f"{value:.2f}" for value in seed_deviation(condition)))
    return f"{text}\n\nof the means of {config.seeds} seeds\n" + tables.as_text(
        tables.Table(header, [row])
    )


if __name__ == "__main__":
    sys.exit(main())
