import errno
import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from vln.errors import BadConfig, CannotWrite, CorruptData, InUse, MissingFeatures
from vln.features import store
from vln.features.part import PartFile
from vln.features.writing import StoreWriter

DIM, SHARD = 3, 16
IDENTITY = {"encoder": "mine+bf16", "fingerprint": "ab" * 32, "source": "cd" * 32}


@pytest.fixture
def values(tiny_graph):
    rng = np.random.default_rng(0)
    return rng.standard_normal((len(tiny_graph.viewpoints), 36, DIM)).astype(np.float32)


@pytest.fixture
def writer(tiny_graph, tmp_path):
    def make(**changes):
        given = {"dim": DIM, "dtype": "float16", "shard": SHARD, "cache": tmp_path, **IDENTITY}
        return StoreWriter(tiny_graph, **{**given, **changes})

    return make


def put_all(writer, values, *, limit=None):
    for shard in writer.todo[:limit]:
        writer.put(shard, values[shard.start : shard.stop])


def digests(folder):
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("values.npy", "index.json")
    }


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def refuse(number):
    def raising(*_):
        raise OSError(number, os.strerror(number))

    return raising


def test_shards_put_one_by_one_are_found_as_one_array(writer, values, tiny_graph, tmp_path):
    with writer(about={"image_w": 640}) as opened:
        put_all(opened, values)
        table = opened.finish()

    found = store.find(tiny_graph, cache=tmp_path, **IDENTITY)
    np.testing.assert_array_equal(found.values, values.astype(np.float16))
    np.testing.assert_array_equal(table.values, found.values)
    assert found.encoder == "mine+bf16"
    assert opened.folder.name == f"mine+bf16-{'ab' * 8}-{'cd' * 8}"
    assert names_in(opened.folder) == [".lock", "index.json", "values.npy"]


def test_the_index_tells_what_is_stored_and_the_checksum_of_every_shard(writer, values):
    with writer(about={"vfov": 60, "image_w": 640}) as opened:
        put_all(opened, values)
        opened.finish(about={"more": 1})
    index = json.loads((opened.folder / "index.json").read_bytes())
    stored = np.load(opened.folder / "values.npy")
    expected = [
        hashlib.sha256(stored[start : start + SHARD].tobytes()).hexdigest()
        for start in range(0, len(stored), SHARD)
    ]
    assert index.pop("sha256") == expected
    assert index == {
        "version": 1,
        "handle": "mine+bf16",
        "fingerprint": "ab" * 32,
        "source": "cd" * 32,
        "world": opened.plan.world,
        "viewpoints": len(values),
        "dim": DIM,
        "dtype": "float16",
        "shard": SHARD,
        "about": {"image_w": 640, "more": 1, "vfov": 60},
    }


def test_nothing_is_found_before_the_store_is_whole(writer, values, tiny_graph, tmp_path):
    with writer() as opened:
        put_all(opened, values, limit=-1)
        assert store.find(tiny_graph, cache=tmp_path, **IDENTITY) is None
        with pytest.raises(MissingFeatures, match=r"mine\+bf16-.*: no features yet of 6 of 150 "):
            opened.finish()
    assert store.find(tiny_graph, cache=tmp_path, **IDENTITY) is None


def test_what_is_finished_need_not_be_done_again(writer, values):
    with writer() as opened:
        put_all(opened, values, limit=4)
    with writer() as opened:
        assert [shard.start // SHARD for shard in opened.todo] == [4, 5, 6, 7, 8, 9]
        put_all(opened, values)
        resumed = digests(opened.finish() and opened.folder)
    with writer(anew=True) as opened:
        assert len(opened.todo) == 10
        put_all(opened, values)
        opened.finish()
    assert digests(opened.folder) == resumed


def test_a_whole_store_has_nothing_to_do(writer, values):
    with writer() as opened:
        put_all(opened, values)
        opened.finish()
    before = digests(opened.folder)
    with writer() as again:
        assert again.todo == ()
        np.testing.assert_array_equal(again.finish().values, values.astype(np.float16))
    assert digests(again.folder) == before


def test_what_a_kill_left_beside_a_whole_store_is_cleared_away(writer, values):
    with writer() as opened:
        put_all(opened, values)
        opened.finish()
    with writer(anew=True) as opened:
        put_all(opened, values, limit=4)
    assert "values.npy.part" in names_in(opened.folder)
    with writer() as again:
        assert again.todo == ()
    assert names_in(opened.folder) == [".lock", "index.json", "values.npy"]


# How the process dies: in the middle of a shard's bytes, before its line in the journal, in the
# middle of that line, before the two last renames, and between them.
KILLS = {
    "mid-shard": """
whole = part.PartFile.write
def write(self, panorama, values):
    if panorama >= 80:
        whole(self, panorama, values[:7])
        die()
    whole(self, panorama, values)
part.PartFile.write = write
""",
    "mid-journal": """
append = journal.Journal._append
def torn(self, line):
    if line.get("shard") == 5:
        with self.file.open("ab") as stream:
            stream.write(b'{"shard":5,"sha2')
        die()
    append(self, line)
journal.Journal._append = torn
""",
    "before-renames": "writing.StoreWriter._publish = lambda self: die()",
    "before-index": "writing.sync_folder = lambda folder: die()",
    "before-cleaning": "journal.Journal.remove = lambda self: self.file.exists() and die()",
}


@pytest.mark.parametrize("kill", KILLS)
def test_after_a_kill_the_store_ends_in_the_same_bytes(
    kill, writer, values, tiny_world, tiny_graph, tmp_path
):
    with writer(cache=tmp_path / "undisturbed") as opened:
        put_all(opened, values)
        opened.finish()
    expected = digests(opened.folder)
    np.save(tmp_path / "values.npy", values)
    script = f"""
import os, signal
from pathlib import Path
import numpy as np
from vln.data.connectivity import load_graph
from vln.features import journal, part, writing
def die():
    os.kill(os.getpid(), signal.SIGKILL)
{KILLS[kill]}
values = np.load({str(tmp_path / "values.npy")!r})
with writing.StoreWriter(load_graph(Path({str(tiny_world.folder)!r})), dim={DIM}, dtype="float16",
                         shard={SHARD}, cache=Path({str(tmp_path)!r}), **{IDENTITY}) as writer:
    for shard in writer.todo:
        writer.put(shard, values[shard.start : shard.stop])
    writer.finish()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    seen = store.find(tiny_graph, cache=tmp_path, **IDENTITY)
    assert seen is None or kill == "before-cleaning"

    with writer() as resumed:
        assert len(resumed.todo) == (5 if kill.startswith("mid") else 0)
        put_all(resumed, values)
        resumed.finish()

    assert digests(resumed.folder) == expected


def test_a_finished_shard_whose_bytes_have_changed_is_done_again(writer, values):
    with writer() as opened:
        put_all(opened, values, limit=4)
    file = opened.folder / "values.npy.part"
    with file.open("r+b") as stream:
        stream.seek(len(opened.plan.header) + 2 * SHARD * opened.plan.row_bytes + 5)
        stream.write(b"\xff")
    with writer() as resumed:
        assert [shard.start // SHARD for shard in resumed.todo] == [2, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("change", [{"dim": 4}, {"dtype": "float32"}, {"shard": 8}])
def test_what_another_plan_has_finished_does_not_count(writer, values, change):
    with writer() as opened:
        put_all(opened, values, limit=4)
    with writer(**change) as other:
        assert sum(map(len, other.todo)) == len(values)


@pytest.mark.parametrize("damage", [b"", b"garbage\n", b'{"shard":1}\n'])
def test_a_damaged_journal_starts_anew(writer, values, damage):
    with writer() as opened:
        put_all(opened, values, limit=4)
    (opened.folder / "journal.jsonl").write_bytes(damage)
    with writer() as resumed:
        assert len(resumed.todo) == 10
        put_all(resumed, values)
        np.testing.assert_array_equal(resumed.finish().values, values.astype(np.float16))


def test_a_lost_part_file_starts_anew(writer, values):
    with writer() as opened:
        put_all(opened, values, limit=4)
    (opened.folder / "values.npy.part").unlink()
    with writer() as resumed:
        assert len(resumed.todo) == 10


def test_a_store_written_anew_stays_readable_until_the_new_one_is_whole(
    writer, values, tiny_graph, tmp_path
):
    with writer() as opened:
        put_all(opened, values)
        opened.finish()
    with writer(anew=True) as again:
        put_all(again, values + 1, limit=4)
    found = store.find(tiny_graph, cache=tmp_path, **IDENTITY)
    np.testing.assert_array_equal(found.values, values.astype(np.float16))
    with writer(anew=True) as again:
        put_all(again, values + 1)
        again.finish()
    new = store.find(tiny_graph, cache=tmp_path, **IDENTITY)
    np.testing.assert_array_equal(new.values, (values + 1).astype(np.float16))
    np.testing.assert_array_equal(found.values, values.astype(np.float16))  # who reads, keeps it


def test_a_second_writer_is_refused_and_told_who_the_first_is(writer):
    with writer() as first, pytest.raises(InUse) as caught, writer():
        pass
    assert str(first.folder) in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    with writer() as third:
        assert len(third.todo) == 10


def test_a_second_process_is_refused(writer, tiny_world, tmp_path):
    script = f"""
from pathlib import Path
from vln.data.connectivity import load_graph
from vln.features.writing import StoreWriter
with StoreWriter(load_graph(Path({str(tiny_world.folder)!r})), dim={DIM}, dtype="float16",
                 cache=Path({str(tmp_path)!r}), **{IDENTITY}):
    raise SystemExit("was let in")
"""
    with writer():
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert f"InUse: {tmp_path}" in done.stderr.decode()
    assert "was let in" not in done.stderr.decode()


def test_a_disk_that_is_too_small_is_known_before_anything_is_encoded(writer, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC))
    opened = writer(dim=1000)
    with pytest.raises(CannotWrite, match=r"takes 10\.8 MB, and [\d,.]+ MB are free\. Make room"):
        opened.__enter__()
    assert names_in(opened.folder) == [".lock"]
    monkeypatch.undo()
    with writer(dim=1000) as again:
        assert len(again.todo) == 10


def test_a_disk_that_cannot_reserve_space_is_written_to_all_the_same(writer, values, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP))
    with writer() as opened:
        put_all(opened, values)
        np.testing.assert_array_equal(opened.finish().values, values.astype(np.float16))


def test_a_disk_that_cannot_reserve_space_is_measured(writer, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EINVAL))
    with (
        pytest.raises(CannotWrite, match=r"disk is full. What is written takes [\d,.]+ MB"),
        writer(dim=10**12, shard=1),
    ):
        pass


def test_a_disk_that_fills_up_keeps_what_is_finished(writer, values, monkeypatch):
    with writer() as opened:
        put_all(opened, values, limit=3)
        monkeypatch.setattr(PartFile, "write", refuse(errno.ENOSPC))
        with pytest.raises(CannotWrite, match=r"disk is full.*What is finished is kept"):
            put_all(opened, values)
    monkeypatch.undo()
    with writer() as resumed:
        assert len(resumed.todo) == 7


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_named(writer, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CannotWrite, match=rf"{tmp_path}.* cannot be written"), writer():
        pass
    tmp_path.chmod(0o700)


def test_a_cache_that_is_a_file_is_named(writer, tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(CannotWrite, match=rf"{file}/.* cannot be written"), writer(cache=file):
        pass


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_name_viewpoint_and_view(writer, values, tiny_graph, bad):
    values[20, 7, 1] = bad
    with writer() as opened:
        with pytest.raises(CorruptData) as caught:
            put_all(opened, values)
        assert len(opened.todo) == 9
    assert f"viewpoint {tiny_graph.viewpoints[20]}: not finite, view 7" in str(caught.value)


def test_numbers_too_large_for_half_precision_never_become_infinite(writer, values, tiny_graph):
    values[3, 35, 2] = -65536
    with (
        writer() as opened,
        pytest.raises(
            CorruptData, match=rf"{tiny_graph.viewpoints[3]}: -65536 is too large for .*, view 35"
        ),
    ):
        put_all(opened, values)
    values[3, 35, 2] = -65504
    with writer() as opened:
        put_all(opened, values)
        assert opened.finish().values[3, 35, 2] == -65504


def test_half_precision_is_kept_exactly_in_a_store_of_full_precision(writer, values):
    half = values.astype(np.float16)
    with writer(dtype="float32") as opened:
        put_all(opened, half)
        found = opened.finish().values
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, half)


@pytest.mark.parametrize(
    "damage",
    [lambda v: v[:-1], lambda v: v[:, :35], lambda v: v[..., :2], lambda v: v.astype("f8")],
)
def test_a_shard_of_another_shape_or_type_is_refused(writer, values, damage):
    with writer() as opened, pytest.raises(CorruptData, match=r"Expected \(16, 36, 3\), float16"):
        opened.put(opened.todo[0], damage(values[:SHARD]))


def test_rows_may_come_in_any_order(writer, values, tmp_path):
    with writer(cache=tmp_path / "shards") as shards:
        put_all(shards, values)
        shards.finish()
    with writer() as rows:
        for panorama in np.random.default_rng(1).permutation(len(values)):
            rows.put_row(int(panorama), values[panorama])
        rows.finish()
    assert digests(rows.folder) == digests(shards.folder)


def test_rows_that_are_missing_are_counted(writer, values, tiny_graph):
    with writer() as opened:
        for panorama in range(1, len(values)):
            opened.put_row(panorama, values[panorama])
        with pytest.raises(MissingFeatures, match=rf"of 1 of 150 .* {tiny_graph.viewpoints[0]}"):
            opened.finish()


def test_what_is_discarded_leaves_nothing(writer, values):
    with writer() as opened:
        put_all(opened, values, limit=3)
        opened.discard()
    assert not opened.folder.exists()
    with writer() as again:
        assert len(again.todo) == 10


@pytest.mark.parametrize("change", [{"dim": 0}, {"dtype": "float64"}, {"shard": 0}])
def test_a_plan_that_cannot_be_is_refused(writer, change):
    with pytest.raises(BadConfig, match="expected at least one feature, float16 or float32"):
        writer(**change)


def test_features_are_found_by_their_whole_handle_only(values, tiny_graph, tmp_path):
    handles = ["clip_rn50", "clip_rn50+bf16", "clip_rn50@1a2b3c4d", "clip_rn50@ffffffff"]
    for number, handle in enumerate(handles):
        given = {"encoder": handle, "fingerprint": f"{number:02x}" * 32, "cache": tmp_path}
        store.write(values, tiny_graph, **given)
    for number, handle in enumerate(handles):
        found = store.find(tiny_graph, encoder=handle, cache=tmp_path)
        assert found.fingerprint == f"{number:02x}" * 32
    assert store.imported(tiny_graph, encoder="clip_rn50", cache=tmp_path) == handles[2:]
    assert store.imported(tiny_graph, encoder="clip_rn50+bf16", cache=tmp_path) == []
    assert store.find(tiny_graph, encoder="clip_rn5", cache=tmp_path) is None
    assert store.holds(tiny_graph, encoder="clip_rn50", cache=tmp_path)
    assert not store.holds(tiny_graph, encoder="clip_rn50", fingerprint="07", cache=tmp_path)


def test_two_handles_that_share_a_folder_name_are_told_apart(values, tiny_graph, tmp_path):
    given = {"fingerprint": "ab" * 32, "cache": tmp_path}
    store.write(values, tiny_graph, encoder="open_clip:A/B", **given)
    assert store.find(tiny_graph, encoder="open_clip:A/B", **given) is not None
    assert store.find(tiny_graph, encoder="open_clip:A_B", **given) is None


def changed_index(folder, **changes):
    file = folder / "index.json"
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **changes}))


def test_features_of_another_fingerprint_are_refused(values, tiny_graph, tmp_path):
    given = {"encoder": "mine", "fingerprint": "ab" * 32, "cache": tmp_path}
    store.write(values, tiny_graph, **given)
    (folder,) = store.folders(tiny_graph, cache=tmp_path)
    with pytest.raises(CorruptData, match=r"has the fingerprint abab.*, not cdcd"):
        store.read(folder, tiny_graph, fingerprint="cd" * 32)
    changed_index(folder, fingerprint="cd" * 32)
    with pytest.raises(CorruptData, match=r"index.json: belongs into a folder mine-cdcd"):
        store.find(tiny_graph, **given)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dtype": "float16"}, r"values.npy: .* is no array \(150, 36, 3\) float16"),
        ({"dim": 0}, r"values.npy: .* is no array \(150, 36, 0\)"),
        ({"viewpoints": 149}, "with 149 viewpoints, expected .* with 150 viewpoints"),
        ({"viewpoints": 10**12}, "1 checksums, expected"),
        ({"world": "ab" * 32}, "is of world abab"),
        ({"handle": "other"}, "belongs into a folder other-abab"),
        ({"about": {"image_w": "wide"}}, "about cannot be used"),
        ({"dim": "3"}, "dim cannot be used"),
        ({"shard": 0}, "shard cannot be used"),
        ({"sha256": None}, "sha256 cannot be used"),
    ],
)
def test_an_index_that_contradicts_the_values_is_refused(
    values, tiny_graph, tmp_path, change, told
):
    store.write(values, tiny_graph, encoder="mine", fingerprint="ab" * 32, cache=tmp_path)
    (folder,) = store.folders(tiny_graph, cache=tmp_path)
    changed_index(folder, **change)
    with pytest.raises(CorruptData, match=told):
        store.read(folder, tiny_graph)


def test_a_store_of_another_version_counts_as_absent_and_is_made_again(
    values, tiny_graph, tmp_path
):
    given = {"encoder": "mine", "fingerprint": "ab" * 32, "cache": tmp_path}
    store.write(values, tiny_graph, **given)
    (folder,) = store.folders(tiny_graph, cache=tmp_path)
    changed_index(folder, version=None)
    assert store.find(tiny_graph, **given) is None
    with pytest.raises(CorruptData, match="is of version None, expected 1"):
        store.read(folder, tiny_graph)
    store.write(values + 1, tiny_graph, **given)
    np.testing.assert_array_equal(store.find(tiny_graph, **given).values, values + 1)


def test_values_that_are_too_long_are_refused(values, tiny_graph, tmp_path):
    store.write(values, tiny_graph, encoder="mine", fingerprint="ab" * 32, cache=tmp_path)
    (folder,) = store.folders(tiny_graph, cache=tmp_path)
    with (folder / "values.npy").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(CorruptData, match=r"values.npy: of 64,929 bytes .* 64,928 bytes"):
        store.read(folder, tiny_graph)


@pytest.mark.parametrize("change", [lambda v: v.astype(">f4"), np.asfortranarray])
def test_values_in_another_order_are_refused(values, tiny_graph, tmp_path, change):
    store.write(values, tiny_graph, encoder="mine", fingerprint="ab" * 32, cache=tmp_path)
    (folder,) = store.folders(tiny_graph, cache=tmp_path)
    np.save(folder / "values.npy", change(values))
    with pytest.raises(CorruptData, match=r"values.npy: of .* is no array"):
        store.read(folder, tiny_graph)


def test_values_that_were_emptied_are_refused(values, tiny_graph, tmp_path):
    store.write(values, tiny_graph, encoder="mine", fingerprint="ab" * 32, cache=tmp_path)
    (folder,) = store.folders(tiny_graph, cache=tmp_path)
    (folder / "values.npy").write_bytes(b"")
    with pytest.raises(CorruptData, match=r"values.npy: of 0 bytes is no array"):
        store.read(folder, tiny_graph)
