"""The server of encoders in a thread, with engines of ours and clients that speak the wire."""

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vln.encoders.recipe import Recipe
from vln.errors import BadConfig, BadImage, ServiceClosed
from vln.service.local.offers import Offer, ServerLimits
from vln.service.local.report import ask_status, told
from vln.service.local.segment import Segment
from vln.service.local.server import serving
from vln.service.local.wire import Inbox, send
from vln.service.requests import Limits
from vln.service.service import EncoderService
from vln.types import EncoderSpec

PATIENCE_S = 20.0
"""After which a test that waits for something that does not come gives up."""


class Engine:
    """Sums of items, when it is let."""

    def __init__(self):
        self.batches = []
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, kind, items):
        self.batches.append(len(items))
        assert self.may_go.wait(PATIENCE_S)
        if (items == 66).all():
            raise SystemExit
        if (items == 13).any():
            raise BadImage("an item is unlucky; expected others.")
        if kind == "wide":
            return np.repeat(sums(items), 10_000, axis=1)
        return sums(items)


def sums(items) -> np.ndarray:
    return items.reshape(len(items), -1).sum(axis=1, dtype=np.float32)[:, None] * np.float32([1, 2])


def numbered(texts) -> np.ndarray:
    return np.array([[len(text), 7] for text in texts], dtype=np.int64)


def offer(fingerprint="f00d", **changes) -> Offer:
    spec = EncoderSpec(
        pooled_dim=2,
        grid=(1, 1, 1),
        image_size=(2, 2),
        color_order="rgb",
        precision="fp32",
        fingerprint=fingerprint,
    )
    return Offer(spec=spec, recipe=Recipe(), **changes)


class Caller:
    """A client that speaks the wire and nothing else."""

    def __init__(self, path, *, name="caller", size=2**16, is_silent=False, expect=None):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(path))
        self.inbox = Inbox()
        self.segment = Segment(size)
        if is_silent:
            return
        self.say(op="hello", version=1, name=name, pid=os.getpid(), expect=expect or {})
        self.welcome = self.hear()
        if self.welcome["op"] == "welcome":
            self.share(1, self.segment)

    def share(self, number, segment):
        header = {"op": "segment", "id": number, "size": segment.size}
        send(self.sock, header, descriptors=[segment.descriptor])

    def say(self, **header):
        send(self.sock, header)

    def next(self):
        while (frame := self.inbox.take()) is None:
            if not self.inbox.receive(self.sock):
                raise EOFError
        return frame

    def hear(self):
        return self.next().header

    def ask(self, number, items=None, **changes):
        """Asks for items at the segment's beginning; the same ones again where there are none."""
        if items is not None:
            self.segment.data[: items.nbytes] = items.reshape(-1).view(np.uint8)
            self.shape, self.dtype = items.shape, items.dtype.str
        header = {
            "op": "encode",
            "id": number,
            "encoder": "fake",
            "kind": "images",
            "segment": 1,
            "offset": 0,
            "shape": self.shape,
            "dtype": self.dtype,
            "key": "",
        }
        self.say(**{**header, **changes})

    def answer(self):
        header, body = self.next()
        assert header["op"] == "answer", header
        return header["id"], np.frombuffer(body, header["dtype"]).reshape(header["shape"])

    def is_hung_up(self) -> bool:
        try:
            while self.hear():
                pass
        except (EOFError, ConnectionError):
            return True

    def close(self):
        self.inbox.close()
        self.segment.close()
        self.sock.close()


def pictures(count, *, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 255, (count, 4, 4, 3), dtype=np.uint8)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def shared_maps() -> int:
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:vln-items")


def wait_for(happens):
    end = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


@pytest.fixture
def socket_path(tmp_path_factory):
    return tmp_path_factory.mktemp("s") / "e.sock"


class House:
    """A server with what a test needs of it."""

    def __init__(self, path):
        self.path, self.engine = path, Engine()
        self.service = self.server = None
        self._stack = contextlib.ExitStack()
        self._callers = []

    def open(self, *, limits=None, offers=None, **queue):
        self.service = EncoderService(
            {"fake": self.engine, "mute": sums}, limits=Limits(**{"max_wait_ms": 0.0, **queue})
        )
        offers = offers or {"fake": offer(text_dim=2, tokens=numbered), "mute": offer("bead")}
        self.server = self._stack.enter_context(
            serving(self.service, offers, self.path, limits=limits or ServerLimits())
        )
        return self

    def call(self, **settings) -> Caller:
        self._callers.append(Caller(self.path, **settings))
        return self._callers[-1]

    def close(self):
        self.engine.may_go.set()
        for caller in self._callers:
            caller.close()
        self._stack.close()


@pytest.fixture
def house(socket_path):
    house = House(socket_path)
    yield house
    house.close()


# Asking.


def test_a_client_gets_what_the_engine_gives(house):
    caller = house.open().call()
    items = pictures(5)

    caller.ask(7, items)
    number, rows = caller.answer()

    assert number == 7
    assert rows.dtype == np.float32
    assert np.array_equal(rows, sums(items))


def test_the_welcome_says_what_there_is(house):
    welcome = house.open(max_batch=8).call().welcome

    assert welcome["version"] == 1
    assert welcome["encoders"]["fake"]["fingerprint"] == "f00d"
    assert welcome["encoders"]["fake"]["spec"]["pooled_dim"] == 2
    assert Recipe(**welcome["encoders"]["mute"]["recipe"]).size == 224
    assert (welcome["limits"]["max_batch"], welcome["limits"]["max_segments"]) == (8, 64)


@pytest.mark.parametrize("dtype", ["|u1", "<i8", "<f4", "<f8", "|b1"])
def test_items_of_every_type_arrive_as_they_were_written(house, dtype):
    caller = house.open().call()
    items = np.arange(1, 13).reshape(2, 6).astype(dtype)

    caller.ask(1, items)

    assert np.array_equal(caller.answer()[1], sums(items))


def test_tokens_come_without_a_tokenizer_on_the_clients_side(house):
    caller = house.open().call()

    caller.say(op="tokens", id=3, encoder="fake", texts=["a door", "Tür"])
    number, tokens = caller.answer()

    assert number == 3
    assert tokens.tolist() == [[6, 7], [3, 7]]


def test_requests_are_answered_in_the_order_in_which_they_were_asked(house):
    caller = house.open(max_batch=4).call()

    for number in range(50):
        caller.ask(number, pictures(1 + number % 7))

    assert [caller.answer()[0] for _ in range(50)] == list(range(50))


def test_clients_share_a_batch(house):
    house.open(max_wait_ms=1000.0, max_batch=8)
    callers = [house.call() for _ in range(3)]
    house.engine.may_go.clear()
    callers[0].ask(0, pictures(1))
    wait_for(lambda: house.engine.batches == [1])

    for caller in callers:
        caller.ask(1, pictures(2))
    house.engine.may_go.set()
    for caller in callers:
        while caller.answer()[0] != 1:
            pass

    assert house.engine.batches == [1, 6]


def test_what_another_process_holds_in_process_is_encoded_with_it(house):
    caller = house.open().call()
    inside = house.service.client("inside")

    caller.ask(1, pictures(2))

    assert np.array_equal(inside.encode("fake", "images", pictures(3)), sums(pictures(3)))
    assert len(caller.answer()[1]) == 2


# Errors of a request.


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"encoder": "fakee"}, "UnknownName", "Did you mean 'fake'"),
        ({"shape": [0, 2]}, "BadImage", "no items"),
        ({"shape": [200, 1]}, "BadConfig", "this service's queue holds 100 items"),
    ],
)
def test_a_request_that_cannot_be_fails_alone(house, change, error, words):
    caller = house.open(max_queue_items=100).call()

    caller.ask(1, pictures(2), **change)
    caller.ask(2)
    told, (number, _) = caller.hear(), caller.answer()

    assert (told["op"], told["id"], told["type"]) == ("error", 1, error)
    assert words in told["message"]
    assert number == 2


def test_a_bad_image_fails_alone_in_a_batch_of_several_clients(house):
    house.open(max_wait_ms=200.0)
    good, bad = house.call(), house.call()

    bad.ask(1, np.full((1, 4, 4, 3), 13, dtype=np.uint8))
    good.ask(2, pictures(1))

    assert good.answer()[0] == 2
    assert bad.hear()["type"] == "BadImage"


def test_an_engine_that_fails_in_its_own_words_is_told_as_a_failure(house, monkeypatch):
    house.engine.may_go = None
    caller = house.open().call()

    caller.ask(1, pictures(1))
    told = caller.hear()
    house.engine.may_go = threading.Event()

    assert told["type"] == "EncodingFailed"
    assert "AttributeError" in told["message"]


def test_texts_that_nobody_reads_are_an_error_of_the_request(house):
    caller = house.open().call()

    caller.say(op="tokens", id=1, encoder="mute", texts=["a"])
    caller.say(op="tokens", id=2, encoder="none", texts=["a"])
    caller.say(op="tokens", id=3, encoder="fake", texts=["a"])

    kinds = {told["id"]: told["type"] for told in (caller.hear(), caller.hear())}
    assert kinds == {1: "BadConfig", 2: "UnknownName"}
    assert caller.answer()[0] == 3


def test_a_tokenizer_that_fails_is_told(house):
    def broken(texts):
        raise BadConfig("the text is too long. Shorten it.")

    caller = house.open(offers={"fake": offer(tokens=broken)}).call()

    caller.say(op="tokens", id=1, encoder="fake", texts=["a"])

    assert caller.hear() == {
        "op": "error",
        "id": 1,
        "type": "BadConfig",
        "message": "the text is too long. Shorten it.",
    }


def test_an_answer_that_no_frame_holds_is_an_error_of_the_request(house, monkeypatch):
    monkeypatch.setattr("vln.service.local.wire.MAX_BODY", 1000)
    caller = house.open().call()

    caller.ask(1, pictures(200))
    caller.ask(2, pictures(2))

    assert caller.hear()["type"] == "BadFrame"
    assert caller.answer()[0] == 2


def test_a_cancelled_request_ends_once_and_others_go_on(house):
    caller = house.open().call()
    house.engine.may_go.clear()
    for number in (1, 2, 3):
        caller.ask(number, pictures(1))
    wait_for(lambda: house.engine.batches)

    caller.say(op="cancel", id=2)
    caller.say(op="cancel", id=99)
    wait_for(lambda: house.service.status().failed == 1)
    house.engine.may_go.set()

    told = sorted((caller.hear() for _ in range(3)), key=lambda header: header["id"])
    assert [header["op"] for header in told] == ["answer", "error", "answer"]
    assert "cancelled" in told[1]["message"]


# Greeting.


@pytest.mark.parametrize(
    ("expect", "kind", "words"),
    [
        ({"fake": "dead"}, "CheckpointMismatch", "has the fingerprint f00d, expected dead"),
        ({"clip": ""}, "UnknownName", "Known: fake, mute"),
    ],
)
def test_a_client_that_expects_other_encoders_is_told_at_once(house, expect, kind, words):
    caller = house.open().call(expect=expect)

    assert (caller.welcome["op"], caller.welcome["fatal"]) == ("error", True)
    assert caller.welcome["type"] == kind
    assert words in caller.welcome["message"]
    assert caller.is_hung_up()


def test_a_client_that_expects_what_is_there_is_welcome(house):
    assert house.open().call(expect={"fake": "f00d", "mute": ""}).welcome["op"] == "welcome"


def test_a_client_of_another_version_is_told_which(house):
    caller = house.open().call(is_silent=True)

    caller.say(op="hello", version=2, name="new", pid=1, expect={})

    assert "version 2 at a server of version 1" in caller.hear()["message"]


def test_more_clients_than_are_allowed_are_sent_away(house):
    house.open(limits=ServerLimits(max_clients=2))
    first, second = house.call(), house.call()

    third = house.call(is_silent=True)

    assert third.hear()["type"] == "ServiceBusy"
    assert third.is_hung_up()
    first.close()
    second.ask(1, pictures(1))
    assert second.answer()[0] == 1


def test_who_does_not_say_who_it_is_is_not_kept(house):
    caller = house.open(limits=ServerLimits(max_silence_s=0.05)).call(is_silent=True)

    assert caller.is_hung_up()


# The end.


def test_the_end_answers_what_is_on_the_device_and_closes_the_rest(house):
    house.open(max_batch=2, max_queue_items=6)
    caller, waits = house.call(), house.call()
    house.engine.may_go.clear()
    for number in range(3):
        caller.ask(number, pictures(2))
    wait_for(lambda: house.service.status().in_flight == 4)  # one batch, and one made ready
    waits.ask(3, pictures(2))
    wait_for(lambda: house.server.status()["waiting_sockets"] == 1)

    house.server.stop()
    wait_for(lambda: not house.path.exists())
    house.engine.may_go.set()
    told = [*(caller.hear() for _ in range(3)), waits.hear()]

    assert [header["op"] for header in told] == ["answer", "answer", "error", "error"]
    assert {header["type"] for header in told[2:]} == {"ServiceClosed"}
    assert caller.is_hung_up()
    assert waits.is_hung_up()


def test_a_server_whose_device_thread_has_died_ends_as_well(house):
    caller = house.open().call()

    caller.ask(1, np.full((1, 2), 66, dtype=np.uint8))
    first = caller.hear()
    caller.ask(2)
    second = caller.hear()

    assert (first["type"], second["type"]) == ("EncodingFailed", "ServiceClosed")
    assert caller.is_hung_up()
    wait_for(lambda: not house.path.exists())


def test_a_mistake_of_ours_ends_one_connection_and_is_logged(house, monkeypatch, caplog):
    house.open()
    good, unlucky = house.call(), house.call()
    unlucky.ask(1, pictures(1))
    unlucky.answer()

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("vln.service.local.session.mapped", broken)
    unlucky.share(2, unlucky.segment)
    is_hung_up = unlucky.is_hung_up()
    good.ask(1, pictures(1))

    assert is_hung_up
    assert good.answer()[0] == 1
    assert "ZeroDivisionError" in caplog.text


def test_a_process_without_descriptors_accepts_again_when_there_are_some(house, caplog):
    house.open()
    listener = house.server._listener

    class Full:
        def accept(self):
            house.server._listener = listener
            raise OSError(24, "Too many open files")

        def fileno(self):
            return listener.fileno()

    house.server._listener = Full()
    # What the selector knows is the socket itself; the next turn meets the full one.
    house.server._selector.unregister(listener)
    house.server._listener = full = Full()
    house.server._selector.register(full, 1)
    house.server._bell.ring()

    caller = house.call()
    caller.ask(1, pictures(1))

    assert caller.answer()[0] == 1


# Status.


def test_the_status_tells_of_encoders_clients_and_speed(house):
    caller = house.open().call(name="navigation")
    before = ask_status(house.path)
    for number in range(3):
        caller.ask(number, pictures(4))
        caller.answer()

    now = ask_status(house.path)
    text = told(now, before)
    lines = [line.split() for line in text.splitlines()]

    assert (now["items"], now["answered"], now["num_sockets"]) == (12, 3, 1)
    assert now["sockets"][0] == {
        "name": "navigation",
        "pid": os.getpid(),
        "answered": 3,
        "items": 12,
        "pending": 0,
        "unsent_bytes": 0,
        "segment_bytes": 2**16,
    }
    assert "items/s now" in text
    assert ["fake", "2", "features", "2", "of", "texts", "f00d"] in lines
    assert ["mute", "2", "features", "no", "texts", "bead"] in lines
    assert lines[-1] == ["navigation", str(os.getpid()), "3", "0", "12", "0.1", "0.0"]


def test_a_device_in_a_long_batch_does_not_look_idle(house):
    caller = house.open().call()
    house.engine.may_go.clear()
    idle = ask_status(house.path)
    caller.ask(1, pictures(1))
    wait_for(lambda: house.engine.batches)
    before, now = ask_status(house.path), ask_status(house.path)

    assert "0.0 items/s now, busy 0%" in told({**idle, "up_s": idle["up_s"] + 1}, idle)
    assert "0.0 items/s now, in a long batch" in told(now, before)


def test_the_status_fits_a_frame_however_many_clients_there_are(house):
    house.open()
    for number in range(120):
        house.call(name=f"\0{number}" * 50, size=10)

    now = ask_status(house.path)

    assert now["num_sockets"] == 120
    assert "and 70 more" in told(now)


def test_no_server_is_told_with_a_remedy(socket_path):
    with pytest.raises(ServiceClosed, match=r"no server answers .*python -m vln.service serve"):
        ask_status(socket_path)


def test_a_status_of_what_is_no_server_is_told(socket_path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(socket_path))
        other.listen()
        with pytest.raises(ServiceClosed, match=r"no answer within 0.05 s"):
            ask_status(socket_path, timeout_s=0.05)
