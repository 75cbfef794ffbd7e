"""Extraction: what is stored is what the encoder gives, whatever interrupts it."""

import hashlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from vln.encoders import World
from vln.encoders.recipe import Recipe
from vln.errors import BadConfig, CorruptData, EncodingFailed, InUse, MissingData
from vln.features import store
from vln.features.catalogue import unfinished
from vln.features.extract import BLOCKS, Extraction, ViewMaker, best_block, extract, view_camera
from vln.features.online import EncodedPictures, EncodedViews
from vln.panorama.sources import find_panoramas
from vln.service.requests import Limits
from vln.service.service import EncoderService
from vln.testing import make_tiny_world, write_skyboxes
from vln.types import EncoderSpec


@dataclass
class Colours:
    """An encoder that gives the mean colour of three columns of a view."""

    recipe: Recipe = field(default_factory=lambda: Recipe(size=24, direct=True))
    handle: str = "clip:colours.pt"
    dim: int = 9
    device: str = "cpu"
    batches: list = field(default_factory=list)

    @property
    def spec(self):
        return EncoderSpec(9, (9, 1, 1), (24, 24), "rgb", "fp32", "cd" * 32)

    def encode(self, kind, items):
        assert kind == "images"
        self.batches.append(len(items))
        columns = items.reshape(len(items), items.shape[1], 3, -1, 3)
        return columns.mean(axis=(1, 3), dtype=np.float64).astype(np.float32).reshape(-1, 9)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The tiny world with pictures."""
    made = make_tiny_world(tmp_path_factory.mktemp("extract"))
    write_skyboxes(made.folder, made.graph, size=16)
    return made


@pytest.fixture
def world(pictures, tmp_path):
    return World(pictures.folder, pictures.graph, tmp_path / "cache")


QUIET = Extraction(progress=False)


def test_every_view_is_stored_as_the_encoder_gives_it(world):
    encoder = Colours()

    table = extract(encoder, world, settings=Extraction(block=16, workers=2, progress=False))

    maker = ViewMaker(find_panoramas(world.data, graph=world.graph), encoder.recipe)
    count = len(world.graph.viewpoints)
    expected = np.stack(
        [
            encoder.encode("images", maker.views(world.graph.scan_of(i), viewpoint))
            for i, viewpoint in enumerate(world.graph.viewpoints)
        ]
    )
    assert table.values.shape == (count, 36, 9)
    assert table.fingerprint == encoder.spec.fingerprint
    np.testing.assert_allclose(table.values, expected, rtol=1e-3)
    assert len(np.unique(table.values.reshape(-1, 9), axis=0)) > count


def test_blocks_have_one_size_but_for_the_last(world):
    encoder = Colours()

    extract(encoder, world, settings=Extraction(block=32, progress=False))

    views = 36 * len(world.graph.viewpoints)
    assert encoder.batches == [32] * (views // 32) + ([views % 32] if views % 32 else [])


def test_the_type_of_the_stored_features_can_be_chosen(world):
    table = extract(Colours(), world, settings=Extraction(dtype="float32", progress=False))

    assert table.dtype == np.float32


def test_one_service_serves_extraction_and_others_at_once(world):
    encoder = Colours()
    with EncoderService({encoder.handle: encoder.encode}, limits=Limits()) as service:
        views = EncodedViews(encoder, service, client="navigation", world=world)
        seen = {}
        walker = threading.Thread(
            target=lambda: seen.update(found=views.gather(np.arange(6).repeat(2)))
        )
        walker.start()
        table = extract(encoder, world, settings=QUIET, service=service)
        walker.join()

    np.testing.assert_allclose(seen["found"], table.gather(np.arange(6).repeat(2)), rtol=1e-3)


def test_single_views_are_encoded_without_their_neighbours(world):
    encoder = Colours()
    with EncoderService({encoder.handle: encoder.encode}) as service:
        views = EncodedViews(encoder, service, client="retrieval", world=world)
        panorama, view = np.array([4, 1, 4]), np.array([35, 7, 0])
        alone = views.of_views(panorama, view)
        count = sum(encoder.batches)
        whole = views.gather(panorama)

    assert count == 3
    np.testing.assert_array_equal(alone, whole[np.arange(3), view])


def test_panoramas_asked_for_again_are_not_encoded_again(world):
    encoder = Colours()
    limits = Limits(max_cache_bytes=0)
    with EncoderService({encoder.handle: encoder.encode}, limits=limits) as service:
        views = EncodedViews(encoder, service, client="navigation", world=world, keep=2)
        first = views.gather(np.array([3, 3, 5]))
        before = sum(encoder.batches)
        again = views.gather(np.array([5, 3, 3]))
        between = sum(encoder.batches)
        views.gather(np.array([7]))
        views.gather(np.array([5]))

    assert before == between == 72
    np.testing.assert_array_equal(first, again[[1, 2, 0]])
    assert sum(encoder.batches) == 72 + 36 + 36  # 5 had to make room for 7


def test_a_service_knows_what_it_encoded_for_others_but_not_pictures_made_anew(world, tmp_path):
    folder = shutil.copytree(world.data, tmp_path / "world")
    here = World(folder, world.graph, world.cache)
    encoder, place = Colours(), np.array([3])
    with EncoderService({encoder.handle: encoder.encode}) as service:
        first, second = (
            EncodedViews(encoder, service, client=name, world=here).gather(place) for name in "ab"
        )
        shutil.rmtree(folder / "skyboxes")
        write_skyboxes(folder, world.graph, size=8)
        anew = EncodedViews(encoder, service, client="c", world=here).gather(place)

    assert sum(encoder.batches) == 2 * 36
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, anew)


def test_a_view_that_is_asked_for_often_is_encoded_once(world):
    encoder = Colours()
    with EncoderService({encoder.handle: encoder.encode}) as service:
        views = EncodedViews(encoder, service, client="retrieval", world=world)
        panorama, view = np.full(2000, 4), np.arange(2000) % 5
        found = views.of_views(panorama, view)
        whole = views.gather(panorama[:1])[0]

    assert sum(encoder.batches) == 5 + 36
    np.testing.assert_array_equal(found, whole[view])


def test_several_threads_may_gather_from_one_source(world):
    encoder = Colours()
    with EncoderService({encoder.handle: encoder.encode}) as service:
        views = EncodedViews(encoder, service, client="navigation", world=world, keep=2)
        expected = views.gather(np.arange(6))
        asked = np.random.default_rng(0).integers(0, 6, size=(60, 4))
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(views.gather, asked))

    np.testing.assert_array_equal(np.stack(found), expected[asked])


def test_the_same_place_in_other_pictures_is_another_place(world, tmp_path):
    other = make_tiny_world(tmp_path / "other")
    write_skyboxes(other.folder, other.graph, size=8)
    worlds = [world, World(other.folder, other.graph, world.cache)]
    may_go = threading.Event()

    class Waiting(Colours):
        def encode(self, kind, items):
            may_go.wait(60)
            return super().encode(kind, items)

    encoder = Waiting()
    with EncoderService({encoder.handle: encoder.encode}) as service, ThreadPoolExecutor(2) as pool:
        sources = [EncodedViews(encoder, service, client="x", world=one) for one in worlds]
        asked = [pool.submit(source.gather, np.array([3])) for source in sources]
        wait_for(lambda: service.status().queued_items == 72)
        may_go.set()
        first, second = (one.result(60) for one in asked)

    assert not np.array_equal(first, second)


def test_no_panoramas_have_no_features(world):
    with EncoderService({"clip:colours.pt": Colours().encode}) as service:
        views = EncodedViews(Colours(), service, client="one", world=world)

        assert views.gather(np.empty(0, dtype=np.int64)).shape == (0, 36, 9)


def test_an_encoder_that_fails_leaves_no_features_behind(world):
    class Failing(Colours):
        def encode(self, kind, items):
            return super().encode(kind, items) * (np.nan if len(self.batches) else 1)

    with pytest.raises(CorruptData, match="finite"):
        extract(Failing(), world, settings=QUIET)

    assert not store.holds(world.graph, encoder="clip:colours.pt", cache=world.cache)


def test_an_encoder_that_raises_ends_the_extraction_at_once(world):
    class Raising(Colours):
        def encode(self, kind, items):
            super().encode(kind, items)
            if len(self.batches) == 80:
                raise RuntimeError("it broke")
            return np.ones((len(items), 9), dtype=np.float32)

    encoder, before = Raising(), threading.active_count()
    with pytest.raises(EncodingFailed, match="it broke"):
        extract(encoder, world, settings=Extraction(block=8, workers=2, progress=False))

    assert len(encoder.batches) < 100
    assert threading.active_count() == before


def test_a_damaged_picture_ends_the_extraction_and_what_was_finished_is_kept(pictures, tmp_path):
    data = shutil.copytree(pictures.folder, tmp_path / "world")
    graph = pictures.graph
    viewpoint = graph.viewpoints[40]
    (file,) = (data / "skyboxes").rglob(f"{viewpoint}_*.jpg")
    file.write_bytes(file.read_bytes()[:200])
    world, before = World(data, graph, tmp_path / "cache"), threading.active_count()

    with pytest.raises(CorruptData, match=viewpoint):
        extract(Colours(), world, settings=Extraction(block=8, workers=2, progress=False))

    assert threading.active_count() == before
    (count,) = unfinished(graph, cache=world.cache).values()
    assert count >= 1


def test_a_world_without_pictures_says_where_they_would_be(tiny_world, tmp_path):
    with pytest.raises(MissingData, match="no panoramas in"):
        extract(Colours(), World(tiny_world.folder, tiny_world.graph, tmp_path), settings=QUIET)


@pytest.mark.parametrize(
    "settings", [{"workers": 0}, {"workers": 9999}, {"block": -1}, {"block": 35}, {"dtype": "int8"}]
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(BadConfig, match="expected"):
        Extraction(**settings)


def test_blocks_divide_shards():
    assert {8, 16, 32, 64, 144, 288, 576} <= set(BLOCKS)
    assert all(576 % block == 0 for block in BLOCKS)


def test_a_camera_renders_straight_what_the_recipe_would_keep():
    assert (view_camera(Recipe()).width, view_camera(Recipe()).height) == (640, 480)
    square, wide = (view_camera(Recipe(direct=True, frame=f)) for f in ("center", "wide"))
    assert (square.width, square.height) == (224, 224)
    assert (wide.width, wide.height) == (298, 224)


PROGRAM = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from test_features_extract import Colours
    from vln.data.connectivity import load_graph
    from vln.encoders import World
    from vln.features.extract import Extraction, extract

    class Slow(Colours):
        def encode(self, kind, items):
            time.sleep({pause})
            return super().encode(kind, items)

    data = Path({data!r})
    world = World(data, load_graph(data), Path({cache!r}))
    extract(Slow(), world, settings=Extraction(block=36, progress=False))
"""


def _program(world, *, pause):
    text = dedent(PROGRAM).format(
        tests=str(Path(__file__).parent),
        data=str(world.data),
        cache=str(world.cache),
        pause=pause,
    )
    return [sys.executable, "-c", text]


def _digests(cache):
    files = [
        file for file in sorted(cache.rglob("*")) if file.is_file() and "lock" not in file.name
    ]
    return {
        str(file.relative_to(cache)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def test_an_extraction_that_is_killed_goes_on_to_the_same_bytes(pictures, tmp_path):
    killed = World(pictures.folder, pictures.graph, tmp_path / "killed")
    whole = World(pictures.folder, pictures.graph, tmp_path / "whole")
    extract(Colours(), whole, settings=Extraction(block=36, progress=False))
    running = subprocess.Popen(_program(killed, pause=0.1))
    folder = store.folder_of(killed.graph, cache=killed.cache)
    wait_for(lambda: any(f.read_bytes().count(b"\n") > 2 for f in folder.rglob("journal*")))
    with pytest.raises(InUse):
        extract(Colours(), killed, settings=QUIET)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not store.holds(killed.graph, encoder="clip:colours.pt", cache=killed.cache)
    encoder = Colours()

    extract(encoder, killed, settings=Extraction(block=36, progress=False))

    assert 0 < sum(encoder.batches) < 36 * len(killed.graph.viewpoints)
    assert _digests(killed.cache) == _digests(whole.cache)


def wait_for(condition, *, timeout_s=60):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")


def test_a_service_takes_more_words_than_its_queue_holds(world):
    class Reader(Colours):
        def tokens(self, texts):
            return np.array([[len(text)] for text in texts])

        def encode(self, kind, items):
            return items.astype(np.float32) if kind == "text" else super().encode(kind, items)

    reader = Reader()
    limits = Limits(max_batch=16, max_queue_items=200)
    with (
        EncoderService({reader.handle: reader.encode}, limits=limits) as service,
        EncodedPictures(reader, service, client="words") as source,
    ):
        found = source.texts(["x" * (number % 50) for number in range(1000)])

    np.testing.assert_array_equal(found[:, 0], np.arange(1000) % 50)


def test_a_batch_of_panoramas_may_be_larger_than_the_queue(world):
    encoder = Colours()
    limits = Limits(max_batch=16, max_queue_items=64)
    with EncoderService({encoder.handle: encoder.encode}, limits=limits) as service:
        views = EncodedViews(encoder, service, client="navigation", world=world)

        assert views.gather(np.arange(8)).shape == (8, 36, 9)


@pytest.mark.parametrize(
    ("device", "image_size", "block"),
    [
        ("cpu", (224, 224), 8),
        ("cpu", (480, 640), 8),
        ("cpu", (84, 112), 36),
        ("cpu", (16, 16), 576),
        ("cuda", (224, 224), 288),
    ],
)
def test_the_smaller_the_pictures_the_more_of_them_make_a_block(device, image_size, block):
    assert best_block(device, image_size) == block
