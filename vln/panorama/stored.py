"""Where the bytes of pictures lie: in folders and in zip files, found by base name.

Knows nothing of what the names mean.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy.typing as npt

from vln.data.locations import RESTORE, read_bytes
from vln.errors import CorruptData, MissingData, VlnError
from vln.panorama.decode import decode

# What zipfile raises on damaged, encrypted or exotic entries; it has no error of its own for all.
_BROKEN: tuple[type[Exception], ...]
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError)
try:
    from lzma import LZMAError
except ImportError:  # a Python built without it; zipfile refuses such entries by itself
    pass
else:
    _BROKEN = (*_BROKEN, LZMAError)
_READABLE: Final = "Check that it is there and may be read."
_MAC: Final = "__MACOSX"
"""Where macOS keeps what it adds to a zip, under the names of the pictures themselves."""
_ENCRYPTED: Final = 1
"""Bit of an entry's flags; source: APPNOTE of PKWARE, 4.4.4."""


class Archive:
    """A zip file whose entries are read one by one, in any thread and after any fork.

    Args:
        file: The zip file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._opened: tuple[int, zipfile.ZipFile] | None = None

    def entries(self) -> list[str]:
        """Gives the full names of all entries.

        Raises:
            MissingData: The file cannot be read.
            CorruptData: It is no zip, or one that ends early.
        """
        return self._zip().namelist()

    def read(self, entry: str) -> bytes:
        """Gives the content of an entry.

        Raises:
            MissingData: The file cannot be read.
            CorruptData: The entry is damaged, cut off, encrypted or packed in an unknown way.
        """
        packed = self._zip()
        try:
            return packed.read(entry)
        except _BROKEN as error:
            remedy = RESTORE
            if packed.getinfo(entry).flag_bits & _ENCRYPTED:
                problem = "is encrypted"
                remedy = "Unpack it with its password; the pictures may lie beside it."
            elif isinstance(error, RuntimeError):  # NotImplementedError is a child of it
                problem = f"is packed in a way that Python does not read here ({error})"
                remedy = "Unpack it with another program, or download it again if that fails too."
            else:
                problem = f"cannot be unpacked ({error})"
            raise CorruptData.of(self.file, entry, problem, remedy) from error

    def _zip(self) -> zipfile.ZipFile:
        # A fork shares the file offset with its parent, so each process opens its own. Threads may
        # race to be first: they open two, and one of them is dropped.
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            opened = self._opened = (os.getpid(), self._open())
        return opened[1]

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.file)
        except OSError as error:
            raise MissingData(f"cannot read {self.file} ({error.strerror}). {_READABLE}") from error
        except _BROKEN as error:
            problem = f"not a whole zip file ({error})"
            raise CorruptData.of(self.file, "", problem, RESTORE) from error

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "_opened": None}


@dataclass(frozen=True)
class Stored:
    """One picture's place.

    Attributes:
        file: The picture's own file, or the zip that holds it.
        entry: Full name inside the zip; empty for a file of its own.
        archive: The zip.
    """

    file: Path
    entry: str = ""
    archive: Archive | None = None

    def __str__(self) -> str:
        return f"{self.file}, {self.entry}" if self.entry else f"{self.file}"

    def picture(self, *, flags: int = cv2.IMREAD_COLOR) -> npt.NDArray[Any]:
        """Gives the pixels, as `decode` does.

        Raises:
            MissingData: The file cannot be read.
            CorruptData: It, its zip or its entry is damaged.
        """
        if self.archive is None:
            raw = read_bytes(self.file, remedy=_READABLE)
        else:
            raw = self.archive.read(self.entry)
        return decode(raw, file=self.file, record=self.entry, flags=flags)

    def corrupt(self, problem: str, remedy: str = RESTORE) -> CorruptData:
        """Gives the error that names the picture."""
        return CorruptData.of(self.file, self.entry, problem, remedy)


class Found(NamedTuple):
    """What lies in some folders and zips: pictures by name, and why the rest is not known."""

    pictures: dict[str, Stored]
    problems: list[VlnError]


def by_name(folders: Iterable[Path], archives: Iterable[Path] = ()) -> Found:
    """Gives everything that lies in folders (not below them) and anywhere in zips, by base name.

    Names have their extension in lower case. Of two with one name, the one of the earlier folder
    counts, and a folder before a zip. Folders and zips that do not exist hold nothing; hidden files
    and what macOS adds to zips do not count. A folder or zip that cannot be read is a problem, a
    `MissingData` or `CorruptData`, and all others are read nevertheless.
    """
    found = Found({}, [])
    for place in folders:
        _add(found, _loose, place)
    for file in archives:
        _add(found, _packed, file)
    return found


def listing(folder: Path) -> list[Path]:
    """Gives what lies in a folder, sorted by name; nothing where there is none.

    Raises:
        MissingData: It may not be listed.
    """
    try:
        return sorted(folder.iterdir(), key=_name) if folder.is_dir() else []
    except OSError as error:
        raise MissingData(f"cannot list {folder} ({error.strerror}). {_READABLE}") from error


def _name(file: Path) -> str:
    return file.name


def _add(
    found: Found, entries_of: Callable[[Path], Iterable[tuple[str, Stored]]], place: Path
) -> None:
    try:
        entries = entries_of(place)
    except VlnError as error:
        found.problems.append(error)
        return
    for name, stored in entries:
        if not name.startswith("."):
            stem, dot, extension = name.rpartition(".")
            found.pictures.setdefault(f"{stem}{dot}{extension.lower()}", stored)


def _loose(folder: Path) -> list[tuple[str, Stored]]:
    # Backwards, for lower case comes last: of a.jpg and a.JPG the first counts.
    return [(file.name, Stored(file)) for file in reversed(listing(folder))]


def _packed(file: Path) -> list[tuple[str, Stored]]:
    try:
        if not file.is_file():
            return []
    except OSError as error:  # the folder may not be entered
        raise MissingData(f"cannot read {file} ({error.strerror}). {_READABLE}") from error
    archive, found = Archive(file), []
    for entry in archive.entries():
        *folders, name = entry.replace("\\", "/").split("/")  # some Windows programs write those
        if name and _MAC not in folders:
            found.append((name, Stored(file, entry, archive)))
    return found
