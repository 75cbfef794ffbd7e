"""Recipes: one command for several stages, each resumable, those done skipped."""

import shutil
from dataclasses import replace

import orjson
import pytest

from agents import course, train
from agents.config import from_json
from agents.loading import Trained
from agents.recipes import STAGED, names, stages_of
from agents.stages import stage_of
from agents.trainer import LAST, Trainer
from benchmarks.players import Choice, SearchChoice, open_player
from vln import checkpoint
from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import Run

STAGES = ("speaker", "follower", "back_translation")


pytestmark = pytest.mark.usefixtures("in_tiny_world")


def weights_of(stage):
    tensors, _ = checkpoint.load(stage / LAST)
    return {name: value for name, value in tensors.items() if name.startswith("model.")}


def config_of(stage):
    return from_json(Run.read_config(stage))


def test_without_a_recipe_all_three_stages_are_trained(tiny_recipe):
    for stage in STAGES:
        _, state = checkpoint.load(tiny_recipe / stage / LAST)
        assert state["progress"]["iteration"] == 2


def test_a_later_stage_goes_on_from_the_earlier_ones(tiny_recipe):
    last = config_of(tiny_recipe / "back_translation")
    assert last.start == str((tiny_recipe / "follower").resolve())
    assert last.extra.speaker == str((tiny_recipe / "speaker").resolve())


def test_a_flag_holds_for_all_stages_and_one_with_a_name_for_that_stage(tmp_path):
    asked = train._parse(
        [
            *("--recipe", "envdrop", "--optim.lr", "0.5", "--speaker.optim.lr", "0.25"),
            *("--back-translation.iterations", "7", "--back-translation.extra.mask", "batch"),
            *("--follower.learning.no-reinforcement", "--batch", "3"),
        ]
    )
    configs = asked.configs
    assert [config.optim.lr for config in configs.values()] == [0.25, 0.5, 0.5]
    assert [config.batch for config in configs.values()] == [3, 3, 3]
    assert configs["back_translation"].iterations == 7
    assert configs["back_translation"].extra.mask == "batch"
    assert configs["follower"].iterations == 80_000
    assert not configs["follower"].learning.reinforcement
    assert configs["back_translation"].learning.reinforcement


def test_a_stages_own_flag_counts_wherever_it_stands():
    given = ["--speaker.optim.lr=0.25", "--optim.lr", "0.5", "--speaker.evaluate", "dev", "test"]
    configs = train._parse(["--recipe", "envdrop", *given, "--evaluate", "val_seen"]).configs
    assert [config.optim.lr for config in configs.values()] == [0.25, 0.5, 0.5]
    assert [config.evaluate for config in configs.values()] == [
        ("dev", "test"),
        ("val_seen",),
        ("val_seen",),
    ]


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--speaker.out", "x"], "of all stages together"),
        (["--follower.data", "x"], "of all stages together"),
        (["--agent", "follower"], "stage speaker trains a speaker"),
        (["--follower.model.hidden", "8"], "--model.hidden has to be the same"),
        (["--speaker.encoder", "none"], "--encoder has to be the same"),
        (["--speaker.select", "val_unseen"], "--select has to be the same"),
        (["--batch", "100000"], "Choose a smaller --batch"),
    ],
)
def test_stages_that_cannot_be_are_refused_before_anything_is_written(
    recipe_flags, tmp_path, capsys, flags, part
):
    folder = tmp_path / "run"
    asked = ["--recipe", "envdrop", *recipe_flags, "--out", str(folder), *flags]
    assert train.main(asked) == 2
    assert part in capsys.readouterr().err
    assert not folder.exists()


def test_a_flag_of_a_stage_that_is_not_there_is_a_typo(capsys):
    with pytest.raises(SystemExit):
        train._parse(["--recipe", "envdrop", "--speeker.iterations", "3"])
    assert "speeker" in capsys.readouterr().err


def test_resuming_a_whole_recipe_trains_nothing(tiny_recipe, monkeypatch):
    monkeypatch.setattr(Trainer, "train", lambda self: pytest.fail("trained again"))
    assert train.main(["--resume", str(tiny_recipe)]) == 0


def test_a_stage_that_others_have_gone_on_from_is_left_as_it_is(tiny_recipe, capsys):
    assert train.main(["--resume", str(tiny_recipe), "--iterations", "3"]) == 2
    assert "stage back_translation" in capsys.readouterr().err
    assert checkpoint.load(tiny_recipe / "speaker" / LAST)[1]["progress"]["iteration"] == 2


def test_a_recipe_goes_on_in_another_folder(tiny_recipe, tmp_path, monkeypatch):
    folder = tmp_path / "moved"
    shutil.copytree(tiny_recipe, folder)
    for file in (folder / "back_translation" / "checkpoints").iterdir():
        file.unlink()
    opened, read = [], Trained.read.__func__

    def reading(kind, run, **how):
        opened.append(run)
        return read(kind, run, **how)

    monkeypatch.setattr(Trained, "read", classmethod(reading))
    assert train.main(["--resume", str(folder)]) == 0
    assert all(run.is_relative_to(folder) for run in opened)


def test_a_speaker_does_not_read_for_an_agent_that_may_not(tiny_recipe, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_recipe, folder)
    file = folder / "back_translation" / "config.json"
    file.write_bytes(orjson.dumps(orjson.loads(file.read_bytes()) | {"hide": "instruction"}))
    choice = Choice(split="val_seen", run=folder, search=SearchChoice(rule="envdrop"))
    with pytest.raises(BadConfig, match="hidden from"):
        open_player(choice)
    search = replace(choice.search, rule="follower", candidates=2, expansions=4)
    assert open_player(replace(choice, search=search)).searcher


@pytest.mark.parametrize("stage", range(3))
def test_an_interrupted_recipe_goes_on_to_the_same_weights(
    recipe_flags, tiny_recipe, tmp_path, monkeypatch, stage
):
    folder, updates = tmp_path / "run", []
    update = Trainer.update

    def stopping(trainer):
        updates.append(1)
        if len(updates) == 2 * stage + 2:  # within the stage, after its first checkpoint
            raise KeyboardInterrupt
        return update(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", stopping)
        assert train.main([*recipe_flags, "--out", str(folder)]) == 130
    assert train.main(["--resume", str(folder)]) == 0
    for name in STAGES:
        mine, expected = weights_of(folder / name), weights_of(tiny_recipe / name)
        assert all((mine[key] == expected[key]).all() for key in expected)


def test_a_recipes_folder_stands_for_its_last_agents(tiny_recipe):
    assert stage_of(tiny_recipe, "follower") == tiny_recipe / "back_translation"
    assert stage_of(tiny_recipe, "speaker") == tiny_recipe / "speaker"
    assert stage_of(tiny_recipe / "follower", "follower") == tiny_recipe / "follower"


def test_a_stage_that_has_not_begun_is_not_meant(tiny_recipe, tmp_path):
    recipe = orjson.loads((tiny_recipe / "recipe.json").read_bytes())
    (tmp_path / "recipe.json").write_bytes(orjson.dumps(recipe))
    with pytest.raises(CheckpointMismatch, match="no trained follower yet"):
        stage_of(tmp_path, "follower")


def test_a_second_recipe_does_not_overwrite_the_first(recipe_flags, tiny_recipe, capsys):
    assert train.main([*recipe_flags, "--seed", "1", "--out", str(tiny_recipe)]) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_stage_alone_asks_for_the_runs_it_goes_on_from(recipe_flags, tmp_path, capsys):
    flags = ["--recipe", "back_translation", "--out", str(tmp_path / "run")]
    assert train.main([*recipe_flags, *flags]) == 2
    assert "--start RUN" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_stage_alone_goes_on_from_any_runs(recipe_flags, tiny_recipe, tmp_path):
    flags = ["--recipe", "back_translation", "--out", str(tmp_path / "run")]
    runs = ["--start", str(tiny_recipe), "--extra.speaker", str(tiny_recipe)]
    assert train.main([*recipe_flags, *flags, *runs]) == 0
    assert (tmp_path / "run" / LAST).is_file()


def test_every_recipe_has_stages_that_can_be(tmp_path):
    for name in names():
        stages = stages_of(name)
        assert stages
        for stage, config in stages.items():
            assert from_json(orjson.loads(orjson.dumps(course.to_json(config)))) == config
            linked = course.linked(config, tmp_path)
            assert "stage:" not in linked.start + linked.extra.speaker
            assert bool(stage) == (name in STAGED)


def test_recipes_of_the_paper_name_their_encoder():
    for name, encoder in (
        ("r2r_clip_rn50x4", "clip_rn50x4"),
        ("r2r_resnet152", "imagenet_resnet152"),
    ):
        assert {config.encoder for config in stages_of(name).values()} == {encoder}


def test_the_recipe_says_what_came_out_of_every_stage(tiny_recipe, capsys):
    assert train.main(["--resume", str(tiny_recipe)]) == 0
    said = capsys.readouterr().out
    assert "stage 1 of 3, speaker" in said
    assert "BLEU" in said
    assert "stage 3 of 3, back_translation" in said
    assert "nDTW" in said
