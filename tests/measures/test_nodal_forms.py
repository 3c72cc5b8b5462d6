"""Bounds of quadratic forms of the nodes' displacements, against eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay

import jkoflow as jf
from jkoflow.measures.nodal_forms import area_bound, stretch_bound
from jkoflow.measures.simplices import signed_volumes


def scattered(seed: int, n: int = 60, d: int = 2) -> jf.Mesh:
    x = np.random.default_rng(seed).normal(size=(n, d))
    return jf.Mesh(x, Delaunay(x).simplices)


MESHES = {
    "rings": jf.Mesh.disc(1.3, 5),
    "graded": jf.Mesh.disc(0.7, 5, grading=0.8),
    "box": jf.Mesh.box([0, 0], [2, 1], (5, 4)),
    "scattered": scattered(0),
}
SOLID = {
    "ball": jf.Mesh.ball(1.1, 2),
    "box": jf.Mesh.box([0, 0, 0], [2, 1, 1], (3, 2, 2)),
    "scattered": scattered(1, 30, 3),
}


def areas(mesh: jf.Mesh, v: np.ndarray) -> np.ndarray:
    return signed_volumes(v[mesh.simplices])


@pytest.mark.parametrize("name", MESHES)
def test_no_areas_exceed_the_bound(name: str) -> None:
    """The bound holds for the eigenvectors of the form, its worst displacements, and is near.

    Products of lengths stand for crosses of vectors: 16 % too much at most here, where pressures
    vary at random.
    """
    mesh, rng = MESHES[name], np.random.default_rng(1)
    n, w = len(mesh.nodes), mesh.weights
    for pressures in (np.ones(len(mesh.mass)), rng.normal(size=len(mesh.mass))):
        mu = area_bound(mesh, pressures)
        form = np.zeros((n, 2, n, 2))  # Σ p a(v) = ½ vᵀ form v
        for p, corners in zip(pressures, mesh.simplices, strict=True):
            for i, j in zip(corners, np.roll(corners, -1), strict=True):
                half = 0.5 * p * np.array([[0.0, 1.0], [-1.0, 0.0]])
                form[i, :, j] += half
                form[j, :, i] += half.T
        scale = np.repeat(w, 2) ** -0.5
        matrix = scale[:, None] * form.reshape(2 * n, 2 * n) * scale
        assert np.abs(matrix - matrix.T).max() < 1e-14 * np.abs(matrix).max()
        values, vectors = np.linalg.eigh(matrix)
        largest = np.abs(values).max()
        assert largest <= mu * (1.0 + 1e-12)  # rounding of the eigenvalues
        assert mu <= 1.2 * largest
        v = (scale * vectors[:, -1]).reshape(n, 2)
        assert pressures @ areas(mesh, v) == pytest.approx(0.5 * values[-1], rel=1e-9)


def test_the_area_of_moved_triangles_is_quadratic() -> None:
    """|T + v| = |T| + ∂|T|·v + a_T(v), exactly."""
    mesh, v = MESHES["scattered"], np.random.default_rng(2).normal(size=(60, 2))
    first = mesh.volumes * np.einsum(
        "kja,kja->k", mesh.log_volume_gradients(), v[mesh.simplices]
    )
    whole = areas(mesh, mesh.nodes + v)
    assert np.allclose(whole, mesh.volumes + first + areas(mesh, v), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("mesh", [*MESHES.values(), *SOLID.values()], ids=[*MESHES, *SOLID])
def test_no_stretch_exceeds_the_bound(mesh: jf.Mesh) -> None:
    """Signs of entries are left out: at most twice the largest eigenvalue, which is a matrix'
    whose rows sum to 0 and have no row with more outside than on the diagonal, here 1.6 times."""
    rng, n = np.random.default_rng(2), len(mesh.nodes)
    for pressures in (np.ones(len(mesh.mass)), rng.uniform(size=len(mesh.mass))):
        mu, stiffness = stretch_bound(mesh, pressures), np.zeros((n, n))
        slopes = mesh.log_volume_gradients()
        for p, volume, corners, g in zip(
            pressures, mesh.volumes, mesh.simplices, slopes, strict=True
        ):
            stiffness[np.ix_(corners, corners)] += p * volume * g @ g.T
        scale = mesh.weights**-0.5
        values, vectors = np.linalg.eigh(scale[:, None] * stiffness * scale)
        assert values[-1] <= mu * (1.0 + 1e-12) <= 1.7 * values[-1]
        v = scale[:, None] * vectors[:, -1:] * np.eye(mesh.dim)[0]
        derivative = np.einsum("kia,kib->kab", slopes, v[mesh.simplices])
        total = float((pressures * mesh.volumes) @ (derivative**2).sum(axis=(1, 2)))
        assert total == pytest.approx(values[-1], rel=1e-9)


def test_without_pressure_nothing_is_bent() -> None:
    """Nor where it is the same on both sides and 0 outside: no eigenvalue is 0/0."""
    mesh = MESHES["rings"]
    assert area_bound(mesh, np.zeros(len(mesh.mass))) == 0.0
    assert stretch_bound(mesh, np.zeros(len(mesh.mass))) == 0.0
