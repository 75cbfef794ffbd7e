from itertools import pairwise

import networkx
import numpy as np
import pytest

from envs.panorama import PanoramaEnv
from envs.vector import PanoramaVectorEnv
from vln.errors import IllegalAction


def make(world, **settings):
    return PanoramaVectorEnv(
        graph=world.graph, episodes=world.episodes("train"), action="global", **settings
    )


def jumps(rng, info, observation):
    """A panorama seen so far at random, other than the current one."""
    chosen = []
    for seen, here in zip(info["seen"], observation["panorama"], strict=True):
        others = seen[(seen >= 0) & (seen != here)]
        chosen.append(rng.choice(others))
    return np.array(chosen)


def test_every_hop_of_a_long_walk_is_logged_along_edges(tiny_world):
    env, graph = make(tiny_world, num_envs=6, max_steps=12), tiny_world.graph
    rng = np.random.default_rng(0)
    observation, info = env.reset(seed=0)
    for _ in range(12):
        target = jumps(rng, info, observation)
        observation, *_, info = env.step(target)
        assert (observation["panorama"] == target).all()

    walks = env.trajectories()
    assert max(len(walk.poses) for walk in walks) > 13
    for walk in walks:
        path = [graph.index(pose.scan, pose.viewpoint) for pose in walk.poses]
        assert graph.is_edge(path[:-1], path[1:]).all()


def test_the_walk_takes_only_observed_edges_and_is_the_shortest_of_them(tiny_world):
    env, graph = make(tiny_world, num_envs=4, max_steps=10), tiny_world.graph
    rng = np.random.default_rng(1)
    observation, info = env.reset(seed=1)
    for _ in range(10):
        before = [walk.poses for walk in env.trajectories()]
        here = observation["panorama"]
        target = jumps(rng, info, observation)
        observation, *_, info = env.step(target)
        for row, walk in enumerate(env.trajectories()):
            scan = walk.poses[0].scan
            visited = {p.viewpoint for p in before[row]}
            whole = graph.to_networkx(scan)
            known = whole.edge_subgraph([e for e in whole.edges if visited & set(e)])
            hops = [p.viewpoint for p in walk.poses[len(before[row]) - 1 :]]
            length = sum(known.edges[e]["weight"] for e in pairwise(hops))
            ends = graph.viewpoints[here[row]], graph.viewpoints[target[row]]
            best = networkx.shortest_path_length(known, *ends, weight="weight")
            assert length == pytest.approx(best, abs=1e-9)


def test_the_current_panorama_stops(tiny_world):
    env = make(tiny_world, num_envs=3)
    observation, _ = env.reset(seed=0)

    after, _, terminated, truncated, _ = env.step(observation["panorama"])

    assert terminated.all()
    assert not truncated.any()
    assert (after["panorama"] == observation["panorama"]).all()


def test_neighbours_and_places_seen_are_listed(tiny_world):
    env = make(tiny_world, num_envs=2)

    observation, info = env.reset(seed=0)

    for row in range(2):
        around = observation["candidate_panorama"][row]
        expected = {observation["panorama"][row], *around[around >= 0]}
        assert set(info["seen"][row][info["seen"][row] >= 0]) == expected


@pytest.mark.parametrize("target", [-1, 0])
def test_a_place_not_seen_is_refused(tiny_world, target):
    env = make(tiny_world, num_envs=2)
    observation, info = env.reset(options={"episodes": np.array([150, 151])})
    assert target not in info["seen"][1] or target == -1

    with pytest.raises(IllegalAction, match=r"environment 1, episode .* seen so far"):
        env.step(np.array([observation["panorama"][0], target]))


def test_a_walk_earns_the_sign_of_its_whole_progress(tiny_world):
    env, graph = make(tiny_world, num_envs=8), tiny_world.graph
    rng = np.random.default_rng(2)
    observation, info = env.reset(seed=2)
    goal = env.table.goal[env.episode_index]

    for _ in range(5):
        before = graph.distance(observation["panorama"], goal)
        observation, reward, *_, info = env.step(jumps(rng, info, observation))
        now = graph.distance(observation["panorama"], goal)
        assert reward.tolist() == np.sign(before - now).tolist()


def test_the_single_environment_walks_too(tiny_world):
    env = PanoramaEnv(
        graph=tiny_world.graph, episodes=tiny_world.episodes("train"), action="global"
    )
    observation, info = env.reset(seed=0)
    home = int(observation["panorama"])
    observation, *_, info = env.step(int(observation["candidate_panorama"][0]))
    others = info["seen"][(info["seen"] >= 0) & (info["seen"] != observation["panorama"])]

    env.step(int(others[-1]))
    observation, *_ = env.step(home)

    assert observation["panorama"] == home
    assert observation["step"] == 3
