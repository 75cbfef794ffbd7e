"""Curves and foresight of trained runs, on the tiny world."""

import math
import shutil

import orjson
import pytest

from agents.train import main as train
from benchmarks import curves, foresight

SMALL = ["--iterations", "4", "--evaluate-every", "2", "--batch", "8", "--max-steps", "6"]
SMALL += ["--model.hidden", "16", "--model.word", "8", "--recipe", "imitation"]


@pytest.fixture(scope="module")
def runs(tiny_world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLN_DATA", str(tiny_world.folder))
        patch.setenv("VLN_CACHE", str(folder / "cache"))
        made = []
        for encoder, seed in (("none", 0), ("none", 1), ("objects", 0)):
            made.append(folder / f"{encoder}-{seed}")
            given = [*SMALL, "--encoder", encoder, "--seed", str(seed), "--out", str(made[-1])]
            assert train(given) == 0
        yield [str(run) for run in made]


def test_curves_put_seeds_of_one_condition_together(runs, tmp_path):
    assert curves.main([*runs, "--out", str(tmp_path / "curves.png")]) == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    numbers = orjson.loads((tmp_path / "curves.json").read_bytes())
    assert set(numbers["val_unseen"]) == {"none, imitation", "objects, imitation"}
    assert {
        step: len(values) for step, values in numbers["val_seen"]["none, imitation"].items()
    } == {
        "2": 2,
        "4": 2,
    }


def test_a_run_without_instructions_is_a_condition_of_its_own(runs, tmp_path):
    hidden = tmp_path / "hidden"
    shutil.copytree(runs[0], hidden)
    config = orjson.loads((hidden / "config.json").read_bytes())
    (hidden / "config.json").write_bytes(orjson.dumps({**config, "hide": "instruction"}))

    assert curves.condition_of(hidden) == "none, imitation, instruction hidden"


def test_a_run_with_the_eyes_of_elsewhere_is_a_condition_of_its_own(runs, tmp_path):
    shutil.copytree(runs[2], tmp_path / "elsewhere")
    config = orjson.loads((tmp_path / "elsewhere/config.json").read_bytes())
    content = orjson.dumps({**config, "eyes": "elsewhere"})
    (tmp_path / "elsewhere/config.json").write_bytes(content)

    assert curves.condition_of(tmp_path / "elsewhere") == "objects, imitation, eyes elsewhere"


def test_runs_in_different_worlds_are_no_seeds_of_one_condition(runs, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(runs[0], elsewhere)
    config = orjson.loads((elsewhere / "config.json").read_bytes())
    (elsewhere / "config.json").write_bytes(orjson.dumps({**config, "env": "houses"}))

    assert curves.condition_of(elsewhere) == "none, imitation, houses"


def test_curves_of_a_split_never_evaluated_are_refused(runs, tmp_path, capsys):
    assert curves.main([runs[0], "--out", str(tmp_path / "x.png"), "--splits", "test"]) == 2
    assert "has logged no 'test/success'" in capsys.readouterr().err


def test_foresight_shows_own_and_wrong_eyes(runs, tmp_path, capsys):
    assert foresight.main([*runs, "--out", str(tmp_path / "eyes")]) == 0
    shown = capsys.readouterr().out
    assert shown.count("own eyes") == 2
    assert shown.count("wrong eyes") == 1
    blind, _, seeing = orjson.loads((tmp_path / "eyes.json").read_bytes())
    assert blind["wrong"] is None
    assert all(math.isfinite(value) and value > 0 for value in (*blind["own"], *seeing["wrong"]))
