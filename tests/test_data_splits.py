import pytest

from vln.data.episodes import DATASETS, load_episodes
from vln.data.splits import dev_scans
from vln.errors import BadConfig, UnknownName
from vln.types import Episode, Pose


def episodes_in(*scans):
    return [Episode(str(i), Pose(s, "v", 0.0, 0.0), "", "en", None) for i, s in enumerate(scans)]


def test_dev_houses_are_those_val_seen_never_visits():
    assert dev_scans(episodes_in("a", "b", "c", "c"), seen={"a", "b", "x"}) == {"c"}


def test_where_val_seen_visits_every_house_the_first_by_hash_are_held_out():
    # SHA-256 order of these names: d, c, b, e, a; "d" alone holds less than 2 % of the episodes.
    train = episodes_in(*"a" * 500, *"b" * 500, *"c" * 500, "d", *"e" * 500)
    assert dev_scans(train, seen=set("abcde")) == {"d", "c"}


def test_houses_are_never_all_held_out():
    assert len(dev_scans(episodes_in("a", "b"), seen=set())) == 1


def test_a_single_house_cannot_be_held_out():
    with pytest.raises(BadConfig, match=r"1 house\(s\)"):
        dev_scans(episodes_in("a", "a"), seen={"a"})


def test_dev_and_train_fit_share_no_house_and_make_up_train(tiny_world):
    dev, fit, train = (tiny_world.episodes(s) for s in ("dev", "train_fit", "train"))
    assert not {e.start.scan for e in dev} & {e.start.scan for e in fit}
    assert {e.id for e in dev} | {e.id for e in fit} == {e.id for e in train}
    assert dev.split == "dev"
    assert dev.sha256 == train.sha256


def test_val_seens_houses_stay_in_train_fit(tiny_world):
    seen = {e.start.scan for e in tiny_world.episodes("val_seen")}
    assert seen <= {e.start.scan for e in tiny_world.episodes("train_fit")}


def test_a_random_part_is_the_same_every_time_and_in_file_order(tiny_world):
    part = tiny_world.episodes("train@50")
    whole = [episode.id for episode in tiny_world.episodes("train")]
    chosen = [episode.id for episode in part]
    assert part.split == "train@50"
    assert len(set(chosen)) == 50
    assert chosen == sorted(chosen, key=whole.index)
    assert part == tiny_world.episodes("train@50")
    assert chosen != whole[:50]


@pytest.mark.parametrize("size", [0, 10_000])
def test_a_part_larger_than_the_whole_is_refused(tiny_world, size):
    with pytest.raises(BadConfig, match=rf"@{size} cannot be taken. Ask for 1 to"):
        tiny_world.episodes(f"train@{size}")


def test_an_unknown_data_set_suggests_the_closest(tiny_world):
    with pytest.raises(UnknownName, match=r"unknown data set 'r2'\. Did you mean 'r2r'"):
        load_episodes("r2", "train", data=tiny_world.folder, graph=tiny_world.graph)


@pytest.mark.parametrize("dataset", list(DATASETS))
def test_every_data_set_gives_walks_along_edges_with_ids_of_their_own(tiny_world, dataset):
    graph = tiny_world.graph
    for split in ("train", "val_seen", "val_unseen", "dev"):
        episodes = tiny_world.episodes(split, dataset=dataset)
        assert episodes.dataset == dataset
        assert len({episode.id for episode in episodes}) == len(episodes) > 0
        for episode in episodes.episodes[::25]:
            walk = graph.indices(episode.start.scan, episode.reference)
            assert graph.is_edge(walk[:-1], walk[1:]).all()
            assert episode.reference[0] == episode.start.viewpoint
