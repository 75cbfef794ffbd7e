"""Which runs of a study are finished, and the scores of the walks they kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.conditions import Condition, group
from benchmarks.flips import Flips, by_change, solved
from benchmarks.protocols import Scored, score_predictions
from benchmarks.study.setup import (
    PARTS,
    SEEN,
    UNSEEN,
    Row,
    Study,
    folder_of,
    predictions_of,
    twin_split,
)
from vln import worlds
from vln.data import r2r
from vln.data.connectivity import load_graph
from vln.data.episodes import load_episodes
from vln.data.predictions import read_predictions
from vln.data.splits import EpisodeSet
from vln.data.twins import ORIGINAL, TWIN, load_twins
from vln.errors import BadConfig
from vln.graph import NavGraph


@dataclass(frozen=True, eq=False)
class Walks:
    """The finished runs of a study.

    Attributes:
        config: The study.
        seeds: Rows with a finished run, and the seeds of those.
        missing: Names of runs that are not finished.
        walker: Who walked with them, see `predictions_of`.
    """

    config: Study
    seeds: Mapping[Row, tuple[int, ...]]
    missing: Sequence[str]
    walker: str = ""

    @classmethod
    def of(cls, config: Study, rows: Sequence[Row], *, walker: str = "") -> Walks:
        """Gives what is finished of some rows.

        Raises:
            BadConfig: Nothing is.
        """
        every = [(row, seed) for row in rows for seed in range(config.seeds)]
        done = [
            (row, seed)
            for row, seed in every
            if _has(folder_of(config, row, seed), SEEN, UNSEEN, walker=walker)
        ]
        if not done:
            raise BadConfig(
                f"no run in {config.out} is finished. Train them with the same command and "
                "--stage train, or name their folder with --out."
            )
        seeds = {row: tuple(seed for other, seed in done if other == row) for row, _ in done}
        missing = [folder_of(config, *run).name for run in every if run not in done]
        return cls(config, seeds, missing, walker)

    @cached_property
    def graph(self) -> NavGraph:
        """Where they walked."""
        return load_graph(worlds.find(self.config.env, self.config.data).data)

    def splits(self) -> list[str]:
        """Gives the splits that can be scored."""
        data = worlds.find(self.config.env, self.config.data).data
        return [SEEN, UNSEEN, *(part for part in PARTS if r2r.file_of(data, part).is_file())]

    def conditions(self, split: str) -> dict[str, Condition]:
        """Gives the scores by row; a part of val_unseen is scored from the walks over the whole.

        Raises:
            BadPredictions: Walks are not those of this split.
        """
        found = worlds.find(self.config.env, self.config.data)
        episodes = load_episodes(found.dataset, split, data=found.data, graph=self.graph)
        walked = UNSEEN if split in PARTS else split
        names = [row.name for row, seeds in self.seeds.items() for _ in seeds]
        scored = [
            self._scored(row, seed, walked, episodes, self.graph)
            for row, seeds in self.seeds.items()
            for seed in seeds
        ]
        return {condition.name: condition for condition in group(scored, names=names)}

    def flips(self, folder: Path) -> list[Flips]:
        """Gives the flips over the runs that have walked the twins in a folder."""
        graph = load_graph(folder)
        twins = load_twins(folder, graph)
        found: list[Flips] = []
        for row, seeds in self.seeds.items():
            runs = []
            for seed in seeds:
                run = folder_of(self.config, row, seed)
                if not _has(run, twin_split(ORIGINAL), twin_split(TWIN), walker=self.walker):
                    continue
                sides = ((ORIGINAL, twins.original), (TWIN, twins.twin))
                success = [
                    self._scored(row, seed, twin_split(name), episodes, graph).scores.success
                    for name, episodes in sides
                ]
                runs.append(solved(*success))
            if runs:
                found += by_change(row.name, np.stack(runs), twins, draws=self.config.draws)
        return found

    def _scored(
        self, row: Row, seed: int, walked: str, episodes: EpisodeSet, graph: NavGraph
    ) -> Scored:
        file = predictions_of(folder_of(self.config, row, seed), walked, walker=self.walker)
        return score_file(file, episodes, graph, env=self.config.env)


def score_file(file: Path, episodes: EpisodeSet, graph: NavGraph, *, env: str) -> Scored:
    """Gives the scores of walks that were kept.

    Raises:
        BadPredictions: They are not those of these episodes.
    """
    return score_predictions(
        read_predictions(file),
        file=str(file),
        split=episodes,
        graph=graph,
        protocol="envdrop",
        env=env,
    )


def _has(run: Path, *splits: str, walker: str) -> bool:
    return all(predictions_of(run, split, walker=walker).is_file() for split in splits)
