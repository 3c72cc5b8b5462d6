"""Numbers known in closed form, reached by every representation that can hold them."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt
from jkoflow.steppers import BuresProximal, Exact, QuantileNewton
from jkoflow.transport.one_dimensional import distance_squared

OU = jf.Entropy() + jf.QuadraticPotential(1.0)
START = jf.Gaussian(0.0, 0.25)

# ALGORITHMS.md section 7: σ₀ = ½, τ = 0.1, β = 1; the last digit is given
GAUSSIAN = [
    (jf.Entropy(), 1, 0.653112887415),
    (OU, 1, 0.604846539224),
    (jf.Entropy(), 10, 1.466251412347),
    (OU, 10, 0.934188954641),
]


@pytest.mark.parametrize("stepper", [None, BuresProximal(), Exact()], ids=repr)
@pytest.mark.parametrize(("F", "steps", "std"), GAUSSIAN)
def test_gaussians_to_all_printed_digits(F, steps, std, stepper):
    run = jf.flow(jf.Problem(F, START, 0.1, steps), stepper)
    assert run.final.cov()[0, 0] ** 0.5 == pytest.approx(std, abs=6e-13)


@pytest.mark.parametrize(("F", "steps", "std"), GAUSSIAN)
def test_exact_steps_of_quantiles_and_radii_scale_alike(F, steps, std):
    line = jf.flow(jf.Problem(F, jf.Quantiles.normal(0.0, 0.5, 60), 0.1, steps), Exact())
    ball = jf.flow(jf.Problem(F, jf.Radial.normal(0.5, 9, 60), 0.1, steps), Exact())
    expected = jf.Quantiles.normal(0.0, std, 60).edges
    np.testing.assert_allclose(line.final.edges, expected, atol=1e-11)
    np.testing.assert_allclose(ball.final.edges, jf.Radial.normal(std, 9, 60).edges, atol=1e-11)


# R = 1, τ = 0.1
BARENBLATT = [(None, 2.0, 1.2061978578), (None, 3.0, 1.0930918279), (2, 2.0, 1.1622122816)]


@pytest.mark.parametrize(("dim", "m", "radius"), BARENBLATT)
def test_barenblatt_radii(dim, m, radius):
    run = jf.flow(jf.Problem(jf.PowerEnergy(m), barenblatt(m, 1.0, 80, dim), 0.1, 1), Exact())
    assert run.final.edges[-1] == pytest.approx(radius, abs=6e-11)


def test_the_porous_medium_settles_where_theory_says():
    """U = ρ² + |x|²/2 on the line: R = 3^{1/3}, E = 0.6240251469, reached from any scale."""
    F = jf.PowerEnergy(2.0) + jf.QuadraticPotential(1.0)
    run = jf.flow(jf.Problem(F, barenblatt(2.0, 0.4, 2000), 0.5, 60), Exact())
    assert run.final.edges[-1] == pytest.approx(3 ** (1 / 3), abs=1e-12)
    # the energy of the cells converges in second order: 2000^-2 up to a factor of order one
    assert run.energies[-1] == pytest.approx(0.6240251469, abs=2e-6)


@pytest.mark.parametrize(("dim", "m", "radius"), BARENBLATT)
def test_cosine_grading_gives_newton_order_two_at_vacuum(dim, m, radius):
    """The scheme on n cells against the exact step on the same masses, in W2 of the quantiles."""
    sizes, errors = np.array([50, 100, 200, 400]), []
    for n in sizes:
        problem = jf.Problem(jf.PowerEnergy(m), barenblatt(m, 1.0, n, dim), 0.1, 1)
        newton, exact = (jf.flow(problem, s).final for s in (QuantileNewton(), Exact()))
        errors.append(distance_squared(newton, exact) ** 0.5)
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(("grading", "order"), [("uniform", 0.6), ("tails", 1.9)])
def test_the_order_of_newton_s_heat_step_depends_on_the_tails(grading, order):
    sizes, errors = np.array([50, 100, 200, 400]), []
    for n in sizes:
        problem = jf.Problem(OU, jf.Quantiles.normal(0.0, 0.5, n, grading), 0.1, 1)
        newton, exact = (jf.flow(problem, s).final for s in (QuantileNewton(), Exact()))
        errors.append(distance_squared(newton, exact) ** 0.5)
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.25)
    if grading == "tails":
        assert errors[-1] < 6e-5  # measured 4.1e-5; equal masses leave 1.3e-3


@pytest.mark.parametrize("beta", [1.0, 7.0])
@pytest.mark.parametrize("a", [0.0, 0.8])
def test_small_steps_follow_the_fokker_planck_variance(beta, a):
    """dσ²/dt = 2/β − 2aσ²: implicit Euler's error is of order τ."""
    t, start = 0.5, 0.3
    decay = np.exp(-2 * a * t)
    limit = start * decay + (2 * t / beta if a == 0 else (1 - decay) / (a * beta))
    errors = []
    for steps in (50, 100, 200):
        F = jf.Entropy() / beta + jf.QuadraticPotential(a)
        run = jf.flow(jf.Problem(F, jf.Gaussian(0.0, start), t / steps, steps))
        errors.append(run.final.cov()[0, 0] - limit)
    rates = np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))
    np.testing.assert_allclose(rates, 1.0, atol=0.05)
