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
from vln.errors import IllegalAction, VlnError
from vln.mattersim.arguments import integer, not_numbers
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
    _check_finite(len(panoramas), headings, elevations)
    states = sight.simulator.start(panoramas, headings, elevations)
    if not sight.simulator.settings.discretized:
        return _free(sight, states)
    return _on_grid(sight, panoramas, sight.simulator.view(states).tolist())


def act(
    sight: Sight,
    poses: Poses,
    indices: Sequence[int],
    headings: Sequence[float],
    elevations: Sequence[float],
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
    try:
        if sight.simulator.settings.discretized:
            return _act_on_grid(sight, poses, indices, headings, elevations)
        return _act_freely(sight, poses, indices, headings, elevations)
    except VlnError:
        raise
    except TypeError as error:
        raise not_numbers(indices, headings, elevations) or error from None


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
    if not math.isfinite(sum(headings) + sum(elevations)):
        _check_finite(len(views), headings, elevations)
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
    turn, tilt = _angles(headings[:size]), _angles(elevations[:size])
    if not (np.isfinite(turn).all() and np.isfinite(tilt).all()):
        _check_finite(size, headings, elevations)
    stay = np.zeros(size, dtype=np.int64)
    before = CameraStates(
        np.array(panoramas, dtype=np.int64),
        np.array(poses.headings),
        np.array(poses.elevations),
        stay,
    )
    return _free(sight, sight.simulator.act(before, stay, turn, tilt))


def _angles(values: Sequence[float]) -> Any:  # noqa: ANN401 - an array of whatever is given
    angles = np.asarray(values)
    if angles.dtype.kind not in "fiub":
        raise TypeError(f"{values} are no numbers")
    return angles


def _free(sight: Sight, states: CameraStates) -> Poses:
    views = sight.simulator.view(states).tolist()
    return Poses(sight.around(states), states.heading.tolist(), states.elevation.tolist(), views)


def _moved(poses: Poses, indices: Sequence[int]) -> list[int]:
    panoramas = []
    for listing, index in zip(poses.listings, indices, strict=False):
        if not 0 <= index < len(listing):
            raise _out_of_range(poses, indices)
        panoramas.append(listing[index][0])
    return panoramas


def _out_of_range(poses: Poses, indices: Sequence[int]) -> IllegalAction:
    size = len(poses.listings)
    counts = [len(listing) for listing in poses.listings]
    number = next(n for n in range(size) if not 0 <= indices[n] < counts[n])
    _, here, *_ = poses.listings[number][0]
    integer(indices[number], what=f"makeAction's indices, entry {number}")
    kind = NegativeIndex if indices[number] < 0 else IllegalAction
    return kind(
        f"action index {indices[number]} in environment {number} of {size}: viewpoint {here} has "
        f"{counts[number]} navigable locations in view, so expected 0 (stay) to "
        f"{counts[number] - 1}."
    )


def _check_finite(size: int, headings: Sequence[float], elevations: Sequence[float]) -> None:
    for name, values in (("heading", headings), ("elevation", elevations)):
        for number in range(size):
            if not math.isfinite(values[number]):
                raise NotFinite(
                    f"{name} {values[number]} in environment {number} of {size}: expected finite "
                    "radians."
                )
