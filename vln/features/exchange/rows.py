"""What every feature file holds, whatever its format: rows of one viewpoint each.

Knows no format and no graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy.typing as npt

COPY_AGAIN: Final = "The file is damaged or cut off: copy or download it again."


@dataclass(frozen=True, slots=True)
class Camera:
    """How the views were rendered that the features were made from.

    Attributes:
        image_w: Pixels.
        image_h: Pixels.
        vfov: Vertical field of view, degrees.
    """

    image_w: int = 640
    image_h: int = 480
    vfov: float = 60.0

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Camera:
        """Gives the camera that a store's index tells of; the usual one where it does not."""
        known = {name: about[name] for name in ("image_w", "image_h", "vfov") if name in about}
        return cls(**known)

    def as_json(self) -> dict[str, Any]:
        """Gives plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """One viewpoint's features as they are in a file.

    Attributes:
        place: Where in the file, for errors.
        scan: Scan id.
        viewpoint: Viewpoint id.
        camera: None where the file does not tell.
        values: (36, W) float16, float32 or float64; whatever follows the features is still there.
        size: Bytes of the file that the row takes.
    """

    place: str
    scan: str
    viewpoint: str
    camera: Camera | None
    values: npt.NDArray[Any]
    size: int
