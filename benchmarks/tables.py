"""Lays rows of words out as plain text, Markdown or LaTeX; knows nothing of what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}

_MINUS = re.compile(r"(?<![\w-])-(?=\d)")  # a hyphen before a number that is no part of a word


@dataclass(frozen=True, slots=True)
class Table:
    """A header and rows of the same number of cells; the first column holds names.

    Attributes:
        header: C cells.
        rows: Any number of C cells.
    """

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def transposed(table: Table) -> Table:
    """Gives the table with rows and columns exchanged."""
    header, *rows = zip(table.header, *table.rows, strict=True)
    return Table(header, rows)


def as_text(table: Table) -> str:
    """Gives aligned columns: names to the left, the rest to the right."""
    widths = _widths(table)
    return "\n".join(_aligned(row, widths, "  ").rstrip() for row in (table.header, *table.rows))


def as_markdown(table: Table) -> str:
    """Gives a Markdown table, aligned to be read as text too."""
    escaped = Table(_without_bars(table.header), [_without_bars(row) for row in table.rows])
    widths = [max(4, width) for width in _widths(escaped)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        _aligned(escaped.header, widths, " | "),
        " | ".join(rule),
        *(_aligned(row, widths, " | ") for row in escaped.rows),
    ]
    return "\n".join(f"| {line} |" for line in lines)


def as_latex(table: Table) -> str:
    """Gives a `tabular` with booktabs rules."""
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in (table.header, *table.rows)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _widths(table: Table) -> list[int]:
    return [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]


def _aligned(row: Sequence[str], widths: Sequence[int], gap: str) -> str:
    cells = [row[0].ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return gap.join(cells)


def _without_bars(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell.replace("|", r"\|") for cell in row)


def _latex(cell: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in cell)
    return _MINUS.sub("$-$", escaped)
