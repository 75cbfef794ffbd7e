"""The measurement of the server: its parts with real processes, quickly, and the whole slowly."""

import numpy as np
import orjson
import pytest

from benchmarks import serve
from benchmarks.speed.serving import crew, server
from benchmarks.speed.trivial import SIZE, TRIVIAL, trivial
from vln.errors import ServiceClosed


def test_client_processes_ask_as_often_as_they_are_told(tmp_path):
    socket = tmp_path / "s.sock"
    with server(socket, ["-m", "benchmarks.speed.trivial", str(socket)]) as service:
        with crew(socket, TRIVIAL, clients=2, size=SIZE) as everybody:
            seconds = everybody.ask(requests=5, items=3, in_flight=2)
        answered = service.status()["answered"]

    assert len(seconds) == 10
    assert all(second > 0 for second in seconds)
    assert answered == 2 * (1 + 1 + 5)  # the first two of each are to warm up


def test_the_trivial_encoder_answers_with_what_it_was_given():
    items = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)

    assert trivial("images", items)[:, 0].tolist() == [0, 12]


def test_a_server_that_does_not_start_is_told(tmp_path):
    with (
        pytest.raises(ServiceClosed, match="no server answers"),
        server(tmp_path / "s.sock", ["-c", "raise SystemExit"]),
    ):
        pass


@pytest.mark.slow
def test_everything_is_measured_and_written(tmp_path, capsys):
    assert serve.main(["--quick", "--out", str(tmp_path)]) == 0

    rows = orjson.loads((tmp_path / "serve.json").read_bytes())["rows"]
    assert {row["group"] for row in rows} == {"round trip", "bare", "clients"}
    assert all(row["value"] > 0 for row in rows if row["unit"] != "ms")
    assert (tmp_path / "serve.md").read_text() == capsys.readouterr().out.removesuffix("\n")
