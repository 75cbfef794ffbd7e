"""A server and its clients as real processes, and what kills and stops of any of them leave."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from vln.errors import BadImage, CheckpointMismatch, OutOfMemory, ServiceClosed, VlnError
from vln.service.local.remote import RemoteService

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="looks into /proc, which this system has not"
)

PATIENCE_S = 120.0

SERVER = dedent(
    """
    import sys, time
    from pathlib import Path
    import numpy as np
    from vln.encoders.recipe import Recipe
    from vln.errors import BadImage
    from vln.service.local.offers import Offer, ServerLimits
    from vln.service.local.place import Place
    from vln.service.local.server import Server
    from vln.service.requests import Limits
    from vln.service.service import EncoderService
    from vln.types import EncoderSpec

    def engine(kind, items):
        if kind == "slow":
            time.sleep(0.02)
        if kind == "huge" and len(items) > 2:
            raise MemoryError
        if kind == "deadly" and (items == 1).any():
            raise MemoryError
        if kind == "picky" and (items == 13).any():
            raise BadImage("an item is unlucky; expected others.")
        sums = items.reshape(len(items), -1).sum(axis=1, dtype=np.float64)
        return np.repeat(sums[:, None], 20_000 if kind == "wide" else 2, axis=1).astype(np.float32)

    path, fingerprint = Path(sys.argv[1]), sys.argv[2]
    spec = EncoderSpec(2, (2, 1, 1), (8, 8), "rgb", "fp32", fingerprint)
    offers = {"sums": Offer(spec=spec, recipe=Recipe())}
    limits = ServerLimits(max_stall_s=1.0, max_unsent_bytes=2**20)
    with Place(path) as place, EncoderService({"sums": engine}, limits=Limits()) as service:
        server = Server(service, offers, place, limits=limits)
        print("ready", flush=True)
        server.run()
    """
)

# One process that forks clients and kills each after a while: a fresh one each would take seconds.
NURSERY = dedent(
    """
    import os, random, signal, sys, time
    from pathlib import Path
    import numpy as np
    from vln.service.local.remote import RemoteService

    def live(path, number, asked):
        service = RemoteService(path)
        client = service.client(f"doomed {number}")
        items = np.full((3, 64, 64, 3), number % 200 + 20, dtype=np.uint8)
        for turn in range(10**6):
            kind = ("images", "slow", "wide")[(number + turn) % 3]
            client.submit("sums", kind, items, key=str(number % 5) if turn % 2 else "")
            if not turn:
                os.write(asked, b"1")

    path, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    for number in range(count):
        is_told, asked = os.pipe()
        child = os.fork()
        if not child:
            sys.stderr = open(os.devnull, "w")
            live(path, number, asked)
        if number % 4:
            os.read(is_told, 1)  # the others are killed before they have asked, mostly
        time.sleep(chance.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(is_told)
        os.close(asked)
    print("done", flush=True)
    """
)


@contextmanager
def started(script: str, *arguments: object):
    """A process of ours, killed at the end at the latest."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def running_server(path: Path, fingerprint: str = "f00d"):
    with started(SERVER, path, fingerprint) as process:
        assert process.stdout.readline() == "ready\n"
        yield process


@pytest.fixture
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("f") / "e.sock"


def items_of(number: int, count: int = 2) -> np.ndarray:
    return np.full((count, 8, 8, 3), number % 200 + 20, dtype=np.uint8)


def rows_of(items: np.ndarray, width: int = 2) -> np.ndarray:
    sums = items.reshape(len(items), -1).sum(axis=1, dtype=np.float64)
    return np.repeat(sums[:, None], width, axis=1).astype(np.float32)


def held(process: subprocess.Popen) -> tuple[int, int]:
    """Descriptors and mappings of items that a process holds."""
    folder = Path("/proc") / str(process.pid)
    maps = (folder / "maps").read_text(encoding="utf-8")
    return len(list((folder / "fd").iterdir())), maps.count("memfd:vln-items")


def segments_with_names() -> set[str]:
    """Shared memory of ours that has a name, and so could outlive everybody."""
    return {str(file) for file in Path("/dev/shm").glob("*vln*")}


def resident_mb(process: subprocess.Popen) -> float:
    status = (Path("/proc") / str(process.pid) / "status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def wait_for(happens):
    end = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class Steady:
    """A client that asks on and on in a thread, and notes what was answered."""

    def __init__(self, path: Path, name: str, *, kind: str = "images", pause_s: float = 0.0):
        self.answered, self.wrong, self.errors = 0, 0, []
        self._service = RemoteService(path, patience_s=PATIENCE_S)
        self._client = self._service.client(name)
        self._kind, self._pause_s, self._is_over = kind, pause_s, False
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self):
        number = 0
        while not self._is_over:
            asked = [items_of(number + i, 1 + i) for i in range(4)]
            number += 1
            answers = [self._client.submit("sums", self._kind, items) for items in asked]
            for items, answer in zip(asked, answers, strict=True):
                try:
                    self.wrong += not np.array_equal(answer.result(PATIENCE_S), rows_of(items))
                    self.answered += 1
                except VlnError as error:
                    self.errors.append(error)
            time.sleep(self._pause_s)

    def close(self):
        self._is_over = True
        self._thread.join()
        self._client.close()


@contextmanager
def steady(path: Path, count: int, **settings):
    """Clients that live in this process while others die."""
    clients = [Steady(path, f"steady {number}", **settings) for number in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def kill_clients(path: Path, *, count: int, nurseries: int):
    """Kills clients in mid-request; checks that nothing is lost, wrong or left behind."""
    named = segments_with_names()
    with running_server(path) as server, ExitStack() as stack:
        with steady(path, 2, pause_s=0.005) as alive:
            wait_for(lambda: all(client.answered for client in alive))
            holds, resident = held(server), resident_mb(server)
            crowd = [
                stack.enter_context(started(NURSERY, path, count // nurseries, seed))
                for seed in range(nurseries)
            ]
            for nursery in crowd:
                assert nursery.stdout.readline() == "done\n"
            begun = [client.answered for client in alive]
            wait_for(lambda: all(c.answered > n for c, n in zip(alive, begun, strict=True)))
            with RemoteService(path) as watcher:
                wait_for(lambda: watcher.status()["num_sockets"] <= 2 + 1)  # it asks itself
            wait_for(lambda: held(server) <= holds)
            assert resident_mb(server) < resident + 100
        with RemoteService(path) as watcher:
            wait_for(lambda: watcher.status()["queued_items"] == 0)
            status = watcher.status()
    assert sum(client.wrong for client in alive) == 0
    assert [error for client in alive for error in client.errors] == []
    assert (status["queued_bytes"], status["in_flight"]) == (0, 0)
    assert status["failed"] > count // 4  # what the killed ones still waited for
    assert segments_with_names() <= named


def test_clients_killed_in_mid_request_leave_nothing_and_disturb_nobody(path):
    kill_clients(path, count=40, nurseries=2)


@pytest.mark.slow
def test_a_thousand_clients_killed_in_mid_request_leave_nothing_and_disturb_nobody(path):
    kill_clients(path, count=1000, nurseries=4)


def kill_servers(path: Path, *, times: int, seed: int = 0):
    """Kills servers under clients that go on; gives the clients."""
    chance = np.random.default_rng(seed)
    with ExitStack() as servers:  # they end after the clients, who would wait for them
        server = servers.enter_context(running_server(path))
        with steady(path, 3, kind="slow") as clients:
            for _ in range(times):
                time.sleep(chance.uniform(0, 0.2))
                server.kill()
                server.wait()
                server = servers.enter_context(running_server(path))
                begun = [client.answered for client in clients]
                wait_for(
                    lambda b=begun: all(c.answered > n for c, n in zip(clients, b, strict=True))
                )
    return clients


def test_clients_outlive_servers_that_are_killed_and_lose_nothing(path):
    clients = kill_servers(path, times=2)

    assert [error for client in clients for error in client.errors] == []
    assert sum(client.wrong for client in clients) == 0


@pytest.mark.slow
def test_clients_outlive_thirty_servers_that_are_killed(path):
    clients = kill_servers(path, times=30)

    assert [error for client in clients for error in client.errors] == []
    assert sum(client.wrong for client in clients) == 0


def test_a_server_with_other_weights_in_place_of_the_killed_one_answers_nobody(path):
    with running_server(path) as server:
        service = RemoteService(path, patience_s=PATIENCE_S)
        client = service.client("faithful")
        client.encode("sums", "images", items_of(1))
        server.kill()
        server.wait()
        waiting = [client.submit("sums", "images", items_of(number)) for number in range(5)]
        with running_server(path, "beef"):
            for answer in waiting:
                with pytest.raises(CheckpointMismatch):
                    answer.result(PATIENCE_S)
    client.close()


def test_requests_of_a_server_that_stays_away_end_when_patience_does(path):
    with running_server(path) as server:
        service = RemoteService(path, patience_s=0.5)
        with service.client("patient") as client:
            client.encode("sums", "images", items_of(1))
            server.kill()
            server.wait()
            waiting = [client.submit("sums", "images", items_of(number)) for number in range(5)]
            for answer in waiting:
                with pytest.raises(ServiceClosed, match="no server"):
                    answer.result(PATIENCE_S)


def test_a_server_that_is_stopped_for_a_while_answers_when_it_goes_on(path):
    with running_server(path) as server, RemoteService(path) as service:
        client = service.client("patient")
        server.send_signal(signal.SIGSTOP)
        answers = [client.submit("sums", "images", items_of(number)) for number in range(20)]
        time.sleep(0.2)
        assert not any(answer.done() for answer in answers)
        server.send_signal(signal.SIGCONT)

        for number, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.result(PATIENCE_S), rows_of(items_of(number)))


READER = dedent(
    """
    import sys
    from pathlib import Path
    import numpy as np
    from vln.service.local.remote import RemoteService

    items = np.full((4, 8, 8, 3), 20, dtype=np.uint8)
    with RemoteService(Path(sys.argv[1])) as service, service.client("sleepy") as client:
        print("ready", flush=True)
        sys.stdin.readline()
        answers = [client.submit("sums", "wide", items) for _ in range(200)]
        print("asked", flush=True)
        found = [answer.result(100) for answer in answers]
        different = {rows.tobytes() for rows in found}
        print(len(found), len(different), float(found[0][0, 0]), flush=True)
    """
)


def test_a_client_that_is_stopped_delays_nobody_and_gets_everything_when_it_goes_on(path):
    command = [sys.executable, "-c", READER, str(path)]
    with (
        running_server(path),
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sleepy,
        RemoteService(path) as service,
        service.client("awake") as client,
    ):
        assert sleepy.stdout.readline() == "ready\n"
        sleepy.stdin.write("\n")
        sleepy.stdin.flush()
        assert sleepy.stdout.readline() == "asked\n"
        sleepy.send_signal(signal.SIGSTOP)
        end = time.monotonic() + 1.5  # more than the server's patience
        while time.monotonic() < end:
            np.testing.assert_array_equal(
                client.encode("sums", "images", items_of(3)), rows_of(items_of(3))
            )
        sleepy.send_signal(signal.SIGCONT)

        assert sleepy.stdout.readline() == f"200 1 {8 * 8 * 3 * 20.0}\n"


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [("picky", 13, BadImage), ("deadly", 1, OutOfMemory), ("huge", 1, None)],
)
def test_bad_images_and_full_memory_end_their_own_requests_only(path, kind, value, error):
    with (
        running_server(path) as server,
        RemoteService(path) as service,
        service.client("clumsy") as clumsy,
        service.client("careful") as careful,
    ):
        bad = [clumsy.submit("sums", kind, np.full((4, 2, 2, 3), value, np.uint8))]
        good = [careful.submit("sums", kind, items_of(number)) for number in range(5)]
        if error is not None:
            with pytest.raises(error):
                bad[0].result(PATIENCE_S)
        else:
            assert bad[0].result(PATIENCE_S).shape == (4, 2)
        for number, answer in enumerate(good):
            np.testing.assert_array_equal(answer.result(PATIENCE_S), rows_of(items_of(number)))
        assert server.poll() is None


def test_every_request_of_a_killed_server_ends_in_an_answer_or_an_error(path):
    outcomes = []
    with (
        running_server(path) as server,
        RemoteService(path, patience_s=0.3) as service,
        service.client("late") as client,
    ):
        answers = [client.submit("sums", "slow", items_of(n, 32)) for n in range(30)]
        server.kill()
        for answer in answers:
            try:
                outcomes.append(answer.result(PATIENCE_S).shape)
            except ServiceClosed as failure:
                outcomes.append(type(failure))

    assert len(outcomes) == 30
    assert set(outcomes) <= {(32, 2), ServiceClosed}
    assert ServiceClosed in outcomes
