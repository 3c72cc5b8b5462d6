"""JKO steps of densities on moving meshes: Newton's method on the nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functionals.base import Functional
from ..measures.base import Array, Measure
from ..measures.mesh import Mesh
from ..record import State, Witness
from ..status import NotDefined, Status
from ..transport.pairing import pairing_potentials
from .base import StepOutput, Stepper, require_options
from .mesh_newton import System
from .mesh_objective import MeshObjective

_PROVED = 4000  # nodes up to which potentials for the pairing are sought, in O(n²)
_ROUNDING = 64.0 * float(np.finfo(float).eps)
_SHORTEST = 2.0**-40
_ARMIJO = 1e-4


@dataclass(frozen=True)
class MeshNewton(Stepper):
    """The quantile scheme on simplices: mass stays in its simplex, and the nodes move.

    Minimises Σ_i w_i|X_i − x_i|²/2τ + F(X) over the nodes X, with w the lumped masses, so that
    mass and positivity are exact and F falls by at least W2²/2τ. Newton's method with a sparse
    factorisation; steps are shortened so that no simplex is turned over. The nodes must keep
    their partners: W2 between the nodes' masses is then the distance of the nodes (proved by
    potentials on small meshes).

    Parameters
    ----------
    tolerance : float
        Newton decrement relative to the energy that the step loses.
    max_iterations : int
    worst_quality : float
        Least mesh quality (see `jkoflow.measures.Mesh.quality`) that a step may end with; below,
        the status is NOT_CONVEX no more, but STALLED, and re-meshing is due.

    Examples
    --------
    >>> import jkoflow as jf
    >>> disc = jf.Mesh.disc(1.0, 12, lambda x: 1 - (x**2).sum(axis=1))
    >>> out = MeshNewton().step(jf.PowerEnergy(2.0), disc, 0.1, {}, None)
    >>> out.status.name, round(float(np.linalg.norm(out.measure.nodes, axis=1).max()), 2)
    ('CONVERGED', 1.16)
    """

    tolerance: float = 1e-10
    max_iterations: int = 60
    worst_quality: float = 1e-3

    def __post_init__(self) -> None:
        require_options(self.tolerance, max_iterations=self.max_iterations)
        require_options(self.worst_quality)

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: Any
    ) -> StepOutput:
        if not isinstance(mu, Mesh):
            raise NotDefined(f"MeshNewton moves the nodes of a Mesh, not {type(mu).__name__}")
        objective = MeshObjective(F, mu, tau)
        x, status, iterations = self._descend(objective)
        after = mu.with_nodes(x)
        if status is Status.CONVERGED and after.quality().min() < self.worst_quality:
            status = Status.STALLED
        moved = ((x - mu.nodes) ** 2).sum(axis=1)
        squared = float(mu.weights @ moved)
        stats = {"iterations": iterations, "quality": float(after.quality().min())}
        return StepOutput(after, {}, _witness(F, mu, after, tau), stats, status, squared)

    def _descend(self, objective: MeshObjective) -> tuple[Array, Status, int]:
        """Newton's iteration from the old nodes."""
        x = objective.mu.nodes
        here = objective.at(x)
        start = here.value
        for k in range(self.max_iterations):
            direction, decrement = System(objective, here).newton()
            lost = max(start - here.value, _ROUNDING * abs(start))
            if 0.5 * decrement <= self.tolerance * lost + _ROUNDING * abs(here.value):
                return x, Status.CONVERGED, k
            length = min(1.0, 0.9 * objective.room(x, direction))
            while length > _SHORTEST:
                new = objective.at(x + length * direction)
                enough = here.value - _ARMIJO * length * decrement
                if new.value <= enough + _ROUNDING * abs(here.value):
                    break
                length *= 0.5
            else:
                return x, Status.STALLED, k
            x, here = new.x, new
            if not np.isfinite(here.value):
                return x, Status.NON_FINITE, k
        return x, Status.MAX_ITERATIONS, self.max_iterations


def _witness(F: Functional, mu: Mesh, after: Mesh, tau: float) -> Witness:
    """Node i goes to node i; on small meshes with potentials that prove it optimal."""
    order = np.arange(len(mu.nodes))
    if len(order) > _PROVED:
        return Witness("pairing", {"order": order})
    internal = np.zeros(len(mu.nodes))
    for c, f in F.internal.terms:
        per_simplex = c * f.slope(after.log_density())  # type: ignore[attr-defined]
        internal += after.nodal_mean(per_simplex)
    guess = -2.0 * tau * (internal + F.smooth.first_variation(after, after.nodes))
    found = pairing_potentials(after.nodes, mu.nodes, guess, sweeps=30)
    if found is None:
        return Witness("pairing", {"order": order})
    return Witness("pairing", {"order": order, "f": found.f, "g": found.g})
