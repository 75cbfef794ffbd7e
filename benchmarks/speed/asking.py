"""One client's process: `python -m benchmarks.speed.asking SOCKET HANDLE SIZE`.

Reads a round from a line of standard input, asks, and writes how long each request took to a line
of standard output, until there are no more lines.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path

import numpy as np
import orjson

from vln.runs import generator
from vln.service.local.remote import RemoteClient, RemoteService
from vln.service.local.remote_answer import RemoteAnswer


def main() -> int:
    """Asks what standard input says."""
    socket, handle, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    rng = generator(0, "pictures")
    pictures = rng.integers(256, size=(64, size, size, 3), dtype=np.uint8)
    with RemoteService(socket) as service, service.client("benchmark") as client:
        client.encode(handle, "images", pictures[:1])
        for line in iter(sys.stdin.readline, ""):
            asked = orjson.loads(line)
            pieces = pictures[: asked["items"]]
            seconds = _round(client, handle, pieces, asked["requests"], asked["in_flight"])
            sys.stdout.write(orjson.dumps(seconds).decode() + "\n")
            sys.stdout.flush()
    return 0


def _round(
    client: RemoteClient, handle: str, items: np.ndarray, requests: int, in_flight: int
) -> list[float]:
    """Gives the seconds of each request, `in_flight` of which are on their way at any time."""
    waiting = deque[tuple[float, RemoteAnswer]]()
    seconds = list[float]()

    def take() -> None:
        began, answer = waiting.popleft()
        answer.result()
        seconds.append(time.perf_counter() - began)

    for _ in range(requests):
        if len(waiting) == in_flight:
            take()
        waiting.append((time.perf_counter(), client.submit(handle, "images", items)))
    while waiting:
        take()
    return seconds


if __name__ == "__main__":
    sys.exit(main())
