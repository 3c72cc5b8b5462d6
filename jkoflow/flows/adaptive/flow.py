"""Flows whose step sizes follow the error: `flow_adaptive`."""

from __future__ import annotations

import math
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...functionals.base import Functional
from ...measures.base import Measure
from ...measures.grid import Grid
from ...problem import Problem
from ...status import Status, StepFailed
from ...steppers.base import Stepper
from ...steppers.choose import default_stepper
from ...steppers.second_order import SecondOrder
from ..assess import require_runnable
from ..randomness import generator
from .control import Controller, require_positive, stopping_times
from .loop import Loop
from .trajectory import AdaptiveTrajectory

__all__ = ["AdaptiveTrajectory", "flow_adaptive"]

_ADVICE = (
    "A larger tolerance may help.",
    "Shorter steps are no better on these cells: take finer ones, or a larger tolerance.",
)


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
        Quantiles, Radial, Gaussian, Particles, Mesh: laws whose points can be followed; or a Grid,
        by the potentials of its steps.
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
        By default `jkoflow.steppers.SecondOrder`, on a grid `jkoflow.steppers.BackAndForth`. Any
        other than SecondOrder counts as of first order.
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
        If no step above t_end·10⁻¹² is good enough, or the cells of a grid hide what shorter steps
        would still be wrong by (status UNRESOLVED). The steps before are in its ``trajectory``.
    InvalidProblem, NotDefined
        For options that make no sense, and for steps on a grid without a potential.

    Notes
    -----
    Errors come from divided differences along the paths of the points, at no cost:
    τ²‖x[t_{n−1}, t_n, t_{n+1}]‖ for JKO steps, and the next order for BDF2. The first two steps are
    halves of one, with which they are compared. On a grid the difference is that of the
    velocities with which mass arrives in the cells and leaves them. What the cells themselves are
    wrong by comes on top: the tolerance is for time.

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
    if stepper is None:
        on_grid = isinstance(initial, Grid)
        stepper = default_stepper(functional, initial) if on_grid else SecondOrder()
    order = 2 if isinstance(stepper, SecondOrder) else 1
    first = float(stops[-1]) / 64.0 if tau is None else float(tau)
    longest = math.inf if tau_max is None else float(tau_max)
    contraction = max(0.0, functional.convexity or 0.0)
    control = Controller(float(tolerance), float(stops[-1]), order, first, longest, contraction)
    loop = Loop(problem, stepper, control, generator(rng))
    try:
        status = loop.run(stops, math.inf if max_steps is None else max_steps)
    except Exception as error:
        error.trajectory = loop.trajectory(Status.FAILED)  # type: ignore[attr-defined]
        raise
    run = loop.trajectory(status)
    run.t_eval = np.zeros(0) if t_eval is None else np.asarray(t_eval, dtype=float)
    if store is not None:
        from ..stored import save

        save(run, store)
    if throw and not status.ok and status is not Status.MAX_STEPS:
        raise StepFailed(
            f"no step from t = {loop.time:.6g} is good enough ({loop.trouble}): the step size fell "
            f"to {control.wanted:.3g}. The {len(run)} steps before are in the error's trajectory; "
            f"throw=False returns it instead. {_ADVICE[status is Status.UNRESOLVED]}", run,
        )  # fmt: skip
    return run
