"""Gaussian: validation, exact moments, displacement, density, singular covariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import jkoflow as jf
from jkoflow.measures.base import measure_from_arrays
from jkoflow.measures.gaussian import Gaussian
from jkoflow.status import InvalidMeasure, NotDefined

BAD = {
    "not symmetric": ([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]], "symmetric"),
    "indefinite": ([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]], "eigenvalue -1"),
    "negative variance": (0.0, -1.0, "semidefinite"),
    "NaN mean": ([np.nan], [[1.0]], "NaN"),
    "NaN cov": ([0.0], [[np.nan]], "NaN"),
    "complex": ([0.0], [[1j]], "complex"),
    "wrong shape": ([0.0, 0.0], [[1.0]], "shape"),
    "a vector of variances": ([0.0, 0.0], [1.0, 1.0], "shape"),
    "matrix mean": ([[0.0]], [[1.0]], "mean"),
    "empty": ([], np.zeros((0, 0)), "mean"),
}


def some_gaussian(dim, seed=0):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(dim, dim))
    return Gaussian(rng.normal(size=dim), factor @ factor.T / dim + 0.1 * np.eye(dim))


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    mean, cov, message = BAD[name]
    with pytest.raises(InvalidMeasure, match=message):
        Gaussian(mean, cov)


def test_numbers_are_taken_as_dimension_one():
    mu = Gaussian(1.0, 4.0)
    assert mu.dim == 1 and mu.mean().shape == (1,) and mu.cov().shape == (1, 1)


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 20, 70])
def test_points_carry_the_first_two_moments(dim):
    mu = some_gaussian(dim)
    points = jf.Particles(mu.points, mu.weights)
    np.testing.assert_allclose(points.mean(), mu.mean(), atol=1e-13)
    np.testing.assert_allclose(points.cov(), mu.cov(), atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3, 6, 20, 70])
def test_affine_displacements_are_exact(dim):
    rng = np.random.default_rng(1)
    mu, b, A = some_gaussian(dim), rng.normal(size=dim), rng.normal(size=(dim, dim))
    moved = mu.displaced(b + (mu.points - mu.mean()) @ A.T)
    map_ = np.eye(dim) + A
    np.testing.assert_allclose(moved.mean(), mu.mean() + b, atol=1e-12)
    np.testing.assert_allclose(moved.cov(), map_ @ mu.cov() @ map_.T, atol=1e-11 * dim)


def test_other_displacements_are_projected_on_affine_ones():
    # E[x³·x] = 3σ⁴: the least-squares slope of x³ is 3σ² (and of cos, 0)
    mu = Gaussian(0.0, 0.25)
    x = mu.points
    moved = mu.displaced(x**3 + np.cos(x))
    assert moved.mean()[0] == pytest.approx(np.exp(-0.125), abs=1e-14)
    assert moved.cov()[0, 0] == pytest.approx(0.25 * (1 + 0.75) ** 2, rel=1e-13)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_density_score_and_determinant(dim):
    mu, rng = some_gaussian(dim), np.random.default_rng(2)
    x = rng.normal(size=(6, dim))
    reference = multivariate_normal(mu.mean(), mu.cov())
    np.testing.assert_allclose(mu.log_density(x), np.atleast_1d(reference.logpdf(x)), rtol=1e-12)
    np.testing.assert_allclose(mu.log_det(), np.linalg.slogdet(mu.cov())[1], rtol=1e-12)
    np.testing.assert_allclose(mu.score(x), -(x - mu.mean()) @ np.linalg.inv(mu.cov()), atol=1e-11)


def test_a_singular_gaussian_has_moments_but_no_density():
    mu = Gaussian([1.0, 2.0], [[1.0, 1.0], [1.0, 1.0]])
    assert mu.is_singular()
    assert mu.integrate(lambda x: (x[:, 0] - x[:, 1]) ** 2) == pytest.approx(1.0, abs=1e-14)
    for ask in (mu.log_det, lambda: mu.log_density(mu.points), lambda: mu.score(mu.points)):
        with pytest.raises(NotDefined, match="singular"):
            ask()
    with pytest.raises(NotDefined, match="singular"):
        jf.Entropy().value(mu)
    assert Gaussian(3.0, 0.0).integrate(lambda x: x[:, 0] ** 2) == 9.0


def test_rounding_below_zero_is_no_error():
    a = np.array([[1.0, 1.0], [1.0, 1.0 - 1e-15]])
    assert Gaussian([0.0, 0.0], a).eigen[0][0] == 0.0


@pytest.mark.parametrize("dim", [1, 3, 7])
def test_the_eigendecomposition_may_be_given(dim):
    mu = some_gaussian(dim)
    again = Gaussian.from_eigen(mu.mean(), *mu.eigen)
    np.testing.assert_allclose(again.cov(), mu.cov(), atol=1e-14 * dim)
    np.testing.assert_allclose(again.sqrt_cov @ again.sqrt_cov, mu.cov(), atol=1e-13 * dim)
    with pytest.raises(InvalidMeasure, match="negative"):
        Gaussian.from_eigen(np.zeros(2), [1.0, -1.0], np.eye(2))


def test_finer_quadrature():
    mu = Gaussian([0.0, 0.5], [[1.0, 0.3], [0.3, 2.0]])
    k = np.array([3.0, -1.0])
    exact = np.exp(-0.5 * k @ mu.cov() @ k) * np.cos(k @ mu.mean())
    x, w = mu.quadrature(60)
    assert w @ np.cos(x @ k) == pytest.approx(exact, abs=1e-13)
    assert abs(mu.integrate(lambda p: np.cos(p @ k)) - exact) > 1e-9  # 16 nodes are not enough


@pytest.mark.parametrize("dim", [1, 4])
def test_arrays_bring_it_back_bit_for_bit(dim):
    mu = some_gaussian(dim)
    back = measure_from_arrays("gaussian", mu.to_arrays())
    assert (back.mean() == mu.mean()).all() and (back.cov() == mu.cov()).all()
    assert (back.points == mu.points).all()


def test_points_asked_for_must_have_the_right_dimension():
    with pytest.raises(InvalidMeasure, match="points must have shape"):
        Gaussian([0.0, 0.0], np.eye(2)).log_density(np.zeros((3, 3)))
