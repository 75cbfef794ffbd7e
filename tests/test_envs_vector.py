import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.vector import PanoramaVectorEnv
from vln import geometry
from vln.errors import BadConfig, EpisodeOver, IllegalAction, UnknownName
from vln.text import decode


def make(world, split="train", **settings):
    return PanoramaVectorEnv(graph=world.graph, episodes=world.episodes(split), **settings)


def random_moves(rng, observation):
    """Candidates at random, never stop."""
    degree = observation["action_mask"].sum(axis=1)
    return rng.integers(1, np.maximum(degree, 2))


def random_legal(rng, observation):
    return rng.integers(0, observation["action_mask"].sum(axis=1))


class FakeFeatures:
    dim = 8
    dtype = np.float16

    def gather(self, panorama):
        return np.broadcast_to(panorama[:, None, None], (len(panorama), 36, 8)).astype(np.float16)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_observations_of_random_rollouts_are_in_the_space(tiny_world, mode):
    env = make(tiny_world, num_envs=5, max_steps=6, autoreset_mode=mode, features=FakeFeatures())
    rng = np.random.default_rng(0)

    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    for _ in range(60):
        observation, *_, terminated, truncated, _ = env.step(random_legal(rng, observation))
        assert observation in env.observation_space
        if mode == AutoresetMode.DISABLED and (terminated | truncated).any():
            observation, _ = env.reset(options={"reset_mask": terminated | truncated})


def test_the_observation_says_what_the_graph_says(tiny_world):
    env, graph = make(tiny_world, num_envs=4), tiny_world.graph
    rng = np.random.default_rng(1)
    observation, _ = env.reset(seed=1)
    starts = observation["panorama"]
    for _ in range(5):
        observation, *_ = env.step(random_moves(rng, observation))

    for row, panorama in enumerate(observation["panorama"]):
        degree = graph.degree[panorama]
        episode = env.table.episodes.episodes[env.episode_index[row]]
        sine, cosine = observation["agent_angles"][row, :2]
        heading = np.arctan2(sine, cosine)
        relative = graph.candidate_heading[panorama, :degree] - heading
        expected = geometry.angle_features(relative, graph.candidate_elevation[panorama, :degree])
        moved = graph.position[panorama] - graph.position[starts[row]]
        assert observation["step"][row] == 5
        assert observation["action_mask"][row].tolist() == [1] * (degree + 1) + [0] * (
            graph.max_degree - degree
        )
        np.testing.assert_array_equal(
            observation["candidate_panorama"][row], graph.neighbour[panorama]
        )
        np.testing.assert_array_equal(
            observation["candidate_view"][row], graph.candidate_view[panorama]
        )
        np.testing.assert_allclose(
            observation["candidate_angles"][row, :degree], expected, atol=1e-6
        )
        assert (observation["candidate_angles"][row, degree:] == 0).all()
        np.testing.assert_allclose(
            observation["candidate_distance"][row], graph.candidate_distance[panorama], rtol=1e-6
        )
        np.testing.assert_allclose(observation["position"][row], moved, atol=1e-5)
        assert decode(observation["instruction"][row]) == episode.instruction


def test_the_faced_view_is_straight_ahead(tiny_world):
    env = make(tiny_world, num_envs=8)
    observation, _ = env.reset(seed=0)
    taken = observation["candidate_view"][:, 0]

    observation, *_ = env.step(np.ones(8, dtype=np.int64))

    angles = observation["view_angles"][np.arange(8), taken]
    np.testing.assert_allclose(angles[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(angles[:, 1], 1, atol=1e-6)
    np.testing.assert_allclose(angles[:, 2:], observation["agent_angles"][:, 2:], atol=1e-6)


def test_features_come_from_where_the_agent_stands(tiny_world):
    env = make(tiny_world, num_envs=3, features=FakeFeatures())

    observation, _ = env.reset(seed=0)

    assert observation["view_features"].dtype == np.float16
    assert (observation["view_features"][:, 35, 7] == observation["panorama"]).all()


def test_what_was_handed_out_never_changes(tiny_world):
    env = make(tiny_world, num_envs=3)
    rng = np.random.default_rng(0)
    kept, info = env.reset(seed=0)
    before = {key: value.copy() for key, value in (kept | info).items()}

    _, *flags, _ = env.step(random_moves(rng, kept))
    flags_before = [flag.copy() for flag in flags]
    env.step(np.zeros(3, dtype=np.int64))
    env.reset()

    for key, value in (kept | info).items():
        assert np.array_equal(value, before[key]), key
    for flag, copy in zip(flags, flags_before, strict=True):
        assert np.array_equal(flag, copy)


def test_moves_earn_the_sign_of_progress_and_stops_what_their_place_is_worth(tiny_world):
    env, graph = make(tiny_world, num_envs=16), tiny_world.graph
    rng = np.random.default_rng(2)
    observation, _ = env.reset(seed=2)
    goal = env.table.goal[env.episode_index]
    for _ in range(6):
        before = graph.distance(observation["panorama"], goal)
        observation, reward, *_ = env.step(random_moves(rng, observation))
        now = graph.distance(observation["panorama"], goal)
        assert reward.tolist() == np.sign(before - now).tolist()

    _, reward, terminated, _, _ = env.step(np.zeros(16, dtype=np.int64))

    assert terminated.all()
    assert reward.tolist() == np.where(now < 3, 2.0, -2.0).tolist()


def test_without_labels_every_reward_is_zero(tiny_world):
    env = make(tiny_world, "test", num_envs=4)
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=0)

    rewards = [env.step(random_legal(rng, observation))[1]]
    observation, reward, *_ = env.step(np.zeros(4, dtype=np.int64))

    assert not np.any([*rewards, reward])


def test_an_ended_row_ignores_its_action_and_keeps_its_flags(tiny_world):
    env = make(tiny_world, num_envs=2)
    env.reset(seed=0)
    env.step(np.array([0, 1]))

    observation, reward, terminated, truncated, _ = env.step(np.array([999, 1]))

    assert (reward[0], terminated[0], truncated[0]) == (0.0, True, False)
    assert observation["step"].tolist() == [1, 2]


def test_an_episode_out_of_steps_is_truncated_and_not_terminated(tiny_world):
    env = make(tiny_world, num_envs=2, max_steps=3)
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    for _ in range(2):
        observation, _, terminated, truncated, _ = env.step(random_moves(rng, observation))
        assert not (terminated | truncated).any()
    last = random_moves(rng, observation)
    last[1] = 0

    _, _, terminated, truncated, _ = env.step(last)

    assert terminated.tolist() == [False, True]
    assert truncated.tolist() == [True, False]
    assert [walked.stopped for walked in env.trajectories()] == [False, True]


def test_a_masked_reset_leaves_the_other_rows_alone(tiny_world):
    env = make(tiny_world, num_envs=3)
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    observation, *_ = env.step(random_moves(rng, observation))
    episodes = env.episode_index

    fresh, info = env.reset(options={"reset_mask": np.array([False, True, False])})

    assert fresh["step"].tolist() == [1, 0, 1]
    assert (env.episode_index != episodes).tolist() == [False, True, False]
    assert info["_scan"].tolist() == [False, True, False]
    assert (fresh["panorama"] == observation["panorama"])[[0, 2]].all()


def test_episodes_can_be_chosen_and_rows_left_idle(tiny_world):
    env = make(tiny_world, num_envs=3)

    observation, info = env.reset(options={"episodes": np.array([7, -1, 2])})
    _, reward, terminated, _, stepped = env.step(np.array([1, 5, 1]))

    assert env.episode_index.tolist() == [7, -1, 2]
    assert info["episode_id"].tolist() == [env.table.id[7], None, env.table.id[2]]
    assert stepped["_viewpoint"].tolist() == [True, False, True]
    assert stepped["viewpoint"][1] is None
    assert observation in env.observation_space
    assert observation["action_mask"][1].tolist() == [1] + [0] * tiny_world.graph.max_degree
    assert (observation["candidate_panorama"][1] == -1).all()
    assert decode(observation["instruction"][1]) == ""
    assert terminated.tolist() == [False, True, False]
    assert reward[1] == 0
    assert [w.episode_id for w in env.trajectories()] == [env.table.id[7], env.table.id[2]]


def test_rows_that_were_never_begun_are_idle(tiny_world):
    env = make(tiny_world, num_envs=2)

    observation, _ = env.reset(options={"reset_mask": np.array([True, False])})

    assert env.episode_index[1] == -1
    assert observation in env.observation_space


def test_a_row_that_ended_begins_anew_at_the_next_step(tiny_world):
    env = make(tiny_world, num_envs=2, autoreset_mode=AutoresetMode.NEXT_STEP)
    env.reset(seed=0)
    first = env.episode_index
    last, _, terminated, _, _ = env.step(np.array([0, 1]))

    observation, reward, now_terminated, _, info = env.step(np.array([999, 1]))

    assert (terminated.tolist(), now_terminated.tolist()) == ([True, False], [False, False])
    assert reward[0] == 0
    assert observation["step"].tolist() == [0, 2]
    assert last["step"].tolist() == [1, 1]
    assert (env.episode_index != first).tolist() == [True, False]
    assert info["episode_id"][0] == env.table.id[env.episode_index[0]]


def test_a_row_that_ends_begins_anew_in_the_same_step(tiny_world):
    env = make(tiny_world, num_envs=2, autoreset_mode=AutoresetMode.SAME_STEP)
    start, begun = env.reset(seed=0)

    observation, _, terminated, _, info = env.step(np.array([0, 1]))

    assert terminated.tolist() == [True, False]
    assert observation["step"].tolist() == [0, 1]
    assert info["_final_obs"].tolist() == [True, False]
    assert info["final_obs"][1] is None
    assert info["final_obs"][0]["panorama"] == start["panorama"][0]
    assert info["final_info"]["episode_id"][0] == begun["episode_id"][0]
    assert info["episode_id"][0] != begun["episode_id"][0]


def test_idle_rows_stay_idle_under_autoreset(tiny_world):
    env = make(tiny_world, num_envs=2, autoreset_mode=AutoresetMode.NEXT_STEP)
    env.reset(options={"episodes": np.array([0, -1])})

    for _ in range(3):
        env.step(np.zeros(2, dtype=np.int64))

    assert env.episode_index[1] == -1


def test_every_pose_of_the_walk_is_logged(tiny_world):
    env, graph = make(tiny_world, num_envs=3), tiny_world.graph
    rng = np.random.default_rng(3)
    observation, _ = env.reset(seed=3)
    seen = [observation]
    for _ in range(4):
        observation, *_ = env.step(random_moves(rng, observation))
        seen.append(observation)
    env.step(np.zeros(3, dtype=np.int64))

    for row, walked in enumerate(env.trajectories()):
        assert walked.stopped
        assert [graph.index(p.scan, p.viewpoint) for p in walked.poses] == [
            o["panorama"][row] for o in seen
        ]
        for pose, o in zip(walked.poses, seen, strict=True):
            expected = geometry.angle_features(pose.heading, pose.elevation)
            np.testing.assert_allclose(o["agent_angles"][row], expected, atol=1e-6)


def test_an_illegal_action_names_environment_episode_and_choices_and_moves_nobody(tiny_world):
    env = make(tiny_world, num_envs=2)
    observation, info = env.reset(seed=0)
    degree = observation["action_mask"][1].sum() - 1
    complaint = (
        f"environment 1, episode {info['episode_id'][1]}: action {degree + 1} .* "
        rf"0 \(stop\) to {degree}"
    )

    with pytest.raises(IllegalAction, match=complaint):
        env.step(np.array([1, degree + 1]))

    after, *_ = env.step(np.array([0, 0]))
    assert (after["panorama"] == observation["panorama"]).all()


@pytest.mark.parametrize("actions", [np.zeros(3, dtype=np.int64), np.zeros(2), 0])
def test_actions_of_a_wrong_shape_or_type_are_refused(tiny_world, actions):
    env = make(tiny_world, num_envs=2)
    env.reset(seed=0)

    with pytest.raises(BadConfig, match="expected integers"):
        env.step(actions)


def test_a_step_before_the_first_reset_is_refused(tiny_world):
    with pytest.raises(EpisodeOver, match="reset"):
        make(tiny_world, num_envs=1).step(np.array([0]))


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"reset_msk": np.ones(2, dtype=bool)}, UnknownName, "Did you mean 'reset_mask'"),
        ({"reset_mask": np.ones(3, dtype=bool)}, BadConfig, "expected bool"),
        ({"reset_mask": np.ones(2)}, BadConfig, "expected bool"),
        ({"episodes": np.array([0, 10**6])}, BadConfig, "expected -1"),
        ({"episodes": np.array([0.0, 1.0])}, BadConfig, "expected int64"),
    ],
)
def test_bad_reset_options_are_refused(tiny_world, options, error, complaint):
    with pytest.raises(error, match=complaint):
        make(tiny_world, num_envs=2).reset(options=options)


@pytest.mark.parametrize(
    ("settings", "error", "complaint"),
    [
        ({"num_envs": 0}, BadConfig, "at least 1"),
        ({"max_steps": 0}, BadConfig, "at least 1"),
        ({"action": "globl"}, UnknownName, "Did you mean 'global'"),
        ({"render_mode": "rgb"}, UnknownName, "rgb_array"),
    ],
)
def test_settings_that_cannot_work_are_refused(tiny_world, settings, error, complaint):
    with pytest.raises(error, match=complaint):
        make(tiny_world, **settings)


def whole_rollout(env, seed):
    rng = np.random.default_rng(0)
    observation, info = env.reset(seed=seed)
    record = [observation, info]
    for _ in range(40):
        observation, *rest, info = env.step(random_legal(rng, observation))
        record += [observation, *rest, info]
    return record


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) and a.dtype == object:
        return all(equal(x, y) for x, y in zip(a, b, strict=True))
    return np.array_equal(a, b)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_the_same_seed_gives_the_same_rollouts_and_another_others(tiny_world, mode):
    env = make(tiny_world, num_envs=4, max_steps=5, autoreset_mode=mode)

    first, again, other = (whole_rollout(env, seed) for seed in (7, 7, 8))

    assert all(equal(a, b) for a, b in zip(first, again, strict=True))
    assert not equal(first[0], other[0])


def test_a_pickled_environment_goes_on_as_the_original(tiny_world):
    env = make(tiny_world, num_envs=3, autoreset_mode=AutoresetMode.NEXT_STEP)
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    observation, *_ = env.step(random_legal(rng, observation))

    copied = pickle.loads(pickle.dumps(env))  # noqa: S301 - our own bytes

    for _ in range(20):
        action = random_legal(rng, observation)
        observation, *rest = env.step(action)
        assert all(
            equal(a, b) for a, b in zip((observation, *rest), copied.step(action), strict=True)
        )


def test_a_restored_environment_draws_the_episodes_that_were_due(tiny_world):
    env = make(tiny_world, num_envs=7)
    env.reset(seed=0)
    env.reset()
    saved = env.state()
    expected = []
    for _ in range(20):
        env.reset()
        expected.append(env.episode_index)

    other = make(tiny_world, num_envs=7)
    other.restore(saved)

    for index in expected:
        other.reset()
        assert other.episode_index.tolist() == index.tolist()


def test_make_vec_gives_the_native_batch(tiny_world, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))

    env = gymnasium.make_vec("envs:vln/R2R-v0", num_envs=6, split="val_unseen")

    assert isinstance(env, PanoramaVectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    observation, _ = env.reset(seed=0)
    assert observation["panorama"].shape == (6,)
    assert observation in env.observation_space


def test_gymnasiums_benchmark_samples_nothing_illegal(tiny_world):
    env = make(tiny_world, num_envs=8)
    env.action_space.seed(0)
    env.reset(seed=0)

    for _ in range(50):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        env.reset(options={"reset_mask": terminated | truncated})

    assert env.action_space.contains(env.action_space.sample())


@pytest.mark.parametrize(("mode", "kind"), [("rgb_array", np.ndarray), ("ansi", str)])
def test_every_row_is_rendered_the_idle_ones_too(tiny_world, mode, kind):
    env = make(tiny_world, num_envs=2, render_mode=mode)
    env.reset(options={"episodes": np.array([0, -1])})

    frames = env.render()

    assert [type(frame) for frame in frames] == [kind, kind]
