"""What a pickle would import, found without running it.

Knows nothing of tensors.
"""

from __future__ import annotations

import pickletools
from typing import IO, Any, Final

_STRINGS: Final = frozenset(
    ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING")
)
_PUTS: Final = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS: Final = frozenset(("GET", "BINGET", "LONG_BINGET"))
_GLOBALS: Final = frozenset(("GLOBAL", "INST"))
_MALFORMED: Final = (ValueError, EOFError, IndexError, KeyError, OverflowError, MemoryError)
"""What pickletools raises on bytes that are no pickle."""


def named_globals(stream: IO[bytes]) -> list[str]:
    """Gives the dotted names of what a pickle imports, in order of appearance.

    Reads up to the pickle's end, or to where it is damaged. Names that are put together on the
    stack in roundabout ways may be missed: this is for messages, not a guard.
    """
    found: list[str] = []
    memo: dict[int, Any] = {}  # of strings; others count, for their numbers
    strings: list[Any] = []
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            name = opcode.name
            if name in _GLOBALS:
                found.append(str(argument).replace(" ", "."))
            elif name == "STACK_GLOBAL":
                found.append(".".join(map(str, strings[-2:])))
            elif name in _STRINGS:
                strings.append(argument)
            elif name in _GETS:
                strings.append(memo.get(int(str(argument)), "?"))
            elif name == "MEMOIZE" or name in _PUTS:
                place = len(memo) if argument is None else int(str(argument))
                memo[place] = strings[-1] if strings else "?"
    except _MALFORMED:
        pass  # what was found before is what there is to say
    return list(dict.fromkeys(found))


def is_tame(pickled: bytes) -> bool:
    """Tells whether a pickle is whole and small in what it makes Python's unpickler hold.

    The unpickler's table of things to refer back to is as long as the largest number in the
    pickle says, tens of gigabytes for five bytes.
    """
    try:
        places = (
            argument for code, argument, _ in pickletools.genops(pickled) if code.name in _PUTS
        )
        return all(int(place) <= len(pickled) for place in map(str, places))
    except _MALFORMED:
        return False
