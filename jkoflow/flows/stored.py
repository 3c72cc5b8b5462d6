"""Trajectories from and to a store, without running anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import Any, NamedTuple

from ..record import StepRecord
from ..status import InvalidProblem, Status, StoreError
from ..store.archive import LIMIT
from ..store.book import Flush
from ..store.checkpoint import newest_checkpoint, require_that_of
from ..store.directory import Directory
from ..store.format import StoredRun, StoredStep, read_run
from .trajectory import Taken, Trajectory


def load(path: str | PathLike[str], *, limit: int = LIMIT) -> Trajectory:
    """Read a stored run into memory, verifying every checksum.

    Its ``problem`` knows the initial measure, the steps and the functional's spec, but not the
    functional itself, which no store can hold. Of a run that was killed, the steps up to the
    last known measure come back.

    Parameters
    ----------
    path : str or Path
        The run's folder.
    limit : int
        Largest file that may be read into memory, in bytes.

    Raises
    ------
    StoreError
        If there is no run, or it is damaged.

    Examples
    --------
    >>> import tempfile, jkoflow as jf
    >>> problem = jf.Problem(jf.Entropy(), jf.Gaussian([0.0], [[1.0]]), tau=0.1, steps=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = jf.flow(problem, store=folder)
    ...     print(bool((load(folder).energies == run.energies).all()))
    True
    """
    run = read_run(path, limit=limit)
    found, _ = newest_checkpoint(run.path, limit)
    checkpoint = None if found is None else found[0]
    trajectory = Trajectory(run.problem, run.initial_energy, status=run.status)
    for step in run.steps():
        _fill(trajectory, step, checkpoint)
    if trajectory.last is not None:
        del trajectory.taken[trajectory.last.index :]
    elif trajectory.taken:
        trajectory.taken.clear()
    if len(trajectory) < run.length and trajectory.status is Status.COMPLETE:
        trajectory.status = Status.INTERRUPTED  # what follows the last known measure is left out
    return trajectory


def _fill(trajectory: Trajectory, step: StoredStep, checkpoint: StepRecord | None) -> None:
    record = step.record()
    keep = record is not None
    if checkpoint is not None and checkpoint.index == step.index:
        require_that_of(step, checkpoint)
        record = checkpoint
    if record is None:
        trajectory.add_unsaved(step.time, step.energy, step.distance_squared, step.status)
    else:
        trajectory.add(record, keep)


def save(trajectory: Trajectory, path: str | PathLike[str]) -> StoredRun:
    """Write a trajectory that is in memory into a new folder.

    Parameters
    ----------
    trajectory : Trajectory
        From `flow` without a store, or made from another program's measures.
    path : str or Path
        A folder that does not exist yet or is empty.

    Returns
    -------
    StoredRun
        What was written, read back.

    Raises
    ------
    StoreError
        If the folder holds anything, or cannot be written.

    Examples
    --------
    >>> import tempfile, jkoflow as jf
    >>> problem = jf.Problem(jf.Entropy(), jf.Gaussian([0.0], [[1.0]]), tau=0.1, steps=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(save(jf.flow(problem), folder).status.name)
    COMPLETE
    """
    if not isinstance(trajectory, Trajectory):
        raise InvalidProblem(
            f"save writes what flow returned, not {type(trajectory).__name__}: "
            "save(trajectory, path)"
        )
    return write_run(path, trajectory, trajectory.status, told(trajectory))


class Told(NamedTuple):
    """A step to write: its record, whether its measure is kept, and whether it is known at all.

    Where it is not, the record has the initial measure in its place.
    """

    record: StepRecord
    keep: bool
    known: bool


def write_run(
    path: str | PathLike[str], run: Trajectory | StoredRun, status: Status, steps: Iterable[Told]
) -> StoredRun:
    """Write steps as they come into a new folder, as the answer to the problem of ``run``."""
    directory = Directory(path, Flush(seconds=math.inf))
    if directory.holds_run:
        raise StoreError(f"{directory.path} already holds a run: choose a new folder")
    book = directory.book(run.problem)
    book.taken_by(run.steppers if isinstance(run, StoredRun) else ())
    written = Trajectory(run.problem, run.initial_energy, status=status)
    try:
        book.restore(written)
        for step in steps:
            book.write(*step)
    except BaseException:
        book.release()
        raise
    book.close(written)
    return directory.read()


def told(run: Trajectory | StoredRun) -> Iterator[Told]:
    """The steps of a run in order, in memory or, one at a time, on disk."""
    return _told_by_trajectory(run) if isinstance(run, Trajectory) else _told_by_store(run)


def _told_by_store(run: StoredRun) -> Iterator[Told]:
    found, _ = newest_checkpoint(run.path, run.limit)
    last = None if found is None else found[0]
    for step in run.steps():
        record = step.record()
        if last is not None and last.index == step.index:
            require_that_of(step, last)
            yield Told(last, record is not None, True)  # with the state to go on from
        elif record is None:
            yield Told(_unsaved(run.problem, step.index, step), False, False)
        else:
            yield Told(record, True, True)


def _told_by_trajectory(trajectory: Trajectory) -> Iterator[Told]:
    kept = {record.index: record for record in trajectory.records}
    if trajectory.last is not None:
        kept.setdefault(trajectory.last.index, trajectory.last)
    saved = set(trajectory.saved.tolist())
    for index, taken in enumerate(trajectory.taken, start=1):
        record = kept.get(index)
        if record is None:
            yield Told(_unsaved(trajectory.problem, index, taken), False, False)
        else:
            yield Told(record, index in saved, True)


def _unsaved(problem: Any, index: int, taken: Taken | StoredStep) -> StepRecord:
    """A step whose τ, where a run says none, is that of the problem, or NaN beyond its steps."""
    asked = problem.taus[index - 1] if index <= problem.steps else math.nan
    tau = taken.tau if isinstance(taken, StoredStep) else float(asked)
    return StepRecord(
        index, taken.time, tau, problem.initial, taken.energy,
        taken.distance_squared, None, {}, taken.status, {}, {},
    )  # fmt: skip
