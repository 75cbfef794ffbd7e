"""How much a service may hold at once."""

from __future__ import annotations

from vln.errors import BadConfig, ServiceBusy
from vln.service.requests import Limits


class Room:
    """Items and bytes that were asked for and not yet answered.

    Args:
        limits: How many there may be.
    """

    def __init__(self, limits: Limits) -> None:
        self.items = 0
        self.bytes = 0
        self._limits = limits

    def fits(self, items: int, size: int) -> bool:
        """Whether there is room for a request of this many items and bytes.

        Raises:
            BadConfig: There never will be.
        """
        limits = self._limits
        if items > limits.max_queue_items or size > limits.max_queue_bytes:
            raise BadConfig(
                f"a request of {items} items, {size} bytes; this service's queue holds "
                f"{limits.max_queue_items} items, {limits.max_queue_bytes} bytes. Ask for fewer at "
                "a time, or raise max_queue_items or max_queue_bytes."
            )
        return (
            self.items + items <= limits.max_queue_items
            and self.bytes + size <= limits.max_queue_bytes
        )

    def busy(self, items: int, size: int) -> ServiceBusy:
        """Gives the error for a request that finds none."""
        return ServiceBusy(
            f"the queue holds {self.items} items, {self.bytes} bytes, and there is no room for "
            f"{items} items, {size} bytes. Ask again later, or allow more time."
        )

    def enter(self, items: int, size: int) -> None:
        """Notes a request that was let in."""
        self.items += items
        self.bytes += size

    def leave(self, items: int, size: int) -> None:
        """Notes a request that has ended."""
        self.items -= items
        self.bytes -= size
