"""Equirectangular photographs (JPEG, PNG, Radiance HDR) -> panoramas.

The middle column looks along heading 0 (world +y), columns to the right turn right, the upper edge
is straight up. Knows nothing of a graph: every picture hangs level.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig, MissingData
from vln.panorama.faces import MAX_FACE, NUM_FACES, UPRIGHT, Bytes, Panorama
from vln.panorama.pinhole import FACE_AXES
from vln.panorama.stored import Stored, by_name, listing
from vln.panorama.tone import tone_map

Singles = npt.NDArray[np.float32]

EXTENSIONS: Final = (".jpg", ".jpeg", ".png", ".hdr")
"""What pictures end in, in any case; of several pictures of one name, the earlier here counts."""


class EquirectangularSource:
    """Panoramas of the equirectangular pictures in a folder.

    A picture is <scan>/<viewpoint>.<extension> or, for any scan, <viewpoint>.<extension>. Once
    pictures have been found in a folder, the list is kept: files that come later are not seen.

    Pixels count as they are stored: EXIF's orientation is ignored, for turned by a quarter a
    picture would be no sphere, and viewers of panoramas do not agree on the rest.

    Args:
        folder: Holds the pictures; those of 16 bits are scaled to 8, HDR ones tone-mapped.
        size: Pixels along a face. None takes as many as the picture has at its horizon, width / pi
            rounded up to an even number, `MAX_FACE` at most.

    Raises:
        BadConfig: Faces of no pixels, or of more than `MAX_FACE`.
    """

    def __init__(self, folder: Path, *, size: int | None = None) -> None:
        _check_size(size)
        self.folder = folder
        self._size = size
        self._found: dict[Path, dict[str, Stored]] = {}

    def panorama(self, scan: str, viewpoint: str) -> Panorama:
        """Gives the faces of a picture, hanging level.

        Raises:
            MissingData: There is no such picture, or a folder may not be listed.
            CorruptData: It is cut off, no picture, or not twice as wide as high.
        """
        stored = self._find(scan, viewpoint)
        if stored is None:
            raise MissingData(
                f"no picture of viewpoint {viewpoint!r} of scan {scan!r}: looked for "
                f"{viewpoint}{{{','.join(EXTENSIONS)}}} in {self.folder / scan} and {self.folder}. "
                "Put an equirectangular picture there whose middle column looks along heading 0."
            )
        return read_equirectangular(stored.file, size=self._size)

    def has(self, scan: str, viewpoint: str) -> bool:
        """Tells whether there is a picture of the viewpoint, unread.

        Raises:
            MissingData: A folder may not be listed.
        """
        return self._find(scan, viewpoint) is not None

    def viewpoints(self, scan: str) -> tuple[str, ...]:
        """Gives the names of a scan's pictures and of those that are for any scan, sorted.

        Raises:
            MissingData: A folder may not be listed.
        """
        return tuple(sorted({*self._in(self.folder / scan), *self._in(self.folder)}))

    def shows_any(self) -> bool:
        """Tells whether there is a picture at all, of whatever scan, unread.

        Raises:
            MissingData: A folder may not be listed.
        """
        if self._in(self.folder):
            return True
        return any(self._in(each) for each in listing(self.folder))

    def _find(self, scan: str, viewpoint: str) -> Stored | None:
        own = self._in(self.folder / scan).get(viewpoint)
        return own or self._in(self.folder).get(viewpoint)

    def _in(self, folder: Path) -> dict[str, Stored]:
        """Gives the pictures of one folder by name; listing a large one takes a while."""
        found = self._found.get(folder)
        if found is None:
            found = {}
            for stored in _pictures_in(folder):
                found.setdefault(stored.file.stem, stored)
            if found:
                self._found[folder] = found
        return found


def read_equirectangular(file: Path, *, size: int | None = None) -> Panorama:
    """Gives the faces of one picture, hanging level.

    Args:
        file: A picture in any format of `EXTENSIONS`.
        size: As in `EquirectangularSource`.

    Raises:
        MissingData: The file cannot be read.
        CorruptData: It is cut off, no picture, or not twice as wide as high.
        BadConfig: As in `EquirectangularSource`.
    """
    return Panorama.of_bgr(cube_faces(_level(Stored(file)), size=size), rotation=UPRIGHT)


def _pictures_in(folder: Path) -> list[Stored]:
    """Gives the pictures that lie in a folder, in the order of `EXTENSIONS`."""
    pictures, problems = by_name([folder])
    for problem in problems:
        raise problem
    return [
        stored
        for extension in EXTENSIONS
        for name, stored in pictures.items()
        if name.endswith(extension)
    ]


def cube_faces(picture: Bytes, *, size: int | None = None) -> Bytes:
    """Gives the six faces of an equirectangular picture, in the order and pose of `Panorama`.

    Sampling is bilinear and goes on around the seam and across the poles. A picture that has more
    pixels than the faces can show is averaged down first.

    Args:
        picture: (H, 2H, C) uint8.
        size: S, pixels along a face; None as in `EquirectangularSource`.

    Returns:
        (6, S, S, C) uint8, channels as in the picture.

    Raises:
        BadConfig: As in `EquirectangularSource`.
    """
    _check_size(size)
    width = picture.shape[1]
    size = size or min(2 * math.ceil(width / math.pi / 2), MAX_FACE)
    shown = 2 * math.ceil(math.pi * size / 2)
    if shown < width:
        smaller = cv2.resize(picture, (shown, shown // 2), interpolation=cv2.INTER_AREA)
        picture, width = np.asarray(smaller, np.uint8), shown
    across, down = _maps(width, size)
    faces = cv2.remap(_wrapped(picture), across, down, cv2.INTER_LINEAR)
    return np.asarray(faces, np.uint8).reshape(NUM_FACES, size, size, -1)


def _check_size(size: int | None) -> None:
    if size is not None and not 0 < size <= MAX_FACE:
        raise BadConfig(f"faces of {size} pixels; expected 1 to {MAX_FACE}.")


def _level(stored: Stored) -> Bytes:
    picture = stored.picture(flags=cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    height, width = picture.shape[:2]
    if width != 2 * height:
        raise stored.corrupt(
            f"{width} x {height} pixels, expected the whole sphere, twice as wide as high",
            "Export it again as equirectangular, or pad what was not taken with black.",
        )
    return _bytes(picture)


def _bytes(picture: npt.NDArray[Any]) -> Bytes:
    if picture.dtype == np.float32:
        return tone_map(picture)
    if picture.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(picture, alpha=255 / 65535), np.uint8)
    return picture


def _wrapped(picture: Bytes) -> Bytes:
    """Adds a pixel all around: the other end of the row, or, over a pole, half a turn away."""
    half = picture.shape[1] // 2
    above, below = (np.roll(row, half, axis=1) for row in (picture[:1], picture[-1:]))
    tall = np.concatenate([above, picture, below])
    return np.asarray(cv2.copyMakeBorder(tall, 0, 0, 1, 1, cv2.BORDER_WRAP), np.uint8)


@lru_cache(maxsize=1)  # a folder's pictures tend to be of one size, and the maps are large
def _maps(width: int, size: int) -> tuple[Singles, Singles]:
    """Gives two (6 S, S) float32 maps: where in the wrapped picture each pixel of a face lies."""
    maps = np.empty((2, NUM_FACES, size, size), np.float32)
    along = (np.arange(size) + 0.5) * 2 / size - 1
    for face, (outward, right, down) in enumerate(FACE_AXES):
        x, y, z = (
            right[axis] * along + down[axis] * along[:, None] + outward[axis] for axis in range(3)
        )
        heading, elevation = np.arctan2(x, z), np.arctan2(-y, np.hypot(x, z))
        # Pixel i looks along (i + 0.5) / width of a turn; the border moves everything by one.
        maps[0, face] = (heading / (2 * np.pi) + 0.5) * width + 0.5
        maps[1, face] = (0.5 - elevation / np.pi) * (width // 2) + 0.5
    maps.flags.writeable = False
    across, below = maps.reshape(2, NUM_FACES * size, size)
    return across, below
