"""The benchmark of encoding measures what it says."""

import json
import sys

import pytest
import torch

from benchmarks import encode
from benchmarks.speed.encoding import EncodeSetting


def test_the_command_measures_everything_quickly(tmp_path, capsys):
    code = encode.main(["--out", str(tmp_path), "--quick", "--encoders", "clip_rn50+32px"])

    written = json.loads((tmp_path / "encode.json").read_text())
    rows = {row["name"]: row for row in written["rows"]}
    document = (tmp_path / "encode.md").read_text()
    assert code == 0
    assert {"bare", "service", "named", "store", "extraction"} == {
        row["group"] for row in rows.values()
    }
    assert all(row["value"] > 0 for name, row in rows.items() if "a single image" not in name)
    assert "these numbers mean nothing" in document
    assert document.strip() == capsys.readouterr().out.strip()
    if sys.platform == "linux":
        memory = next(row for name, row in rows.items() if "pages they share" in name)
        size = 64 * 36 * 1024 * 2 / 1e6
        assert memory["value"] == pytest.approx(size, rel=0.1)  # once, not three times


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--repeats", "0"], "0 repeats"),
        (["--only", "stor"], "Did you mean 'store'"),
        (["--device", "cuda:9"], "--device cuda:9"),
        (["--only", "network", "--encoders", "clip_rn5"], "Did you mean 'clip_rn50'"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, complaint, tmp_path, capsys):
    if "cuda:9" in options and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")

    assert encode.main(["--out", str(tmp_path / "r"), *options]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_the_small_world_is_one_house(tmp_path):
    world = EncodeSetting(encoders=("clip_rn50",), scratch=tmp_path, quick=True).world

    assert world.graph.scans == ("tinyHouse00",)
    shown = list((world.data / "skyboxes").rglob("*.jpg"))
    assert len(shown) == len(world.graph.viewpoints)
