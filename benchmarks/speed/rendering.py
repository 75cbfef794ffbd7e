"""Speed of reading panoramas and rendering their views, beside MatterSim.

Legend: S pixels along a face.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.speed.rows import Clock, Row, Timing, measure, rate_row, seconds_row
from vln.data.connectivity import load_graph
from vln.geometry import NUM_VIEWS
from vln.graph import NavGraph
from vln.panorama.device import TorchViewRenderer
from vln.panorama.equirectangular import EquirectangularSource
from vln.panorama.faces import NUM_FACES, Bytes, Panorama
from vln.panorama.pinhole import Camera
from vln.panorama.skybox import FACE, IMAGES, STRIP, SkyboxSource
from vln.panorama.views import ViewRenderer
from vln.testing import direction_faces

MATTERSIM_SWEEP = 0.14
"""CPU seconds of MatterSim (OSMesa, one core) for 36 views of 640 x 480: 0.14 to 0.17, the best."""
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]
STRIP_SIZE = 512
RELEASE_SIZE = 1024
CLIP = Camera(width=224, height=224)
"""The middle of a 640 x 480 view, which CLIP's resize and centre crop keep."""


@dataclass(frozen=True, eq=False)
class RenderSetting:
    """What all measurements share.

    Attributes:
        data: The world's folder; the photographs in its panoramas/ are rendered, where there are.
        scratch: Folder for the skyboxes that are written from them.
        repeats: Timed repeats.
        quick: Do as little as shows that it works.
        device: Where torch renders.
    """

    data: Path
    scratch: Path
    repeats: int = 7
    quick: bool = False
    device: str = "cpu"

    @cached_property
    def graph(self) -> NavGraph:
        """The world's graph, for poses."""
        return load_graph(self.data)

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """S of MatterSim's strips and of the release."""
        return (32, 64) if self.quick else (STRIP_SIZE, RELEASE_SIZE)

    @property
    def first_viewpoints(self) -> tuple[tuple[str, str], ...]:
        """Scan and viewpoint of the first viewpoints of the graph, one per photograph."""
        members = range(min(3, len(self.graph.viewpoints)))
        return tuple((self.graph.scan_of(i), self.graph.viewpoints[i]) for i in members)

    @cached_property
    def strips(self) -> SkyboxSource:
        """Strips as MatterSim renders them, hanging as the graph's first viewpoints do."""
        return self._written("strips", self.sizes[0], self._write_strip)

    @cached_property
    def release(self) -> SkyboxSource:
        """The same as the release has them: six large faces each."""
        return self._written("release", self.sizes[1], self._write_six)

    def _written(
        self, name: str, size: int, write: Callable[[Path, str, Bytes], None]
    ) -> SkyboxSource:
        root = self.scratch / name
        for (scan, viewpoint), faces in zip(self.first_viewpoints, self._faces(size), strict=True):
            folder = root / scan / IMAGES
            folder.mkdir(parents=True, exist_ok=True)
            write(folder, viewpoint, faces[..., ::-1])
        return SkyboxSource(root, graph=self.graph)

    def _faces(self, size: int) -> list[Bytes]:
        """Gives (6, S, S, 3) uint8 RGB for each of the first viewpoints."""
        source = EquirectangularSource(self.data / "panoramas", size=size)
        scan = self.graph.scans[0]
        names = source.viewpoints(scan)
        count = len(self.first_viewpoints)
        if not names:
            return [direction_faces(self.graph.rotation[i], size) for i in range(count)]
        return [source.panorama(scan, names[i % len(names)]).faces for i in range(count)]

    @staticmethod
    def _write_strip(folder: Path, viewpoint: str, bgr: Bytes) -> None:
        strip = np.ascontiguousarray(np.concatenate(list(bgr), axis=1))
        cv2.imwrite(str(folder / STRIP.format(viewpoint=viewpoint)), strip, QUALITY)

    @staticmethod
    def _write_six(folder: Path, viewpoint: str, bgr: Bytes) -> None:
        for face in range(NUM_FACES):
            file = folder / FACE.format(viewpoint=viewpoint, face=face)
            cv2.imwrite(str(file), np.ascontiguousarray(bgr[face]), QUALITY)

    def panoramas(self, source: SkyboxSource) -> list[Panorama]:
        """Reads the panoramas of the first viewpoints."""
        return [source.panorama(*name) for name in self.first_viewpoints]


def reading_rows(setting: RenderSetting) -> list[Row]:
    """Reads and decodes a panorama, files being in the system's cache."""
    small, large = setting.sizes
    rows = []
    for source, name in (
        (setting.strips, f"strip of {NUM_FACES * small} x {small}, JPEG 95"),
        (setting.release, f"six faces of {large}, JPEG 95"),
    ):
        timing = _measure(setting, lambda source=source: setting.panoramas(source))  # type: ignore[misc]
        count = len(setting.first_viewpoints)
        rows.append(seconds_row("reading", name, timing, per=count))
    return rows


def rendering_rows(setting: RenderSetting) -> list[Row]:
    """Renders 36 views with OpenCV, no map of coordinates being kept from one call to the next."""
    small, large = setting.panoramas(setting.strips), setting.panoramas(setting.release)
    narrow, wide = setting.sizes
    full = Camera()
    note = (
        "MatterSim's figure is for 36 views of 640 x 480, its faster end of 0.14 to 0.17 s; rows "
        "of other sizes stand beside it too, its own time for them not being known"
    )

    def row(
        name: str,
        panoramas: list[Panorama],
        camera: Camera,
        *,
        smooth: bool = False,
        note: str = note,
    ) -> Row:
        renderer = ViewRenderer(camera, smooth=smooth)
        timing = _measure(setting, lambda: [renderer.sweep(panorama) for panorama in panoramas])
        return seconds_row(
            "rendering",
            f"36 views of {_named(camera, smooth=smooth)}, {name}",
            timing,
            per=len(panoramas),
            incumbent=MATTERSIM_SWEEP,
            note=note,
        )

    def read_and_rendered(camera: Camera, *, smooth: bool) -> Row:
        renderer = ViewRenderer(camera, smooth=smooth)
        timing = _measure(
            setting,
            lambda: [renderer.sweep(panorama) for panorama in setting.panoramas(setting.strips)],
        )
        return seconds_row(
            "rendering",
            f"strip of {narrow} read, and 36 views of {_named(camera, smooth=smooth)}",
            timing,
            per=len(small),
        )

    return [
        row(f"faces of {narrow}", small, full),
        row(f"faces of {wide}", large, full),
        row(f"faces of {narrow}", small, CLIP, smooth=True),
        row(f"faces of {wide}", large, CLIP, smooth=True),
        row(f"faces of {narrow}", small, CLIP),
        read_and_rendered(full, smooth=False),
        read_and_rendered(CLIP, smooth=True),
        _single_view(setting, small[0]),
    ]


def _named(camera: Camera, *, smooth: bool) -> str:
    return f"{camera.width} x {camera.height}{', smooth' if smooth else ''}"


def _single_view(setting: RenderSetting, panorama: Panorama) -> Row:
    renderer, count = ViewRenderer(Camera()), 12
    headings = np.linspace(0, 6, count)

    def one_by_one() -> None:
        for heading in headings:
            renderer.views(panorama, [heading], [0.1])

    return seconds_row(
        "rendering",
        "one view of 640 x 480 at a time",
        _measure(setting, one_by_one),
        per=count,
        incumbent=MATTERSIM_SWEEP / NUM_VIEWS,
        note="MatterSim's figure is a 36th of its sweep",
    )


def device_rows(setting: RenderSetting) -> list[Row]:
    """Renders batches with torch on the device."""
    count = 3 if setting.device == "cpu" or setting.quick else 48
    panoramas = setting.panoramas(setting.strips)
    panoramas = [panoramas[i % len(panoramas)] for i in range(count)]
    rows = []
    cameras = ((CLIP, True), (Camera(), False))
    for camera, smooth in cameras[:1] if setting.quick else cameras:
        renderer = TorchViewRenderer(camera, device=setting.device, smooth=smooth)

        def render(renderer: TorchViewRenderer = renderer) -> None:
            renderer.sweep(panoramas)
            if setting.device != "cpu":
                torch.cuda.synchronize()

        rows.append(
            rate_row(
                "torch",
                f"36 views of {_named(camera, smooth=smooth)}, {count} panoramas at once, "
                f"{setting.device}",
                _measure(setting, render, clock="cpu" if setting.device == "cpu" else "wall"),
                count=count,
                unit="panoramas/s",
                note="panoramas start in the machine's memory; views stay on the device",
            )
        )
    return rows


def _measure(setting: RenderSetting, work: Callable[[], object], *, clock: Clock = "cpu") -> Timing:
    return measure(work, repeats=1 if setting.quick else setting.repeats, clock=clock)
