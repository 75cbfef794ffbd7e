"""How much arithmetic an update of the follower is, counted from its sizes and from what it did.

Only matrix products count, two operations per multiplication and addition; of the rows and words
that are there, not of padding or of rows whose episode has ended. So the rate that follows from it
is of useful work.

Forward, in multiply-adds, with A angles, D features, X = D + A, E word width, h = H / 2, W action
width, K candidate slots and L words of the row's instruction:

    per word               8 h (E + h)                          both directions' gates
    per instruction        H H                                  first state of the decoder
    per row and step       A W                                  own angles
                           H X + 36 X + 36 X                    query, scores and mix of 36 views
                           (W + X + H) 4 H                      gates
                           H H + L H + L H + 2 H H              query, scores and mix of words
                           H X + K X                            query and scores of candidates
    per sampled action     H H + H                              critic

The backward pass adds twice that where both factors need a gradient (weights, words), once where
one of them is data (views, candidates, angles).
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.follower.model import FollowerSizes
from vln.geometry import NUM_VIEWS


@dataclass(frozen=True)
class Amount:
    """What an update did.

    Attributes:
        words: Words read, over all instructions.
        instructions: Instructions read.
        row_steps: Decoder steps, over all rows that were still going.
        attended: Words attended to, over all row-steps.
        sampled: Actions that the critic judged.
    """

    words: int
    instructions: int
    row_steps: int
    attended: int
    sampled: int


def update_flops(sizes: FollowerSizes, amount: Amount, *, slots: int) -> float:
    """Gives the floating-point operations of forward and backward pass.

    Args:
        sizes: Of the network.
        amount: What was done.
        slots: K, candidates per row including padding.
    """
    hidden, seen = sizes.hidden, sizes.features + sizes.angles
    half = hidden // 2
    per_word = 3 * 8 * half * (sizes.word + half)
    per_instruction = 3 * hidden**2
    weights = (
        2 * hidden * seen + (sizes.action + seen + hidden) * 4 * hidden + hidden**2 + 2 * hidden**2
    )
    data = sizes.angles * sizes.action + (2 * NUM_VIEWS + slots) * seen
    per_step = 3 * weights + 2 * data
    multiply_adds = (
        amount.words * per_word
        + amount.instructions * per_instruction
        + amount.row_steps * per_step
        + amount.attended * 3 * 2 * hidden
        + amount.sampled * 3 * (hidden**2 + hidden)
    )
    return 2.0 * multiply_adds
