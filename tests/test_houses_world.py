"""A whole world on disk: in the field's formats, the same every time, never half there."""

import errno
import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import pytest

from vln import worlds
from vln.data.connectivity import load_graph
from vln.data.episodes import load_episodes
from vln.data.objects import load_objects
from vln.errors import BadConfig, CannotWrite, CorruptData
from vln.houses.building.scene import load_home, scene_file, to_json
from vln.houses.world import disk, publish, write
from vln.houses.world.derive import derive
from vln.houses.world.spec import MARK, SPECS, HomeGroup, WorldSpec, is_whole
from vln.houses.world.write import make_world
from vln.panorama.pinhole import Camera
from vln.panorama.sources import find_panoramas
from vln.panorama.views import ViewRenderer

SPEC = WorldSpec(
    "small",
    seed=3,
    groups=(
        HomeGroup("train", 2, 6, seen_paths=2, seen_homes=1),
        HomeGroup("val_unseen", 1, 5, new_pairs=True, also="val_unseen_pair"),
        HomeGroup("test", 1, 4),
    ),
    viewpoints=(14, 18),
    face=32,
    guides=2,
    captions=5,
)


ONE = replace(SPEC, name="one", groups=(HomeGroup("train", 1, 4),))
"""For what needs a world and not this one."""

derived_once = cache(derive)


@pytest.fixture(autouse=True, scope="module")
def _each_home_is_thought_up_once():
    """What a plan comes to is asked for by nearly every test; one of them asks twice."""
    write.derive = derived_once
    yield
    write.derive = derive


def make(folder, spec=SPEC, **options):
    return make_world(spec, folder, workers=1, progress=False, **options)


def annotations(folder):
    """Every file that is no picture, by name, with its content."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix != ".jpg"
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make(tmp_path_factory.mktemp("worlds") / "small")


@pytest.fixture(scope="module")
def graph(world):
    return load_graph(world)


def test_a_world_has_every_split_of_r2r_in_its_own_homes(world, graph):
    scans = {}
    for split in ("train", "val_seen", "val_unseen", "val_unseen_pair", "test"):
        episodes = load_episodes("r2r", split, data=world, graph=graph)
        scans[split] = {episode.start.scan for episode in episodes}
        assert len(episodes) % 3 == 0  # three instructions a path
    assert scans["val_seen"] < scans["train"]
    assert scans["val_unseen"] == scans["val_unseen_pair"]
    assert scans["train"] | scans["val_unseen"] | scans["test"] == set(graph.scans)
    assert not scans["train"] & scans["val_unseen"]


def test_homes_that_val_seen_leaves_out_are_the_dev_split(world, graph):
    dev = load_episodes("r2r", "dev", data=world, graph=graph)
    assert {episode.start.scan for episode in dev} == {"house0001"}


def test_labels_of_the_test_split_lie_in_a_file_of_their_own(world, graph):
    shown = json.loads((world / "r2r" / "R2R_test.json").read_bytes())
    kept = json.loads((world / publish.HELD_OUT / "R2R_test.json").read_bytes())
    assert all(len(record["path"]) == 1 and "distance" not in record for record in shown)
    assert [r["path_id"] for r in shown] == [r["path_id"] for r in kept]
    assert all(len(record["path"]) >= 4 for record in kept)
    assert [r["path"][0] for r in shown] == [r["path"][0] for r in kept]


def test_paths_are_shortest_and_their_length_is_noted(world, graph):
    for record in json.loads((world / "r2r" / "R2R_train.json").read_bytes()):
        path = [graph.index(record["scan"], viewpoint) for viewpoint in record["path"]]
        walked = float(graph.distance(np.array(path[:-1]), np.array(path[1:])).sum())
        shortest = float(graph.distance(path[0], path[-1]))
        assert walked == pytest.approx(shortest, abs=1e-6)
        assert record["distance"] == pytest.approx(shortest, abs=0.006)
        assert 4 <= len(path) <= 7


def test_every_viewpoint_has_boxes_and_a_picture(world, graph):
    seen = load_objects(world, graph)
    assert np.isin(np.arange(len(graph.viewpoints)), seen.panorama).all()
    source = find_panoramas(world, graph=graph)
    for viewpoint in graph.viewpoints[::7]:
        scan = graph.scan_of(graph.viewpoints.index(viewpoint))
        assert source.panorama(scan, viewpoint).size == SPEC.face


def test_a_picture_shows_what_the_boxes_say(world, graph):
    """The mean colour inside a large box of a brightly coloured object leans to its colour."""
    seen, views = load_objects(world, graph), ViewRenderer(Camera()).sweep
    source = find_panoramas(world, graph=graph)
    hues = {"red": 0, "green": 1, "blue": 2}
    right = checked = 0
    for row in np.flatnonzero(seen.area > 0.12):
        colour = seen.names[seen.name[row]].split()[0]
        if colour not in hues or checked > 25:
            continue
        panorama = int(seen.panorama[row])
        scan, viewpoint = graph.scan_of(panorama), graph.viewpoints[panorama]
        view = views(source.panorama(scan, viewpoint))[seen.view[row]].astype(int)
        strongest = np.argmax(view, axis=-1) == hues[colour]
        clear = view.max(axis=-1) - np.median(view, axis=-1) > 25
        right += (strongest & clear).mean() > 0.02
        checked += 1
    assert checked > 3
    assert right / checked > 0.8


def test_guides_and_captions_are_where_the_field_keeps_them(world):
    import gzip

    lines = gzip.decompress((world / "rxr" / "rxr_train_guide.jsonl.gz").read_bytes()).splitlines()
    guides = [orjson.loads(line) for line in lines]
    assert len(guides) == 2 * SPEC.guides
    assert not (world / "rxr" / "rxr_test_guide.jsonl.gz").exists()
    assert not (world / "rxr" / "pose_traces" / "rxr_test").exists()
    for guide in guides:
        with np.load(publish.trace_file(world, guide)) as trace:
            assert trace["extrinsic_matrix"].shape == (len(trace["pano"]), 16)
    captions = orjson.loads((world / "captions" / "captions_train.json").read_bytes())
    assert len(captions["annotations"]) == 2 * SPEC.captions


def test_the_same_seed_writes_the_same_bytes(world, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "derive", derive)
    again = make(tmp_path / "again", pictures=False)
    expected = {k: v for k, v in annotations(world).items() if k != MARK}
    found = {k: v for k, v in annotations(again).items() if k != MARK}
    assert found == expected
    marks = [orjson.loads((folder / MARK).read_bytes()) for folder in (world, again)]
    assert marks[0]["sha256"] == marks[1]["sha256"]


def test_another_seed_writes_other_homes(tmp_path):
    one, other = (
        make(tmp_path / str(seed), replace(ONE, seed=seed), pictures=False) for seed in (3, 4)
    )
    assert load_graph(other).world != load_graph(one).world


def test_pictures_can_come_later_and_are_the_same(world, tmp_path):
    folder = make(tmp_path / "late", pictures=False)
    assert not (folder / "skyboxes").exists()
    assert orjson.loads((folder / MARK).read_bytes())["pictures"] is False
    make(folder)
    assert (folder / MARK).read_bytes() == (world / MARK).read_bytes()
    for file in sorted((world / "skyboxes").rglob("*.jpg")):
        assert (folder / file.relative_to(world)).read_bytes() == file.read_bytes()


def test_single_homes_can_be_drawn_where_a_world_has_no_pictures(world, tmp_path):
    folder = make(tmp_path / "bare", pictures=False)

    worlds.draw(folder, ["house0002", "house0002"])
    worlds.draw(tmp_path, ["house0002"])  # no world, nothing to do

    expected = {f.relative_to(world): f for f in (world / "skyboxes" / "house0002").glob("*.jpg")}
    assert {file.relative_to(folder) for file in folder.rglob("*.jpg")} == set(expected)
    for file, original in expected.items():
        assert (folder / file).read_bytes() == original.read_bytes()


def test_a_frozen_world_that_is_not_on_record_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(write, "frozen", dict)
    make(tmp_path / "frozen", replace(ONE, frozen=True), pictures=False)
    assert "no annotations of one are on record" in caplog.text


def test_a_finished_world_is_left_alone(world, monkeypatch):
    monkeypatch.setattr(write, "derive", None)
    monkeypatch.setattr(write, "HomeRenderer", None)
    assert make(world) == world


def _make_slowly(folder):
    draw = write.HomeRenderer.faces

    def slow(self, *arguments):
        time.sleep(0.05)
        return draw(self, *arguments)

    write.HomeRenderer.faces = slow
    make(folder)


def test_a_world_whose_maker_is_killed_is_none_and_is_finished_later(world, tmp_path):
    folder = tmp_path / "killed"
    maker = multiprocessing.get_context("fork").Process(target=_make_slowly, args=(folder,))
    maker.start()
    deadline = time.monotonic() + 60
    while len(list(folder.glob("skyboxes/*/*.jpg"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(maker.pid, signal.SIGKILL)
    maker.join()
    drawn = {f: f.stat().st_mtime_ns for f in folder.glob("skyboxes/*/[!.]*.jpg")}

    assert not is_whole(folder)
    make(folder)

    assert is_whole(folder)
    assert len(drawn) >= 3
    assert all(file.stat().st_mtime_ns == time for file, time in drawn.items())
    assert {k: v for k, v in annotations(folder).items() if k.rpartition("/")[2][0] != "."} == (
        annotations(world)
    )


def test_a_full_disk_is_named_and_what_was_made_is_kept(tmp_path, monkeypatch):
    folder, real, calls = tmp_path / "full", disk.atomic, []

    def full(file, mode="wb"):
        calls.append(file)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        return real(file, mode)

    monkeypatch.setattr(disk, "atomic", full)
    with pytest.raises(CannotWrite, match=r"disk is full.*goes on"):
        make(folder, ONE, pictures=False)
    assert not is_whole(folder)
    kept = list((folder / "scenes").iterdir())
    assert kept

    monkeypatch.setattr(disk, "atomic", real)
    make(folder, ONE, pictures=False)
    assert is_whole(folder)


@pytest.mark.parametrize("left", ["annotations", "pictures"])
def test_what_another_version_left_unfinished_is_made_anew(tmp_path, monkeypatch, left):
    folder = tmp_path / "mixed"
    scene = scene_file(folder, "house0000")
    monkeypatch.setattr(write, "made_by", lambda: {"houses": "of yesterday"})
    if left == "pictures":
        make(folder, ONE, pictures=False)
    monkeypatch.setattr(write, "put", _until(".jpg" if left == "pictures" else "world.json"))
    with pytest.raises(KeyboardInterrupt):
        make(folder, ONE, pictures=left == "pictures")
    monkeypatch.setattr(write, "put", disk.put)
    (stale,) = [*folder.glob("skyboxes/*/*")][:1] or [scene]
    stale.write_bytes(b"of yesterday")

    monkeypatch.undo()
    make(folder, ONE, pictures=left == "pictures")

    assert stale.read_bytes() != b"of yesterday"
    assert is_whole(folder)


def _until(end):
    """Writes files until one of a kind comes the second time, as if stopped by Ctrl-C there."""
    seen = []

    def put(file, content):
        seen.append(file)
        if sum(file.name.endswith(end) for file in seen) > 1:
            raise KeyboardInterrupt
        disk.put(file, content)

    return put


def test_a_part_that_was_cut_short_is_made_again(tmp_path):
    folder = tmp_path / "cut"
    (folder / write.PARTS).mkdir(parents=True)
    write._keep_only_ours(ONE, folder, is_annotated=False)
    part = folder / write.PARTS / "house0000.json"
    part.write_bytes(b"{")
    with pytest.raises(CorruptData, match=part.name):
        make(folder, ONE, pictures=False)
    make(folder, ONE, pictures=False)
    assert is_whole(folder)


def test_the_folder_one_stands_in_becomes_a_world(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = make(Path(), ONE, pictures=False)
    assert (found, is_whole(found)) == (tmp_path / "here", True)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]  # no lock beside it
    assert not [path for path in found.iterdir() if path.name.startswith(".")]


def test_pictures_stand_where_the_graph_says_after_furniture_was_moved_by_hand(tmp_path):
    folder = make(tmp_path / "edited", ONE, pictures=False)
    file = scene_file(folder, "house0000")
    home = load_home(file)
    file.write_bytes(to_json(replace(home, items=home.items[::2])))
    make(folder, ONE)
    drawn = {strip.name.partition("_")[0] for strip in folder.glob("skyboxes/*/*.jpg")}
    assert drawn == set(load_graph(folder).viewpoints)


def test_too_small_a_disk_is_named_before_anything_is_made(tmp_path, monkeypatch):
    nothing = type("usage", (), {"free": 1000})
    monkeypatch.setattr(write.shutil, "disk_usage", lambda _: nothing)
    with pytest.raises(CannotWrite, match="MB are needed"):
        make(tmp_path / "small")
    assert not (tmp_path / "small" / "scenes").exists()


def test_a_folder_that_holds_something_else_is_left_as_it_is(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(BadConfig, match=r"is not empty and holds no world.*set VLN_CACHE, or name"):
        make(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_world_in_the_folder_is_left_as_it_is(world):
    before = annotations(world)
    with pytest.raises(BadConfig, match="holds another world"):
        make(world, replace(SPEC, seed=9))
    assert annotations(world) == before


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="cannot be written"):
        make(tmp_path / "file")


def test_a_scene_edited_into_nonsense_is_named_when_it_is_drawn(tmp_path):
    folder = make(tmp_path / "edited", ONE, pictures=False)
    file = scene_file(folder, "house0000")
    file.write_bytes(file.read_bytes().replace(b'"kind":"hallway"', b'"kind":"hallwax"', 1))
    with pytest.raises(CorruptData, match=r"house0000.json, rooms\[\d+\].*hallwax"):
        make(folder, ONE)
    assert not is_whole(folder) or not orjson.loads((folder / MARK).read_bytes())["pictures"]


def test_a_frozen_world_that_comes_out_otherwise_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "frozen", lambda: {"one": {"r2r/R2R_train.json": "0" * 64}})
    with pytest.raises(CorruptData, match="differs from the one on record"):
        make(tmp_path / "frozen", replace(ONE, frozen=True), pictures=False)
    assert not is_whole(tmp_path / "frozen")
    assert not list((tmp_path / "frozen" / write.PARTS).glob("house*"))  # nor used the next time


def test_only_a_frozen_world_is_put_on_record_and_only_once(tmp_path, monkeypatch):
    folder = make(tmp_path / "one", replace(ONE, frozen=True), pictures=False)
    kept = tmp_path / "houses"
    kept.mkdir()
    (kept / "frozen.json").write_text("{}")
    monkeypatch.setattr(publish.resources, "files", lambda _: kept)
    publish.frozen.cache_clear()
    with pytest.raises(BadConfig, match="one is no frozen world"):
        publish.record(folder)
    monkeypatch.setitem(SPECS, "one", replace(ONE, frozen=True))

    assert publish.record(folder) == kept / "frozen.json"
    assert publish.frozen()["one"] == orjson.loads((folder / MARK).read_bytes())["sha256"]

    (kept / "frozen.json").write_text('{"one": {}}')
    publish.frozen.cache_clear()
    with pytest.raises(BadConfig, match="on record with other contents"):
        publish.record(folder)
    publish.frozen.cache_clear()
