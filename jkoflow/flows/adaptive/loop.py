"""The loop of an adaptive flow: try a step, tell its error, take it or try a shorter one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ...measures.base import Array, Measure
from ...measures.grid import Grid
from ...problem import Problem, clock
from ...record import State, StepRecord
from ...status import Status
from ...steppers.base import StepOutput, Stepper
from ..assess import assessed, initial_energy, require_output
from ..randomness import snapshot
from .control import Controller
from .error import Paths, of_halves
from .grid import GridPaths
from .trajectory import AdaptiveTrajectory


class Trial(NamedTuple):
    """A step that may be taken, and the paths with it."""

    output: StepOutput
    energy: float
    status: Status
    paths: Paths | GridPaths


class _Failed(Exception):
    """A step that cannot be taken."""


def starting(mu: Measure) -> Paths | GridPaths:
    """The paths that begin at a law."""
    return GridPaths.starting(mu) if isinstance(mu, Grid) else Paths.starting(mu)


@dataclass
class Loop:
    """The run as it grows."""

    problem: Problem
    stepper: Stepper
    control: Controller
    random: np.random.Generator
    records: list[StepRecord] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    time: float = 0.0
    rejected: int = 0
    minimisations: int = 0
    trouble: str = ""
    hidden: bool = False
    total: float = 0.0

    def __post_init__(self) -> None:
        self.energy = initial_energy(self.problem)
        self.mu: Measure = self.problem.initial
        self.state: State = {}
        self.paths = starting(self.mu)

    def run(self, stops: Array, most: float) -> Status:
        """Steps to each of the times."""
        for stop in stops.tolist():
            while self.time < stop * (1.0 - 4e-16):
                if len(self.records) >= most:
                    return Status.MAX_STEPS
                if self.hidden or self._spent():
                    return Status.UNRESOLVED
                if self.control.exhausted:
                    return Status.FAILED
                previous = self.records[-1].tau if self.records else None
                tau = self.control.size(self.time, stop, previous)
                if self._advance(tau) and abs(stop - self.time) <= 1e-12 * stop:
                    self.time = stop
        return Status.COMPLETE

    def _spent(self) -> bool:
        """Whether errors of steps that cells and kernels forbid to be better have added up."""
        spent = self.paths.on_cells and self.total > self.control.tolerance
        if spent:
            self.trouble = f"errors add up to {self.total:.3g}"
        return spent

    def _advance(self, tau: float) -> bool:
        """Whether a step of this size, or at first two halves of it, could be taken."""
        try:
            trials, error = self._onwards(tau) if self.records else self._start(tau)
        except _Failed as failure:
            self._refuse(str(failure))
            self.control.failed(tau)
            return False
        size = tau / len(trials)
        if not self.control.accepts(size, error):
            self._refuse(f"error {error:.3g}")
            bound = self.control.bound(tau)
            self.hidden = self.paths.hides(trials[-1].output, tau, error, bound)
            return False
        for trial in trials:
            self._take(trial, size, error)
        return True

    def _refuse(self, why: str) -> None:
        self.rejected += 1
        self.trouble = why

    def _onwards(self, tau: float) -> tuple[list[Trial], float]:
        trial = self._tried(self.mu, tau, self.state, self.paths)
        return [trial], trial.paths.error(trial.output)

    def _start(self, tau: float) -> tuple[list[Trial], float]:
        """The first two steps, halves of one, and what each is wrong by.

        On cells the law between them tells. Points are compared with those of the whole step, of
        which each half has to be a copy: a start without a past.
        """
        half, mu, paths = 0.5 * tau, self.mu, self.paths
        state = self.stepper.init(self.problem.functional, mu, tau, self.random)
        if paths.on_cells:
            first = self._tried(mu, half, state, paths)
            second = self._tried(first.output.measure, half, first.output.state, first.paths)
            return [first, second], second.paths.error(second.output)
        whole = self._tried(mu, tau, state, paths)
        first = self._tried(mu, half, state, paths)
        second = self._tried(first.output.measure, half, state, first.paths)
        return [first, second], of_halves(whole.output, first.output, second.output)

    def _tried(self, mu: Measure, tau: float, state: State, paths: Paths | GridPaths) -> Trial:
        F = self.problem.functional
        output = self.stepper.step(F, mu, tau, state, self.random)
        require_output(output, self.stepper)
        self.minimisations += int(output.stats.get("stages", 1))
        energy, status = assessed(F, output)
        if not status.ok:
            raise _Failed(status)
        return Trial(output, energy, status, paths.onwards(output.measure, mu, tau, output.witness))

    def _take(self, trial: Trial, tau: float, error: float) -> None:
        output = trial.output
        self.time += tau
        self.mu, self.state, self.paths = output.measure, output.state, trial.paths
        self.errors.append(error)
        self.total = self.control.contracted(self.total, tau) + error
        stats = {**output.stats, "error": error}
        self.records.append(StepRecord(
            len(self.records) + 1, self.time, tau, output.measure, trial.energy,
            float(output.distance_squared), output.witness, stats, trial.status, output.state,
            snapshot(self.random),
        ))  # fmt: skip

    def trajectory(self, status: Status) -> AdaptiveTrajectory:
        """The steps so far, as the answer to the problem with their sizes."""
        taus = np.array([record.tau for record in self.records])
        F, mu = self.problem.functional, self.problem.initial
        problem = Problem(F, mu, tau=taus) if len(taus) else self.problem
        run = AdaptiveTrajectory(
            problem, self.energy, status=status, errors=np.array(self.errors),
            rejected=self.rejected, minimisations=self.minimisations,
            contraction=self.control.contraction,
        )  # fmt: skip
        for record, time in zip(self.records, clock(taus).tolist()[1:], strict=True):
            run.add(replace(record, time=time), keep=True)
        return run
