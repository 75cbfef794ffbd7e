import base64
import csv
import gzip
import hashlib
import os
import subprocess
import sys
import tracemalloc
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from vln.encoders import NETWORKS
from vln.errors import BadConfig, CannotWrite, CorruptData, MissingData, MissingFeatures
from vln.features import catalogue, store
from vln.features.exchange import exporting
from vln.features.exchange.exporting import export
from vln.features.exchange.hdf5 import read_hdf5
from vln.features.exchange.importing import import_file
from vln.features.exchange.tsv import read_tsv

DIM = 5
FIELDS = ["scanId", "viewpointId", "image_w", "image_h", "vfov", "features"]


@pytest.fixture
def values(tiny_graph):
    rng = np.random.default_rng(0)
    return rng.standard_normal((len(tiny_graph.viewpoints), 36, DIM)).astype(np.float32)


def places(graph):
    return [(graph.scan_of(i), name) for i, name in enumerate(graph.viewpoints)]


def write_as_mattersim(file, graph, values, *, order=None):
    """Writes as the field's scripts do: Python's csv, one dictionary per row."""
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, delimiter="\t", fieldnames=FIELDS)
        for i in range(len(values)) if order is None else order:
            scan, viewpoint = places(graph)[i]
            writer.writerow(
                {
                    "scanId": scan,
                    "viewpointId": viewpoint,
                    "image_w": 640,
                    "image_h": 480,
                    "vfov": 60,
                    "features": str(base64.b64encode(values[i]), "utf-8"),
                }
            )


def read_as_envdrop(file):
    """Reads as EnvDrop's loader does."""
    csv.field_size_limit(sys.maxsize)
    found = {}
    with file.open(newline="") as stream:
        for item in csv.DictReader(stream, delimiter="\t", fieldnames=FIELDS):
            key = f"{item['scanId']}_{item['viewpointId']}"
            decoded = base64.decodebytes(bytes(item["features"], encoding="ascii"))
            found[key] = np.frombuffer(decoded, dtype=np.float32).reshape(36, -1)
    return found


def write_as_hamt(file, graph, values, *, dtype="float", **options):
    """Writes as HAMT's extraction does: one data set per viewpoint, attributes beside it."""
    with h5py.File(file, "w") as out:
        for (scan, viewpoint), row in zip(places(graph), values, strict=True):
            made = out.create_dataset(
                f"{scan}_{viewpoint}", row.shape, dtype=dtype, compression="gzip", **options
            )
            made[...] = row
            made.attrs["scanId"], made.attrs["viewpointId"] = scan, viewpoint
            made.attrs["image_w"], made.attrs["image_h"], made.attrs["vfov"] = 640, 480, 60


def take(file, graph, cache, *, encoder="clip_rn50", dim=DIM):
    return import_file(file, graph, encoder=encoder, dim=dim, cache=cache, progress=False)


@pytest.fixture
def tsv(values, tiny_graph, tmp_path):
    file = tmp_path / "CLIP-ResNet-50-views.tsv"
    write_as_mattersim(file, tiny_graph, values)
    return file


def test_a_file_as_mattersim_writes_it_is_imported_bit_by_bit(values, tiny_graph, tmp_path):
    file = tmp_path / "features.tsv"
    order = np.random.default_rng(1).permutation(len(values))
    write_as_mattersim(file, tiny_graph, values, order=order)

    done = take(file, tiny_graph, tmp_path)

    np.testing.assert_array_equal(done.table.values, values)
    assert (done.rows, done.strangers, done.columns_left_out, done.rounded) == (150, 0, 0, 0)
    assert done.table.dtype == np.float32
    (handle,) = store.imported(tiny_graph, encoder="clip_rn50", cache=tmp_path)
    assert store.find(tiny_graph, encoder=handle, cache=tmp_path).fingerprint == (
        done.table.fingerprint
    )


def test_the_handle_begins_with_the_digits_of_the_files_checksum(tsv, tiny_graph, tmp_path):
    digest = hashlib.sha256(tsv.read_bytes()).hexdigest()
    table = take(tsv, tiny_graph, tmp_path).table
    assert table.encoder == f"clip_rn50@{digest[:8]}"
    assert table.fingerprint == hashlib.sha256(f"imported/{digest}".encode()).hexdigest()


def test_tsv_to_store_to_hdf5_to_store_to_tsv_changes_no_bit(tsv, values, tiny_graph, tmp_path):
    first = take(tsv, tiny_graph, tmp_path).table
    folder = catalogue.pick(tiny_graph, encoder=first.encoder, cache=tmp_path)
    export(folder, tiny_graph, tmp_path / "out.hdf5", progress=False)
    second = take(tmp_path / "out.hdf5", tiny_graph, tmp_path).table
    assert second.encoder != first.encoder
    folder = catalogue.pick(tiny_graph, encoder=second.encoder, cache=tmp_path)
    export(folder, tiny_graph, tmp_path / "out.tsv", progress=False)
    assert (tmp_path / "out.tsv").read_bytes() == tsv.read_bytes()
    np.testing.assert_array_equal(second.values, values)


def test_what_is_exported_is_read_by_envdrop_and_by_hamt(values, tiny_graph, tmp_path):
    half = values.astype(np.float16)
    store.write(half, tiny_graph, encoder="mine", fingerprint="ab" * 32, cache=tmp_path)
    folder = catalogue.pick(tiny_graph, encoder="mine", cache=tmp_path)
    size = export(folder, tiny_graph, tmp_path / "new" / "out.tsv", progress=False)
    export(folder, tiny_graph, tmp_path / "new" / "out.hdf5", progress=False)

    read = read_as_envdrop(tmp_path / "new" / "out.tsv")
    assert size == (tmp_path / "new" / "out.tsv").stat().st_size
    with h5py.File(tmp_path / "new" / "out.hdf5") as opened:
        assert len(opened) == len(read) == len(half)
        for (scan, viewpoint), row in zip(places(tiny_graph), half, strict=True):
            np.testing.assert_array_equal(read[f"{scan}_{viewpoint}"], row)
            data = opened[f"{scan}_{viewpoint}"]
            np.testing.assert_array_equal(data[...].astype(np.float32)[:, :DIM], row)
            assert data.dtype == np.float32
            assert dict(data.attrs) == {
                "scanId": scan,
                "viewpointId": viewpoint,
                "image_w": 640,
                "image_h": 480,
                "vfov": 60.0,
            }


@pytest.mark.parametrize("dtype", ["float16", "float32", "float"])
def test_an_hdf5_file_keeps_its_precision_and_loses_its_logits(values, tiny_graph, tmp_path, dtype):
    file = tmp_path / "views.hdf5"
    logits = np.full((len(values), 36, 7), 9, dtype=np.float32)
    write_as_hamt(file, tiny_graph, np.concatenate([values, logits], axis=2), dtype=dtype)

    done = take(file, tiny_graph, tmp_path)

    stored = "float16" if dtype == "float16" else "float32"
    assert (done.table.dtype, done.table.dim) == (stored, DIM)
    assert (done.columns_left_out, done.rounded) == (7, 0)
    np.testing.assert_array_equal(done.table.values, values.astype(stored))


def test_doubles_that_single_precision_cannot_hold_are_counted(values, tiny_graph, tmp_path):
    file = tmp_path / "views.hdf5"
    doubles = values.astype(np.float64)
    doubles[[3, 8], 4, 2] += 1e-12
    write_as_hamt(file, tiny_graph, doubles)
    done = take(file, tiny_graph, tmp_path)
    assert done.rounded == 2
    np.testing.assert_array_equal(done.table.values, doubles.astype(np.float32))


def test_an_hdf5_file_needs_no_attributes(values, tiny_graph, tmp_path):
    file = tmp_path / "views.h5"
    with h5py.File(file, "w") as out:
        for (scan, viewpoint), row in zip(places(tiny_graph), values, strict=True):
            out[f"{scan}_{viewpoint}"] = row
    np.testing.assert_array_equal(take(file, tiny_graph, tmp_path).table.values, values)


def test_what_the_file_told_is_exported_again(values, tiny_graph, tmp_path):
    file = tmp_path / "small.tsv"
    write_as_mattersim(file, tiny_graph, values)
    file.write_bytes(file.read_bytes().replace(b"\t640\t480\t60\t", b"\t320\t240\t75.5\t"))
    handle = take(file, tiny_graph, tmp_path).table.encoder
    folder = catalogue.pick(tiny_graph, encoder=handle, cache=tmp_path)
    export(folder, tiny_graph, tmp_path / "again.tsv", progress=False)
    assert (tmp_path / "again.tsv").read_bytes() == file.read_bytes()


def test_lines_may_end_in_a_line_feed_and_a_header_may_stand_above(
    tsv, values, tiny_graph, tmp_path
):
    header = "\t".join(FIELDS).encode() + b"\n"
    tsv.write_bytes(header + tsv.read_bytes().replace(b"\r\n", b"\n").rstrip(b"\n"))
    np.testing.assert_array_equal(take(tsv, tiny_graph, tmp_path).table.values, values)


def test_a_file_is_imported_once(tsv, tiny_graph, tmp_path):
    first = take(tsv, tiny_graph, tmp_path)
    copy = tmp_path / "copy"
    copy.write_bytes(tsv.read_bytes())
    again = take(copy, tiny_graph, tmp_path)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.table.fingerprint == first.table.fingerprint
    with pytest.raises(BadConfig, match=r"with 5 features already, not 4\. Remove its folder"):
        take(tsv, tiny_graph, tmp_path, dim=4)


def test_rows_that_the_world_does_not_hold_are_counted(tsv, values, tiny_graph, tmp_path):
    lines = tsv.read_bytes().splitlines(keepends=True)
    lines.insert(5, lines[0].replace(b"tinyHouse00", b"elsewhere"))
    lines.insert(9, lines[0].replace(tiny_graph.viewpoints[0].encode(), b"nobody"))
    tsv.write_bytes(b"".join(lines))
    done = take(tsv, tiny_graph, tmp_path)
    assert (done.rows, done.strangers) == (152, 2)
    np.testing.assert_array_equal(done.table.values, values)


def test_a_file_that_lacks_viewpoints_is_refused_whole(values, tiny_graph, tmp_path):
    file = tmp_path / "features.tsv"
    write_as_mattersim(file, tiny_graph, values, order=[i for i in range(150) if i not in (2, 77)])
    with pytest.raises(MissingFeatures) as caught:
        take(file, tiny_graph, tmp_path)
    for part in (str(file), "lacks 2 of the 150", "_".join(places(tiny_graph)[2]), "Nothing was"):
        assert part in str(caught.value)
    nothing_is_left(tiny_graph, tmp_path)


def nothing_is_left(graph, cache):
    assert list(store.folder_of(graph, cache=cache).glob("*")) == []


def replaced(line, column, value):
    fields = line.rstrip(b"\r\n").split(b"\t")
    fields[column] = value(fields[column])
    return b"\t".join(fields) + b"\r\n"


def features(change):
    def changed(field):
        values = np.frombuffer(base64.b64decode(field), dtype=np.float32).reshape(36, -1).copy()
        return base64.b64encode(change(values).tobytes())

    return lambda line: replaced(line, 5, changed)


def put(value):
    def change(values):
        values[9, 2] = value
        return values

    return change


DAMAGE = {
    "not finite": (features(put(np.nan)), "viewpoint .* of scan tinyHouse00: not finite, view 9"),
    "infinite": (features(put(np.inf)), "not finite, view 9"),
    "too narrow": (features(lambda v: v[:, :4]), r"4 columns of float32.* but 5 .* in line 1"),
    "too wide": (features(lambda v: np.repeat(v, 2, 1)), r"10 columns of float32.* but 5"),
    "35 views": (features(lambda v: v[:35]), r"features of 700 bytes, expected float32 of 36"),
    "no features": (features(lambda v: v[:0]), r"features of 0 bytes"),
    "no base64": (lambda line: replaced(line, 5, lambda f: f[:-9] + b"#" + f[-8:]), "no base64"),
    "cut base64": (lambda line: replaced(line, 5, lambda f: f[:-3]), "no base64"),
    "python bytes": (lambda line: replaced(line, 5, lambda f: b"b'" + f + b"'"), "no base64"),
    "a column less": (lambda line: line.split(b"\t", 1)[1], "columns: 5, expected 6"),
    "no width": (lambda line: replaced(line, 2, lambda _: b"wide"), "image_w, image_h and vfov"),
    "inf width": (lambda line: replaced(line, 2, lambda _: b"inf"), "image_w, image_h and vfov"),
    "another camera": (lambda line: replaced(line, 4, lambda _: b"75"), "vfov 75, but .*vfov 60"),
    "no text": (lambda line: replaced(line, 1, lambda _: b"\xff\xfe"), "no text"),
    "a space": (lambda _: b" \r\n", "columns: 1, expected 6"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_is_named_and_nothing_imported(damage, tsv, tiny_graph, tmp_path):
    change, told = DAMAGE[damage]
    lines = tsv.read_bytes().splitlines(keepends=True)
    lines[6] = change(lines[6])
    tsv.write_bytes(b"".join(lines))
    with pytest.raises(CorruptData, match=told) as caught:
        take(tsv, tiny_graph, tmp_path)
    assert f"{tsv}, line 7" in str(caught.value)
    nothing_is_left(tiny_graph, tmp_path)


def test_empty_lines_are_passed_over(tsv, values, tiny_graph, tmp_path):
    first, rest = tsv.read_bytes().split(b"\n", 1)
    tsv.write_bytes(first + b"\n\r\n" + rest + b"\n")

    np.testing.assert_array_equal(take(tsv, tiny_graph, tmp_path).table.values, values)


@pytest.mark.parametrize("beginning", [gzip.compress(b"", mtime=0), b"PK\x03\x04"])
def test_a_compressed_file_says_so(tsv, tiny_graph, tmp_path, beginning):
    tsv.write_bytes(beginning + tsv.read_bytes())

    with pytest.raises(CorruptData, match=r"views.tsv: is compressed\. Unpack it"):
        take(tsv, tiny_graph, tmp_path)


def test_a_viewpoint_that_comes_twice_names_both_lines(tsv, tiny_graph, tmp_path):
    lines = tsv.read_bytes().splitlines(keepends=True)
    tsv.write_bytes(b"".join([*lines, lines[3]]))
    with pytest.raises(CorruptData, match=r"line 151: .* is there twice, first in line 4"):
        take(tsv, tiny_graph, tmp_path)
    nothing_is_left(tiny_graph, tmp_path)


@pytest.mark.parametrize("cut", [1000, 700, 950])
def test_a_cut_off_file_is_said_to_be_cut_off(tsv, tiny_graph, tmp_path, cut):
    tsv.write_bytes(tsv.read_bytes()[:-cut])
    with pytest.raises((CorruptData, MissingFeatures), match=r"cut off: copy or download"):
        take(tsv, tiny_graph, tmp_path)
    nothing_is_left(tiny_graph, tmp_path)


@pytest.mark.parametrize("content", [b"scan,viewpoint\n", b"{}\n"])
def test_a_file_of_another_kind_is_no_feature_file(tiny_graph, tmp_path, content):
    file = tmp_path / "features.txt"
    file.write_bytes(content)
    with pytest.raises(CorruptData, match=r"features.txt, line 1: columns: 1, expected 6"):
        take(file, tiny_graph, tmp_path)


def test_an_empty_file_holds_nothing(tiny_graph, tmp_path):
    file = tmp_path / "features.tsv"
    file.touch()
    with pytest.raises(CorruptData, match=r"features.tsv: holds no features"):
        take(file, tiny_graph, tmp_path)


def test_a_file_without_lines_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("vln.features.exchange.tsv.MAX_LINE", 1000)
    file = tmp_path / "features.tsv"
    file.write_bytes(bytes(2_000_000))
    tracemalloc.start()
    with pytest.raises(CorruptData, match=r"longer than 1,000 bytes: no TSV file"):
        list(read_tsv(file))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_file_that_is_not_there_is_named(tiny_graph, tmp_path):
    for name in ("no.tsv", "no.hdf5"):
        with pytest.raises(MissingData, match=f"cannot read .*{name}"):
            take(tmp_path / name, tiny_graph, tmp_path)
    with pytest.raises(MissingData, match="cannot read"):
        next(read_tsv(tmp_path / "no.tsv"))
    with pytest.raises(MissingData, match="cannot read"):
        next(read_hdf5(tmp_path / "no.hdf5"))


@pytest.mark.parametrize("content", [b"scan\tviewpoint\n", b"\x89HDF\r\n\x1a\n" + bytes(90)])
def test_what_is_called_hdf5_and_is_none_is_named(tiny_graph, tmp_path, content):
    file = tmp_path / "views.hdf5"
    file.write_bytes(content)
    with pytest.raises(CorruptData, match=r"views.hdf5: no HDF5 file"):
        take(file, tiny_graph, tmp_path)


def test_a_cut_off_hdf5_file_is_named(values, tiny_graph, tmp_path):
    file = tmp_path / "views.hdf5"
    write_as_hamt(file, tiny_graph, values)
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(CorruptData, match=r"views.hdf5: no HDF5 file .*truncated"):
        take(file, tiny_graph, tmp_path)


def test_damaged_chunks_of_an_hdf5_file_name_the_data_set(values, tiny_graph, tmp_path):
    file = tmp_path / "views.hdf5"
    write_as_hamt(file, tiny_graph, values)
    with h5py.File(file) as opened:
        key = sorted(opened)[70]
        place = opened[key].id.get_chunk_info(0)
    content = bytearray(file.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    file.write_bytes(content)
    with pytest.raises(CorruptData, match=f"data set {key}: cannot be read"):
        take(file, tiny_graph, tmp_path)
    nothing_is_left(tiny_graph, tmp_path)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (np.zeros((35, DIM), dtype=np.float32), r"shape \(35, 5\), float32"),
        (np.zeros((36, DIM), dtype=np.int32), r"shape \(36, 5\), int32"),
        (np.zeros(36, dtype=np.float32), r"shape \(36,\), float32"),
        (None, "is a group"),
    ],
)
def test_a_data_set_of_another_kind_is_named(values, tiny_graph, tmp_path, item, told):
    file = tmp_path / "views.hdf5"
    write_as_hamt(file, tiny_graph, values)
    with h5py.File(file, "a") as opened:
        opened["a_b"] = item if item is not None else opened.create_group("c").ref
        if item is None:
            del opened["a_b"]
            opened.move("c", "a_b")
    with pytest.raises(CorruptData, match=f"data set a_b: {told}"):
        take(file, tiny_graph, tmp_path)


def test_a_double_beyond_single_precision_is_refused(values, tiny_graph, tmp_path):
    file = tmp_path / "views.hdf5"
    doubles = values.astype(np.float64)
    doubles[4, 0, 0] = 1e39
    write_as_hamt(file, tiny_graph, doubles)
    with pytest.raises(CorruptData, match="a value too large for float32"):
        take(file, tiny_graph, tmp_path)


def test_the_width_of_an_unknown_encoder_must_be_said(tsv, tiny_graph, tmp_path):
    with pytest.raises(BadConfig, match=r"strange has is not known here, .* --dim 5\."):
        take(tsv, tiny_graph, tmp_path, encoder="strange", dim=0)
    assert take(tsv, tiny_graph, tmp_path, encoder="strange", dim=3).columns_left_out == 2


def test_the_width_of_a_known_encoder_need_not_be_said(tiny_graph, tmp_path):
    values = np.ones((150, 36, NETWORKS["clip_vit_b32"].dim), dtype=np.float32)
    file = tmp_path / "features.tsv"
    write_as_mattersim(file, tiny_graph, values)
    assert take(file, tiny_graph, tmp_path, encoder="clip_vit_b32", dim=0).table.dim == 512


def test_a_file_too_narrow_for_its_encoder_is_refused(tsv, tiny_graph, tmp_path):
    with pytest.raises(CorruptData, match=r"line 1: 5 columns in each view, fewer than the 1024"):
        take(tsv, tiny_graph, tmp_path, dim=0)
    nothing_is_left(tiny_graph, tmp_path)


def test_doubles_in_a_tsv_are_not_taken_for_singles(tiny_graph, tmp_path):
    file = tmp_path / "features.tsv"
    write_as_mattersim(file, tiny_graph, np.ones((150, 36, 512)))
    with pytest.raises(CorruptData, match=r"1024 columns .* as if they were float64"):
        take(file, tiny_graph, tmp_path, encoder="clip_vit_b32", dim=0)


@pytest.mark.parametrize(("encoder", "dim"), [("clip_rn50@1a2b3c4d", 5), ("clip_rn50", -1)])
def test_a_handle_or_width_that_cannot_be_is_refused(tsv, tiny_graph, tmp_path, encoder, dim):
    with pytest.raises(BadConfig, match=r"part after @ follows from the file|expected at least 1"):
        take(tsv, tiny_graph, tmp_path, encoder=encoder, dim=dim)


def test_an_interrupted_import_leaves_nothing(tsv, tiny_graph, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vln.features.part.PartFile.digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take(tsv, tiny_graph, tmp_path)
    nothing_is_left(tiny_graph, tmp_path)
    monkeypatch.undo()
    assert take(tsv, tiny_graph, tmp_path).is_new


@pytest.mark.parametrize("suffix", [".tsv", ".hdf5"])
def test_a_large_file_never_fits_in_memory_and_need_not(tiny_graph, tmp_path, suffix):
    width = 400
    values = np.ones((150, 36, width), dtype=np.float32)
    file = tmp_path / f"large{suffix}"
    write = write_as_mattersim if suffix == ".tsv" else write_as_hamt
    write(file, tiny_graph, values)
    whole = values.nbytes
    del values

    tracemalloc.start()
    table = take(file, tiny_graph, tmp_path, dim=width).table
    folder = catalogue.pick(tiny_graph, encoder=table.encoder, cache=tmp_path)
    export(folder, tiny_graph, tmp_path / f"out{suffix}", progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < whole / 3


def stored(graph, values, cache):
    store.write(values, graph, encoder="mine", fingerprint="ab" * 32, cache=cache)
    return catalogue.pick(graph, encoder="mine", cache=cache)


def test_a_file_that_is_there_is_replaced_only_when_asked(values, tiny_graph, tmp_path):
    folder, file = stored(tiny_graph, values, tmp_path), tmp_path / "out.tsv"
    file.write_text("precious")
    with pytest.raises(BadConfig, match=r"out.tsv is there already. Replace it with --force"):
        export(folder, tiny_graph, file, progress=False)
    assert file.read_text() == "precious"
    export(folder, tiny_graph, file, force=True, progress=False)
    assert len(read_as_envdrop(file)) == 150


def test_an_ending_that_tells_no_format_is_refused(values, tiny_graph, tmp_path):
    with pytest.raises(BadConfig, match=r"Use .tsv .* or .hdf5"):
        export(stored(tiny_graph, values, tmp_path), tiny_graph, tmp_path / "out.npz")


@pytest.mark.parametrize("name", ["out.tsv", "out.hdf5"])
def test_an_export_that_fails_leaves_no_file(values, tiny_graph, tmp_path, monkeypatch, name):
    folder, given = stored(tiny_graph, values, tmp_path), exporting._rows

    def failing(*arguments, **options):
        rows = given(*arguments, **options)
        yield next(rows)
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(exporting, "_rows", failing)
    with pytest.raises(CannotWrite, match=rf"{name}: the disk is full"):
        export(folder, tiny_graph, tmp_path / "out" / name, progress=False)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of file size")
@pytest.mark.parametrize("name", ["out.tsv", "out.hdf5"])
def test_a_disk_that_refuses_is_an_error_and_nothing_else(
    values, tiny_world, tiny_graph, tmp_path, name
):
    # The limit is one of the system itself: HDF5's library must not learn of it, or it crashes.
    folder = stored(tiny_graph, values, tmp_path)
    script = f"""
import resource
from pathlib import Path
from vln.data.connectivity import load_graph
from vln.features.exchange.exporting import export
graph = load_graph(Path({str(tiny_world.folder)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
export(Path({str(folder)!r}), graph, Path({str(tmp_path / "out" / name)!r}), progress=False)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert (
        f"CannotWrite: {tmp_path / 'out' / name}: what is written takes 0.1 MB, and no file"
        in done.stderr
    )
    assert "Exception ignored" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_an_export_without_room_is_refused_at_once(tiny_graph, tmp_path, monkeypatch):
    full = SimpleNamespace(free=1_500_000)
    monkeypatch.setattr(exporting.shutil, "disk_usage", lambda _: full)
    folder = stored(tiny_graph, np.ones((150, 36, 80), dtype=np.float16), tmp_path)
    with pytest.raises(CannotWrite, match=r"up to 2\.3 MB, and 1\.5 MB are free"):
        export(folder, tiny_graph, tmp_path / "out.tsv", progress=False)
