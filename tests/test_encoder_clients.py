"""One service, four kinds of client at once: navigation, extraction, words, caption retrieval."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.torch import save_file

from benchmarks.retrieval import retrieve
from envs.panorama import PanoramaEnv
from vln.data.captions import ViewCaption
from vln.encoders import World
from vln.encoders.loading import load
from vln.features.extract import Extraction, extract
from vln.features.online import EncodedPictures, EncodedViews
from vln.service.requests import Limits
from vln.service.service import EncoderService
from vln.testing import make_tiny_world, write_skyboxes

CAPTIONS = [ViewCaption(i, i % 36, f"A chair by door {i}.") for i in range(12)]
TEXTS = ["Walk past the sofa.", "Stop at the red door."]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    made = make_tiny_world(tmp_path_factory.mktemp("clients"))
    write_skyboxes(made.folder, made.graph, size=16)
    return made


@pytest.fixture(scope="module")
def encoder(clip_tensors, tmp_path_factory):
    """A small CLIP in the layout of OpenAI's weights, read as a released one is."""
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(clip_tensors(layers=1), file)
    return load(f"clip:{file}+direct+32px")


def navigate(service, encoder, world, made):
    """Walks a few steps; gives where it was and what it saw there."""
    with EncodedViews(encoder, service, client="navigation", world=world) as source:
        env = PanoramaEnv(graph=world.graph, episodes=made.episodes("val_unseen"), features=source)
        steps = [env.reset(seed=0)[0]]
        while len(steps) < 4:
            steps.append(env.step(int(np.flatnonzero(steps[-1]["action_mask"])[-1]))[0])
        return [(step["panorama"], step["view_features"]) for step in steps]


def store(service, encoder, world):
    settings = Extraction(block=32, dtype="float32", progress=False)
    return extract(encoder, world, settings=settings, service=service)


def read(service, encoder):
    with EncodedPictures(encoder, service, client="words") as source:
        return [source.texts(TEXTS) for _ in range(5)]


def search(service, encoder, world):
    with EncodedViews(encoder, service, client="retrieval", world=world) as source:
        return retrieve(source, CAPTIONS, among=10, draws=3)


def test_all_kinds_of_clients_get_right_answers_at_the_same_time(pictures, encoder, tmp_path):
    world = World(pictures.folder, pictures.graph, tmp_path)
    engines = {encoder.handle: encoder.encode}
    limits = Limits(max_batch=32)
    with EncoderService(engines, limits=limits) as service, ThreadPoolExecutor(4) as pool:
        walked = pool.submit(navigate, service, encoder, world, pictures)
        stored = pool.submit(store, service, encoder, world)
        worded = pool.submit(read, service, encoder)
        searched = pool.submit(search, service, encoder, world)
        table = stored.result(120)
        steps, words, found = walked.result(120), worded.result(120), searched.result(120)
        items = service.status().items

    for panorama, features in steps:
        np.testing.assert_allclose(features, table.gather(panorama[None])[0], rtol=1e-3, atol=1e-4)
    expected = encoder.text(encoder.tokens(TEXTS))
    for texts in words:
        np.testing.assert_allclose(texts, expected, rtol=1e-3, atol=1e-5)
    with EncoderService(engines) as alone:
        assert found == search(alone, encoder, world)
    assert items >= 36 * len(world.graph.viewpoints)
