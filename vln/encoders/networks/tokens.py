"""Texts -> tokens by a network's own tokenizer, without ever cutting a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vln.errors import BadConfig

_SHOWN = 40


class Tokenizer(Protocol):
    """What open_clip's tokenizers are.

    Attributes:
        context_length: Tokens that a network takes, padded.
    """

    context_length: int

    def __call__(self, texts: list[str], context_length: int | None = None) -> Tensor:
        """Gives (N, context_length) tokens, of longer texts the first ones."""


def tokenized(tokenizer: Tokenizer, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Gives (N, L) tokens.

    Raises:
        BadConfig: A text has more tokens than the network takes, or these are no texts.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise BadConfig(f"texts {str(texts)[:_SHOWN]!r}; expected a list of strings.")
    length = tokenizer.context_length
    if not len(texts):
        return np.empty((0, length), dtype=np.int64)
    cut = tokenizer(list(texts)).numpy()
    # A text that fits is the same with more room; one that was cut has an end where it goes on.
    roomy = tokenizer(list(texts), length + 1).numpy()[:, :length]
    kept = (cut == roomy).all(1)
    for text in (text for text, whole in zip(texts, kept, strict=True) if not whole):
        raise BadConfig(
            f"the text {text[:_SHOWN]!r}... has {_count(tokenizer, text)} tokens; the network "
            f"reads {length}. Shorten it, or encode it in parts."
        )
    return cut.astype(np.int64)


def _count(tokenizer: Tokenizer, text: str) -> int:
    """Gives the tokens of a text, its beginning and end among them."""
    room = 2 * tokenizer.context_length
    while True:
        cut, whole = (tokenizer([text], size).numpy()[0] for size in (room, room + 1))
        if np.array_equal(cut, whole[:room]):
            break
        room *= 2
    return int(np.flatnonzero(whole != whole[-1])[-1]) + 1
