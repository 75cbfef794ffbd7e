"""What the rasteriser shows, beside rays cast one by one and beside `vln.panorama`'s own views."""

import shutil

import numpy as np
import pytest

from vln.errors import BadConfig
from vln.houses.pictures import compiled
from vln.houses.pictures.raster import NOTHING, visible
from vln.panorama.faces import NUM_FACES, UPRIGHT, Panorama
from vln.panorama.pinhole import FACE_AXES, Camera
from vln.panorama.views import ViewRenderer

ROOM = np.array([[-2.0, -3.0, 0.0], [4.0, 5.0, 2.6]])
EYE = np.array([0.3, 0.7, 1.5])


def box(low, high, *, inside: bool) -> np.ndarray:
    """Gives (12, 3, 3) triangles of a box; pairs show -x, +x, -y, +y, -z, +z."""
    ends = np.array([low, high], dtype=np.float64)
    triangles = []
    for axis in range(3):
        for side in range(2):
            square = np.empty((4, 3))
            square[:, axis] = ends[side, axis]
            square[:, (axis + 1) % 3] = ends[[0, 1, 1, 0], (axis + 1) % 3]
            square[:, (axis + 2) % 3] = ends[[0, 0, 1, 1], (axis + 2) % 3]
            if (side == 0) != inside:
                square = square[::-1]
            triangles += [square[[0, 1, 2]], square[[0, 2, 3]]]
    return np.array(triangles, dtype=np.float32)


def tilted(seed: int) -> np.ndarray:
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return axes * np.linalg.det(axes)


def rays(size: int, rotation: np.ndarray) -> np.ndarray:
    """Gives (6, S, S, 3) world directions of the pixels, 1 along each face's axis."""
    place = (2 * np.arange(size) + 1) / size - 1
    out, right, down = np.moveaxis(FACE_AXES, 1, 0)[:, :, None, None]
    local = out + right * place[None, None, :, None] + down * place[None, :, None, None]
    return local @ rotation.T


def cast(corners: np.ndarray, eye: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Gives the distance along each ray at which it meets each triangle's front, else infinity."""
    a, b, c = np.moveaxis(corners.astype(np.float64) - eye, 1, 0)
    normal = np.cross(b - a, c - a)
    facing = ways @ normal.T
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.einsum("td,td->t", normal, a) / facing
    hit = facing < 0
    for p, q in ((a, b), (b, c), (c, a)):
        hit &= ways @ np.cross(p, q).T <= 0
    return np.where(hit & (far > 0), far, np.inf)


def test_random_triangles_are_seen_where_rays_meet_them():
    rng = np.random.default_rng(4)
    corners = (rng.normal(size=(120, 1, 3)) * 2 + rng.normal(size=(120, 3, 3))).astype(np.float32)
    eye, rotation, size = rng.normal(size=3), tilted(1), 48
    triangle, depth = visible(corners, eye=eye, rotation=rotation, size=size)
    ways = rays(size, rotation)
    far = cast(corners, eye, ways.reshape(-1, 3))
    expected = np.where(np.isfinite(far.min(axis=1)), far.argmin(axis=1), NOTHING)
    agree = triangle.ravel() == expected
    assert agree.mean() > 0.999
    assert (expected != NOTHING).mean() > 0.4
    known = agree & (expected != NOTHING)
    np.testing.assert_allclose(depth.ravel()[known], far.min(axis=1)[known], rtol=1e-3)
    assert np.isinf(depth.ravel()[triangle.ravel() == NOTHING]).all()


@pytest.mark.parametrize("size", [1, 7, 64, 97])
@pytest.mark.parametrize("rotation", [UPRIGHT, tilted(2), tilted(3)])
def test_a_room_closes_all_around_and_lies_where_it_is(size, rotation):
    walls = box(*ROOM, inside=True)
    triangle, depth = visible(walls, eye=EYE, rotation=rotation, size=size)
    assert (triangle != NOTHING).all()
    ways = rays(size, rotation)
    with np.errstate(divide="ignore"):
        reach = np.where(ways > 0, ROOM[1] - EYE, EYE - ROOM[0]) / np.abs(ways)
    np.testing.assert_allclose(depth, reach.min(axis=-1), rtol=1e-4)


def test_a_ball_of_many_small_triangles_has_no_cracks():
    rng = np.random.default_rng(0)
    turn, rise = np.meshgrid(np.linspace(0, 2 * np.pi, 301), np.linspace(0, np.pi, 151))
    turn[1:-1, 1:-1] += rng.uniform(-0.008, 0.008, turn[1:-1, 1:-1].shape)
    ball = np.stack([np.sin(rise) * np.cos(turn), np.sin(rise) * np.sin(turn), np.cos(rise)], -1)
    ball[:, -1] = ball[:, 0]
    a, b, c, d = ball[:-1, :-1], ball[1:, :-1], ball[1:, 1:], ball[:-1, 1:]
    corners = np.concatenate([np.stack(t, 2).reshape(-1, 3, 3) for t in ((a, c, b), (a, d, c))])
    triangle, depth = visible(
        corners.astype(np.float32), eye=(0.2, 0.1, -0.3), rotation=tilted(5), size=256
    )
    assert (triangle != NOTHING).all()
    assert np.isfinite(depth).all()


def test_backs_are_not_seen():
    crate = box([1, 1, 1], [2, 2, 2], inside=True)
    eye = np.array([1.5, -1.0, 1.4])
    seen, _ = visible(crate, eye=eye, rotation=UPRIGHT, size=32)
    assert 2 not in seen // 2
    assert (seen // 2 == 3).any()


def test_the_floor_reaches_under_the_eye_without_a_gap():
    floor = np.array([[[-50, -50, 0], [50, -50, 0], [0, 90, 0]]], dtype=np.float32)
    triangle, depth = visible(floor, eye=(0, 0, 1.5), rotation=UPRIGHT, size=33)
    assert (triangle[5] == 0).all()
    np.testing.assert_allclose(depth[5], 1.5, rtol=1e-5)
    assert (triangle[0] == NOTHING).all()


def test_views_of_the_faces_look_where_headings_point():
    walls = box(*ROOM, inside=True)
    rotation = UPRIGHT @ np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]])
    triangle, _ = visible(walls, eye=EYE, rotation=rotation, size=64)
    shades = np.repeat((40 * (triangle // 2 + 1)).astype(np.uint8)[..., None], 3, axis=-1)
    panorama = Panorama.of(list(shades), rotation=rotation)
    camera = Camera(width=9, height=9, vertical_fov=0.4)
    heading = np.array([0, np.pi / 2, np.pi, -np.pi / 2, 0, 0])
    elevation = np.array([0, 0, 0, 0, np.pi / 2, -np.pi / 2])
    middle = ViewRenderer(camera).views(panorama, heading, elevation)[:, 4, 4, 0]
    north, east, south, west, up, down = 3, 1, 2, 0, 5, 4
    assert (middle / 40 - 1).tolist() == [north, east, south, west, up, down]


def test_nothing_shows_nothing():
    triangle, depth = visible(np.empty((0, 3, 3), np.float32), eye=EYE, rotation=UPRIGHT, size=8)
    assert (triangle == NOTHING).all()
    assert np.isinf(depth).all()
    assert triangle.shape == (NUM_FACES, 8, 8)


def test_the_same_is_drawn_again():
    rng = np.random.default_rng(9)
    corners = rng.normal(size=(500, 3, 3)).astype(np.float32)
    first = visible(corners, eye=EYE, rotation=UPRIGHT, size=40)
    again = visible(corners, eye=EYE, rotation=UPRIGHT, size=40)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("size", [0, 10**6])
def test_absurd_sizes_are_refused(size):
    with pytest.raises(BadConfig, match=f"faces of {size} pixels"):
        visible(box(*ROOM, inside=True), eye=EYE, rotation=UPRIGHT, size=size)


def test_arrays_of_other_shapes_are_refused():
    with pytest.raises(BadConfig, match="expected"):
        visible(np.zeros((4, 3), np.float32), eye=EYE, rotation=UPRIGHT, size=8)


def test_compiled_code_is_kept_apart_for_every_state_of_the_sources(monkeypatch, tmp_path):
    here, copied = compiled._kept_in(), tmp_path / "houses"
    shutil.copytree(here.parents[1], copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiled, "__file__", str(copied / "pictures" / "compiled.py"))

    same = compiled._kept_in.__wrapped__().name
    with (copied / "pictures" / "raster.py").open("a") as changed:
        changed.write("# another line\n")

    assert same == here.name != compiled._kept_in.__wrapped__().name
