import numpy as np

from vln.metrics.divergence import OUTCOMES, first_divergence, outcomes
from vln.metrics.paths import score_paths


def diverged(path, reference):
    return int(
        first_divergence(
            np.array([path]),
            lengths=np.array([len(path)]),
            references=np.array([reference]),
            reference_lengths=np.array([len(reference)]),
        )[0]
    )


def test_the_first_wrong_move_is_counted_from_one():
    assert diverged([1, 9, 3], [1, 2, 3]) == 1
    assert diverged([1, 2, 9], [1, 2, 3]) == 2


def test_a_path_that_stays_on_its_reference_never_diverges():
    assert diverged([1, 2, 3], [1, 2, 3]) == 0
    assert diverged([1, 2], [1, 2, 3]) == 0
    assert diverged([1], [1, 2, 3]) == 0


def test_turning_on_the_spot_is_no_move():
    assert diverged([1, 1, 2, 2, 9], [1, 2, 3]) == 2


def test_walking_past_the_goal_diverges_there():
    assert diverged([1, 2, 3, 4], [1, 2, 3]) == 3


def test_padding_is_not_walked():
    moves = first_divergence(
        np.array([[1, 2, -1, -1], [1, 2, 3, 9]]),
        lengths=np.array([2, 4]),
        references=np.array([[1, 2, -1], [1, 2, 3]]),
        reference_lengths=np.array([2, 3]),
    )

    assert moves.tolist() == [0, 3]


def test_every_way_to_end_an_episode_has_its_name(tiny_world, tiny_graph):
    reference = next(
        [tiny_graph.index(episode.start.scan, name) for name in episode.reference]
        for episode in tiny_world.episodes("val_unseen")
        if len(episode.reference) >= 5
    )
    start, goal = reference[0], reference[-1]
    wrong = next(
        int(other)
        for other in tiny_graph.neighbour[start, : tiny_graph.degree[start]]
        if other != reference[1]
    )
    walks = [reference, [*reference, *reference[-2::-1]], reference[:2], [start, wrong]]
    paths = np.full((4, max(map(len, walks))), -1)
    for row, walk in enumerate(walks):
        paths[row, : len(walk)] = walk
    lengths = np.array([len(walk) for walk in walks])
    references, goal_lengths = np.array([reference] * 4), np.full(4, len(reference))
    assert min(tiny_graph.distance([start, wrong, reference[1]], goal)) > 3

    ended = outcomes(
        score_paths(
            tiny_graph,
            paths=paths,
            lengths=lengths,
            references=references,
            reference_lengths=goal_lengths,
        ),
        divergence=first_divergence(
            paths, lengths=lengths, references=references, reference_lengths=goal_lengths
        ),
    )

    assert [OUTCOMES[place] for place in ended] == list(OUTCOMES)
