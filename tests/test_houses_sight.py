"""Which objects are seen from where, and the boxes that say so."""

import numpy as np
import orjson
import pytest
from test_houses_navigate import two_rooms

from vln.data.objects import load_objects
from vln.geometry import NUM_VIEWS, wrap
from vln.houses.building.scene import Item
from vln.houses.graph.navigate import records, walk_of
from vln.houses.graph.sight import MIN_PIXELS, VIEW_224, box_records, sights_of

CUPBOARD = Item("cabinet", "red", "wood", 0, (2.0, 3.7, 0.0), np.pi, (1.0, 0.45, 1.4))
HIDDEN = Item("cabinet", "blue", "wood", 1, (7.9, 3.7, 0.0), np.pi, (0.4, 0.4, 1.4))


@pytest.fixture(scope="module")
def scene():
    home = two_rooms(items=[CUPBOARD, HIDDEN])
    walk = walk_of(home)
    return home, walk, sights_of(home, walk)


def test_an_object_is_seen_where_it_stands(scene):
    _, walk, sights = scene
    rows = np.flatnonzero((sights.item == 0) & (walk.room[sights.viewpoint] == 0))
    assert len(rows) > 2
    offset = np.array([2.0, 3.7]) - walk.position[sights.viewpoint[rows], :2]
    expected = np.arctan2(offset[:, 0], offset[:, 1])
    assert np.abs(wrap(sights.heading[rows] - expected)).max() < 0.25
    assert (sights.elevation[rows] < 0).all()  # its middle is below the camera


def test_distance_is_to_the_nearest_edge_of_the_object(scene):
    _, walk, sights = scene
    rows = np.flatnonzero(sights.item == 0)
    offset = np.abs(walk.position[sights.viewpoint[rows], :2] - [2.0, 3.7]) - [0.5, 0.225]
    expected = np.hypot(*offset.clip(min=0).T)
    np.testing.assert_allclose(sights.distance[rows], expected, atol=1e-3)


def test_walls_hide_objects(scene):
    _, walk, sights = scene
    west = np.flatnonzero((walk.room == 0) & (walk.position[:, 1] > 2.6))
    assert len(west)
    assert not np.isin(sights.viewpoint[sights.item == 1], west).any()


def test_pixels_follow_the_solid_angle(scene):
    _, walk, sights = scene
    rows = np.flatnonzero((sights.item == 0) & (walk.room[sights.viewpoint] == 0))
    for row in rows:
        eye = walk.position[sights.viewpoint[row]]
        # What is seen of a box facing the room: its front and top, a little more with a side.
        front = solid_angle(eye, (1.5, 3.475, 0.0), (1.0, 0, 0), (0, 0, 1.4))
        top = solid_angle(eye, (1.5, 3.475, 1.4), (1.0, 0, 0), (0, 0.45, 0))
        side = max(solid_angle(eye, (x, 3.475, 0.0), (0, 0.45, 0), (0, 0, 1.4)) for x in (1.5, 2.5))
        low, high = (front + 0.0) * VIEW_224**2, (front + top + side) * VIEW_224**2
        assert 0.8 * low < sights.pixels[row] < 1.15 * high


def solid_angle(eye, corner, across, along, steps=60):
    """Steradians of a parallelogram, by adding up small pieces."""
    share = (np.arange(steps) + 0.5) / steps
    points = (
        np.array(corner)
        + share[:, None, None] * np.array(across)
        + share[None, :, None] * np.array(along)
        - eye
    )
    normal = np.cross(across, along)
    squared = (points**2).sum(axis=-1)
    return (np.abs(points @ normal) / squared**1.5).sum() / steps**2


def test_a_box_encloses_the_corners_that_are_in_view(scene):
    _, walk, sights = scene
    corners = np.array([[x, y, z] for x in (1.5, 2.5) for y in (3.475, 3.925) for z in (0, 1.4)])
    checked = 0
    for m in np.flatnonzero(np.isin(sights.row, np.flatnonzero(sights.item == 0))):
        eye = walk.position[sights.viewpoint[sights.row[m]]]
        if walk.room[sights.viewpoint[sights.row[m]]] != 0:
            continue  # from the next room a part of it is behind the wall
        inside = project(corners - eye, int(sights.view[m]))
        if inside is None:
            continue
        low, high = inside.min(axis=0), inside.max(axis=0)
        box = sights.box[m]
        assert np.abs(box[:2] - low).max() < 14  # pixels of 640x480; a face pixel is 4.3
        assert np.abs(box[:2] + box[2:] - high).max() < 14
        checked += 1
    assert checked > 3


def project(offset, view):
    """Pixels of points in a 640x480 view, None unless all lie inside it."""
    heading, elevation = view % 12 * np.pi / 6, (view // 12 - 1) * np.pi / 6
    sin_h, cos_h, sin_e, cos_e = (f(a) for a in (heading, elevation) for f in (np.sin, np.cos))
    axes = [
        [cos_h, -sin_h, 0],
        [sin_h * sin_e, cos_h * sin_e, -cos_e],
        [sin_h * cos_e, cos_h * cos_e, sin_e],
    ]
    x, y, depth = np.array(axes) @ offset.T
    if (depth < 0.1).any():
        return None
    pixels = np.stack([x, y], axis=1) / depth[:, None] * 240 / np.tan(np.pi / 6) + [320, 240]
    return pixels if ((pixels > 0) & (pixels < [640, 480])).all() else None


def test_rows_are_in_order_and_nothing_is_smaller_than_the_limit(scene):
    home, _, sights = scene
    key = sights.viewpoint * len(home.items) + sights.item
    assert (np.diff(key) > 0).all()
    assert sights.pixels.min() >= MIN_PIXELS
    assert sights.box_pixels.min() >= MIN_PIXELS
    assert (sights.view < NUM_VIEWS).all()


def test_the_boxes_are_read_as_reveries(scene, tmp_path):
    from vln.data.connectivity import load_graph

    home, walk, sights = scene
    folder = tmp_path / "connectivity"
    folder.mkdir()
    (folder / "two_connectivity.json").write_bytes(orjson.dumps(records(walk)))
    (folder / "scans.txt").write_text("two\n")
    boxes = tmp_path / "reverie" / "BBox"
    boxes.mkdir(parents=True)
    for viewpoint, record in box_records(home, walk, sights).items():
        (boxes / f"two_{viewpoint}.json").write_bytes(orjson.dumps(record))

    seen = load_objects(tmp_path, load_graph(tmp_path))

    assert seen.names == ("blue cabinet", "red cabinet")
    assert len(seen) == len(sights.view)
    assert 0 < seen.area.min() <= seen.area.max() <= 1
