import threading
import weakref

import numpy as np
import pytest
import torch

from vln.encoders.loading import load
from vln.encoders.network import ImageEncoder
from vln.encoders.networks.exact import ExactFactors
from vln.errors import BadConfig, BadImage, EncodingFailed, OutOfMemory
from vln.runs import generator

TOWERS = {
    "resnet": {"layers": [1, 2, 1, 1], "width": 16, "patch_size": None},
    "transformer": {"layers": 2, "width": 64, "patch_size": 16},
}


@pytest.fixture(scope="module", params=TOWERS)
def file(request, clip_tensors, tmp_path_factory):
    """Small weights in OpenAI's layout, half precision as the released ones."""
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.pt"
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in clip_tensors(**TOWERS[request.param]).items()
    }
    torch.save(halves, path)
    return path


@pytest.fixture(scope="module")
def encoder(file):
    return load(f"clip:{file}")


@pytest.fixture(scope="module")
def views():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, size=(5, 12, 16, 3), dtype=np.uint8)
    return coarse.repeat(40, axis=1).repeat(40, axis=2)


def _cosine(first, second):
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return ((first * second).sum(1) / norms).min()


def test_an_encoder_says_what_it_gives(encoder, views):
    spec = encoder.spec
    assert encoder.images(views).shape == (5, spec.pooled_dim) == (5, encoder.dim)
    assert encoder.grid(views).shape == (5, *spec.grid)
    assert (spec.image_size, spec.color_order, spec.precision) == ((64, 64), "rgb", "fp32")
    assert len(spec.fingerprint) == 64
    assert encoder.images(views).dtype == encoder.grid(views).dtype == np.float32


def test_features_do_not_depend_on_the_batch(encoder, views):
    whole = encoder.images(views)
    alone = np.concatenate([encoder.images(views[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(whole, alone, rtol=1e-4, atol=1e-5 * np.abs(whole).max())
    assert np.abs(whole - whole[::-1]).max() > 0.01 * np.abs(whole).max()  # pictures differ


def test_no_pictures_give_no_features(encoder, views):
    assert encoder.images(views[:0]).shape == (0, encoder.dim)
    assert encoder.grid(views[:0]).shape == (0, *encoder.spec.grid)
    assert encoder.text(np.empty((0, 77), np.int64)).shape == (0, encoder.text_dim)
    assert encoder.tokens([]).shape == (0, 77)


def test_torchs_modes_and_default_types_change_nothing(encoder, views):
    expected = encoder.images(views)
    threads, seed = torch.get_num_threads(), torch.initial_seed()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            found = encoder.images(views)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, expected)
    assert (torch.get_num_threads(), torch.initial_seed()) == (threads, seed)


def test_threads_share_an_encoder(encoder, views):
    expected = encoder.images(views)
    found = []
    threads = [threading.Thread(target=lambda: found.append(encoder.images(views))) for _ in "123"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for features in found:
        np.testing.assert_array_equal(features, expected)


def test_the_mean_of_the_grid_can_be_taken(file, encoder, views):
    mean = load(f"clip:{file}+grid")
    assert mean.dim == mean.spec.pooled_dim == encoder.spec.grid[0]
    expected = encoder.grid(views).mean((2, 3))
    np.testing.assert_allclose(mean.images(views), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [8, 512])
def test_a_projection_is_a_fixed_gaussian_matrix(file, encoder, views, width):
    projected = load(f"clip:{file}+w{width}")
    entries = generator(0, f"projection/32/{width}").standard_normal((32, width)) / width**0.5
    expected = encoder.images(views) @ entries.astype(np.float32)
    assert projected.dim == width
    np.testing.assert_allclose(projected.images(views), expected, rtol=1e-3, atol=1e-4)
    assert projected.grid(views).shape == encoder.grid(views).shape
    assert projected.text_dim == encoder.text_dim


def test_a_wide_projection_keeps_norms(file, encoder, views):
    wide = load(f"clip:{file}+w4096").images(views)
    norms = np.linalg.norm(encoder.images(views), axis=1)
    np.testing.assert_allclose(np.linalg.norm(wide, axis=1), norms, rtol=0.1)


def test_bf16_is_float32_to_within_its_rounding(file, encoder, views):
    half = load(f"clip:{file}+bf16")
    features = half.images(views)
    assert features.dtype == np.float32
    assert half.spec.precision == "bf16"
    assert 0.998 < _cosine(features, encoder.images(views)) < 1 - 1e-9
    tokens = encoder.tokens(["turn left at the sofa"])
    assert _cosine(half.text(tokens), encoder.text(tokens)) > 0.998


def test_convolutional_networks_keep_channels_last(file):
    for words in ("", "+bf16"):
        encoder = load(f"clip:{file}{words}")
        if encoder.network.convolutional:
            weight = encoder.network.module.visual.layer2[0].conv2.weight
            assert weight.is_contiguous(memory_format=torch.channels_last)
        assert encoder.network.convolutional == file.name.startswith("resnet")


@pytest.mark.parametrize(
    ("words", "image_size"),
    [
        ("+wide", (64, 85)),
        ("+squash", (64, 64)),
        ("+native", (480, 640)),
        ("+112px", (112, 112)),
        ("+wide+112px", (112, 149)),
    ],
)
def test_frames_and_sizes_change_the_grid_with_the_picture(file, views, words, image_size):
    encoder = load(f"clip:{file}{words}")
    assert encoder.spec.image_size == image_size
    assert encoder.grid(views[:1]).shape[1:] == encoder.spec.grid
    assert np.isfinite(encoder.images(views[:1])).all()


def test_colours_count(file, encoder, views):
    swapped = load(f"clip:{file}+bgr")
    expected = encoder.images(views[..., ::-1])
    np.testing.assert_allclose(swapped.images(views), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(swapped.images(views) - encoder.images(views)).max() > 1e-3


def test_texts_are_encoded_like_their_tokens(encoder):
    tokens = encoder.tokens(["Turn left.", "turn  left .", "go up"])
    assert tokens.dtype == np.int64
    assert tokens.shape == (3, 77)
    np.testing.assert_array_equal(tokens[0], tokens[1])
    assert tokens[0, :4].tolist() == [49406, 2105, 1823, 269]
    features = encoder.text(tokens)
    assert features.shape == (3, encoder.text_dim)
    np.testing.assert_allclose(features[0], features[1], rtol=1e-5)
    assert np.abs(features[0] - features[2]).max() > 1e-3


def test_a_text_is_never_cut(encoder):
    assert encoder.tokens(["walk " * 75])[0, 76] == 49407
    with pytest.raises(BadConfig, match=r"'past walk walk .* has 78 tokens; .* 77"):
        encoder.tokens(["stop", "past " + "walk " * 75])
    with pytest.raises(BadConfig, match="1002 tokens"):
        encoder.tokens(["walk " * 1000])


@pytest.mark.parametrize("texts", ["walk", [1, 2]])
def test_what_is_no_list_of_texts_is_refused(encoder, texts):
    with pytest.raises(BadConfig, match="expected a list of strings"):
        encoder.tokens(texts)


@pytest.mark.parametrize("tokens", [np.zeros((2, 5), np.int64), np.zeros((1, 77)), np.zeros(77)])
def test_what_are_no_tokens_is_refused(encoder, tokens):
    with pytest.raises(BadConfig, match=r"expected integers \(N, 77\)"):
        encoder.text(tokens)


@pytest.mark.parametrize("token", [-1, 49408])
def test_tokens_that_no_text_has_are_refused(encoder, token):
    tokens = encoder.tokens(["go"])
    tokens[0, 3] = token
    with pytest.raises(BadConfig, match=rf"{token}.*expected 0 to 49407"):
        encoder.text(tokens)


def test_a_service_asks_by_kind(encoder, views):
    tokens = encoder.tokens(["go"])
    np.testing.assert_array_equal(encoder.encode("images", views), encoder.images(views))
    np.testing.assert_array_equal(encoder.encode("grid", views), encoder.grid(views))
    np.testing.assert_array_equal(encoder.encode("text", tokens), encoder.text(tokens))


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "meta", "mps:7"])
def test_a_device_that_is_not_there_is_refused(file, device):
    with pytest.raises(BadConfig, match=device):
        load(f"clip:{file}", device=device)


def test_half_precision_on_a_cpu_names_what_to_use(file):
    with pytest.raises(BadConfig, match=r"fp16 on a CPU.*\+bf16"):
        load(f"clip:{file}+fp16")


def test_features_that_are_no_numbers_are_not_given(encoder, views, monkeypatch):
    monkeypatch.setattr(encoder.network, "pooled", lambda images: images[:, 0, 0] * torch.nan)
    with pytest.raises(EncodingFailed, match=r"clip:.*in fp32 gives NaN"):
        encoder.images(views)


def test_memory_that_runs_out_is_told(encoder, views, monkeypatch):
    def fails(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder.network, "pooled", fails)
    with pytest.raises(OutOfMemory, match="cpu is out of memory"):
        encoder.images(views)


def test_memory_that_ran_out_is_not_kept_by_the_error_that_tells_it(encoder, views, monkeypatch):
    filled = []

    def fails(images):
        activations = images * 2
        filled.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder.network, "pooled", fails)
    with pytest.raises(OutOfMemory) as caught:
        encoder.images(views)
    assert caught.value.__context__ is not None
    assert filled[0]() is None


def test_pictures_and_settings_too_small_for_the_network_are_refused(file, clip_tensors):
    encoder = load(f"clip:{file}+native")
    with pytest.raises(BadImage, match=f"8 x 100 pixels .* places of {encoder.network.stride}"):
        encoder.images(np.zeros((1, 100, 8, 3), np.uint8))
    if encoder.network.stride == 32:
        with pytest.raises(BadConfig, match=r"16 px .*at least \+32px"):
            load(f"clip:{file}+16px")


def test_a_network_without_words_reads_none(encoder, views):
    class Mute:
        module = torch.nn.Identity()
        dim, grid_dim, size, stride, convolutional = 3, 3, 64, 1, False
        text_dim = vocabulary = 0

        def pooled(self, images):
            return images.mean((2, 3))

        def grid(self, images):
            return images

        def grid_size(self, height, width):
            return height, width

    mute = ImageEncoder("mute", network=Mute(), recipe=encoder.recipe, fingerprint="f" * 64)
    assert mute.images(views).shape == (5, 3)
    assert not mute.has_text
    with pytest.raises(BadConfig, match="mute reads no texts"):
        mute.tokens(["go"])
    with pytest.raises(BadConfig, match="mute reads no texts"):
        mute.text(np.zeros((1, 77), np.int64))


def _precisions():
    conv, cuda, cpu = torch.backends.cudnn.conv, torch.backends.cuda.matmul, torch.backends.mkldnn
    return [part.fp32_precision for part in (conv, cuda, cpu.conv, cpu.matmul)]


@pytest.fixture
def rounding():
    """torch may round factors of float32, on CPUs and GPUs, and the settings that say so."""
    cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    before = cuda.fp32_precision, cpu.fp32_precision
    cuda.fp32_precision, cpu.fp32_precision = "tf32", "bf16"
    yield _precisions()
    cuda.fp32_precision, cpu.fp32_precision = before


def test_factors_are_not_rounded_while_an_encoder_is_at_work(encoder, views, monkeypatch, rounding):
    inside = []

    def pooled(images):
        inside.append(_precisions())
        return images[:, 0, 0]

    monkeypatch.setattr(encoder.network, "pooled", pooled)
    encoder.images(views)
    assert inside == [["ieee"] * 4]
    assert _precisions() == rounding


def test_settings_are_put_back_after_the_last_who_needs_them(rounding):
    exact = ExactFactors()
    with exact:
        with exact:
            pass
        assert _precisions() == ["ieee"] * 4
    assert _precisions() == rounding
