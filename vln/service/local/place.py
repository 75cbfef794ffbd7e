"""Where a server's socket lies, who may have it, and what is left of one that was killed.

Knows nothing of what is said over it.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from vln.errors import BadConfig, InUse
from vln.service.closable import Closable

NAME: Final = "encoders.sock"
_BACKLOG: Final = 128
_MAX_PATH: Final = 107
"""Bytes that the system's address of a socket holds, without the zero at its end."""
_CREDENTIALS: Final = struct.Struct("3i")  # process, user, group


def default_socket() -> Path:
    """Gives where server and clients of one user meet where nobody says otherwise."""
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    if folder:
        return Path(folder) / "vln-toolkit" / NAME
    return Path(tempfile.gettempdir()) / f"vln-toolkit-{os.getuid()}" / NAME


def peer(sock: socket.socket) -> tuple[int, int]:
    """Gives process and user at the other end; 0 and our own user where the system says neither."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return 0, os.getuid()  # the folder and the socket's mode have to do there
    data = sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


def must_be_ours(sock: socket.socket, path: Path) -> None:
    """Checks that the server at the other end belongs to this user, before it is told anything.

    Raises:
        BadConfig: It is somebody else's.
    """
    pid, uid = peer(sock)
    if uid not in (0, os.getuid()):
        raise BadConfig(
            f"the server at {path} (process {pid}) belongs to user {uid}, not to you. Start one of "
            "your own, at another path (--socket)."
        )


def address(path: Path) -> str:
    """Gives the address of a socket.

    Raises:
        BadConfig: The system has no such sockets, or the path is too long for one.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise BadConfig("this system has no Unix sockets. Use an EncoderService in the process.")
    size = len(os.fsencode(path))
    if size > _MAX_PATH:
        raise BadConfig(
            f"the socket's path {path} has {size} bytes; the system takes {_MAX_PATH}. Choose a "
            "shorter one with --socket."
        )
    return str(path)


class Place(Closable):
    """A socket's path that is ours until it is closed, or we end.

    Args:
        path: Of the socket; its folder is made where it is not there.

    Raises:
        InUse: Another server has it.
        BadConfig: It cannot be a socket, or others could put theirs in its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._address = address(path)
        self._mine: tuple[int, int] | None = None
        try:
            _prepare(path.parent)
            # Held for as long as the server lives; the kernel lets go of it however it ends.
            self._lock = FileLock(path.with_name(f".{path.name}.lock"), mode=0o600)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InUse(_taken(path, _answering(self._address))) from None
        except OSError as error:
            raise BadConfig(
                f"no socket can be made at {path} ({error.strerror}). Choose another path with "
                "--socket."
            ) from None
        try:
            self._clear()
        except BaseException:
            self._lock.release()
            raise

    def _clear(self) -> None:
        """Removes what a server that was killed left there."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise BadConfig(
                f"{self.path} is there and no socket. Choose another path with --socket, or remove "
                "it."
            )
        pid = _answering(self._address)  # one that has no lock is not ours, but it is somebody's
        if pid is not None:
            raise InUse(_taken(self.path, pid))
        self.path.unlink(missing_ok=True)

    def listen(self) -> socket.socket:
        """Gives the socket, listening and not blocking; only its owner may connect."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(self._address)
            found = self.path.lstat()
            self._mine = found.st_dev, found.st_ino
            self.path.chmod(0o600)  # before anybody can connect
            sock.listen(_BACKLOG)
            sock.settimeout(0)
        except OSError as error:
            sock.close()
            raise BadConfig(
                f"cannot listen at {self.path} ({error.strerror}). Choose another path with "
                "--socket."
            ) from None
        return sock

    def withdraw(self) -> None:
        """Removes the socket, if it is still the one that was made here."""
        if self._mine is not None:
            with suppress(OSError):
                found = self.path.lstat()
                if (found.st_dev, found.st_ino) == self._mine:
                    self.path.unlink()
            self._mine = None

    def close(self) -> None:
        """Removes the socket and leaves the path to others."""
        self.withdraw()
        self._lock.release()


def _prepare(folder: Path) -> None:
    """Makes a socket's folder, or checks that nobody else can change what lies in it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    is_shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    if is_shared or found.st_uid not in (0, os.getuid()):
        raise BadConfig(
            f"the folder {folder} can be changed by others, who could put a socket of theirs in "
            "place of ours. Choose another path with --socket, or allow only yourself to write "
            "there (chmod 700)."
        )


def _answering(where: str) -> int | None:
    """Gives the process that answers at an address, 0 where unknown; None where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(0)
        try:
            sock.connect(where)
        except BlockingIOError:
            return 0  # so many wait there that there is no room for one more
        except OSError as error:
            is_nobody = error.errno in (errno.ECONNREFUSED, errno.ENOENT)
            return None if is_nobody else 0  # it may be somebody whom we must not ask
        return peer(sock)[0]


def _taken(path: Path, pid: int | None) -> str:
    who = f"process {pid}" if pid else "another process"
    return (
        f"{path} is in use: {who} serves encoders there, or is about to. Use that one (`python -m "
        f"vln.service status --socket {path}` tells which encoders it has), stop it, or choose "
        "another path with --socket."
    )
