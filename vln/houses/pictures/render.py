"""Pictures of a home: six faces of a cube around any eye in it.

A home's light is baked once; then a picture is one pass that finds the triangles, one that colours
pixels and one that smooths edges. Knows nothing of viewpoints, files or worlds.

Legend: S pixels along a face, T triangles.
"""

from __future__ import annotations

import copy
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vln.errors import BadConfig
from vln.houses.building.scene import Finish, Home
from vln.houses.pictures.light import Baker, side_of
from vln.houses.pictures.normals import bent_normals, flat_normals, split_long
from vln.houses.pictures.outdoors import outdoors
from vln.houses.pictures.portals import in_sight
from vln.houses.pictures.raster import draw, prepare
from vln.houses.pictures.samples import GLOW, LIT, PADDING, WINDOW, Looks, Triangles, room_for
from vln.houses.pictures.shade import shade
from vln.houses.pictures.texture import GLOSS, Atlas, linear, srgb_table
from vln.houses.shapes.mesh import Mesh, home_mesh
from vln.panorama.faces import MAX_FACE, NUM_FACES
from vln.panorama.pinhole import FACE_AXES

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

QUALITY: Final = 90
"""JPEG quality at which a strip of 512-pixel faces takes 150 to 200 kB."""
_BRIGHTEST: Final = 4.0
_TABLE: Final = srgb_table(entries=16384, brightest=_BRIGHTEST)
_KINDS: Final = {"window": WINDOW, "glow": GLOW}
_LONGEST: Final = 0.45
"""Metres along an object's edge beyond which it is split, so that shadows may lie across it."""


class HomeRenderer:
    """Renders one home. Bakes its light when it is made, about a second.

    Keeps scratch memory: one renderer per thread.

    Args:
        home: What is seen.
        size: S.

    Raises:
        BadConfig: No such size.
    """

    def __init__(self, home: Home, *, size: int = 512) -> None:
        if not 1 <= size <= MAX_FACE:
            raise BadConfig(f"faces of {size} pixels; expected 1 to {MAX_FACE}.")
        self.home = home
        self.size = size
        mesh = home_mesh(home, step=None)
        baker = Baker.of(home, mesh)
        self._triangles, owner = _triangles(home, mesh, baker)
        # rooms first, then objects
        self._group = np.where(owner < 0, -1 - owner, len(home.rooms) + owner)
        self._looks = _looks(mesh.finishes)
        self._charts = baker.charts()
        self._lights = baker.lights
        self._samples = room_for(size)
        day = home.daylight
        self._outdoors = outdoors(home.seed, strength=day.strength, warmth=day.warmth)

    def at(self, size: int) -> HomeRenderer:
        """Gives a renderer of the same home, in the same light, with faces of another size.

        Raises:
            BadConfig: No such size.
        """
        if not 1 <= size <= MAX_FACE:
            raise BadConfig(f"faces of {size} pixels; expected 1 to {MAX_FACE}.")
        other = copy.copy(self)
        other.size, other._samples = size, room_for(size)
        return other

    def faces(self, position: npt.ArrayLike, rotation: npt.ArrayLike) -> Bytes:
        """Gives (6, S, S, 3) uint8 RGB, faces as in `vln.panorama.faces.Panorama`.

        Args:
            position: (3,) world coordinates of the eye.
            rotation: (3, 3) skybox frame to world.

        Raises:
            BadConfig: Arrays of other shapes, or numbers that are not finite.
        """
        eye = np.ascontiguousarray(position, np.float64)
        turn = np.ascontiguousarray(rotation, np.float64)
        is_finite = bool(np.isfinite(eye).all() and np.isfinite(turn).all())
        if eye.shape != (3,) or turn.shape != (3, 3) or not is_finite:
            raise BadConfig(
                f"an eye at {eye.tolist()} and a rotation {turn.tolist()}; expected (3,) and "
                "(3, 3) finite numbers."
            )
        chosen = np.flatnonzero(np.concatenate(in_sight(self.home, eye))[self._group])
        local, order = prepare(self._triangles.corners, chosen, eye, turn)
        # one face after the other in the same memory, so that it stays near the processor
        fine = (2 * self.size, 2 * self.size + PADDING)
        triangle, nearness = np.empty(fine, np.int32), np.empty(fine, np.float32)
        picture = np.empty((NUM_FACES, self.size, self.size, 3), np.uint8)
        for face in range(NUM_FACES):
            draw(local, order, chosen, FACE_AXES[face], triangle, nearness)
            shade(
                triangle,
                nearness,
                eye,
                FACE_AXES[face] @ turn.T,
                self._triangles,
                self._looks,
                self._charts,
                self._lights,
                self._outdoors,
                _TABLE,
                _BRIGHTEST,
                self._samples,
                picture[face],
            )
        return picture


def strip_bytes(faces: Bytes, *, quality: int = QUALITY) -> bytes:
    """Gives a JPEG of six faces (6, S, S, 3) RGB side by side, as skybox strips are kept.

    Raises:
        BadConfig: The faces have another shape, or the quality is none.
    """
    if faces.ndim != 4 or faces.shape[0] != NUM_FACES or faces.dtype != np.uint8:
        raise BadConfig(f"faces of {faces.dtype} {faces.shape}; expected uint8 (6, S, S, 3).")
    if not 1 <= quality <= 100:
        raise BadConfig(f"a JPEG quality of {quality}; expected 1 to 100.")
    strip = cv2.cvtColor(np.concatenate(list(faces), axis=1), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def _triangles(home: Home, mesh: Mesh, baker: Baker) -> tuple[Triangles, Ints]:
    """Gives a mesh as it is shaded, objects split and lit at their corners; and its owners."""
    shell = mesh.owner < 0
    corners, parent = split_long(mesh.corners, ~shell, longest=_LONGEST)
    owner, finish = mesh.owner[parent].astype(np.int64), mesh.finish[parent].astype(np.int64)
    rooms = np.array([item.room for item in home.items] or [0], np.int64)
    room = np.where(owner < 0, -1 - owner, rooms[np.maximum(owner, 0)]).astype(np.int64)
    normal = flat_normals(corners)
    chart = np.where(owner < 0, room * 6 + side_of(normal), -1)
    light = np.zeros(corners.shape, np.float32)
    bent = np.repeat(normal[:, None], 3, axis=1).astype(np.float32)
    items = np.flatnonzero(owner >= 0)
    if len(items):
        normals, same = bent_normals(corners[items], normal[items], owner[items], finish[items])
        once, which = np.unique(same, return_inverse=True)
        places = corners[items].reshape(-1, 3)[once]
        lit = baker.at(places, normals[once], np.repeat(room[items], 3)[once])
        bent[items], light[items] = normals.reshape(-1, 3, 3), lit[which].reshape(-1, 3, 3)
    return Triangles(corners, normal, finish, room, chart, light, bent), owner


def _looks(finishes: tuple[Finish, ...]) -> Looks:
    materials = tuple(sorted({finish.material for finish in finishes}))
    atlas = Atlas.of(materials)
    which = np.array([materials.index(finish.material) for finish in finishes], np.int64)
    return Looks(
        kind=np.array([_KINDS.get(f.material, LIT) for f in finishes], np.int64),
        colour=linear(np.array([f.colour for f in finishes], np.float64)),
        second=atlas.seconds[which],
        gloss=np.array([GLOSS.get(f.material, 0.0) for f in finishes], np.float64),
        depth=np.array([_depth(finish) for finish in finishes], np.float64),
        width=atlas.widths[which],
        per_metre=(atlas.widths / atlas.metres)[which],
        start=atlas.starts[which],
        texels=atlas.texels,
    )


def _depth(finish: Finish) -> float:
    """Gives how much of a material's pattern shows: paint hides most of wood's grain."""
    red, green, blue = finish.colour
    is_natural = red > green > blue and red - blue > 25
    return 1.0 if finish.material != "wood" or is_natural else 0.3
