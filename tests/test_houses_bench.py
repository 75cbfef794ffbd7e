"""The benchmark of homes counts right, times what it says, and draws what the README shows."""

import dataclasses
import json
import math

import cv2
import numpy as np
import orjson
import pytest

from benchmarks import house_gallery, house_stats, houses
from benchmarks.house_stats import as_table, measure_world
from benchmarks.speed.houses import HouseSetting
from benchmarks.tables import as_markdown
from vln.errors import BadConfig, MissingData
from vln.houses.building.home import make_home
from vln.houses.building.scene import scene_file, to_json
from vln.houses.graph.navigate import records, walk_of
from vln.houses.graph.sight import sights_of
from vln.houses.world.pairs import Twin
from vln.houses.world.spec import SPECS, about
from vln.viz.home_sheet import RenderedPanoramas


@pytest.fixture
def corridor(tmp_path, write_house):
    """Six viewpoints 2 m apart in a row to the north, one path of each labelled split's kind."""
    positions = [(0, 2.0 * i, 1.5) for i in range(6)]
    write_house(tmp_path / "connectivity", positions, ["ab", "bc", "cd", "de", "ef"])
    shared = {"scan": "house", "instructions": ["Go to the bed . Stop .", "Walk ."]}
    east = math.pi / 2
    train = [
        {**shared, "path_id": 1, "path": list("abcd"), "heading": 0.2, "distance": 6.0},
        {**shared, "path_id": 2, "path": list("bcdef"), "heading": east, "distance": 8.0},
    ]
    test = [{**shared, "path_id": 3, "path": ["a"], "heading": 0.0}]
    (tmp_path / "r2r").mkdir()
    for split, written in (("train", train), ("test", test)):
        (tmp_path / "r2r" / f"R2R_{split}.json").write_bytes(orjson.dumps(written))
    return tmp_path


def boxes(folder, *, names):
    """Writes boxes: viewpoint a shows every object in two views, the others nothing."""
    (folder / "reverie" / "BBox").mkdir(parents=True)
    for viewpoint in "abcdef":
        seen = {
            str(number): {"name": name, "visible_pos": [1, 2], "bbox2d": [[0, 0, 9, 9]] * 2}
            for number, name in enumerate(names if viewpoint == "a" else [])
        }
        file = folder / "reverie" / "BBox" / f"house_{viewpoint}.json"
        file.write_bytes(orjson.dumps({viewpoint: seen}))


def test_paths_and_graph_are_counted_by_hand(corridor):
    found = measure_world(corridor)

    assert (found.homes, found.viewpoints_per_home) == (1, 6)
    assert found.edges_per_viewpoint == pytest.approx(10 / 6)
    assert found.edge_metres == pytest.approx(2.0)
    assert found.paths == {"train": 2, "test": 1}
    assert found.viewpoints_per_path == {4: 0.5, 5: 0.5}
    assert found.path_metres == pytest.approx(7.0)
    # Within 3 m of d: c, d, e; of f: e, f.
    assert found.goal_disc == pytest.approx((3 / 6 + 2 / 6) / 2)
    assert found.facing == 0.5
    assert found.instruction_tokens == pytest.approx((7 + 2) / 2)
    assert found.vocabulary == 1  # the full stop alone stands five times


def test_what_files_do_not_say_is_left_out(corridor):
    found = measure_world(corridor)
    assert found.rooms_per_home is found.objects_per_home is found.categories is None
    assert "| rooms per home " in as_markdown(as_table({"made": found}))


def test_objects_are_counted_once_a_home_and_boxes_once_a_view(corridor):
    boxes(corridor, names=["red bed", "red bed", "blue sofa"])
    found = measure_world(corridor)
    assert found.objects_per_home == 3
    assert found.objects_per_view == pytest.approx(6 / (6 * 36))
    assert found.categories == 2


def test_a_folder_without_labels_is_refused(corridor):
    (corridor / "r2r" / "R2R_train.json").unlink()
    with pytest.raises(MissingData, match="no labelled paths"):
        measure_world(corridor)


def test_r2r_has_its_published_numbers(real_data):
    found = measure_world(real_data)
    assert found.paths == {"train": 4675, "val_seen": 340, "val_unseen": 783, "test": 1391}
    assert found.path_metres == pytest.approx(9.89, abs=0.05)
    assert found.instruction_tokens == pytest.approx(29, abs=0.5)
    assert set(found.viewpoints_per_path) == {4, 5, 6, 7}


def test_the_command_lays_a_world_beside_r2r(corridor, tmp_path, monkeypatch, capsys):
    mark = about(SPECS[houses.Stats().world])
    (corridor / "world.json").write_text(json.dumps(mark))
    monkeypatch.delenv("VLN_DATA", raising=False)
    command = ["stats", "--data", str(corridor), "--out", str(tmp_path / "made")]
    assert houses.main([*command, "--beside", str(corridor)]) == 0

    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "made" / "houses_stats.json").read_text())
    assert (tmp_path / "made" / "houses_stats.md").read_text().strip() == printed.strip()
    assert written["houses"] == written["R2R"]
    assert written["R2R"]["viewpoints_per_path"] == {"4": 0.5, "5": 0.5}

    assert houses.main(command) == 0
    assert "R2R |" not in capsys.readouterr().out


def test_the_command_times_everything_quickly(tmp_path, capsys):
    code = houses.main(["speed", "--quick", "--out", str(tmp_path)])

    written = json.loads((tmp_path / "houses.json").read_text())
    document = (tmp_path / "houses.md").read_text()
    assert code == 0
    assert {row["group"] for row in written["rows"]} == set(houses.GROUPS)
    assert all(row["value"] > 0 for row in written["rows"])
    assert {row["unit"] for row in written["rows"]} == {"s", "faces/s", "kB"}
    assert {"cpu", "cores", "numba", "threads"} <= set(written["machine"])
    assert "these numbers mean nothing" in document
    assert "incumbent" not in document
    assert document.strip() == capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["speed", "--repeats", "0"], "repeats 0"),
        (["speed", "--only", "picture"], "Did you mean 'pictures'"),
        (["gallery", "--only", "twins"], "Did you mean 'twin'"),
        (["stats", "--world", "hauses"], "Did you mean 'houses'"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VLN_CACHE", str(tmp_path / "cache"))
    assert houses.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pictures_are_taken_all_over_a_home():
    setting = HouseSetting(quick=True)
    everywhere = dataclasses.replace(setting, quick=False)
    assert len(setting.stops) == 1
    assert len(everywhere.plans) == 4
    assert everywhere.size == 512


@pytest.fixture(scope="module")
def small():
    home = make_home("h", seed=3, style="nordic", new_pairs=False, viewpoints=16)
    return home, walk_of(home)


@pytest.fixture
def gallery(small, monkeypatch):
    """The gallery with small pictures, of one home with five names and three styles."""
    home, walk = small
    styles = ("nordic", "retro", "nordic", "candy", "loft")
    names = [f"h{number}" for number in range(5)]
    homes = {
        name: (dataclasses.replace(home, scan=name, style=style), walk)
        for name, style in zip(names, styles, strict=True)
    }
    monkeypatch.setattr(house_gallery, "FACE", 16)
    monkeypatch.setattr(house_gallery, "planned", lambda: dict.fromkeys(names))
    monkeypatch.setattr(house_gallery, "made", homes.__getitem__)
    return homes


def test_every_room_of_the_gallery_is_of_another_home_and_kind(gallery):
    chosen = list(house_gallery.one_of_each_kind())

    kinds = [gallery[scan][0].rooms[room].kind for scan, room, _ in chosen]
    styles = [gallery[scan][0].style for scan, _, _ in chosen]
    assert len({scan for scan, _, _ in chosen}) == len(chosen) == len(set(kinds)) >= 4
    assert set(styles) >= {"nordic", "retro", "candy", "loft"}


def test_three_different_homes_have_their_plans_shown_one_of_an_unseen_style(gallery):
    chosen = house_gallery.three_plans()
    assert len(set(chosen)) == 3
    assert "h4" in chosen


def test_the_pictures_are_files_of_their_kind(gallery):
    rooms = cv2.imdecode(np.frombuffer(house_gallery.houses(), np.uint8), cv2.IMREAD_COLOR)
    plans = house_gallery.plans()

    cell = 320 + 3 + 96 + 30 + 6
    assert rooms.shape[1] == 4 * (480 + 6)
    assert rooms.shape[0] % cell == 0
    assert plans.startswith(b"\x89PNG")


def test_a_twin_stands_beside_what_it_was_made_from(small, monkeypatch):
    home, walk = small
    monkeypatch.setattr(house_gallery, "FACE", 32)
    sights = sights_of(home, walk)
    item = int(sights.item[np.argmax(np.where(sights.distance > 1.5, sights.pixels, 0))])
    other = "red" if home.items[item].colour != "red" else "blue"
    items = list(home.items)
    items[item] = dataclasses.replace(items[item], colour=other)
    changed = dataclasses.replace(home, scan="hx", items=tuple(items))
    record = {"path": [walk.ids[0]], "instructions": ["Walk ."], "changed": {"what": "a <-> b"}}
    twin = Twin("recoloured", record, record, changed, walk, sights, (0,))

    viewpoint, heading = house_gallery.where_it_shows(twin, home, walk)
    picture = house_gallery.side_by_side(twin, home, walk)

    offset = np.array(home.items[item].position[:2]) - walk.position[viewpoint, :2]
    assert math.cos(math.atan2(*offset) - heading) > 0.9
    left, right = np.split(picture[64 : 64 + 480], 2, axis=1)
    differs = (np.abs(left[:, :720].astype(int) - right[:, :720]).max(axis=-1) > 20).mean()
    assert 0.002 < differs < 0.5


def test_a_cylinder_shows_all_that_is_around_with_the_heading_in_the_middle(small):
    home, walk = small
    panorama = RenderedPanoramas(home, walk, size=96).panorama("h", walk.ids[0])

    ahead, behind = (house_gallery.cylinder(panorama, turn) for turn in (0.0, math.pi))

    assert ahead.shape == (96, 480, 3)
    half = ahead.shape[1] // 2
    assert np.array_equal(np.roll(ahead, half, axis=1), behind)
    assert ahead.std() > 5


def test_a_jpeg_gets_worse_until_it_fits():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    small = house_gallery.jpeg(noise, most_bytes=4500)
    assert 1000 < len(small) <= 4500 < len(house_gallery.jpeg(noise, most_bytes=10**6))
    with pytest.raises(BadConfig, match="does not fit into 10 bytes"):
        house_gallery.jpeg(noise, most_bytes=10)


def test_statistics_read_the_rooms_of_scenes(small, tmp_path):
    home, walk = small
    scene_file(tmp_path, "h").parent.mkdir()
    scene_file(tmp_path, "h").write_bytes(to_json(home))
    (tmp_path / "connectivity").mkdir()
    (tmp_path / "connectivity" / "h_connectivity.json").write_bytes(orjson.dumps(records(walk)))
    (tmp_path / "connectivity" / "scans.txt").write_text("h\n")
    start = int(np.argmax(walk.adjacency.sum(axis=0)))
    path = [walk.ids[start], walk.ids[int(np.argmax(walk.adjacency[start]))]]
    record = {"scan": "h", "path_id": 1, "path": path, "heading": 0.0, "instructions": ["Go."]}
    (tmp_path / "r2r").mkdir()
    (tmp_path / "r2r" / "R2R_train.json").write_bytes(orjson.dumps([record]))

    found = house_stats.measure_world(tmp_path)

    assert found.rooms_per_home == len(home.rooms)
    assert found.viewpoints_per_home == len(walk)
