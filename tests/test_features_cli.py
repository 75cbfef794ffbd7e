import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from vln.features import __main__ as command
from vln.features import catalogue, store
from vln.features.writing import StoreWriter

DIM = 5


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VLN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def run(tiny_world, capsys):
    """Runs a command on the tiny world; gives its exit code, output and errors."""

    def call(*arguments, data=tiny_world.folder):
        code = command.main([*map(str, arguments), "--data", str(data)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def values(tiny_graph):
    rng = np.random.default_rng(0)
    return rng.standard_normal((len(tiny_graph.viewpoints), 36, DIM)).astype(np.float32)


@pytest.fixture
def tsv(values, tiny_graph, tmp_path):
    file = tmp_path / "theirs.tsv"
    lines = [
        f"{tiny_graph.scan_of(i)}\t{tiny_graph.viewpoints[i]}\t640\t480\t60\t"
        f"{base64.b64encode(row).decode()}\r\n"
        for i, row in enumerate(values)
    ]
    file.write_bytes("".join(lines).encode())
    return file


def handle_of(graph):
    (handle,) = store.imported(graph, encoder="clip_rn50")
    return handle


def own(values, graph, *, fingerprint="ab" * 32, encoder="clip_rn50", **options):
    store.write(values, graph, encoder=encoder, fingerprint=fingerprint, **options)


def test_a_file_is_imported_listed_verified_and_exported(run, tsv, values, tiny_graph, tmp_path):
    code, out, _ = run("import", tsv, "--encoder", "clip_rn50", "--dim", DIM)
    handle = handle_of(tiny_graph)
    assert (code, out) == (0, f"{handle}: 150 x 36 x 5 float32, imported from {tsv}\n")

    code, out, _ = run("info")
    assert code == 0
    for part in (handle, "150 x 36 x 5 float32", "theirs.tsv", "640 x 480, 60 degrees high"):
        assert part in out
    shown = values[catalogue.landmarks(tiny_graph)[1], 12, :4]
    assert f"view 12    {' '.join(f'{value:9.5f}' for value in shown)}\n" in out

    code, out, _ = run("verify")
    assert code == 0
    assert out == (
        f"{handle}: whole; differs from CLIP-ResNet-50-views.tsv in dim (5, known 1024); "
        "rows (150, known 10567)\n"
    )

    code, out, _ = run("export", "--encoder", "clip_rn50", "--out", tmp_path / "ours.tsv")
    assert code == 0
    assert out.startswith(f"{tmp_path / 'ours.tsv'}: {handle}, 150 viewpoints, 0.2 MB")
    assert (tmp_path / "ours.tsv").read_bytes() == tsv.read_bytes()


def test_what_was_left_out_of_a_file_is_said(run, tsv, tmp_path):
    lines = tsv.read_bytes().splitlines(keepends=True)
    tsv.write_bytes(b"".join([*lines, lines[0].replace(b"tinyHouse00", b"elsewhere")]))
    code, out, _ = run("import", tsv, "--encoder", "clip_rn50", "--dim", 3)
    assert code == 0
    assert "\n  1 rows left out: the world does not hold their viewpoints\n" in out
    assert "\n  2 columns after the features of a view left out\n" in out


def test_a_second_import_says_that_it_is_there(run, tsv):
    run("import", tsv, "--encoder", "clip_rn50", "--dim", DIM)
    code, out, _ = run("import", tsv, "--encoder", "clip_rn50", "--dim", DIM)
    assert code == 0
    assert out.endswith("; this file has been imported already\n")


def test_an_error_is_one_line_and_code_2(run, tmp_path):
    code, out, err = run("import", tmp_path / "no.tsv", "--encoder", "clip_rn50")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: cannot read")


def test_info_is_there_for_programs(run, values, tiny_graph):
    own(values, tiny_graph, about={"recipe": {"size": 224}})
    code, out, _ = run("info", "--json")
    (item,) = json.loads(out)
    assert code == 0
    assert (item["handle"], item["dim"], item["about"]) == (
        "clip_rn50",
        DIM,
        {"recipe": {"size": 224}},
    )
    assert item["mean_norm"] == pytest.approx(np.linalg.norm(values, axis=2).mean())
    assert len(item["samples"]) == 6


def test_info_of_an_empty_store_says_where_it_looked(run, tiny_graph):
    code, out, _ = run("info")
    assert (code, out) == (0, f"no features in {store.folder_of(tiny_graph)}\n")
    assert run("verify")[:2] == (0, f"no features in {store.folder_of(tiny_graph)}\n")


def test_info_shows_what_is_not_finished(run, values, tiny_graph):
    given = {"encoder": "mine", "fingerprint": "ab" * 32, "dim": DIM, "dtype": "float32"}
    with StoreWriter(tiny_graph, **given) as writer:
        for shard in writer.todo[:3]:
            writer.put(shard, values[shard.start : shard.stop])
    assert run("info")[1] == f"mine-{'ab' * 8}\n  not finished: 3 shards so far\n"


def test_a_handle_chooses_one_of_several(run, values, tiny_graph):
    own(values, tiny_graph)
    own(values, tiny_graph, encoder="clip_rn50@1a2b3c4d", fingerprint="cd" * 32)
    own(values, tiny_graph, encoder="objects", fingerprint="ef" * 32)
    for handle in ("clip_rn50", "clip_rn50@1a2b3c4d", "objects"):
        listed = json.loads(run("info", "--encoder", handle, "--json")[1])
        assert [item["handle"] for item in listed] == [handle]
    assert len(json.loads(run("info", "--json")[1])) == 3


def test_a_handle_that_is_not_there_names_those_that_are(run, values, tiny_graph):
    own(values, tiny_graph, encoder="clip_rn50@1a2b3c4d")
    code, _, err = run("info", "--encoder", "clip_rn50@1a2b3c4e")
    assert code == 2
    assert "Did you mean 'clip_rn50@1a2b3c4d'?" in err


def test_several_features_of_one_handle_are_chosen_by_fingerprint(run, values, tiny_graph):
    for name in ("ab", "cd"):
        own(values, tiny_graph, fingerprint=name * 32)
    code, _, err = run("info", "--encoder", "clip_rn50")
    assert code == 2
    assert "clip_rn50-abab" in err
    assert "--fingerprint" in err
    listed = json.loads(run("info", "--encoder", "clip_rn50", "--fingerprint", "cdc", "--json")[1])
    assert [item["fingerprint"] for item in listed] == ["cd" * 32]


def test_verify_finds_damage_and_goes_on_to_the_others(run, values, tiny_graph):
    own(values, tiny_graph, encoder="a", fingerprint="01" * 32)
    own(values, tiny_graph, encoder="b", fingerprint="02" * 32)
    own(values, tiny_graph, encoder="c", fingerprint="03" * 32)
    folder_a, folder_b, _ = store.every(tiny_graph)
    (folder_a / "index.json").write_text("{")
    with (folder_b / "values.npy").open("r+b") as stream:
        stream.seek(500)
        stream.write(b"\xaa")

    code, out, _ = run("verify")

    lines = out.splitlines()
    assert code == 1
    assert lines[0] == f"{folder_a.name}: damaged"
    assert lines[2] == f"{folder_b.name}: damaged"
    assert "not what was written" in lines[3]
    assert lines[4] == "c: whole; not in the table of known files"


def test_what_is_remembered_is_recognised_by_others(run, tsv, tiny_graph, cache, tmp_path):
    run("import", tsv, "--encoder", "clip_rn50", "--dim", DIM)
    code, out, _ = run("verify", "--encoder", "clip_rn50", "--remember", "theirs")
    assert code == 0
    assert f"noted as theirs in {cache / 'known_features.json'}" in out
    assert "matches theirs in dim, dtype" in run("verify")[1]

    own_table = tmp_path / "lab.json"
    run("verify", "--encoder", "clip_rn50", "--remember", "labs", "--known", own_table)
    (cache / "known_features.json").unlink()
    assert "differs from CLIP" in run("verify")[1]
    assert "matches labs in dim, dtype" in run("verify", "--known", own_table)[1]


def test_only_one_store_is_remembered_at_a_time(run):
    code, _, err = run("verify", "--remember", "theirs")
    assert code == 2
    assert "say which with --encoder" in err


def test_force_replaces_a_file(run, values, tiny_graph, tmp_path):
    own(values, tiny_graph)
    file = tmp_path / "out.hdf5"
    file.write_text("old")
    code, _, err = run("export", "--encoder", "clip_rn50", "--out", file)
    assert code == 2
    assert "--force" in err
    assert run("export", "--encoder", "clip_rn50", "--out", file, "--force")[0] == 0
    assert file.read_bytes().startswith(b"\x89HDF")


def test_export_refuses_what_has_changed_since_it_was_written(run, values, tiny_graph, tmp_path):
    own(values, tiny_graph)
    (folder,) = store.every(tiny_graph)
    with (folder / "values.npy").open("r+b") as stream:
        stream.seek(-3, 2)
        stream.write(b"\x01")
    code, _, err = run("export", "--encoder", "clip_rn50", "--out", tmp_path / "out.tsv")
    assert code == 2
    assert "not what was written" in err
    assert not list(tmp_path.glob("*out.tsv*"))


def test_a_folder_is_no_file_to_export_to(run, values, tiny_graph, tmp_path):
    own(values, tiny_graph)
    (tmp_path / "out.tsv").mkdir()
    code, _, err = run("export", "--encoder", "clip_rn50", "--out", tmp_path / "out.tsv", "--force")
    assert code == 2
    assert "is a folder" in err


def test_one_damaged_store_does_not_hide_the_others(run, values, tiny_graph):
    own(values, tiny_graph, encoder="a", fingerprint="01" * 32)
    own(values, tiny_graph, encoder="b", fingerprint="02" * 32)
    (store.every(tiny_graph)[0] / "index.json").write_text("{")
    code, out, _ = run("info")
    assert code == 0
    assert "cannot be read" in out
    assert "\nb\n" in out or out.startswith("b\n")
    assert run("info", "--json")[0] == 2


def test_help_starts_quickly_and_names_every_command():
    script = """
import sys
from vln.features import __main__
assert not {"torch", "h5py", "open_clip", "timm"} & sys.modules.keys()
__main__.main(["--help"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("import", "export", "info", "verify"):
        assert name in done.stdout
