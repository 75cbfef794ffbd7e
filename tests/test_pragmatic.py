"""Search with re-ranking from the command line: scores, the leaderboard's file, mistakes."""

import orjson
import pytest

from benchmarks import evaluate, submit, validate
from vln.data.predictions import read_predictions

pytestmark = pytest.mark.usefixtures("in_tiny_world")


@pytest.fixture
def scored(tiny_recipe, tmp_path, capsys):
    """Scores of a run's search on val_unseen, and its predictions."""

    def run(*flags):
        file = tmp_path / "walks.json"
        asked = ["--run", str(tiny_recipe), "--split", "val_unseen", "--json", "--out", str(file)]
        assert evaluate.main([*asked, "--draws", "10", *map(str, flags)]) == 0
        return orjson.loads(capsys.readouterr().out), read_predictions(file)

    return run


@pytest.mark.parametrize("rule", ["follower", "envdrop", "speaker_follower", "dev"])
def test_every_rule_walks_every_episode(scored, rule):
    result, walks = scored("--search.rule", rule, "--search.candidates", 4)
    assert len(walks) == result["instructions_scored"] == result["instructions_in_split"]
    assert result["agent"]["search"]["rule"] == rule
    assert 0 <= result["agent"]["ranking"]["weight"] <= 1
    assert (result["agent"]["ranking"]["weight"] == 0) == (rule == "follower") or rule == "dev"


def test_walks_that_hold_the_search_are_longer_and_end_alike(scored):
    _, routes = scored("--search.rule", "envdrop", "--search.no-explores")
    _, walks = scored("--search.rule", "envdrop")
    assert [w.viewpoints[-1] for w in walks] == [r.viewpoints[-1] for r in routes]
    assert sum(len(w.viewpoints) for w in walks) > 2 * sum(len(r.viewpoints) for r in routes)


def test_a_search_is_kept_beside_the_greedy_walks(tiny_recipe, capsys):
    asked = ["--run", str(tiny_recipe), "--split", "val_seen", "--draws", "10"]
    assert evaluate.main([*asked, "--search.rule", "follower"]) == 0
    assert "state-factored search" in capsys.readouterr().out
    assert (tiny_recipe / "predictions" / "val_seen-search-follower.json").is_file()


def test_a_searchs_walks_are_a_submission(tiny_recipe, tmp_path):
    file = tmp_path / "submission.json"
    asked = ["--run", str(tiny_recipe), "--split", "test", "--out", str(file)]
    assert submit.main([*asked, "--search.rule", "envdrop", "--search.candidates", "3"]) == 0
    assert validate.main([str(file), "--env", "r2r", "--split", "test"]) == 0


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--search.rule", "envdrop"), "--search.speaker RUN"),
        (("--search.rule", "follower", "--search.candidates", "0"), "expected 1 or more"),
    ],
)
def test_a_search_that_cannot_be_is_refused(tiny_recipe, capsys, flags, part):
    asked = ["--run", str(tiny_recipe / "follower"), "--split", "val_seen"]
    assert evaluate.main([*asked, *flags]) == 2
    assert part in capsys.readouterr().err
