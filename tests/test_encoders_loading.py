import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from vln.encoders.loading import identity, load, recipe_of
from vln.encoders.recipe import CLIP_MEAN, Recipe
from vln.errors import (
    BadConfig,
    CheckpointMismatch,
    CorruptData,
    MissingWeights,
    UnknownName,
)

RESNET = {"layers": [1, 2, 1, 1], "width": 16, "patch_size": None}
TRANSFORMER = {"layers": 2, "width": 64, "patch_size": 16}


@pytest.fixture(scope="module")
def weights(clip_tensors, tmp_path_factory):
    """A folder of weights: the same ones as half-precision .pt, and in float32 as safetensors."""
    folder = tmp_path_factory.mktemp("weights")
    tensors = clip_tensors(**TRANSFORMER)
    halves = {name: value.half() for name, value in tensors.items()}
    torch.save(halves | {"input_resolution": torch.tensor(64)}, folder / "half.pt")
    singles = {name: value.float() for name, value in halves.items()}
    safetensors.torch.save_file(singles, folder / "single.safetensors")
    torch.save(clip_tensors(**RESNET), folder / "resnet.pt")
    return folder


@pytest.fixture(scope="module")
def views():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, size=(2, 64, 80, 3), dtype=np.uint8)


def _saved(tensors, file):
    torch.save(tensors, file)
    return file


def test_named_encoders_have_the_papers_recipes():
    sizes = {"rn50": 224, "rn101": 224, "rn50x4": 288, "rn50x16": 384, "vit_l14": 224}
    for name, size in sizes.items():
        recipe = recipe_of(f"clip_{name}")
        assert (recipe.frame, recipe.size) == ("center", size)
        assert (recipe.interpolation, recipe.mean) == ("bicubic", CLIP_MEAN)
    imagenet = recipe_of("imagenet_resnet152")
    assert (imagenet.frame, imagenet.mean) == ("native", (0.485, 0.456, 0.406))
    assert recipe_of("random_rn50") == recipe_of("clip_rn50")
    assert recipe_of("clip_rn50+bf16+w512") == Recipe(precision="bf16", width=512)


def test_asking_for_a_recipe_imports_no_library_of_networks():
    program = (
        "import sys; from vln.encoders.loading import identity, recipe_of; "
        "recipe_of('clip_rn50+squash'); identity('random_rn50'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'open_clip', 'timm')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_identity_is_the_loaded_encoders_whatever_the_file(weights, views):
    half, single = (
        load(f"clip:{weights}/{name}+squash") for name in ("half.pt", "single.safetensors")
    )
    assert half.spec.fingerprint == single.spec.fingerprint
    assert identity(f"clip:{weights}/half.pt+squash") == half.spec.fingerprint
    np.testing.assert_array_equal(half.images(views), single.images(views))


@pytest.mark.parametrize(
    "words", ["squash", "wide", "native", "72px", "bgr", "bf16", "grid", "w512", "direct"]
)
def test_every_word_is_another_identity(weights, words):
    file = weights / "half.pt"
    assert identity(f"clip:{file}+{words}") != identity(f"clip:{file}")


def test_other_weights_are_another_identity(weights, clip_tensors, tmp_path):
    other = _saved(clip_tensors(seed=1, **TRANSFORMER), tmp_path / "other.pt")
    assert identity(f"clip:{other}") != identity(f"clip:{weights}/half.pt")


def test_a_file_is_found_in_the_folders_of_weights(weights):
    found = load("clip:half.pt", folders=[weights.parent, weights])
    assert found.spec.fingerprint == identity(f"clip:{weights}/half.pt")
    assert recipe_of("clip:half.pt", folders=[weights]).size == 64
    with pytest.raises(MissingWeights, match=r"no file none.pt here or under .*weights"):
        load("clip:none.pt", folders=[weights])


def test_weights_of_another_architecture_say_what_they_are_of(weights):
    with pytest.raises(CheckpointMismatch) as caught:
        load("clip_rn50", weights=weights / "resnet.pt")
    said = str(caught.value)
    assert "resnet.pt" in said
    assert "clip_rn50: found a ResNet of 1, 2, 1, 1 blocks, width 16" in said
    assert "expected a ResNet of 3, 4, 6, 3 blocks, width 64, for pictures of 224 px" in said
    with pytest.raises(CheckpointMismatch, match=r"expected a ViT of 12 blocks, 32-px patches"):
        load("clip_vit_b32", weights=weights / "resnet.pt")


@pytest.mark.parametrize("lacking", ["text_projection", "visual.proj", "visual.conv1.weight"])
def test_weights_in_no_layout_of_openais_name_what_lacks(clip_tensors, tmp_path, lacking):
    tensors = clip_tensors(**TRANSFORMER)
    del tensors[lacking]
    file = _saved(tensors, tmp_path / "lacking.pt")
    with pytest.raises(CheckpointMismatch, match=r"lacking.pt holds no CLIP .*timm:NAME"):
        load(f"clip:{file}")


def _missing(tensors):
    del tensors["visual.ln_post.bias"]


def _surplus(tensors):
    tensors["visual.head"] = torch.zeros(3)


def _reshaped(tensors):
    tensors["visual.ln_post.bias"] = torch.zeros(65)


def _integers(tensors):
    tensors["visual.ln_post.bias"] = torch.zeros(64, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_integers, "of another type: visual.ln_post.bias torch.int64 instead of torch.float32"),
        (_missing, "missing: visual.ln_post.bias"),
        (_surplus, "not expected: visual.head"),
        (_reshaped, r"visual.ln_post.bias \(65,\) instead of \(64,\)"),
    ],
)
def test_weights_that_do_not_fit_exactly_are_refused(clip_tensors, tmp_path, change, said):
    tensors = clip_tensors(**TRANSFORMER)
    change(tensors)
    file = _saved(tensors, tmp_path / "odd.pt")
    with pytest.raises(CheckpointMismatch, match=f"odd.pt .*{said}"):
        load(f"clip:{file}")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(clip_tensors, tmp_path, value):
    tensors = clip_tensors(**TRANSFORMER)
    tensors["visual.proj"][3, 4] = value
    file = _saved(tensors, tmp_path / "broken.pt")
    with pytest.raises(CorruptData, match=r"broken.pt, tensor visual.proj: it holds NaN"):
        load(f"clip:{file}")


def test_positions_that_are_no_square_are_refused(clip_tensors, tmp_path):
    tensors = clip_tensors(**TRANSFORMER)
    tensors["visual.positional_embedding"] = torch.zeros(16, 64)
    file = _saved(tensors, tmp_path / "odd.pt")
    with pytest.raises(CheckpointMismatch, match="16 positions, which are no square and one"):
        load(f"clip:{file}")


def test_an_untrained_network_is_always_the_same_and_moves_no_seed(views):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (load("random_rn50+64px").images(views) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (2, 1024)


def test_an_untrained_network_tells_pictures_apart_in_half_precision():
    rng = np.random.default_rng(1)
    rooms = rng.integers(0, 256, size=(6, 4, 4, 3), dtype=np.uint8)
    features = load("random_rn50+64px").images(rooms.repeat(16, axis=1).repeat(16, axis=2))
    rounded = features.astype(np.float16).astype(np.float32)
    assert np.abs(rounded - features).max() < 0.05 * features.std(0).mean()
    assert features.std(0).mean() > 0.05 * np.sqrt((features**2).mean())


def test_an_untrained_network_takes_no_weights(weights):
    with pytest.raises(BadConfig, match=r"untrained, so .*half.pt cannot be its weights"):
        load("random_rn50", weights=weights / "half.pt")


@pytest.mark.parametrize("name", ["resnet50", "resnet152"])
def test_torchvisions_weights_give_torchvisions_features(name, tmp_path, views):
    import torchvision

    theirs = getattr(torchvision.models, name)(weights=None).eval()
    tensors = {key: value for key, value in theirs.state_dict().items() if "tracked" not in key}
    file = _saved(tensors, tmp_path / f"{name}.pth")
    encoder = load(f"imagenet_{name}", weights=file)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (encoder.recipe.mean, encoder.recipe.std))
    theirs.fc = torch.nn.Identity()
    with torch.inference_mode():
        images = torch.from_numpy(views).permute(0, 3, 1, 2) / 255
        expected = theirs((images - mean) / std)
    np.testing.assert_allclose(encoder.images(views), expected, rtol=1e-3, atol=1e-5)
    assert encoder.spec.image_size == (480, 640)
    assert encoder.spec.grid == (2048, 15, 20)
    assert encoder.grid(views).shape == (2, 2048, 2, 3)
    with pytest.raises(BadConfig, match="reads no texts"):
        encoder.tokens(["go"])


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_what_wrappers_leave_in_a_file_makes_no_other_encoder(
    weights, clip_tensors, tmp_path, prefix
):
    tensors = {name: value.half() for name, value in clip_tensors(**TRANSFORMER).items()}
    tensors["logit_scale"] = tensors["logit_scale"].reshape(1)
    wrapped = {f"{prefix}{name}": value for name, value in tensors.items()}
    file = _saved({"state_dict": wrapped, "epoch": 3}, tmp_path / "wrapped.pt")
    assert load(f"clip:{file}").spec.fingerprint == identity(f"clip:{weights}/half.pt")


def test_equal_encoders_have_equal_identities(weights):
    file = f"clip:{weights}/half.pt"
    assert identity(f"{file}+center+64px") == identity(file)
    assert identity(f"{file}+bgr+w8") == identity(f"{file}+w8+bgr")
    assert identity("random_rn50+224px") == identity("random_rn50")


def test_an_identity_is_the_same_in_every_process():
    program = "from vln.encoders.loading import identity; print(identity('random_rn50+bf16'))"
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == identity("random_rn50+bf16")


def test_a_released_file_is_who_its_name_is(clip_tensors, tmp_path):
    import open_clip

    config = open_clip.get_model_config("RN50-quickgelu")
    file = _saved(
        clip_tensors({name: config[name] for name in ("embed_dim", "vision_cfg")}),
        tmp_path / "RN50.pt",
    )
    assert identity("clip_rn50", weights=file) == identity(f"clip:{file}")


def test_a_tag_of_timms_is_told_by_its_weights(tmp_path):
    import timm

    tensors = timm.create_model("resnet18", pretrained=False).state_dict()
    file = tmp_path / "own.safetensors"
    safetensors.torch.save_file(tensors, file)
    one, other = (identity(f"timm:resnet18{tag}+224px", weights=file) for tag in ("", ".a1_in1k"))
    assert one == other


def test_another_resnets_weights_are_refused(tmp_path):
    import torchvision

    file = _saved(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(CheckpointMismatch, match=r"resnet18.pth does not hold .*imagenet_resnet50"):
        load("imagenet_resnet50", weights=file)


def test_released_weights_that_are_not_here_are_missing(tmp_path):
    with pytest.raises(MissingWeights, match=r"put RN50.pt .*into"):
        load("clip_rn50", folders=[tmp_path], download=False)


@pytest.mark.parametrize(
    ("handle", "kind", "said"),
    [
        ("clip_rn500", UnknownName, "Did you mean 'clip_rn50'"),
        ("clip_rn50+squish", UnknownName, "squash"),
        ("clip_rn50@01234567", BadConfig, "file of features"),
        ("open_clip:ViT-B-33/openai", BadConfig, "Did you mean open_clip:ViT-B-32"),
        ("open_clip:RN50", BadConfig, "which weights.*openai, yfcc15m, cc12m"),
        ("open_clip:RN50/openai", BadConfig, "trained with quick GELU.*RN50-quickgelu/openai"),
        ("open_clip:RN50/none.pt", MissingWeights, "no file none.pt here.*openai, yfcc15m"),
        ("open_clip:ViT-L-14/none.pt", BadConfig, "normalised in different ways"),
        ("open_clip:ViT-B-32/laion2b_e16", MissingWeights, r"as ViT-B-32-laion2b_e16.safetensors"),
        ("timm:resnet188", BadConfig, "Did you mean timm:resnet18"),
        ("timm:resnet18", MissingWeights, r"put them as resnet18.safetensors into"),
    ],
)
def test_handles_that_cannot_be_say_what_can(handle, kind, said, tmp_path):
    with pytest.raises(kind, match=said):
        load(handle, folders=[tmp_path], download=False)


def test_a_network_of_open_clips_is_read_from_a_file(tmp_path, views):
    import open_clip

    model = open_clip.create_model("ViT-S-32-alt", pretrained=None).eval()
    file = tmp_path / "own.safetensors"
    safetensors.torch.save_file(model.state_dict(), file)
    encoder = load(f"open_clip:ViT-S-32-alt/{file}+64px")
    assert encoder.images(views).shape == (2, model.visual.output_dim)
    tokens = encoder.tokens(["go"])
    with torch.inference_mode():
        expected = model.encode_text(torch.from_numpy(tokens))
    np.testing.assert_allclose(encoder.text(tokens), expected, rtol=1e-4, atol=1e-5)
    assert identity(f"open_clip:ViT-S-32-alt/{file}+64px") == encoder.spec.fingerprint


def test_openais_archives_are_refused_for_networks_without_quick_gelu(weights):
    file = weights / "notes.pt"
    notes = ("input_resolution", "context_length", "vocab_size")
    torch.save(dict.fromkeys(notes, torch.tensor(1)), file)
    with pytest.raises(BadConfig, match=r"quick GELU.*Use --encoder clip:"):
        load(f"open_clip:RN50/{file}")


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("resnet18", (512, 2, 3)),
        ("vit_tiny_patch16_224", (192, 4, 5)),
        ("swin_tiny_patch4_window7_224", None),
    ],
)
def test_a_network_of_timms_is_read_from_the_folder_of_weights(tmp_path, views, name, grid):
    import timm

    module = timm.create_model(name, pretrained=False).eval()
    safetensors.torch.save_file(module.state_dict(), tmp_path / f"{name}.safetensors")
    words = "+native" if grid else ""
    encoder = load(f"timm:{name}{words}", folders=[tmp_path], download=False)
    assert encoder.images(views).shape == (2, module.num_features)
    assert encoder.grid(views).shape[1:] == (grid or (768, 7, 7))
    rows, columns = encoder.spec.grid[1:]  # of a view of 480 x 640
    assert (rows, columns) == (7, 7) if not grid else {512: (15, 20), 192: (30, 40)}[grid[0]]
    assert encoder.recipe.mean == tuple(module.pretrained_cfg["mean"])
    assert not encoder.has_text
