"""Trajectories from and to a store, without running anything."""

from __future__ import annotations

import math
from collections.abc import Iterator
from os import PathLike

from ..record import StepRecord
from ..status import InvalidProblem, StoreError
from ..store.archive import LIMIT
from ..store.book import Flush
from ..store.checkpoint import newest_checkpoint
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
    return trajectory


def _fill(trajectory: Trajectory, step: StoredStep, checkpoint: StepRecord | None) -> None:
    record = step.record()
    keep = record is not None
    if checkpoint is not None and checkpoint.index == step.index:
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
    directory = Directory(path, Flush(seconds=math.inf, steps=2**62))
    if directory.holds_run:
        raise StoreError(f"{directory.path} already holds a run: choose a new folder")
    # with this flush, checkpoints follow kept steps only, whose measures are known
    book = directory.book(trajectory.problem)
    written = Trajectory(trajectory.problem, trajectory.initial_energy)
    try:
        book.restore(written)
        for record, keep in _records(trajectory):
            book.write(record, keep)
    except BaseException:
        book.release()
        raise
    book.close(trajectory)
    return directory.read()


def _records(trajectory: Trajectory) -> Iterator[tuple[StepRecord, bool]]:
    """A record for each step taken; the unsaved ones stand in with the measure before them."""
    kept = {record.index: record for record in trajectory.records}
    if trajectory.last is not None:
        kept.setdefault(trajectory.last.index, trajectory.last)
    saved = set(trajectory.saved.tolist())
    for index, taken in enumerate(trajectory.taken, start=1):
        record = kept.get(index) or _unsaved(trajectory, index, taken)
        yield record, index in saved


def _unsaved(trajectory: Trajectory, index: int, taken: Taken) -> StepRecord:
    tau = float(trajectory.problem.taus[index - 1])
    return StepRecord(
        index, taken.time, tau, trajectory.problem.initial, taken.energy, taken.distance_squared,
        None, {}, taken.status, {}, {},
    )  # fmt: skip
