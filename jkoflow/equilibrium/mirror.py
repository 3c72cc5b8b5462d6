"""Damped fixed-point iteration on the density, for smooth parts that are not made of risks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..functionals.base import Smooth
from ..measures.base import Array
from ..status import Status
from .axis import Axis
from .dual import Found, Quadrature


def damped_iteration(
    smooth: Smooth,
    beta: float,
    make_axis: Callable[[Callable[[Array], Array]], Axis],
    start: tuple[Array, Array],
    tolerance: float,
    max_iterations: int,
) -> Found:
    """log ρ ← (1−s) log ρ + s log ρ̂, with s halved until F decreases and doubled after.

    Begins at ρ̂ of the weighted points ``start``; where there are several fixed points, the start
    decides which of them is found.

    The gap is KL(ρ‖ρ̂)/β, which bounds F(ρ) − inf F where S is convex along mixtures.
    """
    found = _proximal(smooth, beta, make_axis, *start)
    for _ in range(3):
        axis, log_density = found
        log_density, gap, k, status = iterate(
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


def iterate(
    smooth: Smooth, beta: float, axis: Quadrature, log_density: Array, tolerance: float, limit: int
) -> tuple[Array, float, int, Status]:
    """The damped iteration on one axis or box: log density, gap, iterations, and how it ended."""
    x = axis.points.reshape(len(axis.points), -1)

    def energy(log_rho: Array) -> float:
        w = axis.masses(log_rho)
        return smooth.value_at_points(x, w) + float(w @ log_rho) / beta

    s, value, gap = 1.0, energy(log_density), np.inf
    for k in range(limit):
        w = axis.masses(log_density)
        target = -beta * smooth.first_variation_at_points(x, w, x)
        target = target - axis.log_integral(target)
        gap = max(float(w @ (log_density - target)), 0.0) / beta
        # KL is quadratic in the error of the density, so its smallness alone says too little
        if float(w @ np.abs(log_density - target)) <= 1e-4 * np.sqrt(tolerance):
            return target, gap, k, Status.CONVERGED
        while s > 1e-8:
            trial = (1.0 - s) * log_density + s * target
            trial = trial - axis.log_integral(trial)
            trial_value = energy(trial)
            if trial_value < value + 1e-15 * (1.0 + abs(value)):
                break
            s *= 0.5
        else:
            return log_density, gap, k, Status.STALLED
        log_density, value, s = trial, trial_value, min(1.0, 1.5 * s)
    return log_density, gap, limit, Status.MAX_ITERATIONS
