"""Activations: published values, derivatives, and the bounds that certificates rely on."""

import numpy as np
import pytest

from jkoflow.networks.activations import (
    PiecewiseLinear,
    SmoothActivation,
    non_monotone,
    relu,
    sigmoid,
    smooth_truncated_relu,
    softplus,
    tanh,
    truncated_relu,
)
from jkoflow.status import InvalidFunctional, InvalidMeasure

PIECEWISE = [relu, truncated_relu, non_monotone, PiecewiseLinear("w", [-1, 0, 2], [1, 0, 3], -1, 2)]
SMOOTH = [tanh, softplus, sigmoid, smooth_truncated_relu]
ALL = [*PIECEWISE, *SMOOTH]


@pytest.mark.parametrize(
    ("sigma", "t", "values"),
    [
        (truncated_relu, [-9, 0.5, 1.0, 1.5, 70], [-2.5, -2.5, 2.5, 7.5, 7.5]),
        (non_monotone, [-9, 0, 0.25, 0.5, 1.0, 1.5, 9], [-2.5, -2.5, -3.25, -4, 1.75, 7.5, 7.5]),
        (relu, [-2, 0, 3], [0, 0, 3]),
        (PIECEWISE[3], [-3, -1, -0.5, 0, 1, 2, 4], [3, 1, 0.5, 0, 1.5, 3, 7]),
        (smooth_truncated_relu, [-9, 0.0625, 1.0, 1.9375, 9], [-2.5, -2.5, 2.5, 7.5, 7.5]),
    ],
)
def test_values(sigma, t, values):
    # every number involved is a short binary fraction
    np.testing.assert_allclose(sigma(np.array(t, float)), values, rtol=0, atol=1e-15)


@pytest.mark.parametrize("sigma", ALL, ids=repr)
def test_derivative_is_the_slope(sigma):
    rng = np.random.default_rng(5)
    t, h = rng.uniform(-4, 4, 300), 1e-5
    if isinstance(sigma, PiecewiseLinear):  # away from the kinks
        t = t[np.abs(t[:, None] - sigma.knots).min(axis=1) > 2 * h]
    slope = (sigma(t + h) - sigma(t - h)) / (2 * h)
    # h²·|σ'''|/6 ≤ 1e-8 with |σ'''| ≤ 92 (smooth step), and rounding 1e-15·|σ|/h = 1e-9
    np.testing.assert_allclose(sigma.derivative(t), slope, atol=2e-8)


@pytest.mark.parametrize("sigma", SMOOTH, ids=repr)
def test_second_derivative_is_the_slope_of_the_first(sigma):
    t, h = np.linspace(-3, 3, 501), 1e-5
    slope = (sigma.derivative(t + h) - sigma.derivative(t - h)) / (2 * h)
    # σ''' of the smooth step jumps at its two ends: there the error is h·|jump|/2 = 4.6e-4
    np.testing.assert_allclose(sigma.second(t), slope, atol=5e-4)


@pytest.mark.parametrize("sigma", ALL, ids=repr)
def test_bounds_hold_and_are_sharp(sigma):
    t = np.linspace(-20, 20, 400_001)
    slopes = np.abs(sigma.derivative(t)).max()
    assert slopes <= sigma.slope_bound * (1 + 1e-14)
    assert slopes >= sigma.slope_bound * (1 - 1e-8)  # grid spacing 1e-4, error its square
    if isinstance(sigma, SmoothActivation):
        curvature = np.abs(sigma.second(t)).max()
        assert curvature <= sigma.curvature_bound * (1 + 1e-14)
        assert curvature >= sigma.curvature_bound * (1 - 1e-6)
    else:
        assert sigma.curvature_bound == np.inf
        assert not sigma.second(t).any()


def test_the_derivative_at_a_kink_is_the_one_on_the_left():
    assert relu.derivative(0.0) == 0
    np.testing.assert_array_equal(truncated_relu.derivative([0.5, 1.5]), [0, 10])


def test_a_line_has_no_kink():
    assert PiecewiseLinear("line", [0.0], [0.0], 1.0, 1.0).curvature_bound == 0


@pytest.mark.parametrize("sigma", ALL, ids=repr)
def test_single_precision_stays_single(sigma):
    t = np.linspace(-3, 3, 11)
    for f in (sigma, sigma.derivative, sigma.second):
        single = f(t.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, f(t), atol=2e-5)  # 16 roundings of values up to 20


@pytest.mark.parametrize("sigma", ALL, ids=repr)
def test_far_arguments_stay_finite(sigma):
    with np.errstate(all="raise", under="ignore"):
        for t in (-1e4, 1e4):
            assert np.isfinite([sigma(t), sigma.derivative(t), sigma.second(t)]).all()


def test_specs_tell_activations_apart():
    specs = [repr(sigma.spec()) for sigma in ALL]
    assert len(set(specs)) == len(ALL)
    own = SmoothActivation("tanh", np.tanh, tanh.first, tanh.curvature, 1.0, 1.0)
    assert own.spec() != tanh.spec()  # the same name with another claim


@pytest.mark.parametrize(
    ("knots", "values"), [([0, 0], [1, 2]), ([1, 0], [1, 2]), ([0, 1], [1]), ([], [])]
)
def test_bad_knots(knots, values):
    with pytest.raises(InvalidFunctional, match="increasing knots"):
        PiecewiseLinear("bad", knots, values)


def test_nan_knots():
    with pytest.raises(InvalidMeasure, match="NaN"):
        PiecewiseLinear("bad", [0.0, np.nan], [0, 1])
