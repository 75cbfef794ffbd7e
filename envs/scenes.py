"""One episode's present moment for human eyes: a map, what the agent sees, the choices in words."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.graph import NavGraph
from vln.panorama.pinhole import Camera
from vln.types import Episode
from vln.viz.canvas import text_block
from vln.viz.maps import draw_map
from vln.viz.views import draw_view

SECTORS = (
    "ahead",
    "ahead right",
    "right",
    "behind right",
    "behind",
    "behind left",
    "left",
    "ahead left",
)
IDLE_TEXT = "no episode\n"
SIZE = (640, 640)
"""Height and width of the map, pixels."""
WINDOW = Camera()
"""What the agent's view is taken with, in pictures for people."""

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """What there is to show.

    Attributes:
        episode: The episode.
        path: Panoramas walked, start first.
        view: The view faced, 0-35.
        step: Actions taken.
        max_steps: Actions allowed.
        has_ended: Whether the episode is over.
    """

    episode: Episode
    path: tuple[int, ...]
    view: int
    step: int
    max_steps: int
    has_ended: bool

    @property
    def heading(self) -> float:
        """Radians that the agent looks along."""
        return float(geometry.view_heading(self.view))

    @property
    def elevation(self) -> float:
        """Radians."""
        return float(geometry.view_elevation(self.view))


def picture(graph: NavGraph, scene: Scene) -> Image:
    """Gives the map with reference and goal if known, the walk, and the candidates by number."""
    scan = scene.episode.start.scan
    reference = scene.episode.reference
    guide = [] if reference is None else graph.indices(scan, reference).tolist()
    here = scene.path[-1]
    around = graph.neighbour[here, : graph.degree[here]].tolist()
    return draw_map(
        graph,
        scan,
        path=scene.path,
        candidates=[] if scene.has_ended else around,
        reference=guide,
        goal=guide[-1] if guide else None,
        heading=scene.heading,
        size=SIZE,
    )


def picture_beside(graph: NavGraph, scene: Scene, seen: Image) -> Image:
    """Gives the map, and right of it what the agent sees over the words it follows.

    Args:
        graph: The navigation graph.
        scene: What there is to show.
        seen: (480, 640, 3) uint8 RGB, what `WINDOW` shows along the agent's heading.

    Returns:
        (640, 1280, 3) uint8 RGB; the candidates bear the same numbers on both sides.
    """
    here = scene.path[-1]
    degree = 0 if scene.has_ended else int(graph.degree[here])
    directions = (graph.candidate_heading, graph.candidate_elevation)
    view = draw_view(
        seen,
        camera=WINDOW,
        heading=scene.heading,
        elevation=scene.elevation,
        candidates=np.stack([angles[here, :degree] for angles in directions], axis=1),
        distances=graph.candidate_distance[here, :degree],
    )
    words = text_block(
        scene.episode.instruction,
        title=f"{scene.episode.id}: {_progress(scene)}",
        width=WINDOW.width,
        height=SIZE[0] - WINDOW.height,
        capitals=13,
        least_capitals=6,
    )
    return np.hstack([picture(graph, scene), np.vstack([view, words])])


def blank(*, is_beside: bool) -> Image:
    """Gives a white picture, with room for a view beside the map or without."""
    width = SIZE[1] + (WINDOW.width if is_beside else 0)
    return np.full((SIZE[0], width, 3), 255, dtype=np.uint8)


def _progress(scene: Scene) -> str:
    turned = round(np.degrees(scene.heading))
    over = ", over" if scene.has_ended else ""
    return f"step {scene.step} of {scene.max_steps}, facing {turned} degrees{over}"


def choices(graph: NavGraph, scene: Scene) -> str:
    """Gives the instruction, where the agent stands, and every action in words."""
    here = scene.path[-1]
    lines = [
        f"{scene.episode.id}  scan {scene.episode.start.scan}  viewpoint {graph.viewpoints[here]}",
        *textwrap.wrap(scene.episode.instruction, 96, initial_indent="  ", subsequent_indent="  "),
        _progress(scene),
    ]
    if scene.has_ended:
        return "\n".join([*lines, "  (the episode is over)"]) + "\n"
    lines.append("   0  stop")
    for slot in range(int(graph.degree[here])):
        lines.append(
            f"  {slot + 1:2d}  {_direction(graph, here, slot, scene.view):<20}"
            f"{graph.candidate_distance[here, slot]:5.1f} m  "
            f"{graph.viewpoints[graph.neighbour[here, slot]]}"
        )
    return "\n".join(lines) + "\n"


def _direction(graph: NavGraph, panorama: int, slot: int, view: int) -> str:
    relative = graph.candidate_heading[panorama, slot] - geometry.view_heading(view)
    words = SECTORS[round(float(relative) / (np.pi / 4)) % len(SECTORS)]
    row = int(geometry.snap_elevation_row(graph.candidate_elevation[panorama, slot]))
    return words + (", down", "", ", up")[row]
