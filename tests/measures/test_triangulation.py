"""Areas as quadratic forms of the corners, and places that a mesh covers twice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay

import jkoflow as jf
from jkoflow.measures.mesh_intersections import overlaps
from jkoflow.measures.simplices import signed_volumes
from jkoflow.measures.triangulation import area_bound, edges_of, overlaps_itself


def scattered(seed: int, n: int = 60) -> jf.Mesh:
    x = np.random.default_rng(seed).normal(size=(n, 2))
    return jf.Mesh(x, Delaunay(x).simplices)


def ring(rings: int = 3, around: int = 24, gap: float = 0.0) -> jf.Mesh:
    """An annulus of radii 1 to 2; with a ``gap`` (of an angle) it is open, a horseshoe."""
    angle = np.linspace(0.0, 2.0 * np.pi - gap, around, endpoint=gap > 0)
    radius = np.linspace(1.0, 2.0, rings)
    nodes = np.concatenate([r * np.column_stack([np.cos(angle), np.sin(angle)]) for r in radius])
    cells = [(k * around + a, k * around + (a + 1) % around)
             for k in range(rings - 1) for a in range(around - (gap > 0))]  # fmt: skip
    triangles = [t for a, b in cells for t in ((a, b, a + around), (b, b + around, a + around))]
    return jf.Mesh(nodes, triangles)


def areas(mesh: jf.Mesh, v: np.ndarray) -> np.ndarray:
    return signed_volumes(v[mesh.simplices])


MESHES = {
    "rings": jf.Mesh.disc(1.3, 5),
    "graded": jf.Mesh.disc(0.7, 5, grading=0.8),
    "box": jf.Mesh.box([0, 0], [2, 1], (5, 4)),
    "annulus": ring(),
    "horseshoe": ring(gap=0.5),
    "scattered": scattered(0),
}


@pytest.mark.parametrize("name", MESHES)
def test_edges_are_each_met_once_or_twice(name: str) -> None:
    """Each side of a triangle is an edge; sums of ones are 0 inside and ±1 at the boundary."""
    mesh = MESHES[name]
    edges = edges_of(mesh.simplices)
    a, b = mesh.simplices.ravel(), np.roll(mesh.simplices, -1, axis=1).ravel()
    forward = edges.along == 1
    assert np.array_equal(np.where(forward, edges.start[edges.number], edges.end[edges.number]), a)
    assert np.array_equal(np.where(forward, edges.end[edges.number], edges.start[edges.number]), b)
    count = np.bincount(edges.number)
    assert np.array_equal(np.abs(edges.sums(np.ones(len(mesh.simplices)))), count == 1)


@pytest.mark.parametrize("name", MESHES)
def test_no_displacement_exceeds_the_bound(name: str) -> None:
    """The bound holds for the eigenvectors of the form, its worst displacements, and is near.

    Products of lengths stand for crosses of vectors: 16 % too much at most here, where pressures
    vary at random.
    """
    mesh, rng = MESHES[name], np.random.default_rng(1)
    n, w = len(mesh.nodes), mesh.weights
    for pressures in (np.ones(len(mesh.mass)), rng.normal(size=len(mesh.mass))):
        mu = area_bound(mesh.simplices, w, pressures)
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


@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("turn", [0.0, 0.3, 1.2])
def test_meshes_as_they_are_made_cover_nothing_twice(name: str, turn: float) -> None:
    """However they are turned and stretched: sides of a box stay in line but for rounding."""
    mesh, c, s = MESHES[name], np.cos(turn), np.sin(turn)
    nodes = mesh.nodes @ np.array([[c, -s], [s, c]]) * [1.0, 7.0] + [1e3, -2.0]
    assert not overlaps_itself(nodes, mesh.simplices)


def twice(mesh: jf.Mesh, nodes: np.ndarray) -> float:
    """The area that pairs of triangles share, by cutting each with all others."""
    corners = nodes[mesh.simplices]
    i, j, shared = overlaps(corners, corners)
    return float(shared[i < j].sum())


@pytest.mark.parametrize("stretch", [0.7, 0.95, 1.04, 1.1, 1.3, 1.9])
@pytest.mark.parametrize(("rings", "around", "gap"), [(2, 13, 0.3), (3, 40, 0.4), (5, 22, 0.35)])
def test_it_is_told_as_by_intersections_of_all_pairs(rings, around, gap, stretch) -> None:
    """Horseshoes whose ends are bent towards each other until they meet: none is turned over."""
    mesh = ring(rings, around, gap)
    nodes = bent(mesh, stretch)
    assert (areas(mesh, nodes) > 0).all()
    meet = stretch * (2.0 * np.pi - gap) > 2.0 * np.pi
    assert (twice(mesh, nodes) > 1e-9) is meet  # rounding is 1e-15
    assert overlaps_itself(nodes, mesh.simplices) is meet


def bent(mesh: jf.Mesh, stretch: float) -> np.ndarray:
    """Nodes with stretched angles, measured from the first of them on."""
    angle = stretch * np.mod(np.arctan2(mesh.nodes[:, 1], mesh.nodes[:, 0]), 2.0 * np.pi)
    radius = np.linalg.norm(mesh.nodes, axis=1)
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def test_one_part_inside_another_is_seen_without_any_crossing() -> None:
    inner, outer = jf.Mesh.disc(0.2, 2), jf.Mesh.disc(1.0, 3)
    triangles = np.concatenate([outer.simplices, inner.simplices + len(outer.nodes)])
    for shift, expected in ((0.0, True), (0.5, True), (0.9, True), (1.3, False)):
        nodes = np.concatenate([outer.nodes, inner.nodes + np.array([shift, 0.05])])
        assert overlaps_itself(nodes, triangles) is expected, shift


def test_the_hole_of_an_annulus_may_hold_a_disc() -> None:
    """Its boundary winds once round the annulus' matter and not at all round the hole."""
    inner, outer = jf.Mesh.disc(0.8, 3), ring()
    triangles = np.concatenate([outer.simplices, inner.simplices + len(outer.nodes)])
    for shift, expected in ((0.0, False), (0.15, False), (0.5, True)):
        nodes = np.concatenate([outer.nodes, inner.nodes + np.array([shift, 0.0])])
        assert overlaps_itself(nodes, triangles) is expected, shift


def test_the_same_place_twice_is_seen() -> None:
    """Where all of the boundary lies on the boundary, nothing crosses."""
    disc = jf.Mesh.disc(1.0, 3)
    triangles = np.concatenate([disc.simplices, disc.simplices + len(disc.nodes)])
    assert overlaps_itself(np.concatenate([disc.nodes, disc.nodes]), triangles)


def test_many_sides_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from jkoflow.measures import triangulation

    expected = [overlaps_itself(m.nodes * [1.0, s], m.simplices)
                for m in MESHES.values() for s in (1.0, 0.2)]  # fmt: skip
    crossed = ring(gap=0.3)
    for block in (1, 64, 500):
        monkeypatch.setattr(triangulation, "_BLOCK", block)
        found = [overlaps_itself(m.nodes * [1.0, s], m.simplices)
                 for m in MESHES.values() for s in (1.0, 0.2)]  # fmt: skip
        assert found == expected and overlaps_itself(bent(crossed, 1.3), crossed.simplices)
