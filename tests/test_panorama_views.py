"""Views of panoramas: MatterSim's own pictures, an analytic sphere, and an independent formula."""

import json
import math

import cv2
import numpy as np
import pytest

from vln import geometry
from vln.errors import BadConfig, MissingData
from vln.panorama.faces import UPRIGHT, Panorama
from vln.panorama.pinhole import Camera, camera_axes, smoothing
from vln.panorama.views import ViewRenderer
from vln.testing.skyboxes import direction_faces, face_directions

torch = pytest.importorskip("torch")


def random_rotation(seed):
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return rotation * np.sign(np.linalg.det(rotation))


def noise(size, *, seed=0):
    faces = np.random.default_rng(seed).integers(0, 256, (6, size, size, 3), dtype=np.uint8)
    return Panorama.of(faces, rotation=random_rotation(seed))


def sphere(size, *, seed=0):
    """A panorama whose colour is its world direction, and which hangs askew."""
    rotation = random_rotation(seed)
    return Panorama.of(direction_faces(rotation, size), rotation=rotation)


def world_rays(camera, heading, elevation):
    """The ray of every pixel, (H, W, 3), length 1: longhand, from the spec's formula."""
    right, up, forward = camera_axes([heading], [elevation])[0]
    focal = camera.height / 2 / math.tan(camera.vertical_fov / 2)
    x = (np.arange(camera.width) + 0.5 - camera.width / 2) / focal
    y = (camera.height / 2 - np.arange(camera.height) - 0.5) / focal
    rays = forward + x[None, :, None] * right + y[:, None, None] * up
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def matrix_x(angle):
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def matrix_z(angle):
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def opengl(panorama, camera, heading, elevation):
    """What OpenGL's cube map would show, in float64: the other formula, with its own face table."""
    tangent = math.tan(camera.vertical_fov / 2)
    x = ((np.arange(camera.width) + 0.5) / camera.width * 2 - 1) * tangent
    y = ((np.arange(camera.height) + 0.5) / camera.height * 2 - 1) * tangent
    pixels = np.stack(np.broadcast_arrays(x * camera.width / camera.height, y[:, None], -1.0), -1)
    pose = matrix_x(elevation - math.pi / 2) @ matrix_z(math.pi + heading) @ panorama.rotation
    ray = pixels @ pose
    major = np.abs(ray).argmax(axis=-1)
    along = np.take_along_axis(ray, major[..., None], axis=-1)[..., 0]
    positive = along > 0
    face = np.array([[4, 2], [5, 0], [3, 1]])[major, positive.astype(int)]
    x, y, z = np.moveaxis(ray, -1, 0)
    s = np.choose(major, [np.where(positive, -z, z), x, np.where(positive, x, -x)]) / np.abs(along)
    t = np.choose(major, [-y, np.where(positive, z, -z), -y]) / np.abs(along)
    size = panorama.size
    column, row = (s + 1) / 2 * size - 0.5, (t + 1) / 2 * size - 0.5
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    total = np.zeros((*face.shape, 3))
    for dy, dx in np.ndindex(2, 2):
        at = np.clip(top + dy, 0, size - 1), np.clip(left + dx, 0, size - 1)
        share = np.abs(1 - dx - (column - left)) * np.abs(1 - dy - (row - top))
        total += share[..., None] * panorama.faces[face, at[0], at[1]]
    return total


def psnr(image, reference):
    error = np.mean((image.astype(float) - reference) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


@pytest.fixture(scope="module")
def rendered(golden, real_graph):
    """Every golden state's description, and what we render for it."""
    described = json.loads((golden / "renders" / "states.json").read_text(encoding="utf-8"))
    renderer, read, views = ViewRenderer(Camera()), {}, []
    for state in described["views"]:
        scan, viewpoint = state["scanId"], state["viewpointId"]
        if (scan, viewpoint) not in read:
            folder = golden / "renders" / "skybox" / scan / "matterport_skybox_images"
            strip = cv2.imread(str(folder / f"{viewpoint}_skybox_small.jpg"))
            read[scan, viewpoint] = Panorama.of_bgr(
                np.split(strip, 6, axis=1),
                rotation=real_graph.rotation[real_graph.index(scan, viewpoint)],
            )
        panorama = read[scan, viewpoint]
        views.append(renderer.views(panorama, [state["heading"]], [state["elevation"]])[0])
    return list(zip(described["views"], views, strict=True))


def test_every_full_picture_of_mattersim_is_met(rendered, golden):
    compared = 0
    for state, view in rendered:
        if state["full_png"]:
            picture = cv2.imread(str(golden / "renders" / state["full_png"]))[..., ::-1]
            assert psnr(view, picture) >= 55, state["full_png"]
            assert np.abs(view.astype(float) - picture).mean() <= 0.27, state["full_png"]
            compared += 1
    assert compared >= 18


def test_every_small_picture_of_mattersim_is_met(rendered, golden):
    small = np.load(golden / "renders" / "lowres_160x120.npz")
    for state, view in rendered:
        boxes = view.reshape(120, 4, 160, 4, 3).mean(axis=(1, 3))
        assert psnr(boxes, small[state["lowres_key"]]) >= 55, state["lowres_key"]
        assert np.abs(boxes - small[state["lowres_key"]]).mean() <= 0.5, state["lowres_key"]
    assert len(rendered) == len(small.files) >= 80


CAMERAS = (
    (Camera(), 1.0, 0.3),
    (Camera(width=93, height=64), 4.0, -0.6),
    (Camera(width=64, height=93, vertical_fov=2.0), 2.0, 0.9),
    (Camera(width=50, height=50, vertical_fov=3.0), 5.5, -1.5),
    (Camera(width=7, height=5, vertical_fov=0.2), 0.0, math.pi / 2),
    (Camera(width=1, height=1), 0.5, 0.0),
)


@pytest.mark.parametrize(("camera", "heading", "elevation"), CAMERAS)
def test_noise_is_sampled_as_opengl_samples_it(camera, heading, elevation):
    panorama = noise(96)

    view = ViewRenderer(camera).views(panorama, [heading], [elevation])[0]

    expected = opengl(panorama, camera, heading, elevation)
    wrong = np.abs(view - expected).max(axis=-1) > 0.6
    # A ray along a seam may round into the other face.
    assert wrong.mean() <= 0.001


def test_a_sphere_shows_its_directions_across_seams_and_poles():
    panorama, camera = sphere(128), Camera(width=160, height=120)
    heading = np.append(np.arange(0, 6.2, 0.37), [0.3, 2.0])
    elevation = np.append(np.linspace(-1.4, 1.4, len(heading) - 2), [math.pi / 2, -math.pi / 2])

    views = ViewRenderer(camera).views(panorama, heading, elevation)

    for view, h, e in zip(views, heading, elevation, strict=True):
        expected = (world_rays(camera, h, e) + 1) / 2 * 255
        assert np.abs(view - expected).max() <= 2.5  # half a texel's slope, and rounding


def test_all_six_faces_are_where_matterport_hangs_them():
    colours = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    panorama = Panorama.of(colours, rotation=UPRIGHT)
    # Face 3 ahead; turning right: 4, then 1 behind, then 2.
    heading = [0, math.pi / 2, math.pi, -math.pi / 2, 0, 0]
    elevation = [0, 0, 0, 0, math.pi / 2, -math.pi / 2]

    views = ViewRenderer(Camera(width=3, height=3)).views(panorama, heading, elevation)

    assert views[:, 1, 1, 0].tolist() == [3, 4, 1, 2, 0, 5]


def test_the_sweep_is_the_36_views_in_order():
    panorama, camera = sphere(32), Camera(width=31, height=21)

    sweep = ViewRenderer(camera).sweep(panorama)

    views = np.arange(36)
    angles = geometry.view_heading(views), geometry.view_elevation(views)
    centre = np.stack([world_rays(camera, h, e)[10, 15] for h, e in zip(*angles, strict=True)])
    assert sweep.shape == (36, 21, 31, 3)
    assert np.abs(sweep[:, 10, 15] - (centre + 1) / 2 * 255).max() <= 4


def test_no_view_is_an_empty_batch():
    assert ViewRenderer(Camera(width=4, height=3)).views(sphere(8), [], []).shape == (0, 3, 4, 3)


def test_a_renderer_gives_fresh_memory():
    renderer = ViewRenderer(Camera(width=20, height=20))
    first = renderer.views(sphere(16), [0.0], [0.0])
    kept = first.copy()
    renderer.views(sphere(16, seed=1), [1.0], [0.0])
    assert (first == kept).all()


def supersampled(panorama, size, angles):
    large = ViewRenderer(Camera(width=size * 6, height=size * 6)).views(panorama, *angles)
    return large.reshape(len(large), size, 6, size, 6, 3).mean(axis=(2, 4))


@pytest.mark.parametrize("size", [24, 48])
def test_smoothing_comes_closer_to_what_a_pixel_covers(size):
    rough = cv2.GaussianBlur(noise(128).faces.reshape(-1, 128, 3), (0, 0), 1)
    panorama = Panorama.of(rough.reshape(6, 128, 128, 3), rotation=random_rotation(3))
    angles = [0.0, 1.0, 2.5], [0.0, 0.5, -0.5]
    truth = supersampled(panorama, size, angles)

    camera = Camera(width=size, height=size)
    plain = psnr(ViewRenderer(camera).views(panorama, *angles), truth)
    smooth = psnr(ViewRenderer(camera, smooth=True).views(panorama, *angles), truth)

    assert smooth > plain + 3


def test_smoothing_gains_on_soft_pictures_too_where_faces_are_halved():
    soft = cv2.GaussianBlur(noise(256).faces.reshape(-1, 256, 3), (0, 0), 2.5)
    panorama = Panorama.of(soft.reshape(6, 256, 256, 3), rotation=random_rotation(3))
    angles = [0.0, 1.0, 2.5], [0.0, 0.5, -0.5]
    camera = Camera(width=56, height=56)
    assert smoothing(camera, 256)[0] == 1
    truth = supersampled(panorama, 56, angles)

    plain = psnr(ViewRenderer(camera).views(panorama, *angles), truth)
    smooth = psnr(ViewRenderer(camera, smooth=True).views(panorama, *angles), truth)

    assert smooth > plain + 1  # with 0.4 of a pixel, as without halving, it would lose


def test_smoothing_leaves_fine_cameras_alone():
    assert smoothing(Camera(), 512) == (0, 0.0)
    assert smoothing(Camera(), 1024)[0] == 0
    assert smoothing(Camera(width=224, height=224), 512) == (0, pytest.approx(0.528, abs=0.001))
    assert smoothing(Camera(width=224, height=224), 1024) == (1, pytest.approx(0.396, abs=0.001))
    assert smoothing(Camera(width=8, height=8), 63)[0] == 0  # an odd face has no half


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("smooth", [True, False])
def test_torch_and_opencv_agree_on_random_cameras(device, smooth):
    from vln.panorama.device import TorchViewRenderer

    rng = np.random.default_rng(5)
    for _ in range(12):
        size = int(rng.integers(5, 120))
        camera = Camera(
            width=int(rng.integers(1, 90)),
            height=int(rng.integers(1, 90)),
            vertical_fov=float(rng.uniform(0.1, 2.5)),
        )
        panoramas = [noise(size, seed=s) for s in range(2)]
        angles = rng.uniform(-7, 7, (2, 3)), rng.uniform(-1.57, 1.57, (2, 3))

        views = TorchViewRenderer(camera, device=device, smooth=smooth).views(panoramas, *angles)

        renderer = ViewRenderer(camera, smooth=smooth)
        expected = [renderer.views(p, *a) for p, *a in zip(panoramas, *angles, strict=True)]
        apart = np.abs(views.cpu().numpy().astype(int) - np.stack(expected))
        # float32 places of texels: half a grey level on noise, and seams.
        assert (apart > 1).mean() <= 0.002


def test_torch_renders_in_parts_what_does_not_fit_at_once():
    from vln.panorama.device import TorchViewRenderer

    panoramas, camera = [sphere(16, seed=s) for s in range(5)], Camera(width=8, height=6)
    whole = TorchViewRenderer(camera, device="cpu").sweep(panoramas)
    parts = TorchViewRenderer(camera, device="cpu", max_samples=36 * 48 * 2).sweep(panoramas)
    assert whole.shape == (5, 36, 6, 8, 3)
    assert torch.equal(whole, parts)


def test_torch_splits_the_views_of_one_panorama_that_do_not_fit_at_once():
    from vln.panorama.device import TorchViewRenderer

    panoramas, camera = [sphere(16, seed=s) for s in range(2)], Camera(width=8, height=6)
    whole = TorchViewRenderer(camera, device="cpu").sweep(panoramas)
    views = TorchViewRenderer(camera, device="cpu", max_samples=100).sweep(panoramas)
    assert torch.equal(whole, views)


def test_torch_renders_the_same_inside_autocast():
    from vln.panorama.device import TorchViewRenderer

    renderer = TorchViewRenderer(Camera(width=40, height=30), device="cpu", smooth=True)
    plain = renderer.sweep([noise(64)])
    with torch.autocast("cpu", torch.bfloat16):
        inside = renderer.sweep([noise(64)])
    assert torch.equal(plain, inside)


@pytest.mark.parametrize(("size", "side", "fov"), [(5, 1, 3.0), (7, 4, 3.0), (16, 4, 3.1415)])
def test_smoothing_few_texels_seen_by_a_wide_camera_stays_within_the_faces(size, side, fov):
    from vln.panorama.device import TorchViewRenderer

    camera = Camera(width=side, height=side, vertical_fov=fov)
    views = ViewRenderer(camera, smooth=True).views(noise(size), [0.3], [0.1])
    torch_views = TorchViewRenderer(camera, device="cpu", smooth=True).views(
        [noise(size)], [0.3], [0.1]
    )
    assert np.abs(views - torch_views[0].numpy().astype(int)).max() <= 2


def test_torch_refuses_faces_of_two_sizes():
    from vln.panorama.device import TorchViewRenderer

    with pytest.raises(
        BadConfig, match="panorama 1 of the batch has faces of 16 pixels, panorama 0 of 8"
    ):
        TorchViewRenderer(Camera(), device="cpu").views([sphere(8), sphere(16)], [0], [0])


def test_depth_is_measured_from_the_image_plane():
    # A room seen from its middle: walls 2 m away, that is 8,000 units along each face's axis.
    directions = face_directions(np.eye(3), 256)
    distance = 8000 / np.abs(directions).max(axis=-1)
    panorama = Panorama.of(
        np.zeros((6, 4, 4, 3), np.uint8),
        rotation=UPRIGHT,
        depth=np.round(distance).astype(np.uint16),
    )
    camera = Camera(width=64, height=48)

    level, up, turned = ViewRenderer(camera).depth(panorama, [0, 0, 0.6], [0, math.pi / 2, 0.2])

    assert np.abs(level.astype(int) - 8000).max() <= 60  # nearest reading, 1/256 of a face
    assert np.abs(up.astype(int) - 8000).max() <= 60
    rays = world_rays(camera, 0.6, 0.2)
    expected = 8000 / np.abs(rays).max(axis=-1) * (rays @ rays[23:25, 31:33].mean(axis=(0, 1)))
    assert np.abs(turned - expected).max() <= 90


def test_depth_keeps_what_has_no_reading():
    depth = np.full((6, 16, 16), 4000, dtype=np.uint16)
    depth[3] = 0
    panorama = Panorama.of(np.zeros((6, 4, 4, 3), np.uint8), rotation=UPRIGHT, depth=depth)

    ahead, behind = ViewRenderer(Camera(width=9, height=9)).depth(panorama, [0, math.pi], [0, 0])

    assert (ahead == 0).all()
    assert behind[4, 4] == 4000
    assert (behind[0] < 4000).all()


def test_depth_that_was_not_read_is_missing():
    with pytest.raises(MissingData, match="depth=True"):
        ViewRenderer(Camera(width=4, height=4)).depth(sphere(8), [0], [0])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"width": 0}, "0 x 480 pixels"),
        ({"height": -3}, "640 x -3 pixels"),
        ({"width": 40000}, "40000 x 480 pixels"),
        ({"width": 64.0}, "whole numbers"),
        ({"vertical_fov": 0.0}, "field of view of 0.0"),
        ({"vertical_fov": 60.0}, "3438 degrees"),
        ({"vertical_fov": math.nan}, "field of view of nan"),
    ],
)
def test_an_impossible_camera_is_refused(settings, complaint):
    with pytest.raises(BadConfig, match=complaint):
        Camera(**settings)


@pytest.mark.parametrize(
    "angles", [([np.nan], [0]), ([0], [np.inf]), ([0, 1], [1, 2, 3]), ("a", 0)]
)
def test_angles_that_are_none_are_refused(angles):
    with pytest.raises(BadConfig, match="headings and elevations of shapes"):
        ViewRenderer(Camera(width=4, height=4)).views(sphere(8), *angles)


def test_one_angle_stands_for_all():
    renderer = ViewRenderer(Camera(width=4, height=4))
    assert renderer.views(sphere(8), [0.0, 1.0], 0.2).shape == (2, 4, 4, 3)
    assert renderer.views(sphere(8), 0.0, 0.0).shape == (1, 4, 4, 3)


def test_sizes_of_numpys_integers_do_not_overflow():
    camera = Camera(width=np.int32(30000), height=np.int32(30000))
    with pytest.raises(BadConfig, match=r"90\.5 GiB"):
        camera.check_room(36)


def test_memory_that_is_not_there_is_a_clear_error(monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("vln.panorama.views.np.empty", fail)
    with pytest.raises(BadConfig, match=r"take .* GiB, which this machine does not have free"):
        ViewRenderer(Camera())


def test_more_than_the_memory_is_refused_before_it_is_taken():
    camera = Camera(width=20000, height=20000)
    with pytest.raises(BadConfig, match=r"36 views of 20000 x 20000 pixels take 40.2 GiB"):
        camera.check_room(36)
    with pytest.raises(BadConfig, match="at once"):
        ViewRenderer(Camera(width=32767, height=32767)).sweep(sphere(4))


@pytest.mark.parametrize(
    "faces",
    [
        np.zeros((5, 8, 8, 3), np.uint8),
        np.zeros((6, 8, 9, 3), np.uint8),
        np.zeros((6, 8, 8), np.uint8),
        np.zeros((6, 8, 8, 3), np.float32),
        np.zeros((6, 8, 8, 3), np.int8),
        [],
    ],
)
def test_what_is_no_cube_of_faces_is_refused(faces):
    with pytest.raises(BadConfig, match="expected 6 of"):
        Panorama.of(faces, rotation=UPRIGHT)


@pytest.mark.parametrize(
    "depth",
    [
        np.zeros((6, 8, 8), np.float32),
        np.zeros((6, 8, 9), np.uint16),
        np.zeros((5, 8, 8), np.uint16),
        np.zeros((), np.uint16),
    ],
)
def test_what_is_no_cube_of_depths_is_refused(depth):
    with pytest.raises(BadConfig, match="depth of"):
        Panorama.of(np.zeros((6, 8, 8, 3), np.uint8), rotation=UPRIGHT, depth=depth)


@pytest.mark.parametrize("rotation", [np.eye(4), np.full((3, 3), np.nan)])
def test_what_is_no_rotation_is_refused(rotation):
    with pytest.raises(BadConfig, match="a rotation of shape"):
        Panorama.of(np.zeros((6, 8, 8, 3), np.uint8), rotation=rotation)
