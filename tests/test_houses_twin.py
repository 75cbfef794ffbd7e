"""Changed homes: what changes and what stays, and that the words then lead where a twin says."""

import json
import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vln.data.connectivity import load_graph
from vln.data.twins import load_twins
from vln.errors import BadConfig, CorruptData, MissingData
from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.home import make_home
from vln.houses.building.scene import load_home, scene_file, to_json
from vln.houses.building.styles import SEEN_STYLES
from vln.houses.graph.floor import footprint
from vln.houses.graph.navigate import records, walk_of
from vln.houses.graph.recorded import recorded_walk
from vln.houses.graph.sight import sights_of
from vln.houses.graph.surroundings import surroundings
from vln.houses.pictures.render import HomeRenderer
from vln.houses.words.clauses import parse
from vln.houses.words.detours import walking
from vln.houses.words.instruct import r2r_records
from vln.houses.words.reading import follow
from vln.houses.world import changes
from vln.houses.world.disk import alone
from vln.houses.world.pairs import ELSEWHERE, KINDS, make_twins
from vln.houses.world.spec import MARK
from vln.houses.world.twin import _eye, _Glances, run, write_twins
from vln.panorama.skybox import STRIP
from vln.runs import generator

CHANGED = ("recoloured", "moved", "exchanged")


class Told:
    """A home, its paths and its twins."""

    def __init__(self):
        self.home = make_home("h", seed=11, style=SEEN_STYLES[0], new_pairs=False, viewpoints=40)
        self.walk = walk_of(self.home)
        self.sights = sights_of(self.home, self.walk)
        self.parts = self.home, self.walk, self.sights
        self.records = r2r_records(generator(1, "paths"), *self.parts, count=12, first_id=100)
        self.twins = self.twinned()
        self.places = surroundings(*self.parts)

    def twinned(self, *, count=None):
        rng = generator(3, "twins")
        return make_twins(*self.parts, self.records, rng=rng, count=count)


@pytest.fixture(scope="module")
def told():
    return Told()


def read(record, walk, places):
    clauses = parse(record["instructions"][0])
    start = walk.ids.index(record["path"][0])
    return follow(clauses, places, start=start, heading=record["heading"])


def test_twins_are_of_several_kinds_one_per_path(told):
    kinds = Counter(twin.kind for twin in told.twins)
    paths = [twin.record["path_id"] for twin in told.twins]

    assert len(kinds) >= 3
    assert set(kinds) <= set(KINDS)
    assert len(set(paths)) == len(paths) >= 4


def test_originals_and_twins_share_words_and_start_not_the_home(told):
    for twin in told.twins:
        old, new = twin.original, twin.record
        assert (old["path_id"], old["instructions"]) == (new["path_id"], new["instructions"])
        assert len(new["instructions"]) == 1
        assert (old["scan"], new["scan"]) == ("h", twin.home.scan)
        assert told.walk.ids.index(old["path"][0]) == twin.walk.ids.index(new["path"][0])
        assert not set(told.walk.ids) & set(twin.walk.ids)


def test_the_words_end_at_each_homes_own_goal(told):
    for twin in told.twins:
        places = surroundings(twin.home, twin.walk, twin.sights)
        assert (
            told.walk.ids[read(twin.original, told.walk, told.places)[-1]]
            == (twin.original["path"][-1])
        )
        assert twin.walk.ids[read(twin.record, twin.walk, places)[-1]] == twin.record["path"][-1]


def test_goals_are_more_than_three_metres_of_walk_apart_except_in_mirrors(told):
    metres, _ = walking(told.walk)
    for twin in told.twins:
        old = told.walk.ids.index(twin.original["path"][-1])
        new = twin.walk.ids.index(twin.record["path"][-1])
        assert metres[old, new] > ELSEWHERE or twin.kind == "mirrored"
        start = told.walk.ids.index(twin.original["path"][0])
        assert twin.record["distance"] == pytest.approx(metres[start, new], abs=0.01)


def test_changed_homes_are_homes_that_load(told, tmp_path):
    for twin in told.twins:
        file = tmp_path / f"{twin.home.scan}.json"
        file.write_bytes(to_json(twin.home))
        assert load_home(file) == twin.home


def test_one_thing_changes(told):
    for twin in told.twins:
        if twin.kind == "mirrored":
            continue
        assert len(twin.touched) > 0
        differing = sum(a != b for a, b in zip(told.home.items, twin.home.items, strict=False))
        assert differing <= 2 or twin.kind == "removed"
        assert replace(twin.home, items=(), scan="h") == replace(told.home, items=())


def test_pictures_that_are_not_drawn_anew_would_show_what_they_showed(told):
    twin = next(twin for twin in told.twins if twin.kind in CHANGED)
    renderers = [HomeRenderer(home, size=64) for home in (told.home, twin.home)]
    walks = told.walk, twin.walk
    differing = _Glances(told.home, told.walk).differing(twin, renderers[1])
    same = set(range(len(told.walk))) - set(differing)

    assert 0 < len(differing) < len(told.walk)
    for number in same:
        old, new = (r.faces(*_eye(w, number)) for r, w in zip(renderers, walks, strict=True))
        assert np.array_equal(old, new)


def test_rooms_differ_where_an_object_was_and_where_it_is(told):
    moved = next(
        i for i, item in enumerate(told.home.items) if item.room != told.home.items[0].room
    )
    items = list(told.home.items)
    items[0] = replace(items[0], room=items[moved].room, position=items[moved].position)
    changed = replace(told.home, items=tuple(items))

    rooms = changes.rooms_that_differ(told.home, changed)

    assert {told.home.items[0].room, items[moved].room} <= set(rooms)
    assert changes.rooms_that_differ(told.home, told.home) == []


def test_the_named_object_is_what_changes(told):
    changed = [twin for twin in told.twins if twin.kind in CHANGED]

    assert changed
    for twin in changed:
        named = {clause.category for clause in parse(twin.record["instructions"][0])}
        pairs = zip(told.home.items, twin.home.items, strict=True)
        assert named & {old.category for old, new in pairs if old != new}


def test_objects_that_moved_bar_no_way_and_touch_nothing(told):
    floor = changes.FreeFloor(told.home, told.walk)
    movable = [i for i in range(len(told.home.items)) if changes.can_move(told.home, i)]
    tried = [floor.moved(i, beside=i % len(told.walk), rng=generator(i, "m")) for i in movable]
    found = [(i, home) for i, home in zip(movable, tried, strict=True) if home is not None]

    assert len(found) > 5
    for index, home in found:
        box = _box(home.items[index])
        for number, other in enumerate(home.items):
            same = other.room == home.items[index].room and number != index
            assert not (same and CATEGORIES[other.category].blocks and _overlap(box, _box(other)))
        for a, b in np.argwhere(told.walk.adjacency):
            way = np.linspace(told.walk.position[a, :2], told.walk.position[b, :2], 30)
            level = abs(told.walk.position[a, 2] - 1.5 - home.items[index].position[2]) < 0.1
            assert not (level and ((way > box[0] - 0.1) & (way < box[1] + 0.1)).all(axis=1).any())


def _box(item):
    corners = footprint(item)
    return corners.min(axis=0), corners.max(axis=0)


def _overlap(a, b):
    return bool(((a[0] < b[1]) & (b[0] < a[1])).all())


def test_objects_that_exchange_places_stand_where_the_other_one_stood(told):
    pairs = [
        (a, b)
        for a in range(len(told.home.items))
        for b in range(a)
        if changes.can_exchange(told.home, a, b)
    ]

    assert pairs
    for a, b in pairs[:30]:
        home = changes.exchanged(told.home, a, b)
        for one, other in ((a, b), (b, a)):
            moved, place = home.items[one], told.home.items[other]
            assert (moved.room, moved.heading) == (place.room, place.heading)
            assert np.hypot(*np.subtract(moved.position, place.position)[:2]) <= changes.ALIKE
            assert moved.name == told.home.items[one].name


def test_a_mirror_of_a_mirror_is_the_home(told):
    back = changes.mirrored(changes.mirrored(told.home))

    for old, new in zip(told.home.items, back.items, strict=True):
        assert np.allclose(old.position, new.position)
        assert np.sin(old.heading - new.heading) == pytest.approx(0, abs=1e-5)
    assert [room.box for room in back.rooms] == [room.box for room in told.home.rooms]


def test_in_a_mirror_everything_is_seen_on_the_other_side(told):
    walk = changes.walk_in(told.walk, "hm", is_mirrored=True)
    sights = sights_of(changes.mirrored(told.home), walk)

    # A lamp with a spout, say, is no mirror of itself: few objects, small differences.
    both = _by_pair(told.sights).keys() & _by_pair(sights).keys()
    turn = [_by_pair(told.sights)[pair] + _by_pair(sights)[pair] for pair in both]
    assert len(both) > 0.95 * len(told.sights.item)
    assert np.mean(np.abs(np.sin(turn)) < 0.05) > 0.95


def _by_pair(sights):
    pairs = zip(sights.viewpoint.tolist(), sights.item.tolist(), strict=True)
    return dict(zip(pairs, sights.heading.tolist(), strict=True))


def test_cameras_in_a_mirror_are_rotations_that_look_the_other_way(told):
    walk = changes.walk_in(told.walk, "hm", is_mirrored=True)

    assert np.allclose(np.linalg.det(walk.rotation), 1)
    assert np.allclose(walk.rotation @ walk.rotation.transpose(0, 2, 1), np.eye(3), atol=1e-5)
    assert np.allclose(walk.rotation[:, 0, 2], -told.walk.rotation[:, 0, 2])
    assert np.allclose(walk.rotation[:, 1, 2], told.walk.rotation[:, 1, 2])


def test_a_seed_gives_the_same_twins(told):
    first, second = ([twin.record for twin in told.twinned(count=2)] for _ in range(2))

    assert first == second
    assert len(first) == 2


def test_an_unknown_kind_is_refused(told):
    with pytest.raises(BadConfig, match="repainted"):
        make_twins(*told.parts, told.records, rng=generator(3, "twins"), kinds=["repainted"])


@pytest.fixture
def world(told, tmp_path):
    """A world of one home with pictures that are no pictures."""
    base = tmp_path / "base"
    for folder in ("scenes", "connectivity", "r2r", "reverie", "skyboxes/h"):
        (base / folder).mkdir(parents=True)
    scene_file(base, "h").write_bytes(to_json(told.home))
    (base / "connectivity" / "scans.txt").write_text("h\n")
    (base / "connectivity" / "h_connectivity.json").write_text(json.dumps(records(told.walk)))
    (base / "r2r" / "R2R_val_unseen.json").write_text(json.dumps(told.records))
    (base / "reverie" / "object_fit.json").write_text("{}")
    (base / MARK).write_text(json.dumps({"spec": {"face": 16, "quality": 80}, "pictures": True}))
    for name in told.walk.ids:
        (base / "skyboxes" / "h" / STRIP.format(viewpoint=name)).write_bytes(name.encode())
    return base


def test_a_world_of_twins_is_whole(told, world, tmp_path):
    out = tmp_path / "twins"

    made = write_twins(world, out, count=2, kinds=CHANGED, seed=3)

    loaded = load_twins(out, load_graph(out))
    assert made == Counter(loaded.change)
    assert sum(made.values()) == len(loaded) == 2
    assert (out / MARK).is_file()
    assert (out / "reverie" / "object_fit.json").read_text() == "{}"
    scans = (out / "connectivity" / "scans.txt").read_text().split()
    assert len(scans) == 3
    with zipfile.ZipFile(out / "reverie" / "BBox.zip") as boxes:
        assert len(boxes.namelist()) == 3 * len(told.walk)
    for scan in scans:
        drawn = [file.read_bytes()[:3] for file in (out / "skyboxes" / scan).iterdir()]
        jpegs = sum(start == b"\xff\xd8\xff" for start in drawn)
        assert len(drawn) == len(told.walk)
        assert (jpegs == 0) if scan == "h" else (0 < jpegs < len(drawn))


def test_twins_without_pictures_have_the_same_annotations(told, world, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"

    for out in (first, second):
        write_twins(world, out, count=1, kinds=CHANGED, seed=3, pictures=False)

    files = [sorted(p for p in out.rglob("*") if p.is_file()) for out in (first, second)]
    assert [f.relative_to(first) for f in files[0]] == [f.relative_to(second) for f in files[1]]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]
    assert not (first / "skyboxes").exists()


def test_a_folder_that_holds_something_is_left_alone(world, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "draft.txt").write_text("mine")

    with pytest.raises(BadConfig, match="holds something"):
        write_twins(world, tmp_path / "thesis", count=3)

    assert (tmp_path / "thesis" / "draft.txt").read_text() == "mine"


def test_a_second_process_at_the_same_twins_is_refused(world, tmp_path):
    with (
        alone(tmp_path / ".twins.unfinished", waits=False),
        pytest.raises(BadConfig, match=r"another process writes to .*--out"),
    ):
        write_twins(world, tmp_path / "twins", count=1, pictures=False)


@pytest.mark.parametrize(
    ("content", "where"),
    [("{}", "expected a list"), ("[7]", r"\[0\]"), ('[{"scan": "h"}]', r"\[0\].*no R2R record")],
)
def test_damaged_paths_are_named(world, tmp_path, content, where):
    (world / "r2r" / "R2R_val_unseen.json").write_text(content)

    with pytest.raises(CorruptData, match=rf"R2R_val_unseen.json.*{where}"):
        write_twins(world, tmp_path / "twins", count=3, pictures=False)

    assert [path.name for path in tmp_path.iterdir()] == ["base"]


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_absurd_numbers_of_twins_are_refused(world, tmp_path, count):
    with pytest.raises(BadConfig, match="expected 1 to"):
        write_twins(world, tmp_path / "twins", count=count)


def test_a_world_that_is_not_whole_has_no_twins(world, tmp_path):
    (world / MARK).unlink()

    with pytest.raises(MissingData, match="no whole world"):
        write_twins(world, tmp_path / "twins", count=3)


def test_twins_that_nothing_allows_are_no_world(told, world, tmp_path):
    (world / "r2r" / "R2R_val_unseen.json").write_text(json.dumps(told.records[:1]))

    with pytest.raises(BadConfig, match="no change"):
        write_twins(world, tmp_path / "twins", count=3, kinds=["removed"], pictures=False)

    assert not (tmp_path / "twins").exists()


def test_a_picture_that_is_missing_is_named(told, world, tmp_path):
    lost = world / "skyboxes" / "h" / STRIP.format(viewpoint=told.walk.ids[0])
    lost.unlink()

    with pytest.raises(MissingData, match=lost.name):
        write_twins(world, tmp_path / "twins", count=1, kinds=CHANGED, seed=3)

    assert not (tmp_path / "twins").exists()


def test_the_command_says_what_was_made(world, tmp_path):
    line = run(world, tmp_path / "twins", count=2, kinds=["mirrored"], pictures=False, workers=1)

    assert line == f"{tmp_path / 'twins'}: 2 of 2 twins (2 mirrored)"


@pytest.mark.parametrize("seed", [11, 21])
def test_viewpoints_read_back_from_their_file_are_the_same(tmp_path, seed):
    home = make_home("h", seed=seed, style=SEEN_STYLES[0], new_pairs=False, viewpoints=70)
    walk = walk_of(home)
    (tmp_path / "connectivity").mkdir()
    (tmp_path / "connectivity" / "h_connectivity.json").write_text(json.dumps(records(walk)))

    found = recorded_walk(home, tmp_path)

    assert found.ids == walk.ids
    for name in ("position", "rotation", "room", "adjacency", "visible", "door", "stairs"):
        assert np.array_equal(getattr(found, name), getattr(walk, name)), name
