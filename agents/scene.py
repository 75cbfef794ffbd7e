"""What an agent needs around it: data, graph, eyes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from agents.config import TrainConfig
from vln import worlds
from vln.data import r2r
from vln.data.connectivity import load_graph
from vln.data.episodes import DATASETS, EpisodeSet, load_episodes
from vln.encoders import World, check, keep_fit, learns
from vln.errors import BadConfig, CheckpointMismatch
from vln.features.online import EncodedViews, served_views
from vln.features.opened import open_features
from vln.features.source import FeatureTable, KnownSource
from vln.graph import NavGraph
from vln.runs import generator

FIT = "object_fit.json"
"""What a run's encoder has learnt from its training scans, where it learns anything."""


@dataclass(frozen=True)
class Scene:
    """The data of one run.

    Attributes:
        dataset: Registered name of the data set.
        data: The world's folder.
        graph: Its graph.
        features: What its encoder makes of it; None for a blind agent.
    """

    dataset: str
    data: Path
    graph: NavGraph
    features: KnownSource | None
    _loaded: dict[str, EpisodeSet] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        config: TrainConfig,
        data: Path | None = None,
        *,
        env: str = "",
        run: Path | None = None,
    ) -> Scene:
        """Gives the scene of a configuration.

        Args:
            config: What is trained, or was.
            data: The folder; see `vln.worlds.find`.
            env: Another data set or world than the configuration's.
            run: Folder of the run that brings along what its encoder has learnt; it learns from
                this data where None.

        Raises:
            UnknownName: No such encoder, data set or world.
            MissingData: Data or features are not there.
            ServiceClosed: The configuration names a server that does not answer.
            CorruptData: A file cannot be used.
            CheckpointMismatch: The run does not bring along what its encoder has learnt, and this
                is not the world that it learnt from.
        """
        check(config.encoder)
        found = worlds.find(env or config.env, data)
        graph = load_graph(found.data)
        fit = None
        if run is not None and learns(config.encoder):
            fit = _fit_of(run, config, env=env or config.env, data=found.data)
        world = World(found.data, graph, fit=fit)
        return cls(found.dataset, found.data, graph, _seen(config, world))

    def keep_fit(self, config: TrainConfig, run: Path) -> None:
        """Writes into a run's folder what its encoder has learnt, for `open` in other worlds."""
        keep_fit(run / FIT, config.encoder, World(self.data, self.graph))

    def episodes(self, split: str) -> EpisodeSet:
        """Gives the episodes of a split, loaded once."""
        if split not in self._loaded:
            self._loaded[split] = load_episodes(
                self.dataset, split, data=self.data, graph=self.graph
            )
        return self._loaded[split]

    @property
    def fingerprint(self) -> str:
        """Identity of the features, empty for a blind agent."""
        return "" if self.features is None else self.features.fingerprint

    def close(self) -> None:
        """Leaves the server that encodes its features, where one does."""
        if isinstance(self.features, EncodedViews):
            self.features.close()


def _seen(config: TrainConfig, world: World) -> KnownSource | None:
    """Gives what a configuration's encoder makes of a world."""
    if config.service:
        socket = Path(config.service)
        return served_views(config.encoder, world, socket=socket, client=f"agent {config.agent}")
    features = open_features(config.encoder, world, device=config.device)
    if features is None or config.eyes == "own":
        return features
    return elsewhere(features, world.graph, rng=generator(config.seed, "eyes elsewhere"))


def elsewhere(features: FeatureTable, graph: NavGraph, *, rng: np.random.Generator) -> FeatureTable:
    """Gives each viewpoint the features of another one of its scan, always the same one.

    A scan of one viewpoint keeps its own.
    """
    row = np.empty_like(features.row)
    for start, end in zip(graph.first[:-1], graph.first[1:], strict=True):
        around = start + rng.permutation(end - start)  # each sees what the next of the round would
        row[around] = features.row[np.roll(around, -1)]
    return replace(features, row=row)


def _fit_of(run: Path, config: TrainConfig, *, env: str, data: Path) -> Path | None:
    """Gives a run's fit; None where it has none and this world can be learnt from instead."""
    fit = run / FIT
    if fit.is_file():
        return fit
    is_other = env != config.env and not (env in DATASETS and config.env in DATASETS)
    if is_other or not r2r.file_of(data, "train").is_file():
        raise CheckpointMismatch(
            f"{run} has no {FIT}, what --encoder {config.encoder} learnt from its training scans "
            f"in {config.env}, so it cannot see in {data}. Train it again with this version, or "
            "copy that file into the run."
        )
    return None


def remedy(config: TrainConfig, data: Path) -> str:
    """Gives what to do about a run that does not fit the data and features found."""
    where = (
        "Point VLN_DATA or --data and VLN_CACHE to the ones it was trained with"
        if config.env in DATASETS
        else f"The world {config.env} is now in {data}: point --data or VLN_CACHE to the one it "
        "was trained in"
    )
    return f"{where}; or it was trained by an older version: then train again."


def check_device(name: str) -> None:
    """Refuses a device that torch cannot use here.

    Raises:
        BadConfig: No such kind of device, or no GPU is visible.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadConfig(f"no device {name!r}; expected cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadConfig(f"--device {name}, but no GPU is visible. Use --device cpu.")


def training_split(config: TrainConfig) -> str:
    """Gives the split that is trained on: without the houses of `dev` where they select."""
    split = "train_fit" if config.select == "dev" else "train"
    return f"{split}@{config.labels}" if config.labels else split
