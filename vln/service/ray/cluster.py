"""A Ray cluster to work on: the one that is there, or a small one of this machine for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vln.errors import BadConfig


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
    usage to anybody.

    Args:
        cpus: Of the cluster of this machine.

    Raises:
        BadConfig: Ray is not installed.
    """
    ray = imported()
    if ray.is_initialized():
        yield ray
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    try:
        yield ray
    finally:
        ray.shutdown()
