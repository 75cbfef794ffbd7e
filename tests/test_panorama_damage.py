"""Skyboxes that cannot be used: missing, cut off, damaged, of the wrong shape; each is named."""

import re
import shutil
import struct
import zipfile

import cv2
import numpy as np
import pytest

from vln.errors import CorruptData, MissingData
from vln.panorama import skybox
from vln.panorama.skybox import SkyboxSource

SIZE = 32


@pytest.fixture
def graph(make_graph):
    return make_graph([(0, 0, 0), (1, 0, 0), (2, 0, 0)], ["ab", "bc"])


def encoded(picture, extension=".jpg"):
    return cv2.imencode(extension, picture)[1].tobytes()


def strip():
    return encoded(np.full((SIZE, 6 * SIZE, 3), 200, np.uint8))


def noisy_jpeg():
    return encoded(np.random.default_rng(0).integers(0, 256, (SIZE, 6 * SIZE, 3), np.uint8))


def sextet():
    face = encoded(np.full((SIZE, SIZE, 3), 200, np.uint8))
    return {f"a_skybox{number}_sami.jpg": face for number in range(6)}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def write_zip(file, files, *, method=zipfile.ZIP_DEFLATED):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, content in files.items():
            packed.writestr(f"made/matterport_skybox_images/{name}", content)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9, 0.99, 1.0])
def test_a_jpeg_that_ends_early_is_named(tmp_path, graph, kept):
    whole = noisy_jpeg()
    cut = whole[: min(int(len(whole) * kept), len(whole) - 1)]
    write(tmp_path / "made", {"a_skybox_small.jpg": cut})

    with pytest.raises(CorruptData, match=r"a_skybox_small\.jpg: .*early"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_first_bytes_of_a_jpeg_are_no_picture(tmp_path, graph, length):
    write(tmp_path / "made", {"a_skybox_small.jpg": noisy_jpeg()[:length]})

    with pytest.raises(CorruptData, match=r"a_skybox_small\.jpg: "):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


def with_thumbnail(jpeg):
    """A JPEG that begins with a segment in which another JPEG ends, as cameras write them."""
    segment = b"Exif\0\0\xff\xd8thumbnail\xff\xd9"
    return jpeg[:2] + b"\xff\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + jpeg[2:]


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(tmp_path, graph):
    write(
        tmp_path / "made",
        {
            "a_skybox_small.jpg": with_thumbnail(strip()),
            "b_skybox_small.jpg": with_thumbnail(noisy_jpeg())[:-2],
        },
    )
    source = SkyboxSource(tmp_path, graph=graph)

    assert (source.panorama("made", "a").faces == 200).all()
    with pytest.raises(CorruptData, match=r"b_skybox_small\.jpg: .*early"):
        source.panorama("made", "b")


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path, graph):
    write(tmp_path / "made", {"a_skybox_small.jpg": strip() + b"\0\0padding\n"})

    panorama = SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    assert (panorama.faces == 200).all()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"<html>Please log in</html>", "not a whole picture"),
        (encoded(np.zeros((SIZE, 5 * SIZE, 3), np.uint8)), "160 x 32 pixels, expected six squares"),
        (encoded(np.zeros((SIZE + 1, 6 * SIZE, 3), np.uint8)), "192 x 33 pixels"),
    ],
)
def test_a_strip_of_another_kind_is_named_with_what_was_expected(tmp_path, graph, content, problem):
    write(tmp_path / "made", {"a_skybox_small.jpg": content})

    with pytest.raises(CorruptData, match=rf"a_skybox_small\.jpg: .*{problem}"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


@pytest.mark.parametrize("shape", [(16, 16), (32, 16), (16, 32)])
def test_a_face_unlike_the_others_is_named(tmp_path, graph, shape):
    odd = {"a_skybox4_sami.jpg": encoded(np.zeros((*shape, 3), np.uint8))}
    write(tmp_path / "made", sextet() | odd)

    with pytest.raises(CorruptData, match=rf"skybox4_sami\.jpg: {shape[1]} x {shape[0]} pixels"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


def test_a_first_face_that_is_not_square_is_named(tmp_path, graph):
    odd = {"a_skybox0_sami.jpg": encoded(np.zeros((16, 32, 3), np.uint8))}
    write(tmp_path / "made", sextet() | odd)

    with pytest.raises(CorruptData, match=r"skybox0_sami\.jpg: 32 x 16 pixels"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


@pytest.mark.parametrize("layout", ["strip", "six"])
def test_faces_larger_than_can_be_rendered_are_named(tmp_path, graph, monkeypatch, layout):
    monkeypatch.setattr(skybox, "MAX_FACE", SIZE - 1)
    write(tmp_path / "made", sextet() if layout == "six" else {"a_skybox_small.jpg": strip()})

    with pytest.raises(CorruptData, match=rf"a_skybox.*\.jpg: faces of {SIZE} pixels"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


def test_what_is_not_there_is_named_with_where_it_was_looked_for_and_how_to_get_it(tmp_path, graph):
    with pytest.raises(MissingData) as caught:
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    said = str(caught.value)
    for part in ("a_skybox_small.jpg", "a_skybox[012345]_sami.jpg", str(tmp_path), "v1/scans/made"):
        assert part in said
    assert "Terms of Use" in said
    assert "works without images" in said


def test_faces_that_are_missing_are_told_from_those_that_are_not(tmp_path, graph):
    files = sextet()
    del files["a_skybox1_sami.jpg"], files["a_skybox5_sami.jpg"]
    write(tmp_path / "made", files)
    source = SkyboxSource(tmp_path, graph=graph)

    assert not source.has("made", "a")
    with pytest.raises(MissingData, match=re.escape("a_skybox[15]_sami.jpg missing")):
        source.panorama("made", "a")


def test_a_picture_that_goes_away_is_named(tmp_path, graph):
    write(tmp_path / "made", {"a_skybox_small.jpg": strip()})
    source = SkyboxSource(tmp_path, graph=graph)
    source.panorama("made", "a")

    shutil.rmtree(tmp_path / "made")

    with pytest.raises(MissingData, match=r"a_skybox_small\.jpg"):
        source.panorama("made", "a")


# ---- zips


def test_a_zip_that_ends_early_is_named(tmp_path, graph):
    file = tmp_path / "made" / "matterport_skybox_images.zip"
    write_zip(file, sextet())
    whole = file.read_bytes()

    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(CorruptData, match=r"matterport_skybox_images\.zip: not a whole zip"):
            SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


def test_a_zip_with_a_hole_is_named_with_the_entry(tmp_path, graph):
    file = tmp_path / "made.zip"
    write_zip(file, {"a_skybox_small.jpg": noisy_jpeg()})
    raw = bytearray(file.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 40] = bytes(40)
    file.write_bytes(raw)

    with pytest.raises(CorruptData, match=r"made\.zip, made/.*/a_skybox_small\.jpg: cannot be"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


def test_a_flipped_bit_in_a_zip_is_found_by_its_checksum(tmp_path, graph):
    file = tmp_path / "made.zip"
    write_zip(file, {"a_skybox_small.jpg": noisy_jpeg()}, method=zipfile.ZIP_STORED)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)

    with pytest.raises(CorruptData, match="CRC"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


def test_a_jpeg_that_was_cut_before_it_was_zipped_is_named_with_its_entry(tmp_path, graph):
    write_zip(tmp_path / "made.zip", {"a_skybox_small.jpg": noisy_jpeg()[:-30]})

    with pytest.raises(CorruptData, match=r"made\.zip, made/.*/a_skybox_small\.jpg: .*early"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


# ---- depth


def depth_strip(dtype=np.uint16, faces=6):
    return np.arange(SIZE * faces * SIZE).reshape(SIZE, faces * SIZE).astype(dtype)


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (depth_strip(np.uint8), "uint8"),
        (np.dstack([depth_strip()] * 3), "one channel"),
        (depth_strip(faces=5), "160 x 32 pixels"),
    ],
)
def test_depth_of_another_kind_is_named(tmp_path, graph, picture, problem):
    depth = {"a_skybox_depth_small.png": encoded(picture, ".png")}
    write(tmp_path / "made", {"a_skybox_small.jpg": strip()} | depth)

    with pytest.raises(CorruptData, match=rf"a_skybox_depth_small\.png: .*{problem}"):
        SkyboxSource(tmp_path, graph=graph, depth=True).panorama("made", "a")


@pytest.mark.parametrize("kept", [20, 60, 0.5, -13])
def test_depth_that_ends_early_is_named(tmp_path, graph, kept):
    whole = encoded(depth_strip(), ".png")
    cut = whole[: int(len(whole) * kept) if isinstance(kept, float) else kept]
    write(tmp_path / "made", {"a_skybox_small.jpg": strip(), "a_skybox_depth_small.png": cut})

    with pytest.raises(CorruptData, match=r"a_skybox_depth_small\.png"):
        SkyboxSource(tmp_path, graph=graph, depth=True).panorama("made", "a")


# ---- zips as other programs make them


def test_a_jpeg_whose_tail_is_zeros_is_named_though_opencv_decodes_it(tmp_path, graph):
    whole = noisy_jpeg()
    half = whole[: len(whole) // 2].ljust(len(whole), b"\0")
    assert cv2.imdecode(np.frombuffer(half, np.uint8), cv2.IMREAD_COLOR) is not None
    write(tmp_path / "made", {"a_skybox_small.jpg": half})

    with pytest.raises(CorruptData, match=r"a_skybox_small\.jpg: .*early"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


def test_a_hole_in_an_entry_packed_with_lzma_is_named(tmp_path, graph):
    file = tmp_path / "made.zip"
    write_zip(file, {"a_skybox_small.jpg": bytes(range(256)) * 40}, method=zipfile.ZIP_LZMA)
    with zipfile.ZipFile(file) as packed:
        (info,) = packed.infolist()
    raw = bytearray(file.read_bytes())
    begin = info.header_offset + 30 + len(info.filename) + 9
    raw[begin : begin + 30] = b"\xff" * 30
    file.write_bytes(raw)

    with pytest.raises(CorruptData, match=r"made\.zip, made/.*a_skybox_small\.jpg: cannot be"):
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")


def test_names_with_backslashes_are_found(tmp_path, graph):
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as packed:
        packed.writestr("made\\images\\", b"")
        packed.writestr("made\\images\\a_skybox_small.jpg", strip())
    source = SkyboxSource(tmp_path, graph=graph)

    assert source.viewpoints("made") == ("a",)
    assert (source.panorama("made", "a").faces == 200).all()


def test_what_a_mac_adds_does_not_stand_before_the_picture(tmp_path, graph):
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as packed:
        packed.writestr("__MACOSX/made/a_skybox_small.jpg", b"resource fork")
        packed.writestr("made/a_skybox_small.jpg", strip())

    panorama = SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    assert (panorama.faces == 200).all()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("flag_bits", 1, "encrypted.*password"), ("compress_type", 9, "packed in a way")],
)
def test_what_zipfile_cannot_unpack_is_not_called_damaged(tmp_path, graph, field, value, said):
    file = tmp_path / "made.zip"
    write_zip(file, {"a_skybox_small.jpg": strip()}, method=zipfile.ZIP_STORED)
    raw = bytearray(file.read_bytes())
    local, central = raw.index(b"PK\x03\x04"), raw.index(b"PK\x01\x02")
    for begin in (local + 6, central + 8):  # flags, and right after them the compression
        struct.pack_into("<H", raw, begin + (0 if field == "flag_bits" else 2), value)
    file.write_bytes(raw)

    with pytest.raises(CorruptData, match=rf"a_skybox_small\.jpg: is .*{said}") as caught:
        SkyboxSource(tmp_path, graph=graph).panorama("made", "a")

    assert "damaged" not in str(caught.value)
