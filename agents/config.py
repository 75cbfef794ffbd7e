"""What a training run is made of, as frozen dataclasses; the command line mirrors them.

No field repeats a registry's names, and none means "auto".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from vln.errors import BadConfig, UnknownName

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of the follower; the defaults are EnvDrop's."""

    word: int = 256
    """Width of a word embedding."""
    hidden: int = 512
    """Width of the decoder, and of both encoder directions together."""
    dropout: float = 0.5
    """Probability on embeddings and states."""
    feature_dropout: float = 0.3
    """Probability on visual features."""
    max_words: int = 80
    """Words read of an instruction, begin and end marks included; longer ones are cut, and
    how many is said at the start."""


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How weights move; RMSprop as in EnvDrop."""

    lr: float = 1e-4
    """Learning rate, at the beginning."""
    schedule: Literal["constant", "linear"] = "constant"
    """EnvDrop's is constant; linear falls to nothing at the last update, so that a run's length
    belongs to its settings."""
    clip: float = 40.0
    """Largest gradient norm of encoder and of decoder, each."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products on a CPU."""


@dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """What is learnt from: the expert, the reward, or both."""

    imitation_weight: float = 0.2
    """Weight of the imitation loss; EnvDrop's 0.2 beside the reward, 1 alone."""
    imitation_feedback: Literal["teacher", "sample"] = "teacher"
    """Who walks while the expert is imitated: the expert, or the agent itself."""
    reinforcement: bool = True
    """Adds a second batch that is sampled and learnt from by advantage actor-critic."""
    discount: float = 0.9
    """Of rewards, per step."""
    entropy_weight: float = 0.01
    """Of the policy's entropy in the actor-critic loss."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    env: str = "r2r"
    """Data set or world to train on: r2r, r4r, houses."""
    encoder: str = "none"
    """What the agent sees with: none (blind), objects, image_stats, clip_rn50, clip_vit_b32,
    imagenet_resnet152, random_rn50, clip:FILE, open_clip:NAME/PRETRAINED, timm:NAME ...; words
    after a plus change how (clip_rn50+bf16+squash)."""
    service: str = ""
    """Socket of a running server (`python -m vln.service serve`) that holds the encoder: views are
    rendered and encoded as they are needed, instead of read from a store."""
    hide: Literal["nothing", "instruction"] = "nothing"
    """What the agent never gets, neither in training nor later: a control. `instruction` gives it
    empty ones."""
    eyes: Literal["own", "elsewhere"] = "own"
    """Whose features the agent gets: those of where it stands, or, a control, always those of
    another viewpoint of the same scan."""
    agent: str = "follower"
    """Which agent is trained, by its registered name."""
    seed: int = 0
    """The one seed everything random derives from."""
    iterations: int = 80_000
    """Weight updates."""
    batch: int = 64
    """Episodes per mini-batch; an update with reinforcement takes two mini-batches."""
    max_steps: int = 35
    """Actions per episode."""
    select: Literal["dev", "val_unseen"] = "dev"
    """Split whose success rate chooses the best checkpoint. `dev` are training houses held out;
    choosing on val_unseen is the field's habit, and looks at what is reported."""
    evaluate_every: int = 1000
    """Updates between evaluations and checkpoints."""
    evaluate: tuple[str, ...] = ("val_seen", "val_unseen")
    """Splits reported at every evaluation and at the end."""
    device: str = "cpu"
    """Where the networks live: cpu, cuda, cuda:1."""
    threads: int = 1
    """Threads of matrix products on a CPU; more than free cores is slower than one."""
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "max_steps", "evaluate_every", "threads"):
            if getattr(self, name) < 1:
                raise BadConfig(f"{name} is {getattr(self, name)}; expected 1 or more.")
        if self.eyes == "elsewhere" and self.service:
            raise BadConfig(
                "--eyes elsewhere exchanges stored features, and --service stores none. Leave one "
                "of the two out."
            )
        if not 0 <= self.model.dropout < 1 or not 0 <= self.model.feature_dropout < 1:
            raise BadConfig(
                f"dropout {self.model.dropout}, feature dropout {self.model.feature_dropout}; "
                "expected probabilities in [0, 1)."
            )
        if self.model.hidden % 2:
            raise BadConfig(
                f"hidden is {self.model.hidden}; expected an even number, half per direction."
            )


def to_json(config: TrainConfig) -> dict[str, Any]:
    """Gives a configuration as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(values: Mapping[str, Any]) -> TrainConfig:
    """Gives the configuration that `to_json` gave.

    Raises:
        UnknownName: A field does not exist in this version.
        BadConfig: A value cannot work.
    """
    parts = dict(values)
    kinds = {"model": ModelConfig, "optim": OptimConfig, "learning": LearningConfig}
    for name, kind in kinds.items():
        parts[name] = _build(kind, parts.get(name, {}))
    parts["evaluate"] = tuple(parts.get("evaluate", ()))
    return _build(TrainConfig, parts)


def _build(kind: type[T], values: Mapping[str, Any]) -> T:
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UnknownName.of(f"setting of {kind.__name__}", name, known)
    return kind(**values)
