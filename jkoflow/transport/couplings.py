"""Couplings of weighted points by their entries: barycentres, and what of them is rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..measures.base import Array

_EPS = float(np.finfo(float).eps)
Indices = np.ndarray[Any, np.dtype[np.intp]]


def barycentres(rows: Any, columns: Any, values: Any, y: Array, n: int) -> Array:
    """T_i = Σ_j π_ij y_j / Σ_j π_ij, shape (n, d), for the entries π[rows, columns] = values.

    Rows without mass have T_i = 0.

    Examples
    --------
    >>> y = np.array([[0.0], [4.0], [7.0]])
    >>> barycentres([0, 0, 1], [0, 1, 2], [0.375, 0.125, 0.5], y, 3).ravel()
    array([1., 7., 0.])
    """
    mass = np.bincount(rows, values, n)
    sums = np.stack([np.bincount(rows, values * c, n) for c in y[columns].T], axis=1)
    return np.asarray(sums / np.where(mass > 0, mass, 1.0)[:, None])


def without_dust(
    rows: Indices, columns: Indices, values: Array, dust: Any, a: Array, b: Array
) -> tuple[Indices, Indices, Array]:
    """The entries but for those that ``dust`` (k,) marks as rounding, if the others can have the
    marginals a and b, to 1e-12 of each weight; else all: it was mass.

    Examples
    --------
    >>> half, both = np.array([0.5, 0.5]), np.array([0, 1])
    >>> rows, columns = np.array([0, 0, 1]), np.array([0, 1, 1])
    >>> values = np.array([0.5, 1e-17, 0.5])
    >>> without_dust(rows, columns, values, values < 1e-10, half, half)
    (array([0, 1]), array([0, 1]), array([0.5, 0.5]))
    """
    for kept in (~dust & (values > 0), values > 0):
        entries = rows[kept], columns[kept]
        found = _balanced(*entries, values[kept], a, b)
        off = (np.abs(np.bincount(k, found, len(w)) - w) - 1e-12 * w
               for k, w in zip(entries, (a, b), strict=True))  # fmt: skip
        if max(float(excess.max()) for excess in off) <= _EPS:
            break
    return *entries, found


def _balanced(rows: Indices, columns: Indices, values: Array, a: Array, b: Array) -> Array:
    """The entries with marginals right relative to each weight: solvers leave EPS of all mass."""
    for _ in range(3):
        for k, w in ((rows, a), (columns, b)):
            sums = np.bincount(k, values, len(w))
            values = values * np.divide(w, sums, out=np.ones(len(w)), where=sums > 0)[k]
    return values
