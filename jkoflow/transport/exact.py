"""Exact optimal couplings of weighted points: POT's network simplex, trusted only when verified."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..measures.base import Array, probability_weights
from ..status import TransportFailed
from .couplings import without_dust
from .distances import squared_distances

GAP = 1e-9
"""Largest duality gap, relative to the cost, that a coupling may have."""

_PIVOTS = 100_000_000  # far above what the simplex needs; the default of 1e5 is reached at n = 2000
_SWEEPS = 500  # shortest paths have few edges; the gap says whether these were enough
_DUST = 1e-10  # of the smaller weight: entries below are rounding, not mass
_LIGHT_DUST = 1e-3  # the same for entries that are no more than the rounding of all mass
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Coupling:
    """A coupling π of two weighted point clouds, with the potentials that prove it optimal.

    ``values[k]`` is the mass that goes from point ``rows[k]`` of the first cloud to point
    ``columns[k]`` of the second. f_i + g_j ≤ c_ij for all i, j, and
    ``gap`` = ⟨π, c⟩ − ⟨f, a⟩ − ⟨g, b⟩ ≥ 0 bounds ``cost`` − minimum.
    """

    rows: np.ndarray[Any, np.dtype[np.intp]]
    columns: np.ndarray[Any, np.dtype[np.intp]]
    values: Array
    f: Array
    g: Array
    cost: float
    gap: float

    def permutation(self) -> np.ndarray[Any, np.dtype[np.intp]] | None:
        """order with π = Σ a_i δ_(i, order[i]), or None where some mass is split.

        Examples
        --------
        >>> optimal_coupling([[1.0, 0.0], [0.0, 1.0]]).permutation()
        array([1, 0])
        """
        n, m = len(self.f), len(self.g)
        if n != m or len(self.rows) != n or len(np.unique(self.rows)) != n:
            return None
        order = np.empty(n, dtype=np.intp)
        order[self.rows] = self.columns
        return order if len(np.unique(order)) == n else None


def optimal_coupling(
    cost: ArrayLike,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    *,
    potentials: tuple[Array, Array] | None = None,
) -> Coupling:
    """An optimal coupling for a cost matrix, verified: marginals, feasible potentials, gap.

    The cost is scaled by its largest entry before POT sees it. The potentials are made feasible
    by c-transforms, f_i = min_j c_ij − g_j, so that the gap is a proof whatever the solver did.
    Between equally many points of equal weight, SciPy's assignment solver takes over where POT's
    answer is not verified.

    Parameters
    ----------
    cost : array_like, shape (n, m)
    a, b : array_like, shapes (n,) and (m,), optional
        Positive weights with sum 1; uniform if not given.
    potentials : (f, g), optional
        Guesses to start from, as from an earlier, similar problem.

    Returns
    -------
    Coupling

    Raises
    ------
    TransportFailed
        If the cost is not finite, or no solver gave a coupling whose gap is below 1e-9 of the
        cost (plus rounding: 1e-14 of the largest entry).
    InvalidMeasure
        For weights that are not a probability.

    Notes
    -----
    Measured on one core at n = 2000: .1–.7 s by POT (.1–.3 s from good potentials), .01–.8 s by
    the assignment solver, which gives no potentials.

    References
    ----------
    N. Bonneel et al., Displacement interpolation using Lagrangian mass transport, 2011.

    Examples
    --------
    >>> best = optimal_coupling([[0.0, 2.0, 2.0], [4.0, 1.0, 3.0]], [0.5, 0.5], [0.5, 0.25, 0.25])
    >>> best.cost, best.gap <= 1e-15
    (1.0, True)
    """
    c = _checked(cost)
    p, q = probability_weights(a, c.shape[0], "a"), probability_weights(b, c.shape[1], "b")
    try:
        return _verified(c, p, q, *_network_simplex(c, p, q, potentials))
    except TransportFailed:
        if c.shape[0] != c.shape[1] or np.ptp(p) > 0 or np.ptp(q) > 0:
            raise
        return _assignment(c, p)


def couple(
    x: Array, y: Array, a: ArrayLike | None = None, b: ArrayLike | None = None
) -> Coupling:
    """`optimal_coupling` of the points x (n, d) and y (m, d) for the cost |x_i − y_j|²."""
    return optimal_coupling(squared_distances(x, y), a, b)


def _checked(cost: ArrayLike) -> Array:
    c = np.asarray(cost)
    if np.iscomplexobj(c) or c.dtype == object or c.ndim != 2 or c.size == 0:
        raise TransportFailed(f"the cost must be a real matrix (n, m), not {c.dtype} {c.shape}")
    c = np.ascontiguousarray(c, dtype=float)
    if not np.isfinite(c).all():
        raise TransportFailed(
            f"{int((~np.isfinite(c)).sum())} of {c.size} costs are NaN or infinite: check the "
            "points, and forbid pairs by leaving them out, not by an infinite cost"
        )
    return c


def _network_simplex(
    c: Array, a: Array, b: Array, potentials: tuple[Array, Array] | None
) -> tuple[Array, Array]:
    """POT's plan and its first potential, in the units of the cost; any warning is an error."""
    import ot

    low, scale = float(c.min()), float(np.ptp(c)) or 1.0
    options: dict[str, Any] = {"log": True, "numItermax": _PIVOTS}
    if potentials is not None and "potentials_init" in inspect.signature(ot.emd).parameters:
        f, g = potentials
        options["potentials_init"] = ((f - low) / scale, g / scale)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            # equal sums to the last bit, or the simplex sees an infeasible problem
            plan, log = ot.emd(a, b * (a.sum() / b.sum()), (c - low) / scale, **options)
        except Exception as error:
            raise TransportFailed(f"POT's exact solver failed: {error}") from error
    if log.get("warning"):
        raise TransportFailed(f"POT's exact solver reports: {log['warning']}")
    return plan, scale * np.asarray(log["u"], dtype=float)


def _verified(c: Array, a: Array, b: Array, plan: Array, f: Array) -> Coupling:
    """The plan as a `Coupling` if its marginals and its gap are right."""
    off = max(np.abs(plan.sum(1) - a).max(), np.abs(plan.sum(0) - b).max())
    if not (off <= 1e-12 and (plan >= 0).all() and np.isfinite(f).all()):
        raise TransportFailed(f"the solver's plan is no coupling: its marginals are off by {off}")
    f, g = feasible_potentials(c, f)
    rows, columns = np.nonzero(plan)
    values = plan[rows, columns]
    dust = np.where(values > 8.0 * _EPS, _DUST, _LIGHT_DUST) * np.minimum(a[rows], b[columns])
    rows, columns, values = without_dust(rows, columns, values, values <= dust, a, b)
    lost, gone = (np.setdiff1d(np.arange(len(w)), k) for w, k in ((a, rows), (b, columns)))
    if lost.size or gone.size:  # masses below rounding go where the potentials say
        rows = np.concatenate([rows, lost, (c[:, gone] - f[:, None]).argmin(axis=0)])
        columns = np.concatenate([columns, (c[lost] - g).argmin(axis=1), gone])
        values = np.concatenate([values, a[lost], b[gone]])
    cost = float(values @ c[rows, columns])
    gap = cost - float(f @ a) - float(g @ b)
    if not gap <= tolerated_gap(cost, float(np.abs(c).max())):
        raise TransportFailed(
            f"the solver's coupling is not proved optimal: its cost is {cost:.17g}, its duality "
            f"gap {gap:.3g}. Costs over too many orders of magnitude do this; rescale the points"
        )
    return Coupling(rows, columns, values, f, g, cost, max(gap, 0.0))


def tolerated_gap(cost: float, largest: float) -> float:
    """The gap below which a coupling counts as optimal: relative, with a floor for rounding."""
    return GAP * abs(cost) + 64 * _EPS * largest


def feasible_potentials(c: Array, f: Array) -> tuple[Array, Array]:
    """(f, g) with f_i + g_j ≤ c_ij, by two c-transforms of f, which can only raise the dual."""
    g = (c - f[:, None]).min(axis=0)
    return (c - g).min(axis=1), g


def _assignment(c: Array, a: Array) -> Coupling:
    """SciPy's assignment; its potentials are shortest paths in the residual graph."""
    from scipy.optimize import linear_sum_assignment

    n = len(c)
    order = linear_sum_assignment(c)[1]
    paired = c[:, order]
    diagonal = np.diagonal(paired).copy()
    f = np.zeros(n)
    for _ in range(min(n, _SWEEPS)):
        raised = diagonal - (paired - f[:, None]).min(axis=0)
        if (raised <= f).all():
            break
        f = raised
    plan = np.zeros((n, n))
    plan[np.arange(n), order] = a
    return _verified(c, a, a, plan, f)
