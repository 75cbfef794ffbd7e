"""Top-down maps of a scan: where an agent walked, where it may go, where it was sent.

Needs the navigation graph only, no images. Viewpoints on other floors are drawn faintly. Knows
nothing of environments or files of predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig
from vln.graph import NavGraph
from vln.metrics.paths import SUCCESS_RADIUS
from vln.viz.canvas import INK, PAPER, Canvas, Colour, Image, spread, text_block

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EDGE: Colour = (205, 209, 215)
NODE: Colour = (150, 157, 166)
REFERENCE: Colour = (146, 212, 158)
WALKED_FIRST: Colour = (116, 174, 248)
WALKED_LAST: Colour = (16, 74, 190)
GOAL: Colour = (247, 190, 36)
GOAL_RIM: Colour = (176, 120, 0)
CANDIDATE: Colour = (232, 116, 40)
SIGHT: Colour = (222, 234, 252)

SAME_FLOOR = 1.2
"""Metres of height within which two viewpoints count as one floor."""
MARGIN = 2.0
"""Metres kept free around what must be seen."""
LEAST_SPAN = 12.0
"""Metres that a map shows at least, however short the walk."""


@dataclass(frozen=True)
class Walk:
    """One picture of a sheet.

    Attributes:
        path: Panoramas walked, start first, at least one.
        reference: Panoramas of the guide's path; its end is drawn as the goal.
        title: One line, such as the episode id and how it went.
        caption: The instruction.
    """

    path: tuple[int, ...]
    reference: tuple[int, ...] = ()
    title: str = ""
    caption: str = ""


def draw_map(
    graph: NavGraph,
    scan: str,
    *,
    path: Sequence[int] = (),
    candidates: Sequence[int] = (),
    reference: Sequence[int] = (),
    goal: int | None = None,
    heading: float | None = None,
    focus: Sequence[int] = (),
    size: tuple[int, int] = (640, 640),
) -> Image:
    """Gives a top-down picture of one scan.

    Green is the reference, blue the walk (light at first, dark at last, kept to the right where it
    goes both ways), a white disc its start; orange numbers are the candidates, as actions 1, 2,
    ...; a star is the goal, the dashed circle lies `SUCCESS_RADIUS` metres around it, and the
    viewpoints that count as arrived (that far on foot) are gold.

    Args:
        graph: The navigation graph.
        scan: Which scan to draw.
        path: Panoramas walked, start first; the agent stands at the last.
        candidates: Panoramas that can be reached from there, in the order of the actions.
        reference: Panoramas of the guide's path.
        goal: Panorama of the goal, where it is known.
        heading: Radians that the agent looks along, drawn as a cone.
        focus: Panoramas that must be in the frame beside all those above; with none of either, the
            whole scan is shown.
        size: Height and width in pixels.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        UnknownViewpoint: The graph has no such scan.
        BadConfig: A panorama lies in another scan.
    """
    members = graph.members(scan)
    shown = [*path, *candidates, *reference, *focus, *([] if goal is None else [goal])]
    for panorama in shown:
        if panorama not in members:
            raise BadConfig(f"panorama {panorama} is not in scan {scan!r}; expected {members}.")
    sheet = _frame(graph, shown or list(members), goal, size)
    floor = _floor_height(graph, path or reference or shown or list(members))
    if path and heading is not None:
        _draw_sight(sheet, graph.position[path[-1], :2], heading)
    _draw_graph(sheet, graph, members, floor, goal)
    if goal is not None:
        sheet.ring(graph.position[goal, :2], GOAL_RIM, metres=SUCCESS_RADIUS)
    _draw_reference(sheet, graph.position[list(reference), :2])
    choices = graph.position[list(candidates), :2]
    if path:
        ends = np.stack(np.broadcast_arrays(graph.position[path[-1], :2], choices), axis=1)
        sheet.lines(ends, CANDIDATE, width=1.6)
    draw_walk(sheet, graph.position[list(path), :2])
    marks = [graph.position[path[-1], :2]] if path else []
    if goal is not None:
        sheet.star(graph.position[goal, :2], GOAL, radius=13, rim=GOAL_RIM)
        marks.append(graph.position[goal, :2])
    draw_agent(sheet, graph.position[list(path), :2])
    _draw_candidates(sheet, choices, np.reshape(marks, (-1, 2)))
    draw_scale(sheet)
    return sheet.finished()


def draw_paths(
    graph: NavGraph,
    walks: Sequence[Walk],
    *,
    columns: int = 3,
    size: tuple[int, int] = (400, 440),
    caption_height: int = 104,
) -> Image:
    """Gives a sheet of maps, row by row, each over its title and wrapped instruction.

    Args:
        graph: The navigation graph.
        walks: What to draw, at least one.
        columns: Maps per row.
        size: Height and width of one map, pixels.
        caption_height: Pixels below each map for title and instruction.

    Returns:
        (rows * (H + caption_height), columns * W, 3) uint8, RGB.

    Raises:
        BadConfig: No walk, or no column.
    """
    if not walks or columns < 1:
        raise BadConfig(f"{len(walks)} walks in {columns} columns; expected at least one of each.")
    columns = min(columns, len(walks))
    cells = [_cell(graph, walk, size, caption_height) for walk in walks]
    blank = np.full_like(cells[0], PAPER)
    cells += [blank] * (-len(cells) % columns)
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.vstack(rows)


def write_png(image: Image, file: Path) -> None:
    """Writes an RGB picture, making its folder where needed.

    Args:
        image: (H, W, 3) uint8.
        file: Ends in `.png`.
    """
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))  # OpenCV wants BGR
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded.tobytes())


def _cell(graph: NavGraph, walk: Walk, size: tuple[int, int], caption_height: int) -> Image:
    picture = draw_map(
        graph,
        graph.scan_of(walk.path[0]),
        path=walk.path,
        reference=walk.reference,
        goal=walk.reference[-1] if walk.reference else None,
        size=size,
    )
    words = text_block(walk.caption, title=walk.title, width=size[1], height=caption_height)
    cell = np.vstack([picture, words])
    cell[:, -1] = cell[-1] = EDGE  # hairlines between the cells
    return cell


def _frame(
    graph: NavGraph, shown: Sequence[int], goal: int | None, size: tuple[int, int]
) -> Canvas:
    places = graph.position[list(shown), :2]
    low, high = places.min(axis=0) - MARGIN, places.max(axis=0) + MARGIN
    if goal is not None:  # the circle of success is to be seen whole
        low = np.minimum(low, graph.position[goal, :2] - SUCCESS_RADIUS - 0.3)
        high = np.maximum(high, graph.position[goal, :2] + SUCCESS_RADIUS + 0.3)
    span = np.maximum(high - low, LEAST_SPAN)
    scale = max(span[0] / size[1], span[1] / size[0])
    return Canvas(size, centre=(low + high) / 2, metres_per_pixel=float(scale))


def _floor_height(graph: NavGraph, panoramas: Sequence[int]) -> float:
    heights = graph.position[list(panoramas), 2]
    return float(heights[-1] if len(panoramas) == 1 else np.median(heights))


def _faint(colour: Colour, share: npt.NDArray[np.float64] | float) -> npt.NDArray[np.int64]:
    """Mixes a colour with the paper; share 1 leaves it, 0 is paper."""
    share = np.asarray(share)[..., None]
    return np.round(np.asarray(colour) * share + np.asarray(PAPER) * (1 - share)).astype(np.int64)


def _rgb(colour: npt.NDArray[np.int64]) -> Colour:
    red, green, blue = colour.tolist()
    return red, green, blue


def _draw_graph(
    sheet: Canvas, graph: NavGraph, members: range, floor: float, goal: int | None
) -> None:
    nodes = np.arange(members.start, members.stop)
    near = np.abs(graph.position[:, 2] - floor) < SAME_FLOOR
    source, slot = np.nonzero(graph.neighbour[nodes] > nodes[:, None])
    source, target = nodes[source], graph.neighbour[nodes[source], slot]
    on_floor = near[source] & near[target]
    ends = np.stack([graph.position[source, :2], graph.position[target, :2]], axis=1)
    sheet.lines(ends[~on_floor], _rgb(_faint(EDGE, 0.4)), width=1)
    sheet.lines(ends[on_floor], EDGE, width=1.5)
    arrived = np.zeros(len(graph.position), dtype=bool)
    if goal is not None:
        arrived[nodes] = graph.distance(nodes, goal) < SUCCESS_RADIUS
    for panorama in nodes[np.argsort(near[nodes], kind="stable")]:
        colour = GOAL if arrived[panorama] else NODE
        radius = 4.5 if arrived[panorama] else 3.2
        strength = 1.0 if near[panorama] else 0.3
        sheet.disc(graph.position[panorama, :2], _rgb(_faint(colour, strength)), radius=radius)


def _draw_sight(sheet: Canvas, place: Floats, heading: float) -> None:
    reach = 64 * sheet.metres_per_pixel
    turn = heading + np.linspace(-np.pi / 6, np.pi / 6, 17)
    arc = place + reach * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    sheet.polygon(np.vstack([place, arc]), SIGHT)


def _draw_reference(sheet: Canvas, places: Floats) -> None:
    sheet.lines(np.stack([places[:-1], places[1:]], axis=1), REFERENCE, width=13)
    for place in places:
        sheet.disc(place, REFERENCE, radius=8.5)


def draw_walk(sheet: Canvas, places: Floats) -> None:
    """Draws a walk over places, (n, 2) metres: light at first, dark at last, with arrows."""
    moves = np.stack([places[:-1], places[1:]], axis=1)
    moves = moves[np.linalg.norm(moves[:, 1] - moves[:, 0], axis=1) > 0]
    sides = _keep_right(moves) * 3.2 * sheet.metres_per_pixel
    age = np.linspace(0, 1, max(len(moves), 1))[:, None]
    colours = np.round((1 - age) * WALKED_FIRST + age * WALKED_LAST).astype(np.int64)
    for place, move, colour in zip(moves[:, 1], moves + sides[:, None], colours, strict=False):
        sheet.disc(place, _rgb(colour), radius=5)
        sheet.lines(move[None], _rgb(colour), width=4)
        _draw_arrow(sheet, move, _rgb(colour))


def _keep_right(moves: Floats) -> Floats:
    """Gives (n, 2) unit offsets to the right of moves whose edge is walked again, else 0."""
    edges = np.sort(moves.view(np.complex128)[..., 0], axis=1)
    shared = (edges[:, None] == edges[None]).all(axis=-1).sum(axis=1) > 1
    ahead = moves[:, 1] - moves[:, 0]
    right = ahead[:, ::-1] * (1.0, -1.0) / np.linalg.norm(ahead, axis=1, keepdims=True)
    return np.where(shared[:, None], right, 0.0)


def _draw_arrow(sheet: Canvas, move: Floats, colour: Colour) -> None:
    ahead = move[1] - move[0]
    length = float(np.linalg.norm(ahead))
    if length < 22 * sheet.metres_per_pixel:
        return
    forward = ahead / length * sheet.metres_per_pixel
    side = forward[::-1] * (1.0, -1.0)
    tip = move.mean(axis=0) + 6.5 * forward
    back = tip - 12 * forward
    sheet.polygon([tip, back + 6.5 * side, back + 3 * forward, back - 6.5 * side], colour)


def draw_agent(sheet: Canvas, places: Floats) -> None:
    """Draws a white disc where a walk over places, (n, 2) metres, begins, a blue one at its end."""
    if not len(places):
        return
    sheet.disc(places[0], PAPER, radius=7, rim=WALKED_FIRST if len(places) > 1 else WALKED_LAST)
    sheet.disc(places[-1], WALKED_LAST, radius=7.5, rim=PAPER)


def _draw_candidates(sheet: Canvas, places: Floats, marks: Floats) -> None:
    """Numbers the candidates; one whose place is taken steps aside, and a line leads to it."""
    labels = spread(sheet.pixels(places), sheet.pixels(marks))
    for number, (label, place) in enumerate(zip(labels, places, strict=True), start=1):
        spot = sheet.place(label)
        sheet.lines(np.stack([place, spot])[None], CANDIDATE, width=1.2)
        sheet.disc(spot, CANDIDATE, radius=9.5, rim=PAPER)
        sheet.text(str(number), label, PAPER, height=10)


def draw_scale(sheet: Canvas) -> None:
    """Draws a bar of so many metres into the lower left corner."""
    height, width = sheet.size
    metres = max(m for m in (0.5, 1, 2, 5, 10, 20, 50) if m <= sheet.metres_per_pixel * width / 4)
    length = metres / sheet.metres_per_pixel
    left, bottom = 18.0, height - 18.0
    bar = sheet.place([[left, bottom], [left + length, bottom]])
    right = left + length
    ticks = sheet.place([[[x, bottom - 5.0], [x, float(bottom)]] for x in (left, right)])
    sheet.polygon(sheet.place(_box(left - 6, bottom - 22, right + 6, bottom + 6)), PAPER)
    sheet.lines(bar[None], INK, width=1.5)
    sheet.lines(ticks, INK, width=1.5)
    sheet.text(f"{metres:g} m", (left + length / 2, bottom - 11), height=9)


def _box(left: float, top: float, right: float, bottom: float) -> Floats:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
