"""A whole run: is it the answer to the question that was asked, step by step?"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..functionals.identity import spec_digest
from ..problem import Problem
from ..status import MissingStructure, Status
from ..store.format import Altered, Impossible, read_run
from . import policy
from .evaluate import Evaluated, evaluate
from .functional import attack, breadth
from .step import blind_square, judged, membership
from .verdict import Finding, Report, Verdict, at_most, rejected, undecided


def check_run(problem: Problem, run: Any) -> Report:
    """Judge a run: its identity, its claims, and every step.

    The question (functional, initial measure, steps) is the asker's ``problem`` and never the
    run's own; the run must say that it answers the same one. Each step is judged as by
    `check_step`; a claim's finding is the worst over the steps. F itself is attacked at the
    first and the last measure. Memory does not grow with the number of steps of a stored run.

    Parameters
    ----------
    problem : Problem
    run : Trajectory, path of a stored run, Directory, or StoredRun

    Returns
    -------
    Report
        A record that was changed, or is senseless, is REJECTED.

    Raises
    ------
    StoreError
        If there is no readable run: nothing to judge.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, Problem, flow
    >>> problem = Problem(Entropy(), Gaussian(0.0, 1.0), tau=0.1, steps=3)
    >>> check_run(problem, flow(problem)).verdict.name
    'ACCEPTED'
    """
    try:
        run = _opened(run)
    except (Altered, Impossible) as error:
        return Report(f"a run of {problem.functional!r}", (rejected("record", str(error)),))
    found: dict[tuple[str, str], Finding] = {}
    walk = Walk(problem)
    for finding in _findings(problem, run, walk):
        key = (finding.claim, "" if finding.where.startswith("step") else finding.where[:7])
        if key not in found or finding.severity > found[key].severity:
            found[key] = finding
    return Report(f"{walk.count} steps of {problem.functional!r}", tuple(found.values()))


def _opened(run: Any) -> Any:
    if isinstance(run, (str, os.PathLike)):
        return read_run(os.fspath(run))
    if not hasattr(run, "records") and not hasattr(run, "head"):
        return read_run(run.path)
    return run


def _findings(problem: Problem, run: Any, walk: Walk) -> Iterator[Finding]:
    yield identity(problem, run)
    try:
        yield from walk.start(float(run.initial_energy))
        for step in _steps(run):
            for finding in walk.step(*step):
                yield finding.at(f"step {walk.count}")
    except (Altered, Impossible) as error:
        yield rejected("record", str(error))
    yield completeness(problem, run.status, walk.count)
    yield from walk.totals()
    for where, here in (("initial", walk.first), ("last", walk.last)):
        if here is not None and walk.first is not None:
            here = replace(here, unit=breadth(walk.first))
            yield from (f.at(f"{where} measure") for f in attack(problem.functional, here, 0))


def identity(problem: Problem, run: Any) -> Finding:
    """Whether the run says that it answers this question."""
    asked, answered = problem.spec(), run.problem.spec()
    different = [k for k in asked if spec_digest(asked[k]) != spec_digest(answered.get(k))]
    reason = f"the run answers another question: its {', '.join(different)} differ"
    return at_most("identity", float(len(different)), 0.0, (), reason)


Step = tuple[int, Any, float, float]


def _steps(run: Any) -> Iterator[Step]:
    """Step number, record (with measure None if not saved), and the run's own time and energy."""
    if hasattr(run, "head"):
        yield from ((s.index, s, s.time, s.energy) for s in run)
        return
    records = list(run.records)
    place = 0
    for k, (time, energy) in enumerate(zip(run.times[1:], run.energies[1:], strict=True), 1):
        saved = place < len(records) and records[place].index == k
        yield k, records[place] if saved else None, float(time), float(energy)
        place += saved
    if place < len(records):
        raise Impossible(f"record {place + 1} is that of step {records[place].index}, which is out "
                         "of order")  # fmt: skip


def completeness(problem: Problem, status: Status, count: int) -> Finding:
    """All steps that were asked for, and at least one."""
    claim = "completeness"
    said = f"{count} of {problem.steps} steps were taken ({status})"
    if count > problem.steps or (count < problem.steps and status is Status.COMPLETE):
        return rejected(claim, said)
    if count < problem.steps or count == 0:
        return undecided(claim, said)
    return at_most(claim, 0.0, 0.0)


@dataclass
class Walk:
    """Judges the steps in order; knows the last measure only."""

    problem: Problem
    count: int = 0
    first: Evaluated | None = None
    last: Evaluated | None = None
    energy: float = math.nan
    dissipated: float = 0.0
    margin: float = 0.0
    whole: bool = True

    def start(self, energy: float) -> Iterator[Finding]:
        """The initial measure is the asker's; the run's energy there must be F's."""
        found = self._evaluated(self.problem.initial)
        if isinstance(found, Finding):
            yield found
            return
        self.first = self.last = found
        self.energy = energy
        yield stored("stored energy", energy, found.energy, found.margin).at("step 0")

    def step(self, index: int, record: Any, time: float, energy: float) -> Iterator[Finding]:
        """The findings of the next step."""
        self.count += 1
        if self.count > self.problem.steps:
            return
        tau, t = self.problem.taus[self.count - 1], self.problem.times[self.count]
        yield stored("time", time, float(t), policy.EPS * self.count * float(t))
        slack = policy.STORED * abs(energy) + (self.last.margin if self.last else 0.0)
        yield at_most("monotone energy", energy - self.energy, slack, (), "the energy rises")
        self.energy = energy
        if record is None or record.measure is None:
            self.last, self.whole = None, False
            yield undecided("evidence", "the step's measure was not saved")
            return
        said = (record.index, record.tau, record.time, record.energy)
        if said != (index, tau, time, energy):
            yield rejected("record", f"says (step, τ, time, energy) = {said}, which is not so")
        yield from self._judged(record, float(tau), energy)

    def _judged(self, record: Any, tau: float, energy: float) -> Iterator[Finding]:
        old, self.last = self.last, None
        before = self.problem.initial if old is None else old.measure
        member = membership(before, record.measure, tau)
        yield member
        if member.verdict is not Verdict.ACCEPTED:
            self.whole = False
            return
        new = self._evaluated(record.measure)
        if isinstance(new, Finding):
            yield new
            return
        self.last = new
        yield stored("stored energy", energy, new.energy, new.margin)
        if old is None:
            yield undecided("evidence", "the measure before the step was not saved")
            return
        for item in judged(self.problem.functional, old, new, tau, record.witness):
            if isinstance(item, Finding):
                yield item
                continue
            blind = blind_square(new, old, item.squared)
            self.dissipated += item.squared / (2.0 * tau)
            self.margin += old.margin + blind / (2.0 * tau)
            if not math.isnan(record.distance_squared):  # NaN: the run does not say
                yield stored("stored distance", record.distance_squared, item.squared, blind)

    def totals(self) -> Iterator[Finding]:
        """Σ W2²/(2τ) ≤ F_0 − F_K over the steps that could be judged."""
        if self.first is None or self.last is None or self.count == 0:
            return
        spent = self.first.energy - self.last.energy
        bound = self.margin + self.last.margin
        reason = "the steps together cost more than the energy they lose"
        yield at_most("total dissipation", self.dissipated - spent, bound, (), reason)

    def _evaluated(self, mu: Any) -> Evaluated | Finding:
        try:
            return evaluate(self.problem.functional, mu)
        except MissingStructure as error:
            return undecided("evaluation", str(error))
        except Exception as error:  # a user's functional may raise anything
            return rejected("evaluation", f"{type(error).__name__}: {error}")


def stored(claim: str, said: float, true: float, margin: float) -> Finding:
    """A number of the record against the same number recomputed."""
    bound = policy.STORED * abs(true) + margin
    reason = f"the run says {said!r}, but it is {true!r}"
    return at_most(claim, abs(said - true) if np.isfinite(said) else math.nan, bound, (), reason)
