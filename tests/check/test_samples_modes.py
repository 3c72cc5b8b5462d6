"""Integrals of cells by bridges, and their errors, against densities whose integrals are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal

from jkoflow.check import samples_modes as modes


def test_normal_densities_are_scipys():
    root = np.array([[1.5, 0.0], [0.4, 0.7]])
    x = np.random.default_rng(0).normal(size=(7, 2))
    exact = multivariate_normal([1.0, -2.0], root @ root.T).logpdf(x)
    np.testing.assert_allclose(modes._log_normal(x, np.array([1.0, -2.0]), root), exact, rtol=1e-12)


def test_relative_variances_do_not_depend_on_units():
    w = np.random.default_rng(1).exponential(size=50)
    exact = w.var() / w.mean() ** 2
    for unit in (0.0, 800.0, -800.0):
        assert modes._relative_variance(np.log(w) + unit) == pytest.approx(exact, rel=1e-10)


def test_bridges_find_integrals_and_know_their_errors():
    """exp(−|x|⁴/4) in the plane has the integral π^(3/2); the normal law that is fitted differs."""
    rng = np.random.default_rng(2)
    f = lambda x: -((x**2).sum(axis=1) ** 2) / 4.0  # noqa: E731
    found = []
    for _ in range(300):
        # r⁴/4 is Gamma(1/2), since r dr = ½ d(r²)
        r, angle = (4.0 * rng.gamma(0.5, size=200)) ** 0.25, rng.uniform(0, 2 * np.pi, 200)
        x = np.column_stack([r * np.cos(angle), r * np.sin(angle)])
        found.append(modes._bridge(f, x, np.eye(2), 1.0, rng))
    logs = np.array([b.log_z for b in found])
    error = logs - 1.5 * np.log(np.pi)
    # four standard errors of the mean
    assert abs(error.mean()) < 4 * logs.std() / 300**0.5
    # the variance of 300 is known to 8%, one sigma; the formula is one of first order
    assert np.mean([b.variance for b in found]) == pytest.approx(logs.var(), rel=0.35)


def test_shares_are_held_against_those_of_the_bridges():
    counts, bridges = np.array([60.0, 40.0]), [modes.Bridge(3.0, 0.0), modes.Bridge(3.0, 0.0)]
    # (0.6 − ½)²/(½·½/100) = 4; errors of the integrals add ½²·½²·(v₁ + v₂) to the variance
    assert modes._p_value(counts, 1.0, bridges) == pytest.approx(chi2.sf(4.0, 1), rel=1e-10)
    bridges = [modes.Bridge(3.0, 0.01), modes.Bridge(3.0, 0.03)]
    assert modes._p_value(counts, 1.0, bridges) == pytest.approx(chi2.sf(2.0, 1), rel=1e-10)
    # a chain of autocorrelation time 4 is worth 25 points
    found = modes._p_value(counts, 4.0, [modes.Bridge(0.0, 0.0)] * 2)
    assert found == pytest.approx(chi2.sf(1.0, 1), rel=1e-10)
    assert modes._p_value(np.array([50.0, 50.0]), 1.0, bridges) == pytest.approx(1.0)
