"""Quadratics are found from values, others are told, and their normal laws are right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jkoflow.functionals.quadratic_fit import quadratic_fit
from jkoflow.status import MissingStructure


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_a_quadratic_is_recovered_with_its_law(dim):
    rng = np.random.default_rng(dim)
    B = rng.normal(size=(dim, dim))
    A, b, c = B @ B.T + 0.2 * np.eye(dim), rng.normal(size=dim), -2.5
    f = lambda z: c + z @ b + 0.5 * np.einsum("ij,jk,ik->i", z, A, z)  # noqa: E731
    fit = quadratic_fit(f, dim)
    # differences of numbers of order 10 |A|
    np.testing.assert_allclose(fit.A, A, atol=1e-12 * np.abs(A).max())
    np.testing.assert_allclose(fit.b, b, atol=1e-12 * np.abs(A).max())
    assert fit.c == pytest.approx(c) and fit.near < 1e-11 and fit.relative < 1e-13
    star, log_z = fit.law(np.ones(dim), np.eye(dim))
    # x = 1 + z: mean 1 − A⁻¹b, covariance A⁻¹, Z = (2π)^{d/2} det A^{-½} exp(½ b·A⁻¹b − c)
    np.testing.assert_allclose(star.mean(), 1 - np.linalg.solve(A, b), rtol=1e-10)
    np.testing.assert_allclose(star.cov(), np.linalg.inv(A), rtol=1e-9, atol=1e-12)
    exact = 0.5 * (dim * math.log(2 * math.pi) - np.linalg.slogdet(A)[1]
                   + b @ np.linalg.solve(A, b)) - c  # fmt: skip
    assert log_z == pytest.approx(exact, rel=1e-11)


def test_coordinates_scale_the_law_and_its_integral():
    fit = quadratic_fit(lambda z: 0.5 * (z**2).sum(axis=1), 2)
    root = np.array([[2.0, 0.5], [0.5, 1.0]])
    star, log_z = fit.law(np.zeros(2), root)
    np.testing.assert_allclose(star.cov(), root @ root.T, rtol=1e-12)
    assert log_z == pytest.approx(math.log(2 * math.pi * np.linalg.det(root)), rel=1e-12)


@pytest.mark.parametrize("f", [
    lambda z: (z**4).sum(axis=1), lambda z: np.abs(z).sum(axis=1),
    lambda z: 0.5 * (z**2).sum(axis=1) + np.maximum(np.linalg.norm(z, axis=1) - 6, 0) ** 2,
], ids=["quartic", "absolute", "bent far out"])  # fmt: skip
def test_what_is_not_quadratic_does_not_fit(f):
    assert quadratic_fit(f, 4).relative > 1e-3


def test_the_misfit_nearby_is_that_of_a_small_wave():
    fit = quadratic_fit(lambda z: 0.5 * (z**2).sum(axis=1) + 1e-6 * np.sin(7 * z[:, 0]), 3)
    assert 1e-7 < fit.near < 1e-4  # differences over a unit magnify the wave by |z|² at most


def test_what_does_not_decay_has_no_law():
    for f in (lambda z: 0.5 * z[:, 0] ** 2, lambda z: -(z**2).sum(axis=1)):
        with pytest.raises(MissingStructure, match="decay"):
            quadratic_fit(f, 2).law(np.zeros(2), np.eye(2))
