"""Which shards of a store that is being made are on the disk: one line each, only ever appended.

The first line is the plan; a journal of another plan says nothing. A kill can cut the last line
short, which is then as if it were not there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from vln.features.layout import Plan


class Journal:
    """The journal of one store.

    Args:
        file: Where it lies.
        plan: What is being made.
    """

    def __init__(self, file: Path, plan: Plan) -> None:
        self.file = file
        self._plan = plan

    def read(self) -> dict[int, str] | None:
        """Gives the sha256 (hex) of finished shards by number; None where there is no journal.

        What a kill left of a line is cut off, so that another may follow. A journal of another plan
        counts as none.
        """
        if not self.file.exists():
            return None
        content = self.file.read_bytes()
        lines, length = [], 0
        for raw in content.splitlines(keepends=True):
            line = _parsed(raw)
            if line is None:
                break
            lines.append(line)
            length += len(raw)
        if not lines or lines[0] != self._plan.as_json():
            return None
        os.truncate(self.file, length)
        count = len(self._plan.shards)
        return {line["shard"]: line["sha256"] for line in lines[1:] if line["shard"] < count}

    @staticmethod
    def count(file: Path) -> int:
        """Gives how many shards a journal says are finished, whatever its plan."""
        _, *lines = map(_parsed, file.read_bytes().splitlines(keepends=True) or [b""])
        return len({line["shard"] for line in lines if line is not None})

    def begin(self) -> None:
        """Starts one with no shard finished, where there is none."""
        self._append(self._plan.as_json())

    def remove(self) -> None:
        """Forgets all, where there is a journal."""
        self.file.unlink(missing_ok=True)

    def add(self, shard: int, sha256: str) -> None:
        """Notes that a shard is finished; its bytes must be on the disk already."""
        self._append({"shard": shard, "sha256": sha256})

    def _append(self, line: dict[str, Any]) -> None:
        with self.file.open("ab") as stream:
            stream.write(orjson.dumps(line) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """Gives a line's value; None for one that is cut short or damaged."""
    if not raw.endswith(b"\n"):
        return None
    try:
        value = orjson.loads(raw)
    except ValueError:
        return None
    known = isinstance(value, dict) and (
        "version" in value or (type(value.get("shard")) is int and "sha256" in value)
    )
    return value if known else None
