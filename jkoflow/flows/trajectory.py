"""The answer: what a flow returns."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..arguments import is_whole
from ..measures.base import Array, Measure
from ..problem import Problem
from ..record import StepRecord
from ..status import InvalidProblem, Status
from ..store.format import StoredProblem


class Taken(NamedTuple):
    """What is remembered of each step, saved or not."""

    time: float
    energy: float
    distance_squared: float
    status: Status


@dataclass
class Trajectory:
    """The steps of a run, in memory.

    ``times``, ``energies`` and ``distances_squared`` cover every step taken (index 0 is the
    start); ``measures`` and ``records`` the saved ones, whose step numbers are ``saved``.
    ``trajectory[k]`` is the record of step k, and of the start for k = 0. ``last`` is the last
    step's record, saved or not; ``failed`` that of a step which was taken and found wanting, to
    look at.

    Examples
    --------
    >>> import jkoflow as jf
    >>> problem = jf.Problem(jf.Entropy(), jf.Gaussian([0.0], [[1.0]]), tau=0.5, steps=4)
    >>> run = jf.flow(problem, save=jf.every(2))
    >>> run.times, run.saved, len(run.measures), run[2].index
    (array([0. , 0.5, 1. , 1.5, 2. ]), array([0, 2, 4]), 3, 2)
    """

    problem: Problem | StoredProblem
    initial_energy: float
    records: list[StepRecord] = field(default_factory=list)
    status: Status = Status.RUNNING
    taken: list[Taken] = field(default_factory=list)
    last: StepRecord | None = None
    failed: StepRecord | None = None

    @property
    def times(self) -> Array:
        """Time of every step taken, from 0."""
        return np.array([0.0, *(step.time for step in self.taken)])

    @property
    def energies(self) -> Array:
        """F at every step taken, from the start."""
        return np.array([self.initial_energy, *(step.energy for step in self.taken)])

    @property
    def distances_squared(self) -> Array:
        """W2² between each step's two measures; 0 at the start."""
        return np.array([0.0, *(step.distance_squared for step in self.taken)])

    @property
    def saved(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Step numbers of ``measures``; the start, 0, is always there."""
        return np.array([0, *(record.index for record in self.records)], dtype=np.int64)

    @property
    def measures(self) -> list[Measure]:
        """The start and every saved measure."""
        return [self.problem.initial, *(record.measure for record in self.records)]

    @property
    def final(self) -> Measure:
        """The last measure reached, saved or not."""
        return self.problem.initial if self.last is None else self.last.measure

    def __len__(self) -> int:
        """Number of steps taken."""
        return len(self.taken)

    def __bool__(self) -> bool:
        """Always true: a run of no steps is a run."""
        return True

    def __iter__(self) -> Iterator[StepRecord]:
        return iter(self.records)

    def __getitem__(self, k: int) -> StepRecord:
        if not is_whole(k, least=-sys.maxsize):
            raise InvalidProblem(f"a step has a number: trajectory[{k!r:.50}] is none")
        index = k if k >= 0 else len(self) + 1 + k
        if index == 0:
            return StepRecord.of_start(self.problem.initial, self.initial_energy)
        place = bisect_left(self.records, index, key=lambda record: record.index)
        if place < len(self.records) and self.records[place].index == index:
            return self.records[place]
        if self.last is not None and self.last.index == index:
            return self.last
        raise InvalidProblem(
            f"step {k} was not saved; saved are {_short(self.saved[1:].tolist())} of {len(self)}"
        )

    def add(self, record: StepRecord, keep: bool) -> None:
        """Append a step; keep its record only if it is to be saved."""
        self.add_unsaved(record.time, record.energy, record.distance_squared, record.status)
        self.last = record
        if keep:
            self.records.append(record)

    def add_unsaved(
        self, time: float, energy: float, distance_squared: float, status: Status
    ) -> None:
        """Append a step of which no measure is known."""
        self.taken.append(Taken(time, energy, distance_squared, status))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self)} of {self.problem.steps} steps, "
            f"t={self.times[-1]:.4g}, F={self.energies[-1]:.6g}, {self.status.name})"
        )


def _short(numbers: list[int]) -> str:
    shown = numbers if len(numbers) <= 8 else [*numbers[:4], "…", *numbers[-3:]]
    return ", ".join(str(k) for k in shown) or "none"
