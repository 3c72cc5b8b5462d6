"""The lowest value of a function on a box: bounded by branch and bound, found by descent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..measures.base import Array

_FIRST = {1: 512, 2: 64, 3: 16}  # boxes along each side at first; 6 beyond
_BUDGET = 400_000  # evaluations of one search
_DESCENTS = 6


@dataclass(frozen=True)
class Lowest:
    """``bound`` ≤ min f; where not ``proved``, f at the best point found. ``points``: low ones."""

    bound: float
    points: Array
    proved: bool


def lowest_on_box(
    f: Callable[[Array], Array],
    gradient: Callable[[Array], Array],
    bend: float | None,
    box: tuple[Array, Array],
    near: Array,
    tolerance: float,
) -> Lowest:
    """Look for the minimum of f on a box.

    On a box with centre c and half sides h, f ≥ f(c) − Σ|∂_i f(c)| h_i − ½·bend·|h|² where bend
    bounds ‖∇²f‖. Boxes that may hold something below the best value found, less the tolerance,
    are halved along their longest side until none is left, or the budget is spent; the bound is
    then what was reached.

    Parameters
    ----------
    f, gradient : callable
        Points (n, D) → (n,) and (n, D).
    bend : float or None
        Without it there is a first grid and descents only, and nothing is proved.
    box : (lower, upper), each (D,)
    near : array, shape (k, D)
        Points to descend from too.
    tolerance : float

    Examples
    --------
    >>> box = np.array([0.0]), np.array([7.0])
    >>> low = lowest_on_box(lambda x: np.sin(x[:, 0]), np.cos, 1.0, box, np.array([[1.0]]), 1e-9)
    >>> -1 - 1e-9 <= low.bound <= -1, low.points.round(6).ravel()[0]
    (True, np.float64(4.712389))
    """
    lower, upper = box
    dim = len(lower)
    each = _FIRST.get(dim, 6)
    half = np.broadcast_to(0.5 * (upper - lower) / each, (each**dim, dim))
    steps = np.stack(np.meshgrid(*[np.arange(each)] * dim, indexing="ij"), axis=-1)
    centres = lower + (2 * steps.reshape(-1, dim) + 1) * half
    values = f(centres)
    starts = np.concatenate([near, _local_minima(values, centres, (each,) * dim)])
    points, heights = _descend(f, gradient, starts, box)
    best = float(min(heights.min(), values.min()))
    points = points[np.argsort(heights)]
    if bend is None:
        return Lowest(best, points, False)
    bound, lowest = _branch_and_bound(f, gradient, bend, centres, values, half, best, tolerance)
    if lowest is not None:  # a valley that the first grid did not see
        points = np.concatenate([_descend(f, gradient, lowest[None, :], box)[0], points])
    return Lowest(bound, points, True)


def _branch_and_bound(
    f: Callable[[Array], Array],
    gradient: Callable[[Array], Array],
    bend: float,
    centres: Array,
    values: Array,
    half: Array,
    best: float,
    tolerance: float,
) -> tuple[float, Array | None]:
    """A number below f on all the boxes, at most ``tolerance`` below its least value if it can be.

    And the lowest centre, if f is below ``best`` there.
    """
    spent, lowest = len(values), None
    while True:
        drop = np.abs(gradient(centres)) * half
        bounds = values - drop.sum(axis=1) - 0.5 * bend * (half**2).sum(axis=1)
        if values.min() < best:
            best, lowest = float(values.min()), centres[np.argmin(values)]
        alive = bounds < best - tolerance
        if not alive.any():
            return best - tolerance, lowest
        spent += 2 * int(alive.sum())
        if spent > _BUDGET:
            return float(bounds.min()), lowest
        centres, half = _halved(centres[alive], half[alive])
        values = f(centres)


def _halved(centres: Array, half: Array) -> tuple[Array, Array]:
    """Each box cut in two along its longest side."""
    rows, side = np.arange(len(half)), np.argmax(half, axis=1)
    half = half.copy()
    half[rows, side] *= 0.5
    step = np.zeros_like(half)
    step[rows, side] = half[rows, side]
    return np.concatenate([centres - step, centres + step]), np.concatenate([half, half])


def _local_minima(values: Array, centres: Array, shape: tuple[int, ...]) -> Array:
    """The lowest few of a grid's points that no neighbour along an axis is below."""
    v = values.reshape(shape)
    lowest = np.ones(shape, dtype=bool)
    for axis in range(len(shape)):
        there = np.moveaxis(v, axis, 0)
        mark = np.moveaxis(lowest, axis, 0)
        mark[1:] &= there[1:] <= there[:-1]
        mark[:-1] &= there[:-1] <= there[1:]
    chosen = np.flatnonzero(lowest.ravel())
    return centres[chosen[np.argsort(values[chosen])[:_DESCENTS]]]


def _descend(
    f: Callable[[Array], Array],
    gradient: Callable[[Array], Array],
    starts: Array,
    box: tuple[Array, Array],
) -> tuple[Array, Array]:
    """Where descent from each start ends, and f there."""
    from scipy.optimize import minimize

    def objective(x: Array) -> tuple[float, Array]:
        point = x[None, :]
        return float(f(point)[0]), gradient(point)[0]

    bounds = list(zip(*box, strict=True))
    settings = {"ftol": 0.0, "gtol": 1e-13, "maxiter": 200}  # until rounding stops it
    found = [
        minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=settings).x
        for start in starts
    ]
    points = np.clip(np.stack(found), *box)
    return points, f(points)
