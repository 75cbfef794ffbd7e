"""Trains and plays the runs of a study; every step that is done already is skipped.

A run is one folder and one lock, so several processes share a study: each takes what no other has.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import orjson
import torch

from agents.config import TrainConfig, from_json, to_json
from agents.scene import FIT, Scene
from agents.trainer import LAST, Trainer
from benchmarks.evaluate import evaluate
from benchmarks.players import Choice, open_player
from benchmarks.speed.machine import describe
from benchmarks.study.setup import (
    MACHINE,
    SEEN,
    UNSEEN,
    Config,
    Row,
    folder_of,
    predictions_of,
    rows_of,
    runs_of,
    training_of,
    twin_split,
)
from benchmarks.study.turns import Task, finish_all, take_turns
from vln import checkpoint, worlds
from vln.data import r2r
from vln.data.episodes import load_episodes
from vln.data.twins import ORIGINAL, TWIN, check, load_twins
from vln.encoders import looks
from vln.errors import BadConfig, CheckpointMismatch, VlnError
from vln.runs import Run, atomic

logger = logging.getLogger(__name__)

TWINS_ENV = "r2r"
"""Twins are read as a data set of their own."""


def train_all(config: Config) -> None:
    """Trains and plays what is missing of a study.

    A run that cannot be trained keeps no other from it.

    Raises:
        BadConfig: Some runs could not be finished; the message says which and why.
        MissingData: The world or the twins are not there.
    """
    rows = rows_of(config)
    worlds.locate(config.env, config.data, pictures=any(looks(row.encoder) for row in rows))
    if config.twins is not None:
        check(config.twins)
    if config.jobs > 1:
        _make_features(config)
    finish_all(work, config, jobs=config.jobs, tasks=len(rows) * config.seeds)


def _make_features(config: Config) -> None:
    """Makes the networks' features that are not there, so that no two processes want to."""
    for row in rows_of(config):
        if row.eyes != "own" or not looks(row.encoder):
            continue
        training = training_of(config, row, 0)
        try:
            Scene.open(training, config.data)
            if config.twins is not None:
                Scene.open(training, config.twins, env=TWINS_ENV)
        except VlnError as error:  # its runs will say so, and are a problem of their own
            logger.warning("%s: %s", row.name, error)


def work(config: Config) -> dict[str, str]:
    """Finishes every run that no other process has in hand; says why of each that it has not.

    Raises:
        CannotWrite: There is no room, or no permission.
    """
    torch.set_num_threads(config.threads)
    scenes: dict[str, Scene] = {}
    tasks = [
        Task(folder_of(config, row, seed).name, partial(_finish, config, row, seed, scenes))
        for row, seed in runs_of(config, rows_of(config))
    ]
    return take_turns(tasks, out=config.out)


def _finish(config: Config, row: Row, seed: int, scenes: dict[str, Scene]) -> None:
    training, folder = training_of(config, row, seed), folder_of(config, row, seed)
    if row.eyes != "own":  # whose features it gets hangs on the seed
        scene = Scene.open(training, config.data)
    else:
        scene = scenes.get(row.name) or Scene.open(training, config.data)
        scenes[row.name] = scene
    if not is_trained(folder, training, scene):
        train(folder, training, scene)
    _play(config, folder)
    if config.twins is not None:
        _play_twins(config.twins, config, folder)


def is_trained(folder: Path, training: TrainConfig, scene: Scene) -> bool:
    """Tells whether a run has come to its last update.

    Raises:
        BadConfig: The folder holds a run with other settings.
        CheckpointMismatch: It was trained on other data or features than those found now.
    """
    if not (folder / "config.json").is_file():
        return False
    saved = from_json(Run.read_config(folder))
    here = replace(saved, threads=training.threads, device=training.device)
    if here != training:
        new, old = to_json(training), to_json(here)
        unlike = ", ".join(
            f"{key} {old[key]}, not {new[key]}" for key in new if old[key] != new[key]
        )
        raise BadConfig(
            f"{folder} holds a run with other settings ({unlike}). Remove it, or choose another "
            "--out."
        )
    if not (folder / LAST).is_file():
        return False
    _, state = checkpoint.load(folder / LAST)
    if state["world"] != scene.graph.world or state["features"] != scene.fingerprint:
        raise CheckpointMismatch(
            f"{folder} was trained on other data or features than those found now. Remove it to "
            "train it again, or choose another --out."
        )
    done: bool = state["progress"]["iteration"] >= training.iterations
    return done


def train(folder: Path, training: TrainConfig, scene: Scene) -> None:
    """Trains a run to its end, from its last checkpoint where it has one."""
    logger.info("%s: training %d updates", folder.name, training.iterations)
    run = Run(folder, seed=training.seed)
    try:
        trainer = Trainer(training, scene, run)
        if (folder / "config.json").is_file():
            trainer.resume()
        else:
            Run.create(folder, seed=training.seed, config=to_json(training))
        if not (folder / FIT).is_file():  # also after a kill between the two
            scene.keep_fit(training, folder)
        trainer.train()
        with atomic(folder / MACHINE) as stream:
            machine = describe(threads=training.threads, device=training.device)
            stream.write(orjson.dumps(machine, option=orjson.OPT_INDENT_2))
    finally:
        run.close()


def _play(config: Config, run: Path) -> None:
    found = worlds.find(config.env, config.data)
    files = {split: predictions_of(run, split) for split in (SEEN, UNSEEN)}
    missing = [split for split, file in files.items() if not is_fresh(file, run / LAST)]
    if not missing:
        return
    player = open_player(_choice(config, run, split=missing[0], data=config.data))
    for split in missing:
        episodes = load_episodes(found.dataset, split, data=found.data, graph=player.graph)
        evaluate(replace(player, episodes=episodes), file=files[split])


def _play_twins(twins: Path, config: Config, run: Path) -> None:
    made = r2r.file_of(twins, TWIN)
    files = {name: predictions_of(run, twin_split(name)) for name in (ORIGINAL, TWIN)}
    if all(is_fresh(file, run / LAST, made) for file in files.values()):
        return
    player = open_player(_choice(config, run, split=ORIGINAL, data=twins, env=TWINS_ENV))
    pairs = load_twins(twins, player.graph)
    for name, episodes in ((ORIGINAL, pairs.original), (TWIN, pairs.twin)):
        evaluate(replace(player, episodes=episodes), file=files[name])


def _choice(
    config: Config, run: Path, *, split: str, data: Path | None, env: str | None = None
) -> Choice:
    return Choice(
        split=split,
        run=run,
        env=env,
        checkpoint="last",
        data=data,
        device=config.device,
        threads=config.threads,
    )


def is_fresh(file: Path, *sources: Path) -> bool:
    """Tells whether a file is there and not older than what it was made from."""
    return file.is_file() and all(
        file.stat().st_mtime_ns >= source.stat().st_mtime_ns for source in sources
    )
