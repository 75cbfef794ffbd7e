import ast
import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agents import train
from benchmarks import evaluate, players, score, submit, validate
from vln.data.predictions import read_predictions
from vln.errors import CheckpointMismatch
from vln.testing import make_tiny_world

ROOT = Path(__file__).parents[1]
SMALL = ["--model.hidden", "32", "--model.word", "16", "--batch", "8", "--max-steps", "6"]
SMALL += ["--agent", "follower"]


@pytest.fixture(scope="module")
def run(tiny_world, tmp_path_factory):
    """A blind follower after two updates."""
    folder = tmp_path_factory.mktemp("runs") / "blind"
    where = ["--data", str(tiny_world.folder), "--out", str(folder)]
    code = train.main(["--iterations", "2", "--evaluate-every", "2", *SMALL, *where])
    assert code == 0
    return folder


@pytest.fixture
def command(tiny_world, tmp_path, capsys):
    """Runs the command with FILE for --out; gives exit code, output, errors."""

    def run_it(*options, out=tmp_path / "submission.json"):
        place = ["--out", str(out), "--data", str(tiny_world.folder)]
        code = submit.main([*map(str, options), *place])
        return code, *capsys.readouterr()

    return run_it


def test_a_run_answers_every_instruction_of_the_test_split(command, run, tiny_world, tmp_path):
    code, out, err = command("--run", run, "--split", "test")

    records = json.loads((tmp_path / "submission.json").read_bytes())
    assert (code, err) == (0, "")
    assert [record["instr_id"] for record in records] == [
        episode.id for episode in tiny_world.episodes("test")
    ]
    assert {len(step) for record in records for step in record["trajectory"]} == {3}
    assert f"in order for R2R, EvalAI challenge 97: {len(records)} records of test" in out


def test_the_file_passes_the_validator(command, tiny_world, tmp_path):
    command("--agent", "random", "--env", "r2r", "--split", "test")

    file = str(tmp_path / "submission.json")
    place = ["--env", "r2r", "--split", "test", "--data", str(tiny_world.folder)]
    assert validate.main([file, *place]) == 0


def test_a_split_with_labels_can_be_written_too_and_gzipped(command, tmp_path, tiny_world):
    out = tmp_path / "seen.json.gz"

    code, _, _ = command("--agent", "shortest", "--env", "r2r", "--split", "val_seen", out=out)

    assert code == 0
    assert len(json.loads(gzip.decompress(out.read_bytes()))) == len(
        tiny_world.episodes("val_seen")
    )


def test_the_angles_are_those_the_agent_had(command, tmp_path):
    command("--agent", "straight", "--env", "r2r", "--split", "val_seen")

    predictions = read_predictions(tmp_path / "submission.json")
    assert all(p.headings is not None for p in predictions)
    assert len({heading for p in predictions for heading in p.headings}) > 6


def test_a_file_with_an_offence_is_refused_and_not_written(command, monkeypatch, tmp_path):
    play = players.Player.play

    def forgetful(player):
        first, second, *others = play(player)
        return [
            replace(second, poses=second.poses[:1] * 2),
            *others,
            replace(first, episode_id="x"),
        ]

    monkeypatch.setattr(players.Player, "play", forgetful)

    code, out, err = command("--agent", "random", "--env", "r2r", "--split", "test")

    assert (code, out) == (2, "")
    assert "is not written" in err
    assert "missing (1)" in err
    assert "instr_id x is no instruction of this split" in err
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_leaves_an_older_file_as_it_was(command, monkeypatch, tmp_path):
    command("--agent", "stop", "--env", "r2r", "--split", "test")
    before = (tmp_path / "submission.json").read_bytes()
    monkeypatch.setattr(players.Player, "play", lambda player: [])

    command("--agent", "random", "--env", "r2r", "--split", "test")

    assert (tmp_path / "submission.json").read_bytes() == before


def test_an_agent_that_needs_goals_cannot_answer_the_test_split(command, tmp_path):
    code, _, err = command("--agent", "shortest", "--env", "r2r", "--split", "test")

    assert code == 2
    assert "this split's are held out" in err
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_without_a_leaderboard_is_an_error(command):
    code, _, err = command("--agent", "stop", "--env", "r4r", "--split", "val_seen")

    assert code == 2
    assert "unknown leaderboard 'r4r'" in err


def test_a_folder_without_a_run_is_an_error(tiny_world, tmp_path):
    choice = players.Choice(split="test", run=tmp_path, data=tiny_world.folder)

    with pytest.raises(CheckpointMismatch, match="no run in"):
        players.open_player(choice)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A world with labels of its test split apart: the tiny one, whose unseen houses are tested."""
    world = make_tiny_world(tmp_path_factory.mktemp("labelled"))
    annotations = world.folder / "r2r"
    records = json.loads((annotations / "R2R_val_unseen.json").read_bytes())
    (world.folder / "held_out").mkdir()
    shutil.copy(annotations / "R2R_val_unseen.json", world.folder / "held_out" / "R2R_test.json")
    masked = [{k: v for k, v in r.items() if k != "distance"} for r in records]
    (annotations / "R2R_test.json").write_text(
        json.dumps([{**record, "path": record["path"][:1]} for record in masked])
    )
    return world.folder


@pytest.fixture
def local(labelled, capsys):
    """Runs the command on that world; gives exit code, output, errors."""

    def run_it(*options, data=labelled):
        place = ["--env", "r2r", "--split", "test", "--local", "--data", str(data)]
        code = submit.main([*map(str, options), *place, "--draws", "20"])
        return code, *capsys.readouterr()

    return run_it


def test_a_test_split_can_be_scored_where_its_labels_lie_apart(local, tmp_path, labelled):
    out = tmp_path / "mine.json"

    code, said, err = local("--agent", "random", "--out", out)

    assert (code, err) == (0, "")
    assert f"{out}: in order for" in said
    assert "data set     r2r test, protocol envdrop" in said
    place = ["--env", "r2r", "--split", "val_unseen", "--data", str(labelled)]
    assert score.main([str(out), *place, "--draws", "20"]) == 0


def test_a_file_that_is_there_is_scored_to_the_same_numbers(local, tmp_path):
    out = tmp_path / "mine.json"
    _, first, _ = local("--agent", "random", "--out", out)

    code, again, _ = local("--file", out)

    assert code == 0
    assert first.endswith(again)
    assert "SR (%)" in again


def test_scoring_locally_needs_no_file_to_be_kept(local, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    code, said, _ = local("--agent", "stop")

    assert code == 0
    assert "SPL (%)" in said
    assert "not kept (no --out): in order for" in said
    assert said.count("agent stop, seed 0\n") == 2
    assert "submission.json" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_an_offence_is_not_scored(local, tmp_path):
    local("--agent", "stop", "--out", tmp_path / "mine.json")
    records = json.loads((tmp_path / "mine.json").read_bytes())
    (tmp_path / "mine.json").write_text(json.dumps(records[1:]))

    code, said, err = local("--file", tmp_path / "mine.json")

    assert (code, said) == (2, "")
    assert "missing (1)" in err


def test_a_world_without_labels_says_so_before_anything_is_played(local, tiny_world, monkeypatch):
    monkeypatch.setattr(players.Player, "play", None)

    code, _, err = local("--agent", "stop", data=tiny_world.folder)

    assert code == 2
    assert "R2R_test.json: the labels of r2r 'test' are not here" in err


def test_labels_of_another_split_are_refused(local, labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "other")
    shutil.copy(
        labelled / "r2r" / "R2R_val_seen.json", tmp_path / "other" / "held_out" / "R2R_test.json"
    )

    code, _, err = local("--agent", "stop", data=tmp_path / "other")

    assert code == 2
    assert "is not about the instructions of" in err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--agent", "stop", "--env", "r2r"], "name the file to write with --out"),
        (["--file", "x.json", "--env", "r2r"], "--file goes with --local"),
        (["--file", "x.json", "--local"], "--file needs --env"),
        (["--file", "x.json", "--local", "--agent", "stop"], "leave --run, --agent and --out out"),
        (["--file", "x.json", "--local", "--env", "r2r"], "x.json"),
    ],
)
def test_options_that_do_not_go_together_are_named(tiny_world, capsys, options, problem):
    assert submit.main([*options, "--split", "test", "--data", str(tiny_world.folder)]) == 2

    assert problem in capsys.readouterr().err


def test_only_this_command_the_loader_that_refuses_and_the_generator_know_where_the_labels_lie():
    sources = [file for top in ("vln", "envs", "agents", "benchmarks") for file in _modules(top)]

    found = {
        file.relative_to(ROOT).as_posix()
        for file in sources
        if any(
            isinstance(node, ast.Constant) and "held_out" in str(node.value)
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        )
    }

    assert found - {"vln/houses/world/publish.py"} == {"vln/data/locations.py"}
    users = {"vln/data/episodes.py", "benchmarks/submit.py", "vln/houses/world/publish.py"}
    assert _importers("HELD_OUT", of="vln.data.locations") - users == set()


def _importers(name, *, of):
    sources = [file for top in ("vln", "envs", "agents", "benchmarks") for file in _modules(top)]
    return {
        file.relative_to(ROOT).as_posix()
        for file in sources
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == of
        and name in [alias.name for alias in node.names]
    }


def test_no_other_command_scores_against_the_labels(labelled, capsys):
    split = str(labelled / "held_out" / "R2R_test.json")
    place = ["--env", "r2r", "--split", split, "--data", str(labelled)]

    assert evaluate.main(["--agent", "stop", *place]) == 2

    assert "only `python -m benchmarks.submit --local` scores against" in capsys.readouterr().err


def _modules(top):
    return sorted((ROOT / top).rglob("*.py"))
