import json
import re
import tempfile

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from agents.follower.model import FollowerSizes
from benchmarks import throughput
from benchmarks.speed import machine, report, rows, training
from benchmarks.speed.flops import Amount, update_flops
from benchmarks.speed.setting import Setting
from benchmarks.throughput import GROUPS

SIZES = FollowerSizes(vocabulary=20, features=24, word=6, hidden=16, action=8)
NOTHING = Amount(words=0, instructions=0, row_steps=0, attended=0, sampled=0)


@pytest.fixture
def command(tiny_world, tmp_path, capsys, monkeypatch):
    """Runs the command quickly in the tiny world; gives exit code, output, errors."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def run(*options, quick=("--quick", "--widths", "8")):
        where = ["--out", str(tmp_path / "results"), "--data", str(tiny_world.folder)]
        code = throughput.main([*where, *quick, *options])
        assert list(scratch.glob("vln-*")) == []
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def setting(tiny_world, tmp_path):
    return Setting(data=tiny_world.folder, scratch=tmp_path, quick=True, repeats=1, widths=(8,))


def results(tmp_path):
    return json.loads((tmp_path / "results" / "throughput.json").read_text())


def test_the_world_is_measured_and_the_machine_described(command, tmp_path):
    code, out, _ = command("--only", "graph", "simulator", "environment", "scoring")

    written = results(tmp_path)
    assert code == 0
    assert {row["group"] for row in written["rows"]} == {
        "graph",
        "simulator",
        "environment",
        "scoring",
    }
    assert all(row["low"] <= row["value"] <= row["high"] for row in written["rows"])
    assert {"cpu", "cores", "memory_GB", "python", "torch", "numpy", "threads"} <= set(
        written["machine"]
    )
    assert re.fullmatch(
        r"r2r in .*, \d+ viewpoints in 8 scans", written["machine"]["world"].replace("\n", "")
    )
    assert f"- world: {written['machine']['world']}" in out
    assert written["machine"]["product_GFLOP_per_s"]["float32"] > 0
    assert (tmp_path / "results" / "throughput.md").read_text() in out


def test_start_up_and_memory_are_measured_in_fresh_processes(command, tmp_path):
    code, _, _ = command("--only", "startup", "memory")

    by_name = {row["name"]: row for row in results(tmp_path)["rows"]}
    assert code == 0
    start = by_name["R2R train environment, from process start to first observation"]
    assert start["value"] > start["details"]["cpu_s_after_imports"] > 0
    used = by_name["memory of graph, data and environment, without features"]
    assert used["details"]["torch_MB"] > used["value"] > 0
    assert by_name["imitation and reward, blind, batch 8: activations"]["value"] > 0


def test_training_and_evaluation_are_measured(command, tmp_path):
    code, out, _ = command("--only", "training", "evaluation")

    trained = [row for row in results(tmp_path)["rows"] if row["group"] == "training"]
    assert code == 0
    assert [row["name"] for row in trained[4:]] == [
        "imitation, 36x8, float32",
        "imitation, 36x8, bfloat16",
        "imitation and reward, 36x8, float32",
        "imitation and reward, 36x8, bfloat16",
    ]
    for row in trained:
        details = row["details"]
        assert 0 < details["share_outside_network"] < 1
        assert details["envdrop_decoder_calls"] >= details["decoder_calls"] > 3
        assert details["GFLOP"] > 0
    assert "s per EnvDrop's call" in out


def test_an_incumbents_figure_stands_beside_ours_only_at_its_own_size(command, tmp_path):
    command("--only", "environment")

    known = {row["name"]: row["incumbent"] for row in results(tmp_path)["rows"]}
    seen = "observations with 36x512 float16 features and expert, batch"
    assert known[f"{seen} 64"] == 6200
    assert known[f"{seen} 64, first epoch"] == 2200
    assert known[f"{seen} 1"] is None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--only", "grph"], "Did you mean 'graph'"),
        (["--device", "tpu"], "expected cpu, or cuda"),
        (["--threads", "0"], "expected 1 or more"),
        (["--data", "nowhere"], "which is no folder"),
    ],
)
def test_what_cannot_be_measured_says_why(command, options, problem):
    code, out, err = command(*options)

    assert (code, out) == (2, "")
    assert problem in err


def test_a_ratio_above_one_is_in_our_favour():
    timing = rows.Timing(cpu=(2.0, 4.0, 3.0), wall=(6.0, 6.0, 6.0))

    seconds = rows.seconds_row("g", "n", timing, per=3, incumbent=4.0)
    rate = rows.rate_row("g", "n", timing, count=12, unit="x/s", incumbent=2.0)

    assert (seconds.value, seconds.low, seconds.high, seconds.wall) == (1.0, 2 / 3, 4 / 3, 2.0)
    assert seconds.times_better == 4
    assert (rate.value, rate.wall, rate.times_better) == (4.0, 2.0, 2.0)


def test_the_wall_clock_is_shown_where_it_differs():
    busy = rows.seconds_row("g", "n", rows.Timing(cpu=(1.0,), wall=(2.0,)))
    quiet = rows.seconds_row("g", "n", rows.Timing(cpu=(1.0,), wall=(1.01,)))
    threaded = rows.seconds_row("g", "n", rows.Timing(cpu=(2.0,), wall=(1.0,), clock="wall"))

    table = report.results_table([busy, quiet, threaded])

    assert [line[3] for line in table.rows] == ["2", "", ""]
    assert [line[1] for line in table.rows] == ["1 s"] * 3


def test_work_is_warmed_up_before_it_is_timed():
    called = []

    timing = rows.measure(lambda: called.append(1), repeats=3, warm_up=2)

    assert len(called) == 5
    assert len(timing.cpu) == len(timing.wall) == 3


def test_the_feature_store_is_written_once_and_mapped_anew(setting, tiny_graph):
    first, second = setting.features(8), setting.features(8)

    assert first is not second
    assert isinstance(first.values, np.memmap)
    assert first.values.shape == (len(tiny_graph.viewpoints), 36, 8)
    np.testing.assert_array_equal(first.values, second.values)


def test_the_same_batches_are_played_at_every_width(setting):
    heard = []
    for width in (0, 8):
        trainer = setting.trainer(width, reinforcement=False)
        with training.Listener(trainer, setting) as listener:
            trainer.update()
        heard.append(listener.heard[0])

    assert heard[0].amount == heard[1].amount
    assert heard[0].calls == heard[0].envdrop_calls


def test_envdrop_plays_imitated_and_sampled_batches_one_after_the_other(setting):
    trainer = setting.trainer(0, reinforcement=True)
    with training.Listener(trainer, setting) as listener:
        trainer.update()

    heard = listener.heard[0]
    assert heard.envdrop_calls > heard.calls
    assert 0 < heard.amount.sampled < heard.amount.row_steps
    assert heard.amount.instructions == 2 * setting.batch
    assert 0 < heard.agent < heard.rollout


def test_the_arithmetic_of_a_decoder_step_is_what_torch_counts():
    words, slots = 5, 3
    seen, hidden = SIZES.features + SIZES.angles, SIZES.hidden
    views, candidates = torch.randn(1, 36, seen), torch.randn(1, slots, seen)
    memory = torch.randn(1, words, hidden, requires_grad=True)
    before = torch.randn(1, hidden, requires_grad=True)
    action = nn.Linear(SIZES.angles, SIZES.action)
    view_query, candidate_query = (nn.Linear(hidden, seen, bias=False) for _ in range(2))
    word_query, mix = nn.Linear(hidden, hidden), nn.Linear(2 * hidden, hidden)
    cell = nn.LSTMCell(SIZES.action + seen, hidden)

    def attend(query, slots):
        share = torch.bmm(slots, query[:, :, None]).softmax(dim=1)
        return torch.bmm(share.transpose(1, 2), slots)[:, 0]

    with FlopCounterMode(display=False) as counter:
        inputs = [action(torch.randn(1, SIZES.angles)), attend(view_query(before), views)]
        state, _ = cell(torch.cat(inputs, dim=1), (before, torch.zeros(1, hidden)))
        read = attend(word_query(state), memory)
        attended = torch.tanh(mix(torch.cat([read, state], dim=1)))
        torch.bmm(candidates, candidate_query(attended)[:, :, None]).sum().backward()

    amount = Amount(words=0, instructions=0, row_steps=1, attended=words, sampled=0)
    assert update_flops(SIZES, amount, slots=slots) == counter.get_total_flops()


def test_the_arithmetic_of_reading_is_what_torch_counts():
    half = SIZES.hidden // 2
    directions = [nn.LSTMCell(SIZES.word, half) for _ in range(2)]
    word = torch.randn(1, SIZES.word, requires_grad=True)
    state = torch.randn(1, half, requires_grad=True)

    with FlopCounterMode(display=False) as counter:
        sum(cell(word, (state, state))[0].sum() for cell in directions).backward()

    amount = Amount(words=1, instructions=0, row_steps=0, attended=0, sampled=0)
    assert update_flops(SIZES, amount, slots=3) == counter.get_total_flops()
    assert update_flops(SIZES, NOTHING, slots=3) == 0


def test_matrix_rates_are_of_both_precisions(setting):
    assert set(machine.matrix_rates(setting)) == {"float32", "bfloat16"}


@pytest.mark.gpu
def test_a_gpu_is_measured(command, tmp_path):
    code, _, _ = command("--device", "cuda", "--only", "simulator", "training")

    assert code == 0
    assert "steps, batch 65,536" in {row["name"] for row in results(tmp_path)["rows"]}


def test_an_interrupted_run_keeps_the_groups_measured_so_far(command, monkeypatch, tmp_path):
    def fail(setting):
        raise KeyboardInterrupt

    monkeypatch.setitem(GROUPS._entries, "simulator", fail)

    code, _, _ = command("--only", "graph", "simulator")

    assert code == 130
    assert {row["group"] for row in results(tmp_path)["rows"]} == {"graph"}
