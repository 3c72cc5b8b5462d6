"""Fixed points against Bessel functions, scalar root finding, and orthogonal polynomials."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import gamma, iv

import jkoflow as jf
from jkoflow.measures.cells import level_masses
from jkoflow.steppers import QuantileNewton


def attraction(K):
    return jf.Interaction(
        lambda z: -K * np.cos(z[:, 0]),
        gradient=lambda z: K * np.sin(z),
        hessian=lambda z: K * np.cos(z)[:, :, None],
    )


@pytest.mark.parametrize(("K", "beta"), [(2.0, 2.2), (1.2, 1.0)])
def test_noisy_phases_synchronise_as_bessel_functions_say(K, beta):
    """r = I1(βKr)/I0(βKr) on the circle, cut open opposite to the mean phase; 0 if βK < 2."""
    exact = 0.0
    if beta * K > 2:
        exact = brentq(lambda r: iv(1, beta * K * r) / iv(0, beta * K * r) - r, 1e-3, 1.0)
    F = attraction(K) + jf.Entropy() / beta
    levels, mass = level_masses(200, "cosine")
    grid = np.linspace(-np.pi, np.pi, 2001)
    cdf = (grid + np.pi + 0.5 * np.sin(grid)) / (2 * np.pi)
    start = jf.Quantiles(np.interp(levels, cdf, grid), mass)

    def order(mu):
        z = mu.integrate(lambda x: np.cos(x[:, 0])), mu.integrate(lambda x: np.sin(x[:, 0]))
        return float(np.hypot(*z))

    walls = QuantileNewton(ends="fixed")
    steps = 40  # the slowest rate, that of disorder, is 1/β − K/2 = .4
    run = jf.flow(jf.Problem(F, start, tau=1.0, steps=steps), walls, save=jf.only_last())
    assert order(run.final) == pytest.approx(exact, abs=5e-4)  # 200 cells, second order
    star = jf.solve_gibbs(F, (-np.pi, np.pi))
    # 1000 cells, second order; the iteration leaves the uniform law where that is not stable
    assert order(star.measure) == pytest.approx(exact, abs=2e-5)


def magnetisation(m, beta):
    """⟨x⟩ under exp(−β(x⁴/4 − x²/2 + (x−m)²/2))."""

    def moment(k):
        return quad(lambda x: x**k * np.exp(-beta * (x**4 / 4 - m * x)), -8, 8, limit=200)[0]

    return moment(1) / moment(0)


@pytest.mark.parametrize("distance", [-0.2, 0.12, 0.5])
def test_desai_zwanzig_around_its_transition(distance):
    critical = (gamma(0.25) / (2 * gamma(0.75))) ** 2
    beta, exact = critical + distance, 0.0
    if distance > 0:
        exact = brentq(lambda m: magnetisation(m, beta) - m, 1e-3, 2.0)
    V = jf.Potential(
        lambda x: (x**4 / 4 - x**2 / 2)[:, 0],
        gradient=lambda x: x**3 - x,
        hessian=lambda x: (3 * x**2 - 1)[:, :, None],
    )
    F = V + jf.QuadraticInteraction(1.0) + jf.Entropy() / beta
    star = jf.solve_gibbs(F, jf.Quantiles.normal(1.0, 0.5, 200))
    # 1000 cells give 1e-6; so near the transition the equation's residual is worth 10 times more
    assert star.measure.mean()[0] == pytest.approx(exact, abs=1e-5)
    assert not np.isfinite(star.gap)  # F is not convex in mixtures, so nothing is certified


def log_gas(n):
    """The least ½Σ_{i≠j} w²(|x_i−x_j|²/2 − log|x_i−x_j|): at the zeros of H_n, over √n.

    Their squares sum to n(n−1)/2, and the discriminant of the monic H_n is 2^{−n(n−1)/2} Π k^k.
    """
    k = np.arange(1, n + 1)
    logs = 0.5 * (k @ np.log(k) - 0.5 * n * (n - 1) * (np.log(2) + np.log(n)))
    return (n - 1) / (4 * n) - logs / n**2


SEMICIRCLE = 0.5482867951
LOG_GAS = jf.Interaction(
    lambda z: 0.5 * z[:, 0] ** 2 - np.log(abs(z[:, 0])),
    gradient=lambda z: z - 1 / z,
    hessian=lambda z: (1 + 1 / z**2)[:, :, None],
    self_interaction=False,
)


@pytest.mark.parametrize("n", [7, 40])
def test_points_that_repel_by_logarithms(n):
    start = jf.Particles(np.linspace(-1.0, 1.0, n))
    run = jf.flow(jf.Problem(LOG_GAS, start, tau=0.5, steps=50), save=jf.only_last())
    assert run.energies[-1] == pytest.approx(log_gas(n), abs=1e-9)  # at rest to 1.5^-50
    assert run.final.cov()[0, 0] == pytest.approx(0.5 * (1 - 1 / n), abs=1e-8)


def test_what_leaving_out_the_self_interaction_costs():
    """(log n)/(2n) + O(1/n) below the semicircle's energy: the docstring of `Interaction`."""
    n = np.array([100, 10_000, 1_000_000])
    miss = SEMICIRCLE - np.array([log_gas(k) for k in n])
    rest = n * miss - 0.5 * np.log(n)
    assert np.ptp(rest) < 0.02 and abs(rest[-1] - 0.42) < 0.02
