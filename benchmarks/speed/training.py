"""Speed of a follower's updates: seconds, arithmetic reached, time outside the network."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from unittest import mock

import numpy as np
import numpy.typing as npt

import agents.lessons.follower
from agents.base import Agent, Ints, Turn
from agents.recipes import follower
from agents.rollout import Environment, Rollout, play
from agents.trainer import Trainer
from benchmarks.speed.flops import Amount, update_flops
from benchmarks.speed.machine import matrix_rates
from benchmarks.speed.rows import Row, Timing, seconds_row
from benchmarks.speed.setting import BLIND, Setting, follower_of
from envs.vector import PanoramaVectorEnv

PRECISIONS = ("float32", "bfloat16")
ENVDROP_IMITATION = {512: 0.94, 1024: 1.30, 2048: 1.91}
"""Seconds of an imitation iteration, by features per view."""
ENVDROP_CALL = {512: 0.12, 1024: 0.14, 2048: 0.22}
"""Seconds per decoder call of an iteration with imitation and reward."""


@dataclass
class Heard:
    """What one update did, and how long its parts took.

    Attributes:
        amount: Of arithmetic.
        calls: Decoder calls that we made to play.
        envdrop_calls: Those that EnvDrop makes for the same trajectories: it plays the imitated
            batch and the sampled one after another, each until its last row has ended, and then
            once more to estimate what follows.
        rollout: Seconds in the rollout.
        agent: Seconds of those inside the agent.
    """

    amount: Amount
    calls: int
    envdrop_calls: int
    rollout: float
    agent: float


class Stopwatch:
    """An agent that notes how long another takes.

    Args:
        agent: The other.
        clock: Gives seconds.
    """

    def __init__(self, agent: Agent, setting: Setting) -> None:
        self._agent, self._setting = agent, setting
        self.seconds = 0.0

    def begin(self, turn: Turn) -> None:
        """Lets the other begin."""
        start = self._now()
        self._agent.begin(turn)
        self.seconds += self._now() - start

    def act(self, turn: Turn) -> Ints:
        """Gives the other's actions."""
        start = self._now()
        action = self._agent.act(turn)
        self.seconds += self._now() - start
        return action

    def _now(self) -> float:
        return now(self._setting)


def now(setting: Setting) -> float:
    """Gives seconds on the clock that speaks, the device's work done."""
    setting.settle()
    return time.process_time() if setting.clock == "cpu" else time.perf_counter()


class Listener:
    """Listens to a trainer's rollouts while it is a context.

    Attributes:
        heard: One entry per update.
    """

    def __init__(self, trainer: Trainer, setting: Setting) -> None:
        self.heard: list[Heard] = []
        self._setting = setting
        policy = follower_of(trainer).policy
        episodes = trainer.scene.episodes("train_fit")
        tokens = policy.vocabulary.num_tokens([episode.instruction for episode in episodes])
        self._words: npt.NDArray[np.int64] = np.minimum(tokens, policy.max_length)
        self._patch = mock.patch.object(agents.lessons.follower, "play", self._play)

    def __enter__(self) -> Listener:
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _play(self, env: Environment, agent: Agent, episodes: Ints | None = None) -> Rollout:
        watched = Stopwatch(agent, self._setting)
        start = now(self._setting)
        rollout = play(env, watched, episodes)
        seconds = now(self._setting) - start
        inner = env.unwrapped
        assert isinstance(inner, PanoramaVectorEnv)
        words, batch = self._words[inner.episode_index], self._setting.batch
        rows = [step.rows for step in rollout.steps]
        taught = sum(bool((row < batch).any()) for row in rows)
        sampled = sum(bool((row >= batch).any()) for row in rows)
        everyone = np.concatenate(rows)
        amount = Amount(
            words=int(words.sum()),
            instructions=len(words),
            row_steps=len(everyone),
            attended=int(words[everyone].sum()),
            sampled=int((everyone >= batch).sum()),
        )
        calls = taught + (sampled + 1 if sampled else 0)
        self.heard.append(Heard(amount, len(rows), calls, seconds, watched.seconds))
        return rollout


def training_rows(setting: Setting) -> list[Row]:
    """Updates EnvDrop's follower on the same batches: widths, losses, precisions."""
    rates = matrix_rates(setting)
    rows = []
    for width in (BLIND, *setting.widths):
        for reinforcement in (False, True):
            for precision in PRECISIONS if setting.device == "cpu" else PRECISIONS[:1]:
                trainer = setting.trainer(width, reinforcement=reinforcement, precision=precision)
                rows.append(_row(setting, trainer, rate=rates[precision]))
    return rows


def _row(setting: Setting, trainer: Trainer, *, rate: float) -> Row:
    width, both = follower_of(trainer).model.sizes.features, trainer.config.learning.reinforcement
    timing, heard = _updates(setting, trainer)
    details = _details(trainer, timing, heard, rate=rate)
    incumbent, note = ENVDROP_IMITATION.get(width), ""
    if both and width in ENVDROP_CALL:
        # Per call, since EnvDrop samples other trajectories.
        better = ENVDROP_CALL[width] / details["seconds_per_envdrop_call"]
        incumbent = better * statistics.median(timing.seconds)
        note = "incumbent with reward: its seconds per decoder call times its calls here"
    elif both:
        incumbent = None
    losses = "imitation and reward" if both else "imitation"
    seen = f"36x{width}" if width else "blind"
    return seconds_row(
        "training",
        f"{losses}, {seen}, {trainer.config.optim.precision}",
        timing,
        incumbent=incumbent,
        note=note,
        details=details,
    )


def _details(
    trainer: Trainer, timing: Timing, heard: list[Heard], *, rate: float
) -> dict[str, float]:
    """Gives what the updates did: medians over repeats of what varies among them."""
    slots, seconds = trainer.scene.graph.max_degree, timing.seconds
    sizes = follower_of(trainer).model.sizes
    flops = [update_flops(sizes, one.amount, slots=slots) for one in heard]
    per_second = statistics.median(f / s for f, s in zip(flops, seconds, strict=True)) / 1e9
    outside = [(one.rollout - one.agent) / s for one, s in zip(heard, seconds, strict=True)]
    updates = follower().iterations
    return {
        "updates_as_published": float(updates),
        "hours_as_published": statistics.median(seconds) * updates / 3600,
        "decoder_calls": statistics.median(one.calls for one in heard),
        "envdrop_decoder_calls": statistics.median(one.envdrop_calls for one in heard),
        "seconds_per_envdrop_call": statistics.median(
            s / one.envdrop_calls for one, s in zip(heard, seconds, strict=True)
        ),
        "row_steps": statistics.median(one.amount.row_steps for one in heard),
        "words": statistics.median(one.amount.words for one in heard),
        "GFLOP": statistics.median(flops) / 1e9,
        "GFLOP_per_s": per_second,
        "product_GFLOP_per_s": rate,
        "share_of_product_rate": per_second / rate,
        "share_outside_network": statistics.median(outside),
    }


def _updates(setting: Setting, trainer: Trainer) -> tuple[Timing, list[Heard]]:
    """Times updates one by one, after two that warm up."""
    cpu, wall = [], []
    with Listener(trainer, setting) as listener:
        for number in range(setting.repeats + 2):
            setting.settle()
            start_cpu, start_wall = time.process_time(), time.perf_counter()
            trainer.update()
            setting.settle()
            if number >= 2:
                cpu.append(time.process_time() - start_cpu)
                wall.append(time.perf_counter() - start_wall)
    return Timing(tuple(cpu), tuple(wall), setting.clock), listener.heard[2:]
