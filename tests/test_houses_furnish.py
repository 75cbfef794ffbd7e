"""Furniture: every room has its own, and nothing collides or blocks the way."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy import ndimage
from test_houses_plan import SIZES, SLACK, footprint, home_of, inside, overlap, passages

from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.scene import CEILING


@pytest.fixture(scope="module")
def homes():
    """Homes of all sizes and styles."""
    return [home_of(seed, viewpoints=SIZES[seed % len(SIZES)]) for seed in range(10)]


@pytest.fixture(scope="module")
def large():
    """Homes as the benchmark has them."""
    return [home_of(seed) for seed in range(100, 110)]


def standing(home):
    return [item for item in home.items if CATEGORIES[item.category].blocks]


def by_room(home):
    for index, room in enumerate(home.rooms):
        yield room, [item for item in home.items if item.room == index]


def before(opening, room, deep):
    """Gives the floor of a room before an opening, `deep` from the wall's face."""
    (ax, ay), (bx, by) = opening.start, opening.end
    x0, y0, x1, y1 = room.box
    if ax == bx:
        low, high = sorted((ay, by))
        return (x1 - deep, low, x1, high) if ax > x1 else (x0, low, x0 + deep, high)
    low, high = sorted((ax, bx))
    return (low, y1 - deep, high, y1) if ay > y1 else (low, y0, high, y0 + deep)


def test_nothing_stands_before_a_door(homes):
    for home in homes:
        for opening in passages(home):
            for index in opening.rooms:
                free = before(opening, home.rooms[index], 0.9)
                blocking = [
                    item.name
                    for item in standing(home)
                    if item.room == index and overlap(free, footprint(item))
                ]
                assert blocking == []


def test_nothing_tall_stands_or_hangs_before_a_window(homes):
    for home in homes:
        for opening in home.openings:
            if opening.kind == "window":
                room = home.rooms[opening.rooms[0]]
                free = before(opening, room, 0.25)
                for item in home.items:
                    top = item.position[2] + item.size[2] - room.level
                    if item.room == opening.rooms[0] and overlap(free, footprint(item)):
                        assert top <= opening.bottom + 0.06 or CATEGORIES[item.category].place in (
                            "ceiling",
                            "top",
                        )


def test_objects_are_inside_their_rooms(homes):
    for home in homes:
        for item in home.items:
            room = home.rooms[item.room]
            assert inside(footprint(item), room.box), item.name
            assert room.level <= item.position[2]
            assert item.position[2] + item.size[2] <= room.level + CEILING


def test_no_two_objects_share_space(homes):
    for home in homes:
        for _, held in by_room(home):
            solid = [item for item in held if item.category != "rug"]
            for one, two in combinations(solid, 2):
                above = one.position[2] >= two.position[2] + two.size[2] - SLACK
                below = two.position[2] >= one.position[2] + one.size[2] - SLACK
                assert above or below or not overlap(footprint(one), footprint(two))


def test_rugs_lie_side_by_side(homes):
    for home in homes:
        for _, held in by_room(home):
            rugs = [footprint(item) for item in held if item.category == "rug"]
            assert not any(overlap(one, two) for one, two in combinations(rugs, 2))


def test_things_on_tops_stand_wholly_on_what_carries_them(homes):
    for home in homes:
        for item in home.items:
            category = CATEGORIES[item.category]
            if category.place == "top":
                carriers = [
                    other
                    for other in home.items
                    if other.room == item.room
                    and other.category in category.near
                    and inside(footprint(item), footprint(other))
                    and other.position[2] + other.size[2] == pytest.approx(item.position[2])
                ]
                assert len(carriers) == 1


def test_hung_things_touch_a_wall_and_look_away_from_it(homes):
    for home in homes:
        for item in home.items:
            category = CATEGORIES[item.category]
            if category.place == "hung":
                x, y, z = item.position
                box, back = home.rooms[item.room].box, item.size[1] / 2
                behind = x - math.sin(item.heading) * back, y - math.cos(item.heading) * back
                gaps = (
                    behind[0] - box[0],
                    behind[1] - box[1],
                    box[2] - behind[0],
                    box[3] - behind[1],
                )
                assert min(map(abs, gaps)) < 0.002
                lift = z - home.rooms[item.room].level
                assert category.lift[0] - 0.006 <= lift <= category.lift[1] + 0.006


def test_chairs_look_at_their_table_and_match_one_another(large):
    for home in large:
        hosts = [i for i in home.items if i.category in CATEGORIES["chair"].near]
        looks = {}
        for chair in (item for item in home.items if item.category == "chair"):
            x, y, _ = chair.position
            ahead = 0.45
            point = x + math.sin(chair.heading) * ahead, y + math.cos(chair.heading) * ahead
            faced = [
                number
                for number, host in enumerate(hosts)
                if host.room == chair.room and inside((*point, *point), footprint(host))
            ]
            assert len(faced) == 1
            look = looks.setdefault(faced[0], (chair.colour, chair.material, chair.size))
            assert look == (chair.colour, chair.material, chair.size)


def test_every_room_has_what_makes_it_one(large):
    signs = {
        "bedroom": "bed",
        "bathroom": "toilet",
        "kitchen": "stove",
        "living room": "sofa",
        "dining room": "table",
        "office": "desk",
        "library": "bookcase",
        "playroom": "rocking horse",
        "laundry room": "washing machine",
        "gym": "treadmill",
        "music room": "piano",
    }
    lacking = Counter()
    rooms = Counter()
    for home in large:
        for index, room in enumerate(home.rooms):
            held = {item.category for item in home.items if item.room == index}
            rooms[room.kind] += 1
            lacking[room.kind] += room.kind in signs and signs[room.kind] not in held

    assert {kind: n for kind, n in lacking.items() if n > 0.05 * rooms[kind]} == {}


def test_rooms_are_richly_furnished(large):
    counts = [
        sum(item.room == index for item in home.items)
        for home in large
        for index, room in enumerate(home.rooms)
        if (room.box[2] - room.box[0]) * (room.box[3] - room.box[1]) > 12
    ]

    assert np.median(counts) >= 8
    assert min(counts) >= 3


def test_a_person_reaches_everything_from_every_door(homes):
    for home in homes:
        for index, room in enumerate(home.rooms):
            held = [i for i in standing(home) if i.room == index]
            flights = [s.box for s in home.stairs if index in s.rooms]
            boxes = [footprint(item) for item in held] + flights
            labels = ways(room.box, boxes)
            doors = [before(o, room, 0.9) for o in passages(home) if index in o.rooms]
            main = np.bincount(labels[labels > 0]).argmax()
            assert all((labels[cells(room.box, door, 0.0)] == main).any() for door in doors)
            for box in boxes:
                assert (labels[cells(room.box, box, 0.75)] == main).any()


def cells(room, box, margin):
    """Gives the cells, 5 cm wide, of a room's floor that a box grown by `margin` covers."""
    return tuple(
        slice(
            max(0, round((box[axis] - margin - room[axis]) / 0.05)),
            max(0, round((box[axis + 2] + margin - room[axis]) / 0.05)),
        )
        for axis in (0, 1)
    )


def ways(room, boxes):
    """Gives numbered parts of the floor that the middle of a 0.6 m wide person can be on."""
    free = np.zeros((round((room[2] - room[0]) / 0.05), round((room[3] - room[1]) / 0.05)))
    free[6:-6, 6:-6] = 1
    for box in boxes:
        free[cells(room, box, 0.3)] = 0
    return ndimage.label(free)[0]
