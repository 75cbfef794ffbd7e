import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from envs.panorama import PanoramaEnv
from envs.vector import PanoramaVectorEnv
from vln.errors import MissingData
from vln.panorama.pinhole import Camera, camera_axes
from vln.testing import direction_colours
from vln.viz.maps import CANDIDATE

SMALL = Camera(width=33, height=25)


def of(world, **settings):
    """An environment of a graph and episodes that are handed over."""
    episodes = world.episodes("train")
    return PanoramaEnv(graph=world.graph, episodes=episodes, render_mode="rgb_array", **settings)


def frames_of(env):
    """A first picture, one after a step, and one after the end."""
    env.reset(options={"episode": 0})
    frames = [env.render()]
    for action in (1, 0):
        env.step(action)
        frames.append(env.render())
    return frames


@pytest.mark.parametrize("pixels", [False, True])
def test_a_frame_is_the_map_and_the_view_beside_it(tiny_world, tiny_panoramas, pixels):
    settings = {"render_mode": "rgb_array", "pixels": pixels, "camera": SMALL if pixels else None}
    plain = PanoramaEnv(data=tiny_world.folder, render_mode="rgb_array")
    rich = PanoramaEnv(data=tiny_panoramas.folder, **settings)

    maps, frames = frames_of(plain), frames_of(rich)

    for map_, frame in zip(maps, frames, strict=True):
        assert (map_.shape, frame.shape, frame.dtype) == ((640, 640, 3), (640, 1280, 3), np.uint8)
        assert (frame[:, :640] == map_).all()
    assert (frames[0][:480, 640:] != frames[1][:480, 640:]).any()


def test_the_view_of_a_frame_is_what_the_agent_faces(tiny_panoramas):
    env = PanoramaEnv(data=tiny_panoramas.folder, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(1)
    env.step(0)  # no candidates cover the middle any more

    frame = env.render()

    pose = env.trajectory().poses[-1]
    forward = camera_axes([pose.heading], [pose.elevation])[0, 2]
    assert np.abs(frame[240, 960].astype(int) - direction_colours(forward)).max() <= 3


def test_the_ways_to_go_are_marked_in_the_view_while_there_are_any(tiny_panoramas):
    env = PanoramaEnv(data=tiny_panoramas.folder, render_mode="rgb_array")

    views = [frame[:480, 640:] for frame in frames_of(env)]

    marked = [(view == CANDIDATE).all(axis=-1).any() for view in views]
    assert marked == [True, True, False]


def test_rows_without_an_episode_have_frames_of_the_same_shape(tiny_panoramas):
    env = PanoramaVectorEnv(num_envs=2, data=tiny_panoramas.folder, render_mode="rgb_array")
    env.reset(options={"episodes": np.array([0, -1])})

    assert [frame.shape for frame in env.render()] == [(640, 1280, 3)] * 2


def test_a_picture_that_is_missing_among_others_is_an_error(tiny_panoramas, tmp_path):
    folder = shutil.copytree(tiny_panoramas.folder, tmp_path / "world")
    env = PanoramaEnv(data=folder, render_mode="rgb_array")
    start = env.vector.table.episodes.episodes[0].start
    (folder / "skyboxes" / start.scan / f"{start.viewpoint}_skybox_small.jpg").unlink()
    env.reset(options={"episode": 0})

    with pytest.raises(MissingData, match=f"environment 0 at viewpoint {start.viewpoint}"):
        env.render()


def test_photographs_of_other_places_leave_the_map_as_it_is(tiny_world, tmp_path):
    folder = shutil.copytree(tiny_world.folder, tmp_path / "world")
    (folder / "panoramas").mkdir()
    cv2.imwrite(str(folder / "panoramas" / "garden.png"), np.zeros((32, 64, 3), np.uint8))

    env = PanoramaEnv(data=folder, render_mode="rgb_array")
    env.reset(seed=0)

    assert env.render().shape == (640, 640, 3)


def test_photographs_of_its_viewpoints_are_shown(tiny_world, tmp_path):
    folder = shutil.copytree(tiny_world.folder, tmp_path / "world")
    for name in tiny_world.graph.viewpoints:
        (folder / "panoramas").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "panoramas" / f"{name}.png"), np.full((32, 64, 3), 77, np.uint8))

    env = PanoramaEnv(data=folder, render_mode="rgb_array")
    env.reset(seed=0)

    assert (env.render()[:40, 700:1200] == 77).all()


def test_a_folder_that_is_given_and_is_none_is_an_error_for_pictures_too(tiny_world, tmp_path):
    with pytest.raises(MissingData, match="no folder"):
        of(tiny_world, data=tmp_path / "nowhere")


def test_the_map_needs_no_folder(tiny_world, monkeypatch):
    monkeypatch.delenv("VLN_DATA", raising=False)
    env = of(tiny_world)
    env.reset(seed=0)

    assert env.render().shape == (640, 640, 3)


def test_a_folder_of_photographs_that_may_not_be_listed_leaves_the_map(
    tiny_world, tmp_path, monkeypatch
):
    closed = shutil.copytree(tiny_world.folder, tmp_path / "world") / "panoramas"
    closed.mkdir()
    listed = Path.iterdir

    def iterdir(folder):
        if folder == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    env = of(tiny_world, data=closed.parent)
    env.reset(seed=0)

    assert env.render().shape == (640, 640, 3)


def test_a_zip_that_was_half_downloaded_leaves_the_pictures_beside_it(tiny_panoramas, tmp_path):
    folder = shutil.copytree(tiny_panoramas.folder, tmp_path / "world")
    (folder / f"{tiny_panoramas.graph.scans[0]}.zip").write_bytes(b"half of a zip")

    env = PanoramaEnv(data=folder, render_mode="rgb_array")
    env.reset(seed=0)

    assert env.render().shape == (640, 1280, 3)


def test_a_large_folder_of_photographs_is_listed_once(tiny_world, tmp_path, monkeypatch):
    folder = shutil.copytree(tiny_world.folder, tmp_path / "world")
    (folder / "panoramas").mkdir()
    cv2.imwrite(str(folder / "panoramas" / "garden.png"), np.zeros((32, 64, 3), np.uint8))
    listed, iterdir = [], Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda place: (listed.append(place), iterdir(place))[1])

    of(tiny_world, data=folder)

    assert listed.count(folder / "panoramas") == 1
