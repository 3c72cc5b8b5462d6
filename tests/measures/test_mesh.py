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
def test_siblings_are_those_that_arrays_give_one_by_one(dim) -> None:
    mu = cloud(dim)
    own = mu.to_arrays()
    moved = [{**own, "nodes": x} for x in (2.0 * mu.nodes, mu.nodes + 0.3)]
    for found, arrays in zip(mu.siblings(moved), moved, strict=True):
        alone = jf.Mesh.from_arrays(arrays)
        assert all(np.array_equal(a, found.to_arrays()[k]) for k, a in alone.to_arrays().items())
        assert np.array_equal(found.weights, alone.weights)
    mirrored, still = mu.nodes * ([-1.0] + [1.0] * (dim - 1)), mu.nodes.copy()
    still[mu.simplices[0]] = 0.0
    turned = [{**own, "nodes": x} for x in (mirrored, still, np.nan * mu.nodes, mu.nodes[1:])]
    other = {**own, "simplices": own["simplices"][::-1].copy()}
    for bad in (*turned, other, {**own, "more": own["mass"]}, {"nodes": mu.nodes}):
        assert mu.siblings([moved[0], bad]) is None and mu.siblings([bad]) is None


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


BALLS = {2: (jf.Mesh.disc, np.pi), 3: (jf.Mesh.ball, 4 * np.pi / 3)}


@pytest.mark.parametrize("dim", BALLS)
@pytest.mark.parametrize("grading", [0.0, 0.5, 0.9])
def test_balls_of_one_lattice(dim, grading) -> None:
    """Their counts, the volume of what is inscribed in a ball, and shapes that stay shapes."""
    shape, exact = BALLS[dim]
    missing = []
    for n in (3, 6, 12):
        mu = shape(1.0, n, grading=grading)
        assert len(mu.nodes) == (n + 1) ** (dim + 1) - n ** (dim + 1)
        assert len(mu.mass) == {2: 6 * n**2, 3: 24 * n**3}[dim]
        missing.append(1.0 - mu.volumes.sum() / exact)
        assert mu.mean() == pytest.approx(np.zeros(dim), abs=1e-9)  # of the conjugate gradients
        # corners of the surface open to 180°, so that simplices there get flatter like √h
        # in the plane and like h in space, and those at the rim by 1 − grading
        assert mu.quality().min() > (1.0 - grading) * {2: 1.2 / np.sqrt(n), 3: 1.2 / n}[dim]
    # facets inscribed in a sphere lose O(h²)
    assert np.log2(np.divide(missing[:-1], missing[1:])) == pytest.approx(2.0, abs=0.2)
    larger = shape(3.0, 12, grading=grading)
    assert larger.nodes == pytest.approx(3.0 * mu.nodes)


def test_grading_moves_nodes_to_the_rim() -> None:
    depth = [1.0 - np.sort(np.linalg.norm(jf.Mesh.disc(1.0, 8, grading=g).nodes, axis=1))[-49]
             for g in (0.0, 0.5, 0.9)]  # fmt: skip
    assert depth[0] > 1.2 * depth[1] > 2.0 * depth[2]  # of the outermost inner node


def lopsided(mu, radius):
    """Largest mean of the corners of a patch, from its node, over the size of the patch."""
    total, count = np.zeros_like(mu.nodes), np.zeros(len(mu.nodes))
    centre, size = mu.nodes[mu.simplices].mean(axis=1), mu.volumes
    for k in mu.simplices.T:
        np.add.at(total, k, size[:, None] * centre[:, :])
        np.add.at(count, k, size)
    away = np.linalg.norm(total / count[:, None] - mu.nodes, axis=1)
    return away[np.linalg.norm(mu.nodes, axis=1) < radius].max() * len(mu.nodes) ** (1 / mu.dim)


@pytest.mark.parametrize("dim", BALLS)
def test_patches_of_one_lattice_are_symmetric_up_to_second_order(dim) -> None:
    """What steps of order two need: without it, forces on nodes are wrong by O(h)."""
    shape, _ = BALLS[dim]
    sizes = (6, 12, 24) if dim == 2 else (6, 12)
    for grading, expected in ((None, 0.0), (0.8, 1.0)):
        off = [lopsided(shape(1.0, n, grading=grading), 0.6) for n in sizes]
        # over h: it stays where a mesh has seams, and falls like h where it has none
        assert np.log2(np.divide(off[:-1], off[1:])) == pytest.approx(expected, abs=0.3), off


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
    lambda: jf.Mesh.disc(1.0, 3, grading=1.0), lambda: jf.Mesh.ball(1.0, 3, grading=-0.1),
    lambda: jf.Mesh.disc(1.0, 3, grading=np.nan), lambda: jf.Mesh.ball(1.0, 3, grading="0.5"),
    lambda: jf.Mesh.box([0.0], [1.0], (3,)), lambda: jf.Mesh.box([0, 0], [1, 0], (3, 3)),
    lambda: jf.Mesh.box([0, 0], [1, 1], (3,)), lambda: jf.Mesh.box([0, 0], [1, 1], (3, 0)),
])  # fmt: skip
def test_senseless_meshes(wrong) -> None:
    with pytest.raises(InvalidMeasure):
        wrong()


FOLDED = {
    "two triangles on one side of an edge": ([[0, 0], [1, 0], [0, 1], [0.2, 0.2]],
                                             [[0, 1, 2], [1, 2, 3]]),
    "three triangles at one edge": ([[0, 0], [1, 0], [0, 1], [0, -1], [1, -1]],
                                    [[0, 1, 2], [0, 1, 3], [0, 1, 4]]),
    "two tetrahedra on one side of a face": (
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.1, 0.1, 0.2]],
        [[0, 1, 2, 3], [2, 0, 1, 4]]),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_a_folded_mesh_is_refused(name):
    nodes, simplices = FOLDED[name]
    with pytest.raises(InvalidMeasure, match="folded"):
        jf.Mesh(nodes, simplices)


@pytest.mark.parametrize("seed", range(5))
def test_no_triangulation_is_taken_for_folded(seed):
    """Delaunay's, in any order and orientation of the corners, and in pieces that do not touch."""
    from scipy.spatial import Delaunay

    rng = np.random.default_rng(seed)
    for dim in (2, 3):
        x = rng.normal(size=(40, dim))
        cut = Delaunay(x).simplices
        cut = rng.permuted(cut[rng.permutation(len(cut))], axis=1)
        used, numbers = np.unique(cut[::3], return_inverse=True)
        assert jf.Mesh(x, cut).volumes.min() > 0
        assert len(jf.Mesh(x[used], numbers.reshape(-1, dim + 1)).mass) == len(cut[::3])
