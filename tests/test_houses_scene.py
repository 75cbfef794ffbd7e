"""Scene files: what is written is read again, and a bad edit is named."""

import json
from pathlib import Path

import pytest

from vln.errors import CorruptData, MissingData
from vln.houses.building.home import make_home
from vln.houses.building.scene import from_json, load_home, scene_file, to_json

FILE = Path("world/scenes/h0.json")


@pytest.fixture(scope="module")
def home():
    """One with stairs."""
    homes = (
        make_home("h0", seed=seed, style="nordic", new_pairs=False, viewpoints=60)
        for seed in range(20)
    )
    return next(home for home in homes if home.stairs)


@pytest.fixture
def values(home):
    """The file's content, free to be edited."""
    return json.loads(to_json(home))


def read(values):
    return from_json(json.dumps(values).encode(), file=FILE)


def edited(values, keys, value):
    """Gives the content with one value changed."""
    *path, last = keys
    at = values
    for key in path:
        at = at[key]
    at[last] = value
    return values


def test_a_home_is_read_as_it_was_written(home):
    assert from_json(to_json(home), file=FILE) == home


def test_a_home_is_found_in_its_world(home, tmp_path):
    file = scene_file(tmp_path, "h0")
    file.parent.mkdir()
    file.write_bytes(to_json(home))

    assert load_home(file) == home


def test_a_missing_scene_is_named(tmp_path):
    with pytest.raises(MissingData, match=r"h7\.json"):
        load_home(scene_file(tmp_path, "h7"))


def test_a_scene_under_another_homes_name_is_named(home, tmp_path):
    file = scene_file(tmp_path, "h1")
    file.parent.mkdir()
    file.write_bytes(to_json(home))

    with pytest.raises(CorruptData, match=r"h1\.json, scan: is 'h0', not the file's name"):
        load_home(file)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"7", b'"home"', b"{}", b"\xff\xfe", b"[" * 5000]
)
def test_what_is_no_scene_at_all_is_refused(content):
    with pytest.raises(CorruptData, match=r"h0\.json"):
        from_json(content, file=FILE)


@pytest.mark.parametrize("version", [None, 0, 2, "1", True, 1.0])
def test_another_version_is_refused(values, version):
    with pytest.raises(CorruptData, match="version 1"):
        read(edited(values, ["version"], version))


NONSENSE = {
    "a name that is no text": (["scan"], 7, "scan"),
    "an empty name": (["scan"], "", "scan"),
    "a seed that is no whole number": (["seed"], 1.5, "seed"),
    "a seed that is a claim": (["seed"], True, "seed"),
    "no rooms": (["rooms"], [], "rooms"),
    "rooms that are no list": (["rooms"], {}, "rooms"),
    "a room that is no object": (["rooms", 1], "kitchen", r"rooms\[1\]"),
    "an unknown kind of room": (["rooms", 1, "kind"], "throne room", r"rooms\[1\]"),
    "a box of three numbers": (["rooms", 1, "box"], [0, 0, 1], r"rooms\[1\]\.box"),
    "a box inside out": (["rooms", 1, "box"], [5, 5, 1, 1], r"rooms\[1\]"),
    "a box like a slit": (["rooms", 1, "box"], [0, 0, 9, 0.1], r"rooms\[1\]"),
    "a box that is not finite": (["rooms", 1, "box"], [0, 0, float("nan"), 1], r"rooms\[1\]"),
    "a box beyond the horizon": (["rooms", 1, "box"], [0, 0, 1e9, 1], r"rooms\[1\]"),
    "a room beyond the horizon": (["rooms", 1, "box"], [190, 190, 199, 199], r"rooms\[1\]"),
    "a room like an airfield": (["rooms", 1, "box"], [-90, -90, 90, 90], r"rooms\[1\]"),
    "a room in the cellar": (["rooms", 1, "storey"], -1, r"rooms\[1\]"),
    "a floor of cheese": (["rooms", 1, "floor", "material"], "cheese", r"rooms\[1\]"),
    "a floor of wall": (["rooms", 1, "floor", "material"], "brick", r"rooms\[1\]"),
    "a wall brighter than white": (["rooms", 1, "wall", "colour"], [300, 0, 0], r"rooms\[1\]"),
    "a wall of two colours": (["rooms", 1, "wall", "colour"], [3, 0], r"rooms\[1\]\.wall\.colour"),
    "a hole that is no opening": (["openings", 0, "kind"], "hatch", r"openings\[0\]"),
    "a door to a room that is not": (["openings", 0, "rooms"], [0, 999], r"openings\[0\]"),
    "a door to outside": (["openings", 0, "rooms"], [0, -1], r"openings\[0\]"),
    "a door from a room to itself": (["openings", 0, "rooms"], [1, 1], r"openings\[0\]"),
    "a door in no wall": (["openings", 0, "start"], [900, 900], r"openings\[0\]"),
    "a door higher than the ceiling": (["openings", 0, "top"], 9, r"openings\[0\]"),
    "a door on another storey": (["openings", 0, "storey"], 3, r"openings\[0\]"),
    "stairs that lead down": (["stairs", 0, "storey"], 1, r"stairs\[0\]"),
    "stairs to a room that is not": (["stairs", 0, "rooms"], [0, 999], r"stairs\[0\]"),
    "stairs within a storey": (["stairs", 0, "rooms"], [0, 0], r"stairs\[0\]"),
    "stairs outside the hall": (["stairs", 0, "box"], [90, 90, 91, 94], r"stairs\[0\]"),
    "stairs without floor": (["stairs", 0, "box"], [1, 1, 1, 1], r"stairs\[0\]"),
    "stairs askew": (["stairs", 0, "heading"], 0.5, r"stairs\[0\]"),
    "an unknown object": (["items", 3, "category"], "dragon", r"items\[3\]"),
    "an unknown colour": (["items", 3, "colour"], "octarine", r"items\[3\]"),
    "an unknown material": (["items", 3, "material"], "cheese", r"items\[3\]"),
    "an object in no room": (["items", 3, "room"], 999, r"items\[3\]"),
    "an object in the room before the first": (["items", 3, "room"], -1, r"items\[3\]"),
    "an object far away": (["items", 3, "position"], [500, 500, 0], r"items\[3\]"),
    "an object without extent": (["items", 3, "size"], [1, 0, 1], r"items\[3\]"),
    "an object larger than its room": (["items", 3, "size"], [90, 1, 1], r"items\[3\]"),
    "an object through the ceiling": (["items", 3, "size"], [0.1, 0.1, 9], r"items\[3\]"),
    "an object without heading": (["items", 3, "heading"], None, r"items\[3\]\.heading"),
    "light of the wrong kind": (["daylight"], "bright", "daylight"),
    "light beyond measure": (["daylight", "strength"], 50, "daylight"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_named_with_its_record(values, what):
    keys, value, record = NONSENSE[what]

    with pytest.raises(CorruptData, match=rf"h0\.json, {record}.*python -m vln\.houses make"):
        read(edited(values, keys, value))


def test_a_room_moved_onto_another_is_named(values):
    values["rooms"][2]["box"] = values["rooms"][1]["box"]
    values["rooms"][2]["storey"] = values["rooms"][1]["storey"]

    with pytest.raises(CorruptData, match=r"rooms\[2\]: shares floor with rooms\[1\]"):
        read(values)


def test_an_object_moved_below_its_floor_is_named(values):
    values["items"][5]["position"][2] -= 1

    with pytest.raises(CorruptData, match=r"items\[5\]"):
        read(values)


@pytest.mark.parametrize("keys", [["rooms", 0], ["openings", 0], ["items", 0], ["daylight"], []])
@pytest.mark.parametrize("edit", ["lacks", "adds"])
def test_a_record_with_other_fields_is_refused(values, keys, edit):
    at = values
    for key in keys:
        at = at[key]
    if edit == "adds":
        at["smell"] = "nice"
    else:
        at.pop(sorted(set(at) - {"version"})[0])

    with pytest.raises(CorruptData, match=r"h0\.json.*expected exactly"):
        read(values)


def test_an_object_may_be_recoloured_by_hand(values):
    changed = read(edited(values, ["items", 0, "colour"], "purple"))

    assert changed.items[0].name.startswith("purple ")
