"""Points of ρ* ∝ exp(f) on the line and in the plane, from the density on a grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from ..measures.base import Array
from ..status import JkoflowError
from .samples_statistics import Labels

LogDensity = Callable[[Array], Array]
_SEARCH = {1: 1025, 2: 97}  # cells an axis while the box is looked for
_CELLS = {1: 8192, 2: 360}
_COSTLY = {1: 2048, 2: 140}  # where each value of f is a sum over the sample
_OPEN = 16.0  # log density at the border of the box, below the maximum: 1e-7 of it
_KEPT = 18.0
_RESOLVED = 1e-3


def grid_law(
    f: LogDensity, x: Array, *, cheap: bool
) -> Callable[[int, np.random.Generator], Array] | None:
    """A function (m, rng) → (m, D) that draws from exp(f)/Z for D ≤ 2, or None.

    The box starts around the points and grows until f is low on its whole border, so that modes
    without any point are found if their tails reach the box. None where that does not happen or
    half the cells give another Z.

    Examples
    --------
    >>> draw = grid_law(lambda z: -0.5 * z[:, 0] ** 2, np.zeros((5, 1)), cheap=True)
    >>> y = draw(100_000, np.random.default_rng(0))
    >>> round(float(y.var()), 1)
    1.0
    """
    with np.errstate(all="ignore"):
        try:
            box = _grown(f, x)
            if box is None:
                return None
            cells = (_CELLS if cheap else _COSTLY)[x.shape[1]]
            fine, coarse = _Grid(box, cells), _Grid(box, cells // 2)
            values = fine.values(f)
            error = fine.log_integral(values) - coarse.log_integral(coarse.values(f))
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

    return draw


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


def _grown(f: LogDensity, x: Array) -> Array | None:
    """A box on whose border f is low, cut down to where it is not."""
    low, high = x.min(axis=0), x.max(axis=0)
    width = np.maximum(high - low, 1e-3 * np.maximum(1.0, np.abs(low) + np.abs(high)))
    box = np.stack([low - 0.5 * width, high + 0.5 * width])
    for _ in range(40):
        grid = _Grid(box, _SEARCH[x.shape[1]])
        values = grid.values(f).reshape((grid.cells,) * x.shape[1])
        top = values.max()
        if not np.isfinite(top):
            return None
        axes = range(x.shape[1])
        ends = [[np.take(values, e, axis=a).max() for a in axes] for e in (0, -1)]
        reach = np.array(ends) > top - _OPEN
        if not reach.any():
            return _cut(grid, values, top)
        grow = 0.3 * (box[1] - box[0])
        box = box + np.stack([-grow, grow]) * reach
    return None


def _cut(grid: _Grid, values: Array, top: float) -> Array:
    """The smallest box of cells around everything above the cut, and one cell more."""
    where = np.argwhere(values > top - _KEPT)
    first = np.maximum(where.min(axis=0) - 1, 0)
    last = np.minimum(where.max(axis=0) + 2, grid.cells)
    return np.stack([grid.box[0] + first * grid.size, grid.box[0] + last * grid.size])
