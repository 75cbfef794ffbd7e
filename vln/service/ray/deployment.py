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

from vln.errors import BadConfig
from vln.service.local.offers import must_be_networks
from vln.service.ray.cluster import PATIENCE_S, imported, must_have_room
from vln.service.ray.remote import RayService
from vln.service.ray.replica import ONGOING, Replica, Served

NAME: Final = "vln-encoders"
"""Of the deployment, unless one says otherwise."""


def deploy(
    served: Served, *, name: str = NAME, replicas: int = 1, patience_s: float = PATIENCE_S
) -> None:
    """Starts replicas on a cluster that this process has joined, or replaces those of this name.

    Args:
        served: What each holds.
        name: Clients find them by.
        replicas: Processes, each with encoders of its own: a CPU for each of its threads, or a GPU.
        patience_s: Longest wait in seconds for room on the cluster, where there are none yet.

    Raises:
        BadConfig: No encoder, one that is no network, or no replica; Ray is not installed; they did
            not start.
        UnknownName: No such encoder.
        ServiceBusy: The cluster has no room.
    """
    if replicas < 1 or not served.encoders:
        raise BadConfig(
            f"{replicas} replicas of {len(served.encoders)} encoders; expected 1 or more of each."
        )
    must_be_networks(served.encoders)
    imported()
    from ray import serve

    serve.start(http_options={"location": "NoServer"})
    on_cpu = served.device.startswith("cpu")
    needs = {"CPU": served.threads if on_cpu else 1, "GPU": 0 if on_cpu else 1}
    is_new = name not in serve.status().applications
    if is_new:  # others go as the new ones come
        must_have_room(needs, count=replicas, patience_s=patience_s)
    deployment = serve.deployment(
        Replica,
        name="encoders",
        num_replicas=replicas,
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": needs["CPU"], "num_gpus": needs["GPU"]},
    )
    application = deployment.bind(orjson.dumps(asdict(served)).decode())
    try:
        serve.run(application, name=name, route_prefix=None)
    except RuntimeError as error:
        why = _why(name) or str(error)
        if is_new:
            serve.delete(name)  # otherwise it tries again and again
        raise BadConfig(
            f"the deployment {name!r} did not start ({why}). Check that weights and device are "
            "there on every machine of the cluster."
        ) from None


def _why(name: str) -> str:
    """Gives the last words of a deployment's replicas."""
    from ray import serve

    application = serve.status().applications.get(name)
    messages = [one.message for one in application.deployments.values()] if application else []
    lines = [line.strip() for line in "\n".join(messages).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("vln.errors.")), "")


def withdraw(name: str = NAME) -> None:
    """Ends a deployment; what replicas work on is answered, the rest ends with ServiceClosed."""
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
