"""The Gibbs fixed point on a box grid in one to three dimensions, obstacles included."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres
from scipy.special import logsumexp

from ..functionals.base import Functional, Smooth
from ..measures.base import Array
from ..measures.grid import Grid
from ..status import InvalidProblem, Status
from .dual import Dual, ascend
from .mirror import iterate
from .parts import Gibbs, classify, split_free_energy

_DEEP = 1e300  # stands for +∞ in obstacles: products with masses of 0 are 0, not NaN
_WARM_UP = (30, 100)  # damped iterations before Newton's method is tried


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
        log_density, gap, iterations, status = _nonlinear(
            walled, beta, cells, mu.weights, tolerance, max_iterations
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


def _nonlinear(
    smooth: Smooth, beta: float, cells: Cells, w: Array, tolerance: float, max_iterations: int
) -> tuple[Array, float, int, Status]:
    """A few damped iterations, then Newton's method, then more iterations where that fails."""
    x = cells.points
    start = -beta * smooth.first_variation_at_points(x, w, x)
    _require_somewhere(start)
    log_density = start - cells.log_integral(start)
    total = 0
    for limit in (*_WARM_UP, 20 * max_iterations):
        log_density, gap, used, status = iterate(
            smooth, beta, cells, log_density, tolerance, limit
        )
        total += used
        if status is not Status.MAX_ITERATIONS:
            break
        log_density, used = _newton(smooth, beta, cells, log_density, tolerance)
        total += used
    if status is Status.MAX_ITERATIONS:
        log_density, gap, _, status = iterate(smooth, beta, cells, log_density, tolerance, 1)
    return log_density, gap, total, status


def _newton(
    smooth: Smooth, beta: float, cells: Cells, log_density: Array, tolerance: float
) -> tuple[Array, int]:
    """Newton–Krylov for log ρ + βδS(ρ) = constant, as far as it makes this less untrue.

    δS is taken for affine in ρ, as it is for interactions and risks. The unknowns are weighted
    with √ρ, so that tails, where the mismatch may be large, do not count; they follow of
    themselves.
    """
    x, n = cells.points, len(log_density)

    def mismatch(log_rho: Array) -> tuple[Array, float, Array]:
        w = cells.masses(log_rho)
        wrong = log_rho + beta * smooth.first_variation_at_points(x, w, x)
        wrong = np.where(w > 0, wrong, 0.0)
        wrong = wrong - w @ wrong
        return wrong, float(w @ np.abs(wrong)), w

    wrong, size, w = mismatch(log_density)
    for k in range(30):
        if size <= 1e-5 * math.sqrt(tolerance):
            return log_density, k
        root, base = np.sqrt(w), smooth.first_variation_at_points(x, w, x)

        def pushed(y: Array, root: Array = root, w: Array = w, base: Array = base) -> Array:
            """β times what δS changes by when the mass changes by √w y, made to sum to 0."""
            moved = root * (y - root * (root @ y))
            scale = 1.0 / max(float(np.abs(moved).sum()), 1e-300)
            change = smooth.first_variation_at_points(x, w + scale * moved, x) - base
            return np.asarray(beta / scale * np.where(w > 0, change, 0.0))

        def product(y: Array, root: Array = root, pushed: Any = pushed) -> Array:
            return np.asarray(y + root * pushed(y))

        operator = LinearOperator((n, n), matvec=product, dtype=float)
        y, _ = gmres(operator, -root * wrong, rtol=min(1e-3, size), restart=60, maxiter=3)
        step = -wrong - pushed(y)
        t = 1.0
        while t > 1e-3:
            trial = log_density + t * step
            trial = trial - cells.log_integral(trial)
            found = mismatch(trial)
            if found[1] < (1.0 - 0.1 * t) * size:
                break
            t *= 0.5
        else:
            return log_density, k
        log_density, (wrong, size, w) = trial, found
    return log_density, 30


def _require_somewhere(potential: Array) -> None:
    if not (np.abs(potential) < _DEEP).any():
        raise InvalidProblem("V is +∞ on every cell of the grid: there is no place for any mass")

