"""Pinhole cameras, and how their pixels fall on the faces of a skybox.

Between a flat image and a flat face lies a homography, so a view is made of at most six of them,
each valid where its face's axis is the largest component of the ray. Both renderers, OpenCV's and
torch's, take their numbers from here. Knows nothing of pixels' values.

Legend: N views, H x W pixels, S texels along a face.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig
from vln.panorama.faces import BORDER

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAX_SIDE: Final = 32767
"""Pixels along an image; OpenCV counts them in 16 bits."""
MAX_BYTES: Final = 1 << 33
"""Bytes of the views that one call may ask for, 8 GiB: what is more is a slip, not a wish."""
LEAST_BLUR: Final = 0.25
"""Texels of blur below which nothing changes."""
MOST_BLUR: Final = 8.0
"""Texels of blur beyond which it takes too long."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera with square pixels; the defaults are those of published R2R features.

    Attributes:
        width: Pixels, 1 to `MAX_SIDE`.
        height: Pixels, 1 to `MAX_SIDE`.
        vertical_fov: Radians between the upper and lower edge, above 0 and below pi.
    """

    width: int = 640
    height: int = 480
    vertical_fov: float = math.pi / 3

    def __post_init__(self) -> None:
        try:  # sizes may be NumPy's integers, whose products overflow
            width, height = operator.index(self.width), operator.index(self.height)
        except TypeError:
            raise BadConfig(
                f"a camera of {self.width} x {self.height} pixels; expected whole numbers."
            ) from None
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "height", height)
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
            raise BadConfig(
                f"a camera of {width} x {height} pixels; expected 1 to {MAX_SIDE} each."
            )
        if not 0 < self.vertical_fov < math.pi:
            raise BadConfig(
                f"a vertical field of view of {self.vertical_fov} radians; expected more than 0 "
                f"and less than pi ({math.degrees(self.vertical_fov):.4g} degrees were given)."
            )

    @property
    def focal(self) -> float:
        """Pixels from the pinhole to the image."""
        return self.height / 2 / math.tan(self.vertical_fov / 2)

    def check_room(self, views: int, *, channels: int = 3) -> None:
        """Refuses what no memory holds.

        Args:
            views: How many are asked for at once.
            channels: Bytes per pixel.

        Raises:
            BadConfig: The views would be larger than `MAX_BYTES`.
        """
        needed = views * self.width * self.height * channels
        if needed > MAX_BYTES:
            raise BadConfig(
                f"{views} views of {self.width} x {self.height} pixels take "
                f"{needed / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB are rendered at once. "
                "Ask for fewer or smaller views."
            )


def _linear(axis: int, sign: int) -> list[int]:
    row = [0, 0, 0]
    row[axis] = sign
    return row


# Per face: the axis out of it, the axis to the right (u) and the axis down (v), each as a linear
# form on skybox directions (x right, y down, z out of face 3), as seen from inside.
_RIGHT, _DOWN, _FRONT = 0, 1, 2
FACE_AXES: Final[Floats] = np.array(
    [
        [_linear(_DOWN, -1), _linear(_RIGHT, -1), _linear(_FRONT, -1)],  # 0 up
        [_linear(_FRONT, -1), _linear(_RIGHT, -1), _linear(_DOWN, 1)],  # 1 back
        [_linear(_RIGHT, -1), _linear(_FRONT, 1), _linear(_DOWN, 1)],  # 2 left
        [_linear(_FRONT, 1), _linear(_RIGHT, 1), _linear(_DOWN, 1)],  # 3 front
        [_linear(_RIGHT, 1), _linear(_FRONT, -1), _linear(_DOWN, 1)],  # 4 right
        [_linear(_DOWN, 1), _linear(_RIGHT, -1), _linear(_FRONT, 1)],  # 5 down
    ],
    dtype=np.float64,
)
"""(6, 3, 3) float64: rows out of, right along and down along each face, in the skybox frame."""
FACE_AXES.flags.writeable = False


def camera_axes(heading: npt.ArrayLike, elevation: npt.ArrayLike) -> Floats:
    """Gives (N, 3, 3) float64: rows right, up and forward of N cameras, in world coordinates.

    Args:
        heading: (N,) radians, 0 along world +y, turning right positive; or one for all.
        elevation: (N,) radians, up positive; or one for all.

    Raises:
        BadConfig: An angle is infinite or no number, or their shapes do not fit.
    """
    given = np.shape(heading), np.shape(elevation)
    try:
        angles = np.broadcast_arrays(np.atleast_1d(heading), np.atleast_1d(elevation))
        heading, elevation = (each.astype(np.float64) for each in angles)
    except (TypeError, ValueError):
        raise BadConfig(f"headings and elevations of shapes {given}; expected (N,) each.") from None
    if heading.ndim != 1 or not (np.isfinite(heading).all() and np.isfinite(elevation).all()):
        raise BadConfig(
            f"headings and elevations of shapes {given}, the first {heading.flat[:1]} and "
            f"{elevation.flat[:1]}; expected (N,) finite radians each."
        )
    east, north = np.sin(heading), np.cos(heading)
    rise, level = np.sin(elevation), np.cos(elevation)
    rows: Any = (
        (north, -east, np.zeros_like(east)),
        (-east * rise, -north * rise, level),
        (east * level, north * level, rise),
    )
    return np.moveaxis(np.array(rows, dtype=np.float64), -1, 0)


def pixel_rays(camera: Camera, axes: Floats, rotation: Floats) -> Floats:
    """Gives (N, 3, 3) float64 matrices from pixels (column, row, 1) to skybox directions.

    Directions have length 1 along the optical axis. Pixel centres lie at whole numbers, so the
    image reaches from -0.5 to W - 0.5. Source: MatterSim's projection and model matrices; the
    pose's transpose is used as its inverse, as there.

    Args:
        camera: The pinhole.
        axes: (N, 3, 3) as `camera_axes` gives.
        rotation: (3, 3) or (N, 3, 3), skybox frame to world.
    """
    scale = 1 / camera.focal
    left, top = (1 - camera.width) / 2 * scale, (camera.height - 1) / 2 * scale
    from_pixel = np.array([[scale, 0, left], [0, -scale, top], [0, 0, 1]])
    rays: Floats = np.swapaxes(axes @ rotation, -1, -2) @ from_pixel
    return rays


def face_homographies(rays: Floats, size: int) -> Floats:
    """Gives (N, 6, 3, 3) float64 matrices from pixels (column, row, 1) to places in bordered faces.

    Their third coordinate is positive in front of the face, and largest of all six where the ray
    meets that face.

    Args:
        rays: (N, 3, 3) as `pixel_rays` gives.
        size: S.
    """
    half, middle = size / 2, (size - 1) / 2 + BORDER
    out, right, down = np.moveaxis(FACE_AXES, 1, 0)
    to_texel = np.stack([half * right + middle * out, half * down + middle * out, out], axis=1)
    homographies: Floats = to_texel @ rays[:, None]
    return homographies


def smoothing(camera: Camera, size: int) -> tuple[int, float]:
    """Gives how often faces are halved, and the blur in texels after that, against aliasing.

    A pixel at the centre of a view covers `size / 2 / focal` texels. Beyond two, halving by area is
    cheaper than blurring. What is left is blurred by 0.4 of a pixel's width, or 0.3 after halving,
    which blurs by itself; both are compromises between photographs, which want less, and text,
    which wants more, against averages of 36 samples per pixel (images of 64 to 384 pixels).
    (0, 0.0) where the image is fine enough already. Faces of an odd size cannot be halved, and no
    blur is wider than a sixth of a face or `MOST_BLUR`: views much coarser than that alias.

    Args:
        camera: The pinhole.
        size: S.
    """
    covered = size / 2 / camera.focal
    halvings = 0
    while covered >= 2 and size % 2 == 0:
        covered, size, halvings = covered / 2, size // 2, halvings + 1
    blur = min((0.3 if halvings else 0.4) * covered, size / 6, MOST_BLUR)
    return (halvings, blur) if blur >= LEAST_BLUR or halvings else (0, 0.0)


def face_extents(camera: Camera, rays: Floats, *, tiles: int = 8) -> Ints:
    """Gives (N, 6, 4) int64: the columns and rows [left, right, top, bottom) that may show a face.

    A little generous: whole tiles of the image. All zero where a view does not show the face.
    A tile cannot show a face if all its corners lie beyond one of the face's four edges.

    Args:
        camera: The pinhole.
        rays: (N, 3, 3) as `pixel_rays` gives.
        tiles: Tiles along each side of the image.
    """
    columns = np.unique(np.linspace(0, camera.width, tiles + 1).astype(np.int64))
    rows = np.unique(np.linspace(0, camera.height, tiles + 1).astype(np.int64))
    column, row = np.meshgrid(columns - 0.5, rows - 0.5)
    corners = np.stack([column, row, np.ones_like(column)])  # 3, R + 1, C + 1
    out, right, down = np.moveaxis(FACE_AXES, 1, 0)
    edges = np.stack([out - right, out + right, out - down, out + down], axis=1)
    inside = np.einsum("nfej,jrc->nferc", edges @ rays[:, None], corners) >= 0
    touched = (
        inside[..., :-1, :-1] | inside[..., :-1, 1:] | inside[..., 1:, :-1] | inside[..., 1:, 1:]
    ).all(axis=2)
    return np.concatenate(
        [_extent(touched.any(axis=2), columns), _extent(touched.any(axis=3), rows)], axis=-1
    )


def _extent(touched: npt.NDArray[np.bool_], edges: Ints) -> Ints:
    """Gives (N, 6, 2) where runs of touched tiles begin and end; 0, 0 where there is none."""
    some: npt.NDArray[np.bool_] = np.asarray(touched.any(axis=-1))
    first = edges[touched.argmax(axis=-1)]
    last = edges[touched.shape[-1] - touched[..., ::-1].argmax(axis=-1)]
    return np.where(some[..., None], np.stack([first, last], axis=-1), 0)
