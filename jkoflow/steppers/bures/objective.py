"""The objective of a step within the Gaussians, as a function of the mean and the root.

A Gaussian N(m, R²), R symmetric, is a point (m, R); its cubature points are x_i = m + R z_i. The
smooth part enters through b = Σ w_i ∇δF(x_i) and G = Σ w_i ∇δF(x_i) z_iᵀ, its exact derivatives
in m and R for that cubature; H with HR + RH = G + Gᵀ is E[∇²δF] (Stein's identity). An internal
energy depends on ℓ = log det R² only, through its mean pressure P = −2 dE/dℓ (P = 1 for the
entropy). With T the optimal map to N(m_k, Σ_k), the minimiser over Gaussians satisfies
    b + (m − m_k)/τ = 0,   H − P R⁻² + (I − T)/τ = 0.
For fixed H and B = I + τH the second equation has the solution
    R² = B^{-½} X B^{-½},  X = ½(K + 2gI + √(K(K + 4gI))),  K = B^{-½} Σ_k B^{-½},  g = τP,
and updating H gives a fixed-point iteration that ends in one round for quadratic functionals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...functionals.base import Functional, Smooth
from ...functionals.internal import Entropy, PowerEnergy
from ...measures.base import Array
from ...measures.cubature import normal_cubature
from ...measures.gaussian import Gaussian
from ...measures.lengths import length
from ...status import InvalidFunctional, NotDefined

_EPS = float(np.finfo(float).eps)


class Place(NamedTuple):
    """A Gaussian N(mean, root²), ``root`` symmetric positive."""

    mean: Array
    root: Array

    def packed(self) -> Array:
        return np.concatenate([self.mean, self.root.ravel()])

    @staticmethod
    def unpacked(y: Array, dim: int) -> Place:
        root = y[dim:].reshape(dim, dim)
        return Place(y[:dim], 0.5 * (root + root.T))


class Slopes(NamedTuple):
    """b and H of the smooth part and the pressure P at a place, the residual, and its floor."""

    mean: Array
    hessian: Array
    pressure: float
    residual: float
    slope: float
    rounding: float


class Pressure:
    """Internal energies of Gaussians as functions of ℓ = log det of the covariance."""

    def __init__(self, F: Functional, mu: Gaussian) -> None:
        self.constant = 0.0
        self.powers: list[tuple[float, float]] = []
        unit = Gaussian.from_eigen(mu.mean(), np.ones(mu.dim), np.eye(mu.dim))
        self.offset = 0.0
        for c, f in F.internal.terms:
            if c < 0 or not isinstance(f, Entropy | PowerEnergy):
                raise NotDefined(
                    f"BuresProximal knows Entropy and PowerEnergy with coefficients ≥ 0, "
                    f"not {c:g}*{f!r}"
                )
            if isinstance(f, Entropy):
                self.constant += c
                self.offset += c * f.value_on_gaussian(unit)
            else:
                self.powers.append((f.m - 1.0, c * f.value_on_gaussian(unit)))

    def energy(self, log_det: float) -> float:
        powers = (e * np.exp(-0.5 * k * log_det) for k, e in self.powers)
        return float(sum(powers, self.offset - 0.5 * self.constant * log_det))

    def __call__(self, log_det: float) -> float:
        powers = (k * e * np.exp(-0.5 * k * log_det) for k, e in self.powers)
        return float(sum(powers, self.constant))

    @property
    def vanishes(self) -> bool:
        return self.constant == 0.0 and not self.powers


@dataclass
class Objective:
    """F(N(m, R²)) + W2²(N(m, R²), μ)/(2τ) as a function of (m, R)."""

    F: Smooth
    pressure: Pressure
    mu: Gaussian
    tau: float

    def __post_init__(self) -> None:
        self.z, self.w = normal_cubature(self.mu.dim)

    def value(self, at: Place) -> float:
        """F + W2²/(2τ)."""
        return self._value(at, *self._moved(at))

    def value_and_gradient(self, at: Place) -> tuple[float, Array, Array]:
        """Value, and derivatives in m and in the symmetric R."""
        moved, spread = self._moved(at)
        value = self._value(at, moved, spread)
        b, G = self._smooth_slopes(at.mean + self.z @ at.root)
        G = G + spread / self.tau
        if not self.pressure.vanishes:
            if value == np.inf:
                return value, b, G
            half = np.linalg.slogdet(at.root)[1]
            G = G - self.pressure(2.0 * half) * np.linalg.inv(at.root)
        return value, b + moved / self.tau, 0.5 * (G + G.T)

    def _moved(self, at: Place) -> tuple[Array, Array]:
        """How far the mean and the root are from those of the old law that the map leads to."""
        return at.mean - self.mu.mean(), at.root - self._pulled_back(at.root)

    def _value(self, at: Place, moved: Array, spread: Array) -> float:
        value = self.F.value_at_points(at.mean + self.z @ at.root, self.w)
        value += (float(moved @ moved) + float(np.vdot(spread, spread))) / (2.0 * self.tau)
        if self.pressure.vanishes:
            return value
        sign, half = np.linalg.slogdet(at.root)
        return value + self.pressure.energy(2.0 * half) if sign else np.inf

    def _smooth_slopes(self, x: Array) -> tuple[Array, Array]:
        g = self.F.gradient_at_points(x, self.w) * self.w[:, None]
        if not np.isfinite(g).all():
            raise InvalidFunctional(f"the gradient of {self.F!r} holds NaN or infinity")
        return g.sum(axis=0), g.T @ self.z

    def _told_apart(self, mean: Array, std: Array) -> Array:
        """The standard deviations, or where cubature points would agree in most of their digits,
        lengths over which differences of ∇δF show its derivatives: √ε of the mean, at which
        rounding leaves eight digits, and F may change on a ten-thousandth of the mean."""
        size = float(np.abs(mean).max())
        return np.where(std > 1e4 * _EPS * size, std, np.sqrt(_EPS) * size)

    def _pulled_back(self, root: Array) -> Array:
        """T R = R_k Q with Q the polar factor of R_k R; no inverse of R."""
        left, _, right = np.linalg.svd(self.mu.sqrt_cov @ root)
        return np.asarray(self.mu.sqrt_cov @ (left @ right))

    def slopes(self, at: Place) -> Slopes:
        """What the fixed-point iteration needs, and how far ``at`` is from its end."""
        values, vectors = np.linalg.eigh(at.root)
        values = np.maximum(values, 0.0)  # rounding may make the least of a flat law negative
        b, G = self._smooth_slopes(at.mean + self.z @ at.root)
        wide = self._told_apart(at.mean, values)
        if (wide > values).any():
            G = self._smooth_slopes(at.mean + self.z @ (vectors * wide) @ vectors.T)[1]
        sums = wide[:, None] + wide
        inner = vectors.T @ (G + G.T) @ vectors
        inner = np.divide(inner, sums, out=np.zeros_like(inner), where=sums > 0)
        hessian = vectors @ inner @ vectors.T
        with np.errstate(divide="ignore"):
            pressure = self.pressure(2.0 * float(np.log(values).sum()))
        moved, spread = self._moved(at)
        rest = hessian @ at.root + spread / self.tau
        inverse = np.zeros_like(values)
        if not self.pressure.vanishes:
            inverse = pressure / values
            rest = rest - (vectors * inverse) @ vectors.T
        mean = b + moved / self.tau
        size = [b, hessian @ at.root, inverse, at.mean / self.tau, at.root / self.tau]
        return Slopes(
            b, hessian, pressure,
            residual=_norm(mean, rest),
            slope=_norm(moved, spread) / self.tau,
            rounding=4.0 * self.mu.dim * _EPS * _norm(*size),
        )  # fmt: skip

    def image(self, at: Place, here: Slopes) -> Place | None:
        """The exact step of the functional's quadratic model at ``at``; None if it has none."""
        stretch, vectors = np.linalg.eigh(np.eye(self.mu.dim) + self.tau * here.hessian)
        if not stretch[0] > 0:
            return None
        mean_rest = at.mean - self.mu.mean() + self.tau * here.mean
        mean = at.mean - vectors @ ((vectors.T @ mean_rest) / stretch)
        half = (vectors / np.sqrt(stretch)) @ vectors.T
        k, turn = np.linalg.eigh(half @ self.mu.cov() @ half)
        k = np.maximum(k, 0.0)
        g = self.model_pressure(k, float(np.log(stretch).sum()), here.pressure)
        cov = (half @ turn * spread_of(k, self.tau * g)) @ (half @ turn).T
        values, axes = np.linalg.eigh(cov)
        return Place(mean, (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T)

    def model_pressure(self, k: Array, log_stretch: float, guess: float) -> float:
        """P = pressure(log det R²(P)), a scalar equation in log P."""
        if not self.pressure.powers:
            return self.pressure.constant
        from scipy.optimize import brentq

        def excess(log_p: float) -> float:
            with np.errstate(divide="ignore"):
                spread = np.log(spread_of(k, self.tau * np.exp(log_p)))
            return log_p - np.log(self.pressure(float(spread.sum()) - log_stretch))

        low = high = float(np.log(guess))
        for width in 2.0 ** np.arange(9):
            low, high = low - width, high + width
            if excess(low) < 0 < excess(high):
                return float(np.exp(brentq(excess, low, high, xtol=1e-15, rtol=1e-15)))
        return guess


def spread_of(k: Array, g: float) -> Array:
    return 0.5 * (k + 2.0 * g + np.sqrt(k * (k + 4.0 * g)))


def _norm(*parts: Array) -> float:
    return length(lambda v: float(v @ v), np.concatenate([p.ravel() for p in parts]))
