"""Gaussian units on the sphere: closed forms against Monte Carlo, derivatives by differences."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow import Particles
from jkoflow.check import Verdict, check_functional
from jkoflow.networks.data_risk import data_risk
from jkoflow.networks.manifolds import uniform_on_sphere
from jkoflow.networks.sphere import SphereUnit, SpinRisk
from jkoflow.networks.spin import ThreeSpin
from jkoflow.status import InvalidFunctional, InvalidProblem


def particles(n, d, rng):
    rng = np.random.default_rng(rng)
    return np.column_stack([rng.normal(size=n), uniform_on_sphere(n, d, d**0.5, rng)])


@pytest.mark.parametrize(("d", "alpha", "normalised"), [(2, 0.7, True), (5, 1.0, False), (9, 2, 1)])
def test_the_value_is_the_gaussian_bump(d, alpha, normalised):
    unit, theta = SphereUnit(d, alpha, normalised), particles(4, d, 0)
    x = uniform_on_sphere(200_000, d, d**0.5, rng=1)
    values = unit.value(theta, x)
    square = ((x[:50, None, :] - theta[None, :, 1:]) ** 2).sum(axis=2)
    bump = theta[:, 0] * np.exp(-alpha / 2 * square) / unit.mean
    np.testing.assert_allclose(values[:50], bump, rtol=1e-12)
    if normalised:
        one = values[:, 0] / theta[0, 0]
        assert abs(one.mean() - 1) < 4 * one.std() / np.sqrt(len(x))


@pytest.mark.parametrize(("d", "alpha"), [(2, 0.7), (5, 1.0), (8, 0.3)])
def test_eigenvalues_and_kernel_against_monte_carlo(d, alpha):
    unit, theta = SphereUnit(d, alpha), particles(2, d, 3)
    theta[:, 0] = 1.0
    f = ThreeSpin.draw(d, rng=4)
    x = uniform_on_sphere(300_000, d, d**0.5, rng=5)
    bumps, parts = unit.value(theta, x), f.parts(x)
    here = f.parts(theta[:, 1:])
    for degree in (1, 3):
        product = parts[degree] * bumps[:, 0]
        error = product.std() / np.sqrt(len(x))
        assert abs(product.mean() - unit.eigenvalue(degree) * here[degree][0]) < 4 * error
    product = bumps[:, 0] * bumps[:, 1]
    s = theta[0, 1:] @ theta[1, 1:] / d
    exact = float(unit.kernel(np.array([s]))[0])
    assert abs(product.mean() - exact) < 4 * product.std() / np.sqrt(len(x))
    h = 1e-6
    slope = (unit.kernel(np.array([s + h])) - unit.kernel(np.array([s - h]))) / (2 * h)
    np.testing.assert_allclose(unit.kernel_slope(np.array([s])), slope, rtol=1e-8)


def test_the_vjp_is_the_derivative_off_the_sphere_too():
    unit, rng = SphereUnit(4, 0.8), np.random.default_rng(6)
    theta, v = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    x, c = uniform_on_sphere(6, 4, 2.0, rng), rng.normal(size=6)
    h = 1e-6
    difference = c @ (unit.value(theta + h * v, x) - unit.value(theta - h * v, x)) / (2 * h)
    np.testing.assert_allclose(np.sum(unit.vjp(theta, x, c) * v, axis=1), difference, atol=1e-8)


@pytest.mark.parametrize(("d", "alpha"), [(3, 1.0), (6, 0.5)])
def test_the_risk_is_the_population_risk(d, alpha):
    f, unit = ThreeSpin.draw(d, rng=7), SphereUnit(d, alpha)
    theta = particles(12, d, 8)
    x, y = f.sample(200_000, rng=9)
    squares = (y - unit.value(theta, x).mean(axis=1)) ** 2
    exact = SpinRisk(f, unit).value(Particles(theta))
    assert abs(squares.mean() - exact) < 4 * squares.std() / np.sqrt(len(x))
    # and it is a quadrature of data_risk, which knows nothing of harmonics
    sampled = data_risk(unit, x[:2000], y[:2000])
    assert sampled.value(Particles(theta)) == pytest.approx(squares[:2000].mean(), rel=1e-12)


def test_the_risk_passes_the_judge_of_functionals():
    f = ThreeSpin.draw(3, rng=10)
    R, mu = SpinRisk(f, SphereUnit(3, 0.7)), Particles(particles(8, 3, 11))
    report = check_functional(R, mu, rng=0)
    assert report.verdict is Verdict.ACCEPTED, report.text()


def test_gradients_are_tangential():
    f, theta = ThreeSpin.draw(5, rng=12), particles(6, 5, 13)
    g = SpinRisk(f, SphereUnit(5, 1.0)).gradient(Particles(theta))
    assert np.abs(np.sum(g[:, 1:] * theta[:, 1:], axis=1)).max() < 1e-12
    assert np.abs(g[:, 1:]).max() > 1e-3


def test_bad_input():
    for bad in ((1, 1.0), (2.5, 1.0), (3, 0.0), (3, np.nan), (3, "1")):
        with pytest.raises(InvalidFunctional):
            SphereUnit(*bad)
    f = ThreeSpin.draw(3, rng=0)
    with pytest.raises(InvalidProblem, match="dimensions"):
        SpinRisk(f, SphereUnit(4, 1.0))
    R = SpinRisk(f, SphereUnit(3, 1.0))
    with pytest.raises(InvalidFunctional):
        R.value(Particles(np.ones((2, 3))))
    with pytest.raises(InvalidFunctional, match="sphere"):
        R.value(Particles([[1.0, 0.0, 0.0, 0.0]]))
