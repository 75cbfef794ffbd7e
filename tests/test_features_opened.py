"""Which features `--encoder` takes: ours, else the only imported ones, else it says what lacks."""

import logging
import shutil

import numpy as np
import pytest
from safetensors.torch import save_file

from vln.encoders import World
from vln.encoders.loading import load
from vln.errors import BadConfig, CheckpointMismatch, MissingFeatures
from vln.features import store
from vln.features.opened import extract_features, open_features
from vln.testing import make_tiny_world, write_skyboxes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The tiny world with pictures."""
    world = make_tiny_world(tmp_path_factory.mktemp("opened"))
    write_skyboxes(world.folder, world.graph, size=8)
    return world


@pytest.fixture
def world(made, tmp_path):
    """It, with weights of a small CLIP beside it."""
    return World(made.folder, made.graph, tmp_path / "cache")


@pytest.fixture(scope="module")
def small(clip_tensors, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(clip_tensors(layers=1), file)
    return file


def handle(file):
    return f"clip:{file}+direct+32px"


def values(world, *, fill=1.0):
    return np.full((len(world.graph.viewpoints), 36, 4), fill, dtype=np.float32)


def stored(world, *, encoder, fingerprint="ab" * 32, fill=1.0, source=""):
    return store.write(
        values(world, fill=fill),
        world.graph,
        encoder=encoder,
        fingerprint=fingerprint,
        source=source,
        cache=world.cache,
    )


def test_features_are_extracted_once_and_found_afterwards(world, small, monkeypatch):
    first = open_features(handle(small), world)
    monkeypatch.setattr("vln.features.extract.extract", None)  # it would be called now

    again = open_features(handle(small), world)

    assert first.fingerprint == again.fingerprint
    np.testing.assert_array_equal(first.values, again.values)
    assert len(np.unique(first.values.reshape(-1, first.dim), axis=0)) > 36


def test_features_of_other_weights_under_the_same_name_are_not_taken(world, small, clip_tensors):
    before = open_features(handle(small), world)
    kept = small.read_bytes()
    save_file(clip_tensors(layers=1, seed=1), small)
    try:
        after = open_features(handle(small), world)
    finally:
        small.write_bytes(kept)

    assert after.fingerprint != before.fingerprint


def test_features_of_other_pictures_are_not_taken(made, world, small, tmp_path):
    before = open_features(handle(small), world)
    other = shutil.copytree(made.folder, tmp_path / "other")
    picture = next((other / "skyboxes").rglob("*.jpg"))
    picture.write_bytes(picture.read_bytes() + b"\0")

    after = open_features(handle(small), World(other, made.graph, world.cache))

    assert after.values.filename != before.values.filename


def test_features_that_were_brought_here_need_neither_pictures_nor_weights(
    tiny_world, world, small
):
    made_there = open_features(handle(small), world)
    kept = small.rename(small.with_suffix(".away"))
    try:
        here = World(tiny_world.folder, world.graph, world.cache)

        found = open_features(handle(small), here)
    finally:
        kept.rename(small)

    assert found.fingerprint == made_there.fingerprint


def test_some_pictures_do_not_hide_features_that_were_brought_here(made, world, tmp_path):
    stored(world, encoder="clip_rn50", source="cd" * 32)
    some = shutil.copytree(made.folder, tmp_path / "some")
    next((some / "skyboxes").rglob("*.jpg")).unlink()

    found = open_features("clip_rn50", World(some, made.graph, world.cache))

    np.testing.assert_array_equal(found.values, values(world))


def test_the_only_imported_features_are_taken_and_named(tiny_world, tmp_path, caplog):
    world = World(tiny_world.folder, tiny_world.graph, tmp_path)
    stored(world, encoder="clip_rn50@01234567", fill=3)

    with caplog.at_level(logging.INFO):
        found = open_features("clip_rn50", world)

    assert (found.values == 3).all()
    assert "the imported clip_rn50@01234567, the only ones here" in caplog.text


def test_our_own_features_go_before_imported_ones(tiny_world, tmp_path):
    world = World(tiny_world.folder, tiny_world.graph, tmp_path)
    stored(world, encoder="clip_rn50@01234567", fill=3)
    stored(world, encoder="clip_rn50", fill=5)

    assert (open_features("clip_rn50", world).values == 5).all()
    assert (open_features("clip_rn50@01234567", world).values == 3).all()


def test_several_imported_features_are_listed_for_a_choice(tiny_world, tmp_path):
    world = World(tiny_world.folder, tiny_world.graph, tmp_path)
    stored(world, encoder="clip_rn50@01234567")
    stored(world, encoder="clip_rn50@89abcdef")

    with pytest.raises(BadConfig, match=r"Name one of clip_rn50@01234567, clip_rn50@89abcdef"):
        open_features("clip_rn50", world)


def test_an_import_that_is_not_here_lists_those_that_are(tiny_world, tmp_path):
    world = World(tiny_world.folder, tiny_world.graph, tmp_path)
    stored(world, encoder="clip_rn50@01234567")

    with pytest.raises(MissingFeatures, match=r"Imported ones of clip_rn50: clip_rn50@01234567"):
        open_features("clip_rn50@89abcdef", world)


def test_words_make_another_encoder(tiny_world, tmp_path):
    world = World(tiny_world.folder, tiny_world.graph, tmp_path)
    stored(world, encoder="clip_rn50")

    with pytest.raises(MissingFeatures, match=r"--encoder clip_rn50\+bgr needs features"):
        open_features("clip_rn50+bgr", world)


def test_missing_pictures_are_counted(made, small, tmp_path):
    some = shutil.copytree(made.folder, tmp_path / "some")
    next((some / "skyboxes").rglob("*.jpg")).unlink()
    count = len(made.graph.viewpoints)

    with pytest.raises(MissingFeatures, match=f"images: of {count - 1} of {count} viewpoints"):
        open_features(handle(small), World(some, made.graph, tmp_path / "cache"))


def test_weights_that_are_not_there_are_told_with_the_rest(world):
    with pytest.raises(MissingFeatures) as caught:
        open_features("clip:elsewhere.pt", world)

    assert "elsewhere.pt" in str(caught.value)
    assert "images: found." in str(caught.value)


def test_what_is_extracted_has_to_be_a_network(world):
    with pytest.raises(BadConfig, match="cannot be extracted from pictures"):
        extract_features("objects", world)


def test_a_file_of_weights_can_be_given_and_has_to_fit(world, small):
    with pytest.raises(CheckpointMismatch, match=r"another network than clip_rn50"):
        extract_features("clip_rn50", world, weights=small)


def test_what_is_stored_is_what_the_encoder_gives(world, small):
    table = open_features(handle(small), world)
    encoder = load(handle(small))

    assert table.dim == encoder.dim
    assert table.fingerprint == encoder.spec.fingerprint
    assert table.dtype == np.float16
