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
    """What `make train` runs without R2R: the demo in our own world, seeing names of objects."""
    return dataclasses.replace(demo(), env="houses", encoder="object_words")


RECIPES.add("envdrop", envdrop)
RECIPES.add("imitation", imitation)
RECIPES.add("demo", demo)
RECIPES.add("houses", houses)
