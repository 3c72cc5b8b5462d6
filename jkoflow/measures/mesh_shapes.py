"""Nodes, simplices and masses of simple shapes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite, is_whole
from ..status import InvalidMeasure
from .base import Array, finite_array
from .mesh_lattice import kuhn, lattice_ball
from .simplices import Simplices, signed_volumes

Density = Callable[[Array], ArrayLike]
Shape = tuple[Array, Simplices, Array | None]
"""What `Mesh` takes."""


def disc(radius: float, rings: int, density: Density | None, grading: float | None) -> Shape:
    """See `Mesh.disc`."""
    if not (is_finite(radius) and radius > 0 and is_whole(rings)):
        raise InvalidMeasure(f"a disc needs a positive radius and at least one ring: {radius!r:.80}"
                             f", {rings!r:.80}")  # fmt: skip
    if grading is not None:
        return _without_seams(2, radius, rings, density, grading)
    nodes, first = [np.zeros((1, 2))], [0]
    for ring in range(1, int(rings) + 1):
        angle = 2.0 * np.pi * np.arange(6 * ring) / (6 * ring)
        nodes.append(radius * ring / rings * np.stack([np.cos(angle), np.sin(angle)], axis=1))
        first.append(first[-1] + max(1, 6 * (ring - 1)))
    triangles = [t for ring in range(1, int(rings) + 1) for t in _between_rings(ring, first)]
    return _massive(np.concatenate(nodes), np.array(triangles, dtype=np.int64), density)


def _between_rings(ring: int, first: list[int]) -> list[tuple[int, int, int]]:
    """Triangles between a ring and the one inside it, sector by sector."""
    inner, outer = max(1, 6 * (ring - 1)), 6 * ring
    found = []
    for sector in range(6):
        for k in range(ring):
            a = first[ring] + (sector * ring + k) % outer
            b = first[ring] + (sector * ring + k + 1) % outer
            c = first[ring - 1] + (sector * (ring - 1) + k) % inner
            found.append((a, b, c))
            if k < ring - 1:
                d = first[ring - 1] + (sector * (ring - 1) + k + 1) % inner
                found.append((c, b, d))
    return found


def _without_seams(
    dim: int, radius: float, layers: int, density: Density | None, grading: float
) -> Shape:
    if not (is_finite(grading) and 0 <= grading < 1):
        raise InvalidMeasure(f"grading is a number in [0, 1), or None: {grading!r:.80}")
    nodes, simplices = lattice_ball(dim, int(layers), float(grading))
    return _massive(radius * nodes, simplices, density)


def ball(radius: float, layers: int, density: Density | None, grading: float | None) -> Shape:
    """See `Mesh.ball`; an icosahedron's twenty tetrahedra, each cut into layers³, made round."""
    if not (is_finite(radius) and radius > 0 and is_whole(layers)):
        raise InvalidMeasure("a ball needs a positive radius and at least one layer: "
                             f"{radius!r:.80}, {layers!r:.80}")  # fmt: skip
    if grading is not None:
        return _without_seams(3, radius, layers, density, grading)
    vertices, faces = _icosahedron()
    places, cut = _cut_simplex(int(layers), 3)
    # x_1 ≥ x_2 ≥ x_3 ≥ 0 is the path from the centre along the face's corners in their order,
    # which neighbours share, so that the pieces of a common face are the same
    steps = np.diff(np.concatenate([np.zeros((20, 1, 3)), vertices[faces]], axis=1), axis=1)
    flat = np.einsum("pj,fja->fpa", places / layers, steps).reshape(-1, 3)
    pieces = (cut + len(places) * np.arange(20)[:, None, None]).reshape(-1, 4)
    _, first, same = np.unique(np.round(flat, 9) + 0.0, axis=0, return_index=True,
                               return_inverse=True)  # fmt: skip
    share = np.tile(places[:, :1] / layers, (20, 1))  # of the way out, along rays
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    nodes = radius * share * np.divide(flat, norm, out=np.zeros_like(flat), where=norm > 0)
    return _massive(nodes[first], same.ravel()[pieces], density)


def _icosahedron() -> tuple[Array, Simplices]:
    """Its vertices (12, 3) on the unit sphere, and its faces (20, 3), each in rising order."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    signs = np.array([(s, t) for s in (1.0, -1.0) for t in (golden, -golden)])
    plane = np.column_stack([np.zeros(4), signs])
    vertices = np.concatenate([np.roll(plane, k, axis=1) for k in range(3)])
    near = np.linalg.norm(vertices[:, None] - vertices, axis=2) < 2.1  # edges have length 2
    triples = itertools.combinations(range(12), 3)
    faces = [t for t in triples if all(near[a, b] for a, b in itertools.combinations(t, 2))]
    return vertices / np.hypot(1.0, golden), np.array(faces, dtype=np.int64)


def _cut_simplex(n: int, dim: int) -> tuple[Array, Simplices]:
    """The simplex n ≥ x_1 ≥ … ≥ x_d ≥ 0 cut into n^d: whole points, and corners of the pieces."""
    corners = np.concatenate(list(kuhn((n,) * dim)))
    within = (np.diff(corners, axis=2) <= 0).all(axis=(1, 2))
    places, pieces = np.unique(corners[within].reshape(-1, dim), axis=0, return_inverse=True)
    return places.astype(float), pieces.reshape(-1, dim + 1)


def box(
    lower: ArrayLike, upper: ArrayLike, shape: tuple[int, ...], density: Density | None
) -> Shape:
    """See `Mesh.box`; Kuhn's triangulation, one simplex for each order of the axes."""
    low, high = finite_array(lower, "lower", ndim=1), finite_array(upper, "upper", ndim=1)
    dim = len(low)
    if dim not in (2, 3) or high.shape != low.shape or not (high > low).all():
        raise InvalidMeasure(f"a box needs corners lower < upper in R^2 or R^3: {lower!r:.80}, "
                             f"{upper!r:.80}")  # fmt: skip
    if len(shape) != dim or not all(is_whole(n) for n in shape):
        raise InvalidMeasure(f"shape must be a number of cells for each axis, not {shape!r:.80}")
    sizes = tuple(int(n) + 1 for n in shape)
    axes = [np.linspace(a, b, n) for a, b, n in zip(low, high, sizes, strict=True)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dim)
    corners = np.concatenate(list(kuhn(tuple(n - 1 for n in sizes))))
    simplices = np.ravel_multi_index(tuple(np.moveaxis(corners, 2, 0)), sizes)
    return _massive(nodes, simplices.astype(np.int64), density)


def _massive(nodes: Array, simplices: Simplices, density: Density | None) -> Shape:
    """Masses from a density, by the rule with d+1 points that is exact for parabolas."""
    if density is None:
        return nodes, simplices, None
    corners = nodes[simplices]
    dim = nodes.shape[1]
    near = (1.0 + dim / np.sqrt(dim + 2.0)) / (dim + 1.0)  # weight of the nearest corner
    far = (1.0 - near) / dim
    mean = np.zeros(len(corners))
    for k in range(dim + 1):
        x = far * corners.sum(axis=1) + (near - far) * corners[:, k]
        values = finite_array(density(x), "the answer of density", shape=(len(x),))
        mean += values / (dim + 1)
    mass = mean * np.abs(signed_volumes(corners))
    if not (mass > 0).all():
        raise InvalidMeasure("the density must be positive inside every simplex: take a smaller "
                             "shape, or drop the simplices without mass")  # fmt: skip
    return nodes, simplices, mass / mass.sum()
