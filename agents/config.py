"""What a training run is made of, as frozen dataclasses; the command line mirrors them.

No field repeats a registry's names, and none means "auto".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from vln.errors import BadConfig, UnknownName
from vln.nn.precision import Precision

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of the networks; the defaults are those of EnvDrop's follower."""

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
    """How weights move."""

    method: Literal["rmsprop", "adam"] = "rmsprop"
    """EnvDrop's follower learns with RMSprop, its speaker with Adam."""
    lr: float = 1e-4
    """Learning rate, at the beginning."""
    schedule: Literal["constant", "linear"] = "constant"
    """EnvDrop's is constant; linear falls to nothing at the last update, so that a run's length
    belongs to its settings."""
    clip: float = 40.0
    """Largest gradient norm of an encoder and of a decoder, each."""
    precision: Precision = "float32"
    """Of the matrix products on a CPU; bfloat16 is the faster where the processor has it, and ten
    times slower where it has not. Recipes for minutes take the faster one."""


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
class ExtraConfig:
    """Paths without labels that a follower learns from beside the labelled ones.

    EnvDrop's back-translation: a speaker describes them, seeing them through the same mask as the
    follower that is then told. Every update adds as many episodes of these as of the others.
    """

    paths: str = "none"
    """none; sampled: shortest paths of 4 to 6 edges in the training scans, none of them labelled;
    or a file: EnvDrop's aug_paths.json, or instructions like PREVALENT's."""
    count: int = 0
    """Sampled paths at most; 0 takes all there are."""
    words: Literal["speaker", "file"] = "speaker"
    """Whose instructions: a speaker's, anew each time, or those that the file brings along."""
    speaker: str = ""
    """Folder of the speaker's run."""
    vocabulary: str = ""
    """File of words, one a line, of a file's instr_encodings."""
    mask: Literal["environment", "batch", "none"] = "environment"
    """Environment dropout: one mask of features for all views of a scan (the paper's), one for all
    scans of a mini-batch (the released code's), or none: features are dropped each by itself. A
    feature is masked with --model.feature-dropout."""
    imitation_weight: float = 0.6
    """Weight of the imitation loss on these paths."""

    @property
    def is_used(self) -> bool:
        """Whether there are any."""
        return self.paths != "none"


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
    labels: int = 0
    """Labelled instructions to learn from, always the same ones; 0 takes all there are."""
    agent: str = "follower"
    """Which agent is trained: follower or speaker."""
    start: str = ""
    """Folder of a run whose weights, and vocabulary, are begun with; chance where empty."""
    start_from: Literal["best", "last"] = "best"
    """Which weights of that run."""
    seed: int = 0
    """The one seed everything random derives from."""
    iterations: int = 80_000
    """Weight updates."""
    batch: int = 64
    """Episodes per mini-batch; an update with reinforcement takes two mini-batches."""
    max_steps: int = 35
    """Actions per episode."""
    select: Literal["dev", "val_unseen"] = "dev"
    """Split whose success rate, or BLEU for a speaker, chooses the best checkpoint. `dev` are
    training houses held out; choosing on val_unseen is the field's habit, and looks at what is
    reported."""
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
    extra: ExtraConfig = field(default_factory=ExtraConfig)

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "max_steps", "evaluate_every", "threads"):
            if getattr(self, name) < 1:
                raise BadConfig(f"{name} is {getattr(self, name)}; expected 1 or more.")
        if self.labels < 0:
            raise BadConfig(f"labels is {self.labels}; expected 0 (all there are) or more.")
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
        if self.hide == "instruction" and self.agent == "speaker":
            raise BadConfig(
                "--hide instruction, but a speaker learns from nothing else. It is for followers; "
                "in a recipe of stages name theirs: --follower.hide, --back-translation.hide."
            )
        if self.extra.is_used:
            self._check_extra()
        elif self.extra.speaker or self.extra.vocabulary:
            raise BadConfig(
                f"--extra.{'speaker' if self.extra.speaker else 'vocabulary'} without paths to "
                "learn from. Name them with --extra.paths; in a recipe of stages give both to one, "
                "as --back-translation.extra.speaker."
            )
        if self.model.hidden % 2:
            raise BadConfig(
                f"hidden is {self.model.hidden}; expected an even number, half per direction."
            )

    def _check_extra(self) -> None:
        extra = self.extra
        if self.agent != "follower":
            raise BadConfig(
                f"--extra.paths {extra.paths} is for followers; a speaker takes none. In a recipe "
                "of stages name the follower's: --back-translation.extra.paths."
            )
        if extra.words == "file" and extra.paths == "sampled":
            raise BadConfig(
                "--extra.words file, but sampled paths come without words. Name a file with "
                "--extra.paths, or take --extra.words speaker."
            )
        if extra.words == "speaker" and not extra.speaker:
            raise BadConfig(
                f"--extra.paths {extra.paths} needs a speaker: --extra.speaker RUN, a run of "
                "`python -m agents.train --agent speaker`; or --extra.words file."
            )
        if extra.count < 0:
            raise BadConfig(f"--extra.count {extra.count}; expected 0 (all) or more.")


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
    kinds = {
        "model": ModelConfig,
        "optim": OptimConfig,
        "learning": LearningConfig,
        "extra": ExtraConfig,
    }
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
