"""Quadratic forms of what the nodes of a mesh move by, with bounds relative to the nodes' masses.

When nodes move by v, an energy of the simplices' volumes T changes to second order by sums like
Σ_T p_T a_T(v) or Σ_T p_T|T||Dv|², with the pressures p_T. Their largest eigenvalues relative to
Σ w_i|v_i|² are bounded here by a quotient of Collatz and Wielandt, which is arithmetic: for a
symmetric matrix with entries ≥ 0, and any z > 0, none is above max_i Σ_j A_ij z_j/(w_i z_i).
"""

from __future__ import annotations

import numpy as np

from .base import Array
from .mesh import Mesh

_SWEEPS = 20  # of the power method for z; the bound holds after each, 20 bring it within 2 %


def area_bound(mu: Mesh, pressures: Array) -> float:
    """In the plane, a μ with |Σ_T p_T a_T(v)| ≤ (μ/2) Σ_i w_i|v_i|² for all v.

    a_T(v) is the signed area of the triangle with the corners v_i, the second-order part of the
    area of T when its nodes move by v. As a_T(v) = ½ Σ v_i × v_j over the sides ij of T, of the
    sum only jumps [p] of p across edges are left, and |Σ| ≤ ½ Σ_e |[p]_e| |v_i||v_j|: the form
    of the nodes' matrix ½|[p]|.

    Parameters
    ----------
    mu : Mesh
    pressures : ndarray, shape (k,)

    Examples
    --------
    A uniform pressure acts at the boundary only, and is worth most where all nodes move outwards:

    >>> square = Mesh([[-1, -1], [1, -1], [1, 1], [-1, 1]], [[0, 1, 2], [0, 2, 3]])
    >>> ones, v = np.ones(2), square.nodes
    >>> areas = float(ones @ square.with_nodes(v).volumes)
    >>> areas, area_bound(square, ones) / 2 * float(square.weights @ (v**2).sum(axis=1)) > areas
    (4.0, True)
    """
    n, corners = len(mu.nodes), mu.simplices
    a, b = corners.ravel(), np.roll(corners, -1, axis=1).ravel()  # sides, with T to their left
    keys, number = np.unique(np.minimum(a, b) * n + np.maximum(a, b), return_inverse=True)
    shares = np.where(a < b, 0.5, -0.5) * np.repeat(pressures, 3)
    jumps = np.abs(np.bincount(number, shares, len(keys)))
    i, j = keys // n, keys % n
    return _largest(np.append(i, j), np.append(j, i), np.append(jumps, jumps), mu.weights)


def stretch_bound(mu: Mesh, pressures: Array) -> float:
    """A μ with Σ_T p_T|T||Dv|² ≤ μ Σ_i w_i|v_i|² for all v, Dv the derivative of v in T; p ≥ 0.

    The form is that of the matrix Σ_T p_T|T|⟨∇φ_i, ∇φ_j⟩, φ the hat functions, whose entries are
    taken without their signs.

    Parameters
    ----------
    mu : Mesh
    pressures : ndarray, shape (k,)

    Examples
    --------
    >>> square = Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
    >>> v = square.nodes                                          # Dv is the identity, |Dv|² = 2
    >>> ones, size = np.ones(2), float(square.weights @ (v**2).sum(axis=1))
    >>> stretch_bound(square, ones) * size > 2.0
    True
    """
    n, corners, slopes = len(mu.nodes), mu.simplices, mu.log_volume_gradients()
    forms = np.einsum("k,kia,kja->kij", pressures * mu.volumes, slopes, slopes)
    pairs = corners[:, :, None] * n + corners[:, None, :]
    keys, number = np.unique(pairs.ravel(), return_inverse=True)
    entries = np.abs(np.bincount(number, forms.ravel(), len(keys)))
    return _largest(keys // n, keys % n, entries, mu.weights)


def _largest(i: Array, j: Array, entries: Array, weights: Array) -> float:
    """No less than the largest eigenvalue of a matrix of entries ≥ 0, relative to the weights."""
    z, least, n = np.ones(len(weights)), np.inf, len(weights)
    for _ in range(_SWEEPS):
        y = np.bincount(i, entries * z[j], n) / weights
        least = min(least, float((y / z).max()))
        z = z / z.max() + y / (y.max() or 1.0)  # positive, whatever y is
    return least
