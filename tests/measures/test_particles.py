"""Particles: what is refused, moments, displacement, arrays."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.base import measure_from_arrays
from jkoflow.status import InvalidMeasure

BAD = {
    "empty": (np.zeros((0, 2)), None, "n, d ≥ 1"),
    "three axes": (np.zeros((2, 2, 2)), None, "shape"),
    "a number": (3.0, None, "shape"),
    "NaN": ([[0.0], [np.nan]], None, "NaN"),
    "infinity": ([[0.0], [np.inf]], None, "infinity"),
    "complex": ([[0.0], [1j]], None, "complex"),
    "words": (["a", "b"], None, "numbers"),
    "ragged": ([[0.0], [1.0, 2.0]], None, "numbers"),
    "negative weight": ([[0.0], [1.0]], [1.5, -0.5], "negative"),
    "unsummed weights": ([[0.0], [1.0]], [1.0, 1.0], "divide"),
    "too few weights": ([[0.0], [1.0]], [1.0], "shape"),
    "NaN weight": ([[0.0], [1.0]], [np.nan, 1.0], "NaN"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_typed_error_that_says_what_is_wrong(name):
    x, weights, message = BAD[name]
    with pytest.raises(InvalidMeasure, match=message):
        jf.Particles(x, weights)


def test_rounding_of_the_weights_is_normalised_away():
    w = np.full(10, 0.1)
    w[0] += 1e-10
    assert jf.Particles(np.zeros((10, 1)), w).weights.sum() == pytest.approx(1.0, abs=1e-15)


def test_moments_are_those_of_numpy():
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(40, 3)), rng.dirichlet(np.ones(40))
    mu = jf.Particles(x, w)
    np.testing.assert_allclose(mu.mean(), np.average(x, axis=0, weights=w), rtol=1e-13)
    np.testing.assert_allclose(mu.cov(), np.cov(x.T, aweights=w, ddof=0), rtol=1e-12)
    assert mu.integrate(lambda p: p[:, 0] * p[:, 1]) == pytest.approx(w @ (x[:, 0] * x[:, 1]))
    np.testing.assert_allclose(mu.integrate(lambda p: p), mu.mean())


def test_integrate_refuses_a_function_of_the_wrong_shape():
    with pytest.raises(InvalidMeasure, match="integrate"):
        jf.Particles([0.0, 1.0]).integrate(lambda x: 1.0)


def test_a_measure_is_a_value():
    x = np.zeros((2, 1))
    mu = jf.Particles(x)
    x[0] = 5.0
    assert mu.points[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        mu.points[0] = 1.0


def test_displacement_moves_points_and_keeps_weights():
    mu = jf.Particles([[0.0, 1.0], [2.0, 3.0]], [0.25, 0.75])
    moved = mu.displaced([[1.0, 0.0], [0.0, -1.0]])
    np.testing.assert_array_equal(moved.points, [[1.0, 1.0], [2.0, 2.0]])
    np.testing.assert_array_equal(moved.weights, mu.weights)
    with pytest.raises(InvalidMeasure, match="displacement"):
        mu.displaced(np.zeros((2, 1)))


def test_arrays_bring_the_measure_back_bit_for_bit():
    rng = np.random.default_rng(0)
    mu = jf.Particles(rng.normal(size=(7, 2)), rng.dirichlet(np.ones(7)))
    back = measure_from_arrays("particles", mu.to_arrays())
    assert (back.points == mu.points).all()
    assert (back.weights == mu.weights).all()
    with pytest.raises(InvalidMeasure, match="unknown kind"):
        measure_from_arrays("cloud", mu.to_arrays())
    with pytest.raises(InvalidMeasure, match="lack"):
        measure_from_arrays("particles", {"x": mu.points})
