"""Pictures of hand-made homes: what is where, in which colour, in which light."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from vln.errors import BadConfig, UnknownName
from vln.houses.building.catalogue import CATEGORIES, COLOURS, FLOORS, MATERIALS, WALLS
from vln.houses.building.scene import Daylight, Finish, Home, Item, Opening, Room
from vln.houses.pictures.light import Baker
from vln.houses.pictures.normals import bent_normals, flat_normals, split_long
from vln.houses.pictures.outdoors import outdoors
from vln.houses.pictures.portals import in_sight
from vln.houses.pictures.raster import visible
from vln.houses.pictures.render import HomeRenderer, strip_bytes
from vln.houses.pictures.texture import linear, pattern, srgb_table
from vln.houses.shapes.mesh import home_mesh
from vln.houses.shapes.solids import SOLIDS
from vln.panorama.faces import UPRIGHT, Panorama
from vln.panorama.pinhole import Camera
from vln.panorama.views import ViewRenderer

SIZE = 64
EYE = (2.0, 1.5, 1.5)


def item(category: str, colour: str, room: int, x: float, y: float, heading: float = 0) -> Item:
    kind = CATEGORIES[category]
    size = tuple(round(sum(span) / 2, 3) for span in kind.size)
    return Item(category, colour, kind.materials[0], room, (x, y, kind.lift[0]), heading, size)


@pytest.fixture(scope="module")
def home() -> Home:
    """Gives three rooms in a row from west to east; only neighbours are joined."""
    paint = Finish("paint", (214, 208, 196))
    rooms = (
        Room("bedroom", 0, (0.0, 0.0, 4.0, 4.0), Finish("planks", (170, 120, 70)), paint),
        Room("office", 0, (4.12, 0.0, 8.0, 4.0), Finish("carpet", (120, 120, 130)), paint),
        Room("kitchen", 0, (8.12, 0.0, 12.0, 4.0), Finish("tiles", (200, 200, 200)), paint),
    )
    openings = (
        Opening("door", 0, (0, 1), (4.06, 1.0), (4.06, 1.9), 0.0, 2.1),
        Opening("arch", 0, (1, 2), (8.06, 2.4), (8.06, 3.8), 0.0, 2.2),
        Opening("window", 0, (0, -1), (1.2, -0.06), (2.6, -0.06), 0.9, 2.2),
    )
    items = (
        item("wardrobe", "red", 0, 2.0, 3.65, math.pi),
        item("rug", "blue", 0, 2.0, 1.6),
        item("table", "green", 1, 6.0, 3.2),
        item("refrigerator", "yellow", 2, 11.6, 3.2, -math.pi / 2),
    )
    return Home("hand", 5, "none", rooms, openings, (), items, Daylight(math.pi, 0.9, 0.5))


@pytest.fixture(scope="module")
def renderer(home) -> HomeRenderer:
    return HomeRenderer(home, size=SIZE)


def look(faces: np.ndarray, heading: float, elevation: float) -> np.ndarray:
    """Gives the mean colour in the middle of a view."""
    panorama = Panorama.of(list(faces), rotation=UPRIGHT)
    view = ViewRenderer(Camera(width=9, height=9, vertical_fov=0.3))
    return view.views(panorama, heading, elevation)[0].mean(axis=(0, 1))


def nearest_colour(rgb: np.ndarray) -> str:
    return min(COLOURS, key=lambda name: np.abs(np.array(COLOURS[name]) - rgb).sum())


def test_things_are_seen_in_their_direction_and_colour(renderer):
    faces = renderer.faces(EYE, UPRIGHT)
    assert faces.shape == (6, SIZE, SIZE, 3)
    assert faces.dtype == np.uint8
    assert nearest_colour(look(faces, 0.2, -0.58)) == "red"
    assert nearest_colour(look(faces, 0.6, -1.2)) == "blue"
    assert (look(faces, 0, math.pi / 2) > 180).all()


def test_a_turned_skybox_shows_the_same_views(renderer):
    turned = UPRIGHT @ np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])
    views = ViewRenderer(Camera(width=48, height=48, vertical_fov=1.0))
    shown = [
        views.views(Panorama.of(list(renderer.faces(EYE, r)), rotation=r), [0.4, 2.0], 0.1)
        for r in (UPRIGHT, turned)
    ]
    assert np.abs(shown[0].astype(float) - shown[1]).mean() < 4


def test_no_pixel_is_left_black_in_a_closed_home(renderer, home):
    eyes = [(0.3, 0.3, 1.5), EYE, (4.06, 1.45, 1.5), (6.0, 0.5, 1.5), (10.0, 2.0, 1.5)]
    darkest = [renderer.faces(eye, UPRIGHT).max(axis=-1).min() for eye in eyes]
    assert min(darkest) > 0


def test_the_same_home_gives_the_same_bytes(renderer, home):
    again = HomeRenderer(home, size=SIZE)
    one, other = renderer.faces(EYE, UPRIGHT), again.faces(EYE, UPRIGHT)
    np.testing.assert_array_equal(one, other)
    assert strip_bytes(one) == strip_bytes(other)


@pytest.mark.parametrize("warmth", [0.0, 1.0])
def test_colours_are_recognised_under_the_light(home, warmth):
    hall = dataclasses.replace(home.rooms[0], box=(0.0, 0.0, 9.0, 9.0))
    turns = np.arange(len(COLOURS)) * 2 * math.pi / len(COLOURS)
    chairs = tuple(
        item("armchair", c, 0, 4.5 + 3 * math.sin(t), 4.5 + 3 * math.cos(t), t + math.pi)
        for c, t in zip(COLOURS, turns, strict=True)
    )
    day = Daylight(2.0, 0.8, warmth)
    ring = Home("ring", 1, "none", (hall,), home.openings[2:], (), chairs, day)
    eye, size = (4.5, 4.5, 1.5), 128
    shown = HomeRenderer(ring, size=size).faces(eye, UPRIGHT)
    mesh = home_mesh(ring, step=None)
    triangle, _ = visible(mesh.corners, eye=eye, rotation=UPRIGHT, size=size)
    owner = np.where(triangle >= 0, mesh.owner[triangle], -1)
    named = [as_named(np.median(shown[owner == i], axis=0)) for i in range(len(chairs))]
    assert named == list(COLOURS)


def as_named(rgb: np.ndarray) -> str:
    """Gives a colour's name as people find it: by hue and strength first, then by brightness."""
    gains = np.linspace(0.7, 1.4, 15)[:, None]

    def differs(name: str) -> float:
        known = np.array(COLOURS[name])
        darker = abs(math.log((rgb.mean() + 5) / (known.mean() + 5)))
        return float(np.abs(gains * rgb - known).sum(axis=1).min() + 25 * darker)

    return min(COLOURS, key=differs)


def test_what_is_in_sight_is_never_left_out(home):
    mesh = home_mesh(home, step=None)
    group = np.where(mesh.owner < 0, -1 - mesh.owner, len(home.rooms) + mesh.owner)
    rng = np.random.default_rng(3)
    for _ in range(25):
        eye = (*rng.uniform((0.1, 0.1), (11.9, 3.9)), 1.5)
        triangle, _ = visible(mesh.corners, eye=eye, rotation=UPRIGHT, size=32)
        kept = np.concatenate(in_sight(home, eye))
        assert kept[group[triangle[triangle >= 0]]].all()


def test_rooms_behind_walls_are_left_out(home):
    rooms, items = in_sight(home, (0.5, 3.5, 1.5))
    assert rooms.tolist() == [True, True, False]
    assert items.tolist() == [True, True, False, False]


def test_outside_of_the_home_all_may_be_seen(home):
    rooms, items = in_sight(home, (-5.0, 0.0, 1.5))
    assert rooms.all()
    assert items.all()


def test_light_falls_from_windows_and_lacks_in_corners_and_under_things(home):
    mesh = home_mesh(home, step=None)
    charts = Baker.of(home, mesh).charts()
    rows, columns = charts.shape[0]
    floor = charts.light[charts.start[0] :][: rows * columns].reshape(rows, columns, 3).mean(-1)
    sunny, middle, corner = floor[3:12, 20:28].max(), floor[24, 8], floor[-2, 1]
    assert sunny > 1.3 * middle
    assert corner < 0.8 * middle
    assert floor[-5, columns // 2] < 0.6 * middle
    assert np.isfinite(charts.light).all()
    assert charts.light.min() >= 0


def test_a_home_without_windows_or_objects_is_lit_too(home):
    bare = dataclasses.replace(home, openings=home.openings[:2], items=())
    faces = HomeRenderer(bare, size=16).faces(EYE, UPRIGHT)
    assert 90 < faces.mean() < 240


@pytest.mark.parametrize("size", [1, 17])
def test_any_size_is_drawn(home, size):
    assert HomeRenderer(home, size=size).faces(EYE, UPRIGHT).shape == (6, size, size, 3)


def test_absurd_requests_are_refused(home, renderer):
    with pytest.raises(BadConfig, match="faces of 0 pixels"):
        HomeRenderer(home, size=0)
    with pytest.raises(BadConfig, match="finite"):
        renderer.faces((1.0, math.nan, 1.5), UPRIGHT)
    with pytest.raises(BadConfig, match="expected"):
        renderer.faces((1.0, 1.5), UPRIGHT)


def test_a_strip_holds_six_faces_from_left_to_right(renderer):
    faces = renderer.faces(EYE, UPRIGHT)
    decoded = cv2.imdecode(np.frombuffer(strip_bytes(faces), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (SIZE, 6 * SIZE, 3)
    back = np.stack(np.split(decoded[..., ::-1], 6, axis=1))
    assert np.abs(back.astype(float) - faces).mean() < 6
    assert len(strip_bytes(faces, quality=40)) < len(strip_bytes(faces))


def test_strips_of_other_things_are_refused(renderer):
    with pytest.raises(BadConfig, match="expected uint8"):
        strip_bytes(np.zeros((5, 8, 8, 3), np.uint8))
    with pytest.raises(BadConfig, match="quality of 0"):
        strip_bytes(np.zeros((6, 8, 8, 3), np.uint8), quality=0)


@pytest.mark.parametrize("material", sorted({*MATERIALS, *FLOORS, *WALLS, "ceiling", "door"}))
def test_materials_repeat_without_a_seam_and_calm_down_from_afar(material):
    levels = pattern(material).levels
    tone, mix = levels[0][..., 0], levels[0][..., 1]
    assert 0.8 < tone.mean() < 1.15
    assert mix.mean() < 0.5
    for channel in (tone, mix):
        for axis in (0, 1):
            steps = np.abs(channel - np.roll(channel, 1, axis=axis)).mean(axis=1 - axis)
            assert steps[0] <= steps[1:].max() * 1.5 + 1e-6
        assert levels[-1][..., 0].std() <= tone.std() + 1e-6


def test_an_unknown_material_is_named():
    with pytest.raises(UnknownName, match="fabirc"):
        pattern("fabirc")


def test_light_and_bytes_go_back_and_forth():
    table = srgb_table(entries=16384, brightest=4.0)
    dark = np.arange(0, 190, dtype=np.float64)
    back = table[np.rint(linear(dark) / 4 * 16383).astype(int)]
    assert np.abs(back - dark).max() <= 2
    assert (np.diff(table.astype(int)) >= 0).all()
    assert table[-1] > 240


def test_the_world_outside_closes_all_around_and_has_a_sky():
    around = outdoors(3, strength=1.0, warmth=0.0)
    seam = np.abs(around[:, 0] - around[:, -1]).mean()
    assert seam < 3 * np.abs(np.diff(around, axis=1)).mean()
    sky, ground = around[10].mean(axis=0), around[-10].mean(axis=0)
    assert sky[2] > sky[0]
    assert ground[1] > ground[2]
    assert not np.array_equal(around, outdoors(4, strength=1.0, warmth=0.0))


def test_long_edges_are_split_and_nothing_is_lost():
    corners = (SOLIDS["box"] * (2.0, 0.3, 0.6)).astype(np.float32)
    pieces, parent = split_long(corners, np.ones(len(corners), np.bool_), longest=0.5)
    edges = np.sqrt(((np.roll(pieces, -1, axis=1) - pieces) ** 2).sum(-1))
    assert edges.max() <= 0.5

    def areas(some: np.ndarray) -> np.ndarray:
        a, b, c = np.moveaxis(some.astype(np.float64), 1, 0)
        return np.sqrt((np.cross(b - a, c - a) ** 2).sum(-1)) / 2

    kept = np.bincount(parent, weights=areas(pieces), minlength=len(corners))
    np.testing.assert_allclose(kept, areas(corners), rtol=1e-5)
    np.testing.assert_allclose(flat_normals(pieces), flat_normals(corners)[parent], atol=1e-5)


def test_normals_bend_around_balls_and_not_around_boxes():
    ball, box = (SOLIDS[name].astype(np.float32) for name in ("sphere", "box"))
    for corners, is_round in ((ball, True), (box, False)):
        flat, zeros = flat_normals(corners), np.zeros(len(corners), np.int64)
        bent, same = bent_normals(corners, flat, zeros, zeros)
        place = corners.reshape(-1, 3)
        if is_round:
            outward = place / np.sqrt((place**2).sum(-1, keepdims=True))
            assert (bent * outward).sum(-1).min() > 0.95
        else:
            np.testing.assert_allclose(bent, np.repeat(flat, 3, axis=0), atol=1e-6)
        np.testing.assert_allclose(place[same], place, atol=1e-6)
        np.testing.assert_allclose(bent[same], bent, atol=0.02)
