"""Cubatures of the normal law: positive, and exact for every monomial up to their degree."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from jkoflow.measures.cubature import _kerdock_lines, normal_cubature, tensor_cubature
from jkoflow.status import InvalidMeasure


def normal_moment(indices):
    """E Π x_i: a product of double factorials."""
    powers = np.unique(indices, return_counts=True)[1]
    return np.prod([0 if k % 2 else np.prod(np.arange(k - 1, 0, -2)) for k in powers])


@pytest.mark.parametrize(("dim", "degree"), [(1, 12), (2, 9), (3, 7), (4, 5), (7, 5), (16, 5)])
def test_every_monomial_is_exact(dim, degree):
    z, w = normal_cubature(dim)
    assert (w > 0).all() and w.sum() == pytest.approx(1.0, abs=1e-13)
    for k in range(1, degree + 1):
        for indices in combinations_with_replacement(range(dim), k):
            value = w @ z[:, list(indices)].prod(axis=1)
            exact = normal_moment(indices)
            assert value == pytest.approx(exact, abs=1e-11 * max(1, exact))  # rounding of n sums


@pytest.mark.parametrize("dim", [17, 40, 64])
def test_random_quartics_are_exact_in_many_dimensions(dim):
    rng = np.random.default_rng(dim)
    z, w = normal_cubature(dim)
    assert (w > 0).all()
    for _ in range(20):
        a, b = rng.normal(size=(2, dim)) / np.sqrt(dim)
        x, y = z @ a, z @ b
        exact = (a @ a) * (b @ b) + 2 * (a @ b) ** 2  # Isserlis
        assert w @ (x * x * y * y) == pytest.approx(exact, rel=1e-11)
        assert w @ (x**3 * y * y) == pytest.approx(0.0, abs=1e-11)


def test_above_dimension_64_degree_three():
    z, w = normal_cubature(100)
    np.testing.assert_allclose((z * w[:, None]).T @ z, np.eye(100), atol=1e-12)
    assert len(w) == 200 and (w > 0).all()


@pytest.mark.parametrize("exponent", [2, 4, 6])
def test_the_lines_are_mutually_unbiased_bases(exponent):
    size = 2**exponent
    lines = _kerdock_lines(exponent)
    assert len(lines) == size * (size // 2 + 1)
    angles = np.abs(lines @ lines.T)
    allowed = np.array([0.0, size**-0.5, 1.0])
    assert np.abs(angles[..., None] - allowed).min(axis=-1).max() < 1e-12
    own = np.kron(np.eye(size // 2 + 1), np.ones((size, size))).astype(bool)
    np.testing.assert_allclose(angles[own].reshape(-1, size, size)[0], np.eye(size), atol=1e-12)
    np.testing.assert_allclose(angles[~own], size**-0.5, rtol=1e-12)


def test_bad_orders_are_refused():
    for order in (0, -3, 1.5, True):
        with pytest.raises(InvalidMeasure, match="order"):
            tensor_cubature(2, order)
    with pytest.raises(InvalidMeasure, match="too many points"):
        tensor_cubature(10, 20)
