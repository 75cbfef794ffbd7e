"""LSTM arithmetic for CPUs: one or both ways over packed sequences, and one cell of a loop.

torch's packed LSTM spends most of a CPU backward pass on one small weight-gradient product per
time step. Here a direction's weight gradient is one product over all tokens, both directions step
together, and products may run in bfloat16. Same function, same gradients (tests compare them with
`torch.nn.LSTM`).

Legend: B sequences, P packed tokens (time-major, longest first), I input size, H hidden size; the
leading W is the way of reading: 1 forward only, 2 forward and backward. Gates stand in torch's
order: input, forget, cell, output.
"""

from __future__ import annotations

import itertools
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
        restore: (2, B, L) int64, the packed place of each token; 0 at padding, where it means none.
        last: (B,) int64, packed place of the last token of each sequence, in the caller's order.
        width: L.
    """

    sizes: list[int]
    source: Tensor
    restore: Tensor
    last: Tensor
    width: int

    def padding(self) -> Tensor:
        """Gives (B, L) bool, true where a sequence has ended."""
        blocked = torch.ones(self.restore.shape[1:], dtype=torch.bool, device=self.source.device)
        blocked.view(-1)[self.source[0]] = False
        return blocked


def pack(lengths: npt.NDArray[np.int64], width: int, *, device: str = "cpu") -> Packing:
    """Gives the packing of sequences of `lengths` (B,) >= 1, padded to `width`."""
    order = np.argsort(-lengths, kind="stable")
    sorted_lengths = lengths[order]
    running = np.arange(width)[:, None] < sorted_lengths  # (L, B), time-major
    time, place = np.nonzero(running)
    row = order[place]
    backward_time = lengths[row] - 1 - time
    source = np.stack([row * width + time, row * width + backward_time])
    restore = np.zeros((2, len(lengths) * width), dtype=np.int64)
    restore[0, source[0]] = restore[1, source[1]] = np.arange(len(time))
    last = restore[0].reshape(len(lengths), width)[np.arange(len(lengths)), lengths - 1]
    return Packing(
        sizes=running.sum(axis=1)[running.any(axis=1)].tolist(),
        source=torch.from_numpy(source).to(device),
        restore=torch.from_numpy(restore.reshape(2, len(lengths), width)).to(device),
        last=torch.from_numpy(last).to(device),
        width=width,
    )


class PackedLSTM(torch.autograd.Function):
    """Runs a one-layer LSTM over packed tokens, one or both ways."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        tokens_WPI: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        bias: Tensor,
        sizes: list[int],
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Gives hidden states and cells, (W, P, H) each, in the packed order.

        Args:
            ctx: Autograd's context.
            tokens_WPI: (W, P, I) inputs; those of the backward way already reversed.
            w_ih: (W, 4 H, I) input weights.
            w_hh: (W, 4 H, H) recurrent weights.
            bias: (W, 4 H).
            sizes: `Packing.sizes`.
            dtype: Of the products, float32 or bfloat16.
        """
        ways, _, hidden_size = w_hh.shape
        recurrent = w_hh.to(dtype).transpose(1, 2)
        inputs = tokens_WPI.to(dtype)
        gates = torch.bmm(inputs, w_ih.to(dtype).transpose(1, 2)).float().add_(bias[:, None])
        hidden = torch.empty(ways, gates.shape[1], hidden_size)
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
    def backward(ctx: Any, d_hidden: Tensor, d_cell: Tensor) -> Any:  # noqa: ANN401
        """Gives gradients for tokens, weights and bias."""
        inputs, w_ih, w_hh, gates, hidden, cell, squashed = ctx.saved_tensors
        dtype, sizes = ctx.dtype, ctx.sizes
        ways, _, size_h = hidden.shape
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
        carry_h = torch.zeros(ways, 0, size_h)
        carry_c = torch.zeros(ways, 0, size_h)
        for t in range(len(sizes) - 1, -1, -1):
            here = slice(starts[t], starts[t + 1])
            d_h = d_hidden[:, here].clone()
            d_h[:, : carry_h.shape[1]] += carry_h
            d_c = torch.addcmul(d_cell[:, here], d_h, to_cell[:, here])
            d_c[:, : carry_c.shape[1]] += carry_c
            z = slope[:, here]
            z[..., : 3 * size_h].view(ways, -1, 3, size_h).mul_(d_c[:, :, None])
            z[..., 3 * size_h :].mul_(d_h)
            if t:
                carry_h = torch.bmm(z.to(dtype), recurrent).float()
                carry_c = d_c * f[:, here]
        d_z = slope.to(dtype)
        # Features, for one, need no gradient.
        wanted = ctx.needs_input_grad[0]
        d_tokens = torch.bmm(d_z, w_ih.to(dtype)).float() if wanted else None
        d_w_ih = torch.bmm(d_z.transpose(1, 2), inputs).float()
        d_w_hh = torch.bmm(d_z.transpose(1, 2), past_hidden.to(dtype)).float()
        # A product with ones: torch's sum over the middle dimension is far slower.
        d_bias = torch.bmm(slope.new_ones(ways, 1, slope.shape[1]), slope)[:, 0]
        return d_tokens, d_w_ih, d_w_hh, d_bias, None, None


def _shifted(values: Tensor, sizes: list[int]) -> Tensor:
    """Gives each packed token the value of its sequence's previous token, zeros at the first."""
    past = torch.zeros_like(values)
    end = sizes[0]
    for previous, size in itertools.pairwise(sizes):
        past[:, end : end + size] = values[:, end - previous : end - previous + size]
        end += size
    return past


class CellUpdate(torch.autograd.Function):
    """The pointwise half of an LSTM cell: gates and old cell in, hidden and cell out."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
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
    def backward(ctx: Any, d_hidden: Tensor, d_new: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        """Gives gradients for gates and old cell."""
        act, cell, squashed = ctx.saved_tensors
        i, f, g, o = act.chunk(4, dim=1)
        d_cell = torch.addcmul(d_new, d_hidden * o, 1 - squashed * squashed)
        slope = torch.cat(
            [g * i * (1 - i), cell * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)], dim=1
        ).view(len(act), 4, -1)
        slope[:, :3] *= d_cell[:, None]
        slope[:, 3] *= d_hidden
        return slope.flatten(1), d_cell * f


class Pack(torch.autograd.Function):
    """Takes packed tokens, for one or both ways, out of a padded batch."""

    @staticmethod
    def forward(ctx: Any, padded_BLI: Tensor, packing: Packing, ways: int) -> Tensor:  # noqa: ANN401
        """Gives (W, P, I); those of the backward way are reversed."""
        ctx.packing = packing
        flat = padded_BLI.flatten(0, 1)
        source = packing.source[:ways]
        return flat.index_select(0, source.flatten()).view(*source.shape, flat.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """Gives the gradient of the padded batch, zero at padding."""
        packing: Packing = ctx.packing
        shape = (*packing.restore.shape[1:], gradient.shape[2])
        padded = gradient.new_zeros(shape[0] * shape[1], shape[2])
        padded[packing.source[0]] = gradient[0]
        if len(gradient) == 2:
            padded.index_add_(0, packing.source[1], gradient[1])
        return padded.view(shape), None, None


class Unpack(torch.autograd.Function):
    """Puts packed tokens into a padded batch, both ways side by side if there are two."""

    @staticmethod
    def forward(ctx: Any, packed_WPH: Tensor, packing: Packing) -> Tensor:  # noqa: ANN401
        """Gives (B, L, W H), zero at padding."""
        ctx.packing, ctx.ways = packing, len(packed_WPH)
        size = packed_WPH.shape[2]
        rows, width = packing.restore.shape[1:]
        padded = packed_WPH.new_zeros(rows * width, ctx.ways * size)
        for way, packed in enumerate(packed_WPH):
            padded[packing.source[way], way * size : (way + 1) * size] = packed
        return padded.view(rows, width, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Gives the gradient of the packed tokens."""
        parts = gradient.flatten(0, 1).chunk(ctx.ways, dim=1)
        source = ctx.packing.source[: ctx.ways]
        return torch.stack([part[index] for part, index in zip(parts, source, strict=True)]), None


def largest(packed_2PH: Tensor, packing: Packing, blocked: Tensor) -> Tensor:
    """Gives (B, 2 H), the maximum over each sequence's tokens.

    The gradient goes to the tokens that hold a maximum, as with `amax`, without a padded tensor.

    Args:
        packed_2PH: (2, P, H).
        packing: Of the B sequences.
        blocked: (B, L) bool, padding.
    """
    size = packed_2PH.shape[2]
    with torch.no_grad():
        padded = Unpack.apply(packed_2PH, packing)
        time = padded.masked_fill_(blocked[:, :, None], -torch.inf).argmax(dim=1)
        place = torch.cat(
            [
                packing.restore[0].gather(1, time[:, :size]),
                packing.restore[1].gather(1, time[:, size:]) + packed_2PH.shape[1],
            ],
            dim=1,
        )
        column = torch.arange(size, device=place.device).repeat(2)
    return packed_2PH.flatten()[place * size + column]


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
        Packed hidden states (2, P, H) (see `Unpack`), and final cells (2, B, H), forward first.
    """
    return _run(module, words_BLI, packing, dtype)


def lstm(
    module: torch.nn.LSTM, words_BLI: Tensor, packing: Packing, *, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Gives what a one-layer forward `torch.nn.LSTM` gives for packed sequences; see `bilstm`.

    Returns:
        Packed hidden states (1, P, H), and final cells (1, B, H).
    """
    return _run(module, words_BLI, packing, dtype)


def _run(
    module: torch.nn.LSTM, words_BLI: Tensor, packing: Packing, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    if words_BLI.is_cuda:
        return _library_lstm(module, words_BLI, packing)
    ends = ["_l0", "_l0_reverse"] if module.bidirectional else ["_l0"]

    def all_ways(name: str) -> Tensor:
        return torch.stack([getattr(module, name + end) for end in ends])

    hidden, cell = PackedLSTM.apply(
        Pack.apply(words_BLI, packing, len(ends)),
        all_ways("weight_ih"),
        all_ways("weight_hh"),
        all_ways("bias_ih") + all_ways("bias_hh"),
        packing.sizes,
        dtype,
    )
    return hidden, cell[:, packing.last]


def _library_lstm(
    module: torch.nn.LSTM, words_BLI: Tensor, packing: Packing
) -> tuple[Tensor, Tensor]:
    lengths = torch.bincount(packing.source[0] // packing.width, minlength=len(words_BLI))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        words_BLI, lengths.cpu(), batch_first=True, enforce_sorted=False
    )
    output, (_, cell) = module(packed)
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(
        output, batch_first=True, total_length=packing.width
    )
    parts = padded.flatten(0, 1).chunk(len(cell), dim=1)
    source = packing.source[: len(cell)]
    return torch.stack([part[index] for part, index in zip(parts, source, strict=True)]), cell
