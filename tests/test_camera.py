import math

import numpy as np
import pytest

from vln.camera import CameraSettings, CameraSimulator
from vln.errors import BadConfig, IllegalAction

REFERENCE = {"width": 640, "height": 480, "vertical_fov": math.pi / 3}
FILES = {
    "state_traces": {"discretized": True},
    "state_traces_continuous": {},
    "state_traces_unrestricted": {"discretized": True, "restricted": False},
}
DEVICES = [None, "cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
STEP = math.pi / 6


def camera(graph, *, device=None, **settings):
    chosen = CameraSettings(**{**REFERENCE, "discretized": True, **settings})
    return CameraSimulator(graph, settings=chosen, device=device)


def as_numpy(values):
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


class Trace:
    """One step of all episodes of a golden file, as arrays."""

    def __init__(self, graph, episodes, step):
        records = [episode["steps"][step] for episode in episodes]
        scans = [episode["scanId"] for episode in episodes]
        self.panorama = np.array(
            [graph.index(s, r["viewpointId"]) for s, r in zip(scans, records, strict=True)]
        )
        self.pose = np.array([[r["heading"], r["elevation"]] for r in records])
        self.position = np.array([[r["x"], r["y"], r["z"]] for r in records])
        self.numbers = np.array([[r["viewIndex"], r["step"]] for r in records])
        self.file_index = np.array([r["ix"] for r in records])
        self.count = np.array([len(r["nav"]) for r in records])
        self.navigable = np.full((len(records), graph.max_degree + 1), -1)
        self.relative = np.zeros((*self.navigable.shape, 3))
        for row, (scan, record) in enumerate(zip(scans, records, strict=True)):
            nav = record["nav"]
            self.navigable[row, : len(nav)] = graph.indices(scan, [item[0] for item in nav])
            self.relative[row, : len(nav)] = [item[2:] for item in nav]
        self.action = None
        if records[0]["action"] is not None:
            actions = [record["action"] for record in records]
            self.action = [np.array(column) for column in zip(*actions, strict=True)]


@pytest.fixture(scope="module", params=FILES)
def traces(request, read_golden, real_graph):
    """A golden file's settings, its starts, and one `Trace` per step."""
    episodes = read_golden(f"{request.param}.jsonl.gz")
    starts = [episode["start"] for episode in episodes]
    begun = (
        np.array(
            [real_graph.index(e["scanId"], s[0]) for e, s in zip(episodes, starts, strict=True)]
        ),
        np.array([start[1] for start in starts]),
        np.array([start[2] for start in starts]),
    )
    steps = [Trace(real_graph, episodes, t) for t in range(len(episodes[0]["steps"]))]
    return {"discretized": False, **FILES[request.param]}, begun, steps


@pytest.mark.parametrize("device", DEVICES)
def test_cameras_repeat_every_record_of_mattersims_traces(real_graph, traces, device):
    settings, begun, steps = traces
    simulator = camera(real_graph, device=device, **settings)
    states = simulator.start(*begun)
    for expected in steps:
        panorama, heading, elevation, step = (as_numpy(part) for part in states)
        np.testing.assert_array_equal(panorama, expected.panorama)
        np.testing.assert_array_equal(real_graph.file_index[panorama], expected.file_index)
        view = as_numpy(simulator.view(states))
        np.testing.assert_array_equal(np.stack([view, step], axis=1), expected.numbers)
        pose = np.stack([heading, elevation], axis=1)
        np.testing.assert_allclose(pose, expected.pose, rtol=0, atol=1e-12)
        position = real_graph.position[panorama].astype(np.float32)
        np.testing.assert_allclose(position, expected.position, rtol=0, atol=1e-6)

        found = [as_numpy(part) for part in simulator.navigable(states)]
        np.testing.assert_array_equal(found[4], expected.count)
        np.testing.assert_array_equal(found[0], expected.navigable)
        relative = np.stack(found[1:4], axis=-1)
        np.testing.assert_allclose(relative, expected.relative, rtol=0, atol=1e-6)
        if expected.action is not None:
            states = simulator.act(states, *expected.action)


def test_envdrops_index_is_the_place_in_the_list_of_the_candidates_view(real_graph, read_golden):
    rows = read_golden("candidates_all_viewpoints.jsonl.gz")
    edges = [(scan, name, *candidate[:3]) for scan, name, found in rows for candidate in found]
    here = np.array([real_graph.index(edge[0], edge[1]) for edge in edges])
    there = np.array([real_graph.index(edge[0], edge[2]) for edge in edges])
    view, index = (np.array([edge[k] for edge in edges]) for k in (3, 4))
    simulator = camera(real_graph)
    states = simulator.start(here, view % 12 * STEP, (view // 12 - 1) * STEP)
    listed = simulator.navigable(states).panorama
    np.testing.assert_array_equal(listed[np.arange(len(edges)), index], there)


@pytest.fixture(scope="module")
def crossing(make_graph):
    """Viewpoint a in the middle of b north, c east, d south, e straight above, f where a stands."""
    positions = [(0, 0, 0), (0, 2, 0), (2, 0, 0), (0, -2, 0), (0, 0, 3), (0, 0, 0)]
    return make_graph(positions, ["ab", "ac", "ad", "ae", "af"])


def listing(simulator, *, at=0, heading=0.0, elevation=0.0):
    states = simulator.start(np.array([at]), np.array([heading]), np.array([elevation]))
    found = simulator.navigable(states)
    count = int(found.count[0])
    names = [simulator.graph.viewpoints[int(i)] for i in found.panorama[0][:count]]
    return names, states, found


@pytest.mark.parametrize(
    ("degrees", "names"),
    [(0, "ab"), (30, "ab"), (60, "ac"), (90, "ac"), (180, "ad"), (270, "a"), (330, "ab")],
)
def test_only_neighbours_within_40_degrees_are_listed(crossing, degrees, names):
    found, *_ = listing(camera(crossing), heading=np.radians(degrees))
    assert "".join(found) == names


def test_a_wide_camera_lists_nearest_to_the_middle_of_the_view_first(crossing):
    wide = camera(crossing, width=1600)  # a linear field of 200 degrees
    names, _, found = listing(wide, heading=np.radians(30), elevation=np.radians(30))
    assert "".join(names) == "abc"
    np.testing.assert_allclose(found.heading[0, :3], np.radians([0, -30, 60]), atol=1e-6)
    np.testing.assert_allclose(found.elevation[0, :3], np.radians([0, -30, -30]), atol=1e-6)
    np.testing.assert_allclose(found.distance[0, :3], [0, 2, 2])


def test_an_unrestricted_camera_lists_every_neighbour(crossing):
    names, *_ = listing(camera(crossing, restricted=False))
    assert names[0] == "a"
    assert sorted(names[1:]) == list("bcdef")


@pytest.mark.parametrize("degrees", range(0, 360, 30))
def test_a_restricted_camera_never_lists_what_has_no_bearing(crossing, degrees):
    for at, hidden in ((0, "ef"), (4, "a"), (5, "a")):
        names, *_ = listing(camera(crossing), at=at, heading=np.radians(degrees))
        assert not set(names[1:]) & set(hidden)


@pytest.mark.parametrize(
    ("given", "snapped"), [(14.9, 0), (15, 30), (44.9, 30), (345.1, 0), (344.9, 330), (-20, 330)]
)
def test_discretised_headings_snap_at_the_start(crossing, given, snapped):
    _, states, _ = listing(camera(crossing), heading=np.radians(given))
    assert states.heading[0] == pytest.approx(np.radians(snapped))


@pytest.mark.parametrize(("given", "snapped"), [(-60, -30), (-15.1, -30), (-14, 0), (15.1, 30)])
def test_discretised_elevations_snap_at_the_start(crossing, given, snapped):
    simulator = camera(crossing)
    _, states, _ = listing(simulator, elevation=np.radians(given))
    assert states.elevation[0] == pytest.approx(np.radians(snapped))
    assert simulator.view(states)[0] == 12 * (1 + snapped // 30)


def test_a_continuous_camera_keeps_its_heading_and_clamps_its_elevation(crossing):
    simulator = camera(crossing, discretized=False, max_elevation=0.5)
    _, states, _ = listing(simulator, heading=7.0, elevation=0.7)
    assert states.heading[0] == pytest.approx(7.0 - 2 * math.pi)
    assert states.elevation[0] == 0.5
    assert simulator.view(states)[0] == 0


@pytest.mark.parametrize("device", [None, "cpu"])
def test_only_the_sign_of_a_discretised_turn_counts(crossing, device):
    simulator = camera(crossing, device=device)
    states = simulator.start([0, 0, 0], [0, 0, 0], [0, 0, 0])
    states = simulator.act(states, [0, 0, 0], [5, -1, 0], [0, 1, -9])
    np.testing.assert_allclose(as_numpy(states.heading), np.radians([30, 330, 0]))
    np.testing.assert_allclose(as_numpy(states.elevation), np.radians([0, 30, -30]))
    states = simulator.act(states, [0, 0, 0], [0, 0, 0], [0, 1, -1])
    np.testing.assert_allclose(as_numpy(states.elevation), np.radians([0, 30, -30]))
    assert as_numpy(states.step).tolist() == [2, 2, 2]


def test_a_camera_moves_before_it_turns(crossing):
    simulator = camera(crossing)
    _, states, _ = listing(simulator)
    states = simulator.act(states, np.array([1]), np.array([1.0]), np.array([0.0]))
    assert simulator.graph.viewpoints[states.panorama[0]] == "b"
    assert states.heading[0] == pytest.approx(STEP)


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("index", [2, -1, 99])
def test_an_index_outside_the_list_is_an_error(crossing, device, index):
    simulator = camera(crossing, device=device)
    states = simulator.start([0, 0], [0.0, 0.0], [0.0, 0.0])
    message = rf"row 1: index {index} into a list of 2 navigable locations at viewpoint a"
    with pytest.raises(IllegalAction, match=message):
        simulator.act(states, [1, index], [0.0, 0.0], [0.0, 0.0])


def test_settings_that_no_camera_has_are_errors():
    with pytest.raises(BadConfig, match="0 x 240; expected positive"):
        CameraSettings(width=0)
    with pytest.raises(BadConfig, match=r"1\.0 to 0\.5; expected the lower limit first"):
        CameraSettings(min_elevation=1.0, max_elevation=0.5)
