"""Steps of a batch of cameras, on the grid of 36 views or free; nothing changes in place.

On the grid a step is a look-up: `vln.camera` says what a view lists, once. Free cameras are
computed at every step. Knows nothing of pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from vln import geometry
from vln.camera import CameraStates
from vln.errors import IllegalAction
from vln.mattersim import arguments
from vln.mattersim.errors import NegativeIndex, NotFinite
from vln.mattersim.states import Listing
from vln.mattersim.world import Sight

_ALL_VIEWS = range(geometry.NUM_VIEWS)
HEADINGS: Final[list[float]] = geometry.view_heading(_ALL_VIEWS).tolist()
ELEVATIONS: Final[list[float]] = geometry.view_elevation(_ALL_VIEWS).tolist()


def _turned(view: int, right: int, up: int) -> int:
    row, column = divmod(view, geometry.NUM_HEADINGS)
    row = min(max(row + up, 0), geometry.NUM_ELEVATIONS - 1)
    return row * geometry.NUM_HEADINGS + (column + right) % geometry.NUM_HEADINGS


# TURNED[view][right][up]: index -1, the last entry, turns left or looks down.
_SIGNS = (0, 1, -1)
TURNED: Final = [[[_turned(view, r, u) for u in _SIGNS] for r in _SIGNS] for view in _ALL_VIEWS]


class Poses(NamedTuple):
    """B cameras, per camera: what it lists, its heading, elevation and view, Python's own types."""

    listings: list[Listing]
    headings: list[float]
    elevations: list[float]
    views: list[int]


def start(
    sight: Sight, panoramas: list[int], headings: list[float], elevations: list[float]
) -> Poses:
    """Gives B cameras put down, snapped or clamped as the settings say.

    Raises:
        NotFinite: An angle is infinite or no number.
    """
    _check_finite(headings, elevations)
    states = sight.simulator.start(panoramas, headings, elevations)
    if not sight.simulator.settings.discretized:
        return _free(sight, states)
    return _on_grid(sight, panoramas, sight.simulator.view(states).tolist())


def act(
    sight: Sight,
    poses: Poses,
    indices: Sequence[Any],
    headings: Sequence[Any],
    elevations: Sequence[Any],
) -> Poses:
    """Gives the cameras after one action each: move first, then turn.

    Args:
        sight: What the cameras list afterwards.
        poses: B cameras.
        indices: B places in what they list now, or more, which are ignored, as below.
        headings: Radians to turn right; on the grid only the sign counts.
        elevations: Radians to look up; on the grid only the sign counts.

    Raises:
        IllegalAction: An index is not in its camera's list.
        NotFinite: An angle is infinite or no number.
        WrongArgument: An index is no integer, or an angle of another type.
    """
    step = _act_on_grid if sight.simulator.settings.discretized else _act_freely
    # To look at every entry costs more than the step. A sum of Python's own numbers is one of
    # them, and one of NumPy's or torch's is not: lists that fail here are looked at below.
    try:
        total = sum(headings) + sum(elevations)
        if type(total) in (float, int) and math.isfinite(total):
            return step(sight, poses, indices, headings, elevations)
    except (*arguments.FOREIGN, IndexError):
        pass
    return step(sight, poses, *_checked(poses, indices, headings, elevations))


def _checked(
    poses: Poses, indices: Sequence[Any], headings: Sequence[Any], elevations: Sequence[Any]
) -> tuple[list[int], list[float], list[float]]:
    """Gives an action in Python's own numbers, or raises what is wrong with it."""
    size = len(poses.views)
    places = arguments.integers(indices, size, what="makeAction's indices")
    turns = arguments.numbers(headings, size, what="makeAction's headings")
    tilts = arguments.numbers(elevations, size, what="makeAction's elevations")
    _check_listed(poses, places)
    _check_finite(turns, tilts)
    return places, turns, tilts


def _act_on_grid(
    sight: Sight,
    poses: Poses,
    indices: Sequence[int],
    headings: Sequence[float],
    elevations: Sequence[float],
) -> Poses:
    panoramas = _moved(poses, indices)
    views = [
        TURNED[view][(right > 0) - (right < 0)][(up > 0) - (up < 0)]
        for view, right, up in zip(poses.views, headings, elevations, strict=False)
    ]
    return _on_grid(sight, panoramas, views)


def _on_grid(sight: Sight, panoramas: list[int], views: list[int]) -> Poses:
    keys = [
        geometry.NUM_VIEWS * panorama + view
        for panorama, view in zip(panoramas, views, strict=True)
    ]
    return Poses(
        sight.on_grid(keys), [HEADINGS[v] for v in views], [ELEVATIONS[v] for v in views], views
    )


def _act_freely(
    sight: Sight,
    poses: Poses,
    indices: Sequence[int],
    headings: Sequence[float],
    elevations: Sequence[float],
) -> Poses:
    panoramas = _moved(poses, indices)
    size = len(panoramas)
    stay = np.zeros(size, dtype=np.int64)
    before = CameraStates(
        np.array(panoramas, dtype=np.int64),
        np.array(poses.headings),
        np.array(poses.elevations),
        stay,
    )
    turn, tilt = np.array(headings[:size]), np.array(elevations[:size])
    return _free(sight, sight.simulator.act(before, stay, turn, tilt))


def _free(sight: Sight, states: CameraStates) -> Poses:
    views = sight.simulator.view(states).tolist()
    return Poses(sight.around(states), states.heading.tolist(), states.elevation.tolist(), views)


def _moved(poses: Poses, indices: Sequence[int]) -> list[int]:
    panoramas = []
    for listing, index in zip(poses.listings, indices, strict=False):
        if not 0 <= index < len(listing):
            raise IndexError(index)  # not from the end of the list
        panoramas.append(listing[index][0])
    return panoramas


def _check_listed(poses: Poses, indices: list[int]) -> None:
    size = len(indices)
    for number, (listing, index) in enumerate(zip(poses.listings, indices, strict=True)):
        if not 0 <= index < len(listing):
            _, here, *_ = listing[0]
            kind = NegativeIndex if index < 0 else IllegalAction
            raise kind(
                f"action index {index} in environment {number} of {size}: viewpoint {here} has "
                f"{len(listing)} navigable locations in view, so expected 0 (stay) to "
                f"{len(listing) - 1}."
            )


def _check_finite(headings: list[float], elevations: list[float]) -> None:
    for name, values in (("heading", headings), ("elevation", elevations)):
        for number, value in enumerate(values):
            if not math.isfinite(value):
                raise NotFinite(
                    f"{name} {value} in environment {number} of {len(values)}: expected finite "
                    "radians."
                )
