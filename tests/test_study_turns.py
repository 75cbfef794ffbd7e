"""Tasks that processes share: in order, past what fails, and waiting for what comes before."""

import threading

import pytest
from filelock import FileLock

from benchmarks.study import turns
from benchmarks.study.turns import Task, finish_all, take_turns
from vln.errors import BadConfig, CannotWrite, InUse


def failing(error):
    def finish():
        raise error

    return finish


def test_a_task_is_finished_after_those_that_it_needs(tmp_path):
    done = []
    tasks = [
        Task("last", lambda: done.append("last"), ("first", "second")),
        Task("first", lambda: done.append("first")),
        Task("second", lambda: done.append("second"), ("first",)),
    ]

    assert take_turns(tasks, out=tmp_path) == {}

    assert done == ["first", "second", "last"]


def test_what_needs_a_task_that_failed_is_left_and_all_else_is_finished(tmp_path):
    done = []
    tasks = [
        Task("bad", failing(BadConfig("cannot be."))),
        Task("dependent", lambda: done.append("dependent"), ("bad",)),
        Task("further", lambda: done.append("further"), ("dependent",)),
        Task("other", lambda: done.append("other")),
    ]

    problems = take_turns(tasks, out=tmp_path)

    assert done == ["other"]
    assert problems == {
        "bad": "bad: cannot be.",
        "dependent": "dependent: bad comes first.",
        "further": "further: dependent comes first.",
    }


def test_a_task_in_other_hands_is_waited_for_where_another_needs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    lock = FileLock(tmp_path / ".base.lock", thread_local=False)
    lock.acquire()
    done = []
    tasks = [
        Task("base", lambda: done.append("base")),
        Task("dependent", lambda: done.append("dependent"), ("base",)),
    ]
    threading.Timer(0.1, lock.release).start()

    assert take_turns(tasks, out=tmp_path) == {}

    assert done == ["base", "dependent"]


def test_a_task_in_other_hands_that_nothing_needs_is_passed_over(tmp_path):
    with FileLock(tmp_path / ".busy.lock"):
        problems = take_turns([Task("busy", lambda: None)], out=tmp_path)

    assert problems == {"busy": "busy: another process has it in hand."}


def test_features_that_another_process_writes_are_asked_for_once_more(tmp_path):
    answers = [InUse("being written."), None]

    def finish():
        if (answer := answers.pop(0)) is not None:
            raise answer

    assert take_turns([Task("one", finish)], out=tmp_path) == {}
    assert answers == []


def test_a_disk_that_refuses_stops_everything(tmp_path):
    with pytest.raises(CannotWrite, match="one cannot be finished"):
        take_turns([Task("one", failing(OSError("no room")))], out=tmp_path)


def test_what_is_not_finished_in_the_end_is_an_error():
    with pytest.raises(BadConfig, match=r"1 of 3 runs are not finished\. one: why\."):
        finish_all(lambda given: {given: "one: why."}, "one", jobs=1, tasks=3)
