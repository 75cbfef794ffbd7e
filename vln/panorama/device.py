"""Renders views of many panoramas at once with torch, on a GPU or a CPU.

The same numbers as `vln.panorama.views`, from the same matrices; agrees with it up to rounding.
Imports torch: ask for it by name where a device is wanted.

Legend: P panoramas, N views, H x W pixels, A texels along a bordered face.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from vln import geometry
from vln.errors import BadConfig
from vln.panorama.faces import BORDER, NUM_FACES, Panorama
from vln.panorama.pinhole import Camera, camera_axes, pixel_rays, smoothing


class TorchViewRenderer:
    """Renders batches of panoramas with one camera.

    Args:
        camera: The pinhole that all views share.
        device: A torch device.
        smooth: As for `vln.panorama.views.ViewRenderer`.
        max_samples: Pixels rendered at once, and texels filtered at once; bounds the memory of
            what lies between, about 80 bytes for each.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        device: str | torch.device,
        smooth: bool = False,
        max_samples: int = 1 << 24,
    ) -> None:
        self.camera = camera
        self.device = torch.device(device)
        self.smooth = smooth
        self.max_samples = max_samples
        self._columns = torch.arange(camera.width, dtype=torch.float32, device=self.device)
        self._rows = torch.arange(camera.height, dtype=torch.float32, device=self.device)

    def sweep(self, panoramas: Sequence[Panorama]) -> torch.Tensor:
        """Gives (P, 36, H, W, 3) uint8 RGB on the device; takes and raises as `views`."""
        views = np.arange(geometry.NUM_VIEWS)
        return self.views(panoramas, geometry.view_heading(views), geometry.view_elevation(views))

    def views(
        self, panoramas: Sequence[Panorama], heading: npt.ArrayLike, elevation: npt.ArrayLike
    ) -> torch.Tensor:
        """Gives (P, N, H, W, 3) uint8 RGB on the device.

        Args:
            panoramas: P with faces of one size.
            heading: (N,) or (P, N) radians.
            elevation: (N,) or (P, N) radians.

        Raises:
            BadConfig: The faces differ in size, or the views would not fit into memory.
        """
        size = _one_size(panoramas)
        count = len(panoramas)
        angles = np.broadcast_arrays(np.atleast_1d(heading), np.atleast_1d(elevation))
        views = angles[0].shape[-1]
        heading, elevation = (np.broadcast_to(each, (count, views)).ravel() for each in angles)
        self.camera.check_room(count * views)
        shape = (count, views, self.camera.height, self.camera.width, 3)
        result = torch.empty(shape, dtype=torch.uint8, device=self.device)
        if not result.numel():
            return result
        rotation = np.repeat([p.rotation for p in panoramas], views, axis=0)
        rays = pixel_rays(self.camera, camera_axes(heading, elevation), rotation)
        matrices = torch.tensor(rays, dtype=torch.float32, device=self.device)
        matrices = matrices.reshape(count, views, 3, 3)
        # Places of texels need all of float32: neither autocast nor TF32 may touch them.
        with torch.autocast(self.device.type, enabled=False):
            self._fill(result, panoramas, matrices, size=size)
        return result

    def _fill(
        self,
        result: torch.Tensor,
        panoramas: Sequence[Panorama],
        matrices: torch.Tensor,
        *,
        size: int,
    ) -> None:
        """Renders part by part: some panoramas at once, or some views of one."""
        views, pixels = matrices.shape[1], self.camera.height * self.camera.width
        several = max(1, self.max_samples // max(views * pixels, NUM_FACES * size**2))
        some = max(1, min(views, self.max_samples // pixels))
        for first in range(0, len(panoramas), several):
            part = slice(first, first + several)
            atlas = self._atlas(panoramas[part], size=size)
            for view in range(0, views, some):
                seen = slice(view, view + some)
                result[part, seen] = self._sample(atlas, matrices[part, seen])

    def _atlas(self, panoramas: Sequence[Panorama], *, size: int) -> torch.Tensor:
        """Gives (P, 3, 6, A, A) float32 faces as they are sampled, 0 to 255."""
        stacked = torch.from_numpy(np.stack([p.atlas for p in panoramas])).to(self.device)
        faces = stacked[..., :3].permute(0, 4, 1, 2, 3).float()
        halvings, blur = smoothing(self.camera, size) if self.smooth else (0, 0.0)
        if not halvings and not blur:
            return faces
        flat = faces.flatten(0, 2).unsqueeze(1)
        for _ in range(halvings):
            inner = flat[..., BORDER:-BORDER, BORDER:-BORDER]
            flat = functional.pad(functional.avg_pool2d(inner, 2), (BORDER,) * 4, mode="replicate")
        if blur:
            flat = _blurred(flat, blur)
        return flat.reshape(*faces.shape[:3], *flat.shape[-2:])

    def _sample(self, atlas: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
        """Gives (p, N, H, W, 3) uint8 from (p, 3, 6, A, A) and (p, N, 3, 3)."""
        count, views = matrices.shape[:2]
        across = matrices[..., :1] * self._columns + matrices[..., 2:]  # p, N, 3, W
        down = matrices[..., 1:2] * self._rows  # p, N, 3, H
        directions = (across.unsqueeze(3) + down.unsqueeze(4)).flatten(3)
        grid = _grid(*directions.unbind(dim=2), side=atlas.shape[-1])
        sampled = functional.grid_sample(
            atlas.flatten(2, 3), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        pixels = sampled.round_().clamp_(0, 255).to(torch.uint8)
        return pixels.movedim(1, -1).reshape(count, views, self.camera.height, self.camera.width, 3)


def _one_size(panoramas: Sequence[Panorama]) -> int:
    """Gives S of all panoramas, 0 of none."""
    sizes = [panorama.size for panorama in panoramas]
    other = next((n for n, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise BadConfig(
            f"panorama {other} of the batch has faces of {sizes[other]} pixels, panorama 0 of "
            f"{sizes[0]}; expected one size. Render them in batches of their own."
        )
    return sizes[0] if sizes else 0


def _grid(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, *, side: int) -> torch.Tensor:
    """Gives (p, N, H W, 2) float32: where skybox directions fall on an atlas six faces high.

    The face table of `vln.panorama.pinhole` in closed form, on directions divided by their largest
    component: in the ring, faces 1 and 3 lie along z and u is x z; faces 2 and 4 lie along x and u
    is -x z; v is y. Above and below, u is -x and v is y z. Places count -1 to 1 from edge to edge.

    Args:
        x: (p, N, H W) float32, to the right.
        y: The same, downwards.
        z: The same, out of face 3.
        side: A.
    """
    across, along = x.abs(), z.abs()
    in_front = along >= across
    level = torch.maximum(across, along)
    is_tall = y.abs() > level
    scale = torch.maximum(level, y.abs()).reciprocal_()
    x, y, z = x * scale, y * scale, z * scale
    product = x * z
    u = torch.where(is_tall, -x, torch.where(in_front, product, -product))
    v = torch.where(is_tall, y * z, y)
    ring = torch.where(in_front, z + 2, x + 3)
    face = torch.where(is_tall, 2.5 * y + 2.5, ring)
    shrink = (side - 2 * BORDER) / side  # the borders are not part of a face
    v = (v * shrink + 2 * face + 1 - NUM_FACES) / NUM_FACES
    return torch.stack([u * shrink, v], dim=-1)


def _blurred(images: torch.Tensor, blur: float) -> torch.Tensor:
    """Gives images (n, 1, A, A) under OpenCV's own Gaussian for bytes, mirrored at the edges."""
    taps = max(3, round(blur * 6 + 1) | 1)
    weights = cv2.getGaussianKernel(taps, blur, cv2.CV_32F)
    kernel = torch.from_numpy(weights).to(images).reshape(1, 1, -1)
    reach = taps // 2
    images = functional.pad(images, (reach,) * 4, mode="reflect")
    images = functional.conv2d(images, kernel.unsqueeze(2))
    return functional.conv2d(images, kernel.unsqueeze(3))
