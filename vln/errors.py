"""One tree of errors for callers' mistakes.

Every message says what was given, what was expected and what to do. Broken invariants of our own
are `assert`s and never appear here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VlnError(Exception):
    """Raised when a caller's input cannot be used; the base of all others."""


class UnknownName(VlnError, ValueError):
    """Raised when a registry, split or option does not hold the name asked for."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str]) -> UnknownName:
        """Gives the error for `name`, with the closest known name as a suggestion."""
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return cls(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


class MissingData(VlnError, FileNotFoundError):
    """Raised when a data file or folder is not where it is expected."""


class MissingFeatures(MissingData):
    """Raised when an encoder has neither features nor weights to make them from."""


class MissingWeights(MissingData):
    """Raised when an encoder's weights are neither here nor to be had."""


class CorruptData(VlnError, ValueError):
    """Raised when a file is truncated, has a wrong type or contradicts the graph."""

    @classmethod
    def of(cls, file: object, record: str, problem: str, remedy: str) -> CorruptData:
        """Gives the error that names file, record, problem and remedy."""
        where = f"{file}, {record}" if record else f"{file}"
        return cls(f"{where}: {problem}. {remedy}")


class BadPredictions(CorruptData):
    """Raised when a prediction file cannot be scored."""


class UnknownViewpoint(VlnError, KeyError):
    """Raised when a scan or viewpoint is not in the graph."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote the sentence


class Unreachable(VlnError, ValueError):
    """Raised when two viewpoints lie in different components or scans."""


class IllegalAction(VlnError, ValueError):
    """Raised when an action is masked in the state it is taken in."""


class EpisodeOver(VlnError, RuntimeError):
    """Raised when an environment is stepped before its first reset or after its end."""


class BadConfig(VlnError, ValueError):
    """Raised when a setting has a value that cannot work."""


class CheckpointMismatch(VlnError, ValueError):
    """Raised when saved weights or a saved run do not fit what is asked of them."""


class CannotWrite(VlnError, OSError):
    """Raised when what was made finds no room on the disk, or may not be written there."""


class InUse(VlnError, RuntimeError):
    """Raised when another process is already writing what was to be written."""


class BadImage(VlnError, ValueError):
    """Raised when an array or picture cannot be encoded."""


class EncodingFailed(VlnError, RuntimeError):
    """Raised when an encoder could not answer a request; other requests are not concerned."""


class OutOfMemory(EncodingFailed):
    """Raised when a single item does not fit into the device's memory."""


class ServiceBusy(VlnError, RuntimeError):
    """Raised when a request finds no room in a service's queue in the time it was given."""


class ServiceClosed(VlnError, RuntimeError):
    """Raised when a request meets a service that has been closed."""


class BadFrame(VlnError, ValueError):
    """Raised when what arrives on a connection is nothing that a client or server of ours sends."""
