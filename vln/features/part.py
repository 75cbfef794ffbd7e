"""The file that a store's numbers are in while it is being made, and what the disk may refuse."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vln.errors import CannotWrite, VlnError
from vln.features.layout import Plan

MB: Final = 1e6
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_CANNOT_RESERVE: Final = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


class PartFile:
    """A `values.npy` in the making, open for reading and writing.

    It is written to, not mapped: a full disk under a mapped file would end the process without a
    word.

    Args:
        file: There already, as large as planned.
        plan: What is made.
    """

    def __init__(self, file: Path, plan: Plan) -> None:
        self._plan = plan
        self._header = len(plan.header)
        self._stream = io.FileIO(file, "r+")

    @staticmethod
    def is_there(file: Path, plan: Plan) -> bool:
        """Tells whether a file has the size that is planned."""
        return file.exists() and file.stat().st_size == plan.file_bytes

    @staticmethod
    def reserve(file: Path, plan: Plan) -> None:
        """Makes the file, as large as planned, so that a full disk is known at the start.

        Raises:
            OSError: There is no room; no file is left then.
        """
        file.unlink(missing_ok=True)
        try:
            with file.open("xb") as stream:
                stream.write(plan.header)
                stream.flush()
                _reserve(stream.fileno(), file, plan.file_bytes)
        except BaseException:
            file.unlink(missing_ok=True)
            raise

    def write(self, panorama: int, values: npt.NDArray[Any]) -> None:
        """Writes (n, 36, D) values, in the planned type, from a panorama on."""
        content = values.data.cast("B")
        self._seek(panorama)
        while content:
            content = content[self._stream.write(content) :]

    def digest(self, shard: range) -> str:
        """Gives the sha256 (hex) of a shard as it is in the file."""
        self._seek(shard.start)
        return sha256_of(self._stream, len(shard) * self._plan.row_bytes)

    def sync(self) -> None:
        """Puts what was written on the disk."""
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def _seek(self, panorama: int) -> None:
        self._stream.seek(self._header + panorama * self._plan.row_bytes)


def sha256_of(stream: io.FileIO, size: int) -> str:
    """Gives the sha256 (hex) of the next bytes of a file, of fewer where it ends before."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(min(size, 2**20) or 1))
    while size:
        count = stream.readinto(buffer[: min(size, len(buffer))])
        if not count:
            break
        digest.update(buffer[:count])
        size -= count
    return digest.hexdigest()


def in_type(values: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Gives values as they are stored: contiguous, little-endian, too large ones infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))


def _reserve(handle: int, file: Path, size: int) -> None:
    try:
        os.posix_fallocate(handle, 0, size)
    except AttributeError:  # not on every system
        pass
    except OSError as error:  # not on every disk
        if error.errno not in _CANNOT_RESERVE:
            raise
    else:
        return
    if shutil.disk_usage(file.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.truncate(handle, size)


@contextlib.contextmanager
def disk_errors(folder: Path, *, needed: int, kept: str = "") -> Iterator[None]:
    """Turns what the disk refuses into one of our errors.

    Args:
        folder: What is written.
        needed: Bytes that it takes.
        kept: What becomes of what was written so far, a sentence.

    Raises:
        CannotWrite: The disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except VlnError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            told = (
                f": the disk is full. What is written takes {needed / MB:,.1f} MB, and "
                f"{_free(folder) / MB:,.1f} MB are free. Make room, or choose another disk."
            )
        elif error.errno == errno.EFBIG:
            told = (
                f": what is written takes {needed / MB:,.1f} MB, and no file may be as large here. "
                "Raise the limit (`ulimit -f`), or choose another disk."
            )
        else:
            told = (
                f" cannot be written ({error.strerror or error}). Make it writable, or choose "
                "another folder."
            )
        raise CannotWrite(f"{folder}{told} {kept}".rstrip()) from error


def sync_folder(folder: Path) -> None:
    """Puts a folder's names on the disk."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
