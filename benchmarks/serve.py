"""Measures the server of encoders: `python -m benchmarks.serve`.

Writes `serve.json` and `serve.md`: a request's round trip between processes, what a single picture
costs above a service in one's own process, and what eight client processes get of the bare
network's best rate. Networks are untrained: speed does not depend on the weights. `--quick` only
shows that it works.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from benchmarks.speed import report
from benchmarks.speed.encoding import EncodeSetting
from benchmarks.speed.machine import check_device, describe
from benchmarks.speed.rows import Row
from benchmarks.speed.serving import client_rows, trip_rows
from benchmarks.tables import as_markdown
from vln.errors import BadConfig
from vln.registry import Registry
from vln.runs import entry_point, say

GROUPS: Registry[Callable[[EncodeSetting], list[Row]]] = Registry("group of measurements")
GROUPS.add("trip", trip_rows)
GROUPS.add("clients", client_rows)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measures the server of encoders and its clients, as processes."""

    out: Path = Path("runs/serve")
    """Folder for serve.json and serve.md."""
    encoders: tuple[str, ...] = ("clip_rn50",)
    """Handles of CLIPs with names."""
    only: tuple[str, ...] = ()
    """Groups: trip, clients."""
    device: str = "cpu"
    """Where the networks run: cpu or cuda."""
    repeats: int = 5
    """Timed repeats; medians are reported."""
    quick: bool = False
    """Do as little as shows that it works; the numbers mean nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.serve")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    groups = {name: GROUPS[name] for name in (config.only or GROUPS)}
    if config.repeats < 1 or not config.encoders:
        raise BadConfig(
            f"{config.repeats} repeats of {len(config.encoders)} encoders; expected 1 or more."
        )
    check_device(config.device)
    torch.set_num_threads(1)
    machine = describe(threads=1, device=config.device)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="vln-serve-") as scratch:
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
    report.write(config.out, "serve", machine=machine, rows=rows, document=document)
    say(document)
    return 0


def as_document(machine: dict[str, Any], rows: Sequence[Row], *, quick: bool) -> str:
    """Gives the Markdown document: the machine and all rows."""
    parts = [
        "# Serving\n\nWritten by `python -m benchmarks.serve`. Medians by the wall clock, smallest "
        "and largest repeat in brackets; of single requests the 95th percentile instead of the "
        "largest. Server and clients are processes of their own; the network has one thread. "
        "*Incumbent*: a bare loop over shared memory between processes, without batching, "
        f"fairness or errors, on such a machine.\n\n{report.QUICK if quick else ''}"
        f"{report.machine_list(machine)}",
        as_markdown(report.results_table(rows)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    sys.exit(main())
