"""Instructions for given paths of a made world: every path gets one, most lead to the goal."""

from dataclasses import replace

import numpy as np
import pytest

from vln.data.connectivity import load_graph
from vln.data.sampled import sample_paths
from vln.errors import BadConfig, MissingData
from vln.houses.building.scene import load_home, scene_file
from vln.houses.graph.recorded import recorded_walk
from vln.houses.graph.sight import sights_of
from vln.houses.graph.surroundings import surroundings
from vln.houses.words.clauses import parse
from vln.houses.words.reading import follow
from vln.houses.world.spec import HomeGroup, WorldSpec
from vln.houses.world.tell import tell_paths
from vln.houses.world.write import make_world

SPEC = WorldSpec(
    "told", seed=5, groups=(HomeGroup("train", 2, 2),), viewpoints=(14, 18), guides=0, captions=0
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told") / "world"
    return make_world(SPEC, folder, workers=1, pictures=False, progress=False)


@pytest.fixture(scope="module")
def paths(world):
    graph = load_graph(world)
    rng = np.random.default_rng(0)
    return sample_paths(graph, graph.scans, labelled=(), count=60, rng=rng).episodes


@pytest.fixture(scope="module")
def told(world, paths):
    return tell_paths(world, {3: paths, 4: paths[:10]})


def test_every_path_gets_one_instruction_and_stays_as_it_is(told, paths):
    assert [(record["scan"], tuple(record["path"]), record["heading"]) for record in told[3]] == [
        (one.start.scan, one.reference, one.start.heading) for one in paths
    ]
    assert all(len(record["instructions"]) == 1 for record in told[3])
    assert all(record["instructions"][0].endswith(".") for record in told[3])
    assert [record["path_id"] for record in told[3]] == list(range(60))


def test_a_record_tells_whether_carrying_out_its_text_ends_at_the_goal(told, world):
    scan = told[3][0]["scan"]
    home = load_home(scene_file(world, scan))
    walk = recorded_walk(home, world)
    places = surroundings(home, walk, sights_of(home, walk))
    mine = [record for record in told[3] if record["scan"] == scan]

    reached = []
    for record in mine:
        start, goal = (walk.ids.index(record["path"][end]) for end in (0, -1))
        clauses = parse(record["instructions"][0])
        walked = follow(clauses, places, start=start, heading=record["heading"])
        reached.append(walked[-1] == goal)

    assert reached == [record["leads"] for record in mine]
    assert set(reached) == {True, False}


def test_most_instructions_lead_to_the_goal(told):
    assert np.mean([record["leads"] for record in told[3]]) > 0.6


def test_a_seed_gives_the_same_words_whatever_else_is_told(told, world, paths):
    assert tell_paths(world, {4: paths[:10]})[4] == told[4]


def test_another_seed_gives_other_words(told):
    texts = [[record["instructions"] for record in told[seed][:10]] for seed in (3, 4)]
    assert texts[0] != texts[1]


def test_a_path_that_the_home_has_not_is_refused(world, paths):
    path = paths[0].reference
    bent = replace(paths[0], reference=(path[0], path[-1]))
    with pytest.raises(BadConfig, match="does not exist in house0000"):
        tell_paths(world, {0: [bent]})


def test_a_path_of_one_viewpoint_is_refused(world, paths):
    with pytest.raises(BadConfig, match="a path of 0 viewpoints"):
        tell_paths(world, {0: [replace(paths[0], reference=None)]})


def test_a_world_without_scenes_is_refused(tmp_path, paths):
    with pytest.raises(MissingData):
        tell_paths(tmp_path, {0: paths[:1]})
