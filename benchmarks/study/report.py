"""Writes a study's report: a document, its numbers, and the pictures that it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from vln.errors import CannotWrite
from vln.runs import atomic


def write_report(
    stem: Path,
    *,
    figures: Mapping[str, Callable[[Path], None]],
    document: Callable[[Mapping[str, str]], str],
    numbers: Mapping[str, Any],
) -> str:
    """Writes STEM.md, STEM.json and a STEM_NAME.png per figure, and gives the document.

    Args:
        stem: Name without ending.
        figures: What draws each, by name.
        document: Gives the Markdown, told the pictures' file names.
        numbers: For programs.

    Raises:
        CannotWrite: There is no room, or no permission.
    """
    files = {name: stem.with_name(f"{stem.name}_{name}.png") for name in figures}
    try:
        for name, draw in figures.items():
            draw(files[name])
        text = document({name: file.name for name, file in files.items()})
        with atomic(stem.with_name(f"{stem.name}.json")) as stream:
            stream.write(orjson.dumps(numbers, option=orjson.OPT_INDENT_2))
        with atomic(stem.with_name(f"{stem.name}.md"), "w") as stream:
            stream.write(text)
    except OSError as error:
        raise CannotWrite(
            f"{stem}: cannot be written ({error.strerror}). Choose another with --results."
        ) from error
    return text
