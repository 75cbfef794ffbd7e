"""Guides' instructions, their pose traces, and captions: what they say is so, and is in sight."""

import io
import re
from itertools import pairwise

import numpy as np
import pytest

from vln.geometry import heading_of
from vln.houses.building.catalogue import CATEGORIES, COLOURS, ROOM_KINDS
from vln.houses.building.home import make_home
from vln.houses.building.styles import SEEN_STYLES
from vln.houses.graph.navigate import walk_of
from vln.houses.graph.sight import sights_of
from vln.houses.words import caption_words, telling
from vln.houses.words.caption import captions, coco
from vln.houses.words.detours import detours, walking
from vln.houses.words.itinerary import NOTICED, Itinerary
from vln.houses.words.naming import NAMED_PIXELS
from vln.houses.words.narrate import guide_records
from vln.houses.words.phrases import NOUNS
from vln.houses.words.remarks import Remarks
from vln.houses.words.traces import pose_trace, trace_bytes
from vln.runs import generator

RXR = {
    "split",
    "instruction_id",
    "annotator_id",
    "language",
    "path_id",
    "scan",
    "path",
    "heading",
    "instruction",
    "timed_instruction",
    "edit_distance",
}


class Furnished:
    """A home with everything that is derived of it."""

    def __init__(self):
        self.home = make_home("h", seed=5, style=SEEN_STYLES[0], new_pairs=False, viewpoints=45)
        self.walk = walk_of(self.home)
        self.sights = sights_of(self.home, self.walk)
        self.parts = self.home, self.walk, self.sights
        self.guides = self.told(seed=1)
        self.captions = captions(generator(1, "captions"), *self.parts, count=150)

    def told(self, *, seed):
        rng = generator(seed, "guides")
        return guide_records(rng, *self.parts, split="train", count=15, first_id=4000)

    def pixels(self, viewpoint, item):
        row = (self.sights.viewpoint == viewpoint) & (self.sights.item == item)
        return float(self.sights.pixels[row].sum())

    def itineraries(self):
        for number, path in enumerate(detours(generator(2, "paths"), self.walk, count=12)):
            yield Itinerary(*self.parts, path=path, heading=number * 0.5)

    def box(self, caption, item):
        viewpoint = self.walk.ids.index(caption["viewpoint"])
        sights = self.sights
        rows = np.flatnonzero((sights.viewpoint == viewpoint) & (sights.item == item))
        found = np.flatnonzero((sights.row == rows[0]) & (sights.view == caption["view"]))
        return sights.box[found[0]], sights.box_pixels[found[0]]


@pytest.fixture(scope="module")
def furnished():
    return Furnished()


def test_records_have_rxrs_fields_and_two_more(furnished):
    assert len(furnished.guides) == 15
    assert all(set(guide) == RXR | {"objects", "glances"} for guide in furnished.guides)
    assert [guide["instruction_id"] for guide in furnished.guides] == list(range(4000, 4015))


def test_two_annotators_tell_every_path_in_words_of_their_own(furnished):
    first, second = furnished.guides[0], furnished.guides[1]

    assert first["path_id"] == second["path_id"] != furnished.guides[2]["path_id"]
    assert first["path"] == second["path"]
    assert first["annotator_id"] != second["annotator_id"]
    assert first["instruction"] != second["instruction"]


def test_instructions_are_as_long_and_as_dense_as_rxrs(furnished):
    words = [len(guide["instruction"].split()) for guide in furnished.guides]
    objects = [len(guide["objects"]) for guide in furnished.guides]

    assert min(words) >= 60
    assert max(words) <= 120
    assert np.mean(objects) >= 7


def test_timed_words_are_the_instruction_and_never_overlap(furnished):
    for guide in furnished.guides:
        timed = guide["timed_instruction"]
        times = [t for word in timed for t in (word["start_time"], word["end_time"])]
        assert " ".join(word["word"] for word in timed) == guide["instruction"]
        assert times == sorted(times)
        assert timed[0]["start_time"] > 0


def test_paths_follow_edges_visit_nothing_twice_and_are_mostly_detours(furnished):
    walk = furnished.walk
    metres, _ = walking(walk)
    ratios = []
    for guide in furnished.guides:
        path = [walk.ids.index(name) for name in guide["path"]]
        steps = list(pairwise(path))
        assert all(walk.adjacency[a, b] for a, b in steps)
        assert len(set(path)) == len(path)
        ratios.append(sum(metres[a, b] for a, b in steps) / metres[path[0], path[-1]])
    assert np.mean(np.array(ratios) >= 1.2) > 0.6


def test_every_object_is_named_where_it_is_seen_and_nothing_else_has_its_name(furnished):
    home, walk = furnished.home, furnished.walk
    checked = 0
    for guide in furnished.guides:
        for first, last, item in guide["objects"]:
            step = max(g for g in guide["glances"] if g[0] <= first)[1]
            viewpoint = walk.ids.index(guide["path"][int(step)])
            twins = [i for i, other in enumerate(home.items) if other.name == home.items[item].name]
            assert furnished.pixels(viewpoint, item) >= NAMED_PIXELS
            assert sum(furnished.pixels(viewpoint, twin) >= NOTICED for twin in twins) == 1
            said = guide["instruction"].lower().split()[first:last]
            checked += _names(" ".join(said).strip(".,"), home.items[item])
    assert checked > 80


def _names(said, item):
    """Tells whether words name an object; "it" refers to one that was named just before."""
    if said == "it":
        return False
    assert re.match("(the|an?) ", said)
    assert item.colour in said
    assert any(said.endswith(noun.lower()) for noun in NOUNS[item.category])
    return True


def test_sides_and_turns_are_those_of_the_path(furnished):
    sides = {**dict.fromkeys(telling.LEFT, -1), **dict.fromkeys(telling.RIGHT, 1)}
    checked = 0
    for itinerary in furnished.itineraries():
        for remark in Remarks(generator(3, "words"), itinerary).all():
            if "side" in remark.slots:
                turn = itinerary.turn(remark.step)
                assert remark.slots["side"] == ("right" if turn > 0 else "left")
                checked += 1
            if remark.slots.get("at") in sides and not remark.is_order:
                facing = {
                    itinerary.facing[remark.step],
                    *itinerary.ahead[remark.step : remark.step + 1],
                }
                aside = [np.sin(remark.heading - f) for f in facing]
                assert max(s * sides[remark.slots["at"]] for s in aside) > np.sin(np.radians(59))
                checked += 1
    assert checked > 60


def test_what_is_passed_lies_beside_the_way(furnished):
    checked = 0
    for itinerary in furnished.itineraries():
        for step in range(len(itinerary)):
            a, b = (furnished.walk.position[itinerary.path[step + k], :2] for k in (0, 1))
            for glimpse, how in itinerary.passed(step):
                x = np.array(itinerary.item(glimpse.item).position[:2])
                # Positive where x lies to the right of the line from a to b.
                right = (x - a)[0] * (b - a)[1] - (x - a)[1] * (b - a)[0]
                assert how in ("across", "under") or (how == "right") == (right > 0)
                checked += 1
    assert checked > 20


def test_a_seed_gives_the_same_words_and_another_one_gives_others(furnished):
    assert furnished.told(seed=1) == furnished.guides
    assert furnished.told(seed=2) != furnished.guides


def test_a_trace_walks_the_path_and_looks_where_the_guide_does(furnished):
    walk = furnished.walk
    for guide in furnished.guides:
        trace = pose_trace(guide, walk)
        pano, time = trace["pano"][:, 0], trace["time"][:, 0]
        pose = trace["extrinsic_matrix"].reshape(-1, 4, 4)
        visited = pano[np.flatnonzero(np.append(True, pano[1:] != pano[:-1]))]
        assert visited.tolist() == guide["path"]
        assert (np.diff(time) >= 0).all()
        standing = walk.position[[walk.ids.index(name) for name in pano]]
        assert np.allclose(_ours(pose[:, :3, 3]), standing, atol=1e-3)
        for first, step, heading, _ in guide["glances"]:
            start = guide["timed_instruction"][int(first)]["start_time"]
            row = np.flatnonzero((np.abs(time - start) < 1e-2) & (pano == guide["path"][int(step)]))
            looks = heading_of(_ours(-pose[row[-1], :3, 2]).astype(np.float64))
            assert abs(np.sin(looks - heading)) < 1e-3


def _ours(vectors):
    """Turns a world with y up back into one with z up."""
    return np.stack([vectors[..., 0], -vectors[..., 2], vectors[..., 1]], axis=-1)


def test_cameras_of_a_trace_are_rigid_and_see_sixty_degrees(furnished):
    trace = pose_trace(furnished.guides[0], furnished.walk)
    turn = trace["extrinsic_matrix"].reshape(-1, 4, 4)[:, :3, :3]
    lens = trace["intrinsic_matrix"].reshape(-1, 4, 4)

    assert np.allclose(turn @ turn.transpose(0, 2, 1), np.eye(3), atol=1e-4)
    assert np.allclose(np.linalg.det(turn), 1, atol=1e-4)
    assert np.allclose(2 * np.arctan(1 / lens[:, 1, 1]), np.radians(60))


def test_a_trace_file_is_read_by_numpy_and_repeats_byte_for_byte(furnished, tmp_path):
    trace = pose_trace(furnished.guides[0], furnished.walk)

    (tmp_path / "trace.npz").write_bytes(trace_bytes(trace))

    content = (tmp_path / "trace.npz").read_bytes()
    assert content == trace_bytes(pose_trace(furnished.guides[0], furnished.walk))
    with np.load(io.BytesIO(content)) as found:
        assert {name: found[name].dtype.kind for name in found} == {
            "pano": "U",
            "time": "f",
            "extrinsic_matrix": "f",
            "intrinsic_matrix": "f",
        }
        assert found["extrinsic_matrix"].shape == (len(found["time"]), 16)


def test_captions_name_what_their_view_shows(furnished):
    assert len(furnished.captions) == 150
    for caption in furnished.captions:
        text = caption["caption"].lower()
        assert 8 <= len(text.split()) <= 25
        assert caption["objects"]
        for index in caption["objects"]:
            item = furnished.home.items[index]
            assert furnished.box(caption, index)[1] >= NAMED_PIXELS
            assert any(word in text for word in caption_words.COLOURS[item.colour])
            nouns = caption_words.NOUNS[item.category]
            assert any(noun.lower().replace("shelf", "shel") in text for noun in nouns)


@pytest.mark.parametrize(("words", "side"), [("left of", -1), ("right of", 1)])
def test_left_and_right_in_captions_are_those_of_the_picture(furnished, words, side):
    told = [c for c in furnished.captions if words in c["caption"] and len(c["objects"]) == 2]

    assert told
    for caption in told:
        (a, _), (b, _) = (furnished.box(caption, index) for index in caption["objects"])
        assert np.sign(a[0] + a[2] / 2 - b[0] - b[2] / 2) == side


def test_what_a_caption_puts_on_top_of_something_is_higher(furnished):
    many = captions(generator(4, "captions"), *furnished.parts, count=250)
    told = [c for c in many if re.search("on top of|resting on|sitting on", c["caption"])]

    assert told
    for caption in told:
        a, b = (furnished.home.items[index] for index in caption["objects"][:2])
        assert a.position[2] > b.position[2] + 0.2


def test_most_captions_are_of_level_views(furnished):
    rows = np.array([caption["view"] // 12 for caption in furnished.captions])

    assert np.mean(rows == 1) > 0.7
    assert set(rows) == {0, 1, 2}


def test_captions_in_cocos_format_share_images_and_keep_their_own_ids(furnished):
    twice = [*furnished.captions, furnished.captions[0]]

    found = coco(twice)

    names = [image["file_name"] for image in found["images"]]
    assert len(set(names)) == len(names) == 150
    assert names[0] == "h/{viewpoint}_{view:02}".format_map(furnished.captions[0])
    assert [note["id"] for note in found["annotations"]] == list(range(151))
    assert found["annotations"][-1]["image_id"] == found["images"][0]["id"]


def test_no_captions_are_none(furnished):
    assert captions(generator(1, "captions"), *furnished.parts, count=0) == []


def test_captions_have_words_for_everything_and_many_that_instructions_lack():
    known = {noun for nouns in NOUNS.values() for noun in nouns}
    own = [c for c in CATEGORIES if set(caption_words.NOUNS[c]) - known]

    assert set(caption_words.NOUNS) == set(CATEGORIES)
    assert set(caption_words.COLOURS) == set(COLOURS)
    assert set(caption_words.ROOMS) == set(telling.ROOMS) == set(ROOM_KINDS)
    assert len(own) > len(CATEGORIES) / 2
