"""A ReLU student of a ReLU teacher under Gaussian inputs: the population risk in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..functionals.base import Smooth
from ..functionals.identity import array_digest
from ..measures.base import Array, Measure, finite_array, frozen
from ..status import InvalidFunctional
from .manifolds import uniform_on_sphere


class TeacherRisk(Smooth):
    """R(ρ) = E(Σ_j A_j (⟨W_j, x⟩)_+ − ∫a (⟨w, x⟩)_+ ρ(da, dw))² for x ~ N(0, I) in R^d.

    Laws of θ = (a, w) ∈ R^{1+d}. The kernel is the arc-cosine kernel of order one,
    E(⟨u, x⟩)_+(⟨v, x⟩)_+ = |u||v|(sin t + (π − t) cos t)/2π with t the angle of u and v (Cho and
    Saul 2009). A student of N ≥ len(A) units can reach 0; whether its flow does is the question.
    Costs O(N²).

    Parameters
    ----------
    directions : array_like, shape (m, d)
        W.
    charges : array_like, shape (m,), optional
        A; 1 each if not given.

    Raises
    ------
    InvalidFunctional
        For shapes that do not fit; at evaluation, for points that are not in R^{1+d}.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> R = TeacherRisk([[1.0, 0.0], [0.0, 2.0]])
    >>> R.value(Particles([[2.0, 1.0, 0.0], [2.0, 0.0, 2.0]]))
    0.0
    """

    convex_in_mixtures = True

    def __init__(self, directions: ArrayLike, charges: ArrayLike | None = None) -> None:
        w = finite_array(directions, "directions")
        if w.ndim != 2 or w.size == 0:
            raise InvalidFunctional(f"a teacher's directions have shape (m, d), not {w.shape}")
        a = np.ones(len(w)) if charges is None else finite_array(charges, "charges", ndim=1)
        if a.shape != (len(w),):
            raise InvalidFunctional(f"{len(w)} units need as many charges, not {a.shape}")
        self.directions, self.charges = frozen(w), frozen(a)
        self.second_moment = float(a @ arc_cosine(w, w) @ a)

    @classmethod
    def draw(cls, units: int, dim: int, rng: Any = None) -> TeacherRisk:
        """Directions iid uniform on the unit sphere, charges 1."""
        return cls(uniform_on_sphere(units, dim, rng=rng))

    @property
    def dim(self) -> int:
        """Dimension d of x."""
        return int(self.directions.shape[1])

    def value_at_points(self, x: Array, w: Array) -> float:
        c, u = w * x[:, 0], x[:, 1:]
        cross = arc_cosine(u, self.directions) @ self.charges
        value = float(c @ arc_cosine(u, u) @ c - 2 * c @ cross) + self.second_moment
        return max(0.0, value)  # rounding may leave a square a little below 0

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        u = at[:, 1:]
        student = arc_cosine(u, x[:, 1:]) @ (w * x[:, 0])
        return 2.0 * at[:, 0] * (student - arc_cosine(u, self.directions) @ self.charges)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        return self.value_and_gradient_at_points(x, w)[1]

    def value_and_gradient_at_points(self, x: Array, w: Array) -> tuple[float, Array]:
        a, u = x[:, 0], x[:, 1:]
        mine, mine_slope = _against(u, u, w * a)
        theirs, their_slope = _against(u, self.directions, self.charges)
        value = float((w * a) @ (mine - 2 * theirs)) + self.second_moment
        gradient = np.empty_like(x)
        gradient[:, 0] = 2 * (mine - theirs)
        gradient[:, 1:] = 2 * a[:, None] * (mine_slope - their_slope)
        return max(0.0, value), gradient

    def lower_bound(self) -> float:
        return 0.0

    def on(self, mu: Measure) -> TeacherRisk:
        if mu.points.shape[1] != self.dim + 1:
            raise InvalidFunctional(
                f"the points are (a, w) in R^{self.dim + 1}, not in R^{mu.points.shape[1]}"
            )
        return self

    def spec(self) -> dict[str, Any]:
        return {"name": "TeacherRisk", "directions": array_digest(self.directions),
                "charges": array_digest(self.charges)}  # fmt: skip

    def __repr__(self) -> str:
        return f"TeacherRisk(units={len(self.charges)}, dim={self.dim})"


def arc_cosine(u: Array, v: Array) -> Array:
    """E(⟨u_i, x⟩)_+(⟨v_j, x⟩)_+ for x ~ N(0, I), shape (n, m).

    Examples
    --------
    >>> arc_cosine(np.array([[2.0, 0.0]]), np.array([[2.0, 0.0], [-1.0, 0.0]]))
    array([[2., 0.]])
    """
    lengths = np.linalg.norm(u, axis=1)[:, None] * np.linalg.norm(v, axis=1)
    cosine = _cosine(u @ v.T, lengths)
    t = np.arccos(cosine)
    return np.asarray(lengths * (np.sqrt(1 - cosine**2) + (np.pi - t) * cosine) / (2 * np.pi))


def _against(u: Array, v: Array, c: Array) -> tuple[Array, Array]:
    """Σ_j c_j K(u_i, v_j) and its gradient in u_i, (|v_j| sin t u_i/|u_i| + (π − t) v_j)/2π."""
    nu, nv = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
    lengths = nu[:, None] * nv
    cosine = _cosine(u @ v.T, lengths)
    sine, rest = np.sqrt(1 - cosine**2), np.pi - np.arccos(cosine)
    value = (lengths * (sine + rest * cosine)) @ c
    unit = u / np.where(nu > 0, nu, 1.0)[:, None]  # at u = 0 the direction is taken as 0
    slope = ((sine * nv) @ c)[:, None] * unit + rest @ (c[:, None] * v)
    return value / (2 * np.pi), slope / (2 * np.pi)


def _cosine(inner: Array, lengths: Array) -> Array:
    return np.clip(inner / np.where(lengths > 0, lengths, 1.0), -1.0, 1.0)
