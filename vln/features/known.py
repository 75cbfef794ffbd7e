"""The table of feature files that are known, and how a store compares with it.

`known.json` beside this module holds what is published of released files; what a file's contents
are like (`file_sha256`, `mean_norm`, `samples`) is on record only where somebody who has the file
noted it, in a table of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from vln.data.locations import cache_root, parse_json, read_bytes
from vln.encoders.handle import Handle
from vln.errors import CannotWrite, CorruptData
from vln.features.catalogue import Summary
from vln.runs import atomic

Facts = Mapping[str, Any]
CONTENTS: Final = ("file_sha256", "mean_norm", "samples")
"""Facts that tell one file from another of the same kind."""
_TABLE: Final = Path(__file__).with_name("known.json")
_TOLERANCE: Final = 2e-3
"""Relative; half precision rounds by a quarter of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the table says of a store.

    Attributes:
        name: Of the known file that is closest; empty where none is of this encoder.
        same: Facts that agree.
        different: Facts that do not, with both values in words.
    """

    name: str = ""
    same: tuple[str, ...] = ()
    different: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.name:
            return "not in the table of known files"
        if self.different:
            return f"differs from {self.name} in {'; '.join(self.different)}"
        unknown = "" if set(self.same) & set(CONTENTS) else " (its contents are not on record)"
        return f"matches {self.name} in {', '.join(self.same)}{unknown}"


def own_table() -> Path:
    """Gives where one's own table is; the file may not exist."""
    return cache_root() / "known_features.json"


def load_known(own: Path | None = None) -> dict[str, Facts]:
    """Gives facts by the name of the file; one's own table adds to what is published.

    Args:
        own: One's own table; `own_table` where None, which need not exist.

    Raises:
        MissingData: The table that is named is not there.
        CorruptData: It is no object of objects.
    """
    table = dict(_read(_TABLE))
    file = own or own_table()
    if own is not None or file.exists():
        for name, facts in _read(file).items():
            table[name] = {**table.get(name, {}), **facts}
    return table


def remember(name: str, facts: Facts, *, own: Path | None = None) -> Path:
    """Notes facts under a name in one's own table, and gives the table's file.

    Raises:
        CorruptData: The table is no object of objects.
        CannotWrite: It cannot be written.
    """
    file = own or own_table()
    table = _read(file) if file.exists() else {}
    content = orjson.dumps({**table, name: facts}, option=orjson.OPT_INDENT_2)
    try:
        with atomic(file) as stream:
            stream.write(content)
    except OSError as error:
        raise CannotWrite(
            f"cannot write {file} ({error.strerror}). Name another file with --known."
        ) from error
    return file


def facts_of(summary: Summary) -> dict[str, Any]:
    """Gives what a store tells of itself, in the words of the table."""
    handle, about = Handle.parse(summary.handle), summary.about
    facts: dict[str, Any] = {"encoder": handle.plain, "dim": summary.dim, "dtype": summary.dtype}
    if handle.imported:
        names = ("image_w", "image_h", "vfov", "file_sha256")
        facts |= {name: about[name] for name in names if name in about}
        facts |= {"rows": about["file_rows"]} if "file_rows" in about else {}
    facts["mean_norm"] = summary.mean_norm
    facts["samples"] = [
        [sample.scan, sample.viewpoint, sample.view, list(sample.values)]
        for sample in summary.samples
    ]
    return facts


def compare(facts: Facts, table: Mapping[str, Facts], *, is_imported: bool) -> Verdict:
    """Gives how a store compares with the closest known file of its encoder.

    Args:
        facts: As `facts_of`.
        table: As `load_known`.
        is_imported: Whether the store came from a file. Our own features are compared by their
            numbers only.
    """
    asked = [name for name in facts if name != "encoder"] if is_imported else list(CONTENTS[1:])
    verdicts = []
    for name, known in table.items():
        both = [fact for fact in asked if fact in known and fact in facts]
        if known.get("encoder") == facts["encoder"] and both:
            same = [fact for fact in both if _agrees(fact, facts[fact], known[fact])]
            different = [
                _words(fact, facts[fact], known[fact]) for fact in both if fact not in same
            ]
            verdicts.append(Verdict(name, tuple(same), tuple(different)))
    return min(verdicts, key=lambda v: (len(v.different), -len(v.same)), default=Verdict())


def _agrees(fact: str, found: Any, known: Any) -> bool:  # noqa: ANN401 - facts are of any type
    if fact == "samples":
        there = {tuple(place): values for *place, values in known}
        pairs = [(values, there.get(tuple(place))) for *place, values in found]
        return all(other is not None and _close(values, other) for values, other in pairs)
    return _close(found, known) if fact == "mean_norm" else bool(found == known)


def _close(found: Any, known: Any) -> bool:  # noqa: ANN401 - a number or several
    a, b = np.asarray(found, dtype=np.float64), np.asarray(known, dtype=np.float64)
    return a.shape == b.shape and np.allclose(a, b, rtol=_TOLERANCE, atol=1e-4)


def _words(fact: str, found: Any, known: Any) -> str:  # noqa: ANN401 - facts are of any type
    if fact == "samples":
        return "the first values of known viewpoints"
    if fact == "file_sha256":
        return f"{fact} ({str(found)[:8]}, known {str(known)[:8]})"
    if fact == "mean_norm":
        return f"{fact} ({found:.4g}, known {known:.4g})"
    return f"{fact} ({found}, known {known})"


def _read(file: Path) -> dict[str, Facts]:
    table = parse_json(read_bytes(file, remedy="Name another file with --known."), file=file)
    is_table = isinstance(table, dict) and all(isinstance(facts, dict) for facts in table.values())
    if not is_table:
        raise CorruptData.of(
            file, "", "no table", "Expected an object with an object of facts for each file."
        )
    found: dict[str, Facts] = table
    return found
