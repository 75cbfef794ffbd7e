"""The drop-in renders: colours in MatterSim's order, depth, caching, and what is missing."""

import json
import math
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

import vln.mattersim as MatterSim  # noqa: N812 - as users do
from vln.errors import CorruptData, VlnError
from vln.panorama.skybox import SkyboxSource
from vln.testing.skyboxes import write_skyboxes

HOUSE = "tinyHouse01"
VIEW_CENTRE = (24, 32)


@pytest.fixture(scope="module")
def skyboxes(tiny_world, tmp_path_factory):
    """MatterSim's dataset path: <scan>/matterport_skybox_images/, one house of the tiny world."""
    root = tmp_path_factory.mktemp("scans")
    write_skyboxes(root, tiny_world.graph, scans=[HOUSE])
    (root / HOUSE).mkdir()
    (root / "skyboxes" / HOUSE).rename(root / HOUSE / "matterport_skybox_images")
    return root


@pytest.fixture
def viewpoints(tiny_world):
    return [tiny_world.graph.viewpoints[i] for i in tiny_world.graph.members(HOUSE)]


@pytest.fixture
def simulator(tiny_world, skyboxes):
    """Makes simulators that render the tiny world."""

    def make(batch_size=1, *, root=skyboxes):
        made = MatterSim.Simulator()
        made.setNavGraphPath(str(tiny_world.folder / "connectivity"))
        made.setDatasetPath(str(root))
        made.setCameraResolution(64, 48)
        made.setCameraVFOV(math.radians(60))
        made.setBatchSize(batch_size)
        return made

    return make


def begun(made, names, *, headings=None, elevations=None):
    size = len(names)
    headings, elevations = (given or [0.0] * size for given in (headings, elevations))
    made.newEpisode([HOUSE] * size, list(names), headings, elevations)
    return made.getState()


def colour(heading, elevation):
    """The written skyboxes' colour in a direction: blue is up, green north, red east."""
    east, north = math.sin(heading), math.cos(heading)
    level, rise = math.cos(elevation), math.sin(elevation)
    return (np.array([rise, north * level, east * level]) + 1) / 2 * 255


def test_the_middle_of_a_picture_has_the_colour_of_its_direction_in_bgr(simulator, viewpoints):
    headings, elevations = [0.0, 1.0, 2.5, 5.9], [0.0, 0.5, -0.4, 0.9]

    states = begun(simulator(4), viewpoints[:4], headings=headings, elevations=elevations)

    for state, *direction in zip(states, headings, elevations, strict=True):
        rgb = np.array(state.rgb, copy=False)
        assert (rgb.shape, rgb.dtype) == ((48, 64, 3), np.uint8)
        np.testing.assert_allclose(rgb[VIEW_CENTRE], colour(*direction), atol=6)


def test_pictures_follow_actions_and_kept_ones_stay(simulator, viewpoints):
    made = simulator()
    made.setDiscretizedViewingAngles(True)
    kept = [*begun(made, viewpoints[:1])]
    for _ in range(3):
        made.makeAction([0], [1.0], [0.0])
        kept.extend(made.getState())

    for turns, state in enumerate(kept):
        np.testing.assert_allclose(state.rgb[VIEW_CENTRE], colour(turns * math.pi / 6, 0), atol=6)


def test_a_picture_is_the_callers_to_draw_into(simulator, viewpoints):
    made = simulator(2)
    first, second = begun(made, viewpoints[:1] * 2)
    before = second.rgb.copy()

    cv2.circle(first.rgb, (32, 24), 10, (0, 0, 255), -1)

    assert (first.rgb[VIEW_CENTRE] == (0, 0, 255)).all()
    np.testing.assert_array_equal(second.rgb, before)
    np.testing.assert_array_equal(begun(made, viewpoints[:1] * 2)[0].rgb, before)


def test_a_picture_does_not_depend_on_the_batch_it_is_made_in(simulator, viewpoints):
    order = [2, 0, 2, 1]
    states = begun(simulator(4), [viewpoints[i] for i in order], headings=[0.0, 1.0, 2.0, 3.0])
    for number, (place, heading) in enumerate(zip(order, [0.0, 1.0, 2.0, 3.0], strict=True)):
        (alone,) = begun(simulator(), [viewpoints[place]], headings=[heading])
        np.testing.assert_array_equal(states[number].rgb, alone.rgb)


def test_v0_1_finds_pictures_below_its_own_dataset_path(simulator, skyboxes, viewpoints, tmp_path):
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "scans").symlink_to(skyboxes)
    made = simulator(root=tmp_path)
    made.init()

    made.newEpisode(HOUSE, viewpoints[0], 1.0, 0.0)

    np.testing.assert_allclose(made.getState().rgb[VIEW_CENTRE], colour(1.0, 0.0), atol=6)


def test_the_picture_keeps_the_camera_that_was_initialised(simulator, viewpoints):
    made = simulator()
    (before,) = begun(made, viewpoints[:1])
    made.setCameraResolution(640, 480)
    made.setCameraVFOV(1.5)

    (after,) = begun(made, viewpoints[:1])

    np.testing.assert_array_equal(after.rgb, before.rgb)
    made.close()
    assert begun(made, viewpoints[:1])[0].rgb.shape == (480, 640, 3)


@pytest.fixture
def reads(monkeypatch):
    """Which panoramas are read from disk."""
    seen = []
    original = SkyboxSource.panorama

    def spy(self, scan, viewpoint):
        seen.append(viewpoint)
        return original(self, scan, viewpoint)

    monkeypatch.setattr(SkyboxSource, "panorama", spy)
    return seen


def test_panoramas_that_were_seen_lately_are_kept(simulator, viewpoints, reads):
    made = simulator()
    made.setCacheSize(2)
    for place in (0, 0, 1, 0, 2, 1):
        begun(made, viewpoints[place : place + 1])
    assert reads == [viewpoints[place] for place in (0, 1, 2, 1)]


def test_a_batch_that_turns_reads_nothing_again(simulator, viewpoints, reads):
    made = simulator(3)
    made.setCacheSize(0)
    begun(made, viewpoints[:3])
    made.makeAction([0] * 3, [0.5] * 3, [0.0] * 3)
    assert reads == viewpoints[:3]


def test_preloading_reads_every_picture_that_is_there_at_once(simulator, viewpoints, reads):
    made = simulator()
    made.setPreloadingEnabled(True)
    made.setCacheSize(1)
    made.initialize()
    assert sorted(reads) == sorted(viewpoints)

    for name in viewpoints:
        begun(made, [name])

    assert len(reads) == len(viewpoints)


def test_simulators_share_what_was_read(simulator, viewpoints, reads):
    first, second = simulator(), simulator()
    begun(first, viewpoints[:1])
    begun(second, viewpoints[:1])
    second.close()
    begun(second, viewpoints[:1])
    assert reads == viewpoints[:1]


def test_what_one_simulator_preloads_serves_all(simulator, viewpoints, reads):
    small, large, again = simulator(), simulator(), simulator()
    small.setCacheSize(1)
    small.initialize()
    begun(small, viewpoints[:1])
    for made in (large, again):
        made.setPreloadingEnabled(True)
        made.initialize()

    for name in viewpoints:
        begun(small, [name])

    assert sorted(reads) == sorted(viewpoints)


def test_the_largest_cache_counts(simulator, viewpoints, reads):
    small, large = simulator(), simulator()
    small.setCacheSize(1)
    large.setCacheSize(2)
    begun(large, viewpoints[:1])
    for place in (0, 1, 0, 1):
        begun(small, viewpoints[place : place + 1])
    assert reads == viewpoints[:2]


def test_pictures_are_let_go_with_the_last_simulator_that_holds_them(simulator, viewpoints, reads):
    first, second = simulator(), simulator()
    begun(first, viewpoints[:1])
    begun(second, viewpoints[:1])
    first.close()
    del second

    begun(first, viewpoints[:1])

    assert reads == viewpoints[:1] * 2


def test_other_pictures_and_graphs_are_not_shared(
    simulator, skyboxes, viewpoints, reads, tiny_world, tmp_path
):
    graphs = tmp_path / "graphs"
    shutil.copytree(tiny_world.folder / "connectivity", graphs)
    with_depth(tmp_path, skyboxes, viewpoints[:1], metres=1)
    made = [simulator(), simulator(root=tmp_path), simulator(root=tmp_path), simulator()]
    made[2].setDepthEnabled(True)
    made[3].setNavGraphPath(graphs)
    for each in made:
        begun(each, viewpoints[:1])
    assert reads == viewpoints[:1] * 4


def test_simulators_of_many_threads_preload_once(simulator, viewpoints, reads):
    made = [simulator() for _ in range(8)]
    for each in made:
        each.setPreloadingEnabled(True)

    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(lambda each: each.initialize(), made))

    assert sorted(reads) == sorted(viewpoints)


def test_without_rendering_no_picture_is_looked_for(simulator, viewpoints, tmp_path):
    made = simulator(root=tmp_path / "nowhere")
    made.setRenderingEnabled(False)
    made.setPreloadingEnabled(True)
    assert not begun(made, viewpoints[:1])[0].rgb.any()


def with_depth(root, skyboxes, names, metres):
    """Copies pictures and writes depth strips of one distance along the ray."""
    folder = root / HOUSE / "matterport_skybox_images"
    folder.mkdir(parents=True)
    for name in names:
        picture = f"{name}_skybox_small.jpg"
        source = skyboxes / HOUSE / "matterport_skybox_images" / picture
        (folder / picture).write_bytes(source.read_bytes())
        strip = np.full((32, 192), metres * 4000, dtype=np.uint16)
        cv2.imwrite(str(folder / f"{name}_skybox_depth_small.png"), strip)
    return root


def test_depth_is_measured_along_the_optical_axis(simulator, skyboxes, viewpoints, tmp_path):
    made = simulator(root=with_depth(tmp_path, skyboxes, viewpoints[:1], metres=2))
    made.setDepthEnabled(True)

    (state,) = begun(made, viewpoints[:1])

    depth = np.array(state.depth, copy=False)
    assert (depth.shape, depth.dtype) == ((48, 64, 1), np.uint16)
    corner = 1 / math.sqrt(1 + (23.5**2 + 31.5**2) / (24 / math.tan(math.pi / 6)) ** 2)
    assert abs(int(depth[VIEW_CENTRE][0]) - 8000) <= 5
    assert abs(int(depth[0, 0, 0]) - 8000 * corner) <= 2
    depth[:] = 0  # the caller's


def test_depth_is_zeros_where_it_is_not_asked_for(simulator, viewpoints):
    (state,) = begun(simulator(), viewpoints[:1])
    assert (state.depth.shape, state.depth.dtype) == ((48, 64, 1), np.uint16)
    assert not state.depth.any()


def test_a_missing_picture_is_a_value_error_and_nothing_has_moved(
    simulator, viewpoints, skyboxes, tmp_path
):
    made = simulator(root=with_depth(tmp_path, skyboxes, viewpoints[:1], metres=1))
    before = repr(begun(made, viewpoints[:1])[0])

    with pytest.raises(ValueError, match=re.escape(viewpoints[1])) as caught:
        begun(made, viewpoints[1:2])

    assert isinstance(caught.value, VlnError)
    assert isinstance(caught.value, FileNotFoundError)
    assert repr(made.getState()[0]) == before


def test_missing_depth_is_a_value_error_that_names_the_file(simulator, viewpoints):
    made = simulator()
    made.setDepthEnabled(True)
    with pytest.raises(ValueError, match="_skybox_depth_small"):
        begun(made, viewpoints[:1])


def test_a_damaged_picture_is_an_error_that_names_the_file(
    simulator, viewpoints, skyboxes, tmp_path
):
    root = with_depth(tmp_path, skyboxes, viewpoints[:1], metres=1)
    file = root / HOUSE / "matterport_skybox_images" / f"{viewpoints[0]}_skybox_small.jpg"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CorruptData, match=file.name):
        begun(simulator(root=root), viewpoints[:1])


def test_nothing_to_preload_is_a_value_error(simulator, tmp_path):
    made = simulator(root=tmp_path)
    made.setPreloadingEnabled(True)
    with pytest.raises(ValueError, match="nothing to pre-load"):
        made.initialize()


def test_a_camera_that_cannot_be_is_refused_only_if_it_renders(simulator, viewpoints):
    made = simulator()
    made.setCameraVFOV(4.0)
    with pytest.raises(ValueError, match="field of view"):
        made.initialize()
    made.setRenderingEnabled(False)
    assert begun(made, viewpoints[:1])[0].scanId == HOUSE


def test_timing_counts_frames(simulator, viewpoints):
    made = simulator(2)
    begun(made, viewpoints[:2])
    made.makeAction([0, 0], [0.5, 0.5], [0.0, 0.0])

    lines = made.timingInfo().splitlines()

    assert lines[1] == "Rendered 4 frames"
    assert all(float(line.split()[-2]) > 0 for line in lines[4:])


@pytest.mark.parametrize("discretized", [True, False])
def test_states_hold_the_c_simulators_pictures(golden, real_data, discretized):
    renders = golden / "renders"
    described = json.loads((renders / "states.json").read_text(encoding="utf-8"))["views"]
    made = MatterSim.Simulator()
    made.setNavGraphPath(str(real_data / "connectivity"))
    made.setDatasetPath(str(renders / "skybox"))
    made.setCameraResolution(640, 480)
    made.setCameraVFOV(math.radians(60))
    made.setDiscretizedViewingAngles(discretized)
    made.setElevationLimits(-1.5, 1.5)
    made.initialize()
    compared = 0
    with np.load(renders / "lowres_160x120.npz") as small:
        for view in described:
            if view["discretized"] is not discretized:
                continue
            angles = [view["heading"]], [view["elevation"]]
            made.newEpisode([view["scanId"]], [view["viewpointId"]], *angles)
            rgb = made.getState()[0].rgb[..., ::-1].astype(float)
            coarse = rgb.reshape(120, 4, 160, 4, 3).mean(axis=(1, 3))
            assert np.abs(coarse - small[view["lowres_key"]]).mean() <= 0.5
            if view["full_png"] is not None:
                known = cv2.imread(str(renders / view["full_png"]))[..., ::-1].astype(float)
                assert 10 * np.log10(255**2 / np.mean((rgb - known) ** 2)) >= 50
                assert np.abs(rgb - known).mean() <= 0.5
            compared += 1
    assert compared >= 8
