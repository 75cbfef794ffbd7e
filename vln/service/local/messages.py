"""What a client may say, checked field by field: a header in, a record out.

Knows nothing of sockets, and of what becomes of a message. The server's answers are made where they
are known, in `vln.service.local.connection`; the client reads them in `vln.service.local.remote`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final, TypeVar

import numpy as np

from vln.errors import BadFrame
from vln.service.local.segment import MAX_SEGMENT

Kind = TypeVar("Kind")

MAX_TEXT: Final = 4096
"""Characters of a name or key."""
_SHOWN: Final = 60
_MAX_DIMENSIONS: Final = 8
_MAX_ID: Final = 2**53  # what every JSON reader keeps apart
_DTYPE: Final = re.compile(r"\|[biu]1|<[iu][248]|<f[248]")


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message.

    Attributes:
        version: Of the wire.
        name: Of the client, for people.
        pid: Its process.
        expect: Fingerprints by encoder; empty where any will do.
    """

    version: int
    name: str
    pid: int
    expect: dict[str, str]


@dataclass(frozen=True, slots=True)
class Share:
    """A segment that comes with the message.

    Attributes:
        id: The client's name for it.
        size: Bytes.
    """

    id: int
    size: int


@dataclass(frozen=True, slots=True)
class Release:
    """A segment that is not used any more.

    Attributes:
        id: Which.
    """

    id: int


@dataclass(frozen=True, slots=True)
class Encode:
    """A request for features.

    Attributes:
        id: The client's name for it.
        encoder: Handle.
        kind: What is asked of it.
        segment: Where the items lie.
        offset: Their first byte.
        shape: Theirs.
        dtype: Theirs.
        key: Their identity, empty where unknown.
    """

    id: int
    encoder: str
    kind: str
    segment: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    key: str

    @property
    def size(self) -> int:
        """Bytes of the items."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Tokens:
    """A request for the tokens of texts.

    Attributes:
        id: The client's name for it.
        encoder: Handle.
        texts: Which.
    """

    id: int
    encoder: str
    texts: list[str]


@dataclass(frozen=True, slots=True)
class Cancel:
    """A request that is not waited for any more.

    Attributes:
        id: Which.
    """

    id: int


@dataclass(frozen=True, slots=True)
class StatusAsked:
    """A question for the server's status."""


Message = Hello | Share | Release | Encode | Tokens | Cancel | StatusAsked


def understood(header: Mapping[str, Any]) -> Message:
    """Gives what a header says.

    Raises:
        BadFrame: It says nothing that a client may say.
    """
    op = header.get("op")
    if not isinstance(op, str) or op not in _READERS:
        raise BadFrame(
            f"a message {str(op)[:_SHOWN]!r}; expected one of {', '.join(sorted(_READERS))}."
        )
    return _READERS[op](header)


def _hello(header: Mapping[str, Any]) -> Hello:
    expect = _field(header, "expect", dict)
    if not all(isinstance(value, str) for value in expect.values()):
        raise _unexpected(header, "expect", "fingerprints by encoder")
    return Hello(_number(header, "version"), _text(header, "name"), _number(header, "pid"), expect)


def _share(header: Mapping[str, Any]) -> Share:
    return Share(_number(header, "id"), _number(header, "size", most=MAX_SEGMENT))


def _encode(header: Mapping[str, Any]) -> Encode:
    return Encode(
        id=_number(header, "id"),
        encoder=_text(header, "encoder"),
        kind=_text(header, "kind"),
        segment=_number(header, "segment"),
        offset=_number(header, "offset", most=MAX_SEGMENT),
        shape=_shape(header),
        dtype=_dtype(header),
        key=_text(header, "key"),
    )


def _tokens(header: Mapping[str, Any]) -> Tokens:
    texts = _field(header, "texts", list)
    if not all(isinstance(text, str) for text in texts):
        raise _unexpected(header, "texts", "strings")
    return Tokens(_number(header, "id"), _text(header, "encoder"), texts)


_READERS: Final[dict[str, Callable[[Mapping[str, Any]], Message]]] = {
    "hello": _hello,
    "segment": _share,
    "release": lambda header: Release(_number(header, "id")),
    "encode": _encode,
    "tokens": _tokens,
    "cancel": lambda header: Cancel(_number(header, "id")),
    "status": lambda _: StatusAsked(),
}


def _field(header: Mapping[str, Any], name: str, kind: type[Kind]) -> Kind:
    value = header.get(name)
    if type(value) is not kind:  # a truth value is an int to isinstance
        raise _unexpected(header, name, f"a {kind.__name__}")
    return value


def _number(header: Mapping[str, Any], name: str, *, most: int = _MAX_ID) -> int:
    value = _field(header, name, int)
    if not 0 <= value <= most:
        raise _unexpected(header, name, f"0 to {most}")
    return value


def _text(header: Mapping[str, Any], name: str) -> str:
    value = _field(header, name, str)
    if len(value) > MAX_TEXT:
        raise _unexpected(header, name, f"at most {MAX_TEXT} characters")
    return value


def _shape(header: Mapping[str, Any]) -> tuple[int, ...]:
    sides = _field(header, "shape", list)
    is_shape = 1 <= len(sides) <= _MAX_DIMENSIONS and all(type(side) is int for side in sides)
    if not is_shape or not all(0 <= side <= MAX_SEGMENT for side in sides):
        raise _unexpected(header, "shape", f"1 to {_MAX_DIMENSIONS} sides, 0 or more each")
    return tuple(sides)


def _dtype(header: Mapping[str, Any]) -> np.dtype[Any]:
    value = _field(header, "dtype", str)
    if not _DTYPE.fullmatch(value):
        raise _unexpected(header, "dtype", "a NumPy type of little-endian numbers, such as |u1")
    return np.dtype(value)


def _unexpected(header: Mapping[str, Any], name: str, expected: str) -> BadFrame:
    given = repr(header.get(name))[:_SHOWN]
    return BadFrame(f"a message {header['op']!r} with {name} {given}; expected {expected}.")
