"""Headings, elevations and the grid of 36 views that a panorama is cut into.

Convention (MatterSim): heading 0 looks along world +y and grows turning right; elevation is up
positive. Views 0-11 look 30 degrees down, 12-23 level, 24-35 up; within a row, view k looks along
heading 30 k degrees. Knows nothing of graphs.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NUM_HEADINGS: Final = 12
NUM_ELEVATIONS: Final = 3
NUM_VIEWS: Final = NUM_HEADINGS * NUM_ELEVATIONS
STEP: Final = math.pi / 6
"""Radians between neighbouring views, both ways."""
TURN: Final = 2 * math.pi


def heading_of(displacement: Floats) -> Floats:
    """Gives the heading of displacements (..., 3) in metres, in [0, 2 pi)."""
    heading = np.mod(np.arctan2(displacement[..., 0], displacement[..., 1]), TURN)
    return np.where(heading < TURN, heading, 0.0)  # a negative angle next to 0 rounds to a turn


def elevation_of(displacement: Floats) -> Floats:
    """Gives the elevation of displacements (..., 3) in metres, in [-pi/2, pi/2]."""
    horizontal = np.hypot(displacement[..., 0], displacement[..., 1])
    elevation: Floats = np.arctan2(displacement[..., 2], horizontal)
    return elevation


def wrap(angle: Floats) -> Floats:
    """Gives the same angles in (-pi, pi]."""
    return math.pi - np.mod(math.pi - angle, TURN)


def snap_heading_step(heading: npt.ArrayLike) -> Ints:
    """Gives the nearest of the 12 heading steps, halves rounded up as MatterSim's lround does."""
    turns = np.mod(np.asarray(heading, dtype=np.float64), TURN)
    return np.floor(turns / STEP + 0.5).astype(np.int64) % NUM_HEADINGS


def snap_elevation_row(elevation: npt.ArrayLike) -> Ints:
    """Gives the elevation row 0 (down), 1 (level) or 2 (up); up and down begin past 15 degrees."""
    angle = np.asarray(elevation, dtype=np.float64)
    return 1 + (angle > STEP / 2).astype(np.int64) - (angle < -STEP / 2).astype(np.int64)


def view_heading(view: npt.ArrayLike) -> Floats:
    """Gives the heading, in radians, that views 0-35 look along."""
    return np.asarray(view) % NUM_HEADINGS * STEP


def view_elevation(view: npt.ArrayLike) -> Floats:
    """Gives the elevation, in radians, that views 0-35 look along."""
    return (np.asarray(view) // NUM_HEADINGS - 1) * STEP


def nearest_view(heading: Floats, elevation: Floats) -> Ints:
    """Gives the view whose centre is closest to a direction.

    Equals the view that MatterSim's 36-view sweep would choose, for every edge of the 90 graphs.
    """
    column = np.round(heading / STEP).astype(np.int64) % NUM_HEADINGS
    row = np.clip(np.round(elevation / STEP), -1, 1).astype(np.int64) + 1
    return NUM_HEADINGS * row + column


def angle_features(heading: npt.ArrayLike, elevation: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Gives (..., 4) float32: sine and cosine of the heading, sine and cosine of the elevation.

    EnvDrop's 128 numbers are these four, repeated 32 times.
    """
    heading, elevation = np.broadcast_arrays(heading, elevation)
    parts: Any = (np.sin(heading), np.cos(heading), np.sin(elevation), np.cos(elevation))
    return np.stack(parts, axis=-1).astype(np.float32)


def view_angles() -> npt.NDArray[np.float32]:
    """Gives (12, 36, 4) float32: per heading step of the agent, the angle features of all views.

    Headings are relative to the agent, elevations absolute; views stay in absolute order.
    """
    agent = np.arange(NUM_HEADINGS)[:, None] * STEP
    views = np.arange(NUM_VIEWS)[None, :]
    return angle_features(view_heading(views) - agent, view_elevation(views))
