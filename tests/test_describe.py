"""`python -m agents.describe`: instructions for given paths."""

import json
import re

import pytest

from agents import describe, train
from vln.data.episodes import load_episodes
from vln.text import Vocabulary

SMALL = [
    *("--agent", "speaker", "--batch", "6", "--iterations", "2", "--evaluate-every", "2"),
    *("--evaluate", "val_seen", "--model.max-words", "12"),
    *("--model.hidden", "16", "--model.word", "8"),
]


pytestmark = pytest.mark.usefixtures("in_tiny_world")


@pytest.fixture(scope="module")
def speaker(train_tiny):
    return train_tiny(*SMALL)


@pytest.fixture
def described(speaker, capsys):
    def run(*flags, code=0):
        assert describe.main(["--run", str(speaker), *map(str, flags)]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return run


@pytest.fixture(scope="module")
def episode(tiny_world, tiny_graph):
    return load_episodes("r2r", "val_unseen", data=tiny_world.folder, graph=tiny_graph).episodes[0]


def test_a_path_is_put_into_words_of_the_vocabulary(described, episode, tiny_world, tiny_graph):
    said = described("--scan", episode.start.scan, "--path", *episode.reference)
    name, _, text = said.strip().partition(": ")
    train_set = load_episodes("r2r", "train_fit", data=tiny_world.folder, graph=tiny_graph)
    known = Vocabulary.build(e.instruction for e in train_set).words
    assert name == "path"
    assert set(re.findall(r"\w+", text)) <= set(known)


def test_a_split_becomes_a_file_that_is_a_split(described, tmp_path, tiny_world, tiny_graph):
    described("--split", "val_unseen", "--samples", 2, "--out", tmp_path / "told.json")
    told = load_episodes("r2r", str(tmp_path / "told.json"), data=tmp_path, graph=tiny_graph)
    split = load_episodes("r2r", "val_unseen", data=tiny_world.folder, graph=tiny_graph)
    assert {e.reference for e in told} == {e.reference for e in split}
    assert len(told) == 2 * len({e.reference for e in split})


def test_drawing_depends_on_the_seed_alone(described):
    one, again, other = (
        described("--split", "val_seen", "--samples", 1, "--seed", seed) for seed in (0, 0, 1)
    )
    assert one == again != other


def test_paths_of_a_file_are_described(described, tmp_path, episode):
    record = {"scan": episode.start.scan, "path": list(episode.reference), "heading": 0.0}
    (tmp_path / "paths.json").write_text(json.dumps([record]))
    assert described("--paths", tmp_path / "paths.json").count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        ((), "one of --path"),
        (("--split", "val_seen", "--paths", "x"), "one of --path"),
        (("--path", "a"), "needs --scan"),
        (("--split", "test"), "no paths to describe"),
        (("--split", "val_seen", "--samples", "-1"), "expected 0 or more"),
    ],
)
def test_what_cannot_be_described_is_refused(described, flags, part):
    assert part in described(*flags, code=2)


def test_viewpoints_that_are_not_adjacent_are_refused(described, episode):
    here = episode.reference[0]
    said = described("--scan", episode.start.scan, "--path", here, here, code=2)
    assert "not adjacent" in said


def test_a_followers_run_cannot_describe(tmp_path, capsys):
    folder = tmp_path / "follower"
    assert train.main([*SMALL, "--agent", "follower", "--out", str(folder)]) == 0
    assert describe.main(["--run", str(folder), "--split", "val_seen"]) == 2
    assert "expected one of a speaker" in capsys.readouterr().err
