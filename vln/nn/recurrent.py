"""LSTM arithmetic for CPUs: bidirectional over packed sequences, and one cell of an unrolled loop.

torch's packed LSTM spends most of a CPU backward pass on one small weight-gradient product per
time step. Here a direction's weight gradient is one product over all tokens, both directions step
together, and products may run in bfloat16. Same function, same gradients (tests compare them with
`torch.nn.LSTM`).

Legend: B sequences, P packed tokens (time-major, longest first), I input size, H hidden size; the
leading 2 is the direction. Gates stand in torch's order: input, forget, cell, output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Packing:
    """How B padded sequences become P time-major tokens and back.

    Attributes:
        sizes: Number of sequences still running at each time step, non-increasing.
        source: (2, P) int64 into the flattened (B, L) tokens; row 1 reads each sequence backwards.
        restore: (2, B, L) int64 into P + 1 packed outputs; P is a row of zeros for padding.
        order: (B,) int64, sequences longest first.
        last: (B,) int64, packed place of the last token of each sequence, in the caller's order.
    """

    sizes: list[int]
    source: Tensor
    restore: Tensor
    order: Tensor
    last: Tensor


def pack(lengths: npt.NDArray[np.int64], width: int) -> Packing:
    """Gives the packing of sequences of `lengths` (B,) >= 1, padded to `width`."""
    order = np.argsort(-lengths, kind="stable")
    sorted_lengths = lengths[order]
    running = np.arange(width)[:, None] < sorted_lengths  # (L, B), time-major
    time, place = np.nonzero(running)
    row = order[place]
    backward_time = lengths[row] - 1 - time
    source = np.stack([row * width + time, row * width + backward_time])
    restore = np.full((2, len(lengths) * width), len(time), dtype=np.int64)
    restore[0, source[0]] = restore[1, source[1]] = np.arange(len(time))
    last = restore[0].reshape(len(lengths), width)[np.arange(len(lengths)), lengths - 1]
    return Packing(
        sizes=running.sum(axis=1)[running.any(axis=1)].tolist(),
        source=torch.from_numpy(source),
        restore=torch.from_numpy(restore.reshape(2, len(lengths), width)),
        order=torch.from_numpy(order),
        last=torch.from_numpy(last),
    )


class PackedBiLSTM(torch.autograd.Function):
    """Runs both directions of a one-layer LSTM over packed tokens."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,  # noqa: ANN401
        tokens_2PI: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        bias: Tensor,
        sizes: list[int],
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Gives hidden states and cells, (2, P, H) each, in the packed order.

        Args:
            ctx: Autograd's context.
            tokens_2PI: (2, P, I) inputs; direction 1 already reversed.
            w_ih: (2, 4 H, I) input weights.
            w_hh: (2, 4 H, H) recurrent weights.
            bias: (2, 4 H).
            sizes: `Packing.sizes`.
            dtype: Of the products, float32 or bfloat16.
        """
        hidden_size = w_hh.shape[2]
        recurrent = w_hh.to(dtype).transpose(1, 2)
        inputs = tokens_2PI.to(dtype)
        gates = torch.bmm(inputs, w_ih.to(dtype).transpose(1, 2)).float() + bias[:, None]
        hidden = torch.empty(2, gates.shape[1], hidden_size)
        cell = torch.empty_like(hidden)
        squashed = torch.empty_like(hidden)
        end = 0
        for t, size in enumerate(sizes):
            start, end = end, end + size
            z = gates[:, start:end]
            if t:
                before = start - sizes[t - 1]
                past = hidden[:, before : before + size].to(dtype)
                z += torch.bmm(past, recurrent)
            z[..., : 2 * hidden_size].sigmoid_()
            z[..., 2 * hidden_size : 3 * hidden_size].tanh_()
            z[..., 3 * hidden_size :].sigmoid_()
            i, f, g, o = z.chunk(4, dim=-1)
            now = torch.mul(i, g, out=cell[:, start:end])
            if t:
                now.addcmul_(f, cell[:, before : before + size])
            torch.tanh(now, out=squashed[:, start:end])
            torch.mul(o, squashed[:, start:end], out=hidden[:, start:end])
        ctx.save_for_backward(inputs, w_ih, w_hh, gates, hidden, cell, squashed)
        ctx.sizes, ctx.dtype = sizes, dtype
        return hidden, cell

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_hidden: Tensor, d_cell: Tensor) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Gives gradients for tokens, weights and bias."""
        inputs, w_ih, w_hh, gates, hidden, cell, squashed = ctx.saved_tensors
        dtype, sizes = ctx.dtype, ctx.sizes
        size_h = hidden.shape[2]
        i, f, g, o = gates.chunk(4, dim=-1)
        # Everything that does not wait for the later time steps, in bulk.
        slope = torch.empty_like(gates)
        s_i, s_f, s_g, s_o = slope.chunk(4, dim=-1)
        torch.mul(i * g, 1 - i, out=s_i)
        torch.mul(f, 1 - f, out=s_f)
        torch.mul(i, 1 - g * g, out=s_g)
        torch.mul(o * squashed, 1 - o, out=s_o)
        to_cell = o * (1 - squashed * squashed)
        past_cell, past_hidden = _shifted(cell, sizes), _shifted(hidden, sizes)
        s_f *= past_cell
        recurrent = w_hh.to(dtype)
        starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        carry_h = torch.zeros(2, 0, size_h)
        carry_c = torch.zeros(2, 0, size_h)
        for t in range(len(sizes) - 1, -1, -1):
            here = slice(starts[t], starts[t + 1])
            d_h = d_hidden[:, here].clone()
            d_h[:, : carry_h.shape[1]] += carry_h
            d_c = torch.addcmul(d_cell[:, here], d_h, to_cell[:, here])
            d_c[:, : carry_c.shape[1]] += carry_c
            z = slope[:, here]
            z[..., : 3 * size_h].unflatten(2, (3, size_h)).mul_(d_c[:, :, None])
            z[..., 3 * size_h :].mul_(d_h)
            if t:
                carry_h = torch.bmm(z.to(dtype), recurrent).float()
                carry_c = d_c * f[:, here]
        d_z = slope.to(dtype)
        d_tokens = torch.bmm(d_z, w_ih.to(dtype)).float()
        d_w_ih = torch.bmm(d_z.transpose(1, 2), inputs).float()
        d_w_hh = torch.bmm(d_z.transpose(1, 2), past_hidden.to(dtype)).float()
        return d_tokens, d_w_ih, d_w_hh, slope.sum(dim=1), None, None


def _shifted(values: Tensor, sizes: list[int]) -> Tensor:
    """Gives each packed token the value of its sequence's previous token, zeros at the first."""
    past = torch.zeros_like(values)
    end = sizes[0]
    for previous, size in zip(sizes, sizes[1:], strict=False):
        past[:, end : end + size] = values[:, end - previous : end - previous + size]
        end += size
    return past


class CellUpdate(torch.autograd.Function):
    """The pointwise half of an LSTM cell: gates and old cell in, hidden and cell out."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # noqa: ANN401
        """Gives hidden and cell, (B, H) each, from pre-activation gates (B, 4 H)."""
        size = cell.shape[1]
        act = torch.empty_like(gates)
        torch.sigmoid(gates[:, : 2 * size], out=act[:, : 2 * size])
        torch.tanh(gates[:, 2 * size : 3 * size], out=act[:, 2 * size : 3 * size])
        torch.sigmoid(gates[:, 3 * size :], out=act[:, 3 * size :])
        i, f, g, o = act.chunk(4, dim=1)
        new = torch.addcmul(i * g, f, cell)
        squashed = torch.tanh(new)
        ctx.save_for_backward(act, cell, squashed)
        return o * squashed, new

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_hidden: Tensor, d_new: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # noqa: ANN401
        """Gives gradients for gates and old cell."""
        act, cell, squashed = ctx.saved_tensors
        i, f, g, o = act.chunk(4, dim=1)
        d_cell = torch.addcmul(d_new, d_hidden * o, 1 - squashed * squashed)
        slope = torch.cat(
            [g * i * (1 - i), cell * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)], dim=1
        ).unflatten(1, (4, -1))
        slope[:, :3] *= d_cell[:, None]
        slope[:, 3] *= d_hidden
        return slope.flatten(1), d_cell * f


def bilstm(
    module: torch.nn.LSTM, words_BLI: Tensor, packing: Packing, *, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Gives what a one-layer bidirectional `torch.nn.LSTM` gives for packed sequences.

    On a GPU this calls the module itself (cuDNN); on a CPU, the functions above with the module's
    parameters.

    Args:
        module: One layer, bidirectional, batch first.
        words_BLI: (B, L, I) inputs, padding ignored.
        packing: Of the B sequences.
        dtype: Of the products on a CPU.

    Returns:
        Hidden states (B, L, 2 H), zero at padding, and final cells (2, B, H), forward first.
    """
    if words_BLI.is_cuda:
        return _library_bilstm(module, words_BLI, packing)
    flat = words_BLI.flatten(0, 1)
    tokens = flat[packing.source.flatten()].unflatten(0, (2, -1))

    def both(name: str) -> Tensor:
        return torch.stack([getattr(module, f"{name}_l0"), getattr(module, f"{name}_l0_reverse")])

    hidden, cell = PackedBiLSTM.apply(
        tokens,
        both("weight_ih"),
        both("weight_hh"),
        both("bias_ih") + both("bias_hh"),
        packing.sizes,
        dtype,
    )
    padded = torch.cat([hidden, hidden.new_zeros(2, 1, hidden.shape[2])], dim=1)
    forward = padded[0][packing.restore[0]]
    backward = padded[1][packing.restore[1]]
    return torch.cat([forward, backward], dim=2), cell[:, packing.last]


def _library_bilstm(
    module: torch.nn.LSTM, words_BLI: Tensor, packing: Packing
) -> tuple[Tensor, Tensor]:
    width = words_BLI.shape[1]
    lengths = (packing.restore[0] < packing.source.shape[1]).sum(dim=1)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        words_BLI, lengths.cpu(), batch_first=True, enforce_sorted=False
    )
    output, (_, cell) = module(packed)
    hidden, _ = torch.nn.utils.rnn.pad_packed_sequence(
        output, batch_first=True, total_length=width
    )
    return hidden, cell
