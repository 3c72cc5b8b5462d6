"""A whole run: is it the answer to the question that was asked, step by step?"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from ..functionals.identity import spec_digest
from ..measures.base import Array
from ..problem import Problem
from ..status import Status
from ..store.format import Altered, Impossible, read_run
from . import policy
from .convex import Dissipation, Reference, against, modulus, slope_decay
from .evaluate import evaluate
from .functional import attack, breadth, guarded
from .many import Noise, Stack, alike
from .step import Steps, evaluated, judged, membership, steps_of, worst
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
        for block in blocks(_steps(run)):
            yield from walk.take(block)
    except (Altered, Impossible) as error:
        yield rejected("record", str(error))
    yield completeness(problem, run.status, walk.count)
    yield from walk.totals()
    yield from walk.attacks()


def identity(problem: Problem, run: Any) -> Finding:
    """Whether the run says that it answers this question."""
    asked, answered = problem.spec(), run.problem.spec()
    different = [k for k in asked if spec_digest(asked[k]) != spec_digest(answered.get(k))]
    reason = f"the run answers another question: its {', '.join(different)} differ"
    return at_most("identity", float(len(different)), 0.0, (), reason)


class Step(NamedTuple):
    """A step's number, its record (None if not saved), and the run's own time and energy."""

    number: int
    record: Any
    time: float
    energy: float

    @property
    def measure(self) -> Any:
        """The measure after the step, or None."""
        return None if self.record is None else self.record.measure


def _steps(run: Any) -> Iterator[Step]:
    if hasattr(run, "head"):
        yield from (Step(s.index, s, s.time, s.energy) for s in run)
        return
    records = list(run.records)
    place = 0
    for k, (time, energy) in enumerate(zip(run.times[1:], run.energies[1:], strict=True), 1):
        saved = place < len(records) and records[place].index == k
        yield Step(k, records[place] if saved else None, float(time), float(energy))
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


_AGAIN = 128  # steps after which rounding errors are measured again
_BLOCK = 2**16  # numbers of a block's positions: arrays of half a megabyte


def blocks(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Consecutive steps whose measures can stand in one stack; one without a measure is alone."""
    block: list[Step] = []
    size = 0
    try:
        for step in steps:
            mu = step.measure
            if block and (mu is None or size > _BLOCK or not alike(block[0].measure, mu)):
                yield block
                block, size = [], 0
            block.append(step)
            if mu is None:
                yield block
                block = []
            else:
                size += _size(mu)
    except (Altered, Impossible):
        if block:
            yield block
        raise
    if block:
        yield block


def _settled(f: Finding) -> bool:
    """Accepted, or undecided for want of a claim, which a closer look will not find."""
    wanting = f.claim == "minimality" and math.isnan(f.measured)
    return f.verdict is Verdict.ACCEPTED or (wanting and f.verdict is Verdict.UNDECIDED)


def _size(mu: Any) -> int:
    """How many numbers the judge works with for one measure."""
    return int(4 * mu.dim**2 if mu.kind == "gaussian" else mu.points.size)


@dataclass
class Walk:
    """Judges the steps in order; knows the last measure and two others to compare with."""

    problem: Problem
    count: int = 0
    first: Reference | None = None
    last: Reference | None = None
    other: Reference | None = None
    energy: float = math.nan
    noise: Noise | None = None
    due: int = 0
    dissipated: float = 0.0
    margin: float = 0.0
    dissipation: Dissipation = field(default_factory=Dissipation)

    @cached_property
    def times(self) -> Array:
        """The asker's times."""
        return self.problem.times

    def start(self, energy: float) -> Iterator[Finding]:
        """The initial measure is the asker's; the run's energy there must be F's."""
        found = evaluated(self.problem.functional, [self.problem.initial])
        self.energy = energy
        if isinstance(found, Finding):
            yield found
            return
        self.first = self.last = Reference(self.problem.initial, found.rows)
        said = stored("stored energy", np.array([energy]), found.rows.energy, found.rows.margin)
        yield said.at("step 0")

    def take(self, block: list[Step]) -> Iterator[Finding]:
        """The findings of the next steps: all at once if all is well, else one by one.

        Rounding is measured whenever the number of steps has doubled, or 128 more were taken,
        and wherever it matters.
        """
        if len(block) > 1 or (self.noise is not None and self.count + 1 < self.due):
            memory = replace(self, dissipation=replace(self.dissipation))
            found = list(self._judged(block, fresh=False))
            if found and all(_settled(f) for f in found):
                yield from found
                return
            vars(self).update(vars(memory))
        for step in block:
            yield from self._judged([step], fresh=True)

    def _judged(self, block: list[Step], fresh: bool) -> Iterator[Finding]:
        start, problem = self.count + 1, self.problem
        self.count += len(block)
        if self.count > problem.steps:
            return
        taus = np.asarray(problem.taus[start - 1 : self.count], dtype=float)
        yield from self._said(block, start, taus)
        measures, old = [step.measure for step in block], self.last
        self.last = None
        if measures[0] is None:
            yield undecided("evidence", "the step's measure was not saved", f"step {start}")
            return
        before = problem.initial if old is None else old.measure
        member = membership(before, measures[0], float(taus[0])).at(f"step {start}")
        yield member
        if member.verdict is not Verdict.ACCEPTED:
            return
        if len(block) > 1 and (old is None or not alike(before, measures[0])):
            yield undecided("evidence", "these steps are to be looked at one by one")
            return
        new = self._evaluated(measures, fresh)
        if isinstance(new, Finding):
            yield new.at(f"step {start}")
            return
        if not sound(new):
            yield rejected("membership", "edges are not sorted, or not finite", f"step {start}")
            return
        self.last = Reference(measures[-1], new.rows.last())
        energies = np.array([step.energy for step in block])
        yield stored("stored energy", energies, new.rows.energy, new.rows.margin, start)
        if old is None:
            yield undecided("evidence", "the measure before was not saved", f"step {start}")
            return
        witnesses = [step.record.witness for step in block]
        steps = steps_of(
            problem.functional, [before, *measures[:-1]], old.rows.before(new.rows), new, taus,
            witnesses, start,
        )  # fmt: skip
        if isinstance(steps, Finding):
            yield steps
            return
        yield from judged(steps)
        yield from self._consequences(steps)
        self.dissipated += float((steps.transport.squared / (2.0 * taus)).sum())
        self.margin += float((steps.old.margin + steps.blind_square / (2.0 * taus)).sum())
        said = np.array([float(step.record.distance_squared) for step in block])
        known = ~np.isnan(said)  # NaN: the run does not say
        if known.any():
            true = np.where(known, steps.transport.squared, 0.0)
            said = np.where(known, said, 0.0)
            yield stored("stored distance", said, true, steps.blind_square, start)

    def _said(self, block: list[Step], start: int, taus: Array) -> Iterator[Finding]:
        """What the run says of its steps without their measures."""
        times = self.times[start : self.count + 1]
        slack = policy.EPS * self.count * times
        yield stored("time", np.array([step.time for step in block]), times, slack, start)
        energies = np.array([self.energy, *(step.energy for step in block)])
        self.energy = float(energies[-1])
        rise = energies[1:] - energies[:-1]
        room = policy.STORED * np.abs(energies[1:])
        room += float(self.last.rows.margin[0]) if self.last else 0.0
        yield worst(start, "monotone energy", rise, room, (), "the energy rises")
        for step, tau in zip(block, taus, strict=True):
            if step.measure is not None:
                r = step.record
                said = (r.index, r.tau, r.time, r.energy)
                if said != (step.number, tau, step.time, step.energy):
                    reason = f"says (step, τ, time, energy) = {said}, which is not so"
                    yield rejected("record", reason, f"step {step.number}")

    def _evaluated(self, measures: list[Any], fresh: bool) -> Stack | Finding:
        """F there; the rounding errors last measured serve for a while."""
        F, due = self.problem.functional, self.count >= self.due
        if fresh or due or self.noise is None:
            noise = guarded("evaluation", partial(Noise.at, F, measures[-1]))
            if isinstance(noise, Finding):
                return noise
            self.noise = noise
        new = evaluated(F, measures, self.noise)
        if due and isinstance(new, Stack):
            self.other = Reference(measures[-1], new.rows.last())
            self.due = min(2 * self.count, self.count + _AGAIN)
        return new

    def _consequences(self, steps: Steps) -> Iterator[Finding]:
        """What λ-convexity implies besides, where F claims it everywhere."""
        mu = steps.new.laws.mu
        lam = modulus(steps.F, mu)
        other_cells = hasattr(mu, "edges") and not alike(steps.before[0], mu)
        if lam is None or steps.walls or other_cells:
            return
        self.dissipation.add(steps, lam)
        yield slope_decay(steps, lam)
        for other in (self.first, self.other):
            if hasattr(mu, "edges") and other is not None and alike(other.measure, mu):
                yield from against(steps, lam, other)

    def totals(self) -> Iterator[Finding]:
        """Σ W2²/(2τ) ≤ F_0 − F_K over the steps that could be judged, and the two halves."""
        if self.first is None or self.last is None or self.count == 0:
            return
        spent = float(self.first.rows.energy[0] - self.last.rows.energy[0])
        bound = self.margin + float(self.last.rows.margin[0])
        reason = "the steps together cost more than the energy they lose"
        yield at_most("total dissipation", self.dissipated - spent, bound, (), reason)
        if self.dissipation.count == self.count:
            yield from self.dissipation.findings(spent)

    def attacks(self) -> Iterator[Finding]:
        """F against its own derivatives and claims, at both ends of the run."""
        F = self.problem.functional
        for where, at in (("initial measure", self.first), ("last measure", self.last)):
            if self.first is None or at is None:
                continue
            here = guarded("evaluation", partial(evaluate, F, at.measure))
            if isinstance(here, Finding):
                yield here.at(where)
                continue
            unit = breadth(evaluate(F, self.first.measure))
            yield from (f.at(where) for f in attack(F, replace(here, unit=unit), 0))


def sound(new: Stack) -> bool:
    """Whether all positions are finite, sorted where they are edges, and no radius is negative."""
    mu, laws = new.laws.mu, new.laws
    if laws.gaussian:
        return bool(np.isfinite(laws.means).all() and np.isfinite(laws.std).all())
    if not np.isfinite(laws.x).all():
        return False
    x = laws.x[..., 0]
    if hasattr(mu, "edges") and (x[:, 1:] < x[:, :-1]).any():
        return False
    return mu.kind != "radial" or bool((x[:, 0] >= 0.0).all())


def stored(claim: str, said: Array, true: Array, margin: Array, start: int = 0) -> Finding:
    """Numbers of the record against the same numbers recomputed."""
    off = np.where(np.isfinite(said), np.abs(said - true), np.nan)
    bound = policy.STORED * np.abs(true) + margin
    return worst(
        start, claim, off, bound, (),
        lambda k: f"the run says {float(said[k])!r}, but it is {float(true[k])!r}",
    )  # fmt: skip
