"""The follower as an agent: instructions and observations in, actions out, tensors kept on the way.

Knows observations, never an environment. Rows whose episode has ended leave the batch; they do so
in groups, since each departure copies the instructions' memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.base import Ints, Turn
from agents.eyes import open_eyes
from agents.follower.model import Follower, Sight, State, Unrolled
from vln.features.source import FeatureSource
from vln.geometry import NUM_VIEWS
from vln.nn.dropout import Dropout
from vln.nn.recurrent import pack
from vln.text import Vocabulary, decode

Feedback = Literal["teacher", "sample", "argmax"]
CODES: dict[str, int] = {"teacher": 0, "sample": 1, "argmax": 2}
KEEP_UNTIL = 0.8
"""Ended rows leave the tensors once fewer than this share of them still goes."""


@dataclass
class Record:
    """What a rollout leaves for the loss: per step, logits and hidden states of the rows going."""

    logits: list[Tensor] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)


class Told(NamedTuple):
    """What a batch of B rows is told in place of its own instructions.

    `words` (B, L) int64 zero-padded word ids and their `lengths` (B,), or None for the episodes'
    own; `mask` (B, D), see `Decoder.unroll`. A policy that hides instructions hides these as well.
    """

    words: Ints | None = None
    lengths: Ints | None = None
    mask: Tensor | None = None


class FollowerPolicy:
    """Plays episodes with a follower.

    Args:
        model: The networks; dropout follows `model.training`.
        vocabulary: Of the instructions.
        features: What the eyes see; None for a blind agent.
        max_length: Words per instruction, `<BOS>` and `<EOS>` included.
        hides_instructions: Reads every instruction as an empty one.
        seed: Of sampled actions and of dropout masks.
        device: Where the networks live.
        dtype: Of the matrix products on a CPU.
    """

    def __init__(
        self,
        model: Follower,
        *,
        vocabulary: Vocabulary,
        features: FeatureSource | None,
        max_length: int = 80,
        hides_instructions: bool = False,
        seed: int = 0,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.max_length = max_length
        self.hides_instructions = hides_instructions
        self.dropout = Dropout(seed)
        self.sampler = np.random.default_rng(seed)
        self.feedback: npt.NDArray[np.int64] | Feedback = "argmax"
        self.record: Record | None = None
        self.device, self._dtype = device, dtype
        self._eyes = None if features is None else open_eyes(features, device=device, dtype=dtype)
        self._told: Told | None = None
        self._words: dict[bytes, Ints] = {}
        self._unrolled: Unrolled | None = None
        self._state: State | None = None
        self._rows: Ints = np.zeros(0, dtype=np.int64)

    def look_with(self, features: FeatureSource) -> None:
        """Changes the eyes, to ask what they are worth; D must be what the networks expect."""
        self._eyes = open_eyes(features, device=self.device, dtype=self._dtype)

    @property
    def row_bytes(self) -> int:
        """Memory that an episode takes at a step, at most: what is seen, and the instruction."""
        sizes = self.model.sizes
        seen = 4 * NUM_VIEWS * sizes.features * self._dtype.itemsize  # views, candidates, copies
        return seen + 4 * self.max_length * (sizes.word + 4 * sizes.hidden)

    @contextmanager
    def told(self, told: Told) -> Iterator[None]:
        """Lets the next episodes begin with other words, and other eyes, than they come with."""
        self._told = told
        try:
            yield
        finally:
            self._told = None

    def begin(self, turn: Turn) -> None:
        """Encodes the instructions of a new batch."""
        self.dropout.enabled = self.model.training
        told = self._told or Told()
        if told.words is None or told.lengths is None or self.hides_instructions:
            words, lengths = self._read(turn.observation["instruction"])
        else:
            words, lengths = told.words, told.lengths
        encoded = self.model.encoder(
            torch.from_numpy(words).to(self.device),
            pack(lengths, words.shape[1], device=self.device),
            self.dropout,
            dtype=self._dtype,
        )
        self._unrolled = self.model.decoder.unroll(
            encoded, self.dropout, dtype=self._dtype, mask=told.mask
        )
        self._state = encoded.state
        self._rows = turn.rows

    def act(self, turn: Turn) -> Ints:
        """Gives actions by each row's feedback: the expert's, sampled, or the most likely."""
        logits, hidden = self._decode(turn)
        if self.record is not None:
            self.record.logits.append(logits)
            self.record.hidden.append(hidden)
        return self._choose(logits, turn)

    @property
    def memory(self) -> tuple[State, Ints]:
        """What the decoder remembers, and the rows (n,) that it remembers it of.

        Rows that have ended stay in it for a while.
        """
        assert self._state is not None
        return self._state, self._rows

    def decide(self, turn: Turn, memory: State) -> Tensor:
        """Gives logits (n, K + 1) of rows that go on from another memory than their last one.

        Args:
            turn: As for `act`.
            memory: Of the rows that `memory` names.
        """
        self._state = memory
        return self._decode(turn)[0]

    def values(self, turn: Turn) -> npt.NDArray[np.float64]:
        """Gives (n,) the critic's estimates of what follows, one decoder step further."""
        with torch.no_grad():
            _, hidden = self._decode(turn)
            values: Tensor = self.model.critic(hidden, self.dropout)
        return values.double().cpu().numpy().astype(np.float64)

    def _decode(self, turn: Turn) -> tuple[Tensor, Tensor]:
        assert self._unrolled is not None
        assert self._state is not None
        self._let_go(turn.rows)
        assert self._state is not None
        sight = self._see(turn)
        if len(turn.rows) == len(self._rows):
            logits, hidden, self._state = self._unrolled.step(self._state, sight)
            return logits, hidden
        # Some rows have ended but not left: they take part with the sight of the first one.
        place = np.searchsorted(turn.rows, self._rows).clip(max=len(turn.rows) - 1)
        everyone = torch.from_numpy(place).to(self.device)
        logits, hidden, self._state = self._unrolled.step(
            self._state, Sight(*(part[everyone] for part in sight))
        )
        going = torch.from_numpy(np.flatnonzero(np.isin(self._rows, turn.rows)))
        going = going.to(self.device)
        return logits[going], hidden[going]

    def _let_go(self, rows: Ints) -> None:
        assert self._unrolled is not None
        assert self._state is not None
        if len(rows) >= KEEP_UNTIL * len(self._rows):
            return
        kept = torch.from_numpy(np.searchsorted(self._rows, rows)).to(self.device)
        self._state = self._state.select(kept)
        self._unrolled.select(kept)
        self._rows = rows

    def _read(self, instructions: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
        """Gives zero-padded word ids and lengths; each instruction is tokenised only once."""
        if self.hides_instructions:
            instructions = np.zeros_like(instructions)
        keys = [row.tobytes() for row in instructions]
        pairs = zip(keys, instructions, strict=True)
        new = {key: row for key, row in pairs if key not in self._words}
        if new:
            ids, lengths = self.vocabulary.encode(
                [decode(row) for row in new.values()], max_length=self.max_length
            )
            for key, row, length in zip(new, ids, lengths, strict=True):
                self._words[key] = row[:length].copy()
        found = [self._words[key] for key in keys]
        lengths = np.array([len(row) for row in found])
        words = np.zeros((len(found), int(lengths.max())), dtype=np.int64)
        words[np.arange(words.shape[1]) < lengths[:, None]] = np.concatenate(found)
        return words, lengths

    def _see(self, turn: Turn) -> Sight:
        def tensor(name: str) -> Tensor:
            values: npt.NDArray[Any] = turn.observation[name]
            return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

        count = len(turn.rows)
        views = shown = torch.empty(count, 0, 0, device=self.device)  # a blind agent's
        if self._eyes is not None:
            views = self._eyes(turn.observation["panorama"])
            place = tensor("candidate_view").clamp_min(0)
            shown = views[torch.arange(count, device=self.device)[:, None], place]
        return Sight(
            agent_angles=tensor("agent_angles"),
            view_angles=tensor("view_angles"),
            candidate_angles=tensor("candidate_angles"),
            view_features=views,
            candidate_features=shown,
            legal=tensor("action_mask").bool(),
        )

    def _choose(self, logits: Tensor, turn: Turn) -> Ints:
        scores = logits.detach().float().cpu().numpy()
        best: Ints = scores.argmax(axis=1)
        if isinstance(self.feedback, str):
            code: Ints = np.full(len(best), CODES[self.feedback])
        else:
            code = self.feedback[turn.rows]
        if (code == CODES["sample"]).any():
            # The largest of log-probabilities plus Gumbel noise is a sample.
            noisy = scores + self.sampler.gumbel(size=scores.shape)
            best = np.where(code == CODES["sample"], noisy.argmax(axis=1), best)
        if (code == CODES["teacher"]).any():
            assert turn.expert is not None
            best = np.where(code == CODES["teacher"], turn.expert, best)
        return best

    def generators(self) -> dict[str, Any]:
        """Gives the state of all random generators, for a checkpoint."""
        return {
            "sampler": self.sampler.bit_generator.state,
            "dropout": self.dropout.state(),
        }

    def restore_generators(self, state: dict[str, Any]) -> None:
        """Continues where `generators` was taken."""
        self.sampler.bit_generator.state = state["sampler"]
        self.dropout.restore(state["dropout"])
