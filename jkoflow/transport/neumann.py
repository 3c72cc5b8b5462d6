"""(a − bΔ)u = f on a box with walls, by discrete cosine transforms."""

from __future__ import annotations

from functools import reduce

import numpy as np
from scipy import fft

from ..measures.base import Array


class Neumann:
    """The operator a − bΔ with ∂u/∂n = 0, Δ the second differences on the cells of a grid.

    Examples
    --------
    >>> f = np.array([1.0, 2.0, 4.0])
    >>> u = Neumann((3,), np.array([0.5])).solve(f, 2.0, 0.1)
    >>> bool(np.allclose(2.0 * u - 0.1 * np.diff(np.pad(u, 1, mode="edge"), 2) / 0.25, f))
    True
    """

    def __init__(self, shape: tuple[int, ...], spacing: Array) -> None:
        modes = [
            (2.0 - 2.0 * np.cos(np.pi * np.arange(n) / n)) / h**2
            for n, h in zip(shape, spacing, strict=True)
        ]
        self._eigenvalues: Array = reduce(np.add.outer, modes)

    def solve(self, f: Array, a: float, b: float) -> Array:
        """u for a > 0, b ≥ 0."""
        u: Array = fft.idctn(fft.dctn(f, type=2) / (a + b * self._eigenvalues), type=2)
        return u
