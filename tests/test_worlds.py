"""Names of data sets and worlds: where they are, what is made, and which commands know them."""

import json
import shutil

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from agents import train
from agents.config import from_json
from benchmarks import compare, evaluate, score, validate
from vln import worlds
from vln.errors import MissingData, UnknownName
from vln.runs import Run
from vln.testing import make_tiny_world
from vln.worlds import Located

SMALL = [
    *("--batch", "8", "--iterations", "2", "--evaluate-every", "2", "--max-steps", "6"),
    *("--model.hidden", "16", "--model.word", "8"),
]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no data folder."""
    monkeypatch.setenv("VLN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VLN_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def maker(cache, monkeypatch):
    """Makes the tiny world, with pictures, whatever is asked for; gives what was asked."""
    asked = []

    def make(spec, folder, **_):
        asked.append((spec.name, folder))
        make_tiny_world(folder, seed=len(asked))
        (folder / "world.json").write_text("{}")
        return folder

    monkeypatch.setattr("vln.houses.write.make_world", make)
    return asked


@pytest.fixture
def houses(maker):
    """A world that has been made in the cache."""
    return worlds.locate("houses").data


def test_a_data_set_is_in_the_data_folder(tiny_world, cache, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))

    for name in ("r2r", "r4r"):
        assert worlds.find(name) == worlds.locate(name) == Located(name, tiny_world.folder)


def test_a_world_is_made_in_the_cache_once_and_said(maker, cache):
    said = []

    first, again = (worlds.locate("houses", say=said.append) for _ in range(2))

    assert first == again == Located("r2r", cache / "houses" / "houses")
    assert maker == [("houses", cache / "houses" / "houses")]
    assert len(said) == 1
    assert "making the world houses" in said[0]


def test_finding_a_world_never_makes_it(maker):
    with pytest.raises(MissingData, match=r"python -m vln\.houses make .*houses-tiny"):
        worlds.find("houses-tiny")

    assert maker == []


def test_a_world_that_was_half_made_is_made_again(maker, houses):
    (houses / "world.json").unlink()

    worlds.locate("houses")

    assert [name for name, _ in maker] == ["houses", "houses"]


def test_a_given_folder_is_taken_and_nothing_is_made(maker, tmp_path, tiny_world):
    shutil.copytree(tiny_world.folder, tmp_path / "mine")
    (tmp_path / "mine" / "world.json").write_text("{}")

    assert worlds.locate("houses", tmp_path / "mine") == Located("r2r", tmp_path / "mine")
    assert maker == []


def test_a_given_folder_that_is_no_whole_world_is_refused(maker, tiny_world):
    with pytest.raises(MissingData, match=r"holds no whole world 'houses'.*leave --data out"):
        worlds.locate("houses", tiny_world.folder)

    assert maker == []


@pytest.mark.parametrize("name", ["hauses", "r2", ""])
def test_a_name_that_is_neither_lists_both(cache, name):
    with pytest.raises(UnknownName, match=r"Known: houses, houses-bench-v1, .*r2r, r4r"):
        worlds.find(name)


def test_whatever_keeps_r2r_from_being_trained_on_is_said(cache, tmp_path, tiny_world):
    assert "VLN_DATA is not set" in worlds.lacks_r2r()
    assert str(tmp_path / "r2r" / "R2R_train.json") in worlds.lacks_r2r(tmp_path)
    assert worlds.lacks_r2r(tiny_world.folder) == ""


def test_a_run_in_a_world_is_scored_there_by_every_command(maker, tmp_path, capsys):
    run = tmp_path / "run"
    assert train.main([*SMALL, "--env", "houses", "--out", str(run)]) == 0
    assert from_json(Run.read_config(run)).env == "houses"

    assert evaluate.main(["--run", str(run), "--split", "val_unseen"]) == 0

    file = str(run / "predictions" / "val_unseen.json")
    about = json.loads((run / "predictions" / "val_unseen.metrics.json").read_bytes())["agent"]
    place = ["--env", "houses", "--split", "val_unseen"]
    assert (about["env"], about["trained_on"]) == ("houses", "houses")
    assert score.main([file, *place]) == 0
    assert compare.main([file, file, *place, "--names", "a", "b"]) == 0
    assert validate.main([file, *place]) == 0
    assert [name for name, _ in maker] == ["houses"]
    assert "in order" in capsys.readouterr().out


def test_a_run_sees_in_another_world_with_what_it_learnt_in_its_own(houses, maker, tmp_path):
    worlds.locate("houses-tiny")
    make_tiny_world(houses, seed=1)
    run = tmp_path / "run"
    seeing = ["--env", "houses", "--encoder", "object_words"]
    assert train.main([*SMALL, *seeing, "--out", str(run)]) == 0

    elsewhere = ["--run", str(run), "--split", "val_seen", "--env", "houses-tiny"]
    assert evaluate.main(elsewhere) == 0

    assert (run / "predictions" / "houses-tiny-val_seen.json").is_file()


def test_features_of_another_fit_are_still_refused(houses, maker, tmp_path, capsys):
    run = tmp_path / "run"
    seeing = ["--env", "houses", "--encoder", "object_words"]
    assert train.main([*SMALL, *seeing, "--out", str(run)]) == 0
    worlds.locate("houses-tiny")

    elsewhere = ["--run", str(run), "--split", "val_seen", "--env", "houses-tiny"]
    assert evaluate.main(elsewhere) == 2

    assert "was trained on features" in capsys.readouterr().err


def test_without_r2r_the_demo_trains_in_the_houses_and_says_why(
    maker, tmp_path, capsys, caplog, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")

    assert train.main([*SMALL, "--or-houses", "--out", "run"]) == 0

    config = from_json(Run.read_config(tmp_path / "run"))
    assert (config.env, config.encoder) == ("houses", "object_words")
    assert "VLN_DATA is not set" in caplog.text
    assert "the names of the objects in every view" in caplog.text
    assert "val_unseen" in capsys.readouterr().out
    assert train.main(["--or-houses", "--resume", "run"]) == 0


def test_with_r2r_the_demo_trains_there(tiny_world, maker, tmp_path, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))

    assert train.main([*SMALL, "--or-houses", "--out", str(tmp_path / "run")]) == 0

    config = from_json(Run.read_config(tmp_path / "run"))
    assert (config.env, config.encoder) == ("r2r", "none")
    assert maker == []


def test_the_environments_open_a_world_that_was_made(houses):
    check_env(gymnasium.make("envs:vln/Houses-v0", split="val_unseen").unwrapped)
    many = gymnasium.make_vec("envs:vln/Houses-v0", num_envs=3, split="val_seen")

    observation, info = many.reset(seed=0)

    assert observation["panorama"].shape == (3,)
    assert all(scan.startswith("tinyHouse") for scan in info["scan"])


def test_an_environment_does_not_make_a_world(maker):
    with pytest.raises(MissingData, match=r"python -m vln\.houses make"):
        gymnasium.make("envs:vln/Houses-v0")

    assert maker == []
