import json

import numpy as np
import pytest

from benchmarks import compare, tables
from benchmarks.compare import default_names
from benchmarks.tables import Table
from vln.metrics.divergence import OUTCOMES
from vln.metrics.paths import METRICS


@pytest.fixture
def files(tiny_world, tmp_path):
    """Three agents on val_unseen: perfect, stops one short at every other episode, never moves."""
    walks = {"perfect": {}, "short": {}, "stop": {}}
    for number, episode in enumerate(tiny_world.episodes("val_unseen")):
        path = list(episode.reference)
        walks["perfect"][episode.id] = path
        walks["short"][episode.id] = path if number % 2 else path[:2]
        walks["stop"][episode.id] = path[:1]
    written = {}
    for name, paths in walks.items():
        written[name] = tmp_path / f"{name}.json"
        records = [{"instr_id": i, "trajectory": path} for i, path in paths.items()]
        written[name].write_text(json.dumps(records))
    return written


@pytest.fixture
def command(tiny_world, capsys):
    def run(*files_and_options):
        place = ["--env", "r2r", "--split", "val_unseen", "--data", str(tiny_world.folder)]
        arguments = [*map(str, files_and_options), *place, "--draws", "200"]
        code = compare.main(arguments)
        return code, *capsys.readouterr()

    return run


def as_object(command, *arguments):
    code, out, _ = command(*arguments, "--format", "json")
    assert code == 0
    return json.loads(out)["conditions"]


def test_every_file_is_set_beside_the_first(command, files):
    perfect, short, stop = as_object(command, *files.values())

    assert [one["name"] for one in (perfect, short, stop)] == ["perfect", "short", "stop"]
    assert "against_first" not in perfect
    for one in (short, stop):
        for label in ("SR", "NE", "nDTW"):
            difference = one["metrics"][label]["mean"] - perfect["metrics"][label]["mean"]
            assert one["against_first"][label]["mean"] == pytest.approx(difference)
    ends = short["against_first"]["SR"]
    assert ends["low"] < ends["mean"] < ends["high"] < 0


def test_a_file_does_not_differ_from_itself(command, files):
    _, again = as_object(command, files["short"], files["short"], "--names", "a", "b")

    for metric in METRICS:
        ends = again["against_first"][metric.label]
        assert (ends["low"], ends["mean"], ends["high"]) == (0, 0, 0)


def test_who_stopped_wrong_and_where_paths_leave_the_reference_is_told(command, files):
    perfect, short, stop = as_object(command, *files.values())

    assert perfect["outcomes"] == {name: float(name == "success") for name in OUTCOMES}
    assert short["outcomes"]["stopped early"] == pytest.approx(0.5, abs=0.05)
    assert sum(short["outcomes"].values()) == pytest.approx(1)
    assert stop["never_diverges"] == 1
    assert set(stop["first_divergence_at_move"].values()) == {0}


def test_solved_episodes_are_split_four_ways(command, files):
    _, short = as_object(command, files["stop"], files["short"])

    solved = short["solved"]
    assert solved["only by this"] == pytest.approx(short["outcomes"]["success"])
    assert solved["by both"] == solved["only by the first"] == 0
    assert sum(solved.values()) == pytest.approx(1)


def test_files_of_one_name_are_seeds_of_one_condition(command, files):
    perfect, short, stop = files.values()

    mixed, again = as_object(
        command, perfect, stop, short, short, "--names", "mixed", "mixed", "half", "half"
    )

    assert (len(mixed["runs"]), len(again["runs"])) == (2, 2)
    assert mixed["metrics"]["SR"]["mean"] == pytest.approx(50)
    assert mixed["seed_standard_deviation"]["SR"] == pytest.approx(100 / np.sqrt(2))
    assert again["seed_standard_deviation"]["SR"] == 0
    _, out, _ = command(perfect, stop, "--names", "mixed", "mixed")
    assert "mixed (2 seeds)" in out
    assert "Standard deviation over seeds" in out


def test_seeds_are_resampled_where_there_are_three(command, files):
    perfect, short, stop = files.values()
    seeds = [perfect, short, stop, short, short, short]
    names = ["--names", *"aaabbb"]

    _, fixed = as_object(command, *seeds, *names)
    _, drawn = as_object(command, *seeds, *names, "--seeds", "resample")

    fixed, drawn = (one["against_first"]["SR"] for one in (fixed, drawn))
    assert drawn["mean"] == pytest.approx(fixed["mean"])
    assert drawn["high"] - drawn["low"] > fixed["high"] - fixed["low"]


def test_too_few_seeds_are_an_error(command, files):
    code, _, err = command(*files.values(), "--seeds", "resample")

    assert code == 2
    assert "at least 3 are needed" in err


def test_names_must_match_the_files(command, files):
    code, _, err = command(*files.values(), "--names", "a", "b")

    assert code == 2
    assert "2 names for 3 files" in err


def test_the_text_tells_what_was_compared(command, files, tiny_world):
    code, out, _ = command(*files.values())

    split = tiny_world.episodes("val_unseen")
    assert code == 0
    assert out.startswith("r2r val_unseen, protocol envdrop, annotations sha256 ")
    assert split.sha256[:12] in out
    assert f"{len(split)} of {len(split)} instructions" in out
    assert "Paired differences from perfect" in out


def test_a_single_file_has_no_differences(command, files):
    code, out, _ = command(files["short"])

    assert code == 0
    assert "differences" not in out
    assert "How episodes end" in out


def test_markdown_and_latex_hold_the_same_numbers(command, files):
    _, markdown, _ = command(*files.values(), "--format", "markdown")
    _, latex, _ = command(*files.values(), "--format", "latex")

    in_markdown = [line for line in markdown.splitlines() if line.startswith("| stop")]
    in_latex = [line for line in latex.splitlines() if line.startswith("stop &")]
    for one, other in zip(in_markdown, in_latex, strict=True):
        cells = [cell.strip() for cell in one.strip("|").split("|")]
        plain = other.removesuffix(r" \\").replace("$-$", "-")
        assert [cell.strip() for cell in plain.split("&")] == cells
    assert latex.count(r"\begin{tabular}{lrrrrrrrr}") >= 2
    assert all(line.startswith("%") for line in latex.splitlines()[:3])


def test_a_missing_id_names_its_file(command, files):
    files["stop"].write_text(json.dumps(json.loads(files["stop"].read_text())[1:]))

    code, _, err = command(*files.values())

    assert code == 2
    assert "stop.json: missing (1)" in err


def test_default_names_are_short_where_that_is_distinct(tmp_path):
    a, b = tmp_path / "a.json", tmp_path / "b.json.gz"

    assert default_names([a, b]) == ["a", "b"]
    assert default_names([a, a]) == [str(a), str(a)]


def test_special_letters_survive_pasting():
    table = Table(("a_b|c", "x"), [("50 % & more", "-1.5")])

    assert r"a\_b|c & x \\" in tables.as_latex(table)
    assert r"50 \% \& more & $-$1.5 \\" in tables.as_latex(table)
    assert r"a_b\|c" in tables.as_markdown(table)


def test_a_transposed_table_keeps_its_cells():
    table = Table(("", "x", "y"), [("a", "1", "2"), ("b", "3", "4")])

    assert tables.transposed(table) == Table(("", "a", "b"), [("x", "1", "3"), ("y", "2", "4")])


def test_text_columns_line_up():
    table = Table(("", "value"), [("long name", "1"), ("b", "22")])

    assert tables.as_text(table) == "           value\nlong name      1\nb             22"
