import pickle
import shutil
import zipfile

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from envs import sight
from envs.panorama import PanoramaEnv
from envs.spaces import Pictures
from envs.vector import PanoramaVectorEnv
from envs.wrappers import ExpertActions, VectorExpertActions
from vln import geometry
from vln.errors import BadConfig, CorruptData, MissingData, UnknownViewpoint, VlnError
from vln.panorama.faces import Panorama
from vln.panorama.pinhole import Camera, camera_axes
from vln.testing import direction_colours, direction_faces, ring_colour

SMALL = Camera(width=33, height=25)
VIEWS = np.arange(geometry.NUM_VIEWS)
CENTRES = direction_colours(
    camera_axes(geometry.view_heading(VIEWS), geometry.view_elevation(VIEWS))[:, 2]
)


class Spheres:
    """Direction-coloured panoramas in memory; counts what was asked for, and fails where told."""

    def __init__(self, graph, *, fails=None):
        self.graph, self.asked, self.fails = graph, [], fails or {}

    def panorama(self, scan, viewpoint):
        self.asked.append(viewpoint)
        if viewpoint in self.fails:
            raise self.fails[viewpoint]
        rotation = self.graph.rotation[self.graph.index(scan, viewpoint)]
        return Panorama.of(direction_faces(rotation, 64), rotation=rotation)


def make(world, split="train", kind=PanoramaVectorEnv, **settings):
    settings = {"pixels": True, "camera": SMALL, "panoramas": Spheres(world.graph)} | settings
    return kind(graph=world.graph, episodes=world.episodes(split), **settings)


def random_legal(rng, observation):
    return rng.integers(0, observation["action_mask"].sum(axis=-1))


def centres_of(views):
    return views[..., SMALL.height // 2, SMALL.width // 2, :].astype(int)


def test_every_view_shows_where_it_looks_in_the_pose_of_its_viewpoint(tiny_panoramas):
    env = PanoramaVectorEnv(num_envs=6, data=tiny_panoramas.folder, pixels=True, camera=SMALL)
    rng = np.random.default_rng(0)

    observation, _ = env.reset(seed=0)
    for _ in range(3):
        assert np.abs(centres_of(observation["views"]) - CENTRES).max() <= 2  # JPEG
        observation, *_ = env.step(rng.integers(1, observation["action_mask"].sum(axis=1)))


def test_the_views_are_those_of_the_viewpoint_one_stands_at(tiny_panoramas):
    env = PanoramaVectorEnv(num_envs=4, data=tiny_panoramas.folder, pixels=True, camera=SMALL)
    middle_of_ring = 12 + round(SMALL.focal * np.tan(np.radians(20)))

    observation, info = env.reset(seed=0)

    seen = observation["views"][:, :12, middle_of_ring, SMALL.width // 2].astype(int)
    expected = [ring_colour(viewpoint) for viewpoint in info["viewpoint"]]
    assert np.abs(seen - np.array(expected)[:, None]).max() <= 24
    assert len(set(map(bytes, expected))) > 1


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_observations_of_random_rollouts_are_in_the_space(tiny_world, mode):
    env = make(tiny_world, num_envs=3, max_steps=4, autoreset_mode=mode)
    rng = np.random.default_rng(0)

    observation, _ = env.reset(seed=0)
    assert observation["views"].shape == (3, 36, 25, 33, 3)
    for _ in range(20):
        observation, *_, terminated, truncated, info = env.step(random_legal(rng, observation))
        assert observation in env.observation_space
        assert np.abs(centres_of(observation["views"]) - CENTRES).max() <= 2
        for final in filter(None, info.get("final_obs", ())):
            assert final in env.single_observation_space
        if mode == AutoresetMode.DISABLED and (terminated | truncated).any():
            observation, _ = env.reset(options={"reset_mask": terminated | truncated})


def test_idle_rows_see_nothing(tiny_world):
    env = make(tiny_world, num_envs=2)

    observation, _ = env.reset(options={"episodes": np.array([-1, 3])})

    assert not observation["views"][0].any()
    assert observation["views"][1].any()
    assert observation in env.observation_space


def test_without_pixels_no_panorama_is_read(tiny_world):
    spheres = Spheres(tiny_world.graph)
    env = make(tiny_world, pixels=False, camera=None, panoramas=spheres)

    observation, _ = env.reset(seed=0)

    assert "views" not in observation
    assert spheres.asked == []


def test_published_features_camera_is_the_default(tiny_world):
    env = make(tiny_world, camera=None)

    assert env.single_observation_space["views"].shape == (36, 480, 640, 3)


def test_rows_at_the_same_panorama_and_rows_that_stay_are_rendered_once(tiny_world):
    spheres = Spheres(tiny_world.graph)
    env = make(tiny_world, num_envs=4, panoramas=spheres)

    observation, info = env.reset(options={"episodes": np.array([5, 5, 5, 9])})
    env.step(np.zeros(4, dtype=np.int64))

    assert sorted(spheres.asked) == sorted(set(info["viewpoint"]))
    assert (observation["views"][0] == observation["views"][2]).all()


def test_what_is_kept_is_bounded_in_bytes(tiny_world, monkeypatch):
    spheres = Spheres(tiny_world.graph)
    env = make(tiny_world, num_envs=3, panoramas=spheres)
    sweep_bytes = env.single_observation_space["views"].low.size

    def readings(room):
        monkeypatch.setattr(sight, "KEPT_BYTES", room)
        env.reset(options={"episodes": np.array([0, 45, 90])})
        before = len(spheres.asked)
        env.reset(options={"episodes": np.array([0, 45, 90])})
        return len(spheres.asked) - before

    assert [readings(room) for room in (sweep_bytes - 1, 3 * sweep_bytes)] == [3, 0]


def test_what_was_handed_out_is_the_callers_own(tiny_world):
    env = make(tiny_world, num_envs=2)
    observation, _ = env.reset(options={"episodes": np.array([5, 5])})
    kept = observation["views"].copy()

    observation["views"][:] = 0
    again, _ = env.reset(options={"episodes": np.array([5, 5])})

    assert (again["views"] == kept).all()


@pytest.mark.parametrize("kind", [MissingData, CorruptData, UnknownViewpoint])
def test_a_bad_panorama_is_named_with_its_row_and_the_errors_type_is_kept(tiny_world, kind):
    env = make(tiny_world, num_envs=3, panoramas=Spheres(tiny_world.graph))
    episode = env.table.episodes.episodes[41]
    scan, bad = episode.start.scan, episode.start.viewpoint
    env = make(
        tiny_world,
        num_envs=3,
        panoramas=Spheres(tiny_world.graph, fails={bad: kind("x.jpg: cut off.")}),
    )

    complaint = rf"^environment 2 at viewpoint {bad} of scan {scan}: x\.jpg: cut off\.$"
    with pytest.raises(kind, match=complaint):
        env.reset(options={"episodes": np.array([0, 1, 41])})


def test_a_truncated_file_is_named(tiny_panoramas, tmp_path):
    folder = shutil.copytree(tiny_panoramas.folder, tmp_path / "world")
    env = PanoramaEnv(data=folder, pixels=True, camera=SMALL)
    start = env.vector.table.episodes.episodes[0].start
    strip = folder / "skyboxes" / start.scan / f"{start.viewpoint}_skybox_small.jpg"
    strip.write_bytes(strip.read_bytes()[:900])

    with pytest.raises(CorruptData, match=rf"environment 0 .*/{strip.name}"):
        env.reset(options={"episode": 0})


def test_a_source_may_raise_errors_with_constructors_of_their_own(tiny_world):
    class Gone(VlnError):
        def __init__(self, *, code):
            super().__init__(f"gone, {code}")

    class Failing:
        def panorama(self, scan, viewpoint):
            raise Gone(code=7)

    with pytest.raises(VlnError, match=r"environment 0 .*gone, 7") as caught:
        make(tiny_world, panoramas=Failing()).reset(seed=0)

    assert type(caught.value) is VlnError
    assert isinstance(caught.value.__cause__, Gone)


class Numbered(MissingData):
    """Missing under a number, and under that alone."""

    def __init__(self, message):
        super().__init__(f"number {message}")


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (MissingData(2, "Not there", "x.jpg"), MissingData, r"Not there: 'x\.jpg'"),
        (Numbered("7"), MissingData, "number 7"),
        (PermissionError(13, "Not for you", "x.jpg"), MissingData, r"Not for you: 'x\.jpg'"),
    ],
)
def test_errors_of_a_source_keep_their_words_and_become_ours(tiny_world, raised, kind, said):
    class Failing:
        def panorama(self, scan, viewpoint):
            raise raised

    with pytest.raises(
        kind, match=rf"^environment 0 at viewpoint \w+ of scan \w+: .*{said}$"
    ) as it:
        make(tiny_world, panoramas=Failing()).reset(seed=0)

    assert type(it.value) is kind
    assert it.value.__cause__ is raised


def test_an_error_that_a_source_keeps_is_left_as_it_is(tiny_world):
    kept = CorruptData("x.jpg: cut off.")

    class Failing:
        def panorama(self, scan, viewpoint):
            raise kept

    env = make(tiny_world, panoramas=Failing())
    said = set()
    for _ in range(3):
        with pytest.raises(CorruptData) as caught:
            env.reset(options={"episodes": np.array([0])})
        said.add(str(caught.value))

    assert len(said) == 1
    assert str(kept) == "x.jpg: cut off."


def test_a_step_that_cannot_be_seen_has_been_taken_and_one_may_step_on(tiny_world):
    spheres = Spheres(tiny_world.graph)
    env = make(tiny_world, num_envs=2, panoramas=spheres)
    observation, _ = env.reset(options={"episodes": np.array([3, 11])})
    there = tiny_world.graph.viewpoints[observation["candidate_panorama"][1, 0]]
    spheres.fails[there] = MissingData("x.jpg: gone.")

    with pytest.raises(MissingData, match=f"environment 1 at viewpoint {there}"):
        env.step(np.ones(2, int))

    assert [walk.poses[-1].viewpoint == there for walk in env.trajectories()] == [False, True]
    spheres.fails.clear()
    observation, _, terminated, _, info = env.step(np.zeros(2, int))
    assert observation["step"].tolist() == [2, 2]
    assert info["viewpoint"][1] == there
    assert terminated.all()


def test_pixels_without_any_folder_say_what_to_hand_over(tiny_world, monkeypatch):
    monkeypatch.delenv("VLN_DATA", raising=False)

    with pytest.raises(MissingData, match=r"panoramas=.*data=.*VLN_DATA"):
        make(tiny_world, panoramas=None)


def test_pixels_of_a_folder_without_pictures_are_refused(tiny_world):
    with pytest.raises(MissingData, match="no panoramas in"):
        make(tiny_world, panoramas=None, data=tiny_world.folder)


def test_pixels_are_found_through_the_variable(tiny_panoramas, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_panoramas.folder))

    observation, _ = make(tiny_panoramas, panoramas=None).reset(seed=0)

    assert np.abs(centres_of(observation["views"]) - CENTRES).max() <= 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"pixels": False}, "without pixels"),
        ({"camera": None, "num_envs": 300}, "GiB"),
        ({"camera": Camera(width=20000, height=20000)}, "GiB"),
    ],
)
def test_cameras_that_cannot_work_are_refused(tiny_world, settings, complaint):
    with pytest.raises(BadConfig, match=complaint):
        make(tiny_world, **settings)


def test_gymnasiums_checker_finds_nothing(tiny_panoramas, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_panoramas.folder))

    check_env(gymnasium.make("envs:vln/R2R-v0", pixels=True, camera=SMALL).unwrapped)


def test_gymnasiums_makers_pass_pixels_on(tiny_panoramas, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_panoramas.folder))
    settings = {"pixels": True, "camera": SMALL, "split": "val_unseen"}

    one = gymnasium.make("envs:vln/R2R-v0", **settings)
    many = gymnasium.make_vec("envs:vln/R2R-v0", num_envs=2, **settings)

    assert one.reset(seed=0)[0]["views"].shape == (36, 25, 33, 3)
    assert many.reset(seed=0)[0]["views"].shape == (2, 36, 25, 33, 3)


def test_the_single_environment_sees_what_the_batch_sees(tiny_world):
    batch, single = make(tiny_world, num_envs=2), make(tiny_world, kind=PanoramaEnv)

    many, _ = batch.reset(options={"episodes": np.array([3, 11])})
    one, _ = single.reset(options={"episode": 11})

    assert one in single.observation_space
    assert (one["views"] == many["views"][1]).all()


@pytest.fixture
def zipped_world(tiny_panoramas, tmp_path):
    """The tiny world with its skyboxes in zips, as the release has them."""
    folder = shutil.copytree(tiny_panoramas.folder, tmp_path / "world")
    for home in (folder / "skyboxes").iterdir():
        with zipfile.ZipFile(home / "matterport_skybox_images.zip", "w") as packed:
            for file in home.glob("*.jpg"):
                packed.write(file, f"{home.name}/matterport_skybox_images/{file.name}")
                file.unlink()
    return folder


def test_gymnasium_may_compare_the_spaces_one_by_one(tiny_world):
    envs = SyncVectorEnv(
        [lambda: make(tiny_world, kind=PanoramaEnv)] * 2, observation_mode="different"
    )

    observation, _ = envs.reset(seed=0)

    views = envs.observation_space["views"]
    assert isinstance(views, Pictures)
    assert views.shape == (2, 36, 25, 33, 3)
    assert observation["views"] in views


@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_gymnasiums_own_vector_environments_can_hold_it(zipped_world, kind):
    alone = PanoramaEnv(data=zipped_world, pixels=True, camera=SMALL)
    alone.reset(seed=0)  # the zips are open when workers are forked
    panoramas = alone.vector._sight._source

    def start():
        return PanoramaEnv(data=zipped_world, pixels=True, camera=SMALL, panoramas=panoramas)

    envs = kind([start] * 2)
    observation, _ = envs.reset(seed=4)
    rng = np.random.default_rng(0)
    for _ in range(4):
        observation, *_ = envs.step(random_legal(rng, observation))
        assert observation in envs.observation_space
        assert np.abs(centres_of(observation["views"]) - CENTRES).max() <= 2
    envs.close()


def test_wrappers_leave_the_views_alone(tiny_world):
    one = ExpertActions(make(tiny_world, kind=PanoramaEnv))
    one = gymnasium.wrappers.RecordEpisodeStatistics(one)
    many = VectorExpertActions(make(tiny_world, num_envs=2))

    views, info = one.reset(seed=0)
    batch, infos = many.reset(seed=0)

    assert "expert_action" in info
    assert "expert_action" in infos
    assert (np.abs(centres_of(views["views"]) - CENTRES) <= 2).all()
    assert (np.abs(centres_of(batch["views"]) - CENTRES) <= 2).all()


def test_a_pickled_environment_goes_on_as_the_original(tiny_panoramas):
    env = PanoramaVectorEnv(num_envs=2, data=tiny_panoramas.folder, pixels=True, camera=SMALL)
    env.reset(seed=0)

    copied = pickle.loads(pickle.dumps(env))  # noqa: S301 - our own bytes

    observation, again = env.step(np.ones(2, int))[0], copied.step(np.ones(2, int))[0]
    assert (observation["views"] == again["views"]).all()
