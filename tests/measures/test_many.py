"""Many measures at once: lengths, tangent vectors of Gaussians, and what is alike."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.many import Laws, alike, coefficients


def affine_norm(mu: jf.Gaussian, xi: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(Laws([mu]).lengths(coefficients(mu.dim, xi[None]))[0])


def test_the_tangent_norm_of_a_gaussian_field() -> None:
    """For ξ(x) = b + H(x − m), H symmetric: |b|² + tr(HΣH), exactly; a rotation counts nothing."""
    rng = np.random.default_rng(1)
    A = rng.normal(size=(3, 3))
    mu = jf.Gaussian(rng.normal(size=3), A @ A.T)
    b, H = rng.normal(size=3), rng.normal(size=(3, 3))
    H = H + H.T
    xi = b + (mu.points - mu.mean()) @ H
    expected = np.sqrt(b @ b + np.trace(H @ mu.cov() @ H))
    assert abs(affine_norm(mu, xi) - expected) < 1e-10 * expected
    J = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 0.0]])
    turned = (mu.points - mu.mean()) @ np.linalg.inv(mu.sqrt_cov) @ J.T
    assert affine_norm(mu, turned) < 1e-10 * np.linalg.norm(turned)


def test_only_measures_that_differ_in_positions_are_alike() -> None:
    mu = jf.Quantiles.normal(0.0, 1.0, 12)
    assert alike(mu, mu.displaced(0.1 * mu.points))
    assert alike(mu, jf.Quantiles(mu.edges + 1.0, mu.mass))
    assert not alike(mu, jf.Quantiles(mu.edges))
    assert not alike(mu, jf.Radial(mu.edges - mu.edges[0], 2, mu.mass))
    r = jf.Radial.normal(1.0, 3, 12)
    assert not alike(r, jf.Radial(r.edges, 4, r.mass))
    assert not alike(jf.Gaussian(0.0, 1.0), jf.Gaussian([0.0, 1.0], np.eye(2)))


@pytest.mark.parametrize("kind", ["quantiles", "particles"])
def test_lengths_are_those_of_each(kind: str) -> None:
    rng = np.random.default_rng(2)
    start = jf.Quantiles.normal(0.2, 1.0, 12) if kind == "quantiles" else (
        jf.Particles(rng.normal(size=(7, 3)), rng.dirichlet(np.ones(7))))  # fmt: skip
    measures = [start.displaced(s * start.points) for s in (0.0, 0.5, 2.0)]
    laws = Laws(measures)
    for k, mu in enumerate(measures):
        true = np.sqrt(mu.integrate(lambda x: (x**2).sum(axis=1)))
        assert abs(laws.extents[k] - true) < 1e-14 * (1 + true)
        assert abs(laws.lengths(laws.x)[k] - true) < 1e-14 * (1 + true)


def test_powers_of_roots() -> None:
    rng = np.random.default_rng(3)
    A = rng.normal(size=(4, 3, 3))
    laws = Laws([jf.Gaussian(a[0], a @ a.T + np.eye(3)) for a in A])
    np.testing.assert_allclose(laws.roots @ laws.roots, laws.covariances, atol=1e-12)
    np.testing.assert_allclose(laws.powers(-1.0) @ laws.roots, [np.eye(3)] * 4, atol=1e-12)
    assert laws.is_decomposed(1e-10)


def test_a_decomposition_of_another_matrix_is_noticed() -> None:
    mu = jf.Gaussian([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]])
    values, U = mu.eigen
    assert Laws([mu]).is_decomposed(1e-10)
    for wrong in (
        mu.with_eigen(1.001 * values, U),
        mu.with_eigen(values / 4, 2 * U),  # the same product, of vectors that are too long
        mu.with_eigen(values, U[::-1]),
    ):
        assert not Laws([wrong]).is_decomposed(1e-10)
