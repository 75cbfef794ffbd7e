"""The benchmark of rendering measures what it says, and compares ways of making views fairly."""

import json

import numpy as np
import pytest
import torch

from benchmarks import likeness, render
from benchmarks.speed.rendering import RenderSetting, reading_rows
from vln.panorama.faces import Panorama
from vln.panorama.pinhole import Camera
from vln.panorama.views import ViewRenderer
from vln.testing import direction_faces


def panorama(size=64):
    return Panorama.of(direction_faces(np.eye(3), size), rotation=np.eye(3))


def test_the_command_measures_everything_quickly(tiny_world, tmp_path, capsys):
    code = render.main(["--out", str(tmp_path), "--data", str(tiny_world.folder), "--quick"])

    written = json.loads((tmp_path / "render.json").read_text())
    document = (tmp_path / "render.md").read_text()
    assert code == 0
    assert {row["group"] for row in written["rows"]} == set(render.GROUPS)
    assert all(row["value"] > 0 for row in written["rows"])
    assert {"cpu", "cores", "opencv", "threads"} <= set(written["machine"])
    assert "these numbers mean nothing" in document
    assert "straight at 224, smooth" in document
    assert document.strip() == capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--repeats", "0"], "repeats 0"),
        (["--only", "redering"], "Did you mean 'rendering'"),
        (["--device", "cuda:9"], "--device cuda:9"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, complaint, tiny_world, tmp_path, capsys):
    where = ["--out", str(tmp_path / "r"), "--data", str(tiny_world.folder)]
    if "cuda:9" in options and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert render.main([*where, *options]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_what_is_read_are_the_written_skyboxes(tiny_world, tmp_path):
    setting = RenderSetting(data=tiny_world.folder, scratch=tmp_path, quick=True)

    strips, release = setting.panoramas(setting.strips), setting.panoramas(setting.release)

    assert [p.size for p in strips] == [32] * 3
    assert [p.size for p in release] == [64] * 3
    expected = direction_faces(setting.graph.rotation[0], 32)
    assert np.abs(strips[0].faces.astype(int) - expected).mean() <= 4  # JPEG, colours halved
    assert [row.unit for row in reading_rows(setting)] == ["s", "s"]


def test_resizing_is_what_torchvision_does_to_a_view():
    views = ViewRenderer(Camera()).views(panorama(), [0.3], [0.1])

    made = likeness.resized(views)

    assert made.shape == (1, 3, 224, 224)
    # The middle of the crop shows the middle of the view.
    middle = views[0, 238:242, 318:322].reshape(-1, 3).mean(axis=0)
    assert (
        np.abs(made[0, :, 111:113, 111:113].reshape(3, -1).mean(dim=1).numpy() - middle).max() < 1
    )


def test_straight_views_are_alike_and_neighbours_are_not():
    measured = likeness.measure_likeness([panorama()], networks=2)

    by_name = {each.name: each for each in measured}
    straight = by_name["straight at 224, smooth"]
    beside = by_name["the view 30 degrees to the right"]
    assert straight.psnr > 40 > beside.psnr
    assert max(straight.features) < 0.1 < min(beside.features)
    assert straight.mean_error < 1
    assert len(straight.features) == 2


def test_untrained_networks_differ_by_seed_only():
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    first, again, other = (likeness.untrained_network(seed)(images) for seed in (0, 0, 1))
    assert first.shape == (2, 512)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
