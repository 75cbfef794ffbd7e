"""Measures speed and memory: `python -m benchmarks.throughput`.

Writes `throughput.json` and `throughput.md` after every group of measurements, each row beside the
figure of MatterSim or EnvDrop where there is one. Those were taken on a machine of two cores, by
processor time, with one thread; run this on a quiet machine. `--quick` only shows that it works.
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
from benchmarks.speed.machine import check_device, describe, matrix_rates
from benchmarks.speed.recipe import recipe_rows
from benchmarks.speed.rows import Row
from benchmarks.speed.setting import Setting
from benchmarks.speed.training import training_rows
from benchmarks.speed.walking import evaluation_rows, scoring_rows
from benchmarks.speed.world import (
    environment_rows,
    graph_rows,
    memory_rows,
    simulator_rows,
    startup_rows,
)
from benchmarks.tables import Table, as_markdown
from vln import worlds
from vln.errors import BadConfig
from vln.registry import Registry
from vln.runs import entry_point, say

GROUPS: Registry[Callable[[Setting], list[Row]]] = Registry("group of measurements")
GROUPS.add("graph", graph_rows)
GROUPS.add("simulator", simulator_rows)
GROUPS.add("environment", environment_rows)
GROUPS.add("startup", startup_rows)
GROUPS.add("memory", memory_rows)
GROUPS.add("scoring", scoring_rows)
GROUPS.add("evaluation", evaluation_rows)
GROUPS.add("training", training_rows)
GROUPS.add("recipe", recipe_rows)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measures speed and memory beside MatterSim and EnvDrop."""

    out: Path = Path("runs/throughput")
    """Folder for throughput.json and throughput.md."""
    quick: bool = False
    """Do as little as shows that it works; the numbers mean nothing."""
    only: tuple[str, ...] = ()
    """Groups: graph, simulator, environment, startup, memory, scoring, evaluation, training,
    recipe."""
    device: str = "cpu"
    """Where networks and the simulator's arrays live: cpu or cuda."""
    threads: int = 1
    """Threads of matrix products on a CPU; the incumbents' figures are for one."""
    widths: tuple[int, ...] = (512, 1024, 2048)
    """Features per view to train with."""
    repeats: int = 7
    """Timed repeats; medians are reported."""
    run: Path | None = None
    """A trained blind run to evaluate; without it one is trained lightly."""
    env: str = "r2r"
    """World to measure in: r2r, houses, houses-bench-v1."""
    data: Path | None = None
    """Data folder; without it VLN_DATA, and the cache for a world."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config = tyro.cli(Config, args=arguments, prog="python -m benchmarks.throughput")
    return entry_point(lambda: _run(config))


def _run(config: Config) -> int:
    groups = {name: GROUPS[name] for name in (config.only or GROUPS)}
    _check(config)
    torch.set_num_threads(config.threads)
    with tempfile.TemporaryDirectory(prefix="vln-throughput-") as scratch:
        setting = Setting(
            data=worlds.locate(config.env, config.data, pictures=False).data,
            scratch=Path(scratch),
            quick=config.quick,
            repeats=1 if config.quick else config.repeats,
            device=config.device,
            threads=config.threads,
            widths=config.widths[:1] if config.quick else config.widths,
            run=config.run,
        )
        machine = {
            **describe(threads=config.threads, device=config.device),
            "world": f"{config.env} in {setting.data}, {len(setting.graph.viewpoints):,} "
            f"viewpoints in {len(setting.graph.scans)} scans",
            "product_GFLOP_per_s": matrix_rates(setting),
        }
        rows: list[Row] = []
        for name, measurements in groups.items():
            sys.stderr.write(f"measuring {name}\n")
            rows += measurements(setting)
            document = as_document(machine, rows, quick=config.quick)
            report.write(config.out, "throughput", machine=machine, rows=rows, document=document)
    say(document)
    return 0


def _check(config: Config) -> None:
    if config.repeats < 1 or config.threads < 1 or min(config.widths, default=0) < 1:
        raise BadConfig(
            f"repeats {config.repeats}, threads {config.threads}, widths {config.widths}; expected "
            "1 or more of each."
        )
    check_device(config.device)


def as_document(machine: dict[str, Any], rows: Sequence[Row], *, quick: bool) -> str:
    """Gives the Markdown document: the machine, all rows, and what training did."""
    warning = report.QUICK if quick else ""
    parts = [
        "# Speed and memory\n\nWritten by `python -m benchmarks.throughput`. "
        f"{report.HOW_READ} Incumbents: MatterSim and EnvDrop on a machine of two cores, one "
        f"thread, processor time. Ratios above 1 are in our favour.\n\n{warning}"
        f"{report.machine_list(machine)}",
        as_markdown(report.results_table(rows)),
    ]
    trained = [row for row in rows if row.group == "training"]
    if trained:
        parts.append(
            "What an update is: decoder calls that we make and those EnvDrop would make for the "
            "same trajectories; arithmetic of useful matrix products (formula in "
            "`benchmarks/speed/flops.py`) beside the rate of a large product of the same type; "
            "share of an update's time outside agent, losses and optimiser.\n\n"
            + as_markdown(training_table(trained))
        )
    stages = [row for row in rows if "hours_as_published" in row.details]
    if stages:
        parts.append(
            "Hours that the published number of updates would take here, the released code's pairs "
            "of iterations counted once:\n\n" + as_markdown(stages_table(stages))
        )
    parts.append(report.notes_list(rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def stages_table(rows: Sequence[Row]) -> Table:
    """Gives one line per stage of the recipe."""
    header = ("", "updates", "hours", "outside networks")
    lines = [
        (
            row.name,
            f"{row.details['updates_as_published']:,.0f}",
            f"{row.details['hours_as_published']:.1f}",
            f"{100 * row.details['share_outside_network']:.1f} %"
            if "share_outside_network" in row.details
            else "",
        )
        for row in rows
    ]
    return Table(header, lines)


def training_table(rows: Sequence[Row]) -> Table:
    """Gives one line per kind of update."""
    header = (
        "",
        "s per update",
        "decoder calls",
        "EnvDrop's calls",
        "s per EnvDrop's call",
        "GFLOP",
        "GFLOP/s",
        "of product rate",
        "outside network",
    )
    lines = []
    for row in rows:
        d = row.details
        lines.append(
            (
                row.name,
                f"{row.value:.3f}",
                f"{d['decoder_calls']:.1f}",
                f"{d['envdrop_decoder_calls']:.1f}",
                f"{d['seconds_per_envdrop_call']:.4f}",
                f"{d['GFLOP']:.1f}",
                f"{d['GFLOP_per_s']:.1f}",
                f"{100 * d['share_of_product_rate']:.0f} %",
                f"{100 * d['share_outside_network']:.1f} %",
            )
        )
    return Table(header, lines)


if __name__ == "__main__":
    sys.exit(main())
