"""The loop: `iterate` takes the steps, `flow` consumes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..problem import Problem
from ..record import StepRecord
from ..status import InvalidFunctional, Status, StepFailed
from ..steppers.base import Stepper, StepOutput
from ..steppers.choose import default_stepper
from .observers import Observer, observe
from .progress import progress_bar
from .schedule import Schedule, every
from .trajectory import Trajectory

if TYPE_CHECKING:
    from ..store.directory import Directory

Event = Callable[[StepRecord], Any]


def iterate(
    problem: Problem,
    stepper: Stepper | None = None,
    *,
    rng: Any = None,
    resume: StepRecord | None = None,
) -> Iterator[StepRecord]:
    """Take the steps of ``problem`` one by one.

    Ends after the last step, or after the first record whose status is not ok. ``resume`` is
    the last record of an earlier run, from which this one goes on bit for bit.

    Examples
    --------
    >>> from jkoflow import Gaussian, QuadraticPotential
    >>> problem = Problem(QuadraticPotential(1.0), Gaussian([1.0], [[1.0]]), tau=1.0, steps=3)
    >>> [float(record.measure.mean()[0]) for record in iterate(problem)]
    [0.5, 0.25, 0.125]
    """
    F, taus, times = problem.functional, problem.taus, problem.times
    stepper = stepper or default_stepper(F, problem.initial)
    rng = np.random.default_rng(rng)
    if resume is None:
        start, mu = 0, problem.initial
        state = stepper.init(F, mu, float(taus[0]), rng) if len(taus) else {}
    else:
        start, mu, state = resume.index, resume.measure, resume.state
        rng.bit_generator.state = resume.rng_state
    for k in range(start, len(taus)):
        tau = float(taus[k])
        output = stepper.step(F, mu, tau, state, rng)
        energy, status = assessed(F, output)
        yield StepRecord(
            k + 1, float(times[k + 1]), tau, output.measure, energy, output.distance_squared,
            output.witness, output.stats, status, output.state, rng.bit_generator.state,
        )  # fmt: skip
        if not status.ok:
            return
        mu, state = output.measure, output.state


def assessed(F: Any, output: StepOutput) -> tuple[float, Status]:
    """Energy of the new measure, and the status after the loop's own checks."""
    if not np.isfinite(output.measure.points).all():
        return math.nan, Status.NON_FINITE
    energy = energy_of(F, output.measure)
    if not output.status.ok:
        return energy, output.status
    if abs(float(output.measure.weights.sum()) - 1.0) > 1e-9:
        return energy, Status.LOST_MASS
    return energy, output.status if math.isfinite(energy) else Status.NON_FINITE


def energy_of(F: Any, mu: Any) -> float:
    """F(μ) as a float; an answer that is not a real number is a typed error."""
    value = F.value(mu)
    if isinstance(value, complex) or np.ndim(value) != 0:
        raise InvalidFunctional(f"{F!r}.value must return one real number, but gave {value!r}")
    return float(value)


def flow(
    problem: Problem,
    stepper: Stepper | None = None,
    *,
    store: Directory | str | None = None,
    save: Schedule = every(1),
    observers: Iterable[Observer | observe] = (),
    events: Iterable[Event] = (),
    progress: bool = False,
    rng: Any = None,
    max_steps: int | None = None,
    throw: bool = True,
) -> Trajectory:
    """Run a problem and return its trajectory.

    Parameters
    ----------
    problem : Problem
    stepper : Stepper, optional
        Chosen by the measure if not given; docs/choosing-a-stepper.md has the table.
    store : Directory or path, optional
        Where the saved steps go, as they are taken. A store that already holds steps of the same
        problem is continued.
    save : Schedule
        Which steps are kept, in memory and in the store.
    observers : iterable of callables
        Called with each record; wrap in `observe` for another schedule.
    events : iterable of callables
        Called with each record; a true answer ends the run with `Status.EVENT`.
    progress : bool
        Show a progress bar.
    rng : seed or Generator, optional
    max_steps : int, optional
        Stop after so many steps of this call.
    throw : bool
        Raise `StepFailed`, which carries the trajectory, when a step fails. Otherwise the
        trajectory comes back with the status. Steps before the failing one are kept either way.

    Raises
    ------
    StepFailed
        If a step's status is not ok and ``throw`` is true.
    InvalidFunctional
        If F is not finite at the start.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, QuadraticPotential
    >>> F = Entropy() + QuadraticPotential(1.0)
    >>> run = flow(Problem(F, Gaussian([0.0], [[0.25]]), tau=0.1, steps=10))
    >>> round(float(run.final.cov()[0, 0]) ** 0.5, 12)
    0.934188954641
    """
    trajectory = Trajectory(problem, initial_energy(problem))
    book = None if store is None else _open(store, problem)
    resume = None if book is None else book.restore(trajectory)
    watchers = [o if isinstance(o, observe) else observe(o) for o in observers]
    stop = problem.steps if max_steps is None else min(problem.steps, len(trajectory) + max_steps)
    bar = progress_bar(progress, stop, len(trajectory))
    try:
        if len(trajectory) < stop:
            for record in iterate(problem, stepper, rng=rng, resume=resume):
                if not record.status.ok:
                    trajectory.status = record.status
                    break
                last = record.index == stop
                keep = save.due(record.index, record.time, last, record.tau)
                trajectory.add(record, keep)
                if book is not None:
                    book.write(record, keep)
                bar.update(1)
                for watcher in watchers:
                    watcher.notify(record, last)
                if any(bool(event(record)) for event in events):
                    trajectory.status = Status.EVENT
                    break
                if last:
                    break
    except KeyboardInterrupt:
        trajectory.status = Status.INTERRUPTED
    except Exception as error:
        error.trajectory = trajectory  # type: ignore[attr-defined]
        raise
    finally:
        bar.close()
        if trajectory.status is Status.RUNNING and len(trajectory) == stop:
            trajectory.status = Status.COMPLETE if stop == problem.steps else Status.MAX_STEPS
        if book is not None:
            book.close(trajectory)
    if throw and not trajectory.status.ok and trajectory.status not in _RETURNED:
        raise StepFailed(
            f"step {len(trajectory) + 1} failed: {trajectory.status}. The {len(trajectory)} steps "
            "before it are in the error's trajectory; throw=False returns it instead.",
            trajectory,
        )
    return trajectory


_RETURNED = (Status.INTERRUPTED, Status.MAX_STEPS)


def initial_energy(problem: Problem) -> float:
    """F at the start, which must be finite."""
    energy = energy_of(problem.functional, problem.initial)
    if not math.isfinite(energy):
        raise InvalidFunctional(
            f"F is {energy} at the initial measure: start from a measure of finite energy"
        )
    return energy


def _open(store: Any, problem: Problem) -> Any:
    from ..store.directory import Directory

    directory = store if isinstance(store, Directory) else Directory(store)
    return directory.book(problem)
