import math

import numpy as np
import pytest

from vln import geometry

DEGREE = math.pi / 180


@pytest.mark.parametrize(
    ("displacement", "degrees"),
    [((0, 1, 0), 0), ((1, 0, 0), 90), ((0, -1, 5), 180), ((-1, 0, 0), 270), ((0, 0, 2), 0)],
)
def test_headings_start_at_north_and_grow_turning_right(displacement, degrees):
    heading = geometry.heading_of(np.array(displacement, dtype=float))
    assert heading == pytest.approx(degrees * DEGREE)


@pytest.mark.parametrize("west", [1e-9, 1e-17])
def test_headings_stay_below_a_full_turn(west):
    almost_north = np.array([-west, 1.0, 0.0])
    assert 0 <= geometry.heading_of(almost_north) < 2 * math.pi


@pytest.mark.parametrize(
    ("displacement", "degrees"),
    [((0, 1, 0), 0), ((3, 4, 5), 45), ((0, 1, -1), -45), ((0, 0, 1), 90), ((0, 0, 0), 0)],
)
def test_elevations_are_up_positive(displacement, degrees):
    elevation = geometry.elevation_of(np.array(displacement, dtype=float))
    assert elevation == pytest.approx(degrees * DEGREE)


def test_wrapped_angles_lie_between_minus_pi_excluded_and_pi_included():
    angle = np.linspace(-20, 20, 4001)
    wrapped = geometry.wrap(angle)
    assert (wrapped > -math.pi).all()
    assert (wrapped <= math.pi).all()
    np.testing.assert_allclose(np.exp(1j * wrapped), np.exp(1j * angle))
    assert geometry.wrap(np.array(-math.pi)) == math.pi
    assert geometry.wrap(np.array(math.pi)) == math.pi


@pytest.mark.parametrize(
    ("degrees", "step"),
    [(0, 0), (14.9, 0), (15, 1), (44.9, 1), (90, 3), (344.9, 11), (345.1, 0), (360, 0), (-30, 11)],
)
def test_headings_snap_to_the_nearest_of_12_steps(degrees, step):
    assert geometry.snap_heading_step(degrees * DEGREE) == step


@pytest.mark.parametrize(
    ("degrees", "row"), [(-90, 0), (-15.1, 0), (-14.9, 1), (0, 1), (14.9, 1), (15.1, 2), (60, 2)]
)
def test_elevations_snap_to_three_rows(degrees, row):
    assert geometry.snap_elevation_row(degrees * DEGREE) == row


def test_elevations_of_exactly_15_degrees_are_level():
    half = geometry.STEP / 2
    assert geometry.snap_elevation_row([half, -half]).tolist() == [1, 1]


def test_views_stand_row_by_row_from_down_to_up():
    views = np.arange(36)
    np.testing.assert_allclose(
        geometry.view_heading(views), np.tile(np.arange(12), 3) * 30 * DEGREE
    )
    np.testing.assert_allclose(geometry.view_elevation(views), np.repeat([-30, 0, 30], 12) * DEGREE)


def test_the_centre_of_a_view_is_nearest_to_itself():
    views = np.arange(36)
    heading, elevation = geometry.view_heading(views), geometry.view_elevation(views)
    np.testing.assert_array_equal(geometry.nearest_view(heading, elevation), views)
    turned = heading - 14 * DEGREE
    np.testing.assert_array_equal(geometry.nearest_view(turned, elevation * 1.4), views)


def test_directions_straight_up_and_down_fall_into_the_outer_rows():
    straight = geometry.nearest_view(np.zeros(2), np.array([-90, 90]) * DEGREE)
    assert straight.tolist() == [0, 24]


def test_angle_features_are_sine_and_cosine_of_both_angles():
    features = geometry.angle_features([0.3, 1.0], 0.2)
    expected = [[math.sin(h), math.cos(h), math.sin(0.2), math.cos(0.2)] for h in (0.3, 1.0)]
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-6)


def test_view_angles_are_relative_to_the_agents_heading_and_keep_the_views_order():
    table = geometry.view_angles()
    assert (table.shape, table.dtype) == ((12, 36, 4), np.float32)
    step, view = 5, 26  # the agent looks along 150 degrees, the view along 60 and up
    expected = geometry.angle_features(-90 * DEGREE, 30 * DEGREE)
    np.testing.assert_allclose(table[step, view], expected, atol=1e-6)
    for step in range(12):
        np.testing.assert_allclose(table[step, step + 12], [0, 1, 0, 1], atol=1e-6)
