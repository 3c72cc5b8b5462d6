"""Newton systems of a step on a mesh: a sparse matrix, and what is not sparse on top of it."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from ..measures.base import Array
from .mesh_objective import MeshObjective, MeshPoint

_CG_STEPS = 200
_SHIFTS = 12


class System:
    """The Hessian at a point of the objective, and directions from it."""

    def __init__(self, objective: MeshObjective, point: MeshPoint) -> None:
        self.objective, self.point = objective, point
        self.parts = point.smooth.parts
        self.shape = point.gradient.shape
        self.matrix = self._sparse()

    def newton(self) -> tuple[Array, float]:
        """The direction −H⁻¹g and the decrement ⟨g, H⁻¹g⟩ > 0.

        Where the Hessian does not make it a direction of descent, multiples of the mass matrix
        are added: that is a step of smaller τ.
        """
        gradient = self.point.gradient.ravel()
        shift = 0.0
        mass = sparse.diags_array(
            np.repeat(self.objective.mu.weights, self.shape[1]) / self.objective.tau
        )
        for _ in range(_SHIFTS):
            direction = -self._solved(self.matrix + shift * mass, gradient)
            decrement = -float(gradient @ direction)
            if np.isfinite(decrement) and decrement >= 0.0:
                return direction.reshape(self.shape), decrement
            shift = 4.0 * shift if shift else 1.0
        return -gradient.reshape(self.shape), float(gradient @ gradient)

    def _solved(self, matrix: sparse.csc_array, f: Array) -> Array:
        """Sparse factorisation; with parts that are not sparse, conjugate gradients around it."""
        lu = linalg.splu(
            sparse.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip
        if not self.parts:
            return np.asarray(lu.solve(f))
        n = len(f)

        def times(v: Array) -> Array:
            u = v.reshape(self.shape)
            rest = sum((part.apply(u) for part in self.parts), np.zeros(self.shape))
            return np.asarray(matrix @ v + rest.ravel())

        found, _ = linalg.cg(
            linalg.LinearOperator((n, n), matvec=times), f, rtol=1e-10, maxiter=_CG_STEPS,
            M=linalg.LinearOperator((n, n), matvec=lu.solve),
        )  # fmt: skip
        return np.asarray(found)

    def _sparse(self) -> sparse.csc_array:
        """Transport and the smooth part's blocks on the diagonal, and the simplices' matrices."""
        mu, point, d = self.objective.mu, self.point, self.shape[1]
        g = point.slopes
        local = np.einsum("t,tka,tlb->tkalb", point.bend, g, g)
        local += np.einsum("t,tla,tkb->tkalb", point.pressure, g, g)
        degrees = (mu.simplices[:, :, None] * d + np.arange(d)).reshape(len(g), -1)
        size = degrees.shape[1]
        rows = np.repeat(degrees, size, axis=1).ravel()
        columns = np.tile(degrees, (1, size)).ravel()
        n = len(mu.nodes)
        blocks = point.smooth.blocks + (mu.weights / self.objective.tau)[:, None, None] * np.eye(d)
        own = (np.arange(n)[:, None] * d + np.arange(d)).reshape(n, d)
        rows = np.concatenate([rows, np.repeat(own, d, axis=1).ravel()])
        columns = np.concatenate([columns, np.tile(own, (1, d)).ravel()])
        values = np.concatenate([local.ravel(), blocks.ravel()])
        return sparse.coo_array((values, (rows, columns)), shape=(n * d, n * d)).tocsc()
