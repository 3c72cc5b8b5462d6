"""JKO steps of densities on moving meshes: Newton's method on the nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arguments import is_finite
from ...functionals.base import Functional
from ...measures.base import Measure
from ...measures.mesh import Mesh
from ...measures.remeshing import boundary
from ...record import State, Witness
from ...status import InvalidProblem, NotDefined, Status
from ...transport.pairing import pairing_potentials
from ..base import StepOutput, Stepper, require_options
from .descent import LIGHT, descend
from .objective import MeshObjective

_SWEEPS = 30
_TURNED = -0.1  # cosine: what the mesh's own coarseness makes of neighbours stays above


@dataclass(frozen=True)
class MeshNewton(Stepper):
    """The quantile scheme on simplices: mass stays in its simplex, and the nodes move.

    Minimises Σ_i w_i|X_i − x_i|²/2τ + F(X) over the nodes X, with w the lumped masses, so that
    mass and positivity are exact and F falls by at least W2²/2τ. Newton's method, with conjugate
    gradients inside, on the Hessian as it is; where that curves downwards, or leads to a
    flattened simplex, on one made positive. Steps are shortened so that no simplex is turned over.
    Each node keeps its mass: W2 between the nodes' masses is the distance of the nodes as long as
    the map is monotone (proved by potentials on small meshes).

    Parameters
    ----------
    tolerance : float
        Newton decrement relative to the energy that the step loses.
    max_iterations : int
    worst_quality : float
        Least quality of a simplex (1 regular, 0 flat; `jkoflow.Mesh.quality`), in (0, 1), that a
        step may end with. Below, its status is DEGENERATE, and re-meshing is due.
    proved : int
        Nodes up to which potentials are sought that prove W2, in O(n²).

    Examples
    --------
    >>> import jkoflow as jf
    >>> disc = jf.Mesh.disc(1.0, 12, lambda x: 1 - (x**2).sum(axis=1))
    >>> out = MeshNewton().step(jf.PowerEnergy(2.0), disc, 0.1, {}, None)
    >>> out.status.name, round(float(np.linalg.norm(out.measure.nodes, axis=1).max()), 2)
    ('CONVERGED', 1.14)
    """

    tolerance: float = 1e-8
    max_iterations: int = 30
    worst_quality: float = 1e-3
    proved: int = 4000

    def __post_init__(self) -> None:
        require_options(self.tolerance, max_iterations=self.max_iterations)
        if not (is_finite(self.worst_quality) and 0 < self.worst_quality < 1):
            raise InvalidProblem(f"worst_quality must lie in (0, 1): {self.worst_quality!r:.80}")
        if self.proved != 0:
            require_options(proved=self.proved)

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: Any
    ) -> StepOutput:
        if not isinstance(mu, Mesh):
            raise NotDefined(f"MeshNewton moves the nodes of a Mesh, not {type(mu).__name__}")
        found = descend(MeshObjective(F, mu, tau), self.tolerance, self.max_iterations)
        after = mu.with_nodes(found.nodes)
        quality, status = float(after.quality().min()), found.status
        if status is Status.CONVERGED and (quality < self.worst_quality or turned(mu, after)):
            status = Status.DEGENERATE
        moved = ((after.nodes - mu.nodes) ** 2).sum(axis=1)
        stats = {**found.stats, "quality": quality}
        witness = self._witness(F, mu, after, tau)
        return StepOutput(after, {}, witness, stats, status, float(mu.weights @ moved))

    def _witness(self, F: Functional, mu: Mesh, after: Mesh, tau: float) -> Witness:
        """Node i goes to node i; on small meshes with potentials that prove it optimal."""
        order: Any = np.arange(len(mu.nodes))
        if len(order) > self.proved:
            return Witness("pairing", {"order": order})
        internal = np.zeros(len(mu.nodes))
        for c, f in F.internal.terms:
            per_simplex = c * f.slope(after.log_density())  # type: ignore[attr-defined]
            internal += after.nodal_mean(per_simplex)
        guess = -2.0 * tau * (internal + F.smooth.first_variation(after, after.nodes))
        found = pairing_potentials(after.nodes, mu.nodes, guess, sweeps=_SWEEPS)
        if found is None:
            return Witness("pairing", {"order": order})
        return Witness("pairing", {"order": order, "f": found.f, "g": found.g})


def turned(before: Mesh, after: Mesh) -> bool:
    """Whether places of the boundary came to lie the other way round: ⟨X_i − X_j, x_i − x_j⟩ < 0.

    Along an optimal map none do. Where some do clearly, parts of the mesh cover each other, though
    each simplex is as it should be; densities are then those of no law. At most 400 nodes
    of the boundary are looked at, and none that hardly weighs: in tails anything may go anywhere.
    """
    nodes = np.unique(boundary(before.simplices))
    nodes = nodes[before.weights[nodes] > LIGHT * before.weights.mean()]
    kept = nodes[:: len(nodes) // 400 + 1]
    X, x = after.nodes[kept], before.nodes[kept]
    dX, dx = X[:, None] - X, x[:, None] - x
    along = np.einsum("ijk,ijk->ij", dX, dx)
    return bool((along < _TURNED * np.sqrt((dX**2).sum(axis=2) * (dx**2).sum(axis=2))).any())
