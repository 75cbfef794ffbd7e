import numpy as np
import pytest

from vln import geometry
from vln.errors import IllegalAction
from vln.simulator import Simulator, States

DEVICES = [None, "cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def as_numpy(values):
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def goals_of(graph, panorama, rng):
    """A random panorama of the same scan for each."""
    first, end = (graph.first[graph.scan_index[panorama] + k] for k in (0, 1))
    return rng.integers(first, end)


def legal_actions(graph, panorama, rng):
    return rng.integers(0, graph.degree[panorama] + 1)


def random_walk(simulator, *, rows=40, steps=15, seed=3):
    """Panoramas and views of a random walk, (steps + 1, 2, rows), the same on every device."""
    graph, rng = simulator.graph, np.random.default_rng(seed)
    panorama = rng.integers(0, len(graph.viewpoints), rows)
    states = simulator.start(panorama, rng.uniform(0, 7, rows))
    track = [[as_numpy(part) for part in states]]
    for _ in range(steps):
        states = simulator.step(states, legal_actions(graph, track[-1][0], rng))
        track.append([as_numpy(part) for part in states])
    return np.array(track)


@pytest.mark.parametrize("device", DEVICES)
def test_expert_actions_and_distances_are_the_teachers(real_graph, read_golden, device):
    rows = read_golden("teacher.jsonl.gz")
    simulator = Simulator(real_graph, device=device)
    start, goal = (
        np.array([real_graph.index(row["scanId"], row[end]) for row in rows])
        for end in ("start", "goal")
    )
    states = simulator.start(start, np.array([row["heading"] for row in rows]))
    goal = simulator.start(goal, np.zeros(len(rows))).panorama
    found = simulator.surroundings(states.panorama, goal)

    # The golden teacher puts stop last, we put it first.
    expected = [
        0 if row["teacher_action"] == row["stop_action"] else row["teacher_action"] + 1
        for row in rows
    ]
    np.testing.assert_array_equal(as_numpy(found.expert), expected)
    distance = as_numpy(found.distance)
    np.testing.assert_allclose(distance, [row["distance"] for row in rows], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(as_numpy(states.view), [row["viewIndex"] for row in rows])
    legal = as_numpy(found.mask).sum(axis=1)
    np.testing.assert_array_equal(legal, [len(row["candidates"]) + 1 for row in rows])


@pytest.mark.parametrize("device", DEVICES)
def test_following_the_expert_walks_the_shortest_way(tiny_graph, device):
    simulator, rng = Simulator(tiny_graph, device=device), np.random.default_rng(0)
    begin, rest = rng.integers(0, len(tiny_graph.viewpoints), 900), np.zeros(900)
    aim = goals_of(tiny_graph, begin, rng)
    goal = simulator.start(aim, rest).panorama
    states, walked = simulator.start(begin, rest), rest.copy()
    for _ in range(30):
        before = as_numpy(states.panorama)
        states = simulator.step(states, simulator.expert_action(states.panorama, goal))
        walked += tiny_graph.distance(before, as_numpy(states.panorama))
    whole, end = tiny_graph.distance(begin, aim), as_numpy(states.panorama)
    reachable = np.isfinite(whole)
    assert 0 < reachable.sum() < 900
    np.testing.assert_array_equal(end[reachable], aim[reachable])
    np.testing.assert_allclose(walked[reachable], whole[reachable])
    np.testing.assert_array_equal(end[~reachable], begin[~reachable])


@pytest.mark.parametrize("device", DEVICES)
def test_agents_start_level_facing_the_nearest_of_12_headings(tiny_graph, device):
    headings = np.radians([0, 14.9, 15, 344.9, 345.1, 360, -31])
    states = Simulator(tiny_graph, device=device).start(np.zeros(7, dtype=np.int64), headings)
    assert as_numpy(states.view).tolist() == [12, 12, 13, 23, 12, 12, 23]


def test_a_move_faces_the_view_that_showed_the_neighbour_best(tiny_graph):
    source, slot = np.nonzero(tiny_graph.neighbour >= 0)
    states = Simulator(tiny_graph).start(source, np.full(len(source), 2.0))
    moved = Simulator(tiny_graph).step(states, slot + 1)
    np.testing.assert_array_equal(moved.panorama, tiny_graph.neighbour[source, slot])
    np.testing.assert_array_equal(moved.view, tiny_graph.candidate_view[source, slot])
    assert set(moved.view // geometry.NUM_HEADINGS) > {1}  # stairs are looked up or down along


def test_staying_changes_nothing(tiny_graph):
    states = States(np.array([0, 5, 9]), np.array([3, 14, 30]))
    stayed = Simulator(tiny_graph).step(states, np.zeros(3, dtype=np.int64))
    assert stayed.panorama.tolist() == [0, 5, 9]
    assert stayed.view.tolist() == [3, 14, 30]


def test_a_step_leaves_the_state_before_it_alone(tiny_graph):
    simulator = Simulator(tiny_graph)
    states = simulator.start(np.array([1]), np.array([0.0]))
    simulator.step(states, np.array([1]))
    assert (states.panorama.tolist(), states.view.tolist()) == ([1], [12])


def test_candidates_and_mask_are_the_graphs(tiny_graph):
    everywhere = np.arange(len(tiny_graph.viewpoints))
    simulator = Simulator(tiny_graph)
    found = simulator.surroundings(everywhere, everywhere)
    mask = np.arange(tiny_graph.max_degree + 1) <= tiny_graph.degree[:, None]
    np.testing.assert_array_equal(found.neighbour, tiny_graph.neighbour)
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_array_equal(simulator.candidates(everywhere), tiny_graph.neighbour)
    np.testing.assert_array_equal(simulator.action_mask(everywhere), mask)
    assert (found.expert == 0).all()
    assert (found.distance == 0).all()


@pytest.mark.parametrize("device", DEVICES[1:])
def test_torch_and_numpy_walk_the_same_way(tiny_graph, device):
    expected = random_walk(Simulator(tiny_graph))
    np.testing.assert_array_equal(random_walk(Simulator(tiny_graph, device=device)), expected)


def test_a_batch_walks_as_its_rows_would_alone(tiny_graph):
    simulator, rng = Simulator(tiny_graph), np.random.default_rng(5)
    begin = rng.integers(0, len(tiny_graph.viewpoints), 20)
    goal = goals_of(tiny_graph, begin, rng)
    batch = simulator.start(begin, np.linspace(0, 6, 20))
    alone = [States(batch.panorama[i : i + 1], batch.view[i : i + 1]) for i in range(20)]
    for _ in range(10):
        action = legal_actions(tiny_graph, batch.panorama, rng)
        batch = simulator.step(batch, action)
        alone = [simulator.step(s, action[i : i + 1]) for i, s in enumerate(alone)]
        together = simulator.surroundings(batch.panorama, goal)
        for i, states in enumerate(alone):
            assert [part[0] for part in states] == [part[i] for part in batch]
            apart = simulator.surroundings(states.panorama, goal[i : i + 1])
            for one, many in zip(apart, together, strict=True):
                np.testing.assert_array_equal(one[0], many[i])


@pytest.mark.parametrize("device", DEVICES)
def test_an_action_that_leads_nowhere_names_row_viewpoint_and_choices(tiny_graph, device):
    simulator = Simulator(tiny_graph, device=device)
    states = simulator.start(np.array([0, 1]), np.zeros(2))
    degree = int(tiny_graph.degree[1])
    for wrong in (-1, degree + 1, tiny_graph.max_degree + 1, 10**6):
        message = (
            rf"row 1: action {wrong} at viewpoint {tiny_graph.viewpoints[1]}; "
            rf"expected 0 \(stop\) to {degree}"
        )
        with pytest.raises(IllegalAction, match=message):
            simulator.step(states, np.array([0, wrong]))


def test_an_isolated_viewpoint_allows_only_to_stay(tiny_graph):
    lonely = np.flatnonzero(tiny_graph.degree == 0)[:1]
    simulator = Simulator(tiny_graph)
    states = simulator.start(lonely, np.zeros(1))
    assert simulator.action_mask(lonely).sum() == 1
    assert simulator.expert_action(lonely, lonely + 1) == 0
    assert np.isinf(simulator.distance(lonely, lonely - 1))
    with pytest.raises(IllegalAction, match=r"expected 0 \(stop\) to 0"):
        simulator.step(states, np.array([1]))
