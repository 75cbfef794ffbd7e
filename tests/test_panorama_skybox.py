"""Skyboxes from folders and zips, in both layouts, whole and broken."""

import pickle
import re
import shutil
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from vln.data.connectivity import load_graph
from vln.errors import CorruptData, MissingData, UnknownViewpoint
from vln.panorama import stored
from vln.panorama.skybox import SkyboxSource

SIZE = 32
# RGB, face by face: up, four walls, down.
COLOURS = np.array(
    [(250, 10, 20), (20, 240, 10), (10, 20, 230), (220, 210, 20), (20, 200, 210), (120, 60, 180)],
    np.uint8,
)
OTHERS = COLOURS[::-1]
PLACES = ("skyboxes/made", "made", "v1/scans/made")


@pytest.fixture
def graph(make_graph):
    return make_graph([(0, 0, 0), (1, 0, 0), (2, 0, 0)], ["ab", "bc"])


def faces(colours=COLOURS, size=SIZE):
    return [np.full((size, size, 3), colour[::-1], np.uint8) for colour in colours]  # BGR


def encoded(picture, extension=".jpg"):
    return cv2.imencode(extension, picture)[1].tobytes()


def strip(colours=COLOURS, size=SIZE):
    return encoded(np.hstack(faces(colours, size)))


def sextet(viewpoint, colours=COLOURS, size=SIZE):
    return {
        f"{viewpoint}_skybox{face}_sami.jpg": encoded(picture)
        for face, picture in enumerate(faces(colours, size))
    }


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def write_zip(file, files, *, method=zipfile.ZIP_DEFLATED):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, content in files.items():
            packed.writestr(f"made/matterport_skybox_images/{name}", content)


def shown(panorama):
    """The colour in the middle of each face."""
    middle = panorama.size // 2
    return panorama.faces[:, middle, middle].astype(int)


def test_a_strip_gives_its_six_faces_left_to_right_in_rgb(tmp_path, graph):
    write(tmp_path / "skyboxes" / "made", {"a_skybox_small.jpg": strip()})

    panorama = SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    assert panorama.faces.shape == (6, SIZE, SIZE, 3)
    assert np.abs(shown(panorama) - COLOURS).max() <= 3


def test_six_files_give_the_faces_that_they_are_numbered_by(tmp_path, graph):
    write(tmp_path / "made", sextet("a"))

    panorama = SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    assert panorama.faces.shape == (6, SIZE, SIZE, 3)
    assert np.abs(shown(panorama) - COLOURS).max() <= 3


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["files", "folder", "zip of the release", "zip of the scan"])
@pytest.mark.parametrize("layout", ["strip", "six"])
def test_pictures_are_found_wherever_they_may_lie(tmp_path, graph, place, kind, layout):
    files = sextet("b") if layout == "six" else {"b_skybox_small.jpg": strip()}
    if kind == "files":
        write(tmp_path / place, files)
    elif kind == "folder":
        write(tmp_path / place / "matterport_skybox_images", files)
    elif kind == "zip of the release":
        write_zip(tmp_path / place / "matterport_skybox_images.zip", files)
    else:
        write_zip(tmp_path / f"{place}.zip", files)

    source = SkyboxSource(tmp_path, graph=graph)

    assert source.viewpoints("made") == ("b",)
    assert np.abs(shown(source.panorama("made", "b")) - COLOURS).max() <= 3


def test_the_pose_is_that_of_the_viewpoint(tmp_path, tiny_graph):
    scan = tiny_graph.scans[1]
    name = tiny_graph.viewpoints[tiny_graph.members(scan)[2]]
    write(tmp_path / scan, {f"{name}_skybox_small.jpg": strip()})

    panorama = SkyboxSource(tmp_path, graph=tiny_graph).panorama(scan, name)

    np.testing.assert_array_equal(
        panorama.rotation, tiny_graph.rotation[tiny_graph.index(scan, name)]
    )


def test_the_strip_counts_where_the_six_are_there_too(tmp_path, graph):
    write(tmp_path / PLACES[0], sextet("a", OTHERS))
    write(tmp_path / PLACES[2], {"a_skybox_small.jpg": strip()})

    panorama = SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    assert np.abs(shown(panorama) - COLOURS).max() <= 3


def test_of_two_strips_the_first_place_counts_and_a_file_before_a_zip(tmp_path, graph):
    write_zip(tmp_path / PLACES[0] / "matterport_skybox_images.zip", {"a_skybox_small.jpg": b""})
    write(tmp_path / PLACES[1], {"a_skybox_small.jpg": strip()})
    write(tmp_path / PLACES[2], {"a_skybox_small.jpg": strip(OTHERS)})

    panorama = SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    assert np.abs(shown(panorama) - COLOURS).max() <= 3


def test_the_golden_strips_are_read_pixel_for_pixel(golden, real_graph):
    root = golden / "renders" / "skybox"
    source = SkyboxSource(root, graph=real_graph)
    (viewpoint,) = source.viewpoints("17DRP5sb8fy")

    panorama = source.panorama("17DRP5sb8fy", viewpoint)

    (file,) = (root / "17DRP5sb8fy").rglob("*.jpg")
    expected = cv2.imread(str(file))[..., ::-1].reshape(512, 6, 512, 3).swapaxes(0, 1)
    np.testing.assert_array_equal(panorama.faces, expected)


# ---- zips, threads and processes


def test_pictures_that_come_after_a_scan_was_found_empty_are_seen(tmp_path, graph):
    write(tmp_path / "v1/scans/made", {"region_segmentations.zip": b"of the release as well"})
    source = SkyboxSource(tmp_path, graph=graph)
    assert not source.has("made", "a")

    write(tmp_path / "made", {"a_skybox_small.jpg": strip()})

    assert source.has("made", "a")


def test_what_a_mac_adds_to_a_zip_is_no_picture(tmp_path, graph):
    file = tmp_path / "made.zip"
    write_zip(file, {"._a_skybox_small.jpg": b"resource fork", "b_skybox_small.jpg": strip()})
    source = SkyboxSource(tmp_path, graph=graph)

    assert source.viewpoints("made") == ("b",)
    source.check("made")


def test_a_forked_process_opens_a_zip_of_its_own(tmp_path, monkeypatch):
    file = tmp_path / "made.zip"
    write_zip(file, {"a": b"content"})
    archive = stored.Archive(file)
    (entry,) = archive.entries()
    archive.read(entry)
    opened_by_the_parent = archive._opened[1]

    monkeypatch.setattr(stored.os, "getpid", lambda: -1)

    assert archive.read(entry) == b"content"
    assert archive._opened[1] is not opened_by_the_parent


def test_a_source_that_has_read_a_zip_can_be_sent_to_another_process(tmp_path, graph):
    write_zip(tmp_path / "made.zip", sextet("a"))
    source = SkyboxSource(tmp_path, graph=graph)
    here = source.panorama("made", "a")

    there = pickle.loads(pickle.dumps(source)).panorama("made", "a")  # noqa: S301

    np.testing.assert_array_equal(here.faces, there.faces)


def test_threads_may_share_a_zip(tmp_path, graph):
    files = sextet("a") | sextet("b", OTHERS) | {"c_skybox_small.jpg": strip()}
    write_zip(tmp_path / "made.zip", files)
    source = SkyboxSource(tmp_path, graph=graph)
    expected = {"a": COLOURS, "b": OTHERS, "c": COLOURS}

    with ThreadPoolExecutor(8) as pool:
        read = pool.map(lambda name: (name, source.panorama("made", name)), "abc" * 10)

    assert all(np.abs(shown(panorama) - expected[name]).max() <= 3 for name, panorama in read)


# ---- names


def test_a_viewpoint_has_pictures_only_where_the_graph_has_it_too(tmp_path, graph):
    write(tmp_path / "made", {"c_skybox_small.jpg": b"", "z_skybox_small.jpg": b""} | sextet("b"))
    source = SkyboxSource(tmp_path, graph=graph)

    assert source.viewpoints("made") == ("b", "c")
    assert [source.has("made", name) for name in "abcz"] == [False, True, True, False]
    assert not source.has("nowhere", "a")


def test_a_viewpoint_that_the_graph_lacks_is_unknown_whatever_lies_there(tmp_path, graph):
    write(tmp_path / "made", {"z_skybox_small.jpg": strip()})
    source = SkyboxSource(tmp_path, graph=graph)

    with pytest.raises(UnknownViewpoint, match=r"'z'.*z_skybox_small\.jpg cannot be used"):
        source.panorama("made", "z")
    with pytest.raises(UnknownViewpoint, match="'y'"):
        source.panorama("made", "y")
    with pytest.raises(UnknownViewpoint, match="'nowhere'"):
        source.panorama("nowhere", "a")


def test_a_check_passes_where_every_picture_has_its_viewpoint(tmp_path, graph):
    write(tmp_path / "made", {"a_skybox_small.jpg": strip(), "README.txt": b""} | sextet("b"))

    assert SkyboxSource(tmp_path, graph=graph).check("made") is None


@pytest.mark.parametrize(
    "name", ["z_skybox_small.jpg", "z_skybox3_sami.jpg", "z_skybox_depth_small.png"]
)
def test_a_check_names_a_picture_of_no_viewpoint(tmp_path, graph, name):
    write(tmp_path / "made", {"a_skybox_small.jpg": strip(), name: b""})

    with pytest.raises(CorruptData, match=rf"{re.escape(name)}: scan made has no viewpoint 'z'"):
        SkyboxSource(tmp_path, graph=graph).check("made")


def test_a_check_counts_viewpoints_and_names_the_first_picture(tmp_path, graph):
    names = [f"{viewpoint}_skybox{face}_sami.jpg" for viewpoint in "zyx" for face in range(6)]
    write(tmp_path / "made", dict.fromkeys(names, b""))

    with pytest.raises(CorruptData, match=r"x_skybox0_sami\.jpg: .*'x', nor 2 others"):
        SkyboxSource(tmp_path, graph=graph).check("made")


def test_a_check_misses_connectivity_that_it_was_told_of(tmp_path, graph):
    write(tmp_path / "made", {"a_skybox_small.jpg": strip()})

    with pytest.raises(MissingData, match=r"made_connectivity\.json"):
        SkyboxSource(tmp_path, graph=graph).check("made", connectivity=tmp_path)


def test_a_check_says_where_a_picture_belongs(tmp_path, tiny_graph):
    here, there = tiny_graph.scans[:2]
    name = tiny_graph.viewpoints[tiny_graph.members(there)[0]]
    write(tmp_path / here, {f"{name}_skybox_small.jpg": strip()})

    with pytest.raises(CorruptData, match=f"belongs to scan {there}"):
        SkyboxSource(tmp_path, graph=tiny_graph).check(here)


def test_a_picture_of_an_excluded_viewpoint_is_right_where_the_connectivity_says_so(
    tmp_path, tiny_world
):
    graph, scan = load_graph(tiny_world.folder), "tinyHouse00"
    listed = (tiny_world.folder / "connectivity" / f"{scan}_connectivity.json").read_text()
    members = {graph.viewpoints[i] for i in graph.members(scan)}
    (excluded,) = set(re.findall(r'"image_id":"(\w+)"', listed)) - members
    write(tmp_path / scan, {f"{excluded}_skybox_small.jpg": strip()})
    source = SkyboxSource(tmp_path, graph=graph)

    with pytest.raises(CorruptData, match="excluded"):
        source.check(scan)
    source.check(scan, connectivity=tiny_world.folder / "connectivity")
    shutil.copytree(tiny_world.folder / "connectivity", tmp_path / "connectivity")
    source.check(scan)


# ---- depth


def test_depth_is_cut_into_faces_as_it_is(tmp_path, graph):
    depth = np.arange(SIZE * 6 * SIZE, dtype=np.uint16).reshape(SIZE, 6 * SIZE)
    write(
        tmp_path / "made",
        {"a_skybox_small.jpg": strip(), "a_skybox_depth_small.png": encoded(depth, ".png")},
    )

    panorama = SkyboxSource(tmp_path, graph=graph, depth=True).panorama("made", "a")

    assert panorama.depth.dtype == np.uint16
    np.testing.assert_array_equal(
        panorama.depth, [depth[:, i * SIZE : (i + 1) * SIZE] for i in range(6)]
    )


def test_depth_is_read_only_where_it_is_wanted(tmp_path, graph):
    write(tmp_path / "made", {"a_skybox_small.jpg": strip(), "a_skybox_depth_small.png": b"broken"})

    assert SkyboxSource(tmp_path, graph=graph).panorama("made", "a").depth is None
    with pytest.raises(CorruptData, match=r"a_skybox_depth_small\.png"):
        SkyboxSource(tmp_path, graph=graph, depth=True).panorama("made", "a")


def test_missing_depth_is_missed_where_it_is_wanted(tmp_path, graph):
    write(tmp_path / "made", {"a_skybox_small.jpg": strip()})

    with pytest.raises(MissingData, match=r"depth strip a_skybox_depth_small\.png"):
        SkyboxSource(tmp_path, graph=graph, depth=True).panorama("made", "a")


# ---- what cameras and other systems add


def turned(jpeg, orientation):
    """A JPEG of which EXIF says that it is to be shown turned or mirrored."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    segment = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + jpeg[2:]


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_exif_turns_no_skybox(tmp_path, graph, orientation):
    sides = np.hstack([np.full((SIZE, SIZE // 2, 3), grey, np.uint8) for grey in (40, 200)])
    as_exif_says = cv2.imdecode(np.frombuffer(turned(encoded(sides), orientation), np.uint8), 1)
    assert (np.abs(as_exif_says.astype(int) - sides) > 100).any()
    files = {f"a_skybox{face}_sami.jpg": turned(encoded(sides), orientation) for face in range(6)}
    write(tmp_path / "made", files | {"b_skybox_small.jpg": turned(strip(), orientation)})
    source = SkyboxSource(tmp_path, graph=graph)

    assert np.abs(source.panorama("made", "a").faces.astype(int) - sides).max() <= 3
    assert np.abs(shown(source.panorama("made", "b")) - COLOURS).max() <= 3


@pytest.mark.parametrize("layout", ["strip", "six"])
def test_extensions_may_be_in_upper_case(tmp_path, graph, layout):
    files = sextet("b") if layout == "six" else {"b_skybox_small.jpg": strip()}
    write(tmp_path / "made", {name.replace(".jpg", ".JPG"): files[name] for name in files})

    source = SkyboxSource(tmp_path, graph=graph)

    assert source.viewpoints("made") == ("b",)
    assert np.abs(shown(source.panorama("made", "b")) - COLOURS).max() <= 3


def test_of_two_spellings_the_lower_case_counts(tmp_path, graph):
    write(tmp_path / "made", {"a_skybox_small.JPG": strip(OTHERS), "a_skybox_small.jpg": strip()})

    panorama = SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    assert np.abs(shown(panorama) - COLOURS).max() <= 3
