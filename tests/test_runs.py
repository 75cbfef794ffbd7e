import logging
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import orjson
import pytest

from vln.errors import BadConfig, CheckpointMismatch
from vln.runs import Run, atomic, entry_point, generator, say

CONFIG = {"seed": 3, "model": {"hidden": 8}}


@pytest.fixture
def run(tmp_path):
    run = Run.create(tmp_path / "run", seed=3, config=CONFIG)
    yield run
    run.close()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_atomic_file_appears_whole_under_its_name(tmp_path):
    file = tmp_path / "new" / "file.bin"
    with atomic(file) as stream:
        stream.write(b"part")
        assert not file.exists()
        stream.write(b" and rest")
    assert file.read_bytes() == b"part and rest"
    assert names_in(file.parent) == ["file.bin"]


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("old")

    def interrupted():
        with atomic(file, "w") as stream:
            stream.write("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert names_in(tmp_path) == ["file.txt"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_an_atomic_file_has_the_mode_that_others_have(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic(tmp_path / "file") as stream:
        stream.write(b"x")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    script = f"""
        import os, pathlib, signal
        from vln.runs import atomic
        with atomic(pathlib.Path({str(file)!r})) as stream:
            stream.write(b"new")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert file.read_bytes() == b"old"


def test_a_new_run_saves_its_configuration(run):
    assert Run.read_config(run.folder) == CONFIG


def test_a_folder_holds_one_run_only(run):
    with pytest.raises(BadConfig, match=rf"{run.folder} already holds a run.*--resume.*--out"):
        Run.create(run.folder, seed=0, config={})
    assert Run.read_config(run.folder) == CONFIG


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfig, match=r"cannot write to .*file/run \(Not a directory\).*--out"):
        Run.create(tmp_path / "file" / "run", seed=0, config={})


def test_a_folder_without_a_run_says_what_was_expected(tmp_path):
    with pytest.raises(CheckpointMismatch, match=r"no run in .*config\.json.*agents\.train"):
        Run.read_config(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"seed": 3', b"\xff"])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointMismatch, match=r"config\.json is not JSON.*start a new run"):
        Run.read_config(tmp_path)


def test_a_configuration_that_is_no_object_is_named(tmp_path):
    (tmp_path / "config.json").write_bytes(b"[1, 2]")
    with pytest.raises(CheckpointMismatch, match=r"config\.json.*expected an object"):
        Run.read_config(tmp_path)


def test_generators_follow_from_seed_and_name_alone(run):
    first = run.rng("episodes").random(4)
    np.testing.assert_array_equal(generator(3, "episodes").random(4), first)
    assert (generator(4, "episodes").random(4) != first).all()
    assert (generator(3, "weights").random(4) != first).all()


def test_log_entries_are_one_object_per_line_with_their_step(run):
    run.log(1, {"loss": 0.5, "val/success": np.float64(0.25), "words": 7})
    run.log(2, {"loss": np.float32(0.25)})
    lines = (run.folder / "metrics.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line) for line in lines] == run.history()
    assert run.history() == [
        {"step": 1, "loss": 0.5, "val/success": 0.25, "words": 7},
        {"step": 2, "loss": 0.25},
    ]
    assert list((run.folder / "tensorboard").iterdir())


def test_a_run_without_log_has_no_history(run):
    assert run.history() == []
    run.rewind(0)
    assert run.history() == []


def test_rewinding_drops_what_came_after_the_checkpoint(run):
    for step in (1, 2, 3, 4):
        run.log(step, {"loss": float(step)})
    run.rewind(2)
    assert [entry["step"] for entry in run.history()] == [1, 2]
    run.log(3, {"loss": 9.0})
    assert run.history()[-1] == {"step": 3, "loss": 9.0}


@pytest.mark.parametrize("cut", [b'{"step": 3, "lo', b"{", b"3", b'{"loss": 1}', b"\xff\x00"])
def test_a_line_that_a_kill_cut_short_is_dropped(run, cut):
    run.log(1, {"loss": 1.0})
    with (run.folder / "metrics.jsonl").open("ab") as stream:
        stream.write(cut)
    assert [entry["step"] for entry in run.history()] == [1]
    run.rewind(10)
    run.log(2, {"loss": 2.0})
    assert [entry["step"] for entry in run.history()] == [1, 2]


def test_a_commands_code_is_its_bodys():
    assert entry_point(lambda: 0) == 0
    assert entry_point(lambda: 5) == 5


def test_an_error_of_ours_becomes_one_line_and_code_2(capsys):
    def body():
        raise BadConfig("batch is 0; expected 1 or more.")

    assert entry_point(body) == 2
    printed = capsys.readouterr()
    assert printed.err == "error: batch is 0; expected 1 or more.\n"
    assert printed.out == ""


def test_an_error_that_is_not_ours_keeps_its_traceback():
    def body():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        entry_point(body)


def test_results_go_to_standard_output(capsys):
    say("SR 16.3")
    assert capsys.readouterr().out == "SR 16.3\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    script = """
        import sys
        from vln.runs import entry_point, say
        def body():
            for number in range(100_000):
                say(str(number))
            return 0
        sys.exit(entry_point(body))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.fixture(autouse=True)
def _untouched_logging():
    """`entry_point` configures the root logger, as entry points may; tests put it back."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    root.level, root.handlers[:] = before
