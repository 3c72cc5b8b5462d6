"""Geometry of triangles and tetrahedra: volumes, their derivatives, and how good a shape is.

Arrays of corners have shape (k, d+1, d), d = 2 or 3.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .base import Array

Simplices = NDArray[np.int64]
"""Indices of corners, (k, d+1)."""


def edges(corners: Array) -> Array:
    """Rows x_j − x_0, j = 1…d, (k, d, d)."""
    return corners[:, 1:] - corners[:, :1]


def cofactors(rows: Array) -> Array:
    """Of matrices with rows (k, d, d): det(M) M⁻ᵀ, whose rows dot those of M are det(M)."""
    if rows.shape[2] == 2:
        flipped = rows[:, ::-1, ::-1].copy()
        flipped[:, [0, 1], [1, 0]] *= -1.0
        return np.asarray(flipped)
    a, b, c = rows[:, 0], rows[:, 1], rows[:, 2]
    return np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)


def signed_volumes(corners: Array) -> Array:
    """det(x_1 − x_0, …, x_d − x_0)/d!

    Examples
    --------
    >>> signed_volumes(np.array([[[0, 0], [1, 0], [0, 1.0]]]))
    array([0.5])
    """
    rows = edges(corners)
    return np.asarray(_determinants(rows, cofactors(rows)) / math.factorial(corners.shape[2]))


def folds(simplices: Simplices) -> int:
    """How many faces positively oriented simplices (k, d+1) share that only neighbours may share.

    Two neighbours see their common face from different sides, so that its corners come in opposite
    orders. In the same order they lie on one another, and more than two cannot share a face.

    Examples
    --------
    >>> folds(np.array([[0, 1, 2], [2, 1, 3]])), folds(np.array([[0, 1, 2], [1, 2, 3]]))
    (0, 1)
    """
    count = int(simplices.max()) + 1
    keys, signs = [], []
    for k in range(simplices.shape[1]):
        face = np.delete(simplices, k, axis=1)
        odd = sum((face[:, i] > face[:, j]).astype(int)
                  for i in range(face.shape[1]) for j in range(i + 1, face.shape[1]))  # fmt: skip
        face = np.sort(face, axis=1)
        keys.append(sum(face[:, i] * count**i for i in range(face.shape[1])))
        signs.append(1 - 2 * ((odd + k) % 2))
    _, where, shared = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    total = np.bincount(where, np.concatenate(signs))
    return int(((shared > 2) | ((shared == 2) & (total != 0))).sum())


def facets(simplices: Simplices) -> tuple[Simplices, NDArray[np.intp]]:
    """The facets of simplices (k, d+1), first those opposite to all first corners, and so on, as
    rising numbers of nodes (k(d+1), d); and how many simplices have each, (k(d+1),).

    Examples
    --------
    >>> faces, shared = facets(np.array([[0, 1, 2], [2, 1, 3]]))
    >>> faces[shared == 1].tolist()
    [[1, 3], [0, 2], [2, 3], [0, 1]]
    """
    faces = np.concatenate([np.delete(simplices, k, axis=1) for k in range(simplices.shape[1])])
    faces = np.sort(faces, axis=1)
    _, number, count = np.unique(faces, axis=0, return_inverse=True, return_counts=True)
    return faces, count[number.ravel()]


def log_volume_gradients(corners: Array) -> Array:
    """Gradients of log|T| in the corners of T, (k, d+1, d); their sum over corners is 0."""
    rows = edges(corners)
    normal = cofactors(rows)
    others = normal / _determinants(rows, normal)[:, None, None]
    return np.concatenate([-others.sum(axis=1, keepdims=True), others], axis=1)


def _determinants(rows: Array, normal: Array) -> Array:
    return np.asarray(np.einsum("ka,ka->k", rows[:, 0], normal[:, 0]))


def qualities(corners: Array) -> Array:
    """|T| over that of the regular simplex with the same mean squared edge, at most 1."""
    dim = corners.shape[2]
    first, second = np.triu_indices(dim + 1, 1)
    squares = ((corners[:, first] - corners[:, second]) ** 2).sum(axis=2).mean(axis=1)
    regular = math.sqrt((dim + 1) / 2.0**dim) / math.factorial(dim)
    return np.asarray(signed_volumes(corners) / (regular * squares ** (dim / 2)))


def room(corners: Array, velocities: Array) -> float:
    """The first time at which a simplex of positive volume is flat; infinite if none ever is.

    Only times below 2 are looked for: no step goes beyond 1.

    Examples
    --------
    >>> triangle = np.array([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    >>> room(triangle, -triangle * [1.0, 0.0]), room(triangle, triangle)
    (1.0, inf)
    """
    return least_positive_root(volume_polynomials(corners, velocities))


def volume_polynomials(corners: Array, velocities: Array) -> Array:
    """Coefficients in t, (k, d+1), of the volume of simplices whose corners move uniformly."""
    rows, moved = edges(corners), edges(velocities)
    normal, turned = cofactors(rows), cofactors(moved)
    terms = [_determinants(rows, normal), np.einsum("kab,kab->k", moved, normal)]
    if corners.shape[2] == 3:
        terms.append(np.einsum("kab,kab->k", rows, turned))
    terms.append(_determinants(moved, turned))
    return np.stack(terms, axis=1) / math.factorial(corners.shape[2])


def least_positive_root(coefficients: Array) -> float:
    """Of polynomials Σ_j a_j t^j, (k, d+1), with a_0 > 0; inf if none has one below 2.

    Those that a_0 > Σ_j max(0, −a_j) 2^j shows to be positive are left out. The reciprocals of
    the roots are the eigenvalues of a companion matrix, even where the degree is lower than d.

    Examples
    --------
    >>> least_positive_root(np.array([[1.0, -1.0, 0.0], [6.0, -5.0, 1.0], [1.0, 2.0, 1.0]]))
    1.0
    """
    degree = coefficients.shape[1] - 1
    falling = (np.maximum(-coefficients, 0.0) * 2.0 ** np.arange(degree + 1))[:, 1:].sum(axis=1)
    doubtful = coefficients[coefficients[:, 0] <= falling]
    companion = np.zeros((len(doubtful), degree, degree))
    companion[:, 0] = -doubtful[:, 1:] / doubtful[:, :1]
    companion[:, np.arange(1, degree), np.arange(degree - 1)] = 1.0
    inverse = np.linalg.eigvals(companion).ravel()
    real = inverse.real[np.abs(inverse.imag) <= 1e-9 * np.abs(inverse)]
    largest = float(real.max(initial=0.0))
    return 1.0 / largest if largest > 0.5 else np.inf
