"""Names -> factories: how a data set, an encoder or an agent becomes one flag away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from vln.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Holds named things of one kind and suggests the nearest name for a typo."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Registers `entry` under `name` and gives it back.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        """Gives the entry called `name`.

        Raises:
            UnknownName: No such entry; the message suggests the closest.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownName.of(self.kind, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)
