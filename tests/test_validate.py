import json

import numpy as np
import pytest

from benchmarks import validate
from benchmarks.leaderboards import LEADERBOARDS
from vln.data.episodes import load_episodes
from vln.errors import UnknownName
from vln.types import Pose, Trajectory


@pytest.fixture
def walks(tiny_world, tiny_graph):
    """A walk of three viewpoints for every episode of test, as a leaderboard file holds them."""
    rng = np.random.default_rng(0)
    walks = {}
    for episode in tiny_world.episodes("test"):
        path = [tiny_graph.index(episode.start.scan, episode.start.viewpoint)]
        for _ in range(2):
            slot = rng.integers(tiny_graph.degree[path[-1]])
            path.append(int(tiny_graph.neighbour[path[-1], slot]))
        walks[episode.id] = [[tiny_graph.viewpoints[panorama], 0.5, 0.0] for panorama in path]
    return walks


@pytest.fixture
def command(tiny_world, tmp_path, capsys):
    """Runs the command on {id: trajectory}, or pairs; gives exit code, output, errors."""

    def run(walks, *options):
        file = tmp_path / "submission.json"
        pairs = walks.items() if isinstance(walks, dict) else walks
        file.write_text(json.dumps([{"instr_id": n, "trajectory": t} for n, t in pairs]))
        place = ["--env", "r2r", "--split", "test", "--data", str(tiny_world.folder)]
        code = validate.main([str(file), *place, *options])
        return code, *capsys.readouterr()

    return run


def test_a_file_in_order_gets_one_line(command, walks):
    code, out, err = command(walks)

    assert (code, err, out.count("\n")) == (0, "", 1)
    assert f"in order for R2R, EvalAI challenge 97: {len(walks)} records of test" in out


def test_bare_viewpoint_ids_and_turns_on_the_spot_pass(command, walks):
    ids_only = {name: [step[0] for step in steps] for name, steps in walks.items()}
    turning = {name: [step for step in steps for _ in range(2)] for name, steps in walks.items()}

    assert command(ids_only)[0] == 0
    assert command(turning)[0] == 0


def test_every_offence_is_named_with_its_remedy(command, walks, tiny_graph):
    missing, twice, unknown_place, wrong_start, jumping = list(walks)[:5]
    scan = tiny_graph.scans[-1]
    del walks[missing]
    walks[unknown_place][1][0] = "nowhere"
    walks[wrong_start].pop(0)
    start = tiny_graph.index(scan, walks[jumping][0][0])
    members = np.array(tiny_graph.members(scan))
    far = members[tiny_graph.distance(start, members) > 5][0]
    walks[jumping][1:] = [[tiny_graph.viewpoints[far], 0.0, 0.0]]

    code, out, _ = command([*walks.items(), (twice, walks[twice]), ("nobody_0", walks[twice])])

    assert code == 1
    assert f"instr_id {missing} has no record" in out
    assert f"instr_id {twice} has 2 records" in out
    assert "instr_id nobody_0 is no instruction of this split" in out
    assert f"instr_id {unknown_place} entry 1 is viewpoint nowhere, which scan {scan}" in out
    assert f"instr_id {wrong_start} starts at" in out
    assert f"instr_id {jumping} move 1 goes from" in out
    assert "jump (1). List every viewpoint walked through" in out
    assert "6 offences in 6 records; not in order." in out


def test_every_offence_of_one_record_is_named(command, walks):
    name = next(iter(walks))
    walks[name] = [walks[name][0], ["nowhere", 0.0, 0.0], ["elsewhere", 0.0, 0.0]]

    _, out, _ = command(walks)

    assert "entry 1 is viewpoint nowhere" in out
    assert "entry 2 is viewpoint elsewhere" in out


def test_a_step_over_several_edges_is_named_and_fixed(command, walks, tmp_path):
    name = next(iter(walks))
    ids = [step[0] for step in walks[name]]
    walks[name] = [ids[:1], ids[1:]]
    fixed = tmp_path / "fixed.json"

    code, out, _ = command(walks)
    fixed_code, fixed_out, _ = command(walks, "--fix", str(fixed))

    assert code == 1
    assert f"instr_id {name} entry 1 holds 2 viewpoints instead of one" in out
    assert "`--fix OUT`" in out
    assert fixed_code == 0
    assert fixed_out.startswith(f"{fixed}: in order")
    written = {record["instr_id"]: record["trajectory"] for record in json.loads(fixed.read_text())}
    assert written[name] == [[viewpoint, 0.0, 0.0] for viewpoint in ids]
    assert [step for n, steps in walks.items() if n != name for step in steps] == [
        step for n, steps in written.items() if n != name for step in steps
    ]


def test_a_fixed_file_is_still_checked(command, walks, tmp_path):
    del walks[next(iter(walks))]

    code, out, _ = command(walks, "--fix", str(tmp_path / "fixed.json"))

    assert code == 1
    assert "missing (1)" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "not valid JSON"),
        ("{}", "expected a JSON list"),
        ('[{"instr_id": "1_0"}]', "record 0"),
    ],
)
def test_a_file_that_is_no_submission_is_an_error(tiny_world, tmp_path, capsys, content, message):
    file = tmp_path / "broken.json"
    file.write_text(content)
    place = ["--env", "r2r", "--split", "test", "--data", str(tiny_world.folder)]

    code = validate.main([str(file), *place])

    assert code == 2
    assert message in capsys.readouterr().err


def test_a_data_set_without_leaderboard_is_named(tiny_world, capsys):
    place = ["--env", "r4r", "--split", "test", "--data", str(tiny_world.folder)]

    code = validate.main(["any.json", *place])

    assert code == 2
    assert "unknown leaderboard 'r4r'" in capsys.readouterr().err
    with pytest.raises(UnknownName):
        LEADERBOARDS["r4r"]


def test_what_the_leaderboard_writes_it_accepts(tiny_world, tiny_graph, tmp_path):
    board = LEADERBOARDS["r2r"]
    split = tiny_world.episodes("test")
    stops = [
        Trajectory(e.id, (Pose(e.start.scan, e.start.viewpoint, 0.0, 0.0),), stopped=True)
        for e in split
    ]

    board.write(stops, tmp_path / "stops.json")

    assert board.validate(tmp_path / "stops.json", split=split, graph=tiny_graph) == []


def test_real_prediction_files_pass_the_servers_checks(real_data, real_graph):
    split = load_episodes("r2r", "val_unseen", data=real_data, graph=real_graph)
    file = real_data / "predictions" / "seq2seq_val_unseen_iter_10000.json.gz"

    assert LEADERBOARDS["r2r"].validate(file, split=split, graph=real_graph) == []
