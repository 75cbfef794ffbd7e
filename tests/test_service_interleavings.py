"""The batching core under everything that can happen to it, in any order."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vln.errors import EncodingFailed, ServiceBusy
from vln.service.core import Batcher
from vln.service.requests import Group, Limits

IMAGES = Group("e", "images", (2, 2, 3), "|u1")
GRID = Group("e", "grid", (2, 2, 3), "|u1")
FAILED = EncodingFailed("the encoder failed")


def finish(batcher, batch, now) -> list:
    return batcher.finish(batch, [piece.start for piece in batch.slices], now=now)


class Interleavings(RuleBasedStateMachine):
    """Whatever happens in whatever order, the promises hold."""

    def __init__(self):
        super().__init__()
        self.limits = Limits(max_batch=4, max_queue_items=12, max_queue_bytes=100)
        self.batcher = Batcher(self.limits)
        self.now = 0.0
        self.open = []
        self.flying = []
        self.asked = {}
        self.ended = []
        self.left = set()
        self.encoded = Counter()

    def note(self, ended):
        self.ended.extend(request.number for request in ended)
        assert all(request.has_ended for request in ended)

    @rule()
    def open_client(self):
        if len(self.open) < 4:
            self.open.append(self.batcher.open("client"))

    @precondition(lambda self: self.open)
    @rule(
        data=st.data(),
        group=st.sampled_from([IMAGES, GRID]),
        items=st.integers(1, 6),
        size=st.integers(0, 30),
        key=st.sampled_from(["", "k", "l"]),
    )
    def ask(self, data, group, items, size, key):
        client = data.draw(st.sampled_from(self.open))
        try:
            request = self.batcher.ask(client, group, items, size=size, key=key, now=self.now)
        except ServiceBusy:
            return
        self.asked[request.number] = request

    @precondition(lambda self: self.open)
    @rule(data=st.data(), items=st.integers(1, 6))
    def ask_what_is_known(self, data, items):
        client = data.draw(st.sampled_from(self.open))
        before = [n for n, one in self.asked.items() if one.client == client and not one.has_ended]
        try:
            request = self.batcher.ask(client, IMAGES, items, key="k", now=self.now, known="rows")
        except ServiceBusy:
            return
        self.asked[request.number] = request
        self.note(self.batcher.settle(client, now=self.now))
        assert request.has_ended == (not before)

    @rule()
    def take(self):
        due = self.batcher.deadline(self.now)
        batch = self.batcher.take(self.now)
        if due is None or due > self.now:
            assert batch is None
        if batch is None:
            later = self.batcher.deadline(self.now)
            assert later is None or later > self.now
        else:
            assert 1 <= batch.count <= self.limits.max_batch
            assert {piece.job.group for piece in batch.slices} == {batch.group}
            assert len({id(piece.job) for piece in batch.slices}) == len(batch.slices)
            assert all(not piece.source.has_ended for piece in batch.slices)
            self.flying.append(batch)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def finish(self, data):
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        for piece in batch.slices:
            if not piece.job.has_ended:
                self.encoded.update((id(piece.job), i) for i in range(piece.start, piece.stop))
        self.note(finish(self.batcher, batch, self.now))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), how=st.sampled_from(["fail", "overflow"]))
    def fail(self, data, how):
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        if how == "fail":
            self.note(self.batcher.fail(batch, FAILED, now=self.now))
        else:
            self.note(self.batcher.overflow(batch, "full", now=self.now))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data):
        request = data.draw(st.sampled_from(list(self.asked.values())))
        if not request.has_ended:
            self.left.add(request.number)
        self.note(self.batcher.cancel(request, FAILED, now=self.now))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close_client(self, data):
        client = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.note(self.batcher.close(client, FAILED))

    @rule(step=st.sampled_from([0.0005, 0.002, 1.0]))
    def pass_time(self, step):
        self.now += step

    @invariant()
    def the_queue_is_bounded_and_its_books_are_right(self):
        alive = [request for request in self.asked.values() if not request.has_ended]
        assert self.batcher.room.items == sum(request.job.count for request in alive)
        assert self.batcher.room.bytes == sum(request.size for request in alive)
        assert self.batcher.room.items <= self.limits.max_queue_items
        assert self.batcher.room.bytes <= self.limits.max_queue_bytes
        assert self.batcher.flying_items == sum(batch.count for batch in self.flying)

    @invariant()
    def every_request_has_ended_once_or_not_yet(self):
        assert len(self.ended) == len(set(self.ended))
        assert set(self.ended) == {n for n, request in self.asked.items() if request.has_ended}

    @invariant()
    def every_client_is_answered_in_its_order(self):
        for client in {request.client for request in self.asked.values()}:
            mine = [n for n in self.ended if self.asked[n].client == client and n not in self.left]
            assert mine == sorted(mine)

    @invariant()
    def nothing_is_encoded_twice(self):
        assert set(self.encoded.values()) <= {1}

    @invariant()
    def one_job_stands_for_all_that_ask_for_the_same(self):
        alive = [request.job for request in self.asked.values() if not request.job.has_ended]
        keyed = {(job.group, job.count, job.key): id(job) for job in alive if job.key}
        assert len(keyed) == len({id(job) for job in alive if job.key})

    @invariant()
    def the_lanes_hold_what_waits(self):
        lanes = self.batcher._lanes.values()
        for lane in lanes:
            jobs = {id(r.job): r.job for queue in lane.queues.values() for r in queue.values()}
            assert lane.waiting == sum(job.count - job.taken for job in jobs.values())
        for number, party in self.batcher.parties.items():
            assert party.waiting == sum(len(lane.queues.get(number, ())) for lane in lanes)

    def teardown(self):
        """All that is left ends when the device works on, in a bounded number of batches."""
        waiting = sum(not request.has_ended for request in self.asked.values())
        budget = 2 * self.limits.max_queue_items + len(self.flying) + 1
        for _ in range(budget):
            while self.flying:
                self.note(finish(self.batcher, self.flying.pop(), self.now))
            self.now += 1.0
            batch = self.batcher.take(self.now)
            if batch is None:
                break
            self.flying.append(batch)
        assert waiting <= self.limits.max_queue_items
        assert all(request.has_ended for request in self.asked.values())
        assert self.batcher.room.items == self.batcher.flying_items == 0


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


@given(
    flood=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([IMAGES, GRID]), st.integers(1, 9)),
        min_size=1,
        max_size=40,
    ),
    before=st.integers(0, 10),
    group=st.sampled_from([IMAGES, GRID]),
)
def test_whoever_asks_for_one_item_waits_for_one_batch_of_each_other_client_at_most(
    flood, before, group
):
    batcher = Batcher(Limits(max_batch=4))
    clients = [batcher.open(f"{i}") for i in range(5)]
    for client, kind, items in flood:
        batcher.ask(clients[client], kind, items, now=0.0)
    now = 1.0
    for _ in range(before):
        if batch := batcher.take(now):
            finish(batcher, batch, now)
        now += 1.0

    asked = batcher.ask(clients[4], group, 1, now=now)
    batches = 0
    while not asked.has_ended:
        now += 1.0
        finish(batcher, batcher.take(now), now)
        batches += 1

    assert batches <= len(clients)
