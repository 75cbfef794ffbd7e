"""Does one thing to every home, on several processes that never outlive the one that began them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final, TypeVar

from tqdm import tqdm

from vln.errors import BadConfig

Job = TypeVar("Job")
Made = TypeVar("Made")

MAX_WORKERS: Final = 256


@dataclass(frozen=True)
class Crew:
    """Processes that work side by side.

    Attributes:
        workers: How many; 1 works in this process.
        progress: Whether bars are drawn on standard error.

    Raises:
        BadConfig: None, or more than `MAX_WORKERS`.
    """

    workers: int
    progress: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            raise BadConfig(f"{self.workers:,} workers; expected 1 to {MAX_WORKERS}.")

    def each(self, task: Callable[[Job], Made], jobs: Sequence[Job], *, what: str) -> list[Made]:
        """Gives what a task makes of every job, in the jobs' order.

        Args:
            task: Can be pickled, as its jobs and what it makes can.
            jobs: One at a time for each process.
            what: Names the bar.
        """
        with tqdm(total=len(jobs), desc=what, disable=not self.progress) as bar:
            workers = min(self.workers, len(jobs))
            if workers > 1:
                return _shared_out(task, jobs, workers=workers, done=bar.update)
            made = []
            for job in jobs:
                made.append(task(job))
                bar.update()
            return made


def _shared_out(
    task: Callable[[Job], Made], jobs: Sequence[Job], *, workers: int, done: Callable[[], object]
) -> list[Made]:
    # Spawned, not forked: a fork of a process with threads (torch's, say) may hang.
    context = multiprocessing.get_context("spawn")
    # Nothing is ever sent: workers end when the other end closes, as it does however we end.
    theirs, ours = context.Pipe(duplex=False)
    with (
        theirs,
        ours,
        ProcessPoolExecutor(
            workers, mp_context=context, initializer=_end_with, initargs=(theirs,)
        ) as pool,
    ):
        futures = [pool.submit(task, job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                done()
        except BaseException:
            ours.close()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def _end_with(theirs: Connection) -> None:
    """Ends this process at once when the one that began it closes its end of a pipe, or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other one's to tell

    def watch() -> None:
        theirs.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
