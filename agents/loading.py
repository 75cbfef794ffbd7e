"""Agents put together: new ones from settings, trained ones from the folders of their runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from agents.config import TrainConfig, from_json
from agents.follower.model import Follower, FollowerSizes
from agents.follower.policy import FollowerPolicy
from agents.scene import Scene, check_device, remedy, training_split
from agents.speaker.model import Speaker, SpeakerSizes
from agents.speaker.narrator import Narrator
from agents.stages import stage_of
from vln import checkpoint
from vln.data.episodes import EpisodeSet
from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import Run, generator
from vln.text import BOS, EOS, PAD, UNK, Vocabulary

logger = logging.getLogger(__name__)

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LONGEST: Final = 1000
"""Words of an instruction that is none: R2R's longest has 156, R4R's 312."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run's checkpoint holds.

    Attributes:
        folder: The run's; a stage's where the run has several.
        config: Its settings.
        weights: Of the networks.
        state: The rest: progress, vocabulary, identity of the features.
    """

    folder: Path
    config: TrainConfig
    weights: Mapping[str, Tensor]
    state: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, *, agent: str, which: str = "best") -> Trained:
        """Reads a run's checkpoint.

        Args:
            folder: A run's folder, or a whole recipe's, whose last stage of that kind is taken.
            agent: What kind it has to be.
            which: `best` or `last`.

        Raises:
            CheckpointMismatch: No such run, or one of another kind of agent.
        """
        folder = stage_of(folder, agent)
        config = from_json(Run.read_config(folder))
        if config.agent != agent:
            raise CheckpointMismatch(
                f"{folder} is the run of a {config.agent}; expected one of a {agent}, such as "
                f"`python -m agents.train --agent {agent}` writes."
            )
        tensors, state = checkpoint.load(folder / f"checkpoints/{which}.safetensors")
        weights = {k.removeprefix("model."): v for k, v in tensors.items() if k[:6] == "model."}
        return cls(folder, config, weights, state)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that it knows."""
        return Vocabulary(tuple(self.state["vocabulary"]))

    def check_eyes(self, scene: Scene) -> None:
        """Refuses features that it was not trained on.

        Raises:
            CheckpointMismatch: They are others.
        """
        if self.state["features"] != scene.fingerprint:
            raise CheckpointMismatch(
                f"{self.folder} was trained on --encoder {self.config.encoder}, features "
                f"{self.state['features'][:16] or 'of none'}, and the features here are "
                f"{scene.fingerprint[:16] or 'none'}. {remedy(self.config, scene.data)} What shall "
                f"see with another --encoder needs a {self.config.agent} trained with it."
            )

    def put_into(self, model: nn.Module) -> None:
        """Gives its weights to networks of the same shape.

        Raises:
            CheckpointMismatch: Tensors are missing, surplus, or of other shapes.
        """
        checkpoint.load_weights(model, self.weights, source=self.folder)


def build_policy(config: TrainConfig, scene: Scene) -> FollowerPolicy:
    """Gives a follower at the start of its training.

    Its weights are those of `config.start` or, without one, chance; its vocabulary likewise that
    run's, or of the training episodes.

    Raises:
        CheckpointMismatch: The run to start from does not fit.
    """
    begun, words = _begin(config, scene)
    policy = _follower(config, scene, words)
    if begun is not None:
        begun.put_into(policy.model)
    return policy


def build_narrator(config: TrainConfig, scene: Scene) -> Narrator:
    """Gives a speaker at the start of its training; see `build_policy`."""
    begun, words = _begin(config, scene)
    narrator = _narrator(config, scene, words)
    if begun is not None:
        begun.put_into(narrator.model)
    return narrator


def _begin(config: TrainConfig, scene: Scene) -> tuple[Trained | None, Vocabulary]:
    if not config.start:
        episodes = scene.episodes(training_split(config))
        return None, Vocabulary.build(episode.instruction for episode in episodes)
    begun = Trained.read(Path(config.start), agent=config.agent, which=config.start_from)
    begun.check_eyes(scene)
    if config.select == "dev" != begun.config.select and config.env == begun.config.env:
        logger.warning(
            "%s was trained on the houses of dev too (--select %s), so dev chooses checkpoints too "
            "favourably. Begin with a run of --select dev, or take --select %s here.",
            begun.folder,
            begun.config.select,
            begun.config.select,
        )
    return begun, begun.vocabulary


def check_same_eyes(speaker: TrainConfig, follower: TrainConfig) -> None:
    """Refuses a speaker that saw each viewpoint otherwise than the follower it speaks to.

    `--eyes elsewhere` gives viewpoints each other's features, which are all the same features.

    Raises:
        CheckpointMismatch: One of the two has its eyes elsewhere, or both, but not alike.
    """
    eyes = [(one.eyes, one.seed if one.eyes == "elsewhere" else 0) for one in (speaker, follower)]
    if eyes[0] != eyes[1]:
        raise CheckpointMismatch(
            f"the speaker was trained with --eyes {speaker.eyes} --seed {speaker.seed}, the "
            f"follower with --eyes {follower.eyes} --seed {follower.seed}: they do not see the "
            "same. Train a speaker with the follower's --eyes and --seed."
        )


def load_policy(
    folder: Path,
    *,
    which: str = "best",
    data: Path | None = None,
    env: str = "",
    device: str = "cpu",
    service: str = "",
) -> tuple[FollowerPolicy, Scene, TrainConfig, Mapping[str, Any]]:
    """Gives a trained follower, its scene, its configuration and its checkpoint's state.

    Args:
        folder: A run's folder, or a whole recipe's.
        which: `best` or `last`.
        data: The world's folder; see `vln.worlds.find`.
        env: Another data set or world than the run's.
        device: Where the networks shall live, whatever they were trained on.
        service: Socket of a server that encodes the views now, whatever did in training; from the
            store where empty.

    Raises:
        CheckpointMismatch: No such run, or one that does not fit the data and features found.
        BadConfig: torch cannot use the device.
    """
    check_device(device)
    trained = Trained.read(folder, agent="follower", which=which)
    config = replace(trained.config, device=device, service=service)
    scene = Scene.open(config, data, env=env, run=trained.folder)
    trained.check_eyes(scene)
    policy = _follower(config, scene, trained.vocabulary)
    trained.put_into(policy.model)
    policy.model.eval()
    return policy, scene, config, trained.state


def load_narrator(
    folder: Path,
    scene: Scene | None = None,
    *,
    which: str = "best",
    data: Path | None = None,
    env: str = "",
    device: str = "cpu",
    service: str = "",
) -> tuple[Narrator, Scene, TrainConfig, Mapping[str, Any]]:
    """Gives a trained speaker, its scene, its configuration and its checkpoint's state.

    Args:
        folder: A run's folder, or a whole recipe's.
        scene: Where it shall speak; opened as for `load_policy` where None.
        which: `best` or `last`.
        data: The world's folder; see `vln.worlds.find`.
        env: Another data set or world than the run's.
        device: Where the networks shall live.
        service: As for `load_policy`; of no use with a scene.

    Raises:
        CheckpointMismatch: No such run, or one that does not fit the data and features found.
        BadConfig: torch cannot use the device.
    """
    check_device(device)
    trained = Trained.read(folder, agent="speaker", which=which)
    config = replace(trained.config, device=device, service=service)
    if scene is None:
        scene = Scene.open(config, data, env=env, run=trained.folder)
    trained.check_eyes(scene)
    narrator = _narrator(config, scene, trained.vocabulary)
    trained.put_into(narrator.model)
    narrator.model.eval()
    return narrator, scene, config, trained.state


def _follower(config: TrainConfig, scene: Scene, vocabulary: Vocabulary) -> FollowerPolicy:
    with _chance(config):
        model = Follower(FollowerSizes(**_sizes(config, scene, vocabulary))).to(config.device)
    return FollowerPolicy(
        model,
        vocabulary=vocabulary,
        features=scene.features,
        max_length=config.model.max_words,
        hides_instructions=config.hide == "instruction",
        seed=_seed(config, "policy"),
        device=config.device,
        dtype=DTYPES[config.optim.precision],
    )


def _narrator(config: TrainConfig, scene: Scene, vocabulary: Vocabulary) -> Narrator:
    with _chance(config):
        model = Speaker(SpeakerSizes(**_sizes(config, scene, vocabulary))).to(config.device)
    return Narrator(
        model,
        vocabulary=vocabulary,
        features=scene.features,
        max_words=config.model.max_words,
        seed=_seed(config, "narrator"),
        device=config.device,
        dtype=DTYPES[config.optim.precision],
    )


def _sizes(config: TrainConfig, scene: Scene, vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "vocabulary": len(vocabulary),
        "features": 0 if scene.features is None else scene.features.dim,
        "word": config.model.word,
        "hidden": config.model.hidden,
        "dropout": config.model.dropout,
        "feature_dropout": config.model.feature_dropout,
    }


def _seed(config: TrainConfig, name: str) -> int:
    return int(generator(config.seed, name).integers(2**31))


@contextmanager
def _chance(config: TrainConfig) -> Iterator[None]:
    """Lets torch draw the weights that belong to a run's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(config, "weights"))
        yield


def check_instructions(
    episodes: EpisodeSet, vocabulary: Vocabulary, *, max_words: int, is_read: bool = True
) -> None:
    """Refuses instructions that nobody could follow, and says how many lose their end.

    Args:
        episodes: What is to be read.
        vocabulary: The words that the agent knows.
        max_words: How many it reads of each, `<BOS>` and `<EOS>` included.
        is_read: False for an agent that instructions are hidden from.

    Raises:
        BadConfig: An instruction is empty, longer than any real one, or has no known word.
    """
    if not is_read:
        logger.info("the instructions are hidden from the agent (--hide instruction)")
        return
    texts = [episode.instruction for episode in episodes]
    length = vocabulary.num_tokens(texts)
    _refuse_unreadable(episodes, texts, length, vocabulary)
    cut = int((length > max_words).sum())
    if cut:
        logger.info(
            "%d of %d %s instructions have more than %d words and lose their end "
            "(--model.max-words)",
            cut,
            len(texts),
            episodes.split,
            max_words,
        )


def _refuse_unreadable(
    episodes: EpisodeSet,
    texts: Sequence[str],
    length: npt.NDArray[np.int64],
    vocabulary: Vocabulary,
) -> None:
    for wrong, problem in (
        (length <= 2, "is empty"),
        (length > LONGEST + 2, f"is longer than {LONGEST:,} words, which no instruction is"),
        (~_is_understood(texts, vocabulary), "has no word that the agent knows"),
    ):
        if wrong.any():
            first = episodes.episodes[int(wrong.argmax())]
            raise BadConfig(
                f"{int(wrong.sum()):,} of {len(texts):,} {episodes.split} instructions cannot be "
                f"followed: that of {first.id} {problem} ({first.instruction[:40]!r}). The agent "
                f"knows {len(vocabulary):,} words, those of its training data. Correct "
                f"{episodes.file}, or use an agent trained on this language."
            )


def _is_understood(texts: Sequence[str], vocabulary: Vocabulary) -> npt.NDArray[np.bool_]:
    """Says of each text whether a word of it, not punctuation alone, is known."""
    special = {PAD, UNK, EOS, BOS}
    is_word = np.array(
        [w not in special and any(map(str.isalnum, w)) for w in vocabulary.words], dtype=bool
    )
    ids, _ = vocabulary.encode(texts, max_length=LONGEST)
    return np.asarray(is_word[ids].any(axis=1))
