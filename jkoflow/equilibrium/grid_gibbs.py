"""The Gibbs fixed point on a box grid in one to three dimensions, obstacles included."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ..functionals.base import Functional, Smooth
from ..measures.base import Array
from ..measures.grid import Grid
from ..status import InvalidProblem, Status
from .dual import Dual, ascend
from .newton import with_newton
from .parts import Gibbs, classify, split_free_energy

_DEEP = 1e300  # stands for +∞ in obstacles: products with masses of 0 are 0, not NaN


@dataclass(frozen=True)
class Cells:
    """Centres (N, D) of a grid's cells with the log of their volume: the midpoint rule."""

    points: Array = field(repr=False)
    log_volume: float

    def log_integral(self, log_f: Array) -> float:
        """log ∫ exp(log f)."""
        return float(logsumexp(log_f)) + self.log_volume

    def masses(self, log_density: Array) -> Array:
        """Mass of each cell of a density that is already normalised."""
        return np.exp(log_density + self.log_volume)


class Walled(Smooth):
    """A smooth functional whose first variation is finite in obstacles too, but huge."""

    def __init__(self, inner: Smooth) -> None:
        self.inner = inner

    def spec(self) -> dict[str, Any]:
        return self.inner.spec()

    def value_at_points(self, x: Array, w: Array) -> float:
        return self.inner.value_at_points(x, w)

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        return np.minimum(self.inner.first_variation_at_points(x, w, at), _DEEP)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        return self.inner.gradient_at_points(x, w)


def gibbs_on_grid(F: Functional, mu: Grid, tolerance: float, max_iterations: int) -> Gibbs:
    """`solve_gibbs` on the cells of ``mu``: masses ∝ exp(−β δS/δρ) at the cells' centres.

    What it solves is the discrete equation, exactly: the minimiser of F over densities on this
    grid, whose error to that of the continuum is O(h²). Walls are the box's; V may be +∞.
    """
    smooth, beta = split_free_energy(F)
    smooth = smooth.on(mu)
    cells = Cells(mu.points, float(np.log(mu.cell_volume)))
    linear, risks, other = classify(smooth)
    walled = Walled(smooth)
    if not other:
        dual = Dual(Walled(linear), risks, beta, cells)
        _require_somewhere(dual.potential)
        start = np.zeros(len(dual.targets))
        e, gap, iterations, status = ascend(dual, start, tolerance, max_iterations)
        if len(e) and status is Status.CONVERGED:
            e, gap = _once_more(dual, e, gap)
        log_density = dual.log_density(e)[0]
    else:
        start = -beta * walled.first_variation_at_points(cells.points, mu.weights, cells.points)
        _require_somewhere(start)
        log_density, gap, iterations, status = with_newton(
            walled, beta, cells, start - cells.log_integral(start), tolerance, 20 * max_iterations
        )
    mass = cells.masses(log_density)
    variation = walled.first_variation_at_points(cells.points, mass, cells.points)
    log_z = cells.log_integral(-beta * variation)
    held = mass > 0
    residual = mass[held] @ np.abs(log_density + beta * variation + log_z)[held]
    measure = Grid((mass / mass.sum() / mu.cell_volume).reshape(mu.shape), mu.lower, mu.upper)
    return Gibbs(
        measure=measure,
        free_energy=float(F.value(measure)),
        gap=gap if F.smooth.convex_in_mixtures else math.inf,
        log_partition=log_z,
        beta=beta,
        residual=float(residual),
        iterations=iterations,
        status=status,
        axis=cells,
        log_density=np.where(held, log_density, -np.inf),
    )


def _once_more(dual: Dual, e: Array, gap: float) -> tuple[Array, float]:
    """Another Newton step: the gap is quadratic in the mismatch, which is wanted small itself."""
    better = e + dual.newton(e)[0]
    new_gap = dual.newton(better)[1]
    return (better, new_gap) if new_gap < gap else (e, gap)


def grid_on_box(lower: Array, upper: Array, n: int | None) -> Grid:
    """The uniform density on n cells an axis of a box in R² or R³."""
    n = (200, 60)[len(lower) - 2] if n is None else n
    if n ** len(lower) > 50_000_000:
        raise InvalidProblem(f"{n} cells an axis are too many in {len(lower)} dimensions")
    return Grid(np.full((n,) * len(lower), 1.0 / np.prod(upper - lower)), lower, upper)


def _require_somewhere(potential: Array) -> None:
    if not (np.abs(potential) < _DEEP).any():
        raise InvalidProblem("V is +∞ on every cell of the grid: there is no place for any mass")

