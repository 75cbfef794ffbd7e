"""Equirectangular pictures: which way they hang, how they are sampled, and HDR."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from vln.errors import BadConfig, CorruptData, MissingData
from vln.panorama import tone
from vln.panorama.equirectangular import EquirectangularSource, cube_faces
from vln.panorama.faces import UPRIGHT
from vln.panorama.tone import tone_map

# OpenGL's cube map: direction of the texel at (s, t), each from -1 at the left and top edge. The
# golden files' README says which face is which axis, and MatterSim's frame is the negated one.
CUBE = {
    2: lambda s, t: (1, -t, -s),
    4: lambda s, t: (-1, -t, s),
    0: lambda s, t: (s, 1, t),
    5: lambda s, t: (s, -1, -t),
    1: lambda s, t: (s, -t, 1),
    3: lambda s, t: (-s, -t, -1),
}


def sphere(width, *, dtype=np.uint8):
    """An equirectangular picture, RGB, whose colour is (direction + 1) / 2, the world's axes."""
    turn = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    rise = (0.5 - (np.arange(width // 2)[:, None] + 0.5) / (width // 2)) * np.pi
    level = np.cos(rise)
    rise = np.broadcast_to(np.sin(rise), (width // 2, width))
    direction = np.stack([np.sin(turn) * level, np.cos(turn) * level, rise], axis=-1)
    return np.round((direction + 1) / 2 * np.iinfo(dtype).max).astype(dtype)


def expected_faces(size):
    """(6, S, S, 3) colours of the sphere, as real numbers."""
    along = (np.arange(size) + 0.5) * 2 / size - 1
    s, t = np.meshgrid(along, along)
    cube = np.stack(
        [np.stack(np.broadcast_arrays(*CUBE[face](s, t)), axis=-1) for face in range(6)]
    )
    direction = -cube @ UPRIGHT.T
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return (direction + 1) / 2 * 255


def write(file, rgb):
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), np.ascontiguousarray(rgb[..., ::-1]))
    return file


@pytest.mark.parametrize("width", [64, 100, 256])
def test_every_pixel_of_every_face_shows_its_direction(tmp_path, width):
    write(tmp_path / "here.png", sphere(width))

    panorama = EquirectangularSource(tmp_path).panorama("any", "here")

    error = np.abs(panorama.faces - expected_faces(panorama.size))
    # Rounding twice, OpenCV's steps of 1/32 pixel, and what a curve differs from its chord.
    assert error.max() <= 1.2 + 128 / 8 * (2 * np.pi / width) ** 2
    np.testing.assert_array_equal(panorama.rotation, UPRIGHT)


def test_seam_and_poles_are_as_good_as_the_rest():
    size = 101  # odd: a pixel looks straight up, one straight down, a column right at the seam

    error = np.abs(cube_faces(sphere(64), size=size) - expected_faces(size))

    middle = size // 2
    assert error[0, middle - 4 : middle + 5, middle - 4 : middle + 5].max() <= 1.2
    assert error[5, middle - 4 : middle + 5, middle - 4 : middle + 5].max() <= 1.2
    assert error[1, :, middle - 4 : middle + 5].max() <= 1.2


def test_faces_that_meet_agree_along_their_edges():
    faces = cube_faces(sphere(256)).astype(int)
    step = 255 / faces.shape[1] + 2  # neighbouring pixels of one face differ by as much

    for left, right in ((1, 2), (2, 3), (3, 4), (4, 1)):
        assert np.abs(faces[left][:, -1] - faces[right][:, 0]).max() <= step
    assert np.abs(faces[0][-1] - faces[1][0]).max() <= step
    assert np.abs(faces[5][0] - faces[1][-1]).max() <= step
    assert np.abs(faces[0][0] - faces[3][0, ::-1]).max() <= step


@pytest.mark.parametrize(("width", "size"), [(64, 22), (256, 82), (1024, 326)])
def test_faces_are_as_fine_as_the_picture_at_its_horizon(width, size):
    assert cube_faces(np.zeros((width // 2, width, 3), np.uint8)).shape == (6, size, size, 3)


def test_small_faces_average_what_they_cannot_show():
    checks = np.indices((256, 512)).sum(axis=0) % 2 * 255
    picture = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)

    faces = cube_faces(picture, size=16)

    assert np.abs(faces.astype(int) - 127).max() <= 16


@pytest.mark.parametrize("name", ["here.jpg", "here.JPEG", "here.png", "scan/here.PNG"])
def test_pictures_are_found_by_viewpoint_with_or_without_a_folder_of_the_scan(tmp_path, name):
    write(tmp_path / name, np.full((32, 64, 3), (200, 100, 50), np.uint8))
    source = EquirectangularSource(tmp_path)

    panorama = source.panorama("scan", "here")

    assert np.abs(panorama.faces.astype(int) - (200, 100, 50)).max() <= 3
    assert source.viewpoints("scan") == ("here",)
    assert source.has("scan", "here")
    assert not source.has("scan", "there")


def test_the_scan_s_own_picture_comes_first_then_jpeg_then_png(tmp_path):
    for name, grey in (("scan/a.png", 10), ("a.jpg", 80), ("a.png", 160), ("b.png", 240)):
        write(tmp_path / name, np.full((32, 64, 3), grey, np.uint8))
    source = EquirectangularSource(tmp_path, size=8)

    greys = {
        key: source.panorama(*key).faces.mean()
        for key in (("scan", "a"), ("other", "a"), ("scan", "b"))
    }

    assert greys == pytest.approx({("scan", "a"): 10, ("other", "a"): 80, ("scan", "b"): 240})


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    write(tmp_path / "here.png", sphere(64, dtype=np.uint16))

    panorama = EquirectangularSource(tmp_path).panorama("any", "here")

    assert np.abs(panorama.faces - expected_faces(panorama.size)).max() <= 1.2


def test_a_picture_that_is_not_there_is_named_with_where_it_may_lie(tmp_path):
    with pytest.raises(MissingData, match=r"'here' of scan 'scan'.*\.jpg.*\.hdr.*scan and"):
        EquirectangularSource(tmp_path).panorama("scan", "here")


@pytest.mark.parametrize("shape", [(64, 64), (32, 63), (64, 32), (32, 192)])
def test_a_picture_that_is_not_twice_as_wide_as_high_is_named_with_its_size(tmp_path, shape):
    write(tmp_path / "here.png", np.zeros((*shape, 3), np.uint8))

    with pytest.raises(CorruptData, match=rf"here\.png: {shape[1]} x {shape[0]} pixels"):
        EquirectangularSource(tmp_path).panorama("any", "here")


@pytest.mark.parametrize("extension", [".jpg", ".png", ".hdr"])
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.5, 0.99])
def test_a_picture_that_ends_early_is_named(tmp_path, extension, kept):
    picture = sphere(64) if extension != ".hdr" else sphere(64).astype(np.float32)
    file = write(tmp_path / f"here{extension}", picture)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])

    with pytest.raises(CorruptData, match=rf"here\{extension}: "):
        EquirectangularSource(tmp_path).panorama("any", "here")


@pytest.mark.parametrize("size", [0, -1, 5460])
def test_faces_of_an_impossible_size_are_refused(tmp_path, size):
    with pytest.raises(BadConfig, match=f"faces of {size} pixels"):
        EquirectangularSource(tmp_path, size=size)
    with pytest.raises(BadConfig, match=f"faces of {size} pixels"):
        cube_faces(np.zeros((32, 64, 3), np.uint8), size=size)


def test_exif_turns_no_panorama(tmp_path):
    picture = sphere(64)
    jpeg = cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes()
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 3, 0)  # orientation: upside down
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif
    (tmp_path / "plain.jpg").write_bytes(jpeg)
    (tmp_path / "turned.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    source = EquirectangularSource(tmp_path)

    plain, turned = (source.panorama("any", name).faces for name in ("plain", "turned"))

    np.testing.assert_array_equal(turned, plain)


def test_pictures_of_a_folder_are_listed_once_for_all_scans(tmp_path, monkeypatch):
    write(tmp_path / "here.png", sphere(64))
    listed, iterdir = [], Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda place: (listed.append(place), iterdir(place))[1])
    source = EquirectangularSource(tmp_path)

    assert all(source.has(scan, "here") for scan in "abc")
    assert all(source.viewpoints(scan) == ("here",) for scan in "abc")
    assert listed == [tmp_path]


# ---- HDR


def test_hdr_shows_the_same_picture_at_any_exposure(tmp_path):
    radiance = sphere(64).astype(np.float32) / 255
    for name, factor in (("dim", 2.0**-10), ("bright", 2.0**10)):
        write(tmp_path / f"{name}.hdr", radiance * np.float32(factor))
    source = EquirectangularSource(tmp_path)

    dim, bright = (source.panorama("any", name).faces.astype(int) for name in ("dim", "bright"))

    assert np.abs(dim - bright).max() <= 1
    assert dim[3].mean(axis=(0, 1)).argmax() == 1  # forward is +y, green: RGB, not BGR


def test_middle_grey_is_what_an_even_sphere_becomes():
    even = tone_map(np.full((32, 64, 3), 7.0, np.float32))

    # 0.18 compressed to 0.18 (1 + 0.18 / 16) / 1.18, through the curve of sRGB.
    assert even.dtype == np.uint8
    assert set(np.unique(even)) == {round((1.055 * 0.15426 ** (1 / 2.4) - 0.055) * 255)}


@pytest.mark.parametrize(("channel", "value"), [(0, 255), (1, 128), (2, 221)])
def test_one_colour_alone_is_exposed_by_how_bright_it_looks(channel, value):
    light = np.zeros((32, 64, 3), np.float32)
    light[..., channel] = 7.0  # of blue, green, red

    shown = tone_map(light)

    assert set(np.unique(shown[..., channel])) == {value}
    assert not np.delete(shown, channel, axis=2).any()


def test_what_is_small_on_the_sphere_counts_little_however_wide_its_rows():
    room = np.full((64, 128, 3), 0.5, np.float32)
    with_lamp_above = room.copy()
    with_lamp_above[:4] = 100

    lit, unlit = (int(tone_map(picture)[40, 5, 0]) for picture in (with_lamp_above, room))

    assert abs(lit - unlit) <= 3


def test_brightness_keeps_its_order_and_what_is_far_beyond_white_is_white():
    ramp = np.geomspace(1e-4, 1e4, 64, dtype=np.float32)
    radiance = np.repeat(np.tile(ramp, (32, 1))[..., None], 3, axis=2)

    shown = tone_map(radiance)[16, :, 0].astype(int)

    assert (np.diff(shown) >= 0).all()
    assert shown[0] == 0
    assert shown[-1] == 255


def test_a_lamp_does_not_decide_the_exposure_of_the_room():
    room = np.full((64, 128, 3), 0.5, np.float32)
    lit = room.copy()
    lit[30:32, 60:62] = 1e6

    assert abs(int(tone_map(lit)[50, 5, 0]) - int(tone_map(room)[50, 5, 0])) <= 3


def test_pixels_that_were_never_taken_do_not_decide_the_exposure_either():
    room = np.full((64, 128, 3), 0.5, np.float32)
    padded = room.copy()
    padded[48:] = 0

    np.testing.assert_array_equal(tone_map(padded)[:48], tone_map(room)[:48])
    assert not tone_map(padded)[48:].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -3.0, 1e38, 1e-38])
def test_no_pixel_value_breaks_the_others(value):
    room = np.full((16, 32, 3), 0.5, np.float32)
    odd = room.copy()
    odd[8, 16] = value

    shown = tone_map(odd)

    assert abs(int(shown[2, 2, 0]) - int(tone_map(room)[2, 2, 0])) <= 25
    assert set(shown[8, 16]) == ({255} if value > 1 else {0})


@pytest.mark.parametrize("factor", [1e-38, 1e-42, 1e34])
def test_hardly_any_light_and_far_too_much_are_exposed_like_any_other(factor):
    ramp = np.repeat(np.tile(np.linspace(200, 2000, 64), (32, 1))[..., None], 3, axis=2)

    shown = tone_map((ramp * factor).astype(np.float32)).astype(int)

    # Near 1e-45 float32 has few steps left.
    assert np.abs(shown - tone_map(ramp.astype(np.float32))).max() <= 6


def test_pixels_without_an_end_do_not_decide_the_exposure():
    room = np.full((64, 128, 3), 0.5, np.float32)
    lit = room.copy()
    lit[30:34, :100] = np.inf

    shown = tone_map(lit)

    np.testing.assert_array_equal(shown[40:], tone_map(room)[40:])
    assert (shown[30:34, :100] == 255).all()


@pytest.mark.parametrize("pixels", [1, 300, 1 << 20])
def test_the_size_of_the_bands_changes_nothing(monkeypatch, pixels):
    radiance = np.random.default_rng(0).lognormal(size=(32, 64, 3)).astype(np.float32)
    given = radiance.copy()
    whole = tone_map(radiance)

    monkeypatch.setattr(tone, "BAND", pixels)

    np.testing.assert_array_equal(tone_map(radiance), whole)
    np.testing.assert_array_equal(radiance, given)


def test_darkness_stays_dark():
    assert not tone_map(np.zeros((16, 32, 3), np.float32)).any()


def test_real_rooms_are_well_exposed_and_their_colours_natural(real_data):
    source = EquirectangularSource(real_data / "panoramas")
    names = source.viewpoints("any")
    assert len(names) == 3

    for name in names:
        faces = source.panorama("any", name).faces
        assert faces.shape == (6, 326, 326, 3)
        assert 80 < np.median(faces) < 130
        assert (faces == 255).all(axis=-1).mean() < 0.03
        assert faces.reshape(-1, 3).mean(axis=0).min() > 60
