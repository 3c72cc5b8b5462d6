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
from ..measures.grid import Grid
from ..measures.mesh import Mesh
from ..status import InvalidFunctional, NotDefined
from .answers import points_at
from .base import Functional

WITH_DENSITY = (
    "use Quantiles, Radial, Gaussian, Grid or Mesh, or for points BlobEntropy, BlobPower or "
    "steppers.Splitting"
)


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
            per_mass = self.energy_per_mass(cells.log_density())[0]
            if isinstance(cells, Grid):  # where empty cells weigh nothing
                per_mass = np.where(cells.mass > 0, per_mass, 0.0)
            return float(cells.mass @ per_mass)

    def first_variation(self, mu: Measure, at: ArrayLike) -> Array:
        a_measure(mu)
        x = points_at(mu, at)
        if not isinstance(mu, Gaussian):
            self._cells(mu)
        return self.slope(mu.log_density(x))  # type: ignore[attr-defined]

    def slope(self, log_density: Array) -> Array:
        """u'(ρ) = e + e' at ℓ = log ρ, the first variation."""
        e, de, _ = self.energy_per_mass(log_density)
        return e + de

    def gradient(self, mu: Measure) -> Array:
        a_measure(mu)
        if isinstance(mu, Gaussian):
            _, de, dde = self.energy_per_mass(mu.log_density(mu.points))
            return np.reshape(de + dde, (-1, 1)) * mu.score(mu.points)
        cells = self._cells(mu)
        if isinstance(cells, Grid):
            return face_differences(self.slope(cells.log_density()).reshape(cells.shape), cells)
        if isinstance(cells, Mesh):
            return self._on_nodes(cells) / cells.weights[:, None]
        return (self.on_edges(cells).gradient / cells.weights)[:, None]

    def pressures(self, mu: Mesh) -> Array:
        """ρu'(ρ) − u(ρ) in each simplex, (k,): minus the derivatives of F in the volumes."""
        return np.asarray(self._pushes(mu) / mu.volumes)

    def _pushes(self, mu: Mesh) -> Array:
        """Minus the derivatives of F in log|T|, (k,)."""
        return np.asarray(mu.mass * self.energy_per_mass(mu.log_density())[1])

    def _on_nodes(self, mu: Mesh) -> Array:
        """∂F/∂(node), (n, d)."""
        return mu.nodal_sums(-self._pushes(mu)[:, None, None] * mu.log_volume_gradients())

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

    def _cells(self, mu: Measure) -> Any:
        if isinstance(mu, (Cells, Grid, Mesh)):
            return mu
        raise NotDefined(
            f"{type(self).__name__} needs a density, which a {type(mu).__name__} measure does not "
            f"have: {WITH_DENSITY}"
        )


def face_differences(f: Array, mu: Grid) -> Array:
    """∇f at the cells' centres, (N, d), from the faces between cells: the mean of both sides of
    each axis, one alone at walls and next to cells where f is infinite."""
    columns = []
    for axis, h in enumerate(mu.spacing):
        g = np.moveaxis(f, axis, 0)
        with np.errstate(invalid="ignore"):
            jump = np.diff(g, axis=0) / h
        known = np.isfinite(jump)
        jump = np.where(known, jump, 0.0)
        total, count = np.zeros(g.shape), np.zeros(g.shape)
        for cells in (slice(None, -1), slice(1, None)):
            total[cells] += jump
            count[cells] += known
        columns.append(np.moveaxis(total / np.maximum(count, 1.0), 0, axis).ravel())
    return np.stack(columns, axis=1)


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
have: use Quantiles, Radial, Gaussian, Grid or Mesh, or for points BlobEntropy, BlobPower or \
steppers.Splitting
    """

    convexity = 0.0

    def energy_per_mass(self, log_density: Array) -> tuple[Array, Array | float, Array | float]:
        return log_density, 1.0, 0.0

    def value_on_gaussian(self, mu: Gaussian) -> float:
        return -0.5 * (mu.dim * (np.log(2.0 * np.pi) + 1.0) + mu.log_det())

    def lower_bound_near(self, mu: Measure, radius: float) -> float | None:
        """−(d/2) log(2πe M/d): no law of second moment M has less, and √M ≤ √M(μ) + radius.

        Of radial cells M is at most that of their outer radii, and its root moves by at most
        √2 of the radius.
        """
        d, pull = mu.dim, 1.0
        if isinstance(mu, Gaussian):
            moment = float(np.trace(mu.cov()) + mu.mean() @ mu.mean())
        elif mu.kind == "radial":
            cells = self._cells(mu)
            moment, pull = float(cells.mass @ cells.edges[1:] ** 2), np.sqrt(2.0)
        else:
            moment = float(mu.weights @ (mu.points**2).sum(axis=1))
        largest = np.sqrt(moment) + pull * radius
        return float(-0.5 * d * np.log(2.0 * np.pi * np.e * largest**2 / d))

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


class Congestion(Internal):
    """0 where ρ ≤ bound everywhere, else +∞: a crowd that cannot be denser.

    Displacement convex, as the limit m → ∞ of power energies (Maury, Roudneff-Chupin and
    Santambrogio 2010). It has no derivatives, so only steppers that treat it as a constraint
    take it: `BackAndForth`, `EntropicScaling` and `ConvexProgram`.

    Parameters
    ----------
    bound : float
        Positive; a density above it by less than 1e-9 of it counts as rounding.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> Congestion(2.0).value(Quantiles([0.0, 0.5])), Congestion(1.0).value(Quantiles([0.0, 0.5]))
    (0.0, inf)
    """

    convexity = 0.0

    def __init__(self, bound: float) -> None:
        if not is_finite(bound) or bound <= 0:
            raise InvalidFunctional(f"the bound of the density must be positive, not {bound!r:.80}")
        self.bound = float(bound)

    def lower_bound(self) -> float | None:
        return 0.0

    def value(self, mu: Measure) -> float:
        a_measure(mu)
        if isinstance(mu, Gaussian):
            return self.value_on_gaussian(mu)
        return self._of(float(np.max(self._cells(mu).log_density())))

    def value_on_gaussian(self, mu: Gaussian) -> float:
        return self._of(-0.5 * (mu.dim * np.log(2.0 * np.pi) + mu.log_det()))

    def _of(self, log_density: float) -> float:
        return 0.0 if log_density <= np.log(self.bound) + 1e-9 else np.inf

    def energy_per_mass(self, log_density: Array) -> tuple[Array, Array | float, Array | float]:
        raise NotDefined(
            "Congestion has no derivatives: use BackAndForth or EntropicScaling on a Grid, "
            "ConvexProgram, or PowerEnergy(m) with a large m"
        )

    def spec(self) -> dict[str, Any]:
        return {"name": "Congestion", "bound": self.bound}

    def __repr__(self) -> str:
        return f"Congestion({self.bound:g})"
