"""Checks of what callers hand over, as strict as the C++ simulator's signatures."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from vln.mattersim.errors import TooShort, WrongArgument


def entries(values: Any, count: int, *, what: str) -> Sequence[Any]:  # noqa: ANN401
    """Gives a list's entries as they are: a list, tuple, array or any other sequence.

    Args:
        values: What was handed over.
        count: How many are needed; more are ignored, as in C++.
        what: Their name in errors.

    Raises:
        WrongArgument: Not a sequence, or a string.
        TooShort: Fewer than `count`.
    """
    if not isinstance(values, list | tuple):
        values = _as_list(values, f"{what}: expected a list of {count}, one per environment, not ")
    if len(values) < count:
        raise TooShort(f"{what}: {len(values)} given for a batch of {count} environments.")
    given: Sequence[Any] = values
    return given


def _as_list(values: Any, problem: str) -> list[Any]:  # noqa: ANN401
    to_list = getattr(values, "tolist", None)  # of arrays and tensors
    given = to_list() if to_list is not None else values
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise WrongArgument(f"{problem}{_shown(values)}.")
    return list(given)


def texts(values: Any, count: int, *, what: str) -> list[str]:  # noqa: ANN401
    """Gives `count` strings of a list; takes and raises as `entries`."""
    given = entries(values, count, what=what)
    return [text(value, what=f"{what}, entry {n}") for n, value in enumerate(given[:count])]


def numbers(values: Any, count: int, *, what: str) -> list[float]:  # noqa: ANN401
    """Gives `count` floats of a list; takes and raises as `entries`."""
    given = entries(values, count, what=what)
    return [number(value, what=f"{what}, entry {n}") for n, value in enumerate(given[:count])]


def text(value: Any, *, what: str) -> str:  # noqa: ANN401
    """Gives a string, or raises `WrongArgument`."""
    if not isinstance(value, str):
        raise WrongArgument(f"{what}: expected a string, not {_shown(value)}.")
    return value


def number(value: Any, *, what: str) -> float:  # noqa: ANN401
    """Gives a float, or raises `WrongArgument`."""
    if isinstance(value, str | bytes):
        raise WrongArgument(f"{what}: expected a number, not {_shown(value)}.")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise WrongArgument(f"{what}: expected a number, not {_shown(value)}.") from None


def integer(value: Any, *, what: str, least: int | None = None) -> int:  # noqa: ANN401
    """Gives an int of at least `least`, or raises `WrongArgument`."""
    try:
        whole = operator.index(value)
    except TypeError:
        raise WrongArgument(f"{what}: expected a whole number, not {_shown(value)}.") from None
    if least is not None and whole < least:
        raise WrongArgument(f"{what}: expected {least} or more, not {whole}.")
    return whole


def not_numbers(
    indices: Sequence[Any], headings: Sequence[Any], elevations: Sequence[Any]
) -> WrongArgument | None:
    """Gives the error that names the first entry of an action that has a wrong type, if any."""
    try:
        for n, index in enumerate(indices):
            integer(index, what=f"makeAction's indices, entry {n}")
        for name, values in (("headings", headings), ("elevations", elevations)):
            for n, value in enumerate(values):
                number(value, what=f"makeAction's {name}, entry {n}")
    except WrongArgument as error:
        return error
    return None


def _shown(value: object) -> str:
    return f"{str(value)[:40]!r} ({type(value).__name__})"
