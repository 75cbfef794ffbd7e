"""Worlds that can be asked for: what is refused, and what the ones with a name promise."""

from dataclasses import replace

import pytest

from vln.errors import BadConfig
from vln.houses import __main__ as command
from vln.houses.world import publish
from vln.houses.world.spec import SPECS, HomeGroup, WorldSpec
from vln.houses.world.write import make_world

SPEC = WorldSpec("small", seed=3, groups=(HomeGroup("train", 2, 6),), viewpoints=(14, 18))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": ()}, "a world of 0 homes"),
        ({"groups": (HomeGroup("train", 0, 5),)}, "a world of 0 homes"),
        ({"groups": (HomeGroup("train", 10**9, 5),)}, "1,000,000,000 homes"),
        ({"groups": (HomeGroup("train", 1, 0),)}, "paths per home"),
        ({"groups": (HomeGroup("train", 1, 600, seen_paths=600, seen_homes=1),)}, "val_seen"),
        ({"groups": (HomeGroup("train", 1, 6, seen_paths=-6, seen_homes=1),)}, "paths per home"),
        ({"groups": (HomeGroup("train", 1, 6, seen_paths=2, seen_homes=2),)}, "seen_homes"),
        ({"guides": 5000}, "5,000 guides"),
        ({"captions": -1}, "-1 captions"),
        ({"viewpoints": (10, 10**9)}, "10 to 1000000000 viewpoints"),
        ({"viewpoints": (60, 40)}, "60 to 40 viewpoints"),
        ({"face": 0}, "faces of 0 pixels"),
        ({"quality": 101}, "quality 101"),
    ],
)
def test_an_absurd_world_is_refused(change, message):
    with pytest.raises(BadConfig, match=message):
        replace(SPEC, **change)


def test_every_frozen_world_is_on_record():
    assert {name for name, spec in SPECS.items() if spec.frozen} == set(publish.frozen())


def test_the_command_names_unknown_worlds(tmp_path, capsys):
    assert command.main(["make", "--world", "castles", "--out", str(tmp_path / "c")]) == 2
    assert "unknown world 'castles'" in capsys.readouterr().err


def test_the_bench_keeps_its_promises():
    groups = {}
    for plan in SPECS["houses-bench-v1"].homes():
        groups.setdefault(plan.group.split, []).append(plan)
    assert len(groups["train"]) >= 60
    assert len(groups["val_unseen"]) >= 30
    assert sum(plan.group.paths for plan in groups["train"]) >= 2000
    assert sum(plan.group.paths for plan in groups["val_unseen"]) >= 600
    styles = {split: {p.style for p in plans} for split, plans in groups.items()}
    unseen = {p.style for p in groups["val_unseen"] if p.group.unseen_styles}
    assert unseen
    assert not unseen & styles["train"]
    assert {"val_unseen_home", "val_unseen_style", "val_unseen_pair"} == {
        p.group.also for p in groups["val_unseen"]
    }


@pytest.mark.parametrize("workers", [0, 100_000])
def test_absurd_numbers_of_workers_are_refused(tmp_path, workers):
    with pytest.raises(BadConfig, match=r"workers; expected 1 to 256"):
        make_world(SPEC, tmp_path / "none", workers=workers)
    assert not (tmp_path / "none").exists()
