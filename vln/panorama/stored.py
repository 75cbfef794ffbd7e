"""Where the bytes of pictures lie: in folders and in zip files, found by base name.

Knows nothing of what the names mean.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy.typing as npt

from vln.data.locations import RESTORE, read_bytes
from vln.errors import CorruptData, MissingData
from vln.panorama.decode import decode

# What zipfile raises on damaged, encrypted or exotic entries; it has no error of its own for all.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError)


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
            raise CorruptData.of(
                self.file, entry, f"cannot be unpacked ({error})", RESTORE
            ) from error

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
            remedy = "Check that it is there and may be read."
            raise MissingData(f"cannot read {self.file} ({error.strerror}). {remedy}") from error
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
        raw = self.archive.read(self.entry) if self.archive else read_bytes(self.file)
        return decode(raw, file=self.file, record=self.entry, flags=flags)

    def corrupt(self, problem: str, remedy: str = RESTORE) -> CorruptData:
        """Gives the error that names the picture."""
        return CorruptData.of(self.file, self.entry, problem, remedy)


def by_name(folders: Iterable[Path], archives: Iterable[Path] = ()) -> dict[str, Stored]:
    """Gives everything that lies in folders (not below them) and anywhere in zips, by base name.

    Of two with one name, the one of the earlier folder counts, and a folder before a zip. Folders
    and zips that do not exist hold nothing; hidden files do not count.

    Raises:
        CorruptData: A zip cannot be read.
    """
    found: dict[str, Stored] = {}
    for stored in (*_loose(folders), *_packed(archives)):
        name = PurePosixPath(stored.entry).name if stored.entry else stored.file.name
        if not name.startswith("."):  # among them what macOS adds to zips, `._` and the name
            found.setdefault(name, stored)
    return found


def _loose(folders: Iterable[Path]) -> Iterator[Stored]:
    for folder in filter(Path.is_dir, folders):
        for file in folder.iterdir():
            yield Stored(file)


def _packed(files: Iterable[Path]) -> Iterator[Stored]:
    for file in filter(Path.is_file, files):
        archive = Archive(file)
        for entry in archive.entries():
            if not entry.endswith("/"):
                yield Stored(file, entry, archive)
