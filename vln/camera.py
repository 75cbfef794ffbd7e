"""MatterSim's own state machine, batched: a camera that moves, then turns, and lists what it sees.

The panoramic simulator (`vln.simulator`) hides the camera; this module is the low level, with
discretised or continuous turns, restricted or unrestricted navigation. Numbers follow the C++
simulator's precision: float32 positions and horizontal directions, float64 headings. Knows nothing
of pixels.

Legend: B batch, K candidates at most; slot 0 is always the current viewpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vln import geometry
from vln.arrays import Array, namespace
from vln.errors import BadConfig, IllegalAction
from vln.graph import NavGraph


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """How the camera moves and what counts as in view; defaults are MatterSim's.

    Attributes:
        width: Image width in pixels.
        height: Image height in pixels.
        vertical_fov: Radians.
        discretized: Turns snap to 30 degrees and ignore the elevation limits.
        restricted: Only neighbours within the horizontal field of view are listed.
        min_elevation: Radians, lower limit of continuous elevations.
        max_elevation: Radians, upper limit of continuous elevations.
    """

    width: int = 320
    height: int = 240
    vertical_fov: float = 0.8
    discretized: bool = False
    restricted: bool = True
    min_elevation: float = -0.94
    max_elevation: float = 0.94

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise BadConfig(f"a camera of {self.width} x {self.height}; expected positive pixels.")
        if not self.min_elevation <= self.max_elevation:
            raise BadConfig(
                f"elevation limits {self.min_elevation} to {self.max_elevation}; expected the "
                "lower limit first, in radians."
            )

    @property
    def horizontal_fov(self) -> float:
        """Radians by MatterSim's linear rule; the rendered field is a little narrower."""
        return self.vertical_fov * self.width / self.height


class CameraStates(NamedTuple):
    """B cameras: `panorama` (B,) int64, `heading` and `elevation` (B,) float64, `step` (B,)."""

    panorama: Array
    heading: Array
    elevation: Array
    step: Array


class Navigable(NamedTuple):
    """Where B cameras may go, nearest to the view's centre first, slot 0 = stay.

    `panorama` (B, K + 1) int64, -1 padding; `heading`, `elevation` (B, K + 1) float64, radians
    relative to the camera; `distance` (B, K + 1) float32 metres; `count` (B,) int64.
    """

    panorama: Array
    heading: Array
    elevation: Array
    distance: Array
    count: Array


class CameraSimulator:
    """Moves batches of cameras as MatterSim does.

    Args:
        graph: The compiled graph.
        settings: How the cameras behave.
        device: None computes with NumPy; else a torch device.
    """

    def __init__(
        self, graph: NavGraph, *, settings: CameraSettings, device: str | None = None
    ) -> None:
        self.graph = graph
        self.settings = settings
        self.device = device
        self._xp: Any = namespace(device)
        xp = self._xp
        position = graph.position.astype(np.float32)
        displacement = position[np.maximum(graph.neighbour, 0)] - position[:, None, :]
        east, north, up = (
            xp.asarray(np.ascontiguousarray(displacement[..., axis]), device=device)
            for axis in range(3)
        )
        horizontal, distance = xp.hypot(east, north), xp.sqrt(east**2 + north**2 + up**2)
        # What does not depend on the camera is computed once, and gathered together.
        self._neighbour = xp.asarray(graph.neighbour, device=device)
        self._moved = xp.stack([east, north, horizontal, distance], axis=1)  # V, 4, K
        self._rise = xp.atan2(xp.astype(up, xp.float64), xp.astype(horizontal, xp.float64))

    def start(self, panorama: Array, heading: Array, elevation: Array) -> CameraStates:
        """Gives the states of cameras put down, snapped or clamped as the settings say."""
        panorama = self._array(panorama, "int64")
        turned = self._settle(self._array(heading, "float64"), self._array(elevation, "float64"))
        return CameraStates(panorama, *turned, self._xp.zeros_like(panorama))

    def _array(self, values: Array, dtype: str) -> Array:
        return self._xp.asarray(values, dtype=getattr(self._xp, dtype), device=self.device)

    def act(
        self, states: CameraStates, index: Array, heading: Array, elevation: Array
    ) -> CameraStates:
        """Gives the states after one action each: move first, then turn.

        Args:
            states: B cameras.
            index: (B,) int64 places in `navigable(states)`; 0 stays.
            heading: (B,) float64 radians to turn right; only its sign counts when discretised.
            elevation: (B,) float64 radians to look up; only its sign counts when discretised.

        Raises:
            IllegalAction: An index is not in the list.
        """
        xp, index = self._xp, self._array(index, "int64")
        heading, elevation = self._array(heading, "float64"), self._array(elevation, "float64")
        panorama = states.panorama
        if bool((index != 0).any()):
            panorama = self._move(states, index)
        if self.settings.discretized:
            heading = xp.sign(heading) * geometry.STEP
            elevation = xp.sign(elevation) * geometry.STEP
        turned = self._settle(states.heading + heading, states.elevation + elevation)
        return CameraStates(panorama, *turned, states.step + 1)

    def _move(self, states: CameraStates, index: Array) -> Array:
        listed = self.navigable(states)
        bad = (index < 0) | (index >= listed.count)
        if bool(bad.any()):
            row = int(self._xp.argmax(self._xp.astype(bad, self._xp.int64)))
            raise IllegalAction(
                f"row {row}: index {int(index[row])} into a list of "
                f"{int(listed.count[row])} navigable locations at viewpoint "
                f"{self.graph.viewpoints[int(states.panorama[row])]}; 0 stays."
            )
        return self._xp.take_along_axis(listed.panorama, index[:, None], axis=1)[:, 0]

    def _settle(self, heading: Array, elevation: Array) -> tuple[Array, Array]:
        xp, limits = self._xp, self.settings
        if not limits.discretized:
            clamped = xp.clip(elevation, limits.min_elevation, limits.max_elevation)
            return heading % geometry.TURN, clamped
        column = xp.floor(heading % geometry.TURN / geometry.STEP + 0.5) % geometry.NUM_HEADINGS
        half = geometry.STEP / 2
        above = xp.astype(elevation > half, xp.float64)
        row = above - xp.astype(elevation < -half, xp.float64)
        return column * geometry.STEP, row * geometry.STEP

    def view(self, states: CameraStates) -> Array:
        """Gives (B,) int64 view indices 0-35; always 0 for continuous cameras, as in MatterSim."""
        xp = self._xp
        if not self.settings.discretized:
            return xp.zeros_like(states.panorama)
        column = xp.astype(xp.round(states.heading / geometry.STEP), xp.int64)
        row = xp.astype(xp.round(states.elevation / geometry.STEP), xp.int64) + 1
        return geometry.NUM_HEADINGS * row + column

    def navigable(self, states: CameraStates) -> Navigable:
        """Gives the viewpoints that the cameras may go to, in MatterSim's order."""
        xp = self._xp
        neighbour = xp.take(self._neighbour, states.panorama, axis=0)
        moved = xp.take(self._moved, states.panorama, axis=0)
        turn, listed = self._bearing(states.heading, moved)
        tilt = xp.take(self._rise, states.panorama, axis=0) - states.elevation[:, None]
        listed = listed & (neighbour >= 0)
        closeness = xp.where(listed, xp.hypot(turn, tilt), math.inf)
        order = xp.argsort(closeness, axis=1, stable=True)
        rows, slots = order.shape
        first = xp.arange(rows, dtype=order.dtype, device=self.device)[:, None] * slots
        place = xp.reshape(order + first, (-1,))

        def arrange(values: Array, padding: float, here: Array) -> Array:
            kept = xp.reshape(xp.where(listed, values, padding), (-1,))
            nearest_first = xp.reshape(xp.take(kept, place, axis=0), (rows, slots))
            return xp.concat([here[:, None], nearest_first], axis=1)

        none = xp.zeros_like(states.heading)
        return Navigable(
            panorama=arrange(neighbour, -1, states.panorama),
            heading=arrange(turn, 0.0, none),
            elevation=arrange(tilt, 0.0, none),
            distance=arrange(moved[:, 3], 0.0, xp.astype(none, xp.float32)),
            count=xp.sum(xp.astype(listed, xp.int64), axis=1) + 1,
        )

    def _bearing(self, heading: Array, moved: Array) -> tuple[Array, Array]:
        """Gives (B, K) signed angles to neighbours, right positive, and which are in view.

        A neighbour straight above has no bearing: its angle is 0, or pi where neither component of
        the camera's direction is positive, as in C++. A restricted camera does not list it, since
        MatterSim's normalised direction is not a number there.
        """
        xp = self._xp
        east = xp.astype(xp.cos(math.pi / 2 - heading), xp.float32)[:, None]
        north = xp.astype(xp.sin(math.pi / 2 - heading), xp.float32)[:, None]
        ahead = moved[:, 0] * east + moved[:, 1] * north
        aside = moved[:, 0] * north - moved[:, 1] * east
        turn = xp.astype(xp.atan2(aside, ahead), xp.float64)
        horizontal = moved[:, 2]
        if not self.settings.restricted:
            return turn, horizontal >= 0
        cosine = math.cos(self.settings.horizontal_fov / 2)
        return turn, (ahead >= cosine * horizontal) & (horizontal > 0)
