"""Where data lie, and reading them: data root, cache root, JSON with errors of our own.

Knows no data set's format.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import orjson

from vln.errors import CorruptData, MissingData

HELD_OUT = "held_out"
"""Folder of a world of ours with the labels of its test split, which no loader opens."""
RESTORE = "The file is damaged or cut off: copy or download it again."


def data_root(given: Path | None = None) -> Path:
    """Gives the data folder: `given`, else `$VLN_DATA`.

    Raises:
        MissingData: Neither is set, or the one that is set is no folder.
    """
    chosen = str(given) if given is not None else os.environ.get("VLN_DATA", "")
    if not chosen:
        raise MissingData(
            "no data folder: VLN_DATA is not set and none was given. Set VLN_DATA (or --data) to "
            "the folder that holds connectivity/ and r2r/, or use a world of ours: --env houses."
        )
    root = Path(chosen).expanduser()
    if not root.is_dir():
        source = "the given data folder" if given is not None else "VLN_DATA"
        raise MissingData(
            f"{source} is {root}, which is no folder. Set it to the folder that holds "
            "connectivity/ and r2r/."
        )
    return root


def cache_root() -> Path:
    """Gives the folder for what we make: `$VLN_CACHE`, else the per-user cache. May not exist."""
    chosen = os.environ.get("VLN_CACHE", "")
    return Path(chosen).expanduser() if chosen else _user_cache() / "vln-toolkit"


def sha256(file: Path) -> str:
    """Gives a file's SHA-256 in hex.

    Raises:
        MissingData: The file cannot be read.
    """
    return hashlib.sha256(read_bytes(file)).hexdigest()


def read_bytes(file: Path, *, remedy: str = "") -> bytes:
    """Gives a file's content.

    Args:
        file: The file to read.
        remedy: What to do when it is not there, a full sentence.

    Raises:
        MissingData: The file cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        remedy = remedy or "Check VLN_DATA (or --data)."
        raise MissingData(f"cannot read {file} ({error.strerror}). {remedy}") from error


def parse_json(raw: bytes, *, file: object) -> Any:  # noqa: ANN401 - JSON is of any type
    """Gives the value of a JSON text; NaN and Infinity are let through for the caller to name.

    Args:
        raw: UTF-8 text, with or without byte-order mark.
        file: What to call the text in an error.

    Raises:
        CorruptData: The text is truncated or no JSON.
    """
    text = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if b"NaN" in text or b"Infinity" in text:
            return _parse_with_nan(text, file=file)
        raise CorruptData.of(file, "", f"not valid JSON ({error})", RESTORE) from error


def _parse_with_nan(text: bytes, *, file: object) -> Any:  # noqa: ANN401 - JSON is of any type
    # orjson follows the standard, which has no NaN; Python's own writer emits it all the same.
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptData.of(file, "", f"not valid JSON ({error})", RESTORE) from error


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
