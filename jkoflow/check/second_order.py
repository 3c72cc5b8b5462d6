"""A run of second order in time: JKO steps from extrapolated laws, and the energy law they keep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..measures.base import Array, Measure, measure_from_arrays
from ..measures.cells import Cells
from ..measures.extrapolation import carried_edges
from ..measures.many import Laws
from ..problem import Problem
from ..record import Witness
from ..status import InvalidMeasure
from ..store.format import Altered, Impossible
from ..verdict import Decided, Finding, Report, Verdict, at_most, rejected, undecided
from . import policy
from .convex import Reference
from .evaluate import Rows
from .functional import guarded
from .residual import Steps, steps_of
from .run import Walk, completeness, identity, stored, worst_of_each
from .step import evaluated, judged, membership, told
from .taken import Step, opened, steps_taken
from .transport import barycentres, certify, entries

KIND = "extrapolated"
STAGE, ONWARDS = 1.0 - math.sqrt(0.5), math.sqrt(2.0)
FOLLOWED = "the law is extrapolated along the coupling of the step before, as its witness gives it"


def check_second_order(problem: Problem, run: Any) -> Report:
    """Judge a run of `jkoflow.steppers.SecondOrder`: every minimisation, and where it started.

    Step k + 1 is accepted if its witness names an α for which ρ_{k+1} is the JKO step (as
    `check_step` judges one) of size τ' = τ_{k+1} − ατ_k from y, the law that lies beyond ρ_k by α
    of the way from ρ_{k−1}; y is computed here and not believed. A start consists of two such
    minimisations. Besides:

    - "second order": α = ω²/(1 + 2ω) with ω = τ_{k+1}/τ_k (√2 in a start). Less than that is a
      consistent step of first order, and UNDECIDED; more is REJECTED.
    - "extrapolation": edges on the line are held back by 1 % of y's way at most, lest they fold.
    - "energy law": F(ρ_{k+1}) + W2²(ρ_{k+1}, y)/(2τ') ≤ F(ρ_k) + α²D_k/(2τ'), D_k the squared
      length of the way from ρ_{k−1} to ρ_k: ρ_k itself is a competitor.
    - "modified energy": what follows, F(ρ_{k+1}) + (1−α)D_{k+1}/(2τ') ≤ F(ρ_k) + αD_k/(2τ'). For
      equal steps: F(ρ_k) + D_k/(4τ) falls by D_{k+1}/(4τ) at least.

    All else is judged as by `check_run`, but F need not fall from step to step.

    Parameters
    ----------
    problem : Problem
    run : Trajectory, path of a stored run, Directory, or StoredRun

    Raises
    ------
    StoreError
        If there is no readable run.
    InvalidProblem
        If ``problem`` is no problem, or ``run`` no run.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, Problem, check_run, flow
    >>> from jkoflow.steppers import SecondOrder
    >>> problem = Problem(Entropy(), Gaussian(0.0, 1.0), tau=0.1, steps=3)
    >>> run = flow(problem, SecondOrder())
    >>> check_second_order(problem, run).verdict.name, check_run(problem, run).verdict.name
    ('ACCEPTED', 'REJECTED')
    """
    try:
        run = opened(problem, run)
    except (Altered, Impossible) as error:
        return Report(f"a run of {problem.functional!r}", (rejected("record", str(error)),))
    walk = _Walk(problem)
    found = worst_of_each(map(walk.ends.eased, walk.findings(run)))
    return Report(f"{walk.count} second-order steps of {problem.functional!r}", found)


@dataclass(frozen=True)
class _Law:
    """A law of the run with F there, and how it was reached: X − T(X), its square, and τ."""

    mu: Measure
    rows: Rows
    away: Array | None = None
    squared: float = math.nan
    tau: float = math.nan


class _Walk:
    """Judges the steps in order; knows the last law and how it was reached."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.times, self.count = problem, problem.times, 0
        self.ends = Walk(problem, problem.times)
        self.last: _Law | None = None

    def findings(self, run: Any) -> Iterator[Finding]:
        """All that is to be said of the run."""
        yield guarded("identity", partial(identity, self.problem, run))
        yield from told(self.ends.start(float(run.initial_energy)))
        if self.ends.first is not None:
            self.last = _Law(self.problem.initial, self.ends.first.rows)
        try:
            for step in steps_taken(run, self.problem.steps):
                self.count += 1
                yield from told(self._step(step), f"step {self.count}")
        except (Altered, Impossible) as error:
            yield rejected("record", str(error))
        yield completeness(self.problem, run.status, self.count)
        if self.last is not None:
            self.ends.last = Reference(self.last.mu, self.last.rows)
            yield from self.ends.attacks()

    def _step(self, step: Step) -> Iterator[Finding]:
        k, old, self.last = self.count, self.last, None
        if k > self.problem.steps:
            return
        tau, record = float(self.problem.taus[k - 1]), step.record
        slack = policy.EPS * k * self.times[k : k + 1]
        yield stored("time", np.array([step.time]), self.times[k : k + 1], slack, k)
        if step.measure is None or old is None:
            raise Decided(undecided("evidence", "the measure, or the one before, was not saved"))
        if reason := step.contradiction(tau):
            raise Decided(rejected("record", reason))
        if step.number != k:
            raise Decided(rejected("record", f"step {step.number} comes in its place"))
        witness = record.witness
        if witness is None or witness.kind != KIND:
            reason = "the witness does not say from where the step was taken"
            raise Decided(undecided("extrapolation", reason))
        self.last = yield from _judged(self.problem, old, record.measure, tau, witness, k)
        rows = self.last.rows
        yield stored("stored energy", np.array([step.energy]), rows.energy, rows.margin, k)
        squared, blind = np.array([self.last.squared]), _blind_square(self.last, old)
        claimed = np.where(np.isnan(record.distance_squared), squared, record.distance_squared)
        yield stored("stored distance", claimed, squared, blind, k)  # NaN: the run does not say


def _blind_square(new: _Law, old: _Law) -> Array:
    """Rounding error of the squared length of a way."""
    blind = policy.ROUNDING * policy.EPS * (new.rows.extent + old.rows.extent)
    return blind * (2.0 * math.sqrt(new.squared) + blind)


def _judged(
    problem: Problem, old: _Law, after: Measure, tau: float, witness: Witness, k: int
) -> Any:
    """The findings about a step of one or two minimisations; returns the new law."""
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
    start = _Law(old.mu, old.rows)
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
    problem: Problem, old: _Law, after: Measure, tau: float, alpha: float, limit: float,
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


def _beyond(law: _Law, alpha: float) -> tuple[Measure, float]:
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


def _competitor(s: Steps, old: _Law, alpha: float) -> Finding:
    """F(ρ⁺) + W2²(ρ⁺, y)/(2τ') ≤ F(ρ) + α²D/(2τ')."""
    new, tau = s.new.rows, s.tau
    excess = new.energy + (s.transport.squared - alpha**2 * old.squared) / (2.0 * tau)
    room = old.rows.margin + new.margin + s.blind_square / tau
    reason = "the step is worse than staying"
    return at_most("energy law", float((excess - old.rows.energy)[0]), float(room[0]), (), reason,
                   where=f"step {s.first}")  # fmt: skip


def _modified(old: _Law, new: _Law, alpha: float, tau: float, k: int) -> Finding:
    """F(ρ⁺) + (1−α)D⁺/(2τ') ≤ F(ρ) + αD/(2τ')."""
    shorter = tau - alpha * old.tau if alpha else tau
    paid = (1.0 - alpha) * new.squared - (alpha * old.squared if alpha else 0.0)
    excess = float(new.rows.energy[0] - old.rows.energy[0]) + paid / (2.0 * shorter)
    room = new.rows.margin + old.rows.margin + _blind_square(new, old) / shorter
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
) -> _Law:
    """The new law with X − T(X); between Gaussians T is the map that the witness calls "back"."""
    rows = steps.new.rows
    if way is not None:
        away = after.points - way
        return _Law(after, rows, away, float(after.weights @ (away * away).sum(axis=1)), tau)
    matrix = arrays.get("back")
    if matrix is None and after.dim > 1:
        return _Law(after, rows)
    found = certify(after, before, None if matrix is None else
                    Witness("symmetric-map", {"matrix": matrix}))  # fmt: skip
    if isinstance(found, Finding) or found.finding.verdict is not Verdict.ACCEPTED:
        raise Decided(found if isinstance(found, Finding) else found.finding)
    A = np.asarray(matrix) if matrix is not None else np.sqrt(before.cov() / after.cov())
    shift = after.mean() - before.mean()
    away = shift + (after.points - after.mean()) @ (np.eye(after.dim) - A)
    return _Law(after, rows, away, float(found.squared[0]), tau)
