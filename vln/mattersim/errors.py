"""Errors that are both: ours, and of the built-in class that the C++ simulator's errors arrive as.

Code written for MatterSim catches `ValueError` and the like; it goes on doing so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vln.errors import EpisodeOver, IllegalAction, MissingData, UnknownViewpoint, VlnError


class WrongArgument(VlnError, TypeError):
    """Raised when an argument is of a type that the C++ simulator's signature does not take."""


class NegativeIndex(IllegalAction, TypeError):
    """Raised for a negative action: an argument of no unsigned type to one API, illegal to both."""


class NoEpisode(EpisodeOver, ValueError):
    """Raised for an action after `initialize` and before `newEpisode`: no index is legal yet."""


class NotFinite(VlnError, ValueError):
    """Raised for a heading or an elevation that is infinite or no number."""


class TooShort(VlnError, IndexError):
    """Raised when a list holds fewer entries than the batch has environments."""


class UnknownScan(UnknownViewpoint, IndexError):
    """Raised when the navigation graph has no such scan."""


class NoSuchViewpoint(UnknownViewpoint, ValueError):
    """Raised when a scan has no such viewpoint, or excludes it from navigation."""


class MissingFiles(MissingData, ValueError):
    """Raised when scans.txt, a connectivity file or a picture is not there."""


class NotProvided(VlnError, NotImplementedError):
    """Raised by what the C++ module has and this one leaves to it."""


class NotPicklable(VlnError, TypeError):
    """Raised when a simulator is to be copied or sent to another process."""


class OtherMatterSim(VlnError, ImportError):
    """Raised when the C++ module was imported before ours could take its place."""


@contextmanager
def missing_is_value_error() -> Iterator[None]:
    """Turns `MissingData` into `MissingFiles`: the C++ simulator throws an invalid argument."""
    try:
        yield
    except MissingData as error:
        raise MissingFiles(str(error)) from None
