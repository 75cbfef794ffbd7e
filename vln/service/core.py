"""The batching core: which requests go to the device together, when, and who gets which answer.

A state machine without threads, clock or arrays: requests, batches that come back and the time are
handed in, batches and ended requests are handed out. Whoever owns it keeps the lock, calls the
device and wakes the clients; a server of several processes can be built around it as it is.

What it promises:

- A batch holds items of one group, at most the limit, out of one or several requests.
- On an idle device it goes when it is full; or when its oldest request has waited long enough; or
  at once when nobody is expected. A client is expected for that same time after its answer, as long
  as it has not asked again: clients that ask in step stay in step, one alone never waits.
- While a batch is on the device the next is given ahead only under load, when some group could
  fill one: then it can be made ready in the meantime, and nobody could join it later anyway.
- Clients get equal shares of the device, in items, and one that comes back after a pause gets no
  credit for it (start-time fair queueing: Goyal, Vin and Cheng 1996, with whole requests as
  packets). The oldest request goes first among clients that have had the same.
- A client's answers and errors become available in the order in which it asked.
- Requests with the same group, number of items and non-empty key are encoded once; one whose
  answer is known already takes its turn among its client's answers, not on the device.
- Every request ends exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from vln.errors import OutOfMemory, VlnError
from vln.service.lane import Lane
from vln.service.parties import Counts, Party
from vln.service.requests import Batch, Group, Job, Limits, Request, Slice
from vln.service.room import Room


class Batcher:
    """Requests in, batches out, batches back, ended requests out.

    Methods that may end requests give them, in the order in which they must become available.

    Args:
        limits: Of batches, waiting and queue.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.counts = Counts()
        self.parties: dict[int, Party] = {}
        self.room = Room(limits)
        self.flying_items = 0
        self._max_wait = limits.max_wait_ms / 1000
        self._numbers = count()
        self._lanes: dict[Group, Lane] = {}
        self._again: deque[Batch] = deque()
        self._twins: dict[tuple[Group, int, str], Job] = {}
        self._recent: dict[int, float] = {}  # who has nothing outstanding, since when; in order
        self._idle_since = 0.0
        self._floor = 0  # what the last client served had had

    # Asking.

    def open(self, name: str) -> int:
        """Gives the number of a new client."""
        number = next(self._numbers)
        self.parties[number] = Party(number, name)
        return number

    def ask(
        self,
        client: int,
        group: Group,
        items: int,
        *,
        now: float,
        size: int = 0,
        key: str = "",
        payload: Any = None,  # noqa: ANN401 - its owner's
        known: Any = None,  # noqa: ANN401 - opaque
    ) -> Request:
        """Gives a new request, which waits to be encoded.

        Args:
            client: An open client.
            group: What the items are.
            items: How many, one or more.
            now: The time, in seconds.
            size: Their bytes.
            key: Their identity; requests of one group with the same one are encoded once.
            payload: What the owner wants to find in the request.
            known: Its answer, where there is one: it ends by `settle`, when its turn has come.

        Raises:
            BadConfig: It exceeds the whole queue.
            ServiceBusy: There is no room now.
        """
        if not self.room.fits(items, size):
            raise self.room.busy(items, size)
        party = self.parties[client]
        job = self._job(group, items, key) if known is None else self._done(group, items, known)
        request = Request(next(self._numbers), client, job, size, now, payload)
        job.askers[request.number] = request
        party.outstanding[request.number] = request
        party.asked += 1
        self.room.enter(items, size)
        self._recent.pop(client, None)
        if job.taken < job.count:
            self._enter(party, request)
        return request

    def _job(self, group: Group, items: int, key: str) -> Job:
        if not key:
            return Job(group, items, key)
        twin = self._twins.get((group, items, key))
        if twin is not None:
            self.counts.deduplicated += 1
            twin.is_shared = True
            return twin
        return self._twins.setdefault((group, items, key), Job(group, items, key))

    def _done(self, group: Group, items: int, known: Any) -> Job:  # noqa: ANN401
        self.counts.recalled += 1
        parts = [(0, known)]
        return Job(group, items, "", taken=items, encoded=items, parts=parts, has_ended=True)

    def settle(self, client: int, *, now: float) -> list[Request]:
        """Gives the requests of a client that end because their answers were known."""
        return self._release([client], now)

    def _enter(self, party: Party, request: Request) -> None:
        if not party.waiting:
            party.served = max(party.served, self._floor)
        party.waiting += 1
        self._lane(request.job.group).enter(request)

    def _lane(self, group: Group) -> Lane:
        if group not in self._lanes:
            self._lanes[group] = Lane(group, self.limits.max_batch)
        return self._lanes[group]

    # Batches.

    def take(self, now: float) -> Batch | None:
        """Gives the next batch, or None where nothing must go yet.

        It must come back by `finish`, `fail` or `overflow`.
        """
        batch = self._repeated() or self._fresh(now)
        if batch is not None:
            self.flying_items += batch.count
        return batch

    def deadline(self, now: float) -> float | None:
        """Gives the time from which `take` gives a batch though nothing else happens, or None."""
        if self._again or self._ready(now):
            return now
        waiting = [lane.oldest for lane in self._lanes.values() if lane.queues]
        expected = self._expected_until(now)
        if self.flying_items or not waiting or expected is None:
            return None
        return min(max(min(waiting), self._idle_since) + self._max_wait, expected)

    def _ready(self, now: float) -> list[Lane]:
        """Gives the lanes that a batch may be taken from."""
        lanes = [lane for lane in self._lanes.values() if lane.queues]
        is_loaded = any(lane.is_full for lane in lanes)
        if not is_loaded and self.flying_items:
            return []
        if not is_loaded and self._expected_until(now) is None:
            return lanes
        # Under load the device is never idle, and what fills no batch must have its turn, too.
        since = float("-inf") if is_loaded else self._idle_since
        return [
            lane
            for lane in lanes
            if lane.is_full or max(lane.oldest, since) + self._max_wait <= now
        ]

    def _expected_until(self, now: float) -> float | None:
        """Gives how long to wait for clients that were answered just now; None without any."""
        since = next(reversed(self._recent.values()), None)
        if since is not None and since + self._max_wait > now:
            return since + self._max_wait
        self._recent.clear()
        return None

    def _fresh(self, now: float) -> Batch | None:
        heads = [lane.head(client) for lane in self._ready(now) for client in lane.queues]
        if not heads:
            return None
        first = min(heads, key=self._turn)
        self._floor = max(self._floor, self.parties[first.client].served)
        return self._filled(self._lanes[first.job.group])

    def _turn(self, request: Request) -> tuple[int, int]:
        return self.parties[request.client].served, request.number

    def _filled(self, lane: Lane) -> Batch:
        slices = list[Slice]()
        room = lane.ceiling.items
        while room and lane.queues:
            head = min(map(lane.head, lane.queues), key=self._turn)
            piece = lane.take(head.client, room)
            room -= piece.stop - piece.start
            self.parties[head.client].serve(piece.stop - piece.start)
            slices.append(piece)
            if piece.stop == piece.job.count:
                self._leave_lane(piece.job.askers.values())
        self._sweep(lane)
        return Batch(lane.group, tuple(slices))

    def _repeated(self) -> Batch | None:
        while self._again:
            batch = self._again.popleft().alive()
            if batch is None:
                continue
            lane = self._lanes.get(batch.group)
            most = lane.ceiling.items if lane else self.limits.max_batch
            if batch.count > most:
                batch, rest = batch.cut(most)
                self._again.appendleft(rest)
            return batch
        return None

    # Batches that come back.

    def finish(self, batch: Batch, parts: Sequence[Any], *, now: float) -> list[Request]:
        """Takes a batch's answers, one for each slice, and gives the requests that end by it."""
        self._landed(batch, now)
        self.counts.batches += 1
        self.counts.items += batch.count
        if batch.group in self._lanes:
            lane = self._lanes[batch.group]
            lane.ceiling.worked(batch.count)
            self._sweep(lane)
        whole = list[Job]()
        for piece, part in zip(batch.slices, parts, strict=True):
            job = piece.job
            if job.has_ended:
                continue
            job.parts.append((piece.start, part))
            job.encoded += piece.stop - piece.start
            if job.encoded == job.count:
                whole.append(job)
        return self._end(whole, None, now=now)

    def fail(self, batch: Batch, error: VlnError, *, now: float) -> list[Request]:
        """Takes back a batch that could not be encoded, and gives the requests that end by it.

        The jobs of a batch of several are tried again, each on its own: one bad image must fail
        alone.
        """
        self._landed(batch, now)
        if len(batch.slices) > 1:
            self.counts.repeats += 1
            self._again.extend(batch.by_job())
            return []
        return self._end([batch.slices[0].job], error, now=now)

    def overflow(self, batch: Batch, reason: str, *, now: float) -> list[Request]:
        """Takes back a batch that did not fit into memory, and gives the requests that end by it.

        It is tried again in halves, which go first. A single item that does not fit ends its job.

        Args:
            batch: Which.
            reason: What the device said.
            now: The time, in seconds.
        """
        self._landed(batch, now)
        if batch.count == 1:
            error = OutOfMemory(
                f"{batch.group}: one item alone does not fit into the device's memory ({reason}). "
                "Use smaller items, a smaller encoder, or free memory on the device."
            )
            return self._end([batch.slices[0].job], error, now=now)
        self.counts.splits += 1
        self._lane(batch.group).ceiling.overflowed(batch.count)
        self._again.extendleft(reversed(batch.cut((batch.count + 1) // 2)))
        return []

    def _landed(self, batch: Batch, now: float) -> None:
        self.flying_items -= batch.count
        self._idle_since = now

    # Ending.

    def cancel(self, request: Request, error: VlnError, *, now: float) -> list[Request]:
        """Ends a request with an error, if it has not ended, and gives what ends by it.

        Others that wait for the same items still get them; what nobody waits for any more is not
        encoded.
        """
        if request.has_ended:
            return []
        ended = [self._drop(self.parties[request.client], request, error)]
        return ended + self._release([request.client], now)

    def close(self, client: int, error: VlnError) -> list[Request]:
        """Forgets a client: its requests end, with an error where they have no answer yet."""
        party = self.parties.pop(client)
        self._recent.pop(client, None)
        return [
            self._drop(party, request, request.job.error if request.job.has_ended else error)
            for request in list(party.outstanding.values())
        ]

    def stop(self, error: VlnError, *, now: float) -> list[Request]:
        """Ends what is not yet wholly in batches, and gives the requests that end by it."""
        waiting = [
            request.job
            for lane in self._lanes.values()
            for queue in lane.queues.values()
            for request in queue.values()
        ]
        return self._end(waiting, error, now=now)

    def abort(self, error: VlnError, *, now: float) -> list[Request]:
        """Ends everything, batches on the device included, and gives the requests."""
        self._again.clear()
        parties = self.parties.values()
        jobs = [request.job for party in parties for request in party.outstanding.values()]
        return self._end(jobs, error, now=now)

    def _end(self, jobs: Iterable[Job], error: VlnError | None, *, now: float) -> list[Request]:
        clients = dict[int, None]()
        for job in jobs:
            if job.has_ended:
                continue
            self._forget(job)
            job.error = error
            clients.update((request.client, None) for request in job.askers.values())
        return self._release(clients, now)

    def _forget(self, job: Job) -> None:
        """Marks a job as ended: nothing of it waits, and nobody can join it."""
        job.has_ended = True
        if self._twins.get((job.group, job.count, job.key)) is job:
            del self._twins[job.group, job.count, job.key]
        if job.taken < job.count:
            self._leave_lane(job.askers.values())
            lane = self._lanes[job.group]
            lane.waiting -= job.count - job.taken
            self._sweep(lane)

    def _release(self, clients: Iterable[int], now: float) -> list[Request]:
        """Ends the requests whose turn it is, in each client's order."""
        ended = list[Request]()
        for client in clients:
            party = self.parties[client]
            while party.outstanding:
                request = next(iter(party.outstanding.values()))
                if not request.job.has_ended:
                    break
                ended.append(self._drop(party, request, request.job.error))
            if not party.outstanding:
                self._recent.pop(client, None)
                self._recent[client] = now
        return ended

    def _drop(self, party: Party, request: Request, error: VlnError | None) -> Request:
        """Ends one request, with an error or with its job's answer."""
        job = request.job
        if not job.has_ended:
            self._desert(party, request)
        del job.askers[request.number]  # or each would keep the other's arrays in memory
        del party.outstanding[request.number]
        self.room.leave(job.count, request.size)
        request.has_ended, request.error = True, error
        if error is None:
            party.answered += 1
            self.counts.answered += 1
        else:
            self.counts.failed += 1
        return request

    def _desert(self, party: Party, request: Request) -> None:
        """Takes an asker away from a job, and the job out of the world if it was the last."""
        job = request.job
        if len(job.askers) == 1:
            self._forget(job)
        elif job.taken < job.count and self._lanes[job.group].leave(request):
            party.waiting -= 1

    def _leave_lane(self, requests: Iterable[Request]) -> None:
        for request in requests:
            if self._lanes[request.job.group].leave(request) and request.client in self.parties:
                self.parties[request.client].waiting -= 1

    def _sweep(self, lane: Lane) -> None:
        """Forgets a group that has nothing waiting and nothing learnt."""
        if not lane.queues and not lane.ceiling.is_learnt:
            self._lanes.pop(lane.group, None)
