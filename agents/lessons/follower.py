"""Lessons of a follower on labelled paths: imitation of the expert, and reward.

Each update plays one batch: rows that learn from the expert and, with reinforcement, as many that
learn from the reward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.base import Ints
from agents.config import TrainConfig
from agents.evaluation import evaluate
from agents.follower import losses
from agents.follower.model import Follower
from agents.follower.policy import CODES, FollowerPolicy, Record
from agents.loading import build_policy, check_instructions
from agents.rollout import Environment, Rollout, play
from agents.scene import Scene, training_split
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln.errors import BadConfig
from vln.runs import Run
from vln.text import Vocabulary


class FollowerLessons:
    """Teaches a follower; see `agents.lessons.base.Lessons`.

    Args:
        config: What to train.
        scene: Data, graph and features.
        run: Whose seed decides the order of the episodes.

    Raises:
        BadConfig: There are fewer episodes than an update takes, or instructions nobody could
            follow.
        CheckpointMismatch: The run to start from does not fit.
    """

    merit_name = "SR"

    def __init__(self, config: TrainConfig, scene: Scene, run: Run) -> None:
        self.config, self.scene = config, scene
        split = training_split(config)
        episodes = scene.episodes(split)
        if len(episodes) < self.rows:
            raise BadConfig(
                f"{config.env} {split} has {len(episodes)} episodes, and an update takes "
                f"{self.rows}. Choose a smaller --batch."
            )
        self._episodes = PanoramaVectorEnv(
            num_envs=self.rows, graph=scene.graph, episodes=episodes, max_steps=config.max_steps
        )
        self._episodes.np_random = run.rng("episodes")
        self._env = VectorExpertActions(self._episodes)
        self.policy: FollowerPolicy = build_policy(config, scene)
        check_instructions(
            episodes,
            self.vocabulary,
            max_words=config.model.max_words,
            is_read=config.hide != "instruction",
        )
        self._feedback = np.full(self.rows, CODES["sample"])
        self._feedback[: config.batch] = CODES[config.learning.imitation_feedback]

    @property
    def rows(self) -> int:
        """Episodes of an update."""
        return self.config.batch * (2 if self.config.learning.reinforcement else 1)

    @property
    def model(self) -> Follower:
        """All networks in training."""
        return self.policy.model

    @property
    def clipped(self) -> Sequence[nn.Module]:
        """Encoder and decoder; the critic is not clipped, as in EnvDrop."""
        return (self.model.encoder, self.model.decoder)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words it knows."""
        return self.policy.vocabulary

    def accumulate(self) -> dict[str, float]:
        """Plays a batch, adds its gradients, and gives the losses."""
        return self._learn(self._env, weight=self.config.learning.imitation_weight)

    def _learn(
        self, env: Environment, *, weight: float, episodes: Ints | None = None
    ) -> dict[str, float]:
        """Plays episodes, the environment's next ones where none are named, and learns from them.

        Args:
            env: With as many rows as an update has.
            weight: Of the imitation loss.
            episodes: (rows,) indices.
        """
        self.model.train()
        self.policy.record = record = Record()
        self.policy.feedback = self._feedback
        rollout = play(env, self.policy, episodes)
        loss, parts = self._loss(rollout, record, weight=weight)
        loss.backward()  # type: ignore[no-untyped-call]
        self.policy.record = None
        return parts

    def _loss(
        self, rollout: Rollout, record: Record, *, weight: float
    ) -> tuple[Tensor, dict[str, float]]:
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
        loss = weight * imitated
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
        last = np.zeros(self.rows)
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

    def judge(self, split: str) -> Mapping[str, float]:
        """Gives the mean scores of greedy walks over a split."""
        scores = evaluate(self.policy, self.scene, split, max_steps=self.config.max_steps)
        return scores.mean()

    def merit(self, judged: Mapping[str, float]) -> float:
        """Gives the success rate in percent."""
        return 100 * judged["success"]

    def state(self) -> dict[str, Any]:
        """Gives generators and the order of the episodes."""
        return {"generators": self.policy.generators(), "episodes": self._episodes.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.policy.restore_generators(state["generators"])
        self._episodes.restore(state["episodes"])


def _known(expert: Ints | None) -> Ints:
    assert expert is not None
    return expert
