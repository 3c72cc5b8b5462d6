"""Triangulations of the plane: areas as quadratic forms of the corners, and places covered twice.

Triangles (k, 3) are numbers of nodes in positive orientation, any two with at most an edge in
common; an edge may belong to one of them, and is then on the boundary, or to two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .base import Array
from .simplices import Simplices

_SWEEPS = 20  # of the power method; the bound holds after each, and 20 bring it within 2 %
_BLOCK = 2**20  # pairs of edges looked at together


class Edges(NamedTuple):
    """Each edge once, from node ``start`` to node ``end``; for the sides of all triangles, one
    after the other, the number of their edge and whether they run ``along`` it (1) or back (−1)."""

    start: NDArray[np.intp]
    end: NDArray[np.intp]
    number: NDArray[np.intp]
    along: NDArray[np.intp]

    def sums(self, of_triangles: Array) -> Array:
        """What triangles have to the left of each edge, less what they have to the right."""
        shares = self.along * np.repeat(of_triangles, 3)
        return np.asarray(np.bincount(self.number, shares, len(self.start)), float)


def edges_of(triangles: Simplices) -> Edges:
    """The edges of a triangulation.

    Examples
    --------
    >>> square = edges_of(np.array([[0, 1, 2], [0, 2, 3]]))
    >>> list(zip(square.start.tolist(), square.end.tolist()))
    [(0, 1), (0, 2), (0, 3), (1, 2), (2, 3)]
    >>> square.sums(np.ones(2))         # the second is inside, the third runs clockwise
    array([ 1.,  0., -1.,  1.,  1.])
    """
    a, b = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    count = int(triangles.max()) + 1
    keys, number = np.unique(np.minimum(a, b) * count + np.maximum(a, b), return_inverse=True)
    return Edges(keys // count, keys % count, number, np.where(a < b, 1, -1))


def area_bound(triangles: Simplices, weights: Array, pressures: Array) -> float:
    """A μ with |Σ_T p_T a_T(v)| ≤ (μ/2) Σ_i w_i|v_i|², whatever vectors v the nodes have.

    a_T(v) is the signed area of the triangle with the corners v_i, the second-order part of the
    area of T when its nodes move by v. As a_T(v) = ½ Σ v_i × v_j over the sides ij of T, of the
    sum only jumps of p across edges are left, and |Σ| ≤ ½ Σ_e |[p]_e| |v_i||v_j|. So μ is to be no
    less than the largest eigenvalue of the nodes' matrix ½|[p]|, relative to the weights: by
    Collatz and Wielandt, than max_i Σ_j ½|[p]_ij| z_j/(w_i z_i), for any positive z.

    Parameters
    ----------
    triangles : ndarray of int, shape (k, 3)
    weights : ndarray, shape (n,)
        Positive.
    pressures : ndarray, shape (k,)

    Examples
    --------
    A uniform pressure on a square acts at its boundary only:

    >>> triangles, weights = np.array([[0, 1, 2], [0, 2, 3]]), np.full(4, 0.25)
    >>> area_bound(triangles, weights, np.array([1.0, 1.0]))
    4.0
    >>> v = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])  # area 4, squares 2
    >>> float(0.5 * 4.0 * (weights @ (v**2).sum(axis=1)))
    4.0
    """
    edges = edges_of(triangles)
    i, j, half = edges.start, edges.end, 0.5 * np.abs(edges.sums(pressures))
    z, least, n = np.ones(len(weights)), np.inf, len(weights)
    for _ in range(_SWEEPS):
        y = (np.bincount(i, half * z[j], n) + np.bincount(j, half * z[i], n)) / weights
        least = min(least, float((y / z).max()))
        z = z / z.max() + y / (y.max() or 1.0)  # positive, whatever y is
    return least


def overlaps_itself(nodes: Array, triangles: Simplices) -> bool:
    """Whether a place is covered by two triangles.

    None is if the boundary never crosses itself and winds once, and no more, round what lies to
    the left of it. Boundaries that cross are told by the sides on which their ends lie; touching
    is no crossing.

    Examples
    --------
    >>> two = np.array([[0, 1, 2], [3, 4, 5]])
    >>> corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> overlaps_itself(np.concatenate([corners, corners + 1.0]), two)
    False
    >>> overlaps_itself(np.concatenate([corners, corners + 0.4]), two)
    True
    >>> overlaps_itself(np.concatenate([corners, 0.1 * corners + 0.2]), two)  # one in the other
    True
    """
    edges = edges_of(triangles)
    side = edges.sums(np.ones(len(triangles)))
    rim = side != 0
    turned = side[rim] < 0
    start = nodes[np.where(turned, edges.end[rim], edges.start[rim])]
    end = nodes[np.where(turned, edges.start[rim], edges.end[rim])]
    rows = max(1, _BLOCK // len(start))
    blocks = [slice(k, k + rows) for k in range(0, len(start), rows)]
    return any(_crossed(start, end, part) or _covered(start, end, part) for part in blocks)


def _crossed(start: Array, end: Array, part: slice) -> bool:
    """Whether one of these sides of the boundary crosses any other."""
    a, b = start[part, None], end[part, None]
    c, d = start[None], end[None]
    apart = _cross(b - a, c - a) * _cross(b - a, d - a) < 0.0
    apart &= _cross(d - c, a - c) * _cross(d - c, b - c) < 0.0
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    return bool((apart & (low <= high).all(axis=2)).any())  # in boxes that meet: no rounding


def _covered(start: Array, end: Array, part: slice) -> bool:
    """Whether the boundary winds more than once round what lies to the left of one of these."""
    middle = 0.5 * (start[part] + end[part])[:, None]
    a, b = start[None] - middle, end[None] - middle
    angle = np.arctan2(_cross(a, b), (a * b).sum(axis=2))
    own = np.arange(len(middle))
    angle[own, own + part.start] = np.pi  # seen from the left
    return bool((angle.sum(axis=1) > 3.0 * np.pi).any())


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
