"""A run's steps as the judge reads them: from memory or disk, one by one or in blocks."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np

from ..measures.many import alike
from ..problem import Problem
from ..status import InvalidProblem
from ..store.format import Altered, Impossible, most_entries, read_run

_BLOCK = 2**17  # numbers of a block's positions: arrays of a megabyte
_KEPT = 2**25 - 2**16  # bytes: once so many were freed together, the C library of Linux keeps what
# is freed later, and does not ask for it again page by page, which took half of the time


def opened(problem: Any, run: Any) -> Any:
    """The run, from its folder if that is what was given."""
    ready, path = hasattr(run, "records") or hasattr(run, "head"), getattr(run, "path", run)
    if not (isinstance(problem, Problem) and (ready or isinstance(path, (str, os.PathLike)))):
        raise InvalidProblem("check_run takes a Problem and a run of it, a Trajectory or a folder, "
                             f"not {problem!r:.60} and {run!r:.60}")  # fmt: skip
    return run if ready else read_run(os.fspath(path), largest=most_entries(problem.initial))


class Step(NamedTuple):
    """A step's number, its record (None if not saved), and the run's own time, energy and W2²."""

    number: int
    record: Any
    time: float
    energy: float
    squared: float

    @property
    def measure(self) -> Any:
        """The measure after the step, or None."""
        return None if self.record is None else self.record.measure

    def contradiction(self, tau: float) -> str:
        """What the record says otherwise, for a step of size τ; NaN says nothing."""
        r = self.record
        if r is None:
            return ""
        same = (r.index, r.tau, r.time, r.energy) == (self.number, tau, self.time, self.energy)
        if same and (r.distance_squared == self.squared or math.isnan(self.squared)):
            return ""
        said = (r.index, r.tau, r.time, r.energy, r.distance_squared)
        return f"says (step, τ, time, energy, W2²) = {said}, which is not so"


def steps_taken(run: Any, asked: int) -> Iterator[Step]:
    """In order, from memory or from disk; `Impossible` where the records contradict themselves.

    Of steps beyond those ``asked`` for the first is enough: how many a forger added costs nothing.
    """
    if hasattr(run, "head"):
        for s in islice(run, asked + 1):
            yield Step(s.index, s, s.time, s.energy, s.distance_squared)
        return
    saved = {record.index: record for record in run.records}
    numbers = [0, *(record.index for record in run.records), len(run.taken) + 1]
    if any(a >= b for a, b in pairwise(numbers)):
        raise Impossible(f"the records are those of the steps {numbers[1:-1]}, out of order")
    for k, taken in enumerate(run.taken[: asked + 1], 1):
        yield Step(k, saved.get(k), *map(float, (taken.time, taken.energy, taken.distance_squared)))


def blocks(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Consecutive steps whose measures can stand in one stack; one without a measure is alone."""
    np.empty(_KEPT, np.uint8)
    block: list[Step] = []
    first, size = None, 0
    try:
        for step in steps:
            mu = step.measure
            apart = mu is None or first is None or size > _BLOCK or not alike(first, mu)
            if block and apart:
                yield block
                block, size = [], 0
            first = mu if not block else first
            block.append(step)
            if mu is not None:
                size += mu.dim**2 if mu.kind == "gaussian" else mu.points.size
    except (Altered, Impossible):
        if block:
            yield block
        raise
    if block:
        yield block
