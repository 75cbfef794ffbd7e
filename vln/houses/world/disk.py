"""Folders and files that houses write: whole or not at all, by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vln.errors import BadConfig, CannotWrite, VlnError
from vln.runs import atomic

logger = logging.getLogger(__name__)

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""When zip files say that they were written: the first there is, so that bytes repeat."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def put(file: Path, content: bytes) -> None:
    """Writes a file, which appears whole or not at all."""
    with atomic(file) as stream:
        stream.write(content)


def pack(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Adds a compressed file to a zip; the same contents give the same bytes."""
    member = zipfile.ZipInfo(name, EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    packed.writestr(member, content)


@contextlib.contextmanager
def disk_errors(folder: Path, *, kept: str, elsewhere: str) -> Iterator[None]:
    """Turns what the disk refuses into one line that names the folder.

    Args:
        folder: What is written.
        kept: What becomes of what was written so far, a sentence.
        elsewhere: What to do where the folder cannot be written to.

    Raises:
        CannotWrite: The disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except (VlnError, FileNotFoundError):  # something to read is gone: no fault of this folder
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise CannotWrite(f"{folder}: the disk is full. Make room. {kept}") from error
        raise CannotWrite(
            f"{folder}: cannot be written ({error.strerror}). Make it writable, or {elsewhere}"
        ) from error


@contextlib.contextmanager
def alone(folder: Path, *, waits: bool) -> Iterator[None]:
    """Makes a folder and keeps every other process out that asks for it here.

    The folder itself is locked, so that no lock file lies about.

    Args:
        folder: Made where missing.
        waits: Whether one waits for another process, and says so, or refuses.

    Raises:
        BadConfig: Another process is at it, and `waits` is not set.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:  # not on Windows: two processes then write the same bytes twice
        folder.mkdir(parents=True, exist_ok=True)
        yield
        return
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            _lock(handle, folder, waits=waits)
            if _is_still(handle, folder):
                yield
                return
        finally:
            os.close(handle)


def _lock(handle: int, folder: Path, *, waits: bool) -> None:
    """Locks an open folder for this process."""
    import fcntl as locks

    try:
        locks.flock(handle, locks.LOCK_EX | locks.LOCK_NB)
    except BlockingIOError:
        if not waits:
            raise BadConfig(
                f"another process writes to {folder}. Let it finish, or choose another folder with "
                "--out."
            ) from None
        logger.warning("another process makes %s; waiting for it", folder)
        locks.flock(handle, locks.LOCK_EX)
    except OSError as error:  # some network disks know no locks for folders
        logger.warning(
            "%s cannot be locked (%s): run one process at a time", folder, error.strerror
        )


def _is_still(handle: int, folder: Path) -> bool:
    """Tells whether an open folder still has its name: who held it may have renamed it."""
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False
