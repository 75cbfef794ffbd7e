"""Measures reading and rendering of panoramas: `python -m benchmarks.render`.

Writes `render.json` and `render.md`: seconds of processor time with one thread beside the C++
simulator's, and how far views straight at 224 x 224 are from the published way of making them. It
renders the photographs of the data folder's panoramas/, or, without any, spheres coloured by
direction. `--quick` only shows that it works.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
import tyro

from benchmarks.likeness import Likeness, likeness_table, measure_likeness
from benchmarks.speed import report
from benchmarks.speed.machine import check_device, describe
from benchmarks.speed.mattersim import navigation_rows, sweeping_rows
from benchmarks.speed.rendering import (
    RenderSetting,
    device_rows,
    reading_rows,
    rendering_rows,
)
from benchmarks.speed.rows import Row
from benchmarks.tables import as_markdown
from vln.data.locations import data_root
from vln.errors import BadConfig
from vln.registry import Registry
from vln.runs import entry_point, say

GROUPS: Registry[Callable[[RenderSetting], list[Row]]] = Registry("group of measurements")
GROUPS.add("reading", reading_rows)
GROUPS.add("rendering", rendering_rows)
GROUPS.add("torch", device_rows)
GROUPS.add("mattersim", lambda setting: navigation_rows(setting) + sweeping_rows(setting))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measures rendering beside the C++ simulator, and the fast way beside the published one."""

    out: Path = Path("runs/render")
    """Folder for render.json and render.md."""
    quick: bool = False
    """Do as little as shows that it works; the numbers mean nothing."""
    only: tuple[str, ...] = ()
    """Groups: reading, rendering, torch, mattersim."""
    device: str = "cpu"
    """Where torch renders: cpu or cuda."""
    repeats: int = 7
    """Timed repeats; medians are reported."""
    data: Path | None = None
    """Data folder; without it VLN_DATA."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.render")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    groups = {name: GROUPS[name] for name in (config.only or GROUPS)}
    if config.repeats < 1:
        raise BadConfig(f"repeats {config.repeats}; expected 1 or more.")
    check_device(config.device)
    torch.set_num_threads(1)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        say(_measured(config, groups))
    finally:
        cv2.setNumThreads(before)
    return 0


def _measured(config: Config, groups: dict[str, Callable[[RenderSetting], list[Row]]]) -> str:
    machine = describe(threads=1, device=config.device)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="vln-render-") as scratch:
        setting = RenderSetting(
            data=data_root(config.data),
            scratch=Path(scratch),
            repeats=config.repeats,
            quick=config.quick,
            device=config.device,
        )
        for name, measurements in groups.items():
            sys.stderr.write(f"measuring {name}\n")
            rows += measurements(setting)
        likeness = {} if config.only else _likeness(setting)
    document = as_document(machine, rows, likeness, quick=config.quick)
    report.write(config.out, "render", machine=machine, rows=rows, document=document)
    return document


def _likeness(setting: RenderSetting) -> dict[int, list[Likeness]]:
    """Gives the comparison for each size of faces."""
    sys.stderr.write("comparing views\n")
    measured = {}
    for size, source in zip(setting.sizes, (setting.strips, setting.release), strict=True):
        panoramas = setting.panoramas(source)
        measured[size] = (
            measure_likeness(panoramas[:1], networks=1)
            if setting.quick
            else measure_likeness(panoramas)
        )
    return measured


def as_document(
    machine: dict[str, object],
    rows: Sequence[Row],
    likeness: Mapping[int, Sequence[Likeness]],
    *,
    quick: bool,
) -> str:
    """Gives the Markdown document: the machine, all rows, and the fast way's difference."""
    warning = report.QUICK if quick else ""
    parts = [
        "# Rendering\n\nWritten by `python -m benchmarks.render`. "
        f"{report.HOW_READ} Incumbent: MatterSim, C++ with OSMesa, on a machine of two cores, one "
        f"thread, processor time. Ratios above 1 are in our favour.\n\n{warning}"
        f"{report.machine_list(machine)}",
        as_markdown(report.results_table(rows)),
        report.notes_list(rows),
    ]
    if likeness:
        parts.append(
            "Beside the published way of making a 224 x 224 view (640 x 480 rendered, resized "
            "bicubically with antialiasing to 298 x 224, the middle kept), all 36 views of each "
            "panorama. *Features apart*: root mean square distance of features, as a share of "
            "their spread over the views; mean and range over five untrained convolutional "
            "networks of 512 features."
        )
    for size, measured in likeness.items():
        parts.append(f"Faces of {size} pixels:\n\n{as_markdown(likeness_table(measured))}")
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    sys.exit(main())
