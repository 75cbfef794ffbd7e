"""Trains an agent: updates, evaluations, checkpoints, and going on after a kill.

A checkpoint holds weights, optimiser, random states and the place in the data order, so a resumed
run gives the numbers of one that never stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from tqdm import tqdm

from agents.config import TrainConfig
from agents.lessons.base import Lessons, check_labels
from agents.lessons.registry import LESSONS
from agents.scene import Scene, remedy
from vln import checkpoint
from vln.encoders.handle import Handle
from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import Run

logger = logging.getLogger(__name__)

LAST, BEST = "checkpoints/last.safetensors", "checkpoints/best.safetensors"
METHODS: Final = {"rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam}


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        iteration: Updates done.
        best: Best success rate, or BLEU, on the selection split, in percent.
        best_iteration: When that was.
        seconds: Spent on updates.
    """

    iteration: int = 0
    best: float = -1.0
    best_iteration: int = 0
    seconds: float = 0.0


class Trainer:
    """One agent in training.

    Args:
        config: What to train.
        scene: Data, graph and features.
        run: Where results go.
    """

    def __init__(self, config: TrainConfig, scene: Scene, run: Run) -> None:
        self.config, self.scene, self.run = config, scene, run
        self.progress = Progress()
        for name in (config.select, *config.evaluate):
            check_labels(scene.episodes(name))
        self.lessons: Lessons = LESSONS[config.agent](config, scene, run)
        method = METHODS[config.optim.method]
        self.optimizer = method(self.model.parameters(), lr=config.optim.lr)

    @property
    def model(self) -> nn.Module:
        """The networks in training."""
        return self.lessons.model

    def train(self) -> None:
        """Runs to the last update, evaluating and saving on the way."""
        config, progress = self.config, self.progress
        bar = tqdm(
            total=config.iterations, initial=progress.iteration, unit="update", smoothing=0.05
        )
        sums: dict[str, float] = {}
        count = 0
        with bar:
            while progress.iteration < config.iterations:
                start = time.perf_counter()
                for key, value in self.update().items():
                    sums[key] = sums.get(key, 0.0) + value
                progress.seconds += time.perf_counter() - start
                progress.iteration += 1
                count += 1
                bar.update()
                if (
                    progress.iteration % config.evaluate_every == 0
                    or progress.iteration == config.iterations
                ):
                    means = {key: value / count for key, value in sums.items()}
                    bar.set_postfix_str(self._checkpoint(means))
                    sums, count = {}, 0

    def update(self) -> dict[str, float]:
        """Moves the weights once, and gives the losses."""
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.lessons.accumulate()
        clip = self.config.optim.clip
        norms = [
            torch.nn.utils.clip_grad_norm_(part.parameters(), clip) for part in self.lessons.clipped
        ]
        if not all(bool(torch.isfinite(norm)) for norm in norms):
            raise BadConfig(
                f"the gradient is not finite after {self.progress.iteration} updates (losses "
                f"{parts}). Lower --optim.lr or use --optim.precision float32."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.step()
        return parts

    def _learning_rate(self) -> float:
        optim = self.config.optim
        done = self.progress.iteration / self.config.iterations
        return optim.lr * (1 - done if optim.schedule == "linear" else 1)

    def _checkpoint(self, means: dict[str, float]) -> str:
        """Evaluates, logs, and saves; gives a line for the progress bar."""
        config, progress = self.config, self.progress
        values: dict[str, Any] = dict(means)
        judged: dict[str, Mapping[str, float]] = {}
        for split in dict.fromkeys((config.select, *config.evaluate)):
            judged[split] = self.lessons.judge(split)
            values |= {f"{split}/{name}": value for name, value in judged[split].items()}
        merit = self.lessons.merit(judged[config.select])
        values["update_seconds"] = progress.seconds
        is_best = merit > progress.best
        if is_best:
            progress.best, progress.best_iteration = merit, progress.iteration
        self.run.log(progress.iteration, values)
        if is_best:
            self.save(BEST)
        self.save(LAST)
        return f"{config.select} {self.lessons.merit_name} {merit:.1f}, best {progress.best:.1f}"

    def save(self, name: str) -> None:
        """Writes a checkpoint into the run's folder."""
        tensors = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        if name == LAST:
            tensors |= self._optimizer_tensors()
        state = {
            "progress": vars(self.progress),
            **self.lessons.state(),
            "vocabulary": list(self.lessons.vocabulary.words),
            "features": self.scene.fingerprint,
            "features_dim": 0 if self.scene.features is None else self.scene.features.dim,
            "world": self.scene.graph.world,
        }
        checkpoint.save(self.run.folder / name, tensors=tensors, state=state)

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        held = self.optimizer.state_dict()["state"]
        return {
            f"optimizer.{index}.{key}": torch.as_tensor(value)
            for index, values in held.items()
            for key, value in values.items()
        }

    def resume(self) -> None:
        """Goes on from the run's last checkpoint, or from the start where there is none yet.

        Raises:
            CheckpointMismatch: The data or features are not those the run was started with.
        """
        file = self.run.folder / LAST
        if not file.exists():
            self.run.rewind(0)
            return
        tensors, state = checkpoint.load(file)
        if "source" in state:
            raise CheckpointMismatch(
                f"{self.run.folder} was imported: how its training would go on is not known. Begin "
                f"another run from its weights with --start {self.run.folder}."
            )
        if state["world"] != self.scene.graph.world or state["features"] != self.scene.fingerprint:
            raise CheckpointMismatch(
                f"{self.run.folder} was trained on other data or features than those found now. "
                + remedy(self.config, self.scene.data)
            )
        model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        checkpoint.load_weights(self.model, model, source=file)
        self._restore_optimizer(tensors)
        self.lessons.restore(state)
        self.progress = Progress(**state["progress"])
        self.run.rewind(self.progress.iteration)
        logger.info("resuming %s after %d updates", self.run.folder, self.progress.iteration)

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        held: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                held.setdefault(int(index), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": held, "param_groups": groups})


def run_folder(config: TrainConfig) -> Path:
    """Gives the default folder of a run, under `runs/` in the working directory."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    hidden = "" if config.hide == "nothing" else f"-no-{config.hide}"
    eyes = "" if config.eyes == "own" else f"-{config.eyes}"
    encoder = Handle.parse(config.encoder).slug
    return Path("runs") / f"{config.env}-{encoder}{eyes}{hidden}-seed{config.seed}-{stamp}"
