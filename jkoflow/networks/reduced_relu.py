"""Exact population risk of ReLU units on anisotropic classes, in four parameters a unit."""

from __future__ import annotations

from math import comb, factorial, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from ..arguments import is_whole
from ..functionals.base import Smooth
from ..functionals.features import FeaturesAt, LocalFeatures
from ..functionals.risk import Risk
from ..measures.base import Array, Measure
from ..status import InvalidFunctional, NotDefined
from .populations import GaussianClasses
from .reduced import sphere_moments

_DENSITY = 1.0 / sqrt(2.0 * pi)  # ϕ(0)


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
        stds, which = np.unique([t.std for t in series], return_inverse=True)
        self.stds, self.which = stds, which
        self.std = np.array([t.std for t in series])
        self.p1 = np.array([2 * t.j for t in series])  # powers of r1 and r2
        self.p2 = np.array([2 * t.i for t in series])

    def at(self, theta: Array) -> ReluFeaturesAt:
        return ReluFeaturesAt(self, theta)


class ReluFeaturesAt(FeaturesAt):
    """`ReluFeatures` at fixed points; arrays are (q, n), computed when first asked for."""

    def __init__(self, features: ReluFeatures, theta: Array) -> None:
        if theta.ndim != 2 or theta.shape[1] != 4:
            raise NotDefined(
                f"reduced ReLU features need points (a, b, r1, r2), shape (n, 4), not {theta.shape}"
            )
        self._f = features
        self._a, self._b, self._r1, self._r2 = np.ascontiguousarray(theta.T)
        self._powers = [_powers(r, int(p.max())) for r, p in
                        ((self._r1, features.p1), (self._r2, features.p2))]  # fmt: skip
        self._monomials: dict[tuple[int, int], Array] = {}
        self._stretch = features.std[:, None] ** 2 * self._r1
        self._g = self._derivatives(int((features.p1 + features.p2).max()) + 4)
        self._plain = self._monomial(0, 0) * self._g_of(0)
        self.values = self._a * self._plain

    def _derivatives(self, order: int) -> Array:
        """∂_b^k G_0(b, s), k ≤ order, for each class, shape (order + 1, classes, n)."""
        stds = self._f.stds[:, None]
        s = np.maximum(np.sqrt((stds * self._r1) ** 2 + self._r2**2), 1e-12)
        inverse = 1.0 / s
        x = np.clip(self._b * inverse, -40.0, 40.0)
        g = np.empty((order + 1, *s.shape))
        g[1] = ndtr(x)
        g[2] = _DENSITY * inverse * np.exp(-0.5 * x * x)
        x *= inverse  # ∂_b^{k+2} G = (−1)^k ϕ He_k s^{−k−1} and He_{k+1} = x He_k − k He_{k−1}
        square = inverse * inverse
        if order > 2:
            g[3] = -x * g[2]
        for k in range(1, order - 2):
            g[k + 3] = -x * g[k + 2] - k * square * g[k + 1]
        g[0] = self._b * g[1] + s * s * g[2]
        return g

    def _g_of(self, k: int) -> Array:
        """∂_b^{2m+k} G_0 for each feature."""
        return np.asarray(self._g[self._f.p1 + self._f.p2 + k, self._f.which])

    def _monomial(self, p: int, q: int) -> Array:
        """∂_{r1}^p ∂_{r2}^q of (τ r1)^{2j} r2^{2i} for each feature."""
        if (p, q) not in self._monomials:
            f, (first, second) = self._f, self._powers
            factor = f.std**f.p1 * _falling(f.p1, p) * _falling(f.p2, q)
            self._monomials[p, q] = (
                factor[:, None] * first[np.maximum(f.p1 - p, 0)] * second[np.maximum(f.p2 - q, 0)]
            )
        return self._monomials[p, q]

    def _slopes(self) -> list[Array]:
        """∂_b, ∂_{r1}, ∂_{r2} of φ/a."""
        m, bend = self._monomial(0, 0), self._monomial(0, 0) * self._g_of(2)
        return [
            m * self._g_of(1),
            self._monomial(1, 0) * self._g_of(0) + self._stretch * bend,
            self._monomial(0, 1) * self._g_of(0) + self._r2 * bend,
        ]

    def jacobian(self) -> Array:
        return np.stack([self._plain, *(self._a * slope for slope in self._slopes())], axis=2)

    def vjp(self, c: Array) -> Array:
        return np.stack([c @ self._plain, *(self._a * (c @ s) for s in self._slopes())], axis=1)

    def jvp(self, v: Array) -> Array:
        along = sum(v[:, k] * slope for k, slope in enumerate(self._slopes(), start=1))
        return np.asarray(v[:, 0] * self._plain + self._a * along)

    def curvature(self, c: Array) -> Array:
        h = np.zeros((len(self._a), 4, 4))
        for k, slope in enumerate(self._slopes(), start=1):
            h[:, 0, k] = h[:, k, 0] = c @ slope
        for (i, j), bend in self._bends():
            h[:, i, j] = h[:, j, i] = self._a * (c @ bend)
        return h

    def _bends(self) -> list[tuple[tuple[int, int], Array]]:
        """Second derivatives in (b, r1, r2) of φ/a, by their places in the Hessian."""
        m, r1, r2 = self._monomial, self._stretch, self._r2
        g0, g1, g2, g3, g4 = (self._g_of(k) for k in range(5))
        u, m0 = self._f.std[:, None] ** 2, m(0, 0)
        return [
            ((1, 1), m0 * g2),
            ((1, 2), m(1, 0) * g1 + m0 * r1 * g3),
            ((1, 3), m(0, 1) * g1 + m0 * r2 * g3),
            ((2, 2), m(2, 0) * g0 + (2 * m(1, 0) * r1 + m0 * u) * g2 + m0 * r1**2 * g4),
            ((3, 3), m(0, 2) * g0 + (2 * m(0, 1) * r2 + m0) * g2 + m0 * r2**2 * g4),
            ((2, 3), m(1, 1) * g0 + (m(1, 0) * r2 + m(0, 1) * r1) * g2 + m0 * r1 * r2 * g4),
        ]


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


def _powers(x: Array, most: int) -> Array:
    """x^0 … x^most, shape (most + 1, n)."""
    result = np.ones((most + 1, len(x)))
    for p in range(1, most + 1):
        result[p] = result[p - 1] * x
    return result


def _falling(powers: Array, times: int) -> Array:
    """p(p − 1)…(p − times + 1): the factor of a derivative of x^p, zero where none is left."""
    return np.asarray(np.prod([powers - k for k in range(times)], axis=0, dtype=float))
