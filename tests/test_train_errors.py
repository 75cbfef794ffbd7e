"""What `python -m agents.train` says to a caller's mistakes: each an error, none a traceback."""

import json
import shutil

import pytest

from agents import train, trainer
from vln.runs import Run

SMALL = [
    *("--agent", "follower"),
    *("--batch", "8", "--iterations", "2", "--evaluate-every", "1", "--max-steps", "4"),
    *("--model.hidden", "16", "--model.word", "8", "--evaluate", "val_seen"),
]


@pytest.fixture(autouse=True)
def _world(tiny_world, tmp_path, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))
    monkeypatch.setenv("VLN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def said(capsys):
    """Runs a command that must fail and gives what it said."""

    def run(*arguments):
        capsys.readouterr()
        assert train.main([*arguments]) == 2
        message = capsys.readouterr().err
        assert message.splitlines()[-1].startswith("error: ")
        return message

    return run


@pytest.fixture(scope="module")
def finished(tiny_world, tmp_path_factory):
    """A whole run of a seeing follower."""
    base = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLN_DATA", str(tiny_world.folder))
        patch.setenv("VLN_CACHE", str(base / "cache"))
        assert train.main([*SMALL, "--encoder", "objects", "--out", str(base / "run")]) == 0
    return base / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("--model.hidde", "--model.hidden"), ("--encoderr", "--encoder"), ("--batchs", "--batch")],
)
def test_a_mistyped_flag_gets_a_suggestion(capsys, typo, meant):
    with pytest.raises(SystemExit) as stopped:
        train.main([*SMALL, typo, "8"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert typo in said
    assert meant in said


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (("--encoder", "objectz"), ("unknown encoder 'objectz'", "'objects'?", "none")),
        (("--env", "r2"), ("unknown data set or world 'r2'", "r2r")),
        (("--agent", "followr"), ("unknown agent 'followr'", "'follower'?")),
        (("--recipe", "demoo"), ("unknown recipe 'demoo'", "'demo'?")),
        (("--device", "gpu7"), ("no device 'gpu7'", "expected cpu, cuda")),
        (("--batch", "0"), ("batch is 0", "1 or more")),
        (("--batch", "5000"), ("an update takes 10000", "smaller --batch")),
        (("--model.hidden", "33"), ("hidden is 33", "even number")),
        (("--model.dropout", "1"), ("dropout 1.0", "[0, 1)")),
        (("--data", "nowhere"), ("nowhere, which is no folder",)),
    ],
)
def test_a_setting_that_cannot_work_is_named_with_what_can(said, flags, parts):
    message = said(*SMALL, *flags)
    for part in parts:
        assert part in message


def test_clip_without_features_says_what_is_missing_before_anything_is_written(said, tmp_path):
    message = said(*SMALL, "--encoder", "clip_rn50", "--out", str(tmp_path / "new"))
    for part in ("features", "RN50.pt", "skyboxes", "--encoder none or objects"):
        assert part in message
    assert not (tmp_path / "new").exists()


def test_data_that_are_nowhere_say_how_to_name_them(said, monkeypatch):
    monkeypatch.delenv("VLN_DATA")
    assert "Set VLN_DATA (or --data)" in said(*SMALL)


def test_a_folder_that_holds_a_run_is_not_written_over(said, run):
    before = (run / trainer.LAST).read_bytes()
    message = said(*SMALL, "--out", str(run))
    assert f"--resume {run}" in message
    assert (run / trainer.LAST).read_bytes() == before


def test_resuming_what_is_no_run_says_so(said, tmp_path):
    message = said("--resume", str(tmp_path / "nothing"))
    assert "no run in" in message
    assert "config.json" in message


def test_a_flag_without_its_value_is_named(said):
    assert "--resume needs a value" in said("--resume")


def test_resuming_with_other_settings_is_refused(said, run):
    message = said("--resume", str(run), "--optim.lr", "0.1")
    assert "only --threads, --iterations and --service may change" in message


def test_settings_of_another_version_are_named(said, run):
    config = json.loads((run / "config.json").read_bytes())
    config["model"]["hidde"] = 3
    (run / "config.json").write_text(json.dumps(config))
    assert "unknown setting of ModelConfig 'hidde'" in said("--resume", str(run))


def test_resuming_on_other_features_is_refused(said, run, tiny_world, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(tiny_world.folder, other)
    for file in (other / "reverie" / "BBox").glob("tinyHouse0[0-4]_*.json"):
        file.write_bytes(file.read_bytes().replace(b'"chair"', b'"stool"'))
    monkeypatch.setenv("VLN_DATA", str(other))
    before = (run / "metrics.jsonl").read_bytes()
    assert "other data or features" in said("--resume", str(run))
    assert (run / "metrics.jsonl").read_bytes() == before


def test_resuming_in_another_world_is_refused(said, run, tiny_world, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(tiny_world.folder, other)
    file = other / "connectivity" / "tinyHouse07_connectivity.json"
    records = json.loads(file.read_bytes())
    records[0]["pose"][11] += 0.01
    file.write_text(json.dumps(records))
    monkeypatch.setenv("VLN_DATA", str(other))
    assert "other data or features" in said("--resume", str(run))


def test_a_damaged_checkpoint_is_named(said, run):
    file = run / trainer.LAST
    file.write_bytes(file.read_bytes()[:-50])
    message = said("--resume", str(run))
    assert str(file) in message
    assert "damaged" in message


def test_a_checkpoint_of_another_network_lists_what_does_not_fit(said, run):
    config = Run.read_config(run)
    config["model"]["hidden"] = 18
    (run / "config.json").write_text(json.dumps(config))
    message = said("--resume", str(run))
    assert "does not fit the network" in message
    assert "expected (18, 18)" in message


def test_a_gradient_that_is_not_finite_stops_the_run_with_a_remedy(said):
    message = said(*SMALL, "--optim.lr", "1e30", "--iterations", "6")
    assert "the gradient is not finite" in message
    assert "Lower --optim.lr" in message
