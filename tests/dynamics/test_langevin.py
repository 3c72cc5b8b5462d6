"""Langevin particles: exact Ornstein–Uhlenbeck moments, SGD's own limit, and their failures."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.dynamics.langevin import euler_stationary, langevin
from jkoflow.dynamics.sgd.record import Recording
from jkoflow.networks import EmpiricalData, SimpleUnit, data_risk, tanh
from jkoflow.status import InvalidMeasure, InvalidProblem, NotDefined, StepFailed

CHAIN = {"default": 4.0, "literature": 2.0, "slides": 1.0}


@pytest.mark.parametrize("noise", CHAIN)
def test_ornstein_uhlenbeck_has_the_moments_of_its_chain(noise):
    a, beta, s, steps, n = 1.3, 3.0, 0.02, 60, 20_000
    F = jf.QuadraticPotential(a, center=[0.5, -1.0]) + jf.Entropy() / beta
    run = langevin(F, np.full((n, 2), 2.0), steps=steps, epsilon=s, rng=1, noise=noise)
    shrink = 1 - 2 * s * a
    mean = np.array([0.5, -1.0]) + shrink**steps * np.array([1.5, 3.0])
    variance = CHAIN[noise] * s / beta * (1 - shrink ** (2 * steps)) / (1 - shrink**2)
    # z-scores of means and variances of n independent normal numbers
    assert (np.abs(run.theta.mean(axis=0) - mean) < 4.5 * math.sqrt(variance / n)).all()
    assert (np.abs(run.theta.var(axis=0) / variance - 1) < 4.5 * math.sqrt(2 / n)).all()


def test_interacting_particles_relax_about_their_mean():
    """W = κ|x−y|²/2: the centre of mass is Brownian, the rest is Ornstein–Uhlenbeck with κ."""
    kappa, beta, s, steps, n = 2.0, 4.0, 0.01, 200, 20_000
    F = jf.QuadraticInteraction(kappa) + jf.Entropy() / beta
    run = langevin(F, np.zeros((n, 1)), steps=steps, epsilon=s, rng=2)
    shrink = 1 - 2 * s * kappa
    variance = 4 * s / beta * (1 - shrink ** (2 * steps)) / (1 - shrink**2)
    assert abs(run.theta.var() / variance - 1) < 4.5 * math.sqrt(2 / n)
    assert abs(run.theta.mean()) < 4.5 * math.sqrt(4 * s * steps / beta / n)


def test_without_noise_it_is_gradient_descent_of_the_risk():
    rng = np.random.default_rng(0)
    x, theta = rng.normal(size=(30, 2)), rng.normal(size=(12, 2))
    y = np.sign(x[:, 0])
    R = data_risk(SimpleUnit(tanh), x, y)
    run = langevin(0.5 * R + jf.QuadraticPotential(0.1), theta, steps=3, epsilon=0.05)
    expected = theta
    for _ in range(3):
        error = y - np.tanh(x @ expected.T).mean(axis=1)
        slope = (error[:, None] / np.cosh(x @ expected.T) ** 2).T @ x / len(x)
        expected = (1 - 2 * 0.1 * 0.05) * expected + 2 * 0.05 * slope
    # rounding of three steps of numbers of order one
    np.testing.assert_allclose(run.theta, expected, atol=1e-13)


def test_it_is_the_mean_of_sgd_over_samples():
    """The same step with samples drawn: their mean over many is the Langevin step."""
    rng = np.random.default_rng(5)
    x, theta = rng.normal(size=(20, 2)), rng.normal(size=(6, 2))
    y = rng.normal(size=20)
    unit, m, s = SimpleUnit(tanh), 40_000, 0.1
    F = jf.free_energy(data_risk(unit, x, y), 0.3, math.inf)
    mean = langevin(F, theta, steps=1, epsilon=s).theta
    drawn = jf.sgd(unit, EmpiricalData(x, y), theta, steps=1, epsilon=s, lam=0.3, batch=m, rng=7)
    # 5 standard errors of the mean of m gradients, of standard deviation ≤ 2·s·3
    assert np.abs(drawn.theta - mean).max() < 5 * 0.6 / math.sqrt(m)


def test_schedules_and_records_are_those_of_sgd():
    F = jf.QuadraticPotential(1.0)
    record = Recording([0.0, 0.5, 1.0], {"mean": lambda t: t.mean()}, snapshots=True)
    run = langevin(F, [[1.0], [3.0]], steps=100, epsilon=0.01, xi=lambda t: 1 / (1 + t),
                   record=record)  # fmt: skip
    assert run.jko_time == pytest.approx(2 * math.log(2), rel=1e-9)
    steps = 2 * 0.01 / (1 + 0.01 * np.arange(100))
    assert run.statistics["mean"][-1] == pytest.approx(2 * np.prod(1 - steps), rel=1e-12)
    assert len(run.snapshots) == 3 and run.status is jf.Status.COMPLETE


def test_the_same_seed_gives_the_same_particles_whatever_is_recorded():
    F = jf.QuadraticPotential(1.0) + jf.Entropy()
    runs = [langevin(F, np.zeros((5, 2)), steps=20, epsilon=0.01, rng=3, record=record)
            for record in (None, [0.0, 0.1])]  # fmt: skip
    np.testing.assert_array_equal(runs[0].theta, runs[1].theta)


def test_divergence_is_told_and_keeps_the_last_finite_particles():
    F = jf.QuadraticPotential(1.0)  # each step multiplies by 1 − 2s = −19, overflow after 240
    with pytest.raises(StepFailed, match="smaller epsilon") as failure:
        langevin(F, [[30.0]], steps=400, epsilon=10.0)
    assert np.isfinite(failure.value.trajectory.theta).all()
    run = langevin(F, [[30.0]], steps=400, epsilon=10.0, throw=False)
    assert run.status is jf.Status.NON_FINITE and run.steps < 400


@pytest.mark.parametrize(
    ("F", "x0", "options", "error"),
    [
        (jf.PowerEnergy(2.0), [[0.0]], {}, NotDefined),
        (jf.QuadraticPotential(1.0) - jf.Entropy(), [[0.0]], {}, NotDefined),
        ("F", [[0.0]], {}, InvalidProblem),
        (jf.QuadraticPotential(1.0), [0.0, 1.0], {}, InvalidMeasure),
        (jf.QuadraticPotential(1.0), [[np.nan]], {}, InvalidMeasure),
        (jf.QuadraticPotential(1.0), [[1j]], {}, InvalidMeasure),
        (jf.QuadraticPotential(1.0), jf.Gaussian(0.0, 1.0), {}, InvalidMeasure),
        (jf.QuadraticPotential(1.0), jf.Particles([[0.0], [1.0]], [0.3, 0.7]), {}, InvalidMeasure),
        (jf.QuadraticPotential(1.0), [[0.0]], {"steps": 1.5}, InvalidProblem),
        (jf.QuadraticPotential(1.0), [[0.0]], {"epsilon": -1.0}, InvalidProblem),
        (jf.QuadraticPotential(1.0), [[0.0]], {"noise": "mine"}, InvalidProblem),
        (jf.QuadraticPotential(1.0), [[0.0]], {"rng": "seed"}, InvalidProblem),
    ],
)
def test_bad_arguments(F, x0, options, error):
    with pytest.raises(error):
        langevin(F, x0, **{"steps": 2, "epsilon": 0.1, **options})


@pytest.mark.parametrize(("beta", "s"), [(3.0, 2e-3), (5.0, 1e-3)])
def test_the_chain_of_a_double_well_samples_its_stationary_law(beta, s):
    """Time and ensemble means of the chain, against the law found without sampling."""
    V = jf.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2, lambda x: 4 * x * (x**2 - 1))
    x, p = euler_stationary(
        lambda x: x - 8 * s * x * (x**2 - 1), math.sqrt(4 * s / beta), -2.5, 2.5
    )
    exact = float(p @ x**2 * (x[1] - x[0]))
    start = np.random.default_rng(0).choice([-1.0, 1.0], size=(20_000, 1))
    run = langevin(V + jf.Entropy() / beta, start, steps=round(1.5 / s), epsilon=s, rng=1)
    values = run.theta[:, 0] ** 2
    assert abs(values.mean() - exact) < 4.5 * values.std() / math.sqrt(len(values))
    grid = np.linspace(-4, 4, 8001)
    weights = np.exp(-beta * (grid**2 - 1) ** 2)
    limit = weights @ grid**2 / weights.sum()
    assert 0 < limit - exact < s  # Euler–Maruyama: off by O(s), .77·s here, and on this side


@pytest.mark.parametrize(
    "arguments",
    [
        (0.0, -1, 1), (math.nan, -1, 1), (0.1, 1, -1), (0.1, -1, math.inf), (0.001, -1, 1),
        (0.1, -1, 1, 2.5),
    ],
)  # fmt: skip
def test_a_stationary_law_needs_a_spread_and_enough_points(arguments):
    with pytest.raises(InvalidProblem):
        euler_stationary(lambda x: 0.5 * x, *arguments)


def test_a_chain_that_leaves_has_no_stationary_law():
    with pytest.raises(InvalidProblem, match="leaves"):
        euler_stationary(lambda x: x + 10.0, 0.1, -1.0, 1.0)
