"""EnvDrop's follower: an instruction encoder, a panoramic decoder and a critic, as pure networks.

Angle features are given once (4 numbers) though EnvDrop repeats them 32 times; its weights for the
128 repeated inputs are kept and summed per angle once per rollout, which is the same function with
the same training dynamics. Sees tensors only, never an environment.

Legend: B rows, n rows still going, L words, H hidden, D features per view, K candidates at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vln.nn.deferred import LoopLinear, LoopMemory, Mix, Score
from vln.nn.dropout import Dropout
from vln.nn.recurrent import CellUpdate, Packing, Unpack, bilstm, largest


@dataclass(frozen=True, kw_only=True)
class FollowerSizes:
    """Widths of the follower; defaults are EnvDrop's.

    Attributes:
        vocabulary: Number of word ids.
        features: D, 0 for a blind agent.
        word: Width of a word embedding.
        hidden: H, of the decoder and of both encoder directions together.
        action: Width of the embedding of the agent's own angles.
        angles: Numbers that describe a direction.
        angle_repeats: How often EnvDrop would repeat them.
        dropout: Probability on embeddings and states.
        feature_dropout: Probability on visual features.
    """

    vocabulary: int
    features: int
    word: int = 256
    hidden: int = 512
    action: int = 64
    angles: int = 4
    angle_repeats: int = 32
    dropout: float = 0.5
    feature_dropout: float = 0.3


class Sight(NamedTuple):
    """What n agents see before a step.

    `agent_angles` (n, 4), `view_angles` (n, 36, 4), `candidate_angles` (n, K, 4) float32;
    `view_features` (n, 36, D) and `candidate_features` (n, K, D), D = 0 for a blind agent;
    `legal` (n, K + 1) bool, stop first.
    """

    agent_angles: Tensor
    view_angles: Tensor
    candidate_angles: Tensor
    view_features: Tensor
    candidate_features: Tensor
    legal: Tensor


class State(NamedTuple):
    """A decoder's memory of n episodes: `attended` hidden and `cell`, (n, H) each."""

    attended: Tensor
    cell: Tensor

    def select(self, rows: Tensor) -> State:
        """Gives the state of fewer rows."""
        return State(self.attended[rows], self.cell[rows])


class Encoded(NamedTuple):
    """An encoded batch of instructions: `context` (B, L, H), `padding` (B, L) bool, `state`."""

    context: Tensor
    padding: Tensor
    state: State


class Encoder(nn.Module):
    """Reads instructions."""

    def __init__(self, sizes: FollowerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.word, padding_idx=0)
        self.lstm = nn.LSTM(sizes.word, sizes.hidden // 2, batch_first=True, bidirectional=True)
        self.to_decoder = nn.Linear(sizes.hidden, sizes.hidden)

    def forward(
        self, words_BL: Tensor, packing: Packing, drop: Dropout, *, dtype: torch.dtype
    ) -> Encoded:
        """Gives context and the decoder's first state.

        The first hidden state is a maximum over the words of each instruction; the released code
        lets padding take part in it, so that it depends on the batch.

        Args:
            words_BL: (B, L) int64 word ids, 0 = padding.
            packing: Of the instructions' lengths.
            drop: Source of dropout masks.
            dtype: Of the matrix products on a CPU.
        """
        embedded = drop(self.embedding(words_BL), self.sizes.dropout)
        hidden, cells = bilstm(self.lstm, embedded, packing, dtype=dtype)
        padding = words_BL == 0
        first = torch.tanh(self.to_decoder(largest(hidden, packing, padding)))
        context = Unpack.apply(drop(hidden, self.sizes.dropout), packing)
        return Encoded(context, padding, State(first, torch.cat([cells[1], cells[0]], dim=1)))


class Decoder(nn.Module):
    """Holds the weights of the panoramic decoder; `unroll` readies them for a rollout."""

    def __init__(self, sizes: FollowerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        angles = sizes.angles * sizes.angle_repeats
        width, hidden = sizes.features + angles, sizes.hidden
        self.action = nn.Linear(angles, sizes.action)
        self.lstm = nn.LSTMCell(sizes.action + width, hidden)
        self.view_query = nn.Linear(hidden, width, bias=False)
        self.word_query = nn.Linear(hidden, hidden, bias=False)
        self.mix = nn.Linear(2 * hidden, hidden, bias=False)
        self.candidate_query = nn.Linear(hidden, width, bias=False)

    def unroll(
        self, encoded: Encoded, drop: Dropout, *, dtype: torch.dtype, mask: Tensor | None = None
    ) -> Unrolled:
        """Gives the decoder of one rollout, for one forward and one backward pass.

        Args:
            encoded: The instructions.
            drop: Source of dropout masks.
            dtype: Of the matrix products on a CPU.
            mask: (B, D) what all features of an episode are multiplied by: environment dropout,
                which takes the place of the features' own.
        """
        return Unrolled(self, encoded, drop, dtype, mask)


class Unrolled:
    """One rollout of the decoder: folded weights, the instructions' memory, and `step`."""

    def __init__(
        self,
        decoder: Decoder,
        encoded: Encoded,
        drop: Dropout,
        dtype: torch.dtype,
        mask: Tensor | None,
    ) -> None:
        sizes = decoder.sizes
        self._sizes, self._drop, self._mask = sizes, drop, mask
        self._memory = LoopMemory(encoded.context, encoded.padding, dtype=dtype)

        def fold(weight: Tensor) -> Tensor:
            """Sums the rows that meet repeats of one angle: (..., 4 R) rows become 4."""
            kept, angles = weight.tensor_split([-sizes.angles * sizes.angle_repeats])
            folded = angles.view(sizes.angle_repeats, sizes.angles, -1).sum(0)
            return torch.cat([kept, folded])

        self._action = LoopLinear(fold(decoder.action.weight.t()).t())
        self._action_bias = decoder.action.bias
        cell = decoder.lstm
        gates = torch.cat([fold(cell.weight_ih.t()).t(), cell.weight_hh], dim=1)
        self._gates = LoopLinear(gates, dtype=dtype)
        self._gates_bias = cell.bias_ih + cell.bias_hh
        self._view_query = LoopLinear(fold(decoder.view_query.weight), dtype=dtype)
        self._word_query = LoopLinear(decoder.word_query.weight, dtype=dtype)
        self._mix = LoopLinear(decoder.mix.weight, dtype=dtype)
        self._candidate_query = LoopLinear(fold(decoder.candidate_query.weight), dtype=dtype)

    def select(self, kept: Tensor) -> None:
        """Keeps fewer rows, for a batch from which ended episodes have left."""
        self._memory.select(kept)
        if self._mask is not None:
            self._mask = self._mask[kept]

    def step(self, state: State, sight: Sight) -> tuple[Tensor, Tensor, State]:
        """Gives logits (n, K + 1), the hidden state (n, H) that the critic reads, and the state.

        The hidden state that is fed back is the attended one, as in EnvDrop. Stop's features are
        all zero, so its logit is 0; illegal actions are -inf.
        """
        drop, p = self._drop, self._sizes.dropout
        action = drop(torch.tanh(self._action(sight.agent_angles) + self._action_bias), p)
        looked = self._look(drop(state.attended, p), sight)
        gates = self._gates(torch.cat([action, *looked, state.attended], dim=1))
        hidden, cell = CellUpdate.apply(gates + self._gates_bias, state.cell)
        asked = drop(hidden, p)
        read = self._memory.attend(self._word_query(asked))
        attended = torch.tanh(self._mix(torch.cat([read, asked], dim=1)))
        logits = self._score(drop(attended, p), sight)
        return logits, hidden, State(attended, cell)

    def _look(self, query: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
        """Gives the attended view: features (n, D) and angles (n, 4)."""
        asked = self._view_query(query)
        by_features, by_angles = asked.tensor_split([self._sizes.features], dim=1)
        scores = Score.apply(by_angles, sight.view_angles)
        if not self._sizes.features:
            return by_features, Mix.apply(scores.softmax(dim=1), sight.view_angles)
        views, scale = self._dropped(sight.view_features)
        scores = scores + Score.apply(by_features * scale, views)
        share = scores.softmax(dim=1)
        return Mix.apply(share, views) * scale, Mix.apply(share, sight.view_angles)

    def _score(self, query: Tensor, sight: Sight) -> Tensor:
        asked = self._candidate_query(query)
        by_features, by_angles = asked.tensor_split([self._sizes.features], dim=1)
        scores = Score.apply(by_angles, sight.candidate_angles)
        if self._sizes.features:
            shown, scale = self._dropped(sight.candidate_features)
            scores = scores + Score.apply(by_features * scale, shown)
        logits = torch.cat([torch.zeros_like(scores[:, :1]), scores], dim=1)
        return logits.masked_fill(~sight.legal, -torch.inf)

    def _dropped(self, features: Tensor) -> tuple[Tensor, Tensor | float]:
        """Gives features with some zeroed, and what is still to be put on what is kept.

        The environment's mask is put on queries and sums alone: q . (m v) = (q m) . v.
        """
        if self._mask is not None:
            return features, self._mask
        if not self._drop.enabled or not self._sizes.feature_dropout:
            return features, 1.0
        mask, scale = self._drop.mask(features, self._sizes.feature_dropout)
        return features * mask, scale


class Critic(nn.Module):
    """Estimates the return from a decoder's hidden state."""

    def __init__(self, sizes: FollowerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.hidden = nn.Linear(sizes.hidden, sizes.hidden)
        self.value = nn.Linear(sizes.hidden, 1)

    def forward(self, hidden: Tensor, drop: Dropout) -> Tensor:
        """Gives values (n,) for hidden states (n, H)."""
        inner = drop(torch.relu(self.hidden(hidden)), self.sizes.dropout)
        value: Tensor = self.value(inner)[:, 0]
        return value


class Follower(nn.Module):
    """Encoder, decoder and critic under one roof."""

    def __init__(self, sizes: FollowerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes)
        self.decoder = Decoder(sizes)
        self.critic = Critic(sizes)


ENVDROP_NAMES = {
    "encoder.embedding": "encoder.embedding",
    "encoder.lstm": "encoder.lstm",
    "encoder.to_decoder": "encoder.encoder2decoder",
    "decoder.action": "decoder.embedding.0",
    "decoder.lstm": "decoder.lstm",
    "decoder.view_query": "decoder.feat_att_layer.linear_in",
    "decoder.word_query": "decoder.attention_layer.linear_in",
    "decoder.mix": "decoder.attention_layer.linear_out",
    "decoder.candidate_query": "decoder.candidate_att_layer.linear_in",
    "critic.hidden": "critic.state2value.0",
    "critic.value": "critic.state2value.3",
}
"""Our module names to those of EnvDrop's state dicts; its other tensors are never used."""
