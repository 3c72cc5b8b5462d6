"""Squared distances between points, by matrix products, without losing the small ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..measures.base import Array

_SMALL = 1e-3  # below this part of |x|² + |y|², cancellation would cost more than three digits
_CHUNK = 4_000_000  # entries of a block


def squared_distances(x: Array, y: Array) -> Array:
    """|x_i − y_j|², shape (n, m).

    |x|² + |y|² − 2⟨x, y⟩ by one matrix product on centred points; entries that come out small
    against |x|² + |y|² are computed again from the differences. Relative error ≈ 1e-12 each.

    Examples
    --------
    >>> squared_distances(np.array([[1e8], [1.0]]), np.array([[1e8 + 1], [0.0]]))[0, 0]
    np.float64(1.0)
    """
    centre = 0.5 * (x.mean(axis=0) + y.mean(axis=0))
    return _block(x - centre, y - centre)


def distance_blocks(x: Array, y: Array) -> Iterator[tuple[slice, Array]]:
    """Rows of `squared_distances` in blocks of bounded memory: (slice of rows, block)."""
    centre = 0.5 * (x.mean(axis=0) + y.mean(axis=0))
    u, v = x - centre, y - centre
    rows = max(1, _CHUNK // len(y))
    for start in range(0, len(x), rows):
        part = slice(start, min(start + rows, len(x)))
        yield part, _block(u[part], v)


def paired_distances(x: Array, y: Array) -> Array:
    """|x_i − y_i|², shape (n,)."""
    d = x - y
    return np.asarray(np.einsum("ij,ij->i", d, d))


def _block(u: Array, v: Array) -> Array:
    sizes = np.einsum("ij,ij->i", u, u)[:, None] + np.einsum("ij,ij->i", v, v)
    c = sizes - 2.0 * (u @ v.T)
    recompute(c, c <= _SMALL * sizes, u, v)
    return np.asarray(c)


def recompute(c: Array, where: NDArray[np.bool_], u: Array, v: Array) -> None:
    """Overwrite the marked entries of c by |u_i − v_j|² from the differences."""
    rows, columns = np.nonzero(where)
    step = max(1, _CHUNK // u.shape[1])
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        c[i, j] = paired_distances(u[i], v[j])
