"""Named training recipes: functions that give whole configurations, of one run or of stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from agents.config import ExtraConfig, LearningConfig, ModelConfig, OptimConfig, TrainConfig
from agents.stages import STAGE
from vln.errors import UnknownName
from vln.nn.precision import native_precision
from vln.registry import Registry

RECIPES: Registry[Callable[[], TrainConfig]] = Registry("recipe")
"""Recipes of one run."""
STAGED: Registry[Callable[[], dict[str, TrainConfig]]] = Registry("recipe")
"""Recipes of several runs, by the names of their stages, in order."""
USUAL: Final = "envdrop"
"""What is trained where nothing is named."""


def names() -> Iterator[str]:
    """Gives the names of all recipes."""
    yield from STAGED
    yield from RECIPES


def stages_of(name: str) -> dict[str, TrainConfig]:
    """Gives the stages of a recipe; of one run, a single one called "".

    Raises:
        UnknownName: No such recipe.
    """
    if name in STAGED:
        return STAGED[name]()
    if name not in RECIPES:
        raise UnknownName.of("recipe", name, names())
    return {"": RECIPES[name]()}


def follower() -> TrainConfig:
    """EnvDrop's first stage as published: 80,000 updates of imitation and reward."""
    return TrainConfig()


def speaker() -> TrainConfig:
    """EnvDrop's speaker as published."""
    return TrainConfig(
        agent="speaker", model=ModelConfig(dropout=0.6), optim=OptimConfig(method="adam")
    )


def back_translation() -> TrainConfig:
    """EnvDrop's last stage: from the follower, with what the speaker says of further paths.

    The released code counts every update as two iterations, hence its 200,000. All sampled paths
    of R2R's training scans are taken; the published file has about as many.
    """
    return TrainConfig(
        iterations=100_000,
        start=f"{STAGE}follower",
        model=ModelConfig(feature_dropout=0.4),
        extra=ExtraConfig(paths="sampled", speaker=f"{STAGE}speaker"),
    )


def envdrop(encoder: str = "") -> dict[str, TrainConfig]:
    """EnvDrop's agent as a whole: speaker, follower, back-translation with environment dropout.

    Args:
        encoder: Of all stages; none where empty.
    """
    stages = {
        "speaker": speaker(),
        "follower": follower(),
        "back_translation": back_translation(),
    }
    if not encoder:
        return stages
    return {name: dataclasses.replace(s, encoder=encoder) for name, s in stages.items()}


def imitation() -> TrainConfig:
    """EnvDrop's follower taught by the expert alone."""
    return TrainConfig(learning=LearningConfig(imitation_weight=1.0, reinforcement=False))


def r2r_bench() -> TrainConfig:
    """The follower that our own studies on R2R train: half EnvDrop's widths, imitation, objects."""
    return dataclasses.replace(
        demo(),
        encoder="objects",
        iterations=1500,
        evaluate_every=500,
        learning=imitation().learning,
    )


def demo() -> TrainConfig:
    """What `make train` runs on R2R: half EnvDrop's widths, for minutes on two cores."""
    return TrainConfig(
        iterations=800,
        evaluate_every=200,
        max_steps=15,
        model=ModelConfig(word=128, hidden=256),
        optim=OptimConfig(lr=3e-4, precision=native_precision()),
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
        optim=OptimConfig(lr=1e-3, schedule="linear", precision=native_precision()),
        learning=LearningConfig(
            imitation_weight=1.0, imitation_feedback="teacher", reinforcement=False
        ),
    )


def houses_speaker() -> TrainConfig:
    """The speaker of houses-bench-v1 that sees names of objects."""
    return dataclasses.replace(
        houses_bench(),
        agent="speaker",
        model=ModelConfig(word=128, hidden=256, dropout=0.1, feature_dropout=0.3),
        optim=OptimConfig(method="adam", lr=3e-3, schedule="linear", precision=native_precision()),
    )


def houses_whole() -> dict[str, TrainConfig]:
    """EnvDrop's three stages in houses of ours, for minutes."""
    extra = ExtraConfig(paths="sampled", speaker=f"{STAGE}speaker", imitation_weight=1.0)
    stages = {
        "speaker": houses_speaker(),
        "follower": houses_bench(),
        "back_translation": dataclasses.replace(
            houses_bench(), start=f"{STAGE}follower", extra=extra
        ),
    }
    return {
        name: dataclasses.replace(stage, env="houses", iterations=600, evaluate_every=200)
        for name, stage in stages.items()
    }


for _name, _recipe in (
    ("follower", follower),
    ("speaker", speaker),
    ("back_translation", back_translation),
    ("imitation", imitation),
    ("demo", demo),
    ("r2r_bench", r2r_bench),
    ("houses", houses),
    ("houses_bench", houses_bench),
    ("houses_speaker", houses_speaker),
):
    RECIPES.add(_name, _recipe)
STAGED.add(USUAL, envdrop)
for _name, _encoder in (
    ("r2r_clip_rn50", "clip_rn50"),
    ("r2r_clip_rn101", "clip_rn101"),
    ("r2r_clip_rn50x4", "clip_rn50x4"),
    ("r2r_clip_vit_b32", "clip_vit_b32"),
    ("r2r_resnet152", "imagenet_resnet152"),
):
    STAGED.add(_name, partial(envdrop, _encoder))
STAGED.add("houses_whole", houses_whole)
