"""Damped fixed-point iteration on the density of a Gibbs law."""

from __future__ import annotations

import numpy as np

from ..functionals.base import Smooth
from ..measures.base import Array
from ..status import Status
from .dual import Quadrature


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
