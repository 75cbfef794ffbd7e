"""How long the simulator's parts took, reported in the C++ simulator's words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timers:
    """Seconds since the first episode and in each part, since the last reset.

    Attributes:
        frames: Pictures rendered; a reset leaves them, as in C++.
        preloading: Seconds of pre-loading; a reset leaves them too.
        process: Seconds inside the simulator.
        loading: Seconds of reading panoramas.
        rendering: Seconds of rendering.
        reading: Seconds of turning renderings into what the state holds.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.preloading = 0.0
        self.reset()

    def reset(self) -> None:
        """Starts anew; the wall clock stands until the next episode."""
        self._begun: float | None = None
        self.process = self.loading = self.rendering = self.reading = 0.0

    def begin(self) -> None:
        """Starts the wall clock if it stands."""
        if self._begun is None:
            self._begun = time.perf_counter()

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Adds the time that the block takes to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + time.perf_counter() - start)

    def report(self) -> str:
        """Gives the lines that `timingInfo` has."""
        wall = 0.0 if self._begun is None else time.perf_counter() - self._begun
        return (
            f"Preloading images: {self.preloading / 60:g} minutes\n"
            f"Rendered {self.frames} frames\n"
            f"Wall time: {1000 * wall:g} ms, ({self._rate(wall):g} fps)\n"
            f"Process time: {1000 * self.process:g} ms, ({self._rate(self.process):g} fps)\n"
            f"\tImage loading: {1000 * self.loading:g} ms\n"
            f"\tRendering: {1000 * self.rendering:g} ms\n"
            f"\tReading rendered image: {1000 * self.reading:g} ms\n"
        )

    def _rate(self, seconds: float) -> float:
        return self.frames / seconds if seconds else 0.0
