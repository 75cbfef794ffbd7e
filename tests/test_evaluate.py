import json

import numpy as np
import pytest

from agents import train
from benchmarks import baselines, evaluate, score
from benchmarks.players import as_predictions, scripted
from vln.data.predictions import read_predictions
from vln.errors import BadConfig

SMALL = ["--model.hidden", "32", "--model.word", "16", "--batch", "8", "--max-steps", "6"]
SMALL += ["--agent", "follower"]


@pytest.fixture(scope="module")
def run(tiny_world, tmp_path_factory):
    """A blind follower after two updates."""
    folder = tmp_path_factory.mktemp("runs") / "blind"
    where = ["--data", str(tiny_world.folder), "--out", str(folder)]
    code = train.main(["--iterations", "2", "--evaluate-every", "1", *SMALL, *where])
    assert code == 0
    return folder


@pytest.fixture
def command(tiny_world, capsys):
    """Runs the command; gives exit code, output, errors."""

    def run_it(*options):
        code = evaluate.main([*map(str, options), "--data", str(tiny_world.folder)])
        return code, *capsys.readouterr()

    return run_it


def test_a_run_is_evaluated_as_its_prediction_file_is_scored(command, run, tiny_world, capsys):
    code, out, err = command("--run", run, "--split", "val_unseen", "--json")
    file = run / "predictions" / "val_unseen.json"
    place = ["--env", "r2r", "--split", "val_unseen", "--data", str(tiny_world.folder)]
    score.main([str(file), *place, "--json"])
    scored = json.loads(capsys.readouterr().out)

    assert (code, err) == (0, "")
    ours = json.loads(out)
    assert {key: ours[key] for key in scored} == scored


def test_every_episode_is_played_exactly_once_in_the_order_of_the_split(command, run, tiny_world):
    command("--run", run, "--split", "val_seen")

    predictions = read_predictions(run / "predictions" / "val_seen.json")
    episodes = tiny_world.episodes("val_seen")
    assert [p.id for p in predictions] == [e.id for e in episodes]
    assert [p.viewpoints[0] for p in predictions] == [e.start.viewpoint for e in episodes]


def test_the_scores_beside_the_predictions_say_who_played_what(command, run, tiny_world):
    _, out, _ = command("--run", run, "--split", "val_unseen")

    kept = json.loads((run / "predictions" / "val_unseen.metrics.json").read_text())
    assert kept["annotations_sha256"] == tiny_world.episodes("val_unseen").sha256
    assert kept["agent"]["checkpoint"] == "best"
    assert kept["agent"]["iteration"] in {1, 2}
    assert kept["agent"]["select"] == "dev"
    assert kept["agent"]["features"] == ""
    assert kept["agent"]["world"] == tiny_world.graph.world
    assert "chosen by success rate on dev (training houses held out)" in out


def test_the_last_checkpoint_keeps_a_file_of_its_own(command, run):
    command("--run", run, "--split", "val_unseen", "--checkpoint", "last")

    kept = json.loads((run / "predictions" / "val_unseen-last.metrics.json").read_text())
    assert kept["agent"]["iteration"] == 2
    assert (run / "predictions" / "val_unseen-last.json").is_file()


def test_predictions_go_where_they_are_asked_for(command, run, tmp_path):
    out = tmp_path / "mine.json.gz"

    command("--run", run, "--split", "dev", "--out", out)

    assert {file.name for file in tmp_path.iterdir()} == {"mine.json.gz", "mine.metrics.json"}
    assert read_predictions(out)


def test_the_mean_over_seeds_is_the_mean_of_the_runs(command, tmp_path, tiny_world, capsys):
    options = ["--agent", "random", "--env", "r2r", "--split", "val_unseen"]
    _, out, _ = command(*options, "--seeds", 3, "--json", "--out", tmp_path / "random.json")
    singles = [
        json.loads(command(*options, "--seed", seed, "--json")[1])["metrics"] for seed in range(3)
    ]

    together = json.loads(out)
    for label in ("SR", "NE", "nDTW"):
        means = [single[label]["mean"] for single in singles]
        assert together["metrics"][label]["mean"] == pytest.approx(np.mean(means), abs=1e-9)
        assert together["seed_deviation"][label] == pytest.approx(np.std(means, ddof=1), abs=1e-9)
    written = {file.name for file in tmp_path.iterdir()}
    assert written == {*(f"random-seed{n}.json" for n in range(3)), "random.metrics.json"}


def test_the_shortest_path_agent_scores_perfectly(command):
    code, out, _ = command("--agent", "shortest", "--env", "r2r", "--split", "val_unseen", "--json")

    metrics = json.loads(out)["metrics"]
    assert code == 0
    assert metrics["SR"]["mean"] == metrics["SPL"]["mean"] == 100
    assert metrics["NE"]["mean"] == 0


def test_several_seeds_show_their_spread_in_the_table(command):
    _, out, _ = command("--agent", "random", "--env", "r2r", "--split", "val_seen", "--seeds", 2)

    assert "agent random, means over 2 seeds" in out
    assert "standard deviation" in out


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--split", "val_seen"], "either --run RUN, or --agent NAME"),
        (["--agent", "random", "--split", "val_seen"], "needs --env"),
        (["--agent", "randm", "--env", "r2r", "--split", "val_seen"], "Did you mean 'random'"),
        (["--agent", "stop", "--env", "r2r", "--split", "val_sen"], "Did you mean 'val_seen'"),
        (
            ["--agent", "stop", "--env", "r3r", "--split", "val_seen"],
            "unknown data set or world 'r3r'",
        ),
        (["--agent", "stop", "--env", "r2r", "--split", "test"], "python -m benchmarks.submit"),
        (["--run", "nowhere", "--split", "val_seen"], "no run in nowhere"),
        (["--run", "nowhere", "--split", "val_seen", "--seeds", "3"], "benchmarks.compare"),
    ],
)
def test_what_cannot_be_evaluated_says_why_and_what_to_do(command, options, problem):
    code, out, err = command(*options)

    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert problem in err


def test_a_split_without_labels_is_refused_by_the_scorer_too(tiny_world):
    episodes = tiny_world.episodes("test")
    player = scripted("stop", graph=tiny_world.graph, episodes=episodes, seed=0)

    with pytest.raises(BadConfig, match="held out"):
        evaluate.evaluate(player)


def test_trajectories_become_predictions_with_their_angles(tiny_world):
    episodes = tiny_world.episodes("val_seen")
    player = scripted("straight", graph=tiny_world.graph, episodes=episodes, seed=0)

    trajectories = player.play()
    predictions = as_predictions(trajectories)

    assert [len(p.viewpoints) for p in predictions] == [len(t.poses) for t in trajectories]
    assert predictions[0].headings == tuple(pose.heading for pose in trajectories[0].poses)


@pytest.fixture(scope="module")
def measured(tiny_world):
    return [
        (split, condition)
        for split in baselines.SPLITS
        for condition in baselines.measure(split, seeds=2, data=tiny_world.folder)
    ]


def test_baselines_put_the_published_rows_beside_ours(measured):
    document = baselines.as_document(measured, seeds=2)

    assert "| random, val_unseen" in document
    assert "9.23" in document
    assert document.count("published |") == len(baselines.PUBLISHED)


def test_only_agents_that_draw_are_run_with_several_seeds(measured):
    objects = [baselines.as_object(split, condition) for split, condition in measured]

    seeds = {row["agent"]: row["seeds"] for row in objects}
    assert seeds == {"shortest": 1, "random": 2, "stop": 1, "straight": 1}
    assert json.dumps(objects, allow_nan=False)


def test_baselines_are_written_as_a_table_and_for_programs(tiny_world, tmp_path, capsys):
    code = baselines.main(
        ["--out", str(tmp_path), "--seeds", "2", "--data", str(tiny_world.folder)]
    )

    assert code == 0
    assert (tmp_path / "baselines.md").read_text() in capsys.readouterr().out
    rows = json.loads((tmp_path / "baselines.json").read_text())
    assert {row["protocol"] for row in rows} == {"mattersim"}


def test_one_seed_is_no_baseline(tiny_world, tmp_path, capsys):
    code = baselines.main(["--out", str(tmp_path), "--seeds", "1"])

    assert code == 2
    assert "Ask for 10 or more" in capsys.readouterr().err


def test_the_published_rows_are_within_sampling_error_of_ours(real_data):
    measured = {c.name: c for c in baselines.measure("val_unseen", seeds=5, data=real_data)}

    distances = baselines.apart("val_unseen", measured["random"])
    assert set(distances) == {"TL", "NE", "SR", "OSR"}
    assert max(map(abs, distances.values())) < 4  # of five runs' deviation, itself uncertain
    shortest = baselines.as_object("val_unseen", measured["shortest"])["mean"]
    published = baselines.PUBLISHED["shortest", "val_unseen"]
    assert {label: shortest[label] for label in published} == pytest.approx(published, abs=0.005)
