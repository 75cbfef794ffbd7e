"""The batching core as a state machine: no threads, no clock, no arrays."""

from collections import Counter

import pytest

from vln.errors import BadConfig, BadImage, EncodingFailed, OutOfMemory, ServiceBusy, ServiceClosed
from vln.service.core import Batcher
from vln.service.lane import FIRST_PATIENCE, Ceiling
from vln.service.requests import Group, Limits

IMAGES = Group("e", "images", (2, 2, 3), "|u1")
GRID = Group("e", "grid", (2, 2, 3), "|u1")
WAIT = 0.002
FAILED = EncodingFailed("the encoder failed")


@pytest.fixture
def core():
    """Makes cores of small batches."""

    def make(max_batch=4, **changes) -> Batcher:
        return Batcher(Limits(max_batch=max_batch, **changes))

    return make


def sizes(batch) -> list:
    """Gives the clients of a batch's slices with their first and last items."""
    return [(piece.source.client, piece.start, piece.stop) for piece in batch.slices]


def finish(batcher, batch, now=0.0) -> list:
    return batcher.finish(batch, [piece.start for piece in batch.slices], now=now)


def drain(batcher, now=0.0) -> list:
    """Encodes all that waits, as soon as it may go; gives the batches."""
    batches = []
    while (due := batcher.deadline(now)) is not None:
        now = max(now, due)
        batches.append(batcher.take(now))
        finish(batcher, batches[-1], now)
    return batches


def is_expected(batcher, client, now=0.0) -> None:
    """Makes a client one that has just been answered."""
    batcher.ask(client, IMAGES, 1, now=now)
    drain(batcher, now)


class TestWhenABatchGoes:
    def test_a_client_alone_does_not_wait(self, core):
        batcher = core()
        client = batcher.open("a")
        is_expected(batcher, client)

        batcher.ask(client, IMAGES, 1, now=0.001)

        assert batcher.deadline(0.001) == 0.001
        assert batcher.take(0.001).count == 1

    def test_a_request_waits_for_a_client_that_was_just_answered(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        is_expected(batcher, b)

        batcher.ask(a, IMAGES, 1, now=0.0)
        early = batcher.take(0.001)
        batcher.ask(b, IMAGES, 1, now=0.001)
        together = batcher.take(0.001)

        assert early is None
        assert sizes(together) == [(a, 0, 1), (b, 0, 1)]

    def test_it_waits_no_longer_than_the_maximum(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        is_expected(batcher, b)
        batcher.ask(a, IMAGES, 1, now=0.0)

        due = batcher.deadline(0.0)

        assert due == WAIT
        assert batcher.take(due - 1e-6) is None
        assert batcher.take(due).count == 1

    def test_the_wait_is_counted_from_when_the_device_is_idle(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        batcher.ask(b, IMAGES, 1, now=0.0)
        running = batcher.take(0.0)
        batcher.ask(a, IMAGES, 1, now=0.001)
        finish(batcher, running, now=5.0)

        early = batcher.take(5.0)

        assert early is None
        assert batcher.deadline(5.0) == 5.0 + WAIT

    def test_a_full_batch_goes_at_once(self, core):
        batcher = core(max_batch=4)
        a, b = batcher.open("a"), batcher.open("b")
        is_expected(batcher, b)

        batcher.ask(a, IMAGES, 6, now=0.0)

        assert sizes(batcher.take(0.0)) == [(a, 0, 4)]

    def test_nothing_waits_without_a_maximum(self, core):
        batcher = core(max_wait_ms=0.0)
        a, b = batcher.open("a"), batcher.open("b")
        is_expected(batcher, b)

        batcher.ask(a, IMAGES, 1, now=0.0)

        assert batcher.take(0.0).count == 1

    def test_only_a_full_batch_is_given_while_another_is_on_the_device(self, core):
        batcher = core(max_batch=4)
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 1, now=0.0)
        batcher.take(0.0)
        batcher.ask(client, IMAGES, 3, now=0.0)

        part = batcher.take(9.0)
        due = batcher.deadline(9.0)
        batcher.ask(client, IMAGES, 1, now=9.0)

        assert part is None
        assert due is None
        assert batcher.take(9.0).count == 4

    def test_nothing_is_due_where_nothing_waits(self, core):
        batcher = core()

        assert batcher.deadline(0.0) is None
        assert batcher.take(0.0) is None

    def test_a_client_that_left_is_not_waited_for(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        is_expected(batcher, b)
        batcher.ask(a, IMAGES, 1, now=0.0)

        batcher.close(b, ServiceClosed("closed"))

        assert batcher.take(0.0).count == 1


class TestWhoGoesFirst:
    def test_a_flood_delays_another_client_by_one_batch_at_most(self, core):
        batcher = core(max_batch=4)
        flood, other = batcher.open("flood"), batcher.open("other")
        for _ in range(100):
            batcher.ask(flood, IMAGES, 1, now=0.0)
        finish(batcher, batcher.take(0.0))

        asked = batcher.ask(other, IMAGES, 1, now=0.0)
        batches = [batcher.take(0.0) for _ in range(2)]

        assert any(piece.source is asked for batch in batches for piece in batch.slices)

    def test_a_flood_in_another_group_does_not_starve_it_either(self, core):
        batcher = core(max_batch=4)
        flood, other = batcher.open("flood"), batcher.open("other")
        for _ in range(100):
            batcher.ask(flood, IMAGES, 1, now=0.0)
        finish(batcher, batcher.take(0.0))

        asked = batcher.ask(other, GRID, 1, now=0.0)
        turns = 0
        while not asked.has_ended:
            turns += 1
            now = turns * WAIT / 4  # never idle for long
            finish(batcher, batcher.take(now), now=now)

        assert turns <= 6

    def test_large_requests_and_small_ones_get_equal_shares(self, core):
        batcher = core(max_batch=8)
        large, small = batcher.open("large"), batcher.open("small")
        for _ in range(10):
            batcher.ask(large, IMAGES, 24, now=0.0)
        for _ in range(240):
            batcher.ask(small, IMAGES, 1, now=0.0)

        share = Counter()
        for _ in range(20):
            for client, start, stop in sizes(batch := batcher.take(0.0)):
                share[client] += stop - start
            finish(batcher, batch)

        assert abs(share[large] - share[small]) <= 8

    def test_a_pause_earns_no_credit(self, core):
        batcher = core(max_batch=4)
        flood, late = batcher.open("flood"), batcher.open("late")
        batcher.ask(flood, IMAGES, 400, now=0.0)
        for _ in range(50):
            finish(batcher, batcher.take(0.0))

        batcher.ask(late, IMAGES, 400, now=0.0)
        turns = [sizes(batcher.take(0.0))[0][0] for _ in range(6)]

        assert turns.count(flood) == 3

    def test_the_oldest_goes_first_among_equals(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        batcher.ask(b, GRID, 1, now=0.0)
        batcher.ask(a, IMAGES, 1, now=0.0)

        assert batcher.take(1.0).group == GRID

    def test_a_large_request_is_cut_and_its_rest_joins_others(self, core):
        batcher = core(max_batch=4)
        a, b = batcher.open("a"), batcher.open("b")
        batcher.ask(a, IMAGES, 6, now=0.0)
        batcher.ask(b, IMAGES, 4, now=0.0)

        cuts = [sizes(batch) for batch in drain(batcher)]

        assert cuts == [[(a, 0, 4)], [(b, 0, 4)], [(a, 4, 6)]]

    def test_groups_are_never_mixed(self, core):
        batcher = core()
        client = batcher.open("a")
        for group in (IMAGES, GRID, IMAGES, GRID):
            batcher.ask(client, group, 1, now=0.0)

        assert [(batch.group, batch.count) for batch in drain(batcher)] == [(IMAGES, 2), (GRID, 2)]


class TestOrder:
    def test_an_answer_is_held_until_the_earlier_ones_are_there(self, core):
        batcher = core(max_batch=1)
        client = batcher.open("a")
        first = batcher.ask(client, IMAGES, 1, now=0.0)
        second = batcher.ask(client, GRID, 1, now=0.0)
        batches = [batcher.take(0.0), batcher.take(0.0)]

        early = finish(batcher, batches[1])
        late = finish(batcher, batches[0])

        assert early == []
        assert late == [first, second]

    def test_clients_do_not_wait_for_each_other(self, core):
        batcher = core(max_batch=1)
        a, b = batcher.open("a"), batcher.open("b")
        batcher.ask(a, IMAGES, 1, now=0.0)
        asked = batcher.ask(b, IMAGES, 1, now=0.0)
        batches = [batcher.take(0.0), batcher.take(0.0)]

        assert finish(batcher, batches[1]) == [asked]

    def test_a_cancelled_request_holds_nobody_up(self, core):
        batcher = core(max_batch=1)
        client = batcher.open("a")
        first = batcher.ask(client, IMAGES, 1, now=0.0)
        second = batcher.ask(client, GRID, 1, now=0.0)
        batches = [batcher.take(0.0), batcher.take(0.0)]
        finish(batcher, batches[1])

        ended = batcher.cancel(first, FAILED, now=0.0)

        assert ended == [first, second]
        assert (first.error, second.error) == (FAILED, None)
        assert finish(batcher, batches[0]) == []

    def test_parts_that_come_back_out_of_order_are_put_right(self, core):
        batcher = core(max_batch=2)
        asked = batcher.ask(batcher.open("a"), IMAGES, 5, now=0.0)
        batches = [batcher.take(0.0) for _ in range(2)]
        finish(batcher, batches[1])
        finish(batcher, batches[0])
        drain(batcher)

        assert asked.job.answer() == [0, 2, 4]


class TestTwins:
    def test_the_same_key_is_encoded_once(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        first = batcher.ask(a, IMAGES, 2, key="k", now=0.0)
        batch = batcher.take(0.0)
        second = batcher.ask(b, IMAGES, 2, key="k", now=0.0)

        ended = finish(batcher, batch)

        assert ended == [first, second]
        assert batcher.counts.deduplicated == 1
        assert batcher.take(1.0) is None

    @pytest.mark.parametrize(
        ("group", "items", "key"), [(GRID, 2, "k"), (IMAGES, 3, "k"), (IMAGES, 2, "other")]
    )
    def test_another_group_number_or_key_is_another_thing(self, core, group, items, key):
        batcher = core(max_batch=8)
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 2, key="k", now=0.0)
        batcher.ask(client, group, items, key=key, now=0.0)

        assert sum(batch.count for batch in drain(batcher)) == 2 + items

    def test_without_a_key_nothing_is_known_to_be_the_same(self, core):
        batcher = core()
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 1, now=0.0)
        batcher.ask(client, IMAGES, 1, now=0.0)

        assert batcher.take(0.0).count == 2

    def test_what_was_answered_is_encoded_again(self, core):
        batcher = core()
        client = batcher.open("a")
        for _ in range(2):
            batcher.ask(client, IMAGES, 1, key="k", now=0.0)
            drain(batcher)

        assert batcher.counts.items == 2

    @pytest.mark.parametrize("is_on_device", [False, True])
    @pytest.mark.parametrize("leaves", ["cancel", "close"])
    def test_others_get_it_when_its_first_asker_is_gone(self, core, is_on_device, leaves):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        first = batcher.ask(a, IMAGES, 1, key="k", now=0.0, payload="first")
        second = batcher.ask(b, IMAGES, 1, key="k", now=0.0, payload="second")
        batch = batcher.take(0.0) if is_on_device else None

        gone = (
            batcher.cancel(first, FAILED, now=0.0)
            if leaves == "cancel"
            else batcher.close(a, FAILED)
        )
        batch = batch or batcher.take(1.0)
        ended = finish(batcher, batch)

        assert gone == [first]
        assert ended == [second]
        assert second.error is None
        assert is_on_device or batch.slices[0].source is second

    def test_a_twin_is_taken_by_whoever_comes_first(self, core):
        batcher = core(max_batch=4)
        flood, other = batcher.open("flood"), batcher.open("other")
        for i in range(100):
            batcher.ask(flood, IMAGES, 1, key=f"{i}", now=0.0)
        asked = batcher.ask(other, IMAGES, 1, key="99", now=0.0)

        finish(batcher, batcher.take(0.0))

        assert asked.has_ended
        assert sum(batch.count for batch in drain(batcher)) == 96

    def test_both_get_the_error(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        requests = [batcher.ask(client, IMAGES, 1, key="k", now=0.0) for client in (a, b)]

        batcher.fail(batcher.take(0.0), FAILED, now=0.0)

        assert [request.error for request in requests] == [FAILED, FAILED]


class TestRoom:
    def test_there_is_room_for_so_many_items_and_no_more(self, core):
        batcher = core(max_queue_items=3)
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 3, now=0.0)

        with pytest.raises(ServiceBusy, match="no room for 1 items"):
            batcher.ask(client, IMAGES, 1, now=0.0)

    def test_bytes_are_counted_too(self, core):
        batcher = core(max_queue_bytes=100)
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 1, size=60, now=0.0)

        with pytest.raises(ServiceBusy, match="41 bytes"):
            batcher.ask(client, IMAGES, 1, size=41, now=0.0)

    def test_what_is_on_the_device_takes_room_until_it_is_answered(self, core):
        batcher = core(max_queue_items=2)
        batcher.ask(batcher.open("a"), IMAGES, 2, now=0.0)
        batch = batcher.take(0.0)

        before = batcher.room.fits(1, 0)
        finish(batcher, batch)

        assert not before
        assert batcher.room.fits(2, 0)

    def test_more_than_the_whole_queue_is_a_mistake(self, core):
        batcher = core(max_queue_items=4)

        with pytest.raises(BadConfig, match=r"5 items.*holds 4 items"):
            batcher.ask(batcher.open("a"), IMAGES, 5, now=0.0)

    def test_a_refused_request_leaves_no_trace(self, core):
        batcher = core(max_queue_items=1)
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 1, now=0.0)
        with pytest.raises(ServiceBusy):
            batcher.ask(client, IMAGES, 1, key="k", now=0.0)

        assert [batch.count for batch in drain(batcher)] == [1]
        assert (batcher.room.items, batcher.parties[client].outstanding) == (0, {})

    @pytest.mark.parametrize(
        "wrong", [{"max_batch": 0}, {"max_wait_ms": -1.0}, {"max_wait_ms": float("nan")}]
    )
    def test_limits_that_cannot_work_are_refused(self, wrong):
        with pytest.raises(BadConfig, match=next(iter(wrong))):
            Limits(**wrong)


class TestFailure:
    def test_a_bad_image_fails_alone(self, core):
        batcher = core(max_batch=4)
        clients = [batcher.open(name) for name in "abc"]
        requests = [batcher.ask(client, IMAGES, 1, now=0.0) for client in clients]
        batcher.fail(batcher.take(0.0), FAILED, now=0.0)

        error = BadImage("that one")
        while batch := batcher.take(0.0):
            if batch.slices[0].job is requests[1].job:
                batcher.fail(batch, error, now=0.0)
            else:
                finish(batcher, batch)

        assert [request.error for request in requests] == [None, error, None]
        assert batcher.counts.repeats == 1

    def test_the_rest_of_a_failed_request_is_not_encoded(self, core):
        batcher = core(max_batch=4)
        asked = batcher.ask(batcher.open("a"), IMAGES, 100, now=0.0)

        ended = batcher.fail(batcher.take(0.0), FAILED, now=0.0)

        assert ended == [asked]
        assert batcher.take(1.0) is None

    def test_what_is_repeated_comes_from_somebody_who_still_waits(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        gone = batcher.ask(a, IMAGES, 1, key="k", now=0.0)
        stays = batcher.ask(b, IMAGES, 1, key="k", now=0.0)
        batcher.ask(b, IMAGES, 1, now=0.0)
        batcher.fail(batcher.take(0.0), FAILED, now=0.0)

        batcher.cancel(gone, FAILED, now=0.0)

        assert batcher.take(0.0).slices[0].source is stays

    def test_what_was_cancelled_is_not_repeated(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        gone = batcher.ask(a, IMAGES, 1, now=0.0)
        stays = batcher.ask(b, IMAGES, 1, now=0.0)
        batcher.fail(batcher.take(0.0), FAILED, now=0.0)

        batcher.cancel(gone, FAILED, now=0.0)

        assert [piece.source for batch in drain(batcher) for piece in batch.slices] == [stays]


class TestMemory:
    def encode(self, batcher, fits, now=0.0) -> list:
        """Encodes all that waits on a device that holds so many; gives the sizes tried."""
        tried = []
        while batch := batcher.take(now):
            tried.append(batch.count)
            if batch.count > fits:
                batcher.overflow(batch, "too small", now=now)
            else:
                finish(batcher, batch, now)
        return tried

    def test_a_batch_is_halved_until_it_fits(self, core):
        batcher = core(max_batch=8)
        requests = [batcher.ask(batcher.open(name), IMAGES, 2, now=0.0) for name in "abcd"]

        tried = self.encode(batcher, fits=2)

        assert tried == [8, 4, 2, 2, 2, 2]
        assert [request.error for request in requests] == [None] * 4
        assert batcher.counts.splits == 2

    def test_halves_go_first(self, core):
        batcher = core(max_batch=4)
        requests = [batcher.ask(batcher.open(name), IMAGES, 2, now=0.0) for name in "ab"]
        batcher.fail(batcher.take(0.0), FAILED, now=0.0)
        batcher.overflow(batcher.take(0.0), "too small", now=0.0)

        order = [(batch.slices[0].source, batch.count) for batch in drain(batcher)]

        assert order == [(requests[0], 1), (requests[0], 1), (requests[1], 1), (requests[1], 1)]

    def test_an_item_that_never_fits_fails_alone(self, core):
        batcher = core(max_batch=4)
        requests = [batcher.ask(batcher.open(name), IMAGES, 1, now=0.0) for name in "abcd"]

        while batch := batcher.take(0.0):
            if any(piece.job is requests[2].job for piece in batch.slices):
                batcher.overflow(batch, "2 GB asked for", now=0.0)
            else:
                finish(batcher, batch)

        errors = [request.error for request in requests]
        assert isinstance(errors[2], OutOfMemory)
        assert "2 GB asked for" in str(errors[2])
        assert errors[:2] + errors[3:] == [None] * 3

    def test_what_was_learnt_holds_for_later_requests(self, core):
        batcher = core(max_batch=8)
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 8, now=0.0)
        self.encode(batcher, fits=3)

        batcher.ask(client, IMAGES, 8, now=0.0)

        assert self.encode(batcher, fits=3) == [2, 2, 2, 2]

    def test_another_group_keeps_its_own(self, core):
        batcher = core(max_batch=8)
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 8, now=0.0)
        self.encode(batcher, fits=3)

        batcher.ask(client, GRID, 8, now=0.0)

        assert self.encode(batcher, fits=8) == [8]

    def test_the_limit_grows_back_slowly(self, core):
        batcher = core(max_batch=8, max_queue_items=4000)
        client = batcher.open("a")
        batcher.ask(client, IMAGES, 8, now=0.0)
        self.encode(batcher, fits=3)

        batcher.ask(client, IMAGES, 4000, now=0.0)
        tried = self.encode(batcher, fits=8)

        assert tried[: FIRST_PATIENCE - 4] == [2] * (FIRST_PATIENCE - 4)  # after the first four
        assert tried[FIRST_PATIENCE - 4] == 3
        assert max(tried) == 8
        assert tried[:-1] == sorted(tried[:-1])

    def test_a_probe_that_fails_falls_back_to_what_was_proven(self):
        ceiling = Ceiling(32)
        ceiling.overflowed(32)
        while ceiling.items == 16:
            ceiling.worked(16)

        probed = ceiling.items
        ceiling.overflowed(probed)

        assert (probed, ceiling.items) == (20, 16)

    def test_memory_that_shrinks_is_learnt_anew(self):
        ceiling = Ceiling(32)
        ceiling.overflowed(32)
        ceiling.worked(16)

        ceiling.overflowed(16)

        assert ceiling.items == 8

    def test_a_probe_that_goes_well_makes_the_next_come_sooner(self):
        ceiling = Ceiling(32)
        ceiling.overflowed(32)
        for probe in (20, 20):
            while ceiling.items == 16:
                ceiling.worked(16)
            ceiling.overflowed(probe)
        while ceiling.items == 16:
            ceiling.worked(16)

        waited = 0
        while ceiling.items == 20:
            ceiling.worked(20)
            waited += 1

        assert waited == FIRST_PATIENCE

    def test_probes_become_rarer(self):
        ceiling = Ceiling(32)
        waits = []
        for _ in range(3):
            ceiling.overflowed(ceiling.items)
            before, waited = ceiling.items, 0
            while ceiling.items == before:
                ceiling.worked(ceiling.items)
                waited += 1
            waits.append(waited)

        assert waits == [FIRST_PATIENCE, 2 * FIRST_PATIENCE, 4 * FIRST_PATIENCE]


class TestEnds:
    def test_a_closed_client_is_dropped_with_all_it_asked(self, core):
        batcher = core()
        a, b = batcher.open("a"), batcher.open("b")
        gone = [batcher.ask(a, IMAGES, 1, now=0.0) for _ in range(3)]
        stays = batcher.ask(b, IMAGES, 1, now=0.0)
        error = ServiceClosed("closed")

        ended = batcher.close(a, error)

        assert ended == gone
        assert {request.error for request in gone} == {error}
        assert [piece.source for piece in batcher.take(1.0).slices] == [stays]

    def test_stopping_ends_what_waits_and_spares_what_runs(self, core):
        batcher = core(max_batch=2)
        a, b = batcher.open("a"), batcher.open("b")
        runs = batcher.ask(a, IMAGES, 2, now=0.0)
        waits = batcher.ask(b, IMAGES, 2, now=0.0)
        batch = batcher.take(0.0)
        error = ServiceClosed("closed")

        stopped = batcher.stop(error, now=0.0)
        finished = finish(batcher, batch)

        assert (stopped, waits.error) == ([waits], error)
        assert (finished, runs.error) == ([runs], None)

    def test_aborting_ends_everything(self, core):
        batcher = core(max_batch=2)
        client = batcher.open("a")
        requests = [batcher.ask(client, IMAGES, 2, now=0.0) for _ in range(2)]
        batch = batcher.take(0.0)

        ended = batcher.abort(FAILED, now=0.0)

        assert ended == requests
        assert finish(batcher, batch) == []
        assert (batcher.room.items, batcher.flying_items) == (0, 0)

    def test_an_ended_request_is_not_ended_again(self, core):
        batcher = core()
        asked = batcher.ask(batcher.open("a"), IMAGES, 1, now=0.0)
        drain(batcher)

        assert batcher.cancel(asked, FAILED, now=0.0) == []
        assert asked.error is None
