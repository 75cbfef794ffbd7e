"""What a trainer asks of lessons: gradients of one update, and how good the agent is by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import nn

from vln.data.episodes import EpisodeSet
from vln.errors import BadConfig
from vln.text import Vocabulary


class Lessons(Protocol):
    """One agent in training, whatever it is taught."""

    @property
    def model(self) -> nn.Module:
        """All networks in training."""

    @property
    def clipped(self) -> Sequence[nn.Module]:
        """The networks whose gradient norm is bounded, each by itself."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The words it knows."""

    def accumulate(self) -> dict[str, float]:
        """Adds the gradients of one update to the networks', and gives the losses by name."""

    def judge(self, split: str) -> Mapping[str, float]:
        """Gives what is measured on a split, by name."""

    def merit(self, judged: Mapping[str, float]) -> float:
        """Gives the percentage of `judge`'s that chooses checkpoints."""

    @property
    def merit_name(self) -> str:
        """What that is called in tables, such as SR."""

    def state(self) -> dict[str, Any]:
        """Gives what the next updates depend on beside the weights, for a checkpoint."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken."""


def check_labels(episodes: EpisodeSet) -> None:
    """Refuses a split that could not be scored, before hours of training rather than after.

    Raises:
        BadConfig: It has no labels.
    """
    if any(episode.reference is None for episode in episodes):
        raise BadConfig(
            f"split {episodes.split!r} has no labels, so it can neither select checkpoints nor be "
            "reported. Choose --select and --evaluate among the splits with labels."
        )
