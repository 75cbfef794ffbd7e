"""A client of a server: what it asks, what it is told, and a server that goes and comes back."""

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from textwrap import dedent

import numpy as np
import psutil
import pytest

from vln.encoders.recipe import Recipe
from vln.errors import (
    BadConfig,
    BadImage,
    CheckpointMismatch,
    EncodingFailed,
    ServiceBusy,
    ServiceClosed,
    UnknownName,
)
from vln.service.local.link import MAX_SENT
from vln.service.local.offers import Offer
from vln.service.local.remote import RemoteService
from vln.service.local.server import serving
from vln.service.local.wire import Inbox, send
from vln.service.requests import Limits
from vln.service.service import EncoderService
from vln.types import EncoderSpec

PATIENCE_S = 20.0
RECIPE = Recipe(size=24, direct=True, mean=(0.1, 0.2, 0.3))


def spec(fingerprint="ab" * 32):
    return EncoderSpec(1, (1, 1, 1), (24, 24), "rgb", "fp32", fingerprint)


def tokens(texts):
    if "bad" in texts:
        raise BadConfig("the text 'bad' is too long.")
    return np.array([[len(text), index] for index, text in enumerate(texts)]).reshape(-1, 2)


class Engine:
    """Doubles numbers; can be held up, and fails on negative ones."""

    def __init__(self):
        self.batches, self.open = [], threading.Event()
        self.open.set()

    def __call__(self, kind, items):
        assert self.open.wait(PATIENCE_S)
        self.batches.append(items.copy())
        if items.dtype.kind != "u" and (items < 0).any():
            raise EncodingFailed("a negative number.")
        return (items.reshape(len(items), -1)[:, :1] * 2).astype(np.float32)


def numbers(*values):
    return np.array(values, dtype=np.float32)[:, None]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.sock"


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.open.set()


@contextmanager
def server(path, engine, *, fingerprint="ab" * 32, handle="e", **limits):
    service = EncoderService({handle: engine}, limits=Limits(**limits))
    offer = Offer(spec=spec(fingerprint), recipe=RECIPE, text_dim=2, tokens=tokens)
    with serving(service, {handle: offer}, path) as running:
        try:
            yield running
        finally:
            engine.open.set()


@pytest.fixture
def remote(path, engine):
    with server(path, engine), RemoteService(path, patience_s=PATIENCE_S) as service:
        yield service


@contextmanager
def dying(path):
    """Serves nobody: hangs up when it is asked something; gives how often that was, in a list."""
    came = [0]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(0.02)
    is_over = threading.Event()

    def talk(sock):
        sock.settimeout(PATIENCE_S)
        inbox = Inbox()
        for reply in ({"op": "welcome", "version": 1, "encoders": {}, "limits": {}}, None):
            while inbox.take() is None:
                inbox.receive(sock)
            if reply:
                send(sock, reply)
        inbox.close()

    def serve():
        while not is_over.is_set():
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                continue
            with sock:
                talk(sock)
            came[0] += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield came
    finally:
        is_over.set()
        thread.join()
        listener.close()
        path.unlink()


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.002)


class TestAsking:
    def test_a_client_needs_to_know_no_more_than_the_socket(self, remote):
        encoder = remote.encoder("e")

        assert encoder.spec == spec()
        assert encoder.recipe == RECIPE
        assert (encoder.dim, encoder.text_dim, encoder.has_text) == (1, 2, True)

    def test_items_of_any_layout_arrive_as_they_are(self, remote, engine):
        items = np.arange(96, dtype=">i4").reshape(2, 3, 16)[:, ::-1, ::2]

        rows = remote.client("a").encode("e", "images", items)

        np.testing.assert_array_equal(engine.batches[0], items)
        assert rows[:, 0].tolist() == [2 * items[0, 0, 0], 2 * items[1, 0, 0]]

    def test_the_answer_is_the_callers_own(self, remote):
        client = remote.client("a")
        rows = client.encode("e", "images", numbers(1), key="k")
        rows[:] = -1

        assert client.encode("e", "images", numbers(1), key="k").item() == 2

    def test_items_may_be_changed_once_they_are_handed_in(self, remote, engine):
        engine.open.clear()
        items = numbers(1)
        answer = remote.client("a").submit("e", "images", items)
        items[:] = 7
        engine.open.set()

        assert answer.result(PATIENCE_S).item() == 2

    def test_many_threads_share_a_client(self, remote):
        client, wrong = remote.client("a"), []

        def ask(start):
            for value in range(start, start + 50):
                if client.encode("e", "images", numbers(value)).item() != 2 * value:
                    wrong.append(value)

        threads = [threading.Thread(target=ask, args=(100 * i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert wrong == []

    def test_texts_become_the_servers_tokens_however_many(self, remote):
        texts = [f"{'x' * 50}{i}" for i in range(900)]

        found = remote.encoder("e").tokens(texts)

        assert found.dtype == np.int64
        assert found[:, 0].tolist() == [len(text) for text in texts]
        assert remote.encoder("e").tokens([]).shape == (0, 2)

    def test_the_status_is_the_servers(self, remote):
        client = remote.client("navigation")
        client.encode("e", "images", numbers(1, 2))

        status = remote.status()

        assert status["items"] == 2
        assert "navigation" in [one["name"] for one in status["clients"]]
        assert status["pid"] == os.getpid()

    def test_memory_is_used_again(self, remote):
        client = remote.client("a")
        for value in range(30):
            client.encode("e", "images", np.full((1, 2**18), value, dtype=np.float32))

        held = [one["segment_bytes"] for one in remote.status()["sockets"] if one["name"] == "a"]
        assert held == [2**20]

    def test_a_client_that_nobody_holds_leaves(self, remote):
        client = remote.client("passing")
        client.encode("e", "images", numbers(1))
        del client
        gc.collect()

        wait_for(lambda: all(one["name"] != "passing" for one in remote.status()["clients"]))

    def test_an_answer_on_its_way_keeps_its_client(self, remote, engine):
        engine.open.clear()
        answer = remote.client("passing").submit("e", "images", numbers(3))
        gc.collect()
        engine.open.set()

        assert answer.result(PATIENCE_S).item() == 6


class TestMistakes:
    @pytest.mark.parametrize(
        ("items", "error", "said"),
        [
            (numbers(-1), EncodingFailed, "a negative number"),
            (np.empty((0, 3)), BadImage, "no items"),
            (["x"], BadImage, "expected a NumPy array"),
            (np.zeros((1,) * 9), BadImage, "9 dimensions"),
            (np.zeros(3, dtype=np.longdouble), BadImage, "up to 8 bytes"),
            (np.broadcast_to(np.uint8(0), (2**31,)), BadConfig, "shares at most"),
        ],
    )
    def test_bad_items_say_so(self, remote, items, error, said):
        with pytest.raises(error, match=said):
            remote.client("a").encode("e", "images", items)

    def test_a_request_larger_than_the_servers_queue_says_so(self, path, engine):
        with (
            server(path, engine, max_queue_items=4),
            RemoteService(path) as remote,
            pytest.raises(BadConfig, match="queue holds 4 items"),
        ):
            remote.client("a").encode("e", "images", numbers(*range(5)))

    def test_what_finds_no_room_in_the_queue_waits_for_it(self, path, engine):
        with server(path, engine, max_queue_items=4, max_batch=2), RemoteService(path) as remote:
            client = remote.client("a")
            asked = [client.submit("e", "images", numbers(i, i)) for i in range(50)]

            found = [answer.result(PATIENCE_S)[0].item() for answer in asked]

        assert found == [2 * i for i in range(50)]

    def test_an_unknown_encoder_says_which_there_are(self, remote):
        with pytest.raises(UnknownName, match="Known: e"):
            remote.encoder("f")
        with pytest.raises(UnknownName, match="Known: e"):
            remote.client("a").submit("f", "images", numbers(1))

    @pytest.mark.parametrize("texts", ["one", [3], ["bad"], ["x" * 9000], ["\ud800"]])
    def test_what_are_no_texts_for_it_are_refused(self, remote, texts):
        with pytest.raises(BadConfig, match="text"):
            remote.encoder("e").tokens(texts)

    def test_a_fingerprint_that_does_not_match_says_so(self, remote, path):
        with pytest.raises(CheckpointMismatch, match="other weights"):
            RemoteService(path, expect={"e": "cd" * 32})
        with pytest.raises(UnknownName, match="Known: e"):
            RemoteService(path, expect={"f": ""})

    @pytest.mark.parametrize("kind", ["nothing", "a file", "a dead socket"])
    def test_where_no_server_is_one_is_told_how_to_start_it(self, path, kind):
        if kind == "a file":
            path.touch()
        if kind == "a dead socket":
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(path))

        with pytest.raises(ServiceClosed, match=r"no server answers at .*vln\.service serve"):
            RemoteService(path)

    def test_a_path_too_long_for_a_socket_says_so(self, tmp_path):
        with pytest.raises(BadConfig, match="shorter"):
            RemoteService(tmp_path / ("x" * 120))

    def test_what_was_cancelled_ends_and_others_still_get_it(self, remote, engine):
        engine.open.clear()
        first, second = remote.client("a"), remote.client("b")
        gone = first.submit("e", "images", numbers(5), key="k")
        wait_for(lambda: remote.status()["in_flight"] == 1)
        stays = second.submit("e", "images", numbers(5), key="k")
        wait_for(lambda: remote.status()["deduplicated"] == 1)

        assert gone.cancel()
        assert not gone.cancel()
        later = [first.submit("e", "images", numbers(9)) for _ in range(3)]
        engine.open.set()

        assert stays.result(PATIENCE_S).item() == 10  # nobody wrote over what it is made of
        assert [answer.result(PATIENCE_S).item() for answer in later] == [18] * 3
        with pytest.raises(EncodingFailed, match="cancelled"):
            gone.result()

    def test_a_wait_that_is_too_long_leaves_the_request_on_its_way(self, remote, engine):
        engine.open.clear()
        answer = remote.client("a").submit("e", "images", numbers(1))
        with pytest.raises(ServiceBusy, match=r"within 0\.01 s"):
            answer.result(0.01)
        engine.open.set()

        assert answer.result(PATIENCE_S).item() == 2

    def test_a_closed_client_says_so(self, remote, engine):
        engine.open.clear()
        client = remote.client("a")
        answer = client.submit("e", "images", numbers(1))
        client.close()

        with pytest.raises(ServiceClosed, match="client has been closed"):
            answer.result(PATIENCE_S)
        with pytest.raises(ServiceClosed, match="client has been closed"):
            client.submit("e", "images", numbers(1))

    def test_a_forked_process_is_told_to_make_its_own(self, path, engine):
        code = """
            import os, sys
            import numpy as np
            from pathlib import Path
            from vln.errors import ServiceClosed
            from vln.service.local.remote import RemoteService

            client = RemoteService(Path(sys.argv[1])).client("a")
            items = np.ones((1, 1), np.float32)
            client.encode("e", "images", items)
            child = os.fork()
            if not child:
                try:
                    client.submit("e", "images", items)
                except ServiceClosed as error:
                    os._exit(7 if "forked" in str(error) else 1)
                os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert client.encode("e", "images", items).item() == 2
        """
        python = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning"]
        with server(path, engine):
            done = subprocess.run(
                [*python, "-c", dedent(code), str(path)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        assert (done.returncode, done.stderr) == (0, "")


class TestAServerThatGoesAndComesBack:
    def test_requests_on_their_way_are_answered_by_the_next_one(self, path, engine):
        with server(path, engine):
            client = RemoteService(path, patience_s=PATIENCE_S).client("a")
        with dying(path) as came:
            asked = [client.submit("e", "images", numbers(i)) for i in range(10)]
            wait_for(lambda: came[0] >= 2)
        with server(path, engine, max_batch=1):
            found = [answer.result(PATIENCE_S).item() for answer in asked]
            client.close()

        assert found == [2 * i for i in range(10)]
        assert [batch.item() for batch in engine.batches] == list(range(10))

    def test_what_is_asked_while_it_is_gone_waits(self, path, engine):
        with server(path, engine):
            remote = RemoteService(path, patience_s=PATIENCE_S)
            client = remote.client("a")
            client.encode("e", "images", numbers(1))
        answer = client.submit("e", "images", numbers(4))
        time.sleep(0.05)
        assert not answer.done()

        with server(path, engine):
            assert answer.result(PATIENCE_S).item() == 8
            assert remote.encoder("e").tokens(["abc"]).tolist() == [[3, 0]]
            client.close()

    def test_patience_ends(self, path, engine):
        with server(path, engine):
            remote = RemoteService(path, patience_s=0.1)
            client = remote.client("a")
            client.encode("e", "images", numbers(1))
        answer = client.submit("e", "images", numbers(4))

        with pytest.raises(ServiceClosed, match=r"no server at .* for 0\.1 s"):
            answer.result(PATIENCE_S)
        with pytest.raises(ServiceClosed, match="no server at"):
            remote.status()
        with server(path, engine):  # and begins anew with the next question
            assert client.encode("e", "images", numbers(2)).item() == 4
            client.close()

    @pytest.mark.parametrize(
        ("changes", "error"),
        [({"fingerprint": "cd" * 32}, CheckpointMismatch), ({"handle": "f"}, UnknownName)],
    )
    def test_another_encoder_answers_nothing(self, path, engine, changes, error):
        with server(path, engine):
            remote = RemoteService(path, patience_s=PATIENCE_S)
            client = remote.client("a")
            client.encode("e", "images", numbers(1))
        with server(path, engine, **changes):
            with pytest.raises(error):
                client.encode("e", "images", numbers(2))
            with pytest.raises(error):
                remote.encoder("e").tokens(["x"])
            client.close()

    def test_a_request_that_ends_every_server_is_given_up(self, path, engine):
        with server(path, engine):
            remote = RemoteService(path, patience_s=PATIENCE_S)
            client = remote.client("a")
        with dying(path) as came:
            answer = client.submit("e", "images", numbers(2))
            with pytest.raises(EncodingFailed, match=f"ended {MAX_SENT} times"):
                answer.result(PATIENCE_S)
            client.close()

        assert came[0] == MAX_SENT

    def test_a_client_can_leave_while_its_server_says_nothing(self, path, engine):
        with server(path, engine):
            remote = RemoteService(path, patience_s=PATIENCE_S)
            client = remote.client("a")
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(path))
            silent.listen()
            answer = client.submit("e", "images", numbers(2))
            time.sleep(0.05)
            before = time.monotonic()
            client.close()

        assert time.monotonic() - before < 5
        with pytest.raises(ServiceClosed):
            answer.result(0)

    def test_nothing_is_left_open(self, path, engine):
        process = psutil.Process()
        gc.collect()
        before = process.num_fds()
        for _ in range(3):
            with server(path, engine):
                remote = RemoteService(path, patience_s=PATIENCE_S)
                clients = [remote.client(name) for name in "ab"]
                for client in clients:
                    client.encode("e", "images", numbers(1))
                remote.close()

        gc.collect()
        wait_for(lambda: process.num_fds() <= before)
        assert process.num_fds() <= before
