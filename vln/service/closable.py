"""What is closed at the end of a `with` block."""

from __future__ import annotations

from typing import TypeVar

Self = TypeVar("Self", bound="Closable")


class Closable:
    """Closes itself when its `with` block ends, however that is."""

    def close(self) -> None:
        """Ends it; what that means is its own."""
        raise NotImplementedError

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
