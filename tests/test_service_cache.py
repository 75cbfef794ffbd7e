"""Answers that are kept: found by their key, bounded in bytes, in order, nobody's to change."""

import threading

import numpy as np
import pytest

from vln.errors import BadConfig, EncodingFailed
from vln.service.cache import Cache
from vln.service.requests import Group, Limits
from vln.service.service import EncoderService

ROWS = np.arange(4, dtype=np.float32).reshape(1, 4)
GROUP = Group("e", "images", (1,), "<f4")


class Counting:
    """An engine that doubles, counts its batches, and can be held up."""

    def __init__(self):
        self.batches, self.open = [], threading.Event()
        self.open.set()

    def __call__(self, kind, items):
        assert self.open.wait(20)
        self.batches.append(items[:, 0].tolist())
        if (items < 0).any():
            raise EncodingFailed("negative")
        return items * 2


def numbers(*values):
    return np.array(values, dtype=np.float32)[:, None]


@pytest.fixture
def engine():
    return Counting()


@pytest.fixture
def serve(engine):
    """Makes services around the engine; closes them."""
    made = []

    def make(**limits):
        made.append(EncoderService({"e": engine}, limits=Limits(**limits)))
        return made[-1]

    yield make
    engine.open.set()
    for service in made:
        service.close()


def test_what_was_answered_is_not_encoded_again(serve, engine):
    service = serve()
    first = service.client("a").encode("e", "images", numbers(1, 2), key="k")

    again = service.client("b").encode("e", "images", numbers(1, 2), key="k")

    np.testing.assert_array_equal(again, first)
    assert engine.batches == [[1, 2]]
    status = service.status()
    assert (status.cache_hits, status.answered, status.queued_items) == (1, 2, 0)
    assert status.cache_bytes >= again.nbytes


def test_an_answer_that_is_kept_may_be_changed_by_each_who_gets_it(serve):
    client = serve().client("a")
    client.encode("e", "images", numbers(1), key="k")[:] = -1

    second = client.encode("e", "images", numbers(1), key="k")
    second[:] = -1

    assert client.encode("e", "images", numbers(1), key="k").item() == 2


@pytest.mark.parametrize(
    ("kind", "items", "key"),
    [("grid", numbers(5), "k"), ("images", numbers(5, 6), "k"), ("images", numbers(5), "other")],
)
def test_another_kind_number_or_key_is_another_thing(serve, kind, items, key):
    client = serve().client("a")
    client.encode("e", "images", numbers(1), key="k")

    assert client.encode("e", kind, items, key=key)[0].item() == 10


def test_what_has_no_key_is_not_kept(serve, engine):
    service = serve()
    for _ in range(2):
        service.client("a").encode("e", "images", numbers(1))

    assert len(engine.batches) == 2
    assert service.status().cache_bytes == 0


def test_an_error_is_not_kept(serve, engine):
    client = serve().client("a")
    for _ in range(2):
        with pytest.raises(EncodingFailed, match="negative"):
            client.encode("e", "images", numbers(-1), key="k")

    assert len(engine.batches) == 2


def test_a_known_answer_waits_for_those_asked_before_it(serve, engine):
    service = serve(max_wait_ms=0)
    client, other = service.client("a"), service.client("b")
    client.encode("e", "images", numbers(1), key="k")
    engine.open.clear()
    slow = client.submit("e", "images", numbers(7))
    known = client.submit("e", "images", numbers(1), key="k")

    assert other.encode("e", "images", numbers(1), key="k").item() == 2
    assert not known.done()
    engine.open.set()
    assert slow.result(20).item() == 14
    assert known.result(20).item() == 2


def test_a_known_answer_that_waits_can_be_cancelled(serve, engine):
    service = serve(max_wait_ms=0)
    client = service.client("a")
    client.encode("e", "images", numbers(1), key="k")
    engine.open.clear()
    slow = client.submit("e", "images", numbers(7))
    known = client.submit("e", "images", numbers(1), key="k")

    assert known.cancel()
    engine.open.set()
    assert slow.result(20).item() == 14
    with pytest.raises(EncodingFailed, match="cancelled"):
        known.result(20)
    assert service.status().queued_items == 0


def test_a_cache_of_nothing_keeps_nothing(serve, engine):
    service = serve(max_cache_bytes=0)
    for _ in range(2):
        service.client("a").encode("e", "images", numbers(1), key="k")

    assert len(engine.batches) == 2
    assert service.status().cache_bytes == 0


def test_rows_of_a_larger_batch_do_not_keep_the_batch(serve, engine):
    service = serve(max_wait_ms=0)
    client = service.client("a")
    engine.open.clear()
    asked = [client.submit("e", "images", numbers(i), key=f"{i}") for i in range(20)]
    engine.open.set()
    for answer in asked:
        answer.result(20)

    kept = service._desk._cache._kept.values()
    assert len(kept) == 20
    assert all(rows.base is None or rows.base.nbytes == rows.nbytes for rows in kept)


def test_the_oldest_are_forgotten_first_and_never_more_is_kept_than_fits():
    cache = Cache(3 * (ROWS.nbytes + 512))
    for key in "abc":
        cache.keep((GROUP, 1, key), ROWS)
    cache.find((GROUP, 1, "a"))
    cache.keep((GROUP, 1, "d"), ROWS)

    found = [key for key in "abcd" if cache.find((GROUP, 1, key)) is not None]
    assert found == ["a", "c", "d"]
    assert cache.bytes == 3 * (ROWS.nbytes + 512)


def test_an_answer_kept_anew_counts_once():
    cache = Cache(10_000)
    for _ in range(3):
        cache.keep((GROUP, 1, "a"), ROWS)

    assert cache.bytes == ROWS.nbytes + 512
    assert not cache.keeps(10_000)


def test_a_negative_cache_is_refused():
    with pytest.raises(BadConfig, match="max_cache_bytes is -1"):
        Limits(max_cache_bytes=-1)
