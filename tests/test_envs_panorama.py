import pickle
import subprocess
import sys
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from envs.panorama import PanoramaEnv
from envs.vector import PanoramaVectorEnv
from vln.errors import BadConfig, EpisodeOver, IllegalAction


def make(world, split="train", **settings):
    return PanoramaEnv(graph=world.graph, episodes=world.episodes(split), **settings)


@pytest.mark.parametrize("id_", ["vln/R2R-v0", "vln/R4R-v0"])
@pytest.mark.parametrize("split", ["train", "val_unseen"])
def test_gymnasiums_checker_finds_nothing(tiny_world, monkeypatch, id_, split):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))

    check_env(gymnasium.make(f"envs:{id_}", split=split).unwrapped)


def test_gymnasiums_checker_finds_nothing_on_the_real_data(real_data):
    check_env(gymnasium.make("envs:vln/R2R-v0", split="test", data=real_data).unwrapped)


def test_the_real_data_has_the_sizes_of_the_table(real_data, real_graph):
    env = gymnasium.make("envs:vln/R2R-v0", split="val_seen", data=real_data, graph=real_graph)

    assert env.action_space.n == 14
    assert env.observation_space["instruction"].shape == (938,)
    assert env.observation_space["panorama"].n == 10567


def test_importing_the_environments_does_not_import_torch():
    code = "import sys, envs, envs.panorama, envs.wrappers; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_single_environments_and_the_batch_are_the_same_step_by_step(tiny_world):
    episodes = np.array([0, 3, 11, 17])
    rng = np.random.default_rng(0)
    batch = PanoramaVectorEnv(
        graph=tiny_world.graph, episodes=tiny_world.episodes("train"), num_envs=4, max_steps=9
    )
    singles = [make(tiny_world, max_steps=9) for _ in episodes]

    observation, info = batch.reset(options={"episodes": episodes})
    alone = [e.reset(options={"episode": i}) for e, i in zip(singles, episodes, strict=True)]
    reward, terminated, truncated = np.zeros(4), np.zeros(4, dtype=bool), np.zeros(4, dtype=bool)
    alone = [(o, 0.0, False, False, i) for o, i in alone]
    while True:
        for row, (o, r, stopped, cut, i) in enumerate(alone):
            assert all(np.array_equal(observation[key][row], o[key]) for key in o)
            assert all(info[key][row] == i[key] for key in i)
            assert (reward[row], terminated[row], truncated[row]) == (r, stopped, cut)
        if (terminated | truncated).all():
            break
        action = rng.integers(0, observation["action_mask"].sum(axis=1))
        under_way = ~(terminated | truncated)
        observation, reward, terminated, truncated, info = batch.step(action)
        for row in np.flatnonzero(under_way):
            alone[row] = singles[row].step(action[row])
        for row in np.flatnonzero(~under_way):
            o, _, *rest = alone[row]
            alone[row] = (o, 0.0, *rest)

    assert [single.trajectory() for single in singles] == batch.trajectories()


def episode_of(env, seed, choose):
    observation, info = env.reset(seed=seed)
    record = [(observation["panorama"], info["episode_id"])]
    ended = False
    while not ended:
        action = choose.integers(0, observation["action_mask"].sum())
        observation, reward, terminated, truncated, info = env.step(action)
        record.append((observation["panorama"], reward, terminated, truncated, info["viewpoint"]))
        ended = terminated or truncated
    return record


def test_the_same_seed_gives_the_same_episode(tiny_world):
    one, two = make(tiny_world), make(tiny_world)

    for seed in range(5):
        first = episode_of(one, seed, np.random.default_rng(seed))
        assert first == episode_of(two, seed, np.random.default_rng(seed))


def test_a_pickled_environment_goes_on_as_the_original(tiny_world):
    env = make(tiny_world)
    env.reset(seed=0)

    copied = pickle.loads(pickle.dumps(env))  # noqa: S301 - our own bytes

    assert copied.step(1)[4] == env.step(1)[4]
    assert copied.reset()[1] == env.reset()[1]


@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_gymnasiums_own_vector_environments_can_hold_it(tiny_world, kind):
    envs = kind([lambda: make(tiny_world)] * 3)
    rng = np.random.default_rng(0)
    observation, info = envs.reset(seed=4)
    alone = make(tiny_world)
    for _ in range(10):
        degree = observation["action_mask"].sum(axis=1)
        observation, *_ = envs.step(rng.integers(0, degree))
        assert observation in envs.observation_space

    assert alone.reset(seed=5)[1]["episode_id"] == info["episode_id"][1]
    envs.close()


def test_blind_samples_of_gymnasiums_own_vector_environments_are_legal(tiny_world):
    envs = SyncVectorEnv([lambda: make(tiny_world)] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    envs.reset(seed=0)

    for _ in range(30):
        envs.step(envs.action_space.sample())


def test_make_gives_the_split_that_was_asked_for(tiny_world, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))
    known = {episode.id for episode in tiny_world.episodes("val_unseen")}

    env = gymnasium.make("envs:vln/R2R-v0", split="val_unseen")

    assert env.reset(seed=0)[1]["episode_id"] in known


def test_make_vec_in_sync_mode_wraps_single_environments(tiny_world, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))

    env = gymnasium.make_vec("envs:vln/R2R-v0", num_envs=2, vectorization_mode="sync")

    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space


def test_usual_wrappers_stack(tiny_world, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))
    env = gymnasium.make("envs:vln/R2R-v0", max_episode_steps=3)
    env = gymnasium.wrappers.RecordEpisodeStatistics(env)
    env.reset(seed=0)
    for _ in range(3):
        *_, truncated, info = env.step(1)

    assert truncated
    assert info["episode"]["l"] == 3


def test_masked_samples_are_random_legal_actions(tiny_world):
    env = make(tiny_world)
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)

    drawn = {int(env.action_space.sample(observation["action_mask"])) for _ in range(200)}

    assert drawn == set(range(observation["action_mask"].sum()))


def test_a_step_without_an_episode_under_way_is_refused(tiny_world):
    env = make(tiny_world)
    with pytest.raises(EpisodeOver):
        env.step(0)
    with pytest.raises(EpisodeOver):
        env.trajectory()
    env.reset(seed=0)
    env.step(0)

    with pytest.raises(EpisodeOver, match="reset"):
        env.step(0)


def test_a_masked_action_is_refused(tiny_world):
    env = make(tiny_world)
    observation, _ = env.reset(seed=0)

    with pytest.raises(IllegalAction):
        env.step(int(observation["action_mask"].sum()))


@pytest.mark.parametrize("options", [{"episode": -1}, {"episodes": 0}, {"episode": 10**6}])
def test_bad_reset_options_are_refused(tiny_world, options):
    with pytest.raises(BadConfig, match="reset options"):
        make(tiny_world).reset(options=options)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_map_is_a_picture_from_start_to_end(tiny_world, split):
    env = make(tiny_world, split, render_mode="rgb_array")
    env.reset(seed=0)
    frames = [env.render()]
    env.step(1)
    frames.append(env.render())
    env.step(0)
    frames.append(env.render())

    for frame in frames:
        assert (frame.shape, frame.dtype) == ((640, 640, 3), np.uint8)
    assert all((a != b).any() for a, b in pairwise(frames))


def test_the_choices_are_printed_with_direction_distance_and_name(tiny_world):
    graph = tiny_world.graph
    env = make(tiny_world, render_mode="ansi")
    observation, info = env.reset(seed=0)
    here = observation["panorama"]

    text = env.render()

    assert info["episode_id"] in text
    assert "0  stop" in text
    for slot in range(graph.degree[here]):
        line = next(x for x in text.splitlines() if x.split()[:1] == [str(slot + 1)])
        assert graph.viewpoints[graph.neighbour[here, slot]] in line
        assert f"{graph.candidate_distance[here, slot]:.1f} m" in line


def test_the_directions_are_seen_from_the_agent(tiny_world):
    env = make(tiny_world, render_mode="ansi")
    env.reset(seed=0)
    env.step(1)

    lines = env.render().splitlines()

    back = next(x for x in lines if env.trajectory().poses[0].viewpoint in x and "m  " in x)
    assert "behind" in back


def test_an_ended_episode_offers_no_choices(tiny_world):
    env = make(tiny_world, render_mode="ansi")
    env.reset(seed=0)
    env.step(0)

    text = env.render()

    assert "over" in text
    assert "stop\n" not in text


def test_without_a_render_mode_nothing_is_rendered(tiny_world):
    env = make(tiny_world)
    env.reset(seed=0)

    assert env.render() is None
