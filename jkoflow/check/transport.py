"""W2² certified by arithmetic on a witness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..measures.base import Array, Measure
from ..measures.cubature import normal_cubature
from ..record import Witness
from . import policy
from .many import Laws, alike
from .verdict import Finding, at_most, rejected, undecided

CLAIM = "transport"
NOTHING_OFF = at_most(CLAIM, 0.0, 0.0)
_TINY = 1e-300  # keeps the zero matrix, the map onto a point, positive
_BLOCK = 2**19  # entries of the cost matrix held at once


@dataclass(frozen=True)
class Transport:
    """A certified W2²; ``target`` is the barycentre T(X_i) of where each new point came from.

    ``spread`` is Σ π_ij |x_j − T_i|², zero if the coupling is a map.
    """

    squared: float
    target: Array
    spread: float
    finding: Finding


def certify(after: Measure, before: Measure, witness: Witness | None) -> Transport | Finding:
    """W2²(after, before) with the finding that certifies it, or the finding that does not."""
    if after.kind == "gaussian":
        found = _gaussians(Laws([after]), Laws([before]), [witness])
        if isinstance(found, Finding):
            return found
        field = found.away[0, 0] + normal_cubature(after.dim)[0] @ found.away[0, 1:]
        return Transport(float(found.squared[0]), after.points - field, 0.0, found.finding)
    if after.points.shape[1] == 1 and (witness is None or witness.kind == "monotone"):
        return _line(after, before, witness)
    if witness is None:
        return undecided(CLAIM, "no witness: W2² above dimension one is not certified without")
    try:
        entries = _entries(after, before, witness)
        f, g = _vector(witness, "f", after), _vector(witness, "g", before)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        return rejected(CLAIM, f"the witness is malformed: {error}")
    return _coupling(after, before, entries, f, g)


Entries = tuple[Any, Any, Array]


def monotone_coupling(x: Array, a: Array, y: Array, b: Array) -> Entries:
    """Entries (i, j, π_ij) of the optimal coupling on the line, by the north-west corner rule.

    Examples
    --------
    >>> i, j, p = monotone_coupling(np.array([0.0, 1.0]), np.array([0.5, 0.5]),
    ...                             np.array([3.0, 2.0]), np.array([0.25, 0.75]))
    >>> i, j, p
    (array([0, 1, 1]), array([1, 1, 0]), array([0.5 , 0.25, 0.25]))
    """
    order_x, order_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    up_x, up_y = np.cumsum(a[order_x]), np.cumsum(b[order_y])
    levels = np.union1d(up_x, up_y)
    values = np.diff(levels, prepend=0.0)
    middle = levels - 0.5 * values
    i = np.minimum(np.searchsorted(up_x, middle), len(x) - 1)
    j = np.minimum(np.searchsorted(up_y, middle), len(y) - 1)
    return order_x[i], order_y[j], values


def _line(after: Measure, before: Measure, witness: Witness | None) -> Transport | Finding:
    x, y, a, b = after.points[:, 0], before.points[:, 0], after.weights, before.weights
    same = len(a) == len(b) and bool((np.abs(a - b) <= policy.MASS * a).all())
    if same and (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all():
        return Transport(float(a @ (x - y) ** 2), before.points, 0.0, NOTHING_OFF)
    if witness is not None:
        return rejected(CLAIM, "a monotone witness needs sorted points with the same masses")
    entries = monotone_coupling(x, a, y, b)
    return Transport(*_moments(after, before, entries), NOTHING_OFF)


def _moments(after: Measure, before: Measure, entries: Entries) -> tuple[float, Array, float]:
    rows, columns, values = entries
    moved = after.points[rows] - before.points[columns]
    squared = float(values @ np.einsum("ij,ij->i", moved, moved))
    target = np.zeros_like(after.points)
    np.add.at(target, rows, values[:, None] * before.points[columns])
    positive = after.weights > 0
    target[positive] /= after.weights[positive, None]
    target[~positive] = after.points[~positive]
    off = before.points[columns] - target[rows]
    return squared, target, float(values @ np.einsum("ij,ij->i", off, off))


def _numbers(witness: Witness, name: str) -> Array:
    array = np.asarray(witness.arrays[name])
    if np.iscomplexobj(array):
        raise ValueError(f"{name} is complex")
    return array.astype(float, copy=False)


def _vector(witness: Witness, name: str, mu: Measure) -> Array:
    v = _numbers(witness, name)
    if v.shape != mu.weights.shape:
        raise ValueError(f"{name} has shape {v.shape}, not {mu.weights.shape}")
    if not np.isfinite(v).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return v


def _entries(after: Measure, before: Measure, witness: Witness) -> Entries:
    arrays: Mapping[str, Array] = witness.arrays
    if witness.kind == "pairing":
        order = np.asarray(arrays["order"])
        if order.dtype.kind not in "iu" or order.shape != after.weights.shape:
            raise ValueError("order must hold one integer for each point")
        return np.arange(len(order)), order, np.array(after.weights)
    if witness.kind != "coupling":
        raise ValueError(f"a {witness.kind!r} witness does not fit a {after.kind} measure")
    rows, columns = np.asarray(arrays["rows"]), np.asarray(arrays["columns"])
    values = _numbers(witness, "values")
    if rows.dtype.kind not in "iu" or columns.dtype.kind not in "iu":
        raise ValueError("rows and columns must be integers")
    if not rows.shape == columns.shape == values.shape or values.ndim != 1:
        raise ValueError("rows, columns and values must be vectors of one length")
    return rows, columns, values


def _coupling(
    after: Measure, before: Measure, entries: Entries, f: Array, g: Array
) -> Transport | Finding:
    rows, columns, values = entries
    a, b = after.weights, before.weights
    if min(rows.min(initial=0), columns.min(initial=0)) < 0 or not (values >= 0).all():
        return rejected(CLAIM, "the coupling has negative entries or indices")
    if rows.max(initial=0) >= len(a) or columns.max(initial=0) >= len(b):
        return rejected(CLAIM, "the coupling names points that do not exist")
    off = np.abs(np.bincount(rows, values, len(a)) - a) - policy.MASS * a
    off_b = np.abs(np.bincount(columns, values, len(b)) - b) - policy.MASS * b
    excess = float(max(off.max(), off_b.max()))
    if not excess <= policy.EPS:
        return rejected(CLAIM, f"the coupling's marginals are wrong by {excess:.3g}")
    squared, target, spread = _moments(after, before, entries)
    shift = float(a @ f)  # of no consequence, but for rounding
    f, g = f - shift, g + shift
    # lowered by their violations, f and g are feasible, which certifies the gap
    violation, rounding = dual_violation(after, before, f, g)
    gap = squared - float(a @ f + b @ g) + violation
    bound = policy.TRANSPORT_GAP * squared + 4.0 * rounding
    reason = "the dual potentials do not show that the coupling is optimal"
    measured = max(gap, violation)
    return Transport(squared, target, spread, at_most(CLAIM, measured, bound, (), reason))


def dual_violation(after: Measure, before: Measure, f: Array, g: Array) -> tuple[float, float]:
    """Σ_i w_i max(0, max_j f_i + g_j − |x_i − y_j|²), and the error of rounding in it.

    Each pair is given its own rounding, as if it spoke against the claim: points far away, or
    with huge potentials, neither hide others nor count beyond their mass.
    """
    a, b = after.weights, before.weights
    x, y = after.points - a @ after.points, before.points - a @ after.points
    xx, yy = (x * x).sum(axis=1), (y * y).sum(axis=1)
    unit = policy.ROUNDING * policy.EPS
    error_x, error_y = unit * (np.abs(f) + xx), unit * (np.abs(g) + yy)
    left = np.column_stack([2.0 * x, f - xx + error_x, np.ones(len(x))])
    right = np.column_stack([y, np.ones(len(y)), g - yy + error_y]).T
    total, block = 0.0, max(1, _BLOCK // len(y))
    for k in range(0, len(x), block):
        rows = slice(k, k + block)
        total += float(a[rows] @ np.maximum(0.0, (left[rows] @ right).max(axis=1)))
    return total, float(a @ error_x + b @ error_y)


@dataclass(frozen=True)
class Carried:
    """K certified transports: W2² (K,); X − T(X), given as the gradients of a `Stack` are;
    spread (K,); and the finding about the one that is the least certain."""

    squared: Array
    away: Array
    spread: Array
    finding: Finding


def certify_all(
    after: Laws, before: Sequence[Any], witnesses: Sequence[Witness | None]
) -> Carried | Finding:
    """`certify` for K steps that end in alike measures."""
    if after.gaussian:
        return _gaussians(after, Laws(before), witnesses)
    believed = all(witness is None or witness.kind == "monotone" for witness in witnesses)
    if believed and hasattr(after.mu, "edges") and alike(after.mu, before[0]):
        away = after.x - np.array([mu.points for mu in before])
        squares = away * away
        return Carried(squares[..., 0] @ after.w, away, np.zeros(len(after)), NOTHING_OFF)
    found = []
    for triple in zip(after.measures, before, witnesses, strict=True):
        transport = certify(*triple)
        if isinstance(transport, Finding):
            return transport
        found.append(transport)
    return Carried(
        np.array([t.squared for t in found]),
        after.x - np.array([t.target for t in found]),
        np.array([t.spread for t in found]),
        max((t.finding for t in found), key=lambda f: f.severity),
    )


def _gaussians(
    after: Laws, before: Laws, witnesses: Sequence[Witness | None]
) -> Carried | Finding:
    matrices = []
    for triple in zip(witnesses, after.measures, before.measures, strict=True):
        matrix = _matrix(*triple)
        if isinstance(matrix, Finding):
            return matrix
        matrices.append(matrix)
    A, root = np.array(matrices), after.powers(1.0)
    if not np.isfinite(A).all():
        return rejected(CLAIM, "the map's matrix is not finite")
    room = 1e-12 * np.abs(A).max(axis=(1, 2))
    if (np.abs(A - np.swapaxes(A, 1, 2)).max(axis=(1, 2)) > room).any():
        return rejected(CLAIM, "the map's matrix is not symmetric, hence no gradient")
    try:
        np.linalg.cholesky(A + (room + _TINY)[:, None, None] * np.eye(after.mu.dim))
    except np.linalg.LinAlgError:
        return rejected(CLAIM, "the map's matrix is not positive, hence not optimal")
    moved = root @ A
    old = np.array([mu.cov() for mu in before.measures])
    error = np.linalg.norm(np.swapaxes(moved, 1, 2) @ moved - old, axis=(1, 2))
    bound = policy.MAP * np.linalg.norm(old, axis=(1, 2))
    bound += policy.EPS * (after.std**2).max(axis=1)
    k = int(np.argmax(np.where(error <= bound, error - bound, np.inf)))
    reason = "the map does not take the new law to the old one"
    finding = at_most(CLAIM, error[k], bound[k], (), reason)
    away = np.concatenate([(after.means - before.means)[:, None], root - moved], axis=1)
    return Carried((away * away).sum(axis=(1, 2)), away, np.zeros(len(A)), finding)


def _matrix(witness: Witness | None, after: Any, before: Any) -> Array | Finding:
    """The matrix that the witness gives for the optimal map; no checks but of its shape."""
    if witness is None and after.dim == 1 and after.cov()[0, 0] > 0:
        return np.sqrt(before.cov() / after.cov())
    if witness is None:
        return undecided(CLAIM, "no witness: the optimal map between the Gaussians was not given")
    if witness.kind != "symmetric-map" or "matrix" not in witness.arrays:
        return rejected(CLAIM, f"a {witness.kind!r} witness does not fit Gaussians")
    try:
        matrix = _numbers(witness, "matrix")
    except (TypeError, ValueError) as error:
        return rejected(CLAIM, f"the witness is malformed: {error}")
    if matrix.shape != (after.dim, after.dim):
        return rejected(CLAIM, f"the map's matrix has shape {matrix.shape}")
    return matrix
