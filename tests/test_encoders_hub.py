"""A hub that cannot be reached is found out once, in a moment."""

import http.server
import socket
import threading
import time

import open_clip  # noqa: F401 - takes seconds, which are not the hub's
import pytest
import timm  # noqa: F401
from huggingface_hub import constants

from vln.encoders.loading import load
from vln.encoders.weights.hub import hub
from vln.errors import MissingWeights


@pytest.fixture
def unreachable(monkeypatch, tmp_path):
    """The address of a hub that nobody serves, and an empty cache of the libraries'."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return address


@pytest.fixture
def served(monkeypatch):
    """The address of a hub that answers, if only that it cannot."""

    class Refuses(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(503)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield
        server.shutdown()


def test_only_the_caches_are_asked_where_the_hub_is_out_of_reach(unreachable):
    with hub():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_what_is_in_no_cache_is_said_to_be_out_of_reach(unreachable):
    with pytest.raises(ConnectionError, match=f"{unreachable} cannot be reached"), hub():
        raise ValueError("offline mode is enabled. Unset HF_HUB_OFFLINE")
    assert not constants.HF_HUB_OFFLINE


def test_a_hub_that_answers_is_asked_and_its_errors_are_its_own(served):
    def ask():
        with hub():
            assert not constants.HF_HUB_OFFLINE
            raise ValueError("no such file")

    with pytest.raises(ValueError, match="no such file"):
        ask()


@pytest.mark.parametrize("handle", ["timm:resnet18", "open_clip:ViT-B-32/laion2b_e16"])
def test_weights_that_cannot_be_fetched_are_missing_within_seconds(unreachable, handle, tmp_path):
    before = time.monotonic()
    with pytest.raises(
        MissingWeights, match=r"cannot be reached\): put them as .*safetensors into"
    ):
        load(handle, folders=[tmp_path])
    assert time.monotonic() - before < 10
