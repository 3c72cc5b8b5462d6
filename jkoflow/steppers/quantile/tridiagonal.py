"""Linear systems of the quantile scheme: tridiagonal, plus low rank, plus anything symmetric."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack

from ...functionals.curvature import Action, Dense, LowRank, Part
from ...measures.base import Array


class NotPositive(Exception):
    """The matrix is not positive definite."""


def solve_tridiagonal(diagonal: Array, off: Array, rhs: Array) -> Array:
    """Solve a symmetric positive definite tridiagonal system by LAPACK's LDLᵀ (ptsv)."""
    # LAPACK's interface wants at least one entry beside the diagonal
    _, _, x, info = lapack.dptsv(diagonal, off if len(off) else np.zeros(1), rhs)
    if info != 0:
        raise NotPositive
    return np.asarray(x)


def solve(diagonal: Array, off: Array, parts: list[Part], rhs: Array) -> Array:
    """Solve (T + Σ parts) d = rhs, with T tridiagonal and rhs of shape (n,).

    Low-rank parts go through Woodbury's identity on top of T, dense ones through a Cholesky
    factorisation, and maps known by their action through conjugate gradients preconditioned
    by T.

    Raises
    ------
    NotPositive
        If the matrix is not positive definite, as far as that was noticed.
    """
    if not parts:
        return solve_tridiagonal(diagonal, off, rhs)
    if all(isinstance(part, LowRank) for part in parts):
        return _woodbury(diagonal, off, [p for p in parts if isinstance(p, LowRank)], rhs)
    if any(isinstance(part, Action) for part in parts):
        return _conjugate_gradients(diagonal, off, parts, rhs)
    return _dense(diagonal, off, parts, rhs)


def _woodbury(diagonal: Array, off: Array, parts: list[LowRank], rhs: Array) -> Array:
    n = len(rhs)
    factor = np.concatenate([part.factor.reshape(-1, n) for part in parts])
    signs = np.concatenate([part.signs for part in parts])
    columns = np.empty((n, len(factor) + 1), order="F")
    columns[:, 0] = rhs
    columns[:, 1:] = factor.T
    solved = solve_tridiagonal(diagonal, off, columns)
    projected = factor @ solved
    capacitance = np.diag(signs) + projected[:, 1:]
    if (signs > 0).all():
        try:
            c = cho_solve(cho_factor(capacitance, check_finite=False), projected[:, 0])
        except np.linalg.LinAlgError as error:
            raise NotPositive from error
    else:
        c = np.linalg.solve(capacitance, projected[:, 0])
    return np.asarray(solved[:, 0] - solved[:, 1:] @ c)


def _dense(diagonal: Array, off: Array, parts: list[Part], rhs: Array) -> Array:
    matrix = np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1)
    for part in parts:
        if isinstance(part, Dense):
            matrix += part.matrix
        elif isinstance(part, LowRank):
            flat = part.factor.reshape(len(part.signs), -1)
            matrix += (flat.T * part.signs) @ flat
    try:
        return np.asarray(cho_solve(cho_factor(matrix, check_finite=False), rhs))
    except np.linalg.LinAlgError as error:
        raise NotPositive from error


def _conjugate_gradients(diagonal: Array, off: Array, parts: list[Part], rhs: Array) -> Array:
    from scipy.sparse.linalg import LinearOperator, cg

    def apply(v: Array) -> Array:
        v = v.ravel()
        result = diagonal * v
        result[:-1] += off * v[1:]
        result[1:] += off * v[:-1]
        for part in parts:
            result += part.apply(v[:, None])[:, 0]
        return result

    def precondition(v: Array) -> Array:
        return solve_tridiagonal(diagonal, off, v.ravel())

    shape = (len(rhs), len(rhs))
    d, _ = cg(
        LinearOperator(shape, matvec=apply),
        rhs,
        rtol=1e-8,
        maxiter=200,
        M=LinearOperator(shape, matvec=precondition),
    )
    if not np.isfinite(d).all() or d @ rhs <= 0:
        raise NotPositive
    return np.asarray(d)
