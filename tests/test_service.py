"""The service with its threads: real ones, but a clock that only the tests move."""

import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from vln.errors import (
    BadConfig,
    BadImage,
    EncodingFailed,
    OutOfMemory,
    ServiceBusy,
    ServiceClosed,
    UnknownName,
)
from vln.service.engines import gathered
from vln.service.requests import Limits
from vln.service.service import EncoderService

PATIENCE_S = 20.0
"""After which a test that waits for something that does not come gives up."""


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.time = 100.0
        self.waiting = []

    def now(self) -> float:
        return self.time

    def wait(self, condition, timeout_s) -> None:
        entry = (condition, None if timeout_s is None else self.time + timeout_s)
        self.waiting.append(entry)
        try:
            assert condition.wait(PATIENCE_S), "nobody came"
        finally:
            self.waiting.remove(entry)

    def advance(self, seconds) -> None:
        self.time += seconds
        for condition, end in list(self.waiting):
            if end is not None and end <= self.time:
                with condition:
                    condition.notify_all()

    def until(self, number) -> None:
        """Waits until so many threads wait for a time."""
        wait_for(lambda: sum(end is not None for _, end in list(self.waiting)) == number)


def wait_for(happens) -> None:
    end = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0)


class Gate:
    """An engine that says what it was given, and goes on when it is let."""

    def __init__(self, *, is_open=False):
        self.batches = []
        self.may_go = threading.Semaphore(10**6 if is_open else 0)

    def __call__(self, kind, items):
        self.batches.append(items)
        assert self.may_go.acquire(timeout=PATIENCE_S)
        return doubled(kind, items)

    def let(self, batches=1) -> None:
        self.may_go.release(batches)


def doubled(kind, items):
    del kind
    return 2.0 * items.reshape(len(items), -1).astype(np.float32)


class Items(np.ndarray):
    """An array of which one can see whether it is still there."""


def numbers(*values):
    return np.array(values, dtype=np.uint8)[:, None]


@pytest.fixture
def serve():
    """Makes services that end with the test."""
    made = []

    def make(engine, *, clock=None, **limits) -> EncoderService:
        service = EncoderService({"e": engine}, limits=Limits(**limits), clock=clock)
        made.append((service, engine))
        return service

    yield make
    for service, engine in made:
        if isinstance(engine, Gate):
            engine.let(1000)
        service.close()


class TestAnswers:
    def test_rows_come_back_to_those_who_asked(self, serve):
        service = serve(doubled)

        rows = service.client("a").encode("e", "images", numbers(1, 2, 3))

        assert rows.tolist() == [[2.0], [4.0], [6.0]]

    def test_many_threads_get_their_own_rows(self, serve):
        service = serve(doubled, max_batch=5)
        wrong = []

        def ask(seed):
            rng = np.random.default_rng(seed)
            with service.client(f"{seed}") as client:
                for _ in range(40):
                    shape = (rng.integers(1, 12), rng.integers(1, 3))
                    items = rng.integers(0, 100, shape, dtype=np.uint8)
                    if not np.array_equal(client.encode("e", "images", items), 2.0 * items):
                        wrong.append(items)

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)

        status = service.status()
        assert wrong == []
        assert (status.answered, status.failed, status.queued_items) == (240, 0, 0)

    def test_a_large_request_is_put_together_again(self, serve):
        service = serve(doubled, max_batch=4)
        items = np.arange(101, dtype=np.uint8)[:, None]

        assert service.client("a").encode("e", "images", items).tolist() == (2.0 * items).tolist()

    def test_waiting_requests_of_several_clients_become_one_batch(self, serve):
        gate = Gate()
        service = serve(gate)
        clients = [service.client(name) for name in "abc"]
        blocker = clients[0].submit("e", "images", numbers(0))
        wait_for(lambda: len(gate.batches) == 1)

        answers = [client.submit("e", "images", numbers(i)) for i, client in enumerate(clients)]
        gate.let(2)

        assert [answer.result().item() for answer in answers] == [0.0, 2.0, 4.0]
        assert blocker.done()
        assert [len(batch) for batch in gate.batches] == [1, 3]

    def test_a_request_waits_for_others_no_longer_than_the_maximum(self, serve):
        clock = FakeClock()
        service = serve(doubled, clock=clock, max_wait_ms=50.0)
        a, b = service.client("a"), service.client("b")
        b.encode("e", "images", numbers(1))

        answer = a.submit("e", "images", numbers(2))
        clock.until(1)
        before = answer.done()
        clock.advance(0.051)

        assert not before
        assert answer.result().item() == 4.0

    def test_the_result_can_be_asked_for_again(self, serve):
        answer = serve(doubled, max_batch=2).client("a").submit("e", "images", numbers(1, 2, 3))

        assert answer.result() is answer.result()

    def test_a_result_that_does_not_come_in_time_is_still_on_its_way(self, serve):
        clock, gate = FakeClock(), Gate()
        answer = serve(gate, clock=clock).client("a").submit("e", "images", numbers(1))
        late = []

        def ask():
            with pytest.raises(ServiceBusy, match="no answer within 3 s"):
                answer.result(timeout_s=3.0)
            late.append(True)

        thread = threading.Thread(target=ask)
        thread.start()
        clock.until(1)
        clock.advance(3.0)
        thread.join(PATIENCE_S)
        gate.let()

        assert late == [True]
        assert answer.result().item() == 2.0

    def test_any_type_of_numbers_is_encoded_as_it_is(self, serve):
        seen = []

        def look(kind, items):
            seen.append((kind, items.dtype, items.shape))
            return items.astype(np.float32)

        serve(look).client("a").encode("e", "text", np.zeros((2, 77), dtype=np.int64))

        assert seen == [("text", np.dtype(np.int64), (2, 77))]


class TestCopies:
    @pytest.mark.parametrize(("given", "start", "stop"), [(3, 0, 3), (6, 0, 4), (6, 4, 6)])
    def test_what_comes_from_one_request_is_not_copied(self, serve, given, start, stop):
        gate = Gate(is_open=True)
        items = np.arange(given, dtype=np.uint8)[:, None]

        serve(gate, max_batch=4).client("a").encode("e", "images", items)

        views = [batch for batch in gate.batches if np.shares_memory(batch, items)]
        assert len(views) == len(gate.batches)
        assert any(batch.tolist() == items[start:stop].tolist() for batch in views)

    def test_those_who_share_an_answer_may_each_change_it(self, serve):
        gate = Gate()
        service = serve(gate)
        answers = [service.client(name).submit("e", "images", numbers(1), key="k") for name in "ab"]
        gate.let(2)

        answers[0].result()[:] = -1.0

        assert answers[1].result().item() == 2.0
        assert len(gate.batches) == 1
        assert service.status().deduplicated == 1

    def test_those_who_share_a_batch_may_each_change_their_rows(self, serve):
        gate = Gate()
        service = serve(gate)
        client = service.client("a")
        client.submit("e", "images", numbers(0))
        answers = [client.submit("e", "images", numbers(i)) for i in (1, 2)]
        gate.let(2)

        rows = answers[0].result()
        rows[:] = -1.0

        assert rows.base is None
        assert answers[1].result().item() == 4.0

    def test_an_engine_that_keeps_its_array_is_not_written_to(self, serve):
        kept = np.zeros((1, 1), dtype=np.float32)
        kept.flags.writeable = False

        rows = serve(lambda kind, items: kept).client("a").encode("e", "images", numbers(1))
        rows[:] = 1.0

        assert kept.item() == 0.0

    def test_a_service_at_rest_keeps_no_items(self, serve):
        service = serve(doubled)
        items = Items((1, 1), np.uint8)
        held = weakref.ref(items)
        answer = service.client("a").submit("e", "images", items, key="k")
        answer.result()
        del items

        def is_gone():
            gc.collect()
            return held() is None

        wait_for(is_gone)
        assert answer.done()


class TestMistakes:
    def test_an_unknown_encoder_is_named_with_those_there_are(self, serve):
        with pytest.raises(UnknownName, match=r"'f'.*Known: e"):
            serve(doubled).client("a").submit("f", "images", numbers(1))

    @pytest.mark.parametrize(
        ("items", "named"),
        [
            ([1, 2], "list"),
            (np.array(1), "ndarray"),
            (np.array(["a"]), "<U1"),
            (np.zeros((0, 4, 4, 3), np.uint8), "no items"),
        ],
    )
    def test_what_cannot_be_encoded_is_refused_at_once(self, serve, items, named):
        with pytest.raises(BadImage, match=named):
            serve(doubled).client("a").submit("e", "images", items)

    @pytest.mark.parametrize("timeout_s", [-1.0, float("nan")])
    def test_a_time_that_is_none_is_refused(self, serve, timeout_s):
        with pytest.raises(BadConfig, match="timeout_s"):
            serve(doubled).client("a").submit("e", "images", numbers(1), timeout_s=timeout_s)

    def test_more_than_the_queue_holds_is_refused(self, serve):
        with pytest.raises(BadConfig, match="Ask for fewer"):
            serve(doubled, max_queue_items=2).client("a").encode("e", "images", numbers(1, 2, 3))


class TestRoom:
    def test_without_time_a_full_queue_is_busy_at_once(self, serve):
        client = serve(Gate(), max_queue_items=2).client("a")
        client.submit("e", "images", numbers(1, 2))

        with pytest.raises(ServiceBusy, match="no room"):
            client.submit("e", "images", numbers(3), timeout_s=0.0)

    def test_the_time_that_was_given_is_waited(self, serve):
        clock = FakeClock()
        client = serve(Gate(), clock=clock, max_queue_items=1).client("a")
        client.submit("e", "images", numbers(1))
        outcome = []

        def ask():
            with pytest.raises(ServiceBusy):
                client.submit("e", "images", numbers(2), timeout_s=5.0)
            outcome.append(clock.time)

        thread = threading.Thread(target=ask)
        thread.start()
        clock.until(1)
        clock.advance(4.9)
        clock.until(1)
        clock.advance(0.2)
        thread.join(PATIENCE_S)

        assert outcome == [pytest.approx(105.1)]

    def test_room_goes_to_those_who_came_first(self, serve):
        gate = Gate()
        service = serve(gate, max_queue_items=4)
        client = service.client("a")
        client.submit("e", "images", numbers(1, 2, 3))
        admitted = []

        def ask(name, items):
            service.client(name).submit("e", "images", items)
            admitted.append(name)

        large = threading.Thread(target=ask, args=("large", numbers(1, 2, 3, 4)))
        large.start()
        wait_for(lambda: len(service._desk._line) == 1)
        small = threading.Thread(target=ask, args=("small", numbers(1)))
        small.start()
        wait_for(lambda: len(service._desk._line) == 2)
        gate.let(1000)
        large.join(PATIENCE_S)
        small.join(PATIENCE_S)

        assert admitted == ["large", "small"]


class TestLoadingAhead:
    @pytest.fixture
    def gathering(self, monkeypatch):
        """Lets the test hold up the gathering of batches after the first."""
        gate = Gate()
        gate.let()

        def held_up(pieces):
            gate("gather", pieces[0])
            return gathered(pieces)

        monkeypatch.setattr("vln.service.device.gathered", held_up)
        return gate

    def test_the_next_full_batch_is_gathered_while_the_device_works(self, serve, gathering):
        gate = Gate()
        client = serve(gate, max_batch=2).client("a")
        answers = [client.submit("e", "images", numbers(i, i)) for i in range(2)]

        wait_for(lambda: len(gathering.batches) == 2)
        on_device = len(gate.batches)
        gathering.let(10)
        gate.let(2)

        assert on_device <= 1
        assert answers[1].result().tolist() == [[2.0], [2.0]]

    def test_the_device_waits_for_a_batch_that_is_being_gathered(self, serve, gathering):
        gate = Gate()
        service = serve(gate, max_batch=2)
        client = service.client("a")
        answers = [client.submit("e", "images", numbers(i, i)) for i in range(2)]
        wait_for(lambda: len(gathering.batches) == 2)
        gate.let(2)
        answers[0].result()
        wait_for(lambda: service._desk.wake_at is not None)
        gathering.let(10)

        assert answers[1].result().tolist() == [[2.0], [2.0]]
        assert len(gate.batches) == 2

    def test_a_batch_that_cannot_be_gathered_is_halved(self, serve, monkeypatch):
        gate = Gate()

        def short(pieces):
            if len(pieces) > 2:
                raise MemoryError("4 pieces")
            return gathered(pieces)

        monkeypatch.setattr("vln.service.device.gathered", short)
        service = serve(gate, max_batch=4)
        client = service.client("a")
        client.submit("e", "images", numbers(0))
        wait_for(lambda: len(gate.batches) == 1)
        answers = [client.submit("e", "images", numbers(i)) for i in range(8)]
        gate.let(100)

        assert [answer.result().item() for answer in answers] == [2.0 * i for i in range(8)]
        assert service.status().splits >= 1


class TestFailures:
    def test_a_bad_image_fails_alone(self, serve):
        gate = Gate()

        def picky(kind, items):
            rows = gate(kind, items)
            if (items == 13).any():
                raise ZeroDivisionError("thirteen")
            return rows

        client = serve(picky).client("a")
        client.submit("e", "images", numbers(0))
        wait_for(lambda: len(gate.batches) == 1)
        answers = [client.submit("e", "images", numbers(i)) for i in (12, 13, 14)]
        gate.let(5)

        assert (answers[0].result().item(), answers[2].result().item()) == (24.0, 28.0)
        with pytest.raises(EncodingFailed, match="ZeroDivisionError: thirteen") as caught:
            answers[1].result()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert [len(batch) for batch in gate.batches] == [1, 3, 1, 1, 1]

    def test_an_error_of_ours_is_handed_through(self, serve):
        def refuse(kind, items):
            raise BadImage("too dark")

        with pytest.raises(BadImage, match="too dark"):
            serve(refuse).client("a").encode("e", "images", numbers(1))

    @pytest.mark.parametrize(
        ("rows", "named"),
        [(None, "NoneType"), (np.zeros((3, 2)), r"\(3, 2\) for 2"), (np.array(1.0), r"shape \(\)")],
    )
    def test_an_engine_that_gives_the_wrong_rows_is_told(self, serve, rows, named):
        with pytest.raises(EncodingFailed, match=named):
            serve(lambda kind, items: rows).client("a").encode("e", "images", numbers(1, 2))

    def test_rows_of_two_widths_are_no_answer(self, serve):
        def widening(kind, items):
            return np.zeros((len(items), 1 + int(items[0, 0])), dtype=np.float32)

        with pytest.raises(EncodingFailed, match="and then of"):
            serve(widening, max_batch=1).client("a").encode("e", "images", numbers(1, 2))

    @pytest.mark.parametrize("kind", ["torch", "numpy", "words"])
    def test_what_does_not_fit_into_memory_is_halved(self, serve, kind):
        class OutOfMemoryError(RuntimeError):
            """Named as torch's."""

        errors = {
            "torch": OutOfMemoryError("CUDA"),
            "numpy": MemoryError("40 GiB"),
            "words": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        }

        def small(_, items):
            if len(items) > 3:
                raise errors[kind]
            return doubled(_, items)

        service = serve(small, max_batch=8)
        items = np.arange(16, dtype=np.uint8)[:, None]

        rows = service.client("a").encode("e", "images", items)

        assert rows.tolist() == (2.0 * items).tolist()
        assert service.status().splits >= 2

    def test_an_item_that_never_fits_is_out_of_memory(self, serve):
        def tiny(kind, items):
            raise MemoryError("no room at all")

        with pytest.raises(OutOfMemory, match="no room at all"):
            serve(tiny).client("a").encode("e", "images", numbers(1, 2))

    def test_a_failure_keeps_none_of_the_engines_arrays(self, serve):
        held = []

        def failing(kind, items):
            picture = np.zeros(3).view(Items)
            held.append(weakref.ref(picture))
            raise ValueError("no")

        answer = serve(failing).client("a").submit("e", "images", numbers(1))
        with pytest.raises(EncodingFailed) as caught:
            answer.result()
        gc.collect()

        assert held[0]() is None
        assert str(caught.value.__cause__) == "no"

    @pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt])
    def test_an_engine_that_leaves_takes_nobody_with_it(self, serve, leave):
        gate = Gate(is_open=True)

        def leaving(kind, items):
            gate(kind, items)
            raise leave("enough")

        service = serve(leaving, max_batch=1)
        client = service.client("a")
        answers = [client.submit("e", "images", numbers(1))]
        with contextlib.suppress(ServiceClosed):
            answers.append(client.submit("e", "images", numbers(2)))

        for answer in answers:
            with pytest.raises(EncodingFailed, match=f"{leave.__name__}: enough"):
                answer.result(timeout_s=PATIENCE_S)
        with pytest.raises(ServiceClosed, match="has died"):
            client.submit("e", "images", numbers(3))


class TestEnds:
    def test_closing_waits_for_what_runs_and_ends_what_waits(self, serve):
        gate = Gate()
        service = serve(gate)
        client = service.client("a")
        runs = client.submit("e", "images", numbers(1))
        wait_for(lambda: len(gate.batches) == 1)
        waits = client.submit("e", "images", numbers(2))
        closing = threading.Thread(target=service.close)
        closing.start()
        wait_for(lambda: service._desk.closed)
        early = (runs.done(), waits.done())
        gate.let()
        closing.join(PATIENCE_S)

        assert early == (False, False)  # in order, even then
        assert runs.result().item() == 2.0
        with pytest.raises(ServiceClosed, match="before this request was encoded"):
            waits.result()

    def test_a_closed_service_refuses_and_still_says_what_it_did(self, serve):
        with serve(doubled) as service:
            client = service.client("a")
            client.encode("e", "images", numbers(1))

        with pytest.raises(ServiceClosed, match="Make a new one"):
            client.submit("e", "images", numbers(1))
        with pytest.raises(ServiceClosed):
            service.client("b")
        service.close()
        assert service.status().items == 1

    def test_closing_ends_the_wait_for_room(self, serve):
        gate = Gate()
        service = serve(gate, max_queue_items=1)
        service.client("a").submit("e", "images", numbers(1))
        outcome = []

        def ask():
            try:
                service.client("b").submit("e", "images", numbers(2))
            except ServiceClosed as error:
                outcome.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        wait_for(lambda: len(service._desk._line) == 1)
        closing = threading.Thread(target=service.close)
        closing.start()
        thread.join(PATIENCE_S)
        gate.let()
        closing.join(PATIENCE_S)

        assert [str(error) for error in outcome] == [
            "the service has been closed. Make a new one to ask for more."
        ]

    def test_a_closed_client_gets_nothing_more(self, serve):
        gate = Gate()
        service = serve(gate)
        client, other = service.client("a"), service.client("b")
        first = client.submit("e", "images", numbers(1))
        second = other.submit("e", "images", numbers(2))

        client.close()
        gate.let(2)

        with pytest.raises(ServiceClosed, match="this client"):
            first.result()
        with pytest.raises(ServiceClosed, match="this client"):
            client.submit("e", "images", numbers(1))
        assert second.result().item() == 4.0
        assert [c.name for c in service.status().clients] == ["b"]

    def test_closing_a_client_ends_its_wait_for_room(self, serve):
        service = serve(Gate(), max_queue_items=1)
        service.client("a").submit("e", "images", numbers(1))
        client = service.client("b")
        outcome = []

        def ask():
            with pytest.raises(ServiceClosed, match="this client"):
                client.submit("e", "images", numbers(2))
            outcome.append("told")

        thread = threading.Thread(target=ask)
        thread.start()
        wait_for(lambda: len(service._desk._line) == 1)
        client.close()
        thread.join(PATIENCE_S / 2)  # before the gate gives up

        assert outcome == ["told"]

    def test_a_client_that_nobody_holds_is_forgotten(self, serve):
        service = serve(doubled)
        kept = service.client("kept")
        service.client("dropped").encode("e", "images", numbers(1))
        gc.collect()

        wait_for(lambda: [client.name for client in service.status().clients] == ["kept"])
        assert kept.encode("e", "images", numbers(1)).item() == 2.0

    def test_a_cancelled_request_is_not_encoded(self, serve):
        gate = Gate()
        client = serve(gate).client("a")
        first = client.submit("e", "images", numbers(1))
        wait_for(lambda: len(gate.batches) == 1)
        second = client.submit("e", "images", numbers(2))
        third = client.submit("e", "images", numbers(3))

        took = (second.cancel(), second.cancel())
        gate.let(2)

        assert took == (True, False)
        assert (first.result().item(), third.result().item()) == (2.0, 6.0)
        assert [batch.tolist() for batch in gate.batches] == [[[1]], [[3]]]
        with pytest.raises(EncodingFailed, match="cancelled"):
            second.result()

    def test_an_answer_keeps_its_service_alive(self, serve):
        gate = Gate()
        answer = EncoderService({"e": gate}).client("a").submit("e", "images", numbers(1))
        gc.collect()
        gate.let()

        assert answer.result(timeout_s=PATIENCE_S).item() == 2.0

    def test_a_service_that_nobody_holds_ends_its_threads(self):
        service = EncoderService({"e": doubled})
        threads = service._device._threads
        answer = service.client("a").submit("e", "images", numbers(1))
        answer.result()
        del service
        gc.collect()

        wait_for(lambda: not any(thread.is_alive() for thread in threads))
        assert len(threads) == 2

    def test_an_interpreter_with_an_open_service_ends_after_the_batch_in_flight(self):
        script = (
            "import numpy as np, threading, time\n"
            "from vln.service.service import EncoderService\n"
            "has_begun = threading.Event()\n"
            "def slow(kind, items):\n"
            "    has_begun.set()\n"
            "    time.sleep(0.05)\n"
            "    print(len(items), flush=True)\n"
            "    return items.astype(np.float32)\n"
            "service = EncoderService({'e': slow})\n"
            "service.client('a').submit('e', 'images', np.zeros((40, 1), np.uint8))\n"
            "has_begun.wait()\n"
        )

        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split()[0] == "32"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_forked_child_is_told_and_does_not_hang(self, serve):
        client = serve(doubled).client("a")
        child = os.fork()
        if not child:
            try:
                client.encode("e", "images", numbers(1))
            except ServiceClosed as error:
                os._exit(7 if "forked" in str(error) else 1)
            os._exit(1)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_the_status_counts_what_was_done(serve):
    clock = FakeClock()

    def two_seconds(kind, items):
        clock.time += 2.0
        return doubled(kind, items)

    service = serve(two_seconds, clock=clock, max_batch=4)
    with service.client("navigation") as client:
        client.encode("e", "images", np.zeros((6, 1), np.uint8))
        status = service.status()

    assert (status.items, status.batches, status.mean_batch) == (6, 2, 3.0)
    assert (status.answered, status.failed, status.queued_items, status.in_flight) == (1, 0, 0, 0)
    assert (status.busy_s, status.up_s) == (4.0, 4.0)
    assert [(c.name, c.asked, c.answered, c.items) for c in status.clients] == [
        ("navigation", 1, 1, 6)
    ]


def test_the_service_does_not_need_torch():
    script = "import sys, vln.service.service\nassert not {'torch', 'h5py'} & {*sys.modules}"

    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=PATIENCE_S)

    assert done.returncode == 0
