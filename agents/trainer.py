"""Trains a follower: updates, evaluations, checkpoints, and going on after a kill.

A checkpoint holds weights, optimiser, random states and the place in the data order, so a resumed
run gives the numbers of one that never stopped.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from agents.base import Ints
from agents.config import TrainConfig
from agents.evaluation import evaluate
from agents.follower import losses
from agents.follower.model import Follower
from agents.follower.policy import CODES, Record
from agents.rollout import Rollout, play
from agents.scene import Scene, build_policy, log_cut_instructions, remedy, training_split
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln import checkpoint
from vln.data.episodes import EpisodeSet
from vln.encoders.handle import Handle
from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import Run

logger = logging.getLogger(__name__)

LAST, BEST = "checkpoints/last.safetensors", "checkpoints/best.safetensors"


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        iteration: Updates done.
        best: Best success rate on the selection split, in percent.
        best_iteration: When that was.
        seconds: Spent on updates.
    """

    iteration: int = 0
    best: float = -1.0
    best_iteration: int = 0
    seconds: float = 0.0


class Trainer:
    """One follower in training.

    Args:
        config: What to train.
        scene: Data, graph and features.
        run: Where results go.
    """

    def __init__(self, config: TrainConfig, scene: Scene, run: Run) -> None:
        self.config, self.scene, self.run = config, scene, run
        self.progress = Progress()
        for name in (config.select, *config.evaluate):
            _check_labels(scene.episodes(name))
        split = training_split(config)
        episodes = scene.episodes(split)
        rows = config.batch * (2 if config.learning.reinforcement else 1)
        if len(episodes) < rows:
            raise BadConfig(
                f"{config.env} {split} has {len(episodes)} episodes, and an update takes {rows}. "
                "Choose a smaller --batch."
            )
        self._episodes = PanoramaVectorEnv(
            num_envs=rows, graph=scene.graph, episodes=episodes, max_steps=config.max_steps
        )
        self._episodes.np_random = run.rng("episodes")
        self._env = VectorExpertActions(self._episodes)
        self.policy = build_policy(config, scene)
        log_cut_instructions(episodes, self.policy)
        self.optimizer = torch.optim.RMSprop(self.model.parameters(), lr=config.optim.lr)
        self._feedback = np.full(rows, CODES["sample"])
        self._feedback[: config.batch] = CODES[config.learning.imitation_feedback]

    @property
    def model(self) -> Follower:
        """The networks in training."""
        return self.policy.model

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
        """Plays a batch, moves the weights once, and gives the losses."""
        self.model.train()
        self.policy.record = record = Record()
        self.policy.feedback = self._feedback
        rollout = play(self._env, self.policy)
        loss, parts = self._loss(rollout, record)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip = self.config.optim.clip
        norms = [
            torch.nn.utils.clip_grad_norm_(part.parameters(), clip)
            for part in (self.model.encoder, self.model.decoder)
        ]
        if not all(bool(torch.isfinite(norm)) for norm in norms):
            raise BadConfig(
                f"the gradient is not finite after {self.progress.iteration} updates (losses "
                f"{parts}). Lower --optim.lr or use --optim.precision float32."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.step()
        self.policy.record = None
        return parts

    def _learning_rate(self) -> float:
        optim = self.config.optim
        done = self.progress.iteration / self.config.iterations
        return optim.lr * (1 - done if optim.schedule == "linear" else 1)

    def _loss(self, rollout: Rollout, record: Record) -> tuple[Tensor, dict[str, float]]:
        """Gives the weighted sum of imitation and actor-critic losses, and each part's value."""
        learning, batch = self.config.learning, self.config.batch
        log_policy = losses.log_policy_of(record.logits)
        rows = np.concatenate([step.rows for step in rollout.steps])
        taught = rows < batch
        expert = np.concatenate([_known(step.expert) for step in rollout.steps])
        imitated = losses.imitation_loss(
            log_policy[self._tensor(np.flatnonzero(taught))],
            self._tensor(expert[taught]),
            batch=batch,
        )
        loss = learning.imitation_weight * imitated
        parts = {"imitation_loss": float(imitated.detach())}
        if learning.reinforcement:
            terms = self._actor_critic(rollout, record, log_policy, np.flatnonzero(~taught))
            loss = loss + terms.total(entropy_weight=learning.entropy_weight)
            parts |= {
                "policy_loss": float(terms.policy.detach()),
                "value_loss": float(terms.value.detach()),
                "entropy": float(terms.entropy.detach()),
                "sampled_steps": float((~taught).sum() / batch),
            }
        return loss, parts

    def _actor_critic(
        self, rollout: Rollout, record: Record, log_policy: Tensor, chosen: Ints
    ) -> losses.ActorCritic:
        last = np.zeros(self._env.num_envs)
        if len(rollout.cut.rows):
            last[rollout.cut.rows] = self.policy.values(rollout.cut)
        returns = losses.discounted_returns(
            [step.reward for step in rollout.steps],
            [step.rows for step in rollout.steps],
            last,
            discount=self.config.learning.discount,
        )
        action = np.concatenate([step.action for step in rollout.steps])[chosen]
        place = self._tensor(chosen)
        hidden = torch.cat(record.hidden)[place]
        return losses.actor_critic(
            log_policy[place],
            self._tensor(action),
            self._tensor(np.concatenate(returns)[chosen].astype(np.float32)),
            self.model.critic(hidden, self.policy.dropout),
        )

    def _tensor(self, values: Any) -> Tensor:  # noqa: ANN401
        return torch.from_numpy(values).to(self.config.device)

    def _checkpoint(self, means: dict[str, float]) -> str:
        """Evaluates, logs, and saves; gives a line for the progress bar."""
        config, progress = self.config, self.progress
        values: dict[str, Any] = dict(means)
        for split in dict.fromkeys((config.select, *config.evaluate)):
            scores = evaluate(self.policy, self.scene, split, max_steps=config.max_steps)
            values |= {f"{split}/{name}": value for name, value in scores.mean().items()}
        success = 100 * values[f"{config.select}/success"]
        values["update_seconds"] = progress.seconds
        is_best = success > progress.best
        if is_best:
            progress.best, progress.best_iteration = success, progress.iteration
        self.run.log(progress.iteration, values)
        if is_best:
            self.save(BEST)
        self.save(LAST)
        return f"{config.select} SR {success:.1f}, best {progress.best:.1f}"

    def save(self, name: str) -> None:
        """Writes a checkpoint into the run's folder."""
        tensors = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        if name == LAST:
            tensors |= self._optimizer_tensors()
        state = {
            "progress": vars(self.progress),
            "generators": self.policy.generators(),
            "episodes": self._episodes.state(),
            "vocabulary": list(self.policy.vocabulary.words),
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
        if state["world"] != self.scene.graph.world or state["features"] != self.scene.fingerprint:
            raise CheckpointMismatch(
                f"{self.run.folder} was trained on other data or features than those found now. "
                + remedy(self.config, self.scene.data)
            )
        model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        checkpoint.load_weights(self.model, model, source=file)
        self._restore_optimizer(tensors)
        self.policy.restore_generators(state["generators"])
        self._episodes.restore(state["episodes"])
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


def _check_labels(episodes: EpisodeSet) -> None:
    """Refuses a split that could not be scored, before hours of training rather than after."""
    if any(episode.reference is None for episode in episodes):
        raise BadConfig(
            f"split {episodes.split!r} has no labels, so it can neither select checkpoints nor be "
            "reported. Choose --select and --evaluate among the splits with labels."
        )


def _known(expert: Ints | None) -> Ints:
    assert expert is not None
    return expert


def run_folder(config: TrainConfig) -> Path:
    """Gives the default folder of a run, under `runs/` in the working directory."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    hidden = "" if config.hide == "nothing" else f"-no-{config.hide}"
    eyes = "" if config.eyes == "own" else f"-{config.eyes}"
    encoder = Handle.parse(config.encoder).slug
    return Path("runs") / f"{config.env}-{encoder}{eyes}{hidden}-seed{config.seed}-{stamp}"
