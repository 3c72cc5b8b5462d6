"""Integrals of cells by bridges, and their errors, against densities whose integrals are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2, multivariate_normal

from jkoflow.check.samples import modes as modes


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


def test_shares_of_three_cells_are_held_to_pearson_s_sum() -> None:
    """Σ (O − E)²/E with two degrees of freedom, where the integrals are known exactly."""
    share, counts = np.array([0.5, 0.3, 0.2]), np.array([40.0, 37.0, 23.0])
    bridges = [modes.Bridge(7.0 + np.log(z), 0.0) for z in share]
    chi = float(((counts - 100.0 * share) ** 2 / (100.0 * share)).sum())
    assert modes._p_value(counts, 1.0, bridges) == pytest.approx(chi2.sf(chi, 2), rel=1e-10)


@pytest.mark.parametrize(("count", "time"), [(20, 1.0), (400, 1.0), (400, 3.0), (6000, 1.0)])
def test_bridges_solve_bennetts_equation(count: int, time: float) -> None:
    """Σσ(u) over the draws, each worth n/m points, is Σσ(−u) over the points (Bennett 1976), with
    u = log(p/q) − log Z + log(n/m); the shares σ are also what the variance is made of."""
    x = np.random.default_rng(3).laplace(size=(count, 2))
    f = lambda at: -np.abs(at).sum(axis=1)  # noqa: E731
    found = modes._bridge(f, x, np.eye(2), time, np.random.default_rng(4))
    own = x[count // 2 :]
    mean, root = modes._fitted(x[: count // 2], np.eye(2))
    m, n = int(np.clip(2 * count, 500, 2000)), len(own) / time
    draws = mean + np.random.default_rng(4).standard_normal((m, 2)) @ root.T

    def shares(at: np.ndarray, log_z: float, sign: float) -> np.ndarray:  # type: ignore[type-arg]
        log_q = multivariate_normal(mean, root @ root.T).logpdf(at)
        return expit(sign * (f(at) - log_q - log_z + np.log(n / m)))

    def balance(log_z: float) -> float:
        return float(m * shares(draws, log_z, 1.0).mean() - n * shares(own, log_z, -1.0).mean())

    log_z = brentq(balance, -5.0, 8.0, xtol=1e-13)
    assert found.log_z == pytest.approx(log_z, abs=1e-8)  # its iteration ends at 1e-10 a round
    parts = [w.var() / w.mean() ** 2 / size for w, size in
             ((shares(draws, log_z, 1.0), m), (shares(own, log_z, -1.0), n))]  # fmt: skip
    assert found.variance == pytest.approx(sum(parts), rel=1e-6)
    assert min(parts) > 0.01 * max(parts)  # both of them count


def test_two_modes_are_enough_and_one_is_not() -> None:
    def f(x):  # type: ignore[no-untyped-def]
        return -0.5 * (x**2).sum(axis=1) + np.log(np.cosh(5.0 * x[:, 0]))

    def force(x):  # type: ignore[no-untyped-def]
        return -x + np.array([5.0, 0.0]) * np.tanh(5.0 * x[:, :1])

    found = []
    for share in (0.5, 0.35, 1.0):
        rng = np.random.default_rng(5)
        side = rng.choice([1, -1], (600, 1), p=[share, 1.0 - share])
        x = rng.normal(size=(600, 2)) + np.array([5.0, 0.0]) * side
        found.append(modes.mode_mass_p_value(f, force, x, 1.0, rng))
    assert found[0] is not None and found[0] > 1e-3
    assert found[1] is not None and found[1] < 1e-6  # seven standard errors
    assert found[2] is None
    few = np.where(np.arange(600)[:, None] < 4, 5.0, -5.0) * [1.0, 0.0]
    x = np.random.default_rng(6).normal(size=(600, 2)) + few
    assert modes.mode_mass_p_value(f, force, x, 1.0, np.random.default_rng(7)) is None


def test_unequal_modes_are_found_with_their_own_shares() -> None:
    """A fifth at −5 and four fifths at 5, as there should be, and the other way round; there is an
    answer, if no good one, where points do not differ in a coordinate, which then has no unit."""
    shares = np.log([0.2, 0.8])

    def parts(x):  # type: ignore[no-untyped-def]
        return [a - 0.5 * ((x - [c, 0.0]) ** 2).sum(axis=1)
                for a, c in zip(shares, (-5.0, 5.0), strict=True)]  # fmt: skip

    def f(x):  # type: ignore[no-untyped-def]
        return np.logaddexp(*parts(x))

    def force(x):  # type: ignore[no-untyped-def]
        left, right = parts(x)
        return np.array([5.0, 0.0]) * np.tanh(0.5 * (right - left))[:, None] - x

    found = []
    for share, wide in ((0.2, 1.0), (0.8, 1.0), (0.8, 0.0)):
        rng = np.random.default_rng(9)
        x = rng.normal(size=(500, 2)) * [1.0, wide]
        x[:, 0] += np.where(np.arange(500) < share * 500, -5.0, 5.0)
        found.append(modes.mode_mass_p_value(f, force, x, 1.0, rng))
    assert found[0] is not None and found[0] > 1e-3
    assert found[1] is not None and found[1] < 1e-9
    assert found[2] is not None and found[2] < 1e-9


@pytest.mark.parametrize(("depth", "hills"), [(0.99, 1), (1.01, 2)])
def test_a_valley_is_one_where_f_falls_by_one(depth: float, hills: int) -> None:
    """−d(1 − x²)² + εx has its hills at ±1; ends near a hill are of it, and it is the highest."""
    f = lambda x: 1e-6 * x[:, 0] - depth * (1.0 - x[:, 0] ** 2) ** 2  # noqa: E731
    for ends in ([1.0, -1.0], [-1.0, 1.0], [-0.99, 1.0, 0.98, -1.0]):
        tops = modes._summits(f, np.array(ends)[:, None])
        assert tops[:, 0].tolist() == [1.0, -1.0][:hills]


def test_laws_that_are_fitted_are_pulled_towards_the_pooled_covariance() -> None:
    """As by 2D more points of it."""
    x, pooled = np.random.default_rng(8).normal(size=(9, 3)), np.diag([1.0, 2.0, 3.0])
    mean, root = modes._fitted(x, pooled)
    np.testing.assert_allclose(mean, x.mean(axis=0))
    expected = (9 * np.cov(x.T, bias=True) + 6 * pooled) / 15
    np.testing.assert_allclose(root @ root.T, expected, rtol=1e-12)
