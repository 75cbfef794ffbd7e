"""A server's status: asked for, and put into words."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vln.errors import BadFrame, ServiceClosed
from vln.service.local.place import address, must_be_ours
from vln.service.local.wire import Inbox, send

_MB: Final = 2**20
_START: Final = "Start one with `python -m vln.service serve --encoder clip_rn50`"


def ask_status(path: Path, *, timeout_s: float = 5.0) -> dict[str, Any]:
    """Gives the status of the server at a socket.

    Args:
        path: Of the socket.
        timeout_s: Longest wait for it, in seconds.

    Raises:
        ServiceClosed: Nobody answers there.
        BadConfig: There can be no such socket.
    """
    inbox = Inbox(max_body=0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(address(path))
            must_be_ours(sock, path)
            send(sock, {"op": "status"})
            while (frame := inbox.take()) is None:
                if not inbox.receive(sock):
                    raise ServiceClosed(f"the server at {path} has just ended. {_START}.")
        except BadFrame as error:
            raise ServiceClosed(f"{path} is no socket of a server of encoders: {error}") from None
        except OSError as error:
            reason = error.strerror or f"no answer within {timeout_s:g} s"
            raise ServiceClosed(
                f"no server answers at {path} ({reason}). {_START}, or name its socket with "
                "--socket."
            ) from None
    if frame.header.get("op") != "status":
        message = frame.header.get("message", "something that is no status")
        raise ServiceClosed(f"the server at {path} answers: {message}")
    return {name: value for name, value in frame.header.items() if name != "op"}


def told(now: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """Gives a status as text.

    Args:
        now: As `ask_status` gives it.
        before: The same, a moment earlier; with it, the speed of the moment is told as well.
    """
    head = f"encoder server, process {now['pid']}, up {_span(now['up_s'])}, at {now['socket']}"
    encoders = [
        (
            handle,
            f"{about['dim']:,} features",
            f"{about['text_dim']:,} of texts" if about["text_dim"] else "no texts",
            about["fingerprint"][:12],
        )
        for handle, about in now["encoders"].items()
    ]
    return "\n".join(
        [
            head,
            "",
            *_table(("encoder", "", "", "fingerprint"), encoders),
            "",
            *_table((), _numbers(now, before)),
            "",
            *_clients(now),
        ]
    )


def _numbers(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[Sequence[str]]:
    limits = now["limits"]
    per_s = now["items"] / now["busy_s"] if now["busy_s"] else 0.0
    mean = f"{now['items']:,} items so far, {_figure(per_s)}/s while encoding"
    if before is not None and now["up_s"] > before["up_s"]:
        span = now["up_s"] - before["up_s"]
        items, busy = (now[name] - before[name] for name in ("items", "busy_s"))
        # A batch counts when it is done, so one that takes longer than the span shows as nothing.
        is_long = not busy and before["in_flight"] and now["in_flight"]
        share = "in a long batch" if is_long else f"busy {min(1.0, busy / span):.0%}"
        mean = f"{_figure(items / span)} items/s now, {share}; {mean}"
    yield "throughput", mean
    yield (
        "batches",
        f"{now['batches']:,} of {now['mean_batch']:.1f} items, at most "
        + (f"{limits['max_batch']}; {now['in_flight']} items on the device"),
    )
    yield (
        "queue",
        f"{now['queued_items']:,} of {limits['max_queue_items']:,} items, "
        + (
            f"{now['queued_bytes'] / _MB:,.1f} of {limits['max_queue_bytes'] / _MB:,.0f} MiB; "
            f"{now['waiting_sockets']} clients wait for room"
        ),
    )
    yield (
        "cache",
        f"{now['cache_hits']:,} hits, {now['cache_bytes'] / _MB:,.1f} of "
        + (
            f"{limits['max_cache_bytes'] / _MB:,.0f} MiB; {now['deduplicated']:,} requests shared "
            "another's answer on the way"
        ),
    )
    yield "requests", f"{now['answered']:,} answered, {now['failed']:,} failed or cancelled"
    if now["splits"] or now["repeats"]:
        yield (
            "repairs",
            f"{now['splits']:,} batches halved for lack of memory, "
            + (f"{now['repeats']:,} repeated request by request"),
        )


def _clients(now: Mapping[str, Any]) -> list[str]:
    if not now["sockets"]:
        return ["no clients"]
    rows = [
        (
            one["name"],
            str(one["pid"]),
            f"{one['answered']:,}",
            str(one["pending"]),
            f"{one['items']:,}",
            f"{one['segment_bytes'] / _MB:,.1f}",
            f"{one['unsent_bytes'] / _MB:,.1f}",
        )
        for one in now["sockets"]
    ]
    names = ("client", "process", "answered", "pending", "items", "shared MiB", "unread MiB")
    lines = list(_table(names, rows, left=1))
    hidden = now["num_sockets"] - len(rows)
    return [*lines, f"and {hidden} more"] if hidden else lines


def _table(names: Sequence[str], rows: Iterator[Any] | list[Any], *, left: int = 99) -> list[str]:
    """Gives lines of columns, the first `left` of them ranged left."""
    cells = [*([names] if names else []), *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in parts[:2])
