"""Training from beginning to end: one run, or a recipe's stages, each going on from those before.

Interrupted anywhere, both go on where they stopped.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from agents.config import TrainConfig, to_json
from agents.report import report
from agents.scene import FIT, Scene
from agents.stages import STAGE, Stages
from agents.trainer import LAST, Trainer
from vln import checkpoint, worlds
from vln.encoders import looks
from vln.errors import BadConfig
from vln.runs import Run, say

logger = logging.getLogger(__name__)


def train_run(config: TrainConfig, folder: Path, *, data: Path | None, resumes: bool) -> Path:
    """Trains one run to its end, and gives the folder of the data that it was trained on.

    Args:
        config: What to train.
        folder: The run's.
        data: The world's folder; see `vln.worlds.find`.
        resumes: Goes on with the run in the folder instead of beginning one there.

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
        Run.create(folder, seed=config.seed, config=to_json(config))
    if not (folder / FIT).is_file():  # also after a kill between the two
        scene.keep_fit(config, folder)
    sys.stderr.write(f"run {run.folder}\n")
    try:
        trainer.train()
    finally:
        run.close()
        scene.close()
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
        configs: Settings by the stage's name; those that go on from others name them after
            `stage:`.
        folder: Gets a run for every stage, and `recipe.json`.
        recipe: Its name.
        data: The world's folder; see `vln.worlds.find`.
        resumes: Goes on with the recipe in the folder instead of beginning one there.

    Returns:
        The folder of the data.

    Raises:
        BadConfig, CheckpointMismatch: As `train_run`.
    """
    if not resumes:
        Stages(recipe, {name: to_json(config) for name, config in configs.items()}).write(folder)
    found = data
    for number, (name, config) in enumerate(configs.items(), start=1):
        stage = folder / name
        if is_done(config, stage):
            logger.info("stage %d of %d, %s: done before", number, len(configs), name)
            continue
        logger.info("stage %d of %d: %s", number, len(configs), name)
        begun = (stage / "config.json").is_file()
        found = train_run(linked(config, folder), stage, data=data, resumes=begun)
    return worlds.find(config.env, found).data


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
