"""Attention over features that need no gradient, with dropout, without a dropped copy of them.

The views of a batch of routes are a hundred megabytes: dropping elements from all of them at once
costs more than the attention itself, most of it for fresh memory. Here a block of queries at a
time is dropped into a buffer that stays in the processor's cache, and dropped again, with the
same masks, when gradients are computed.

Legend: N queries, M sets of S slots each, D numbers per slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vln.nn.deferred import mixed, scores_of
from vln.nn.dropout import Dropout

BLOCK = 2**19
"""Elements of a block on a CPU: 2 MB of float32, near a core's own cache."""


class Slots:
    """Sets of slots to be looked at, one per query, through dropout.

    Args:
        values: (M, S, D), never copied as a whole on a CPU, never written to.
        rows: (N,) int64, which set each query looks at.
        drop: Source of the masks; every element is dropped independently.
        probability: Of dropping; `scale` is then still to be put on queries and on what is seen.
    """

    def __init__(self, values: Tensor, rows: Tensor, drop: Dropout, *, probability: float) -> None:
        self._values, self._rows = values, rows
        self._drop, self._probability = drop, probability
        self._masks: list[Tensor] | None = None
        self.scale = 1.0
        if drop.enabled and probability:
            self._masks = self._drawn()

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Gives which queries a block holds and its dropped slots, valid until the next one."""
        buffer = self._values.new_empty(self._size(), *self._values.shape[1:])
        for number, block in enumerate(self._ranges()):
            shown = buffer[: block.stop - block.start]
            torch.index_select(self._values, 0, self._rows[block], out=shown)
            if self._masks is not None:
                shown.mul_(self._masks[number])
            yield block, shown

    def look(self, query_ND: Tensor, bias_NS: Tensor) -> tuple[Tensor, Tensor]:
        """Gives shares (N, S) = softmax(query . slot + bias), and the mixture (N, D) of the slots.

        Both float32, differentiable by query and bias.
        """
        share, seen = _Look.apply(query_ND * self.scale, bias_NS, self)
        return share, seen * self.scale

    def _drawn(self) -> list[Tensor]:
        masks = []
        for block in self._ranges():
            shape = (block.stop - block.start, *self._values.shape[1:])
            like = self._values.new_empty(1).expand(shape)
            mask, self.scale = self._drop.mask(like, self._probability)
            masks.append(mask)
        return masks

    def _ranges(self) -> Iterator[slice]:
        size = self._size()
        for start in range(0, len(self._rows), size):
            yield slice(start, min(start + size, len(self._rows)))

    def _size(self) -> int:
        if self._values.is_cuda:
            return len(self._rows)
        return max(1, min(len(self._rows), BLOCK // self._values[0].numel()))


class _Look(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        query: Tensor,
        bias: Tensor,
        slots: Slots,
    ) -> tuple[Tensor, Tensor]:
        shares, seen = torch.empty_like(bias), torch.empty_like(query)
        for block, values in slots.blocks():
            scores = scores_of(query[block], values).add_(bias[block])
            torch.softmax(scores, dim=1, out=shares[block])
            seen[block] = mixed(shares[block], values)
        ctx.save_for_backward(shares)
        ctx.slots = slots
        return shares, seen

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401
        d_shares: Tensor,
        d_seen: Tensor,
    ) -> tuple[Tensor, Tensor, None]:
        (shares,) = ctx.saved_tensors
        d_query, d_bias = torch.empty_like(d_seen), torch.empty_like(d_shares)
        for block, values in ctx.slots.blocks():
            share = shares[block]
            d_share = d_shares[block] + scores_of(d_seen[block], values)
            d_bias[block] = share * (d_share - (d_share * share).sum(dim=1, keepdim=True))
            d_query[block] = mixed(d_bias[block], values)
        return d_query, d_bias, None
