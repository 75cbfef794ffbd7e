"""Lessons of a speaker: the words of people who walked the labelled paths, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from agents.config import TrainConfig
from agents.lessons.base import check_labels
from agents.loading import build_narrator, check_instructions
from agents.scene import Scene, training_split
from agents.speaker.losses import word_log_probs, word_loss
from agents.speaker.model import Speaker
from agents.speaker.narrator import AT_ONCE, Narrator
from agents.speaker.routes import RouteTable
from envs.episodes import EpisodeOrder
from vln.data.episodes import EpisodeSet
from vln.errors import BadConfig
from vln.graph import NavGraph
from vln.metrics.text import corpus_bleu
from vln.runs import Run
from vln.text import Vocabulary
from vln.types import Episode, Pose

Ints = npt.NDArray[np.int64]


class SpeakerLessons:
    """Teaches a speaker; see `agents.lessons.base.Lessons`.

    Args:
        config: What to train.
        scene: Data, graph and features.
        run: Whose seed decides the order of the instructions.

    Raises:
        BadConfig: There are fewer instructions than an update takes, some have no path, or nobody
            could follow them.
        CheckpointMismatch: The run to start from does not fit.
    """

    merit_name = "BLEU"

    def __init__(self, config: TrainConfig, scene: Scene, run: Run) -> None:
        self.config, self.scene = config, scene
        episodes = scene.episodes(training_split(config))
        check_labels(episodes)
        if len(episodes) < config.batch:
            raise BadConfig(
                f"{config.env} {episodes.split} has {len(episodes)} instructions, and an update "
                f"takes {config.batch}. Choose a smaller --batch."
            )
        self.narrator: Narrator = build_narrator(config, scene)
        check_instructions(episodes, self.vocabulary, max_words=config.model.max_words)
        self._lines = Lines.of(episodes, scene.graph, self.narrator)
        self._rng = run.rng("episodes")
        self._order = EpisodeOrder(len(episodes))
        self._judged: dict[str, Lines] = {}

    @property
    def model(self) -> Speaker:
        """All networks in training."""
        return self.narrator.model

    @property
    def clipped(self) -> Sequence[nn.Module]:
        """Encoder and decoder, as in EnvDrop."""
        return (self.model.encoder, self.model.decoder)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words it knows."""
        return self.narrator.vocabulary

    def accumulate(self) -> dict[str, float]:
        """Reads a batch of instructions, adds its gradients, and gives the loss."""
        self.model.train()
        rows = self._order.draw(self.config.batch, self._rng)
        logits, words = self._lines.read(rows, self.narrator)
        loss = word_loss(logits, words)
        loss.backward()  # type: ignore[no-untyped-call]
        return {"word_loss": float(loss.detach())}

    def judge(self, split: str) -> Mapping[str, float]:
        """Gives what `Lines.judge` gives of one instruction for every path."""
        self.model.eval()
        if split not in self._judged:
            self._judged[split] = Lines.of(
                self.scene.episodes(split), self.scene.graph, self.narrator
            )
        lines = self._judged[split]
        return lines.judge(self.narrator, self.narrator.texts(lines.routes))

    def merit(self, judged: Mapping[str, float]) -> float:
        """Gives sacrebleu's BLEU."""
        return judged["bleu"]

    def state(self) -> dict[str, Any]:
        """Gives generators and the order of the instructions."""
        return {"generators": self.narrator.dropout.state(), "order": self._order.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.narrator.dropout.restore(state["generators"])
        self._order.restore(state["order"], self._rng)


class Lines:
    """Instructions and the paths they were written for.

    Attributes:
        routes: The paths, each once.
        references: Per path, its instructions.
    """

    def __init__(
        self,
        routes: RouteTable,
        references: Sequence[Sequence[str]],
        *,
        path: Ints,
        words: Ints,
        lengths: Ints,
    ) -> None:
        self.routes, self.references = routes, references
        self._path, self._words, self._lengths = path, words, lengths

    @classmethod
    def of(cls, episodes: EpisodeSet, graph: NavGraph, narrator: Narrator) -> Lines:
        """Gives the instructions of a split with labels."""
        keys = [path_of(episode) for episode in episodes]
        unique = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        references: list[list[str]] = [[] for _ in unique]
        path = np.array([unique[key] for key in keys])
        for place, episode in zip(path, episodes, strict=True):
            references[place].append(episode.instruction)
        words, lengths = narrator.vocabulary.encode(
            [episode.instruction for episode in episodes], max_length=narrator.max_words
        )
        routes = RouteTable.compile(graph, unique)
        return cls(routes, references, path=path, words=words, lengths=lengths)

    def read(self, rows: Ints, narrator: Narrator) -> tuple[torch.Tensor, torch.Tensor]:
        """Gives logits (B, L, V) of the next words of instructions (B,), and the words (B, L)."""
        lengths = self._lengths[rows]
        words = np.ascontiguousarray(self._words[rows, : lengths.max()])
        return narrator.logits(narrator.look(self.routes, self._path[rows]), words, lengths)

    def judge(self, narrator: Narrator, told: Sequence[str]) -> dict[str, float]:
        """Gives BLEU-4 in percent, and how likely people's own words are to a speaker.

        Args:
            narrator: The speaker.
            told: Its instruction for every path; all that people wrote of a path are references.

        Returns:
            `bleu` is sacrebleu's, `bleu_envdrop` by EnvDrop's definition; and see `likelihood`.
        """
        return {
            "bleu": corpus_bleu(told, self.references, protocol="sacrebleu").score,
            "bleu_envdrop": corpus_bleu(told, self.references, protocol="envdrop").score,
            **self.likelihood(narrator),
        }

    def likelihood(self, narrator: Narrator) -> dict[str, float]:
        """Gives how well people's words are foretold, each from those before it.

        Returns:
            `word_loss`, the mean over words in nats, and `word_accuracy`, the share of words that
            are likeliest where people said them.
        """
        loss, right, count = 0.0, 0, 0
        for start in range(0, len(self._path), AT_ONCE):
            with torch.no_grad():
                rows = np.arange(start, min(start + AT_ONCE, len(self._path)))
                logits, words = self.read(rows, narrator)
                asked = words[:, 1:] > 0
                loss -= float(word_log_probs(logits, words).sum())
                right += int((logits[:, :-1].argmax(dim=2) == words[:, 1:])[asked].sum())
                count += int(asked.sum())
        return {"word_loss": loss / count, "word_accuracy": right / count}


def path_of(episode: Episode) -> tuple[Pose, tuple[str, ...]]:
    """Gives the path that a labelled episode's instruction describes."""
    assert episode.reference is not None
    return episode.start, episode.reference
