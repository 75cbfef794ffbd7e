"""Memory that a client writes a request's items into and the server reads them from.

It is anonymous: the kernel frees it when the last process that holds it ends, however that is, and
there is no name that could be left over. It is sealed, so that it cannot become shorter than what
was mapped, and reserved, so that a machine without memory says so at once.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from vln.errors import BadFrame, CannotWrite
from vln.service.closable import Closable

Bytes = npt.NDArray[np.uint8]

MAX_SEGMENT: Final = 2**32
"""Bytes."""
_SPARE: Final = 2**26
"""Bytes that are left to the machine."""


class Segment(Closable):
    """Memory of one's own that another process can be given.

    Attributes:
        size: Bytes.
        data: (size,) uint8, all zero at first.

    Args:
        size: Bytes, one or more.

    Raises:
        CannotWrite: There is not so much memory.
    """

    def __init__(self, size: int) -> None:
        if not 1 <= size <= MAX_SEGMENT:
            raise CannotWrite(f"{size:,} bytes to be shared; expected 1 to {MAX_SEGMENT:,}.")
        _must_fit(size)
        self.size = size
        self._descriptor = _anonymous()
        try:
            _reserve(self._descriptor, size)
            self.data: Bytes = np.frombuffer(mmap.mmap(self._descriptor, size), dtype=np.uint8)
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def descriptor(self) -> int:
        """The file descriptor to be handed over; it stays open, and this one's own.

        Raises:
            ValueError: The segment is closed.
        """
        if self._descriptor < 0:
            raise ValueError("the segment is closed")
        return self._descriptor

    def close(self) -> None:
        """Gives it up; the memory is freed when nobody has a view of it any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self.data = np.empty(0, dtype=np.uint8)


def mapped(descriptor: int, size: int) -> Bytes:
    """Gives (size,) uint8, read-only, of a segment that another process made.

    The memory stays mapped as long as there are views of the array. The descriptor is closed,
    whatever happens.

    Args:
        descriptor: As it was received.
        size: Bytes that the other process says there are.

    Raises:
        BadFrame: It is no such memory, of another size, or could be made shorter.
    """
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size or size < 1:
            raise BadFrame(
                f"a segment of {found.st_size:,} bytes, announced with {size:,}. Expected shared "
                "memory of just that size."
            )
        _must_be_sealed(descriptor)
        shared = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    except OSError as error:
        raise BadFrame(f"a segment that cannot be mapped ({error.strerror}).") from None
    finally:
        os.close(descriptor)
    return np.frombuffer(shared, dtype=np.uint8)


def _anonymous() -> int:
    """Gives the descriptor of an empty file without a name."""
    if sys.platform == "linux":
        return os.memfd_create("vln-items", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptor, name = tempfile.mkstemp(prefix="vln-items-")
    Path(name).unlink()
    return descriptor


def _reserve(descriptor: int, size: int) -> None:
    """Makes a file as long as it shall be, for good, with memory behind every page."""
    try:
        os.ftruncate(descriptor, size)
        if sys.platform == "linux":
            os.posix_fallocate(descriptor, 0, size)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG, errno.EDQUOT):
            raise
        raise _no_room(size, error.strerror) from None


def _must_be_sealed(descriptor: int) -> None:
    """Checks that nobody can take the memory away under a reader, who would die of it."""
    if sys.platform != "linux":
        return
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0  # a file of another kind
    if not seals & fcntl.F_SEAL_SHRINK:
        raise BadFrame("a segment that is not sealed against shrinking. Use Segment to make one.")


def _must_fit(size: int) -> None:
    """Checks that the machine has so much memory to spare.

    Reserving more than there is does not fail: the kernel kills processes to make room.
    """
    free = _free()
    if free is not None and size + _SPARE > free:
        raise _no_room(size, f"{free:,} are free")


def _free() -> int | None:
    """Gives the bytes of memory that can be had without swapping; None where nobody says."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _read("/proc/meminfo"), flags=re.MULTILINE)
    limit, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    free = [int(found[1]) * 1024] if found else []
    if limit.strip().isdigit() and used.strip().isdigit():
        # Pages of files that were read are counted as used, and given back when others want them.
        stats = _read("/sys/fs/cgroup/memory.stat")
        cached = re.search(r"^inactive_file (\d+)$", stats, flags=re.MULTILINE)
        free.append(int(limit) - int(used) + (int(cached[1]) if cached else 0))
    return min(free, default=None)


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _no_room(size: int, reason: str | None) -> CannotWrite:
    return CannotWrite(
        f"no memory for {size:,} bytes of a request's items ({reason}). Ask for fewer items at a "
        "time, or free memory on this machine."
    )
