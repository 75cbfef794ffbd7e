"""Weights and memories that an unrolled loop uses at every step, differentiated once.

Autograd would compute a weight's gradient as one small product per step and add them up, and would
add a memory-sized tensor per step of attention. Here each use only notes its factors; when the last
use has been differentiated, one product over all steps gives the whole gradient. Same numbers up
to rounding; products may run in bfloat16 on a CPU.

Legend: n rows at one step, I inputs, O outputs; B rows, L memory slots, H memory width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _CollectWeight(torch.autograd.Function):
    """Identity on a weight; its backward runs after every use and sums their outer products."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, uses: list[tuple[Tensor, Tensor]]) -> Tensor:  # type: ignore[override]  # noqa: ANN401
        ctx.set_materialize_grads(False)
        ctx.uses = uses
        return weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor | None) -> tuple[Tensor | None, None]:  # type: ignore[override]  # noqa: ANN401
        if not ctx.uses:
            return None, None
        inputs, gradients = zip(*ctx.uses, strict=True)
        ctx.uses.clear()
        return (torch.cat(gradients).t() @ torch.cat(inputs)).float(), None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]  # noqa: ANN401
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


class _CollectMemory(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, memory: Tensor, uses: list[tuple[Tensor, ...]]) -> Tensor:  # type: ignore[override]  # noqa: ANN401
        ctx.set_materialize_grads(False)
        ctx.uses = uses
        return memory.view_as(memory)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, other: Tensor | None) -> tuple[Tensor | None, None]:  # type: ignore[override]  # noqa: ANN401
        if not ctx.uses:
            return other, None
        left, right = (torch.cat(parts, dim=1) for parts in zip(*ctx.uses, strict=True))
        ctx.uses.clear()
        gradient = torch.bmm(left.transpose(1, 2), right).float()
        return gradient if other is None else gradient + other, None


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,  # noqa: ANN401
        query: Tensor,
        memory: Tensor,
        cast: Tensor,
        blocked: Tensor,
        uses: list[tuple[Tensor, ...]],
    ) -> Tensor:
        asked = query.to(cast.dtype)[:, None]
        scores = torch.bmm(asked, cast.transpose(1, 2)).float()
        share = scores.masked_fill_(blocked[:, None], -torch.inf).softmax(dim=-1)
        ctx.save_for_backward(asked, cast, share)
        ctx.uses = uses
        return torch.bmm(share.to(cast.dtype), cast).float()[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]  # noqa: ANN401
        asked, cast, share = ctx.saved_tensors
        gradient = gradient.to(cast.dtype)[:, None]
        d_share = torch.bmm(gradient, cast.transpose(1, 2)).float()
        d_scores = share * (d_share - (d_share * share).sum(dim=-1, keepdim=True))
        d_scores = d_scores.to(cast.dtype)
        ctx.uses.append(
            (torch.cat([share.to(cast.dtype), d_scores], 1), torch.cat([gradient, asked], 1))
        )
        return torch.bmm(d_scores, cast).float()[:, 0], None, None, None, None


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
        self._uses: list[tuple[Tensor, ...]] = []
        self._tracked = memory.requires_grad and torch.is_grad_enabled()
        self._memory = _CollectMemory.apply(memory, self._uses) if self._tracked else memory
        self._cast = memory.detach().to(dtype)
        self._blocked = blocked
        self._dtype = dtype

    def attend(self, query: Tensor) -> Tensor:
        """Gives the attended memory (B, H) float32 for queries (B, H): softmax(q . m) m."""
        attended: Tensor = _Attend.apply(
            query, self._memory, self._cast, self._blocked, self._uses
        )
        return attended

    def select(self, rows: Tensor) -> LoopMemory:
        """Gives the memory of fewer rows, for a batch from which ended episodes have left."""
        return LoopMemory(self._memory[rows], self._blocked[rows], dtype=self._dtype)
