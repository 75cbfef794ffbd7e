import numpy as np
import pytest

from vln.data.episodes import load_episodes
from vln.data.predictions import read_predictions
from vln.errors import BadConfig
from vln.metrics.intervals import (
    Hierarchy,
    clustered_standard_error,
    difference_interval,
    mean_interval,
    resample,
    resampled_means,
    seeded_difference_interval,
    seeded_mean_interval,
)
from vln.metrics.paths import METRICS, score_episodes


@pytest.fixture
def houses():
    """Six scans of 3 to 8 paths with 3 instructions each, and success that depends on the scan."""
    rng = np.random.default_rng(0)
    scans = np.repeat(np.arange(6), [3 * n for n in range(3, 9)])
    paths = np.arange(len(scans)) // 3
    rate = rng.uniform(0.2, 0.8, 6)[scans]
    values = (rng.random(len(scans)) < rate).astype(float)[:, None]
    return Hierarchy.of(scans.tolist(), paths=paths.tolist()), values


def weights_of(hierarchy, *, draws=2000, seed=0):
    return resample(hierarchy, draws=draws, generator=np.random.default_rng(seed))


def test_the_hierarchy_numbers_paths_within_scans():
    hierarchy = Hierarchy.of(["a", "a", "b", "b", "a"], paths=["p", "q", "p", "p", "p"])

    assert hierarchy.path_of.tolist() == [0, 1, 2, 2, 0]
    assert hierarchy.scan_of.tolist() == [0, 0, 1]
    assert (hierarchy.num_paths, hierarchy.num_scans) == (3, 2)
    assert hierarchy.scan_of_episode.tolist() == [0, 0, 1, 1, 0]


def test_a_sample_draws_every_scan_as_a_whole_number_of_times(houses):
    hierarchy, _ = houses
    sizes = np.bincount(hierarchy.scan_of)

    weights = weights_of(hierarchy, draws=200)

    drawn = np.stack([weights[:, hierarchy.scan_of == s].sum(axis=1) for s in range(6)], axis=1)
    assert np.all(drawn % sizes == 0)
    assert np.all((drawn // sizes).sum(axis=1) == 6)


def test_a_resampled_mean_is_the_mean_of_the_drawn_episodes(houses):
    hierarchy, values = houses
    weights = weights_of(hierarchy, draws=5)

    means = resampled_means(values, hierarchy=hierarchy, weights=weights)

    for row in range(5):
        repeated = np.repeat(values[:, 0], weights[row, hierarchy.path_of])
        assert means[row, 0] == pytest.approx(repeated.mean())


def test_the_same_seed_draws_the_same_samples(houses):
    hierarchy, _ = houses

    assert np.array_equal(weights_of(hierarchy, draws=50), weights_of(hierarchy, draws=50))
    assert not np.array_equal(
        weights_of(hierarchy, draws=50), weights_of(hierarchy, draws=50, seed=1)
    )


def test_no_samples_are_refused(houses):
    with pytest.raises(BadConfig, match="0 bootstrap samples"):
        weights_of(houses[0], draws=0)


def test_an_interval_holds_its_estimate_and_widens_with_its_level(houses):
    hierarchy, values = houses
    weights = weights_of(hierarchy)

    narrow, wide = (
        mean_interval(values, hierarchy=hierarchy, weights=weights, level=level)
        for level in (0.5, 0.95)
    )

    assert narrow.estimate[0] == values.mean()
    assert wide.low[0] < narrow.low[0] < values.mean() < narrow.high[0] < wide.high[0]


def test_what_never_varies_has_an_interval_of_no_width(houses):
    hierarchy, values = houses

    interval = mean_interval(
        np.full_like(values, 0.25), hierarchy=hierarchy, weights=weights_of(hierarchy)
    )

    assert (interval.low[0], interval.high[0]) == pytest.approx((0.25, 0.25))


def test_scans_that_differ_make_the_interval_wider_than_independent_episodes_would(houses):
    hierarchy, _ = houses
    by_scan = hierarchy.scan_of_episode[:, None].astype(float)
    alone = Hierarchy.of(range(len(by_scan)), paths=range(len(by_scan)))

    clustered = mean_interval(by_scan, hierarchy=hierarchy, weights=weights_of(hierarchy))
    independent = mean_interval(by_scan, hierarchy=alone, weights=weights_of(alone))

    assert np.ptp([clustered.low, clustered.high]) > 2 * np.ptp([independent.low, independent.high])


def test_pairing_cancels_what_a_house_does_to_both(houses):
    hierarchy, values = houses
    weights = weights_of(hierarchy)

    shifted = difference_interval(
        values + 0.125, baseline=values, hierarchy=hierarchy, weights=weights
    )

    assert (shifted.low[0], shifted.high[0]) == pytest.approx((0.125, 0.125))


def test_seeds_of_a_condition_are_averaged(houses):
    hierarchy, values = houses
    weights = weights_of(hierarchy)
    runs = np.stack([values, 1 - values, values])

    averaged = mean_interval(runs, hierarchy=hierarchy, weights=weights)
    direct = mean_interval(runs.mean(axis=0), hierarchy=hierarchy, weights=weights)

    assert np.array_equal(averaged.low, direct.low)
    assert averaged.estimate == pytest.approx(runs.mean(axis=(0, 1)))


def test_resampling_seeds_widens_a_difference_where_seeds_differ(houses):
    hierarchy, values = houses
    weights = weights_of(hierarchy)
    spread = np.array([-0.3, 0.0, 0.3])[:, None, None]
    noisy, steady = values + spread, np.stack([values] * 3)

    fixed = difference_interval(noisy, baseline=steady, hierarchy=hierarchy, weights=weights)
    drawn = seeded_difference_interval(
        noisy,
        baseline=steady,
        hierarchy=hierarchy,
        weights=weights,
        generator=np.random.default_rng(0),
    )

    assert (fixed.low[0], fixed.high[0]) == pytest.approx((0, 0))
    assert drawn.estimate[0] == pytest.approx(0)
    assert drawn.low[0] < -0.2
    assert drawn.high[0] > 0.2


def test_two_seeds_are_too_few_to_resample(houses):
    hierarchy, values = houses

    with pytest.raises(BadConfig, match="2 seeds cannot be resampled, at least 3"):
        seeded_difference_interval(
            np.stack([values] * 2),
            baseline=np.stack([values] * 3),
            hierarchy=hierarchy,
            weights=weights_of(hierarchy, draws=10),
            generator=np.random.default_rng(0),
        )


def test_the_clustered_error_of_single_episodes_is_the_plain_one():
    values = np.random.default_rng(0).normal(size=(40, 2))

    error = clustered_standard_error(values, clusters=np.arange(40))

    assert error == pytest.approx(values.std(axis=0, ddof=1) / np.sqrt(40))


def test_copies_of_an_episode_add_no_certainty():
    values = np.random.default_rng(0).normal(size=(40, 1))

    once = clustered_standard_error(values, clusters=np.arange(40))
    thrice = clustered_standard_error(np.repeat(values, 3, axis=0), clusters=np.arange(120) // 3)

    assert thrice == pytest.approx(once)


def test_one_cluster_says_nothing_of_others():
    assert np.isnan(clustered_standard_error(np.ones((4, 1)), clusters=np.zeros(4, int))).all()


def test_instructions_paths_and_scans_give_the_known_errors_of_a_real_file(real_data, real_graph):
    split = load_episodes("r2r", "val_unseen", data=real_data, graph=real_graph)
    file = real_data / "predictions" / "seq2seq_val_unseen_iter_5000.json.gz"
    walked = {record.id: record.viewpoints for record in read_predictions(file)}
    table = score_episodes(
        real_graph, episodes=split.episodes, paths=[walked[episode.id] for episode in split]
    ).table()
    success = table[:, [metric.label for metric in METRICS].index("SR")][:, None]
    hierarchy = Hierarchy.of(
        [episode.start.scan for episode in split], paths=[episode.reference for episode in split]
    )

    errors = [
        clustered_standard_error(success, clusters=clusters)[0]
        for clusters in (np.arange(len(split)), hierarchy.path_of, hierarchy.scan_of_episode)
    ]

    assert (hierarchy.num_paths, hierarchy.num_scans) == (783, 11)
    assert sorted(np.bincount(hierarchy.scan_of))[:2] == [6, 15]
    assert errors == pytest.approx([0.78, 1.03, 1.19], abs=0.04)


def test_an_interval_over_seeds_holds_their_spread(houses):
    hierarchy, values = houses
    weights = weights_of(hierarchy)
    alike = np.stack([values] * 5)
    apart = alike + np.linspace(-0.5, 0.5, 5)[:, None, None]

    def interval(runs):
        source = np.random.default_rng(1)
        return seeded_mean_interval(runs, hierarchy=hierarchy, weights=weights, generator=source)

    houses_alone = mean_interval(values, hierarchy=hierarchy, weights=weights)
    assert interval(alike).low == pytest.approx(houses_alone.low)
    assert interval(alike).high == pytest.approx(houses_alone.high)
    assert interval(apart).estimate == pytest.approx(values.mean(axis=0))
    assert interval(apart).low < houses_alone.low - 0.05
    assert interval(apart).high > houses_alone.high + 0.05


def test_seeds_that_both_sides_share_cancel_in_their_differences(houses):
    hierarchy, values = houses
    noise = np.random.default_rng(2).normal(size=(4, 1, 1))
    ours, theirs = values + noise + 0.1, np.stack([values] * 4) + noise

    paired = seeded_mean_interval(
        ours - theirs,
        hierarchy=hierarchy,
        weights=weights_of(hierarchy, draws=200),
        generator=np.random.default_rng(0),
    )

    assert [paired.low[0], paired.high[0]] == pytest.approx([0.1, 0.1])


def test_two_seeds_are_too_few_to_be_resampled(houses):
    hierarchy, values = houses

    with pytest.raises(BadConfig, match="2 seeds cannot be resampled"):
        seeded_mean_interval(
            np.stack([values] * 2),
            hierarchy=hierarchy,
            weights=weights_of(hierarchy, draws=10),
            generator=np.random.default_rng(0),
        )
