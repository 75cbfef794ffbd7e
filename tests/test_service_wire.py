"""Frames, messages and shared memory of the served encoder, without a server."""

import contextlib
import errno
import os
import socket
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vln.errors import BadFrame, CannotWrite
from vln.service.local import segment, wire
from vln.service.local.messages import Encode, Hello, Release, understood
from vln.service.local.segment import Segment, mapped
from vln.service.local.wire import Inbox, Outbox, encoded, send

ENCODE = {
    "op": "encode",
    "id": 1,
    "encoder": "fake",
    "kind": "images",
    "segment": 0,
    "offset": 8,
    "shape": [2, 3],
    "dtype": "<f4",
    "key": "",
}


@pytest.fixture
def ends():
    mine, theirs = socket.socketpair()
    with mine, theirs:
        yield mine, theirs


def joined(header, body=None) -> bytes:
    return b"".join(encoded(header, body))


def raw(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


def next_frame(inbox, sock):
    while (frame := inbox.take()) is None:
        assert inbox.receive(sock), "the other side has ended"
    return frame


def arrived(inbox, sock):
    """Gives the frames that are whole, of what has been sent so far."""
    while True:
        while (frame := inbox.take()) is not None:
            yield frame
        try:
            inbox.receive(sock)
        except BlockingIOError:
            return


def open_files() -> set[str]:
    return {file.name for file in Path("/proc/self/fd").iterdir()}


def is_mapped() -> bool:
    return "memfd:vln-items" in Path("/proc/self/maps").read_text(encoding="utf-8")


# Frames.


@given(st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(data):
    bodies = data.draw(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
    stream = b"".join(
        joined({"op": "answer", "id": number}, np.frombuffer(body, np.uint8) if body else None)
        for number, body in enumerate(bodies)
    )
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    cuts = [0, *sorted(places), len(stream)]
    inbox, found = Inbox(), []
    mine, theirs = socket.socketpair()

    theirs.settimeout(0)
    with mine, theirs:
        for start, stop in pairwise(cuts):
            if start < stop:
                mine.sendall(stream[start:stop])
            found += arrived(inbox, theirs)

    assert [frame.header["id"] for frame in found] == list(range(len(bodies)))
    assert [bytes(frame.body) for frame in found] == bodies


def test_a_body_larger_than_the_sockets_buffer_arrives(ends):
    mine, theirs = ends
    rows = np.arange(500_000, dtype="<f4").reshape(500, 1000)
    outbox, inbox = Outbox(), Inbox()
    mine.settimeout(0)
    outbox.push(encoded({"op": "answer"}, rows), now=1.0)
    frame = None

    while frame is None:
        outbox.flush(mine, now=2.0)
        inbox.receive(theirs)
        frame = inbox.take()

    assert np.array_equal(np.frombuffer(frame.body, "<f4").reshape(500, 1000), rows)
    assert outbox.unsent == 0


def test_an_outbox_knows_since_when_the_other_side_takes_nothing(ends):
    mine, theirs = ends
    outbox = Outbox()
    mine.settimeout(0)
    outbox.push(encoded({"op": "answer"}, np.zeros(10**6, dtype=np.uint8)), now=1.0)

    outbox.flush(mine, now=2.0)
    outbox.flush(mine, now=3.0)
    stalled = outbox.since, outbox.unsent > 0
    theirs.recv(2**17)
    outbox.flush(mine, now=4.0)

    assert stalled == (2.0, True)
    assert outbox.since == 4.0


@pytest.mark.parametrize(
    "stream",
    [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        (2**16 + 1).to_bytes(4, "big"),
        b"GET / HTTP/1.1\r\n\r\n",
        raw(b"nothing"),
        raw(b"\xff\xfe{}"),
        raw(b"[1]"),
        raw(b"3"),
        raw(b"[" * 5000),
        raw(b'{"body": NaN}'),
        raw(b'{"body": -1}'),
        raw(b'{"body": true}'),
        raw(b'{"body": "7"}'),
        raw(b'{"body": 1e400}'),
        raw(b'{"body": 268435457}'),
    ],
)
def test_what_is_no_frame_is_told_from_what_is_not_yet_one(stream, ends):
    mine, theirs = ends
    inbox = Inbox()
    mine.sendall(stream)
    inbox.receive(theirs)

    with pytest.raises(BadFrame, match=r"expected|no JSON"):
        inbox.take()


def test_a_side_that_expects_no_bodies_takes_none(ends):
    mine, theirs = ends
    inbox = Inbox(max_body=0)
    mine.sendall(raw(b'{"op": "hello", "body": 1}'))
    inbox.receive(theirs)

    with pytest.raises(BadFrame, match="a body of 1 bytes"):
        inbox.take()


@pytest.mark.parametrize(
    "header", [{"op": "x" * 70_000}, {"op": "tokens", "texts": ["a"] * 30_000}]
)
def test_a_header_that_is_too_large_is_not_sent(header):
    with pytest.raises(BadFrame, match="Send it in parts"):
        encoded(header)


def test_more_descriptors_than_frames_are_refused_and_closed(ends):
    mine, theirs = ends
    inbox, before = Inbox(), open_files()

    with Segment(10) as one:
        for _ in range(4):
            send(mine, {"op": "segment"}, descriptors=[one.descriptor] * 2)
            inbox.receive(theirs)
        send(mine, {"op": "segment"}, descriptors=[one.descriptor])
        with pytest.raises(BadFrame, match="file descriptors"):
            inbox.receive(theirs)
    inbox.close()

    assert open_files() == before


# Messages.


def test_a_message_is_read_into_a_record():
    found = understood(ENCODE)

    assert isinstance(found, Encode)
    assert (found.shape, found.dtype, found.size) == ((2, 3), np.dtype("<f4"), 24)


@pytest.mark.parametrize(
    "change",
    [
        {"op": "explode"},
        {"op": None},
        {"op": ["encode"]},
        {"id": -1},
        {"id": "1"},
        {"id": True},
        {"id": 1.0},
        {"id": 2**60},
        {"encoder": 3},
        {"kind": None},
        {"key": "k" * 5000},
        {"shape": []},
        {"shape": [-1, 2]},
        {"shape": [2.5]},
        {"shape": [True]},
        {"shape": "23"},
        {"shape": [1] * 9},
        {"dtype": "O"},
        {"dtype": "|O8"},
        {"dtype": ">f4"},
        {"dtype": "<f16"},
        {"dtype": "u1,u1"},
        {"dtype": "<M8"},
        {"offset": -8},
        {"segment": None},
    ],
)
def test_a_message_of_wrong_types_is_refused(change):
    with pytest.raises(BadFrame, match="expected"):
        understood({**ENCODE, **change})


@pytest.mark.parametrize(
    "header",
    [
        {"op": "hello"},
        {"op": "hello", "version": 1, "name": "a", "pid": 1, "expect": {"fake": 3}},
        {"op": "hello", "version": 1, "name": "a", "pid": 1, "expect": []},
        {"op": "segment", "id": 1, "size": 2**40},
        {"op": "tokens", "id": 1, "encoder": "fake", "texts": "a door"},
        {"op": "tokens", "id": 1, "encoder": "fake", "texts": [1]},
        {"op": "cancel"},
        {},
    ],
)
def test_other_messages_of_wrong_types_are_refused_as_well(header):
    with pytest.raises(BadFrame, match="expected"):
        understood(header)


def test_fields_that_nobody_knows_are_left_alone():
    hello = {"op": "hello", "version": 1, "name": "a", "pid": 1, "expect": {}, "colour": "red"}

    assert understood(hello) == Hello(1, "a", 1, {})
    assert understood({"op": "release", "id": 3}) == Release(3)


FIELDS = sorted({*ENCODE, "size", "version", "pid", "name", "expect"} - {"op"})
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on busy machines
@given(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["hello", "segment", "release", "encode", "tokens", "cancel"])},
        optional=dict.fromkeys(
            {*ENCODE, "size", "version", "pid", "name", "expect"} - {"op"}, anything
        ),
    )
)
def test_whatever_a_header_holds_it_is_read_or_refused(header):
    read = None
    with contextlib.suppress(BadFrame):
        read = understood(header)

    assert read is None or type(read).__name__.lower() in {header["op"], "share"}


# Shared memory.


def test_a_segment_is_seen_by_whoever_has_its_descriptor(ends):
    mine, theirs = ends
    inbox = Inbox()
    with Segment(5000) as made:
        made.data[:3] = [1, 2, 3]
        send(mine, {"op": "segment", "id": 1, "size": 5000}, descriptors=[made.descriptor])
        next_frame(inbox, theirs)
        seen = mapped(inbox.descriptors.popleft(), 5000)
        made.data[3] = 4

    assert seen.shape == (5000,)
    assert seen[:5].tolist() == [1, 2, 3, 4, 0]
    assert not seen.flags.writeable


def test_a_mapping_ends_with_its_last_view():
    before = open_files()
    with Segment(2**16) as made:
        seen = mapped(os.dup(made.descriptor), 2**16)
        view = seen[10:20]
    was_mapped = is_mapped()
    del seen, view, made

    assert (was_mapped, is_mapped()) == (True, False)
    assert open_files() == before


def made_of(size) -> int:
    with Segment(size) as made:
        return os.dup(made.descriptor)


def unsealed() -> int:
    descriptor = os.memfd_create("loose", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, 100)
    return descriptor


def plain_file(folder) -> int:
    (folder / "file").write_bytes(bytes(100))
    return os.open(folder / "file", os.O_RDONLY)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: unsealed(), "not sealed"),
        (plain_file, "not sealed"),
        (lambda folder: os.open(folder, os.O_RDONLY), "announced with 100"),
        (lambda _: os.open("/dev/zero", os.O_RDONLY), "announced with 100"),
        (lambda _: made_of(99), "announced with 100"),
    ],
)
def test_memory_that_could_vanish_or_is_another_size_is_not_mapped(make, reason, tmp_path):
    before = open_files()

    with pytest.raises(BadFrame, match=reason):
        mapped(make(tmp_path), 100)

    assert open_files() == before


def test_a_segment_cannot_be_made_shorter_or_longer():
    with Segment(5000) as made:
        for size in (100, 10_000):
            with pytest.raises(PermissionError):
                os.ftruncate(made.descriptor, size)


def test_a_machine_without_memory_says_so_before_anything_is_taken(monkeypatch):
    monkeypatch.setattr(segment, "_free", lambda: 100 * 2**20)
    before = open_files()

    with pytest.raises(CannotWrite, match="no memory for 52,428,800 bytes"):
        Segment(50 * 2**20)

    assert open_files() == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOMEM])
def test_memory_that_cannot_be_reserved_is_an_error_of_ours(number, monkeypatch):
    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", full)
    before = open_files()

    with pytest.raises(CannotWrite, match=r"no memory for 5,000 bytes .* Ask for fewer items"):
        Segment(5000)

    assert open_files() == before


@pytest.mark.parametrize("size", [0, -1, 2**33])
def test_a_segment_has_a_size_that_can_be(size):
    with pytest.raises(CannotWrite, match="to be shared"):
        Segment(size)


def test_a_closed_segment_has_no_descriptor():
    made = Segment(10)
    made.close()
    made.close()

    with pytest.raises(ValueError, match="closed"):
        _ = made.descriptor


def test_the_free_memory_is_known_here():
    assert segment._free() > 0


def test_numbers_of_the_wire_fit_each_other():
    largest = orjson.dumps({**ENCODE, "key": "k" * 4096, "shape": [2**32] * 8})

    assert len(largest) < wire.MAX_HEADER
