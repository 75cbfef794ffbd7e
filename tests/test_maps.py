import cv2
import numpy as np
import pytest

from vln.errors import BadConfig, UnknownViewpoint
from vln.viz import maps
from vln.viz.canvas import PAPER, Canvas, plain, spread, text_block
from vln.viz.maps import Walk, draw_map, draw_paths, write_png


@pytest.fixture(scope="module")
def house(tiny_world):
    return tiny_world.graph, tiny_world.graph.scans[1]


def walk_in(graph, scan, *, length=4):
    path = [graph.members(scan)[0]]
    while len(path) < length:
        path.append(int(graph.neighbour[path[-1], len(path) % graph.degree[path[-1]]]))
    return path


def shows(image, colour):
    return bool((np.abs(image.astype(int) - colour).max(axis=-1) < 6).any())


@pytest.mark.parametrize("size", [(640, 640), (200, 333)])
def test_a_map_has_the_size_that_was_asked_for(house, size):
    image = draw_map(*house, size=size)

    assert (image.shape, image.dtype) == ((*size, 3), np.uint8)


def test_each_kind_of_mark_appears_in_its_colour_only_when_asked_for(house):
    graph, scan = house
    path = walk_in(graph, scan)
    far = graph.members(scan)[-1]

    bare = draw_map(graph, scan)
    full = draw_map(
        graph,
        scan,
        path=path,
        candidates=graph.neighbour[path[-1], : graph.degree[path[-1]]].tolist(),
        reference=graph.shortest_path(path[0], far),
        goal=far,
        heading=0.0,
    )

    for colour in (maps.REFERENCE, maps.WALKED_LAST, maps.GOAL, maps.CANDIDATE, maps.SIGHT):
        assert not shows(bare, colour)
        assert shows(full, colour)


def test_north_is_up_and_east_is_right():
    sheet = Canvas((100, 200), centre=np.zeros(2), metres_per_pixel=0.1)

    assert sheet.pixels([0, 0]).tolist() == [100, 50]
    assert sheet.pixels([1, 2]).tolist() == [110, 30]
    np.testing.assert_allclose(sheet.place(sheet.pixels([3.3, -4.4])), [3.3, -4.4])


def test_viewpoints_on_other_floors_are_fainter(house):
    graph, scan = house
    heights = graph.position[graph.members(scan), 2]
    assert np.ptp(heights) > maps.SAME_FLOOR
    lowest = graph.members(scan)[int(heights.argmin())]

    image = draw_map(graph, scan, path=[lowest], focus=list(graph.members(scan)))

    faint = tuple(np.round(0.3 * np.array(maps.NODE) + 0.7 * np.array(PAPER)).astype(int))
    assert shows(image, maps.NODE)
    assert shows(image, faint)


def test_a_walk_there_and_back_shows_both_ways(house):
    graph, scan = house
    a, b, *_ = walk_in(graph, scan)

    once = draw_map(graph, scan, path=[a, b])
    back = draw_map(graph, scan, path=[a, b, a, b])

    assert (once != back).any()


def test_two_candidates_at_one_place_keep_their_numbers_apart():
    at = np.array([[50.0, 50.0], [50.0, 50.0], [52.0, 50.0]])

    labels = spread(at, np.array([[60.0, 50.0]]))

    gaps = np.linalg.norm(labels[:, None] - labels[None], axis=-1)[np.triu_indices(3, 1)]
    assert gaps.min() > 20


def test_the_picture_does_not_depend_on_the_call(house):
    graph, scan = house
    path = walk_in(graph, scan)

    assert (draw_map(graph, scan, path=path) == draw_map(graph, scan, path=path)).all()


def test_a_panorama_of_another_scan_is_refused(house):
    graph, scan = house
    elsewhere = graph.members(graph.scans[0])[0]

    with pytest.raises(BadConfig, match="not in scan"):
        draw_map(graph, scan, path=[elsewhere])


def test_an_unknown_scan_is_refused(house):
    with pytest.raises(UnknownViewpoint, match="no scan"):
        draw_map(house[0], "nowhere")


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (4, 2, 3)])
def test_a_sheet_has_a_cell_per_walk(house, count, rows, columns):
    graph, scan = house
    path = tuple(walk_in(graph, scan))
    walk = Walk(path, reference=path[:2], title="1_0  arrived", caption="Walk past the sofa. " * 9)

    sheet = draw_paths(graph, [walk] * count, size=(120, 150), caption_height=60)

    assert sheet.shape == (rows * 180, columns * 150, 3)


def test_a_sheet_of_nothing_is_refused(house):
    with pytest.raises(BadConfig, match="at least one"):
        draw_paths(house[0], [])


def test_long_words_stay_inside_their_strip():
    strip = text_block("go straight and " * 100, width=200, height=60, title="title")

    assert strip.shape == (60, 200, 3)
    assert (strip[:, -2:] == PAPER).all()
    assert (strip != PAPER).any()


def test_letters_that_the_font_lacks_are_replaced():
    assert plain("café नमस्ते") == "cafe ??????"[: len(plain("café नमस्ते"))]
    assert plain("naïve") == "naive"


def test_a_written_picture_reads_back_the_same(house, tmp_path):
    image = draw_map(*house, size=(64, 64))
    file = tmp_path / "deep" / "map.png"

    write_png(image, file)

    assert (cv2.imread(str(file))[..., ::-1] == image).all()
