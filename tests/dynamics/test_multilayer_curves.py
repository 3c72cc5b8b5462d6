"""The spread of curves: its law where groups are one, its growth where they are not."""

import numpy as np
import pytest
from scipy.stats import f

from jkoflow.dynamics import curve_gap, curve_spread
from jkoflow.status import InvalidMeasure, InvalidProblem


def test_one_time_is_the_f_statistic():
    """S·ratio² follows F(groups − 1, groups(S − 1)) for one law: 2000 draws, by quantiles."""
    rng, groups, runs = np.random.default_rng(0), 4, 6
    draws = [runs * curve_spread(rng.normal(size=(groups, runs, 1))).ratio ** 2
             for _ in range(2000)]  # fmt: skip
    for level in (0.5, 0.9, 0.99):
        above = np.mean(draws > f(groups - 1, groups * (runs - 1)).ppf(level))
        # 4.5 standard deviations of a binomial proportion
        assert abs(above - (1 - level)) < 4.5 * np.sqrt(level * (1 - level) / 2000)


def test_groups_apart():
    rng = np.random.default_rng(1)
    noise = 0.1 * rng.normal(size=(3, 8, 40))
    apart = noise + np.array([0.0, 1.0, 2.0])[:, None, None]
    spread = curve_spread(apart)
    assert spread.between == pytest.approx(1.0, rel=0.05)
    assert spread.within == pytest.approx(0.1, rel=0.1)  # 840 degrees of freedom: 2.4%
    assert spread.ratio > 8
    assert curve_spread(np.ones((2, 2, 1)) * [[[1.0]], [[2.0]]]).ratio == np.inf


def test_gap_and_its_error():
    """The standard error is right: z² is near 1 on average over 400 repetitions."""
    rng, z = np.random.default_rng(2), []
    for _ in range(400):
        common = rng.normal(size=(2, 10, 1))  # times of one run move together
        gap, error = curve_gap(*(common + 0.1 * rng.normal(size=(2, 10, 30))))
        z.append(gap / error)
    # Welch's t has variance about 18/16; the mean of 400 squares has a standard error of 8%
    assert np.mean(np.square(z)) == pytest.approx(18 / 16, abs=0.35)
    assert curve_gap(np.ones((2, 3)), np.zeros((2, 3))) == (1.0, 0.0)


@pytest.mark.parametrize("curves", [np.ones((1, 3, 3)), np.ones((3, 1, 3)), np.ones((2, 2, 0))])
def test_too_few(curves):
    with pytest.raises(InvalidProblem):
        curve_spread(curves)


def test_bad_arrays():
    with pytest.raises(InvalidMeasure):
        curve_spread(np.ones((2, 2)))
    with pytest.raises(InvalidMeasure):
        curve_spread(np.full((2, 2, 2), np.nan))
    with pytest.raises(InvalidProblem):
        curve_gap(np.ones((1, 4)), np.ones((2, 4)))
