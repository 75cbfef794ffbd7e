"""One episode's present moment for human eyes: a map, or the choices in words."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.graph import NavGraph
from vln.types import Episode
from vln.viz.maps import draw_map

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


def picture(graph: NavGraph, scene: Scene) -> npt.NDArray[np.uint8]:
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
        heading=float(geometry.view_heading(scene.view)),
        size=SIZE,
    )


def choices(graph: NavGraph, scene: Scene) -> str:
    """Gives the instruction, where the agent stands, and every action in words."""
    here = scene.path[-1]
    heading = round(np.degrees(float(geometry.view_heading(scene.view))))
    lines = [
        f"{scene.episode.id}  scan {scene.episode.start.scan}  viewpoint {graph.viewpoints[here]}",
        *textwrap.wrap(scene.episode.instruction, 96, initial_indent="  ", subsequent_indent="  "),
        f"step {scene.step} of {scene.max_steps}, facing {heading} degrees",
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
