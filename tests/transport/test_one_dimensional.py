"""Transport on the line against quadrature, linear programming, and its own invariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtri

import jkoflow as jf
from jkoflow.status import InvalidMeasure, NotDefined
from jkoflow.transport import wasserstein, wasserstein_squared
from jkoflow.transport.one_dimensional import (
    distance_squared,
    distance_squared_to_ppf,
    lumped_distance_squared,
    monotone_coupling,
)


def random_law(kind, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    if kind == "quantiles":
        return jf.Quantiles(np.sort(rng.normal(size=n + 1)), rng.dirichlet(np.ones(n)))
    return jf.Particles(rng.normal(size=n), rng.dirichlet(np.ones(n)))


def quantile_function(mu):
    if mu.kind == "quantiles":
        return mu.ppf
    order = np.argsort(mu.points[:, 0])
    levels = np.cumsum(mu.weights[order])
    x = mu.points[order, 0]
    return lambda s: x[min(np.searchsorted(levels, s), len(x) - 1)]


@pytest.mark.parametrize(
    "kinds", [("quantiles",) * 2, ("quantiles", "particles"), ("particles",) * 2]
)
@pytest.mark.parametrize("seed", range(4))
def test_the_distance_is_that_of_the_quantile_functions(kinds, seed):
    mu, nu = random_law(kinds[0], seed), random_law(kinds[1], seed + 100)
    p, q = quantile_function(mu), quantile_function(nu)
    masses = [m.mass if m.kind == "quantiles" else m.weights[np.argsort(m.points[:, 0])]
              for m in (mu, nu)]  # fmt: skip
    breaks = np.unique(np.concatenate([np.cumsum(m) for m in masses]))[:-1]
    exact = quad(lambda s: (p(s) - q(s)) ** 2, 0, 1, points=breaks, limit=200)[0]
    assert distance_squared(mu, nu) == pytest.approx(exact, rel=1e-9)
    assert distance_squared(nu, mu) == pytest.approx(distance_squared(mu, nu), rel=1e-13)


def test_refining_a_law_does_not_move_it():
    mu = random_law("quantiles", 1)
    levels = np.sort(np.concatenate([np.cumsum(mu.mass)[:-1], [0.0, 1.0, 0.123, 0.77]]))
    fine = jf.Quantiles(mu.ppf(levels), np.diff(levels))
    assert wasserstein(mu, fine) < 1e-15


def test_translations_and_dilations():
    mu = random_law("quantiles", 2)
    assert wasserstein(mu, mu.with_edges(mu.edges + 3.0)) == pytest.approx(3.0, rel=1e-14)
    doubled, mean_square = mu.with_edges(2 * mu.edges), distance_squared(mu, jf.Particles([0.0]))
    assert distance_squared(mu, doubled) == pytest.approx(mean_square, rel=1e-13)


def test_lumped_and_exact_distance_agree_for_translations_only():
    mu = jf.Quantiles([0.0, 1.0, 3.0], [0.4, 0.6])
    shifted, stretched = mu.with_edges(mu.edges - 0.2), mu.with_edges(2 * mu.edges)
    assert lumped_distance_squared(mu, shifted) == pytest.approx(0.04, rel=1e-13)
    assert distance_squared(mu, shifted) == pytest.approx(0.04, rel=1e-13)
    # the difference is Σ m_i (change of length)²/6, the trapezoid rule's
    gap = 0.4 * 1.0 / 6 + 0.6 * 4.0 / 6
    lumped = lumped_distance_squared(mu, stretched)
    assert lumped - distance_squared(mu, stretched) == pytest.approx(gap, rel=1e-12)
    with pytest.raises(InvalidMeasure, match="same masses"):
        lumped_distance_squared(mu, jf.Quantiles([0.0, 1.0, 3.0]))


@pytest.mark.parametrize("seed", range(5))
def test_the_monotone_coupling_is_the_linear_program_s(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 8, size=2)
    x, y, a, b = rng.normal(size=n), rng.normal(size=m), rng.dirichlet(np.ones(n)), None
    b = rng.dirichlet(np.ones(m))
    rows, columns, values = monotone_coupling(x, y, a, b)
    np.testing.assert_allclose(np.bincount(rows, values, n), a, atol=1e-15)
    np.testing.assert_allclose(np.bincount(columns, values, m), b, atol=1e-15)
    from jkoflow.transport.exact import couple

    best = couple(x[:, None], y[:, None], a, b)
    assert values @ (x[rows] - y[columns]) ** 2 == pytest.approx(best.cost, rel=1e-9)


def test_equal_weights_give_a_permutation():
    x, y = np.array([3.0, 1.0, 2.0]), np.array([10.0, 30.0, 20.0])
    rows, columns, values = monotone_coupling(x, y)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0, 2: 2}
    np.testing.assert_allclose(values, 1 / 3)


def test_the_distance_to_a_quantile_function():
    # one cell: all of it is tails; ∫(s − z(s))² = 1/3 + 1 − 2∫ s z ds = 4/3 − 1/√π
    exact = 4 / 3 - 1 / np.sqrt(np.pi)
    whole = distance_squared_to_ppf(jf.Quantiles([0.0, 1.0]), ndtri)
    assert whole == pytest.approx(exact, abs=1e-10)
    # between normals with the same masses nothing but the tails can differ
    mu = jf.Quantiles.normal(0.3, 2.0, 20_000)
    shifted = distance_squared_to_ppf(mu, lambda s: 1.3 + ndtri(s), lambda s: 1.3 - ndtri(s))
    assert shifted == pytest.approx(2.0, rel=1e-6)


def test_wasserstein_chooses_by_kind():
    assert wasserstein(jf.Gaussian(0.0, 1.0), jf.Gaussian(3.0, 25.0)) == pytest.approx(5.0)
    point, normal = jf.Particles([1.0]), jf.Gaussian(0.0, 4.0)
    assert wasserstein_squared(point, normal) == pytest.approx(5.0, rel=1e-9)
    assert wasserstein_squared(normal, point) == pytest.approx(5.0, rel=1e-9)
    radial = jf.Radial.normal(0.5, 5, 300)
    bigger = radial.with_edges(3 * radial.edges)
    expected = 4 * radial.integrate(lambda r: r[:, 0] ** 2)
    assert wasserstein_squared(radial, bigger) == pytest.approx(expected, rel=1e-4)
    x = np.random.default_rng(0).normal(size=(30, 3))
    assert wasserstein(jf.Particles(x), jf.Particles(x[::-1] + 1.0)) == pytest.approx(3**0.5)


@pytest.mark.parametrize(
    ("mu", "nu"),
    [
        (jf.Gaussian(np.zeros(2), np.eye(2)), jf.Particles([[0.0, 0.0]])),
        (jf.Radial([0.0, 1.0], 3), jf.Radial([0.0, 1.0], 4)),
        (jf.Radial([0.0, 1.0], 1), jf.Quantiles([0.0, 1.0])),
        (jf.Particles([[0.0, 0.0]]), jf.Particles([0.0])),
    ],
    ids=["Gaussian-points", "dimensions", "radial-line", "spaces"],
)
def test_what_cannot_be_compared_is_a_typed_error(mu, nu):
    with pytest.raises(NotDefined):
        wasserstein(mu, nu)
