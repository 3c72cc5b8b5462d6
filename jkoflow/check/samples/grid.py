"""Points of ρ* ∝ exp(f) on the line and in the plane, from the density on a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from ...measures.base import Array
from ...status import JkoflowError
from .statistics import Labels

LogDensity = Callable[[Array], Array]
_SEARCH = {1: 1025, 2: 97}  # cells an axis while the box is looked for
_CELLS = {1: 8192, 2: 360}
_COSTLY = {1: 2048, 2: 140}  # where each value of f is a sum over the sample
_OPEN = 16.0  # log density at the border of the box, below the maximum: 1e-7 of it
_KEPT = 18.0
_RESOLVED = 1e-3


class GridLaw(NamedTuple):
    """``draw(m, rng)`` gives points (m, D); ``tail(level)`` is the mass where f is at most that."""

    draw: Callable[[int, np.random.Generator], Array]
    tail: Callable[[float], float]


def grid_law(f: LogDensity, x: Array, *, cheap: bool) -> GridLaw | None:
    """exp(f)/Z for D ≤ 2, or None.

    The box starts around the points and grows until f is low on its whole border, so that modes
    without any point are found if their tails reach the box. None where that does not happen or
    half the cells give another Z.

    Examples
    --------
    >>> law = grid_law(lambda z: -0.5 * z[:, 0] ** 2, np.array([[0.0], [3.0]]), cheap=True)
    >>> y = law.draw(100_000, np.random.default_rng(0))
    >>> round(float(y.var()), 1), round(law.tail(-0.5 * 3.0**2), 4)
    (1.0, 0.0027)
    """
    with np.errstate(all="ignore"):
        try:
            found = _grown(f, x)
            if found is None:
                return None
            box, wide, heights = found
            cells = (_CELLS if cheap else _COSTLY)[x.shape[1]]
            fine, coarse = _Grid(box, cells), _Grid(box, cells // 2)
            values = fine.values(f)
            log_z = fine.log_integral(values)
            error = log_z - coarse.log_integral(coarse.values(f))
        except JkoflowError:  # f is not defined on some part of the box
            return None
    if not abs(error) <= _RESOLVED:
        return None
    masses = np.exp(values - logsumexp(values))
    cumulated = np.cumsum(masses)

    def draw(m: int, rng: np.random.Generator) -> Array:
        cell = np.searchsorted(cumulated, rng.random(m) * cumulated[-1], side="right")
        centres = fine.centres(np.minimum(cell, len(masses) - 1))
        return centres + fine.size * (rng.random(centres.shape) - 0.5)

    def tail(level: float) -> float:
        with np.errstate(all="ignore"):
            inside, beyond = (grid.log_integral(np.where(v <= level, v, -np.inf))
                              for grid, v in ((fine, values), (wide, heights)))  # fmt: skip
            return float(np.exp(min(0.0, np.logaddexp(inside, beyond) - log_z)))

    return GridLaw(draw, tail)


class _Grid:
    """Equal cells of a box (2, D)."""

    def __init__(self, box: Array, cells: int) -> None:
        self.box, self.cells = box, cells
        self.size = (box[1] - box[0]) / cells

    def centres(self, index: Labels) -> Array:
        shape = (self.cells,) * self.box.shape[1]
        position = np.stack(np.unravel_index(index, shape), axis=1)
        return np.asarray(self.box[0] + (position + 0.5) * self.size)

    def values(self, f: LogDensity) -> Array:
        return f(self.centres(np.arange(self.cells ** self.box.shape[1])))

    def log_integral(self, values: Array) -> float:
        return float(logsumexp(values) + np.log(self.size).sum())


def _grown(f: LogDensity, x: Array) -> tuple[Array, _Grid, Array] | None:
    """A box where f is not low, there and at points of the sample; and a larger one around them,
    on whose border f is low, with f on the coarse cells of it that are not in the first."""
    low, high, at = x.min(axis=0), x.max(axis=0), f(x)
    without = 1e-3 * np.maximum(1.0, np.abs(low) + np.abs(high))  # of a coordinate they all share
    width = np.where(high > low, high - low, without)
    box = np.stack([low - 0.5 * width, high + 0.5 * width])
    for _ in range(40):
        grid = _Grid(box, _SEARCH[x.shape[1]])
        values = grid.values(f).reshape((grid.cells,) * x.shape[1])
        top = max(values.max(), at.max())
        if not np.isfinite(top):
            return None
        axes = range(x.shape[1])
        ends = [[np.take(values, e, axis=a).max() for a in axes] for e in (0, -1)]
        reach = np.array(ends) > top - _OPEN
        if not reach.any():
            first, last = _cut(grid, values > top - _KEPT, x[at > top - _KEPT])
            values[tuple(map(slice, first, last))] = -np.inf
            kept = grid.box[0] + np.stack([first, last]) * grid.size
            return kept, grid, values.ravel()
        grow = 0.3 * (box[1] - box[0])
        box = box + np.stack([-grow, grow]) * reach
    return None


def _cut(grid: _Grid, kept: Array, x: Array) -> tuple[Labels, Labels]:
    """The smallest box of cells around those that are kept and around points, and one cell more;
    of modes that are narrower than cells, points may show some that no centre does."""
    where = np.concatenate([np.argwhere(kept), ((x - grid.box[0]) // grid.size).astype(int)])
    first = np.maximum(where.min(axis=0) - 1, 0)
    return first, np.minimum(where.max(axis=0) + 2, grid.cells)
