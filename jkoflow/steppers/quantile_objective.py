"""The objective of a step of a law on the line, as a function of the edges."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..functionals.base import Functional, Smooth
from ..functionals.curvature import Action, Curvature, Dense, LowRank, Part
from ..functionals.internal import Internal
from ..measures.base import Array
from ..measures.cells import Cells
from ..record import State
from ..status import MissingStructure, NotDefined
from .edge_kernels import add_energy, exponent_of
from .tridiagonal import NotPositive, solve


class Expanded(NamedTuple):
    """The step's objective at some edges: value, gradient, and the parts of its Hessian."""

    value: float
    gradient: Array
    diagonal: Array
    off_diagonal: Array
    blocks: Array | None
    parts: list[Part]


class Objective:
    """F(X) + Σ w (X − x)²/(2τ) as a function of the edges X."""

    def __init__(
        self, F: Functional, mu: Cells, tau: float, left: bool = False, right: bool = False
    ) -> None:
        self.mu, self.tau, self.left, self.right = mu, tau, left, right
        self.floor = 0.0 if mu.kind == "radial" else -np.inf
        self.smooth: Smooth | None = F.smooth.on(mu) if F.smooth.terms else None
        self.internal: list[tuple[float, Internal]] = []
        for c, f in F.internal.terms:
            if not isinstance(f, Internal):
                raise NotDefined(f"QuantileNewton does not know the internal energy {f!r}")
            self.internal.append((c, f))
        self.inertia = mu.weights / tau

    def start(self, state: State) -> Array:
        """Where to begin: the last step repeated, or the old edges where that is not admissible."""
        velocity = state.get("velocity")
        if velocity is not None and velocity.shape == self.mu.edges.shape:
            guess = self.mu.edges + self.tau * velocity
            if not self.internal:
                guess = self.sorted(guess)
            if self.admissible(guess):
                return guess
        return self.mu.edges

    def admissible(self, x: Array) -> bool:
        """Whether F can be finite at the edges x; order matters only to internal energies."""
        if x[0] < self.floor or (self.internal and self.floor == x[0] and not self.left):
            return False
        return not self.internal or bool((x[1:] > x[:-1]).all())

    def expand(self, x: Array) -> Expanded:
        """Value, gradient and Hessian at x."""
        moved = x - self.mu.edges
        gradient = self.inertia * moved
        value = 0.5 * float(moved @ gradient)
        off = np.zeros(len(x) - 1)
        blocks: Array | None = None
        parts: list[Part] = []
        if self.smooth is not None:
            part = self._smooth_expansion(x)
            value += part[0]
            gradient += part[1]
            blocks, parts = part[2].blocks[:, 0, 0], part[2].parts
        diagonal = self.inertia.copy()
        for c, f in self.internal:
            value += self._add_internal(c, f, x, gradient, diagonal, off)
        if self.left:
            gradient[0] = 0.0
        if self.right:
            gradient[-1] = 0.0
        return Expanded(value, gradient, diagonal, off, blocks, parts)

    def _add_internal(
        self, c: float, f: Internal, x: Array, gradient: Array, diagonal: Array, off: Array
    ) -> float:
        known = exponent_of(f)
        if known is not None:
            m, coefficient = known
            return add_energy(self.mu, x, m, c * coefficient, gradient, diagonal, off)
        inner = f.on_edges(self.mu._moved(x))
        gradient += c * inner.gradient
        diagonal += c * inner.diagonal
        off += c * inner.off_diagonal
        return c * inner.value

    def _smooth_expansion(self, x: Array) -> tuple[float, Array, Curvature]:
        assert self.smooth is not None
        w, points = self.mu.weights, x[:, None]
        try:
            value, gradient, curvature = self.smooth.expansion(points, w)
        except MissingStructure:  # no Hessian: a quasi-Newton step with W2 and entropy only
            value = self.smooth.value_at_points(points, w)
            gradient = self.smooth.gradient_at_points(points, w)
            curvature = Curvature(np.zeros((len(x), 1, 1)))
        return value, w * gradient[:, 0], curvature

    def direction(self, at: Expanded) -> Array:
        """Newton's direction; concave parts are left out where the Hessian is not positive."""
        d = self._solution(at, at.blocks, at.parts)
        if d is None and at.blocks is not None:
            convex = [part for part in at.parts if _positive(part)]
            d = self._solution(at, np.maximum(at.blocks, 0.0), convex)
        return -at.gradient / np.maximum(at.diagonal, self.inertia) if d is None else d

    def _solution(self, at: Expanded, blocks: Array | None, parts: list[Part]) -> Array | None:
        """Solution of Newton's system, if that is positive as far as can be seen."""
        diagonal = at.diagonal if blocks is None else at.diagonal + blocks
        off = at.off_diagonal
        if self.left or self.right:
            diagonal, off = self._pin(diagonal, off)
            parts = [_without_ends(part, self.left, self.right) for part in parts]
        try:
            d = solve(diagonal, off, parts, -at.gradient)
        except (NotPositive, np.linalg.LinAlgError):
            return None
        return d if at.gradient @ d < 0 else None

    def _pin(self, diagonal: Array, off: Array) -> tuple[Array, Array]:
        diagonal, off = diagonal.copy(), off.copy()
        if self.left:
            diagonal[0], off[0] = 1.0, 0.0
        if self.right:
            diagonal[-1], off[-1] = 1.0, 0.0
        return diagonal, off

    def rounding(self, x: Array, here: Expanded) -> float:
        """The residual that rounding the edges to float64 alone makes, in L2(ρ⁺)."""
        error = np.finfo(float).eps * here.diagonal * np.abs(x)
        return math.sqrt(float(error @ (error / self.mu.weights)))

    def sorted(self, x: Array) -> Array:
        """The nearest admissible edges in the weighted L2 norm; x itself if it is admissible.

        Within bounds the projection is isotonic regression, cut off at the bounds.
        """
        lower = x[0] if self.left else self.floor
        upper = x[-1] if self.right else np.inf
        if lower <= x[0] and x[-1] <= upper and (x[1:] >= x[:-1]).all():
            return x
        from scipy.optimize import isotonic_regression

        free = slice(1 if self.left else 0, -1 if self.right else None)
        inside = isotonic_regression(x[free], weights=self.mu.weights[free]).x
        projected = np.array(x)
        projected[free] = np.clip(inside, lower, upper)
        return projected


def _positive(part: Part) -> bool:
    signs = getattr(part, "signs", None)
    return signs is not None and bool((signs > 0).all())


def _without_ends(part: Part, left: bool, right: bool) -> Part:
    keep = slice(1 if left else 0, -1 if right else None)
    if isinstance(part, LowRank):
        factor = np.zeros_like(part.factor)
        factor[:, keep] = part.factor[:, keep]
        return LowRank(factor, part.signs)
    if isinstance(part, Dense):
        matrix = np.zeros_like(part.matrix)
        matrix[keep, keep] = part.matrix[keep, keep]
        return Dense(matrix)

    def masked(v: Array) -> Array:
        inside, result = np.zeros_like(v), np.zeros_like(v)
        inside[keep] = v[keep]
        result[keep] = part.apply(inside)[keep]
        return result

    return Action(masked)
