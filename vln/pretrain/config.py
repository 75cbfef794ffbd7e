"""What one pre-training is made of, as a frozen dataclass; the command line mirrors it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vln.errors import BadConfig
from vln.nn.precision import Precision, native_precision
from vln.pretrain.augment import Augmentation

Objective = Literal["contrastive", "labels", "told", "alone", "untrained"]


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """One tower's training."""

    env: str = "houses-pretrain-v1"
    """A world with captions and pictures, whose homes no agent walks."""
    objective: Objective = "contrastive"
    """What teaches the tower. contrastive: captions, against each other. labels: categories of the
    objects named. told: labels of all that captions say (objects with colours, room, relations,
    finishes). alone: two crops of one picture, without words. untrained: nothing."""
    seed: int = 0
    """The one seed everything random derives from."""
    updates: int = 4000
    """Weight updates."""
    batch: int = 128
    """Pictures of an update."""
    lr: float = 1.5e-3
    """Highest learning rate; it rises over the first updates and falls along a cosine."""
    warmup: int = 200
    """Updates until the highest learning rate."""
    weight_decay: float = 0.05
    """Of AdamW, on matrices."""
    evaluate_every: int = 500
    """Updates between measurements on unseen homes, and checkpoints."""
    precision: Precision = field(default_factory=native_precision)
    """Of the products on a CPU or GPU; by itself the faster one of this machine's processor."""
    device: str = "cpu"
    """Where it trains."""
    threads: int = 1
    """Threads of matrix products on a CPU; more than free cores is slower than one."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name in ("updates", "evaluate_every", "threads"):
            if getattr(self, name) < 1:
                raise BadConfig(f"{name} is {getattr(self, name)}; expected 1 or more.")
        if self.batch < 2:
            raise BadConfig(f"a batch of {self.batch}; expected 2 or more, to tell apart.")
        if self.warmup < 0:
            raise BadConfig(f"warmup is {self.warmup}; expected 0 or more.")
