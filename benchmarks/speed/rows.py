"""What a measurement is: repeated timings of one piece of work, and a row of the results table.

Knows nothing of what is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Clock = Literal["cpu", "wall"]


@dataclass(frozen=True)
class Timing:
    """Repeats of one piece of work.

    Attributes:
        cpu: Seconds of processor time per repeat, all threads of the process together.
        wall: Seconds on the clock per repeat.
        clock: Which of them speaks: `cpu` for one thread, which other programs then do not
            disturb; `wall` for several threads or a GPU.
    """

    cpu: tuple[float, ...]
    wall: tuple[float, ...]
    clock: Clock = "cpu"

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds per repeat by the clock that speaks."""
        return self.cpu if self.clock == "cpu" else self.wall


def measure(
    work: Callable[[], object], *, repeats: int, warm_up: int = 1, clock: Clock = "cpu"
) -> Timing:
    """Gives the timings of a piece of work.

    Args:
        work: Is called again and again; on a GPU it must wait for the device itself.
        repeats: Timed calls.
        warm_up: Calls before them.
        clock: Which clock speaks.
    """
    for _ in range(warm_up):
        work()
    cpu, wall = [], []
    for _ in range(repeats):
        start_cpu, start_wall = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - start_cpu)
        wall.append(time.perf_counter() - start_wall)
    return Timing(tuple(cpu), tuple(wall), clock)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the results.

    Attributes:
        group: Which measurement it belongs to.
        name: What was done.
        unit: Of all values.
        value: Median over repeats.
        low: Smallest repeat.
        high: Largest repeat.
        repeats: How many.
        wall: The median by the wall clock, where the value is by processor time.
        incumbent: MatterSim's or EnvDrop's value, where known.
        rising: Whether more is better.
        note: What a reader needs to know.
        details: Other numbers of the same measurement, units in the keys.
    """

    group: str
    name: str
    unit: str
    value: float
    low: float
    high: float
    repeats: int
    wall: float | None = None
    incumbent: float | None = None
    rising: bool = False
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def times_better(self) -> float | None:
        """How many times better than the incumbent, None where there is none."""
        if self.incumbent is None:
            return None
        return self.value / self.incumbent if self.rising else self.incumbent / self.value

    def as_object(self) -> dict[str, Any]:
        """Gives the row for programs."""
        return {**asdict(self), "times_better": self.times_better}


def seconds_row(
    group: str,
    name: str,
    timing: Timing,
    *,
    per: float = 1,
    **rest: Any,  # noqa: ANN401
) -> Row:
    """Gives the seconds that one of `per` equal parts of the work takes.

    Args:
        group: As in `Row`.
        name: As in `Row`.
        timing: Of the whole work.
        per: Number of parts.
        **rest: Further fields of `Row`.
    """
    return _row(group, name, [s / per for s in timing.seconds], timing, per=per, unit="s", **rest)


def rate_row(
    group: str,
    name: str,
    timing: Timing,
    *,
    count: float,
    unit: str,
    **rest: Any,  # noqa: ANN401
) -> Row:
    """Gives how many of `count` equal things the work does per second.

    Args:
        group: As in `Row`.
        name: As in `Row`.
        timing: Of the whole work.
        count: Things done in it.
        unit: Such as `steps/s`.
        **rest: Further fields of `Row`.
    """
    rates = [count / s for s in timing.seconds]
    return _row(group, name, rates, timing, count=count, unit=unit, rising=True, **rest)


def _row(
    group: str,
    name: str,
    values: list[float],
    timing: Timing,
    *,
    per: float = 1,
    count: float | None = None,
    **rest: Any,  # noqa: ANN401
) -> Row:
    wall = statistics.median(timing.wall)
    by_wall = wall / per if count is None else count / wall
    return Row(
        group=group,
        name=name,
        value=statistics.median(values),
        low=min(values),
        high=max(values),
        repeats=len(values),
        wall=by_wall if timing.clock == "cpu" else None,
        **rest,
    )


def value_row(group: str, name: str, value: float, *, unit: str, **rest: Any) -> Row:  # noqa: ANN401
    """Gives a row for a single value that is no time."""
    return Row(
        group=group, name=name, unit=unit, value=value, low=value, high=value, repeats=1, **rest
    )
