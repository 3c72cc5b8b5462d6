"""The loop of an adaptive flow: try a step, tell its error, take it or try a shorter one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..measures.base import Array, Measure
from ..measures.grid import Grid
from ..problem import Problem, clock
from ..record import State, StepRecord
from ..status import Status
from ..steppers.base import StepOutput, Stepper
from .adaptive_control import Controller
from .adaptive_error import Paths, apart, local_error
from .adaptive_grid import GridPaths, Resolution, blur_of
from .adaptive_trajectory import AdaptiveTrajectory
from .assess import assessed, initial_energy, require_output
from .randomness import snapshot


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
        self.paths: Paths | GridPaths
        self.cells: Resolution | None = None
        if isinstance(self.mu, Grid):
            self.paths = GridPaths(self.mu)
            self.cells = Resolution(float(self.mu.spacing.min()))
        else:
            self.paths = Paths.starting(self.mu)

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
                start = self._start_on_grid if self.cells else self._start
                taken = self._onwards(tau) if self.records else start(tau)
                if taken and abs(stop - self.time) <= 1e-12 * stop:
                    self.time = stop
        return Status.COMPLETE

    def _spent(self) -> bool:
        """Whether errors of steps that cells and kernels forbid to be better have added up."""
        spent = self.cells is not None and self.total > self.control.tolerance
        if spent:
            self.trouble = f"errors add up to {self.total:.3g}"
        return spent

    def _tried(self, mu: Measure, tau: float, state: State) -> tuple[StepOutput, float, Status]:
        F = self.problem.functional
        output = self.stepper.step(F, mu, tau, state, self.random)
        require_output(output, self.stepper)
        self.minimisations += int(output.stats.get("stages", 1))
        return output, *assessed(F, output)

    def _start(self, tau: float) -> bool:
        """The first two steps, halves of one with which they are compared."""
        F, mu = self.problem.functional, self.mu
        state = self.stepper.init(F, mu, tau, self.random)
        whole, _, status = self._tried(mu, tau, state)
        halves: list[tuple[StepOutput, float, Status]] = []
        last = mu
        while status.ok and len(halves) < 2:
            output, energy, status = self._tried(last, 0.5 * tau, state)
            halves.append((output, energy, status))
            last = output.measure
        if not status.ok:
            return self._refused(tau, str(status))
        plans = (whole.witness, *(half[0].witness for half in halves))
        share = 6.0 if all(half[0].stats.get("stages") == 2 for half in halves) else 2.0
        error = apart(whole.measure, last, plans) / share
        if not self.control.accepts(0.5 * tau, error):
            return self._refused(tau, f"error {error:.3g}", again=True)
        for output, energy, ended in halves:
            paths = self.paths.onwards(output.measure, self.mu, 0.5 * tau, output.witness)
            self._take(output, energy, ended, 0.5 * tau, error, paths)
        return True

    def _start_on_grid(self, tau: float) -> bool:
        """The first two steps: the law between them tells the error of both."""
        F, half = self.problem.functional, 0.5 * tau
        mu, state, paths = self.mu, self.stepper.init(F, self.mu, half, self.random), self.paths
        taken: list[tuple[StepOutput, float, Status, Paths | GridPaths]] = []
        while len(taken) < 2:
            output, energy, status = self._tried(mu, half, state)
            if not status.ok:
                return self._refused(tau, str(status))
            paths = paths.onwards(output.measure, mu, half, output.witness)
            taken.append((output, energy, status, paths))
            mu, state = output.measure, output.state
        error = _error_of(taken[-1][0], paths)
        if not self.control.accepts(half, error):
            return self._too_wrong(tau, error, taken[-1][0])
        for output, energy, status, paths in taken:
            self._take(output, energy, status, half, error, paths)
        return True

    def _onwards(self, tau: float) -> bool:
        output, energy, status = self._tried(self.mu, tau, self.state)
        if not status.ok:
            return self._refused(tau, str(status))
        paths = self.paths.onwards(output.measure, self.mu, tau, output.witness)
        error = _error_of(output, paths)
        if not self.control.accepts(tau, error):
            return self._too_wrong(tau, error, output)
        self._take(output, energy, status, tau, error, paths)
        return True

    def _too_wrong(self, tau: float, error: float, output: StepOutput) -> bool:
        if self.cells is not None:
            # a shorter step has the same blur, and may be less wrong
            blurred = blur_of(output) > 0.5 * self.control.bound(tau)
            moved = output.distance_squared**0.5
            self.hidden = blurred or self.cells.hides(tau, error, moved)
        return self._refused(tau, f"error {error:.3g}", again=True)

    def _refused(self, tau: float, why: str, again: bool = False) -> bool:
        self.rejected += 1
        self.trouble = why
        if not again:
            self.control.refused(tau)
        return False

    def _take(
        self, output: StepOutput, energy: float, status: Status, tau: float, error: float,
        paths: Paths | GridPaths,
    ) -> None:  # fmt: skip
        self.time += tau
        if self.cells is not None:
            self.cells.accepted()
        self.mu, self.state, self.paths = output.measure, output.state, paths
        self.errors.append(error)
        self.total = self.control.contracted(self.total, tau) + error
        stats = {**output.stats, "error": error}
        self.records.append(StepRecord(
            len(self.records) + 1, self.time, tau, output.measure, energy,
            float(output.distance_squared), output.witness, stats, status, output.state,
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


def _error_of(output: StepOutput, paths: Paths | GridPaths) -> float:
    if isinstance(paths, GridPaths):
        return paths.error() + blur_of(output)
    return local_error(paths, float(output.stats.get("alpha", 0.0)))
