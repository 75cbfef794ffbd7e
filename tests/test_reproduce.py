"""Published numbers beside what comes out here, on the tiny world."""

import json
import shutil
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents import train
from agents.config import ExtraConfig, TrainConfig, to_json
from agents.follower.model import ENVDROP_NAMES, Follower, FollowerSizes
from agents.scene import Scene
from agents.stages import STAGE, Stages
from agents.trainer import BEST
from benchmarks import evaluate, reproduce, score
from benchmarks.reproduction.document import Row
from benchmarks.reproduction.measured import Value
from benchmarks.reproduction.registered import REPRODUCTIONS, Expected
from vln.data.locations import sha256
from vln.features import store
from vln.text import Vocabulary

SMALL = ["--model.hidden", "32", "--model.word", "16", "--batch", "8", "--max-steps", "6"]
SMALL += ["--iterations", "2", "--evaluate-every", "2", "--encoder", "random"]
SMALL += ["--evaluate", "val_seen"]
FEW = ["--draws", "50"]


@pytest.fixture(autouse=True)
def _world(tiny_world, tmp_path, monkeypatch):
    monkeypatch.setenv("VLN_DATA", str(tiny_world.folder))
    monkeypatch.setenv("VLN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def recipe(tiny_world, tmp_path_factory):
    """A recipe's folder, its last stage not trained yet; agents after two updates."""
    folder = tmp_path_factory.mktemp("runs") / "recipe"
    for agent in ("speaker", "follower"):
        where = ["--data", str(tiny_world.folder), "--out", str(folder / agent)]
        assert train.main(["--agent", agent, *SMALL, *where]) == 0
    small = TrainConfig(iterations=2, encoder="random")
    extra = ExtraConfig(paths="sampled", speaker=f"{STAGE}speaker")
    configs = {
        "speaker": replace(small, agent="speaker"),
        "follower": small,
        "back_translation": replace(small, start=f"{STAGE}follower", extra=extra),
    }
    Stages("envdrop", {name: to_json(config) for name, config in configs.items()}).write(folder)
    return folder


@pytest.fixture
def command(capsys):
    """Runs the command; gives exit code, output, errors."""

    def run_it(*options):
        code = reproduce.main([*map(str, options)])
        return code, *capsys.readouterr()

    return run_it


@pytest.fixture
def report(command, tmp_path):
    """Runs the command to a report; gives it for programs and for people."""

    def run_it(*options):
        out = tmp_path / "mine" / "report.md"
        code, _, err = command(*options, *FEW, "--out", out)
        assert code == 0, err
        return json.loads(out.with_suffix(".json").read_bytes()), out.read_text()

    return run_it


def rows_of(result, stage):
    """What was measured against each published number of a stage."""
    return {
        (row["split"], row["metric"], row["expected"]): row
        for row in result["comparison"]
        if row["stage"] == stage
    }


# ---------------------------------------------------------------------------------------- a run


def test_the_scores_are_those_of_the_evaluator_and_of_the_walks_that_are_kept(
    report, recipe, tmp_path, capsys, tiny_world
):
    result, _ = report("r2r_envdrop", "--run", recipe / "follower")

    place = ["--split", "val_unseen", "--data", str(tiny_world.folder), "--json"]
    evaluate.main(["--run", str(recipe / "follower"), *place, "--out", str(tmp_path / "p.json")])
    evaluated = json.loads(capsys.readouterr().out)["metrics"]
    walks = tmp_path / "mine" / "report-follower-val_unseen.json"
    score.main([str(walks), "--env", "r2r", *place])
    scored = json.loads(capsys.readouterr().out)["metrics"]

    measured = result["stages"][0]["splits"]["val_unseen"]["metrics"]
    for label in ("SR", "SPL", "NE"):
        assert measured[label]["mean"] == pytest.approx(evaluated[label]["mean"])
        assert measured[label]["mean"] == pytest.approx(scored[label]["mean"])


def test_each_number_is_compared_after_its_own_stage(report, recipe):
    result, _ = report("r2r_envdrop", "--run", recipe / "follower")

    first = rows_of(result, "follower")["val_unseen", "SR", 46.0]
    assert first["difference"] == pytest.approx(first["measured"] - 46.0)
    assert first["is_inside_interval"] == (first["low"] <= 46.0 <= first["high"])
    assert all(row["measured"] is None for row in rows_of(result, "back_translation").values())


def test_a_run_may_be_taken_for_another_stage(report, recipe):
    result, text = report(
        "r2r_envdrop", "--run", recipe / "follower", "--stage", "back_translation"
    )

    assert rows_of(result, "back_translation")["val_seen", "SPL", 62.4]["measured"] is not None
    assert "after the stage back_translation: " in text


def test_a_recipe_is_reproduced_stage_by_stage_as_far_as_it_has_come(report, recipe):
    result, text = report("r2r_clip_rn50", "--run", recipe)

    assert [stage["stage"] for stage in result["stages"]] == ["speaker", "follower"]
    assert result["not_trained"] == ["back_translation"]
    assert "- back_translation: not trained yet" in text
    spoken = result["stages"][0]["splits"]["val_seen"]["metrics"]
    assert set(spoken) == {"BLEU-4, EnvDrop's", "BLEU-4, sacrebleu's"}


def test_the_report_names_the_digest_of_everything_involved(report, recipe, tiny_world, tmp_path):
    result, text = report("r2r_envdrop", "--run", recipe / "follower")

    digests = result["sha256"]
    walks = "report-follower-val_seen.json"
    assert digests["connectivity"] == tiny_world.graph.world
    assert digests["R2R_val_unseen.json"] == tiny_world.episodes("val_unseen").sha256
    assert digests["R2R_train.json"] == sha256(tiny_world.folder / "r2r/R2R_train.json")
    assert digests["weights, follower"] == sha256(recipe / "follower" / BEST)
    assert digests[walks] == sha256(tmp_path / "mine" / walks)
    assert {"words, follower"} < set(digests)
    assert all(digest in text for digest in digests.values())


def test_the_report_says_in_what_the_run_is_unlike_the_published_one(report, recipe):
    result, text = report("r2r_envdrop", "--run", recipe / "follower")

    unlike = result["stages"][0]["unlike_published"]
    assert "encoder random, published with imagenet_resnet152" in unlike
    assert "model.hidden 32, published 512" in unlike
    assert "select dev, published val_unseen" in unlike
    assert any("published 2,349" in one for one in unlike)
    assert "- follower: model.hidden 32, published 512" in text


def test_no_path_of_this_machine_is_written_down(report, recipe, tmp_path, tiny_world):
    result, text = report("r2r_envdrop", "--run", recipe / "follower")

    for root in (tmp_path, tiny_world.folder, recipe.parent):
        assert str(root) not in text + json.dumps(result)


def test_without_out_the_report_lies_in_the_runs_folder(command, recipe):
    _, out, _ = command("r2r_envdrop", "--run", recipe / "follower", *FEW)

    assert out.splitlines()[-1] == str(recipe / "follower" / "reproduction.md")
    assert (recipe / "follower" / "reproduction.md").is_file()


@pytest.mark.parametrize(("value", "inside"), [(40.0, True), (44.9, True), (45.1, False)])
def test_a_number_lies_within_the_interval_up_to_its_ends(value, inside):
    expected = Expected("follower", "val_unseen", "SR", value, "somebody", is_confirmed=True)

    row = Row(expected, Value(42.0, 39.0, 45.0, "%"))

    assert row.is_inside is inside
    assert row.difference == 42.0 - value


# ------------------------------------------------------------------------------ weights of theirs


@pytest.fixture
def snap(tiny_world, tmp_path):
    """A follower as EnvDrop saves it, in a snap folder."""
    scene = Scene.open(TrainConfig(encoder="random"), tiny_world.folder)
    words = Vocabulary.build(episode.instruction for episode in scene.episodes("train"))
    sizes = {"vocabulary": len(words), "features": scene.features.dim, "word": 8, "hidden": 16}
    states = {}
    for ours, tensor in Follower(FollowerSizes(**sizes)).state_dict().items():
        module = next(module for module in ENVDROP_NAMES if ours.startswith(f"{module}."))
        part, _, rest = (ENVDROP_NAMES[module] + ours.removeprefix(module)).partition(".")
        empty = {"epoch": 70_000, "state_dict": OrderedDict(), "optimizer": {}}
        states.setdefault(part, empty)["state_dict"][rest] = tensor
    file = tmp_path / "snap" / "state_dict" / "best_val_unseen"
    file.parent.mkdir(parents=True)
    torch.save(states, file)
    return tmp_path / "snap"


def test_published_weights_are_imported_and_played_as_the_last_stage(report, snap):
    result, text = report("r2r_envdrop", "--snap", snap, "--encoder", "random")

    stage = result["stages"][0]
    file = snap / "state_dict" / "best_val_unseen"
    assert (stage["stage"], stage["iteration"]) == ("back_translation", 70_000)
    assert stage["imported_from"]["sha256"] == sha256(file)
    assert result["sha256"]["imported file, back_translation"] == sha256(file)
    assert rows_of(result, "back_translation")["val_unseen", "SR", 53.5]["measured"] is not None
    assert "imported from best_val_unseen" in text


def test_what_is_played_of_published_weights_is_not_called_unlike_by_our_training_settings(
    report, snap
):
    result, _ = report("r2r_envdrop", "--snap", snap, "--encoder", "random")

    unlike = result["stages"][0]["unlike_published"]
    assert "model.hidden 16, published 512" in unlike
    assert not any(one.startswith(("select", "iterations", "learning")) for one in unlike)


# ------------------------------------------------------------------------------- nothing to play


def test_with_nothing_at_hand_all_that_is_missing_is_listed_in_one_message(
    command, tmp_path, monkeypatch
):
    monkeypatch.delenv("VLN_DATA")

    code, out, err = command("r2r_envdrop")

    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    for part in (
        "(1) an agent: train one with `python -m agents.train --recipe r2r_resnet152`",
        "--vocabulary train_vocab.txt",
        "(2) data: no data folder",
        "(3) features of imagenet_resnet152",
        "At hand: nothing.",
    ):
        assert part in err


def test_with_data_at_hand_the_ways_to_features_are_listed(command, tiny_world):
    code, _, err = command("r2r_clip_rn50")

    assert code == 2
    assert f"At hand: annotations and connectivity in {tiny_world.folder}." in err
    for part in (
        "(2) features of clip_rn50: none in",
        "published as CLIP-ResNet-50-views.tsv",
        "python -m vln.features import FILE --encoder clip_rn50",
        "pictures: 0 of 150 viewpoints",
        "weights: put RN50.pt",
    ):
        assert part in err


def test_annotations_that_are_missing_are_named(command, tiny_world, tmp_path):
    shutil.copytree(tiny_world.folder / "connectivity", tmp_path / "connectivity")

    _, _, err = command("r2r_envdrop", "--data", tmp_path)

    assert "(2) data: r2r/R2R_train.json, r2r/R2R_val_seen.json, r2r/R2R_val_unseen.json" in err


def test_features_that_are_stored_are_at_hand(command, tiny_graph):
    values = np.ones((len(tiny_graph.viewpoints), 36, 4), dtype=np.float16)
    store.write(values, tiny_graph, encoder="clip_rn50", fingerprint="ab" * 32)

    code, _, err = command("r2r_clip_rn50")

    assert code == 2
    assert "; features clip_rn50." in err
    assert "(2)" not in err


def test_a_recipe_without_any_trained_stage_says_how_to_go_on(command, recipe, tmp_path):
    untrained = tmp_path / "untrained"
    untrained.mkdir()
    shutil.copy(recipe / "recipe.json", untrained)

    code, _, err = command("r2r_envdrop", "--run", untrained)

    assert code == 2
    assert f"no stage of {untrained} has a checkpoint yet" in err
    assert f"--resume {untrained}" in err


def test_a_recipes_stages_are_not_taken_for_others(command, recipe):
    code, _, err = command("r2r_envdrop", "--run", recipe, "--stage", "follower")

    assert code == 2
    assert "has stages of its own" in err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "name what is to be reproduced: r2r_envdrop"),
        (["r2r_envdrp"], "Did you mean 'r2r_envdrop'"),
        (["r2r_envdrop", "--run", "a", "--snap", "b"], "name one agent"),
        (["r2r_envdrop", "--run", "a", "--encoder", "none"], "go with --snap"),
        (["r2r_envdrop", "--run", "nowhere"], "no run in nowhere"),
        (["r2r_envdrop", "--run", "a", "--out", "b.txt"], "ends in .md"),
        (["r2r_envdrop", "--snap", "a", "--encoder", "clip_rn5"], "Did you mean 'clip_rn50'"),
        (["r2r_envdrop", "--device", "cud"], "no device 'cud'"),
    ],
)
def test_what_cannot_be_reproduced_says_why_and_what_to_do(command, options, problem):
    code, out, err = command(*options)

    assert (code, out) == (2, "")
    assert problem in err


def test_the_list_says_which_numbers_were_written_down_from_memory(command):
    code, out, _ = command("--list")

    lines = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert code == 0
    assert set(lines) == set(REPRODUCTIONS)
    assert "SR 53.5 SPL 48.8" in lines["r2r_envdrop"]
    assert lines["r2r_envdrop"].endswith("confirmed")
    assert "SR, SPL from memory, not confirmed" in lines["r2r_clip_vit_b32"]
    assert lines["r2r_clip_rn50x4"].endswith("  SPL from memory, not confirmed")


def test_every_reproduction_has_a_recipe_with_its_stages():
    from agents.recipes import stages_of

    for name in REPRODUCTIONS:
        entry = REPRODUCTIONS[name]
        stages = stages_of(entry.recipe)
        assert {one.stage for one in entry.expected} <= set(stages)
        assert {config.encoder for config in stages.values()} == {entry.encoder}
