"""A panorama in memory: six faces and the pose they hang in. Knows nothing of files or cameras.

Legend: S pixels along a face, A the same with its border, S + 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

NUM_FACES: Final = 6
BORDER: Final = 1
"""Pixels around a face that repeat its edge: sampling then clamps by itself, as OpenGL does."""
MAX_FACE: Final = 5459
"""Pixels along a face; OpenCV counts the rows of all six in 16 bits."""
_EXPECTED = f"expected {NUM_FACES} of uint8 (S, S, 3), S at least 1 and at most {MAX_FACE}."

UPRIGHT: Final[Floats] = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(3, 3) rotation of a level panorama whose face 3 looks along heading 0."""
UPRIGHT.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Panorama:
    """Six faces of a cube around a viewpoint, as they are sampled.

    Faces stand in Matterport's order: 0 up, 1 to 4 the horizontal ring turning right, 5 down. Face
    0's lower edge joins face 1's upper edge; face 5's upper edge joins face 1's lower edge.

    Attributes:
        atlas: (6, A, A, 4) uint8: RGB, and one channel that means nothing (OpenCV samples four
            channels faster than three). Each face has a border of one repeated pixel.
        rotation: (3, 3) float64, skybox frame (x right, y down, z out of face 3) to world.
        depth: (6, D, D) uint16 or None: distances along the ray in units of 0.25 mm, 0 where
            there is no reading.
    """

    atlas: Bytes
    rotation: Floats
    depth: npt.NDArray[np.uint16] | None = None

    def __post_init__(self) -> None:
        if self.rotation.shape != (3, 3) or not np.isfinite(self.rotation).all():
            raise BadConfig(
                f"a rotation of shape {self.rotation.shape}: {self.rotation.tolist()}; expected "
                "(3, 3) finite numbers."
            )
        depth = self.depth
        if depth is None:
            return
        side = depth.shape[-1] if depth.ndim else 0
        if depth.dtype != np.uint16 or depth.shape != (NUM_FACES, side, side) or not side:
            raise BadConfig(
                f"depth of {depth.dtype} {depth.shape}; expected uint16 ({NUM_FACES}, D, D), in "
                "units of 0.25 mm."
            )

    @classmethod
    def of(
        cls,
        faces: Iterable[Bytes],
        *,
        rotation: Floats,
        depth: npt.NDArray[np.uint16] | None = None,
    ) -> Panorama:
        """Gives the panorama of six RGB faces.

        Args:
            faces: Six of (S, S, 3) uint8; a generator is asked for one at a time.
            rotation: As in `Panorama`.
            depth: As in `Panorama`.

        Raises:
            BadConfig: Not six equal squares of RGB bytes, or a rotation or depth of another kind.
        """
        return cls(_atlas(faces, cv2.COLOR_RGB2RGBA), np.asarray(rotation, np.float64), depth)

    @classmethod
    def of_bgr(
        cls,
        faces: Iterable[Bytes],
        *,
        rotation: Floats,
        depth: npt.NDArray[np.uint16] | None = None,
    ) -> Panorama:
        """Gives the panorama of six faces as OpenCV decodes them; takes and raises as `of`."""
        return cls(_atlas(faces, cv2.COLOR_BGR2RGBA), np.asarray(rotation, np.float64), depth)

    @property
    def size(self) -> int:
        """S, pixels along a face."""
        return int(self.atlas.shape[1]) - 2 * BORDER

    @property
    def faces(self) -> Bytes:
        """(6, S, S, 3) uint8 RGB, a view of the atlas."""
        return self.atlas[:, BORDER:-BORDER, BORDER:-BORDER, :3]


class PanoramaSource(Protocol):
    """Gives the panorama of a viewpoint, from wherever it is kept."""

    def panorama(self, scan: str, viewpoint: str) -> Panorama:
        """Gives the faces and the pose they hang in.

        Raises:
            UnknownViewpoint: The source's graph does not hold the viewpoint.
            MissingData: There is no picture of it.
            CorruptData: There is one that cannot be used.
        """


def _atlas(faces: Iterable[Bytes], code: int) -> Bytes:
    """Gives the bordered faces with four channels.

    They are taken one by one, so that a generator may decode them here: fresh memory for all six
    of a 1024-pixel sextet at once costs more time than decoding them.
    """
    rest = map(np.asarray, faces)
    first = next(rest, np.empty((0, 0, 3), np.uint8))
    size = min(len(first) if first.ndim else 0, MAX_FACE)
    atlas = np.empty((NUM_FACES, size + 2 * BORDER, size + 2 * BORDER, 4), dtype=np.uint8)
    count = 0
    for face in chain((first,), rest):
        is_square = face.shape == (size, size, 3) and size and face.dtype == np.uint8
        if count == NUM_FACES or not is_square:
            raise BadConfig(f"face {count} is {face.dtype} {face.shape}; {_EXPECTED}")
        _add_border(cv2.cvtColor(face, code), atlas[count])
        count += 1
    if count < NUM_FACES:
        raise BadConfig(f"{count} faces; {_EXPECTED}")
    return atlas


def bordered(faces: Sequence[npt.NDArray[Any]] | npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Gives faces (n, S, S, ...) with `BORDER` pixels around each that repeat its edge."""
    size = faces[0].shape[0] + 2 * BORDER
    grown = np.empty((len(faces), size, size, *faces[0].shape[2:]), dtype=faces[0].dtype)
    for face, place in zip(faces, grown, strict=True):
        _add_border(face, place)
    return grown


def _add_border(face: npt.NDArray[Any], place: npt.NDArray[Any]) -> None:
    cv2.copyMakeBorder(face, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE, dst=place)
