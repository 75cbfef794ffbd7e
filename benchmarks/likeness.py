"""How far views straight at an encoder's resolution are from views rendered large and resized.

Published features come from 640 x 480 views that CLIP's preprocessing resizes (bicubic,
antialiased) and crops to the middle 224 x 224. Rendering those 224 x 224 pixels at once is another
filter. Its difference is stated in grey levels and in features of untrained networks, beside
yardsticks: other ways of resizing, no filter at all, and the neighbouring view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from benchmarks.tables import Table
from vln import geometry
from vln.panorama.faces import Bytes, Panorama
from vln.panorama.pinhole import Camera
from vln.panorama.views import ViewRenderer
from vln.runs import generator

SIDE = 224
RESIZED = (SIDE, 298)
"""Height and width that torchvision gives a 640 x 480 view whose shorter side becomes 224."""
CHANNELS = (3, 32, 64, 128, 256, 512)

Images = torch.Tensor
"""(N, 3, 224, 224) float32, 0 to 255."""


@dataclass(frozen=True)
class Likeness:
    """How far one way of making views is from the published one, over all views of all panoramas.

    Attributes:
        name: The way.
        mean_error: Grey levels.
        psnr: dB.
        features: Per network, the distance of its features to the published way's, as a share of
            their spread over the views (root of mean squares, both).
    """

    name: str
    mean_error: float
    psnr: float
    features: tuple[float, ...]


def measure_likeness(panoramas: Sequence[Panorama], *, networks: int = 5) -> list[Likeness]:
    """Gives one line per way of making 224 x 224 views.

    Args:
        panoramas: At least one.
        networks: Untrained networks, by seed.
    """
    large = ViewRenderer(Camera())
    swept = [large.sweep(panorama) for panorama in panoramas]
    published = _all(swept, resized)
    views = np.arange(geometry.NUM_VIEWS)
    right = np.roll(views.reshape(geometry.NUM_ELEVATIONS, -1), -1, axis=1).ravel()
    ways = {
        "straight at 224, smooth": _swept(panoramas, smooth=True),
        "straight at 224, not smooth": _swept(panoramas, smooth=False),
        "resized bilinearly": _all(swept, lambda v: resized(v, mode="bilinear")),
        "resized without antialiasing": _all(swept, lambda v: resized(v, antialias=False)),
        "the view 30 degrees to the right": _all(swept, lambda v: resized(v[right])),
    }
    encoders = [untrained_network(seed) for seed in range(networks)]
    references = [_features(network, published) for network in encoders]
    return [
        _likeness(name, images, published, encoders, references) for name, images in ways.items()
    ]


def resized(views: Bytes, *, mode: str = "bicubic", antialias: bool = True) -> Images:
    """Gives 640 x 480 views as CLIP's preprocessing does: the shorter side 224, the middle square.

    Args:
        views: (N, 480, 640, 3) uint8.
        mode: Of torch's interpolation.
        antialias: False samples without a filter.
    """
    images = torch.from_numpy(views).movedim(-1, 1).float()
    small = functional.interpolate(images, RESIZED, mode=mode, antialias=antialias)
    left = (RESIZED[1] - SIDE) // 2
    return small.round_().clamp_(0, 255)[..., left : left + SIDE]


def untrained_network(seed: int) -> nn.Module:
    """Gives a network of five strided convolutions and a mean over places, (N, 512) features."""
    torch_generator = torch.Generator().manual_seed(int(generator(seed, "network").integers(2**62)))
    layers: list[nn.Module] = []
    for inward, outward in pairwise(CHANNELS):
        convolution = nn.Conv2d(inward, outward, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, generator=torch_generator)
        layers += [convolution, nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def _swept(panoramas: Sequence[Panorama], *, smooth: bool) -> Images:
    renderer = ViewRenderer(Camera(width=SIDE, height=SIDE), smooth=smooth)
    views = np.concatenate([renderer.sweep(panorama) for panorama in panoramas])
    return torch.from_numpy(views).movedim(-1, 1).float()


def _all(swept: Sequence[Bytes], make: Callable[[Bytes], Images]) -> Images:
    return torch.cat([make(views) for views in swept])


def _features(network: nn.Module, images: Images) -> npt.NDArray[np.float64]:
    with torch.inference_mode():
        parts = [network(p / 127.5 - 1) for p in torch.split(images, geometry.NUM_VIEWS)]
    features: npt.NDArray[np.float64] = torch.cat(parts).double().numpy()
    return features


def _likeness(
    name: str,
    images: Images,
    published: Images,
    encoders: Sequence[nn.Module],
    references: Sequence[npt.NDArray[np.float64]],
) -> Likeness:
    apart = (images - published).double()
    shares = [
        _share(_features(network, images), reference)
        for network, reference in zip(encoders, references, strict=True)
    ]
    return Likeness(
        name=name,
        mean_error=float(apart.abs().mean()),
        psnr=float(10 * np.log10(255**2 / max(float((apart**2).mean()), 1e-9))),
        features=tuple(shares),
    )


def _share(features: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]) -> float:
    apart = np.linalg.norm(features - reference)
    return float(apart / np.linalg.norm(reference - reference.mean(axis=0)))


def likeness_table(measured: Sequence[Likeness]) -> Table:
    """Gives one line per way, features as mean and range over the networks."""
    header = ("224 x 224 views made otherwise", "mean error", "PSNR", "features apart")
    lines = [
        (
            each.name,
            f"{each.mean_error:.2f} levels",
            f"{each.psnr:.1f} dB",
            f"{100 * np.mean(each.features):.1f} % "
            f"[{100 * min(each.features):.1f}, {100 * max(each.features):.1f}]",
        )
        for each in measured
    ]
    return Table(header, lines)
