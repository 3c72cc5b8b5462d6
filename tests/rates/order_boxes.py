"""Laws on the box [−1, 1]^d, by the masses of cells."""

from __future__ import annotations

from functools import reduce

import numpy as np
from scipy.special import ndtr

import jkoflow as jf


def l1(mu, masses):
    return float(np.abs(mu.mass - np.ravel(masses)).sum())


def normal(mean, std, n, dim):
    """A product of normal laws; what is outside of the box is below rounding."""
    faces = np.linspace(-1.0, 1.0, n + 1)
    masses = [np.diff(ndtr((faces - m) / std)) for m in np.broadcast_to(mean, dim)]
    return grid(reduce(np.multiply.outer, masses))


def profile(m, radius, n, dim):
    """Barenblatt's law by Gauss's rule on pieces of cells, so that the edge is resolved too."""
    pieces = {1: 16, 2: 8, 3: 4}[dim]

    def density(x):
        return np.maximum(0.0, 1.0 - (x**2).sum(axis=1) / radius**2) ** (1.0 / (m - 1.0))

    fine = jf.Grid.from_function(density, [-1.0] * dim, [1.0] * dim, (n * pieces,) * dim, rule=2)
    return _gathered(fine.mass, n, pieces, dim)


def crowd(place, n, radius=0.45):
    """A disc of density one over its area, centred on (place, 0)."""
    pieces = 16
    x = -1.0 + (np.arange(n * pieces) + 0.5) * 2.0 / (n * pieces)
    inside = (x[:, None] - place) ** 2 + x**2 < radius**2
    return _gathered(inside.astype(float), n, pieces, 2)


def _gathered(fine, n, pieces, dim):
    shape = sum(((n, pieces) for _ in range(dim)), ())
    axes = tuple(range(1, 2 * dim, 2))
    return grid(np.reshape(fine, shape).sum(axis=axes))


def grid(masses):
    n, dim = len(masses), masses.ndim
    return jf.Grid(masses / masses.sum() * (n / 2.0) ** dim, [-1.0] * dim, [1.0] * dim)
