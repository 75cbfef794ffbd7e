"""The study of back-translation on a tiny world of ours: it trains, goes on, skips, compares."""

import shutil
from dataclasses import replace

import numpy as np
import orjson
import pytest
import torch

from agents.config import ModelConfig
from agents.lessons.translation import TranslationLessons, extra_paths
from agents.recipes import RECIPES, houses_bench, houses_speaker
from agents.scene import Scene
from agents.trainer import LAST, Trainer
from benchmarks import translation
from benchmarks.study.setup import UNSEEN
from benchmarks.translating.document import _setting
from benchmarks.translating.naming import objects_in
from benchmarks.translating.setup import ABOUT, SPEAKER, Config, rows_of, training_of
from benchmarks.translating.spoken import shuffled
from vln import checkpoint
from vln.data.connectivity import load_graph
from vln.data.episodes import load_episodes
from vln.errors import BadConfig, UnknownName
from vln.houses.world.spec import SPECS, HomeGroup, WorldSpec
from vln.houses.world.write import make_world
from vln.runs import Run

ROWS = ("follower", "longer", "translation", "translation_masked", "told")
PATHS = 30
SPEC = WorldSpec(
    "translated",
    seed=6,
    groups=(
        HomeGroup("train", 3, 6, seen_paths=2, seen_homes=2),
        HomeGroup("val_unseen", 1, 6, also="val_unseen_home"),
    ),
    viewpoints=(14, 18),
    guides=0,
    captions=0,
)


def small():
    """A recipe for fractions of a second."""
    return replace(houses_bench(), batch=8, max_steps=6, model=ModelConfig(word=8, hidden=16))


def small_speaker():
    """The same of a speaker."""
    return replace(houses_speaker(), batch=8, model=ModelConfig(word=8, hidden=16, max_words=20))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Names the tiny world, and gives its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPECS, SPEC.name, SPEC)
        patch.setitem(RECIPES._entries, "small", small)
        patch.setitem(RECIPES._entries, "small_speaker", small_speaker)
        folder = tmp_path_factory.mktemp("translation") / "world"
        yield make_world(SPEC, folder, workers=1, pictures=False, progress=False)


@pytest.fixture(scope="module")
def study(world):
    """Runs the command on the world with small recipes; gives the exit code."""

    def run(*options, out):
        given = ["--env", SPEC.name, "--data", world, "--recipe", "small", "--updates", 2]
        given += ["--speaker-recipe", "small_speaker", "--speaker-updates", 2, "--further", 4]
        given += ["--curve", 2, "--seeds", 2, "--draws", 50, "--paths", PATHS, "--out", out]
        given += ["--results", out / "report" / "table", *options]
        return translation.main([str(one) for one in given])

    return run


@pytest.fixture(scope="module")
def whole(study, world):
    """Folder of a study that went through."""
    out = world.parent / "whole"
    assert study(out=out) == 0
    return out


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the finished study, to be damaged."""
    shutil.copytree(whole, tmp_path / "copy", copy_function=shutil.copy2)
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def report(whole):
    """The finished study's numbers."""
    return orjson.loads((whole / "report/table.json").read_bytes())


@pytest.fixture(scope="module")
def config(world, whole):
    """The finished study's settings."""
    return Config(
        env=SPEC.name,
        data=world,
        recipe="small",
        speaker_recipe="small_speaker",
        updates=2,
        speaker_updates=2,
        further=4,
        curve=2,
        seeds=2,
        paths=PATHS,
        out=whole,
    )


def test_every_row_and_seed_is_reported(report):
    assert [(row["name"], row["seeds"]) for row in report["rows"]] == [(n, [0, 1]) for n in ROWS]
    assert report["missing"] == []
    assert set(report["splits"]) == {"val_seen", "val_unseen", "val_unseen_home"}
    for row in report["rows"]:
        success = row["metrics"]["val_unseen"]["SR"]
        assert 0 <= success["low"] <= success["mean"] <= success["high"] <= 100


def test_differences_are_from_the_longer_row_and_from_the_follower(report):
    mean = {row["name"]: row["metrics"]["val_seen"]["SR"]["mean"] for row in report["rows"]}
    pairs = [(one["from"], one["row"]) for one in report["differences"]]
    assert pairs == [
        *(("longer", row) for row in ROWS if row != "longer"),
        *(("follower", row) for row in ROWS if row != "follower"),
    ]
    for one in report["differences"]:
        found = one["metrics"]["val_seen"]["SR"]["mean"]
        assert found == pytest.approx(mean[one["row"]] - mean[one["from"]])


def test_rows_begin_with_their_seeds_follower_and_are_told_by_its_speaker(whole):
    for name in ROWS[1:]:
        for seed in (0, 1):
            saved = Run.read_config(whole / f"{name}-seed{seed}")
            assert saved["start"] == str(whole / f"follower-seed{seed}")
            assert saved["start_from"] == "last"
            speaks = name.startswith("translation")
            assert saved["extra"]["speaker"] == (str(whole / f"speaker-seed{seed}") * speaks)


def test_rows_differ_in_further_paths_alone(config):
    made = [training_of(config, name, 1) for name in ROWS[1:]]

    assert [one.extra.words for one in made[1:]] == ["speaker", "speaker", "file"]
    assert [one.extra.mask for one in made[1:]] == ["none", "environment", "none"]
    assert {replace(one, extra=made[0].extra) for one in made} == {made[0]}


def test_the_ceiling_is_told_of_the_very_paths_that_the_speaker_describes(config, world):
    scene = Scene.open(training_of(config, "follower", 0), world)
    drawn = []
    for seed in (0, 1):
        sampled, told = (
            [
                (one.start, one.reference)
                for one in extra_paths(training_of(config, name, seed), scene)
            ]
            for name in ("translation", "told")
        )
        assert told == sampled
        assert len(told) == PATHS
        drawn.append(told)
    assert drawn[0] != drawn[1]


def test_the_ceiling_and_the_speakers_rows_draw_the_same_batches(config, world):
    scene = Scene.open(training_of(config, "follower", 0), world)
    rows = []
    for name in ("translation", "told"):
        made = training_of(config, name, 0)
        lessons = TranslationLessons(made, scene, Run(config.out / "none", seed=0))
        rows.append([lessons._order.draw(8, lessons._draws).tolist() for _ in range(3)])

    assert rows[0] == rows[1]


def test_the_speaker_is_judged_by_bleu_and_by_the_follower(report, world):
    assert [one["split"] for one in report["speaker"]] == ["val_seen", "val_unseen"]
    graph = load_graph(world)
    for one in report["speaker"]:
        episodes = load_episodes("r2r", one["split"], data=world, graph=graph)
        assert one["paths"] == len({(e.start.scan, e.reference) for e in episodes})
        assert len(one["bleu"]["sacrebleu"]) == len(one["bleu"]["envdrop"]) == 2
        judged = {kind: value["SR"]["mean"] for kind, value in one["judged"].items()}
        for other in ("own", "shuffled"):
            difference = one["generated_minus"][other]["SR"]["mean"]
            assert difference == pytest.approx(judged["generated"] - judged[other])
        assert one["objects_named"]["own"]["in_sight"] > 0.9


def test_success_by_own_words_is_that_of_the_followers_row(report):
    # every path of this world has three instructions, so means over paths are means over all
    for one in report["speaker"]:
        row = report["rows"][0]["metrics"][one["split"]]["SR"]["mean"]
        assert one["judged"]["own"]["SR"]["mean"] == pytest.approx(row)


def test_curves_and_losses_are_reported_by_row(report):
    for name in ROWS:
        steps = {"1", "2"} if name == "follower" else {"2", "4"}
        assert set(report["curves"]["rows"][name]) == steps
        assert set(report["losses"]["labelled"][name]) == steps
    assert set(report["losses"]["further"]) == set(ROWS[2:])
    assert set(report["losses"]["bleu"]["speaker"]) == {"1", "2"}


def test_every_run_learns_from_the_same_labels():
    config = Config(labels=1500)
    assert {training_of(config, name, 0).labels for name in (*ABOUT, SPEAKER)} == {1500}
    assert "from the labelled paths, 1,500 instructions of all" in _setting(config)


def test_the_document_shows_rows_words_and_figures(whole):
    document = (whole / "report/table.md").read_text()
    for name in ROWS:
        assert f"| {name} " in document
    assert document.count("Speaker: ") == 3
    for key in ("curves", "losses", "differences"):
        assert f"![{key}](table_{key}.png)" in document
        assert (whole / f"report/table_{key}.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_finished_is_neither_trained_nor_walked_again(study, whole, monkeypatch):
    files = [*whole.glob("*/predictions/*.json"), *whole.glob("spoken-*/*.json")]
    files += whole.glob("told-paths/*.json")
    before = {file: file.stat().st_mtime_ns for file in files}
    assert len(before) == len(ROWS) * 2 * 2 + 2 * 2 * 3 + 2
    monkeypatch.setattr(Trainer, "train", lambda self: pytest.fail("trained again"))

    assert study("--stage", "train", out=whole) == 0

    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_an_interrupted_study_goes_on_to_the_same_weights(study, whole, tmp_path, monkeypatch):
    given = ("--only", "translation", "--seeds", 1, "--stage", "train")
    save = Trainer.save

    def stop(trainer, name):
        save(trainer, name)
        if trainer.config.extra.is_used and name == LAST:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", stop)
        assert study(*given, out=tmp_path) == 130
    _, state = checkpoint.load(tmp_path / "translation-seed0" / LAST)
    assert state["progress"]["iteration"] == 2

    assert study(*given, out=tmp_path) == 0

    (ours, state), (theirs, _) = (
        checkpoint.load(folder / "translation-seed0" / LAST) for folder in (tmp_path, whole)
    )
    assert state["progress"]["iteration"] == 4
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_run_that_began_with_another_follower_is_refused(study, copy, capsys):
    shutil.copy2(copy / "follower-seed1" / LAST, copy / "follower-seed0" / LAST)
    given = ("--only", "longer", "--seeds", 1, "--stage", "train")
    file = copy / "longer-seed0/config.json"
    moved = orjson.loads(file.read_bytes()) | {"start": str(copy / "follower-seed0")}
    file.write_bytes(orjson.dumps(moved))

    assert study(*given, out=copy) == 2

    assert "longer-seed0 began with another follower than" in capsys.readouterr().err


def test_a_folder_with_other_settings_is_refused_and_left_alone(study, copy, capsys):
    before = (copy / "follower-seed0" / LAST).read_bytes()

    given = ("--only", "longer", "--seeds", 1, "--stage", "train", "--updates", 3)
    assert study(*given, out=copy) == 2

    error = capsys.readouterr().err
    assert "follower-seed0 holds a run with other settings (iterations 2, not 3" in error
    assert "longer-seed0: follower-seed0 comes first." in error
    assert (copy / "follower-seed0" / LAST).read_bytes() == before


def test_texts_of_other_paths_are_refused(study, copy, capsys):
    file = copy / "spoken-seed0" / f"{UNSEEN}.json"
    found = orjson.loads(file.read_bytes())
    found["generated"].pop()
    file.write_bytes(orjson.dumps(found))

    assert study("--stage", "report", out=copy) == 2

    assert "has texts of other paths than val_unseen has now" in capsys.readouterr().err


def test_a_search_gets_tables_of_its_own(study, copy):
    assert study("--only", "follower", "--seeds", 1, "--search", 3, out=copy) == 0

    report = orjson.loads((copy / "report/table.json").read_bytes())
    name = "search among 3 routes"
    assert [row["name"] for row in report["walkers"][name]["rows"]] == ["follower"]
    assert f"## Success rate of {name}, %" in (copy / "report/table.md").read_text()
    alone, walked = (
        report["walkers"][walker]["rows"][0]["metrics"][UNSEEN]
        for walker in (name, f"{name}, all walked")
    )
    assert walked["SR"] == alone["SR"]  # both stop where the chosen route ends
    assert walked["TL"]["mean"] > alone["TL"]["mean"]


def test_shuffled_words_stay_in_their_scan_and_leave_their_path():
    scans = ["a", "b", "a", "a", "b", "c"]

    moved = shuffled(scans, rng=np.random.default_rng(0))

    assert sorted(moved) == list(range(6))
    assert [scans[place] for place in moved] == scans
    assert [place for place in range(6) if moved[place] == place] == [5]


def test_objects_are_named_by_any_of_their_nouns_with_or_without_colour():
    text = "walk past the blue chest of drawers , turn left at the chest and wait by the red TV ."
    assert objects_in(text) == [("blue", "dresser"), ("", "trunk"), ("red", "television")]


def test_data_of_others_have_no_ceiling():
    names = [row.name for row in rows_of(Config(env="r2r", encoder="none"))]
    assert names == [name for name in ROWS if name != "told"]


def test_a_row_that_nobody_asks_for_is_left_out_until_somebody_does():
    names = [row.name for row in rows_of(Config(row=("translation_batch",)))]
    assert names == list(ABOUT)


@pytest.mark.parametrize(
    ("given", "error", "problem"),
    [
        ({"only": ("translations",)}, UnknownName, "translation"),
        ({"row": ("batch",)}, UnknownName, "translation_batch"),
        ({"env": "r2r", "only": ("told",)}, BadConfig, "not r2r"),
        ({"env": "r2d2"}, UnknownName, "r2r"),
        ({"encoder": "object_wrds"}, UnknownName, "object_words"),
        ({"recipe": "houses_speaker"}, BadConfig, "trains no follower from the beginning"),
        ({"recipe": "back_translation"}, BadConfig, "trains no follower from the beginning"),
        ({"speaker_recipe": "houses"}, BadConfig, "trains no speaker from the beginning"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, error, problem):
    with pytest.raises(error, match=problem):
        rows_of(Config(**given))


@pytest.mark.parametrize("flag", ["further", "speaker_updates", "seeds"])
def test_counts_below_one_are_refused(flag):
    with pytest.raises(BadConfig, match=f"--{flag.replace('_', '-')} 0; expected 1 or more"):
        Config(**{flag: 0})


def test_negative_paths_are_refused():
    with pytest.raises(BadConfig, match="--paths -1"):
        Config(paths=-1)


def test_more_paths_than_there_are_leave_the_other_rows_finished(study, tmp_path, capsys):
    given = ("--only", "longer", "told", "--seeds", 1, "--paths", 100_000, "--stage", "train")

    assert study(*given, out=tmp_path) == 2

    error = capsys.readouterr().err
    assert "told-paths: 100000 paths asked for" in error
    assert "told-seed0: told-paths comes first." in error
    assert (tmp_path / "longer-seed0" / "predictions").is_dir()
