"""The risk of ReLU units whose directions are given: against quadrature and averages."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from jkoflow.dynamics.particle_flow import particle_flow
from jkoflow.functionals.finite_size import finite_size_correction
from jkoflow.measures.particles import Particles
from jkoflow.networks import GaussianClasses, reduced_relu_risk
from jkoflow.networks.four_parameters import four_parameters
from jkoflow.networks.relu_population import ReluPopulation
from jkoflow.status import InvalidFunctional, InvalidMeasure


def units(n: int, dim: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, dim + 2))
    theta[:, 2:] /= np.sqrt(dim)
    return theta


def by_quadrature(classes: GaussianClasses, theta: np.ndarray) -> float:
    """In R^2, on a grid of cells of standard normal mass: no formula of the module is used."""
    at = np.linspace(-8, 8, 2001)
    weight = norm.pdf(at) / norm.pdf(at).sum()
    total = 0.0
    for y, std in ((1.0, classes.std_plus), (-1.0, classes.std_minus)):
        scale = np.where(np.arange(2) < classes.active, std, 1.0)
        u, v = scale[0] * at[:, None], scale[1] * at
        answer = sum(a * np.maximum(w1 * u + w2 * v + b, 0.0) for a, b, w1, w2 in theta)
        total += 0.5 * float(weight @ (y - answer / len(theta)) ** 2 @ weight)
    return total


@pytest.mark.parametrize("active", [1, 2])
def test_risk_is_the_expectation(active) -> None:
    classes, theta = GaussianClasses.std(2, 0.6, active=active), units(4, 2)
    # two directions in the plane may be nearly parallel: the series needs many terms there
    found = ReluPopulation(classes, terms=60).risk(theta)
    # kinks cost the grid a square of its spacing, .008² · E|∇ŷ|
    assert found == pytest.approx(by_quadrature(classes, theta), abs=1e-4)


def test_velocity_is_the_slope_of_half_the_risk() -> None:
    population, theta = ReluPopulation(GaussianClasses.var(6, 0.7, active=4)), units(5, 6)
    velocity, h = population.velocity(theta), 1e-5
    for i, j in ((0, 0), (1, 1), (2, 3), (4, 7)):
        e = np.zeros_like(theta)
        e[i, j] = h
        slope = (population.risk(theta + e) - population.risk(theta - e)) / (2 * h)
        # Ψ = ½δR/δρ, so ∂R/∂θ_i = (2/N)∇Ψ; central differences are right to h²
        assert -velocity[i, j] == pytest.approx(0.5 * len(theta) * slope, abs=1e-7)


def test_independent_directions_cost_what_the_identity_says() -> None:
    # E R(ρ̂_N) = R(ρ) + (∫U(θ,θ)dρ − ∬U dρdρ)/N for uniform directions of given lengths: of that,
    # reduced_relu_risk sees the part that is due to the lengths, which here are all the same
    dim, active, n, draws = 12, 5, 6, 400
    classes = GaussianClasses.std(dim, 0.5, active=active)
    reduced, one = reduced_relu_risk(classes, terms=8), np.array([1.3, 0.2, 0.7, 0.5])
    population, rng, found = ReluPopulation(classes, terms=20), np.random.default_rng(3), []
    alone = None
    for _ in range(draws):
        z = rng.standard_normal((n, dim))
        for part, length in ((z[:, :active], one[2]), (z[:, active:], one[3])):
            part *= length / np.linalg.norm(part, axis=1, keepdims=True)
        theta = np.column_stack([np.full(n, one[0]), np.full(n, one[1]), z])
        assert four_parameters(theta, active) == pytest.approx(np.tile(one, (n, 1)))
        found.append(population.risk(theta))
        alone = population.risk(theta[:1])
    mean = reduced.value(Particles(one[None]))
    expected = mean + (alone - mean) / n
    assert finite_size_correction(reduced, Particles(one[None]), n) == pytest.approx(0.0, abs=1e-12)
    error = float(np.std(found, ddof=1)) / np.sqrt(draws)
    assert abs(float(np.mean(found)) - expected) < 4 * error  # four standard errors
    assert error < 0.05 * (expected - mean)  # so that the identity is seen


def test_flow_of_many_units_lowers_the_risk() -> None:
    population, theta = ReluPopulation(GaussianClasses.std(10, 0.6, active=4)), units(30, 10)
    run = particle_flow(population.velocity, theta, dt=0.05, steps=20, record=[0.0, 0.5, 1.0])
    risks = [population.risk(th) for th in run.snapshots]
    assert risks[2] < risks[1] < risks[0]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidFunctional, match="GaussianClasses"):
        ReluPopulation("classes")  # type: ignore[arg-type]
    with pytest.raises(InvalidFunctional, match="terms"):
        ReluPopulation(GaussianClasses.std(3, 0.5), terms=0)
    with pytest.raises(InvalidMeasure, match="R\\^3"):
        ReluPopulation(GaussianClasses.std(3, 0.5)).risk(np.zeros((2, 4)))
