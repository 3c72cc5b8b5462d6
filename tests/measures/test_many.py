"""Many measures at once: lengths, tangent vectors of Gaussians, and what is alike."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.many import Laws, alike


def affine_norm(mu: jf.Gaussian, xi: np.ndarray) -> float:  # type: ignore[type-arg]
    laws = Laws([mu])
    return float(laws.lengths(laws.tangents(xi[None]))[0])


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


def test_tangent_vectors_in_the_axes_of_space() -> None:
    """b and HR, whichever signs and order the eigenvectors came in."""
    rng = np.random.default_rng(3)
    A, H, b = rng.normal(size=(4, 3, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    measures, H = [jf.Gaussian(a[0], a @ a.T + np.eye(3)) for a in A], H + H.T
    flipped = measures[0].with_eigen(measures[0].eigen[0][::-1], -measures[0].eigen[1][:, ::-1])
    laws = Laws([*measures, flipped])
    assert laws.is_decomposed(1e-10)
    fields = [b + (mu.points - mu.mean()) @ H for mu in laws.measures]
    unturned = laws.unturned(laws.tangents(np.array(fields)))
    for mu, found in zip(laws.measures, unturned, strict=True):
        np.testing.assert_allclose(found, [b, *(H @ mu.sqrt_cov)], atol=1e-12)


def test_stretches_are_tangent_vectors() -> None:
    """R in its own axes is that of the field x − m."""
    rng = np.random.default_rng(4)
    laws = Laws([jf.Gaussian(a[0], a @ a.T) for a in rng.normal(size=(4, 3, 3))])
    fields = laws.tangents(laws.x - laws.means[:, None])
    np.testing.assert_allclose(fields, laws.stretches(0.0 * laws.means, laws.std), atol=1e-12)


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
