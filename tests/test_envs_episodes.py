import dataclasses
import json

import numpy as np
import pytest

from envs.episodes import EpisodeOrder, EpisodeTable, instruction_width
from vln.errors import BadConfig, CheckpointMismatch, UnknownName
from vln.text import decode


def test_the_table_says_where_every_episode_begins_and_ends(tiny_world):
    episodes = tiny_world.episodes("train")

    table = EpisodeTable.compile(episodes, graph=tiny_world.graph)

    for index, episode in enumerate(episodes):
        viewpoints = tiny_world.graph.viewpoints
        assert viewpoints[table.start[index]] == episode.start.viewpoint
        assert viewpoints[table.goal[index]] == episode.reference[-1]
        assert table.heading[index] == episode.start.heading
        assert (table.scan[index], table.id[index]) == (episode.start.scan, episode.id)


def test_the_table_has_no_goals_where_labels_are_held_out(tiny_world):
    table = EpisodeTable.compile(tiny_world.episodes("test"), graph=tiny_world.graph)

    assert (table.goal == -1).all()


def test_instructions_survive_the_way_through_bytes(tiny_world):
    episodes = tiny_world.episodes("val_seen")
    table = EpisodeTable.compile(episodes, graph=tiny_world.graph, width=2000)

    rows = table.instructions(range(len(episodes)))

    assert rows.shape == (len(episodes), 2000)
    assert [decode(row) for row in rows] == [e.instruction for e in episodes]


def test_the_width_is_the_longest_instruction_of_all_splits(tiny_world):
    splits = ("train", "val_seen", "val_unseen", "test")
    longest = max(len(e.instruction.encode()) for s in splits for e in tiny_world.episodes(s))

    width = instruction_width("r2r", data=tiny_world.folder, graph=tiny_world.graph)

    assert width == longest


def test_the_width_of_a_data_set_without_a_test_split_is_found(tiny_world):
    width = instruction_width("r4r", data=tiny_world.folder, graph=tiny_world.graph)

    assert width > instruction_width("r2r", data=tiny_world.folder, graph=tiny_world.graph)


def with_instruction(episodes, text):
    changed = dataclasses.replace(episodes.episodes[0], instruction=text)
    return dataclasses.replace(episodes, episodes=(changed,))


@pytest.mark.parametrize(
    ("text", "width", "complaint"),
    [("far too long", 5, "more than the 5 given"), ("a\0b", None, "NUL")],
)
def test_an_instruction_that_does_not_fit_a_row_is_refused(tiny_world, text, width, complaint):
    episodes = with_instruction(tiny_world.episodes("val_seen"), text)

    with pytest.raises(BadConfig, match=complaint):
        EpisodeTable.compile(episodes, graph=tiny_world.graph, width=width)


def test_no_episodes_are_no_table(tiny_world):
    empty = dataclasses.replace(tiny_world.episodes("test"), episodes=())

    with pytest.raises(BadConfig, match="no episodes"):
        EpisodeTable.compile(empty, graph=tiny_world.graph)


@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_every_pass_holds_every_episode_once(order):
    draws = EpisodeOrder(10, order=order)
    rng = np.random.default_rng(0)

    drawn = np.concatenate([draws.draw(count, rng) for count in (3, 3, 3, 3, 25, 3)])

    for one_pass in drawn.reshape(4, 10):
        assert sorted(one_pass) == list(range(10))


def test_passes_are_shuffled_differently():
    draws = EpisodeOrder(50)
    rng = np.random.default_rng(0)

    assert not np.array_equal(draws.draw(50, rng), draws.draw(50, rng))


def test_the_sequential_order_is_that_of_the_file():
    draws = EpisodeOrder(4, order="sequential")

    drawn = draws.draw(6, np.random.default_rng(0))

    assert drawn.tolist() == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("drawn_before", [0, 4, 10, 13])
def test_a_restored_order_goes_on_with_the_very_next_episode(drawn_before):
    draws, rng = EpisodeOrder(10), np.random.default_rng(5)
    draws.draw(drawn_before, rng)
    saved, generator = json.loads(json.dumps(draws.state())), rng.bit_generator.state
    expected = draws.draw(30, rng)

    other, other_rng = EpisodeOrder(10), np.random.default_rng(99)
    other.restore(saved, other_rng)
    other_rng.bit_generator.state = generator

    assert other.draw(30, other_rng).tolist() == expected.tolist()


def test_an_order_over_other_episodes_cannot_be_restored():
    saved = EpisodeOrder(10).state()

    with pytest.raises(CheckpointMismatch, match="over 10 episodes, this one is shuffled over 11"):
        EpisodeOrder(11).restore(saved, np.random.default_rng(0))


def test_a_misspelt_order_is_an_error_with_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'shuffled'"):
        EpisodeOrder(3, order="shufled")
