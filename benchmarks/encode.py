"""Measures encoding: `python -m benchmarks.encode`.

Writes `encode.json` and `encode.md`: images/s of the bare network by batch size, what the service
adds to it, whole extractions, gathering from a store, and its memory in many processes. Networks
are untrained: speed does not depend on the weights. `--quick` only shows that it works.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
import tyro

from benchmarks.speed import report
from benchmarks.speed.encoding import KNOWN, EncodeSetting, named_rows, network_rows
from benchmarks.speed.machine import check_device, describe
from benchmarks.speed.rows import Row
from benchmarks.speed.stored import extraction_rows, gather_rows
from benchmarks.tables import as_markdown
from vln.errors import BadConfig
from vln.registry import Registry
from vln.runs import entry_point, say

GROUPS: Registry[Callable[[EncodeSetting], list[Row]]] = Registry("group of measurements")
GROUPS.add("network", network_rows)
GROUPS.add("named", named_rows)
GROUPS.add("store", gather_rows)
GROUPS.add("extraction", extraction_rows)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measures encoders, the service around them, extraction and the store."""

    out: Path = Path("runs/encode")
    """Folder for encode.json and encode.md."""
    encoders: tuple[str, ...] = tuple(KNOWN)
    """Handles; the first one extracts as well."""
    only: tuple[str, ...] = ()
    """Groups: network, named, store, extraction."""
    device: str = "cpu"
    """Where networks run: cpu or cuda."""
    threads: int = 1
    """Of the networks on a CPU."""
    repeats: int = 5
    """Timed repeats; medians are reported."""
    quick: bool = False
    """Do as little as shows that it works; the numbers mean nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.encode")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    groups = {name: GROUPS[name] for name in (config.only or GROUPS)}
    if config.repeats < 1 or not config.encoders:
        raise BadConfig(
            f"{config.repeats} repeats of {len(config.encoders)} encoders; expected 1 or more."
        )
    check_device(config.device)
    torch.set_num_threads(config.threads)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        say(_measured(config, groups))
    finally:
        cv2.setNumThreads(before)
    return 0


def _measured(config: Config, groups: dict[str, Callable[[EncodeSetting], list[Row]]]) -> str:
    machine = describe(threads=config.threads, device=config.device)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="vln-encode-") as scratch:
        setting = EncodeSetting(
            encoders=config.encoders,
            scratch=Path(scratch),
            device=config.device,
            repeats=config.repeats,
            quick=config.quick,
        )
        for name, measurements in groups.items():
            sys.stderr.write(f"measuring {name}\n")
            rows += measurements(setting)
    document = as_document(machine, rows, quick=config.quick)
    report.write(config.out, "encode", machine=machine, rows=rows, document=document)
    return document


def as_document(machine: dict[str, Any], rows: Sequence[Row], *, quick: bool) -> str:
    """Gives the Markdown document: the machine and all rows."""
    parts = [
        f"# Encoding\n\nWritten by `python -m benchmarks.encode`. {report.HOW_READ} *Incumbent*: "
        "open_clip alone on a machine of two cores, one thread, at its best batch size; it stands "
        "beside our best. Networks are untrained.\n\n"
        f"{report.QUICK if quick else ''}{report.machine_list(machine)}",
        as_markdown(report.results_table(rows)),
        report.notes_list(rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    sys.exit(main())
