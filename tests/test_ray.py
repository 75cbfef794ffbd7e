"""The deployment and the spread extraction on a real Ray of this machine."""

import os
import signal
import time

import numpy as np
import pytest
from safetensors.torch import save_file

from vln.encoders import World
from vln.encoders.loading import load
from vln.errors import CheckpointMismatch, EncodingFailed, MissingData, ServiceClosed, UnknownName
from vln.features.extract import Extraction, extract
from vln.features.online import EncodedViews
from vln.features.spread import extract_spread
from vln.service.ray.cluster import cluster
from vln.service.ray.deployment import deployed
from vln.service.ray.remote import RayService
from vln.service.ray.replica import Served
from vln.testing import make_tiny_world, write_skyboxes

ray = pytest.importorskip("ray", reason="Ray is not installed; pip install 'vln-toolkit[ray]'")
# Ray leaves sockets and files to the collector, and warns of its own plans.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def encoder(clip_tensors, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(clip_tensors(layers=1), file)
    return load(f"clip:{file}+direct+32px")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    made = make_tiny_world(tmp_path_factory.mktemp("ray"))
    write_skyboxes(made.folder, made.graph, size=16)
    return made


@pytest.fixture(scope="module")
def here():
    """A small Ray of this machine; its processors are words, two replicas and two workers fit."""
    with cluster(cpus=4) as module:
        yield module


@pytest.fixture(scope="module")
def service(here, encoder):
    with deployed(Served(encoders=(encoder.handle,)), replicas=2) as found:
        yield found


@pytest.fixture
def views():
    return np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)


# First, while no deployment has taken processors.


def test_spread_extraction_stores_the_bytes_of_a_single_process(here, encoder, pictures, tmp_path):
    settings = Extraction(block=16, progress=False)
    alone = extract(
        encoder, World(pictures.folder, pictures.graph, tmp_path / "alone"), settings=settings
    )
    world = World(pictures.folder, pictures.graph, tmp_path / "spread")

    spread = extract_spread(encoder, world, processes=2, settings=settings)

    np.testing.assert_array_equal(spread.values, alone.values)
    began = time.monotonic()
    extract_spread(encoder, world, processes=2, settings=settings)
    assert time.monotonic() - began < 2  # whole already: no worker is started


def test_a_picture_that_a_worker_misses_is_named(here, encoder, tmp_path):
    made = make_tiny_world(tmp_path / "world")
    write_skyboxes(made.folder, made.graph, size=16)
    world = World(made.folder, made.graph, tmp_path / "cache")
    torn = next((made.folder / "skyboxes").rglob("*.jpg"))
    torn.write_bytes(b"")

    with pytest.raises((MissingData, ValueError), match=torn.name.split("_")[0]):
        extract_spread(encoder, world, processes=1, settings=Extraction(progress=False))


# A deployment.


def test_several_replicas_answer_what_the_encoder_gives(service, encoder, views):
    with service.client("many") as client:
        answers = [client.submit(encoder.handle, "images", views) for _ in range(100)]
        rows = [answer.result(60) for answer in answers]

    expected = encoder.images(views)
    for row in rows:
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-5)


def test_an_agent_sees_through_it_as_through_a_service_of_its_own(service, encoder, pictures):
    world = World(pictures.folder, pictures.graph)
    remote = service.encoder(encoder.handle)
    with EncodedViews(remote, service, client="navigation", world=world) as source:
        seen = source.gather(np.array([3, 5]))
        words = source.texts(["A red door."])

    assert seen.shape == (2, 36, encoder.dim)
    np.testing.assert_allclose(words, encoder.text(encoder.tokens(["A red door."])), atol=1e-5)


def test_errors_are_those_of_a_service_of_ones_own(service, encoder, views):
    with service.client("wrong") as client:
        with pytest.raises(UnknownName):
            client.encode("clip_rn50", "images", views)
        with pytest.raises(UnknownName):
            client.encode(encoder.handle, "dreams", views)
        answer = client.submit(encoder.handle, "images", views)
        answer.cancel()
        with pytest.raises(EncodingFailed, match="cancelled"):
            answer.result(60)
    with pytest.raises(ServiceClosed, match="this client has been closed"):
        client.submit(encoder.handle, "images", views)


def test_a_deployment_with_other_weights_than_expected_is_refused(service, encoder):
    with pytest.raises(CheckpointMismatch):
        RayService("vln-encoders", expect={encoder.handle: "ab" * 32})
    with pytest.raises(UnknownName):
        RayService("vln-encoders", expect={"clip_rn50": ""})


def test_a_deployment_that_is_not_there_is_named(service):
    with pytest.raises(ServiceClosed, match="no deployment 'elsewhere'"):
        RayService("elsewhere", patience_s=1)


def test_a_replica_that_is_killed_loses_no_request(service, encoder, views):
    expected = encoder.images(views)
    with service.client("steady") as client:
        answers = [client.submit(encoder.handle, "images", views) for _ in range(50)]
        os.kill(service.status()["pid"], signal.SIGKILL)
        answers += [client.submit(encoder.handle, "images", views) for _ in range(50)]
        rows = [answer.result(120) for answer in answers]

    assert len(rows) == 100
    for row in rows:
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-5)
