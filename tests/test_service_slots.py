"""A client's shared memory: used again, never twice at once, and bounded."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vln.errors import BadConfig, CannotWrite
from vln.service.local import slots as module
from vln.service.local.slots import Slots

MEBIBYTE = 2**20


@pytest.fixture
def slots():
    made = Slots(8 * MEBIBYTE)
    yield made
    made.close()


def test_what_was_given_back_is_used_again(slots):
    first = slots.take(1000)
    slots.give(first)

    assert slots.take(1000) == first
    assert len(slots.segments) == 1


def test_neighbours_that_were_given_back_are_one_hole(slots):
    taken = [slots.take(MEBIBYTE // 4) for _ in range(4)]
    for slot in (taken[0], taken[2], taken[1], taken[3]):
        slots.give(slot)

    whole = slots.take(MEBIBYTE)
    assert (whole.segment, whole.offset) == (taken[0].segment, 0)


def test_memory_grows_up_to_its_bound_and_then_something_must_be_given_back(slots):
    taken = [slots.take(MEBIBYTE) for _ in range(8)]

    assert all(taken)
    assert slots.take(1) is None
    slots.give(taken[3])
    assert slots.take(MEBIBYTE) is not None


def test_small_segments_make_room_for_what_needs_a_large_one(slots):
    for slot in [slots.take(MEBIBYTE) for _ in range(8)]:
        slots.give(slot)

    assert slots.take(8 * MEBIBYTE) is not None
    assert len(slots.segments) == 1


def test_what_never_fits_is_refused(slots):
    with pytest.raises(BadConfig, match="shares at most 8,388,608"):
        slots.take(8 * MEBIBYTE + 1)


def test_a_spoilt_place_is_never_written_to_again(slots):
    spoilt, other = slots.take(1000), slots.take(1000)
    view = slots.view(spoilt, (1000,), np.dtype(np.uint8))
    view[:] = 7
    slots.spoil(spoilt)

    assert slots.take(1000).segment != spoilt.segment
    slots.give(other)
    assert spoilt.segment not in slots.segments
    assert (view == 7).all()


def test_idle_memory_is_given_up_beyond_a_spare(monkeypatch):
    monkeypatch.setattr(module, "_SPARE", MEBIBYTE)
    slots = Slots(8 * MEBIBYTE)
    for slot in [slots.take(2 * MEBIBYTE) for _ in range(3)]:
        slots.give(slot)

    assert slots.segments == {}


def test_a_full_machine_says_so_only_where_nothing_can_be_waited_for(slots, monkeypatch):
    def full(size):
        raise CannotWrite("no memory")

    first = slots.take(MEBIBYTE)
    monkeypatch.setattr(module, "Segment", full)

    assert slots.take(MEBIBYTE) is None
    slots.give(first)
    assert slots.take(MEBIBYTE) is not None
    slots.close()
    with pytest.raises(CannotWrite, match="no memory"):
        slots.take(MEBIBYTE)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "give", "spoil"]), st.integers(1, 3 * MEBIBYTE)),
        max_size=30,
    )
)
def test_no_two_slots_ever_overlap(steps):
    slots, taken = Slots(8 * MEBIBYTE), []
    for action, number in steps:
        if action == "take":
            slot = slots.take(number)
            taken += [slot] if slot else []
        elif taken:
            getattr(slots, action)(taken.pop(number % len(taken)))
        places = sorted(taken)
        for one, other in pairwise(places):
            assert one.segment != other.segment or one.offset + one.size <= other.offset
        assert slots.in_use == len(taken)
        assert sum(segment.size for segment in slots.segments.values()) <= 8 * MEBIBYTE
    for slot in taken:
        slots.give(slot)
    assert slots.in_use == 0
    slots.close()
