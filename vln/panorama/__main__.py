"""Pictures of panoramas, as PNG: `python -m vln.panorama view ...` and `... strip ...`.

Views that are coarser than the panorama are filtered, unlike MatterSim's.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tyro
from tqdm import tqdm

from vln.data.connectivity import load_graph
from vln.data.locations import data_root
from vln.errors import BadConfig
from vln.panorama.equirectangular import read_equirectangular
from vln.panorama.faces import Bytes, Panorama
from vln.panorama.pinhole import Camera
from vln.panorama.skybox import SkyboxSource
from vln.panorama.sources import find_panoramas
from vln.panorama.views import ViewRenderer
from vln.runs import entry_point, say
from vln.viz.maps import write_png
from vln.viz.views import contact_sheet

MAX_CELL: Final = 2048
"""Pixels along a view of a sheet; 36 of them are 450 MB, and as much again on the sheet."""


@dataclass(frozen=True, kw_only=True)
class Which:
    """What every command takes."""

    out: Path
    """PNG file to write."""
    scan: str | None = None
    """Scan, with --viewpoint."""
    viewpoint: str | None = None
    """Viewpoint, with --scan."""
    data: Path | None = None
    """World folder with connectivity/ and the pictures; without it VLN_DATA. Not with
    --panorama."""
    panorama: Path | None = None
    """An equirectangular picture (JPEG, PNG, HDR) instead of scan and viewpoint; its middle column
    is heading 0."""
    fov: float = 60.0
    """Vertical field of view, degrees."""


@dataclass(frozen=True, kw_only=True)
class View(Which):
    """Writes one view of a panorama. All angles are in degrees."""

    heading: float = 0.0
    """Degrees; 0 looks along world +y, turning right is positive."""
    elevation: float = 0.0
    """Degrees, -90 (down) to 90 (up)."""
    width: int = 640
    """Pixels."""
    height: int = 480
    """Pixels."""


@dataclass(frozen=True, kw_only=True)
class Strip(Which):
    """Writes the 36 views of a panorama on one sheet: up, level, down; columns turn right."""

    size: tuple[int, int] = (160, 120)
    """Width and height of each view, pixels."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Says which skyboxes are here; one that belongs to no viewpoint is an error."""

    data: Path | None = None
    """World folder with connectivity/ and the pictures; without it VLN_DATA."""
    read: bool = False
    """Decode every picture too: about 6 ms for a strip, 26 ms for six large faces."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.extras.subcommand_cli_from_dict(
        {"view": View, "strip": Strip, "check": Check},
        args=arguments,
        prog="python -m vln.panorama",
        description="Writes pictures of panoramas as PNG, or checks a world's skyboxes.",
    )
    return entry_point(lambda: _check(config) if isinstance(config, Check) else _draw(config))


def _check(config: Check) -> int:
    root = data_root(config.data)
    graph = load_graph(root)
    source = SkyboxSource(root, graph=graph)
    found = {scan: source.viewpoints(scan) for scan in graph.scans}
    for scan in graph.scans:
        source.check(scan)
        here, members = len(found[scan]), len(graph.members(scan))
        if 0 < here < members:
            say(f"{scan}: skyboxes of {here} of {members} viewpoints")
    shown = [(scan, viewpoint) for scan, names in found.items() for viewpoint in names]
    if config.read:
        for scan, viewpoint in tqdm(shown, unit="panorama", leave=False):
            source.panorama(scan, viewpoint)
    scans = sum(bool(names) for names in found.values())
    say(
        f"skyboxes of {len(shown):,} of {len(graph.viewpoints):,} viewpoints, in {scans} of "
        f"{len(graph.scans)} scans{', all of them whole' if config.read else ''}"
    )
    return 0


def _draw(config: View | Strip) -> int:
    if config.out.suffix.lower() != ".png":
        raise BadConfig(f"--out {config.out} is no PNG; give a name that ends in .png.")
    image = _view(config) if isinstance(config, View) else _strip(config)
    try:
        write_png(image, config.out)
    except OSError as error:
        raise BadConfig(f"cannot write {config.out} ({error.strerror}).") from error
    say(f"{config.out}: {image.shape[1]} x {image.shape[0]} pixels")
    return 0


def _view(config: View) -> Bytes:
    heading, elevation = math.radians(config.heading), math.radians(config.elevation)
    if not math.isfinite(heading) or not -math.pi / 2 <= elevation <= math.pi / 2:
        raise BadConfig(
            f"--heading {config.heading} --elevation {config.elevation}; expected degrees, the "
            "elevation from -90 to 90."
        )
    renderer = _renderer((config.width, config.height), config.fov)
    view: Bytes = renderer.views(_panorama(config), [heading], [elevation])[0]
    return view


def _strip(config: Strip) -> Bytes:
    if max(config.size) > MAX_CELL:
        raise BadConfig(
            f"--size {config.size[0]} {config.size[1]}; a sheet takes views of at most {MAX_CELL} "
            "pixels. Write single ones with `python -m vln.panorama view`."
        )
    renderer = _renderer(config.size, config.fov)
    return contact_sheet(renderer.sweep(_panorama(config)))


def _renderer(size: tuple[int, int], fov_degrees: float) -> ViewRenderer:
    camera = Camera(width=size[0], height=size[1], vertical_fov=math.radians(fov_degrees))
    return ViewRenderer(camera, smooth=True)


def _panorama(config: Which) -> Panorama:
    if config.panorama is not None:
        if (config.scan, config.viewpoint, config.data) != (None, None, None):
            raise BadConfig(
                "--panorama stands instead of --scan and --viewpoint, and needs no --data; give "
                "only one."
            )
        return read_equirectangular(config.panorama)
    if config.scan is None or config.viewpoint is None:
        raise BadConfig(
            "say which panorama: --scan and --viewpoint, or --panorama with an equirectangular "
            "picture."
        )
    root = data_root(config.data)
    source = find_panoramas(root, graph=load_graph(root, scans=[config.scan]))
    return source.panorama(config.scan, config.viewpoint)


if __name__ == "__main__":
    sys.exit(main())
