"""An episode on one picture: what was seen, what was taken, where it led."""

import numpy as np
import pytest

from agents.evaluation import draw_outcomes, walk
from agents.scene import Scene
from agents.scripted import SCRIPTED
from vln.errors import MissingData
from vln.panorama.sources import find_panoramas
from vln.panorama.views import ViewRenderer
from vln.testing import make_tiny_world, write_skyboxes
from vln.viz.episodes import EYE, LINE, WORDS, draw_episode
from vln.viz.maps import CANDIDATE, WALKED_LAST


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = make_tiny_world(tmp_path_factory.mktemp("pictured"))
    write_skyboxes(made.folder, made.graph, size=32)
    return made


@pytest.fixture(scope="module")
def walked(world):
    episodes = world.episodes("val_unseen")
    return episodes, walk(SCRIPTED["shortest"](0), world.graph, episodes)


def cells(picture, count):
    """Gives the views of an episode of up to nine steps."""
    columns = 2 + (count > 4)
    places = [(WORDS + n // columns * (EYE.height + LINE), n % columns) for n in range(count)]
    return [
        picture[top : top + EYE.height, column * EYE.width : (column + 1) * EYE.width]
        for top, column in places
    ]


def has(picture, colour):
    return (np.abs(picture.astype(int) - colour).max(axis=-1) <= 2).sum() > 30


def test_every_step_shows_the_view_along_its_heading_and_what_was_taken(world, walked):
    episodes, trajectories = walked
    source = find_panoramas(world.folder, graph=world.graph)

    picture = draw_episode(
        world.graph, episodes.episodes[0], trajectories[0], panoramas=source, title="title"
    )

    poses = trajectories[0].poses
    shown = cells(picture, len(poses))
    for pose, cell in zip(poses, shown, strict=True):
        faces = source.panorama(pose.scan, pose.viewpoint)
        renderer = ViewRenderer(EYE, smooth=True)
        view = renderer.views(faces, [pose.heading], [pose.elevation])[0]
        inside = (slice(0, -4), slice(0, -4))
        alike = np.abs(cell[inside].astype(int) - view[inside]).max(axis=-1) <= 3
        assert alike.mean() > 0.9
    assert [has(cell, WALKED_LAST) for cell in shown] == [True] * (len(poses) - 1) + [False]
    assert has(shown[-1], CANDIDATE)


def test_without_panoramas_there_are_words_and_a_map(world, walked):
    episodes, trajectories = walked
    source = find_panoramas(world.folder, graph=world.graph)
    given = (world.graph, episodes.episodes[3], trajectories[3])

    alone = draw_episode(*given, panoramas=None, title="t")
    whole = draw_episode(*given, panoramas=source, title="t")

    assert alone.shape[1] < whole.shape[1]
    assert has(alone, WALKED_LAST)


def test_a_panorama_that_is_missing_is_named(world, walked, tmp_path):
    episodes, trajectories = walked
    write_skyboxes(tmp_path, world.graph, size=8, scans=[episodes.episodes[0].start.scan])
    pose = trajectories[0].poses[1]
    next(tmp_path.rglob(f"{pose.viewpoint}_*.jpg")).unlink()
    source = find_panoramas(tmp_path, graph=world.graph)

    with pytest.raises(MissingData, match=pose.viewpoint):
        draw_episode(
            world.graph, episodes.episodes[0], trajectories[0], panoramas=source, title="t"
        )


@pytest.mark.parametrize(
    ("agent", "outcomes"),
    [("shortest", {"success"}), ("stop", {"failure"}), ("random", {"success", "failure"})],
)
def test_one_of_each_outcome_is_drawn_where_there_is_one(world, tmp_path, agent, outcomes):
    scene = Scene("r2r", world.folder, world.graph, None)
    episodes = scene.episodes("val_unseen")
    trajectories = walk(SCRIPTED[agent](0), world.graph, episodes)

    said = draw_outcomes(trajectories, scene, episodes, folder=tmp_path)

    drawn = {f"{outcome}_val_unseen.png" for outcome in outcomes}
    assert {file.name for file in tmp_path.iterdir()} == drawn
    assert "step by step" in said
    assert all(name in said for name in drawn)
    for outcome in {"success", "failure"} - outcomes:
        assert f"no {outcome} on val_unseen to draw" in said


def test_pictures_of_an_earlier_call_do_not_stay(world, tmp_path):
    scene = Scene("r2r", world.folder, world.graph, None)
    episodes = scene.episodes("val_unseen")
    (tmp_path / "success_val_unseen.png").write_text("old")
    trajectories = walk(SCRIPTED["stop"](0), world.graph, episodes)

    draw_outcomes(trajectories, scene, episodes, folder=tmp_path)

    assert not (tmp_path / "success_val_unseen.png").exists()


@pytest.mark.parametrize("damage", ["missing", "damaged zip"])
def test_where_a_picture_is_missing_the_map_is_drawn_and_it_is_said(tmp_path, damage):
    made = make_tiny_world(tmp_path / "world")
    scene = Scene("r2r", made.folder, made.graph, None)
    episodes = scene.episodes("val_unseen")
    trajectories = walk(SCRIPTED["stop"](0), made.graph, episodes)
    scan, gone = trajectories[0].poses[0].scan, trajectories[0].poses[0].viewpoint
    if damage == "missing":
        write_skyboxes(made.folder, made.graph, size=8, scans=[scan])
        next(made.folder.rglob(f"{gone}_*.jpg")).unlink()
    else:
        folder = made.folder / "v1" / "scans" / scan
        folder.mkdir(parents=True)
        (folder / "matterport_skybox_images.zip").write_bytes(b"PK\3\4 cut off")
        gone = "matterport_skybox_images.zip"

    said = draw_outcomes(trajectories, scene, episodes, folder=tmp_path)

    assert "the map alone: " in said
    assert gone in said
    assert (tmp_path / "failure_val_unseen.png").is_file()


def test_a_world_without_panoramas_has_maps_alone_and_it_is_said(tiny_world, tmp_path):
    scene = Scene("r2r", tiny_world.folder, tiny_world.graph, None)
    episodes = scene.episodes("val_unseen")
    trajectories = walk(SCRIPTED["stop"](0), tiny_world.graph, episodes)

    said = draw_outcomes(trajectories, scene, episodes, folder=tmp_path)

    assert "the map alone, for this world has no panoramas" in said
    assert (tmp_path / "failure_val_unseen.png").is_file()
