"""Encoders on a cluster: the batching core of one machine, as a deployment of Ray Serve.

    with cluster(cpus=4), deployed(Served(encoders=("clip_rn50",)), replicas=2) as service:
        client = service.client("navigation")
        features = client.encode("clip_rn50", "images", views)

No door to the network is opened beside Ray's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

import orjson

from vln.encoders import check
from vln.errors import BadConfig
from vln.service.ray.cluster import imported
from vln.service.ray.remote import RayService
from vln.service.ray.replica import ONGOING, Replica, Served

NAME: Final = "vln-encoders"
"""Of the deployment, unless one says otherwise."""


def deploy(served: Served, *, name: str = NAME, replicas: int = 1) -> None:
    """Starts replicas on a cluster that this process has joined, or replaces those of this name.

    Args:
        served: What each holds.
        name: Clients find them by.
        replicas: Processes, each with encoders of its own: a CPU each, or a GPU.

    Raises:
        BadConfig: No encoder or no replica; Ray is not installed; they did not start.
        UnknownName: No such encoder.
    """
    if replicas < 1 or not served.encoders:
        raise BadConfig(
            f"{replicas} replicas of {len(served.encoders)} encoders; expected 1 or more of each."
        )
    for handle in served.encoders:
        check(handle)
    imported()
    from ray import serve

    serve.start(http_options={"location": "NoServer"})
    on_cpu = served.device.startswith("cpu")
    deployment = serve.deployment(
        Replica,
        name="encoders",
        num_replicas=replicas,
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": served.threads if on_cpu else 1, "num_gpus": not on_cpu},
    )
    application = deployment.bind(orjson.dumps(asdict(served)).decode())
    try:
        serve.run(application, name=name, route_prefix=None)
    except RuntimeError as error:
        raise BadConfig(
            f"the deployment {name!r} did not start ({error}). Check that weights, device and "
            f"{replicas} free processors or GPUs are there on the cluster."
        ) from None


def withdraw(name: str = NAME) -> None:
    """Ends a deployment; what its clients still wait for ends with ServiceClosed."""
    imported()
    from ray import serve

    serve.delete(name)


@contextmanager
def deployed(served: Served, *, name: str = NAME, replicas: int = 1) -> Iterator[RayService]:
    """Gives a deployment's service for the time of a `with` block.

    Args and errors are those of `deploy`.
    """
    deploy(served, name=name, replicas=replicas)
    try:
        with RayService(name) as service:
            yield service
    finally:
        withdraw(name)
