"""Names of data sets and worlds: where they are, what is made, and which commands know them."""

import json
import shutil

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from agents import train
from agents.config import from_json
from benchmarks import compare, evaluate, score, submit, validate
from envs.episodes import located
from vln import worlds
from vln.errors import MissingData, UnknownName
from vln.houses.world.spec import SPECS, about
from vln.runs import Run
from vln.testing import make_tiny_world
from vln.worlds import Located

SMALL = [
    *("--agent", "follower"),
    *("--batch", "8", "--iterations", "2", "--evaluate-every", "2", "--max-steps", "6"),
    *("--model.hidden", "16", "--model.word", "8"),
]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no data folder."""
    monkeypatch.setenv("VLN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VLN_DATA", raising=False)
    return tmp_path / "cache"


def mark(folder, name, *, pictures=True, **changed):
    """Writes the mark of a finished world."""
    content = {**about(SPECS[name]), "pictures": pictures, **changed}
    (folder / "world.json").write_text(json.dumps(content))


@pytest.fixture
def maker(cache, monkeypatch):
    """Makes the tiny world, without pictures, whatever is asked for; gives what was asked."""
    asked = []

    def make(spec, folder, *, pictures):
        asked.append((spec.name, folder))
        make_tiny_world(folder, seed=len(asked))
        mark(folder, spec.name, pictures=pictures)
        return folder

    monkeypatch.setattr("vln.houses.world.write.make_world", make)
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
    mark(tmp_path / "mine", "houses", pictures=False)

    assert worlds.locate("houses", tmp_path / "mine") == Located("r2r", tmp_path / "mine")
    assert maker == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, r"holds the world '\?', not 'houses-bench-v1'"),
        ({"spec": {"name": "houses"}}, "holds the world 'houses', not 'houses-bench-v1'.*own name"),
        ({"twins_of": "houses"}, "holds twins of 'houses', not 'houses-bench-v1'"),
        ({"spec": {"name": "houses-bench-v1", "seed": 0}}, "made by another version. Remove it"),
        (
            {**about(SPECS["houses-bench-v1"]), "generator": 0},
            "made by another version. Remove it",
        ),
    ],
)
def test_another_world_or_one_of_another_version_is_refused(cache, content, problem):
    folder = cache / "houses" / "houses-bench-v1"
    folder.mkdir(parents=True)
    (folder / "world.json").write_text(json.dumps(content))

    for given in (None, folder):
        with pytest.raises(MissingData, match=problem):
            worlds.locate("houses-bench-v1", given)


def test_twins_of_a_world_are_read_by_its_name(cache, tmp_path):
    (tmp_path / "world.json").write_text(json.dumps({"twins_of": "houses"}))

    assert worlds.find("houses", tmp_path) == Located("r2r", tmp_path)


def test_pictures_that_a_world_lacks_are_drawn_when_they_are_needed(maker):
    said = []

    for pictures in (False, False, True, True):
        worlds.locate("houses", pictures=pictures, say=said.append)

    assert len(maker) == 2
    assert "making the world houses" in said[0]
    assert "drawing the pictures of the world houses" in said[1]


def test_scoring_makes_a_world_without_pictures_and_reads_the_file_first(
    maker, cache, tmp_path, capsys
):
    place = ["--env", "houses", "--split", "val_unseen"]
    missing = str(tmp_path / "none.json")
    local = ["--file", missing, "--local"]
    for command, given in ((score, [missing]), (compare, [missing]), (validate, [missing])):
        assert command.main([*given, *place]) == 2
    assert submit.main([*local, *place]) == 2
    assert capsys.readouterr().err.count("cannot read") == 4
    assert maker == []

    assert evaluate.main(["--agent", "stop", *place]) == 0

    made = json.loads((cache / "houses" / "houses" / "world.json").read_bytes())
    assert made["pictures"] is False


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
    capsys.readouterr()
    assert score.main([file, *place]) == 0
    assert "data set     houses val_unseen" in capsys.readouterr().out
    assert score.main([file, *place, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["env"] == "houses"
    assert compare.main([file, file, *place, "--names", "a", "b"]) == 0
    assert "houses val_unseen, protocol" in capsys.readouterr().out
    assert validate.main([file, *place]) == 0
    assert "in order for houses, in the form of R2R's leaderboard" in capsys.readouterr().out
    assert [name for name, _ in maker] == ["houses"]


def test_a_run_sees_in_another_world_with_what_it_learnt_in_its_own(houses, maker, tmp_path):
    worlds.locate("houses-tiny")
    run = tmp_path / "run"
    seeing = ["--env", "houses", "--encoder", "object_words"]
    assert train.main([*SMALL, *seeing, "--out", str(run)]) == 0

    elsewhere = ["--run", str(run), "--split", "val_seen", "--env", "houses-tiny"]
    assert evaluate.main(elsewhere) == 0

    assert (run / "predictions" / "houses-tiny-val_seen.json").is_file()


def test_a_run_without_its_fit_cannot_see_in_another_world(houses, maker, tmp_path, capsys):
    run = tmp_path / "run"
    seeing = ["--env", "houses", "--encoder", "object_words"]
    assert train.main([*SMALL, *seeing, "--out", str(run)]) == 0
    worlds.locate("houses-tiny")
    (run / "object_fit.json").unlink()

    elsewhere = ["--run", str(run), "--split", "val_seen", "--env", "houses-tiny"]
    assert evaluate.main(elsewhere) == 2

    assert f"{run} has no object_fit.json" in capsys.readouterr().err
    assert evaluate.main(elsewhere[:-2]) == 0  # in its own it learns the same again


def test_features_of_another_fit_are_refused_and_the_world_is_named(
    houses, maker, tmp_path, capsys
):
    run = tmp_path / "run"
    seeing = ["--env", "houses", "--encoder", "object_words"]
    assert train.main([*SMALL, *seeing, "--out", str(run)]) == 0
    fit = json.loads((run / "object_fit.json").read_bytes())
    fit["encoder"]["object_words"]["scale"] *= 2
    (run / "object_fit.json").write_text(json.dumps(fit))

    assert evaluate.main(["--run", str(run), "--split", "val_seen"]) == 2

    said = capsys.readouterr().err
    assert "was trained on --encoder object_words, features" in said
    assert f"The world houses is now in {houses}" in said
    assert "older version: then train again" in said


def test_a_run_that_was_killed_before_it_kept_its_fit_keeps_it_later(houses, tmp_path):
    run = tmp_path / "run"
    seeing = ["--env", "houses", "--encoder", "object_words"]
    assert train.main([*SMALL, *seeing, "--out", str(run)]) == 0
    kept = (run / "object_fit.json").read_bytes()
    (run / "object_fit.json").unlink()

    assert train.main(["--resume", str(run)]) == 0

    assert (run / "object_fit.json").read_bytes() == kept


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
    said = capsys.readouterr().out
    assert "val_unseen" in said
    assert train.main(["--or-houses", "--resume", "run"]) == 0
    for text in (said, capsys.readouterr().out):
        assert f"run: houses in {worlds.folder_of('houses')}, --encoder object_words: the" in text
        assert "the names of the objects in every view" in text


@pytest.mark.parametrize(
    ("flags", "env", "encoder", "said"),
    [
        (("--encoder", "none"), "houses", "none", "The agent sees nothing"),
        (("--recipe", "imitation"), "houses", "object_words", "the names of the objects"),
        (("--recipe", "imitation", "--encoder", "none"), "houses", "none", "sees nothing"),
        (("--env", "houses-tiny"), "houses-tiny", "object_words", ""),
    ],
)
def test_the_houses_that_are_trained_in_are_those_that_the_flags_name(
    maker, tmp_path, caplog, flags, env, encoder, said
):
    caplog.set_level("INFO")

    assert train.main([*SMALL, "--or-houses", *flags, "--out", str(tmp_path / "run")]) == 0

    config = from_json(Run.read_config(tmp_path / "run"))
    assert (config.env, config.encoder) == (env, encoder)
    assert said in caplog.text
    assert ("Training in the world houses instead" in caplog.text) == bool(said)


@pytest.mark.parametrize("flags", [("--env", "r4r"), ("--data", "/nowhere/at/all")])
def test_who_names_data_that_are_not_here_gets_an_error_and_no_houses(
    maker, tmp_path, capsys, caplog, flags
):
    caplog.set_level("INFO")

    assert train.main([*SMALL, "--or-houses", *flags, "--out", str(tmp_path / "run")]) == 2

    assert "houses instead" not in caplog.text
    assert "VLN_DATA" in capsys.readouterr().err or "--data" in flags
    assert maker == []


def test_a_run_on_r2r_that_is_gone_says_the_ways_out(
    tiny_world, maker, tmp_path, capsys, monkeypatch
):
    run = tmp_path / "run"
    assert train.main([*SMALL, "--data", str(tiny_world.folder), "--out", str(run)]) == 0
    capsys.readouterr()

    assert train.main(["--or-houses", "--resume", str(run)]) == 2

    said = capsys.readouterr().err
    for part in (f"{run} was trained on r2r, which is not here", "VLN_DATA", "RUN=runs/NAME"):
        assert part in said


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


def test_an_environment_holds_the_instructions_of_a_split_of_another_name(houses):
    file = houses / "r2r" / "R2R_original.json"
    records = json.loads((houses / "r2r" / "R2R_val_seen.json").read_bytes())
    records[0]["instructions"][0] = "Go on. " * 200
    file.write_text(json.dumps(records))

    env = gymnasium.make_vec("envs:vln/Houses-v0", num_envs=1, split="original")

    assert env.single_observation_space["instruction"].shape == (1400,)


def test_an_environment_of_an_unknown_name_lists_worlds_as_well(cache):
    with pytest.raises(UnknownName, match=r"'hauses'\. Did you mean 'houses'\?"):
        located("hauses", None)


def test_an_environment_does_not_make_a_world(maker):
    with pytest.raises(MissingData, match=r"python -m vln\.houses make"):
        gymnasium.make("envs:vln/Houses-v0")

    assert maker == []
