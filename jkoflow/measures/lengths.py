"""Roots of sums of squares, also where the squares leave the range of floating point."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .base import Array

_SMALLEST = 1e-150  # lengths below it have squares that are rounded, or zero


def norms(v: Array, w: Array) -> Array:
    """(Σ_i w_i |v_ki|²)^½, (K,), for v of shape (K, n, d)."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = v * v
        found = np.asarray(np.sqrt((squares[..., 0] if v.shape[-1] == 1 else squares.sum(-1)) @ w))
    if ((found > _SMALLEST) & (found < np.inf)).all():
        return found
    size = np.abs(v).max(axis=(1, 2), keepdims=True)  # squares leave the range before their roots
    scaled = v / np.where((size > 0) & (size < np.inf), size, 1.0)
    return np.asarray(size[:, 0, 0] * np.sqrt((scaled * scaled).sum(-1) @ w))


def length(square: Callable[[Array], float], v: Array) -> float:
    """√square(v) of a quadratic form.

    Examples
    --------
    >>> length(lambda v: float(v @ v), np.array([3.0, 4.0])) == 5.0
    True
    >>> length(lambda v: float(v @ v), np.array([3e-200, 4e-200])) == 5e-200
    True
    >>> length(lambda v: float(v @ v), np.array([3e200, 4e200])) / 1e200
    5.0
    """
    with np.errstate(over="ignore"):
        found = math.sqrt(square(v))
    if _SMALLEST < found < math.inf:
        return found
    size = float(np.abs(v).max(initial=0.0))
    return size * math.sqrt(square(v / size)) if 0.0 < size < math.inf else found
