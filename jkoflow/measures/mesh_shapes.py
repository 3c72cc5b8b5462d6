"""Meshes of simple shapes, with masses from a density."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite, is_whole
from ..status import InvalidMeasure
from .base import Array, finite_array
from .mesh import Mesh, Simplices
from .simplices import signed_volumes

Density = Callable[[Array], ArrayLike]


def disc(radius: float, rings: int, density: Density | None) -> Mesh:
    """See `Mesh.disc`."""
    if not (is_finite(radius) and radius > 0 and is_whole(rings)):
        raise InvalidMeasure(f"a disc needs a positive radius and at least one ring: {radius!r:.80}"
                             f", {rings!r:.80}")  # fmt: skip
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


def box(
    lower: ArrayLike, upper: ArrayLike, shape: tuple[int, ...], density: Density | None
) -> Mesh:
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
    cells = np.indices(shape).reshape(dim, -1)
    simplices = []
    for order in itertools.permutations(range(dim)):
        place, corners = cells.copy(), [np.ravel_multi_index(tuple(cells), sizes)]
        for axis in order:
            place[axis] += 1
            corners.append(np.ravel_multi_index(tuple(place), sizes))
        simplices.append(np.stack(corners, axis=1))
    return _massive(nodes, np.concatenate(simplices).astype(np.int64), density)


def _massive(nodes: Array, simplices: Simplices, density: Density | None) -> Mesh:
    """Masses from a density, by the rule with d+1 points that is exact for parabolas."""
    if density is None:
        return Mesh(nodes, simplices)
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
    return Mesh(nodes, simplices, mass / mass.sum())
