"""EnvDrop's losses: imitation of the expert, and advantage actor-critic on progress.

Sees tensors only. Legend: n actions of all steps and rows together, K candidates at most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]


def imitation_loss(log_policy: Tensor, expert: Tensor, *, batch: int) -> Tensor:
    """Gives the cross-entropy of expert actions, summed over steps, divided by the batch size.

    Args:
        log_policy: (n, K + 1) log-probabilities.
        expert: (n,) int64.
        batch: Number of episodes the n actions come from.
    """
    return -log_policy.gather(1, expert[:, None]).sum() / batch


class ActorCritic(NamedTuple):
    """The three terms of the actor-critic loss, scalars, already averaged over actions."""

    policy: Tensor
    value: Tensor
    entropy: Tensor

    def total(self, *, entropy_weight: float) -> Tensor:
        """Gives the loss: policy + 0.5 value error - weighted entropy."""
        return self.policy + 0.5 * self.value - entropy_weight * self.entropy


def actor_critic(
    log_policy: Tensor, action: Tensor, returns: Tensor, values: Tensor
) -> ActorCritic:
    """Gives advantage actor-critic terms, averaged over all actions ("total" normalisation).

    Args:
        log_policy: (n, K + 1) log-probabilities, -inf where illegal.
        action: (n,) int64, the actions taken.
        returns: (n,) discounted returns, no gradient.
        values: (n,) the critic's estimates.
    """
    advantage = returns - values.detach()
    taken = log_policy.gather(1, action[:, None])[:, 0]
    entropy = -(log_policy.exp() * log_policy.clamp_min(-1e9)).sum(dim=1)
    return ActorCritic(
        policy=-(taken * advantage).mean(),
        value=((returns - values) ** 2).mean(),
        entropy=entropy.mean(),
    )


def discounted_returns(
    rewards: list[Floats], rows: list[npt.NDArray[np.int64]], last: Floats, *, discount: float
) -> list[Floats]:
    """Gives the return of every action: G_t = r_t + discount G_(t+1).

    Args:
        rewards: Per step, of the rows that acted.
        rows: Per step, which rows acted.
        last: (B,) what follows the last action of a row: 0 where it stopped, the critic's estimate
            where it ran out of steps.
        discount: Per step.
    """
    future = last.astype(np.float64)
    returns: list[Floats] = []
    for reward, row in zip(reversed(rewards), reversed(rows), strict=True):
        future[row] = reward + discount * future[row]
        returns.append(future[row])
    return returns[::-1]


def log_policy_of(logits: list[Tensor]) -> Tensor:
    """Gives (n, K + 1) log-probabilities of all steps' logits together."""
    return torch.log_softmax(torch.cat(logits), dim=1)
