"""Objects and rooms named by sentences, and the card of a tower."""

import numpy as np
import pytest

from benchmarks import card, zeroshot
from benchmarks.zeroshot import name_views
from vln.data.captions import ViewCaption
from vln.data.objects import ObjectViews
from vln.errors import BadConfig
from vln.houses.words.caption_words import NOUNS, ROOMS
from vln.metrics.recall import Recall
from vln.pretrain.config import PretrainConfig
from vln.pretrain.lexicon import CATEGORY, ROOM, facts

CATEGORIES, KINDS = list(NOUNS), list(ROOMS)
VIEWS = [("sofa", "living room"), ("bed", "bedroom"), ("sofa", "bedroom"), ("sink", "kitchen")]
CAPTIONS = [
    ViewCaption(row, row, f"A {thing} in a {ROOMS[room][0]}.")
    for row, (thing, room) in enumerate(VIEWS)
]


class Source:
    """Sees the object and the room of a view, and reads those that a sentence names."""

    def __init__(self, *, mistakes=()):
        self.mistakes = dict(mistakes)

    def texts(self, texts):
        return np.stack([self._of(facts(text)) for text in texts])

    def of_views(self, panorama, view):
        assert (panorama == view).all()
        seen = [VIEWS[self.mistakes.get(row, row)] for row in panorama.tolist()]
        return np.stack([self._of({(CATEGORY, a), (ROOM, b)}) for a, b in seen])

    def _of(self, named):
        features = np.full(len(CATEGORIES) + len(KINDS), 1e-3, np.float32)
        places = {CATEGORY: CATEGORIES, ROOM: [*CATEGORIES, *KINDS]}
        for kind, name in named:
            if kind in places:
                features[places[kind].index(name)] = 1
        return features


def boxes(*rows):
    """Gives boxes: view, name, share of the view."""
    names = tuple(sorted({name for _, name, _ in rows}))
    where = np.array([row for row, _, _ in rows])
    what = np.array([names.index(name) for _, name, _ in rows])
    area = np.array([share for _, _, share in rows], np.float32)
    return ObjectViews(where, where, what, area, names)


BOXES = boxes(
    (0, "red sofa", 0.3),
    (0, "green rug", 0.1),
    (1, "blue bed", 0.2),
    (1, "white rug", 0.1),
    (2, "red sofa", 0.1),
    (2, "blue bed", 0.05),
    (3, "grey sink", 0.1),
)


def test_an_encoder_that_knows_names_every_object_and_room():
    objects, rooms = name_views(Source(), CAPTIONS, BOXES)

    assert (objects.views, objects.classes, objects.at_one, objects.shown) == (4, 53, 1.0, 1.0)
    assert (rooms.views, rooms.classes, rooms.at_one) == (4, 12, 1.0)


def test_a_wrong_name_counts_as_wrong_and_as_in_sight_only_where_it_is():
    objects, rooms = name_views(Source(mistakes={2: 1, 3: 1}), CAPTIONS, BOXES)

    assert objects.at_one == 0.5
    assert objects.shown == 0.75  # a bed is in sight in view 2, none in view 3
    assert rooms.at_one == 0.75  # view 2 is a bedroom as well


def test_the_most_frequent_class_is_the_bar():
    objects, rooms = name_views(Source(), CAPTIONS, BOXES)

    assert objects.frequent == 0.5
    assert rooms.frequent == 0.5


def test_the_largest_object_is_the_right_one():
    objects, _ = name_views(Source(), CAPTIONS, boxes((0, "red sofa", 0.1), (0, "green rug", 0.3)))

    assert (objects.views, objects.at_one, objects.shown) == (1, 0.0, 1.0)


def test_a_view_with_two_captions_counts_once():
    objects, _ = name_views(Source(), [*CAPTIONS, CAPTIONS[0]], BOXES)

    assert objects.views == 4


def test_a_world_of_others_names_is_refused():
    with pytest.raises(BadConfig, match="world of ours"):
        name_views(Source(), CAPTIONS, boxes((0, "shower curtain rod", 0.3)))


def test_a_table_has_a_row_for_each_kind():
    table = zeroshot.as_table(name_views(Source(), CAPTIONS, BOXES))

    assert [row[0] for row in table.rows] == ["object", "room"]
    assert table.rows[0][3:] == ("100.0", "100.0", "100.0", "50.0")


# The card.


def test_a_card_says_how_to_train_the_tower_again():
    config = {**vars(PretrainConfig()), "updates": 7, "seed": 3, "threads": 2}

    assert card.command(config) == "python -m vln.pretrain.contrastive --seed 3 --updates 7"


def test_a_card_has_the_figures_of_every_world(tmp_path):
    about = {
        "config": vars(PretrainConfig()),
        "updates": 2,
        "minutes": 1.0,
        "pairs": "ab" * 32,
        "curve": [
            {
                "step": 2,
                "minutes": 1.0,
                "loss": 2.5,
                "image_to_text_1": 0.25,
                "text_to_image_1": 0.5,
            }
        ],
    }
    found = Recall((0.61, 0.9), (0.5, 0.8), 0.04)
    named = name_views(Source(), CAPTIONS, BOXES)
    measured = [card.Measured(env, 6, 360, found, named) for env in ("one", "two")]
    config = card.Config(file=tmp_path / "tower.safetensors", out=tmp_path / "mine")

    text = card.document(
        about, card.TowerSpec(words=("a", "b")), size=3_400_000, measured=measured, config=config
    )

    assert text.count("61.0 ± 4.0") == 2
    assert "3.4 MB" in text
    assert "object, two" in text


def test_the_arithmetic_of_a_tower_is_within_its_budget():
    assert card.megaflops(card.TowerSpec()) <= 100
