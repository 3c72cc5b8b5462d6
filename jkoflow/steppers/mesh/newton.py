"""Newton systems of a step on a mesh: element matrices, and conjugate gradients on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse

from ...measures.base import Array
from ...measures.mesh import Mesh
from .objective import MeshObjective, MeshPoint

_FLOOR = 0.1  # least eigenvalue of a block of the preconditioner, in units of w/τ
_INNER = 1e-8
Map = Callable[[Array], Array]


class Direction(NamedTuple):
    """A displacement (n, d) of descent, the decrement −⟨gradient, step⟩ > 0, whether the matrix
    curved downwards on the way, and the rounds it took."""

    step: Array
    decrement: float
    curved: bool
    rounds: int


class Assembly:
    """Where the blocks of element matrices go in a sparse matrix: the same for all iterations."""

    def __init__(self, mu: Mesh) -> None:
        n, corners = len(mu.nodes), mu.simplices
        size = corners.shape[1]
        pairs = np.repeat(corners, size, axis=1) * n + np.tile(corners, (1, size))
        places, slot = np.unique(pairs, return_inverse=True)
        self.slot, self.columns = slot.ravel(), places % n
        self.starts = np.searchsorted(places, np.arange(n + 1) * n)
        self.diagonal = np.searchsorted(places, np.arange(n) * (n + 1))

    def sums(self, elements: Array) -> Array:
        """Element matrices (k, d+1, d+1, d, d) summed into blocks (places, d, d)."""
        dim, count = elements.shape[-1], len(self.columns)
        flat = elements.reshape(-1, dim * dim).T
        found = [np.bincount(self.slot, entry, count) for entry in flat]
        return np.stack(found, axis=1).reshape(count, dim, dim).astype(float, copy=False)

    def matrix(self, blocks: Array) -> sparse.bsr_array:
        return sparse.bsr_array((blocks, self.columns, self.starts))


class System:
    """The Hessian at a point of the objective, as it is or made positive, and directions from it.

    With A = Σ_k g_k v_kᵀ the velocity gradient of a simplex, its Hessian is q(tr A)² + p tr(A²).
    Turning lowers it: tr(A²) = |sym A|² − |skew A|². A step far from the minimiser may tear the
    mesh by such turns, which no optimal map makes, so ``straightened`` adds a share of
    p|skew A|². With all of it the matrix is positive where McCann's condition holds,
    m ≥ 1 − 1/d; without any, Newton's method converges quadratically.
    """

    def __init__(self, objective: MeshObjective, point: MeshPoint, assembly: Assembly) -> None:
        self.point, self.assembly = point, assembly
        w, g = objective.mu.weights / objective.tau, point.slopes
        turned = g[:, :, None, :, None] * g[:, None, :, None, :]  # g_k ⊗ g_l, (k, d+1, d+1, d, d)
        straight = np.swapaxes(turned, -1, -2)
        p, q = (c[:, None, None, None, None] for c in (point.pressure, point.bend))
        own = point.smooth.blocks + w[:, None, None] * np.eye(g.shape[2])
        self.exact = assembly.sums(q * turned + p * straight)
        self.exact[assembly.diagonal] += own
        inner = np.einsum("tka,tla->tkl", g, g)[..., None, None] * np.eye(g.shape[2])
        self.skew = 0.5 * assembly.sums(p * (inner - straight))
        self.inverses = _inverses((self.exact + self.skew)[assembly.diagonal], _FLOOR * w)

    def direction(self, straightened: float, tolerance: float, most: int) -> Direction:
        """Conjugate gradients on the Hessian, which stop where it curves downwards."""
        blocks = self.exact + straightened * self.skew if straightened else self.exact
        matrix, shape = self.assembly.matrix(blocks), self.point.gradient.shape

        def near(v: Array) -> Array:
            return np.asarray(np.einsum("nab,nb->na", self.inverses, v))

        def local(v: Array) -> Array:
            return np.asarray((matrix @ v.ravel()).reshape(shape))

        gradient, parts = self.point.gradient, self.point.smooth.parts
        solve = _Solve(local, near, most)
        if not parts:
            step, curved, rounds = conjugate_gradients(local, near, -gradient, tolerance, most)
        else:  # those may cost much more than the sparse matrix, which preconditions them
            step, curved, rounds = conjugate_gradients(
                lambda v: sum((part.apply(v) for part in parts), local(v)),
                solve, -gradient, 0.1 * tolerance, most,
            )  # fmt: skip
        decrement = -float(np.vdot(gradient, step))
        return Direction(step, decrement, curved or solve.curved, rounds + solve.rounds)


class _Solve:
    """A solution of the sparse system, as a preconditioner; remembers where it curved."""

    def __init__(self, times: Map, near: Map, most: int) -> None:
        self.times, self.near, self.most = times, near, most
        self.curved, self.rounds = False, 0

    def __call__(self, v: Array) -> Array:
        if self.curved:  # of no use any more, but positive
            return self.near(v)
        x, self.curved, rounds = conjugate_gradients(
            self.times, self.near, v, _INNER, self.most
        )
        self.rounds += rounds
        return self.near(v) if self.curved else x


def _inverses(blocks: Array, least: Array) -> Array:
    """Inverses of symmetric blocks (n, d, d), with eigenvalues raised to ``least`` (n,)."""
    values, vectors = np.linalg.eigh(blocks)
    values = np.maximum(values, least[:, None])
    return np.asarray(np.einsum("nai,ni,nbi->nab", vectors, 1.0 / values, vectors))


def conjugate_gradients(
    times: Map, near: Map, f: Array, tolerance: float, most: int
) -> tuple[Array, bool, int]:
    """Solve Hx = f to a relative residual in the norm of the preconditioner.

    Stops at the last iterate where a direction with ⟨p, Hp⟩ ≤ 0 turns up (Steihaug 1983), which
    is one of descent; the answer to the first such direction is the preconditioner's.

    Returns
    -------
    x, curved, rounds

    Examples
    --------
    >>> H = np.diag([1.0, 4.0])
    >>> conjugate_gradients(lambda v: H @ v, lambda v: v, np.array([1.0, 4.0]), 1e-12, 9)
    (array([1., 1.]), False, 2)
    """
    x, r = np.zeros_like(f), f.copy()
    z = near(r)
    p, rz = z.copy(), float(np.vdot(r, z))
    enough = tolerance**2 * rz
    for rounds in range(1, most + 1):
        if not rz > enough:
            return x, False, rounds - 1
        q = times(p)
        curvature = float(np.vdot(p, q))
        if not curvature > 0.0:
            return (x if rounds > 1 else p), True, rounds
        x += rz / curvature * p
        r -= rz / curvature * q
        z = near(r)
        rz, last = float(np.vdot(r, z)), rz
        p = z + rz / last * p
    return x, False, most
