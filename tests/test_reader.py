"""Readers on a made world, the classifier of goals, and the table that asks whether eyes count."""

import shutil

import numpy as np
import orjson
import pytest

from agents.evaluation import score, walk
from agents.reader import known_home
from agents.rollout import play
from agents.scripted import SCRIPTED
from benchmarks import eyes
from benchmarks.guess import goal_guess
from envs.vector import PanoramaVectorEnv
from vln.data.connectivity import load_graph
from vln.data.episodes import load_episodes
from vln.data.objects import ObjectViews
from vln.data.splits import EpisodeSet
from vln.encoders.base import World
from vln.errors import BadConfig, CorruptData, MissingData
from vln.graph import compile_graph
from vln.houses.world.spec import HomeGroup, WorldSpec
from vln.houses.world.write import make_world
from vln.types import Episode, Pose

SPEC = WorldSpec(
    "reader-test",
    seed=3,
    groups=(
        HomeGroup("train", 1, 8, seen_paths=4, seen_homes=1),
        HomeGroup("val_unseen", 1, 8, also="val_unseen_home"),
    ),
    viewpoints=(30, 36),
    guides=1,
    captions=1,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("worlds") / "made"
    folder.mkdir()
    make_world(SPEC, folder, workers=1, pictures=False, progress=False)
    return World(folder, load_graph(folder))


def episodes_of(world, split="val_unseen"):
    return load_episodes("r2r", split, data=world.data, graph=world.graph)


def success_of(name, world, *, seed=0):
    episodes = episodes_of(world)
    walked = walk(SCRIPTED[name](seed, world), world.graph, episodes)
    return float(score(walked, world.graph, episodes).success.mean())


def test_who_reads_and_sees_arrives_and_who_only_reads_does_not(world):
    assert success_of("reader", world) >= 0.95
    assert np.mean([success_of("reader_blind", world, seed=seed) for seed in range(3)]) <= 0.6


@pytest.mark.parametrize("name", ["reader", "reader_blind"])
def test_readers_only_take_legal_actions(world, name):
    env = PanoramaVectorEnv(num_envs=12, graph=world.graph, episodes=episodes_of(world))
    rollout = play(env, SCRIPTED[name](0, world), np.arange(12))
    degree = world.graph.degree
    for trajectory in rollout.trajectories:
        assert trajectory.stopped
        assert len(trajectory.poses) <= degree.sum()


def test_the_reader_is_the_same_alone_and_in_any_batch(world):
    episodes = episodes_of(world)
    batch = PanoramaVectorEnv(num_envs=6, graph=world.graph, episodes=episodes)
    alone = PanoramaVectorEnv(num_envs=1, graph=world.graph, episodes=episodes)
    agent = SCRIPTED["reader"](0, world)
    together = play(batch, agent, np.arange(6)).trajectories
    single = [play(alone, agent, np.array([index])).trajectories[0] for index in range(6)]
    assert together == single


def test_the_blind_reader_guesses_the_same_alone_and_in_any_batch(world):
    episodes = episodes_of(world)

    def walked(rows, count):
        env = PanoramaVectorEnv(num_envs=count, graph=world.graph, episodes=episodes)
        return play(env, SCRIPTED["reader_blind"](0, world), np.array(rows)).trajectories

    assert walked(range(6), 6) == [walked([index], 1)[0] for index in range(6)]


def test_the_blind_readers_guesses_hang_on_its_seed_alone(world):
    episodes = episodes_of(world)

    def walked(seed):
        return walk(SCRIPTED["reader_blind"](seed, world), world.graph, episodes)

    assert walked(1) == walked(1)
    assert walked(1) != walked(2)


def test_readers_need_a_world_with_scenes(tiny_world):
    with pytest.raises(MissingData, match="no world was given"):
        SCRIPTED["reader"](0)
    with pytest.raises(MissingData, match=r"has no scenes.*--env houses"):
        SCRIPTED["reader_blind"](0, World(tiny_world.folder, tiny_world.graph))


def test_a_scene_of_other_viewpoints_is_named(world, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(world.data, copy)
    first, second = sorted((copy / "scenes").glob("*.json"))
    content = first.read_bytes().replace(first.stem.encode(), second.stem.encode())
    second.write_bytes(content)
    changed = World(copy, world.graph)
    episodes = episodes_of(world)
    with pytest.raises(CorruptData, match=rf"in no room of the home in .*{second.name}"):
        walk(SCRIPTED["reader"](0, changed), world.graph, episodes)


def test_a_missing_scene_is_named(world, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(world.data, copy)
    gone = max((copy / "scenes").glob("*.json"))
    gone.unlink()
    with pytest.raises(MissingData, match=gone.name):
        walk(SCRIPTED["reader"](0, World(copy, world.graph)), world.graph, episodes_of(world))


def test_a_home_is_measured_once(world):
    file = min((world.data / "scenes").glob("*.json"))
    assert known_home(file) is known_home(file)


@pytest.fixture
def forks(make_scan):
    """Sixty homes of one fork each: a leads by b to c, d or e."""
    positions = [(0, 0, 0), (0, 3, 0), (3, 5, 0), (-3, 5, 0), (0, 6, 0)]
    edges = ["ab", "bc", "bd", "be"]
    scans = [make_scan(positions, edges, scan=f"fork{i}") for i in range(60)]
    graph = compile_graph(scans, world="forks")
    goals = np.random.default_rng(0).integers(2, 5, 60)

    def split(first, last):
        episodes = [
            Episode(f"{i}_0", Pose(f"fork{i}", "a", 0.0, 0.0), "", "en", ("a", "b", "abcde"[g]))
            for i, g in enumerate(goals)
            if first <= i < last
        ]
        return EpisodeSet("r2r", f"{first} to {last}", "", "", tuple(episodes))

    return graph, goals, split


def shown(graph, is_red) -> ObjectViews:
    """One object per viewpoint, a red lamp where `is_red`, else a blue sofa."""
    count = len(graph.viewpoints)
    return ObjectViews(
        np.arange(count),
        np.full(count, 12),
        np.where(is_red, 1, 0),
        np.full(count, 0.1, np.float32),
        ("blue sofa", "red lamp"),
    )


def test_a_goal_that_can_be_seen_is_found(forks):
    graph, goals, split = forks
    is_red = np.zeros(len(graph.viewpoints), bool)
    is_red[graph.first[:-1] + goals] = True
    guess = goal_guess(graph, shown(graph, is_red), train=split(0, 40), test=split(40, 60))
    assert guess.accuracy == 1.0
    assert guess.chance == pytest.approx(1 / 3)
    assert (guess.forks, guess.trained_on) == (20, 40)


def test_a_goal_that_cannot_be_seen_is_found_by_chance_alone(forks):
    graph, _, split = forks
    is_red = np.random.default_rng(1).random(len(graph.viewpoints)) < 0.3
    guess = goal_guess(graph, shown(graph, is_red), train=split(0, 30), test=split(30, 60))
    assert abs(guess.accuracy - guess.chance) < 3 * guess.error + 0.05


def test_paths_without_alternatives_cannot_be_guessed(forks):
    graph, _, split = forks
    none = EpisodeSet("r2r", "nothing", "", "", ())
    seen = shown(graph, np.zeros(len(graph.viewpoints), bool))
    with pytest.raises(BadConfig, match="'nothing' has an alternative"):
        goal_guess(graph, seen, train=split(0, 30), test=none)


def test_the_table_is_written_for_people_and_for_programs(world, tmp_path, capsys):
    arguments = ["--env", "r2r", "--data", str(world.data), "--out", str(tmp_path)]
    assert eyes.main([*arguments, "--seeds", "2", "--draws", "50"]) == 0
    table = orjson.loads((tmp_path / "eyes.json").read_bytes())
    rows = {row["name"]: row for row in table["rows"]}
    assert list(rows) == list(eyes.SCRIPTS)
    assert rows["reader"]["success"]["val_unseen"]["mean"] >= 95
    assert rows["reader_blind"]["runs"] == 2
    assert "val_unseen_home" in rows["random"]["success"]
    assert table["goal_classifier"]["asked"].startswith("at most ")
    document = (tmp_path / "eyes.md").read_text()
    assert document in capsys.readouterr().out
    assert "| reader " in document
    assert "at least 95: yes" in document


def test_a_table_of_no_runs_is_refused(world, tmp_path, capsys):
    arguments = ["--env", "r2r", "--data", str(world.data), "--out", str(tmp_path / "out")]
    assert eyes.main([*arguments, "--seeds", "0"]) == 2
    assert "--seeds 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
