"""Weights and memories that an unrolled loop uses at every step, differentiated once.

Autograd would compute a weight's gradient as one small product per step and add them up, and would
add a memory-sized tensor per step of attention. Here each use only notes its factors; when the last
use has been differentiated, one product over all steps gives the whole gradient. Same numbers up
to rounding; products may run in bfloat16 on a CPU.

Legend: n rows at one step, I inputs, O outputs; B rows, L memory slots, H memory width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _CollectWeight(torch.autograd.Function):
    """Identity on a weight; its backward runs after every use and sums their outer products."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, uses: list[tuple[Tensor, Tensor]]) -> Tensor:  # noqa: ANN401
        ctx.set_materialize_grads(False)
        ctx.uses = uses
        return weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor | None) -> tuple[Tensor | None, None]:  # noqa: ANN401
        if not ctx.uses:
            return None, None
        inputs, gradients = zip(*ctx.uses, strict=True)
        ctx.uses.clear()
        return (torch.cat(gradients).t() @ torch.cat(inputs)).float(), None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        inputs: Tensor,
        weight: Tensor,
        cast: Tensor,
        uses: list[tuple[Tensor, Tensor]],
    ) -> Tensor:
        factor = inputs.to(cast.dtype)
        ctx.save_for_backward(factor, cast)
        ctx.uses = uses
        return (factor @ cast.t()).float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        factor, cast = ctx.saved_tensors
        gradient = gradient.to(cast.dtype)
        ctx.uses.append((factor, gradient))
        return (gradient @ cast).float(), None, None, None


class LoopLinear:
    """A linear map without bias whose weight gradient is one product over all its uses.

    Use it within one forward and backward pass; make a new one for the next.

    Args:
        weight: (O, I), a parameter or computed from parameters.
        dtype: Of the products.
    """

    def __init__(self, weight: Tensor, *, dtype: torch.dtype = torch.float32) -> None:
        self._uses: list[tuple[Tensor, Tensor]] = []
        self._tracked = weight.requires_grad and torch.is_grad_enabled()
        self._weight = _CollectWeight.apply(weight, self._uses) if self._tracked else weight
        self._cast = weight.detach().to(dtype)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Gives (n, O) float32 for inputs (n, I)."""
        if not self._tracked:
            return (inputs.to(self._cast.dtype) @ self._cast.t()).float()
        product: Tensor = _Product.apply(inputs, self._weight, self._cast, self._uses)
        return product


def scores_of(query: Tensor, slots: Tensor) -> Tensor:
    """Gives (n, S) float32 dot products of queries (n, H) with slots (n, S, H).

    The query is the left factor: with it on the right, torch's product takes five times as long.
    """
    return torch.bmm(query.to(slots.dtype)[:, None], slots.transpose(1, 2)).float()[:, 0]


def mixed(share: Tensor, slots: Tensor) -> Tensor:
    """Gives (n, H) float32 sums of slots (n, S, H), weighted by shares (n, S)."""
    return torch.bmm(share.to(slots.dtype)[:, None], slots).float()[:, 0]


class Score(torch.autograd.Function):
    """Dot products with slots that need no gradient, such as features; see `scores_of`."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, slots: Tensor) -> Tensor:  # noqa: ANN401
        """Gives (n, S) for queries (n, H) and slots (n, S, H)."""
        ctx.save_for_backward(slots)
        return scores_of(query, slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Gives the gradient for the queries."""
        (slots,) = ctx.saved_tensors
        return mixed(gradient, slots), None


class Mix(torch.autograd.Function):
    """Weighted sums of slots that need no gradient; see `mixed`."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, slots: Tensor) -> Tensor:  # noqa: ANN401
        """Gives (n, H) for shares (n, S) and slots (n, S, H)."""
        ctx.save_for_backward(slots)
        return mixed(share, slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Gives the gradient for the shares."""
        (slots,) = ctx.saved_tensors
        return scores_of(gradient, slots), None


class _CollectMemory(torch.autograd.Function):
    """Identity on a memory; its backward runs after every use and sums their outer products."""

    @staticmethod
    def forward(ctx: Any, memory: Tensor, uses: list[_Use]) -> Tensor:  # noqa: ANN401
        """Gives the memory."""
        ctx.set_materialize_grads(False)
        ctx.uses, ctx.rows = uses, len(memory)
        return memory.view_as(memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor | None) -> tuple[Tensor | None, None]:  # noqa: ANN401
        """Gives the memory's gradient: per row, a product over all steps."""
        if not ctx.uses:
            return None, None
        left, right = (
            torch.cat([_in_place(part, use.rows, ctx.rows) for part, use in parts], dim=1)
            for parts in (
                [(use.left, use) for use in ctx.uses],
                [(use.right, use) for use in ctx.uses],
            )
        )
        ctx.uses.clear()
        return torch.bmm(left.transpose(1, 2), right).float(), None


class _Use(NamedTuple):
    """One step's factors (n, 2, L) and (n, 2, H) of the memory's gradient, and its n rows."""

    left: Tensor
    right: Tensor
    rows: Tensor | None


def _in_place(values: Tensor, rows: Tensor | None, count: int) -> Tensor:
    """Gives values of some rows among zeros for all."""
    if rows is None:
        return values
    return values.new_zeros(count, *values.shape[1:]).index_copy_(0, rows, values)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, _: Tensor, memory: LoopMemory) -> Tensor:  # noqa: ANN401
        cast = memory.cast
        scores = scores_of(query, cast).masked_fill_(memory.blocked, -torch.inf)
        share = scores.softmax(dim=1)
        ctx.save_for_backward(query.to(cast.dtype), cast, share)
        ctx.uses, ctx.rows = memory.uses, memory.rows
        return mixed(share, cast)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        asked, cast, share = ctx.saved_tensors
        d_share = scores_of(gradient, cast)
        d_scores = share * (d_share - (d_share * share).sum(dim=1, keepdim=True))
        left = torch.stack([share, d_scores], dim=1).to(cast.dtype)
        right = torch.stack([gradient.to(cast.dtype), asked], dim=1)
        ctx.uses.append(_Use(left, right, ctx.rows))
        return mixed(d_scores, cast), None, None


class LoopMemory:
    """Slots that a loop attends to by dot product; their gradient is one product over all steps.

    Args:
        memory: (B, L, H) keys, which are the values too.
        blocked: (B, L) bool, slots that must not be attended to.
        dtype: Of the products.
    """

    def __init__(
        self, memory: Tensor, blocked: Tensor, *, dtype: torch.dtype = torch.float32
    ) -> None:
        self.uses: list[_Use] = []
        tracked = memory.requires_grad and torch.is_grad_enabled()
        self.tracked = _CollectMemory.apply(memory, self.uses) if tracked else memory
        self.cast = memory.detach().to(dtype)
        self.blocked = blocked
        self.rows: Tensor | None = None

    def attend(self, query: Tensor) -> Tensor:
        """Gives the attended memory (n, H) float32 for queries (n, H): softmax(q . m) m."""
        attended: Tensor = _Attend.apply(query, self.tracked, self)
        return attended

    def select(self, kept: Tensor) -> None:
        """Keeps fewer rows, for a batch from which ended episodes have left."""
        self.cast, self.blocked = self.cast[kept], self.blocked[kept]
        self.rows = kept if self.rows is None else self.rows[kept]
