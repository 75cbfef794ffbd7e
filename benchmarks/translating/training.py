"""Trains and plays the runs of the study of back-translation; what is done already is skipped.

A run waits for those that it begins with, also where another process trains them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Final

import orjson
import torch

from agents.lessons.translation import extra_paths
from agents.scene import Scene
from agents.trainer import BEST, LAST
from benchmarks.players import Choice, Player, open_player
from benchmarks.study.setup import SEEN, UNSEEN, predictions_of
from benchmarks.study.training import is_fresh, is_trained, train
from benchmarks.study.turns import Task, finish_all, take_turns
from benchmarks.translating.setup import (
    FOLLOWER,
    MASKS,
    SPEAKER,
    TOLD,
    TOLD_PATHS,
    Config,
    needs_of,
    rows_of,
    run_of,
    told_file,
    training_of,
)
from benchmarks.translating.spoken import ask, is_asked, spoken_folder
from benchmarks.translating.walkers import Walker, Walking, walkers_of
from vln import worlds
from vln.data.predictions import write_predictions
from vln.encoders import looks
from vln.errors import CheckpointMismatch
from vln.houses.world.tell import tell_paths
from vln.runs import atomic

logger = logging.getLogger(__name__)

KEPT: Final = {FOLLOWER: LAST, SPEAKER: BEST}
"""Which weights of a run others begin with or are told by."""
BEGUN_WITH: Final = "begun_with.json"
"""In a run's folder: digests of the weights and paths that it began with."""


def train_all(config: Config) -> None:
    """Trains and plays what is missing of a study.

    A run that cannot be trained keeps no others from it but those that begin with it.

    Raises:
        BadConfig: Some runs could not be finished; the message says which and why.
        MissingData: The world is not there.
    """
    rows_of(config)
    worlds.locate(config.env, config.data, pictures=looks(config.encoder))
    study = Study(config)
    if config.jobs > 1:
        assert study.scene  # makes features, so that no two processes want to
    finish_all(work, config, jobs=config.jobs, tasks=len(list(study.tasks())))


def work(config: Config) -> dict[str, str]:
    """Finishes every run that no other process has in hand; says why of each that it has not.

    Raises:
        CannotWrite: There is no room, or no permission.
    """
    torch.set_num_threads(config.threads)
    return take_turns(list(Study(config).tasks()), out=config.out)


class Study:
    """The runs of a study, and the scene that all of them share.

    Args:
        config: The study.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._walkers = walkers_of(config)

    @cached_property
    def scene(self) -> Scene:
        """Data, graph and features, opened when they are first asked for."""
        return Scene.open(training_of(self._config, FOLLOWER, 0), self._config.data)

    def tasks(self) -> Iterator[Task]:
        """Gives what there is to do, all of seed 0, then of seed 1, ...

        Raises:
            BadConfig, UnknownName: See `rows_of`.
        """
        names = [row.name for row in rows_of(self._config)]
        speaks = any(name in MASKS for name in names) or self._config.search > 0
        if TOLD in names:
            yield Task(TOLD_PATHS, self._tell)
        for seed in range(self._config.seeds):
            for name in dict.fromkeys((FOLLOWER, *((SPEAKER,) if speaks else ()), *names)):
                yield self._task(name, seed)
            if speaks:
                needed = tuple(self._run(name, seed).name for name in (FOLLOWER, SPEAKER))
                task = partial(self._ask, seed)
                yield Task(spoken_folder(self._config, seed).name, task, needed)

    def _task(self, name: str, seed: int) -> Task:
        needed = [self._run(other, seed).name for other in needs_of(name)]
        needed += [TOLD_PATHS] if name == TOLD else []
        if self._config.search and name != SPEAKER:
            needed.append(self._run(SPEAKER, seed).name)
        run = self._run(name, seed)
        return Task(run.name, partial(self._finish, name, seed), tuple(needed))

    def _run(self, name: str, seed: int) -> Path:
        return run_of(self._config, name, seed)

    def _finish(self, name: str, seed: int) -> None:
        training, run = training_of(self._config, name, seed), self._run(name, seed)
        self._check_beginnings(name, seed)
        if not is_trained(run, training, self.scene):
            train(run, training, self.scene)
        if name != SPEAKER:
            self._walk(name, seed)

    def _check_beginnings(self, name: str, seed: int) -> None:
        """Keeps what a run begins with on record; refuses one that began with something else.

        Raises:
            CheckpointMismatch: The follower, the speaker or the paths have been made anew since.
        """
        run = self._run(name, seed)
        sources = {other: self._run(other, seed) / KEPT[other] for other in needs_of(name)}
        if name == TOLD:
            sources[TOLD_PATHS] = told_file(self._config, seed)
        found = {key: _digest(source) for key, source in sources.items()}
        file = run / BEGUN_WITH
        if not (run / "config.json").is_file():
            with atomic(file) as stream:
                stream.write(orjson.dumps(found, option=orjson.OPT_INDENT_2))
            return
        kept = orjson.loads(file.read_bytes()) if file.is_file() else {}
        unlike = [key for key, digest in found.items() if kept.get(key) != digest]
        if unlike:
            raise CheckpointMismatch(
                f"{run} began with another {', '.join(unlike)} than {self._config.out} has now. "
                "Remove it to train it again, or choose another --out."
            )

    def _walk(self, name: str, seed: int) -> None:
        run, device = self._run(name, seed), self._config.device
        for walker in self._walkers:
            missing = [split for split in (SEEN, UNSEEN) if not _has_walked(run, split, walker)]
            if not missing:
                continue
            walks = walker.begin(
                Walking(self._player(run), self.scene, self._run(SPEAKER, seed), device)
            )
            for split in missing:
                for title, trajectories in walks(self.scene.episodes(split)).items():
                    write_predictions(trajectories, predictions_of(run, split, walker=title))

    def _player(self, run: Path) -> Player:
        config = self._config
        return open_player(
            Choice(
                split=SEEN,
                run=run,
                checkpoint="last",
                data=config.data,
                device=config.device,
                threads=config.threads,
            )
        )

    def _tell(self) -> None:
        """Writes the instructions of all seeds' sampled paths: one look around the homes for all.

        In this process alone: beside it, others train.
        """
        config = self._config
        missing = [s for s in range(config.seeds) if not told_file(config, s).is_file()]
        if not missing:
            return
        asked = {seed: training_of(config, "translation", seed) for seed in missing}
        paths = {seed: extra_paths(one, self.scene).episodes for seed, one in asked.items()}
        logger.info("writing instructions for %d paths", sum(map(len, paths.values())))
        for seed, records in tell_paths(self.scene.data, paths).items():
            with atomic(told_file(config, seed)) as stream:
                stream.write(orjson.dumps(records))

    def _ask(self, seed: int) -> None:
        config = self._config
        follower, speaker = (self._run(name, seed) for name in (FOLLOWER, SPEAKER))
        folder = spoken_folder(config, seed)
        sources = follower / LAST, speaker / BEST
        missing = [split for split in (SEEN, UNSEEN) if not is_asked(folder, split, *sources)]
        if not missing:
            return
        player = self._player(follower)
        for split in missing:
            ask(
                player,
                speaker,
                self.scene,
                split=split,
                seed=seed,
                out=folder,
                device=config.device,
            )


def _has_walked(run: Path, split: str, walker: Walker) -> bool:
    files = [predictions_of(run, split, walker=name) for name in walker.names]
    return all(is_fresh(file, run / LAST) for file in files)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
