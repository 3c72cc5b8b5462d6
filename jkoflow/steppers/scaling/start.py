"""Where entropic scaling starts: potentials from coarser grids, where iterations cost little."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

from ...functionals.base import Functional
from ...functionals.internal import Congestion
from ...measures.base import Array
from ...measures.grid import Grid

_TRUSTED = 1e-6  # relative density from which on its logarithm is believed
_FEWEST = 16  # cells on an axis of the coarsest grid


def unmoved(F: Functional, mu: Grid, potential: Array, tau: float, epsilon: float,
            halves: int) -> Array:  # fmt: skip
    """log a that would leave the density where it is: ε log a = −τ(u'(μ) + V) + (ε/2) log μ.

    The last term where half an entropy is taken off. Logarithms of tails are not believed.
    """
    log_density = np.log(np.maximum(mu.density, _TRUSTED * mu.density.max()))
    price = np.array(potential)
    for c, f in F.internal.terms:
        if not isinstance(f, Congestion):
            price += c * f.slope(log_density)  # type: ignore[attr-defined]
    return np.asarray(0.5 * (halves - 1) * log_density - tau / epsilon * price)


def coarsenable(mu: Grid) -> bool:
    """Whether cells can be joined by two on every axis, and enough of them are left."""
    return all(n % 2 == 0 and n >= 2 * _FEWEST for n in mu.shape)


def coarsened(mu: Grid, potential: Array) -> tuple[Grid, Array]:
    """The density and the potential on cells twice as large; +∞ where it is so everywhere."""
    corners = list(itertools.product((0, 1), repeat=mu.dim))
    parts = [tuple(slice(c, None, 2) for c in corner) for corner in corners]
    density = np.stack([mu.density[part] for part in parts]).mean(axis=0)
    values = np.stack([potential[part] for part in parts])
    free = np.isfinite(values)
    count = free.sum(axis=0)
    mean = np.where(free, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    total = density.sum() * mu.cell_volume * len(parts)
    return Grid(density / total, mu.lower, mu.upper), np.where(count > 0, mean, np.inf)


def refined(potential: Array, shape: tuple[int, ...]) -> Array:
    """A potential on cells half as large, by cubic splines; obstacles take their neighbours'."""
    closed = ~np.isfinite(potential)
    if closed.any():
        nearest = ndimage.distance_transform_edt(
            closed, return_distances=False, return_indices=True
        )
        potential = potential[tuple(nearest)]
    axes = [(np.arange(n) + 0.5) / 2.0 - 0.5 for n in shape]
    where = np.meshgrid(*axes, indexing="ij")
    return np.asarray(ndimage.map_coordinates(potential, where, order=3, mode="reflect"))
