"""Speed of a server of encoders: its own round trip, single images, and many clients at once.

Server and clients are processes of their own, as they are in use. Everything is timed by the wall
clock, and what is compared is done in turn, for the machine's speed drifts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from benchmarks.speed.encoding import EncodeSetting
from benchmarks.speed.rows import Row, Timing, rate_row, value_row
from benchmarks.speed.trivial import LIMITS, SIZE, TRIVIAL, trivial
from vln.encoders.network import ImageEncoder
from vln.errors import ServiceClosed
from vln.runs import generator
from vln.service.local.remote import RemoteService
from vln.service.requests import Limits
from vln.service.service import EncoderService

CLIENTS = 8
PUBLISHED = {1: 6628.0, 8: 4683.0}
"""Requests/s of a bare shared-memory loop by clients, of such a machine, measured before this."""
_START_S = 120.0
Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Crew:
    """Client processes that ask one server, and do so at a word.

    Attributes:
        processes: Theirs.
    """

    processes: tuple[subprocess.Popen[str], ...]

    def ask(self, *, requests: int, items: int, in_flight: int) -> list[float]:
        """Gives the seconds of every request of all clients.

        Args:
            requests: Of each client.
            items: Of a request.
            in_flight: Requests of a client on their way at once.
        """
        word = {"requests": requests, "items": items, "in_flight": in_flight}
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(orjson.dumps(word).decode() + "\n")
            process.stdin.flush()
        told = []
        for process in self.processes:
            assert process.stdout is not None
            told += orjson.loads(process.stdout.readline())
        return told


@contextmanager
def crew(socket: Path, handle: str, *, clients: int, size: int) -> Iterator[Crew]:
    """Gives client processes for the time of a `with` block."""
    command = [sys.executable, "-m", "benchmarks.speed.asking", str(socket), handle, str(size)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_ONE
                )
            )
            for _ in range(clients)
        ]
        found = Crew(tuple(processes))
        found.ask(requests=1, items=1, in_flight=1)  # they are up, and their memory is there
        yield found


_ONE = {**os.environ, "OMP_NUM_THREADS": "1"}


@contextmanager
def server(socket: Path, arguments: Sequence[str]) -> Iterator[RemoteService]:
    """Gives a server's process, seen from here, for the time of a `with` block."""
    with subprocess.Popen([sys.executable, *arguments], env=_ONE, stdout=subprocess.DEVNULL) as it:
        try:
            with _answering(socket, it) as service:
                yield service
        finally:
            it.terminate()


def _answering(socket: Path, process: subprocess.Popen[bytes]) -> RemoteService:
    end = time.monotonic() + _START_S
    while True:
        try:
            return RemoteService(socket)
        except ServiceClosed:
            if time.monotonic() > end or process.poll() is not None:
                raise
            time.sleep(0.1)


# Rows.


def trip_rows(setting: EncodeSetting) -> list[Row]:
    """Gives what a request costs whose answer takes no time, beside the service in one process."""
    socket = setting.scratch / "trivial.sock"
    arguments = ["-m", "benchmarks.speed.trivial", str(socket)]
    picture = generator(0, "pictures").integers(256, size=(1, SIZE, SIZE, 3), dtype=np.uint8)
    count = 20 if setting.quick else 2000
    rows = []
    with (
        server(socket, arguments) as remote,
        remote.client("one") as there,
        EncoderService({TRIVIAL: trivial}, limits=LIMITS) as service,
        service.client("one") as here,
    ):
        own, far = _singles(
            lambda: here.encode(TRIVIAL, "images", picture),
            lambda: there.encode(TRIVIAL, "images", picture),
            count=count,
        )
        rows += [
            _latency("a single 150 kB picture, service of one's own process", own),
            _latency("a single 150 kB picture, server in another process", far, incumbent=0.1),
            _added("a single 150 kB picture, engine that takes no time", own, far),
        ]
        for clients, published in PUBLISHED.items():
            with crew(socket, TRIVIAL, clients=clients, size=SIZE) as everybody:
                for in_flight in (1, 4):
                    rows.append(_trips(everybody, setting, count // clients, in_flight, published))
    return rows


def _trips(
    everybody: Crew, setting: EncodeSetting, requests: int, in_flight: int, published: float
) -> Row:
    clients = len(everybody.processes)
    wall, each = [], list[float]()
    for _ in range(1 if setting.quick else setting.repeats):
        began = time.perf_counter()
        each += everybody.ask(requests=requests, items=1, in_flight=in_flight)
        wall.append(time.perf_counter() - began)
    name = f"{clients} client processes, {in_flight} single pictures of each on their way"
    return rate_row(
        "round trip",
        name,
        Timing(tuple(wall), tuple(wall), "wall"),
        count=requests * clients,
        unit="requests/s",
        incumbent=published if in_flight == 1 else None,
        details={"ms_p50": 1000 * _at(each, 50), "ms_p95": 1000 * _at(each, 95)},
    )


def client_rows(setting: EncodeSetting) -> list[Row]:
    """Gives, per encoder, eight clients' rate beside the bare network's best, and latencies."""
    return [row for handle in setting.encoders for row in _encoder_rows(setting, handle)]


def _encoder_rows(setting: EncodeSetting, handle: str) -> list[Row]:
    encoder = setting.encoder(handle)
    images = setting.images(encoder, max(setting.batches))
    best, bare = _best(encoder, images, setting.batches)
    socket = setting.scratch / "clients.sock"
    served = setting.served(handle)
    size = images.shape[1]
    arguments = ["-m", "vln.service", "serve", "--encoder", served, "--socket", str(socket)]
    arguments += ["--device", setting.device, "--max-batch", str(best)]
    with server(socket, arguments) as remote:
        rows = [value_row("bare", f"{handle}, batch {best}", bare, unit="images/s", rising=True)]
        with crew(socket, served, clients=CLIENTS, size=size) as everybody:
            for items in (1, best):
                rows += _shared(setting, encoder, images[:best], everybody, items)
        with (
            remote.client("one") as there,
            EncoderService({handle: encoder.encode}, limits=Limits(max_batch=best)) as service,
            service.client("one") as here,
        ):
            own, far = _singles(
                lambda: here.encode(handle, "images", images[:1]),
                lambda: there.encode(served, "images", images[:1]),
                count=2 if setting.quick else 20,
            )
    return [*rows, _added(f"{handle}, a single picture (asked: under 1 ms)", own, far)]


def _best(encoder: ImageEncoder, images: Pictures, batches: Sequence[int]) -> tuple[int, float]:
    """Gives the batch size at which the bare network is fastest, and its images/s."""
    rates = {}
    for batch in batches:
        encoder.images(images[:batch])
        began = time.perf_counter()
        for _ in range(max(batches) // batch):
            encoder.images(images[:batch])
        rates[batch] = max(batches) // batch * batch / (time.perf_counter() - began)
    best = max(rates, key=lambda batch: rates[batch])
    return best, rates[best]


def _shared(
    setting: EncodeSetting, encoder: ImageEncoder, images: Pictures, everybody: Crew, items: int
) -> list[Row]:
    """Gives the rate of many clients whose requests hold `items` pictures, and the share of it."""
    batches = 2 if setting.quick else max(8, 64 // len(images))
    requests = max(1, batches * len(images) // (CLIENTS * items))
    in_flight = max(1, 2 * len(images) // (CLIENTS * items))
    count = requests * CLIENTS * items
    bare, wall = list[float](), list[float]()
    for _ in range(1 if setting.quick else setting.repeats):
        began = time.perf_counter()
        for _ in range(count // len(images)):
            encoder.images(images)
        between = time.perf_counter()
        everybody.ask(requests=requests, items=items, in_flight=in_flight)
        bare.append((between - began) / (count // len(images) * len(images)))
        wall.append(time.perf_counter() - between)
    share = [100 * count * b / s for b, s in zip(bare, wall, strict=True)]
    who = f"{encoder.handle}, {CLIENTS} client processes, requests of {items}"
    return [
        rate_row(
            "clients",
            who,
            Timing(tuple(wall), tuple(wall), "wall"),
            count=count,
            unit="images/s",
            details={"bare_images_per_s": 1 / statistics.median(bare)},
        ),
        Row(
            group="clients",
            name=f"{who}, share of the bare network's best in the same run (asked: 90 %)",
            unit="%",
            value=statistics.median(share),
            low=min(share),
            high=max(share),
            repeats=len(share),
            rising=True,
        ),
    ]


def _singles(
    own: Callable[[], object], far: Callable[[], object], *, count: int
) -> tuple[list[float], list[float]]:
    """Gives the seconds of two works that are done in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(count + 1):
        for place, work in enumerate((own, far)):
            began = time.perf_counter()
            work()
            seconds[place].append(time.perf_counter() - began)
    return seconds[0][1:], seconds[1][1:]  # without the first


def _latency(name: str, seconds: Sequence[float], incumbent: float | None = None) -> Row:
    return Row(
        group="round trip",
        name=name,
        unit="ms",
        value=1000 * _at(seconds, 50),
        low=1000 * min(seconds),
        high=1000 * _at(seconds, 95),
        repeats=len(seconds),
        incumbent=incumbent,
        note="largest is the 95th percentile of single requests",
    )


def _added(name: str, own: Sequence[float], far: Sequence[float]) -> Row:
    """Gives what the other process adds: the median of paired differences."""
    added = [1000 * (b - a) for a, b in zip(own, far, strict=True)]
    return Row(
        group="round trip",
        name=f"{name}, above the service of one's own process",
        unit="ms",
        value=statistics.median(added),
        low=_at(added, 5),
        high=_at(added, 95),
        repeats=len(added),
    )


def _at(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent))
