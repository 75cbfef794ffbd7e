"""Floor plans and sheets of homes show what is there; the command says what it cannot show."""

import dataclasses
import math

import cv2
import numpy as np
import orjson
import pytest

from vln.errors import BadConfig, UnknownName
from vln.houses import __main__ as command
from vln.houses.building.catalogue import COLOURS
from vln.houses.building.home import make_home
from vln.houses.building.scene import scene_file, to_json
from vln.houses.graph.navigate import records, walk_of
from vln.houses.world.spec import SPECS
from vln.panorama.faces import Panorama
from vln.panorama.skybox import STRIP
from vln.viz import plans
from vln.viz.canvas import PAPER
from vln.viz.home_sheet import (
    EYE,
    Look,
    RenderedPanoramas,
    best_look,
    draw_home_sheet,
    open_planned,
    view_along,
)


def draw_plan(home, walk=None, **options):
    """A small plan, for speed."""
    return plans.draw_plan(home, walk, **{"pixels_per_metre": 22, **options})


RED = np.array([255, 0, 0], np.uint8)


@pytest.fixture(scope="module")
def home():
    """A home with two floors."""
    for seed in range(40):
        made = make_home("h", seed=seed, style="nordic", new_pairs=False, viewpoints=52)
        if made.stairs:
            return made
    raise AssertionError("no seed gives stairs")


@pytest.fixture(scope="module")
def walk(home):
    return walk_of(home)


@pytest.fixture(scope="module")
def world(home, walk, tmp_path_factory):
    """A folder with the home's scene and graph; one viewpoint has a picture, all red."""
    folder = tmp_path_factory.mktemp("world")
    scene_file(folder, "h").parent.mkdir()
    scene_file(folder, "h").write_bytes(to_json(home))
    (folder / "connectivity").mkdir()
    graph = folder / "connectivity" / "h_connectivity.json"
    graph.write_bytes(orjson.dumps(records(walk)))
    (folder / "connectivity" / "scans.txt").write_text("h\n")
    strip = folder / "skyboxes" / "h" / STRIP.format(viewpoint=walk.ids[0])
    strip.parent.mkdir(parents=True)
    cv2.imwrite(str(strip), np.tile(RED[::-1], (32, 192, 1)))
    return folder


def share_of(image, colour, *, within=12):
    """The share of pixels that have a colour, roughly."""
    return (np.abs(image.astype(int) - colour).max(axis=-1) <= within).mean()


def recoloured(home, colour):
    items = tuple(dataclasses.replace(item, colour=colour) for item in home.items)
    return dataclasses.replace(home, items=items)


class Flat:
    """Panoramas of one colour, which remember what was asked for."""

    def __init__(self, colour):
        self.colour, self.asked = colour, []

    def panorama(self, scan, viewpoint):
        self.asked.append(viewpoint)
        faces = np.tile(np.array(self.colour, np.uint8), (6, 8, 8, 1))
        return Panorama.of(faces, rotation=np.eye(3))


def test_storeys_stand_side_by_side_and_are_drawn_to_scale(home):
    plan = draw_plan(home, pixels_per_metre=20)

    wide = 0.0
    for storey in {room.storey for room in home.rooms}:
        boxes = np.array([room.box for room in home.rooms if room.storey == storey])
        wide += np.ptp(boxes[:, [0, 2]]) + 2 * 0.12 + 2 * 0.7
    assert plan.dtype == np.uint8
    assert plan.shape[1] == pytest.approx(max(wide * 20 - 0.7 * 20, 560), abs=2)


def test_objects_have_their_colours_on_a_plan(home):
    purple, orange = (draw_plan(recoloured(home, name)) for name in ("purple", "orange"))

    assert share_of(purple, COLOURS["purple"]) > 0.01 > 5 * share_of(orange, COLOURS["purple"])
    assert share_of(orange, COLOURS["orange"]) > 0.01


def test_a_plan_shows_viewpoints_and_a_path_only_where_they_are_given(home, walk):
    far = int(np.argmax(np.linalg.norm(walk.position - walk.position[0], axis=1)))
    bare, with_graph = draw_plan(home), draw_plan(home, walk)
    with_path = draw_plan(home, walk, path=[0, far])

    assert bare.shape == with_graph.shape == with_path.shape
    assert (bare != with_graph).any(axis=-1).sum() > 20 * len(walk)
    assert share_of(with_path, (247, 190, 36)) > share_of(with_graph, (247, 190, 36))


def test_a_path_over_stairs_goes_on_on_the_other_floor(home, walk):
    foot, middle = np.argwhere(walk.stairs >= 0)[0]
    heads = [v for v in np.flatnonzero(walk.stairs[middle] >= 0) if v != foot]
    before = draw_plan(home, walk)
    after = draw_plan(home, walk, path=[int(foot), int(middle), int(heads[0])])

    columns = np.flatnonzero((before != after).any(axis=(0, 2)))
    assert np.ptp(columns) > before.shape[1] / 4
    assert np.diff(columns).max() > 40  # nothing is drawn across the gap between the floors


def test_a_plan_repeats_itself_and_leaves_the_home_alone(home, walk):
    written = to_json(home)
    assert np.array_equal(draw_plan(home, walk), draw_plan(home, walk))
    assert to_json(home) == written


@pytest.mark.parametrize("path", [[0, 10_000], [-1]])
def test_a_path_of_strangers_is_refused(home, walk, path):
    with pytest.raises(BadConfig, match="expected 0 to"):
        draw_plan(home, walk, path=path)
    with pytest.raises(BadConfig, match="none without the walk"):
        draw_plan(home, path=path)


def test_a_home_without_objects_or_windows_has_a_plan(home):
    empty = dataclasses.replace(home, items=(), openings=(), stairs=())
    assert share_of(draw_plan(empty), PAPER, within=0) < 0.9


def test_the_best_look_is_from_inside_and_shows_furniture(home, walk):
    for room in np.unique(walk.room).tolist():
        look = best_look(home, walk, room)
        assert walk.room[look.viewpoint] == room
        middles = [item.position[:2] for item in home.items if item.room == room]
        offset = np.array(middles).reshape(-1, 2) - walk.position[look.viewpoint, :2]
        aside = np.arctan2(offset[:, 0], offset[:, 1]) - look.heading
        assert (np.cos(aside) > math.cos(math.radians(40))).any()


def test_an_empty_room_is_looked_at_along_its_length(home, walk):
    room = int(walk.room[0])
    look = best_look(dataclasses.replace(home, items=()), walk, room)
    x0, y0, x1, y1 = home.rooms[room].box
    assert look == Look(int(np.flatnonzero(walk.room == room)[0]), look.heading)
    assert (math.sin(look.heading) > 0.5) == (x1 - x0 > y1 - y0)


def test_a_sheet_has_one_view_for_each_room(home, walk):
    blue = Flat((0, 0, 255))
    sheet = draw_home_sheet(home, walk, blue, columns=3)

    rooms = np.unique(walk.room)
    assert [walk.room[walk.ids.index(name)] for name in blue.asked] == rooms.tolist()
    shown = (sheet == (0, 0, 255)).all(axis=-1).sum()
    assert shown == len(rooms) * EYE.width * EYE.height


def test_drawn_panoramas_are_what_the_renderer_gives(home, walk):
    drawn = RenderedPanoramas(home, walk, size=24)
    panorama = drawn.panorama("h", walk.ids[3])

    assert panorama.faces.shape == (6, 24, 24, 3)
    assert np.array_equal(panorama.rotation, walk.rotation[3])
    assert view_along(panorama, 1.0).std() > 5
    with pytest.raises(UnknownName, match="unknown home 'x'"):
        drawn.panorama("x", walk.ids[3])
    with pytest.raises(UnknownName, match="viewpoint"):
        drawn.panorama("h", "nowhere")


def test_skyboxes_are_read_where_they_are_and_drawn_elsewhere(home, walk, world, monkeypatch):
    blue = Flat((0, 0, 255))
    monkeypatch.setattr("vln.viz.home_sheet.RenderedPanoramas", lambda *_: blue)
    from vln.viz.home_sheet import open_made

    found, back, source = open_made(world, "h")

    assert (to_json(found), back.ids) == (to_json(home), walk.ids)
    assert share_of(source.panorama("h", walk.ids[0]).faces, RED) == 1
    assert share_of(source.panorama("h", walk.ids[1]).faces, (0, 0, 255)) == 1
    assert blue.asked == [walk.ids[1]]


def test_a_home_of_a_world_that_was_never_made_can_be_shown():
    home, walk, _ = open_planned(SPECS["houses-tiny"], "house0002")
    assert home.scan == "house0002"
    assert len(walk) > 5
    with pytest.raises(UnknownName, match="Did you mean 'house0002'"):
        open_planned(SPECS["houses-tiny"], "house0002x")


def test_the_command_writes_a_sheet(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vln.viz.home_sheet.RenderedPanoramas", lambda *_: Flat((0, 0, 255)))
    out = tmp_path / "new" / "sheet.png"
    code = command.main(["show", "--scan", "h", "--data", str(world), "--out", str(out)])

    image = cv2.imread(str(out))
    assert code == 0
    assert capsys.readouterr().out == f"{out}: {image.shape[1]} x {image.shape[0]} pixels\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--scan", "h", "--out", "a.jpg"], "is no PNG"),
        (["--scan", "h", "--out", "a.png", "--world", "hauses"], "Did you mean 'houses'"),
        (["--scan", "house9", "--out", "a.png", "--world", "houses-tiny"], "unknown home 'house9'"),
        (["--scan", "h", "--out", "a.png", "--data", "nowhere"], "nowhere/scenes/h.json"),
    ],
)
def test_what_cannot_be_shown_is_said(arguments, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VLN_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert command.main(["show", *arguments]) == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_that_cannot_be_written_is_one_line(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vln.viz.home_sheet.RenderedPanoramas", lambda *_: Flat((0, 0, 255)))
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "sheet.png"
    assert command.main(["show", "--scan", "h", "--data", str(world), "--out", str(out)]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_the_command_names_its_parts(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    help_text = capsys.readouterr().out
    assert all(name in help_text for name in ("make", "twin", "show"))


def test_twins_are_made_of_the_world_that_is_named(tmp_path, monkeypatch, capsys):
    given = {}

    def run(world, out, **options):
        given.update(options, world=world, out=out)
        return "done"

    monkeypatch.setenv("VLN_CACHE", str(tmp_path))
    monkeypatch.setattr("vln.houses.world.twin.run", run)
    monkeypatch.setattr(
        "vln.worlds.locate", lambda env, data, pictures: type("L", (), {"data": tmp_path})
    )
    code = command.main(["twin", "--world", "houses-tiny", "--count", "3", "--no-pictures"])

    assert (code, capsys.readouterr().out) == (0, "done\n")
    assert given["world"] == tmp_path
    assert given["out"] == tmp_path / "houses" / "houses-tiny-twins"
    assert (given["count"], given["pictures"], len(given["kinds"])) == (3, False, 5)
