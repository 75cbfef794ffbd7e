"""The hand-written networks against torch's own, values and gradients."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from vln.nn import glimpse
from vln.nn.deferred import LoopLinear, LoopMemory, Mix, Score
from vln.nn.dropout import Dropout
from vln.nn.glimpse import Slots
from vln.nn.precision import native_precision
from vln.nn.recurrent import CellUpdate, Pack, Unpack, _library_lstm, bilstm, largest, lstm, pack

F32 = torch.float32
LENGTHS = {
    "ragged": [4, 1, 7, 7, 2, 5],
    "one of each": [1, 2, 3],
    "equal": [6, 6, 6],
    "all of length one": [1, 1],
    "a single one": [5],
}


def close(given, expected, tolerance=1e-5):
    torch.testing.assert_close(given, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def padded_batch(lengths, *, extra=0, width=3):
    """Words (B, L, I) that need gradients, and their padding (B, L)."""
    lengths = np.array(lengths)
    longest = int(lengths.max()) + extra
    words = torch.randn(len(lengths), longest, width, requires_grad=True)
    return words, torch.from_numpy(np.arange(longest) >= lengths[:, None])


def library_lstm(module, words, lengths):
    """Padded hidden states (B, L, W H) and final cells (W, B, H) of torch's packed LSTM."""
    packed = nn.utils.rnn.pack_padded_sequence(
        words, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    output, (_, cell) = module(packed)
    hidden, _ = nn.utils.rnn.pad_packed_sequence(
        output, batch_first=True, total_length=words.shape[1]
    )
    return hidden, cell


def gradients_of(loss, tensors):
    return torch.autograd.grad(loss, tensors, retain_graph=True)


@pytest.mark.parametrize("run", [lstm, bilstm], ids=["one way", "both ways"])
@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_the_packed_lstm_equals_torchs_in_values_and_gradients(lengths, extra, run):
    module = nn.LSTM(3, 4, batch_first=True, bidirectional=run is bilstm)
    words, padding = padded_batch(lengths, extra=extra)
    packing = pack(np.array(lengths), words.shape[1])

    packed, cells = run(module, words, packing, dtype=F32)
    hidden = Unpack.apply(packed, packing)
    expected, expected_cells = library_lstm(module, words, lengths)
    close(hidden, expected)
    close(cells, expected_cells)
    assert (hidden[padding] == 0).all()

    # A loss that weighs every number differently.
    weights, cell_weights = torch.randn_like(hidden), torch.randn_like(cells)
    inputs = [words, *module.parameters()]
    ours = gradients_of((hidden * weights).sum() + (cells * cell_weights).sum(), inputs)
    theirs = gradients_of(
        (expected * weights).sum() + (expected_cells * cell_weights).sum(), inputs
    )
    for given, wanted in zip(ours, theirs, strict=True):
        close(given, wanted)


@pytest.mark.parametrize("run", [lstm, bilstm], ids=["one way", "both ways"])
def test_the_librarys_way_for_gpus_gives_the_same_packed_states_and_cells(run):
    lengths = np.array(LENGTHS["ragged"])
    module = nn.LSTM(3, 4, batch_first=True, bidirectional=run is bilstm)
    words, _ = padded_batch(lengths, extra=2)
    packing = pack(lengths, words.shape[1])
    ours = run(module, words, packing, dtype=F32)
    for given, wanted in zip(_library_lstm(module, words, packing), ours, strict=True):
        close(given, wanted)


def test_packed_inputs_that_need_no_gradient_leave_the_weights_gradients_alone():
    module = nn.LSTM(3, 4, batch_first=True)
    words, _ = padded_batch(LENGTHS["ragged"])
    packing = pack(np.array(LENGTHS["ragged"]), 7)
    ours, theirs = (
        gradients_of(lstm(module, x, packing, dtype=F32)[0].square().sum(), [module.weight_ih_l0])
        for x in (words.detach(), words)
    )
    close(ours[0], theirs[0])


@pytest.mark.parametrize("ways", [1, 2])
def test_packing_is_undone_by_unpacking_and_its_gradient_is_that_of_indexing(ways):
    lengths = np.array(LENGTHS["ragged"])
    words, padding = padded_batch(lengths, extra=1)
    packing = pack(lengths, words.shape[1])
    packed = Pack.apply(words, packing, ways)
    indexed = words.flatten(0, 1)[packing.source[:ways]]
    assert torch.equal(packed, indexed)
    tokens = words.detach().masked_fill(padding[:, :, None], 0)
    close(Unpack.apply(packed, packing), tokens.repeat(1, 1, ways))
    weights = torch.randn_like(packed)
    given, wanted = (gradients_of((v * weights).sum(), [words])[0] for v in (packed, indexed))
    close(given, wanted)


def test_a_packing_knows_where_padding_is():
    words, padding = padded_batch(LENGTHS["ragged"], extra=2)
    assert torch.equal(pack(np.array(LENGTHS["ragged"]), words.shape[1]).padding(), padding)


def test_a_sequence_reads_the_same_alone_and_beside_longer_ones():
    module = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    words, _ = padded_batch([3, 8, 6])
    packing = pack(np.array([3, 8, 6]), 8)
    together = Unpack.apply(bilstm(module, words, packing, dtype=F32)[0], packing)
    one = pack(np.array([3]), 3)
    alone = Unpack.apply(bilstm(module, words[:1, :3], one, dtype=F32)[0], one)
    close(together[0, :3], alone[0], 1e-6)


def test_bfloat16_products_stay_close_to_float32():
    module = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    words, _ = padded_batch(LENGTHS["ragged"])
    packing = pack(np.array(LENGTHS["ragged"]), 7)
    exact, rough = (bilstm(module, words, packing, dtype=d)[0] for d in (F32, torch.bfloat16))
    assert rough.dtype == F32
    close(rough, exact, 0.03)
    gradient = gradients_of(rough.sum(), [module.weight_hh_l0])[0]
    close(gradient, gradients_of(exact.sum(), [module.weight_hh_l0])[0], 0.1)


def test_the_largest_hidden_state_ignores_padding_and_passes_gradients_to_its_token():
    lengths = np.array([2, 5, 1])
    module = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    words, padding = padded_batch(lengths)
    packing = pack(lengths, 5)
    # Shifted below zero, where the zeros at padding would win.
    packed = bilstm(module, words, packing, dtype=F32)[0] - 2
    top = largest(packed, packing, padding)
    padded = Unpack.apply(packed, packing).masked_fill(padding[:, :, None], -torch.inf)
    expected = padded.amax(dim=1)
    close(top, expected)
    weights = torch.randn_like(top)
    given, wanted = (gradients_of((v * weights).sum(), [words])[0] for v in (top, expected))
    close(given, wanted)


def test_the_cell_update_equals_torchs_lstm_cell():
    module = nn.LSTMCell(3, 5)
    x, h, c = (torch.randn(4, width, requires_grad=True) for width in (3, 5, 5))
    gates = x @ module.weight_ih.t() + h @ module.weight_hh.t() + module.bias_ih + module.bias_hh
    hidden, cell = CellUpdate.apply(gates, c)
    expected = module(x, (h, c))
    close(hidden, expected[0])
    close(cell, expected[1])
    weights = torch.randn(2, 4, 5)
    inputs = [x, h, c, *module.parameters()]
    ours = gradients_of((torch.stack([hidden, cell]) * weights).sum(), inputs)
    theirs = gradients_of((torch.stack(expected) * weights).sum(), inputs)
    for given, wanted in zip(ours, theirs, strict=True):
        close(given, wanted)


def test_the_cell_updates_gradient_is_its_slope():
    gates = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    cell = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(CellUpdate.apply, (gates, cell))


def test_scores_and_mixes_of_slots_have_the_gradient_of_their_slope():
    slots = torch.randn(3, 6, 4, dtype=torch.float64)
    query = torch.randn(3, 4, dtype=torch.float64)
    share = torch.rand(3, 6, dtype=torch.float64)
    for ask, values in ((Score, query), (Mix, share)):
        rough = values.float().requires_grad_()
        exact = values.clone().requires_grad_()
        einsum = "nsh,nh->ns" if ask is Score else "nsh,ns->nh"
        given, expected = ask.apply(rough, slots.float()), torch.einsum(einsum, slots, exact)
        close(given.double(), expected)
        weights = torch.randn_like(expected)
        ours = gradients_of((given * weights.float()).sum(), [rough])[0]
        close(ours.double(), gradients_of((expected * weights).sum(), [exact])[0])


def dropped_copies(values, rows, drop, probability):
    """What is seen of `values` through dropout: a look with a huge bias shows single slots."""
    slots = Slots(values, rows, drop, probability=probability)
    picks = torch.eye(values.shape[1]) * 1e6
    query = torch.zeros(len(rows), values.shape[2])
    seen = [slots.look(query, pick.expand(len(rows), -1))[1] for pick in picks]
    return slots, torch.stack(seen, dim=1)


@pytest.mark.parametrize("sets_at_a_time", [1, 3, 100])
@pytest.mark.parametrize("probability", [0.0, 0.4])
def test_a_look_through_dropout_has_the_values_and_gradients_of_a_plain_one(
    monkeypatch, probability, sets_at_a_time
):
    monkeypatch.setattr(glimpse, "BLOCK", sets_at_a_time * 6 * 4)
    values, rows = torch.randn(9, 6, 4), torch.tensor([7, 0, 3, 3, 8])
    slots, dropped = dropped_copies(values, rows, Dropout(0), probability)
    query, bias = torch.randn(5, 4, requires_grad=True), torch.randn(5, 6, requires_grad=True)
    share, seen = slots.look(query, bias)
    scores = torch.einsum("nsh,nh->ns", dropped, query) + bias
    expected = scores.softmax(dim=1), torch.einsum("nsh,ns->nh", dropped, scores.softmax(dim=1))
    close(share, expected[0])
    close(seen, expected[1])
    weights = torch.randn(5, 6), torch.randn(5, 4)
    ours, theirs = (
        gradients_of((one * weights[0]).sum() + (two * weights[1]).sum(), [query, bias])
        for one, two in ((share, seen), expected)
    )
    for given, wanted in zip(ours, theirs, strict=True):
        close(given, wanted)


@pytest.mark.parametrize("sets_at_a_time", [7, 1000])
def test_dropout_of_slots_keeps_the_mean_and_the_slots_themselves(monkeypatch, sets_at_a_time):
    monkeypatch.setattr(glimpse, "BLOCK", sets_at_a_time * 6 * 40)
    values = torch.ones(100, 6, 40)
    _, dropped = dropped_copies(values, torch.arange(100), Dropout(1), 0.4)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.4, abs=0.01)
    assert len(dropped.unique()) == 2
    assert (values == 1).all()


ROWS = [None, None, [0, 2, 3, 5], None, [1, 3], [0]]
"""Which rows stay before each step of the unrolled loops below; None: all."""


def unroll(linear, attend, select, state):
    """A loop of a linear map and attention from which rows leave; gives a weighed sum."""
    total = torch.zeros(())
    for step, rows in enumerate(ROWS):
        if rows is not None:
            kept = torch.tensor(rows)
            select(kept)
            state = state[kept]
        state = torch.tanh(linear(state) + attend(state))
        total = total + (state * torch.linspace(-1, 2, state.numel()).view_as(state)).sum() * (
            1 + step
        )
    return total


def test_loop_weights_and_memories_have_the_gradients_of_plain_autograd():
    weight, start = torch.randn(4, 4, requires_grad=True), torch.randn(6, 4, requires_grad=True)
    memory, blocked = padded_batch([5, 1, 3, 5, 2, 4], width=4)
    inputs = [weight, memory, start]

    loop = LoopMemory(memory, blocked)
    ours = unroll(LoopLinear(weight), loop.attend, loop.select, start)

    rows = [torch.arange(6)]

    def plain_attend(query):
        slots = memory[rows[0]]
        scores = (slots @ query[:, :, None])[:, :, 0]
        share = scores.masked_fill(blocked[rows[0]], -torch.inf).softmax(dim=1)
        return (share[:, None] @ slots)[:, 0]

    def plain_select(kept):
        rows[0] = rows[0][kept]

    theirs = unroll(lambda x: x @ weight.t(), plain_attend, plain_select, start)
    close(ours, theirs)
    for given, wanted in zip(
        torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True
    ):
        close(given, wanted)


def test_a_loop_weight_may_itself_be_computed():
    parameter = torch.randn(2, 3, requires_grad=True)
    inputs = torch.randn(5, 6)
    folded = LoopLinear(torch.cat([parameter, parameter * 2], dim=1))
    (folded(inputs).sum() + folded(inputs * 2).square().sum()).backward()
    given, parameter.grad = parameter.grad, None
    plain = inputs @ torch.cat([parameter, parameter * 2], dim=1).t()
    (plain.sum() + (2 * plain).square().sum()).backward()
    close(given, parameter.grad)


def test_loop_weights_and_memories_work_without_gradients():
    weight, inputs = torch.randn(4, 4, requires_grad=True), torch.randn(2, 4)
    memory, blocked = padded_batch([3, 2], width=4)
    with torch.no_grad():
        close(LoopLinear(weight)(inputs), inputs @ weight.t())
        assert LoopMemory(memory, blocked).attend(inputs).shape == (2, 4)


def test_a_loop_weight_that_is_never_used_gets_no_gradient():
    weight = torch.randn(2, 3, requires_grad=True)
    LoopLinear(weight)
    used = LoopLinear(weight)
    used(torch.ones(1, 3)).sum().backward()
    close(weight.grad, torch.ones(2, 3))


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5, 0.8])
def test_dropout_keeps_the_mean(probability):
    dropped = Dropout(0)(torch.ones(1000, 1000), probability)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    assert (dropped == 0).float().mean().item() == pytest.approx(probability, abs=0.004)
    assert len(dropped.unique()) == 2


def test_dropout_passes_gradients_through_what_it_kept():
    values = torch.randn(50, requires_grad=True)
    dropped = Dropout(1)(values, 0.5)
    dropped.sum().backward()
    close(values.grad, (dropped / values).detach())


def test_dropout_that_is_off_gives_its_input():
    values, drop = torch.randn(7), Dropout(0)
    assert drop(values, 0.0) is values
    drop.enabled = False
    assert drop(values, 0.5) is values


def test_dropout_differs_between_calls_and_seeds_and_is_the_same_for_a_seed():
    values, drop = torch.ones(200), Dropout(3)
    first, second = drop(values, 0.5), drop(values, 0.5)
    assert not torch.equal(first, second)
    assert torch.equal(Dropout(3)(values, 0.5), first)
    assert not torch.equal(Dropout(4)(values, 0.5), first)


@pytest.mark.parametrize("shape", [(5,), (3, 7), (8, 8)])
def test_dropout_goes_on_from_a_saved_state(shape):
    drop, values = Dropout(5), torch.ones(shape)
    for _ in range(3):
        drop(values, 0.4)
    saved = json.dumps(drop.state())
    expected = [drop(values, 0.4) for _ in range(4)]
    other = Dropout(0)
    other.restore(json.loads(saved))
    for mask in expected:
        assert torch.equal(other(values, 0.4), mask)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : sse avx2 avx512_bf16 amx_tile", "bfloat16"),
        ("Features : asimd bf16 sve", "bfloat16"),
        ("flags : sse avx2 avx512f", "float32"),
    ],
)
def test_recipes_multiply_in_what_the_processor_has(tmp_path, flags, expected):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    assert native_precision(tmp_path / "cpuinfo") == expected


def test_a_processor_that_nobody_describes_multiplies_in_float32(tmp_path):
    assert native_precision(tmp_path / "missing") == "float32"


def test_a_gpus_masks_are_kept_until_it_is_known_which_one():
    drop = Dropout(0)
    drop.restore(drop.state() | {"device": [1, 2, 3]})
    drop(torch.ones(8), 0.5)
    assert drop.state()["device"] == [1, 2, 3]
