"""W2² certified by arithmetic on a witness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..measures.base import Array, Measure
from ..measures.many import Laws
from ..measures.order import monotone_coupling
from ..record import Witness
from ..verdict import Decided, Finding, Verdict, at_most, rejected, undecided, worst
from . import policy

CLAIM = "transport"
_TINY = 1e-300  # keeps the zero matrix, the map onto a point, positive
_BLOCK = 2**19  # entries of the cost matrix held at once


class Transport(NamedTuple):
    """W2² of K steps (K,); X − T(X), T(X_i) the barycentre of where X_i came from, given as the
    gradients of a `Stack` are; spread Σ π_ij |x_j − T_i|² (K,), zero if the coupling is a map; how
    far W2² may be from that of the laws (K,); and the finding about the step that is the least
    certain."""

    squared: Array
    away: Array
    spread: Array
    gap: Array
    finding: Finding


def certify(after: Measure, before: Measure, witness: Witness | None) -> Transport | Finding:
    """W2²(after, before) with the finding that certifies it, or the finding that does not."""
    try:
        return certify_all(Laws([after]), Laws([before]), [witness])
    except Decided as decided:
        return decided.finding


def certify_all(
    after: Laws, before: Laws, witnesses: Sequence[Witness | None]
) -> Transport:
    """For K steps that end in alike measures; raises `Decided` where a witness proves nothing."""
    if after.gaussian:
        return _maps(after, before, witnesses)
    if after.x.shape[2] == 1 and all(w is None or w.kind == "monotone" for w in witnesses):
        a, b = after.w, before.w
        same = len(a) == len(b) and (np.abs(a - b) <= policy.MASS * a).all()
        if same and after.in_order and before.in_order:
            away = after.x - before.x
            squared = (away * away)[..., 0] @ a
            none = np.zeros_like(squared)
            return Transport(squared, away, none, none, at_most(CLAIM, 0.0, 0.0))
    if len(after) == 1:
        return _coupled(after.mu, before.mu, witnesses[0])
    steps = zip(after.measures, before.measures, witnesses, strict=True)
    found = [certify_all(Laws([mu]), Laws([nu]), [witness]) for mu, nu, witness in steps]
    squared, away, spread, gap = (np.concatenate([t[k] for t in found]) for k in range(4))
    least = max((t.finding for t in found), key=lambda f: f.severity)
    return Transport(squared, away, spread, gap, least)


def _false(reason: str) -> Decided:
    return Decided(rejected(CLAIM, reason))


def arrays_of(
    witnesses: Sequence[Witness], name: str, shape: tuple[int, ...], kinds: str = "biuf"
) -> Any:
    """An array of each witness, stacked, if they are: of this shape, real and finite."""
    found = [np.asarray(witness.arrays.get(name)) for witness in witnesses]
    if all(a.dtype.kind in kinds and a.shape == shape for a in found):
        if np.isfinite(stack := np.array(found, dtype=int if kinds == "iu" else float)).all():
            return stack
    what = "integers" if kinds == "iu" else "finite numbers"
    raise _false(f"the witness is malformed: {name} must be {what} of shape {shape}")


def array_of(witness: Witness, name: str, shape: tuple[int, ...], kinds: str = "biuf") -> Any:
    """An array of one witness, likewise."""
    return arrays_of([witness], name, shape, kinds)[0]


def entries(after: Measure, before: Measure, witness: Witness | None) -> Any:
    """Rows, columns and values of the coupling; without a witness, the monotone one."""
    X, x, n = after.points, before.points, len(after.weights)
    if witness is None and X.shape[1] == 1:
        return monotone_coupling(X[:, 0], after.weights, x[:, 0], before.weights)
    if witness is None:
        raise Decided(undecided(CLAIM, "no witness for the transport: `complete` finds one"))
    if witness.kind == "pairing":
        return np.arange(n), array_of(witness, "order", (n,), "iu"), after.weights
    if witness.kind in ("coupling", "grid"):
        k = np.shape(witness.arrays.get("values", ()))[:1] or (0,)
        integers = (array_of(witness, name, k, "iu") for name in ("rows", "columns"))
        return *integers, array_of(witness, "values", k)
    if witness.kind == "monotone":
        raise _false("a monotone witness needs sorted points with the same masses")
    raise _false(f"a {witness.kind!r} witness does not fit a {after.kind} measure")


def _coupled(after: Measure, before: Measure, witness: Witness | None) -> Transport:
    """Marginals by addition; optimality by potentials, on the line by the north-west corner."""
    squared, target, (rows, columns, values) = coupling_cost(after, before, witness)
    finding = at_most(CLAIM, 0.0, 0.0)
    if witness is not None and {"f", "g"} & witness.arrays.keys():
        f, g = (array_of(witness, n, mu.weights.shape) for n, mu in (("f", after), ("g", before)))
        finding = duality(after, before, squared, f, g)
    # a mesh's nodes that change places take simplices' masses along, which W2 of nodes cannot see
    kept = after.kind != "mesh" or not values[rows != columns].any()
    if finding.verdict is Verdict.ACCEPTED and witness and not (kept and "f" in witness.arrays):
        raise Decided(undecided(CLAIM, "no potentials prove the coupling, `complete` finds them"
                                if kept else "nodes of the mesh change places"))
    spread = float(values @ ((before.points[columns] - target[rows]) ** 2).sum(axis=1))
    squares = np.array([[squared], [spread], [finding.measured]])
    return Transport(squares[0], (after.points - target)[None], squares[1], squares[2], finding)


def _require_marginals(rows: Array, columns: Array, values: Array, a: Array, b: Array) -> None:
    """That entries are those of a coupling of the masses a (rows) and b (columns)."""
    sides = ((rows, a), (columns, b))
    known = all(k.min(initial=0) >= 0 and k.max(initial=0) < len(w) for k, w in sides)
    if not (known and (values >= 0).all()):
        raise _false("the coupling has negative entries, or names points that do not exist")
    off = max((np.abs(np.bincount(k, values, len(w)) - w) - policy.MASS * w).max()
              for k, w in sides)  # fmt: skip
    if not off <= policy.EPS:
        raise _false(f"the coupling's marginals are wrong by {off:.3g}")


def coupling_cost(after: Measure, before: Measure, witness: Witness | None) -> Any:
    """Σ π_ij |X_i − x_j|², an upper bound of W2², T_i, and the `entries` of the coupling."""
    rows, columns, values = entries(after, before, witness)
    _require_marginals(rows, columns, values, after.weights, before.weights)
    x = before.points[columns]
    moved = after.points[rows] - x
    came = barycentres(rows, values, x, after.weights, after.points)
    return float(values @ (moved * moved).sum(axis=1)), came, (rows, columns, values)


def barycentres(rows: Any, values: Array, x: Array, weights: Array, without: Array) -> Array:
    """Means (n, d) of the x (k, d) that entries of a coupling bring to each of its n rows.

    Rows without weight have ``without``.
    """
    sums = np.stack([np.bincount(rows, values * y, len(weights)) for y in x.T], axis=1)
    held = weights[:, None] > 0
    return np.asarray(np.divide(sums, weights[:, None], out=without.copy(), where=held))


def duality(after: Measure, before: Measure, squared: float, f: Array, g: Array) -> Finding:
    """f − v and g are feasible, v_i = max_j (f_i + g_j − |X_i − x_j|²)₊: so the gap is certified.

    Each pair is given its own rounding, as if it spoke against the claim: points far away, or
    with huge potentials, neither hide others nor count beyond their mass, those without at all.
    """
    (a, x, f), (b, y, g) = ([array[mu.weights > 0] for array in (mu.weights, mu.points, potential)]
                            for mu, potential in ((after, f), (before, g)))  # fmt: skip
    shift, centre = float(a @ f), a @ x  # of no consequence, but for rounding
    f, g, x, y = f - shift, g + shift, x - centre, y - centre
    xx, yy, unit = (x * x).sum(axis=1), (y * y).sum(axis=1), policy.ROUNDING * policy.EPS
    error_x, error_y = unit * (np.abs(f) + xx), unit * (np.abs(g) + yy)
    left = np.column_stack([2.0 * x, f - xx + error_x, np.ones(len(x))])
    right = np.column_stack([y, np.ones(len(y)), g - yy + error_y]).T
    violation, block = 0.0, max(1, _BLOCK // len(y))
    for k in range(0, len(x), block):
        v = (left[k : k + block] @ right).max(axis=1)
        violation += float(a[k : k + block] @ np.maximum(0.0, v))
    gap = max(violation, squared - float(a @ f + b @ g) + violation)
    bound = policy.TRANSPORT_GAP * squared + 4.0 * float(a @ error_x + b @ error_y)
    reason = "the dual potentials do not show that the coupling is optimal"
    hidden = bound + unit**2 * float(a @ ((x + centre) ** 2).sum(axis=1))  # by the coordinates
    doubt = Verdict.UNDECIDED if gap <= hidden else Verdict.REJECTED
    return at_most(CLAIM, gap, bound, (), reason, doubt)


def _maps(after: Laws, before: Laws, witnesses: Sequence[Witness | None]) -> Transport:
    """A symmetric and positive, and AΣ⁺A = Σ: the gradient of a convex function."""
    steps = zip(witnesses, after.measures, before.measures, strict=True)
    A = arrays_of([_map(*step) for step in steps], "matrix", (after.mu.dim, after.mu.dim))
    room = 1e-12 * np.abs(A).max(axis=(1, 2))
    if (np.abs(A - np.swapaxes(A, 1, 2)).max(axis=(1, 2)) > room).any():
        raise _false("the map's matrix is not symmetric, hence no gradient")
    try:
        np.linalg.cholesky(A + (room + _TINY)[:, None, None] * np.eye(after.mu.dim))
    except np.linalg.LinAlgError:
        raise _false("the map's matrix is not positive, hence not optimal") from None
    moved = A @ (after.vectors * after.std[:, None, :])
    away = after.stretches(after.means - before.means, after.std)
    away[:, 1:] -= np.swapaxes(after.vectors, 1, 2) @ moved
    squared = (away * away).sum(axis=(1, 2))
    hidden = policy.EPS * (16.0 * (before.std**2).sum(axis=1) + (after.std**2).max(axis=1))
    breadth = policy.MAP * np.linalg.norm(before.std, axis=1)
    bound = np.minimum(1e4 * policy.MAP * np.sqrt(squared), breadth)
    off = before.widened(moved @ np.swapaxes(moved, 1, 2) - before.covariances, hidden, bound)
    reason = "the map does not take the new law to the old one"
    doubt = lambda k: Verdict.UNDECIDED if off[k] <= 1e-3 * breadth[k] else Verdict.REJECTED  # noqa: E731
    finding = worst(CLAIM, off, bound, (), reason, doubt)
    thin = before.std.min(axis=1)  # and what a variance does not show of a standard deviation
    missed = off + hidden / (np.sqrt(thin * thin + hidden) + thin + _TINY)
    gap = missed * (2.0 * np.sqrt(squared) + missed)
    return Transport(squared, away, np.zeros_like(gap), gap, finding)


def _map(witness: Witness | None, after: Any, before: Any) -> Witness:
    """The witness of a map; on the line it is known without one."""
    if witness is None and after.dim == 1 and after.cov()[0, 0] > 0:
        return Witness("symmetric-map", {"matrix": np.sqrt(before.cov() / after.cov())})
    if witness is None:
        raise Decided(undecided(CLAIM, "no witness for the optimal map: `complete` finds it"))
    if witness.kind != "symmetric-map":
        raise _false(f"a {witness.kind!r} witness does not fit Gaussians")
    return witness
