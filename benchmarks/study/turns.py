"""Tasks that several processes share: each takes what no other has in hand, what is done is kept.

A task is a name, a lock of that name, and something that may be done twice. Knows nothing of what
is done.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from filelock import FileLock, Timeout

from vln.errors import BadConfig, CannotWrite, InUse, VlnError
from vln.runs import entry_point

logger = logging.getLogger(__name__)

Given = TypeVar("Given")

PATIENCE: Final = 1.0
"""Seconds between two looks at what another process has in hand."""


@dataclass(frozen=True)
class Task:
    """Something to finish.

    Attributes:
        name: Its own among all tasks that share a folder.
        finish: Does what is missing of it.
        after: Names of tasks that have to be finished before.
    """

    name: str
    finish: Callable[[], None]
    after: tuple[str, ...] = ()


def take_turns(tasks: Sequence[Task], *, out: Path) -> dict[str, str]:
    """Finishes every task that no other process has in hand; says why of each that it has not.

    A task that cannot be finished keeps no other from it but those after it. What another process
    has in hand is waited for only where something comes after it.

    Args:
        tasks: In order; those that others come after are among them.
        out: Folder of the locks.

    Raises:
        CannotWrite: There is no room, or no permission.
    """
    return _Turns(tasks, out).take()


class _Turns:
    """One process's share: what is left, what is done, and why the rest is not."""

    def __init__(self, tasks: Sequence[Task], out: Path) -> None:
        names = {task.name for task in tasks}
        assert all(name in names for task in tasks for name in task.after), "would wait for ever"
        self._out = out
        self._left = deque(tasks)
        self._done: set[str] = set()
        self._problems: dict[str, str] = {}
        self._waits: set[str] = set()

    def take(self) -> dict[str, str]:
        """Goes through all tasks until each is done or cannot be."""
        while self._left:
            task = self._left.popleft()
            stuck = [name for name in task.after if name in self._problems]
            if stuck:
                self._problems[task.name] = f"{task.name}: {stuck[0]} comes first."
            elif any(name not in self._done for name in task.after):
                self._left.append(task)
            else:
                self._try(task)
        return self._problems

    def _try(self, task: Task) -> None:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            with FileLock(self._out / f".{task.name}.lock", timeout=0):
                task.finish()
            self._done.add(task.name)
        except Timeout:
            self._leave(task)
        except VlnError as error:
            if isinstance(error, InUse) and task.name not in self._waits:
                self._waits.add(task.name)
                self._left.append(task)  # another process makes the features: later, then
                return
            self._problems[task.name] = f"{task.name}: {error}"
            logger.warning("%s", self._problems[task.name])
        except OSError as error:
            raise CannotWrite(
                f"{self._out / task.name} cannot be finished ({error}). Make room, or choose "
                "another --out."
            ) from error

    def _leave(self, task: Task) -> None:
        """Leaves a task to the process that has it in hand, and waits for it where it must."""
        if not any(task.name in other.after for other in self._left):
            self._problems[task.name] = f"{task.name}: another process has it in hand."
            return
        if task.name not in self._waits:
            self._waits.add(task.name)
            logger.info("%s: another process has it in hand; waiting for it", task.name)
        else:
            time.sleep(PATIENCE)
        self._left.append(task)


def finish_all(
    work: Callable[[Given], dict[str, str]], given: Given, *, jobs: int, tasks: int
) -> None:
    """Works on several processes, then once more here.

    Args:
        work: Finishes what no other process has in hand and says why of each task that it has not;
            can be pickled, as what it is given can.
        given: What to work on.
        jobs: Processes; 1 works here alone.
        tasks: How many there are.

    Raises:
        BadConfig: Some could not be finished; the message says which and why.
    """
    if jobs > 1:
        _side_by_side(work, given, jobs=jobs)
    # Once more here: nothing is left to do, or this tells what went wrong.
    problems = work(given)
    if problems:
        raise BadConfig(
            f"{len(problems)} of {tasks} runs are not finished. " + " ".join(problems.values())
        )


def _side_by_side(work: Callable[[Given], dict[str, str]], given: Given, *, jobs: int) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_worker, args=(work, given)) for _ in range(jobs)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()


def _worker(work: Callable[[Given], dict[str, str]], given: Given) -> None:
    sys.exit(entry_point(lambda: 1 if work(given) else 0))
