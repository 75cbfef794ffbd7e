"""Colours of views as features: what they say, and that the same pictures are read once."""

import os

import cv2
import numpy as np
import pytest

from vln.encoders import World
from vln.encoders.image_stats import DIM, HEIGHT, WIDTH, statistics
from vln.encoders.object_fit import NORM
from vln.errors import CorruptData, MissingData
from vln.features.opened import open_features
from vln.panorama.pinhole import Camera
from vln.panorama.sources import find_panoramas
from vln.panorama.views import ViewRenderer
from vln.testing import make_tiny_world, write_skyboxes


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stats")
    made = make_tiny_world(folder / "world")
    write_skyboxes(made.folder, made.graph, size=16)
    return World(made.folder, made.graph, folder / "cache")


def test_the_means_are_those_of_the_cells_and_the_histogram_counts_every_pixel():
    rng = np.random.default_rng(0)
    view = rng.integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)

    (found,) = statistics(view[None])

    means = cv2.resize(view.astype(np.float64), (4, 3), interpolation=cv2.INTER_AREA)
    colour = (view // 64).reshape(-1, 3).astype(np.int64) @ [16, 4, 1]
    shares = np.bincount(colour, minlength=64) / (HEIGHT * WIDTH)
    expected = np.concatenate([(means.ravel() / 127.5 - 1) / 6, np.sqrt(shares)])
    np.testing.assert_allclose(
        found, NORM * expected / np.linalg.norm(expected), rtol=1e-3, atol=1e-5
    )


def test_every_view_has_the_statistics_of_what_it_shows(world):
    graph, panorama = world.graph, 17
    source = find_panoramas(world.data, graph=graph)
    picture = source.panorama(graph.scan_of(panorama), graph.viewpoints[panorama])
    views = ViewRenderer(Camera(width=WIDTH, height=HEIGHT), smooth=True).sweep(picture)

    table = open_features("image_stats", world)

    assert table.values.shape == (len(graph.viewpoints), 36, DIM)
    np.testing.assert_allclose(table.values[panorama], statistics(views), atol=5e-3)
    assert len(np.unique(table.values[panorama], axis=0)) == 36


def test_pictures_are_read_again_only_when_they_change(world, monkeypatch):
    open_features("image_stats", world)
    monkeypatch.setattr("vln.encoders.image_stats._extracted", None)
    again = open_features("image_stats", world)
    picture = next((world.data / "skyboxes").rglob("*.jpg"))
    os.utime(picture, ns=(1, 1))
    (world.data / "skyboxes" / "notes.txt").write_text("mine")
    assert open_features("image_stats", world).dim == DIM
    picture.write_bytes(picture.read_bytes() + b"\0")

    with pytest.raises(TypeError):  # it would be extracted now
        open_features("image_stats", world)

    assert again.dim == DIM


def test_a_picture_that_is_missing_is_named(world, tmp_path):
    made = make_tiny_world(tmp_path)
    write_skyboxes(made.folder, made.graph, size=8)
    gone = sorted((tmp_path / "skyboxes").rglob("*.jpg"))[3]
    gone.unlink()

    with pytest.raises((MissingData, CorruptData), match=gone.name.split("_")[0]):
        open_features("image_stats", World(tmp_path, made.graph, tmp_path / "cache"))

    assert not (tmp_path / "cache").exists()


def test_a_world_without_pictures_says_where_they_would_be(tiny_world, tmp_path):
    with pytest.raises(MissingData, match="no panoramas in"):
        open_features("image_stats", World(tiny_world.folder, tiny_world.graph, tmp_path))
