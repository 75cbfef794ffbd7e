"""Paths as arrays: what a speaker sees along them is what an agent sees that walks them."""

import numpy as np
import pytest
import torch

from agents.eyes import open_eyes
from agents.lessons.speaker import path_of
from agents.rollout import play
from agents.scripted import ShortestPathAgent
from agents.speaker.routes import RouteTable
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln.data.episodes import load_episodes
from vln.errors import BadConfig, UnknownViewpoint
from vln.features.source import FeatureTable
from vln.types import Pose


class Watcher(ShortestPathAgent):
    """Follows the expert and keeps what it saw."""

    def __init__(self):
        self.turns = []

    def act(self, turn):
        self.turns.append(turn)
        return super().act(turn)


@pytest.fixture(scope="module")
def episodes(tiny_world, tiny_graph):
    return load_episodes("r2r", "val_seen", data=tiny_world.folder, graph=tiny_graph)


@pytest.fixture(scope="module")
def routes(tiny_graph, episodes):
    return RouteTable.compile(tiny_graph, map(path_of, episodes))


@pytest.fixture(scope="module")
def features(tiny_graph):
    count = len(tiny_graph.viewpoints)
    values = np.random.default_rng(0).random((count, 36, 3), dtype=np.float32)
    return FeatureTable("made", "f" * 64, values, np.arange(count))


@pytest.fixture(scope="module")
def walked(tiny_graph, episodes):
    """What agents saw that walked the same paths."""
    watcher = Watcher()
    env = VectorExpertActions(
        PanoramaVectorEnv(num_envs=len(episodes), graph=tiny_graph, episodes=episodes)
    )
    play(env, watcher, np.arange(len(episodes)))
    return watcher.turns


def seen_by_walker(walked, name):
    """(row, step) -> the observation called `name`."""
    return {
        (row, step): turn.observation[name][place]
        for step, turn in enumerate(walked)
        for place, row in enumerate(turn.rows.tolist())
    }


def test_a_route_passes_the_panoramas_that_its_walker_stood_on(routes, walked):
    stood = seen_by_walker(walked, "panorama")
    assert len(stood) == routes.length.sum()
    for (row, step), panorama in stood.items():
        assert routes.panorama[row, step] == panorama


def test_views_turn_with_the_walker(routes, walked):
    route, _ = routes.see(np.arange(len(routes)), None, device="cpu")
    for (row, step), angles in seen_by_walker(walked, "view_angles").items():
        np.testing.assert_allclose(route.view_angles[row, step].numpy(), angles, atol=1e-6)


def test_the_way_on_is_the_candidate_that_its_walker_took(routes, walked, features):
    eyes = open_eyes(features, device="cpu", dtype=torch.float32)
    route, length = routes.see(np.arange(len(routes)), eyes, device="cpu")
    shown = seen_by_walker(walked, "candidate_view")
    angles = seen_by_walker(walked, "candidate_angles")
    actions = {
        (row, step): action
        for step, turn in enumerate(walked)
        for row, action in zip(turn.rows.tolist(), turn.expert.tolist(), strict=True)
    }
    for (row, step), action in actions.items():
        if action == 0:
            assert step == length[row] - 1
            assert not route.action_features[row, step:].any()
            assert not route.action_angles[row, step:].any()
            continue
        view = shown[row, step][action - 1]
        expected = features.values[routes.panorama[row, step], view]
        np.testing.assert_array_equal(route.action_features[row, step].numpy(), expected)
        np.testing.assert_allclose(
            route.action_angles[row, step].numpy(), angles[row, step][action - 1], atol=1e-6
        )


def test_fewer_rows_are_as_long_as_the_longest_of_them(routes, features):
    rows = np.argsort(routes.length)[:2]
    route, length = routes.see(rows, None, device="cpu")
    assert route.action_angles.shape[1] == length.max() == routes.length[rows].max()


def start_of(episodes):
    return next(iter(episodes)).start


def test_a_step_between_viewpoints_that_are_not_adjacent_is_refused(tiny_graph, episodes):
    start, path = path_of(next(iter(episodes)))
    with pytest.raises(BadConfig, match="which are not adjacent"):
        RouteTable.compile(tiny_graph, [(start, (path[0], path[0]))])


def test_a_path_that_begins_elsewhere_is_refused(tiny_graph, episodes):
    start, path = path_of(next(iter(episodes)))
    with pytest.raises(BadConfig, match="where its agent stands"):
        RouteTable.compile(tiny_graph, [(start, path[1:])])


def test_an_unknown_viewpoint_is_refused(tiny_graph, episodes):
    start, path = path_of(next(iter(episodes)))
    with pytest.raises(UnknownViewpoint, match="nowhere"):
        RouteTable.compile(tiny_graph, [(start, (path[0], "nowhere"))])


def test_no_path_at_all_is_refused(tiny_graph):
    with pytest.raises(BadConfig, match="no path to describe"):
        RouteTable.compile(tiny_graph, [])


def test_a_path_of_one_viewpoint_is_a_stop(tiny_graph, episodes):
    start = start_of(episodes)
    alone = RouteTable.compile(tiny_graph, [(Pose(*_fields(start)), (start.viewpoint,))])
    route, length = alone.see(np.array([0]), None, device="cpu")
    assert length.tolist() == [1]
    assert not route.action_angles.any()


def _fields(pose):
    return pose.scan, pose.viewpoint, pose.heading, pose.elevation
