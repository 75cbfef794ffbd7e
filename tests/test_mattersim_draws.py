"""Random starts of the drop-in: number for number what the C++ simulator draws."""

import pytest

from vln.mattersim.draws import MinimalStandard

HOUSE = "tinyHouse00"  # has an excluded viewpoint

# What g++ 12's std::default_random_engine gives: after its seed, one std::uniform_int_distribution
# each over 0..n - 1 for the n of SIZES; and eight draws of std::uniform_real_distribution<double>
# over 0..2 pi from a new engine.
SIZES = (10, 157, 349, 1, 1000000000, 1500000000, 24)
DRAWN = {
    1: (0, 20, 263, 0, 572054464, 470211271, 1),
    0: (0, 20, 263, 0, 572054464, 470211271, 1),
    42: (0, 82, 256, 0, 403967412, 421520600, 23),
    -7: (9, 95, 255, 0, 431320251, 736849830, 20),
    2147483647: (0, 20, 263, 0, 572054464, 470211271, 1),
}
HEADINGS = (
    0.82647629525908806,
    2.8817837706642719,
    1.3757611416822468,
    4.2654328137877071,
    5.8728486722969793,
    3.2635893170018528,
    0.21722297651091907,
    3.3282044707540797,
)


@pytest.mark.parametrize("seed", DRAWN)
def test_draws_are_those_of_the_c_library(seed):
    generator = MinimalStandard(seed)
    assert tuple(generator.below(size) for size in SIZES) == DRAWN[seed]


def test_random_headings_are_those_of_the_c_library_in_every_call(simulator):
    made = simulator(8, discretized=False)
    for _ in range(2):
        made.newRandomEpisode(["house"] * 8)
        states = made.getState()
        assert tuple(state.heading for state in states) == HEADINGS
        assert {state.elevation for state in states} == {0}


def test_random_viewpoints_go_on_and_skip_what_is_excluded(simulator):
    made, expected = simulator(16), MinimalStandard(42)
    made.setSeed(42)
    for _ in range(3):
        made.newRandomEpisode(["house"] * 16)
        drawn = ["abcda"[expected.below(5)] for _ in range(16)]  # from e, on to a
        assert [state.location.viewpointId for state in made.getState()] == drawn
    assert len(set(drawn)) == 4


def test_a_scalar_episode_without_viewpoint_starts_at_a_random_one(simulator):
    places = []
    for _ in range(2):
        made, expected = simulator(), MinimalStandard(7)
        made.setSeed(7)
        made.init()
        for _ in range(6):
            made.newEpisode("house", "", 0.0, 0.0)
            places.append(made.getState().location.viewpointId)
    assert places == 2 * ["abcda"[expected.below(5)] for _ in range(6)]


def test_the_tiny_worlds_excluded_viewpoint_is_never_a_start(simulator, tiny_world):
    made = simulator(64, graphs=tiny_world.folder / "connectivity")
    made.newRandomEpisode([HOUSE] * 64)
    found = {state.location.viewpointId for state in made.getState()}
    known = {tiny_world.graph.viewpoints[i] for i in tiny_world.graph.members(HOUSE)}
    assert found <= known
    assert len(found) > 10
