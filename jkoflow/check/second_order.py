"""A run of second order in time: JKO steps from extrapolated laws, and the energy law they keep."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..problem import Problem
from ..store.format import Altered, Impossible
from ..verdict import Decided, Finding, Report, rejected, undecided
from . import policy
from .convex import Reference
from .extrapolated import KIND, Reached, blind_square, judged_from
from .functional import guarded
from .run import Walk, completeness, identity, stored, worst_of_each
from .step import told
from .taken import Step, opened, steps_taken


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


class _Walk:
    """Judges the steps in order; knows the last law and how it was reached."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.times, self.count = problem, problem.times, 0
        self.ends = Walk(problem, problem.times)
        self.last: Reached | None = None

    def findings(self, run: Any) -> Iterator[Finding]:
        """All that is to be said of the run."""
        yield guarded("identity", partial(identity, self.problem, run))
        yield from told(self.ends.start(float(run.initial_energy)))
        if self.ends.first is not None:
            self.last = Reached(self.problem.initial, self.ends.first.rows)
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
        self.last = yield from judged_from(self.problem, old, record.measure, tau, witness, k)
        rows = self.last.rows
        yield stored("stored energy", np.array([step.energy]), rows.energy, rows.margin, k)
        squared, blind = np.array([self.last.squared]), blind_square(self.last, old)
        claimed = np.where(np.isnan(record.distance_squared), squared, record.distance_squared)
        # NaN: the run does not say
        yield stored("stored distance", claimed, squared, blind, k, self.last.gap)
