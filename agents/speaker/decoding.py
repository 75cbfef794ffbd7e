"""Instructions told word by word: the most likely next word, or one drawn at random.

Sees tensors only. Rows that have ended leave the computation; they do so in groups, since each
departure copies the routes' memory.

Legend: B routes, T steps, L words at most, V vocabulary, H hidden; n rows still computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from agents.speaker.model import Decoder, Speaker, Told
from vln.errors import BadConfig
from vln.nn.deferred import LoopLinear, mixed, scores_of
from vln.nn.recurrent import CellUpdate

KEEP_UNTIL = 0.8
"""Ended rows leave the tensors once fewer than this share of them still goes."""


class Drawn(NamedTuple):
    """Instructions as they were told.

    `words` (B, L) int64: `<BOS>`, words, `<EOS>`, zero padded to the longest; `lengths` (B,) int64,
    of all of these; `log_probs` (B, L - 1) float32, of each word after `<BOS>` under the
    distribution it was drawn from, so after forbidden words were ruled out and at the temperature
    asked for; 0 where `<EOS>` was forced by the length, and at padding.
    """

    words: Tensor
    lengths: Tensor
    log_probs: Tensor


def draw(
    speaker: Speaker,
    told: Told,
    *,
    begin: int,
    end: int,
    forbidden: Sequence[int],
    max_words: int,
    dtype: torch.dtype,
    sampler: torch.Generator | None = None,
    temperature: float = 1.0,
) -> Drawn:
    """Tells an instruction per route, without dropout and without gradients.

    A row's words do not depend on the other rows; those that are drawn at random depend on its
    place in the batch and on the size of the batch.

    Args:
        speaker: The networks.
        told: What `speaker.read` gave for B routes.
        begin: Id of `<BOS>`.
        end: Id of `<EOS>`.
        forbidden: Ids that are never told.
        max_words: Most ids per instruction, `<BOS>` and `<EOS>` included; what has not ended by
            then ends with `<EOS>`.
        dtype: Of the matrix products on a CPU.
        sampler: Draws words at random; without it, the most likely word is told.
        temperature: Divides the scores: below 1, likely words become likelier.

    Raises:
        BadConfig: `max_words` has no room for `<BOS>` and `<EOS>`, or `temperature` is not above 0.
    """
    if max_words < 2:
        raise BadConfig(f"max_words is {max_words}; `<BOS>` and `<EOS>` alone need 2.")
    if not temperature > 0:
        raise BadConfig(
            f"temperature is {temperature}, not above 0; "
            "without a sampler, the most likely words are told."
        )
    with torch.no_grad():
        choose = _Chooser(forbidden, speaker.sizes.vocabulary, sampler, temperature)
        return _tell(_Telling(speaker.decoder, told, dtype), choose, begin, end, max_words)


def _tell(telling: _Telling, choose: _Chooser, begin: int, end: int, max_words: int) -> Drawn:
    count, device = telling.count, telling.device
    words = torch.zeros(count, max_words, dtype=torch.int64, device=device)
    log_probs = torch.zeros(count, max_words - 1, device=device)
    words[:, 0] = begin
    rows = torch.arange(count, device=device)
    going = torch.ones(count, dtype=torch.bool, device=device)  # of the rows still computed
    place = 1
    while place < max_words - 1 and len(rows):
        scores = telling.step(words[rows, place - 1])
        word, log_prob = choose(scores, rows, count)
        words[rows, place] = word.masked_fill_(~going, 0)
        log_probs[rows, place - 1] = log_prob.masked_fill_(~going, 0)
        going &= word != end
        left = int(going.sum())
        if left < KEEP_UNTIL * len(rows):
            kept = going.nonzero()[:, 0]
            telling.select(kept)
            rows, going = rows[kept], going[kept]
        place += 1
    words[rows[going], max_words - 1] = end
    lengths = (words == end).int().argmax(dim=1) + 1
    longest = int(lengths.max())
    return Drawn(words[:, :longest], lengths, log_probs[:, : longest - 1])


class _Telling:
    """The decoder's state for n rows, and its weights as single steps need them."""

    def __init__(self, decoder: Decoder, told: Told, dtype: torch.dtype) -> None:
        self._decoder = decoder
        hidden = decoder.sizes.hidden
        w_ih, w_hh, b_ih, b_hh = decoder.lstm.all_weights[0]
        self._gates = LoopLinear(torch.cat([w_ih, w_hh], dim=1), dtype=dtype)
        self._gates_bias = b_ih + b_hh
        by_steps, by_state = decoder.mix.weight.tensor_split([hidden], dim=1)
        self._mix = LoopLinear(by_state, dtype=dtype)
        self._projection = LoopLinear(decoder.projection.weight, dtype=dtype)
        # There are fewer steps than words, so what each word would ask of weights is asked once
        # by the steps: C . (W q) = (C W) . q, and W (a . C) = a . (C W').
        steps = told.context.flatten(0, 1)
        shape = told.context.shape
        query = LoopLinear(decoder.step_query.weight.t(), dtype=dtype)
        self._keys = query(steps).view(shape).to(dtype)
        self._values = LoopLinear(by_steps, dtype=dtype)(steps).view(shape).to(dtype)
        self._padding = told.padding
        self._hidden = self._cell = steps.new_zeros(len(told.padding), hidden)
        self.count, self.device = len(told.padding), steps.device

    def step(self, words: Tensor) -> Tensor:
        """Gives scores (n, V) of what follows words (n,)."""
        inputs = torch.cat([self._decoder.embedding(words), self._hidden], dim=1)
        self._hidden, self._cell = CellUpdate.apply(
            self._gates(inputs) + self._gates_bias, self._cell
        )
        scores = scores_of(self._hidden, self._keys).masked_fill_(self._padding, -torch.inf)
        read = mixed(scores.softmax(dim=1), self._values)
        attended = torch.tanh(read + self._mix(self._hidden))
        return self._projection(attended) + self._decoder.projection.bias

    def select(self, kept: Tensor) -> None:
        """Keeps fewer rows."""
        self._keys, self._values = self._keys[kept], self._values[kept]
        self._padding = self._padding[kept]
        self._hidden, self._cell = self._hidden[kept], self._cell[kept]


class _Chooser:
    """Chooses the next word of every row."""

    def __init__(
        self,
        forbidden: Sequence[int],
        vocabulary: int,
        sampler: torch.Generator | None,
        temperature: float,
    ) -> None:
        self._forbidden = torch.zeros(vocabulary, dtype=torch.bool)
        self._forbidden[list(forbidden)] = True
        self._sampler, self._temperature = sampler, temperature

    def __call__(self, scores: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Gives words (n,) and their log-probabilities, for `rows` (n,) of `count` in all."""
        self._forbidden = self._forbidden.to(scores.device)
        allowed = scores.masked_fill(self._forbidden, -torch.inf)
        log_policy = (allowed / self._temperature).log_softmax(dim=1)
        if self._sampler is None:
            word = log_policy.argmax(dim=1)
        else:
            word = _drawn(log_policy, self._uniform(count, rows))
        return word, log_policy.gather(1, word[:, None])[:, 0]

    def _uniform(self, count: int, rows: Tensor) -> Tensor:
        """Gives (n,) numbers in [0, 1); one is drawn for every row, so that none misses any."""
        assert self._sampler is not None
        noise = torch.rand(
            count, generator=self._sampler, device=self._sampler.device, dtype=torch.float64
        )
        return noise.to(rows.device)[rows]


def _drawn(log_policy: Tensor, uniform: Tensor) -> Tensor:
    """Gives (n,) the word at which the probabilities' sum exceeds `uniform` (n,) of the whole.

    A word of probability 0 adds nothing to the sum, so it is never the first to exceed anything.
    """
    summed = log_policy.double().exp().cumsum(dim=1)
    whole = summed[:, -1]
    # Rounding must not lift the product to the whole, which nothing exceeds.
    mark = torch.minimum(uniform * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    return torch.searchsorted(summed, mark[:, None], right=True)[:, 0]
