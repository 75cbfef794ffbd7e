"""A follower that trains online and a search by captions, served at once by one server."""

import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from textwrap import dedent

import numpy as np
import orjson
import pytest
from safetensors.torch import save_file

from agents import train
from agents.config import TrainConfig
from agents.evaluation import walk
from agents.loading import build_policy, load_policy
from agents.scene import Scene
from benchmarks import evaluate, retrieval
from vln.encoders import World
from vln.encoders.loading import load
from vln.errors import BadConfig, ServiceClosed, UnknownName
from vln.features.extract import Extraction, extract
from vln.features.online import EncodedViews
from vln.service.local.offers import Offer
from vln.service.local.remote import RemoteService
from vln.service.local.server import serving
from vln.service.service import EncoderService

PATIENCE_S = 300.0  # both import torch, on a machine that may be busy
SMALL = [
    *("--agent", "follower"),
    *("--batch", "8", "--iterations", "4", "--evaluate-every", "2", "--max-steps", "6"),
    *("--model.hidden", "32", "--model.word", "16", "--evaluate", "val_seen"),
    "--learning.no-reinforcement",
]
SEARCH = ["--env", "r2r", "--split", "train", "--among", "10", "--draws", "3"]


@pytest.fixture(scope="module")
def data(tiny_panoramas, tmp_path_factory):
    """The tiny world with pictures, and a caption of one view of every viewpoint."""
    folder = shutil.copytree(tiny_panoramas.folder, tmp_path_factory.mktemp("served") / "world")
    graph = tiny_panoramas.graph
    names = [f"{graph.scan_of(i)}/{viewpoint}" for i, viewpoint in enumerate(graph.viewpoints)]
    content = {
        "images": [{"id": i, "file_name": f"{name}_12"} for i, name in enumerate(names)],
        "annotations": [{"image_id": i, "caption": f"Door {i}."} for i in range(len(names))],
    }
    (folder / "captions").mkdir()
    (folder / "captions" / "captions_train.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def handle(clip_tensors, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(clip_tensors(layers=1), file)
    return f"clip:{file}+direct+32px"


@pytest.fixture(autouse=True)
def _folders(data, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(data))
    monkeypatch.setenv("VLN_CACHE", str(tmp_path_factory.getbasetemp() / "served-cache"))


@pytest.fixture(scope="module")
def encoder(handle):
    return load(handle)


@pytest.fixture
def served(encoder, tmp_path):
    """The socket of a server in this process."""
    path = tmp_path / "s.sock"
    service = EncoderService({encoder.handle: encoder.encode})
    with serving(service, {encoder.handle: Offer.of(encoder)}, path):
        yield path


class TestInOneProcess:
    def test_a_remote_encoders_features_are_the_stores(self, served, encoder, tiny_panoramas, data):
        world = World(data, tiny_panoramas.graph)
        table = extract(encoder, world, settings=Extraction(dtype="float32", progress=False))
        with (
            RemoteService(served) as remote,
            EncodedViews(remote.encoder(encoder.handle), remote, client="x", world=world) as views,
        ):
            places = np.array([3, 0, 3, 7])
            found = views.gather(places)
            words = views.texts(["Walk past the sofa."])

        np.testing.assert_allclose(found, table.gather(places), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(
            words, encoder.text(encoder.tokens(["Walk past the sofa."])), rtol=1e-4, atol=1e-6
        )
        assert views.fingerprint == table.fingerprint

    def test_a_follower_walks_alike_with_a_server_and_with_a_store(self, served, encoder):
        config = TrainConfig(encoder=encoder.handle, batch=4)
        walks = []
        for service in ("", str(served)):
            scene = Scene.open(TrainConfig(encoder=config.encoder, service=service))
            policy = build_policy(config, scene)
            policy.model.eval()
            walked = walk(policy, scene.graph, scene.episodes("val_seen"), max_steps=6)
            walks.append([[pose.viewpoint for pose in path.poses] for path in walked])
            scene.close()

        alike = np.mean([one == other for one, other in zip(*walks, strict=True)])
        assert alike > 0.9  # the store rounds to half precision

    def test_what_was_trained_online_goes_on_and_is_evaluated_with_or_without_a_server(
        self, served, encoder, tmp_path, capsys
    ):
        run = tmp_path / "run"
        flags = ["--encoder", encoder.handle, "--service", str(served), "--out", str(run)]
        assert train.main([*SMALL, *flags]) == 0
        with RemoteService(served) as remote:
            assert remote.status()["items"] > 0
            assert remote.status()["clients"] == remote.status()["clients"][:1]  # ourselves

        elsewhere = ["--resume", str(run), "--iterations", "6", "--service", ""]
        assert train.main(elsewhere) == 0
        for service in ("", str(served)):
            asked = ["--run", str(run), "--split", "val_seen", "--service", service]
            assert evaluate.main(asked) == 0
        _, _, config, state = load_policy(run)
        assert (config.service, state["features"]) == ("", encoder.spec.fingerprint)
        assert "Traceback" not in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("name", "error", "said"),
        [
            ("objects", BadConfig, "is no network"),
            ("clip_rn50", UnknownName, "Known: clip:"),
        ],
    )
    def test_an_encoder_that_a_server_cannot_hold_or_does_not_says_so(
        self, served, name, error, said
    ):
        with pytest.raises(error, match=said):
            Scene.open(TrainConfig(encoder=name, service=str(served)))

    def test_a_server_that_is_not_there_leaves_no_run_behind(self, handle, tmp_path, capsys):
        run = tmp_path / "run"
        flags = ["--encoder", handle, "--service", str(tmp_path / "none"), "--out", str(run)]

        assert train.main([*SMALL, *flags]) == 2
        assert "no server answers" in capsys.readouterr().err
        assert not run.exists()

    def test_the_search_finds_the_same_by_a_server(self, served, handle, capsys):
        assert retrieval.main([*SEARCH, "--encoder", handle]) == 0
        alone = capsys.readouterr().out
        assert retrieval.main([*SEARCH, "--encoder", handle, "--service", str(served)]) == 0

        assert capsys.readouterr().out == alone


COLOURS = "clip:colours.pt"
HOLDS_COLOURS = f"""
    import sys, time
    import numpy as np
    from pathlib import Path
    from vln.encoders.recipe import Recipe
    from vln.service.local.offers import Offer
    from vln.service.local.place import Place
    from vln.service.local.server import Server
    from vln.service.service import EncoderService
    from vln.types import EncoderSpec

    def encode(kind, items):  # nothing, until the file is there
        while not Path(sys.argv[2]).exists():
            time.sleep(0.01)
        numbers = items.reshape(len(items), -1)[:, :1500].astype(np.float32)
        return numbers if kind == "text" else numbers.reshape(len(items), 4, -1).mean(2)

    def tokens(texts):
        return np.array([[len(text), ord(text[-2]), 1, 2] for text in texts])

    spec = EncoderSpec(4, (4, 1, 1), (24, 24), "rgb", "fp32", "ab" * 32)
    offer = Offer(spec=spec, recipe=Recipe(size=24, direct=True), text_dim=4, tokens=tokens)
    with Place(Path(sys.argv[1])) as place, EncoderService({{"{COLOURS}": encode}}) as service:
        Server(service, {{"{COLOURS}": offer}}, place).run()
"""


@contextmanager
def processes():
    """Starts processes; ends those that still run."""
    started = []

    def start(*arguments, log):
        with log.open("w") as stream:
            started.append(
                subprocess.Popen(
                    [sys.executable, *map(str, arguments)], stdout=stream, stderr=subprocess.STDOUT
                )
            )
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


def waiting(path):
    """Gives the names of a server's clients that wait for answers; none where it is not there."""
    try:
        with RemoteService(path, patience_s=0) as remote:
            return {one["name"] for one in remote.status()["clients"] if one["outstanding"]}
    except ServiceClosed:
        return set()


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_a_follower_and_a_search_outlive_a_server_that_is_killed(tmp_path):
    path, run, go = tmp_path / "s.sock", tmp_path / "run", tmp_path / "go"
    logs = [tmp_path / name for name in ("first.log", "follower.log", "search.log", "second.log")]
    server = ["-c", dedent(HOLDS_COLOURS), path, go]
    asked = ["--encoder", COLOURS, "--service", path]
    with processes() as start:
        first = start(*server, log=logs[0])
        wait_for(path.exists)
        follower = start("-m", "agents.train", *SMALL, *asked, "--out", run, log=logs[1])
        search = start("-m", "benchmarks.retrieval", *SEARCH, *asked, log=logs[2])
        wait_for(lambda: waiting(path) == {"agent follower", "retrieval"})
        first.kill()
        first.wait()
        go.touch()
        second = start(*server, log=logs[3])
        codes = follower.wait(PATIENCE_S), search.wait(PATIENCE_S)
        second.terminate()
        second.wait()

    told = [log.read_text() for log in logs]
    assert codes == (0, 0), told
    assert (told[0], told[3]) == ("", "")
    lines = [orjson.loads(line) for line in (run / "metrics.jsonl").read_bytes().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert len(re.findall(r"R@1 +[\d.]+ %", told[2])) == 2
