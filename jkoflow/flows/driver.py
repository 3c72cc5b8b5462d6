"""The loop: `iterate` takes the steps, `flow` consumes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

from ..problem import Problem
from ..record import State, StepRecord
from ..status import JkoflowError, Status, StepFailed
from ..steppers.base import Stepper
from ..steppers.choose import default_stepper
from .assess import (
    assessed,
    initial_energy,
    raised,
    recorded,
    require_output,
    require_record,
    require_runnable,
)
from .consume import Consumer, functions_of_records, limit, open_book, resume_from, stop_at
from .observers import Event, Observer, observe
from .randomness import generator, restored, snapshot
from .schedule import Schedule, as_schedule, every
from .trajectory import Trajectory

if TYPE_CHECKING:
    from ..store.directory import Directory


def iterate(
    problem: Problem,
    stepper: Stepper | None = None,
    *,
    rng: Any = None,
    resume: StepRecord | None = None,
) -> Iterator[StepRecord]:
    """Take the steps of ``problem`` one by one.

    Ends after the last step, or after the first record whose status is not ok. ``resume`` is
    the last record of an earlier run, from which this one goes on bit for bit, with the random
    generator of that run.

    Raises
    ------
    InvalidProblem
        If ``resume`` comes from a store and is not its last step: only that one keeps its state.
    StepFailed
        If the stepper or the functional raises an error that is not one of jkoflow's.

    Examples
    --------
    >>> from jkoflow import Gaussian, QuadraticPotential
    >>> problem = Problem(QuadraticPotential(1.0), Gaussian([1.0], [[1.0]]), tau=1.0, steps=3)
    >>> [float(record.measure.mean()[0]) for record in iterate(problem)]
    [0.5, 0.25, 0.125]
    """
    require_runnable(problem, stepper)
    taus, times = problem.taus.tolist(), problem.times.tolist()
    stepper = stepper_of(problem, stepper)
    if resume is None:
        start, mu, random = 0, problem.initial, generator(rng)
        state = _begun(stepper, problem, random) if taus else {}
    else:
        require_record(resume)
        start, mu, random = resume.index, resume.measure, restored(resume.rng_state, rng)
        state = resume.state
    for k in range(start, len(taus)):
        output, energy, status = _step(stepper, problem, k, mu, state, random)
        yield StepRecord(
            k + 1, times[k + 1], taus[k], output.measure, energy, float(output.distance_squared),
            output.witness, output.stats, status, output.state, snapshot(random),
        )  # fmt: skip
        if not status.ok:
            return
        mu, state = output.measure, output.state


def _step(
    stepper: Stepper, problem: Problem, k: int, mu: Any, state: Any, random: Any
) -> tuple[Any, float, Status]:
    """Step k + 1 and what the loop sees of it; errors say which step it was."""
    F = problem.functional
    try:
        output = stepper.step(F, mu, float(problem.taus[k]), state, random)
        require_output(output, stepper)
        return output, *assessed(recorded(stepper, F), output)
    except JkoflowError as error:
        error.add_note(f"This was in step {k + 1}.")
        raise
    except Exception as error:
        raise StepFailed(f"step {k + 1}, taken by {stepper!r}: {raised(F, error)}") from error


def stepper_of(problem: Problem, stepper: Stepper | None) -> Stepper:
    """The one that was given, or the default; it keeps between the problem's walls."""
    stepper = stepper or default_stepper(problem.functional, problem.initial)
    return stepper if problem.walls is None else stepper.within(problem.walls)


def _begun(stepper: Stepper, problem: Problem, random: Any) -> State:
    """The state before the first step."""
    try:
        return stepper.init(problem.functional, problem.initial, float(problem.taus[0]), random)
    except JkoflowError:
        raise
    except Exception as error:
        raise StepFailed(f"{stepper!r}.init raised {type(error).__name__}: {error}") from error


def flow(
    problem: Problem,
    stepper: Stepper | None = None,
    *,
    store: Directory | str | PathLike[str] | None = None,
    save: Schedule = every(1),  # noqa: B008 - a frozen value
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
        Where the steps go as they are taken. A store that already holds steps of the same
        problem is continued, bit for bit; one that is complete is read back.
    save : Schedule
        Which measures are kept, in memory and in the store. Times and energies of all steps
        are, and so is the last measure reached, as ``final``.
    observers : iterable of callables
        Called with each record; wrap in `observe` for another schedule.
    events : iterable of callables
        Called with each record; a true answer ends the run with `Status.EVENT`.
    progress : bool
        Show a progress bar.
    rng : seed or Generator, optional
        For a new run; one that is continued goes on with its own generator.
    max_steps : int, optional
        Stop after so many steps of this call.
    throw : bool
        Raise `StepFailed`, which carries the trajectory, when a step fails. Otherwise the
        trajectory comes back with the status. Steps before the failing one are kept either way.

    Returns
    -------
    Trajectory
        With status COMPLETE, EVENT, MAX_STEPS, or INTERRUPTED after Ctrl-C.

    Raises
    ------
    StepFailed
        If a step's status is not ok and ``throw`` is true, or if a step raises an error. Any
        error that leaves `flow` has the steps before it in its attribute ``trajectory``, with
        status FAILED.
    InvalidFunctional
        If F is not finite at the start, is no real number, or answers differently twice.
    InvalidProblem
        If ``problem`` is something else.
    StoreError
        If the store holds something else, or cannot be written.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, QuadraticPotential
    >>> F = Entropy() + QuadraticPotential(1.0)
    >>> run = flow(Problem(F, Gaussian([0.0], [[0.25]]), tau=0.1, steps=10))
    >>> round(float(run.final.cov()[0, 0]) ** 0.5, 12)
    0.934188954641
    """
    require_runnable(problem, stepper)
    stepper = stepper_of(problem, stepper)
    save, max_steps = as_schedule(save), limit(max_steps)
    watching = functions_of_records(observers, "observers")
    stopping = functions_of_records(events, "events")
    trajectory = Trajectory(problem, initial_energy(problem, stepper))
    book = open_book(store, problem, stepper)
    resume = resume_from(book, trajectory)
    stop = stop_at(problem.steps, len(trajectory), max_steps)
    consumer = Consumer(trajectory, book, save, watching, stopping, stop, progress)
    consumer.run(iterate(problem, stepper, rng=rng, resume=resume), resume)
    if throw and trajectory.failed is not None:
        raise StepFailed(
            f"step {len(trajectory) + 1} failed: {trajectory.status}. The {len(trajectory)} steps "
            "before it are in the error's trajectory; throw=False returns it instead.",
            trajectory,
        )
    return trajectory
