"""A whole run: is it the answer to the question that was asked, step by step?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..functionals.identity import spec_digest
from ..measures.base import Array
from ..measures.grid import Grid
from ..measures.many import Laws, alike
from ..problem import Problem
from ..status import InvalidFunctional, Status
from ..store.format import Altered, Impossible
from ..verdict import Decided, Finding, Report, Verdict, at_most, rejected, undecided, worst
from . import policy
from .around import breadth
from .convex import Dissipation, Reference, against, modulus, slope_decay
from .evaluate import Noise, Stack, evaluate
from .functional import attack, guarded, on_some_cells
from .grid import judged_on_grid
from .residual import Steps, steps_of
from .step import evaluated, grid_step, judged, membership, told
from .taken import Step, blocks, opened, steps_taken


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
    InvalidProblem
        If ``problem`` is no problem, or ``run`` no run.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, Problem, flow
    >>> problem = Problem(Entropy(), Gaussian(0.0, 1.0), tau=0.1, steps=3)
    >>> check_run(problem, flow(problem)).verdict.name
    'ACCEPTED'
    """
    try:
        run = opened(problem, run)
    except (Altered, Impossible) as error:
        return Report(f"a run of {problem.functional!r}", (rejected("record", str(error)),))
    walk = Walk(problem, problem.times)
    found = worst_of_each(map(walk.eased, _findings(problem, run, walk)))
    return Report(f"{walk.count} steps of {problem.functional!r}", found)


def worst_of_each(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One of each claim about the steps, and of each about each end of the run."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        key = (finding.claim, "" if finding.where.startswith("step") else finding.where[:7])
        if key not in found or finding.severity > found[key].severity:
            found[key] = finding
    return tuple(found.values())


def _findings(problem: Problem, run: Any, walk: Walk) -> Iterator[Finding]:
    yield guarded("identity", partial(identity, problem, run))  # a user's spec may raise anything
    yield from told(walk.start(float(run.initial_energy)))
    try:
        for block in blocks(steps_taken(run, problem.steps)):
            yield from walk.take(block)
    except (Altered, Impossible) as error:
        yield rejected("record", str(error))
    yield completeness(problem, run.status, walk.count)
    yield from walk.totals()
    yield from walk.attacks()


def identity(problem: Problem, run: Any) -> Finding:
    """Whether the run says that it answers this question."""
    asked, answered = problem.spec(), run.problem.spec()
    different = [k for k in {**asked, **answered}
                 if spec_digest(asked.get(k)) != spec_digest(answered.get(k))]
    reason = f"the run answers another question: its {', '.join(different)} differ"
    return at_most("identity", float(len(different)), 0.0, (), reason)


def completeness(problem: Problem, status: Status, count: int) -> Finding:
    """All steps that were asked for, and at least one."""
    said = f"{count} of {problem.steps} steps were taken ({status})"
    if count > problem.steps or (count < problem.steps and status is Status.COMPLETE):
        return rejected("completeness", said)
    if count < problem.steps or count == 0:
        return undecided("completeness", said)
    return at_most("completeness", 0.0, 0.0)


_ENERGIES = ("energy", "monotone energy", "total dissipation", "energy dissipation",
             "evolution variational inequality", "energy law", "modified energy")  # fmt: skip
_AGAIN = 1024  # steps after which rounding errors are measured again


def _settled(f: Finding) -> bool:
    """Accepted, or undecided for want of a claim, which a closer look will not find."""
    wanting = f.claim == "minimality" and math.isnan(f.measured)
    return f.verdict is Verdict.ACCEPTED or (wanting and f.verdict is Verdict.UNDECIDED)


@dataclass
class Walk:
    """Judges the steps in order; knows the first measure, the last, and another to compare with."""

    problem: Problem
    times: Array
    count: int = 0
    first: Reference | None = None
    last: Reference | None = None
    other: Reference | None = None
    energy: float = math.nan
    noise: Noise | None = None
    due: int = 0
    dissipation: Dissipation = field(default_factory=Dissipation)

    def eased(self, f: Finding) -> Finding:
        """Energies that are off by less than F's rounding at the start are no fault of the run's:
        F may compute with numbers as large, and return a small difference of them."""
        hidden = f.claim in _ENERGIES and self.first and f.measured <= self.first.rows.margin[0]
        if f.verdict is Verdict.REJECTED and hidden:
            return replace(f, verdict=Verdict.UNDECIDED, reason=f"{f.reason}, or rounding does")
        return f

    def start(self, energy: float) -> Iterator[Finding]:
        """The run's energy at the asker's initial measure must be F's."""
        mu, self.energy = self.problem.initial, energy
        rows = evaluated(self.problem.functional, Laws([mu])).rows
        self.first = self.last = Reference(mu, rows)
        yield stored("stored energy", np.array([energy]), rows.energy, rows.margin).at("step 0")

    def take(self, block: list[Step]) -> Iterator[Finding]:
        """The findings of the next steps: all at once if all is well, else one by one.

        Rounding is measured whenever the number of steps has grown fourfold, or 1024 more were
        taken, and wherever it matters.
        """
        if len(block) > 1 or self.count + 1 < self.due:
            memory = replace(self, dissipation=replace(self.dissipation))
            found = list(told(self._judged(block, fresh=False)))
            if found and all(_settled(f) for f in found):
                yield from found
                return
            vars(self).update(vars(memory))
        for step in block:
            yield from told(self._judged([step], fresh=True), f"step {self.count + 1}")

    def _judged(self, block: list[Step], fresh: bool) -> Iterator[Finding]:
        start, problem, old = self.count + 1, self.problem, self.last
        self.count, self.last = self.count + len(block), None
        if self.count > problem.steps:
            return
        taus = np.asarray(problem.taus[start - 1 : self.count], dtype=float)
        yield from self._said(block, start, taus, old)
        measures = [step.measure for step in block]
        if measures[0] is None:
            raise Decided(undecided("evidence", "the step's measure was not saved"))
        before = problem.initial if old is None else old.measure
        laws = Laws(measures)
        yield membership(Laws([before]), laws, problem.walls).at(f"step {start}")
        if len(block) > 1 and (old is None or not alike(before, laws.mu)):
            raise Decided(undecided("evidence", "these steps are to be looked at one by one"))
        nu, new = self.other or self.first, self._evaluated(laws, fresh)
        self.last = Reference(measures[-1], new.rows.last())
        energies = np.array([step.energy for step in block])
        yield stored("stored energy", energies, new.rows.energy, new.rows.margin, start)
        if old is None:
            raise Decided(undecided("evidence", "the measure before was not saved"))
        witnesses = [step.record.witness for step in block]
        said = np.array([float(step.record.distance_squared) for step in block])
        rows, F = old.rows.before(new.rows), problem.functional
        came = laws.preceded_by(before)
        if laws.mu.kind == "grid":
            for k, (mu, witness) in enumerate(zip(came.measures, witnesses, strict=True)):
                step = grid_step(F, mu, new, rows, float(taus[k]), witness, k, float(said[k]))
                yield from (f.at(f"step {start + k}") for f in judged_on_grid(step))
            return
        steps = steps_of(F, came, rows, new, taus, witnesses, start, problem.walls)
        # another law's rounding may be none of theirs, so nothing may turn on it
        idle = policy.STATIONARITY * steps.slope + policy.RESOLUTION * new.rows.extent / taus
        if not fresh and (new.rows.blur > idle).any():
            raise Decided(undecided("evidence", "rounding counts: look at these one by one"))
        yield from judged(steps)
        yield from self._consequences(steps, nu)
        true, gap = steps.transport.squared, steps.transport.gap
        said = np.where(np.isnan(said), true, said)  # NaN: the run does not say
        yield stored("stored distance", said, true, steps.blind_square, start, gap)

    def _said(
        self, block: list[Step], start: int, taus: Array, old: Reference | None
    ) -> Iterator[Finding]:
        """What the run says of its steps without their measures."""
        times = self.times[start : self.count + 1]
        slack = policy.EPS * self.count * times
        yield stored("time", np.array([step.time for step in block]), times, slack, start)
        energies = np.array([self.energy, *(step.energy for step in block)])
        self.energy = float(energies[-1])
        room = policy.STORED * np.abs(energies[1:]) + (old.rows.margin[0] if old else 0.0)
        # on a grid by as much as each step is allowed for what cells hide, see "energy"
        how = Verdict.UNDECIDED if self.problem.initial.kind == "grid" else Verdict.REJECTED
        yield worst("monotone energy", np.diff(energies), room, (), "the energy rises", how, start)
        for step, tau in zip(block, taus, strict=True):
            if reason := step.contradiction(tau):
                yield rejected("record", reason, f"step {step.number}")

    def _evaluated(self, laws: Laws, fresh: bool) -> Stack:
        """F there; the rounding errors last measured serve for a while."""
        F, due = self.problem.functional, self.count >= self.due
        new = evaluated(F, laws, None if fresh or due else self.noise)
        self.noise = new.noise
        if due:
            self.other = Reference(laws.measures[-1], new.rows.last())
            self.due = min(4 * self.count, self.count + _AGAIN)
        return new

    def _consequences(self, steps: Steps, nu: Reference | None) -> Iterator[Finding]:
        """What λ-convexity implies besides, ν among it, where F claims it everywhere."""
        laws = steps.new.laws
        self.dissipation.pay(steps)
        lam = modulus(steps.F, laws.mu)
        if lam is None or steps.walls or (laws.cells and not alike(steps.before.mu, laws.mu)):
            return
        self.dissipation.add(steps, lam)
        yield slope_decay(steps, lam)
        if laws.cells and nu is not None and alike(nu.measure, laws.mu):
            yield from against(steps, lam, nu)

    def totals(self) -> Iterator[Finding]:
        """Σ W2²/(2τ) ≤ F_0 − F_K over the steps that could be judged, and the two halves."""
        if not (self.first and self.last and self.count) or self.first.measure.kind == "grid":
            return  # on grids each step was allowed for what cells hide
        d, spent = self.dissipation, float(self.first.rows.energy[0] - self.last.rows.energy[0])
        room = d.room + float(self.last.rows.margin[0])
        reason = "the steps together cost more than the energy they lose"
        yield at_most("total dissipation", d.paid - spent, room, (), reason)
        if d.count == self.count:
            yield from d.findings(spent)

    def attacks(self) -> Iterator[Finding]:
        """F against its own derivatives and claims, at both ends of the run."""
        F, unit, floor = self.problem.functional, 0.0, 0.0
        for where, at in (("initial measure", self.first), ("last measure", self.last)):
            if at is None:
                continue
            mu: Any = at.measure
            attacked, mu = on_some_cells(F, mu) if isinstance(mu, Grid) else (F, mu)
            here = guarded("evaluation", partial(evaluate, attacked, mu))
            if isinstance(here, Finding):
                yield here.at(where)
                continue
            unit, floor = unit or breadth(here), max(floor, here.margin)
            here = replace(here, unit=unit, margin=floor)
            # F may have no value where no mass comes: beyond a barrier, between centres
            yield from (f.at(where) for f in attack(attacked, here, 0, InvalidFunctional))


def stored(
    claim: str, said: Array, true: Array, margin: Array, start: int = 0, gap: Array | float = 0.0
) -> Finding:
    """Numbers of the record against the same numbers recomputed, which are known to ``gap``."""
    off = np.where(np.isfinite(said), np.abs(said - true), np.nan)
    bound = policy.STORED * np.abs(true) + margin
    reason = lambda k: f"the run says {float(said[k])!r}, but it is {float(true[k])!r}"  # noqa: E731
    doubt = lambda k: Verdict.UNDECIDED if (off <= bound + gap)[k] else Verdict.REJECTED  # noqa: E731
    return worst(claim, off, bound, (), reason, doubt, start)
