import json

import numpy as np
import pytest

from vln.encoders import NETWORKS
from vln.errors import CannotWrite, CorruptData, MissingData
from vln.features import catalogue, known, store
from vln.features.verifying import damage


@pytest.fixture
def values(tiny_graph):
    rng = np.random.default_rng(0)
    return rng.standard_normal((len(tiny_graph.viewpoints), 36, 5)).astype(np.float32)


@pytest.fixture
def folder(values, tiny_graph, tmp_path):
    store.write(
        values,
        tiny_graph,
        encoder="clip_rn50@1a2b3c4d",
        fingerprint="ab" * 32,
        about={"image_w": 640, "image_h": 480, "vfov": 60, "file_rows": 150, "file_sha256": "1a"},
        cache=tmp_path,
    )
    return catalogue.pick(tiny_graph, encoder="clip_rn50", cache=tmp_path)


@pytest.fixture
def facts(folder, tiny_graph):
    return known.facts_of(catalogue.summarise(folder, tiny_graph))


def verdict(facts, table, *, is_imported=True):
    return str(known.compare(facts, table, is_imported=is_imported))


def test_the_shipped_table_holds_what_is_published_and_no_more(tmp_path):
    table = known.load_known()
    published = {"encoder", "dim", "dtype", "rows", "image_w", "image_h", "vfov"}
    assert len(table) == 5
    for facts in table.values():
        assert facts.keys() == published
        assert facts["dim"] == NETWORKS[facts["encoder"]].dim
        assert facts["rows"] == 10_567


def test_landmarks_are_the_first_viewpoints_of_three_scans_in_alphabetical_order(tiny_graph):
    scans = [tiny_graph.scan_of(panorama) for panorama in catalogue.landmarks(tiny_graph)]
    assert scans == ["tinyHouse00", "tinyHouse04", "tinyHouse07"]
    for panorama, scan in zip(catalogue.landmarks(tiny_graph), scans, strict=True):
        names = [tiny_graph.viewpoints[i] for i in tiny_graph.members(scan)]
        assert tiny_graph.viewpoints[panorama] == sorted(names)[0]


def test_landmarks_of_matterport_are_fixed(real_graph):
    chosen = [
        (real_graph.scan_of(i), real_graph.viewpoints[i]) for i in catalogue.landmarks(real_graph)
    ]
    assert chosen == [
        ("17DRP5sb8fy", "00ebbf3782c64d74aaf7dd39cd561175"),
        ("WYY7iVyf5p8", "06490abbcd904090990a02b03dacf388"),
        ("zsNo4HB9uLZ", "0753202108e24c0094f09c60b8f36127"),
    ]


def test_a_world_of_one_scan_has_one_landmark(make_graph):
    assert catalogue.landmarks(make_graph([(0, 0, 0), (1, 0, 0)], ["ab"])) == (0,)


def test_a_summary_tells_norm_and_first_values(folder, values, tiny_graph):
    summary = catalogue.summarise(folder, tiny_graph)
    assert summary.mean_norm == pytest.approx(np.linalg.norm(values, axis=2).mean(), rel=1e-6)
    assert [sample.view for sample in summary.samples] == [0, 12] * 3
    for sample in summary.samples:
        row = values[tiny_graph.index(sample.scan, sample.viewpoint)]
        np.testing.assert_array_equal(np.float32(sample.values), row[sample.view, :4])


def test_features_that_agree_with_a_file_of_record_match_it(facts):
    table = {"theirs.tsv": facts, "others.tsv": {**facts, "dim": 7}}
    assert verdict(facts, table) == (
        "matches theirs.tsv in dim, dtype, image_w, image_h, vfov, file_sha256, rows, mean_norm, "
        "samples"
    )


def test_a_match_in_size_alone_is_not_taken_for_more(facts):
    table = {"theirs.tsv": {"encoder": "clip_rn50", "dim": 5, "rows": 150}}
    assert verdict(facts, table) == (
        "matches theirs.tsv in dim, rows (its contents are not on record)"
    )


def test_features_that_differ_say_in_what_and_by_how_much(facts):
    changed = {
        **facts,
        "dtype": "float16",
        "mean_norm": facts["mean_norm"] * 1.1,
        "file_sha256": "2b",
        "samples": [[*place, [v + 1 for v in values]] for *place, values in facts["samples"]],
    }
    text = verdict(facts, {"theirs.tsv": changed})
    assert text.startswith("differs from theirs.tsv in dtype (float32, known float16); ")
    for part in ("file_sha256 (1a, known 2b)", "mean_norm (2.1", "the first values of known view"):
        assert part in text


def test_features_rounded_to_half_precision_still_match(facts):
    half = [[*place, np.float16(values).tolist()] for *place, values in facts["samples"]]
    assert verdict({**facts, "samples": half}, {"theirs": facts}).startswith("matches theirs")


def test_the_closest_of_several_files_is_named(facts):
    table = {"far": {**facts, "dim": 7, "rows": 1}, "near": {**facts, "rows": 1}}
    assert verdict(facts, table) == "differs from near in rows (150, known 1)"


def test_files_of_other_encoders_do_not_count(facts):
    table = {"theirs": {**facts, "encoder": "clip_rn101"}}
    assert verdict(facts, table) == "not in the table of known files"


def test_our_own_features_are_compared_by_their_numbers_only(facts):
    table = {"theirs": {"encoder": "clip_rn50", "dim": 1024, "rows": 10_567}}
    assert verdict(facts, table, is_imported=False) == "not in the table of known files"
    table["measured"] = {**facts, "dim": 1024}
    assert verdict(facts, table, is_imported=False) == "matches measured in mean_norm, samples"


def test_what_is_remembered_adds_to_what_is_published(facts, tmp_path):
    name = "CLIP-ResNet-50-views.tsv"
    own = tmp_path / "new" / "mine.json"
    known.remember(name, {"mean_norm": 9.5}, own=own)
    known.remember("theirs", facts, own=own)
    table = known.load_known(own)
    assert len(table) == 6
    assert (table[name]["mean_norm"], table[name]["dim"]) == (9.5, 1024)
    assert verdict(facts, table).startswith("matches theirs")


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', "{"])
def test_a_table_that_is_none_is_named(tmp_path, content):
    file = tmp_path / "mine.json"
    file.write_text(content)
    with pytest.raises(CorruptData, match=r"mine.json: (no table|not valid JSON)"):
        known.load_known(file)


def test_a_table_that_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(MissingData, match=r"no.json .* Name another file with --known"):
        known.load_known(tmp_path / "no.json")


def test_a_table_that_cannot_be_written_is_named(tmp_path, facts):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"cannot write .*mine.json"):
        known.remember("theirs", facts, own=tmp_path / "file" / "mine.json")


def test_a_whole_store_has_no_damage(folder, tiny_graph):
    assert damage(folder, tiny_graph, progress=False) == []


def test_a_changed_byte_names_the_viewpoints_of_its_shard(folder, tiny_graph):
    with (folder / "values.npy").open("r+b") as stream:
        stream.seek(-3, 2)
        stream.write(b"\x01")
    (problem,) = damage(folder, tiny_graph, progress=False)
    first, last = tiny_graph.viewpoints[0], tiny_graph.viewpoints[-1]
    assert problem == f"viewpoints {first} to {last}: not what was written"


def test_numbers_that_are_not_finite_are_found(folder, tiny_graph):
    with (folder / "values.npy").open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(np.float32(np.nan).tobytes())
    problems = damage(folder, tiny_graph, progress=False)
    assert problems[1] == f"viewpoint {tiny_graph.viewpoints[-1]}: not finite"


def test_checksums_that_are_missing_are_found(folder, tiny_graph):
    file = folder / "index.json"
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "sha256": []}))
    (problem,) = damage(folder, tiny_graph, progress=False)
    assert "index.json: 0 checksums, expected 1" in problem


def test_a_cut_off_store_is_damaged(folder, tiny_graph):
    file = folder / "values.npy"
    file.write_bytes(file.read_bytes()[:-1])
    (problem,) = damage(folder, tiny_graph, progress=False)
    assert "values.npy: of " in problem
