"""Checks of what callers hand over, as strict as the C++ simulator's signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vln.mattersim.errors import TooShort, WrongArgument

SMALLEST, LARGEST = -(1 << 31), (1 << 32) - 1  # of C++'s int, of its unsigned int
FOREIGN: Final = (ArithmeticError, RuntimeError, TypeError, ValueError)
"""What numbers of other libraries raise where they cannot be what is asked of them."""


def entries(
    values: Any,  # noqa: ANN401
    count: int,
    *,
    what: str,
    whole: bool = False,
) -> Sequence[Any]:
    """Gives a list's entries as they are: a list, tuple, array or any other sequence.

    Args:
        values: What was handed over.
        count: How many are needed; more are ignored, as in C++.
        what: Their name in errors.
        whole: They are for `integer`, to which float32 and Python's float are not the same.

    Raises:
        WrongArgument: Not a sequence, or a string.
        TooShort: Fewer than `count`.
    """
    if not isinstance(values, list | tuple):
        problem = f"{what}: expected a list of {count}, one per environment, not "
        values = _as_list(values, problem, whole=whole)
    if len(values) < count:
        raise TooShort(f"{what}: {len(values)} given for a batch of {count} environments.")
    given: Sequence[Any] = values
    return given


def _as_list(values: Any, problem: str, *, whole: bool) -> list[Any]:  # noqa: ANN401
    if getattr(values, "ndim", 0) == 1 and hasattr(values, "tolist"):  # an array or a tensor
        given: list[Any] = values.tolist()
        if not (whole and given and isinstance(given[0], float)):
            return given
    # A sequence is what has these two, as C++'s binding sees it too.
    kind = type(values)
    is_sequence = hasattr(kind, "__getitem__") and hasattr(kind, "__len__")
    if not is_sequence or isinstance(values, str | bytes | Mapping):
        raise WrongArgument(f"{problem}{_shown(values)}.")
    try:
        return [values[n] for n in range(len(values))]
    except TypeError:  # an array of no dimension
        raise WrongArgument(f"{problem}{_shown(values)}.") from None


def texts(values: Any, count: int, *, what: str) -> list[str]:  # noqa: ANN401
    """Gives `count` strings of a list; takes and raises as `entries`."""
    given = entries(values, count, what=what)
    return [text(value, what=f"{what}, entry {n}") for n, value in enumerate(given[:count])]


def numbers(values: Any, count: int, *, what: str) -> list[float]:  # noqa: ANN401
    """Gives `count` floats of a list; takes and raises as `entries`."""
    given = entries(values, count, what=what)
    return [number(value, what=f"{what}, entry {n}") for n, value in enumerate(given[:count])]


def integers(values: Any, count: int, *, what: str) -> list[int]:  # noqa: ANN401
    """Gives `count` ints of a list; takes and raises as `entries`."""
    given = entries(values, count, what=what, whole=True)
    return [integer(value, what=f"{what}, entry {n}") for n, value in enumerate(given[:count])]


def text(value: Any, *, what: str) -> str:  # noqa: ANN401
    """Gives a string, also of UTF-8 bytes, or raises `WrongArgument`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise WrongArgument(f"{what}: expected UTF-8, not {_shown(value)}.") from None
    raise WrongArgument(f"{what}: expected a string, not {_shown(value)}.")


def flag(value: Any, *, what: str) -> bool:  # noqa: ANN401
    """Gives the truth of a bool, None or number, or raises `WrongArgument`: 'False' is true."""
    if value is None or hasattr(type(value), "__bool__"):
        try:
            return bool(value)
        except FOREIGN:  # an array of several
            pass
    raise WrongArgument(f"{what}: expected True or False, not {_shown(value)}.")


def number(value: Any, *, what: str) -> float:  # noqa: ANN401
    """Gives the float that a number is, or an array of one, or raises `WrongArgument`."""
    try:
        return float(_of_one(value, "__float__"))
    except FOREIGN:
        raise WrongArgument(f"{what}: expected a number, not {_shown(value)}.") from None


def integer(value: Any, *, what: str, least: int = SMALLEST) -> int:  # noqa: ANN401
    """Gives an int of at least `least`, or raises `WrongArgument`.

    Takes what C++'s binding takes: everything that can be an int, cut off, except Python's float
    and NumPy's float64, which is one.
    """
    try:
        if isinstance(value, float):
            raise TypeError(value)
        whole = int(_of_one(value, "__int__", "__trunc__"))
    except FOREIGN:
        raise WrongArgument(f"{what}: expected a whole number, not {_shown(value)}.") from None
    if not least <= whole <= LARGEST:
        raise WrongArgument(
            f"{what}: expected {least} or more, and {LARGEST} at most, not {_shown(value)}."
        )
    return whole


def _of_one(value: Any, *conversions: str) -> Any:  # noqa: ANN401
    """Gives a number itself, or what an array or tensor of one number holds."""
    item = getattr(value, "item", None)
    alone = value if item is None else item()
    # Not left to int and float, which read strings and buffers too.
    if not any(hasattr(alone, conversion) for conversion in (*conversions, "__index__")):
        raise TypeError(value)
    return alone


def _shown(value: object) -> str:
    try:
        shown = str(value)
    except ValueError:  # an int of more digits than Python writes
        shown = "..."
    return f"{shown[:40]!r} ({type(value).__name__})"
