import numpy as np
import pytest
import torch

from vln.encoders.preprocess import MAX_SIDE, fitted, prepared, seen_size
from vln.encoders.recipe import CLIP_MEAN, CLIP_STD, Recipe
from vln.errors import BadImage


@pytest.fixture(scope="module")
def views():
    """Two noisy gradients as large as the field's views, no two sides alike."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:480, 0:640]
    ramps = np.stack([rows / 480, columns / 640, (rows + columns) / 1120], axis=2) * 200
    noise = rng.integers(0, 56, size=(2, 480, 640, 3))
    return (ramps + noise).astype(np.uint8)


def _torchvision(view, *steps):
    from PIL import Image
    from torchvision.transforms import v2

    return np.asarray(v2.Compose(steps)(Image.fromarray(view)))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (300, 501)])
def test_the_centre_is_torchvisions_on_pil_to_a_grey_level(views, interpolation, shape):
    from torchvision.transforms import v2

    view = np.ascontiguousarray(np.resize(views[0], (*shape, 3)))
    resize = v2.Resize(224, interpolation=v2.InterpolationMode(interpolation))
    expected = _torchvision(view, resize, v2.CenterCrop(224))
    seen = fitted(view[None], Recipe(interpolation=interpolation))[0]
    assert np.abs(seen.astype(int) - expected).max() <= 1


def test_a_view_is_resized_to_298_by_224_with_its_longer_side_cut_off(views):
    assert seen_size(480, 640, Recipe(frame="wide")) == (224, 298)
    assert fitted(views, Recipe(frame="wide")).shape == (2, 224, 298, 3)
    assert seen_size(640, 480, Recipe(frame="wide", size=288)) == (384, 288)


def test_the_centre_is_the_middle_of_the_wide_frame(views):
    wide = fitted(views, Recipe(frame="wide"))
    np.testing.assert_array_equal(fitted(views, Recipe()), wide[:, :, 37 : 37 + 224])


def test_a_squashed_view_is_a_square_of_the_whole_of_it(views):
    from torchvision.transforms import v2

    resize = v2.Resize((224, 224), interpolation=v2.InterpolationMode.BICUBIC)
    seen = fitted(views, Recipe(frame="squash"))
    assert np.abs(seen[1].astype(int) - _torchvision(views[1], resize)).max() <= 1


def test_a_native_view_is_left_as_it_is(views):
    np.testing.assert_array_equal(fitted(views, Recipe(frame="native")), views)


@pytest.mark.parametrize("frame", ["center", "wide", "squash", "native"])
def test_fitting_what_is_fitted_changes_nothing(views, frame):
    recipe = Recipe(frame=frame)
    once = fitted(views, recipe)
    np.testing.assert_array_equal(fitted(once, recipe), once)
    assert once.shape[1:3] == seen_size(480, 640, recipe)


def test_pictures_are_normalised_as_clip_is():
    image = np.full((1, 224, 224, 3), (255, 0, 51), dtype=np.uint8)
    seen = prepared(image, Recipe())
    expected = (np.array([1, 0, 0.2]) - CLIP_MEAN) / CLIP_STD
    assert seen.dtype == torch.float32
    assert seen.shape == (1, 3, 224, 224)
    np.testing.assert_allclose(seen[0, :, 5, 7], expected, rtol=1e-6)


def test_bgr_swaps_the_channels_and_not_their_statistics(views):
    swapped = prepared(views, Recipe(colour="bgr"))
    assert torch.equal(swapped, prepared(views[..., ::-1], Recipe()))
    assert not torch.equal(swapped, prepared(views, Recipe()))


def test_a_picture_does_not_depend_on_its_neighbours(views):
    alone = prepared(views[1:], Recipe())
    assert torch.equal(prepared(views, Recipe())[1:], alone)


def test_tensors_views_and_read_only_arrays_are_taken(views):
    locked = views.copy()
    locked.setflags(write=False)
    expected = prepared(views, Recipe())
    assert torch.equal(prepared(torch.from_numpy(views), Recipe()), expected)
    assert torch.equal(prepared(locked, Recipe()), expected)
    flipped = prepared(views[:, ::-1], Recipe(frame="native"))
    assert torch.equal(flipped, prepared(views, Recipe(frame="native")).flip(2))


def test_no_pictures_are_no_pictures():
    assert prepared(np.empty((0, 480, 640, 3), np.uint8), Recipe()).shape == (0, 3, 224, 224)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ([np.zeros((8, 8, 3), np.uint8)], "as a list; expected one array"),
        (np.zeros((1, 8, 8, 3), np.float32), "type float32"),
        (np.zeros((8, 8, 3), np.uint8), r"shape \(8, 8, 3\)"),
        (np.zeros((1, 8, 8, 4), np.uint8), r"shape \(1, 8, 8, 4\)"),
        (np.zeros((1, 0, 8, 3), np.uint8), "8 x 0 pixels"),
        (np.zeros((1, 1, MAX_SIDE + 1, 3), np.uint8), f"{MAX_SIDE + 1} x 1 pixels"),
        (
            np.zeros((1, 1, 9000, 3), np.uint8),
            r"9000 x 1 pixels: its longer side would get 2016000",
        ),
    ],
)
def test_what_is_no_picture_is_refused(image, said):
    with pytest.raises(BadImage, match=said):
        prepared(image, Recipe())


def test_the_path_of_other_devices_agrees_to_a_grey_level(views, monkeypatch):
    from vln.encoders import preprocess

    class Elsewhere:
        type = "cuda"

    whole = torch.from_numpy(views).permute(0, 3, 1, 2)
    here = preprocess._resized(whole, (224, 298), "bicubic")
    monkeypatch.setattr(torch.Tensor, "device", Elsewhere())
    there = preprocess._resized(whole, (224, 298), "bicubic")
    monkeypatch.undo()
    assert there.dtype == torch.uint8
    assert (here.int() - there.int()).abs().max() <= 1
