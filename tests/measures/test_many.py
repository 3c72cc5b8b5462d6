"""Many measures at once: lengths, tangent vectors of Gaussians, and what is alike."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.many import Laws, alike
from jkoflow.status import InvalidMeasure


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


@pytest.mark.parametrize("mu", [
    jf.Quantiles.normal(0.2, 1.0, 12), jf.Radial.normal(1.0, 3, 12), jf.Gaussian(0.3, 2.0),
    jf.Gaussian([0.0, 1.0], [[2.0, 0.3], [0.3, 1.0]]), jf.Particles([[0.0, 1.0], [2.0, 0.5]]),
], ids=lambda mu: f"{mu.kind}{mu.dim}")  # fmt: skip
def test_all_moved_are_each_of_them_moved(mu: jf.Measure) -> None:
    """Gaussians up to the last digit: LAPACK's product of matrices rounds as it likes."""
    there = mu.tangent(0.3 * mu.points)
    for t, nu in zip((0.0, -0.5, 1.0), mu.all_moved([0.0 * there, -0.5 * there, there]),
                     strict=True):  # fmt: skip
        one = mu.moved(t * there)
        assert type(nu) is type(one) and alike(nu, one)
        for name, array in one.to_arrays().items():
            np.testing.assert_allclose(nu.to_arrays()[name], array, rtol=1e-15, atol=1e-15)
        assert not nu.points.flags.writeable
        np.testing.assert_allclose(nu.points, one.points, rtol=1e-14, atol=1e-14)


def test_all_moved_refuses_what_moved_refuses() -> None:
    mu, r = jf.Quantiles([0.0, 1.0, 2.0]), jf.Radial([0.5, 1.0, 2.0], 3)
    swap, out = np.array([[2.0], [0.0], [0.0]]), np.array([[-1.0], [0.0], [0.0]])
    with pytest.raises(InvalidMeasure, match="not sorted"):
        mu.all_moved([0.0 * swap, swap])
    with pytest.raises(InvalidMeasure):
        r.all_moved([0.0 * out, out])
    with pytest.raises(InvalidMeasure, match="NaN"):
        jf.Gaussian(0.0, 1.0).all_moved([np.zeros((2, 1)), np.full((2, 1), np.nan)])


def test_laws_one_place_before_know_the_lengths_of_their_cells() -> None:
    edges = np.array([[0.0, 1.0, 3.0], [0.0, 0.5, 1.0], [0.0, 2.0, 2.25]])
    first, *rest = (jf.Quantiles(x) for x in edges)
    came = Laws(rest).preceded_by(first)
    assert list(came.least_gaps) == [1.0, 0.5] == list(Laws(came.measures).least_gaps)


def test_gaussians_are_singular_where_one_is() -> None:
    one, flat = jf.Gaussian([0.0, 0.0], np.eye(2)), jf.Gaussian([0.0, 0.0], np.diag([1.0, 1e-17]))
    assert Laws([one, flat]).singular and flat.is_singular()
    assert not Laws([one, one]).singular
