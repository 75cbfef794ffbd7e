"""The deployment and the spread extraction on a real Ray of this machine."""

import os
import signal

import numpy as np
import pytest
from safetensors.torch import save_file

from vln.encoders import World
from vln.encoders.loading import load
from vln.errors import (
    BadConfig,
    CheckpointMismatch,
    EncodingFailed,
    MissingData,
    ServiceBusy,
    ServiceClosed,
    UnknownName,
)
from vln.features import spread as spreading
from vln.features.extract import Extraction, extract
from vln.features.online import EncodedViews
from vln.features.spread import extract_spread
from vln.service.ray.cluster import cluster
from vln.service.ray.deployment import deploy, deployed, withdraw
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


def test_processes_have_the_priority_of_who_starts_them(here):
    @here.remote
    def niceness():
        return os.nice(0)

    assert here.get(niceness.remote(), timeout=60) == os.nice(0)


def test_spread_extraction_stores_the_bytes_of_a_single_process(
    here, encoder, pictures, tmp_path, monkeypatch
):
    settings = Extraction(block=16, progress=False)
    alone = extract(
        encoder, World(pictures.folder, pictures.graph, tmp_path / "alone"), settings=settings
    )
    world = World(pictures.folder, pictures.graph, tmp_path / "spread")

    spread = extract_spread(encoder, world, processes=2, settings=settings)

    np.testing.assert_array_equal(spread.values, alone.values)
    monkeypatch.delattr(spreading, "cluster")  # whole already: no worker is started
    extract_spread(encoder, world, processes=2, settings=settings)


def test_a_picture_that_a_worker_misses_is_named(here, encoder, tmp_path):
    made = make_tiny_world(tmp_path / "world")
    write_skyboxes(made.folder, made.graph, size=16)
    world = World(made.folder, made.graph, tmp_path / "cache")
    torn = next((made.folder / "skyboxes").rglob("*.jpg"))
    torn.write_bytes(b"")

    with pytest.raises((MissingData, ValueError), match=torn.name.split("_")[0]):
        extract_spread(encoder, world, processes=1, settings=Extraction(progress=False))


def test_extraction_on_a_cluster_without_room_says_so(here, encoder, pictures, tmp_path):
    world = World(pictures.folder, pictures.graph, tmp_path)
    taken = here.util.placement_group([{"CPU": 4}])
    assert taken.wait(30)

    with pytest.raises(ServiceBusy, match="0 of 4 CPU are free"):
        extract_spread(
            encoder,
            world,
            processes=2,
            settings=Extraction(progress=False),
            patience_s=0.1,
        )

    here.util.remove_placement_group(taken)


# A deployment.


def test_more_replicas_than_there_is_room_for_are_not_waited_for(here, encoder):
    with pytest.raises(ServiceBusy, match=r"no room for 5 x 1 CPU .*of 4 CPU are free"):
        deploy(Served(encoders=(encoder.handle,)), name="large", replicas=5, patience_s=0.1)


def test_replicas_that_cannot_start_tell_why_and_are_not_tried_again(here):
    with pytest.raises(BadConfig, match="MissingWeights"):
        deploy(Served(encoders=("clip:/nowhere.safetensors",)), name="empty")

    with pytest.raises(ServiceClosed, match="no deployment"):
        RayService("empty", patience_s=1)


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


@pytest.mark.parametrize("texts", ["a red door", [3], ["\ud800"]])
def test_what_are_no_texts_for_it_are_refused(service, encoder, texts):
    with pytest.raises(BadConfig, match="text"):
        service.encoder(encoder.handle).tokens(texts)


def test_names_and_keys_may_be_any_text(service, encoder, views):
    with service.client("a\udce9") as client:
        rows = client.encode(encoder.handle, "images", views, key="/a\udce9/" * 500)

    assert len(rows) == len(views)


def test_who_asks_a_deployment_that_is_withdrawn_does_not_wait_for_ever(here, encoder, views):
    with deployed(Served(encoders=(encoder.handle,)), name="short") as short:
        client = short.client("late")
        withdraw("short")

        answer = client.submit(encoder.handle, "images", views)

        with pytest.raises(ServiceClosed, match="withdrawn"):
            answer.result(60)
        with pytest.raises(ServiceClosed, match="withdrawn"):
            short.encoder(encoder.handle).tokens(["a door"])
        client.close()


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
