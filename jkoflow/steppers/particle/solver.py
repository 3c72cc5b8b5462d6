"""Descent on a particle objective: one loop, two ways to choose a direction."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ...measures.base import Array
from ...status import Status
from .objective import Objective, Point


class Descent(Protocol):
    """How a direction is chosen; the loop does the rest."""

    products: int

    def direction(self, here: Point, goal: float) -> Array:
        """A descent direction; residuals below ``goal`` need not be resolved."""

    def learn(self, here: Point, there: Point) -> None:
        """See a step that was taken."""

    def forget(self) -> bool:
        """Drop what was learnt; whether that may change the next direction."""


class Outcome(NamedTuple):
    """Where the descent ended, how, and after how many iterations."""

    point: Point
    status: Status
    iterations: int


def minimise(
    objective: Objective, start: Array, descent: Descent, tolerance: float, max_iterations: int
) -> Outcome:
    """Descend until the residual is below ``tolerance`` × W2/τ, or as small as rounding allows."""
    here = objective.at(start)
    if not here.finite:
        return Outcome(here, Status.NON_FINITE, 0)
    best, since = here, 0
    reach = _FAR * (1.0 + objective.norm(objective.centres))
    for iteration in range(max_iterations):
        goal = max(tolerance * objective.slope(here.x), objective.residual_floor(here))
        if here.residual <= goal:
            return Outcome(here, Status.CONVERGED, iteration)
        if here.residual < 0.7 * best.residual or _gains(objective, here, best):
            best, since = here, iteration
        there = None
        if iteration - since < _PATIENCE:
            there = line_search(objective, here, descent.direction(here, goal))
        if there is None:
            if objective.hear_noise(here) or descent.forget():
                since = iteration
                continue
            return Outcome(best, _exhausted(objective, best), iteration)
        if objective.norm(there.x - objective.centres) > reach:
            return Outcome(there, Status.UNBOUNDED, iteration + 1)
        descent.learn(here, there)
        here = there
    goal = max(tolerance * objective.slope(here.x), objective.residual_floor(here))
    status = Status.CONVERGED if here.residual <= goal else Status.MAX_ITERATIONS
    return Outcome(here, status, max_iterations)


_FAR = 1e8  # a particle this many times farther than the cloud is wide has run away
_NEGLIGIBLE = 1e-6  # of the slope
_PATIENCE = 8  # iterations in which neither the value nor the residual has to improve


def _gains(objective: Objective, here: Point, best: Point) -> bool:
    return best.value - here.value > objective.rounding(here)


def _exhausted(objective: Objective, here: Point) -> Status:
    """No step goes down: a minimiser if what could be gained is rounding, else a failure.

    An eighth of what differences are trusted by is a few units of F's rounding, beyond which the
    judge calls a residual a fault.
    """
    gain = 0.5 * objective.tau * here.residual**2
    small = here.residual <= _NEGLIGIBLE * objective.slope(here.x)
    return Status.CONVERGED if small or 8.0 * gain <= objective.rounding(here) else Status.STALLED


def line_search(objective: Objective, here: Point, d: Array) -> Point | None:
    """A point along d with enough decrease; None if there is none.

    Backtracking until Armijo's condition holds, doubling while the slope along d stays almost
    what it was. Where decreases drown in rounding the slope has to fall instead: the approximate
    Wolfe condition of Hager and Zhang (2005).
    """
    slope = objective.inner(here.gradient, d)
    noise = objective.rounding(here)
    t = 1.0
    for _ in range(50):
        there = objective.attempt(here.x + t * d)
        if there is not None and _acceptable(objective, here, there, d, t * slope, noise):
            return _further(objective, here, there, d, t, slope) if t == 1.0 else there
        t *= 0.5 if there is None else _shrink(here, there, t, slope)
    return None


def _acceptable(
    objective: Objective, here: Point, there: Point, d: Array, predicted: float, noise: float
) -> bool:
    change = there.value - here.value
    if -predicted > noise:
        return change <= 1e-4 * predicted
    slope = objective.inner(here.gradient, d)
    return change <= noise and abs(objective.inner(there.gradient, d)) <= -0.9 * slope


def _shrink(here: Point, there: Point, t: float, slope: float) -> float:
    """Minimiser of the parabola through both values and the slope, between 0.1 and 0.5."""
    bend = there.value - here.value - t * slope
    return float(np.clip(-0.5 * t * slope / bend, 0.1, 0.5)) if bend > 0 else 0.5


def _further(
    objective: Objective, here: Point, there: Point, d: Array, t: float, slope: float
) -> Point:
    """Go on while the slope along d has hardly changed and the value still falls."""
    for _ in range(60):
        if objective.inner(there.gradient, d) > 0.9 * slope:
            break
        t *= 2.0
        beyond = objective.attempt(here.x + t * d)
        if beyond is None or beyond.value > here.value + 1e-4 * t * slope:
            break
        there = beyond
    return there


class LimitedMemory:
    """L-BFGS directions in the inner product of W2.

    The first guess of the inverse Hessian is τ: exact where F is flat on the scale of a step.

    References
    ----------
    D. C. Liu and J. Nocedal, On the limited memory BFGS method, 1989.
    """

    def __init__(self, objective: Objective, memory: int = 30) -> None:
        self.objective, self.products = objective, 0
        self.scale = objective.tau
        self.pairs: deque[tuple[Array, Array, float]] = deque(maxlen=memory)

    def direction(self, here: Point, goal: float) -> Array:
        inner = self.objective.inner
        q, weights = here.gradient.copy(), []
        for s, y, sy in reversed(self.pairs):
            a = inner(s, q) / sy
            q -= a * y
            weights.append(a)
        q *= self.scale
        for (s, y, sy), a in zip(self.pairs, reversed(weights), strict=True):
            q += (a - inner(y, q) / sy) * s
        return -q

    def learn(self, here: Point, there: Point) -> None:
        s, y = there.x - here.x, there.gradient - here.gradient
        sy, yy = self.objective.inner(s, y), self.objective.inner(y, y)
        if yy > 0 and sy > 1e-10 * np.sqrt(yy * self.objective.inner(s, s)):
            self.pairs.append((s, y, sy))
            self.scale = sy / yy

    def forget(self) -> bool:
        known = bool(self.pairs)
        self.pairs.clear()
        self.scale = self.objective.tau
        return known


@dataclass(frozen=True)
class Preconditioner:
    """Inverses (n, d, d) of the diagonal blocks I/τ + B_i/w_i, made positive where they are not."""

    inverses: Array

    def apply(self, v: Array) -> Array:
        return np.asarray(np.matmul(self.inverses, v[:, :, None])[:, :, 0])

    @classmethod
    def of(cls, blocks: Array, tau: float) -> Preconditioner:
        d = blocks.shape[1]
        total = blocks + np.eye(d) / tau
        try:
            np.linalg.cholesky(total)
            return cls(np.asarray(np.linalg.inv(total), dtype=float))
        except np.linalg.LinAlgError:
            values, vectors = np.linalg.eigh(total)
            positive = np.maximum(np.abs(values), 1e-3 / tau)
            return cls((vectors / positive[:, None, :]) @ vectors.transpose(0, 2, 1))


class NewtonCG:
    """Truncated Newton directions: conjugate gradients, preconditioned by the diagonal blocks.

    Where the curvature along a search direction is not positive, the direction reached so far is
    used (or, at the first one, that direction itself): both go down.

    References
    ----------
    T. Steihaug, The conjugate gradient method and trust regions in large scale optimization, 1983.
    """

    def __init__(self, objective: Objective, max_products: int = 200) -> None:
        self.objective, self.max_products = objective, max_products
        self.products = 0

    def direction(self, here: Point, goal: float) -> Array:
        o = self.objective
        curvature = o.curvature(here.x)
        inverse_w = 1.0 / o.w[:, None]
        precondition = Preconditioner.of(curvature.blocks * inverse_w[:, :, None], o.tau).apply
        target = max(0.3 * goal, self._accuracy(here) * here.residual)
        z, r = np.zeros_like(here.x), here.gradient.copy()
        s = precondition(r)
        p, rho = -s, o.inner(r, s)
        for _ in range(self.max_products):
            image = p / o.tau + inverse_w * curvature.apply(p)
            self.products += 1
            bend = o.inner(p, image)
            if bend <= 1e-14 * o.inner(p, p) / o.tau:
                return z if z.any() else p
            a = rho / bend
            z = z + a * p
            r = r + a * image
            if o.norm(r) <= target:
                break
            s = precondition(r)
            rho, before = o.inner(r, s), rho
            p = -s + (rho / before) * p
        return z

    def _accuracy(self, here: Point) -> float:
        """min(.1, residual/slope): relative, and makes the outer convergence superlinear."""
        return here.residual / max(self.objective.slope(here.x), 10.0 * here.residual)

    def learn(self, here: Point, there: Point) -> None:
        """Nothing: each direction starts from the curvature at its own point."""

    def forget(self) -> bool:
        return False
