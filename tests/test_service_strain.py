"""The server under strain: nonsense, clients that stop or die, more requests than there is room."""

import contextlib
import gc
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from test_service_server import (
    Caller,
    House,
    numbered,
    open_files,
    pictures,
    shared_maps,
    sums,
    wait_for,
)

from vln.service.local.offers import ServerLimits
from vln.service.local.segment import Segment
from vln.service.local.wire import send


@pytest.fixture
def socket_path(tmp_path_factory):
    return tmp_path_factory.mktemp("s") / "e.sock"


@pytest.fixture
def house(socket_path):
    house = House(socket_path)
    yield house
    house.close()


# Nonsense.

NONSENSE = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\0\0\0\0",
    b"\0\0\0\1{",
    b"\0\0\0\2[]",
    b"\0\0\0\2{}",
    b"\x80\x05\x95" + bytes(100),
    b'\0\0\0\x0f{"op": "delete"',
    b'\0\0\0\x10{"op": "delete"}',
    b'\0\0\0\x1c{"op": "status", "body": 10}' + bytes(10),
    b'\0\0\0\x17{"op":"cancel","id":-1}',
]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("is_known", [True, False])
def test_nonsense_ends_its_own_connection_only(house, nonsense, is_known):
    house.open()
    good, bad = house.call(), house.call(is_silent=not is_known)

    bad.sock.sendall(nonsense)
    last = bad.hear()
    good.ask(1, pictures(1))

    assert (last["op"], last["fatal"], last["type"]) == ("error", True, "BadFrame")
    assert bad.is_hung_up()
    assert good.answer()[0] == 1


@pytest.mark.parametrize(
    "header",
    [
        {"op": "encode", "segment": 2},
        {"op": "encode", "offset": 65_530},
        {"op": "encode", "offset": 1, "dtype": "<f4"},
        {"op": "encode", "shape": [2**20, 2**20]},
        {"op": "release", "id": 5},
        {"op": "segment", "id": 1, "size": 100},
        {"op": "segment", "id": 2, "size": 100},
        {"op": "hello", "version": 1, "name": "again", "pid": 1, "expect": {}},
    ],
)
def test_what_makes_no_sense_to_say_ends_the_connection(house, header):
    caller = house.open().call()
    caller.ask(1, pictures(1))
    caller.answer()

    if header["op"] == "encode":
        caller.ask(2, **header)
    else:
        caller.say(**header)

    assert caller.hear()["fatal"]
    assert caller.is_hung_up()


def test_requests_before_hello_are_refused_but_status_is_for_everybody(house):
    house.open()
    curious, rude = house.call(is_silent=True), house.call(is_silent=True)

    curious.say(op="status")
    rude.say(op="cancel", id=1)

    assert curious.hear()["pid"] == os.getpid()
    assert "before hello" in rude.hear()["message"]


def test_the_same_id_twice_at_once_is_refused(house):
    caller = house.open().call()
    house.engine.may_go.clear()

    caller.ask(1, pictures(1))
    caller.ask(1)

    assert "a second request 1" in caller.hear()["message"]


def test_a_segment_that_could_shrink_is_refused(house):
    caller = house.open().call()
    loose = os.memfd_create("loose", os.MFD_CLOEXEC)
    os.ftruncate(loose, 100)

    send(caller.sock, {"op": "segment", "id": 9, "size": 100}, descriptors=[loose])
    os.close(loose)

    assert "not sealed" in caller.hear()["message"]


def test_a_client_holds_only_so_much_memory(house):
    caller = house.open(limits=ServerLimits(max_segment_bytes=2**16 + 100)).call()

    with Segment(101) as more:
        caller.share(2, more)

    assert "this server takes 64 of 65,636" in caller.hear()["message"]


def fuzzed(rng) -> bytes:
    """Bytes that look like frames, more or less."""
    words = [b'{"op":"encode"', b'"id":1', b'"shape":[1,2]', b"}", b"\xff", b"{", b"["]
    text = b",".join(words[one] for one in rng.integers(len(words), size=rng.integers(6)))
    length = int(rng.choice([len(text), len(text) + 1, 0, 2**31, rng.integers(70_000)]))
    return length.to_bytes(4, "big") + text + rng.bytes(rng.integers(20))


def test_the_server_outlives_a_thousand_pieces_of_nonsense(house):
    house.open()
    rng = np.random.default_rng(0)
    good = house.call()
    good.ask(0, pictures(1))
    good.answer()
    before = open_files()

    for number in range(250):
        with socket.socket(socket.AF_UNIX) as bad:
            bad.connect(str(house.path))
            with contextlib.suppress(ConnectionError):
                for _ in range(4):
                    bad.sendall(fuzzed(rng))
        if number % 50 == 0:
            good.ask(number, pictures(1))
            assert good.answer()[0] == number

    wait_for(lambda: house.server.status()["num_sockets"] == 1)
    wait_for(lambda: open_files() <= before)


# Clients that stop, and clients that are killed.


def test_a_client_that_reads_nothing_is_given_up_and_keeps_nobody_waiting(house):
    limits = ServerLimits(max_unsent_bytes=10**6, max_stall_s=1.0)
    house.open(limits=limits)
    lazy, good = house.call(), house.call()

    for number in range(8):
        lazy.ask(number, pictures(10), kind="wide")  # 800 kB of answers each
    latest = 0.0
    while house.server.status()["num_sockets"] == 2:
        started = time.monotonic()
        good.ask(1, pictures(1))
        assert good.answer()[0] == 1
        latest = max(latest, time.monotonic() - started)

    assert latest < 0.5
    assert lazy.is_hung_up()


def test_a_slow_reader_that_reads_on_gets_everything(house):
    limits = ServerLimits(max_unsent_bytes=10**5, max_stall_s=5.0)
    caller = house.open(limits=limits).call()
    caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1000)
    numbers = []

    for number in range(20):
        caller.ask(number, pictures(3), kind="wide")
    for _ in range(20):
        time.sleep(0.01)
        numbers.append(caller.answer()[0])

    assert numbers == list(range(20))


CLIENT = """
import socket, sys, time
from vln.service.local.segment import Segment
from vln.service.local.wire import Inbox, send
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
send(sock, {"op": "hello", "version": 1, "name": "doomed", "pid": 1, "expect": {}})
items = Segment(10**6)
items.data[:] = 20
send(sock, {"op": "segment", "id": 1, "size": 10**6}, descriptors=[items.descriptor])
for number in range(20):
    send(sock, {"op": "encode", "id": number, "encoder": "fake", "kind": "images", "segment": 1,
                "offset": 0, "shape": [10, 100], "dtype": "|u1", "key": ""})
print("asked", flush=True)
time.sleep(60)
"""


def test_a_client_killed_in_mid_request_leaves_nothing(house):
    house.open(max_batch=10)
    good = house.call()
    good.ask(0, pictures(1))
    good.answer()
    files, maps = open_files(), shared_maps()
    house.engine.may_go.clear()
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(house.path)], stdout=subprocess.PIPE
    ) as doomed:
        assert doomed.stdout.readline() == b"asked\n"
        wait_for(lambda: house.service.status().queued_items == 200)
        wait_for(lambda: house.service.status().in_flight == 20)
        was_mapped = shared_maps()
        doomed.kill()

    wait_for(lambda: house.service.status().queued_items == 0)
    good.ask(1, pictures(1))
    house.engine.may_go.set()

    assert good.answer()[0] == 1
    assert was_mapped == maps + 1
    wait_for(lambda: gc.collect() >= 0 and shared_maps() == maps)
    wait_for(lambda: open_files() <= files)
    assert house.engine.batches == [1, 10, 10, 1]  # what nobody waited for any more was not encoded


def test_clients_that_hang_up_at_any_moment_leave_nothing(house):
    house.open(max_batch=4, max_queue_items=64)
    rng = np.random.default_rng(0)
    wait_for(lambda: gc.collect() >= 0 and shared_maps() == 0)
    files, maps = open_files(), shared_maps()

    for _ in range(150):
        caller = Caller(house.path)
        caller.ask(0, pictures(2))
        for number in range(1, rng.integers(1, 40)):
            caller.ask(number)
        for _ in range(rng.integers(3)):
            with contextlib.suppress(EOFError, TimeoutError):
                caller.sock.settimeout(0.01)
                caller.hear()
        caller.close()

    wait_for(lambda: house.server.status()["num_sockets"] == 0)
    wait_for(lambda: house.service.status().queued_items == 0)
    wait_for(lambda: gc.collect() >= 0 and shared_maps() == maps)
    wait_for(lambda: open_files() <= files)
    assert house.service.status().clients == ()


# No room.


def test_a_full_queue_makes_clients_wait_and_loses_nothing(house):
    house.open(max_queue_items=8, max_batch=4)
    callers = [house.call(name=f"c{number}") for number in range(5)]
    answers = {caller: [] for caller in callers}

    for number in range(30):
        for caller in callers:
            caller.ask(number, pictures(1 + number % 8))
    for caller in callers:
        answers[caller] = [caller.answer()[0] for _ in range(30)]

    assert all(numbers == list(range(30)) for numbers in answers.values())
    assert house.service.status().failed == 0


def test_a_large_request_is_not_overtaken_for_ever_by_small_ones(house):
    house.open(max_queue_items=8, max_batch=1)
    small, large = house.call(), house.call()
    small.ask(0, pictures(1))
    for number in range(1, 200):
        small.ask(number)

    large.ask(1, pictures(8))
    assert large.answer()[0] == 1

    assert house.service.status().answered < 150
    assert [small.answer()[0] for _ in range(200)] == list(range(200))


def test_a_client_that_dies_while_it_waits_for_room_is_forgotten(house):
    house.open(max_queue_items=4)
    first, waits, gone = house.call(), house.call(), house.call()
    house.engine.may_go.clear()
    first.ask(1, pictures(4))
    wait_for(lambda: house.engine.batches == [4])
    gone.ask(1, pictures(4))
    wait_for(lambda: house.server.status()["waiting_sockets"] == 1)
    waits.ask(1, pictures(2))
    wait_for(lambda: house.server.status()["waiting_sockets"] == 2)

    gone.close()
    wait_for(lambda: house.server.status()["num_sockets"] == 2)
    house.engine.may_go.set()

    assert waits.answer()[0] == 1
    assert house.engine.batches == [4, 2]


def test_many_requests_of_one_client_are_not_read_all_at_once(house):
    caller = house.open(limits=ServerLimits(max_pending=3)).call()
    house.engine.may_go.clear()

    for number in range(10):
        caller.ask(number, pictures(1))
    wait_for(lambda: house.server.status()["sockets"][0]["pending"] == 3)
    house.engine.may_go.set()

    assert [caller.answer()[0] for _ in range(10)] == list(range(10))


def test_thirty_clients_at_once_each_get_their_own(house):
    house.open()
    wrong = []

    def work(seed):
        caller = Caller(house.path)
        for number in range(30):
            items = pictures(1 + number % 5, seed=100 * seed + number)
            caller.ask(number, items)
            found, rows = caller.answer()
            if found != number or not np.array_equal(rows, sums(items)):
                wrong.append((seed, number))
        caller.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert house.service.status().answered == 900


class Sane:
    """A client that does all it may, in an order of its own, and keeps the books."""

    def __init__(self, path, *, seed):
        self.random = np.random.default_rng(seed)
        self.caller = Caller(path, name=f"sane {seed}")
        self.caller.segment.data[:] = 20
        self.segments = {1: self.caller.segment}
        self.asked, self.ended, self.wrong = {}, {}, []
        self.number = 1

    def live(self, steps):
        for _ in range(steps):
            act = self.random.choice(["ask", "ask", "ask", "read", "cancel", "share", "tokens"])
            getattr(self, act)()
            while len(self.asked) - len(self.ended) > 20:
                self.read()
        while len(self.ended) < len(self.asked):
            self.read()

    def ask(self):
        self.number += 1
        place = int(self.random.choice(list(self.segments)))
        grey = self.segments[place].data[0]  # all of it, for good: requests may lie on each other
        count = int(self.random.integers(1, 9))
        self.asked[self.number] = np.full((count, 48), grey)
        self.caller.shape, self.caller.dtype = [count, 48], "|u1"
        key = f"{count} of {grey}" if count % 2 else ""
        self.caller.ask(self.number, segment=place, key=key)

    def tokens(self):
        self.number += 1
        self.asked[self.number] = None
        self.caller.say(op="tokens", id=self.number, encoder="fake", texts=["a"] * 3)

    def cancel(self):
        self.caller.say(op="cancel", id=int(self.random.integers(1, self.number + 1)))

    def share(self):
        if len(self.segments) > 3:
            number = min(self.segments)
            self.caller.say(op="release", id=number)
            self.segments.pop(number).close()
            return
        self.number += 1
        segment = Segment(48 * 8)
        segment.data[:] = self.random.integers(20, 60)
        self.segments[self.number] = segment
        self.caller.share(self.number, segment)

    def read(self):
        if len(self.ended) == len(self.asked):
            return
        header, body = self.caller.next()
        items = self.asked[header["id"]]
        is_right = header["id"] not in self.ended
        if header["op"] == "answer":
            rows = np.frombuffer(body, header["dtype"]).reshape(header["shape"])
            is_right &= np.array_equal(rows, numbered(["a"] * 3) if items is None else sums(items))
        else:
            is_right &= "cancelled" in header["message"]
        if not is_right:
            self.wrong.append(header)
        self.ended[header["id"]] = header["op"]

    def close(self):
        for segment in self.segments.values():
            segment.close()
        self.caller.close()


def test_whatever_clients_do_every_request_ends_once_and_rightly(house):
    house.open(max_batch=8, max_queue_items=40)
    clients = [Sane(house.path, seed=seed) for seed in range(8)]

    threads = [threading.Thread(target=client.live, args=(150,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()

    assert [client.wrong for client in clients] == [[]] * 8
    assert all(client.ended.keys() == client.asked.keys() for client in clients)
    assert {"answer", "error"} == {op for client in clients for op in client.ended.values()}
    wait_for(lambda: house.service.status().queued_items == 0)
