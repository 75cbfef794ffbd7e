"""What the simulator tells about an environment: `SimState` and `ViewPoint`, fields read-only.

Both are made open, then sealed by becoming the subclass: assigning fields is an error only from
then on. That and slots make them cheap to make and fast to read by the hundred thousand a second.
Objects are equal only to themselves, as in C++.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import starmap
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt


class _OpenViewPoint:
    """Becomes a `ViewPoint` as soon as its fields are filled."""

    __slots__ = (
        "_panorama",
        "ix",
        "rel_distance",
        "rel_elevation",
        "rel_heading",
        "viewpointId",
        "x",
        "y",
        "z",
    )

    def __init__(
        self,
        panorama: int,
        viewpoint: str,
        ix: int,
        x: float,
        y: float,
        z: float,
        rel_heading: float,
        rel_elevation: float,
        rel_distance: float,
    ) -> None:
        self._panorama = panorama
        self.viewpointId = viewpoint
        self.ix = ix
        self.x = x
        self.y = y
        self.z = z
        self.rel_heading = rel_heading
        self.rel_elevation = rel_elevation
        self.rel_distance = rel_distance
        self.__class__ = ViewPoint


class ViewPoint(_OpenViewPoint):
    """A place that one may stay at or go to.

    Attributes:
        viewpointId: Its id.
        ix: Its place in the scan's connectivity file.
        x: Metres east; float32 widened, as `y` and `z` are.
        y: Metres north.
        z: Metres up.
        rel_heading: Radians to the right of the view's centre, in (-pi, pi].
        rel_elevation: Radians above the view's centre.
        rel_distance: Straight metres.
    """

    __slots__ = ()

    @property
    def point(self) -> list[float]:
        """[x, y, z], as v0.1 has it."""
        return [self.x, self.y, self.z]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        _refuse(self, name)

    def __delattr__(self, name: str) -> NoReturn:
        _refuse(self, name)

    def __reduce__(self) -> tuple[type[_OpenViewPoint], tuple[Any, ...]]:
        return _OpenViewPoint, (
            self._panorama,
            self.viewpointId,
            self.ix,
            self.x,
            self.y,
            self.z,
            self.rel_heading,
            self.rel_elevation,
            self.rel_distance,
        )

    def __repr__(self) -> str:
        return (
            f"<ViewPoint {self.viewpointId} rel_heading={self.rel_heading:.4f} "
            f"rel_elevation={self.rel_elevation:.4f} rel_distance={self.rel_distance:.4f}>"
        )


_view_point = cast("Callable[..., ViewPoint]", _OpenViewPoint)

Fields = tuple[int, str, int, float, float, float, float, float, float]
"""The panorama's index in the graph and the fields of a `ViewPoint`, in the order it takes them."""
Listing = tuple[Fields, ...]
"""Where one camera may go. Python's garbage collector need not look at plain tuples of plain
values, however many are kept; nested any deeper, it would."""

Bytes = npt.NDArray[np.uint8]
Depths = npt.NDArray[np.uint16]


class _OpenSimState:
    """Becomes a `SimState` as soon as its fields are filled."""

    __slots__ = (
        "_navigable",
        "depth",
        "elevation",
        "heading",
        "location",
        "rgb",
        "scanId",
        "step",
        "viewIndex",
    )

    def __init__(
        self,
        scan: str,
        step: int,
        rgb: Bytes,
        depth: Depths,
        listed: Listing,
        heading: float,
        elevation: float,
        view: int,
    ) -> None:
        self.scanId = scan
        self.step = step
        self.rgb = rgb
        self.depth = depth
        navigable = list(starmap(_view_point, listed))
        self.location = navigable[0] if navigable else None
        self._navigable = navigable
        self.heading = heading
        self.elevation = elevation
        self.viewIndex = view
        self.__class__ = SimState


class SimState(_OpenSimState):
    """One environment at one step.

    Attributes:
        scanId: The scan; empty before the first episode.
        step: Actions since the episode began.
        rgb: (H, W, 3) uint8 in the order blue, green, red; zeros without rendering.
        depth: (H, W, 1) uint16, 0.25 mm along the optical axis; zeros without depth.
        location: Where the camera stands; None before the first episode.
        heading: Radians in [0, 2 pi), 0 along +y, turning right.
        elevation: Radians, up positive.
        viewIndex: 0-35 with discretised viewing angles, else 0.
    """

    __slots__ = ()

    @property
    def navigableLocations(self) -> list[ViewPoint]:
        """A new list of where one may go, nearest to the view's centre first; entry 0 stays."""
        return list(self._navigable)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        _refuse(self, name)

    def __delattr__(self, name: str) -> NoReturn:
        _refuse(self, name)

    def __reduce__(self) -> tuple[Callable[..., SimState], tuple[Any, ...]]:
        return _received, (
            self.scanId,
            self.step,
            _sent(self.rgb),
            _sent(self.depth),
            tuple(place.__reduce__()[1] for place in self._navigable),
            self.heading,
            self.elevation,
            self.viewIndex,
        )

    def __repr__(self) -> str:
        here = self.location.viewpointId if self.location is not None else "nowhere"
        return (
            f"<SimState {self.scanId} {here} step={self.step} heading={self.heading:.4f} "
            f"elevation={self.elevation:.4f}>"
        )


sim_state = cast("Callable[..., SimState]", _OpenSimState)
"""Makes a `SimState` of the arguments of `_OpenSimState`."""


Shape = tuple[int, ...]
_zeros: weakref.WeakValueDictionary[tuple[Shape, str], npt.NDArray[Any]] = (
    weakref.WeakValueDictionary()
)


def zeros(shape: Shape, kind: str) -> npt.NDArray[Any]:
    """Gives the read-only zeros that all pictures of this shape and dtype share, not rendered."""
    found = _zeros.get((shape, kind))
    if found is None:
        found = np.zeros(shape, kind)
        found.flags.writeable = False
        _zeros[shape, kind] = found
    return found


def _sent(image: npt.NDArray[Any]) -> npt.NDArray[Any] | tuple[Shape, str]:
    """Gives what is pickled in an image's place: of shared zeros only what they look like."""
    look = image.shape, image.dtype.name
    return look if _zeros.get(look) is image else image


def _received(scan: str, step: int, *images_and_more: Any) -> SimState:  # noqa: ANN401
    *images, listed, heading, elevation, view = images_and_more
    rgb, depth = (zeros(*image) if isinstance(image, tuple) else image for image in images)
    return sim_state(scan, step, rgb, depth, listed, heading, elevation, view)


def _refuse(thing: object, name: str) -> NoReturn:
    raise AttributeError(f"can't set attribute {name!r} of a {type(thing).__name__}: states stay")
