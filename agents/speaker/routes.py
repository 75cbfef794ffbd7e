"""Paths as a speaker sees them: what lies around at every step, and where the path goes on.

Legend: E paths of at most T viewpoints, B of them at once, D features per view.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.eyes import Eyes
from agents.speaker.model import Route
from vln import geometry
from vln.errors import BadConfig
from vln.graph import NavGraph
from vln.types import Pose

Ints = npt.NDArray[np.int64]
_VIEW_ANGLES = geometry.view_angles()


@dataclass(frozen=True, eq=False)
class RouteTable:
    """Paths as arrays, a row each, as an agent walks them that turns only to move.

    Attributes:
        panorama: (E, T) int64; 0 after the end.
        facing: (E, T) int64 views 0-35 that the agent faces at each step.
        taken: (E, T) int64 views that show the way on, -1 at a path's last viewpoint and after it.
        taken_angles: (E, T, 4) float32 directions of the way on relative to the agent, 0 likewise.
        length: (E,) int64 steps, the stop included: as many as viewpoints.
    """

    panorama: Ints
    facing: Ints
    taken: Ints
    taken_angles: npt.NDArray[np.float32]
    length: Ints

    @classmethod
    def compile(cls, graph: NavGraph, paths: Iterable[tuple[Pose, Sequence[str]]]) -> RouteTable:
        """Gives the arrays of paths.

        Args:
            graph: Where they lead.
            paths: Per path, the pose it begins with and its viewpoints, the first one included.

        Raises:
            BadConfig: There is none, a path has no viewpoint, begins elsewhere than its pose, or
                takes a step that is no edge.
            UnknownViewpoint: A viewpoint is not in the pose's scan.
        """
        given = [(start, tuple(path)) for start, path in paths]
        if not given:
            raise BadConfig("no path to describe; expected at least one.")
        for start, path in given:
            if not path or path[0] != start.viewpoint:
                raise BadConfig(
                    f"a path in scan {start.scan} begins at {path[0] if path else 'no viewpoint'}; "
                    f"expected {start.viewpoint}, where its agent stands."
                )
        length = np.array([len(path) for _, path in given])
        inside = np.arange(length.max()) < length[:, None]
        panorama = np.zeros(inside.shape, dtype=np.int64)
        panorama[inside] = np.concatenate([graph.indices(p.scan, path) for p, path in given])
        slot = _slots(graph, panorama, inside)
        at = (panorama[:, :-1], np.maximum(slot, 0))
        view = np.where(slot < 0, -1, graph.candidate_view[at])
        heading = geometry.snap_heading_step([start.heading for start, _ in given])
        first = heading[:, None] + geometry.NUM_HEADINGS  # looking level, as every episode begins
        facing = np.maximum(np.hstack([first, view]), 0)
        angles = geometry.angle_features(
            graph.candidate_heading[at] - geometry.view_heading(facing[:, :-1]),
            graph.candidate_elevation[at],
        )
        end = np.full((len(given), 1), -1)
        return cls(
            panorama=panorama,
            facing=facing,
            taken=np.hstack([view, end]),
            taken_angles=np.pad(angles * (slot >= 0)[..., None], ((0, 0), (0, 1), (0, 0))),
            length=length,
        )

    def __len__(self) -> int:
        return len(self.length)

    def see(self, rows: Ints, eyes: Eyes | None, *, device: str) -> tuple[Route, Ints]:
        """Gives what is seen along B paths, and their lengths (B,), stop included.

        Args:
            rows: (B,) places in this table.
            eyes: What to see with; None sees nothing, D = 0.
            device: Where the networks live.
        """
        length = self.length[rows]
        steps = int(length.max())
        panorama, taken = self.panorama[rows, :steps], self.taken[rows, :steps]
        views = torch.empty(*panorama.shape, geometry.NUM_VIEWS, 0, device=device)
        if eyes is not None:
            seen = eyes(panorama.ravel())
            views = seen.reshape(*panorama.shape, geometry.NUM_VIEWS, seen.shape[2])
        turned = self.facing[rows, :steps] % geometry.NUM_HEADINGS
        return Route(
            action_features=_of_views(views, torch.from_numpy(taken).to(device)),
            action_angles=torch.from_numpy(self.taken_angles[rows, :steps]).to(device),
            view_features=views,
            view_angles=torch.from_numpy(_VIEW_ANGLES.take(turned, axis=0)).to(device),
        ), length


def _slots(graph: NavGraph, panorama: Ints, inside: npt.NDArray[np.bool_]) -> Ints:
    """Gives (E, T - 1) candidate slots of the steps, -1 after the last.

    Raises:
        BadConfig: A step is no edge.
    """
    here, there = panorama[:, :-1], panorama[:, 1:]
    match = graph.neighbour[here] == there[..., None]
    wrong = np.argwhere(inside[:, 1:] & ~match.any(axis=2))
    if len(wrong):
        one, other = (int(part[tuple(wrong[0])]) for part in (here, there))
        raise BadConfig(
            f"path {wrong[0, 0]} goes from viewpoint {graph.viewpoints[one]} to "
            f"{graph.viewpoints[other]} in scan {graph.scan_of(one)}, which are not adjacent. "
            "A path moves along edges of the connectivity graph only."
        )
    return np.where(inside[:, 1:], match.argmax(axis=2), -1)


def _of_views(views: Tensor, taken: Tensor) -> Tensor:
    """Gives (B, T, D) features of the views taken (B, T), zeros where none is."""
    place = taken.clamp_min(0)[..., None, None].expand(-1, -1, 1, views.shape[3])
    return views.gather(2, place)[:, :, 0] * (taken >= 0)[..., None]
