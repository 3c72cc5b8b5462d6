"""What demos share: bounds that hold as often as they say, and findings that can fail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from jkoflow.check import Verdict
from jkoflow.demos.common import (
    close,
    has_a_limit,
    pseudo_runs,
    three_sigma,
    within_sampling_error,
)
from jkoflow.rates import fit_rate


@pytest.mark.parametrize("runs", [3, 5, 12])
def test_three_sigma_holds_as_often_as_three_of_a_gaussian(runs) -> None:
    draws = 400_000
    x = np.random.default_rng(0).normal(size=(draws, runs))
    t = np.abs(x.mean(axis=1)) / (x.std(axis=1, ddof=1) / np.sqrt(runs))
    p = 2.0 * ndtr(-3.0)
    outside = float(np.mean(t > three_sigma(runs)))
    # four standard deviations of a count of such rare events
    assert abs(outside - p) < 4.0 * np.sqrt(p / draws)


def test_three_sigma_is_three_for_many_runs_and_more_for_few() -> None:
    assert three_sigma(10**6) == pytest.approx(3.0, abs=1e-4)  # Student's t: 3 + O(1/runs)
    assert three_sigma(4) > three_sigma(8) > three_sigma(16) > 3.0


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "ACCEPTED"), (0.02, "REJECTED")])
def test_sampling_error_accepts_the_mean_and_nothing_farther(shift, verdict) -> None:
    # 16 runs of standard error 1/400, and 1/N = 1/800: the bound is 3.6/400 + 1/800 = .010
    x = 0.01 * np.array([-1.0, 1.0] * 8)
    found = within_sampling_error("mean", x, shift, "here", 800, errors=three_sigma(16))
    error = 0.01 * np.sqrt(16 / 15) / 4
    assert found.verdict is Verdict[verdict]
    assert found.bound == pytest.approx(three_sigma(16) * error + 1 / 800, rel=1e-12)
    assert "16 independent runs" in found.assumptions[0]


def test_close_is_rejected_beyond_its_bound_and_for_no_number() -> None:
    assert close("a", 1.0, 1.0, "", "").verdict is Verdict.ACCEPTED
    assert close("a", 1.0 + 1e-12, 1.0, "", "").verdict is Verdict.REJECTED
    assert close("a", float("nan"), 1.0, "", "").verdict is Verdict.REJECTED


def test_pseudo_runs_have_the_rate_of_the_mean() -> None:
    # rows that are all the same power keep it; and a mean of +3 and −1 is 1, which no row is
    n = np.array([1.0, 2.0, 4.0])
    assert fit_rate(n, pseudo_runs(np.outer([1.0, 2.0, 3.0], n**-1.5))).slope == pytest.approx(-1.5)
    rows = pseudo_runs(np.array([[3.0], [3.0], [3.0], [-1.0]]))
    # the jackknife is linear to first order: log 2 plus its bias, of order 1/runs
    assert np.log(rows).mean() == pytest.approx(np.log(2.0), abs=0.25)


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        (lambda n: 3.0 + 40.0 / n, "ACCEPTED"),
        (lambda n: 9.0 - np.log(n), "UNDECIDED"),  # falls, by as much at every doubling
        (lambda n: 9.0 - n**0.25, "REJECTED"),
        (lambda n: 1.0 + n**0.25, "UNDECIDED"),  # grows: T(n) − T(2n) < 0
    ],
)
def test_a_limit_is_told_from_logarithms_and_powers(limit, verdict) -> None:
    n = np.array([50.0, 100.0, 200.0, 400.0, 800.0])
    noise = 0.01 * np.random.default_rng(2).normal(size=(8, 5))
    found = has_a_limit("time", n, limit(n) + noise, "here")
    assert found.verdict is Verdict[verdict], found
