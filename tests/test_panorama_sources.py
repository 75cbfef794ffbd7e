"""Which panoramas a world has, and the cache in front of them."""

import pickle
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from vln.errors import BadConfig, CorruptData, MissingData
from vln.panorama.equirectangular import EquirectangularSource
from vln.panorama.faces import UPRIGHT, Panorama
from vln.panorama.skybox import SkyboxSource
from vln.panorama.sources import CachedSource, find_panoramas


@pytest.fixture
def graph(make_graph):
    return make_graph([(0, 0, 0), (1, 0, 0), (2, 0, 0)], ["ab", "bc"])


def add_picture(file, *, width):
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), np.zeros((16, width, 3), np.uint8))


def add_skybox(data, viewpoint="a"):
    add_picture(data / "skyboxes" / "made" / f"{viewpoint}_skybox_small.jpg", width=96)


def add_photograph(data, name="panoramas/a.jpg"):
    add_picture(data / name, width=32)


def test_skyboxes_are_found(tmp_path, graph):
    add_skybox(tmp_path, "b")

    source = find_panoramas(tmp_path, graph=graph)

    assert isinstance(source, SkyboxSource)
    assert source.panorama("made", "b").size == 16


@pytest.mark.parametrize("name", ["panoramas/a.jpg", "panoramas/made/a.PNG"])
def test_equirectangular_pictures_are_found(tmp_path, graph, name):
    add_photograph(tmp_path, name)

    source = find_panoramas(tmp_path, graph=graph)

    assert isinstance(source, EquirectangularSource)
    assert source.panorama("made", "a").size == 12


def test_skyboxes_come_first_and_are_never_mixed_with_pictures(tmp_path, graph):
    add_skybox(tmp_path, "a")
    add_photograph(tmp_path, "panoramas/b.jpg")

    source = find_panoramas(tmp_path, graph=graph)

    assert source.panorama("made", "a").size == 16
    with pytest.raises(MissingData, match="b_skybox_small"):
        source.panorama("made", "b")


def test_skyboxes_of_another_world_do_not_count(tmp_path, graph):
    add_skybox(tmp_path, "z")
    add_photograph(tmp_path)

    assert isinstance(find_panoramas(tmp_path, graph=graph), EquirectangularSource)


@pytest.mark.parametrize("name", [None, "panoramas/notes.txt"])
def test_without_any_the_error_says_what_goes_where(tmp_path, graph, name):
    if name is not None:
        (tmp_path / "panoramas").mkdir()
        (tmp_path / name).write_text("no picture")

    with pytest.raises(MissingData) as caught:
        find_panoramas(tmp_path, graph=graph)

    said = str(caught.value)
    for part in (
        str(tmp_path),
        "skyboxes/<scan>/",
        "_skybox_small.jpg",
        "matterport_skybox_images.zip",
        "panoramas/",
        "Terms of Use",
        "works without images",
    ):
        assert part in said


def test_depth_comes_from_skyboxes_only(tmp_path, graph):
    add_photograph(tmp_path)

    with pytest.raises(MissingData, match="no depth"):
        find_panoramas(tmp_path, graph=graph, depth=True)


def test_depth_is_asked_of_the_skyboxes_that_are_found(tmp_path, graph):
    add_skybox(tmp_path)

    source = find_panoramas(tmp_path, graph=graph, depth=True)

    with pytest.raises(MissingData, match="depth strip"):
        source.panorama("made", "a")


def test_a_damaged_zip_is_not_passed_over(tmp_path, graph):
    add_photograph(tmp_path)
    (tmp_path / "made.zip").write_bytes(b"half of a zip")

    with pytest.raises(CorruptData, match=r"made\.zip"):
        find_panoramas(tmp_path, graph=graph)


# ---- cache


class Counting:
    """Gives a new panorama at each call and remembers what was asked."""

    def __init__(self):
        self.asked = []

    def panorama(self, scan, viewpoint):
        self.asked.append(viewpoint)
        if viewpoint == "missing":
            raise MissingData("no picture of it.")
        return Panorama.of(np.zeros((6, 2, 2, 3), np.uint8), rotation=UPRIGHT)


def ask(source, viewpoints):
    return [source.panorama("made", viewpoint) for viewpoint in viewpoints]


def test_a_panorama_is_read_once():
    source = Counting()

    first, second = ask(CachedSource(source, size=2), "aa")

    assert first is second
    assert source.asked == ["a"]


def test_the_one_used_longest_ago_makes_room():
    source = Counting()

    ask(CachedSource(source, size=2), "abacab")

    assert source.asked == ["a", "b", "c", "b"]


def test_scans_are_told_apart():
    source = Counting()
    cached = CachedSource(source, size=2)

    assert cached.panorama("here", "a") is not cached.panorama("there", "a")


def test_a_cache_of_nothing_reads_every_time():
    source = Counting()

    ask(CachedSource(source, size=0), "aaa")

    assert source.asked == ["a"] * 3


def test_a_negative_cache_is_refused():
    with pytest.raises(BadConfig, match="-1"):
        CachedSource(Counting(), size=-1)


def test_a_failure_is_not_kept():
    source = Counting()
    cached = CachedSource(source, size=2)

    for _ in range(2):
        with pytest.raises(MissingData):
            cached.panorama("made", "missing")

    assert source.asked == ["missing"] * 2


@pytest.mark.parametrize("workers", [1, 4])
def test_what_was_preloaded_is_not_read_again(workers):
    source = Counting()
    cached = CachedSource(source, size=3)

    cached.preload([("made", viewpoint) for viewpoint in "abcab"], workers=workers)
    ask(cached, "abc")

    assert sorted(source.asked) == ["a", "b", "c"]


def test_what_cannot_be_kept_is_not_preloaded():
    source = Counting()

    with pytest.raises(BadConfig, match="3 panoramas to preload into a cache of 2"):
        CachedSource(source, size=2).preload([("made", viewpoint) for viewpoint in "abc"])

    assert source.asked == []


def test_preloading_says_what_is_missing():
    with pytest.raises(MissingData, match="no picture"):
        CachedSource(Counting(), size=2).preload([("made", "a"), ("made", "missing")])


def test_threads_wait_for_no_one_who_reads():
    arrived = threading.Barrier(2, timeout=10)

    class Slow(Counting):
        def panorama(self, scan, viewpoint):
            arrived.wait()  # passes only when both threads read at once
            return super().panorama(scan, viewpoint)

    with ThreadPoolExecutor(2) as pool:
        read = list(pool.map(CachedSource(Slow(), size=2).panorama, ("made",) * 2, "ab"))

    assert len(read) == 2


def test_threads_leave_no_more_than_the_cache_keeps():
    cached = CachedSource(Counting(), size=3)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: cached.panorama("made", name), "abcdefgh" * 50))
    cached.source.asked.clear()
    ask(cached, "abcdefgh")

    assert len(cached.source.asked) >= 5


def test_a_copy_for_another_process_starts_empty(tmp_path, graph):
    add_skybox(tmp_path)
    cached = CachedSource(SkyboxSource(tmp_path, graph=graph), size=2)
    cached.panorama("made", "a")

    copy = pickle.loads(pickle.dumps(cached))  # noqa: S301
    shutil.rmtree(tmp_path / "skyboxes")

    assert copy.size == 2
    assert cached.panorama("made", "a").size == 16
    with pytest.raises(MissingData):
        copy.panorama("made", "a")


# ---- places that cannot be read


@pytest.fixture
def close(monkeypatch):
    """Makes folders that may not be listed; whoever runs the tests may list any."""
    closed, listed = set(), Path.iterdir

    def iterdir(folder):
        if folder in closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    return closed.add


@pytest.mark.parametrize("name", ["skyboxes/made", "panoramas", "panoramas/made"])
def test_a_folder_that_may_not_be_listed_is_named(tmp_path, graph, close, name):
    (tmp_path / name).mkdir(parents=True)
    close(tmp_path / name)

    with pytest.raises(MissingData, match=rf"cannot list .*{name} \(Permission denied\)"):
        find_panoramas(tmp_path, graph=graph)


def test_a_folder_that_may_not_be_entered_is_named(tmp_path, graph, monkeypatch):
    is_dir = Path.is_dir

    def guarded(place):
        if place.name == "matterport_skybox_images":
            raise PermissionError(13, "Permission denied", str(place))
        return is_dir(place)

    monkeypatch.setattr(Path, "is_dir", guarded)

    with pytest.raises(MissingData, match="matterport_skybox_images"):
        find_panoramas(tmp_path, graph=graph)


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_what_cannot_be_read_stops_only_what_is_found_nowhere_else(tmp_path, graph, close, kind):
    add_skybox(tmp_path, "a")
    if kind == "zip":
        (tmp_path / "made.zip").write_bytes(b"half of a zip")
        error, named = CorruptData, r"made\.zip"
    else:
        (tmp_path / "made").mkdir()
        close(tmp_path / "made")
        error, named = MissingData, "cannot list"

    source = find_panoramas(tmp_path, graph=graph)

    assert source.panorama("made", "a").size == 16
    assert source.has("made", "a")
    for fails in (
        lambda: source.panorama("made", "b"),
        lambda: source.has("made", "b"),
        lambda: source.viewpoints("made"),
        lambda: source.check("made"),
    ):
        with pytest.raises(error, match=named):
            fails()


def test_what_cannot_be_read_does_not_matter_where_nothing_is_missing(tmp_path, graph):
    for viewpoint in "abc":
        add_skybox(tmp_path, viewpoint)
    (tmp_path / "made.zip").write_bytes(b"half of a zip")

    source = find_panoramas(tmp_path, graph=graph)

    assert source.viewpoints("made") == ("a", "b", "c")
