"""Training from the command line on the tiny world: tables, errors, and going on after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import orjson
import pytest
import torch

from agents import train, trainer
from agents.config import OptimConfig, from_json
from agents.evaluation import walk
from agents.loading import build_policy, load_policy
from agents.scene import Scene
from vln import checkpoint
from vln.runs import Run

SMALL = [
    *("--agent", "follower"),
    *("--batch", "8", "--iterations", "6", "--evaluate-every", "2"),
    *("--model.hidden", "32", "--model.word", "16", "--max-steps", "8"),
]
LAST, BEST = trainer.LAST, trainer.BEST


pytestmark = pytest.mark.usefixtures("in_tiny_world")


@pytest.fixture(scope="module")
def whole(train_tiny):
    """A run that was never interrupted."""
    return train_tiny(*SMALL)


def history(folder):
    """Every logged object without the time it took."""
    lines = [orjson.loads(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]
    return [{k: v for k, v in line.items() if k != "update_seconds"} for line in lines]


def assert_same_run(one, other):
    assert history(one) == history(other)
    for name in (LAST, BEST):
        tensors, state = checkpoint.load(one / name)
        others, other_state = checkpoint.load(other / name)
        for part in (state, other_state):
            del part["progress"]["seconds"]
        assert state == other_state
        assert tensors.keys() == others.keys()
        for key, value in tensors.items():
            assert torch.equal(value, others[key]), key


def test_training_ends_with_a_table_of_every_split(tmp_path, capsys):
    assert train.main([*SMALL, "--out", str(tmp_path / "run")]) == 0
    table = capsys.readouterr().out.splitlines()
    heading = next(i for i, line in enumerate(table) if line.startswith("split"))
    assert "chosen by success rate on dev (training houses held out)" in "".join(table[:heading])
    assert table[heading].split() == ["split", "episodes", "TL", "NE", "OSR", "SR", "SPL", "nDTW"]
    rows = [line.split() for line in table[heading + 1 : heading + 4]]
    assert [row[0] for row in rows] == ["dev", "val_seen", "val_unseen"]
    assert all(len(row) == 8 for row in rows)


def test_the_end_says_where_and_with_which_eyes_and_draws_the_last_split(
    tmp_path, capsys, tiny_world
):
    flags = ["--evaluate", "val_seen", "--hide", "instruction", "--out", str(tmp_path / "run")]

    assert train.main([*SMALL, *flags]) == 0

    said = capsys.readouterr().out
    assert f"run: r2r in {tiny_world.folder}, --encoder none, without instructions: the" in said
    assert "The agent sees nothing" in said
    drawn = [file.name for file in (tmp_path / "run").glob("*_val_seen.png")]
    assert {"walks_val_seen.png"} < set(drawn)


def test_a_run_leaves_its_settings_log_and_checkpoints(whole):
    config = json.loads((whole / "config.json").read_bytes())
    assert (config["batch"], config["model"]["hidden"]) == (8, 32)
    log = history(whole)
    assert [entry["step"] for entry in log] == [2, 4, 6]
    for key in ("imitation_loss", "policy_loss", "value_loss", "entropy", "dev/success"):
        assert all(isinstance(entry[key], float) for entry in log)
    assert list((whole / "tensorboard").iterdir())
    tensors, state = checkpoint.load(whole / LAST)
    assert state["progress"]["iteration"] == 6
    assert any(name.startswith("optimizer.") for name in tensors)
    best, state = checkpoint.load(whole / BEST)
    assert not any(name.startswith("optimizer.") for name in best)
    success = {entry["step"]: entry["dev/success"] for entry in log}
    assert success[state["progress"]["iteration"]] == max(success.values())


def test_every_weight_moves(whole):
    config = from_json(Run.read_config(whole))
    before = build_policy(config, Scene.open(config)).model.state_dict()
    after, _ = checkpoint.load(whole / LAST)
    for name, value in before.items():
        assert torch.isfinite(after[f"model.{name}"]).all()
        assert not torch.equal(value, after[f"model.{name}"]), name


def test_the_same_seed_trains_the_same_run_twice(whole, tmp_path):
    assert train.main([*SMALL, "--out", str(tmp_path / "again")]) == 0
    assert_same_run(whole, tmp_path / "again")


def test_another_seed_trains_another_run(whole, tmp_path):
    assert train.main([*SMALL, "--seed", "1", "--out", str(tmp_path / "other")]) == 0
    assert history(whole) != history(tmp_path / "other")


class Kill(BaseException):
    """Stands for a kill at a chosen moment."""


def stop_before(monkeypatch, method, count):
    """Lets `method` of the trainer run `count` times, then stops the process in its stead."""
    original, calls = getattr(trainer.Trainer, method), []

    def stopping(self, *arguments):
        calls.append(arguments)
        if len(calls) > count:
            raise Kill
        return original(self, *arguments)

    monkeypatch.setattr(trainer.Trainer, method, stopping)


@pytest.mark.parametrize(
    ("method", "count"),
    [
        ("update", 0),  # before anything
        ("update", 1),  # before the first checkpoint
        ("update", 3),  # between two checkpoints
        ("_checkpoint", 1),  # before an evaluation
        ("save", 0),  # after the log's first line, before any checkpoint
        ("save", 1),  # between the best and the last
        ("save", 2),
        ("save", 3),
    ],
)
def test_a_run_stopped_anywhere_resumes_to_the_same_numbers(
    whole, tmp_path, monkeypatch, method, count
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_before(patch, method, count)
        with pytest.raises(Kill):
            train.main([*SMALL, "--out", str(folder)])
    assert train.main(["--resume", str(folder)]) == 0
    assert_same_run(whole, folder)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_process_resumes_to_the_numbers_of_one_that_never_stopped(tmp_path):
    flags = [*SMALL, "--iterations", "12", "--evaluate-every", "1", "--evaluate", "val_seen"]
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "agents.train", *flags, "--out", str(killed)]
    log = killed / "metrics.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 300
        while not (log.exists() and log.read_bytes().count(b"\n") >= 4):
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < end
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert 4 <= len(history(killed)) < 12
    assert train.main(["--resume", str(killed)]) == 0
    assert train.main([*flags, "--out", str(tmp_path / "never")]) == 0
    assert_same_run(tmp_path / "never", killed)


def test_a_finished_run_resumes_to_its_table(whole, tmp_path, capsys):
    shutil.copytree(whole, tmp_path / "copy")
    assert train.main(["--resume", str(tmp_path / "copy")]) == 0
    assert "val_unseen" in capsys.readouterr().out
    assert_same_run(whole, tmp_path / "copy")


def test_a_run_goes_on_for_longer_as_if_it_had_been_asked_to_at_first(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "longer")
    assert train.main(["--resume", str(tmp_path / "longer"), "--iterations", "8"]) == 0
    assert train.main([*SMALL, "--iterations", "8", "--out", str(tmp_path / "long")]) == 0
    assert_same_run(tmp_path / "long", tmp_path / "longer")


def test_imitation_alone_needs_no_reward_and_leaves_the_critic_alone(tmp_path):
    folder = tmp_path / "run"
    flags = ["--learning.no-reinforcement", "--learning.imitation-weight", "1"]
    assert train.main([*SMALL, *flags, "--out", str(folder)]) == 0
    assert not {"policy_loss", "value_loss", "entropy"} & history(folder)[0].keys()
    losses = [entry["imitation_loss"] for entry in history(folder)]
    assert len(losses) == 3
    again = tmp_path / "again"
    with pytest.MonkeyPatch.context() as patch:
        stop_before(patch, "update", 3)
        with pytest.raises(Kill):
            train.main([*SMALL, *flags, "--out", str(again)])
    assert train.main(["--resume", str(again)]) == 0
    assert_same_run(folder, again)


def test_a_follower_imitates_better_the_longer_it_is_taught(tmp_path):
    flags = ["--learning.no-reinforcement", "--optim.lr", "3e-3", "--iterations", "40"]
    flags += ["--evaluate-every", "10", "--evaluate", "val_seen", "--model.dropout", "0"]
    assert train.main([*SMALL, *flags, "--out", str(tmp_path / "run")]) == 0
    losses = [entry["imitation_loss"] for entry in history(tmp_path / "run")]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_seeing_follower_trains_and_knows_its_features(tmp_path, precision):
    folder = tmp_path / "run"
    flags = ["--encoder", "objects", "--optim.precision", precision]
    assert train.main([*SMALL, *flags, "--out", str(folder)]) == 0
    tensors, state = checkpoint.load(folder / BEST)
    width = state["features_dim"] + 4 * 32
    assert tensors["model.decoder.view_query.weight"].shape == (width, 32)
    assert len(state["features"]) == 64


def test_an_agent_whose_instructions_are_hidden_never_gets_a_word(tmp_path):
    folder = tmp_path / "run"
    assert train.main([*SMALL, "--hide", "instruction", "--out", str(folder)]) == 0
    policy, scene, config, _ = load_policy(folder)
    assert (config.hide, policy.hides_instructions) == ("instruction", True)
    episodes = scene.episodes("val_unseen")
    changed = [replace(e, instruction=f"{e.instruction} Turn.") for e in episodes]
    other = replace(episodes, episodes=tuple(changed))
    assert walk(policy, scene.graph, episodes) == walk(policy, scene.graph, other)
    tensors, _ = checkpoint.load(folder / LAST)
    embedding = next(v for k, v in tensors.items() if "embed" in k and not k.startswith("optim"))
    start = build_policy(config, scene).model.state_dict()
    name = next(k for k in start if "embed" in k)
    moved = (embedding != start[name]).any(dim=1)
    assert moved.sum() <= 2  # the marks of begin and end


def test_the_learning_rate_falls_in_a_line_where_that_is_asked_for(whole, tmp_path):
    config = from_json(Run.read_config(whole))
    config = replace(config, iterations=4, optim=OptimConfig(lr=1e-3, schedule="linear"))
    made = trainer.Trainer(config, Scene.open(config), Run(tmp_path, seed=0))
    rates = []
    for _ in range(4):
        made.update()
        rates.append(made.optimizer.param_groups[0]["lr"])
        made.progress.iteration += 1
    assert rates == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
