import numpy as np
import pytest

from vln import geometry
from vln.errors import BadConfig
from vln.panorama.faces import UPRIGHT, Panorama
from vln.panorama.pinhole import Camera
from vln.panorama.views import ViewRenderer
from vln.testing import direction_colours, direction_faces
from vln.viz.canvas import PAPER, Canvas, text_block
from vln.viz.maps import CANDIDATE
from vln.viz.views import EDGE_INSET, contact_sheet, draw_view, project

CAMERA = Camera(width=320, height=240)
GREY = np.full((240, 320, 3), 128, dtype=np.uint8)
HALF_WIDTH = np.arctan(4 / 3 * np.tan(np.pi / 6))


def draw(candidates, *, heading=0.0, elevation=0.0, distances=None, image=GREY):
    candidates = np.reshape(candidates, (-1, 2)).astype(float)
    distances = np.full(len(candidates), 2.0) if distances is None else np.array(distances)
    return draw_view(
        image,
        camera=CAMERA,
        heading=heading,
        elevation=elevation,
        candidates=candidates,
        distances=distances,
    )


def orange(image):
    """The rows and columns of candidate's orange, (n, 2)."""
    return np.argwhere((image == CANDIDATE).all(axis=-1))


def test_a_direction_is_projected_to_the_pixel_that_shows_it():
    panorama = Panorama.of(direction_faces(UPRIGHT, 128), rotation=UPRIGHT)
    heading, elevation = 2.1, -0.4
    view = ViewRenderer(CAMERA).views(panorama, [heading], [elevation])[0]
    rng = np.random.default_rng(0)
    directions = np.add(rng.uniform(-0.45, 0.45, (50, 2)), [heading, elevation])

    at, is_visible = project(CAMERA, heading, elevation, directions)

    turn, rise = directions.T
    level = np.cos(rise)
    rays = np.stack([np.sin(turn) * level, np.cos(turn) * level, np.sin(rise)], axis=1)
    column, row = np.floor(at).astype(int).T
    assert is_visible.all()
    assert np.abs(view[row, column].astype(int) - direction_colours(rays)).max() <= 3


@pytest.mark.parametrize(
    ("direction", "place"),
    [
        ((0.0, 0.0), (160, 120)),
        ((HALF_WIDTH - 1e-6, 0.0), (320, 120)),
        ((0.0, np.pi / 6 - 1e-6), (160, 0)),
    ],
)
def test_the_field_of_view_ends_at_the_edges(direction, place):
    at, is_visible = project(CAMERA, 0.0, 0.0, np.array([direction]))

    assert is_visible.all()
    np.testing.assert_allclose(at[0], place, atol=1e-2)


@pytest.mark.parametrize(
    ("direction", "place"),
    [
        ((HALF_WIDTH + 0.01, 0.0), (320 - EDGE_INSET, 120)),
        ((np.pi / 2, 0.0), (320 - EDGE_INSET, 120)),
        ((-3.0, 0.0), (EDGE_INSET, 120)),
        ((0.0, 1.2), (160, EDGE_INSET)),
        ((0.0, -1.2), (160, 240 - EDGE_INSET)),
    ],
)
def test_what_is_out_of_sight_lies_on_the_side_to_turn_to(direction, place):
    at, is_visible = project(CAMERA, 0.0, 0.0, np.array([direction]))

    assert not is_visible.any()
    np.testing.assert_allclose(at[0], place, atol=1e-6)


def test_directly_behind_is_somewhere_on_the_edge():
    at, is_visible = project(CAMERA, 0.0, 0.0, np.array([[np.pi, 0.0]]))

    assert not is_visible.any()
    assert ((at >= 0) & (at <= (320, 240))).all()


def test_a_candidate_is_marked_where_it_is_and_nothing_else_changes():
    at, _ = project(CAMERA, 0.0, 0.0, np.array([[0.3, 0.1]]))

    marked = draw([[0.3, 0.1]])

    changed = np.argwhere((marked != GREY).any(axis=-1))
    assert np.abs(changed[:, ::-1] - at).max() < 22
    assert np.abs(orange(marked).mean(axis=0)[::-1] - at).max() < 3
    assert (GREY == 128).all()


def test_near_candidates_have_larger_marks():
    near, far = (len(orange(draw([[0.0, 0.0]], distances=[metres]))) for metres in (1.5, 6.0))

    assert near > far * 1.5


def test_candidates_in_one_direction_step_aside():
    alone, three = draw([[0.0, 0.0]]), draw([[0.0, 0.0]] * 3)

    assert len(orange(three)) > 2.7 * len(orange(alone))


def test_many_candidates_behind_line_up_along_the_edge():
    behind = draw([[2.0, 0.0], [2.2, 0.01], [2.4, 0.0], [2.6, -0.01]])

    assert len(orange(behind)) > 3.7 * len(orange(draw([[2.0, 0.0]])))
    assert orange(behind)[:, 1].min() > 320 - EDGE_INSET - 12


def test_marks_stay_whole_inside_the_view():
    corner = [HALF_WIDTH - 0.01, 0.25]
    whole = len(orange(draw([[0.0, 0.0]])))

    assert len(orange(draw([corner]))) > 0.97 * whole


def test_without_candidates_the_view_is_as_it_was():
    noise = np.random.default_rng(0).integers(256, size=GREY.shape, dtype=np.uint8)

    assert (draw(np.zeros((0, 2)), image=noise) == noise).all()


def test_a_canvas_over_a_picture_shows_the_picture():
    noise = np.random.default_rng(0).integers(256, size=(9, 14, 3), dtype=np.uint8)

    assert (Canvas.over(noise).finished() == noise).all()


def test_a_sheet_has_views_that_look_up_on_top_and_columns_that_turn_right():
    colour = np.random.default_rng(0).permutation(200)[:36].astype(np.uint8)
    views = np.broadcast_to(colour[:, None, None, None], (36, 12, 16, 3))

    sheet = contact_sheet(views)

    places = [np.argwhere((sheet == value).all(axis=-1)) for value in colour]
    found = np.array([place.min(axis=0) for place in places])
    rows, columns = found[:, 0].reshape(3, 12), found[:, 1].reshape(3, 12)
    assert (np.diff(rows[:, 0]) < 0).all()
    assert (rows == rows[:, :1]).all()
    assert (np.diff(columns) > 16).all()
    assert (columns == columns[0]).all()
    assert all(len(place) >= 12 * 16 for place in places)


def test_a_sheet_names_headings_rows_and_views():
    views = np.full((36, 120, 160, 3), PAPER, dtype=np.uint8)

    ink = (contact_sheet(views) < 120).all(axis=-1)

    left_column, top_line, bottom_line = ink[:, :40], ink[:20], ink[-20:]
    assert left_column.any()
    assert top_line.any()
    assert bottom_line.any()


def test_a_sheet_takes_all_views_of_a_panorama():
    with pytest.raises(BadConfig, match="35 views"):
        contact_sheet(np.zeros((geometry.NUM_VIEWS - 1, 4, 4, 3), dtype=np.uint8))


def test_letters_shrink_until_the_words_fit():
    words = "walk past the sofa and stop beside the last of the blue doors " * 8
    size = {"width": 640, "height": 160, "title": "id"}

    shown = text_block(words, **size, capitals=13, least_capitals=6)

    at_size = [text_block(words, **size, capitals=capitals) for capitals in range(6, 14)]
    assert [(shown == block).all() for block in at_size].count(True) == 1
    assert (shown != text_block(words[:-10], **size, capitals=13, least_capitals=6)).any()
    assert (shown != at_size[-1]).any()


@pytest.mark.parametrize("capitals", [6, 9, 13])
def test_no_line_runs_into_the_margin(capitals):
    words = "WWW mmm iii the cat walks through wide doorways " * 20

    strip = text_block(words, width=400, height=300, title=words, capitals=capitals)

    assert (strip[:, -6:] == PAPER).all()
    assert (strip[:, :-6] != PAPER).any()


@pytest.mark.parametrize("size", [(36, 36), (20, 36), (12, 9), (1, 1)])
def test_small_views_point_to_the_right_side_too(size):
    camera = Camera(width=size[0], height=size[1])
    directions = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.5], [np.pi, 0.0], [0.0, 0.0]])

    at, is_visible = project(camera, 0.0, 0.0, directions)
    marked = draw_view(
        np.zeros((*size[::-1], 3), np.uint8),
        camera=camera,
        heading=0.0,
        elevation=0.0,
        candidates=directions,
        distances=np.full(len(directions), 2.0),
    )

    aside = at - np.divide(size, 2)
    assert aside[0, 0] > 0 > aside[1, 0]
    assert aside[2, 1] < 0
    assert is_visible.tolist() == [False] * 4 + [True]
    assert (np.abs(aside) < np.divide(size, 2)).all()
    assert (marked != 0).any()
