"""The dual of a JKO step on a grid, as a concave function of a spline potential.

With a linear part V, an internal energy with conjugate u*, and the old cells' masses μ, read
inside the cells with a slope in each, a potential ψ bounds every step's objective from below:

    J(ψ) = ∫ψ dμ − ∫ u*(−ψ^c − V) dx  ≤  F(ρ) + W2²(ρ, μ)/2τ.

At the maximum ρ = (u*)'(−ψ^c − V) is the step, and S = id − τ∇(−ψ^c) takes it back to μ. The
integrals are taken at ``refine`` points a cell and axis; the derivative of J is μ − S#ρ, spread
by the spline's weights, which conserve mass.

That both are taken at the same points matters. It makes J bounded, and a step that goes nowhere
keeps smooth densities up to h⁴ and makes no ripple larger. Read at the centres, or there with
Sheppard's correction of the variance, ripples from cell to cell grow by 4/3 or 5/3 in each short
step, and near free boundaries nothing damps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...functionals.conjugate import Conjugate
from ...functionals.normalisation import normalised
from ...measures.base import Array
from ...measures.grid import Grid
from ...measures.subcells import sloped
from ...transport.legendre import CTransform, spline_coefficients


@dataclass(frozen=True)
class Dual:
    """The data of a step: the old grid, τ, the conjugate, and V at the refined points."""

    mu: Grid
    tau: float
    conjugate: Conjugate
    potential: Array
    refine: int

    @cached_property
    def volume(self) -> float:
        """Volume that a refined point stands for."""
        return self.mu.cell_volume / self.refine**self.mu.dim

    @cached_property
    def seen(self) -> Array:
        """The old masses as splines see them."""
        inside = sloped(self.mu.weights.reshape(self.mu.shape), self.refine)
        nowhere = np.zeros(self.mu.shape)
        return CTransform(nowhere, self.mu.spacing, self.tau, self.refine).transposed(inside)

    def cell_means(self, refined: Array) -> Array:
        """Means over the refined points of each cell."""
        split = [size for n in self.mu.shape for size in (n, self.refine)]
        return np.asarray(refined.reshape(split).mean(axis=tuple(range(1, len(split), 2))))

    def at(self, place: Array) -> DualPoint:
        """The dual at spline coefficients, shifted so that the new density has mass 1."""
        transform = CTransform(place, self.mu.spacing, self.tau, self.refine)
        price = -transform.value - self.potential
        shift, density = normalised(self.conjugate, price, self.volume)
        with np.errstate(invalid="ignore"):
            surplus = self.conjugate.surplus(price + shift, density)
        surplus = np.where(density > 0, surplus, 0.0)
        value = float(np.vdot(place + shift, self.seen)) - float(surplus.sum()) * self.volume
        return DualPoint(self, place + shift, shift, value, density, transform)


@dataclass(frozen=True)
class DualPoint:
    """J at one potential, with the density and the map that belong to it."""

    dual: Dual
    place: Array
    shift: float
    value: float
    density: Array
    transform: CTransform  # of the place before its shift

    @property
    def finite(self) -> bool:
        """Whether it buys some mass, and no infinite one."""
        return 0.0 < float(self.density.sum()) < np.inf

    @cached_property
    def gradient(self) -> Array:
        """μ − S#ρ, as masses spread by the spline."""
        return self.dual.seen - self.transform.transposed(self.density * self.dual.volume)

    @property
    def price(self) -> Array:
        """−ψ^c − V, at which the density was bought."""
        return self.shift - self.transform.value - self.dual.potential

    @property
    def transport(self) -> float:
        """⟨ψ, μ⟩ + ⟨ψ^c, ρ⟩, which is W2²/2τ at the maximum and never more than it."""
        backward = np.vdot(self.density, self.transform.value - self.shift) * self.dual.volume
        return float(np.vdot(self.place, self.dual.seen) + backward)

    @property
    def residual(self) -> float:
        """L1 norm of the gradient: the mass that does not arrive where it should."""
        return float(np.abs(self.gradient).sum())

    def tightened(self) -> DualPoint:
        """ψ^cc ≥ ψ in place of ψ: as large as ψ^c allows, and so without loose ends."""
        dual = self.dual
        forth = CTransform(self.place, dual.mu.spacing, dual.tau).value
        back = CTransform(spline_coefficients(forth), dual.mu.spacing, dual.tau).value
        return dual.at(spline_coefficients(back))

    def cell_averages(self) -> Array:
        """The new density on the grid's own cells."""
        return self.dual.cell_means(self.density)
