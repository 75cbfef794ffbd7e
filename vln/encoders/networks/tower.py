"""Small networks that `vln.pretrain` trains: a residual trunk, one projection, perhaps a reader.

All towers have the same trunk and the same number of features, whatever taught them, so that what
they were taught is all that differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from vln.encoders.networks.filling import fill
from vln.encoders.networks.timm import TimmNetwork
from vln.encoders.recipe import Recipe
from vln.encoders.recipes import TOWER_RECIPE, TOWER_SIZE
from vln.errors import BadConfig, CorruptData
from vln.text import PAD, SPECIAL, UNK, Vocabulary

# N pictures or texts, H W pixels, h w places, C channels of the grid, D features, L words

TRUNK = "resnet10t"
"""timm's name of the trunk's shape; its widths are the specification's."""


@dataclass(frozen=True, kw_only=True)
class TowerSpec:
    """What a tower is built from.

    Attributes:
        channels: Of the trunk's four stages.
        dim: D, features of a picture and of a text.
        size: Pixels of the shorter side of what it sees; the longer one is 4/3 of it.
        words: Vocabulary of the reader, by id; empty where there is none.
        text_width: Features of a word.
        text_layers: Blocks of the reader.
        max_words: L, marks of beginning and end included.
    """

    channels: tuple[int, int, int, int] = (24, 48, 128, 256)
    dim: int = 256
    size: int = TOWER_SIZE
    words: tuple[str, ...] = ()
    text_width: int = 128
    text_layers: int = 2
    max_words: int = 48

    @classmethod
    def of_json(cls, values: Mapping[str, Any], *, source: object) -> TowerSpec:
        """Gives the specification that `as_json` gave.

        Raises:
            CorruptData: These are not its fields, or no tower can be built from them.
        """
        try:
            listed = {"channels": tuple(values["channels"]), "words": tuple(values["words"])}
            spec = cls(**{**values, **listed})
        except (KeyError, TypeError) as error:
            raise CorruptData.of(
                source,
                "header",
                f"it describes no tower ({error})",
                "Use a file that `python -m vln.pretrain.contrastive` wrote.",
            ) from None
        spec.check(source)
        return spec

    def check(self, source: object) -> None:
        """Refuses what no tower can be built from.

        Raises:
            CorruptData: A number makes no sense.
        """
        numbers = (*self.channels, self.dim, self.size, self.text_width, self.max_words)
        whole = all(isinstance(n, int) and 0 < n <= 4096 for n in numbers)
        if not whole or len(self.channels) != 4 or self.text_width % HEAD:
            problem = f"a tower of {self.channels} channels, {self.dim} features cannot be built"
            raise CorruptData.of(source, "header", problem, "Use another file of weights.")

    def as_json(self) -> dict[str, Any]:
        """Gives plain values."""
        return {**asdict(self), "channels": list(self.channels), "words": list(self.words)}

    @property
    def recipe(self) -> Recipe:
        """What is done to a picture: the whole view, rendered at the tower's size at once."""
        return replace(TOWER_RECIPE, size=self.size)


HEAD = 32
"""Features of an attention head of the reader."""


class Tower(nn.Module):
    """Pictures -> features.

    Args:
        spec: Sizes.
    """

    def __init__(self, spec: TowerSpec) -> None:
        super().__init__()
        self.trunk = timm.create_model(
            TRUNK, num_classes=0, channels=spec.channels, stem_width=spec.channels[0] // 2
        )
        self.projection = nn.Linear(spec.channels[-1], spec.dim)

    def forward(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D), not normalised."""
        features_ND: Tensor = self.projection(self.trunk(images_N3HW))
        return features_ND


class Reader(nn.Module):
    """Word ids -> features: a pre-norm transformer, the mean over the words, a projection.

    Args:
        spec: Sizes and vocabulary.
    """

    def __init__(self, spec: TowerSpec) -> None:
        super().__init__()
        width = spec.text_width
        self.words = nn.Embedding(len(spec.words), width)
        self.places = nn.Parameter(0.01 * torch.randn(spec.max_words, width))
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width,
                width // HEAD,
                dim_feedforward=4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            ),
            spec.text_layers,
            enable_nested_tensor=False,
        )
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, spec.dim)
        self._pad = SPECIAL.index(PAD)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, ids_NL: Tensor) -> Tensor:
        """Gives (N, D), not normalised."""
        longest = max(1, int((ids_NL != self._pad).sum(1).max()))
        ids_NL = ids_NL[:, :longest]  # padding costs as much as words
        absent_NL = ids_NL == self._pad
        values_NLC = self.words(ids_NL) + self.places[:longest]
        values_NLC = self.norm(self.layers(values_NLC, src_key_padding_mask=absent_NL))
        present_NL1 = (~absent_NL)[..., None].to(values_NLC.dtype)
        mean_NC = (values_NLC * present_NL1).sum(1) / present_NL1.sum(1)
        features_ND: Tensor = self.projection(mean_NC)
        return features_ND


class TowerPair(nn.Module):
    """A tower, and its reader where it has words.

    Args:
        spec: Sizes and vocabulary.
    """

    def __init__(self, spec: TowerSpec) -> None:
        super().__init__()
        self.image = Tower(spec)
        self.text = Reader(spec) if spec.words else None


class TowerNetwork(TimmNetwork):
    """A tower as a network like any other.

    Args:
        spec: Sizes and vocabulary.
        tensors: Its weights.
        source: Where they are from, for messages.
        name: What the encoder is called, for messages.
    """

    def __init__(
        self, spec: TowerSpec, tensors: Mapping[str, Tensor], *, source: object, name: str
    ) -> None:
        pair = TowerPair(spec)
        fill(pair, tensors, source=source, of=name)
        super().__init__(pair.image.trunk)
        self.module = self._pair = pair
        self._trunk: Any = pair.image.trunk  # timm's, untyped
        self.dim, self.size = spec.dim, spec.size
        self.text_dim = spec.dim if spec.words else 0
        self.vocabulary = len(spec.words)
        self.convolutional = True

    def pooled(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, D), not normalised."""
        features_ND: Tensor = self._pair.image(images_N3HW)
        return features_ND

    def grid(self, images_N3HW: Tensor) -> Tensor:
        """Gives (N, C, h, w), before the pooling."""
        grid_NChw: Tensor = self._trunk.forward_features(images_N3HW)
        return grid_NChw

    def grid_size(self, height: int, width: int) -> tuple[int, int]:
        """Gives the rows and columns of the grid of pictures of so many pixels."""
        return -(-height // self.stride), -(-width // self.stride)

    def text(self, tokens_NL: Tensor) -> Tensor:
        """Gives (N, D), not normalised."""
        if self._pair.text is None:
            raise AssertionError("a tower without words was given some")
        features_ND: Tensor = self._pair.text(tokens_NL)
        return features_ND


class WordTokenizer:
    """R2R's tokenizer with a tower's own vocabulary.

    Args:
        words: By id.
        max_words: Ids of a text, marks of beginning and end included.
    """

    def __init__(self, words: Sequence[str], max_words: int) -> None:
        self.context_length = max_words
        self._vocabulary = Vocabulary(tuple(words))

    def __call__(self, texts: list[str], context_length: int | None = None) -> Tensor:
        """Gives (N, context_length) int64 ids, of longer texts the first ones.

        Raises:
            BadConfig: A text has no word that the tower knows: its features would mean nothing.
        """
        length = context_length or self.context_length
        ids, _ = self._vocabulary.encode(texts, max_length=length)
        unknown, first = SPECIAL.index(UNK), len(SPECIAL)
        known = (ids >= first) & (ids < len(self._vocabulary) - 1)  # the last is the beginning mark
        for text in (text for text, row in zip(texts, known, strict=True) if not row.any()):
            raise BadConfig(
                f"the text {text[:40]!r} has none of the {len(self._vocabulary):,} words that this "
                f"tower knows (all are {UNK}, id {unknown}). Use English words of rooms and "
                "furniture, or another encoder."
            )
        return functional.pad(torch.from_numpy(ids), (0, length - ids.shape[1]))
