"""Files from the web: resumed where they broke off, verified, whole or not there at all.

Knows no weights.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from filelock import FileLock, Timeout
from tqdm import tqdm

from vln.errors import CannotWrite, CorruptData, MissingData, MissingWeights

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
"""For a connection, and for the next bytes on one."""
_CHUNK: Final = 1 << 20
_TRIES: Final = 5
"""Connections to one file that may break off, as long as each brings something."""
_PARTIAL, _NOT_THAT_PART = 206, 416
_PLACE = re.compile(r"bytes (\d+)-(\d+)/(?:\d+|\*)")
_BROKEN_OFF = (OSError, http.client.HTTPException)
"""What a connection raises that breaks, TimeoutError and ssl's errors among the OSErrors."""
_AGENT: Final = {"User-Agent": "vln-toolkit"}


def download(url: str, file: Path, *, sha256: str) -> None:
    """Downloads a file that appears under its name only when it is whole and verified.

    What has come lies in `FILE.part` meanwhile, and a later call goes on from there where the
    server allows it. Of several processes one downloads and the others wait for its file. A bar on
    standard error shows how far it is.

    Args:
        url: Where it is.
        file: Where it goes; its folder is made.
        sha256: Of the whole file, in hex; or the beginning of it.

    Raises:
        MissingWeights: The host cannot be reached or does not give the file.
        CorruptData: What came, or what lies there, has another checksum. What came is removed.
        CannotWrite: There is no room for it, or no leave to write.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _alone(file):
            if file.exists():
                verify(file, sha256=sha256, remedy="Remove it to download it again.")
            else:
                _fetch(url, _Part.of(file), sha256=sha256).path.replace(file)
    except OSError as error:
        if isinstance(error, MissingData | CannotWrite):
            raise
        raise _unwritable(file, error) from error


def file_sha256(file: Path) -> str:
    """Gives a file's SHA-256 in hex, without holding it in memory.

    Raises:
        MissingWeights: It cannot be read.
    """
    try:
        return str(_hash_of(file).hexdigest())
    except OSError as error:
        raise MissingWeights(
            f"cannot read {file} ({error.strerror}). Check that it is there and may be read."
        ) from error


def verify(file: Path, *, sha256: str, remedy: str) -> None:
    """Reads a file and checks its SHA-256, or the beginning of it.

    Raises:
        MissingWeights: It cannot be read.
        CorruptData: It has another one.
    """
    found = file_sha256(file)
    if not found.startswith(sha256):
        raise CorruptData.of(file, "", f"its sha256 is {found}, expected {sha256}", remedy)


@dataclass
class _Part:
    """What has come of a file so far.

    Attributes:
        path: Where it lies.
        size: In bytes.
        hash: Of all of it.
    """

    path: Path
    size: int
    hash: Any

    @classmethod
    def of(cls, file: Path) -> _Part:
        path = file.with_name(f"{file.name}.part")
        if not path.exists():
            return cls(path, 0, hashlib.sha256())
        return cls(path, path.stat().st_size, _hash_of(path))

    def clear(self) -> None:
        """Drops all of it."""
        self.path.unlink(missing_ok=True)
        self.size, self.hash = 0, hashlib.sha256()

    def is_whole(self, sha256: str) -> bool:
        """Tells whether this is the file with that checksum."""
        return bool(self.hash.hexdigest().startswith(sha256))


def _hash_of(file: Path) -> Any:  # noqa: ANN401
    whole = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            whole.update(chunk)
    return whole


def _alone(file: Path) -> FileLock:
    """Gives a lock that only one process holds at a time, once the others are done."""
    lock = FileLock(file.with_name(f".{file.name}.lock"))
    try:
        with lock.acquire(timeout=0):
            pass
    except Timeout:
        logger.info("waiting for another process that downloads %s", file)
    return lock


def _fetch(url: str, part: _Part, *, sha256: str) -> _Part:
    """Gives the part when it is whole and verified."""
    for _ in range(_TRIES):
        if part.size and part.is_whole(sha256):
            break
        before = part.size
        whole, reason = _attempt(url, part)
        if whole:
            break
        if part.size <= before:
            raise MissingWeights(f"cannot download {url} ({reason}).")
    else:
        raise MissingWeights(
            f"cannot download {url} ({_TRIES} connections broke off; the next attempt goes on from "
            f"the {part.size} bytes in {part.path})."
        )
    if not part.is_whole(sha256):
        found = part.hash.hexdigest()
        part.clear()
        problem = f"what came from {url} has sha256 {found}, expected {sha256}"
        raise CorruptData.of(part.path, "", problem, "It was removed; try again.")
    return part


def _attempt(url: str, part: _Part) -> tuple[bool, str]:
    """Adds to the part what one connection brings; tells whether that was all, else why not."""
    request = urllib.request.Request(url, headers=_AGENT)
    if part.size:
        request.add_header("Range", f"bytes={part.size}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            if answer.status != _PARTIAL:
                part.clear()  # the server begins anew
            elif part.size and not _goes_on(answer, part):
                part.clear()
                return _attempt(url, part)
            return _receive(answer, part)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == _NOT_THAT_PART and part.size:
                part.clear()  # longer than the file: it is another one's beginning
                return _attempt(url, part)
            return False, f"{error.code} {error.reason}"
    except CannotWrite:
        raise
    except _BROKEN_OFF as error:
        cause = getattr(error, "reason", error)
        return False, getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _goes_on(answer: Any, part: _Part) -> bool:  # noqa: ANN401
    """Tells whether an answer begins where the part ends."""
    place = _PLACE.fullmatch(answer.headers.get("Content-Range", ""))
    return place is not None and int(place[1]) == part.size


def _receive(answer: Any, part: _Part) -> tuple[bool, str]:  # noqa: ANN401
    length = int(answer.headers.get("Content-Length") or 0)
    total = part.size + length if length else None
    with (
        _opened(part) as stream,
        tqdm(
            total=total,
            initial=part.size,
            desc=part.path.stem,
            unit="B",
            unit_scale=True,
            leave=False,
        ) as bar,
    ):
        while chunk := answer.read(_CHUNK):
            _append(stream, chunk, part)
            bar.update(len(chunk))
    if total and part.size < total:
        return False, f"the connection broke off after {part.size} of {total} bytes"
    return True, ""


def _opened(part: _Part) -> IO[bytes]:
    try:
        return part.path.open("ab", buffering=0)
    except OSError as error:
        raise _unwritable(part.path, error) from error


def _append(stream: IO[bytes], chunk: bytes, part: _Part) -> None:
    """Adds bytes to what has come; unbuffered, so that a full disk shows here."""
    rest = memoryview(chunk)
    while rest:
        try:
            written = stream.write(rest)
        except OSError as error:
            raise _unwritable(part.path, error) from error
        part.hash.update(rest[:written])
        part.size += written
        rest = rest[written:]


def _unwritable(file: Path, error: OSError) -> CannotWrite:
    return CannotWrite(
        f"cannot write {file} ({error.strerror or error}). Make room, or choose another folder; "
        "what has come is kept in the .part file and the next attempt goes on from there."
    )
