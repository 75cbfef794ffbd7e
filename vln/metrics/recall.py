"""How often the right partner is found: retrieval among views with pairwise different captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig
from vln.runs import generator

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recall:
    """Shares, 0 to 1, of items whose partner is found at once and among the first five.

    Attributes:
        image_to_text: At 1 and at 5.
        text_to_image: At 1 and at 5.
        deviation: Of image to text at 1 between draws.
    """

    image_to_text: tuple[float, float]
    text_to_image: tuple[float, float]
    deviation: float


def draw(
    captions: Sequence[str], *, among: int, draws: int, seed: int
) -> list[npt.NDArray[np.int64]]:
    """Gives, per draw, the rows of `among` captions that are pairwise different.

    Raises:
        BadConfig: There are not so many.
    """
    if among < 2 or draws < 1:
        raise BadConfig(f"{draws} draws among {among} views; expected 1 or more among 2 or more.")
    return [_draw(captions, among, seed=seed, number=number) for number in range(draws)]


def _draw(captions: Sequence[str], among: int, *, seed: int, number: int) -> npt.NDArray[np.int64]:
    order: npt.NDArray[np.int64]
    order = generator(seed, f"retrieval/{number}").permutation(len(captions))
    texts = np.array([captions[one] for one in order])
    _, first = np.unique(texts, return_index=True)
    if len(first) < among:
        raise BadConfig(
            f"{len(first)} different captions among {len(captions)}; expected {among} or more. "
            "Ask for fewer with --among."
        )
    chosen: npt.NDArray[np.int64] = order[np.sort(first)[:among]]
    return chosen


def recall(
    pictures: npt.NDArray[np.float32],
    words: npt.NDArray[np.float32],
    captions: Sequence[str],
    *,
    among: int = 100,
    draws: int = 20,
    seed: int = 0,
) -> Recall:
    """Gives how well features of pictures (N, D) and of their captions (N, D) find each other."""
    chosen = draw(captions, among=among, draws=draws, seed=seed)
    return of_draws(unit(pictures), unit(words), chosen)


def of_draws(pictures: Floats, words: Floats, chosen: Sequence[npt.NDArray[np.int64]]) -> Recall:
    """Gives the mean recall over draws, of unit features (N, D) whose rows belong together."""
    ranks = np.array([_ranks(pictures[rows], words[rows]) for rows in chosen])
    at_one, at_five = (ranks < 1).mean(axis=2), (ranks < 5).mean(axis=2)
    to_text, to_image = zip(at_one.mean(axis=0), at_five.mean(axis=0), strict=True)
    return Recall(
        image_to_text=(float(to_text[0]), float(to_text[1])),
        text_to_image=(float(to_image[0]), float(to_image[1])),
        deviation=float(at_one[:, 0].std(ddof=1)) if len(chosen) > 1 else 0.0,
    )


def unit(features: npt.NDArray[np.float32]) -> Floats:
    """Gives features (N, D) of length 1."""
    values = features.astype(np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))


def _ranks(pictures: Floats, words: Floats) -> npt.NDArray[np.int64]:
    """Gives (2, N) ranks of the right caption per picture, and of the right picture per caption.

    Ties count against the encoder: one that gives everything the same features finds nothing.
    """
    likeness = pictures @ words.T
    right = np.diag(likeness)
    by_picture = (likeness >= right[:, None]).sum(axis=1) - 1
    by_caption = (likeness >= right[None, :]).sum(axis=0) - 1
    return np.stack([by_picture, by_caption])
