"""Volumes, their derivatives and first zeros, and intersections of simplices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jkoflow.measures.mesh_intersections import intersections, near_pairs
from jkoflow.measures.simplices import (
    least_positive_root,
    log_volume_gradients,
    qualities,
    room,
    signed_volumes,
    volume_polynomials,
)


def some(dim, count=60, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim + 1, dim))


def positive(corners):
    corners = corners.copy()
    turned = signed_volumes(corners) < 0
    corners[turned, :2] = corners[turned, 1::-1]
    return corners


@pytest.mark.parametrize("dim", [2, 3])
def test_volumes_and_gradients_against_linear_algebra(dim):
    x = some(dim)
    rows = x[:, 1:] - x[:, :1]
    assert signed_volumes(x) == pytest.approx(np.linalg.det(rows) / math.factorial(dim), rel=1e-9)
    slopes = log_volume_gradients(x)
    # condition numbers of random simplices reach 1e3
    np.testing.assert_allclose(slopes[:, 1:], np.swapaxes(np.linalg.inv(rows), 1, 2), rtol=1e-9)
    assert np.abs(slopes.sum(axis=1)).max() < 1e-12 * np.abs(slopes).max()


@pytest.mark.parametrize("dim", [2, 3])
def test_volumes_along_a_motion(dim):
    x, v = some(dim), some(dim, seed=1)
    coefficients = volume_polynomials(x, v)
    for t in (-0.7, 0.4, 3.0):
        exact = signed_volumes(x + t * v)
        assert coefficients @ t ** np.arange(dim + 1) == pytest.approx(exact, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dim", [2, 3])
def test_room_is_the_first_time_a_volume_vanishes(dim):
    x, v = positive(some(dim)), 0.3 * some(dim, seed=1)
    ends = np.array([room(x[k : k + 1], v[k : k + 1]) for k in range(len(x))])
    assert room(x, v) == pytest.approx(ends.min(), rel=1e-12)
    assert np.isinf(ends).any() and np.isfinite(ends).any()
    times = np.linspace(0.0, 1.0, 200)[:, None, None]
    for k, end in enumerate(ends):
        before = signed_volumes(x[k] + times * min(end * (1 - 1e-6), 2.0) * v[k])
        assert before.min() > 0
        if np.isfinite(end):  # simple roots: the sign changes
            assert signed_volumes((x[k] + end * (1 + 1e-6) * v[k])[None])[0] < 0


def test_first_roots_of_chosen_polynomials():
    cubic = np.poly1d([1.5, 0.7, -2.0], r=True)  # roots 1.5, 0.7, −2; positive at 0
    assert least_positive_root(cubic.coeffs[None, ::-1]) == pytest.approx(0.7, rel=1e-12)
    assert least_positive_root(np.array([[1.0, -0.25, 0.0, 0.0]])) == np.inf  # 4 is too far
    assert least_positive_root(np.array([[1.0, 0.0, 0.0, 0.0]])) == np.inf


@pytest.mark.parametrize(("dim", "regular"), [
    (2, [[0, 0], [1, 0], [0.5, np.sqrt(0.75)]]),
    (3, [[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]]),
])  # fmt: skip
def test_quality(dim, regular):
    corners = positive(np.array([regular], dtype=float))
    assert qualities(corners)[0] == pytest.approx(1.0, rel=1e-12)
    assert qualities(7.0 * corners + 2.0)[0] == pytest.approx(1.0, rel=1e-12)
    assert qualities(corners * ([1.0] * (dim - 1) + [1e-3]))[0] < 3e-3
    assert qualities(positive(some(dim, 500))).max() < 1.0


@pytest.mark.parametrize("dim", [2, 3])
def test_intersections_by_monte_carlo(dim):
    a, b = some(dim, 40), positive(some(dim, 40, seed=5))
    found = intersections(a, b)
    m = 4000
    z = np.random.default_rng(2).dirichlet(np.ones(dim + 1), size=m)
    scores = []
    for A, B, volume in zip(a, b, found, strict=True):
        system = np.vstack([B.T, np.ones(dim + 1)])
        inner = np.linalg.solve(system, np.vstack([(z @ A).T, np.ones(m)]))
        share, whole = (inner >= 0).all(axis=0).mean(), abs(signed_volumes(A[None])[0])
        error = whole * np.sqrt(max(share * (1 - share), 3.0 / m) / m)
        scores.append((volume - share * whole) / error)
    assert np.abs(scores).max() < 4.5  # of 40 normal scores
    assert (found > 1e-3).sum() > 5


@pytest.mark.parametrize("dim", [2, 3])
def test_intersections_are_additive_and_symmetric(dim):
    a, b = positive(some(dim, 40)), positive(some(dim, 40, seed=5))
    found = intersections(a, b)
    assert intersections(b, a) == pytest.approx(found, rel=1e-9, abs=1e-13)
    centre = b.mean(axis=1, keepdims=True)
    parts = [np.concatenate([np.delete(b, k, axis=1), centre], axis=1) for k in range(dim + 1)]
    total = sum(intersections(a, positive(part)) for part in parts)
    assert total == pytest.approx(found, rel=1e-9, abs=1e-13)
    assert intersections(a, a) == pytest.approx(signed_volumes(a), rel=1e-12)


def test_no_pair_of_boxes_that_meet_is_missed():
    a = some(2, 150) * np.geomspace(1e-3, 1.0, 150)[:, None, None]  # of very different sizes
    b = 0.3 * some(2, 100, seed=3)
    low, high = a.min(axis=1), a.max(axis=1)
    meet = ((low[:, None] <= b.max(axis=1)) & (b.min(axis=1) <= high[:, None])).all(axis=2)
    pairs = {(i, j) for some_i, some_j in near_pairs(a, b)
             for i, j in zip(some_i, some_j, strict=True)}  # fmt: skip
    assert pairs == set(zip(*np.nonzero(meet), strict=True))
