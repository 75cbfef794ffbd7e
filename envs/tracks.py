"""Where B agents have been in the episodes under way, pose by pose.

Legend: B rows, T poses that fit (grows).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.graph import NavGraph
from vln.simulator import States
from vln.types import Pose, Trajectory

Ints = npt.NDArray[np.int64]

HEADINGS = tuple(geometry.view_heading(np.arange(geometry.NUM_VIEWS)).tolist())
ELEVATIONS = tuple(geometry.view_elevation(np.arange(geometry.NUM_VIEWS)).tolist())


class Tracks:
    """Logs the pose after every move: the viewpoint, and the centre of the view faced.

    EnvDrop also logs every camera turn on the way to that view; the panoramic action space turns
    and moves in one, so there is nothing between two poses.
    """

    def __init__(self, num_envs: int, *, moves: int) -> None:
        """Makes room for `moves` moves per row."""
        self._panorama: Ints = np.zeros((num_envs, moves + 2), dtype=np.int64)
        self._view: Ints = np.zeros_like(self._panorama)
        self._length = np.zeros(num_envs, dtype=np.int64)
        self._row = np.arange(num_envs)

    def begin(self, rows: Ints, states: States) -> None:
        """Starts `rows` (n,) anew at the states of the whole batch."""
        self._panorama[rows, 0] = states.panorama[rows]
        self._view[rows, 0] = states.view[rows]
        self._length[rows] = 1

    def append(self, moved: npt.NDArray[np.bool_], states: States) -> None:
        """Logs the states (B,) of the rows that moved (B,)."""
        # Rows that stay write too, into the place that the next pose will take.
        self._panorama[self._row, self._length] = states.panorama
        self._view[self._row, self._length] = states.view
        self._length += moved

    def reserve(self, moves: int) -> None:
        """Makes sure that `moves` more moves fit."""
        lack = int(self._length.max()) + moves + 1 - self._panorama.shape[1]
        if lack > 0:
            room = ((0, 0), (0, max(lack, self._panorama.shape[1])))
            self._panorama = np.pad(self._panorama, room)
            self._view = np.pad(self._view, room)

    def path(self, row: int) -> tuple[int, ...]:
        """Gives the panoramas of one row, start first."""
        return tuple(self._panorama[row, : self._length[row]].tolist())

    def trajectory(
        self, row: int, *, graph: NavGraph, episode_id: str, stopped: bool
    ) -> Trajectory:
        """Gives one row's poses under the episode's id."""
        length = self._length[row]
        scan = graph.scan_of(int(self._panorama[row, 0]))
        places = zip(
            self._panorama[row, :length].tolist(), self._view[row, :length].tolist(), strict=True
        )
        poses = tuple(
            Pose(scan, graph.viewpoints[panorama], HEADINGS[view], ELEVATIONS[view])
            for panorama, view in places
        )
        return Trajectory(episode_id, poses, stopped)
