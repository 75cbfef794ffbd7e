"""Mistakes at the drop-in's doors: our errors, which callers of C++ catch as they always did."""

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import vln.mattersim as MatterSim  # noqa: N812 - as users do
from vln.errors import EpisodeOver, VlnError


def begun(made, viewpoints="a", heading=0.0, elevation=0.0):
    """Begins a batched episode, one environment per letter."""
    size = len(viewpoints)
    made.newEpisode(["house"] * size, list(viewpoints), [heading] * size, [elevation] * size)
    return made


def problems():
    """What is done, the built-in class that callers of C++ catch, and what the message names."""
    act, episode = "makeAction", "newEpisode"
    none = ([0.0, 0.0], [0.0, 0.0])
    house = ["house"] * 2
    return [
        (act, ([0, 2], *none), ValueError, "index 2 in environment 1 of 2: viewpoint b"),
        (act, ([0, -1], *none), TypeError, "index -1 in environment 1 of 2"),
        (act, ([0, 1.0], *none), TypeError, "indices, entry 1: expected a whole number"),
        (act, ([0, "1"], *none), TypeError, "indices, entry 1"),
        (act, (0, 0.0, 0.0), TypeError, "expected a list of 2"),
        (act, ([0], *none), IndexError, "1 given for a batch of 2"),
        (act, ([0, 0], [0.0], [0.0]), IndexError, "headings: 1 given"),
        (act, ([0, 0], [0.0, 0.0], "ab"), TypeError, "elevations: expected a list"),
        (act, ([0, 0], [0.0, 0.0], [0.0, "up"]), TypeError, "elevations, entry 1"),
        (act, ([0, 0], [None, 0.0], [0.0, 0.0]), TypeError, "headings, entry 0"),
        (act, ([0, 0], [math.nan, 0.0], [0.0, 0.0]), ValueError, "heading nan in environment 0"),
        (act, ([0, 0], none[0], [0.0, -math.inf]), ValueError, "elevation -inf in environment 1"),
        (episode, (["nowhere"] * 2, ["a", "b"], *none), IndexError, "no scan 'nowhere' among"),
        (episode, (house, ["a", "z"], *none), ValueError, "'z'"),
        (episode, (house, ["a", "e"], *none), ValueError, "marked `included`"),
        (episode, (house, ["a", ""], *none), ValueError, "''"),
        (episode, (house, ["a"], *none), IndexError, "viewpoints: 1 given for a batch of 2"),
        (episode, (house, ["a", 1], *none), TypeError, "viewpoints, entry 1"),
        (episode, (house, ["a", "b"], 0.0, 0.0), TypeError, "headings: expected a list"),
        (episode, (house, ["a", "b"], [0.0, math.inf], none[1]), ValueError, "finite"),
        (episode, ("house", "a", 0.0, 0.0), TypeError, "for a batch of 2; expected lists"),
        ("newRandomEpisode", (["nowhere"] * 2,), IndexError, "no scan 'nowhere' among"),
        ("newRandomEpisode", ("house",), TypeError, "expected a list"),
        ("setBatchSize", (-1,), TypeError, "0 or more"),
        ("setBatchSize", (1.5,), TypeError, "whole number"),
        ("setCacheSize", (-1,), TypeError, "0 or more"),
        ("setSeed", ("one",), TypeError, "whole number"),
        ("setDatasetPath", (3,), TypeError, "expected a path"),
        ("setSeed", (10**20,), TypeError, "at most"),
        ("setSeed", (math.inf,), TypeError, "whole number"),
        ("setRenderingEnabled", ("False",), TypeError, "expected True or False, not 'False'"),
        ("setRestrictedNavigation", ([],), TypeError, "expected True or False"),
        ("setDepthEnabled", (np.zeros(2),), TypeError, "expected True or False"),
        (act, ([0, 10**20], *none), TypeError, "indices, entry 1"),
        (act, ([0, np.float64(1)], *none), TypeError, "indices, entry 1"),
        (act, (np.zeros(2), *none), TypeError, "indices, entry 0"),
        (act, ([0, np.array([1, 1])], *none), TypeError, "indices, entry 1"),
        (act, ([0, np.float32("nan")], *none), TypeError, "indices, entry 1"),
        (act, ([0, np.int64(-1)], *none), TypeError, "index -1 in environment 1 of 2"),
        (act, ([0, np.float32(2)], *none), ValueError, "index 2 in environment 1 of 2"),
        (act, ([0, 0], [10**400, 0], [0, 0]), TypeError, "headings, entry 0"),
        (act, ([0, 0], [Fraction(10**400), 0], [0, 0]), TypeError, "headings, entry 0"),
        (act, ([0, 0], [0, Decimal("sNaN")], [0, 0]), TypeError, "headings, entry 1"),
        (act, ([0, 0], [0, Decimal("nan")], [0, 0]), ValueError, "heading nan in environment 1"),
        (act, ([0, 0], [0, np.float32("inf")], [0, 0]), ValueError, "heading inf in environment 1"),
        (act, ([0, 0], [0, np.zeros(2)], [0, 0]), TypeError, "headings, entry 1"),
        (act, ([0, 0], [0, np.array(["1"])], [0, 0]), TypeError, "headings, entry 1"),
        (act, ([0, 0], [0, [1.0]], [0, 0]), TypeError, "headings, entry 1"),
        (act, ([0, 0], [0, 1j], [0, 0]), TypeError, "headings, entry 1"),
        (act, ([0, 0], {0: 0.0, 1: 0.0}, [0, 0]), TypeError, "headings: expected a list"),
        (act, ([0, 0], {0.0, 1.0}, [0, 0]), TypeError, "headings: expected a list"),
        (act, ([0, 0], np.array(0.0), [0, 0]), TypeError, "headings: expected a list"),
        (episode, (house, ["a", b"\xff"], *none), TypeError, "expected UTF-8"),
        ("setCameraResolution", (0, 480), ValueError, "0 x 480"),
        ("setCameraVFOV", (math.nan,), ValueError, "radians"),
        ("setCameraVFOV", ("wide",), TypeError, "setCameraVFOV"),
    ]


@pytest.mark.parametrize("discretized", [True, False])
@pytest.mark.parametrize(("method", "given", "kind", "message"), problems())
def test_mistakes_are_ours_and_of_the_class_that_c_raises(
    simulator, method, given, kind, message, discretized
):
    made = begun(simulator(2, discretized=discretized), "ab", heading=math.pi / 2)
    before = [repr(state) for state in made.getState()]

    with pytest.raises(kind, match=re.escape(message)) as caught:
        getattr(made, method)(*given)

    assert isinstance(caught.value, VlnError)
    assert [repr(state) for state in made.getState()] == before


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ((5, 0.0, 0.0), ValueError),
        ((-1, 0.0, 0.0), ValueError),
        (([0], [0.0], [0.0]), TypeError),
        ((0, "a", 0.0), TypeError),
    ],
)
def test_mistakes_with_scalars_are_errors_too(simulator, given, kind):
    made = simulator()
    made.init()
    made.newEpisode("house", "a", 0.0, 0.0)
    with pytest.raises(kind):
        made.makeAction(*given)


def test_an_action_before_initialising_is_a_runtime_error(simulator):
    with pytest.raises(RuntimeError, match="call newEpisode first") as caught:
        simulator().makeAction([0], [0.0], [0.0])
    assert isinstance(caught.value, EpisodeOver)
    assert not isinstance(caught.value, ValueError)


def test_an_action_before_the_first_episode_is_a_value_error_too(simulator):
    made = simulator()
    made.initialize()
    with pytest.raises(ValueError, match="call newEpisode first") as caught:
        made.makeAction([0], [0.0], [0.0])
    assert isinstance(caught.value, EpisodeOver)


def test_a_graph_that_is_not_there_is_a_value_error_that_names_it(simulator, tmp_path):
    made = simulator(graphs=tmp_path / "nowhere")
    made.initialize()
    with pytest.raises(ValueError, match=r"nowhere/scans\.txt.*setNavGraphPath") as caught:
        begun(made)
    assert isinstance(caught.value, FileNotFoundError)


def test_a_scan_file_that_is_not_there_is_a_value_error_that_names_it(simulator, crossing_folder):
    (crossing_folder / "scans.txt").write_text("house\ngone\n")
    with pytest.raises(ValueError, match=r"gone_connectivity\.json"):
        begun(simulator())


def test_the_filter_for_preparing_depth_says_what_to_do():
    with pytest.raises(NotImplementedError, match="depth_to_skybox"):
        MatterSim.cbf(None, None, None, None)
