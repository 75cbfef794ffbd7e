"""A Ray cluster to work on: the one that is there, or a small one of this machine for a while."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from vln.errors import BadConfig, ServiceBusy

logger = logging.getLogger(__name__)

NICENESS: Final = "RAY_worker_niceness"
"""What Ray reads the priority of its processes from."""
PATIENCE_S: Final = 300.0
"""Longest wait for processors of a cluster; machines that it starts on demand take minutes."""
_LOOK_S: Final = 5.0


def imported() -> Any:  # noqa: ANN401 - Ray is not there where types are checked
    """Gives the module `ray`.

    Raises:
        BadConfig: It is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise BadConfig(
            f"Ray is not installed ({error}). Install the extra: pip install "
            "'vln-toolkit[ray]'; on one machine, leave it out and use `python -m vln.service`."
        ) from None
    return ray


@contextmanager
def cluster(*, cpus: int) -> Iterator[Any]:
    """Gives Ray at work; what was started for it is ended afterwards.

    A cluster that this process has joined, or that RAY_ADDRESS names, is used and left running.
    Otherwise one of this machine alone is started, without its dashboard and without reporting its
    usage to anybody. Its processes have the priority of any other; RAY_worker_niceness changes it.

    Args:
        cpus: Of the cluster of this machine.

    Raises:
        BadConfig: Ray is not installed, or no cluster answers at RAY_ADDRESS.
        ServiceBusy: A cluster of this machine does not come up in Ray's own time.
    """
    ray = imported()
    if ray.is_initialized():
        yield ray
        return
    if os.environ.get("RAY_ADDRESS"):
        _join(ray)
    else:
        _start(ray, cpus=cpus)
    try:
        yield ray
    finally:
        ray.shutdown()


def _join(ray: Any) -> None:  # noqa: ANN401 - as above
    try:
        ray.init(log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BadConfig(
            f"no cluster answers at RAY_ADDRESS={os.environ['RAY_ADDRESS']} ({error}). Start it, "
            "name another, or unset it for a cluster of this machine alone."
        ) from None


def _start(ray: Any, *, cpus: int) -> None:  # noqa: ANN401 - as above
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's own is 15: beside any other work of the machine, next to nothing gets done.
    os.environ.setdefault(NICENESS, "0")
    try:
        # By address: a cluster that somebody else has started here would be joined otherwise.
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    except Exception as error:
        # A plain Exception, after 30 s that cannot be changed.
        raise ServiceBusy(
            f"Ray did not start on this machine ({error}). Try again when the machine has less to "
            "do; on one machine, extraction without --ray and `python -m vln.service` need no Ray."
        ) from error


def must_have_room(
    needs: Mapping[str, float], *, count: int = 1, patience_s: float = PATIENCE_S
) -> None:
    """Waits until a cluster has room for processes, for which Ray itself would wait in silence.

    Args:
        needs: What each takes: `CPU`, `GPU`.
        count: Of them, all at once.
        patience_s: Longest wait, in seconds.

    Raises:
        ServiceBusy: There was no room in time.
    """
    import ray
    from ray.util import placement_group, remove_placement_group

    wanted = {name: amount for name, amount in needs.items() if amount}
    words = f"{count} x {', '.join(f'{amount:g} {name}' for name, amount in wanted.items())}"
    group = placement_group([wanted] * count)  # asks machines that start on demand to start
    try:
        if group.wait(min(_LOOK_S, patience_s)):
            return
        logger.warning("waiting up to %g s for %s: %s", patience_s, words, _room(ray))
        if not group.wait(max(0.0, patience_s - _LOOK_S)):
            raise ServiceBusy(
                f"no room for {words} on the cluster within {patience_s:g} s: {_room(ray)}. End "
                "what holds them, a deployment say, or ask for fewer."
            )
    finally:
        remove_placement_group(group)


def _room(ray: Any) -> str:  # noqa: ANN401 - as above
    """Gives what a cluster has, in words."""
    whole, free = ray.cluster_resources(), ray.available_resources()
    return ", ".join(
        f"{free.get(name, 0.0):g} of {whole.get(name, 0.0):g} {name} are free"
        for name in ("CPU", "GPU")
    )
