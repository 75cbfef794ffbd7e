import gymnasium
import numpy as np
import pytest

from envs.panorama import PanoramaEnv
from envs.vector import PanoramaVectorEnv
from envs.wrappers import ExpertActions, VectorExpertActions
from vln.data.episodes import load_episodes
from vln.errors import BadConfig


def single(world, split, **settings):
    return ExpertActions(PanoramaEnv(graph=world.graph, episodes=world.episodes(split), **settings))


def batch(world, split, **settings):
    return VectorExpertActions(
        PanoramaVectorEnv(graph=world.graph, episodes=world.episodes(split), **settings)
    )


@pytest.mark.parametrize("split", ["train", "val_seen", "val_unseen", "dev", "train_fit"])
@pytest.mark.parametrize("action", ["local", "global"])
def test_following_the_expert_reaches_every_goal_by_the_shortest_walk(tiny_world, split, action):
    graph, episodes = tiny_world.graph, tiny_world.episodes(split)
    env = batch(tiny_world, split, num_envs=len(episodes), action=action)
    _, info = env.reset(options={"episodes": np.arange(len(episodes))})
    ended = np.zeros(len(episodes), dtype=bool)
    for _ in range(35):
        _, _, terminated, truncated, info = env.step(info["expert_action"])
        ended = terminated | truncated
        if ended.all():
            break

    assert terminated.all()
    assert (info["distance_to_goal"] == 0).all()
    for walk, episode in zip(env.unwrapped.trajectories(), episodes, strict=True):
        path = [graph.index(pose.scan, pose.viewpoint) for pose in walk.poses]
        goal = graph.index(episode.start.scan, episode.reference[-1])
        assert path == graph.shortest_path(path[0], goal)


def test_the_expert_is_silent_where_labels_are_held_out(tiny_world):
    one, many = single(tiny_world, "test"), batch(tiny_world, "test", num_envs=2)

    for env, action in ((one, 0), (many, np.zeros(2, dtype=np.int64))):
        _, info = env.reset(seed=0)
        assert "expert_action" not in info
        *_, info = env.step(action)
        assert not {"expert_action", "distance_to_goal"} & info.keys()


def test_without_the_wrapper_nothing_tells_the_goal(tiny_world):
    env = PanoramaVectorEnv(graph=tiny_world.graph, episodes=tiny_world.episodes("train"))

    observation, info = env.reset(seed=0)

    assert set(info) == {f"{p}{k}" for p in ("", "_") for k in ("scan", "viewpoint", "episode_id")}
    assert set(observation) == set(env.observation_space)


def test_single_and_batch_say_the_same(tiny_world):
    one, many = single(tiny_world, "train"), batch(tiny_world, "train", num_envs=2)

    _, alone = one.reset(options={"episode": 5})
    _, info = many.reset(options={"episodes": np.array([-1, 5])})

    assert info["_expert_action"].tolist() == [False, True]
    assert alone["expert_action"] == info["expert_action"][1]
    assert alone["distance_to_goal"] == info["distance_to_goal"][1]
    assert isinstance(alone["expert_action"], np.int64)
    assert (info["expert_action"].dtype, info["distance_to_goal"].dtype) == (np.int64, np.float64)


def test_it_wraps_what_make_gives_and_what_sync_vector_environments_hold(tiny_world, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))

    made = ExpertActions(gymnasium.make("envs:vln/R2R-v0", split="val_seen"))
    many = gymnasium.make_vec(
        "envs:vln/R2R-v0", num_envs=2, vectorization_mode="sync", wrappers=[ExpertActions]
    )

    assert "expert_action" in made.reset(seed=0)[1]
    assert many.reset(seed=0)[1]["expert_action"].shape == (2,)


def test_wrapping_something_else_is_refused():
    with pytest.raises(BadConfig, match="PanoramaEnv"):
        ExpertActions(gymnasium.make("CartPole-v1"))
    with pytest.raises(BadConfig, match="PanoramaVectorEnv"):
        VectorExpertActions(gymnasium.make_vec("CartPole-v1", num_envs=1))


def test_the_expert_solves_all_of_the_real_val_unseen(real_data, real_graph):
    env = VectorExpertActions(
        PanoramaVectorEnv(
            graph=real_graph,
            episodes=load_episodes("r2r", "val_unseen", data=real_data, graph=real_graph),
            num_envs=2349,
        )
    )
    _, info = env.reset(options={"episodes": np.arange(2349)})
    for _ in range(7):
        _, _, terminated, _, info = env.step(info["expert_action"])

    assert terminated.all()  # six edges at most, and the stop
    assert (info["distance_to_goal"] == 0).all()
