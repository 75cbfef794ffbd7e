"""A whole episode on one picture: its words, what the agent saw at every step, and the map.

Knows no environment: a trajectory and panoramas are enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vln.graph import NavGraph
from vln.panorama.faces import PanoramaSource
from vln.panorama.pinhole import Camera
from vln.panorama.views import ViewRenderer
from vln.types import Episode, Pose, Trajectory
from vln.viz.canvas import PAPER, Image, text_block
from vln.viz.maps import draw_map
from vln.viz.views import draw_view

EYE = Camera(width=400, height=300, vertical_fov=math.radians(75))
"""What the steps are shown with: wider than the agent's own views, so that more doors are in it."""
LINE = 30
"""Pixels below a view for what was done there."""
WORDS = 84
"""Pixels above everything for title and instruction."""
LEAST_MAP = 660
"""Pixels along a side of the map, at least."""


def draw_episode(
    graph: NavGraph,
    episode: Episode,
    trajectory: Trajectory,
    *,
    panoramas: PanoramaSource | None,
    title: str,
) -> Image:
    """Gives the words, the view along the agent's heading at every step, and the map beside them.

    Orange numbers are the candidates, blue the one that was taken; the map is that of
    `vln.viz.maps.draw_map`.

    Args:
        graph: The navigation graph.
        episode: What was asked; its reference and goal are drawn where they are known.
        trajectory: What was walked.
        panoramas: Gives the pictures; None draws words and map alone.
        title: One line above the instruction.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        MissingData: A panorama is not there.
        CorruptData: One cannot be used.
    """
    path = graph.indices(episode.start.scan, [pose.viewpoint for pose in trajectory.poses])
    strip = None if panoramas is None else _steps(graph, trajectory, path.tolist(), panoramas)
    side = LEAST_MAP if strip is None else max(LEAST_MAP, len(strip))
    guide = graph.indices(episode.start.scan, episode.reference or ()).tolist()
    floor = draw_map(
        graph,
        episode.start.scan,
        path=path.tolist(),
        reference=guide,
        goal=guide[-1] if guide else None,
        heading=trajectory.poses[-1].heading,
        size=(side, LEAST_MAP),
    )
    shown = floor if strip is None else np.hstack([_padded(strip, side), floor])
    words = text_block(
        episode.instruction,
        title=title,
        width=shown.shape[1],
        height=WORDS,
        capitals=12,
        least_capitals=6,
    )
    return np.vstack([words, shown])


def _steps(
    graph: NavGraph, trajectory: Trajectory, path: Sequence[int], panoramas: PanoramaSource
) -> Image:
    """Gives the views of all steps, row by row."""
    renderer = ViewRenderer(EYE, smooth=True)
    follows = [*path[1:], -1]
    cells = [
        _cell(graph, renderer, panoramas, pose, here=here, there=there, number=number)
        for number, (pose, here, there) in enumerate(
            zip(trajectory.poses, path, follows, strict=True), start=1
        )
    ]
    columns = min(len(cells), 2 + (len(cells) > 4) + (len(cells) > 9))
    cells += [np.full_like(cells[0], PAPER)] * (-len(cells) % columns)
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.vstack(rows)


def _cell(
    graph: NavGraph,
    renderer: ViewRenderer,
    panoramas: PanoramaSource,
    pose: Pose,
    *,
    here: int,
    there: int,
    number: int,
) -> Image:
    """Gives one view with the candidates in it, over what was done."""
    picture = panoramas.panorama(pose.scan, pose.viewpoint)
    degree = int(graph.degree[here])
    taken = np.flatnonzero(graph.neighbour[here, :degree] == there)
    slot = int(taken[0]) if len(taken) else None
    angles = (graph.candidate_heading[here, :degree], graph.candidate_elevation[here, :degree])
    view = draw_view(
        renderer.views(picture, [pose.heading], [pose.elevation])[0],
        camera=EYE,
        heading=pose.heading,
        elevation=pose.elevation,
        candidates=np.stack(angles, axis=1),
        distances=graph.candidate_distance[here, :degree],
        taken=slot,
    )
    done = "ends here" if slot is None else f"goes to {slot + 1}"
    words = text_block(f"{number}. {done}", width=EYE.width, height=LINE, capitals=10)
    cell = np.vstack([view, words])
    cell[:, -4:] = PAPER
    return cell


def _padded(strip: Image, height: int) -> Image:
    """Gives a strip with paper below it."""
    missing = height - len(strip)
    return np.pad(strip, ((0, missing), (0, 0), (0, 0)), constant_values=PAPER[0])
