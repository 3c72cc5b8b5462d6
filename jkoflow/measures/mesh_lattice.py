"""Balls cut from one lattice and made round by a smooth map: no seams, and cells where wanted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .base import Array
from .simplices import Simplices


def lattice_ball(dim: int, layers: int, grading: float) -> tuple[Array, Simplices]:
    """Nodes (n, d) of the unit ball, and simplices, all from a single lattice.

    The simplices are those of Kuhn's triangulation of Z^d with all corners in
    {x : max(x, 0) − min(x, 0) ≤ layers}, a hexagon or a rhombic dodecahedron once the lattice is
    sheared so that its simplices are as regular as they can be. The surface is projected on the
    sphere, and every inner node is the mean of its neighbours (a discrete harmonic map, Tutte
    1963), so that the patch of simplices around an inner node is symmetric up to O(h²). Then
    radii are moved, r ↦ sin(γr)/sin γ with γ = grading·π/2; with grading 1 they would be as
    cosine-clustered points on the line.

    Examples
    --------
    >>> [len(lattice_ball(dim, 4, 0.0)[0]) for dim in (2, 3)]  # (layers+1)^(d+1) − layers^(d+1)
    [61, 369]
    """
    corners = np.concatenate(list(kuhn((2 * layers,) * dim))) - layers
    corners = corners[(_depth(corners) <= layers).all(axis=1)]
    places, simplices = np.unique(corners.reshape(-1, dim), axis=0, return_inverse=True)
    simplices = simplices.reshape(-1, dim + 1).astype(np.int64)
    nodes = _harmonic(_radial(places, layers), simplices, _depth(places) < layers)
    angle = 0.5 * np.pi * grading
    radius = np.linalg.norm(nodes, axis=1, keepdims=True)
    return nodes * np.sinc(angle * radius / np.pi) / np.sinc(angle / np.pi), simplices


def kuhn(shape: tuple[int, ...]) -> Iterator[Simplices]:
    """Corners, as whole points (cells, d+1, d), of one simplex a cell for each order of axes."""
    cells = np.indices(shape).reshape(len(shape), -1).T
    for order in itertools.permutations(range(len(shape))):
        path = np.cumsum(np.eye(len(shape), dtype=np.int64)[list(order)], axis=0)
        path = np.concatenate([np.zeros((1, len(shape)), dtype=np.int64), path])
        yield cells[:, None] + path


def _depth(places: Array | Simplices) -> Simplices:
    """In which layer around the origin whole points are."""
    return np.maximum(places, 0).max(axis=-1) - np.minimum(places, 0).min(axis=-1)


def _radial(places: Simplices, layers: int) -> Array:
    """Whole points moved along rays to the radius depth/layers."""
    dim, depth = places.shape[1], _depth(places)
    # unit vectors at the angles of a regular simplex's corners are its lattice's shortest edges
    x = places @ np.linalg.cholesky((1.0 + 1.0 / dim) * np.eye(dim) - 1.0 / dim)
    norm = np.linalg.norm(x, axis=1)
    return np.asarray(x * np.divide(depth / layers, norm, out=norm, where=depth > 0)[:, None])


def _harmonic(nodes: Array, simplices: Simplices, inner: NDArray[np.bool_]) -> Array:
    """Every inner node at the mean of its neighbours, the others where they are."""
    from scipy.sparse import csr_array, diags_array
    from scipy.sparse.linalg import cg

    size, n = simplices.shape[1], len(nodes)
    pairs = np.repeat(simplices, size, axis=1).ravel(), np.tile(simplices, (1, size)).ravel()
    near = csr_array((np.ones(len(pairs[0])), pairs), shape=(n, n))
    near.data[:] = 1.0  # neighbours share many simplices, and count once
    laplacian = (diags_array(near.sum(axis=1)) - near).tocsr()[inner]
    force, matrix = -laplacian[:, ~inner] @ nodes[~inner], laplacian[:, inner]
    new = nodes.copy()
    for k in range(nodes.shape[1]):
        new[inner, k], _ = cg(matrix, force[:, k], x0=nodes[inner, k], rtol=1e-10)
    return new
