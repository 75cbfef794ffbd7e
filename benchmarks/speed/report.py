"""Lays measurements out for readers: a table of rows, facts about the machine, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.speed.rows import Row
from benchmarks.tables import Table
from vln.runs import atomic

QUICK = "**--quick: these numbers mean nothing.**\n\n"
HOW_READ = (
    "Medians, smallest and largest repeat in brackets; processor time of one thread unless said "
    "otherwise, and the wall clock's value where it differs by more than 5 %."
)


def write(
    folder: Path, name: str, *, machine: Mapping[str, Any], rows: Sequence[Row], document: str
) -> None:
    """Writes `<name>.json` for programs and `<name>.md`, the document, for people.

    Args:
        folder: Is made where needed.
        name: Of both files, without ending.
        machine: Facts about it.
        rows: All measurements.
        document: Markdown.
    """
    result = {"machine": dict(machine), "rows": [row.as_object() for row in rows]}
    with atomic(folder / f"{name}.json") as stream:
        stream.write(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    with atomic(folder / f"{name}.md", "w") as stream:
        stream.write(document)


def machine_list(machine: Mapping[str, Any]) -> str:
    """Gives the facts about a machine as a Markdown list."""
    return "\n".join(f"- {name.replace('_', ' ')}: {_fact(v)}" for name, v in machine.items())


def notes_list(rows: Sequence[Row]) -> str:
    """Gives the rows' notes as a Markdown list, each once."""
    notes = [f"- {row.group}: {row.note}" for row in rows if row.note]
    return "\n".join(dict.fromkeys(notes))


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number(amount)}" for name, amount in value.items())
    return str(value)


def results_table(rows: Sequence[Row]) -> Table:
    """Gives one line per row."""
    header = ("", "ours", "repeats", "wall clock", "incumbent", "times better")
    lines = [
        (
            f"{row.group}: {row.name}",
            f"{number(row.value)} {row.unit}",
            f"[{number(row.low)}, {number(row.high)}]" if row.repeats > 1 else "",
            number(row.wall) if _differs(row) else "",
            "" if row.incumbent is None else f"{number(row.incumbent)} {row.unit}",
            "" if row.times_better is None else f"{row.times_better:.1f}",
        )
        for row in rows
    ]
    return Table(header, lines)


def _differs(row: Row) -> bool:
    return row.wall is not None and abs(row.wall / row.value - 1) > 0.05


def number(value: float | None) -> str:
    """Gives three significant digits, thousands separated; nothing for None."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
