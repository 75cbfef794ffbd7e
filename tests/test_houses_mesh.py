import math

import numpy as np
import pytest

from vln.houses.building.catalogue import CATEGORIES, COLOURS, FLOORS, MATERIALS, WALLS
from vln.houses.building.scene import (
    CEILING,
    STOREY,
    WALL,
    Daylight,
    Finish,
    Home,
    Item,
    Opening,
    Room,
    Stairs,
)
from vln.houses.pictures.raster import visible
from vln.houses.shapes.furniture import parts
from vln.houses.shapes.joinery import DOORS, lamp_places, leaf_place, trim_of
from vln.houses.shapes.mesh import home_mesh
from vln.houses.shapes.solids import SOLIDS, place, volume
from vln.panorama.faces import UPRIGHT

TOLERANCE = 0.002
MOST_TRIANGLES = 1700
SPECIAL = ("ceiling", "door", "window", "glow", "trim")


def an_item(category, *, size=0.5, colour=None, position=(2.0, 2.0, 0.0), heading=0.0):
    entry = CATEGORIES[category]
    spans = (round(low + size * (high - low), 3) for low, high in entry.size)
    colour = colour or entry.colours[0]
    return Item(category, colour, entry.materials[0], 0, position, heading, tuple(spans))


def a_home(*, items=(), openings=None, stairs=True):
    paint = Finish("paint", (180, 200, 190))
    planks = Finish("planks", (150, 110, 70))
    rooms = (
        Room("living room", 0, (0.0, 0.0, 5.0, 4.0), planks, paint),
        Room("kitchen", 0, (5.0 + WALL, 0.0, 9.0, 4.0), Finish("tiles", (200, 200, 200)), paint),
        Room("hallway", 0, (0.0, 4.0 + WALL, 9.0, 6.5), planks, Finish("brick", (150, 80, 70))),
        Room("bedroom", 1, (0.0, 0.0, 9.0, 6.5), Finish("carpet", (120, 120, 150)), paint),
    )
    if openings is None:
        openings = (
            Opening("door", 0, (0, 1), (5.06, 1.0), (5.06, 1.9), 0.0, 2.05),
            Opening("arch", 0, (2, 0), (1.5, 4.06), (3.2, 4.06), 0.0, 2.3),
            Opening("window", 0, (0, -1), (1.5, -0.06), (3.2, -0.06), 0.9, 2.1),
            Opening("window", 1, (3, -1), (9.06, 1.5), (9.06, 3.0), 0.9, 2.1),
        )
    flight = Stairs(0, (4.0, 5.3, 8.0, 6.4), math.pi / 2, (2, 3))
    light = Daylight(0.0, 0.5, 0.5)
    return Home("h", 0, "s", rooms, openings, (flight,) if stairs else (), tuple(items), light)


def areas(corners):
    sides = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.linalg.norm(np.cross(*sides), axis=1) / 2


def looks(corners):
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)


def shell_with(mesh, room, finish):
    number = mesh.finishes.index(finish)
    return mesh.corners[(mesh.owner == -1 - room) & (mesh.finish == number)].astype(np.float64)


def hit_from(mesh, eye, heading):
    """The owner and the finish of what is seen straight ahead at a heading."""
    cos, sin = math.cos(heading), math.sin(heading)
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    triangle, depth = visible(mesh.corners, eye=eye, rotation=turn @ UPRIGHT, size=33)
    index = triangle[3, 16, 16]
    return mesh.owner[index], mesh.finishes[mesh.finish[index]].material, depth[3, 16, 16]


@pytest.mark.parametrize("name", SOLIDS)
def test_a_solid_is_closed_and_looks_outwards(name):
    edges = SOLIDS[name][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2, 3).round(9) + 0.0
    forth = sorted(map(tuple, edges.reshape(-1, 6).tolist()))
    back = sorted(map(tuple, edges[:, ::-1].reshape(-1, 6).tolist()))

    assert forth == back
    assert volume(SOLIDS[name]) > 0


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("size", [0.0, 1.0])
def test_an_object_stays_inside_its_size(category, size):
    item = an_item(category, size=size)

    corners, part = place(parts(item))

    wide, deep, high = item.size
    if category == "pendant lamp":  # its last part is the cord to the ceiling
        corners = corners[part < part.max()]
    assert corners[..., 2].min() >= -TOLERANCE
    assert corners[..., 2].max() <= high + TOLERANCE
    assert np.abs(corners[..., 0]).max() <= wide / 2 + TOLERANCE
    assert np.abs(corners[..., 1]).max() <= deep / 2 + TOLERANCE


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_part_of_an_object_looks_outwards_and_none_is_missing(category):
    built = parts(an_item(category))

    corners, part = place(built)

    assert all(volume(corners[part == i]) > 0 for i in range(len(built)))
    assert len(corners) <= MOST_TRIANGLES


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_object_shows_its_colour_and_fills_its_size(category):
    item = an_item(category, colour=CATEGORIES[category].colours[-1])

    built = parts(item)
    corners, _ = place(built)

    assert any(part.finish.colour == COLOURS[item.colour] for part in built)
    filled = np.ptp(corners.reshape(-1, 3), axis=0)
    assert filled == pytest.approx(item.size, rel=0.15, abs=0.16) or category == "pendant lamp"


@pytest.mark.parametrize("category", ["bookcase", "plant", "picture", "shelf"])
def test_the_same_object_at_the_same_place_looks_the_same(category):
    assert parts(an_item(category)) == parts(an_item(category))


def test_two_bookcases_hold_other_books():
    assert parts(an_item("bookcase")) != parts(an_item("bookcase", position=(3.0, 1.0, 0.0)))


def test_the_front_of_an_object_looks_along_its_heading():
    # A bed's pillows lie at its back.
    mesh = home_mesh(a_home(items=[an_item("bed", heading=math.pi / 2)]), step=None)

    tall = mesh.corners[mesh.owner == 0].reshape(-1, 3)
    head = tall[tall[:, 2] > 0.95]

    assert head[:, 0].max() < 1.2
    assert tall[:, 0].max() == pytest.approx(2.0 + an_item("bed").size[1] / 2, abs=0.03)


def test_every_triangle_has_an_owner_and_a_finish_that_exist():
    home = a_home(items=[an_item("bed"), an_item("lamp", position=(3.0, 3.0, 0.5))])

    mesh = home_mesh(home, step=None)

    assert mesh.owner.min() == -len(home.rooms)
    assert set(mesh.owner[mesh.owner >= 0].tolist()) == {0, 1}
    assert set(mesh.finish.tolist()) == set(range(len(mesh.finishes)))
    assert {finish.material for finish in mesh.finishes} <= {
        *MATERIALS, *FLOORS, *WALLS, *SPECIAL
    }  # fmt: skip
    assert (mesh.corners.dtype, mesh.owner.dtype, mesh.finish.dtype) == ("f4", "i4", "i4")


@pytest.mark.parametrize("step", [None, 0.5])
def test_floors_cover_their_rooms_but_for_the_hole_of_the_stairs(step):
    home = a_home()

    mesh = home_mesh(home, step=step)

    for room, space in enumerate(home.rooms):
        corners = shell_with(mesh, room, space.floor)
        flat = (looks(corners)[:, 2] > 0.9) & (np.abs(corners[..., 2] - space.level).max(1) < 1e-4)
        x0, y0, x1, y1 = space.box
        inside = np.abs(corners[..., 0] - (x0 + x1) / 2).max(1) <= (x1 - x0) / 2 + 1e-4
        inside &= np.abs(corners[..., 1] - (y0 + y1) / 2).max(1) <= (y1 - y0) / 2 + 1e-4
        hole = 4.0 * 1.1 if room == 3 else 0.0
        assert areas(corners[flat & inside]).sum() == pytest.approx((x1 - x0) * (y1 - y0) - hole)


def test_ceilings_are_open_above_stairs_only():
    mesh = home_mesh(a_home(), step=None)

    look = Finish("ceiling", (244, 243, 239))
    flat = {room: shell_with(mesh, room, look) for room in (0, 2)}
    flat = {room: c[looks(c)[:, 2] < -0.9] for room, c in flat.items()}

    assert areas(flat[0]).sum() == pytest.approx(5.0 * 4.0)
    assert areas(flat[2]).sum() == pytest.approx(9.0 * (6.5 - 4.0 - WALL) - 4.0 * 1.1)


def test_no_edge_of_floors_walls_and_ceilings_is_longer_than_the_step():
    home, step = a_home(), 0.4

    mesh = home_mesh(home, step=step)

    for room, space in enumerate(home.rooms):
        for finish in (space.floor, space.wall):
            corners = shell_with(mesh, room, finish)
            gap = np.abs(corners - np.roll(corners, 1, axis=1))
            assert gap.max() <= step + 1e-5


@pytest.mark.parametrize("step", [None, 0.3])
def test_a_room_is_closed_but_for_its_openings(step):
    """Every edge of floor, walls and ceiling that has one triangle only lies around a hole."""
    openings = (Opening("window", 0, (0, -1), (1.5, -0.06), (3.2, -0.06), 0.9, 2.1),)
    home = a_home(openings=openings, stairs=False)

    mesh = home_mesh(home, step=step)

    space = home.rooms[0]
    kinds = (space.floor, space.wall, Finish("ceiling", (244, 243, 239)))
    corners = np.concatenate([shell_with(mesh, 0, kind) for kind in kinds]).round(5) + 0.0
    edges = corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2, 3)
    forth = {tuple(e) for e in edges.reshape(-1, 6).tolist()}
    open_edges = np.array([e for e in forth if (*e[3:], *e[:3]) not in forth]).reshape(-1, 2, 3)
    assert len(open_edges) >= 4
    assert np.abs(open_edges[..., 1]).max() < 1e-4
    assert (open_edges[..., 0].min(), open_edges[..., 0].max()) == pytest.approx((1.5, 3.2))
    assert (open_edges[..., 2].min(), open_edges[..., 2].max()) == pytest.approx((0.9, 2.1))


def test_one_sees_through_a_door_into_the_next_room():
    mesh = home_mesh(a_home(), step=None)

    owner, material, depth = hit_from(mesh, (2.0, 1.45, 1.5), math.pi / 2)

    assert (owner, material) == (-2, "paint")
    assert depth == pytest.approx(9.0 - 2.0)


def test_one_sees_a_wall_beside_the_door():
    mesh = home_mesh(a_home(), step=None)

    owner, material, depth = hit_from(mesh, (2.0, 3.5, 1.5), math.pi / 2)

    assert (owner, material) == (-1, "paint")
    assert depth == pytest.approx(5.0 - 2.0)


def test_one_sees_the_pane_of_a_window():
    mesh = home_mesh(a_home(), step=None)

    owner, material, depth = hit_from(mesh, (2.1, 2.0, 1.3), math.pi)

    assert (owner, material) == (-1, "window")
    assert depth == pytest.approx(2.0 + WALL / 2)


def test_one_sees_through_an_arch_from_both_sides():
    mesh = home_mesh(a_home(), step=None)

    there = hit_from(mesh, (2.4, 1.0, 1.5), 0.0)
    back = hit_from(mesh, (1.6, 6.0, 1.3), math.pi)

    assert there[:2] == (-3, "brick")
    assert back[:2] == (-1, "window")


def test_a_leaf_stands_beside_its_door_and_not_in_it():
    home = a_home()

    mesh = home_mesh(home, step=None)

    room, end = leaf_place(home, home.openings[0])
    leaf = shell_with(mesh, room, DOORS[home.seed % len(DOORS)])
    assert leaf[..., 2].max() == pytest.approx(2.05, abs=0.02)
    assert leaf[..., 1].max() <= 1.0 if end < 0 else leaf[..., 1].min() >= 1.9
    assert np.abs(leaf[..., 0] - 5.06).max() < 0.15


def test_a_leaf_hangs_where_no_object_stands():
    wardrobe = an_item("wardrobe", position=(4.6, 0.7, 0.0), heading=-math.pi / 2)
    free, taken = a_home(), a_home(items=[wardrobe])

    assert leaf_place(free, free.openings[0]) == (0, -1)
    assert leaf_place(taken, taken.openings[0]) == (0, 1)


def test_a_door_without_wall_beside_it_has_a_frame_only():
    crowd = [
        an_item("wardrobe", position=(x, y, 0.0), heading=turn * math.pi / 2)
        for x, turn in ((4.6, -1), (5.5, 1))
        for y in (0.7, 2.6)
    ]
    home = a_home(items=crowd)
    home = Home("h", 0, "s", home.rooms, home.openings, (), tuple(
        Item(i.category, i.colour, i.material, room, i.position, i.heading, i.size)
        for i, room in zip(home.items, (0, 0, 1, 1), strict=True)
    ), home.daylight)  # fmt: skip

    mesh = home_mesh(home, step=None)

    assert leaf_place(home, home.openings[0]) is None
    assert "door" not in {finish.material for finish in mesh.finishes}


def test_stairs_climb_from_floor_to_floor_inside_their_box():
    home = a_home()

    mesh = home_mesh(home, step=None)

    wood = Finish("wood", (150, 108, 70))
    treads = shell_with(mesh, 2, wood)
    up = looks(treads)[:, 2] > 0.9
    heights = np.unique(treads[up][..., 2].round(4))
    assert np.diff([0.0, *heights, STOREY]) == pytest.approx(STOREY / 16, abs=1e-3)
    low, high = treads.reshape(-1, 3).min(0), treads.reshape(-1, 3).max(0)
    assert (*low[:2], *high[:2]) == pytest.approx(home.stairs[0].box, abs=1e-4)
    first = treads[up][treads[up][..., 2].max(1) < 0.2]
    assert first[..., 0].max() < 4.5  # it climbs along +x


def test_stairs_may_climb_to_any_side():
    for turn in range(4):
        box = (3.0, 4.2, 4.1, 6.4) if turn % 2 == 0 else (3.0, 5.0, 6.0, 6.1)
        flight = Stairs(0, box, turn * math.pi / 2, (2, 3))
        home = a_home(stairs=False)
        home = Home("h", 0, "s", home.rooms, home.openings, (flight,), (), home.daylight)

        mesh = home_mesh(home, step=None)

        treads = shell_with(mesh, 2, Finish("wood", (150, 108, 70)))
        top = treads[treads[..., 2].min(1) > STOREY - 0.25].reshape(-1, 3)
        ahead = np.array([math.sin(flight.heading), math.cos(flight.heading)])
        middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
        assert ((top[:, :2] - middle) @ ahead).min() > 0
        assert volume(treads) > 0


def test_a_railing_guards_the_hole_above():
    mesh = home_mesh(a_home(), step=None)

    rail = shell_with(mesh, 3, Finish("wood", (112, 74, 46)))

    assert rail[..., 2].min() > STOREY + 0.8
    assert rail[..., 0].max() <= 8.0 + 0.1


def test_lamps_hang_below_every_ceiling_but_not_in_the_hole_of_stairs():
    home = a_home()

    for room, space in enumerate(home.rooms):
        x0, y0, x1, y1 = space.box
        places = lamp_places(home, room)
        assert places
        assert all(x0 < x < x1 and y0 < y < y1 for x, y in places)
    assert not any(4.0 < x < 8.0 and 5.3 < y < 6.4 for x, y in lamp_places(home, 2))


def test_frames_are_wooden_where_walls_are_white():
    home = a_home()
    white = tuple(
        Room(r.kind, r.storey, r.box, r.floor, Finish("paint", (240, 240, 238))) for r in home.rooms
    )
    pale = Home("h", 0, "s", white, home.openings, (), (), home.daylight)

    assert trim_of(pale) != trim_of(home)


def test_a_cord_reaches_from_a_pendant_lamp_to_the_ceiling_of_its_storey():
    for storey in (0, 1):
        lamp = an_item("pendant lamp", position=(2.0, 2.0, storey * STOREY + 1.8))
        mesh = home_mesh(a_home(items=[lamp]), step=None)

        top = mesh.corners[mesh.owner == 0][..., 2].max()

        assert top == pytest.approx(storey * STOREY + CEILING, abs=1e-3)


def test_the_same_home_gives_the_same_mesh():
    items = [
        an_item(name, position=(1.0 + 0.01 * i, 2.0, 0.0)) for i, name in enumerate(CATEGORIES)
    ]

    first, second = (home_mesh(a_home(items=items), step=0.5) for _ in range(2))

    assert first.corners.tobytes() == second.corners.tobytes()
    assert first.finish.tobytes() == second.finish.tobytes()
    assert first.finishes == second.finishes


def test_a_home_may_be_empty():
    mesh = home_mesh(a_home(stairs=False), step=None)

    assert len(mesh.corners) > 100
    assert mesh.owner.max() < 0
