"""Order on the line: couplings and projections against other programs and random competitors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from jkoflow.measures import Quantiles
from jkoflow.measures.order import isotonic, kept_sorted, monotone_coupling


@pytest.mark.parametrize("seed", range(5))
def test_the_coupling_on_the_line_has_the_right_marginals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=50), rng.normal(size=70)
    a, b = rng.dirichlet(np.ones(50)), rng.dirichlet(np.ones(70))
    i, j, p = monotone_coupling(x, a, y, b)
    assert (p >= 0).all() and len(p) < 50 + 70 + 1
    # sums of some 70 masses of order 1/50
    np.testing.assert_allclose(np.bincount(i, p, 50), a, atol=1e-15)
    np.testing.assert_allclose(np.bincount(j, p, 70), b, atol=1e-15)
    order = np.lexsort((y[j], x[i]))
    assert (np.diff(y[j][order]) >= 0).all()  # monotone: what lies to the right goes to the right


@pytest.mark.parametrize("seed", range(5))
def test_light_points_get_their_masses_to_the_last_digits(seed: int) -> None:
    """Levels near 1 have an ulp of 2⁻⁵³, which a mass of e⁻⁴⁰ is far below."""
    rng = np.random.default_rng(seed)
    a, b = (np.exp(-rng.uniform(0, 40, int(rng.integers(5, 5000)))) for _ in range(2))
    a, b = a / a.sum(), b / b.sum()
    i, j, p = monotone_coupling(np.arange(len(a)), a, np.arange(len(b)) + 0.5, b)
    for index, w in ((i, a), (j, b)):
        off = np.abs(np.bincount(index, p, len(w)) - w)
        assert (off <= 1e-12 * w + 2.0**-53).all()  # what the judge of couplings demands, halved


def test_masses_that_differ_by_rounding_are_paired_off() -> None:
    rng = np.random.default_rng(1)
    x, y, a = rng.normal(size=30), rng.normal(size=30), rng.dirichlet(np.ones(30))
    b = np.empty(30)
    b[np.argsort(y)] = a[np.argsort(x)] * (1 + 1e-15)
    i, j, p = monotone_coupling(x, a, y, b)
    assert len(p) == 30
    assert (np.argsort(x) == i).all() and (np.argsort(y) == j).all()


def test_isotonic_regression_is_that_of_scipy() -> None:
    rng = np.random.default_rng(7)
    for n in (1, 2, 5, 40):
        v, w = rng.normal(size=n), rng.uniform(0.1, 2.0, n)
        np.testing.assert_allclose(isotonic(v, w), isotonic_regression(v, weights=w).x, atol=1e-13)


def test_kept_sorted_bounds_every_sorted_competitor() -> None:
    """⟨v, y − x⟩ ≤ ‖projection‖‖y − x‖ for all sorted y, with ties in x."""
    rng = np.random.default_rng(8)
    mu = Quantiles([0.0, 0.0, 0.0, 1.0, 2.0, 2.0])
    x, w = mu.edges, mu.weights
    for _ in range(200):
        v = rng.normal(size=6)
        p = kept_sorted(v, x, w)
        assert (np.diff(p)[np.diff(x) == 0] >= 0).all() and p[3] == v[3]
        y = np.sort(x + rng.normal(size=6))
        assert w @ (v * (y - x)) <= np.sqrt(w @ p**2) * np.sqrt(w @ (y - x) ** 2) + 1e-12
