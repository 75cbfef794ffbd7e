"""Agents in the one rollout loop: what they choose, and that nothing leaks between episodes."""

import numpy as np
import pytest
import torch

import agents.scripted  # noqa: F401 - registers its agents
from agents.config import ModelConfig, TrainConfig
from agents.evaluation import evaluate, score, walk
from agents.follower.policy import Record
from agents.loading import build_policy
from agents.rollout import play, play_all
from agents.scene import Scene
from agents.scripted import SCRIPTED
from envs.vector import PanoramaVectorEnv
from envs.wrappers import VectorExpertActions
from vln import geometry
from vln.encoders import World
from vln.errors import MissingData
from vln.features.opened import open_features

FREE_OF_CHANCE = ("stop", "straight", "shortest")


def make_env(world, split="train", *, rows, max_steps=12):
    return VectorExpertActions(
        PanoramaVectorEnv(
            graph=world.graph, episodes=world.episodes(split), num_envs=rows, max_steps=max_steps
        )
    )


@pytest.fixture(params=["none", "objects"])
def scene(request, tiny_world, tmp_path):
    world = World(tiny_world.folder, tiny_world.graph, tmp_path)
    return Scene("r2r", tiny_world.folder, tiny_world.graph, open_features(request.param, world))


@pytest.fixture
def follower(scene):
    policy = build_policy(TrainConfig(model=ModelConfig(hidden=32, word=16)), scene)
    policy.model.eval()
    return policy


class Watched:
    """An agent that checks every action of another one against the mask."""

    def __init__(self, agent):
        self.agent, self.actions = agent, 0

    def begin(self, turn):
        self.agent.begin(turn)

    def act(self, turn):
        action = self.agent.act(turn)
        assert action.shape == turn.rows.shape
        assert turn.observation["action_mask"][np.arange(len(action)), action].all()
        self.actions += len(action)
        return action


@pytest.mark.parametrize("name", sorted(set(SCRIPTED) - {"reader", "reader_blind"}))
def test_scripted_agents_only_take_legal_actions(tiny_world, name):
    watched = Watched(SCRIPTED[name](0))
    walk(watched, tiny_world.graph, tiny_world.episodes("val_unseen"))
    assert watched.actions >= len(tiny_world.episodes("val_unseen"))


@pytest.mark.parametrize("feedback", ["argmax", "sample", "teacher"])
def test_an_untrained_follower_only_takes_legal_actions(tiny_world, follower, feedback):
    follower.feedback = feedback
    watched = Watched(follower)
    rollout = play(make_env(tiny_world, rows=30), watched, np.arange(30))
    assert watched.actions == sum(len(step.rows) for step in rollout.steps)


@pytest.mark.parametrize("name", FREE_OF_CHANCE)
def test_a_scripted_episode_is_the_same_alone_and_in_any_batch(tiny_world, name):
    alone, batch = make_env(tiny_world, rows=1), make_env(tiny_world, rows=9)
    agent = SCRIPTED[name](0)
    together = play(batch, agent, np.arange(5, 14)).trajectories
    again = play(batch, agent, np.arange(13, 4, -1)).trajectories
    single = [play(alone, agent, np.array([index])).trajectories[0] for index in range(5, 14)]
    assert single == together == again[::-1]


def test_a_followers_episode_is_the_same_alone_and_in_any_batch(tiny_world, follower):
    alone, batch = make_env(tiny_world, rows=1), make_env(tiny_world, rows=9)
    together = play(batch, follower, np.arange(5, 14)).trajectories
    again = play(batch, follower, np.arange(13, 4, -1)).trajectories
    single = [play(alone, follower, np.array([index])).trajectories[0] for index in range(5, 14)]
    assert single == together == again[::-1]
    assert max(len(trajectory.poses) for trajectory in single) > 2


def test_a_followers_logits_do_not_depend_on_who_has_left_the_batch(tiny_world, follower):
    # The expert walks, so rows leave at different steps; some leave the tensors only later.
    follower.feedback = "teacher"
    follower.record = Record()
    chosen = np.arange(0, 180, 9)
    batch = play(make_env(tiny_world, rows=20), follower, chosen)
    together = {}
    for step, (played, logits) in enumerate(zip(batch.steps, follower.record.logits, strict=True)):
        together |= {(int(r), step): logits[i].detach() for i, r in enumerate(played.rows)}
    assert len({len(step.rows) for step in batch.steps}) > 3

    alone = make_env(tiny_world, rows=1)
    for row, index in enumerate(chosen):
        follower.record = Record()
        play(alone, follower, np.array([index]))
        for step, logits in enumerate(follower.record.logits):
            torch.testing.assert_close(logits[0], together.pop((row, step)), rtol=1e-5, atol=1e-5)
    assert not together


def test_sampling_is_the_same_for_a_saved_state_and_else_differs(tiny_world, follower):
    follower.feedback = "sample"
    follower.model.train()
    env = make_env(tiny_world, rows=20)
    state = follower.generators()
    first = play(env, follower, np.arange(20)).trajectories
    other = play(env, follower, np.arange(20)).trajectories
    follower.restore_generators(state)
    assert play(env, follower, np.arange(20)).trajectories == first
    assert other != first


def test_feedback_is_chosen_row_by_row(tiny_world, follower):
    follower.feedback = np.array([0] * 5 + [1] * 5)  # five follow the expert, five sample
    rollout = play(make_env(tiny_world, rows=10), follower, np.arange(10))
    taught = [np.array_equal(s.action[s.rows < 5], s.expert[s.rows < 5]) for s in rollout.steps]
    free = [np.array_equal(s.action[s.rows >= 5], s.expert[s.rows >= 5]) for s in rollout.steps]
    assert all(taught)
    assert not all(free)


def test_the_stop_agent_stops_where_it_starts(tiny_world):
    episodes = tiny_world.episodes("val_seen")
    for episode, trajectory in zip(
        episodes, walk(SCRIPTED["stop"](0), tiny_world.graph, episodes), strict=True
    ):
        assert trajectory.stopped
        assert [pose.viewpoint for pose in trajectory.poses] == [episode.start.viewpoint]


def test_the_shortest_path_agent_scores_100(tiny_world):
    episodes = tiny_world.episodes("val_unseen")
    walked = walk(SCRIPTED["shortest"](0), tiny_world.graph, episodes)
    scores = score(walked, tiny_world.graph, episodes).mean()
    assert (scores["success"], scores["oracle_success"]) == (1, 1)
    assert scores["spl"] == pytest.approx(1)
    assert scores["navigation_error"] == 0


def test_the_shortest_path_agent_needs_labels(tiny_world):
    with pytest.raises(MissingData, match=r"held out.*val_unseen"):
        walk(SCRIPTED["shortest"](0), tiny_world.graph, tiny_world.episodes("test"))


def test_the_straight_agent_takes_five_hops_of_the_smallest_turn(tiny_world):
    graph, episodes = tiny_world.graph, tiny_world.episodes("val_seen")
    for episode, trajectory in zip(
        episodes, walk(SCRIPTED["straight"](0), graph, episodes), strict=True
    ):
        heading = round(episode.start.heading / geometry.STEP) * geometry.STEP
        here = graph.index(episode.start.scan, episode.start.viewpoint)
        assert len(trajectory.poses) == 6
        for pose in trajectory.poses[1:]:
            ways = graph.candidate_heading[here, : graph.degree[here]]
            turns = np.abs(geometry.wrap(ways - heading))
            slot = graph.neighbour[here].tolist().index(graph.index(pose.scan, pose.viewpoint))
            assert turns[slot] == pytest.approx(turns.min(), abs=1e-6)
            heading, here = pose.heading, graph.neighbour[here, slot]


def test_the_random_agent_walks_at_most_five_hops_and_follows_its_seed(tiny_world):
    def walked(seed):
        return walk(SCRIPTED["random"](seed), tiny_world.graph, tiny_world.episodes("val_seen"))

    assert walked(3) == walked(3)
    assert walked(3) != walked(4)
    assert {len(trajectory.poses) for trajectory in walked(3)} <= {1, 2, 3, 4, 5, 6}


def test_an_agent_begins_anew_with_every_batch(tiny_world):
    agent, env = SCRIPTED["random"](0), make_env(tiny_world, rows=4)
    for trajectory in play_all(env, agent, np.arange(12)):
        assert len(trajectory.poses) > 1


@pytest.mark.parametrize(
    ("split", "published", "spread"),
    [
        ("val_seen", (9.58, 9.45, 15.9, 21.4), (0.061, 0.108, 0.82, 0.76)),
        ("val_unseen", (9.77, 9.23, 16.3, 22.0), (0.036, 0.082, 0.54, 0.54)),
    ],
)
def test_the_random_agent_scores_as_published(real_data, real_graph, split, published, spread):
    """Anderson et al. 2018, table 1: TL, NE, SR and OSR of one run of a random agent.

    The spread is the standard deviation of our means over 40 seeds; the difference between one run
    and the mean of six has to stay below three standard errors.
    """
    episodes = Scene("r2r", real_data, real_graph, None).episodes(split)
    names = ("trajectory_length", "navigation_error", "success", "oracle_success")
    runs = []
    for seed in range(6):
        walked = walk(SCRIPTED["random"](seed), real_graph, episodes)
        means = score(walked, real_graph, episodes).mean()
        runs.append([means[name] * (1 if name in names[:2] else 100) for name in names])
    error = np.array(spread) * np.sqrt(1 + 1 / len(runs))
    assert (np.abs(np.mean(runs, axis=0) - published) < 3 * error).all()


@pytest.mark.parametrize("split", ["val_seen", "val_unseen"])
def test_the_shortest_path_agent_scores_as_published(real_data, real_graph, split):
    """Anderson et al. 2018, table 1: TL 10.19 and 9.48, NE 0, SR 100."""
    episodes = Scene("r2r", real_data, real_graph, None).episodes(split)
    walked = walk(SCRIPTED["shortest"](0), real_graph, episodes)
    means = score(walked, real_graph, episodes).mean()
    published = {"val_seen": 10.19, "val_unseen": 9.48}[split]
    assert means["trajectory_length"] == pytest.approx(published, abs=0.02)
    assert (means["navigation_error"], means["success"]) == (0, 1)


def test_every_episode_is_played_exactly_once_in_the_order_asked_for(tiny_world):
    order = np.random.default_rng(0).permutation(40)
    env = make_env(tiny_world, rows=7)
    walked = list(play_all(env, SCRIPTED["straight"](0), order))
    ids = [episode.id for episode in tiny_world.episodes("train")]
    assert [trajectory.episode_id for trajectory in walked] == [ids[index] for index in order]


def test_a_rollout_says_who_was_cut_off_and_what_they_would_see(tiny_world):
    env = make_env(tiny_world, rows=6, max_steps=3)
    rollout = play(env, SCRIPTED["straight"](0), np.arange(4))
    assert [step.rows.tolist() for step in rollout.steps] == [[0, 1, 2, 3]] * 3
    assert rollout.cut.rows.tolist() == [0, 1, 2, 3]
    assert (rollout.cut.observation["step"] == 3).all()
    assert not any(trajectory.stopped for trajectory in rollout.trajectories)
    stopped = play(env, SCRIPTED["stop"](0), np.arange(4))
    assert len(stopped.cut.rows) == 0


def test_evaluation_is_the_score_of_greedy_walks(scene, follower):
    follower.model.train()
    first = evaluate(follower, scene, "val_seen", max_steps=8).mean()
    assert evaluate(follower, scene, "val_seen", max_steps=8).mean() == first
    assert not follower.model.training
    assert 0 <= first["success"] <= 1
