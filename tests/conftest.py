import os
from pathlib import Path

import pytest

from vln.data.connectivity import load_graph
from vln.graph import NavGraph
from vln.testing import TinyWorld, make_tiny_world


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory) -> TinyWorld:
    return make_tiny_world(tmp_path_factory.mktemp("tiny"), seed=0)


@pytest.fixture(scope="session")
def tiny_graph(tiny_world) -> NavGraph:
    return load_graph(tiny_world.folder)


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
