import gzip
import json
from dataclasses import replace

import pytest

from agents import train
from benchmarks import players, submit, validate
from vln.data.predictions import read_predictions
from vln.errors import CheckpointMismatch

SMALL = ["--model.hidden", "32", "--model.word", "16", "--batch", "8", "--max-steps", "6"]


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
