"""Exact population risk of ReLU units on anisotropic classes, in four parameters a unit."""

from __future__ import annotations

from math import comb, factorial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from ..arguments import is_whole
from ..functionals.base import Smooth
from ..functionals.features import FeaturesAt, LocalFeatures
from ..functionals.risk import Risk
from ..measures.base import Array, Measure
from ..status import InvalidFunctional, NotDefined
from .hermite import hermite_functions
from .populations import GaussianClasses
from .reduced import sphere_moments


class Term(NamedTuple):
    """One feature, φ = a (τ r1)^{2j} r2^{2i} ∂_b^{2(i+j)} G_0(b, s), and its weight in R."""

    std: float
    j: int
    i: int
    weight: float


class ReluFeatures(LocalFeatures):
    """The features of `reduced_relu_risk` at θ = (a, b, r1, r2), (n, 4).

    G_0(b, s) = E(b + sG)_+ = bΦ(b/s) + sϕ(b/s) solves ∂_s G = s ∂²_b G, so with s² = τ²r1² + r2²
    every derivative is one in b: ∂_{r1} G = τ²r1 ∂²_b G, ∂_{r2} G = r2 ∂²_b G.
    """

    def __init__(self, series: list[Term]) -> None:
        self._series = series
        self._order = 2 * max(t.i + t.j for t in series)

    def at(self, theta: Array) -> ReluFeaturesAt:
        return ReluFeaturesAt(self, theta)


class ReluFeaturesAt(FeaturesAt):
    """`ReluFeatures` at fixed points."""

    def __init__(self, features: ReluFeatures, theta: Array) -> None:
        if theta.ndim != 2 or theta.shape[1] != 4:
            raise NotDefined(
                f"reduced ReLU features need points (a, b, r1, r2), shape (n, 4), not {theta.shape}"
            )
        self._series = features._series
        self._a, b, self._r1, self._r2 = theta.T
        stds = {t.std for t in self._series}
        order = features._order + 4
        self._g = {std: self._derivatives(b, std, order) for std in stds}
        self.values = self._a * self._without_a()

    def _derivatives(self, b: Array, std: float, order: int) -> Array:
        """∂_b^k G_0(b, s), k ≤ order, shape (order + 1, n)."""
        s = np.maximum(np.hypot(std * self._r1, self._r2), 1e-12)
        x = np.clip(b / s, -40.0, 40.0)
        h = hermite_functions(x, order - 1)
        g = np.empty((order + 1, len(b)))
        g[1] = ndtr(x)
        g[0] = b * g[1] + s * h[0]
        for k in range(2, order + 1):
            g[k] = (-1) ** k * np.sqrt(float(factorial(k - 2))) * s ** (1 - k) * h[k - 2]
        return g

    def _powers(self, t: Term, p: int, q: int) -> Array:
        """∂_{r1}^p ∂_{r2}^q of (τ r1)^{2j} r2^{2i}."""
        first = t.std ** (2 * t.j) * _power_derivative(self._r1, 2 * t.j, p)
        return first * _power_derivative(self._r2, 2 * t.i, q)

    def _without_a(self) -> Array:
        rows = [self._powers(t, 0, 0) * self._g[t.std][2 * (t.i + t.j)] for t in self._series]
        return np.stack(rows)

    def jacobian(self) -> Array:
        slopes = [self._a[:, None] * self._slopes(t) for t in self._series]
        return np.concatenate([self._without_a()[:, :, None], np.stack(slopes)], axis=2)

    def vjp(self, c: Array) -> Array:
        return np.tensordot(c, self.jacobian(), axes=1)

    def jvp(self, v: Array) -> Array:
        return np.asarray(np.einsum("qnd,nd->qn", self.jacobian(), v))

    def curvature(self, c: Array) -> Array:
        result = np.zeros((len(self._a), 4, 4))
        for factor, t in zip(c, self._series, strict=True):
            result[:, 1:, 1:] += factor * self._a[:, None, None] * self._bends(t)
            result[:, 0, 1:] += factor * self._slopes(t)
        result[:, 1:, 0] = result[:, 0, 1:]
        return result

    def _slopes(self, t: Term) -> Array:
        """Gradient in (b, r1, r2) of φ/a, (n, 3)."""
        g, k = self._g[t.std], 2 * (t.i + t.j)
        power, first, second = (self._powers(t, p, q) for p, q in ((0, 0), (1, 0), (0, 1)))
        r1, r2 = t.std**2 * self._r1, self._r2
        columns = [power * g[k + 1], first * g[k] + power * r1 * g[k + 2]]
        return np.stack([*columns, second * g[k] + power * r2 * g[k + 2]], axis=1)

    def _bends(self, t: Term) -> Array:
        """Hessian in (b, r1, r2) of φ/a, (n, 3, 3)."""
        g, k, u = self._g[t.std], 2 * (t.i + t.j), t.std**2
        p, p1, p2 = (self._powers(t, *o) for o in ((0, 0), (1, 0), (0, 1)))
        p11, p12, p22 = (self._powers(t, *o) for o in ((2, 0), (1, 1), (0, 2)))
        r1, r2 = u * self._r1, self._r2
        h = np.empty((len(r1), 3, 3))
        h[:, 0, 0] = p * g[k + 2]
        h[:, 0, 1] = h[:, 1, 0] = p1 * g[k + 1] + p * r1 * g[k + 3]
        h[:, 0, 2] = h[:, 2, 0] = p2 * g[k + 1] + p * r2 * g[k + 3]
        h[:, 1, 1] = p11 * g[k] + (2 * p1 * r1 + p * u) * g[k + 2] + p * r1**2 * g[k + 4]
        h[:, 2, 2] = p22 * g[k] + (2 * p2 * r2 + p) * g[k + 2] + p * r2**2 * g[k + 4]
        h[:, 1, 2] = p12 * g[k] + (p1 * r2 + p2 * r1) * g[k + 2] + p * r1 * r2 * g[k + 4]
        h[:, 2, 1] = h[:, 1, 2]
        return h


class ReducedReluRisk(Risk):
    """What `reduced_relu_risk` returns."""

    def __init__(self, classes: GaussianClasses, terms: int) -> None:
        self.classes, self.series_terms = classes, terms
        series = _series(classes, terms)
        targets = np.zeros(len(series))
        targets[[0, len(series) // 2]] = [1.0, -1.0]  # m = 0 of each class
        super().__init__(ReluFeatures(series), targets, [t.weight for t in series])

    def on(self, mu: Measure) -> Smooth:
        if mu.points.shape[1] != 4:
            raise NotDefined(
                "reduced_relu_risk is a functional of laws of (a, b, r1, r2), but the measure's "
                f"points live in R^{mu.points.shape[1]}"
            )
        return self

    def spec(self) -> dict[str, Any]:
        return {
            "name": "reduced_relu_risk",
            "classes": self.classes.spec(),
            "terms": self.series_terms,
        }

    def __repr__(self) -> str:
        return f"reduced_relu_risk({self.classes!r})"


def reduced_relu_risk(classes: GaussianClasses, *, terms: int = 3) -> ReducedReluRisk:
    """The population risk of ŷ(x) = ∫a(⟨w, x⟩ + b)_+ ρ(dθ) on the law of (a, b, r1, r2).

    r1 = |w| on the s0 active coordinates, r2 = |w| on the others; ρ is invariant under rotations
    of each block. With s_± = √(τ_±²r1² + r2²) and c the covariance of ⟨w, x⟩ and ⟨w', x⟩ under
    independent rotations, Mehler's formula gives the risk as a sum over m of
    E c^{2m}/(2m)! ∂_b^{2m}G_0(b, s) ∂_b^{2m}G_0(b', s'), and c^{2m} expands into products: each
    is the square of the integral of one feature (Mei, Montanari, Nguyen 2018, reduced).

    Parameters
    ----------
    classes : GaussianClasses
        With 1 ≤ active < dim.
    terms : int
        Largest m. Terms fall like min(active, dim − active)^{−m}: for active = 60 and weights
        of order 1 the risk changes by 1e-5 from m = 1 to 2, by 1e-7 from 2 to 3.

    Returns
    -------
    Risk
        On measures of points (a, b, r1, r2), (n, 4).

    Raises
    ------
    NotDefined
        For isotropic classes.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> from jkoflow.networks import GaussianClasses
    >>> R = reduced_relu_risk(GaussianClasses.std(320, 0.4, active=60))
    >>> R.value(Particles([[0.0, 1.0, 0.5, 0.5]]))    # a = 0: the network answers 0
    1.0
    """
    if not isinstance(classes, GaussianClasses):
        raise InvalidFunctional(f"classes must be GaussianClasses, not {classes!r}")
    if classes.active >= classes.dim:
        raise NotDefined(f"{classes!r}: reduced_relu_risk needs active < dim")
    if not is_whole(terms, least=0):
        raise InvalidFunctional(f"terms must be an integer ≥ 0, not {terms!r}")
    return ReducedReluRisk(classes, int(terms))


def _series(classes: GaussianClasses, terms: int) -> list[Term]:
    """c = τ²r1r1'A + r2r2'B with A, B inner products of random directions in the two blocks."""
    a = np.concatenate([[1.0], sphere_moments(classes.active, terms)])
    b = np.concatenate([[1.0], sphere_moments(classes.dim - classes.active, terms)])
    return [
        Term(std, j, m - j, 0.5 * comb(2 * m, 2 * j) * float(a[j] * b[m - j]) / factorial(2 * m))
        for std in (classes.std_plus, classes.std_minus)
        for m in range(terms + 1)
        for j in range(m + 1)
    ]


def _power_derivative(x: Array, power: int, times: int) -> Array:
    """d^times/dx^times of x^power."""
    if times > power:
        return np.zeros_like(x)
    factor = 1.0
    for k in range(times):
        factor *= power - k
    return np.asarray(factor * x ** (power - times))
