"""Masses on moving simplices: volumes, moments, internal energies, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay

import jkoflow as jf
from jkoflow.measures import measure_from_arrays
from jkoflow.status import InvalidMeasure


def cloud(dim, n=40, seed=0):
    """A Delaunay mesh of random points with random masses."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim))
    simplices = Delaunay(x).simplices
    return jf.Mesh(x, simplices, rng.dirichlet(np.full(len(simplices), 5.0)))


@pytest.mark.parametrize("dim", [2, 3])
def test_volumes_fill_the_hull(dim) -> None:
    from scipy.spatial import ConvexHull

    mu = cloud(dim)
    assert mu.volumes.sum() == pytest.approx(ConvexHull(mu.nodes).volume, rel=1e-12)
    assert mu.weights.sum() == pytest.approx(1.0, abs=1e-14)
    centres = mu.nodes[mu.simplices].mean(axis=1)
    assert mu.mean() == pytest.approx(mu.mass @ centres, rel=1e-12)


@pytest.mark.parametrize("dim", [2, 3])
def test_arrays_give_the_measure_back(dim) -> None:
    mu = cloud(dim)
    again = measure_from_arrays("mesh", mu.to_arrays())
    assert isinstance(again, jf.Mesh)
    assert np.array_equal(again.nodes, mu.nodes) and np.array_equal(again.mass, mu.mass)
    assert np.array_equal(again.simplices, mu.simplices)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("F", [jf.Entropy(), jf.PowerEnergy(2.0), jf.PowerEnergy(1.4, 0.3),
                               jf.free_energy(jf.Risk(lambda t: np.tanh(t).T, 0.2 * np.ones(2)),
                                              0.1, 3.0)])  # fmt: skip
def test_gradients_by_taylor(dim, F) -> None:
    if dim == 3 and F.smooth.terms:
        F = F.internal + jf.QuadraticPotential(0.3)
    mu = cloud(dim)
    v = np.random.default_rng(1).normal(size=mu.points.shape)
    slope = float(mu.weights @ np.einsum("ij,ij->i", F.gradient(mu), v))
    errors = [abs(F.value(mu.displaced(t * v)) - F.value(mu) - t * slope) for t in (1e-5, 5e-6)]
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.1)  # the remainder is second order


@pytest.mark.parametrize("dim", [2, 3])
def test_internal_energies_under_affine_maps(dim) -> None:
    mu = cloud(dim)
    A = np.eye(dim) + 0.2 * np.random.default_rng(2).normal(size=(dim, dim))
    moved = mu.with_nodes(mu.nodes @ A.T + 0.3)
    log_det = np.log(np.linalg.det(A))
    assert jf.Entropy().value(moved) == pytest.approx(jf.Entropy().value(mu) - log_det, abs=1e-12)
    F = jf.PowerEnergy(2.0)
    assert F.value(moved) == pytest.approx(F.value(mu) * np.exp(-log_det), rel=1e-12)


def test_density_at_points() -> None:
    mu = cloud(2)
    centres = mu.nodes[mu.simplices].mean(axis=1)
    assert mu.log_density(centres) == pytest.approx(mu.log_density(), rel=1e-12)
    assert mu.log_density([[50.0, 0.0]])[0] == -np.inf


def test_points_of_a_large_mesh_are_found() -> None:
    """Every point of a disc is in a triangle that holds it, and points outside are in none."""
    mu = jf.Mesh.disc(1.0, 20, lambda x: np.exp(x[:, 0]))
    rng = np.random.default_rng(4)
    k = rng.integers(len(mu.mass), size=500)
    inside = np.einsum("nk,nkd->nd", rng.dirichlet(np.ones(3), size=500), mu.nodes[mu.simplices[k]])
    assert mu.log_density(inside) == pytest.approx(mu.log_density()[k], rel=1e-12)
    assert np.isfinite(mu.log_density(mu.nodes)).all()
    angle = rng.uniform(0, 2 * np.pi, size=50)
    outside = 1.001 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert (mu.log_density(outside) == -np.inf).all()


def test_orientation_does_not_matter() -> None:
    x = [[0, 0], [1, 0], [0, 1.0]]
    a, b = jf.Mesh(x, [[0, 1, 2]]), jf.Mesh(x, [[0, 2, 1]])
    assert a.volumes == b.volumes == 0.5
    F = jf.Entropy()
    assert np.array_equal(F.gradient(a), F.gradient(b))


SQUARE = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("wrong", [
    lambda: jf.Mesh([[0.0], [1.0]], [[0, 1]]), lambda: jf.Mesh(SQUARE, [[0, 1]]),
    lambda: jf.Mesh(SQUARE, [[0, 1, 4]]), lambda: jf.Mesh(SQUARE, [[0, 1, 1]]),
    lambda: jf.Mesh(SQUARE, [[0, 1, 2]]), lambda: jf.Mesh(SQUARE, np.zeros((0, 3))),
    lambda: jf.Mesh(SQUARE, [[0, 1, 2.5], [1, 2, 3]]),
    lambda: jf.Mesh([[0, 0], [1, 1], [2, 2.0]], [[0, 1, 2]]),
    lambda: jf.Mesh(SQUARE, [[0, 1, 2], [1, 2, 3]], [1.0, 0.0]),
    lambda: jf.Mesh(SQUARE, [[0, 1, 2], [1, 2, 3]], [1.0]),
    lambda: jf.Mesh([[0, 0], [1, 0], [0, np.nan]], [[0, 1, 2]]),
    lambda: cloud(2).displaced(-2.0 * cloud(2).points * [1.0, 0.0]),
    lambda: cloud(2).displaced(np.zeros((3, 2))),
    lambda: jf.Mesh.disc(0.0, 3), lambda: jf.Mesh.disc(np.inf, 3), lambda: jf.Mesh.disc(1.0, 0),
    lambda: jf.Mesh.ball(-1.0, 3), lambda: jf.Mesh.ball(1.0, 2.5),
    lambda: jf.Mesh.disc(1.0, 3, lambda x: x[:, 0]),
    lambda: jf.Mesh.ball(1.0, 3, lambda x: np.full(len(x), np.nan)),
    lambda: jf.Mesh.disc(1.0, 3, lambda x: 1.0),
    lambda: jf.Mesh.box([0.0], [1.0], (3,)), lambda: jf.Mesh.box([0, 0], [1, 0], (3, 3)),
    lambda: jf.Mesh.box([0, 0], [1, 1], (3,)), lambda: jf.Mesh.box([0, 0], [1, 1], (3, 0)),
])  # fmt: skip
def test_senseless_meshes(wrong) -> None:
    with pytest.raises(InvalidMeasure):
        wrong()
