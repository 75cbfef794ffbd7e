"""The waiting line of one group, and what is known of how much of it the device can hold."""

from __future__ import annotations

from vln.service.requests import Group, Request, Slice

FIRST_PATIENCE = 16
"""Full batches that must go well before a limit learnt from a failure is probed."""

LAST_PATIENCE = 1024
"""Where doubling that number ends."""


class Ceiling:
    """How many items of a group go to the device at once.

    Starts at the service's own limit, is halved when a batch does not fit, and grows back by a
    quarter after a number of full batches: memory that was short may be free again. A larger batch
    is a probe, whose failure costs a batch, so each failure doubles that number.

    Args:
        most: The service's limit.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.items = most
        self._proven = 0
        self._full = 0
        self._patience = FIRST_PATIENCE

    @property
    def is_learnt(self) -> bool:
        """Whether the device has shown less room than the service's limit."""
        return self.items < self.most

    def worked(self, count: int) -> None:
        """Notes that a batch of this many items went well."""
        if not self.is_learnt or count < self.items:
            return
        if count > self._proven:
            self._proven = count
            self._patience = FIRST_PATIENCE
        self._full += 1
        if self._full >= self._patience:
            self._full = 0
            self.items = min(self.most, self.items + max(1, self.items // 4))

    def overflowed(self, count: int) -> None:
        """Notes that a batch of this many items did not fit."""
        if count <= self._proven:  # memory is shorter than it was
            self._proven = 0
        if self._proven:
            self._patience = min(2 * self._patience, LAST_PATIENCE)
        self.items = max(1, min(self.items, max(count // 2, self._proven)))
        self._full = 0


class Lane:
    """Requests of one group that have items not yet in a batch, by client, oldest first.

    Args:
        group: Which.
        most: The service's limit on a batch.
    """

    def __init__(self, group: Group, most: int) -> None:
        self.group = group
        self.ceiling = Ceiling(most)
        self.queues: dict[int, dict[int, Request]] = {}
        self.waiting = 0

    @property
    def is_full(self) -> bool:
        """Whether enough waits for a whole batch."""
        return self.waiting >= self.ceiling.items

    def enter(self, request: Request) -> None:
        """Puts a request at the end of its client's queue."""
        if len(request.job.askers) == 1:
            self.waiting += request.job.count - request.job.taken
        self.queues.setdefault(request.client, {})[request.number] = request

    def leave(self, request: Request) -> bool:
        """Takes a request out of its client's queue; gives whether it stood there."""
        queue = self.queues.get(request.client, {})
        if queue.pop(request.number, None) is None:
            return False
        if not queue:
            del self.queues[request.client]
        return True

    def head(self, client: int) -> Request:
        """Gives the oldest waiting request of a client that has one."""
        return next(iter(self.queues[client].values()))

    @property
    def oldest(self) -> float:
        """When the request that waits longest was asked; something must wait."""
        return min(self.head(client).asked_at for client in self.queues)

    def take(self, client: int, room: int) -> Slice:
        """Gives the next items, at most `room`, of a client's oldest request.

        The request stays in line, even when nothing of it is left.
        """
        request = self.head(client)
        job = request.job
        start, stop = job.taken, min(job.count, job.taken + room)
        job.taken = stop
        self.waiting -= stop - start
        return Slice(job, start, stop, request)
