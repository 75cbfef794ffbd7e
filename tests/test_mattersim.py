"""The drop-in for MatterSim's Python module: settings, episodes, states."""

import copy
import math
import pickle
import re

import numpy as np
import pytest

import vln.mattersim as MatterSim  # noqa: N812 - as users do
from vln.errors import EpisodeOver
from vln.mattersim.world import VIEWS_KEPT, shared_world

STEP = math.pi / 6


def begun(made, viewpoints="a", heading=0.0, elevation=0.0):
    """Begins a batched episode, one environment per letter."""
    size = len(viewpoints)
    made.newEpisode(["house"] * size, list(viewpoints), [heading] * size, [elevation] * size)
    return made


def listed(state):
    return "".join(place.viewpointId for place in state.navigableLocations)


def test_a_batch_takes_lists_and_gives_a_list_of_states(simulator):
    made = simulator(2)
    made.initialize()

    begun(made, "ab")
    made.makeAction([1, 0], [0.0, 1.0], [0.0, -1.0])

    first, second = made.getState()
    assert (first.scanId, first.location.viewpointId, first.step) == ("house", "b", 1)
    assert (second.location.viewpointId, second.viewIndex) == ("b", 1)
    assert (second.heading, second.elevation) == (pytest.approx(STEP), pytest.approx(-STEP))


def test_v0_1_takes_scalars_and_gives_one_state(simulator):
    made = simulator()
    made.init()

    made.newEpisode("house", "a", 0, 0)
    made.makeAction(1, -1, 0)

    state = made.getState()
    assert (state.location.viewpointId, state.step, state.viewIndex) == ("b", 1, 23)
    assert state.location.point == [0, 2, pytest.approx(0.1)]


def test_what_new_episode_is_given_decides_between_scalars_and_lists(simulator):
    made = simulator()
    made.initialize()
    made.newEpisode("house", "a", 0.0, 0.0)
    assert made.getState().location.viewpointId == "a"

    made.newEpisode(["house"], ["b"], [0.0], [0.0])
    assert [state.location.viewpointId for state in made.getState()] == ["b"]


def test_a_state_lists_every_field_of_the_places_in_view(simulator):
    state = begun(simulator(), heading=0.1).getState()[0]

    here, north = state.navigableLocations
    assert (here.viewpointId, here.ix, here.x, here.y, here.z) == ("a", 0, 0, 0, 0)
    assert (here.rel_heading, here.rel_elevation, here.rel_distance) == (0, 0, 0)
    assert (north.viewpointId, north.ix, north.x, north.y) == ("b", 1, 0, 2)
    assert north.z == float(np.float32(0.1))
    assert north.point == [north.x, north.y, north.z]
    assert north.rel_heading == pytest.approx(0, abs=1e-6)
    assert north.rel_elevation == pytest.approx(math.atan2(0.1, 2))
    assert north.rel_distance == pytest.approx(math.hypot(0.1, 2))


def test_arrays_are_lists_too(simulator):
    made = simulator(2)
    begun(made, "aa")

    made.makeAction(np.array([1, 0]), np.array([0.0, 1.0]), np.zeros(2, dtype=np.float32))

    assert [state.location.viewpointId for state in made.getState()] == ["b", "a"]


def test_entries_past_the_batch_are_ignored(simulator):
    made = simulator()
    begun(made, "abc")

    made.makeAction([1, 9], [0.0, 0.0], [0.0, 0.0])

    assert [state.location.viewpointId for state in made.getState()] == ["b"]


def test_kept_states_stay_what_they_were(simulator):
    made = simulator(discretized=False)
    begun(made)
    kept, seen = [], []
    for _ in range(5):
        state = made.getState()[0]
        kept.append(state)
        seen.append((state.step, state.heading, listed(state), state.location.viewpointId))
        made.makeAction([len(state.navigableLocations) - 1], [0.3], [0.1])
    made.newEpisode(["house"], ["c"], [1.0], [0.0])

    assert [(s.step, s.heading, listed(s), s.location.viewpointId) for s in kept] == seen
    assert len({id(state) for state in kept}) == 5


def test_a_list_of_places_is_the_callers_own(simulator):
    state = begun(simulator()).getState()[0]

    state.navigableLocations.clear()

    assert listed(state) == "ab"


def test_fields_are_read_only(simulator):
    state = begun(simulator()).getState()[0]
    for thing in (state, state.location):
        for name in ("step", "x", "viewpointId", "anything"):
            with pytest.raises(AttributeError):
                setattr(thing, name, 1)
        with pytest.raises(AttributeError):
            del thing.ix


def sent(state):
    return pickle.loads(pickle.dumps(state))  # noqa: S301 - our own


@pytest.mark.parametrize("clone", [copy.deepcopy, sent])
def test_states_can_be_copied_and_sent(simulator, clone):
    state = begun(simulator()).getState()[0]

    other = clone(state)

    assert isinstance(other, MatterSim.SimState)
    assert (repr(other), repr(other.location)) == (repr(state), repr(state.location))
    assert [repr(place) for place in other.navigableLocations] == [
        repr(place) for place in state.navigableLocations
    ]
    assert other != state


def test_defaults_are_mattersims(write_house, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_house(tmp_path / "connectivity", [(0, 0, 0), (0, 2, 0)], ["ab"])
    made = MatterSim.Simulator()

    made.initialize()
    states = made.getState()

    assert len(states) == 1
    assert states[0].rgb.shape == (240, 320, 3)
    assert states[0].depth.shape == (240, 320, 1)
    with pytest.raises(ValueError, match=re.escape("data/v1/scans")):  # it would render
        begun(made)
    made.close()
    made.setRenderingEnabled(False)
    begun(made, heading=0.3, elevation=2.0)  # nothing is snapped, limits are 0.94
    (state,) = made.getState()
    assert (state.heading, state.elevation, state.viewIndex) == (0.3, 0.94, 0)
    half = 0.8 * 320 / 240 / 2  # restricted to the linear horizontal field of view
    for heading, expected in ((half - 0.01, "ab"), (half + 0.01, "a")):
        begun(made, heading=heading)
        assert listed(made.getState()[0]) == expected


def test_before_the_first_episode_states_are_empty(simulator):
    made = simulator(3)
    assert made.getState() == []
    made.initialize()

    for state in made.getState():
        assert (state.scanId, state.step, state.location) == ("", 0, None)
        assert state.navigableLocations == []
        assert not state.rgb.any()
        assert not state.depth.any()
    made = simulator()
    made.init()
    assert made.getState().scanId == ""


def test_images_of_a_simulator_that_does_not_render_are_shared_zeros(simulator):
    states = begun(simulator(2), "ab").getState()

    rgb, depth = np.array(states[0].rgb, copy=False), np.array(states[0].depth, copy=False)
    assert (rgb.shape, rgb.dtype) == ((480, 640, 3), np.uint8)
    assert (depth.shape, depth.dtype) == ((480, 640, 1), np.uint16)
    assert not rgb.any()
    assert states[1].rgb is states[0].rgb


def test_an_episode_initialises_where_that_was_forgotten(simulator):
    made = simulator(2)
    begun(made, "ab")
    assert [state.location.viewpointId for state in made.getState()] == ["a", "b"]


def test_setters_wait_for_close(simulator, write_house, tmp_path):
    other = write_house(tmp_path / "other", [(0, 0, 0), (0, 2, 0)], ["ab"], scan="elsewhere")
    made = simulator()
    begun(made)

    made.setNavGraphPath(str(other))
    made.setBatchSize(2)
    made.setDiscretizedViewingAngles(False)
    made.setRestrictedNavigation(False)
    made.initialize()  # once is enough
    begun(made, heading=0.1)
    (state,) = made.getState()
    assert (state.viewIndex, listed(state)) == (12, "ab")

    made.close()
    made.setNavGraphPath(str(other))
    made.setBatchSize(2)
    made.setDiscretizedViewingAngles(False)
    made.setRestrictedNavigation(False)
    made.newEpisode(["elsewhere"] * 2, ["a", "b"], [3.0] * 2, [0.0] * 2)
    first, second = made.getState()
    assert (first.heading, listed(first)) == (3.0, "ab")
    assert second.location.viewpointId == "b"


def test_after_close_the_last_state_can_be_read_but_not_left(simulator):
    made = begun(simulator())
    made.close()

    assert made.getState()[0].location.viewpointId == "a"
    with pytest.raises(EpisodeOver):
        made.makeAction([0], [0.0], [0.0])


@pytest.mark.parametrize("discretized", [True, False])
def test_the_field_of_view_counts_as_it_is_now_and_images_keep_their_size(simulator, discretized):
    made = begun(simulator(discretized=discretized))
    assert listed(made.getState()[0]) == "ab"

    made.setCameraResolution(1600, 480)  # a linear field of 200 degrees
    made.makeAction([0], [0.5], [0.0])
    (state,) = made.getState()

    assert "".join(sorted(listed(state))) == "abc"
    assert state.rgb.shape == (480, 640, 3)
    made.setCameraVFOV(0.1)
    made.makeAction([0], [0.0], [0.0])
    assert listed(made.getState()[0]) == "a"


@pytest.mark.parametrize(
    ("low", "high", "accepted"),
    [(-1.5, 1.5, True), (0, 1, False), (-1, 0, False), (-1.6, 1, False), (-1, 1.6, False)],
)
def test_elevation_limits_are_taken_only_if_they_surround_the_horizon(
    simulator, low, high, accepted
):
    made = simulator(discretized=False)

    assert made.setElevationLimits(low, high) is accepted

    begun(made, elevation=9.0)
    assert made.getState()[0].elevation == (high if accepted else 0.94)


def test_unrestricted_navigation_lists_all_neighbours(simulator):
    made = simulator()
    made.setRestrictedNavigation(False)
    assert listed(begun(made).getState()[0])[0] == "a"
    assert sorted(listed(made.getState()[0])) == list("abcd")


def test_simulators_with_equal_graphs_share_them(simulator, crossing_folder):
    begun(simulator())
    begun(simulator())
    world = shared_world(crossing_folder)
    assert shared_world(crossing_folder.parent / "graphs" / ".") is world
    assert len(world.graph.viewpoints) == 4


def test_a_view_is_computed_at_most_twice(simulator, monkeypatch):
    monkeypatch.setattr("vln.mattersim.world.FEW", 0)
    made = simulator(2)
    world = shared_world(made._options.nav_graph)
    computed = []
    around = world.sight(made._camera).around
    monkeypatch.setattr(
        world.sight(made._camera),
        "around",
        lambda s: (computed.append(len(s.panorama)), around(s))[1],
    )
    for _ in range(4):
        begun(made, "ab")
        assert [listed(state) for state in made.getState()] == ["ab", "b"]
    assert computed == [2, 2]


def test_a_few_views_are_computed_with_all_headings_beside_them(simulator, monkeypatch):
    made = begun(simulator())
    monkeypatch.setattr(made._seeing(), "around", None)
    for _ in range(12):
        made.makeAction([0], [1.0], [0.0])
    assert made.getState()[0].step == 12


def test_listings_are_let_go_when_they_are_many(simulator, monkeypatch):
    monkeypatch.setattr("vln.mattersim.world.VIEWS_KEPT", 20)
    made = begun(simulator(2), "ab")
    for _ in range(12):
        made.makeAction([0, 0], [1.0, 1.0], [0.0, 1.0])
        assert [listed(state)[0] for state in made.getState()] == ["a", "b"]
    sight = made._seeing()
    assert max(len(sight._kept), len(sight._once)) < 60 < VIEWS_KEPT


def test_timing_has_mattersims_lines(simulator):
    made = begun(simulator())
    made.makeAction([0], [1.0], [0.0])

    lines = made.timingInfo().splitlines()

    number = r"[\d.e+-]+"
    patterns = [
        f"Preloading images: {number} minutes",
        "Rendered 0 frames",
        rf"Wall time: {number} ms, \({number} fps\)",
        rf"Process time: {number} ms, \({number} fps\)",
        f"\tImage loading: {number} ms",
        f"\tRendering: {number} ms",
        f"\tReading rendered image: {number} ms",
    ]
    assert len(lines) == len(patterns)
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(pattern, line)
    assert not lines[3].startswith("Process time: 0 ms")
    made.resetTimers()
    assert made.timingInfo().splitlines()[3] == "Process time: 0 ms, (0 fps)"
