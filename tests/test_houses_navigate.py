"""Viewpoints and edges of homes: where a person can stand, walk and see."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from vln.errors import BadConfig
from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.home import make_home
from vln.houses.building.scene import STOREY, Daylight, Finish, Home, Item, Opening, Room
from vln.houses.building.styles import SEEN_STYLES
from vln.houses.graph.floor import BODY, CELL, footprint
from vln.houses.graph.navigate import records, walk_of

PLAIN = Finish("planks", (150, 120, 90)), Finish("paint", (220, 220, 210))


def two_rooms(*, width=4.0, items=()):
    """A home of two rooms side by side, with a door between them at y = 2."""
    rooms = tuple(
        Room(kind, 0, (x, 0.0, x + width, 4.0), *PLAIN)
        for kind, x in (("bedroom", 0.0), ("office", width + 0.12))
    )
    wall = width + 0.06
    door = Opening("door", 0, (0, 1), (wall, 1.55), (wall, 2.45), 0.0, 2.05)
    return Home("two", 1, "plain", rooms, (door,), (), tuple(items), Daylight(0.0, 0.5, 0.5))


def chest(x, y, *, room=0, height=1.0, heading=0.0, size=1.0):
    return Item("trunk", "red", "wood", room, (x, y, 0.0), heading, (size, size, height))


def inside(points, item):
    """Whether points (n, 2) lie in an object's footprint, by the sides of its corners."""
    corners = footprint(item)
    edge = np.roll(corners, -1, axis=0) - corners
    offset = points[:, None, :] - corners
    side = edge[:, 0] * offset[..., 1] - edge[:, 1] * offset[..., 0]
    return (side > 0).all(axis=1) | (side < 0).all(axis=1)


@pytest.fixture(scope="module", params=[0, 1])
def made(request):
    style = SEEN_STYLES[request.param % len(SEEN_STYLES)]
    home = make_home(
        f"home{request.param}", seed=request.param, style=style, new_pairs=False, viewpoints=60
    )
    return home, walk_of(home)


def test_all_viewpoints_of_a_home_are_connected_and_edges_run_both_ways(made):
    _, walk = made
    assert connected_components(walk.adjacency, directed=False)[0] == 1
    assert (walk.adjacency == walk.adjacency.T).all()
    assert not walk.adjacency.diagonal().any()


def test_nobody_walks_through_furniture(made):
    home, walk = made
    start, end = np.nonzero(np.triu(walk.adjacency & (walk.stairs < 0)))
    along = np.linspace(0, 1, 60)[:, None, None]
    points = walk.position[start] + along * (walk.position[end] - walk.position[start])
    for item in home.items:
        if CATEGORIES[item.category].blocks:
            level = home.rooms[item.room].level
            same = np.abs(points[..., 2] - 1.5 - level) < 0.1
            assert not inside(points[same][:, :2], item).any(), item


def test_whoever_changes_rooms_passes_a_doorway_or_stairs(made):
    home, walk = made
    start, end = np.nonzero(walk.adjacency & (walk.stairs < 0))
    leaves = walk.room[start] != walk.room[end]
    assert (walk.door[start, end][leaves] >= 0).all()
    for a, b in zip(start[leaves], end[leaves], strict=True):
        joined = set(home.openings[walk.door[a, b]].rooms)
        assert joined & {int(walk.room[a]), int(walk.room[b])}


def test_stairs_climb_half_a_storey_per_edge_and_nothing_else_climbs(made):
    _, walk = made
    rise = np.abs(walk.position[:, None, 2] - walk.position[:, 2])
    np.testing.assert_allclose(rise[walk.stairs >= 0], STOREY / 2)
    assert (rise[walk.adjacency & (walk.stairs < 0)] == 0).all()


def test_viewpoints_keep_off_walls_and_off_each_other(made):
    home, walk = made
    boxes = np.array([home.rooms[room].box for room in walk.room])
    on_floor = ~(walk.stairs >= 0).any(axis=1)
    low = (walk.position[:, :2] - boxes[:, :2])[on_floor]
    high = (boxes[:, 2:] - walk.position[:, :2])[on_floor]
    assert min(low.min(), high.min()) >= BODY - 2 * CELL
    gap = np.linalg.norm(walk.position[:, None] - walk.position, axis=-1)
    assert gap[np.triu_indices(len(walk), 1)].min() > 0.4


def test_neighbours_see_each_other(made):
    _, walk = made
    assert (walk.visible | ~walk.adjacency).all()
    assert (walk.visible == walk.visible.T).all()


def test_the_same_home_has_the_same_viewpoints_in_the_same_file(made):
    home, walk = made
    again = walk_of(home)
    assert again.ids == walk.ids
    assert records(again) == records(walk)


def test_poses_are_level_cameras_that_look_along_the_world(made):
    _, walk = made
    turned = walk.rotation @ walk.rotation.transpose(0, 2, 1)
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(3), turned.shape), atol=1e-5)
    np.testing.assert_array_equal(walk.rotation[:, :, 1], [[0, 0, -1]] * len(walk))


def test_a_door_joins_two_rooms_and_a_wall_does_not():
    walk = walk_of(two_rooms())
    crossing = np.argwhere(np.triu(walk.door >= 0))
    assert len(crossing) >= 1
    for a, b in crossing:
        here, there = walk.position[a, :2], walk.position[b, :2]
        share = (4.06 - here[0]) / (there[0] - here[0])
        assert 1.55 + BODY - CELL <= here[1] + share * (there[1] - here[1]) <= 2.45 - BODY + CELL


def test_a_low_chest_stops_feet_but_not_eyes():
    low = walk_of(two_rooms(items=[chest(2.0, 2.0, size=1.6)]))
    high = walk_of(two_rooms(items=[chest(2.0, 2.0, size=1.6, height=2.0)]))
    assert low.ids == high.ids
    assert (low.adjacency == high.adjacency).all()
    assert low.visible.sum() > high.visible.sum()


def test_a_home_without_room_to_stand_says_so():
    home = two_rooms(width=1.0)
    full = [chest(0.5, 2.0, size=4.0), chest(1.62, 2.0, room=1, size=4.0)]
    with pytest.raises(BadConfig, match="room for 0 viewpoints"):
        walk_of(replace(home, items=tuple(full)))
