"""What an agent's eyes are worth, beyond success rates: how well it foresees the expert.

`python -m benchmarks.foresight RUN... --split val_unseen` walks each run's agent along the expert's
path and prints the mean log-loss of the expert's actions, in nats: at the first move, at later
moves, at the goal (where stopping is right), and over all. The same is done with the eyes of
another viewpoint of the same scan, to tell whether the agent looks at all. Runs of one encoder and
recipe are seeds of one row. Log-loss moves long before success does, and no action that follows
from an earlier mistake blurs it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import torch
import tyro

from agents.config import from_json
from agents.follower.losses import log_policy_of
from agents.follower.policy import FollowerPolicy, Record
from agents.loading import load_policy
from agents.rollout import play
from agents.scene import Scene, elsewhere
from benchmarks import tables
from benchmarks.curves import condition_of
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln import worlds
from vln.data.episodes import EpisodeSet
from vln.encoders import looks
from vln.features.source import FeatureTable
from vln.runs import Run, atomic, entry_point, generator, say

Floats = npt.NDArray[np.float64]
ROWS = 256
KINDS = ("first move", "later moves", "at the goal", "all")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measures how well trained agents foresee the expert, with their eyes and with wrong ones."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs."""
    split: str = "val_unseen"
    """A split with labels."""
    checkpoint: Literal["best", "last"] = "last"
    """Which weights; `last` compares equal numbers of updates."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""
    out: Path | None = None
    """Writes the table and its numbers to OUT.md and OUT.json."""
    threads: int = 1
    """Threads of matrix products on a CPU."""


@dataclass(frozen=True)
class Foresight:
    """One run: mean log-loss in nats per kind of action, with its own eyes and with wrong ones."""

    condition: str
    seed: int
    own: tuple[float, ...]
    wrong: tuple[float, ...] | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.foresight")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    torch.set_num_threads(config.threads)
    measured = [measure(run, config) for run in config.runs]
    document = tables.as_text(summary(measured))
    say(f"log-loss of the expert's actions on {config.split}, nats; {config.checkpoint}\n")
    say(document)
    if config.out is not None:
        with atomic(config.out.with_suffix(".md"), "w") as stream:
            stream.write(tables.as_markdown(summary(measured)) + "\n")
        with atomic(config.out.with_suffix(".json")) as stream:
            stream.write(orjson.dumps([vars(one) for one in measured], option=orjson.OPT_INDENT_2))
    return 0


def measure(run: Path, config: Config) -> Foresight:
    """Gives the log-losses of one run.

    Raises:
        CheckpointMismatch: No such run, or it does not fit the data.
    """
    saved = from_json(Run.read_config(run))
    worlds.locate(saved.env, config.data, pictures=looks(saved.encoder))
    policy, scene, settings, _ = load_policy(run, which=config.checkpoint, data=config.data)
    episodes = scene.episodes(config.split)
    own = _losses(policy, scene, episodes)
    wrong = None
    if isinstance(scene.features, FeatureTable):
        wrong_eyes = elsewhere(scene.features, scene.graph, rng=generator(1, "wrong eyes"))
        policy.look_with(wrong_eyes)
        wrong = _losses(policy, scene, episodes)
    return Foresight(condition_of(run), settings.seed, own, wrong)


def _losses(policy: FollowerPolicy, scene: Scene, episodes: EpisodeSet) -> tuple[float, ...]:
    env = VectorExpertActions(
        PanoramaVectorEnv(
            num_envs=min(ROWS, len(episodes)), graph=scene.graph, episodes=episodes, max_steps=35
        )
    )
    policy.feedback = "teacher"
    order = np.argsort([len(episode.instruction) for episode in episodes], kind="stable")
    loss: list[Floats] = []
    kind: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(order), env.num_envs):
        policy.record = record = Record()
        with torch.inference_mode():
            steps = play(env, policy, order[start : start + env.num_envs]).steps
            log_policy = log_policy_of(record.logits).double().numpy()
        expert = np.concatenate([step.expert for step in steps if step.expert is not None])
        loss.append(-log_policy[np.arange(len(expert)), expert])
        moves = [np.full(len(step.rows), int(number > 0)) for number, step in enumerate(steps)]
        kind.append(np.where(expert == 0, 2, np.concatenate(moves)))
    losses, kinds = np.concatenate(loss), np.concatenate(kind)
    return (*(float(losses[kinds == k].mean()) for k in range(3)), float(losses.mean()))


def summary(measured: Sequence[Foresight]) -> tables.Table:
    """Gives one row per condition: means over seeds, with the deviation of one seed."""
    rows: list[tuple[str, ...]] = []
    for condition in dict.fromkeys(one.condition for one in measured):
        seeds = [one for one in measured if one.condition == condition]
        rows.append((condition, "own eyes", str(len(seeds)), *_cells([one.own for one in seeds])))
        wrong = [one.wrong for one in seeds if one.wrong is not None]
        if wrong:
            rows.append((condition, "wrong eyes", str(len(wrong)), *_cells(wrong)))
    return tables.Table(("trained with", "sees with", "seeds", *KINDS), rows)


def _cells(values: Sequence[Sequence[float]]) -> list[str]:
    array: npt.NDArray[Any] = np.array(values)
    if len(array) == 1:
        return [f"{value:.3f}" for value in array[0]]
    spread = array.std(axis=0, ddof=1)
    return [f"{m:.3f} ± {s:.3f}" for m, s in zip(array.mean(axis=0), spread, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
