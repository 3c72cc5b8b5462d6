"""Flows whose step sizes follow the error: `flow_adaptive`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..functionals.base import Functional
from ..measures.base import Array, Measure
from ..problem import Problem, clock
from ..record import State, StepRecord
from ..status import Status, StepFailed
from ..steppers.base import StepOutput, Stepper
from ..steppers.second_order import SecondOrder
from .adaptive_control import Controller, require_positive, stopping_times
from .adaptive_error import Paths, apart, local_error
from .assess import assessed, initial_energy, require_output, require_runnable
from .interpolation import measure_at
from .randomness import generator, snapshot
from .trajectory import Trajectory


@dataclass(repr=False)
class AdaptiveTrajectory(Trajectory):
    """A trajectory whose step sizes were chosen on the way: ``problem.taus`` are those taken.

    ``errors`` (steps,) are the estimated errors of the steps in W2; they are forgotten at the
    rate ``contraction``. ``rejected`` steps were tried and taken back, and there were
    ``minimisations`` in all. ``asked`` are the measures at the times ``t_eval``.
    """

    errors: Array = field(default_factory=lambda: np.zeros(0))
    t_eval: Array = field(default_factory=lambda: np.zeros(0))
    rejected: int = 0
    minimisations: int = 0
    contraction: float = 0.0

    @property
    def error(self) -> float:
        """The largest sum of the steps' estimated errors up to any time, old ones contracted."""
        total = largest = 0.0
        for tau, error in zip(self.problem.taus.tolist(), self.errors.tolist(), strict=True):
            total = math.exp(-self.contraction * tau) * total + error
            largest = max(largest, total)
        return largest

    @property
    def asked(self) -> list[Measure]:
        """The measures at ``t_eval``."""
        return [self.at(t) for t in self.t_eval]

    def at(self, t: float) -> Measure:
        """The measure at any time; see `jkoflow.flows.interpolation.measure_at`."""
        return measure_at(self, t)


def flow_adaptive(
    functional: Functional,
    initial: Measure,
    t_end: float,
    *,
    tolerance: float = 1e-3,
    t_eval: ArrayLike | None = None,
    stepper: Stepper | None = None,
    tau: float | None = None,
    tau_max: float | None = None,
    store: str | PathLike[str] | None = None,
    rng: Any = None,
    max_steps: int | None = None,
    throw: bool = True,
) -> AdaptiveTrajectory:
    """Follow the flow of F to ``t_end`` in steps that are as long as their errors allow.

    Parameters
    ----------
    functional, initial : Functional, Measure
        Quantiles, Radial, Gaussian, Particles, Mesh: laws whose points can be followed.
    t_end : float
    tolerance : float
        In W2, for all steps together, as far as errors do not grow: a step of size τ may be
        wrong by tolerance·τ/t_end, as estimated. Where F claims λ-convexity everywhere and
        λ > 1/t_end, the flow forgets errors, and it may be tolerance·(1 − e^{−λτ}). Very short
        steps may use up 1/1000 of the tolerance each. Where F is not convex, errors may grow
        after they were made.
    t_eval : array_like, optional
        Times at which steps end, so that measures there are the scheme's own.
    stepper : Stepper, optional
        By default `jkoflow.steppers.SecondOrder`. Any other counts as of first order.
    tau, tau_max : float, optional
        The first step size tried, and the longest allowed.
    store : path, optional
        Where the run is written when it has ended, as by `jkoflow.save`.
    rng : seed or Generator, optional
    max_steps : int, optional
        Stop after so many steps, with status MAX_STEPS.
    throw : bool
        Raise `StepFailed` when steps become too short; otherwise return what there is.

    Returns
    -------
    AdaptiveTrajectory
        An ordinary run of ``Problem(functional, initial, tau=run.problem.taus)``: it can be stored,
        and judged by `check_second_order` (by `check_run`, for steppers of first order).

    Raises
    ------
    StepFailed
        If no step above t_end·10⁻¹² is good enough. The steps before are in its ``trajectory``.
    InvalidProblem, NotDefined
        For options that make no sense, and for measures without paths (grids).

    Notes
    -----
    Errors come from divided differences along the paths of the points, at no cost:
    τ²‖x[t_{n−1}, t_n, t_{n+1}]‖ for JKO steps, and the next order for BDF2. The first two steps are
    halves of one, with which they are compared.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, QuadraticPotential
    >>> F = Entropy() + QuadraticPotential(1.0)
    >>> run = flow_adaptive(F, Gaussian(0.0, 0.25), t_end=5.0, tolerance=1e-3)
    >>> bool(abs(run.final.cov()[0, 0] - 1 + 0.75 * np.exp(-10.0)) < 2e-3), run.error < 1e-3
    (True, True)
    """
    problem = Problem(functional, initial, tau=1.0, steps=0)
    require_runnable(problem, stepper)
    stops = stopping_times(t_end, t_eval)
    require_positive(tolerance=tolerance, max_steps=max_steps, tau=tau, tau_max=tau_max)
    stepper = SecondOrder() if stepper is None else stepper
    order = 2 if isinstance(stepper, SecondOrder) else 1
    first = float(stops[-1]) / 64.0 if tau is None else float(tau)
    longest = math.inf if tau_max is None else float(tau_max)
    contraction = max(0.0, functional.convexity or 0.0)
    control = Controller(float(tolerance), float(stops[-1]), order, first, longest, contraction)
    loop = _Loop(problem, stepper, control, generator(rng))
    try:
        status = loop.run(stops, math.inf if max_steps is None else max_steps)
    except Exception as error:
        error.trajectory = loop.trajectory(Status.FAILED)  # type: ignore[attr-defined]
        raise
    run = loop.trajectory(status)
    run.t_eval = np.zeros(0) if t_eval is None else np.asarray(t_eval, dtype=float)
    if store is not None:
        from .stored import save

        save(run, store)
    if throw and not status.ok and status is not Status.MAX_STEPS:
        raise StepFailed(
            f"no step from t = {loop.time:.6g} is good enough ({loop.trouble}): the step size fell "
            f"to {control.wanted:.3g}. The {len(run)} steps before are in the error's trajectory; "
            "throw=False returns it instead. A larger tolerance may help.", run,
        )  # fmt: skip
    return run


@dataclass
class _Loop:
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

    def __post_init__(self) -> None:
        self.energy = initial_energy(self.problem)
        self.mu: Measure = self.problem.initial
        self.state: State = {}
        self.paths = Paths.starting(self.mu)

    def run(self, stops: Array, most: float) -> Status:
        """Steps to each of the times."""
        for stop in stops.tolist():
            while self.time < stop * (1.0 - 4e-16):
                if len(self.records) >= most:
                    return Status.MAX_STEPS
                if self.control.exhausted:
                    return Status.FAILED
                previous = self.records[-1].tau if self.records else None
                tau = self.control.size(self.time, stop, previous)
                taken = self._start(tau) if not self.records else self._onwards(tau)
                if taken and abs(stop - self.time) <= 1e-12 * stop:
                    self.time = stop
        return Status.COMPLETE

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

    def _onwards(self, tau: float) -> bool:
        output, energy, status = self._tried(self.mu, tau, self.state)
        if not status.ok:
            return self._refused(tau, str(status))
        paths = self.paths.onwards(output.measure, self.mu, tau, output.witness)
        error = local_error(paths, float(output.stats.get("alpha", 0.0)))
        if not self.control.accepts(tau, error):
            return self._refused(tau, f"error {error:.3g}", again=True)
        self._take(output, energy, status, tau, error, paths)
        return True

    def _refused(self, tau: float, why: str, again: bool = False) -> bool:
        self.rejected += 1
        self.trouble = why
        if not again:
            self.control.refused(tau)
        return False

    def _take(
        self, output: StepOutput, energy: float, status: Status, tau: float, error: float,
        paths: Paths,
    ) -> None:  # fmt: skip
        self.time += tau
        self.mu, self.state, self.paths = output.measure, output.state, paths
        self.errors.append(error)
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
