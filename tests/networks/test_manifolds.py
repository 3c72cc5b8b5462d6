"""Spheres and tori: steps stay on them, and agree with straight steps to second order."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow.networks.manifolds import Product, Sphere, Torus, uniform_on_sphere
from jkoflow.status import InvalidMeasure, InvalidProblem


@pytest.mark.parametrize("radius", [0.5, 3.0])
def test_a_sphere_step_stays_and_is_second_order(radius):
    rng = np.random.default_rng(0)
    sphere = Sphere(radius, slice(1, None))
    theta = np.column_stack([rng.normal(size=7), uniform_on_sphere(7, 4, radius, rng)])
    v = sphere.tangent(theta, rng.normal(size=theta.shape))
    assert np.abs(np.sum(theta[:, 1:] * v[:, 1:], axis=1)).max() < 1e-12  # rounding only
    errors = []
    for h in (1e-2, 5e-3):
        moved = sphere.retract(theta, h * v)
        assert sphere.contains(moved)
        assert np.array_equal(moved[:, 0], theta[:, 0] + h * v[:, 0])  # the free column
        errors.append(np.abs(moved - theta - h * v).max())
    assert 3.9 < errors[0] / errors[1] < 4.1  # O(h²)


def test_the_tangent_part_is_a_projection():
    rng = np.random.default_rng(1)
    theta, sphere = uniform_on_sphere(5, 3, 2.0, rng), Sphere(2.0)
    v = rng.normal(size=theta.shape)
    once = sphere.tangent(theta, v)
    np.testing.assert_allclose(sphere.tangent(theta, once), once, atol=1e-14)
    assert np.abs(once - v).max() > 0.1
    np.testing.assert_allclose(sphere.tangent(theta, theta), 0.0, atol=1e-14)


def test_a_torus_wraps_even_from_a_hair_below_zero():
    torus = Torus(2.0)
    moved = torus.retract(np.array([[1.5], [0.0]]), np.array([[4.75], [-1e-300]]))
    np.testing.assert_allclose(moved, [[0.25], [0.0]])
    assert torus.contains(moved) and not torus.contains(np.array([[2.0]]))


def test_a_product_moves_each_factor():
    both = Product([Sphere(1.0, slice(0, 2)), Torus(1.0, slice(2, 3))])
    theta = np.array([[1.0, 0.0, 0.75]])
    v = both.tangent(theta, np.array([[3.0, 1.0, 0.5]]))
    assert v.tolist() == [[0.0, 1.0, 0.5]]
    np.testing.assert_allclose(both.retract(theta, v), [[0.5**0.5, 0.5**0.5, 0.25]])


def test_uniform_points_have_the_moments_of_the_uniform_law():
    x = uniform_on_sphere(200_000, 4, 3.0, rng=2)
    # E x_1 = 0, E x_1² = r²/d, E x_1⁴ = 3r⁴/(d(d+2)); four standard errors
    for power, exact in ((1, 0.0), (2, 9 / 4), (4, 3 * 81 / 24)):
        values = x[:, 1] ** power
        assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(len(x))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, "1"])
def test_senseless_sizes(bad):
    for make in (Sphere, Torus):
        with pytest.raises(InvalidProblem):
            make(bad)
    with pytest.raises(InvalidProblem):
        uniform_on_sphere(3, 2, bad)


def test_a_step_into_the_centre_is_an_error():
    with pytest.raises(InvalidMeasure, match="smaller steps"):
        Sphere(1.0).retract(np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]]))
    with pytest.raises(InvalidProblem):
        uniform_on_sphere(-1, 3)
