"""Named training recipes: functions that give a whole configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from agents.config import LearningConfig, ModelConfig, OptimConfig, TrainConfig
from vln.registry import Registry

RECIPES: Registry[Callable[[], TrainConfig]] = Registry("recipe")


def envdrop() -> TrainConfig:
    """EnvDrop's first stage as published: 80,000 updates of imitation and reward."""
    return TrainConfig()


def imitation() -> TrainConfig:
    """EnvDrop's follower taught by the expert alone."""
    return TrainConfig(learning=LearningConfig(imitation_weight=1.0, reinforcement=False))


def demo() -> TrainConfig:
    """What `make train` runs on R2R: half EnvDrop's widths, for minutes on two cores."""
    return TrainConfig(
        iterations=800,
        evaluate_every=200,
        max_steps=15,
        model=ModelConfig(word=128, hidden=256),
        optim=OptimConfig(lr=3e-4, precision="bfloat16"),
    )


def houses() -> TrainConfig:
    """What `make train` runs without R2R: our own world, seeing names of objects, for minutes."""
    return dataclasses.replace(houses_bench(), env="houses", iterations=1200, evaluate_every=300)


def houses_bench() -> TrainConfig:
    """The follower of houses-bench-v1 that sees names of objects: a quarter of an hour on one core.

    Taught along the expert's path alone: where it wanders, words and what is seen do not match,
    and it learns neither.
    """
    return TrainConfig(
        env="houses-bench-v1",
        encoder="object_words",
        iterations=3600,
        evaluate_every=600,
        max_steps=12,
        model=ModelConfig(word=128, hidden=256, dropout=0.3, feature_dropout=0.4),
        optim=OptimConfig(lr=1e-3, schedule="linear", precision="bfloat16"),
        learning=LearningConfig(
            imitation_weight=1.0, imitation_feedback="teacher", reinforcement=False
        ),
    )


RECIPES.add("envdrop", envdrop)
RECIPES.add("imitation", imitation)
RECIPES.add("demo", demo)
RECIPES.add("houses", houses)
RECIPES.add("houses_bench", houses_bench)
