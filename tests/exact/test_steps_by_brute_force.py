"""Single steps against minimisers found with SciPy from quadratures: no formula of the library."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import sqrtm
from scipy.optimize import brentq, minimize

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt
from jkoflow.steppers import BuresProximal, Exact, QuantileNewton

SURFACE = {1: 2.0, 2: 2 * np.pi, 3: 4 * np.pi}


def unit_ball_moments(m, d, c):
    """E|x|² and F of the Barenblatt law of radius 1, by quadrature."""

    def integral(power, exponent):
        density = quad(lambda r: r**power * (1 - r * r) ** exponent, 0, 1, epsabs=1e-13)[0]
        return SURFACE[d] * density

    p = 1 / (m - 1)
    mass = integral(d - 1, p)
    return integral(d + 1, p) / mass, c / (m - 1) * integral(d - 1, p * m) / mass**m


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("m", [1.7, 2.5, 4.0])
def test_barenblatt_steps_minimise_the_objective_over_dilations(m, d):
    """F scales like R^{−d(m−1)}, and W2² between dilates is (R⁺ − R)² E|x|²."""
    c, tau, radius = 0.63, 0.17, 0.8
    second, energy = unit_ball_moments(m, d, c)
    k = d * (m - 1)
    found = brentq(lambda s: (s - radius) * second / tau - k * energy * s ** (-k - 1), radius, 50)

    F, rng = jf.PowerEnergy(m, c), np.random.default_rng(0)
    mu = barenblatt(m, radius, 400, dim=None if d == 1 else d)
    exact = Exact().step(F, mu, tau, {}, rng).measure
    assert exact.edges[-1] == pytest.approx(found, abs=1e-10)  # quad's and brentq's accuracy
    newton = QuantileNewton().step(F, mu, tau, {}, rng).measure
    error = np.sqrt(newton.weights @ (newton.edges - exact.edges) ** 2)
    assert error < 3.0 / 400**2  # second order; the largest constant is 1.3, at m = 1.7, d = 1
    assert F.value(mu) == pytest.approx(energy * radius**-k, abs=1.0 / 400**2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("d", [2, 3])
def test_gaussian_steps_minimise_over_all_gaussians(d, seed):
    """Any quadratic form, off-centre, with interaction and temperature; W2 by a matrix root."""
    rng = np.random.default_rng([d, seed])
    A, cov = (g @ g.T + 0.2 * np.eye(d) for g in rng.normal(size=(2, d, d)))
    mean, centre = rng.normal(size=(2, d))
    kappa, beta, tau = 0.7, 2.3, 0.31
    V = jf.Potential(
        lambda x: 0.5 * np.einsum("ni,ij,nj->n", x - centre, A, x - centre),
        gradient=lambda x: (x - centre) @ A,
        hessian=lambda x: np.broadcast_to(A, (len(x), d, d)),
    )
    F = V + jf.QuadraticInteraction(kappa) + jf.Entropy() / beta
    root, lower = np.real(sqrtm(cov)), np.tril_indices(d)

    def objective(v):
        b, L = v[:d], np.zeros((d, d))
        L[lower] = v[d:]
        S = L @ L.T
        value = 0.5 * (np.trace(A @ S) + (b - centre) @ A @ (b - centre) + kappa * np.trace(S))
        value -= 0.5 / beta * np.linalg.slogdet(2 * np.pi * np.e * S)[1]
        overlap = np.sqrt(np.linalg.eigvalsh(root @ S @ root)).sum()
        return value + ((b - mean) @ (b - mean) + np.trace(S + cov) - 2 * overlap) / (2 * tau)

    mu = jf.Gaussian(mean, cov)
    new = BuresProximal().step(F, mu, tau, {}, rng).measure
    mine = np.concatenate([new.mean(), np.linalg.cholesky(new.cov())[lower]])
    start = np.concatenate([mean, np.linalg.cholesky(cov)[lower]])
    best = minimize(objective, start, method="BFGS", options={"gtol": 1e-8})
    assert objective(mine) <= best.fun + 1e-12  # rounding of values of order ten
    # BFGS by differences stops where it no longer sees a decrease, 1e-12 … 1e-10 above the
    # minimum; the objective's curvature is of the order of 1/τ = 3.
    L = np.zeros((d, d))
    L[lower] = best.x[d:]
    np.testing.assert_allclose(new.mean(), best.x[:d], atol=2e-5)
    np.testing.assert_allclose(new.cov(), L @ L.T, atol=2e-5)
