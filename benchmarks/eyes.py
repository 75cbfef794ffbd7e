"""Whether a world needs eyes and rewards reading: `python -m benchmarks.eyes --env houses`.

Plays the scripted agents that know objects, words or nothing, and the trained runs given, lets a
classifier guess goals, and writes `eyes.md` and `eyes.json`. Runs that see and read the same count
as seeds of one row.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import tyro

from benchmarks import tables
from benchmarks.conditions import Condition, group, interval
from benchmarks.evaluate import evaluate
from benchmarks.guess import Guess, goal_guess
from benchmarks.players import Choice, Player, open_player
from benchmarks.protocols import Scored
from benchmarks.score import load_split
from vln import worlds
from vln.data.episodes import load_episodes
from vln.data.objects import load_objects
from vln.errors import BadConfig
from vln.metrics.intervals import Interval, resample
from vln.metrics.paths import METRICS
from vln.runs import atomic, entry_point, generator, say

SEEN: Final = "val_seen"
UNSEEN: Final = "val_unseen"
PARTS: Final = ("val_unseen_home", "val_unseen_style", "val_unseen_pair")
"""Splits by what is new, where a world has them."""
SCRIPTS: Final = ("reader", "reader_blind", "random", "straight")
CHANCY: Final = ("reader_blind", "random")
"""Agents that a seed changes."""
BOUNDS: Final[dict[str, tuple[Literal["at least", "at most"], float]]] = {
    "reader": ("at least", 95.0),
    "reader_blind": ("at most", 45.0),
    "random": ("at most", 18.0),
    "straight": ("at most", 18.0),
    "follower, object_words": ("at least", 85.0),
    "follower, none": ("at most", 50.0),
}
"""Success rates, in percent on val_unseen, of a world that needs eyes and rewards reading."""
GUESS_BOUND: Final = 3.0
"""Points above chance that the goal classifier may reach."""
_SR: Final = [metric.label for metric in METRICS].index("SR")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measures whether a world needs eyes and rewards reading."""

    env: str = "houses-bench-v1"
    """The world."""
    run: tuple[Path, ...] = ()
    """Folders of trained runs."""
    seeds: int = 5
    """Runs of the agents that chance moves."""
    out: Path = Path("runs/eyes")
    """Folder for eyes.md and eyes.json."""
    data: Path | None = None
    """The world's folder; the cache's where absent."""
    draws: int = 2000
    """Bootstrap samples behind the intervals."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights of the runs."""
    device: str = "cpu"
    """Where trained networks live."""


@dataclass(frozen=True)
class Row:
    """One kind of agent.

    Attributes:
        name: Who it is.
        runs: How many seeds were averaged.
        success: Success rate in percent by split.
    """

    name: str
    runs: int
    success: dict[str, Interval]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.eyes")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    if config.seeds < 1:
        raise BadConfig(f"--seeds {config.seeds}: ask for one run or more of every agent.")
    worlds.locate(config.env, config.data, pictures=False)  # a run that looks asks for them
    splits = _splits(config)
    # Scripted agents have learnt in no home, so none is more familiar than another.
    rows = [measure(choices, splits[1:], config) for choices in _scripts(config)]
    rows += [measure(players, splits, config) for players in _runs(config)]
    guess = _guess(config)
    document = as_document(rows, guess, splits=splits, env=config.env, draws=config.draws)
    about = as_object(rows, guess, env=config.env)
    with atomic(config.out / "eyes.json") as stream:
        stream.write(orjson.dumps(about, option=orjson.OPT_INDENT_2))
    with atomic(config.out / "eyes.md", "w") as stream:
        stream.write(document)
    say(document)
    return 0


def _splits(config: Config) -> list[str]:
    folder = worlds.find(config.env, config.data).data / "r2r"
    parts = [name for name in PARTS if (folder / f"R2R_{name}.json").is_file()]
    return [SEEN, UNSEEN, *parts]


def _scripts(config: Config) -> list[list[Choice]]:
    """Gives, per scripted agent, one choice per seed, with the split still to be set."""
    return [
        [
            Choice(agent=name, seed=seed, split=UNSEEN, env=config.env, data=config.data)
            for seed in range(config.seeds if name in CHANCY else 1)
        ]
        for name in SCRIPTS
    ]


def _runs(config: Config) -> list[list[Player]]:
    """Gives the trained runs, those of one kind together; each is opened once for all splits."""
    trained: dict[str, list[Player]] = {}
    for run in config.run:
        player = open_player(
            Choice(
                run=run,
                checkpoint=config.checkpoint,
                device=config.device,
                split=UNSEEN,
                env=config.env,
                data=config.data,
            )
        )
        trained.setdefault(name_of(player), []).append(player)
    return list(trained.values())


def name_of(player: Player) -> str:
    """Gives what a row calls a player: the agent, what it sees, what is hidden from it."""
    about = player.about
    parts = [str(about["agent"]), str(about.get("encoder", ""))]
    hidden = str(about.get("hide", "nothing"))
    parts.append("" if hidden == "nothing" else f"{hidden} hidden")
    eyes = str(about.get("eyes", "own"))
    parts.append("" if eyes == "own" else f"eyes {eyes}")
    return ", ".join(part for part in parts if part)


def measure(choices: Sequence[Choice | Player], splits: Sequence[str], config: Config) -> Row:
    """Gives the success rates of one kind of agent on every split."""
    success: dict[str, Interval] = {}
    name = ""
    for split in splits:
        players = [_on(choice, split, config) for choice in choices]
        name = name_of(players[0])
        scored = [evaluate(player) for player in players]
        success[split] = _success(scored, name=name, draws=config.draws)
    return Row(name, len(choices), success)


def _on(choice: Choice | Player, split: str, config: Config) -> Player:
    if isinstance(choice, Choice):
        return open_player(replace(choice, split=split))
    found = worlds.find(config.env, config.data)
    episodes = load_episodes(found.dataset, split, data=found.data, graph=choice.graph)
    return replace(choice, episodes=episodes)


def _success(scored: list[Scored], *, name: str, draws: int) -> Interval:
    condition: Condition = group(scored, names=[name] * len(scored))[0]
    weights = resample(
        condition.runs[0].hierarchy(), draws=draws, generator=generator(0, "bootstrap")
    )
    whole = interval(condition, weights=weights)
    one = slice(_SR, _SR + 1)
    return Interval(whole.estimate[one], whole.low[one], whole.high[one])


def _guess(config: Config) -> Guess:
    graph, train = load_split(config.env, "train", data=config.data)
    _, test = load_split(config.env, UNSEEN, data=config.data)
    objects = load_objects(worlds.find(config.env, config.data).data, graph)
    return goal_guess(graph, objects, train=train, test=test)


def verdict(row: Row) -> str:
    """Gives what is asked of a row on val_unseen and whether it holds; nothing if nothing is."""
    if row.name not in BOUNDS:
        return ""
    side, bound = BOUNDS[row.name]
    value = float(row.success[UNSEEN].estimate[0])
    holds = value >= bound if side == "at least" else value <= bound
    return f"{side} {bound:.0f}: {'yes' if holds else 'NO'}"


def guess_verdict(guess: Guess) -> str:
    """Gives what is asked of the goal classifier, in points above chance, and whether it holds."""
    holds = 100 * (guess.accuracy - guess.chance) <= GUESS_BOUND
    return f"at most {GUESS_BOUND:.0f} above chance: {'yes' if holds else 'NO'}"


def as_object(rows: Sequence[Row], guess: Guess, *, env: str) -> dict[str, Any]:
    """Gives the table for programs."""
    return {
        "env": env,
        "rows": [
            {
                "name": row.name,
                "runs": row.runs,
                "asked": verdict(row),
                "success": {
                    split: {
                        "mean": float(value.estimate[0]),
                        "low": float(value.low[0]),
                        "high": float(value.high[0]),
                    }
                    for split, value in row.success.items()
                },
                "seen_unseen_gap": _gap(row),
            }
            for row in rows
        ],
        "goal_classifier": {
            "accuracy": guess.accuracy,
            "chance": guess.chance,
            "standard_error": guess.error,
            "forks": guess.forks,
            "trained_on": guess.trained_on,
            "asked": guess_verdict(guess),
        },
    }


def as_document(
    rows: Sequence[Row], guess: Guess, *, splits: Sequence[str], env: str, draws: int
) -> str:
    """Gives the Markdown document."""
    header = ("SR in %", "runs", f"asked on {UNSEEN}", *splits, "seen - unseen")
    body = [
        (
            row.name,
            str(row.runs),
            verdict(row),
            *(_cell(row.success.get(split)) for split in splits),
            "" if SEEN not in row.success else f"{_gap(row):+.1f}",
        )
        for row in rows
    ]
    above = 100 * (guess.accuracy - guess.chance)
    return f"""# Does {env} need eyes, and does reading pay?

Written by `python -m benchmarks.eyes --env {env}`. Success: stopped less than 3 m from the goal.
In brackets: 95 % intervals from {draws:,} bootstrap samples of homes, then of paths within them.

{tables.as_markdown(tables.Table(header, body))}

reader: told the objects in sight by name, direction, distance and size, never the goal.
reader_blind: the same words, turns, doors, stairs and the graph, no object; of the ways its words
leave open it takes one that leads on from the start, at random.

Goal classifier: a conditional logit on what is seen of the ways at the last fork, without the
instruction, trained on {guess.trained_on:,} forks of training homes. On {guess.forks:,} forks of
{UNSEEN} it finds {100 * guess.accuracy:.1f} %; drawing at random finds {100 * guess.chance:.1f} %:
{above:+.1f} points, standard error {100 * guess.error:.1f}; at most {GUESS_BOUND:.0f} are allowed:
{"yes" if above <= GUESS_BOUND else "NO"}.
"""


def _gap(row: Row) -> float | None:
    if SEEN not in row.success:
        return None
    return float(row.success[SEEN].estimate[0] - row.success[UNSEEN].estimate[0])


def _cell(value: Interval | None) -> str:
    if value is None:
        return ""
    return f"{value.estimate[0]:.1f} [{value.low[0]:.1f}, {value.high[0]:.1f}]"


if __name__ == "__main__":
    sys.exit(main())
