"""The answer: what a flow returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..measures.base import Array, Measure
from ..problem import Problem
from ..record import StepRecord
from ..status import InvalidProblem, Status


@dataclass
class Trajectory:
    """The steps of a run, in memory.

    ``times``, ``energies`` and ``distances_squared`` cover every step taken (index 0 is the
    start); ``measures`` and ``records`` the saved ones, whose step numbers are ``saved``.
    ``trajectory[k]`` is the record of step k.
    """

    problem: Problem
    initial_energy: float
    records: list[StepRecord] = field(default_factory=list)
    status: Status = Status.RUNNING
    all_times: list[float] = field(default_factory=list)
    all_energies: list[float] = field(default_factory=list)
    last: StepRecord | None = None

    @property
    def times(self) -> Array:
        """Time of every step taken, from 0."""
        return np.array([0.0, *self.all_times])

    @property
    def energies(self) -> Array:
        """F at every step taken, from the start."""
        return np.array([self.initial_energy, *self.all_energies])

    @property
    def saved(self) -> Array:
        """Step numbers of ``measures``; the start, 0, is always there."""
        return np.array([0, *(record.index for record in self.records)])

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
        return len(self.all_times)

    def __iter__(self) -> Iterator[StepRecord]:
        return iter(self.records)

    def __getitem__(self, k: int) -> StepRecord:
        index = k if k >= 0 else len(self) + 1 + k
        for record in self.records:
            if record.index == index:
                return record
        raise InvalidProblem(f"step {k} was not saved; saved steps are {self.saved[1:].tolist()}")

    def add(self, record: StepRecord, keep: bool) -> None:
        """Append a step; keep its record only if it is to be saved."""
        self.all_times.append(record.time)
        self.all_energies.append(record.energy)
        self.last = record
        if keep:
            self.records.append(record)

    def __repr__(self) -> str:
        return (
            f"Trajectory({len(self)} of {self.problem.steps} steps, t={self.times[-1]:.4g}, "
            f"F={self.energies[-1]:.6g}, {self.status.name})"
        )
