"""Processes that work side by side: order, errors and locks, and that none outlives its maker."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from vln.errors import BadConfig
from vln.houses.world import disk
from vln.houses.world.crew import Crew


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_made_comes_in_the_jobs_order(workers):
    assert Crew(workers, progress=False).each(abs, [-3, 1, -2], what="x") == [3, 1, 2]


def test_no_jobs_make_nothing():
    assert Crew(2, progress=False).each(abs, [], what="x") == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_jobs_error_is_the_crews(workers):
    with pytest.raises(TypeError):
        Crew(workers, progress=False).each(abs, [1, "two", 3], what="x")


@pytest.mark.parametrize("workers", [-1, 0, 257, 10**9])
def test_absurd_crews_are_refused(workers):
    with pytest.raises(BadConfig, match="expected 1 to 256"):
        Crew(workers)


MAKER = """
import os, sys, time
from pathlib import Path
from vln.houses.world import disk
from vln.houses.world.crew import Crew

def work(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(300)

if __name__ == "__main__":
    Crew(2, progress=False).each(work, [Path(sys.argv[1])] * 4, what="x")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks the system for processes")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_began_them(tmp_path, how):
    (tmp_path / "maker.py").write_text(MAKER)
    (tmp_path / "pids").mkdir()
    maker = subprocess.Popen(
        [sys.executable, tmp_path / "maker.py", tmp_path / "pids"],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert _within(60, lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    workers = [int(file.name) for file in (tmp_path / "pids").iterdir()]

    os.kill(maker.pid, how)

    maker.wait(timeout=20)
    assert _within(20, lambda: not any(_is_alive(pid) for pid in workers))


def _within(seconds, holds):
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody has asked after is dead all the same.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip() not in ("", "Z", "Z+", "Zl")


def test_who_waits_for_another_maker_is_told(tmp_path, caplog):
    folder, order = tmp_path / "both", []

    def second():
        with disk.alone(folder, waits=True):
            order.append("second")

    waiting = threading.Thread(target=second)
    with disk.alone(folder, waits=True):
        waiting.start()
        deadline = time.monotonic() + 20
        while "waiting" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        order.append("first")
        with (
            pytest.raises(BadConfig, match="another process writes"),
            disk.alone(folder, waits=False),
        ):
            pass
    waiting.join()
    assert order == ["first", "second"]
    assert "another process makes" in caplog.text
