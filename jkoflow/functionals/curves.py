"""A functional along curves of laws: displacements, mixtures, masses; values and the slope at 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..measures.base import Array, Measure
from ..measures.cells import Cells
from ..measures.grid import Grid
from ..measures.mesh import Mesh
from ..status import InvalidFunctional, InvalidMeasure
from .base import Functional, Smooth


class Curve(NamedTuple):
    """t ↦ F(ρ_t) on [0, 1] with ρ_0 = ρ, which raises what F raises.

    ``slope`` is its derivative at 0 as F's own derivatives say it is, ``size`` bounds the absolute
    values that the slope is a sum of.
    """

    value: Callable[[float], float]
    slope: float
    size: float
    noise: Callable[[float], float] = lambda far: 0.0
    """Rounding of the slope, from what shifts by ``far`` show of it where that was asked for."""
    known: Mapping[float, float] = MappingProxyType({})
    """Values that were computed already, by t."""

    def at(self, t: float) -> float:
        """The value at t."""
        return self.known[t] if t in self.known else self.value(t)

    @property
    def at_halves(self) -> tuple[float, float, float]:
        """Values at 0, ½, 1."""
        return self.value(0.0), self.value(0.5), self.value(1.0)

    def kinked(self, scales: Sequence[float], start: float, margin: float, blur: float) -> bool:
        """Whether values leave the tangent to one side both ways, at first order in t.

        The slope, known to ±blur, is then one of a kink's, between those of both sides. A wrong
        slope of what has one leaves to different sides. ``scales`` are values of t, rising; those
        that show a bend at first are tried, and 64 times as long ones: the kink may be beside.

        Examples
        --------
        >>> Curve(abs, 0.5, 1.0).kinked([0.1], 0.0, 1e-9, 0.0)
        True
        >>> [Curve(f, 0.5, 1.0).kinked([0.1], 0.0, 1e-9, 0.0) for f in (lambda t: t, lambda t: t*t)]
        [False, False]
        """

        def off(t: float) -> list[float]:
            return [self.value(s) - start - s * self.slope for s in (t, -t)]

        first = math.inf
        try:
            for t in scales:
                sides, noise = off(t), margin + 2.0 * t * blur
                bend = sum(sides)
                if abs(bend) <= noise or t > 64.0 * first:
                    continue
                first = min(first, t)
                one_way = min(math.copysign(1.0, bend) * side for side in sides) > -noise
                if one_way and abs(sum(off(4.0 * t))) < 8.0 * abs(bend):
                    return True
        except (InvalidFunctional, InvalidMeasure):  # no way back, as where edges are tied
            pass
        return False


def displacement(F: Functional, mu: Measure, v: Array, gradient: Array) -> Curve:
    """t ↦ F(μ displaced by tv); slope Σ w_i ⟨∇δF, v⟩, size ‖∇δF‖‖v‖ in L²(ρ).

    Examples
    --------
    >>> from jkoflow import Particles, QuadraticPotential
    >>> F, mu = QuadraticPotential(1.0), Particles([[1.0], [3.0]])
    >>> curve = displacement(F, mu, np.ones((2, 1)), F.gradient(mu))
    >>> curve.slope, curve.at_halves
    (2.0, (2.5, 3.625, 5.0))
    """
    squares = [float(mu.weights @ np.einsum("ij,ij->i", a, a)) for a in (gradient, v)]
    slope = float(mu.weights @ np.einsum("ij,ij->i", gradient, v))
    size = float(np.sqrt(squares[0] * squares[1]))
    tangent = mu.tangent(v)
    return Curve(lambda t: F.value(mu.moved(t * tangent)), slope, size)


def mixture(S: Smooth, x: Array, w: Array, y: Array, u: Array) -> Curve:
    """t ↦ S((1 − t)ρ + tν) for ρ = Σ w_i δ_{x_i}, ν = Σ u_j δ_{y_j}; slope ∫δS d(ν − ρ).

    Examples
    --------
    >>> from jkoflow import QuadraticPotential
    >>> x, y = np.array([[1.0]]), np.array([[3.0]])
    >>> mixture(QuadraticPotential(2.0), x, np.ones(1), y, np.ones(1)).at_halves
    (1.0, 5.0, 9.0)
    """

    start = S.value_at_points(x, w)

    def value(t: float) -> float:
        if t in (0.0, 1.0):
            return S.value_at_points(y, u) if t else start
        return S.value_at_points(np.concatenate([x, y]), np.concatenate([(1.0 - t) * w, t * u]))

    delta = S.first_variation_at_points(x, w, np.concatenate([x, y]))
    delta = delta - w @ delta[: len(x)]  # a constant is of no consequence, and must hide nothing
    signed, weights = np.concatenate([-w, u]), np.concatenate([w, u])

    def noise(far: float) -> float:
        """Second differences of δS as all points are shifted: far² of a smooth δS, and else
        what differences of values leave of one."""
        at = np.concatenate([x, y])
        shifts = [S.first_variation_at_points(x + k * far, w, at + k * far) for k in range(6)]
        return float(weights @ np.abs(np.diff(shifts, n=2, axis=0)).max(axis=0))

    return Curve(value, float(signed @ delta), float(weights @ np.abs(delta)), noise)


def remassed(U: Functional, mu: Cells | Grid | Mesh, mass: Array) -> Curve:
    """t ↦ U(ρ_t) where the cells of μ hold (1 − t) of their masses and t of others, and the slope.

    For U that see the densities of cells only. Cells without mass keep none.

    Examples
    --------
    >>> from jkoflow import PowerEnergy, Quantiles
    >>> mu = Quantiles([0.0, 1.0, 2.0])
    >>> remassed(PowerEnergy(2.0), mu, np.array([0.75, 0.25])).at_halves
    (0.5, 0.53125, 0.625)
    """
    change = mass - mu.mass
    delta = np.where(mu.mass > 0, U.first_variation(mu, _inside(mu)), 0.0)
    delta = np.where(mu.mass > 0, delta - mu.mass @ delta, 0.0)

    start = U.value(mu)

    def value(t: float) -> float:
        return U.value(_with_mass(mu, mu.mass + t * change)) if t else start

    return Curve(value, float(change @ delta), float(np.abs(change) @ np.abs(delta)))


def _inside(mu: Cells | Grid | Mesh) -> Array:
    """A point inside of each cell."""
    if isinstance(mu, Mesh):
        return np.asarray(mu.nodes[mu.simplices].mean(axis=1))
    return mu.points if isinstance(mu, Grid) else 0.5 * (mu.points[1:] + mu.points[:-1])


def _with_mass(mu: Cells | Grid | Mesh, mass: Array) -> Measure:
    if isinstance(mu, Grid):
        return mu.with_density(mass.reshape(mu.shape) / mu.cell_volume)
    arrays: Any = {**mu.to_arrays(), "mass": mass}
    return type(mu).from_arrays(arrays)
