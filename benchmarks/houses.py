"""Measures worlds of homes: `python -m benchmarks.houses speed | stats | gallery`.

`speed` times the generator, one core, processor time. `stats` lays a world's numbers beside R2R's.
`gallery` draws the pictures that the README shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numba
import orjson
import torch
import tyro

from benchmarks.house_stats import NOTES, Statistics, as_object, as_table, measure_world
from benchmarks.speed import houses as timings
from benchmarks.speed import report
from benchmarks.speed.houses import HouseSetting
from benchmarks.speed.machine import describe
from benchmarks.speed.rows import Row
from benchmarks.tables import Table, as_markdown
from vln import worlds
from vln.data.locations import data_root
from vln.errors import BadConfig, CannotWrite
from vln.registry import Registry
from vln.runs import atomic, entry_point, say

GROUPS: Registry[Callable[[HouseSetting], list[Row]]] = Registry("group of measurements")
GROUPS.add("annotations", timings.annotation_rows)
GROUPS.add("visibility", timings.visibility_rows)
GROUPS.add("light", timings.baking_rows)
GROUPS.add("pictures", timings.picture_rows)
GROUPS.add("files", timings.file_rows)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Times the generator; writes houses.json and houses.md."""

    out: Path = Path("runs/houses")
    """Folder for the two files."""
    quick: bool = False
    """Do as little as shows that it works; the numbers mean nothing."""
    only: tuple[str, ...] = ()
    """Groups: annotations, visibility, light, pictures, files."""
    repeats: int = 5
    """Timed repeats; medians are reported."""


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Prints a world's numbers beside R2R's; needs R2R's files for the second column."""

    world: str = "houses"
    """The world; made in the cache where it is not there."""
    data: Path | None = None
    """The world's folder; without it the cache."""
    beside: Path | None = None
    """Data folder of R2R; without it VLN_DATA, and where that is not set, no second column."""
    out: Path | None = None
    """Folder for houses_stats.json and houses_stats.md; nothing is written where absent."""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Draws houses.jpg, plans.png and twin.jpg."""

    out: Path = Path("runs/gallery")
    """Folder for the three pictures."""
    only: tuple[str, ...] = ()
    """Pictures: houses, plans, twin."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    config: Speed | Stats | Gallery = tyro.extras.subcommand_cli_from_dict(
        {"speed": Speed, "stats": Stats, "gallery": Gallery},
        args=arguments,
        prog="python -m benchmarks.houses",
        description="Times the generator of homes, counts what it makes, draws what it looks like.",
    )
    return entry_point(lambda: _run(config))


def _run(config: Speed | Stats | Gallery) -> int:
    try:
        if isinstance(config, Speed):
            say(_speed(config))
        elif isinstance(config, Stats):
            say(_stats(config))
        else:
            _gallery(config)
    except OSError as error:
        if error.filename is None or isinstance(error, CannotWrite):
            raise
        raise CannotWrite(
            f"{config.out}: cannot be written ({error.strerror}). Choose another with --out."
        ) from error
    return 0


def _speed(config: Speed) -> str:
    groups = {name: GROUPS[name] for name in (config.only or GROUPS)}
    if config.repeats < 1:
        raise BadConfig(f"repeats {config.repeats}; expected 1 or more.")
    torch.set_num_threads(1)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    setting = HouseSetting(repeats=config.repeats, quick=config.quick)
    rows: list[Row] = []
    try:
        machine = {**describe(threads=1, device="cpu"), "numba": numba.__version__}
        for name, measurements in groups.items():
            sys.stderr.write(f"measuring {name}\n")
            rows += measurements(setting)
    finally:
        cv2.setNumThreads(before)
    document = as_document(machine, rows, quick=config.quick)
    report.write(config.out, "houses", machine=machine, rows=rows, document=document)
    return document


def as_document(machine: dict[str, object], rows: Sequence[Row], *, quick: bool) -> str:
    """Gives the Markdown document: the machine and all rows."""
    warning = report.QUICK if quick else ""
    parts = [
        "# Making homes\n\nWritten by `python -m benchmarks.houses speed`. Everything on one "
        f"core. {report.HOW_READ}\n\n{warning}{report.machine_list(machine)}",
        as_markdown(_without_empty(report.results_table(rows))),
        report.notes_list(rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _without_empty(table: Table) -> Table:
    """Gives a table without the columns that say nothing."""
    kept = [n for n in range(len(table.header)) if any(row[n] for row in table.rows)]
    rows = [tuple(row[n] for n in kept) for row in table.rows]
    return Table(tuple(table.header[n] for n in kept), rows)


def _stats(config: Stats) -> str:
    found = worlds.locate(config.world, config.data, pictures=False)
    measured = {config.world: measure_world(found.data)}
    if config.beside is not None or not worlds.lacks_r2r():
        measured["R2R"] = measure_world(data_root(config.beside))
    document = _stats_document(measured)
    if config.out is not None:
        with atomic(config.out / "houses_stats.json") as stream:
            stream.write(orjson.dumps(as_object(measured), option=orjson.OPT_INDENT_2))
        with atomic(config.out / "houses_stats.md", "w") as stream:
            stream.write(document)
    return document


def _stats_document(measured: dict[str, Statistics]) -> str:
    return (
        "# What homes are like\n\nWritten by `python -m benchmarks.houses stats`; both columns "
        f"are counted by the same lines.\n\n{as_markdown(as_table(measured))}\n\n{NOTES}\n"
    )


def _gallery(config: Gallery) -> None:
    from benchmarks.house_gallery import PICTURES

    for name in config.only or tuple(PICTURES):
        picture = PICTURES[name]
        content = picture.draw()
        file = config.out / picture.file
        with atomic(file) as stream:
            stream.write(content)
        say(f"{file}: {len(content) / 1000:,.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
