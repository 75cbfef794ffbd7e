import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vln.data.connectivity import load_graph
from vln.panorama import __main__ as command
from vln.panorama.pinhole import camera_axes
from vln.testing import direction_colours
from vln.viz.views import contact_sheet


def read_rgb(file):
    return cv2.imread(str(file))[..., ::-1].astype(int)


def colour_along(heading_degrees, elevation_degrees):
    axes = camera_axes(np.radians([heading_degrees]), np.radians([elevation_degrees]))
    return direction_colours(axes[0, 2])


@pytest.fixture
def place(tiny_panoramas):
    """The arguments that name a viewpoint of the tiny world."""
    graph = tiny_panoramas.graph
    names = ["--scan", graph.scan_of(20), "--viewpoint", graph.viewpoints[20]]
    return [*names, "--data", str(tiny_panoramas.folder)]


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    """An equirectangular picture coloured by direction, heading 0 in the middle."""
    height = 128
    turn = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * np.pi
    rise = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
    parts = np.sin(turn) * np.cos(rise), np.cos(turn) * np.cos(rise), np.sin(rise) + 0 * turn
    file = tmp_path_factory.mktemp("photographs") / "garden.png"
    cv2.imwrite(str(file), direction_colours(np.stack(parts, axis=-1))[..., ::-1])
    return file


@pytest.mark.parametrize(("heading", "elevation"), [(0, 0), (90, 0), (-45, 30), (400, -30)])
def test_a_view_looks_where_it_is_told_in_degrees(place, tmp_path, heading, elevation):
    out = tmp_path / "made" / "view.png"
    angles = ["--heading", str(heading), "--elevation", str(elevation)]

    code = command.main(["view", *place, *angles, "--out", str(out)])

    image = read_rgb(out)
    assert code == 0
    assert image.shape == (480, 640, 3)
    assert np.abs(image[240, 320] - colour_along(heading, elevation)).max() <= 3


def test_size_and_field_of_view_are_as_asked(picture, tmp_path):
    out = tmp_path / "view.png"
    settings = ["--width", "41", "--height", "41", "--fov", "90"]

    command.main(["view", "--panorama", str(picture), *settings, "--out", str(out)])

    image = read_rgb(out)
    assert image.shape == (41, 41, 3)
    edges = image[20, 0], image[20, 40], image[0, 20], image[40, 20]
    for pixel, angles in zip(edges, [(-44.3, 0), (44.3, 0), (0, 44.3), (0, -44.3)], strict=True):
        assert np.abs(pixel - colour_along(*angles)).max() <= 4


def test_a_picture_needs_no_world(picture, tmp_path, monkeypatch):
    monkeypatch.delenv("VLN_DATA", raising=False)
    out = tmp_path / "view.png"

    code = command.main(["view", "--panorama", str(picture), "--heading", "200", "--out", str(out)])

    assert code == 0
    assert np.abs(read_rgb(out)[240, 320] - colour_along(200, 0)).max() <= 3


def test_the_very_picture_is_shown_not_another_of_its_name(picture, tmp_path):
    copy = tmp_path / picture.name
    copy.write_bytes(picture.read_bytes())
    cv2.imwrite(str(tmp_path / "garden.jpg"), np.zeros((32, 64, 3), np.uint8))

    command.main(["view", "--panorama", str(copy), "--out", str(tmp_path / "view.png")])

    assert np.abs(read_rgb(tmp_path / "view.png")[240, 320] - colour_along(0, 0)).max() <= 3


def test_a_strip_shows_all_views_on_one_sheet(place, tmp_path, capsys):
    out = tmp_path / "sheet.png"

    code = command.main(["strip", *place, "--size", "41", "31", "--out", str(out)])

    sheet = read_rgb(out)
    assert code == 0
    assert sheet.shape == contact_sheet(np.zeros((36, 31, 41, 3), np.uint8)).shape
    assert f"{sheet.shape[1]} x {sheet.shape[0]}" in capsys.readouterr().out
    for elevation in (-30, 0, 30):
        for heading in range(0, 360, 30):
            near = np.abs(sheet - colour_along(heading, elevation)).max(axis=-1) <= 3
            assert near.any()


def test_the_variable_names_the_world_too(place, tiny_panoramas, tmp_path, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_panoramas.folder))

    code = command.main(["strip", *place[:4], "--out", str(tmp_path / "sheet.png")])

    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "say which panorama"),
        (["--scan", "x"], "say which panorama"),
        (["--panorama", "a.png", "--scan", "x"], "give only one"),
        (["--panorama", "nowhere.hdr"], "nowhere.hdr (No such file or directory). Check that it"),
        (["--panorama", "no\nwhere.hdr"], "no where.hdr"),
        (["--panorama", "a.png", "--data", "x"], "needs no --data"),
        (["--panorama", "PICTURE", "--width", "0"], "0 x 480 pixels"),
        (["--panorama", "PICTURE", "--fov", "180"], "180 degrees"),
        (["--panorama", "PICTURE", "--heading", "nan"], "--heading nan"),
        (["--panorama", "PICTURE", "--elevation", "91"], "from -90 to 90"),
        (["--panorama", "PICTURE", "--out", "view.gif"], "view.gif"),
        (["--panorama", "PICTURE", "--out", "PICTURE/view.png"], "cannot write"),
    ],
)
def test_mistakes_end_in_one_line_and_code_2(
    picture, tmp_path, monkeypatch, capsys, arguments, complaint
):
    monkeypatch.chdir(tmp_path)
    given = [argument.replace("PICTURE", str(picture)) for argument in arguments]
    out = [] if "--out" in given else ["--out", "view.png"]

    code = command.main(["view", *given, *out])

    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2
    assert line.startswith("error: ")
    assert complaint in line
    assert not (tmp_path / "view.png").exists()


def test_viewpoints_that_are_unknown_are_named(place, tmp_path, capsys):
    place[3] = "elsewhere"

    code = command.main(["view", *place, "--out", str(tmp_path / "view.png")])

    assert code == 2
    assert "elsewhere" in capsys.readouterr().err


def test_a_sheet_that_no_screen_shows_is_refused(picture, tmp_path, capsys):
    settings = ["--panorama", str(picture), "--out", str(tmp_path / "sheet.png")]

    code = command.main(["strip", *settings, "--size", "5000", "4000"])

    assert code == 2
    assert "2048" in capsys.readouterr().err


def test_the_command_says_what_its_units_are():
    asked = [sys.executable, "-m", "vln.panorama", "view", "--help"]

    done = subprocess.run(asked, check=True, capture_output=True, text=True)

    assert "All angles are in degrees" in done.stdout
    assert "--elevation" in done.stdout


@pytest.mark.parametrize("name", ["anniversary_lounge", "blue_photo_studio", "lythwood_room"])
def test_the_photographs_make_sheets(real_data, tmp_path, name):
    out = tmp_path / "sheet.png"
    photograph = real_data / "panoramas" / f"{name}.hdr"

    code = command.main(["strip", "--panorama", str(photograph), "--out", str(out)])

    assert code == 0
    assert read_rgb(out).std() > 30


@pytest.fixture
def copied(tiny_panoramas, tmp_path):
    """A copy of the tiny world with skyboxes, to be spoilt."""
    return Path(shutil.copytree(tiny_panoramas.folder, tmp_path / "copied"))


def test_a_world_with_all_its_skyboxes_is_whole(tiny_panoramas, capsys):
    code = command.main(["check", "--data", str(tiny_panoramas.folder), "--read"])

    graph = tiny_panoramas.graph
    count, scans = len(graph.viewpoints), len(graph.scans)
    expected = f"skyboxes of {count} of {count} viewpoints, in {scans} of {scans} scans"
    assert code == 0
    assert capsys.readouterr().out == f"{expected}, all of them whole\n"


def test_a_scan_that_lacks_skyboxes_is_listed(copied, capsys):
    scan = load_graph(copied).scans[1]
    files = sorted((copied / "skyboxes" / scan).iterdir())
    files[0].unlink()

    assert command.main(["check", "--data", str(copied)]) == 0
    assert (
        f"{scan}: skyboxes of {len(files) - 1} of {len(files)} viewpoints"
        in capsys.readouterr().out
    )


def test_a_skybox_of_no_viewpoint_is_an_error_that_names_it(copied, capsys):
    scan = load_graph(copied).scans[0]
    folder = copied / "skyboxes" / scan
    shutil.copy(next(folder.iterdir()), folder / "nowhere_skybox_small.jpg")

    assert command.main(["check", "--data", str(copied)]) == 2
    assert "nowhere_skybox_small.jpg" in capsys.readouterr().err


def test_a_cut_skybox_is_found_by_reading_all(copied, capsys):
    scan = load_graph(copied).scans[0]
    file = next((copied / "skyboxes" / scan).iterdir())
    file.write_bytes(file.read_bytes()[:-40])

    assert command.main(["check", "--data", str(copied)]) == 0
    assert command.main(["check", "--data", str(copied), "--read"]) == 2
    assert str(file) in capsys.readouterr().err
