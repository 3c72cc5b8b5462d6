"""Meshes that cover a place twice though no simplex is turned over."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay

import jkoflow as jf
from jkoflow.measures import mesh_intersections
from jkoflow.measures.mesh_intersections import overlaps, overlaps_itself
from jkoflow.measures.simplices import signed_volumes


def scattered(d: int) -> jf.Mesh:
    x = np.random.default_rng(0).normal(size=(40, d))
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


MESHES = {
    "rings": jf.Mesh.disc(1.3, 5),
    "graded": jf.Mesh.disc(0.7, 5, grading=0.8),
    "box": jf.Mesh.box([0, 0], [2, 1], (5, 4)),
    "annulus": ring(),
    "horseshoe": ring(gap=0.5),
    "scattered": scattered(2),
    "ball": jf.Mesh.ball(1.1, 3),
    "solid": jf.Mesh.box([0, 0, 0], [2, 1, 1], (3, 2, 2)),
    "in space": scattered(3),
}


@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("turn", [0.0, 0.3, 1.2])
def test_meshes_as_they_are_made_cover_nothing_twice(name: str, turn: float) -> None:
    """However they are turned and stretched: sides of a box stay in line but for rounding."""
    mesh, c, s = MESHES[name], np.cos(turn), np.sin(turn)
    nodes = np.array(mesh.nodes)
    nodes[:, :2] = nodes[:, :2] @ np.array([[c, -s], [s, c]]) * [1.0, 7.0] + [1e3, -2.0]
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
    assert (signed_volumes(nodes[mesh.simplices]) > 0).all()
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


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_sides_of_a_cut_may_touch_and_not_be_pushed_over_each_other(d: int, turn: float) -> None:
    """However little, above 8 units of rounding: energies count the pressure of either side only,
    and are wrong by it times the depth. 7 cells meet 5, with coordinates of up to 3."""
    left = jf.Mesh.box([-1.0] + [0.0] * (d - 1), [0.0] + [1.0] * (d - 1), (2, 7, 2)[:d])
    right = jf.Mesh.box([0.0] * d, [1.0] * d, (3, 5, 1)[:d])
    simplices = np.concatenate([left.simplices, right.simplices + len(left.nodes)])
    for depth in (-1e-3, 0.0, 1e-13, 1e-11, 1e-3):
        nodes = np.concatenate([left.nodes, right.nodes - depth * np.eye(d)[0]])
        c, s = np.cos(turn), np.sin(turn)
        nodes[:, :2] = nodes[:, :2] @ np.array([[c, -s], [s, c]]) + [1.3, 0.4]
        assert overlaps_itself(nodes, simplices) is (depth > 0.0), depth


def test_the_same_place_twice_is_seen() -> None:
    """Where all of the boundary lies on the boundary, nothing crosses."""
    disc = jf.Mesh.disc(1.0, 3)
    triangles = np.concatenate([disc.simplices, disc.simplices + len(disc.nodes)])
    assert overlaps_itself(np.concatenate([disc.nodes, disc.nodes]), triangles)


def test_a_ball_that_enters_another() -> None:
    """In space: apart, touching in parts, and inside."""
    part = jf.Mesh.ball(1.0, 2)
    triangles = np.concatenate([part.simplices, part.simplices + len(part.nodes)])
    for shift, expected in ((2.1, False), (1.6, True), (0.0, True)):
        for size in (1.0, 0.1):
            nodes = np.concatenate([part.nodes, size * part.nodes + np.array([shift, 0.1, 0.0])])
            apart = size == 0.1 and shift > 1.2
            assert overlaps_itself(nodes, triangles) is (expected and not apart), (shift, size)


@pytest.mark.parametrize("pairs", [1, 5000])
def test_pairs_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch, pairs: int) -> None:
    monkeypatch.setattr(mesh_intersections, "_PAIRS", pairs)
    mesh = ring(gap=0.3)
    assert not overlaps_itself(mesh.nodes, mesh.simplices)
    assert overlaps_itself(bent(mesh, 1.3), mesh.simplices)
