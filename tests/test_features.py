import json
import shutil

import numpy as np
import pytest

from vln.data.objects import load_objects
from vln.encoders import ENCODERS, World, check, learns, looks
from vln.encoders.object_fit import NORM, OBJECTS, make_fit
from vln.errors import CorruptData, MissingData, MissingFeatures, UnknownName
from vln.features import store
from vln.features.opened import open_features
from vln.features.source import FeatureTable
from vln.testing import TinyWorld


@pytest.fixture
def values(tiny_graph):
    rng = np.random.default_rng(0)
    return rng.standard_normal((len(tiny_graph.viewpoints), 36, 5)).astype(np.float16)


def write(values, graph, cache, *, encoder="mine", fingerprint="ab" * 32):
    return store.write(values, graph, encoder=encoder, fingerprint=fingerprint, cache=cache)


def test_what_is_written_is_found_by_name_memory_mapped(values, tiny_graph, tmp_path):
    write(values, tiny_graph, tmp_path)
    found = store.find(tiny_graph, encoder="mine", cache=tmp_path)
    assert isinstance(found.values, np.memmap)
    assert (found.encoder, found.fingerprint) == ("mine", "ab" * 32)
    assert (found.dim, found.dtype) == (5, np.float16)
    np.testing.assert_array_equal(found.values, values)


def test_a_mapped_store_cannot_be_written_to_by_accident(values, tiny_graph, tmp_path):
    write(values, tiny_graph, tmp_path).values[0] = 0
    again = store.find(tiny_graph, encoder="mine", cache=tmp_path)
    np.testing.assert_array_equal(again.values, values)


def test_features_are_found_by_the_fingerprint_asked_for(values, tiny_graph, tmp_path):
    for name in ("ab", "cd"):
        write(values, tiny_graph, tmp_path, fingerprint=name * 32)
    for asked in ("cd" * 32, "cdcd"):
        found = store.find(tiny_graph, encoder="mine", fingerprint=asked, cache=tmp_path)
        assert found.fingerprint == "cd" * 32
    assert store.find(tiny_graph, encoder="mine", fingerprint="ef", cache=tmp_path) is None
    assert store.find(tiny_graph, encoder="other", cache=tmp_path) is None


def test_features_are_found_by_what_they_were_made_from(values, tiny_graph, tmp_path):
    given = {"encoder": "mine", "fingerprint": "ab" * 32, "cache": tmp_path}
    for number, source in enumerate(("cd" * 32, "ef" * 32)):
        store.write(values + np.float16(number), tiny_graph, source=source, **given)

    found = store.find(tiny_graph, source="ef" * 32, **given)

    np.testing.assert_array_equal(found.values, values + np.float16(1))
    assert found.fingerprint == "ab" * 32
    assert store.find(tiny_graph, source="01" * 32, **given) is None


def test_features_whose_index_names_another_source_are_refused(values, tiny_graph, tmp_path):
    given = {"encoder": "mine", "fingerprint": "ab" * 32, "source": "cd" * 32, "cache": tmp_path}
    store.write(values, tiny_graph, **given)
    file = next(tmp_path.rglob("index.json"))
    changed = {**json.loads(file.read_bytes()), "source": "cd" * 31 + "00"}
    file.write_text(json.dumps(changed))

    with pytest.raises(CorruptData, match=r"index.json: is made from cdcd.*Remove the folder"):
        store.find(tiny_graph, **given)


def test_several_features_that_fit_are_an_error_that_names_them(values, tiny_graph, tmp_path):
    for name in ("ab", "cd"):
        write(values, tiny_graph, tmp_path, fingerprint=name * 32)
    with pytest.raises(CorruptData, match=r"'mine-abab\w*', 'mine-cdcd\w*'.*Remove all but one"):
        store.find(tiny_graph, encoder="mine", cache=tmp_path)


@pytest.mark.parametrize(
    "damage",
    [lambda v: v[:-1], lambda v: v[:, :35], lambda v: v[..., 0], lambda v: v.astype(np.int64)],
)
def test_features_of_another_shape_or_type_are_refused(values, tiny_graph, tmp_path, damage):
    with pytest.raises(CorruptData, match=r"features of shape .*float16 or float32"):
        write(damage(values), tiny_graph, tmp_path)
    assert store.find(tiny_graph, encoder="mine", cache=tmp_path) is None


def test_features_that_are_not_finite_name_their_viewpoint(values, tiny_graph, tmp_path):
    values[7, 3, 2] = np.nan
    with pytest.raises(CorruptData, match=f"viewpoint {tiny_graph.viewpoints[7]}: not finite"):
        write(values, tiny_graph, tmp_path)


def test_a_cut_off_store_is_named_with_its_remedy(values, tiny_graph, tmp_path):
    write(values, tiny_graph, tmp_path)
    (file,) = tmp_path.rglob("values.npy")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CorruptData, match=rf"{file}: of .* bytes is no array .*make the features"):
        store.find(tiny_graph, encoder="mine", cache=tmp_path)


def test_a_store_without_its_index_counts_as_absent(values, tiny_graph, tmp_path):
    # The index is written last, so a kill leaves a store without one.
    write(values, tiny_graph, tmp_path)
    next(tmp_path.rglob("index.json")).unlink()
    assert store.find(tiny_graph, encoder="mine", cache=tmp_path) is None


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [("world", "ff" * 32, "is of world ffff"), ("dim", 6, r"is no array \(150, 36, 6\)")],
)
def test_a_store_of_another_world_or_width_is_refused(
    values, tiny_graph, tmp_path, key, value, told
):
    write(values, tiny_graph, tmp_path)
    file = next(tmp_path.rglob("index.json"))
    file.write_text(json.dumps({**json.loads(file.read_bytes()), key: value}))
    with pytest.raises(CorruptData, match=rf"{told}.* Remove the folder"):
        store.find(tiny_graph, encoder="mine", cache=tmp_path)


def test_gathering_follows_the_row_of_each_panorama():
    values = np.arange(3 * 36 * 2, dtype=np.float32).reshape(3, 36, 2)
    table = FeatureTable("mine", "ab", values, row=np.array([2, 2, 0, 1]))
    found = table.gather(np.array([3, 0, 1]))
    np.testing.assert_array_equal(found, values[[1, 2, 2]])


def test_one_vector_per_viewpoint_is_given_for_all_36_views():
    values = np.arange(6, dtype=np.float16).reshape(3, 1, 2)
    table = FeatureTable("mine", "ab", values, row=np.arange(3))
    found = table.gather(np.array([2, 0]))
    assert (found.shape, found.dtype) == ((2, 36, 2), np.float16)
    np.testing.assert_array_equal(found, np.repeat(values[[2, 0]], 36, axis=1))


@pytest.fixture(scope="module")
def world(tiny_world, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return World(tiny_world.folder, tiny_world.graph, cache)


def test_object_names_are_those_that_three_training_scans_show(world, tiny_world):
    seen = load_objects(world.data, world.graph)
    train = {episode.start.scan for episode in tiny_world.episodes("train")}
    scans_of = {}
    for panorama, name in zip(seen.panorama, seen.name, strict=True):
        scan = world.graph.scan_of(panorama)
        if scan in train:
            scans_of.setdefault(seen.names[name], set()).add(scan)
    expected = tuple(sorted(name for name, scans in scans_of.items() if len(scans) >= 3))
    assert make_fit(world, seen, OBJECTS).columns == expected
    assert 0 < len(expected) <= len(seen.names)


def test_names_of_too_few_training_scans_are_left_out(tiny_world, tmp_path):
    shutil.copytree(tiny_world.folder, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "reverie" / "BBox"
    for scan, name in (
        ("tinyHouse00", "spoon"),
        ("tinyHouse01", "spoon"),
        ("tinyHouse05", "spoon"),
    ):
        _rename_one_object(folder, scan, name)  # two training houses and an unseen one
    copy = TinyWorld(tmp_path)
    world = World(tmp_path, copy.graph, tmp_path)
    seen = load_objects(tmp_path, copy.graph)
    assert "spoon" in seen.names
    assert "spoon" not in make_fit(world, seen, OBJECTS).columns
    _rename_one_object(folder, "tinyHouse02", "spoon")
    assert "spoon" in make_fit(world, load_objects(tmp_path, copy.graph), OBJECTS).columns


def _rename_one_object(folder, scan, name):
    for file in sorted(folder.glob(f"{scan}_*.json")):
        content = json.loads(file.read_bytes())
        (objects,) = content.values()
        shown = [item for item in objects.values() if item["visible_pos"]]
        if shown:
            shown[0]["name"] = name
            file.write_text(json.dumps(content))
            return


def test_object_features_are_root_areas_at_the_scale_of_clips(world):
    table = open_features("objects", world)
    seen = load_objects(world.data, world.graph)
    names = make_fit(world, seen, OBJECTS).columns
    area = np.zeros((len(world.graph.viewpoints), 36, len(names)))
    for panorama, view, name, share in zip(
        seen.panorama, seen.view, seen.name, seen.area, strict=True
    ):
        if seen.names[name] in names:
            area[panorama, view, names.index(seen.names[name])] += share
    square = area.sum(axis=2)
    expected = NORM * np.sqrt(area / square[square > 0].mean())
    np.testing.assert_allclose(table.values, expected, atol=2e-2)


def test_objects_are_made_once_and_read_back(world):
    first, second = open_features("objects", world), open_features("objects", world)
    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.values, second.values)
    assert len(list((world.cache / "features").rglob("objects-*/values.npy"))) == 1


def test_shuffled_objects_stay_in_their_scan_each_exactly_once(world):
    table, objects = open_features("objects_shuffled", world), open_features("objects", world)
    graph = world.graph
    np.testing.assert_array_equal(graph.scan_index[table.row], graph.scan_index)
    np.testing.assert_array_equal(np.sort(table.row), np.arange(len(graph.viewpoints)))
    assert (table.row != np.arange(len(table.row))).mean() > 0.5
    assert table.fingerprint != objects.fingerprint
    panorama = np.array([5, 40])
    np.testing.assert_array_equal(table.gather(panorama), objects.gather(table.row[panorama]))
    np.testing.assert_array_equal(open_features("objects_shuffled", world).row, table.row)


def test_random_features_are_one_fixed_vector_per_viewpoint(world):
    table = open_features("random", world)
    found = table.gather(np.arange(len(world.graph.viewpoints)))
    assert (found == found[:, :1]).all()
    assert len(np.unique(found[:, 0], axis=0)) == len(world.graph.viewpoints)
    norms = (found[:, 0].astype(np.float64) ** 2).sum(axis=1)
    assert norms.mean() == pytest.approx(NORM**2, rel=0.05)
    np.testing.assert_array_equal(open_features("random", world).values, table.values)


def test_the_blind_encoder_sees_nothing(world):
    assert open_features("none", world) is None


def test_clip_without_features_says_what_is_missing_and_what_to_do(world):
    with pytest.raises(MissingFeatures) as caught:
        open_features("clip_rn50", world)
    message = str(caught.value)
    assert isinstance(caught.value, MissingData)
    for part in (
        f"there are none in {store.folder_of(world.graph, cache=world.cache)}",
        f"python -m vln.features import FILE --encoder clip_rn50 --data {world.data}",
        f"{36 * len(world.graph.viewpoints):,} views",
        f"images: of 0 of {len(world.graph.viewpoints)} viewpoints found in skyboxes/ or",
        f"below {world.data}. Matterport",
        "weights: put RN50.pt (sha256 afeb0e10f9e5a86d",
        f"into {world.cache / 'weights'} (or {world.data / 'weights'})",
        "--encoder none or objects",
    ):
        assert part in message


def test_clip_features_in_the_store_are_used(values, tiny_graph, tmp_path):
    write(values, tiny_graph, tmp_path, encoder="clip_rn50")
    table = open_features("clip_rn50", World(tmp_path, tiny_graph, tmp_path))
    np.testing.assert_array_equal(table.values, values)


def test_it_is_known_of_every_encoder_whether_it_learns_and_looks():
    assert [name for name in ENCODERS if learns(name)] == [
        "objects",
        "object_words",
        "objects_shuffled",
    ]
    assert not any(looks(name) for name in ("none", "objects", "object_words", "random"))
    assert all(looks(name) for name in ("image_stats", "a stranger's", "clip_rn50"))
    assert not looks("clip_rn50@01234567")  # somebody else's features must be there already


def test_an_unknown_encoder_suggests_the_closest():
    with pytest.raises(UnknownName, match=r"encoder 'object'\. Did you mean 'objects'\?"):
        check("object")
