"""Couplings of weighted points by their entries: the barycentre of what each was coupled with."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..measures.base import Array


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
