"""Exact population risk of N given ReLU units on Gaussian classes, directions and all."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ..arguments import is_whole
from ..measures.base import Array, finite_array
from ..status import InvalidFunctional, InvalidMeasure
from .populations import GaussianClasses


class _Side(NamedTuple):
    """One class: its label, Λ²w_i (N, d), s_i = |Λw_i|, and ∂_b^k G_0(b_i, s_i), (k, N)."""

    label: float
    stretched: Array
    spread: Array
    g: Array


class ReluPopulation:
    """E(y − (1/N) Σ a_i(⟨w_i, x⟩ + b_i)_+)² for two Gaussian classes, and how it makes units move.

    Where `reduced_relu_risk` averages over all rotations of the weights, this is the risk of one
    network: its N directions are those that it has. With c_ij = ⟨w_i, Σ±w_j⟩, s_i = √c_ii and
    G_0(b, s) = E(b + sG)_+, Mehler's formula is, for each class,

        E σ*_i σ*_j = a_i a_j Σ_k c_ij^k/k! ∂_b^k G_0(b_i, s_i) ∂_b^k G_0(b_j, s_j).

    The terms i = j, where that series converges slowly, are taken in closed form,
    a²[(b² + s²)Φ(b/s) + bsϕ(b/s)].

    Parameters
    ----------
    classes : GaussianClasses
        Isotropic or not.
    terms : int
        Largest k for i ≠ j. What is left out of the risk is below the mean of
        |c_ij/(s_i s_j)|^{terms+1} E σ*² over pairs: with 60 active coordinates 1e-8.

    Raises
    ------
    InvalidFunctional
        For classes or terms that are none.

    Notes
    -----
    Of R(ρ̂_N) for independent units the mean is R(ρ) + (1/N)(∫U(θ,θ)dρ − ∬U dρdρ).

    Examples
    --------
    >>> population = ReluPopulation(GaussianClasses.std(3, 0.5))
    >>> round(population.risk([[1.0, 0.0, 0.0, 0.0, 2.0]]), 6)     # E(y − (2x_3)_+)²
    2.702115
    """

    def __init__(self, classes: GaussianClasses, *, terms: int = 8) -> None:
        if not isinstance(classes, GaussianClasses):
            raise InvalidFunctional(f"classes must be GaussianClasses, not {classes!r}")
        if not is_whole(terms):
            raise InvalidFunctional(f"terms must be an integer ≥ 1, not {terms!r}")
        self.classes, self.terms = classes, int(terms)

    def risk(self, theta: ArrayLike) -> float:
        """R of the network with units θ_i = (a_i, b_i, w_i), (N, 2 + d)."""
        units = self._checked(theta)
        a, b = units[:, 0], units[:, 1]
        total = 0.0
        for side in self._sides(units):
            mean = float(np.mean(a * side.g[0]))
            v = a * side.g / len(a)
            square = float(np.sum(a**2 * _square(b, side))) / len(a) ** 2
            square += mean**2 - float(v[0] @ v[0])
            square += sum(float(v[k] @ power @ v[k]) for k, power in self._powers(units, side))
            total += 0.5 * (1.0 - 2.0 * side.label * mean + square)
        return total

    def velocity(self, theta: ArrayLike, rng: Any = None) -> Array:
        """−∇Ψ(θ_i; ρ̂_N): what `jkoflow.dynamics.particle_flow` moves units by; rng is not used."""
        units = self._checked(theta)
        a, b, n = units[:, 0], units[:, 1], len(units)
        slope = np.zeros_like(units)
        for side in self._sides(units):
            g, v = side.g, a * side.g / n
            seen = np.empty((self.terms + 1, n))  # Σ_{j≠i} c^k/k! v_k(j), less the label
            seen[0] = v[0].sum() - v[0] - side.label
            pull, before = np.zeros((n, n)), 1.0 - np.eye(n)
            for k, power in self._powers(units, side):
                pull += g[k][:, None] * before * v[k]
                seen[k], before = power @ v[k], power
            slope[:, 0] += 0.5 * (np.einsum("ki,ki->i", g[:-2], seen) + a * _square(b, side) / n)
            slope[:, 1] += 0.5 * a * (np.einsum("ki,ki->i", g[1:-1], seen) + v[0])
            along = np.einsum("ki,ki->i", g[2:], seen) + v[1]
            slope[:, 2:] += 0.5 * a[:, None] * (along[:, None] * side.stretched
                                                + pull @ side.stretched)  # fmt: skip
        return -slope

    def _checked(self, theta: ArrayLike) -> Array:
        units = finite_array(theta, "theta", ndim=2)
        if units.shape[1] != self.classes.dim + 2 or not len(units):
            raise InvalidMeasure(
                f"ReLU units on R^{self.classes.dim} are rows (a, b, w) of {self.classes.dim + 2} "
                f"numbers, not an array of shape {units.shape}"
            )
        return units

    def _sides(self, units: Array) -> Iterator[_Side]:
        classes, w = self.classes, units[:, 2:]
        for label, std in ((1.0, classes.std_plus), (-1.0, classes.std_minus)):
            stretched = w.copy()
            stretched[:, : classes.active] *= std**2
            spread = np.sqrt(np.maximum((w * stretched).sum(axis=1), 1e-24))
            g = _derivatives(units[:, 1], spread, self.terms + 2)
            yield _Side(label, stretched, spread, g)

    def _powers(self, units: Array, side: _Side) -> Iterator[tuple[int, Array]]:
        """k and c_ij^k/k! with nothing on the diagonal, k = 1 … terms."""
        c = units[:, 2:] @ side.stretched.T
        np.fill_diagonal(c, 0.0)
        power = c
        yield 1, power
        for k in range(2, self.terms + 1):
            power = power * (c / k)
            yield k, power


def _square(b: Array, side: _Side) -> Array:
    """E(b + sG)_+²; ∂_b² G_0 is ϕ(b/s)/s."""
    s2 = side.spread**2
    return np.asarray((b**2 + s2) * side.g[1] + b * s2 * side.g[2])


def _derivatives(b: Array, s: Array, order: int) -> Array:
    """∂_b^k G_0(b, s), k ≤ order: bΦ + sϕ, Φ, then (−1)^k He_k ϕ/s^{k+1}, all at b/s."""
    x = np.clip(b / s, -40.0, 40.0)
    g = np.empty((order + 1, len(b)))
    g[1], g[2] = ndtr(x), np.exp(-0.5 * x * x) / (sqrt(2.0 * pi) * s)
    g[0] = b * g[1] + s**2 * g[2]
    g[3:4] = -x / s * g[2]
    for k in range(1, order - 2):
        g[k + 3] = -x / s * g[k + 2] - k / s**2 * g[k + 1]
    return g
