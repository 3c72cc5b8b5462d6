"""Rates: exact on powers, right coverage on noise, and findings that can fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import linregress
from scipy.stats import t as student

from jkoflow.rates import fit_rate
from jkoflow.status import InvalidProblem
from jkoflow.verdict import Verdict

X = np.array([50.0, 120.0, 200.0, 700.0, 1500.0])


@pytest.mark.parametrize("power", [-1.0, -0.5, 0.0, 0.37, 2.0])
def test_a_power_law_is_found_exactly(power):
    rate = fit_rate(X, 3.0 * X**power)
    # rounding of logarithms of numbers of order 1 … 1e7
    assert rate.slope == pytest.approx(power, abs=1e-13)
    assert math.exp(rate.intercept) == pytest.approx(3.0, rel=1e-12)
    assert rate.half_width < 1e-12 and abs(rate.bend) < 1e-11
    elsewhere = np.array([10.0, 20.0])
    np.testing.assert_allclose(rate(elsewhere), 3.0 * elsewhere**power, rtol=1e-11)


def test_one_row_is_least_squares_with_students_interval():
    y = X**-0.6 * np.exp(0.1 * np.random.default_rng(3).standard_normal(5))
    theirs = linregress(np.log(X), np.log(y))
    rate = fit_rate(X, y, level=0.9)
    half = student.ppf(0.95, 3) * theirs.stderr
    assert rate.slope == pytest.approx(theirs.slope, rel=1e-12)
    assert (rate.low, rate.high) == pytest.approx((theirs.slope - half, theirs.slope + half))
    assert rate.intercept == pytest.approx(theirs.intercept, rel=1e-12)
    assert rate.residual == pytest.approx(np.log(y) - np.log(rate(X)), abs=1e-12)


def test_a_parabola_bends_by_the_change_of_its_slope():
    u = np.log(X)
    rate = fit_rate(X, np.exp(-0.5 * u + 0.1 * u**2))
    assert rate.bend == pytest.approx(0.2 * (u[-1] - u[0]), rel=1e-10)
    assert rate.bend_low > 0.0  # a parabola without noise is known to bend


@pytest.mark.parametrize("runs", [1, 5])
def test_the_interval_covers_the_truth_as_often_as_it_says(runs):
    rng, hits, bends, repeats = np.random.default_rng(7), 0, 0, 2000
    for _ in range(repeats):
        noise = rng.standard_normal((runs, 5))
        if runs > 1:  # rows whose points share an error and differ in variance
            noise = noise * [1, 2, 1, 3, 1] + rng.standard_normal((runs, 1))
        rate = fit_rate(X, (X**-0.5 * np.exp(0.2 * noise)).squeeze(), level=0.8)
        hits += rate.low <= -0.5 <= rate.high
        bends += rate.bend_low <= 0.0 <= rate.bend_high
    # 4 standard deviations of a proportion of .8 in 2000
    for count in (hits, bends):
        assert abs(count / repeats - 0.8) < 4 * math.sqrt(0.16 / repeats)


def test_order_and_units_do_not_matter():
    y = X**-0.5 * np.exp(0.1 * np.random.default_rng(0).standard_normal((4, 5)))
    order = np.array([3, 0, 4, 1, 2])
    one, other = fit_rate(X, y), fit_rate(1e3 * X[order], 1e-5 * y[::-1, order])
    for name in ("slope", "low", "high", "bend", "bend_low"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-11)


def test_verdicts():
    rng = np.random.default_rng(1)
    good = fit_rate(X, X**-0.5 * np.exp(0.02 * rng.standard_normal((8, 5))))
    assert good.finding("rate", -0.5, (0.0, -1.0)).verdict is Verdict.ACCEPTED
    wrong = good.finding("rate", -1.0, -0.5)
    assert wrong.verdict is Verdict.REJECTED and wrong.measured > wrong.bound
    poor = fit_rate(X, [X**-0.9, X**-0.5, X**-0.2])  # slopes with a standard error of .2
    found = poor.finding("rate", -0.5, 0.0, where="here")
    assert found.verdict is Verdict.UNDECIDED and found.where == "here" and "0 too" in found.reason


def test_a_margin_is_for_asymptotic_laws_and_is_told():
    rate = fit_rate(X, X**-0.47)
    assert rate.finding("rate", -0.5, 0.0).verdict is Verdict.REJECTED
    found = rate.finding("rate", -0.5, 0.0, margin=0.05)
    assert found.verdict is Verdict.ACCEPTED and any("0.05" in a for a in found.assumptions)
    assert rate.finding("rate", -0.5, 0.0, margin=0.02).verdict is Verdict.REJECTED


@pytest.mark.parametrize("not_", [(), -0.5, (0.0, -0.45), math.nan])
def test_a_finding_needs_an_alternative_that_can_be_told_apart(not_):
    with pytest.raises(InvalidProblem, match="alternatives"):
        fit_rate(X, X**-0.5).finding("rate", -0.5, not_, margin=0.1)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X[:2], X[:2]), ([1.0, 1.0, 2.0], [1.0, 2.0, 3.0]), (X, X[:3]), (X, np.ones((5, 4))),
        (X, np.ones((0, 5))), (X, [1, 2, 0, 4, 5]), (X, [1, 2, -1, 4, 5]), (-X, X),
        (X, [1, 2, np.nan, 4, 5]), (X, [1, 2, np.inf, 4, 5]), (X, X + 0j), (X, ["a"] * 5),
        (X, [[1, 2], [3]]), (X, np.ones((2, 2, 5))), (3.0, 4.0),
    ],
)  # fmt: skip
def test_bad_numbers(x, y):
    with pytest.raises(InvalidProblem):
        fit_rate(x, y)


@pytest.mark.parametrize("level", [0.0, 1.0, -1, math.nan, "0.9", None])
def test_bad_level(level):
    with pytest.raises(InvalidProblem, match="level"):
        fit_rate(X, X, level=level)


def test_three_points_say_nothing_about_a_bend():
    rate = fit_rate([1, 2, 4], [1, 2.1, 4])
    assert rate.bend_low == -math.inf and rate.bend_high == math.inf and math.isfinite(rate.low)


def test_a_correction_is_told_from_the_leading_power() -> None:
    n = 2.0 ** np.arange(4, 10)
    y = 7.0 * n**-1.5 * np.exp(6.0 / n)  # exactly the model of three terms
    rate = fit_rate(n, y, correction=-1)
    assert rate.slope == pytest.approx(-1.5, abs=1e-12)
    assert rate(1e9) == pytest.approx(7.0 * 1e9**-1.5, rel=1e-9)  # the leading term
    assert abs(fit_rate(n, y).slope + 1.5) > 0.05  # which one line is not
    assert rate.freedom == len(n) - 3


@pytest.mark.parametrize("runs", [1, 6])
def test_the_interval_with_a_correction_covers_as_often_as_it_says(runs) -> None:
    rng, n, draws = np.random.default_rng(11), 2.0 ** np.arange(3, 9), 1000
    held = 0
    for _ in range(draws):
        noise = 0.1 * rng.normal(size=(runs, len(n)))
        rate = fit_rate(n, np.exp(noise) / n * np.exp(2.0 / n), correction=-1)
        held += rate.low < -1.0 < rate.high
    # 95%, and three standard deviations of a count: √(.95·.05/1000) = .7%
    assert abs(held / draws - 0.95) < 0.021


def test_bad_corrections() -> None:
    with pytest.raises(InvalidProblem, match="correction"):
        fit_rate([1, 2, 3, 4], [1, 2, 3, 4], correction=0)
    with pytest.raises(InvalidProblem, match="four"):
        fit_rate([1, 2, 3], [1, 2, 3], correction=-1)
