"""EnvDrop's speaker: a route encoder and an instruction decoder, as pure networks.

Unlike the released code, recurrences end where a route or an instruction ends, so that nothing
depends on what else is in the batch. Angle features are given once (4 numbers) though EnvDrop
repeats them 32 times: what they are many times over is written out for single steps only, never
for all views. Sees tensors only, never an environment.

Legend: B routes, T steps, L words, V vocabulary, D features per view, H hidden; P steps or words
of all routes without padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vln.nn.deferred import LoopLinear, Mix, Score
from vln.nn.dropout import Dropout
from vln.nn.glimpse import Slots
from vln.nn.recurrent import Pack, Packing, Unpack, bilstm, lstm


@dataclass(frozen=True, kw_only=True)
class SpeakerSizes:
    """Widths of the speaker; defaults are EnvDrop's.

    Attributes:
        vocabulary: V, number of word ids.
        features: D, 0 for a blind speaker.
        word: Width of a word embedding.
        hidden: H, of the decoder and of both encoder directions together.
        angles: Numbers that describe a direction.
        angle_repeats: How often EnvDrop would repeat them.
        dropout: Probability on embeddings and states.
        feature_dropout: Probability on visual features.
    """

    vocabulary: int
    features: int
    word: int = 256
    hidden: int = 512
    angles: int = 4
    angle_repeats: int = 32
    dropout: float = 0.6
    feature_dropout: float = 0.3


class Route(NamedTuple):
    """What is seen and done along B routes; D = 0 for a blind speaker.

    `action_features` (B, T, D) and `action_angles` (B, T, 4), of the candidate taken at each step,
    zeros at the stop, which is a route's last step, and after it; `view_features` (B, T, 36, D) and
    `view_angles` (B, T, 36, 4). Angles are float32, features of any floating type;
    none of them gets a gradient.
    """

    action_features: Tensor
    action_angles: Tensor
    view_features: Tensor
    view_angles: Tensor


class Told(NamedTuple):
    """Encoded routes: `context` (B, T, H) float32, zeros at padding; `padding` (B, T) bool."""

    context: Tensor
    padding: Tensor


class Encoder(nn.Module):
    """Reads routes: actions in their order, then the views around each, then those in order."""

    def __init__(self, sizes: SpeakerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, hidden = sizes.features + sizes.angles * sizes.angle_repeats, sizes.hidden
        self.action_lstm = nn.LSTM(width, hidden // 2, batch_first=True, bidirectional=True)
        self.view_query = nn.Linear(hidden, width, bias=False)
        self.mix = nn.Linear(width + hidden, hidden, bias=False)
        self.route_lstm = nn.LSTM(hidden, hidden // 2, batch_first=True, bidirectional=True)

    def forward(
        self,
        route: Route,
        packing: Packing,
        drop: Dropout,
        *,
        dtype: torch.dtype,
        seen: Tensor | None = None,
    ) -> Told:
        """Gives the context an instruction is told from; see `Speaker.read`."""
        p = self.sizes.dropout
        hidden, _ = bilstm(self.action_lstm, self._actions(route, drop, seen), packing, dtype=dtype)
        done = drop(Pack.apply(Unpack.apply(hidden, packing), packing, 1)[0], p)
        views = _Views(self.sizes, route, packing, drop, seen)
        looked = views.around(LoopLinear(self.view_query.weight, dtype=dtype)(done))
        mixed = LoopLinear(self.mix.weight, dtype=dtype)(torch.cat([looked, done], dim=1))
        steps = Unpack.apply(drop(torch.tanh(mixed), p)[None], packing)
        hidden, _ = bilstm(self.route_lstm, steps, packing, dtype=dtype)
        context = Unpack.apply(drop(hidden, p), packing)
        return Told(context, packing.padding())

    def _actions(self, route: Route, drop: Dropout, seen: Tensor | None) -> Tensor:
        """Gives (B, T, D + 128) float32 features, some dropped, and repeated angles."""
        features = route.action_features.float()
        if seen is not None:
            features = features * seen[:, None]
        elif self.sizes.features:
            features = drop(features, self.sizes.feature_dropout)
        return torch.cat([features, _repeated(route.action_angles, self.sizes)], dim=2)


def _repeated(angles: Tensor, sizes: SpeakerSizes) -> Tensor:
    """Gives angles (..., 128) as EnvDrop repeats them."""
    return angles.repeat(*[1] * (angles.dim() - 1), sizes.angle_repeats)


class _Views:
    """What is to be seen around each of P steps."""

    def __init__(
        self,
        sizes: SpeakerSizes,
        route: Route,
        packing: Packing,
        drop: Dropout,
        seen: Tensor | None,
    ) -> None:
        self._sizes = sizes
        step = packing.source[0]
        self._angles = route.view_angles.flatten(0, 1)[step]
        # Products with masked views, without masking them: q . (m v) = (q m) . v.
        self._mask = None if seen is None else seen[step // packing.width]
        self._features = Slots(
            route.view_features.flatten(0, 1),
            step,
            drop,
            probability=sizes.feature_dropout if seen is None and sizes.features else 0.0,
        )

    def around(self, query: Tensor) -> Tensor:
        """Gives the attended view (P, D + 128) for queries (P, D + 128)."""
        sizes = self._sizes
        by_features, repeated = query.tensor_split([sizes.features], dim=1)
        by_angles = repeated.reshape(-1, sizes.angle_repeats, sizes.angles).sum(dim=1)
        scores = Score.apply(by_angles, self._angles)
        if not sizes.features:
            return _repeated(Mix.apply(scores.softmax(dim=1), self._angles), sizes)
        share, seen = self._features.look(self._masked(by_features), scores)
        angles = _repeated(Mix.apply(share, self._angles), sizes)
        return torch.cat([self._masked(seen), angles], dim=1)

    def _masked(self, values: Tensor) -> Tensor:
        return values if self._mask is None else values * self._mask


class Decoder(nn.Module):
    """Tells instructions word by word, attending to the steps of the route."""

    def __init__(self, sizes: SpeakerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        hidden = sizes.hidden
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.word, padding_idx=0)
        self.lstm = nn.LSTM(sizes.word, hidden, batch_first=True)
        self.step_query = nn.Linear(hidden, hidden, bias=False)
        self.mix = nn.Linear(2 * hidden, hidden, bias=False)
        self.projection = nn.Linear(hidden, sizes.vocabulary)

    def forward(
        self,
        told: Told,
        words_BL: Tensor,
        packing: Packing,
        drop: Dropout,
        *,
        dtype: torch.dtype,
    ) -> Tensor:
        """Gives scores of the next words; see `Speaker.logits`."""
        p = self.sizes.dropout
        embedded = drop(self.embedding(words_BL), p)
        hidden, _ = lstm(self.lstm, embedded, packing, dtype=dtype)
        said = drop(hidden[0], p)
        query = LoopLinear(self.step_query.weight, dtype=dtype)(said)
        read = _attend(Unpack.apply(query[None], packing), told)
        both = torch.cat([Pack.apply(read, packing, 1)[0], said], dim=1)
        attended = drop(torch.tanh(LoopLinear(self.mix.weight, dtype=dtype)(both)), p)
        scores = LoopLinear(self.projection.weight, dtype=dtype)(attended)
        logits: Tensor = Unpack.apply((scores + self.projection.bias)[None], packing)
        return logits


def _attend(query_BLH: Tensor, told: Told) -> Tensor:
    """Gives (B, L, H), the steps of each route as its words attend to them."""
    scores = torch.bmm(query_BLH, told.context.transpose(1, 2))
    share = scores.masked_fill(told.padding[:, None], -torch.inf).softmax(dim=2)
    return torch.bmm(share, told.context)


class Speaker(nn.Module):
    """Route encoder and instruction decoder under one roof."""

    def __init__(self, sizes: SpeakerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes)
        self.decoder = Decoder(sizes)

    def read(
        self,
        route: Route,
        packing: Packing,
        drop: Dropout,
        *,
        dtype: torch.dtype,
        seen: Tensor | None = None,
    ) -> Told:
        """Gives what an instruction is told from.

        Args:
            route: What is seen and done along B routes.
            packing: Of the routes' lengths (B,) in steps, the stop included, and width T.
            drop: Source of dropout masks.
            dtype: Of the matrix products on a CPU; those with views run in the views' own type.
            seen: (B, D) float32 multiples of the visual features of whole routes, for environment
                dropout; zeros and 1 / (1 - p), say. Ordinary feature dropout is off then.
        """
        told: Told = self.encoder(route, packing, drop, dtype=dtype, seen=seen)
        return told

    def logits(
        self,
        told: Told,
        words_BL: Tensor,
        packing: Packing,
        drop: Dropout,
        *,
        dtype: torch.dtype,
    ) -> Tensor:
        """Gives (B, L, V) float32 scores of the word after each word, zeros after padding.

        Args:
            told: What `read` gave for the B routes.
            words_BL: (B, L) int64 word ids, `<BOS>` first, 0 = padding.
            packing: Of the instructions' lengths, and width L.
            drop: Source of dropout masks.
            dtype: Of the matrix products on a CPU.
        """
        logits: Tensor = self.decoder(told, words_BL, packing, drop, dtype=dtype)
        return logits


ENVDROP_NAMES = {
    "encoder.action_lstm": "speaker_encoder.lstm",
    "encoder.view_query": "speaker_encoder.attention_layer.linear_in",
    "encoder.mix": "speaker_encoder.attention_layer.linear_out",
    "encoder.route_lstm": "speaker_encoder.post_lstm",
    "decoder.embedding": "speaker_decoder.embedding",
    "decoder.lstm": "speaker_decoder.lstm",
    "decoder.step_query": "speaker_decoder.attention_layer.linear_in",
    "decoder.mix": "speaker_decoder.attention_layer.linear_out",
    "decoder.projection": "speaker_decoder.projection",
}
"""Our module names to those of EnvDrop's state dicts; its baseline head is never used."""
