"""Success in homes and in their changed twins: pairing, rates, and what cannot be measured."""

import json
import math
import shutil

import numpy as np
import pytest

from agents import train
from agents.scripted import SCRIPTED
from benchmarks import evaluate, flips
from vln.data.twins import UNNAMED, load_twins
from vln.errors import CorruptData, MissingData
from vln.testing import make_tiny_world

SMALL = ["--model.hidden", "16", "--model.word", "8", "--batch", "8", "--max-steps", "6"]
SMALL += ["--agent", "follower"]
KINDS = ("recoloured", "moved")


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Twins on the tiny world: every second path has another end in its twin."""
    world = make_tiny_world(tmp_path_factory.mktemp("twins"))
    records = json.loads((world.folder / "r2r" / "R2R_val_unseen.json").read_bytes())
    twin = [
        {**r, "path": r["path"][: len(r["path"]) - n % 2 * 2], "change": KINDS[n % 2]}
        for n, r in enumerate(records)
    ]
    _write(world.folder, "original", records)
    _write(world.folder, "twin", twin)
    return world


def _write(folder, name, records):
    (folder / "r2r" / f"R2R_{name}.json").write_text(json.dumps(records))


@pytest.fixture
def copy(twins, tmp_path):
    """A copy of the twins' records, to be damaged: writes them and loads."""
    shutil.copytree(twins.folder / "r2r", tmp_path / "r2r")

    def load(change):
        records = json.loads((tmp_path / "r2r" / "R2R_twin.json").read_bytes())
        _write(tmp_path, "twin", change(records))
        return load_twins(tmp_path, twins.graph)

    return load


@pytest.fixture
def command(twins, capsys):
    """Runs the command; gives exit code, output, errors."""

    def run_it(*options, folder=twins.folder):
        code = flips.main([*map(str, options), "--twins", str(folder), "--draws", "50"])
        return code, *capsys.readouterr()

    return run_it


def test_pairs_have_one_id_one_instruction_and_two_goals(twins):
    found = load_twins(twins.folder, twins.graph)

    pairs = list(zip(found.original, found.twin, found.change, strict=True))
    assert len(found) == len(pairs) == 121
    assert all(a.id == b.id and a.instruction == b.instruction for a, b, _ in pairs)
    assert {kind: a.reference == b.reference for a, b, kind in pairs} == {
        "recoloured": True,
        "moved": False,
    }


def test_a_change_need_not_be_named(copy):
    found = copy(lambda records: [{k: v for k, v in r.items() if k != "change"} for r in records])

    assert set(found.change) == {UNNAMED}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda records: records[:-1], "121 instructions there, 118 here"),
        (lambda records: records[::-1], "does not pair with"),
        (lambda records: [{**r, "instructions": ["Go."] * 3} for r in records], "Go."),
    ],
)
def test_files_that_do_not_pair_are_refused(copy, change, problem):
    with pytest.raises(CorruptData, match=rf"R2R_twin\.json.*{problem}"):
        copy(change)


def test_a_folder_without_twins_says_how_to_make_some(tiny_world):
    with pytest.raises(MissingData, match=r"python -m vln\.houses twin"):
        load_twins(tiny_world.folder, tiny_world.graph)


def test_the_command_names_a_folder_that_holds_no_twins(command, twins, tiny_world, tmp_path):
    code, _, err = command("--agent", "stop", folder=tiny_world.folder)

    assert code == 2
    assert "R2R_original.json, so" in err
    assert "python -m vln.houses twin" in err

    shutil.copytree(twins.folder / "r2r", tmp_path / "r2r")
    code, _, err = command("--agent", "stop", folder=tmp_path)

    assert code == 2
    assert "scans.txt, so" in err
    assert "VLN_DATA" not in err


def test_who_knows_every_goal_flips_with_it(command):
    code, out, err = command("--agent", "shortest")

    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if line.startswith("shortest")]
    assert [row[1:3] for row in rows] == [["moved", "60"], ["recoloured", "61"], ["all", "121"]]
    assert all(row[3:] == ["100.0", "[100.0,", "100.0]"] * 3 for row in rows)


def test_who_stays_where_it_is_has_no_rate(command):
    _, out, _ = command("--agent", "stop", "--json")

    for entry in json.loads(out)["flips"]:
        assert entry["original"]["mean"] == 0
        assert entry["flip_rate"] == {"mean": None, "low": None, "high": None}


def test_the_rate_is_that_of_pairs_whose_original_is_solved(twins):
    pairs = load_twins(twins.folder, twins.graph)
    first = np.arange(len(pairs)) % 3 < 2  # two thirds
    second = np.arange(len(pairs)) % 3 < 1  # one third, within them
    solved = np.stack([first, second, first & second], axis=1).astype(float)

    *_, total = flips.by_change("someone", solved[None], pairs, draws=200)

    expected = [first.mean(), second.mean(), second.sum() / first.sum()]
    assert [share[0] for share in total.shares.values()] == pytest.approx(expected)
    for mean, low, high in total.shares.values():
        assert low <= mean + 1e-9
        assert mean - 1e-9 <= high


def test_seeds_of_a_condition_are_averaged(twins):
    pairs = load_twins(twins.folder, twins.graph)
    solved = np.stack([np.ones((len(pairs), 3)), np.zeros((len(pairs), 3))])

    *_, total = flips.by_change("someone", solved, pairs, draws=20)

    assert total.runs == 2
    assert [share[0] for share in total.shares.values()] == [0.5, 0.5, 1.0]
    assert not math.isnan(total.shares["flip_rate"][1])


def test_runs_of_one_condition_are_seeds_of_one_row(command, twins, tmp_path):
    runs = []
    for seed in (0, 1):
        runs += ["--run", tmp_path / f"run{seed}"]
        given = ["--iterations", "2", "--evaluate-every", "2", *SMALL, "--seed", str(seed)]
        assert train.main([*given, "--data", str(twins.folder), "--out", str(runs[-1])]) == 0

    code, out, _ = command(*runs)

    assert code == 0
    assert out.count("none, imitation + reward (2 seeds)") == 3


@pytest.mark.parametrize("command", [flips, evaluate])
def test_the_help_lists_every_scripted_agent(command, capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])

    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"A scripted agent: {', '.join(SCRIPTED)}" in said


@pytest.mark.parametrize("options", [[], ["--agent", "stop", "--run", "x"]])
def test_it_must_be_said_who_walks(command, options):
    code, _, err = command(*options)

    assert code == 2
    assert "either --run RUN, once or more, or --agent NAME" in err
