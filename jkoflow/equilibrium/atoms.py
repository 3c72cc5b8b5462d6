"""Atoms of a discrete measure, moved together with their masses, and joined where they meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..measures.base import Array

_TOGETHER = 1e-4  # of the box: atoms this near are tried as one
_HARMLESS = 0.1  # of the goal: what joining may cost


def slide(programme: Any, points: Array, w: Array, box: tuple[Array, Array]) -> tuple[Array, Array]:
    """Move the atoms and their masses together, downhill in F; atoms without mass are left out.

    In masses m ≥ 0 of any sum the objective is |Cm|²/(Σm)², which knows of no constraint.
    """
    from scipy.optimize import minimize

    n, dim = points.shape

    def objective(z: Array) -> tuple[float, Array]:
        x, m = z[: n * dim].reshape(n, dim), z[n * dim :]
        total = float(m.sum())
        c = programme.columns(x)
        r = c @ m / total
        by_mass = 2.0 * (r @ c - r @ r) / total
        by_point = 2.0 * programme.vjp(x, r) * (m / total)[:, None]
        return float(r @ r), np.concatenate([by_point.ravel(), by_mass])

    start = np.concatenate([points.ravel(), w])
    # a first mass of at least half of what it was keeps the sum away from 0
    masses = [(0.5 * w[0], 2.0), *[(0.0, 2.0)] * (n - 1)]
    z = minimize(
        objective, start, jac=True, method="L-BFGS-B",
        bounds=list(zip(*box, strict=True)) * n + masses,
        options={"ftol": 0.0, "gtol": 1e-13, "maxiter": 300},
    ).x  # fmt: skip
    if objective(z)[0] > objective(start)[0]:
        return points, w
    moved = np.clip(z[: n * dim].reshape(n, dim), *box)
    again: tuple[Array, Array] = programme.weighted(moved[z[n * dim :] > 0])
    return again


def join(
    programme: Any, points: Array, w: Array, box: tuple[Array, Array], goal: float
) -> tuple[Array, Array]:
    """Atoms that have met become one, at their mean, if F rises by no more than a tenth of goal."""
    width = _TOGETHER * (box[1] - box[0])
    group = np.full(len(points), -1)
    for k in range(len(points)):
        if group[k] < 0:
            near = (np.abs(points - points[k]) <= width).all(axis=1) & (group < 0)
            group[near] = k
    leaders = np.unique(group)
    mass = np.array([w[group == k].sum() for k in leaders])
    means = np.array([w[group == k] @ points[group == k] for k in leaders]) / mass[:, None]
    if len(leaders) == len(points):
        return points, w
    fewer, new = programme.weighted(means)
    before, after = (programme.columns(x) @ m for x, m in ((points, w), (fewer, new)))
    return (fewer, new) if after @ after <= before @ before + _HARMLESS * goal else (points, w)
