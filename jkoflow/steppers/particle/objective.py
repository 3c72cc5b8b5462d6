"""The objective of a particle step, in the geometry of W2."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...functionals.base import Smooth
from ...functionals.curvature import Curvature
from ...measures.base import Array
from ...measures.lengths import length
from ...status import InvalidFunctional

_EPS = float(np.finfo(float).eps)


class Point(NamedTuple):
    """Positions X (n, d), with Φ(X), its Wasserstein gradient (n, d), and the residual |∇Φ|."""

    x: Array
    value: float
    gradient: Array
    residual: float

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.value) and np.isfinite(self.residual))


class Objective:
    """Φ(X) = Σ w_i |X_i − c_i|²/(2τ) + spread/(2τ) + F(Σ w_i δ_{X_i}).

    c_i is where particle i comes from: its partner, or the mean of its partners if its mass is
    split, and then ``spread`` is what the coupling costs beyond the means. Gradients are taken in
    ⟨u, v⟩ = Σ w_i u_i·v_i, the inner product of W2, so that |∇Φ| is the residual of the step.
    """

    def __init__(
        self, smooth: Smooth, w: Array, centres: Array, tau: float, spread: float = 0.0
    ) -> None:
        self.smooth, self.w, self.centres, self.tau = smooth, w, centres, tau
        self.spread = spread
        self.evaluations = 0
        self.noise = 0.0
        self._last: Point | None = None

    def inner(self, u: Array, v: Array) -> float:
        return float(self.w @ np.einsum("ij,ij->i", u, v))

    def norm(self, u: Array) -> float:
        return length(lambda v: self.inner(v, v), u)

    def cost(self, x: Array) -> float:
        """∫|x − y|² dπ of the coupling with the old measure."""
        moved = x - self.centres
        return self.inner(moved, moved) + self.spread

    def at(self, x: Array) -> Point:
        """Value and gradient; errors of the functional pass through."""
        if self._last is not None and self._last.x is x:
            return self._last
        self.evaluations += 1
        energy, drift = self.smooth.value_and_gradient_at_points(x, self.w)
        value = float(energy) + self.cost(x) / (2 * self.tau)
        if drift.shape != x.shape:
            raise InvalidFunctional(
                f"the gradient must have the points' shape {x.shape}, not {drift.shape}"
            )
        gradient = drift + (x - self.centres) / self.tau
        self._last = Point(x, value, gradient, self.norm(gradient))
        return self._last

    def attempt(self, x: Array) -> Point | None:
        """`at`, or None where the functional has no finite value or gradient."""
        if not np.isfinite(x).all():
            return None
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                there = self.at(x)
        except InvalidFunctional:  # a far trial overflowed; the start was fine
            return None
        return there if there.finite else None

    def curvature(self, x: Array) -> Curvature:
        return self.smooth.curvature_at_points(x, self.w)

    def slope(self, x: Array) -> float:
        """W2/τ: the length of the step's velocity."""
        return float(np.sqrt(self.cost(x))) / self.tau

    def rounding(self, here: Point) -> float:
        """Differences of values below this are noise."""
        kinetic = self.cost(here.x) / (2 * self.tau)
        least = 16 * _EPS * (abs(here.value) + abs(here.value - kinetic) + kinetic)
        return max(self.noise, least)

    def hear_noise(self, here: Point) -> bool:
        """Measure the noise of values, which a small difference of large numbers has, by third
        differences (Moré and Wild 2011): of a smooth function nothing is left of those over steps
        of 1e-7 of the cloud's width. Whether it is more than was known."""
        signs = 1.0 - 2.0 * (np.indices(here.x.shape).sum(axis=0) % 2)
        away = here.x - self.w @ here.x
        step = signs * (1e-7 * self.norm(away) + 64 * _EPS * np.abs(here.x))
        near = [self.attempt(here.x + k * step) for k in range(8)]
        values = np.array([np.nan if p is None else p.value for p in near])
        noise = float(np.abs(np.diff(values, 3)).max())
        if not noise > 1.5 * self.rounding(here):
            return False
        self.noise = noise
        return True

    def residual_floor(self, here: Point) -> float:
        """Residuals below this are noise of the positions alone."""
        return 4 * _EPS * (self.norm(here.x) + self.norm(self.centres)) / self.tau
