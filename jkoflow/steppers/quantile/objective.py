"""The objective of a step of a law on the line, as a function of the edges."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...functionals.base import Functional, Smooth
from ...functionals.curvature import Curvature, Part
from ...functionals.internal import Internal
from ...measures.base import Array
from ...measures.cells import Cells
from ...record import State
from ...status import MissingStructure, NotDefined
from .edge_kernels import add_energy, exponent_of
from .face import Bounds, Face, face_of
from .tridiagonal import NotPositive, solve

_ROUNDS = 20  # in which radii that a step would make negative are put to 0


class Expanded(NamedTuple):
    """The step's objective at some edges: value, gradient, and the parts of its Hessian.

    ``push`` is −gradient per mass, projected on the displacements that keep edges sorted and
    radii nonnegative, and ``face`` holds those that it leads to. ``scale`` is what the value's
    rounding is relative to: the sizes of its parts.
    """

    value: float
    scale: float
    gradient: Array
    diagonal: Array
    off_diagonal: Array
    blocks: Array | None
    parts: list[Part]
    push: Array
    face: Face


class Objective:
    """F(X) + Σ w (X − x)²/(2τ) as a function of the edges X."""

    def __init__(
        self, F: Functional, mu: Cells, tau: float, fixed: bool = False,
        walls: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        self.mu, self.tau = mu, tau
        lower, upper = mu.edges[[0, -1]].tolist() if fixed else walls or (-np.inf, np.inf)
        if mu.kind == "radial":
            lower = max(lower, 0.0)
        self.bounds = Bounds(lower, upper, fixed)
        self.smooth: Smooth | None = F.smooth.on(mu) if F.smooth.terms else None
        self.internal: list[tuple[float, Internal]] = []
        for c, f in F.internal.terms:
            if not isinstance(f, Internal):
                raise NotDefined(f"QuantileNewton does not know the internal energy {f!r}")
            self.internal.append((c, f))
        self.inertia, self.minus_weights = mu.weights / tau, -mu.weights

    def start(self, state: State) -> Array:
        """Where to begin: the last step repeated, or the old edges where that is not admissible."""
        velocity = state.get("velocity")
        if velocity is not None and velocity.shape == self.mu.edges.shape:
            guess = self.inside(self.mu.edges + self.tau * velocity)
            if self.admissible(guess):
                return guess
        return self.mu.edges

    def inside(self, x: Array) -> Array:
        """The nearest edges that are sorted and within bounds; x itself if it is.

        Internal energies keep edges apart by themselves: then only the ends are put back.
        """
        if not self.internal:
            return self.bounds.nearest(x, self.mu.weights)
        if x[0] < self.bounds.lower or x[-1] > self.bounds.upper:
            x = np.array(x)
            x[0], x[-1] = max(x[0], self.bounds.lower), min(x[-1], self.bounds.upper)
        return x

    def admissible(self, x: Array) -> bool:
        """Whether F can be finite at edges x that are `inside`."""
        return not self.internal or bool((x[1:] > x[:-1]).all())

    def squeezed(self, x: Array, d: Array) -> Array:
        """Edges near x + d where cells that d turns over keep a tenth of their lengths instead.

        One cell in a tail would otherwise shorten the step of all.
        """
        length = np.diff(x)
        trial = np.array(x + d)
        trial[1:] = trial[0] + np.cumsum(np.maximum(length + np.diff(d), 0.1 * length))
        if not self.bounds.fixed:
            trial += self.mu.weights @ (x + d - trial)  # the nearest translate
            trial += max(0.0, self.bounds.lower - trial[0])
        if trial[-1] > self.bounds.upper:
            trial = trial[0] + (trial - trial[0]) * (
                (self.bounds.upper - trial[0]) / (trial[-1] - trial[0]))  # fmt: skip
            trial[-1] = self.bounds.upper
        return trial

    def expand(self, x: Array) -> Expanded:
        """Value, gradient and Hessian at x."""
        moved = x - self.mu.edges
        gradient = self.inertia * moved
        value = scale = 0.5 * float(moved @ gradient)
        off = np.zeros(len(x) - 1)
        blocks: Array | None = None
        parts: list[Part] = []
        if self.smooth is not None:
            part = self._smooth_expansion(x)
            value += part[0]
            scale += abs(part[0])
            gradient += part[1]
            blocks, parts = part[2].blocks[:, 0, 0], part[2].parts
        diagonal = self.inertia.copy()
        for c, f in self.internal:
            energy = self._add_internal(c, f, x, gradient, diagonal, off)
            value, scale = value + energy, scale + abs(energy)
        if self.internal:  # whose logarithms cancel where densities are near 1
            scale += float(np.abs(off) @ np.diff(x) ** 2)
        push = gradient / self.minus_weights
        face, push = face_of(x, push, self.mu.weights, self.bounds, tied=not self.internal)
        return Expanded(value, scale, gradient, diagonal, off, blocks, parts, push, face)

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

    def direction(self, x: Array, at: Expanded) -> Array:
        """Newton's direction; concave parts are left out where the Hessian is not positive."""
        d = self._within_bounds(x, at, at.blocks, at.parts)
        if d is None and at.blocks is not None:
            convex = [part for part in at.parts if _positive(part)]
            d = self._within_bounds(x, at, np.maximum(at.blocks, 0.0), convex)
        return self.steepest(at) if d is None else d

    def steepest(self, at: Expanded) -> Array:
        """The direction of steepest descent in L²(ρ), as long as W2 alone would make it."""
        return self.tau * at.push

    def _within_bounds(
        self, x: Array, at: Expanded, blocks: Array | None, parts: list[Part]
    ) -> Array | None:
        """Newton's direction, if that descends; edges that it would take out end on the bounds."""
        face, lower, upper = at.face, self.bounds.lower, self.bounds.upper
        d = self._solution(at, face, at.gradient, blocks, parts)
        for _ in range(_ROUNDS):
            smaller = face if d is None else self._inner(face, x + d)
            if d is None or smaller is face:
                break
            face, held = smaller, np.zeros_like(x)
            held[: face.low], held[face.high :] = lower - x[: face.low], upper - x[face.high :]
            pulled = at.gradient + _product(at, blocks, parts, held)
            d = self._solution(at, face, pulled, blocks, parts)
            d = None if d is None else d + held
        return d if d is not None and at.gradient @ d < 0 else None

    def _inner(self, face: Face, x: Array) -> Face:
        """Without the edges that are out of bounds at x; the face itself if there are none."""
        low, high = face.low, face.high
        inside = self.inside(x)
        if low < high and x[low] < self.bounds.lower:
            low = 1 if self.internal else int(np.searchsorted(inside, self.bounds.lower, "right"))
        if low < high and x[high - 1] > self.bounds.upper:
            high = len(x) - 1 if self.internal else int(np.searchsorted(inside, self.bounds.upper))
        if (low, high) == (face.low, face.high):
            return face
        return face.between(low, max(low, high))

    def _solution(
        self, at: Expanded, face: Face, gradient: Array, blocks: Array | None, parts: list[Part]
    ) -> Array | None:
        """Solution of Newton's system on a face, if that is positive as far as can be seen."""
        n = len(gradient)
        if face.low >= face.high:
            return np.zeros(n)
        diagonal, off = at.diagonal if blocks is None else at.diagonal + blocks, at.off_diagonal
        if not face.covers(n):
            diagonal, off = face.tridiagonal(diagonal, off)
            parts, gradient = [face.part(p, n) for p in parts], face.gather(gradient)
        try:
            y = solve(diagonal, off, parts, -gradient)
        except (NotPositive, np.linalg.LinAlgError):
            return None
        return y if face.covers(n) else face.spread(y, n)

    def rounding(self, x: Array, here: Expanded) -> float:
        """The residual that rounding the edges to float64 alone makes, in L2(ρ⁺)."""
        error = np.finfo(float).eps * here.diagonal * np.abs(x)
        return math.sqrt(float(error @ (error / self.mu.weights)))


def _product(at: Expanded, blocks: Array | None, parts: list[Part], d: Array) -> Array:
    """Hessian times a displacement (n,)."""
    result = at.diagonal * d if blocks is None else (at.diagonal + blocks) * d
    result[:-1] += at.off_diagonal * d[1:]
    result[1:] += at.off_diagonal * d[:-1]
    for part in parts:
        result += part.apply(d[:, None])[:, 0]
    return result


def _positive(part: Part) -> bool:
    signs = getattr(part, "signs", None)
    return signs is not None and bool((signs > 0).all())
