"""Order on the line: the monotone coupling, and displacements that keep points sorted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Array

Indices = NDArray[np.intp]
Coupling = tuple[Indices, Indices, Array]

_SAME = 1e-12  # masses that differ by no more, relatively, differ by rounding


def monotone_coupling(x: Array, a: Array, y: Array, b: Array) -> Coupling:
    """Entries (i, j, π_ij) of the optimal coupling on the line, by the north-west corner rule.

    Equal masses in order are paired off, and slivers that come from rounding left out.

    Parameters
    ----------
    x, a : ndarray, shape (n,)
        Points and masses of one law.
    y, b : ndarray, shape (m,)
        Of the other.

    Examples
    --------
    >>> i, j, p = monotone_coupling(np.array([0.0, 1.0]), np.array([0.5, 0.5]),
    ...                             np.array([3.0, 2.0]), np.array([0.25, 0.75]))
    >>> i, j, p
    (array([0, 1, 1]), array([1, 1, 0]), array([0.5 , 0.25, 0.25]))
    """
    order_x, order_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    a, b = a[order_x], b[order_y]
    if len(a) == len(b) and (np.abs(a - b) <= _SAME * a).all():
        return order_x, order_y, a
    # in long doubles: light points must get their masses though levels are near 1
    up_x, up_y = np.cumsum(a, dtype=np.longdouble), np.cumsum(b, dtype=np.longdouble)
    up_y *= up_x[-1] / up_y[-1]  # totals differ by rounding, which is nobody's mass
    levels = np.union1d(up_x, up_y)
    values = np.diff(levels, prepend=0.0)
    middle = levels - 0.5 * values
    i = np.minimum(np.searchsorted(up_x, middle), len(x) - 1)
    j = np.minimum(np.searchsorted(up_y, middle), len(y) - 1)
    return order_x[i], order_y[j], values.astype(float)


def kept_sorted(v: Array, x: Array, w: Array) -> Array:
    """The projection of v on the displacements that keep sorted points x in order, in L²(w).

    Only points that coincide can cross, so it is `isotonic` regression on each run of equal ones.
    For every sorted y, ⟨v, y − x⟩ ≤ ‖projection‖‖y − x‖.

    Examples
    --------
    >>> kept_sorted(np.array([2.0, 0.0, -3.0]), np.array([0.0, 0.0, 1.0]), np.full(3, 1 / 3))
    array([ 1.,  1., -3.])
    """
    v, tied = np.array(v), np.flatnonzero(np.diff(x) == 0)
    for run in np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1) if len(tied) else []:
        block = slice(run[0], run[-1] + 2)
        v[block] = isotonic(v[block], w[block])
    return v


def isotonic(v: Array, w: Array) -> Array:
    """The nearest nondecreasing vector in the weighted L² norm, by pooling adjacent violators.

    Examples
    --------
    >>> isotonic(np.array([1.0, 3.0, 1.0]), np.array([1.0, 1.0, 3.0]))
    array([1. , 1.5, 1.5])
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(v, w, strict=True):
        pool = (float(value), float(weight), 1)
        while pools and pools[-1][0] >= pool[0]:
            mean, mass, count = pools.pop()
            total = mass + pool[1]
            pool = ((mean * mass + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    return np.repeat([p[0] for p in pools], [p[2] for p in pools])
