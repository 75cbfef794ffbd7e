import hashlib

import numpy as np
import pytest

from vln.data.objects import load_objects
from vln.geometry import elevation_of, heading_of, wrap
from vln.panorama.faces import UPRIGHT
from vln.panorama.skybox import SkyboxSource
from vln.testing.skyboxes import direction_colours, direction_faces, ring_colour, write_skyboxes
from vln.testing.tiny_world import MIN_PATH, OBJECTS, STEEP, STYLES, TURNS, make_tiny_world
from vln.text import tokenize


def digest(folder):
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            total.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def test_the_same_seed_writes_the_same_bytes(tmp_path, tiny_world):
    make_tiny_world(tmp_path / "a", seed=0)
    make_tiny_world(tmp_path / "b", seed=1)
    assert digest(tmp_path / "a") == digest(tiny_world.folder)
    assert digest(tmp_path / "b") != digest(tiny_world.folder)


def test_the_tiny_world_has_what_real_scans_have(tiny_graph):
    edges = tiny_graph.neighbour >= 0
    assert np.count_nonzero(tiny_graph.degree == 0) == 1, "an isolated viewpoint"
    assert np.count_nonzero(tiny_graph.candidate_distance[edges] == 0) == 2, "a shared place"
    assert np.count_nonzero(tiny_graph.candidate_view[edges] >= 24) > 0, "stairs up"
    assert np.count_nonzero(tiny_graph.candidate_view[edges] < 12) > 0, "stairs down"
    in_file_order = np.diff(tiny_graph.file_index)[np.diff(tiny_graph.scan_index) == 0]
    assert in_file_order.max() == 2, "an excluded viewpoint"


def test_all_but_the_isolated_viewpoint_are_connected(tiny_graph):
    for scan in tiny_graph.scans:
        members = np.array(tiny_graph.members(scan))
        members = members[tiny_graph.degree[members] > 0]
        assert np.isfinite(tiny_graph.distance(members[:, None], members)).all()


def test_poses_are_matterports_with_the_frames_y_axis_down(tiny_graph):
    rotation = tiny_graph.rotation
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.det(rotation), 1, atol=1e-5)
    assert np.allclose(rotation @ [0, 1, 0], [0, 0, -1], atol=1e-5)


@pytest.mark.parametrize("split", ["train", "val_seen", "val_unseen"])
def test_routes_are_shortest_walks_of_r2rs_length(tiny_world, tiny_graph, split):
    for episode in tiny_world.episodes(split):
        walk = tiny_graph.indices(episode.start.scan, episode.reference)
        walked = tiny_graph.distance(walk[:-1], walk[1:]).sum()
        assert 4 <= len(walk) <= 7
        assert walked == pytest.approx(tiny_graph.distance(walk[0], walk[-1]))
        assert walked >= MIN_PATH


def test_splits_overlap_in_houses_as_r2rs_do(tiny_world):
    train, seen, unseen, test = (
        {(e.start.scan) for e in tiny_world.episodes(split)}
        for split in ("train", "val_seen", "val_unseen", "test")
    )
    assert seen < train
    assert not unseen & train
    assert not test & (train | unseen)


def test_no_validation_route_is_trained_on(tiny_world):
    train, seen = (
        {episode.reference for episode in tiny_world.episodes(s)} for s in ("train", "val_seen")
    )
    assert not train & seen


def test_some_paths_have_a_fourth_instruction(tiny_world):
    train = tiny_world.episodes("train")
    paths = {episode.id.rpartition("_")[0] for episode in train}
    assert 3 * len(paths) < len(train) < 4 * len(paths)


def test_following_the_words_to_the_letter_reaches_the_goal(tiny_world, tiny_graph):
    join, clauses = STYLES[0]
    turn_of = {clause.strip(): turn for clause, turn in zip(clauses.split("|"), TURNS, strict=True)}
    for split in ("train", "val_seen", "val_unseen"):
        for episode in tiny_world.episodes(split):
            if not episode.id.endswith("_0"):
                continue
            heading = round(episode.start.heading / (np.pi / 6)) * np.pi / 6
            here = tiny_graph.index(episode.start.scan, episode.start.viewpoint)
            for clause in episode.instruction.lower().split(join)[:-1]:
                here, heading = obey(tiny_graph, here, heading, turn_of[clause])
            assert tiny_graph.viewpoints[here] == episode.reference[-1]


def obey(graph, here, heading, turn):
    """Takes the only neighbour that fits the turn, and looks along its view."""
    neighbours = graph.neighbour[here, : graph.degree[here]]
    there = graph.position[neighbours] - graph.position[here]
    bend = np.round(wrap(heading_of(there) - heading) / (np.pi / 2)).astype(int) % 4
    climb = elevation_of(there)
    far = np.linalg.norm(there, axis=1) > 0
    fits = {"up": climb > STEEP, "down": climb < -STEEP}.get(
        turn, (np.array(TURNS)[bend] == turn) & (abs(climb) < STEEP)
    )
    (slot,) = np.flatnonzero(fits & far)
    return neighbours[slot], (graph.candidate_view[here, slot] % 12) * np.pi / 6


def test_the_goals_object_is_named_and_seen_from_the_goal(tiny_world, tiny_graph):
    objects = load_objects(tiny_world.folder, tiny_graph)
    assert set(objects.names) <= set(OBJECTS)
    for episode in tiny_world.episodes("val_unseen"):
        named = tokenize(episode.instruction)[-2]
        goal = tiny_graph.index(episode.start.scan, episode.reference[-1])
        seen = {objects.names[i] for i in objects.name[objects.panorama == goal]}
        assert named in seen


def test_objects_stand_in_the_views_that_look_at_them(tiny_world, tiny_graph):
    objects = load_objects(tiny_world.folder, tiny_graph)
    shown = np.bincount(objects.view, minlength=36)
    assert (shown > 0).all()
    # Objects stand below eye level more often than above it, as furniture does.
    assert shown[:12].sum() > shown[24:].sum()
    assert 0 < objects.area.min() <= objects.area.max() <= 1


def test_direction_faces_have_the_colour_of_their_axes():
    faces = direction_faces(UPRIGHT, 65).astype(int)

    outward = [(0, 0, 1), (0, -1, 0), (-1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, -1)]
    expected = direction_colours(np.array(outward, dtype=float))
    assert faces.shape == (6, 65, 65, 3)
    assert np.abs(faces[:, 32, 32] - expected).max() == 0


def test_written_skyboxes_are_those_of_their_poses_with_a_ring(tmp_path, tiny_graph):
    scan = tiny_graph.scans[2]

    write_skyboxes(tmp_path, tiny_graph, size=32, scans=[scan])

    source = SkyboxSource(tmp_path, graph=tiny_graph)
    names = [tiny_graph.viewpoints[i] for i in tiny_graph.members(scan)]
    panorama = source.panorama(scan, names[3])
    exact = direction_faces(panorama.rotation, 32)
    assert source.viewpoints(scan) == tuple(sorted(names))
    assert source.viewpoints(tiny_graph.scans[0]) == ()
    assert np.abs(panorama.faces[:5, :16].astype(int) - exact[:5, :16]).max() <= 8
    assert (np.abs(panorama.faces.astype(int) - ring_colour(names[3])).max(axis=-1) < 12).any()
    assert len({bytes(ring_colour(name)) for name in tiny_graph.viewpoints}) > 140
