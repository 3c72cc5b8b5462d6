"""Newton–Krylov for the equation of a Gibbs law, between damped iterations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from ..functionals.base import Smooth
from ..measures.base import Array
from ..status import Status
from .dual import Quadrature
from .mirror import iterate

_WARM_UP = (30, 100)  # damped iterations before Newton's method is tried


def with_newton(
    smooth: Smooth, beta: float, rule: Quadrature, log_density: Array, tolerance: float, limit: int
) -> tuple[Array, float, int, Status]:
    """A few damped iterations, then Newton's method, then more iterations where that fails.

    Log density, gap, iterations, and how it ended, as of `iterate`.
    """
    total = 0
    for most in (*_WARM_UP, limit):
        log_density, gap, used, status = iterate(smooth, beta, rule, log_density, tolerance, most)
        total += used
        if status is not Status.MAX_ITERATIONS:
            break
        log_density, used = newton(smooth, beta, rule, log_density, tolerance)
        total += used
    if status is Status.MAX_ITERATIONS:
        log_density, gap, _, status = iterate(smooth, beta, rule, log_density, tolerance, 1)
    return log_density, gap, total, status


def newton(
    smooth: Smooth, beta: float, rule: Quadrature, log_density: Array, tolerance: float
) -> tuple[Array, int]:
    """Newton–Krylov for log ρ + βδS(ρ) = constant, as far as it makes this less untrue.

    δS is taken for affine in ρ, as it is for interactions and risks. The unknowns are weighted
    with √ρ, so that tails, where the mismatch may be large, do not count; they follow of
    themselves.
    """
    x, n = rule.points.reshape(len(rule.points), -1), len(log_density)

    def mismatch(log_rho: Array) -> tuple[Array, float, Array]:
        w = rule.masses(log_rho)
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
            trial = trial - rule.log_integral(trial)
            found = mismatch(trial)
            if found[1] < (1.0 - 0.1 * t) * size:
                break
            t *= 0.5
        else:
            return log_density, k
        log_density, (wrong, size, w) = trial, found
    return log_density, 30
