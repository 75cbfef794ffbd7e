"""Floor plans: rooms, doors, windows and stairs of a home fit together."""

import math
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from vln.houses.building.catalogue import CATEGORIES
from vln.houses.building.home import make_home
from vln.houses.building.plan import plan_of
from vln.houses.building.scene import WALL, from_json, to_json
from vln.houses.building.styles import STYLES
from vln.houses.graph.navigate import walk_of
from vln.runs import generator

SIZES = (12, 25, 45, 80, 150)
SLACK = 0.0015  # coordinates are whole millimetres


@cache
def home_of(seed, *, viewpoints=80, style=None, new_pairs=False):
    style = style or tuple(STYLES)[seed % len(STYLES)]
    return make_home(
        f"home{seed}", seed=seed, style=style, new_pairs=new_pairs, viewpoints=viewpoints
    )


@pytest.fixture(scope="module")
def homes():
    """Homes of all sizes and styles."""
    return [home_of(seed, viewpoints=SIZES[seed % len(SIZES)]) for seed in range(10)]


@pytest.fixture(scope="module")
def large():
    """Homes as the benchmark has them."""
    return [home_of(seed) for seed in range(100, 110)]


def footprint(item):
    turned = round(item.heading / (math.pi / 2)) % 2
    a, d = item.size[turned] / 2, item.size[1 - turned] / 2
    x, y, _ = item.position
    return (x - a, y - d, x + a, y + d)


def overlap(a, b, slack=SLACK):
    return min(a[2], b[2]) - max(a[0], b[0]) > slack and min(a[3], b[3]) - max(a[1], b[1]) > slack


def inside(box, outer):
    return (
        box[0] >= outer[0] - SLACK
        and box[1] >= outer[1] - SLACK
        and box[2] <= outer[2] + SLACK
        and box[3] <= outer[3] + SLACK
    )


def passages(home):
    return [opening for opening in home.openings if opening.kind != "window"]


def reached(home):
    """Gives the rooms that one walks to from the first one."""
    steps = [o.rooms for o in passages(home)] + [s.rooms for s in home.stairs]
    found, todo = {0}, [0]
    while todo:
        room = todo.pop()
        for pair in steps:
            if room in pair:
                (other,) = set(pair) - {room}
                if other not in found:
                    found.add(other)
                    todo.append(other)
    return found


def test_every_room_is_reached_through_doors_and_stairs(homes):
    assert [home.scan for home in homes if len(reached(home)) < len(home.rooms)] == []


def test_doors_make_loops_so_that_there_is_more_than_one_way(large):
    shares = [
        len(passages(home)) / (len(home.rooms) - len({r.storey for r in home.rooms}))
        for home in large
    ]

    assert 1.25 < np.median(shares) < 1.5


def test_rooms_of_a_storey_are_a_wall_apart(homes):
    for home in homes:
        for one, two in combinations(home.rooms, 2):
            grown = (one.box[0] - WALL, one.box[1] - WALL, one.box[2] + WALL, one.box[3] + WALL)
            assert one.storey != two.storey or not overlap(grown, two.box)


def test_openings_are_in_walls_and_as_large_as_people_need(homes):
    for home in homes:
        for opening in home.openings:
            (ax, ay), (bx, by) = opening.start, opening.end
            wide = max(abs(ax - bx), abs(ay - by))
            fits = {"door": wide == pytest.approx(0.9), "arch": 1.6 <= wide + 1e-6 <= 2.21}
            assert fits.get(opening.kind, 0.6 <= wide <= 1.71)
            assert all(home.rooms[r].storey == opening.storey for r in opening.rooms if r >= 0)


def test_openings_of_a_wall_do_not_run_into_each_other(homes):
    for home in homes:
        for one, two in combinations(home.openings, 2):
            boxes = [
                (
                    min(o.start[0], o.end[0]) - 0.02,
                    min(o.start[1], o.end[1]) - 0.02,
                    max(o.start[0], o.end[0]) + 0.02,
                    max(o.start[1], o.end[1]) + 0.02,
                )
                for o in (one, two)
            ]
            assert one.storey != two.storey or not overlap(*boxes)


def test_a_kitchen_is_beside_the_dining_room(large):
    for home in large:
        pairs = [{home.rooms[r].kind for r in o.rooms} for o in passages(home) if o.kind == "arch"]
        assert {"kitchen", "dining room"} in pairs or {"kitchen", "living room"} in pairs


def test_about_a_third_of_the_homes_have_two_storeys():
    plans = [plan_of(80, rng=generator(seed, "plan")) for seed in range(200)]

    assert 0.25 < np.mean([plan.flight is not None for plan in plans]) < 0.5


def test_stairs_join_two_halls_with_free_floor_at_both_ends(large):
    flights = [(home, stairs) for home in large for stairs in home.stairs]
    assert flights
    for home, stairs in flights:
        lower, upper = (home.rooms[r] for r in stairs.rooms)
        assert (lower.storey, upper.storey) == (0, 1)
        assert lower.kind == upper.kind == "hallway"
        assert lower.box == upper.box
        x0, y0, x1, y1 = stairs.box
        dx, dy = abs(math.sin(stairs.heading)), abs(math.cos(stairs.heading))
        with_ends = (x0 - dx, y0 - dy, x1 + dx, y1 + dy)
        assert inside(with_ends, lower.box)
        assert [
            item.name
            for item in home.items
            if item.room in stairs.rooms
            and CATEGORIES[item.category].place != "hung"
            and overlap(stairs.box if item.position[2] % 3 else with_ends, footprint(item))
        ] == []


@pytest.mark.parametrize("viewpoints", [6, 8, 200])
def test_the_smallest_and_the_largest_home_are_whole(viewpoints):
    for seed in range(2):
        home = home_of(seed, viewpoints=viewpoints)
        assert len(reached(home)) == len(home.rooms)
        assert from_json(to_json(home), file=Path("scene.json")) == home


def test_a_home_has_about_as_many_viewpoints_as_asked_and_one_in_every_room(large):
    few = large[:4]

    walks = [walk_of(home) for home in few]

    assert 0.85 < np.median([len(walk) for walk in walks]) / 80 < 1.15
    for home, walk in zip(few, walks, strict=True):
        assert set(walk.room.tolist()) == set(range(len(home.rooms)))
