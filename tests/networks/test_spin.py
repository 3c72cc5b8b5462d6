"""The 3-spin energy against its definition, and its harmonic parts against Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow.networks.populations import Population
from jkoflow.networks.spin import ThreeSpin
from jkoflow.status import InvalidMeasure, InvalidProblem


@pytest.mark.parametrize("d", [2, 3, 7])
def test_it_is_the_sum_over_triples(d):
    a = np.random.default_rng(d).normal(size=(d, d, d))
    x, y = ThreeSpin(a).sample(6, rng=1)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), np.sqrt(d))
    expected = [sum(a[p, q, r] * z[p] * z[q] * z[r] for p in range(d) for q in range(d)
                    for r in range(d)) / d for z in x]  # fmt: skip
    np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("d", [3, 6])
def test_parts_add_up_are_orthogonal_and_have_their_moments(d):
    f = ThreeSpin.draw(d, rng=d)
    x, y = f.sample(200_000, rng=2)
    parts = f.parts(x)
    np.testing.assert_allclose(parts[1] + parts[3], y, atol=1e-11)
    for degree, exact in f.second_moments.items():
        square = parts[degree] ** 2
        assert abs(square.mean() - exact) < 4 * square.std() / np.sqrt(len(x))
    mixed = parts[1] * parts[3]
    assert abs(mixed.mean()) < 4 * mixed.std() / np.sqrt(len(x))
    # degree 3 is orthogonal to linear functions
    against = parts[3] * x[:, 0]
    assert abs(against.mean()) < 4 * against.std() / np.sqrt(len(x))


def test_gradients_are_those_of_the_polynomials():
    f = ThreeSpin.draw(4, rng=0)
    x, v = f.sample(3, rng=1)[0], np.random.default_rng(2).normal(size=(3, 4))
    h = 1e-5
    for degree in (1, 3):
        plus, minus = f.parts(x + h * v)[degree], f.parts(x - h * v)[degree]
        slope = np.sum(f.gradients(x)[degree] * v, axis=1)
        np.testing.assert_allclose((plus - minus) / (2 * h), slope, atol=1e-7)  # h² and eps/h


def test_its_square_is_about_d_on_average():
    moments = [ThreeSpin.draw(8, rng=seed).second_moment for seed in range(200)]
    error = np.std(moments, ddof=1) / np.sqrt(200)
    assert abs(np.mean(moments) - 8) < 4 * error and error < 0.2


def test_it_is_a_population():
    f = ThreeSpin.draw(3, rng=0)
    assert isinstance(f, Population)
    x, y = f.sample(5, np.random.default_rng(0), dtype=np.float32)
    assert x.dtype == y.dtype == np.float32
    assert f.spec() == ThreeSpin.draw(3, rng=0).spec() != ThreeSpin.draw(3, rng=1).spec()


@pytest.mark.parametrize("bad", [np.ones((2, 2)), np.ones((2, 2, 3)), np.ones((1, 1, 1))])
def test_coefficients_that_are_no_cube(bad):
    with pytest.raises(InvalidProblem):
        ThreeSpin(bad)


def test_other_bad_input():
    with pytest.raises(InvalidMeasure):
        ThreeSpin(np.full((2, 2, 2), np.nan))
    with pytest.raises(InvalidProblem):
        ThreeSpin.draw(1)
