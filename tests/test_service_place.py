"""Where a server lies, and the command that starts it, in processes of their own."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys

import numpy as np
import pytest
from test_service_server import (
    PATIENCE_S,
    Caller,
    House,
    pictures,
    sums,
)

from vln.errors import BadConfig, InUse
from vln.service import __main__ as command
from vln.service.local.place import Place, default_socket
from vln.service.local.remote import RemoteService
from vln.service.local.report import ask_status


@pytest.fixture
def socket_path(tmp_path_factory):
    return tmp_path_factory.mktemp("s") / "e.sock"


@pytest.fixture
def house(socket_path):
    house = House(socket_path)
    yield house
    house.close()


# The socket.


def test_only_the_owner_may_connect(house):
    house.open()

    assert stat.S_IMODE(house.path.stat().st_mode) == 0o600


def test_a_socket_in_use_is_left_alone(house):
    caller = house.open().call()

    with pytest.raises(InUse, match=f"process {os.getpid()} serves encoders there"):
        Place(house.path)

    caller.ask(1, pictures(1))
    assert caller.answer()[0] == 1


def test_a_socket_that_another_program_answers_at_is_left_alone(socket_path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(socket_path))
        other.listen()

        with pytest.raises(InUse, match="is in use"):
            Place(socket_path)

    assert socket_path.exists()


def test_a_server_of_another_user_is_told_nothing(house, monkeypatch):
    house.open()
    monkeypatch.setattr("vln.service.local.place.peer", lambda _: (77, os.getuid() + 1))

    with pytest.raises(BadConfig, match=r"\(process 77\) belongs to user"):
        ask_status(house.path)


def test_clients_of_another_user_are_turned_away(house, monkeypatch):
    house.open()
    monkeypatch.setattr("vln.service.local.server.peer", lambda _: (77, os.getuid() + 1))

    assert house.call(is_silent=True).is_hung_up()


def test_what_a_killed_server_left_is_taken_over(house):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(house.path))

    caller = house.open().call()
    caller.ask(1, pictures(1))

    assert caller.answer()[0] == 1


def test_a_server_removes_its_own_socket_and_no_other(socket_path):
    with Place(socket_path) as place, place.listen():
        socket_path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(socket_path))

    assert socket_path.exists()


def test_a_file_that_is_no_socket_is_not_removed(socket_path):
    socket_path.write_text("precious")

    with pytest.raises(BadConfig, match="no socket"):
        Place(socket_path)

    assert socket_path.read_text() == "precious"


def test_a_path_that_is_too_long_is_told(tmp_path):
    with pytest.raises(BadConfig, match=r"bytes; the system takes 107\. Choose a shorter one"):
        Place(tmp_path / ("x" * 110))


def test_a_folder_that_others_may_write_to_is_refused(socket_path):
    socket_path.parent.chmod(0o777)

    with pytest.raises(BadConfig, match="can be changed by others"):
        Place(socket_path)


def test_a_folder_that_is_made_is_for_the_owner_only(tmp_path):
    with Place(tmp_path / "a" / "b" / "e.sock"):
        modes = [stat.S_IMODE((tmp_path / part).stat().st_mode) for part in ("a", "a/b")]

    assert modes == [0o700, 0o700]


def test_server_and_clients_of_a_user_meet_without_being_told_where(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    given = default_socket()
    monkeypatch.delenv("XDG_RUNTIME_DIR")

    assert given == tmp_path / "vln-toolkit" / "encoders.sock"
    assert default_socket().parent.name == f"vln-toolkit-{os.getuid()}"


def test_a_client_tells_a_server_of_another_user_nothing(house, monkeypatch):
    house.open()
    monkeypatch.setattr("vln.service.local.place.peer", lambda _: (77, os.getuid() + 1))

    with pytest.raises(BadConfig, match=r"\(process 77\) belongs to user"):
        RemoteService(house.path)


# The command line.


@pytest.mark.parametrize(
    "encoder", ["objects", "object_words", "objects_shuffled", "image_stats", "none", "random"]
)
def test_an_encoder_that_is_no_network_needs_no_server(encoder, socket_path, capsys):
    code = command.main(["serve", "--encoder", encoder, "--socket", str(socket_path)])

    said = capsys.readouterr().err
    assert code == 2
    assert f"--encoder {encoder} is an encoder of another kind" in said
    assert "needs no server" in said
    assert "What can be served is a network: clip_house, clip_rn101, clip_rn50," in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no --encoder to be served"),
        (["--encoder", "clip_rn50", "--encoder", "clip_rn5"], "Did you mean 'clip_rn50'?"),
        (["--encoder", "clip_rn50", "--encoder", "clip_rn50"], "one of them is there twice"),
        (["--encoder", "clip_rn50", "--threads", "0"], "--threads 0; expected 1 or more"),
        (["--encoder", "clip_rn50", "--max-wait-ms", "nan"], "max_wait_ms is nan"),
    ],
)
def test_what_cannot_be_served_is_told_before_a_socket_is_made(arguments, said, tmp_path, capsys):
    path = tmp_path / "new" / "e.sock"

    code = command.main(["serve", *arguments, "--socket", str(path)])

    assert code == 2
    assert said in capsys.readouterr().err
    assert not path.parent.exists()


@pytest.mark.parametrize("span", ["nan", "inf", "-1"])
def test_a_span_that_is_no_time_is_refused(house, span, capsys):
    house.open()

    code = command.main(["status", "--socket", str(house.path), "--over-s", span])

    assert code == 2
    assert "--over-s" in capsys.readouterr().err


# With a process of its own.

PROGRAM = """
import sys
import numpy as np
from vln.encoders.recipe import Recipe
from vln.service import __main__ as command
from vln.types import EncoderSpec

class Fake:
    handle, device, recipe = "random_rn50", "cpu", Recipe()
    dim, text_dim, has_text, tokens = 2, 0, False, None
    spec = EncoderSpec(2, (1, 1, 1), (2, 2), "rgb", "fp32", "f00d" * 16)
    def encode(self, kind, items):
        return items.reshape(len(items), -1).sum(axis=1, dtype=np.float32)[:, None] * [1, 2]

command._loaded = lambda _: {"random_rn50": Fake()}
code = command.main(sys.argv[1:])
assert "torch" not in sys.modules
sys.exit(code)
"""


@contextlib.contextmanager
def process(path):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", "--encoder", "random_rn50", "--socket", str(path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            for line in running.stdout:
                if line.startswith("serving"):
                    break
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_served_process_ends_by_a_signal_and_removes_its_socket(socket_path, number, code):
    with process(socket_path) as running:
        caller = Caller(socket_path)
        caller.ask(1, pictures(2), encoder="random_rn50")
        found = caller.answer()

        running.send_signal(number)
        rest = running.stdout.read()

        assert running.wait(PATIENCE_S) == code
        assert caller.is_hung_up()
        caller.close()

    assert np.array_equal(found[1], sums(pictures(2)))
    assert rest == "stopped: 1 requests answered\n"
    assert not socket_path.exists()


def test_a_server_takes_the_place_of_one_that_was_killed(socket_path):
    with process(socket_path) as running:
        running.kill()
        running.wait()
    was_left = socket_path.exists()

    with process(socket_path):
        status = ask_status(socket_path)

    assert was_left
    assert list(status["encoders"]) == ["random_rn50"]
