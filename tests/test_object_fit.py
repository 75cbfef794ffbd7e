"""What object encoders learn in one world, and that another world can use it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vln.data.objects import load_objects
from vln.encoders import World
from vln.encoders.object_fit import (
    NORM,
    OBJECT_WORDS,
    OBJECTS,
    RULES,
    SMALLEST,
    make_fit,
    words_of,
)
from vln.encoders.objects import write_fit
from vln.errors import CorruptData
from vln.features.opened import open_features
from vln.testing import make_tiny_world


@pytest.fixture
def world(tmp_path):
    """A tiny world whose chairs are green."""
    made = make_tiny_world(tmp_path / "world")
    _rename(made.folder, "chair", "Green_chair")
    return World(made.folder, made.graph, tmp_path / "cache")


def _rename(folder, name, new):
    for file in (folder / "reverie" / "BBox").glob("*.json"):
        file.write_bytes(file.read_bytes().replace(f'"{name}"'.encode(), f'"{new}"'.encode()))


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("green bed", ("bed", "green", "green bed")),
        ("bed", ("bed",)),
        ("Dining#chair ", ("chair", "dining", "dining chair")),
        ("bed bed", ("bed", "bed bed")),
        ("?", ()),
    ],
)
def test_a_name_has_its_words_and_itself(name, labels):
    assert words_of(name) == labels


def test_a_view_of_a_green_chair_shows_green_and_a_chair_and_both(world):
    columns = make_fit(world, load_objects(world.data, world.graph), OBJECT_WORDS).columns
    plain, words = open_features("objects", world), open_features("object_words", world)
    names = make_fit(world, load_objects(world.data, world.graph), OBJECTS).columns

    assert {"green", "chair", "green chair"} < set(columns)
    shown = words.values[..., [columns.index(w) for w in ("green", "chair", "green chair")]]
    np.testing.assert_array_equal(shown[..., 0], shown[..., 1])
    np.testing.assert_array_equal(shown[..., 0], shown[..., 2])
    seen = plain.values[..., names.index("Green_chair")]
    np.testing.assert_array_equal(seen > 0, shown[..., 0] > 0)
    assert (seen > 0).any()


def test_words_of_training_scans_alone_have_the_norm_of_clips_features(world):
    table = open_features("object_words", world)
    train = {e.start.scan for e in _episodes(world)}
    inside = np.isin(world.graph.scan_index, [world.graph.scans.index(scan) for scan in train])

    norms = np.linalg.norm(table.values[inside].astype(np.float64), axis=2)

    assert np.sqrt((norms[norms > 0] ** 2).mean()) == pytest.approx(NORM, rel=1e-3)


def _episodes(world):
    from vln.data.episodes import load_episodes

    return load_episodes("r2r", "train", data=world.data, graph=world.graph)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.encoder)
def test_with_the_same_fit_another_world_has_features_of_the_same_encoder(world, tmp_path, rule):
    ours, file = open_features(rule.encoder, world), tmp_path / "fit.json"
    write_fit(file, world)
    other = make_tiny_world(tmp_path / "other", seed=1)
    (other.folder / "r2r" / "R2R_train.json").unlink()  # a world of twins has none

    theirs = open_features(rule.encoder, World(other.folder, other.graph, world.cache, file))

    assert open_features(rule.encoder, replace(world, fit=file)).fingerprint == ours.fingerprint
    assert theirs.fingerprint == ours.fingerprint
    assert theirs.dim == ours.dim


def test_worlds_that_fit_for_themselves_have_encoders_of_their_own(world, tmp_path):
    other = make_tiny_world(tmp_path / "other", seed=1)

    theirs = open_features("object_words", World(other.folder, other.graph, world.cache))

    assert theirs.fingerprint != open_features("object_words", world).fingerprint


def test_other_boxes_on_the_same_graph_are_encoded_again(world, tmp_path):
    write_fit(tmp_path / "fit.json", world)
    world = replace(world, fit=tmp_path / "fit.json")
    before = open_features("object_words", world)
    shown = before.values.copy()
    _rename(world.data, "table", "lamp")

    after = open_features("object_words", world)

    assert after.fingerprint == before.fingerprint
    assert (after.values != shown).any()


def test_a_fit_is_taken_as_it_stands(world, tmp_path):
    file = tmp_path / "fit.json"
    write_fit(file, world)
    content = json.loads(file.read_bytes())
    content["encoder"]["object_words"].update(columns=["chair"], scale=2.0)
    file.write_text(json.dumps(content))
    seen = load_objects(world.data, world.graph)
    chairs = seen.name == seen.names.index("Green_chair")
    area = np.zeros((len(world.graph.viewpoints), 36))
    np.add.at(area, (seen.panorama[chairs], seen.view[chairs]), seen.area[chairs])

    table = open_features("object_words", replace(world, fit=file))

    np.testing.assert_allclose(table.values[..., 0], 2 * np.log2(1 + area / SMALLEST), rtol=1e-3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content["encoder"].pop("object_words"),
        lambda content: content.pop("encoder"),
        lambda content: content["encoder"]["object_words"].update(rule="older"),
        lambda content: content["encoder"]["object_words"].update(columns=["b", "a"]),
        lambda content: content["encoder"]["object_words"].update(columns=[1]),
        lambda content: content["encoder"]["object_words"].update(scale=0),
        lambda content: content["encoder"]["object_words"].update(scale="1"),
        lambda content: content.update(encoder=[]),
    ],
)
def test_a_fit_that_cannot_be_used_is_named_with_its_remedy(world, tmp_path, damage):
    file = tmp_path / "fit.json"
    write_fit(file, world)
    content = json.loads(file.read_bytes())
    damage(content)
    file.write_text(json.dumps(content))

    with pytest.raises(CorruptData, match=rf"{file}.*Remove the file"):
        open_features("object_words", replace(world, fit=file))


def test_a_fit_that_is_cut_off_is_named_with_the_same_remedy(world, tmp_path):
    file = tmp_path / "fit.json"
    write_fit(file, world)
    file.write_bytes(file.read_bytes()[:-20])

    with pytest.raises(CorruptData, match=rf"{file}: is cut off.*Remove the file"):
        open_features("object_words", replace(world, fit=file))
