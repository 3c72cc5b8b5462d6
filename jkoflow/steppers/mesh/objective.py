"""The objective of a step on a mesh, as a function of the nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...functionals.base import Expansion, Functional
from ...functionals.curvature import Action, Curvature
from ...functionals.internal import Internal
from ...measures.base import Array
from ...measures.mesh import Mesh
from ...measures.simplices import log_volume_gradients, room, signed_volumes
from ...status import MissingStructure

_DIFFERENCE = 1e-5  # the third root of rounding, as central differences want
_BALANCED = 5e-5  # of the slope: half of what the judge lets pass


@dataclass(frozen=True)
class MeshPoint:
    """Objective and gradient (n, d) at nodes x, with what its Hessian is made of.

    ``size`` is what the objective's terms add up to without signs, for its rounding.

    The element matrices are q_T g gᵀ + p_T (g gᵀ)ᵗ for the gradients g (k, d+1, d) of log|T|: p
    is the pressure times the volume, and q its derivative.
    """

    x: Array
    value: float
    size: float
    gradient: Array
    slopes: Array
    pressure: Array
    bend: Array
    smooth: Curvature


class MeshObjective:
    """Σ_i w_i|X_i − x_i|²/2τ + Σ_T m_T e(log m_T − log|T|) + G(X)."""

    def __init__(self, F: Functional, mu: Mesh, tau: float) -> None:
        self.mu, self.tau = mu, tau
        self.smooth = F.smooth.on(mu)  # type: ignore[attr-defined]
        self.internal = [(c, f) for c, f in F.internal.terms if isinstance(f, Internal)]
        if len(self.internal) < len(F.internal.terms):
            raise MissingStructure("a mesh takes internal energies of the library only")
        self.log_mass, self.by_differences = np.log(mu.mass), False

    def at(self, x: Array) -> MeshPoint:
        """Value +∞ where a simplex is flat or turned over."""
        mu = self.mu
        corners = x[mu.simplices]
        volume = signed_volumes(corners)
        if not volume.min() > 0:
            nothing = np.empty(0)
            return MeshPoint(x, np.inf, np.inf, *(nothing,) * 4, Curvature(np.empty((0, 0, 0))))
        value, size, p, q = self._internal(self.log_mass - np.log(volume))
        slopes = log_volume_gradients(corners)
        moved = x - mu.nodes
        part = self._smooth(x)
        paid = self.paid(x)
        value, size = value + part.value + paid, size + abs(part.value) + paid
        force = mu.weights[:, None] * (part.gradient + moved / self.tau)
        force -= self.mu.nodal_sums(p[:, None, None] * slopes)
        return MeshPoint(x, value, size, force, slopes, p, q, part.curvature)

    def paid(self, x: Array) -> float:
        """W2²/(2τ) of the nodes at x."""
        mu = self.mu
        return float(mu.weights @ ((x - mu.nodes) ** 2).sum(axis=1)) / (2.0 * self.tau)

    def stationary(self, point: MeshPoint, lightest: float = 0.0) -> bool:
        """Whether the forces on the nodes balance, to a small part of the slope W2/τ in L²(ρ); on
        those at least that are not lighter than this, relative to the mean."""
        w = self.mu.weights
        squares = (point.gradient**2).sum(axis=1) / w
        squared = float(squares[w >= lightest * w.mean()].sum())
        return squared <= _BALANCED**2 * 2.0 * self.paid(point.x) / self.tau

    def _smooth(self, x: Array) -> Expansion:
        """The smooth part; where it has no Hessian, differences of its gradient act as one."""
        w = self.mu.weights
        if not self.by_differences:
            try:
                return self.smooth.expansion(x, w)
            except MissingStructure:
                self.by_differences = True
        value, gradient = self.smooth.value_and_gradient_at_points(x, w)

        def hessian(v: Array) -> Array:
            t = _DIFFERENCE * float(np.abs(x).max()) / max(float(np.abs(v).max()), 1e-300)
            slope = self.smooth.gradient_at_points
            return np.asarray(w[:, None] * (slope(x + t * v, w) - slope(x - t * v, w)) / (2.0 * t))

        none = np.zeros((*x.shape, x.shape[1]))
        return Expansion(value, gradient, Curvature(none, [Action(hessian)]))

    def _internal(self, log_density: Array) -> tuple[float, float, Array, Array]:
        """Σ m e and Σ m|e|, with p = m e' and q = m e'' of each simplex."""
        total, size, p, q = 0.0, 0.0, np.zeros(len(log_density)), np.zeros(len(log_density))
        m = self.mu.mass
        for c, f in self.internal:
            e, de, dde = f.energy_per_mass(log_density)
            total += c * float(m @ e)
            size += abs(c) * float(m @ np.abs(e))
            p += c * m * de
            q += c * m * dde
        return total, size, p, q

    def room(self, x: Array, step: Array) -> float:
        """How far along a displacement all volumes stay positive; infinite if for ever."""
        return room(x[self.mu.simplices], step[self.mu.simplices])
