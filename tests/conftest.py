import gzip
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from vln.data.connectivity import load_graph
from vln.graph import NavGraph, ScanViewpoints, compile_graph
from vln.testing import TinyWorld, make_tiny_world, write_skyboxes

# Before torch is imported: tests run side by side, and bit-for-bit comparisons need one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory) -> TinyWorld:
    return make_tiny_world(tmp_path_factory.mktemp("tiny"), seed=0)


@pytest.fixture(scope="session")
def tiny_settings(tiny_world, tmp_path_factory) -> dict[str, str]:
    """Environment variables: the tiny world is the data, the cache one that all tests share."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    return {"VLN_DATA": str(tiny_world.folder), "VLN_CACHE": str(cache)}


@pytest.fixture
def in_tiny_world(tiny_settings, monkeypatch) -> None:
    """Commands find the tiny world."""
    for name, value in tiny_settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def train_tiny(tiny_settings, tmp_path_factory):
    """Trains in the tiny world, and gives the run's folder."""
    from agents import train

    def trained(*flags, name="run") -> Path:
        folder = tmp_path_factory.mktemp("runs") / name
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in tiny_settings.items():
                patch.setenv(variable, value)
            assert train.main([*flags, "--out", str(folder)]) == 0
        return folder

    return trained


@pytest.fixture(scope="session")
def recipe_flags() -> tuple[str, ...]:
    """Settings with which a whole recipe takes seconds."""
    return (
        *("--encoder", "random", "--batch", "6", "--iterations", "2", "--evaluate-every", "1"),
        *("--max-steps", "5", "--evaluate", "val_seen", "--model.max-words", "20"),
        *("--model.hidden", "16", "--model.word", "8"),
    )


@pytest.fixture(scope="session")
def tiny_recipe(train_tiny, recipe_flags) -> Path:
    """Folder of speaker, follower and back-translation, trained without interruption."""
    return train_tiny(*recipe_flags, name="whole")


@pytest.fixture(scope="session")
def tiny_graph(tiny_world) -> NavGraph:
    return load_graph(tiny_world.folder)


@pytest.fixture(scope="session")
def tiny_panoramas(tiny_world, tmp_path_factory) -> TinyWorld:
    """The tiny world with skyboxes whose colours are directions; `tiny_world` itself has none."""
    world = TinyWorld(tmp_path_factory.mktemp("pictures") / "tiny")
    shutil.copytree(tiny_world.folder, world.folder)
    write_skyboxes(world.folder, world.graph, size=64)
    return world


@pytest.fixture(scope="session")
def make_scan():
    """Makes a scan of viewpoints a, b, c, ... at positions, with edges such as "ab"."""

    def make(positions, edges, *, scan: str = "made") -> ScanViewpoints:
        count = len(positions)
        pose = np.tile(np.eye(4), (count, 1, 1))
        pose[:, :3, 3] = positions
        adjacency = np.zeros((count, count), dtype=bool)
        for start, end in edges:
            a, b = ord(start) - ord("a"), ord(end) - ord("a")
            adjacency[a, b] = adjacency[b, a] = True
        names = tuple(chr(ord("a") + i) for i in range(count))
        return ScanViewpoints(scan, names, np.arange(count), pose, adjacency)

    return make


@pytest.fixture(scope="session")
def make_graph(make_scan):
    """Makes a graph of one made-up scan."""

    def make(positions, edges) -> NavGraph:
        return compile_graph([make_scan(positions, edges)], world="made")

    return make


def _given(variable: str) -> Path:
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set: this test needs the real data")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def real_data() -> Path:
    return _given("VLN_DATA")


@pytest.fixture(scope="session")
def golden() -> Path:
    return _given("VLN_GOLDEN")


@pytest.fixture(scope="session")
def real_graph(real_data) -> NavGraph:
    return load_graph(real_data)


@pytest.fixture(scope="session")
def read_golden(golden):
    """Reads one golden file of JSON lines."""

    def read(name: str) -> list:
        with gzip.open(golden / name) as lines:
            return [json.loads(line) for line in lines]

    return read


@pytest.fixture(scope="session")
def write_house():
    """Writes a connectivity folder: one house, viewpoints a, b, c, ... and edges such as "ab"."""

    def write(folder: Path, positions, edges, *, scan: str = "house", excluded: str = "") -> Path:
        names = [chr(ord("a") + i) for i in range(len(positions))]
        joined = {*edges, *(edge[::-1] for edge in edges)}
        records = [
            {
                "image_id": name,
                "included": name not in excluded,
                "pose": [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z, 0, 0, 0, 1],
                "unobstructed": [name + other in joined for other in names],
            }
            for name, (x, y, z) in zip(names, positions, strict=True)
        ]
        folder.mkdir(parents=True)
        (folder / f"{scan}_connectivity.json").write_bytes(orjson.dumps(records))
        (folder / "scans.txt").write_text(f"{scan}\n")
        return folder

    return write


@pytest.fixture
def crossing_folder(write_house, tmp_path) -> Path:
    """Viewpoint a in the middle of b north, c east, d south; e, a neighbour of a, is excluded."""
    positions = [(0, 0, 0), (0, 2, 0.1), (2, 0, 0), (0, -2, 0), (1, 1, 0)]
    return write_house(tmp_path / "graphs", positions, ["ab", "ac", "ad", "ae"], excluded="e")


@pytest.fixture
def simulator(crossing_folder):
    """Makes drop-ins for MatterSim's simulator, on the crossing, that do not render."""
    from vln.mattersim import Simulator

    def make(batch_size=1, *, discretized=True, graphs=crossing_folder):
        made = Simulator()
        made.setNavGraphPath(str(graphs))
        made.setRenderingEnabled(False)
        made.setDiscretizedViewingAngles(discretized)
        made.setCameraResolution(640, 480)
        made.setCameraVFOV(math.radians(60))
        if batch_size != 1:
            made.setBatchSize(batch_size)
        return made

    return make


@pytest.fixture(scope="session")
def clip_tensors():
    """Makes random weights in the layout of OpenAI's, small or as large as a configuration says."""

    def make(config=None, *, seed=0, **vision):
        import torch
        from open_clip.model import CLIP

        rng = torch.Generator().manual_seed(seed)
        text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
        seen = {"image_size": 64, "width": 64, "patch_size": 16, "layers": 2} | vision
        config = config or {"embed_dim": 32, "vision_cfg": seen}
        with torch.device("meta"):
            shapes = CLIP(**(config | {"text_cfg": text, "quick_gelu": True})).state_dict()
        return {name: _drawn(name, like, rng) for name, like in shapes.items()}

    return make


def _drawn(name, like, rng):
    """Draws one weight: activations keep their size, and no bias, mean or scale is neutral."""
    import torch

    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    drawn = torch.randn(like.shape, generator=rng)
    if like.ndim > 1:
        return drawn * ((2 if like.ndim == 4 else 1) / math.prod(like.shape[1:])) ** 0.5
    scales = name.endswith(("weight", "running_var", "logit_scale"))
    return 1 + 0.1 * drawn.clamp(-3, 3) if scales else 0.1 * drawn
