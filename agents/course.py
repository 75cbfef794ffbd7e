"""Training from beginning to end: one run, or a recipe's stages, each going on from those before.

Interrupted anywhere, both go on where they stopped.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Final

import torch

from agents.config import TrainConfig, to_json
from agents.report import report
from agents.scene import FIT, Scene
from agents.stages import STAGE, Stages, check_free, holds_stages
from agents.trainer import LAST, Trainer
from vln import checkpoint, worlds
from vln.encoders import looks
from vln.errors import BadConfig
from vln.runs import Run, say

logger = logging.getLogger(__name__)

ALIKE: Final = ("env", "encoder", "eyes", "select", "labels")
"""Settings that a stage shares with those that it goes on from: their words, eyes and houses."""
WIDTHS: Final = ("model.word", "model.hidden")
"""Settings that it shares with the stage whose weights it begins with."""


def train_run(
    config: TrainConfig,
    folder: Path,
    *,
    data: Path | None,
    resumes: bool,
    begins: Callable[[], None] | None = None,
) -> Path:
    """Trains one run to its end, and gives the folder of the data that it was trained on.

    Args:
        config: What to train.
        folder: The run's.
        data: The world's folder; see `vln.worlds.find`.
        resumes: Goes on with the run in the folder instead of beginning one there.
        begins: Called before a new run's folder is made, once its settings are known to work.

    Raises:
        BadConfig: The folder holds a run already, or settings cannot work.
        CheckpointMismatch: The run in the folder does not fit what is found now.
    """
    check_stages(config)
    torch.set_num_threads(config.threads)
    data = worlds.locate(config.env, data, pictures=looks(config.encoder)).data
    # not with the run's fit: where it learns otherwise now, the data have changed
    scene = Scene.open(config, data)
    run = Run(folder, seed=config.seed)
    trainer = Trainer(config, scene, run)
    if resumes:
        trainer.resume()
    else:  # only now, so that settings that cannot work leave no folder behind
        if begins is not None:
            begins()
        Run.create(folder, seed=config.seed, config=to_json(config))
    if not (folder / FIT).is_file():  # also after a kill between the two
        scene.keep_fit(config, folder)
    sys.stderr.write(f"run {run.folder}\n")
    with closing(run), closing(scene):
        trainer.train()
    return data


def check_stages(config: TrainConfig) -> None:
    """Refuses a run that goes on from stages which are not there: a recipe's, by itself.

    Raises:
        BadConfig: It names some.
    """
    for value, flag in ((config.start, "--start"), (config.extra.speaker, "--extra.speaker")):
        if value.startswith(STAGE):
            kind = value.removeprefix(STAGE)
            raise BadConfig(
                f"this goes on from a {kind} trained before; name the folder of its run with "
                f"{flag} RUN."
            )


def train_stages(
    configs: Mapping[str, TrainConfig],
    folder: Path,
    *,
    recipe: str,
    data: Path | None,
    resumes: bool,
) -> Path:
    """Trains a recipe's stages in order, skipping those that are done.

    Args:
        configs: Settings by the stage's name, by which others name it after `stage:`.
        folder: Gets a run for every stage, and `recipe.json`.
        recipe: Its name.
        data: The world's folder; see `vln.worlds.find`.
        resumes: Goes on with the recipe in the folder instead of beginning one there.

    Returns:
        The folder of the data.

    Raises:
        BadConfig, CheckpointMismatch: As `train_run`; or a stage cannot go on from another.
    """
    check_links(configs)
    if resumes:
        check_order(configs, folder)
    else:
        check_free(folder)
    stages = Stages(recipe, {name: to_json(config) for name, config in configs.items()})
    found = data
    for number, (name, config) in enumerate(configs.items(), start=1):
        stage = folder / name
        if is_done(config, stage):
            logger.info("stage %d of %d, %s: done before", number, len(configs), name)
            continue
        logger.info("stage %d of %d: %s", number, len(configs), name)
        begun = (stage / "config.json").is_file()
        begins = None if holds_stages(folder) else partial(stages.write, folder)
        found = train_run(linked(config, folder), stage, data=data, resumes=begun, begins=begins)
    return worlds.find(config.env, found).data


def check_links(configs: Mapping[str, TrainConfig]) -> None:
    """Refuses stages that could not go on from each other, before the first one is trained.

    Raises:
        BadConfig: Settings that have to be alike are not.
    """
    for name, config in configs.items():
        for other in _links(config):
            begins_with = config.start == STAGE + other
            for key in (*ALIKE, *(WIDTHS if begins_with else ())):
                mine, its = (attrgetter(key)(one) for one in (config, configs[other]))
                if mine != its:
                    raise BadConfig(
                        f"stage {name} goes on from {other}, so --{key} has to be the same in "
                        f"both, and is {mine} and {its}. Give --{key} for all stages, without the "
                        "name of one."
                    )


def check_order(configs: Mapping[str, TrainConfig], folder: Path) -> None:
    """Refuses further updates of a stage that a later one has gone on from already.

    Raises:
        BadConfig: There are some to do.
    """
    for name, config in configs.items():
        for other in _links(config):
            begun = (folder / name / "config.json").is_file()
            if begun and not is_done(configs[other], folder / other):
                raise BadConfig(
                    f"stage {name} in {folder} has begun with {other} as it was, and {other} has "
                    f"updates left to do. Leave its --iterations as they were (--{name}.iterations "
                    "are free), or start a new run."
                )


def _links(config: TrainConfig) -> Iterator[str]:
    """Gives the names of the stages that one goes on from."""
    for value in (config.start, config.extra.speaker):
        if value.startswith(STAGE):
            yield value.removeprefix(STAGE)


def linked(config: TrainConfig, folder: Path) -> TrainConfig:
    """Gives a stage's settings with the runs that it goes on from, those of a recipe's folder."""

    def run_of(value: str) -> str:
        if not value.startswith(STAGE):
            return value
        return str((folder / value.removeprefix(STAGE)).resolve())

    extra = replace(config.extra, speaker=run_of(config.extra.speaker))
    return replace(config, start=run_of(config.start), extra=extra)


def is_done(config: TrainConfig, stage: Path) -> bool:
    """Says whether a stage has come to its last update."""
    file = stage / LAST
    if not file.is_file():
        return False
    done: int = checkpoint.load(file)[1]["progress"]["iteration"]
    return done >= config.iterations


def report_stages(configs: Mapping[str, TrainConfig], folder: Path, data: Path) -> None:
    """Prints what has come out of every stage."""
    for number, (name, config) in enumerate(configs.items(), start=1):
        say(f"\nstage {number} of {len(configs)}, {name}")
        report(folder / name, linked(config, folder), data)
