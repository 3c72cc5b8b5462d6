"""Internal energies ∫ u(ρ) dx: they need a density.

Each is given by e(ℓ) = u(ρ)/ρ, its energy per mass, as a function of ℓ = log ρ. Then
F = ∫ e(log ρ) dρ, the pressure per mass is e'(ℓ) = (ρu' − u)/ρ, and δF/δρ = u'(ρ) = e + e'.
Logarithms keep densities in R^320 representable.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite
from ..measures.base import Array, Measure, a_measure
from ..measures.cells import Cells
from ..measures.gaussian import Gaussian
from ..status import InvalidFunctional, NotDefined
from .answers import points_at
from .base import Functional


class EdgeExpansion(NamedTuple):
    """An internal energy as a function of the edges: value, gradient, tridiagonal Hessian."""

    value: float
    gradient: Array
    diagonal: Array
    off_diagonal: Array


class Internal(Functional):
    """∫ u(ρ) dx with u(ρ) = ρ e(log ρ); subclasses give e and its first two derivatives."""

    convex_in_mixtures = True  # every u here is convex

    @abstractmethod
    def energy_per_mass(self, log_density: Array) -> tuple[Array, Array | float, Array | float]:
        """e, e' and e'' at ℓ = log ρ; a constant may come as one number."""

    @abstractmethod
    def value_on_gaussian(self, mu: Gaussian) -> float:
        """Closed form on a Gaussian."""

    def value(self, mu: Measure) -> float:
        a_measure(mu)
        if isinstance(mu, Gaussian):
            return self.value_on_gaussian(mu)
        cells = self._cells(mu)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return float(cells.mass @ self.energy_per_mass(cells.log_density())[0])

    def first_variation(self, mu: Measure, at: ArrayLike) -> Array:
        a_measure(mu)
        x = points_at(mu, at)
        if not isinstance(mu, Gaussian):
            self._cells(mu)
        e, de, _ = self.energy_per_mass(mu.log_density(x))  # type: ignore[attr-defined]
        return e + de

    def gradient(self, mu: Measure) -> Array:
        a_measure(mu)
        if isinstance(mu, Gaussian):
            _, de, dde = self.energy_per_mass(mu.log_density(mu.points))
            return np.reshape(de + dde, (-1, 1)) * mu.score(mu.points)
        cells = self._cells(mu)
        return (self.on_edges(cells).gradient / cells.weights)[:, None]

    def on_edges(self, mu: Cells) -> EdgeExpansion:
        """Σ_i m_i e(log m_i − log|cell_i|) with its derivatives in the edges."""
        volume = mu.log_volume_derivatives()
        e, de, dde = self.energy_per_mass(mu.log_mass - volume.value)
        pressure = mu.mass * de
        gradient, diagonal = np.zeros(len(pressure) + 1), np.zeros(len(pressure) + 1)
        gradient[:-1] -= pressure * volume.a
        gradient[1:] -= pressure * volume.b
        diagonal[:-1] -= pressure * volume.aa
        diagonal[1:] -= pressure * volume.bb
        off = -pressure * volume.ab
        if np.any(dde):
            bend = mu.mass * dde
            diagonal[:-1] += bend * volume.a**2
            diagonal[1:] += bend * volume.b**2
            off += bend * volume.a * volume.b
        return EdgeExpansion(float(mu.mass @ e), gradient, diagonal, off)

    def _cells(self, mu: Measure) -> Cells:
        if isinstance(mu, Cells):
            return mu
        raise NotDefined(
            f"{type(self).__name__} needs a density, which a {type(mu).__name__} measure does not "
            "have: use Quantiles, Radial or Gaussian, or splitting with a noisy particle method"
        )


class Entropy(Internal):
    """H(ρ) = ∫ρ log ρ dx, with respect to Lebesgue measure; minus Shannon's entropy.

    Displacement convex (McCann 1997). Its flow is the heat equation ∂_t ρ = Δρ.

    Examples
    --------
    >>> from jkoflow import Quantiles, Particles
    >>> Entropy().value(Quantiles([0.0, 0.5]))      # uniform density 2
    0.6931471805599453
    >>> Entropy().value(Particles([[0.0]]))
    Traceback (most recent call last):
        ...
    jkoflow.status.NotDefined: Entropy needs a density, which a Particles measure does not \
have: use Quantiles, Radial or Gaussian, or splitting with a noisy particle method
    """

    convexity = 0.0

    def energy_per_mass(self, log_density: Array) -> tuple[Array, Array | float, Array | float]:
        return log_density, 1.0, 0.0

    def value_on_gaussian(self, mu: Gaussian) -> float:
        return -0.5 * (mu.dim * (np.log(2.0 * np.pi) + 1.0) + mu.log_det())

    def spec(self) -> dict[str, Any]:
        return {"name": "Entropy"}

    def __repr__(self) -> str:
        return "Entropy()"


class PowerEnergy(Internal):
    """c/(m−1) ∫ρ^m dx, m ≠ 1, m > 0; its flow is ∂_t ρ = cΔρ^m.

    Parameters
    ----------
    m : float
        Exponent; m > 1 is the porous medium, m < 1 fast diffusion.
    coefficient : float
        c > 0.

    Notes
    -----
    Displacement convex for m ≥ 1 − 1/d (McCann 1997); nothing is claimed below that.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> PowerEnergy(2.0).value(Quantiles([0.0, 0.5]))     # ∫ρ² for the density 2 on [0, ½]
    2.0
    """

    def __init__(self, m: float, coefficient: float = 1.0) -> None:
        if not is_finite(m) or m <= 0 or m == 1:
            raise InvalidFunctional(
                f"the exponent m must be positive and not 1, but is {m!r}; for m = 1 use Entropy()"
            )
        if not is_finite(coefficient) or coefficient <= 0:
            raise InvalidFunctional(f"the coefficient must be positive, but is {coefficient!r}")
        self.m, self.coefficient = float(m), float(coefficient)
        self.convexity = 0.0 if m > 1 else None

    def convexity_near(self, mu: Measure, radius: float) -> float | None:
        return 0.0 if self.m >= 1.0 - 1.0 / mu.dim else None

    def lower_bound(self) -> float | None:
        return 0.0 if self.m > 1 else None

    def energy_per_mass(self, log_density: Array) -> tuple[Array, Array | float, Array | float]:
        k = self.m - 1.0
        e = self.coefficient / k * np.exp(k * log_density)
        return e, k * e, k * k * e

    def value_on_gaussian(self, mu: Gaussian) -> float:
        k = self.m - 1.0
        log_integral = -0.5 * k * (mu.dim * np.log(2 * np.pi) + mu.log_det())
        return self.coefficient / k * float(np.exp(log_integral) * self.m ** (-0.5 * mu.dim))

    def spec(self) -> dict[str, Any]:
        return {"name": "PowerEnergy", "m": self.m, "coefficient": self.coefficient}

    def __repr__(self) -> str:
        return f"PowerEnergy({self.m:g}, {self.coefficient:g})"
