"""check_samples at its level: how many true samples are rejected."""

from __future__ import annotations

import numpy as np
import pytest
from laws_of_samples import BIMODAL, NORMAL, ar1, modes
from scipy.stats import binom

import jkoflow as jf
from jkoflow import Verdict, check_samples


def gumbel_score(x):
    return np.exp(-x) - 1.0


def gamma_log_density(x):
    with np.errstate(divide="ignore"):
        return (2.0 * np.log(np.maximum(x, 0.0)) - x).sum(axis=1)


GUMBEL = jf.KullbackLeibler(lambda x: -(x + np.exp(-x)).sum(axis=1), gumbel_score)
GAMMA = jf.KullbackLeibler(gamma_log_density, lambda x: 2.0 / x - 1.0)


def rejections(rounds, one):
    """How many of the rounds reject anything."""
    reports = (one(np.random.default_rng([11, k])) for k in range(rounds))
    return sum(report.verdict is Verdict.REJECTED for report in reports)


def null_of_modes(rng):
    return check_samples(BIMODAL, modes(rng, 250, 2), rng=rng, reference=modes(rng, 500, 2))


def null_from_a_grid(rng):
    return check_samples(BIMODAL, modes(rng, 200, 1), rng=rng)


def null_without_reference(rng):
    return check_samples(BIMODAL, modes(rng, 300, 5), rng=rng)


def null_of_a_repulsion(rng):
    """ρ* is N(0, 1/0.6): V − 0.4·|x−y|²/4, at the sample itself."""
    F = NORMAL + jf.QuadraticInteraction(-0.4)
    return check_samples(F, rng.normal(size=(250, 3)) * 0.6**-0.5, rng=rng)


def null_of_a_repulsion_on_the_line(rng):
    F = NORMAL + jf.QuadraticInteraction(-0.4)
    return check_samples(F, rng.normal(size=(200, 1)) * 0.6**-0.5, rng=rng)


def null_of_a_chain(rng):
    return check_samples(NORMAL, ar1(rng, 1000, 2, 0.5), rng=rng, correlated=True)


def null_of_gumbel(rng):
    """Few points of a law with one heavy tail, forces only: by random signs 6.5 to 7% were."""
    return check_samples(GUMBEL, rng.gumbel(size=(50, 1)), rng=rng, reference=gumbel_score)


def null_of_gamma(rng):
    """x² exp(−x): its force has no third moment, and by random signs 11% were rejected."""
    return check_samples(GAMMA, rng.gamma(3.0, size=(50, 1)), rng=rng)


NULLS = [null_of_modes, null_from_a_grid, null_of_gumbel, null_of_gamma, null_of_a_chain,
         null_without_reference, null_of_a_repulsion, null_of_a_repulsion_on_the_line]  # fmt: skip


@pytest.mark.parametrize("one", NULLS)
def test_null_rejection_quick(one):
    """Not more rejections in 25 than a true 5% gives with probability 1e-4 (7)."""
    assert rejections(25, one) <= binom.isf(1e-4, 25, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("one", NULLS[:6])
def test_null_rejection_is_five_percent(one):
    share = rejections(2000, one) / 2000
    # the figure to reach; the standard error is 0.5%
    assert 0.04 <= share <= 0.06


@pytest.mark.slow
def test_null_rejection_of_a_long_chain_is_near_five_percent():
    share = rejections(
        400, lambda rng: check_samples(NORMAL, ar1(rng, 4000, 2, 0.9), rng=rng, correlated=True)
    ) / 400  # fmt: skip
    # three standard errors of 1.1%
    assert 0.017 <= share <= 0.083


def test_true_samples_of_few_points_are_rarely_rejected():
    """Of laws with tails to one side: at the level itself it were 6 to 8%."""
    random, counts = np.random.default_rng(0), np.zeros(2)
    for _ in range(150):
        x = random.gumbel(size=(10, 1))
        report = check_samples(GUMBEL, x, rng=random, reference=gumbel_score)
        lowest = min(1.0 - f.measured for f in report.findings)
        counts += [report.verdict is Verdict.REJECTED, lowest <= 0.05]
    # 3 standard deviations of 150 draws at 5% are 5.3%
    assert counts[0] / 150 <= 0.103 and counts[0] < counts[1]
