"""The study of encoders on the tiny world: it trains, goes on, skips, compares."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from filelock import FileLock

from agents.config import ModelConfig, TrainConfig
from agents.recipes import RECIPES, houses_bench
from agents.scene import Scene, elsewhere
from agents.trainer import LAST, Trainer
from benchmarks import encoders
from benchmarks.players import Choice, open_player
from benchmarks.study import training
from benchmarks.study.document import shown
from benchmarks.study.setup import Config, Row, rows_of
from vln import checkpoint
from vln.errors import BadConfig, UnknownName

ROOT = Path(__file__).parents[1]
TOWERS = ("--tower", "objects=objects", "--tower", "untrained=objects_shuffled")
ROWS = ("objects", "untrained", "shuffled", "none")


def small():
    """A recipe for fractions of a second."""
    return replace(houses_bench(), batch=8, max_steps=6, model=ModelConfig(word=8, hidden=16))


@pytest.fixture(scope="module")
def world(tiny_world, tmp_path_factory):
    """The tiny world with its unseen paths in two parts, and with twins of them."""
    folder = tmp_path_factory.mktemp("study") / "world"
    shutil.copytree(tiny_world.folder, folder)
    unseen = json.loads((folder / "r2r/R2R_val_unseen.json").read_bytes())
    twin = [{**r, "path": r["path"][: len(r["path"]) - n % 2 * 2]} for n, r in enumerate(unseen)]
    files = {"val_unseen_home": unseen[:15], "val_unseen_pair": unseen[15:]}
    for name, records in {**files, "original": unseen, "twin": twin}.items():
        (folder / f"r2r/R2R_{name}.json").write_text(json.dumps(records))
    return folder


@pytest.fixture(scope="module")
def study(world):
    """Runs the command on the world with a small recipe; gives the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLN_CACHE", str(world.parent / "cache"))
        patch.setitem(RECIPES._entries, "small", small)

        def run(*options, out, towers=TOWERS):
            given = ["--env", "r2r", "--data", world, "--recipe", "small", "--updates", 4]
            given += ["--curve", 2, "--seeds", 2, "--draws", 50, "--out", out]
            given += ["--results", out / "report" / "table", *towers, *options]
            return encoders.main([str(one) for one in given])

        yield run


@pytest.fixture(scope="module")
def whole(study, world):
    """Folder of a study that went through, twins included."""
    out = world.parent / "whole"
    assert study("--only", *ROWS, "--twins", world, out=out) == 0
    return out


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the finished study, to be damaged."""
    shutil.copytree(whole, tmp_path / "copy", copy_function=shutil.copy2)
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def report(whole):
    """The finished study's numbers."""
    return orjson.loads((whole / "report/table.json").read_bytes())


def test_every_row_and_seed_is_reported(report):
    assert [(row["name"], row["seeds"]) for row in report["rows"]] == [(n, [0, 1]) for n in ROWS]
    assert sorted(report["order"]) == sorted(ROWS)
    assert report["missing"] == []
    assert set(report["splits"]) == {"val_seen", "val_unseen", "val_unseen_home", "val_unseen_pair"}
    for row in report["rows"]:
        success = row["metrics"]["val_unseen"]["SR"]
        assert 0 <= success["low"] <= success["mean"] <= success["high"] <= 100
        assert row["update_seconds"] > 0


def test_rows_say_what_they_saw(report):
    seen = {row["name"]: row["features"] for row in report["rows"]}
    assert seen["none"] == ""
    assert seen["shuffled"] == seen["objects"] != seen["untrained"]
    assert len(seen["objects"]) == 64


def test_seeds_trained_on_different_features_are_no_row(study, copy, capsys):
    file = copy / "objects-seed1" / LAST
    tensors, state = checkpoint.load(file)
    checkpoint.save(
        file, tensors=tensors, state={**state, "features": "of a tower since retrained"}
    )

    assert study("--only", "objects", "--stage", "report", out=copy) == 2

    assert "objects-seed1 was trained on other features than" in capsys.readouterr().err


def test_tables_tell_no_more_of_a_file_than_where_it_lies_last():
    assert shown(Row("a", "tower:/home/me/towers/labels/tower.safetensors")) == (
        "tower:labels/tower.safetensors"
    )
    assert shown(Row("a", "clip_house")) == "clip_house"


def test_parts_of_unseen_homes_add_up_to_the_whole(report):
    parts = ("val_unseen_home", "val_unseen_pair")
    count = [report["splits"][part]["instructions"] for part in parts]
    assert sum(count) == report["splits"]["val_unseen"]["instructions"]
    for row in report["rows"]:
        means = [row["metrics"][part]["SR"]["mean"] for part in parts]
        whole = row["metrics"]["val_unseen"]["SR"]["mean"]
        assert np.average(means, weights=count) == pytest.approx(whole)


def test_differences_are_from_the_first_tower_and_from_the_untrained_one(report):
    mean = {row["name"]: row["metrics"]["val_seen"]["SR"]["mean"] for row in report["rows"]}
    pairs = [(one["from"], one["row"]) for one in report["differences"]]
    assert pairs == [
        *(("objects", row) for row in ROWS[1:]),
        *(("untrained", row) for row in ("objects", "shuffled", "none")),
    ]
    for one in report["differences"]:
        difference = one["metrics"]["val_seen"]["SR"]
        assert difference["mean"] == pytest.approx(mean[one["row"]] - mean[one["from"]])
        assert difference["low"] <= difference["mean"] + 1e-9
        assert difference["mean"] <= difference["high"] + 1e-9


def test_curves_and_flips_are_reported_by_row(report):
    for name in ROWS:
        curve = report["curves"]["rows"][name]
        assert {step: len(values) for step, values in curve.items()} == {"2": 2, "4": 2}
    assert {(one["condition"], one["runs"]) for one in report["flips"]} == {(n, 2) for n in ROWS}
    assert all(one["pairs"] == 121 for one in report["flips"] if one["change"] == "all")


def test_the_document_shows_figures_and_says_what_it_is_not(whole):
    document = (whole / "report/table.md").read_text()
    assert "It says nothing about CLIP trained on pictures of the whole web." in document
    assert "The order of the rows is reported whatever it is." in document
    for key in ("curves", "differences", "novelty"):
        assert f"![{key}](table_{key}.png)" in document
        assert (whole / f"report/table_{key}.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_finished_is_neither_trained_nor_played_again(study, whole, world, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in whole.glob("*/predictions/*.json")}
    assert len(before) == len(ROWS) * 2 * 4
    monkeypatch.setattr(Trainer, "train", lambda self: pytest.fail("trained again"))

    assert study("--only", *ROWS, "--twins", world, "--stage", "train", out=whole) == 0

    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_an_interrupted_study_goes_on_to_the_same_weights(study, whole, tmp_path, monkeypatch):
    given = ("--only", "objects", "none", "--stage", "train", "--threads", 1)
    save, saved = Trainer.save, []

    def stop(trainer, name):
        save(trainer, name)
        saved.append(name)
        if saved.count(LAST) == 3:  # in the middle of the second run
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", stop)
        assert study(*given, out=tmp_path) == 130
    assert len(list(tmp_path.glob("*/config.json"))) == 2

    assert study(*given, out=tmp_path) == 0

    for name in ("objects-seed0", "none-seed0", "none-seed1"):
        (ours, state), (theirs, _) = (
            checkpoint.load(folder / name / LAST) for folder in (tmp_path, whole)
        )
        assert state["progress"]["iteration"] == 4
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_walks_older_than_the_weights_are_walked_again(study, copy):
    file = copy / "none-seed0/predictions/val_seen-last.json"
    content = file.read_bytes()
    file.write_bytes(b"[]")
    os.utime(file, ns=(0, 0))

    assert study("--only", "none", "--stage", "train", out=copy) == 0

    assert file.read_bytes() == content


def test_a_folder_with_other_settings_is_refused_and_left_alone(study, copy, capsys):
    before = (copy / "none-seed0" / LAST).read_bytes()

    assert study("--only", "none", "--updates", 5, "--stage", "train", out=copy) == 2

    error = capsys.readouterr().err
    assert "none-seed0 holds a run with other settings (iterations 4, not 5)" in error
    assert (copy / "none-seed0" / LAST).read_bytes() == before


def test_a_run_on_other_features_is_refused(study, copy, capsys):
    file = copy / "objects-seed1" / LAST
    tensors, state = checkpoint.load(file)
    checkpoint.save(
        file, tensors=tensors, state={**state, "features": "of a tower since retrained"}
    )

    assert study("--only", "objects", "--stage", "train", out=copy) == 2

    error = capsys.readouterr().err
    assert "1 of 2 runs are not finished. objects-seed1:" in error
    assert "trained on other data or features" in error


def test_a_row_that_cannot_be_trained_keeps_no_other_from_it(study, tmp_path, capsys):
    towers = ("--tower", "blind=none", "--tower", "pictures=image_stats")

    assert study("--only", "blind", "pictures", out=tmp_path, towers=towers) == 2

    error = capsys.readouterr().err
    assert "2 of 4 runs are not finished. pictures-seed0: " in error
    assert "pictures-seed1: " in error
    assert (
        study("--only", "blind", "pictures", "--stage", "report", out=tmp_path, towers=towers) == 0
    )
    assert "left out: pictures-seed0, pictures-seed1." in capsys.readouterr().out


def test_a_run_that_another_process_has_in_hand_is_passed_over(study, tmp_path, capsys):
    with FileLock(tmp_path / ".none-seed0.lock"):
        assert study("--only", "none", "--stage", "train", out=tmp_path) == 2

    assert "1 of 2 runs are not finished. none-seed0: another process" in capsys.readouterr().err
    assert (tmp_path / "none-seed1" / LAST).is_file()
    assert not (tmp_path / "none-seed0").exists()


def test_a_report_on_nothing_says_how_to_train(study, tmp_path, capsys):
    assert study("--stage", "report", out=tmp_path) == 2
    assert "no run in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("towers", "only", "error", "problem"),
    [
        (("clip_house",), (), BadConfig, "expected NAME=HANDLE"),
        (("a/b=none",), (), BadConfig, "expected NAME=HANDLE"),
        (("none=objects",), (), BadConfig, "two rows are called 'none'"),
        (("a=objects", "a=none"), (), BadConfig, "two rows are called 'a'"),
        (("a=objectz",), (), UnknownName, "objects"),
        (("a=objects",), ("shufled",), UnknownName, "shuffled"),
        ((), (), BadConfig, "no tower"),
    ],
)
def test_rows_that_cannot_be_are_refused(towers, only, error, problem):
    with pytest.raises(error, match=problem):
        rows_of(Config(tower=towers, only=only))


def test_counts_below_one_are_refused():
    with pytest.raises(BadConfig, match="--seeds 0; expected 1 or more"):
        Config(tower=("a=none",), seeds=0)


def test_eyes_elsewhere_are_those_of_another_viewpoint_of_the_scan(world, study):
    own = Scene.open(TrainConfig(encoder="random"), world)
    rows = [
        Scene.open(TrainConfig(encoder="random", eyes="elsewhere", seed=seed), world).features.row
        for seed in (0, 0, 1)
    ]

    scan = np.repeat(np.arange(len(own.graph.first) - 1), np.diff(own.graph.first))
    assert not np.any(rows[0] == own.features.row)
    assert np.array_equal(scan[rows[0]], scan)
    assert sorted(rows[0]) == sorted(own.features.row)
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_a_scan_of_one_viewpoint_keeps_its_own_eyes(make_graph, world, study):
    features = Scene.open(TrainConfig(encoder="random"), world).features
    lone = replace(features, values=features.values[:1], row=np.zeros(1, dtype=np.int64))

    seen = elsewhere(lone, make_graph([(0, 0, 0)], []), rng=np.random.default_rng(0))

    assert seen.row.tolist() == [0]


def test_a_run_with_eyes_elsewhere_is_played_with_them(whole, world):
    player = open_player(Choice(run=whole / "shuffled-seed0", split="val_seen", data=world))
    wanted = Scene.open(TrainConfig(encoder="objects", eyes="elsewhere", seed=0), world)

    assert player.about["eyes"] == "elsewhere"
    seen = player.agent._eyes(np.arange(20))
    assert torch.equal(seen, torch.from_numpy(wanted.features.gather(np.arange(20))).to(seen.dtype))


def test_eyes_elsewhere_need_a_store():
    with pytest.raises(BadConfig, match="--service stores none"):
        TrainConfig(eyes="elsewhere", service="socket")


@pytest.mark.slow
def test_a_killed_study_of_two_processes_goes_on(world, tmp_path):
    given = [sys.executable, "-m", "benchmarks.encoders", "--tower", "objects=objects"]
    given += ["--env", "r2r", "--data", world, "--updates", "12", "--curve", "6", "--seeds", "2"]
    given += [
        "--only",
        "objects",
        "none",
        "--jobs",
        "2",
        "--draws",
        "50",
        "--out",
        tmp_path / "out",
    ]
    given += ["--results", tmp_path / "table"]
    cache = {**os.environ, "VLN_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        given, cwd=ROOT, env=cache, start_new_session=True, stderr=subprocess.DEVNULL
    )
    while not list((tmp_path / "out").glob(f"*/{LAST}")):
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    again = subprocess.run(given, cwd=ROOT, env=cache, check=True, capture_output=True, timeout=900)

    assert b"Not finished" not in again.stdout
    report = orjson.loads((tmp_path / "table.json").read_bytes())
    assert [len(row["seeds"]) for row in report["rows"]] == [2, 2]


def test_features_are_made_before_processes_start_side_by_side(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(training.Scene, "open", lambda given, data: made.append(given.encoder))
    config = Config(tower=("a=image_stats", "b=none"), only=("a", "b", "shuffled"), out=tmp_path)

    training._make_features(config)

    assert made == ["image_stats"]  # once, and nothing of an agent that looks at no pictures
