"""One step of second order in time: JKO steps from where the law before was extrapolated to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..measures.base import Array, Measure, measure_from_arrays
from ..measures.cells import Cells
from ..measures.extrapolation import carried_edges
from ..measures.many import Laws
from ..problem import Problem
from ..record import Witness
from ..status import InvalidMeasure
from ..verdict import Decided, Finding, Verdict, at_most, rejected, undecided
from . import policy
from .evaluate import Rows
from .residual import Steps, steps_of
from .step import evaluated, judged, membership
from .transport import barycentres, certify, entries

KIND = "extrapolated"
STAGE, ONWARDS = 1.0 - math.sqrt(0.5), math.sqrt(2.0)
FOLLOWED = "the law is extrapolated along the coupling of the step before, as its witness gives it"


@dataclass(frozen=True)
class Reached:
    """A law of the run with F there, and how it was reached: X − T(X), its square, τ, and how far
    the square may be from W2²."""

    mu: Measure
    rows: Rows
    away: Array | None = None
    squared: float = math.nan
    tau: float = math.nan
    gap: float = 0.0


def blind_square(new: Reached, old: Reached) -> Array:
    """Rounding error of the squared length of a way."""
    blind = policy.ROUNDING * policy.EPS * (new.rows.extent + old.rows.extent)
    return blind * (2.0 * math.sqrt(new.squared) + blind)


def judged_from(
    problem: Problem, old: Reached, after: Measure, tau: float, witness: Witness, k: int
) -> Any:
    """The findings about a step from ``old``, of one or two minimisations; returns the new law."""
    arrays = witness.arrays
    last = _inner(arrays, "last.")
    middle = {name[7:]: a for name, a in arrays.items() if name.startswith("middle.")}
    alpha = _number(arrays)
    if not middle:
        limit = 0.0
        if old.away is not None:
            ratio = tau / old.tau
            limit = ratio * ratio / (1.0 + 2.0 * ratio)
        elif k > 1:
            raise Decided(undecided("extrapolation", "the map back to the law before is missing"))
        steps, way = yield from _minimised(problem, old, after, tau, alpha, limit, last, k)
        new = _reached(old.mu, after, steps, way, tau, arrays)
        yield _modified(old, new, alpha, tau, k)
        return new
    first = _inner(arrays, "first.")
    between = _measure(old.mu.kind, middle)
    start = Reached(old.mu, old.rows)
    part = STAGE * tau
    steps, way = yield from _minimised(problem, start, between, part, 0.0, 0.0, first, k)
    stage = _reached(old.mu, between, steps, way, STAGE * tau, {"back": _matrix_of(first)})
    rest = tau - STAGE * tau
    steps, _ = yield from _minimised(problem, stage, after, rest, alpha, ONWARDS, last, k)
    if way is not None:
        way = _pulled(last, after, steps.before.mu, way)
    return _reached(old.mu, after, steps, way, tau, arrays)


def _number(arrays: Any) -> float:
    alpha = np.asarray(arrays.get("alpha"))
    if alpha.shape != (1,) or alpha.dtype.kind != "f" or not 0.0 <= alpha[0] < math.inf:
        raise Decided(rejected("extrapolation", "the witness is malformed: alpha"))
    return float(alpha[0])


def _measure(kind: str, arrays: Any) -> Measure:
    try:
        return measure_from_arrays(kind, arrays)
    except (InvalidMeasure, TypeError, ValueError) as error:
        raise Decided(rejected("membership", f"the middle law: {error}")) from None


_KINDS = {"matrix": "symmetric-map", "order": "pairing", "values": "coupling"}


def _inner(arrays: Any, prefix: str) -> Witness | None:
    """A minimisation's own witness; its kind is known by its arrays."""
    own = {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}
    kinds = [kind for name, kind in _KINDS.items() if name in own]
    return Witness(kinds[0] if kinds else "monotone", own) if own else None


def _matrix_of(witness: Witness | None) -> Any:
    return None if witness is None else witness.arrays.get("matrix")


def _minimised(
    problem: Problem, old: Reached, after: Measure, tau: float, alpha: float, limit: float,
    witness: Witness | None, k: int,
) -> Any:  # fmt: skip
    """One minimisation, from old carried on by α; returns it, and where the points were in old."""
    yield _order(alpha, limit, k)
    base, shorter = old.mu, tau
    if alpha > 0.0:
        shorter = tau - alpha * old.tau
        try:
            base, held = _beyond(old, alpha)
        except InvalidMeasure as error:
            raise Decided(rejected("extrapolation", f"α = {alpha:.3g} folds the law: {error}")
                          ) from None  # fmt: skip
        reason = f"{held:.1%} of the extrapolation was held back, lest the law folds"
        doubt = Verdict.UNDECIDED
        yield at_most("extrapolation", held, policy.HELD, (FOLLOWED,), reason, doubt, f"step {k}")
    F, walls, before, new = problem.functional, problem.walls, Laws([base]), Laws([after])
    yield membership(before, new, walls).at(f"step {k}")
    rows = old.rows if base is old.mu else evaluated(F, before).rows
    sizes = np.array([shorter])
    steps = steps_of(F, before, rows, evaluated(F, new), sizes, [witness], k, walls)
    yield from judged(steps)
    if alpha > 0.0:
        yield _competitor(steps, old, alpha)
    way = None if new.gaussian else _pulled(witness, after, base, old.mu.points)
    return steps, way


def _beyond(law: Reached, alpha: float) -> tuple[Measure, float]:
    """The law carried on by α of the way that it came, and the share of it that was held back."""
    assert law.away is not None
    if not isinstance(law.mu, Cells):
        return law.mu.displaced(alpha * law.away), 0.0
    edges = carried_edges(law.mu, law.away[:, 0], alpha)
    held = edges - law.mu.edges - alpha * law.away[:, 0]
    share = math.sqrt(float(law.mu.weights @ held**2)) / (alpha * math.sqrt(law.squared) or 1.0)
    return law.mu.with_edges(edges), share


def _order(alpha: float, limit: float, k: int) -> Finding:
    """α is the scheme's own."""
    off, room = abs(alpha - limit), 8.0 * policy.EPS * limit
    reason = f"extrapolated by α = {alpha:.6g}, where second order takes {limit:.6g}"
    doubt = Verdict.UNDECIDED if alpha < limit else Verdict.REJECTED
    return at_most("second order", off, room, (), reason, doubt, f"step {k}")


def _competitor(s: Steps, old: Reached, alpha: float) -> Finding:
    """F(ρ⁺) + W2²(ρ⁺, y)/(2τ') ≤ F(ρ) + α²D/(2τ')."""
    new, tau = s.new.rows, s.tau
    excess = new.energy + (s.transport.squared - alpha**2 * old.squared) / (2.0 * tau)
    room = old.rows.margin + new.margin + s.blind_square / tau
    reason = "the step is worse than staying"
    return at_most("energy law", float((excess - old.rows.energy)[0]), float(room[0]), (), reason,
                   where=f"step {s.first}")  # fmt: skip


def _modified(old: Reached, new: Reached, alpha: float, tau: float, k: int) -> Finding:
    """F(ρ⁺) + (1−α)D⁺/(2τ') ≤ F(ρ) + αD/(2τ')."""
    shorter = tau - alpha * old.tau if alpha else tau
    paid = (1.0 - alpha) * new.squared - (alpha * old.squared if alpha else 0.0)
    excess = float(new.rows.energy[0] - old.rows.energy[0]) + paid / (2.0 * shorter)
    room = new.rows.margin + old.rows.margin + blind_square(new, old) / shorter
    reason = "the modified energy rises"
    return at_most("modified energy", excess, float(room[0]), (), reason, where=f"step {k}")


def _pulled(witness: Witness | None, after: Measure, base: Measure, values: Array) -> Array:
    """Values at the old points, at the new ones, by the coupling with them that was certified."""
    if witness is not None and witness.kind == "pairing":
        return np.asarray(values[np.asarray(witness.arrays["order"])])
    known = None if witness is None or witness.kind == "monotone" else witness
    rows, columns, shares = entries(after, base, known)
    none = np.zeros((len(after.weights), values.shape[1]))
    return barycentres(rows, shares, values[columns], after.weights, none)


def _reached(
    before: Measure, after: Measure, steps: Steps, way: Array | None, tau: float, arrays: Any
) -> Reached:
    """The new law with X − T(X); between Gaussians T is the map that the witness calls "back"."""
    rows = steps.new.rows
    if way is not None:
        away = after.points - way
        return Reached(after, rows, away, float(after.weights @ (away * away).sum(axis=1)), tau)
    matrix = arrays.get("back")
    if matrix is None and after.dim > 1:
        return Reached(after, rows)
    found = certify(after, before, None if matrix is None else
                    Witness("symmetric-map", {"matrix": matrix}))  # fmt: skip
    if isinstance(found, Finding) or found.finding.verdict is not Verdict.ACCEPTED:
        raise Decided(found if isinstance(found, Finding) else found.finding)
    A = np.asarray(matrix) if matrix is not None else np.sqrt(before.cov() / after.cov())
    shift = after.mean() - before.mean()
    away = shift + (after.points - after.mean()) @ (np.eye(after.dim) - A)
    return Reached(after, rows, away, float(found.squared[0]), tau, float(found.gap[0]))
