"""Renders views of a panorama on the CPU, through OpenCV.

Per view and face one homography is warped, and the face whose axis is nearest to the ray is kept:
no map of coordinates is ever computed, and another viewpoint, which differs by its pose's rotation
alone, costs six small matrix products per view. Knows nothing of files.

Legend: N views, H x W pixels, D texels along a face of the depth image.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vln import geometry
from vln.errors import BadConfig, MissingData
from vln.panorama.faces import BORDER, Bytes, Floats, Panorama, bordered
from vln.panorama.pinhole import (
    Camera,
    camera_axes,
    face_extents,
    face_homographies,
    pixel_rays,
    smoothing,
)

Angles = npt.ArrayLike
"""(N,) radians, or one for all."""
Pixels = npt.NDArray[Any]


class ViewRenderer:
    """Renders with one camera. Keeps scratch memory: one renderer per thread.

    Args:
        camera: The pinhole that all views share.
        smooth: Filters the faces against aliasing where the camera is coarser than they are, as
            views straight at an encoder's resolution need it. Without it a pixel is one bilinear
            sample, as in MatterSim.
    """

    def __init__(self, camera: Camera, *, smooth: bool = False) -> None:
        self.camera = camera
        self.smooth = smooth
        shape = (camera.height, camera.width)
        camera.check_room(1, channels=8)
        self._nearness = _room(shape, np.float32)
        self._colour = _room((*shape, 4), np.uint8)

    def sweep(self, panorama: Panorama) -> Bytes:
        """Gives (36, H, W, 3) uint8 RGB, all views in MatterSim's order; raises as `views`."""
        views = np.arange(geometry.NUM_VIEWS)
        return self.views(panorama, geometry.view_heading(views), geometry.view_elevation(views))

    def views(self, panorama: Panorama, heading: Angles, elevation: Angles) -> Bytes:
        """Gives (N, H, W, 3) uint8 RGB.

        Faces are sampled bilinearly and clamped at their edges, as MatterSim's are.

        Args:
            panorama: What is seen.
            heading: (N,) radians, 0 along world +y, turning right positive.
            elevation: (N,) radians, up positive.

        Raises:
            BadConfig: The views would not fit into memory, or an angle is no finite number.
        """
        atlas = self._filtered(panorama.atlas, panorama.size)
        rays, extents = self._geometry(panorama, heading, elevation, channels=3)
        homographies = face_homographies(rays, atlas.shape[1] - 2 * BORDER)
        result = _room((len(rays), *self._colour.shape[:2], 3), np.uint8)
        for view, place in enumerate(result):
            self._compose(atlas, homographies[view], extents[view], self._colour)
            cv2.cvtColor(self._colour, cv2.COLOR_RGBA2RGB, dst=place)
        return result

    def depth(
        self, panorama: Panorama, heading: Angles, elevation: Angles
    ) -> npt.NDArray[np.uint16]:
        """Gives (N, H, W) uint16 distances from the image plane, in units of 0.25 mm.

        The nearest reading is taken, 0 where there is none, and its distance along the ray is
        multiplied by the cosine of the ray's angle to the optical axis, as in MatterSim.

        Args:
            panorama: What is seen.
            heading: (N,) radians.
            elevation: (N,) radians.

        Raises:
            MissingData: The panorama has no depth.
            BadConfig: The views would not fit into memory, or an angle is no finite number.
        """
        if panorama.depth is None:
            raise MissingData(
                "this panorama was read without depth. Open its source with depth=True; "
                "Matterport's depth strips are `<viewpoint>_skybox_depth_small.png`."
            )
        faces = bordered(panorama.depth)
        rays, extents = self._geometry(panorama, heading, elevation, channels=2)
        homographies = face_homographies(rays, panorama.depth.shape[1])
        result = _room((len(rays), *self._colour.shape[:2]), np.uint16)
        cosine = self._cosine()
        for view, place in enumerate(result):
            self._compose(faces, homographies[view], extents[view], place, cv2.INTER_NEAREST)
            np.rint(place * cosine, out=place, casting="unsafe")
        return result

    def _geometry(
        self, panorama: Panorama, heading: Angles, elevation: Angles, *, channels: int
    ) -> tuple[Floats, list[list[list[int]]]]:
        """Gives rays (N, 3, 3) and face extents (N, 6, 4), once it is clear that all will fit."""
        axes = camera_axes(heading, elevation)
        self.camera.check_room(len(axes), channels=channels)
        rays = pixel_rays(self.camera, axes, panorama.rotation)
        return rays, face_extents(self.camera, rays).tolist()

    def _cosine(self) -> npt.NDArray[np.float32]:
        """Gives (H, W) float32 cosines of the angle between a pixel's ray and the optical axis."""
        height, width = self._colour.shape[:2]
        right = (np.arange(width) - (width - 1) / 2) / self.camera.focal
        down = (np.arange(height) - (height - 1) / 2) / self.camera.focal
        squared: Floats = 1 + right**2 + down[:, None] ** 2
        return (1 / np.sqrt(squared)).astype(np.float32)

    def _filtered(self, atlas: Bytes, size: int) -> Bytes:
        """Gives the atlas as it is sampled: halved and blurred where that keeps views clean."""
        halvings, blur = smoothing(self.camera, size) if self.smooth else (0, 0.0)
        for _ in range(halvings):
            inner = atlas[:, BORDER:-BORDER, BORDER:-BORDER]
            half = (inner.shape[1] // 2,) * 2
            atlas = bordered(
                [cv2.resize(face, half, interpolation=cv2.INTER_AREA) for face in inner]
            )
        if not blur:
            return atlas
        blurred = np.empty_like(atlas)
        for face, place in zip(atlas, blurred, strict=True):
            cv2.GaussianBlur(face, (0, 0), blur, dst=place)
        return blurred

    def _compose(
        self,
        faces: Pixels,
        homographies: Floats,
        extents: list[list[int]],
        image: Pixels,
        sampling: int = cv2.INTER_LINEAR,
    ) -> None:
        """Fills `image` (H, W, ...) from those of the six bordered faces that it shows."""
        seen = [face for face, (left, right, _, _) in enumerate(extents) if right > left]
        if len(seen) == 1:
            _warp(faces[seen[0]], homographies[seen[0]], image, sampling)
            return
        self._nearness.fill(0)
        for face in seen:
            left, right, top, bottom = extents[face]
            here, nearest = image[top:bottom, left:right], self._nearness[top:bottom, left:right]
            local = homographies[face].copy()
            local[:, 2] += local[:, 0] * left + local[:, 1] * top
            nearness = _plane(local[2], nearest.shape)
            closer = (nearness > nearest).view(np.uint8)
            np.maximum(nearest, nearness, out=nearest)
            warped = np.empty(here.shape, dtype=here.dtype)
            _warp(faces[face], local, warped, sampling)
            cv2.copyTo(warped, closer, here)


def _room(shape: tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Gives fresh memory.

    Raises:
        BadConfig: There is not so much of it.
    """
    try:
        return np.empty(shape, dtype=dtype)
    except MemoryError:
        size = math.prod(shape) * np.dtype(dtype).itemsize / 2**30
        raise BadConfig(
            f"images of shape {shape} take {size:.1f} GiB, which this machine does not have free. "
            "Ask for fewer or smaller views."
        ) from None


def _warp(face: Pixels, homography: Floats, image: Pixels, sampling: int) -> None:
    cv2.warpPerspective(
        face,
        homography,
        (image.shape[1], image.shape[0]),
        dst=image,
        flags=sampling | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_TRANSPARENT,  # what lies outside is masked, and this is the fastest
    )


def _plane(row: Floats, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Gives (H, W) float32 values of a linear form (3,) at all pixels (column, row, 1).

    A product of two thin matrices: several times faster than adding a column to a row.
    """
    height, width = shape
    down = np.ones((height, 2), dtype=np.float32)
    down[:, 0] = row[2] + row[1] * np.arange(height)
    across = np.ones((2, width), dtype=np.float32)
    across[1] = row[0] * np.arange(width)
    return down @ across
