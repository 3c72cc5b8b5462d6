"""Newton's method on the concave dual of a free energy made of potentials and risks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ..functionals.answers import finite_answer
from ..functionals.base import Smooth
from ..functionals.risk import Risk
from ..measures.base import Array
from ..status import Status
from .axis import Axis


class Quadrature(Protocol):
    """What the dual needs of an axis or a box: points (k,) or (k, D), and sums over them."""

    @property
    def points(self) -> Array: ...

    def log_integral(self, log_f: Array) -> float: ...

    def masses(self, log_density: Array) -> Array: ...


@dataclass(frozen=True)
class Found:
    """A normalised log density on an axis, with its gap and how it was reached."""

    axis: Axis
    log_density: Array
    gap: float
    iterations: int
    status: Status


class Dual:
    """D(e) and its derivatives by one quadrature; see `solve_gibbs`."""

    def __init__(
        self, linear: Smooth, risks: list[tuple[float, Risk]], beta: float, axis: Quadrature
    ) -> None:
        self.beta, self.axis = beta, axis
        x = axis.points.reshape(len(axis.points), -1)  # (k, D), of an axis too
        nothing = np.zeros(0)
        self.potential = linear.first_variation_at_points(x[:0], nothing, x)
        self.features = np.concatenate(
            [np.zeros((0, len(x))), *(_features(risk, x) for _, risk in risks)]
        )
        self.targets = np.concatenate([nothing, *(risk.targets for _, risk in risks)])
        self.weights = np.concatenate([nothing, *(2.0 * c * risk.weights for c, risk in risks)])

    def log_density(self, e: Array) -> tuple[Array, float]:
        """Normalised log density of exp(−β(V − Σ w e φ)), and log Z."""
        exponent = -self.beta * (self.potential - (self.weights * e) @ self.features)
        log_z = self.axis.log_integral(exponent)
        return exponent - log_z, log_z

    def value(self, e: Array) -> float:
        """D(e)."""
        _, log_z = self.log_density(e)
        return float(self.weights @ (e * self.targets - 0.5 * e * e)) - log_z / self.beta

    def newton(self, e: Array) -> tuple[Array, float]:
        """Newton's ascent direction, and the gap F(ρ_e) − D(e) = ½Σ w (y − ∫φ dρ_e − e)²."""
        mass = self.axis.masses(self.log_density(e)[0])
        means = self.features @ mass
        mismatch = self.targets - means - e
        centred = self.features - means[:, None]
        root = np.sqrt(self.weights)
        covariance = (centred * mass) @ centred.T
        hessian = np.eye(len(e)) + self.beta * root[:, None] * covariance * root
        step = cho_solve(cho_factor(hessian), root * mismatch)
        step = np.divide(step, root, out=np.zeros_like(step), where=root > 0)
        return step, 0.5 * float(self.weights @ mismatch**2)


def _features(risk: Risk, x: Array) -> Array:
    return finite_answer(risk.features(x), f"a feature of {risk!r} on the axis")


def maximise_dual(
    linear: Smooth,
    risks: list[tuple[float, Risk]],
    beta: float,
    make_axis: Callable[[Callable[[Array], Array]], Axis],
    tolerance: float,
    max_iterations: int,
) -> Found:
    """Damped Newton in the q residuals, on an axis that holds the density found.

    The axis starts where e = 0 puts the mass and grows while the density found has mass beyond.
    """
    targets = np.concatenate([np.zeros(0), *(risk.targets for _, risk in risks)])
    e, iterations = np.zeros_like(targets), 0
    axis = make_axis(_exponent(linear, risks, beta, e))
    for _ in range(20):
        current = axis
        dual = Dual(linear, risks, beta, current)
        e, gap, used, status = ascend(dual, e, tolerance, max_iterations)
        iterations += used
        fitted = make_axis(_exponent(linear, risks, beta, e))
        if axis.covers(fitted):
            if used == 0 or axis.walls or fitted.covers(axis):
                break
            axis = fitted  # only now shrink: an axis that cuts mass off gives a wrong e
        else:
            axis = axis.hull(fitted)
    return Found(current, dual.log_density(e)[0], gap, iterations, status)


def _exponent(
    linear: Smooth, risks: list[tuple[float, Risk]], beta: float, e: Array
) -> Callable[[Array], Array]:
    """r ↦ −β(V − Σ w e φ), to fit an axis to."""

    def log_f(points: Array) -> Array:
        x = points[:, None]
        total = -linear.first_variation_at_points(x[:0], np.zeros(0), x)
        start = 0
        for c, risk in risks:
            q = len(risk.targets)
            total = total + (2.0 * c * risk.weights * e[start : start + q]) @ risk.features(x)
            start += q
        return beta * total

    return log_f


def ascend(
    dual: Dual, e: Array, tolerance: float, max_iterations: int
) -> tuple[Array, float, int, Status]:
    """Damped Newton from e: the e found, its gap, the iterations used, and how it ended."""
    value, gap = dual.value(e), 0.0
    for k in range(max_iterations):
        step, gap = dual.newton(e) if len(e) else (e, 0.0)
        if gap <= tolerance * (1.0 + abs(value)):
            return e, gap, k, Status.CONVERGED
        t = 1.0
        while t > 1e-10 and not dual.value(e + t * step) >= value:
            t *= 0.5
        if t <= 1e-10:
            return e, gap, k, Status.STALLED
        e = e + t * step
        value = dual.value(e)
    return e, gap, max_iterations, Status.MAX_ITERATIONS
