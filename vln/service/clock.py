"""Time, handed in from outside so that tests of waiting need no sleep."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What a service asks of time."""

    def now(self) -> float:
        """Gives the time in seconds from an arbitrary start; never goes back."""
        ...

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Waits until the condition, whose lock is held, is notified or the time is over.

        May return early: callers look again at what they wait for, and at `now`.

        Args:
            condition: What may be notified.
            timeout_s: Longest wait in seconds; None for any.
        """
        ...


class WallClock:
    """The machine's own monotonic time."""

    def now(self) -> float:
        """Gives the monotonic time in seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Waits on the condition itself."""
        if timeout_s is not None:
            # Longer than this overflows a lock's timeout; to look again after years does no harm.
            timeout_s = min(timeout_s, threading.TIMEOUT_MAX)
        condition.wait(timeout_s)
