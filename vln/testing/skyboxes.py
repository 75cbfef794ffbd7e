"""Skyboxes whose every pixel says which way it looks, for tests of whatever reads or renders them.

Red, green and blue are the east (+x), north (+y) and up (+z) of a pixel's direction in the world,
-1 to 1 spread over 0 to 255. A ring far below the horizon tells one viewpoint from another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from vln.graph import NavGraph
from vln.panorama.faces import NUM_FACES, Bytes, Floats
from vln.panorama.pinhole import FACE_AXES
from vln.panorama.skybox import STRIP

RING: Final = (np.radians(-55.0), np.radians(-45.0))
"""Elevations, in radians, between which a written skybox has its viewpoint's own colour."""


def face_directions(rotation: Floats, size: int) -> Floats:
    """Gives (6, S, S, 3) float64 unit vectors: where in the world the texels of a skybox lie.

    Args:
        rotation: (3, 3), skybox frame to world.
        size: S, texels along a face.
    """
    along = (np.arange(size) + 0.5) * 2 / size - 1
    out, right, down = np.moveaxis(FACE_AXES, 1, 0)[:, :, None, None, :]
    rays = out + right * along[:, None] + down * along[:, None, None]
    directions: Floats = rays @ np.transpose(rotation) / np.linalg.norm(rays, axis=-1)[..., None]
    return directions


def direction_colours(directions: Floats) -> Bytes:
    """Gives (..., 3) uint8 RGB, the colours of world directions (..., 3) of length 1."""
    return np.round((directions + 1) / 2 * 255).astype(np.uint8)


def direction_faces(rotation: Floats, size: int) -> Bytes:
    """Gives (6, S, S, 3) uint8 RGB: faces in `direction_colours`, without a ring.

    Args:
        rotation: (3, 3), skybox frame to world.
        size: S, texels along a face.
    """
    return direction_colours(face_directions(rotation, size))


def ring_colour(viewpoint: str) -> Bytes:
    """Gives (3,) uint8 RGB, the colour of a viewpoint's ring; two are hardly ever alike."""
    return np.frombuffer(hashlib.sha256(viewpoint.encode()).digest()[:3], dtype=np.uint8)


def write_skyboxes(
    folder: Path, graph: NavGraph, *, size: int = 64, scans: Sequence[str] | None = None
) -> None:
    """Writes the skybox of every viewpoint, in the pose that the graph has for it.

    Strips as Matterport3DSimulator reads them, skyboxes/<scan>/<viewpoint>_skybox_small.jpg: faces
    in `direction_colours` with a ring of `ring_colour` where elevation is within `RING`.

    Args:
        folder: A world's folder.
        graph: The world's graph.
        size: Texels along a face.
        scans: Only these; None writes all.

    Raises:
        UnknownViewpoint: The graph has no such scan.
    """
    for scan in graph.scans if scans is None else scans:
        home = folder / "skyboxes" / scan
        home.mkdir(parents=True, exist_ok=True)
        for panorama in graph.members(scan):
            viewpoint = graph.viewpoints[panorama]
            strip = _strip(graph.rotation[panorama], size, viewpoint)
            (home / STRIP.format(viewpoint=viewpoint)).write_bytes(_jpeg(strip))


def _strip(rotation: Floats, size: int, viewpoint: str) -> Bytes:
    directions = face_directions(rotation, size)
    low, high = np.sin(RING)
    is_ring = (directions[..., 2] > low) & (directions[..., 2] < high)
    faces = np.where(is_ring[..., None], ring_colour(viewpoint), direction_colours(directions))
    return np.swapaxes(faces, 0, 1).reshape(size, NUM_FACES * size, 3)


def _jpeg(picture: Bytes) -> bytes:
    fine = [cv2.IMWRITE_JPEG_QUALITY, 95]
    fine += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), fine)
    return encoded.tobytes()
