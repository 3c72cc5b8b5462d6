"""Gibbs laws on the line whose smooth parts are not made of risks, on an axis that fits them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..functionals.base import Smooth
from ..measures.base import Array
from .axis import Axis
from .dual import Found
from .mirror import iterate
from .newton import with_newton


def solve_on_axis(
    smooth: Smooth,
    beta: float,
    make_axis: Callable[[Callable[[Array], Array]], Axis],
    start: tuple[Array, Array],
    tolerance: float,
    max_iterations: int,
) -> Found:
    """ρ = exp(−βδS/δρ(·; ρ))/Z, by damped iterations, and by Newton's method where S is convex.

    Begins at ρ̂ of the weighted points ``start``; where there are several fixed points, the start
    decides which of them is found.

    The gap is KL(ρ‖ρ̂)/β, which bounds F(ρ) − inf F where S is convex along mixtures.
    """
    found = _proximal(smooth, beta, make_axis, *start)
    solve = with_newton if smooth.convex_in_mixtures else iterate
    for _ in range(3):
        axis, log_density = found
        log_density, gap, k, status = solve(
            smooth, beta, axis, log_density, tolerance, 20 * max_iterations
        )
        x, w = axis.points[:, None], axis.masses(log_density)
        refit = _proximal(smooth, beta, make_axis, x, w)
        if _same(refit[0], axis):
            break
        found = refit
    return Found(axis, log_density, gap, k, status)


def _proximal(
    smooth: Smooth, beta: float, make_axis: Callable[..., Axis], x: Array, w: Array
) -> tuple[Axis, Array]:
    """Proximal Gibbs density of the weighted points (x, w), with its axis."""

    def log_f(points: Array) -> Array:
        return -beta * smooth.first_variation_at_points(x, w, points[:, None])

    axis = make_axis(log_f)
    height = log_f(axis.points)
    return axis, height - axis.log_integral(height)


def _same(one: Axis, other: Axis) -> bool:
    width = other.breaks[-1] - other.breaks[0]
    return bool(np.abs(one.breaks[[0, -1]] - other.breaks[[0, -1]]).max() < 0.05 * width)
