"""One encoder for many processes: `python -m vln.service serve | status`."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import orjson
import tyro

from vln.data.locations import cache_root
from vln.errors import BadConfig, ServiceClosed
from vln.runs import entry_point, say
from vln.service.local.offers import Offer, must_be_networks
from vln.service.local.place import Place, default_socket
from vln.service.local.report import ask_status, told
from vln.service.local.server import Server
from vln.service.requests import Limits
from vln.service.service import EncoderService

if TYPE_CHECKING:
    from vln.encoders.network import ImageEncoder

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
_FILES = 65_536


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Holds encoders for all processes of this user, until Ctrl-C or SIGTERM.

    Whatever takes --service SOCKET is a client: training, retrieval, notebooks.
    """

    encoder: tyro.conf.UseAppendAction[tuple[str, ...]]
    """A network: clip_rn50, clip_rn50+bf16, clip:FILE, timm:NAME; give it again for another."""
    device: str = "cpu"
    """Where they run: cpu, cuda, cuda:1."""
    socket: Path | None = None
    """Where clients find them; a place of this user's own where absent."""
    threads: int = 1
    """Of the networks on a CPU; more than free cores is slower than one."""
    weights_folder: Path | None = None
    """Where files of weights are looked for before weights/ in the cache."""
    max_batch: int = 32
    """Items that a network gets at once."""
    max_wait_ms: float = 2.0
    """Longest time for which a request waits for others to join its batch."""
    max_queue_items: int = 1024
    """Items asked for and not yet answered; clients wait where there are more."""
    max_queue_mb: int = 1024
    """Their size."""
    max_cache_mb: int = 256
    """Answers kept for those who ask for the same again; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """Tells what a server holds, how fast it is, and who its clients are."""

    socket: Path | None = None
    """Where it is; the place of this user's own where absent."""
    over_s: float = 1.0
    """Time over which its speed of the moment is measured; 0 for none."""
    json: bool = False
    """Everything as a JSON object, for programs."""


Command = Serve | Status


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    command: Command = tyro.extras.subcommand_cli_from_dict(
        {"serve": Serve, "status": Status},
        args=arguments,
        prog="python -m vln.service",
        description="One encoder for many processes of a machine.",
    )
    return entry_point(lambda: _run(command))


def _run(command: Command) -> int:
    return _serve(command) if isinstance(command, Serve) else _tell(command)


def _serve(command: Serve) -> int:
    _allow_many_files()
    limits = Limits(
        max_batch=command.max_batch,
        max_wait_ms=command.max_wait_ms,
        max_queue_items=command.max_queue_items,
        max_queue_bytes=command.max_queue_mb * 2**20,
        max_cache_bytes=command.max_cache_mb * 2**20,
    )
    path = default_socket() if command.socket is None else command.socket
    _must_be_servable(command)
    with Place(path) as place:  # before seconds of loading
        encoders = _loaded(command)
        engines = {handle: encoder.encode for handle, encoder in encoders.items()}
        offers = {handle: Offer.of(encoder) for handle, encoder in encoders.items()}
        with EncoderService(engines, limits=limits) as service:
            server = Server(service, offers, place)
            with _stopped_by_signals(server) as caught:
                for encoder in encoders.values():
                    say(_described(encoder, command.device))
                say(f"serving at {path}; Ctrl-C ends it")
                server.run()
            say(f"stopped: {service.status().answered:,} requests answered")
            if not caught:
                raise ServiceClosed("the encoders' thread has died. Start the server again.")
    return INTERRUPTED if signal.SIGINT in caught else 0


def _must_be_servable(command: Serve) -> None:
    if not command.encoder:
        raise BadConfig("no --encoder to be served; expected one or more, such as clip_rn50.")
    if len(set(command.encoder)) < len(command.encoder):
        raise BadConfig(f"--encoder {' '.join(command.encoder)}: one of them is there twice.")
    if command.threads < 1:
        raise BadConfig(f"--threads {command.threads}; expected 1 or more.")
    must_be_networks(command.encoder)


def _allow_many_files() -> None:
    """Lets this process have as many file descriptors as it may; segments of clients take some."""
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(most, _FILES)
    if now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _loaded(command: Serve) -> dict[str, ImageEncoder]:
    """Gives the encoders by handle, made ready."""
    import numpy as np
    import torch

    from vln.encoders.loading import load

    torch.set_num_threads(command.threads)
    own = [] if command.weights_folder is None else [command.weights_folder]
    folders = [*own, cache_root() / "weights"]
    found = {}
    for handle in command.encoder:
        encoder = load(handle, folders=folders, device=command.device)
        # What is made when it is first needed would keep the first clients waiting.
        encoder.images(np.zeros((1, 480, 640, 3), dtype=np.uint8))
        if encoder.has_text:
            encoder.text(encoder.tokens(["a door"]))
        found[encoder.handle] = encoder
    return found


def _described(encoder: ImageEncoder, device: str) -> str:
    texts = f", reads texts ({encoder.text_dim:,})" if encoder.has_text else ""
    return (
        f"{encoder.handle}: {encoder.dim:,} features, {encoder.spec.precision} on {device}{texts}, "
        f"fingerprint {encoder.spec.fingerprint[:12]}"
    )


@contextmanager
def _stopped_by_signals(server: Server) -> Iterator[list[int]]:
    """Has the first SIGINT or SIGTERM stop a server; gives which came. A second one kills."""
    caught = list[int]()
    names = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, _: FrameType | None) -> None:
        caught.append(number)
        for name in names:
            signal.signal(name, signal.SIG_DFL)
        server.stop()

    before: dict[signal.Signals, Any] = {name: signal.signal(name, stop) for name in names}
    try:
        yield caught
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _tell(command: Status) -> int:
    import time

    path = default_socket() if command.socket is None else command.socket
    if not (math.isfinite(command.over_s) and command.over_s >= 0):
        raise BadConfig(f"--over-s {command.over_s}; expected seconds, 0 or more.")
    if command.json:
        say(orjson.dumps(ask_status(path), option=orjson.OPT_INDENT_2).decode())
        return 0
    if not command.over_s:
        say(told(ask_status(path)))
        return 0
    before = ask_status(path)
    time.sleep(command.over_s)
    say(told(ask_status(path), before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
