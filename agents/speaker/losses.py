"""The speaker's loss and score: how likely its words are, given the words before them.

Sees tensors only. Legend: B instructions, L words, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PADDING = 0


def word_loss(logits_BLV: Tensor, words_BL: Tensor) -> Tensor:
    """Gives the cross-entropy of each next word, averaged over all that are not padding.

    Args:
        logits_BLV: (B, L, V) scores of the word after each word.
        words_BL: (B, L) int64, `<BOS>` first, 0 = padding.
    """
    return functional.cross_entropy(
        logits_BLV.flatten(0, 1), _next_words(words_BL).flatten(), ignore_index=PADDING
    )


def word_log_probs(logits_BLV: Tensor, words_BL: Tensor) -> Tensor:
    """Gives (B, L - 1) log-probabilities of each next word, 0 where it is padding.

    Args:
        logits_BLV: (B, L, V) scores of the word after each word.
        words_BL: (B, L) int64, `<BOS>` first, 0 = padding.
    """
    target = words_BL[:, 1:]
    scores = logits_BLV[:, :-1]
    chosen = scores.gather(2, target[:, :, None])[:, :, 0]
    return (chosen - scores.logsumexp(dim=2)).masked_fill(target == PADDING, 0)


def _next_words(words_BL: Tensor) -> Tensor:
    """Gives (B, L) the word after each word, padding after the last."""
    following = torch.full_like(words_BL, PADDING)
    following[:, :-1] = words_BL[:, 1:]
    return following
