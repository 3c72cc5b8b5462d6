"""Quadratic functionals plus entropy: recognised, and stepped in closed form.

F(ρ) = (a/2)∫|x|² dρ − ⟨b, mean⟩ + (κ/2) tr cov + g H(ρ), up to a constant. For a minimiser ρ⁺ of
F + W2²/(2τ) the map from ρ⁺ to ρ is x + τ∇δF(x), so
    mean:  (1 + aτ) m⁺ = m + τb                       (the interaction moves no mean)
    centred part: (c − gτ/s⁺²) s⁺ = s,  c = 1 + (a+κ)τ,
for each eigenvalue s² of a Gaussian's covariance, whose eigenvectors stay. Without entropy the
second line is an affine contraction, of any measure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..functionals.interaction import QuadraticInteraction
from ..functionals.internal import Entropy
from ..functionals.potential import QuadraticPotential
from ..measures.base import Array
from ..status import InvalidFunctional


class Quadratic(NamedTuple):
    """a, b, κ and g of the module's text, and the terms of F that are none of them."""

    stiffness: float
    pull: Array
    interaction: float
    entropy: float
    others: tuple[tuple[float, Functional], ...]


def split(F: Functional, dim: int) -> Quadratic:
    """Sort the terms of F; ``dim`` is the dimension of the points.

    Examples
    --------
    >>> F = 2.0 * QuadraticPotential(3.0, [1.0]) + Entropy() / 4
    >>> parts = split(F, 1)
    >>> parts.stiffness, parts.pull, parts.entropy, parts.others
    (6.0, array([6.]), 0.25, ())
    """
    a, kappa, g, b = 0.0, 0.0, 0.0, np.zeros(dim)
    others = []
    for c, f in F.terms:
        if isinstance(f, QuadraticPotential):
            a += c * f.strength
            b = b + c * f.strength * _center(f, dim)
        elif isinstance(f, QuadraticInteraction):
            kappa += c * f.strength
        elif isinstance(f, Entropy):
            g += c
        else:
            others.append((c, f))
    return Quadratic(a, b, kappa, g, tuple(others))


def _center(f: QuadraticPotential, dim: int) -> Array:
    if f.center is None:
        return np.zeros(dim)
    if f.center.shape != (dim,):
        raise InvalidFunctional(
            f"center has shape {f.center.shape}, but the measure lives in R^{dim}"
        )
    return f.center


class Scaling(NamedTuple):
    """New standard deviations s⁺ and what s⁺ − s is, computed without cancellation."""

    std: Array
    change: Array


def has_minimiser(parts: Quadratic, tau: float) -> bool:
    """Whether F + W2²/(2τ) is bounded below and attains its minimum."""
    mean, spread = 1.0 + parts.stiffness * tau, contraction(parts, tau)
    return mean > 0 and spread > 0 and parts.entropy >= 0


def contraction(parts: Quadratic, tau: float) -> float:
    """c = 1 + (a+κ)τ."""
    return 1.0 + (parts.stiffness + parts.interaction) * tau


def next_mean(parts: Quadratic, mean: Array, tau: float) -> tuple[Array, Array]:
    """m⁺ and m⁺ − m, the latter from m: a long step would multiply the rounding of m⁺ by aτ."""
    stays = 1.0 + parts.stiffness * tau
    return (mean + tau * parts.pull) / stays, tau * (parts.pull - parts.stiffness * mean) / stays


def next_std(parts: Quadratic, std: Array, tau: float) -> Scaling:
    """s⁺ = [s + √(s² + 4cτg)]/(2c), and s⁺ − s = gτ/s⁺ − (a+κ)τ s⁺.

    Where c > 1 that difference would multiply the rounding of s⁺ by c, and s⁺ − s is taken from s:
    2[gτ − (c−1)s²]/[(2c−1)s + √(s² + 4cτg)].

    Examples
    --------
    >>> heat = split(Entropy(), 1)
    >>> round(float(next_std(heat, np.array([0.5]), 0.1).std[0]), 12)
    0.653112887415
    """
    c, g = contraction(parts, tau), parts.entropy * tau
    root = np.sqrt(std * std + 4.0 * c * g)
    new = (std + root) / (2.0 * c)
    with np.errstate(divide="ignore", invalid="ignore"):
        if c > 1.0:
            change = 2.0 * (g - (c - 1.0) * std * std) / ((2.0 * c - 1.0) * std + root)
        else:
            change = g / new - (c - 1.0) * new
    return Scaling(new, np.where(new > 0, change, 0.0))
