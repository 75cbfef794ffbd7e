"""Instructions of procedural homes: what they say, what they mean, and where they lead."""

import itertools
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vln import geometry
from vln.errors import BadConfig
from vln.houses.building.catalogue import CATEGORIES, COLOURS, ROOM_KINDS
from vln.houses.building.home import make_home
from vln.houses.building.styles import SEEN_STYLES
from vln.houses.graph.navigate import walk_of
from vln.houses.graph.sight import sights_of
from vln.houses.graph.surroundings import Place, surroundings
from vln.houses.words import phrases
from vln.houses.words.clauses import Clause, parse
from vln.houses.words.instruct import Guide, r2r_records
from vln.houses.words.landmarks import MIN_PIXELS, Landmarks
from vln.houses.words.reading import REACHED, Reader, choose, follow, referent
from vln.houses.words.routes import MIN_METRES, Tree, choices, sample_routes, walked_metres
from vln.runs import generator
from vln.text import tokenize

TEXTS = {
    "toward": (*phrases.TOWARDS, *phrases.ACROSS, *phrases.PAST, *sum(phrases.ROUND.values(), ())),
    "reach": phrases.REACH,
    "through": (*phrases.BEYOND, *phrases.INTO, *phrases.BESIDE),
    "door": phrases.DOOR,
    "turn": (*sum(phrases.TURN.values(), ()), *sum(phrases.TURN_AT.values(), ())),
    "climb": sum(phrases.CLIMB.values(), ()),
    "stop": (*phrases.STOP, *phrases.STOP_FACING, *phrases.STOP_UNDER, *phrases.STOP_THERE),
}


@pytest.fixture(scope="module")
def made():
    home = make_home("words", seed=5, style=SEEN_STYLES[0], new_pairs=False, viewpoints=50)
    walk = walk_of(home)
    sights = sights_of(home, walk)
    records = r2r_records(generator(5, "paths"), home, walk, sights, count=30, first_id=100)
    return home, walk, sights, surroundings(home, walk, sights), records


def place(*objects, ways=(0.0, 90.0, 180.0), door=None, climb=None, area=None) -> Place:
    """A place with ways at headings in degrees and objects (colour, category, degrees, metres)."""
    count = len(ways)
    colour, category, bearing, distance = zip(*objects, strict=True) if objects else [()] * 4
    heading = np.radians(ways)
    aside = np.abs(geometry.wrap(np.radians(np.array(bearing, float))[:, None] - heading))
    return Place(
        ways=np.arange(1, count + 1),
        heading=heading,
        length=np.full(count, 2.0),
        door=np.full(count, -1) if door is None else np.array(door),
        climb=np.zeros(count, np.int64) if climb is None else np.array(climb),
        view=geometry.nearest_view(heading, np.zeros(count)),
        category=category,
        colour=colour,
        item=np.arange(len(objects)),
        bearing=np.radians(np.array(bearing, float)),
        distance=np.array(distance, float),
        same_room=np.ones(len(objects), dtype=bool),
        pixels=np.full(len(objects), 500.0),
        area=np.where(aside < 0.6, 0.05, 0.0) if area is None else np.array(area),
    )


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts]
)
def test_every_phrase_is_read_as_what_it_says(kind, text):
    said = text.format(x="the green bed", room="bedroom", next="living room", hole="doorway")
    (clause,) = parse(said)
    assert clause.kind == kind
    assert (clause.category, clause.colour) == (("bed", "green") if "{x}" in text else ("", ""))


def test_every_noun_of_every_colour_is_read_back():
    for noun, category in phrases.CATEGORY_OF.items():
        assert parse(f"Walk to the turquoise {noun}.") == (Clause("reach", category, "turquoise"),)
        assert parse(f"Walk to the {noun}.") == (Clause("reach", category),)


def test_no_noun_names_two_categories_and_every_category_has_one():
    nouns = [noun.lower() for names in phrases.NOUNS.values() for noun in names]
    assert len(set(nouns)) == len(nouns)
    assert set(phrases.CATEGORY_OF.values()) == set(CATEGORIES)


def test_no_phrase_holds_what_joins_clauses():
    whole = [text for texts in TEXTS.values() for text in texts]
    assert not [text for text in whole if re.search(r"[,.;]|\band\b|\bthen\b", text)]


def test_an_instruction_is_taken_apart_into_its_clauses():
    text = (
        "Leave the bedroom towards the blue couch, then turn left at the bookshelf. Next, go "
        "past a round table and climb the stairs and then stop beside the TV."
    )
    assert parse(text) == (
        Clause("through", "sofa", "blue"),
        Clause("turn", "bookcase", side="left"),
        Clause("toward", "round table"),
        Clause("climb", side="up"),
        Clause("stop", "television"),
    )


def test_words_of_other_data_sets_are_refused_with_the_words():
    with pytest.raises(BadConfig, match="'exit the room using the door on the left'"):
        parse("Exit the room using the door on the left.")


def test_the_nearest_object_of_a_name_is_meant():
    here = place(("red", "bed", 0, 5), ("red", "bed", 180, 2), ("blue", "bed", 90, 1))
    assert referent(Clause("reach", "bed", "red"), here) == 1
    assert referent(Clause("reach", "bed"), here) == 2
    assert referent(Clause("reach", "sofa"), here) == -1


@pytest.mark.parametrize(
    ("side", "way"), [("left", 3), ("right", 1), ("straight", 0), ("around", 2)]
)
def test_turns_are_taken_from_where_one_looks(side, way):
    here = place(ways=(0.0, 90.0, 180.0, 270.0))
    assert choose(Clause("turn", side=side), here, heading=0.0) == way
    assert choose(Clause("turn", side=side), here, heading=np.pi / 2) == (way + 1) % 4


def test_doors_and_stairs_leave_their_own_ways_open():
    here = place(("red", "bed", 0, 2), door=(-1, 4, -1), climb=(0, 0, 1))
    assert choose(Clause("through", "bed", "red"), here, heading=0.0) == 1
    assert choose(Clause("door"), here, heading=0.0) == 1
    assert choose(Clause("climb", side="up"), here, heading=0.0) == 2


def test_going_to_an_object_goes_on_until_it_is_reached():
    far, near = place(("red", "bed", 90, 5)), place(("red", "bed", 90, REACHED))
    reader = Reader(parse("Go to the red bed and stop there."))
    assert [reader.step(far, heading=0.0) for _ in range(2)] == [1, 1]
    assert reader.step(near, heading=0.0) == -1


def test_an_object_singles_out_the_way_it_lies_on_and_no_other():
    marks = Landmarks(place(("red", "bed", 5, 4)))
    assert marks.singles_out.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("objects", "area"),
    [
        ([("red", "bed", 0, 4), ("red", "bed", 170, 5)], None),  # another one of its name
        ([("red", "bed", 40, 4)], [[0.1, 0.0, 0.0]]),  # it lies between two ways
        ([("red", "bed", 0, 4)], [[0.1, 0.06, 0.0]]),  # another way's view shows it as well
        ([("red", "bed", 0, 4)], [[0.002, 0.0, 0.0]]),  # it is too small there
    ],
)
def test_an_object_that_leaves_doubt_singles_out_nothing(objects, area):
    assert not Landmarks(place(*objects, area=area)).singles_out.any()


def test_the_table_is_not_said_where_a_round_table_is_in_sight():
    marks = Landmarks(place(("red", "table", 0, 4), ("blue", "round table", 180, 4)))
    assert marks.is_clear.tolist() == [[True, True], [False, False]]


def test_a_turn_is_said_only_where_one_way_is_meant():
    marks = Landmarks(place(ways=(260.0, 280.0, 90.0)))
    assert marks.words(0, 0.0) == marks.words(1, 0.0) == []
    assert marks.words(2, 0.0) == [Clause("turn", side="right")]


def test_a_tree_leads_on_along_shortest_walks_alone(made):
    places = made[3]
    metres = walked_metres(places)
    tree = Tree(places, metres[0])
    for here, ways in enumerate(tree.onward):
        for way in ways:
            there = int(places[here].ways[way])
            assert metres[0, there] == pytest.approx(metres[0, here] + places[here].length[way])
    assert tree.onward[0] == list(range(len(places[0].ways)))


def test_records_are_r2r_paths(made):
    _, walk, _, places, records = made
    number = {name: i for i, name in enumerate(walk.ids)}
    metres = walked_metres(places)
    assert [record["path_id"] for record in records] == list(range(100, 100 + len(records)))
    assert len(records) == 30
    for record in records:
        path = [number[name] for name in record["path"]]
        assert 4 <= len(path) <= 7
        assert metres[path[0], path[-1]] >= MIN_METRES
        assert record["distance"] == pytest.approx(metres[path[0], path[-1]], abs=0.006)
        assert all(walk.adjacency[a, b] for a, b in itertools.pairwise(path))
        assert len(set(record["instructions"])) == 3
    pairs = [(record["path"][0], record["path"][-1]) for record in records]
    assert len(set(pairs)) == len(pairs)


def test_every_instruction_leads_to_its_goal_by_eyes_alone(made):
    _, walk, _, places, records = made
    for record in records:
        for text in record["instructions"]:
            start = walk.ids.index(record["path"][0])
            walked = follow(parse(text), places, start=start, heading=record["heading"])
            assert [walk.ids[i] for i in walked] == record["path"]


def test_whatever_is_named_can_be_seen_from_where_it_is_named(made):
    _, walk, _, places, records = made
    for record in records:
        path = [walk.ids.index(name) for name in record["path"]]
        for text in record["instructions"]:
            reader, heading = Reader(parse(text)), record["heading"]
            for viewpoint in path:
                here = places[viewpoint]
                way = reader.step(here, heading=heading)
                clause = reader.clauses[0]
                if clause.category and reader.taken <= 1:
                    assert here.pixels[referent(clause, here)] >= MIN_PIXELS
                heading = float(geometry.view_heading(here.view[way]))


def test_objects_decide_most_steps(made):
    clauses = [c for r in made[4] for text in r["instructions"] for c in parse(text)]
    kinds = Counter("side" if clause.side else clause.kind for clause in clauses)
    steps = sum(3 * (len(record["path"]) - 1) for record in made[4])
    assert kinds["side"] + kinds["door"] < 0.26 * steps
    assert kinds["toward"] + kinds["through"] + kinds["reach"] > 0.6 * len(clauses)


def test_instructions_are_as_long_as_r2rs_and_of_few_words(made):
    tokens = [tokenize(text) for record in made[4] for text in record["instructions"]]
    assert 24 < np.mean([len(row) for row in tokens]) < 45
    assert 100 < len({word for row in tokens for word in row}) < 350


def test_names_are_categories_or_their_synonyms(made):
    words = {w for r in made[4] for text in r["instructions"] for w in tokenize(text)}
    nouns = {word for noun in phrases.CATEGORY_OF for word in noun.split()}
    rooms = {word for room in ROOM_KINDS for word in room.split()}
    said = {word for texts in TEXTS.values() for text in texts for word in tokenize(text)}
    holes = {hole for kind in phrases.HOLES.values() for hole in kind}
    joints = {word for adverb in phrases.ADVERBS for word in adverb.split()}
    assert words <= nouns | rooms | said | holes | joints | set(COLOURS) | set(",.") | {
        "the", "a", "an", "and",
    }  # fmt: skip


def test_the_same_seed_writes_the_same_words(made):
    home, walk, sights, _, records = made
    again = r2r_records(generator(5, "paths"), home, walk, sights, count=30, first_id=100)
    other = r2r_records(generator(6, "paths"), home, walk, sights, count=30, first_id=100)
    assert again == records
    assert other != records


def test_one_looks_anywhere_at_the_start(made):
    home, walk, _, places, _ = made
    marks = Guide(home, walk, places).landmarks
    routes = sample_routes(generator(1, "paths"), places, marks, count=90)
    first = [places[r.path[0]].ways.tolist().index(r.path[1]) for r in routes]
    edge = [places[r.path[0]].heading[way] for r, way in zip(routes, first, strict=True)]
    turned = np.array([r.heading for r in routes]) - np.array(edge)
    assert np.abs(np.exp(1j * turned).mean()) < 0.3


def test_no_end_of_a_fork_is_preferred_for_what_is_there(made):
    home, walk, _, places, _ = made
    guide = Guide(home, walk, places)
    metres = walked_metres(places)
    for route in sample_routes(generator(2, "paths"), places, guide.landmarks, count=40):
        tree, fork = Tree(places, metres[route.path[0]]), route.path[-2]
        ends = places[fork].ways[tree.onward[fork]].tolist()
        assert all(guide.landmarks[end].marks_stop.any() for end in ends)
        assert len({choices(places, (*route.path[:-1], end)) for end in ends}) == 1


def test_a_home_without_objects_gives_no_paths(made):
    home, walk, sights, *_ = made
    blind = type(sights)(
        **{
            name: getattr(sights, name)[:0]
            for name in ("viewpoint", "item", "heading", "elevation", "distance", "pixels")
        },
        **{name: getattr(sights, name)[:0] for name in ("row", "view", "box", "box_pixels")},
    )
    assert r2r_records(generator(0, "paths"), home, walk, blind, count=1, first_id=0) == []


def test_what_is_said_to_be_in_a_room_is_in_it(made):
    """`enter the kitchen with the red table`: the table stands in the room that one comes to."""
    home, walk, _, _, records = made
    index = {name: i for i, name in enumerate(walk.ids)}
    checked = 0
    for record in records:
        rooms = {home.rooms[int(walk.room[index[v]])].kind for v in record["path"]}
        for text in record["instructions"]:
            for match in re.finditer(r"(?:enter|go into) the ([a-z ]+?) with (?:the|an?) ", text):
                assert match[1] in rooms
                checked += 1
    assert checked > 0


def test_a_thing_behind_a_wall_is_no_place_to_stop():
    here = place(("red", "sofa", 0.0, 1.0))
    behind = replace(here, same_room=np.zeros(1, dtype=bool))
    assert Landmarks(here).marks_stop.all()
    assert not Landmarks(behind).marks_stop.any()
