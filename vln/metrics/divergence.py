"""Where a walked path leaves its reference, and how a failed episode failed; pure functions.

Works on panorama indices and on scores; knows no graph and no files.
"""

# E episodes, T longest path, R longest reference

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vln.metrics.paths import PathScores, without_repeats

Ints = npt.NDArray[np.int64]

OUTCOMES = ("success", "overshoot", "stopped early", "never near")
"""How an episode ended: every episode has exactly one.

* success: stopped within the radius of the goal;
* overshoot: came within the radius, then stopped outside;
* stopped early: walked along the reference, stopped before its end and never came near;
* never near: left the reference and never came within the radius.
"""


def first_divergence(
    paths: Ints, *, lengths: Ints, references: Ints, reference_lengths: Ints
) -> Ints:
    """Gives the (E,) int64 moves after which each path is first off its reference, 0 for never.

    1 says that the first move was wrong. Turns on the spot are not moves. A path that walks the
    whole reference and goes on diverges with the move past the goal.

    Args:
        paths: (E, T) int64 panoramas, start first.
        lengths: (E,) int64.
        references: (E, R) int64.
        reference_lengths: (E,) int64.
    """
    walked, walked_lengths = without_repeats(paths, lengths)
    width = walked.shape[1]
    expected = np.full((len(walked), width), -1, dtype=np.int64)
    shared = min(width, references.shape[1])
    inside = np.arange(shared) < reference_lengths[:, None]
    expected[:, :shared] = np.where(inside, references[:, :shared], -1)
    off = (walked != expected) & (np.arange(width) < walked_lengths[:, None])
    return np.where(off.any(axis=1), off.argmax(axis=1), 0)


def outcomes(scores: PathScores, *, divergence: Ints) -> Ints:
    """Gives the (E,) int64 places in `OUTCOMES`.

    Args:
        scores: Scores of E episodes.
        divergence: (E,) from `first_divergence`.
    """
    conditions = [scores.success > 0, scores.oracle_success > 0, divergence == 0]
    return np.select(conditions, [np.int64(0), np.int64(1), np.int64(2)], default=np.int64(3))
