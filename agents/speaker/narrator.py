"""The speaker as an agent of words: paths in, instructions out.

Knows paths as arrays, never an environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.eyes import open_eyes
from agents.speaker.decoding import Drawn, draw
from agents.speaker.losses import word_log_probs
from agents.speaker.model import Speaker, Told
from agents.speaker.routes import RouteTable
from vln.features.source import FeatureSource
from vln.nn.dropout import Dropout
from vln.nn.recurrent import pack
from vln.text import BOS, EOS, PAD, UNK, Vocabulary

Ints = npt.NDArray[np.int64]
AT_ONCE: Final = 128
"""Paths described at once where the caller gives more: 36 views of each of 7 steps take memory."""


class Narrator:
    """Describes paths with a speaker.

    Args:
        model: The networks; dropout follows `model.training`.
        vocabulary: Of the instructions.
        features: What the eyes see; None for a blind speaker.
        max_words: Words of an instruction at most, `<BOS>` and `<EOS>` included.
        seed: Of dropout masks.
        device: Where the networks live.
        dtype: Of the matrix products on a CPU.
    """

    def __init__(
        self,
        model: Speaker,
        *,
        vocabulary: Vocabulary,
        features: FeatureSource | None,
        max_words: int = 80,
        seed: int = 0,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.max_words = max_words
        self.dropout = Dropout(seed)
        self._device, self._dtype = device, dtype
        self._eyes = None
        if features is not None:
            self._eyes = open_eyes(features, device=device, dtype=dtype)
        ids = {word: place for place, word in enumerate(vocabulary.words)}
        self._begin, self._end = ids[BOS], ids[EOS]
        self._forbidden = [ids[PAD], ids[UNK], ids[BOS]]

    def look(self, routes: RouteTable, rows: Ints, *, mask: Tensor | None = None) -> Told:
        """Gives what the route encoder makes of B paths.

        Args:
            routes: The paths.
            rows: (B,) which of them.
            mask: (B, D) what all features of a path are multiplied by, see `Speaker.read`.
        """
        self.dropout.enabled = self.model.training
        route, length = routes.see(rows, self._eyes, device=self._device)
        packing = pack(length, int(length.max()), device=self._device)
        return self.model.read(route, packing, self.dropout, dtype=self._dtype, seen=mask)

    def logits(self, told: Told, words: Ints, lengths: Ints) -> tuple[Tensor, Tensor]:
        """Gives logits (B, L, V) of every next word, and the words (B, L) as a tensor.

        Args:
            told: B paths.
            words: (B, L) int64, zero padded.
            lengths: (B,).
        """
        given = torch.from_numpy(words).to(self._device)
        packing = pack(lengths, words.shape[1], device=self._device)
        return self.model.logits(told, given, packing, self.dropout, dtype=self._dtype), given

    def describe(
        self,
        routes: RouteTable,
        rows: Ints,
        *,
        mask: Tensor | None = None,
        sampler: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Drawn:
        """Gives instructions for B paths: the likeliest word each time, or drawn.

        Args:
            routes: The paths.
            rows: (B,) which of them.
            mask: As for `look`.
            sampler: Draws words; None takes the likeliest.
            temperature: Of drawing; below 1 favours likely words.
        """
        with torch.no_grad():
            return draw(
                self.model,
                self.look(routes, rows, mask=mask),
                begin=self._begin,
                end=self._end,
                forbidden=self._forbidden,
                max_words=self.max_words,
                dtype=self._dtype,
                sampler=sampler,
                temperature=temperature,
            )

    def texts(
        self,
        routes: RouteTable,
        *,
        sampler: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> list[str]:
        """Gives an instruction for every path of a table, in their order."""
        told: list[str] = []
        for start in range(0, len(routes), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(routes)))
            drawn = self.describe(routes, rows, sampler=sampler, temperature=temperature)
            told += self.vocabulary.texts(drawn.words.cpu().numpy())
        return told

    def scores(self, routes: RouteTable, instructions: Sequence[str]) -> list[Tensor]:
        """Gives the log-probability of every word of instructions, `<EOS>` included.

        Args:
            routes: The paths.
            instructions: A text for each; longer ones than the speaker reads lose their end.
        """
        found: list[Tensor] = []
        for start in range(0, len(routes), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(routes)))
            texts = instructions[start : start + AT_ONCE]
            words, lengths = self.vocabulary.encode(texts, max_length=self.max_words)
            with torch.no_grad():
                logits, given = self.logits(self.look(routes, rows), words, lengths)
                scored = word_log_probs(logits, given).float().cpu()
            found += [row[: length - 1] for row, length in zip(scored, lengths, strict=True)]
        return found
