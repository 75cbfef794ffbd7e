"""What all measurements share: settings, the graph, and stores of random features."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from agents.config import LearningConfig, ModelConfig, OptimConfig, TrainConfig
from agents.lessons.follower import FollowerLessons
from agents.scene import Scene
from agents.trainer import Trainer
from benchmarks.speed.rows import Clock
from vln.data.connectivity import load_graph
from vln.data.episodes import EpisodeSet, load_episodes
from vln.features import store
from vln.features.source import FeatureTable
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph
from vln.runs import Run, generator

BLIND = 0
"""The width of an agent without features."""
CHUNK = 256


@dataclass(frozen=True, eq=False)
class Setting:
    """Settings and what is made from them once.

    Attributes:
        data: The world's folder.
        scratch: Folder for feature stores and runs; whoever made it deletes it.
        quick: Do as little as shows that it works.
        repeats: Timed repeats.
        device: Where networks and the simulator's arrays live: cpu or cuda.
        threads: Threads of matrix products on a CPU.
        widths: Features per view to train with.
        run: A trained run to evaluate; a blind agent is trained lightly where None.
    """

    data: Path
    scratch: Path
    quick: bool = False
    repeats: int = 5
    device: str = "cpu"
    threads: int = 1
    widths: tuple[int, ...] = (512, 1024, 2048)
    run: Path | None = None
    _tables: dict[int, FeatureTable] = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        """Processor time for one thread, the wall clock for several or a GPU."""
        return "cpu" if self.device == "cpu" and self.threads == 1 else "wall"

    @cached_property
    def graph(self) -> NavGraph:
        """The world's graph."""
        return load_graph(self.data)

    @property
    def batch(self) -> int:
        """Episodes per mini-batch of an update."""
        return 8 if self.quick else 64

    @property
    def model(self) -> ModelConfig:
        """The follower's sizes: EnvDrop's."""
        return ModelConfig(word=32, hidden=64) if self.quick else ModelConfig()

    def episodes(self, split: str) -> EpisodeSet:
        """Gives R2R's episodes of a split."""
        return load_episodes("r2r", split, data=self.data, graph=self.graph)

    def settle(self) -> None:
        """Waits for the device."""
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)

    def features_folder(self, width: int) -> Path:
        """Gives the folder of the store that `features` writes."""
        return store.folder_of(self.graph, cache=self.scratch) / _store_name(width)

    def features(self, width: int) -> FeatureTable:
        """Gives random float16 features, mapped anew from a store that is written once."""
        folder = self.features_folder(width)
        if not folder.exists():
            encoder, _, fingerprint = _store_name(width).partition("-")
            store.write(
                self._random(width),
                self.graph,
                encoder=encoder,
                fingerprint=fingerprint,
                cache=self.scratch,
            )
        return store.read(folder, self.graph)

    def _random(self, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        rng = generator(0, f"benchmark features/{width}")
        values = np.empty((len(self.graph.viewpoints), NUM_VIEWS, width), dtype=np.float16)
        for start in range(0, len(values), CHUNK):
            part = values[start : start + CHUNK]
            part[:] = rng.random(part.shape, dtype=np.float32) * 2 - 1
        return values

    def trainer(self, width: int, *, reinforcement: bool, precision: str = "float32") -> Trainer:
        """Gives EnvDrop's follower before its first update, on batches that a seed fixes.

        Args:
            width: Features per view; `BLIND` for none.
            reinforcement: Imitation and reward, or imitation alone.
            precision: Of matrix products on a CPU.
        """
        learning = LearningConfig(
            imitation_weight=0.2 if reinforcement else 1.0, reinforcement=reinforcement
        )
        config = TrainConfig(
            optim=OptimConfig(precision=precision),  # type: ignore[arg-type]
            learning=learning,
        )
        return self.trainer_of(config, width)

    def trainer_of(self, config: TrainConfig, width: int) -> Trainer:
        """Gives a trainer before its first update.

        Args:
            config: What to train; batch, sizes, device and threads are this setting's.
            width: Features per view; `BLIND` for none.
        """
        model = replace(config.model, word=self.model.word, hidden=self.model.hidden)
        config = replace(
            config,
            encoder="none" if width == BLIND else "random",
            batch=self.batch,
            device=self.device,
            threads=self.threads,
            model=model,
        )
        features = None if width == BLIND else self.features(width)
        scene = Scene("r2r", self.data, self.graph, features)
        return Trainer(config, scene, Run(self.scratch / "run", seed=0))


def follower_of(trainer: Trainer) -> FollowerLessons:
    """Gives what a trainer from here teaches."""
    assert isinstance(trainer.lessons, FollowerLessons)
    return trainer.lessons


def _store_name(width: int) -> str:
    return f"benchmark{width}-{hashlib.sha256(str(width).encode()).hexdigest()[: store.SHORT]}"
