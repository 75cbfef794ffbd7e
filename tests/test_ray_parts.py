"""What of the deployment needs no Ray: messages, the replica itself, and that nobody misses Ray."""

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import orjson
import pytest
from safetensors.torch import save_file

from vln.encoders.loading import load
from vln.errors import (
    BadConfig,
    CheckpointMismatch,
    CorruptData,
    EncodingFailed,
    ServiceBusy,
    UnknownName,
)
from vln.features import __main__ as command
from vln.service.ray.cluster import NICENESS, cluster
from vln.service.ray.deployment import deploy
from vln.service.ray.messages import packed, told, unpacked, words
from vln.service.ray.replica import Replica, Served


@pytest.fixture(scope="module")
def handle(clip_tensors, tmp_path_factory):
    """A small CLIP that any process can load."""
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(clip_tensors(layers=1), file)
    return f"clip:{file}+direct+32px"


@pytest.fixture(scope="module")
def encoder(handle):
    return load(handle)


@pytest.fixture
def replica(handle):
    served = {"encoders": [handle], "folders": [], "device": "cpu", "threads": 1, "limits": None}
    made = Replica(orjson.dumps(served).decode())
    yield made
    made.close()


@pytest.fixture
def views():
    return np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)


def ask(replica, known, items, **changes):
    """Gives the rows that a replica answers with."""
    asked = {
        "client": "1",
        "name": "somebody",
        "encoder": known.handle,
        "fingerprint": known.spec.fingerprint,
        "kind": "images",
        "key": "",
        **changes,
    }
    header, body = asyncio.run(replica.encode(*packed(items, **asked)))
    return unpacked(words(header), body)


@pytest.mark.parametrize("dtype", ["|u1", "<f4", ">f4", "<i8"])
def test_an_array_arrives_as_it_was_sent(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)[:, ::-1]

    header, body = packed(array, key="k")
    found = words(header)

    assert found["key"] == "k"
    np.testing.assert_array_equal(unpacked(found, body), array)


def test_an_error_arrives_as_what_it_was():
    header, _ = told(CorruptData("the picture is torn."))

    with pytest.raises(CorruptData, match="the picture is torn"):
        words(header)


def test_an_error_that_names_a_path_of_any_bytes_arrives():
    header, _ = told(CorruptData("a\udce9.jpg is torn."))

    with pytest.raises(CorruptData, match=r"a\?.jpg is torn"):
        words(header)


def test_an_error_of_another_version_is_a_failure_all_the_same():
    with pytest.raises(EncodingFailed, match="news"):
        words('{"type": "FromTheFuture", "message": "news"}')


def test_a_replica_answers_what_the_encoder_gives(replica, encoder, views):
    rows = ask(replica, encoder, views)

    np.testing.assert_array_equal(rows, encoder.images(views))
    about = orjson.loads(asyncio.run(replica.about()))[encoder.handle]
    assert (about["dim"], about["fingerprint"]) == (encoder.dim, encoder.spec.fingerprint)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"encoder": "clip_rn50"}, UnknownName),
        ({"kind": "dreams"}, UnknownName),
        ({"fingerprint": "ab" * 32}, CheckpointMismatch),
    ],
)
def test_a_replica_tells_what_is_wrong_and_goes_on(replica, encoder, views, changes, error):
    with pytest.raises(error):
        ask(replica, encoder, views, **changes)

    assert len(ask(replica, encoder, views)) == 5


def test_a_replica_knows_its_clients_apart(replica, encoder, views):
    for client in ("1", "2", "2"):
        ask(replica, encoder, views, client=client)

    status = orjson.loads(asyncio.run(replica.status()))
    assert sorted(client["asked"] for client in status["clients"]) == [1, 2]


def test_a_replica_whose_service_has_ended_says_that_it_is_ill(replica):
    asyncio.run(replica.check_health())
    replica.close()

    with pytest.raises(Exception, match="closed"):
        asyncio.run(replica.check_health())


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(BadConfig, match=r"vln-toolkit\[ray\]"), cluster(cpus=1):
        pass


@pytest.fixture
def fake_ray(monkeypatch):
    """A Ray that notes how it is started."""
    made = SimpleNamespace(started=None, is_initialized=lambda: False, shutdown=lambda: None)
    made.init = lambda **settings: setattr(made, "started", settings)
    monkeypatch.setitem(sys.modules, "ray", made)
    for name in ("RAY_ADDRESS", NICENESS, "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever is set meanwhile
        monkeypatch.delenv(name)
    return made


def test_a_cluster_of_this_machine_is_ones_own_and_not_put_behind_other_work(fake_ray):
    with cluster(cpus=3):
        niceness = os.environ[NICENESS]

    assert (fake_ray.started["address"], fake_ray.started["num_cpus"]) == ("local", 3)
    assert niceness == "0"


def test_the_priority_that_a_person_has_set_is_kept(fake_ray, monkeypatch):
    monkeypatch.setenv(NICENESS, "7")

    with cluster(cpus=1):
        assert os.environ[NICENESS] == "7"


def test_a_cluster_that_does_not_answer_is_named(fake_ray, monkeypatch):
    def refuse(**_):
        raise ConnectionError("nobody is there")

    fake_ray.init = refuse
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")

    with (
        pytest.raises(BadConfig, match=r"RAY_ADDRESS=10\.0\.0\.1:6379 \(nobody is there\)"),
        cluster(cpus=1),
    ):
        pass


def test_a_machine_too_busy_for_ray_to_start_is_told(fake_ray):
    def fail(**_):
        raise Exception("The current node timed out during startup.")

    fake_ray.init = fail

    with pytest.raises(ServiceBusy, match="did not start on this machine"), cluster(cpus=1):
        pass


def test_only_networks_are_deployed():
    with pytest.raises(BadConfig, match="encoder of another kind"):
        deploy(Served(encoders=("objects",)))


def test_extraction_by_no_process_is_refused(capsys):
    assert command.main(["extract", "--encoder", "clip_rn50", "--ray", "-1"]) == 2
    assert "--ray -1; expected 1 or more" in capsys.readouterr().err


def test_the_default_install_knows_nothing_of_ray():
    modules = (
        "vln.service.service, vln.features.__main__, vln.features.spread, "
        "vln.service.ray.deployment, vln.service.ray.remote, vln.service.ray.replica"
    )
    script = f"import sys, {modules}\nassert not {{'ray', 'torch'}} & sys.modules.keys()"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
