"""Homes: varied in kind, colour and style, and the same for the same seed."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_houses_plan import SIZES, home_of

from vln.errors import BadConfig, UnknownName
from vln.houses.building.catalogue import (
    CATEGORIES,
    COLOURS,
    FLOORS,
    HELD_OUT,
    MATERIALS,
    ROOM_KINDS,
    WALLS,
)
from vln.houses.building.home import make_home
from vln.houses.building.scene import from_json, to_json
from vln.houses.building.styles import SEEN_STYLES, STYLES, UNSEEN_STYLES


@pytest.fixture(scope="module")
def homes():
    """Homes of all sizes and styles."""
    return [home_of(seed, viewpoints=SIZES[seed % len(SIZES)]) for seed in range(15)]


@pytest.fixture(scope="module")
def large():
    """Homes as the benchmark has them."""
    return [home_of(seed) for seed in range(100, 114)]


def test_every_kind_of_room_and_forty_categories_appear_often(homes, large):
    kinds = Counter(kind for home in large for kind in {room.kind for room in home.rooms})
    categories = Counter(name for home in large for name in {i.category for i in home.items})

    assert min(kinds[kind] for kind in ROOM_KINDS) >= 3
    assert sum(count >= 3 for count in categories.values()) >= 40
    assert all({"bedroom", "bathroom", "kitchen"} <= {r.kind for r in h.rooms} for h in homes)


def test_names_are_mostly_clear_within_a_room_and_often_ambiguous_in_a_home(large):
    twice, repeated, total = 0, 0, 0
    for home in large:
        single = [item for item in home.items if item.category not in ("chair", "nightstand")]
        here = Counter((item.name, item.room) for item in single)
        anywhere = Counter(item.name for item in single)
        twice += sum(count > 1 for count in here.values())
        repeated += sum(anywhere[item.name] > 1 for item in single)
        total += len(single)

    assert twice < 0.01 * total
    assert 0.2 < repeated / total < 0.7


@pytest.mark.parametrize("new_pairs", [False, True])
def test_held_out_pairs_are_kept_out_or_make_up_a_third(new_pairs):
    for seed in range(8):
        home = home_of(seed, viewpoints=SIZES[seed % 5], new_pairs=new_pairs)
        share = np.mean([(item.colour, item.category) in HELD_OUT for item in home.items])
        assert share >= 1 / 3 if new_pairs else share == 0


def test_objects_have_colours_materials_and_sizes_of_the_catalogue(homes):
    for home in homes:
        for item in home.items:
            category = CATEGORIES[item.category]
            assert item.colour in category.colours
            assert item.material in category.materials
            if item.category != "rug":  # a rug is cut to its room
                for length, (low, high) in zip(item.size, category.size, strict=True):
                    assert low - 0.006 <= length <= high + 0.006


def test_every_colour_that_a_training_home_may_show_is_shown(homes, large):
    names = {item.name for home in [*homes, *large] for item in home.items}
    possible = {
        f"{colour} {category}"
        for category in ("plant", "picture", "bench")
        for colour in CATEGORIES[category].colours
        if (colour, category) not in HELD_OUT
    }

    assert possible <= names


def test_the_same_arguments_give_the_same_bytes_in_another_process():
    code = (
        "import sys; from vln.houses.building.home import make_home; "
        "from vln.houses.building.scene import to_json; "
        "sys.stdout.buffer.write(to_json(make_home('a', seed=7, style='retro', new_pairs=True, "
        "viewpoints=40)))"
    )
    home = make_home("a", seed=7, style="retro", new_pairs=True, viewpoints=40)

    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": "3"}
    ).stdout

    assert other == to_json(home)


def test_a_home_is_read_as_it_was_written(homes):
    for home in homes:
        assert from_json(to_json(home), file=Path("scene.json")) == home


def test_coordinates_are_whole_millimetres(homes):
    for home in homes:
        values = [v for room in home.rooms for v in room.box]
        values += [v for item in home.items for v in (*item.position, *item.size)]
        values += [v for opening in home.openings for v in (*opening.start, *opening.end)]
        assert all(value == round(value, 3) for value in values)
        assert b"-0.0," not in to_json(home)


def test_seeds_and_scans_give_different_homes():
    one = home_of(1, style="nordic")
    other = make_home("other", seed=1, style="nordic", new_pairs=False, viewpoints=80)

    assert len({one.rooms, other.rooms, home_of(2, style="nordic").rooms}) == 3


def test_new_pairs_change_colours_and_nothing_else():
    one, two = (home_of(3, style="candy", new_pairs=new) for new in (False, True))

    assert [(i.category, i.position) for i in one.items] == [
        (i.category, i.position) for i in two.items
    ]
    assert one.rooms == two.rooms


@pytest.mark.parametrize("viewpoints", [-1, 0, 5, 201, 10**9])
def test_an_absurd_size_is_refused(viewpoints):
    with pytest.raises(BadConfig, match=rf"viewpoints={viewpoints}.*6 to 200"):
        make_home("a", seed=0, style="nordic", new_pairs=False, viewpoints=viewpoints)


def test_an_unknown_style_is_named_with_the_nearest_one():
    with pytest.raises(UnknownName, match="Did you mean 'nordic'"):
        make_home("a", seed=0, style="nordik", new_pairs=False, viewpoints=80)


def test_unseen_styles_share_no_wall_floor_or_new_material_with_seen_ones():
    def finishes(names, part):
        return {
            finish.material
            for name in names
            for group in getattr(STYLES[name], part).values()
            for finish in group
        }

    for part, known in (("walls", WALLS), ("floors", FLOORS)):
        seen, unseen = finishes(SEEN_STYLES, part), finishes(UNSEEN_STYLES, part)
        assert seen | unseen <= set(known)
        assert not seen & unseen
    assert len(SEEN_STYLES) >= 8
    assert len(UNSEEN_STYLES) >= 3


def test_unseen_styles_show_pairs_of_category_and_material_that_seen_ones_do_not():
    def pairs(names):
        return {
            (item.category, item.material)
            for seed, name in enumerate(names * 2)
            for item in home_of(seed, style=name).items
        }

    new = pairs(UNSEEN_STYLES) - pairs(SEEN_STYLES)

    assert len(new) >= 5
    assert {material for _, material in new} <= set(MATERIALS)


def test_walls_of_a_home_differ_from_room_to_room(large):
    for home in large:
        assert len({room.wall for room in home.rooms}) >= 4
        assert all(0 <= c <= 255 for room in home.rooms for c in room.wall.colour)


def test_styles_have_their_own_favourite_colours():
    counts = {
        style: Counter(i.colour for seed in range(3) for i in home_of(seed, style=style).items)
        for style in ("candy", "classic")
    }

    assert counts["candy"]["pink"] > 1.4 * counts["classic"]["pink"]
    assert set(counts["candy"]) == set(COLOURS)
