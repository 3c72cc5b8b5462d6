"""Runs with a fault in them: the answers of a program that is nearly right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..arguments import is_among
from ..flows.driver import flow
from ..flows.trajectory import Trajectory
from ..functionals.base import Functional
from ..measures.base import Measure
from ..problem import Problem
from ..record import State, Witness
from ..status import InvalidProblem, Status
from ..steppers.base import StepOutput, Stepper
from .questions import Settings


class Replay(Stepper):
    """Laws on the line that are known already, one after the other."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self.measures = measures

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        k = int(state.get("next", 0))
        after, witness = self.measures[k], Witness("monotone", {})
        squared = float(mu.weights @ ((after.points - mu.points) ** 2).sum(axis=1))
        return StepOutput(after, {"next": np.array(k + 1)}, witness, {}, Status.EXACT, squared)


def _longer_steps(asked: Settings, size: float) -> Sequence[Measure]:
    return flow(replace(asked, tau=(1.0 + size) * asked.tau).problem()).measures[1:]


def _more_spreading(asked: Settings, size: float) -> Sequence[Measure]:
    return flow(replace(asked, strength=(1.0 + size) * asked.strength).problem()).measures[1:]


def _shifted(asked: Settings, size: float) -> Sequence[Measure]:
    found = flow(asked.problem()).measures[1:]
    middle = len(found) // 2
    found[middle] = found[middle].displaced(np.full_like(found[middle].points, size * asked.std))
    return found


def _left_out(asked: Settings, size: float) -> Sequence[Measure]:
    found = flow(asked.problem()).measures[1:]
    middle = len(found) // 2
    return found if size == 0 else [*found[:middle], *found[max(0, middle - 1) : -1]]


FAULTS: dict[str, Callable[[Settings, float], Sequence[Measure]]] = {
    "steps are longer than it says": _longer_steps,
    "it spreads more than it says": _more_spreading,
    "one law is shifted, by shares of its start's std": _shifted,
    "one step was not taken": _left_out,
}


def answered(asked: Settings, fault: str | None = None, size: float = 0.0) -> Trajectory:
    """The run that answers, honestly or with a fault of a size.

    Energies and distances are computed from the laws, so that no number contradicts another: all
    that can be found is that the laws are not those of the question.

    Raises
    ------
    InvalidProblem
        For a fault that is not among `FAULTS`.

    Examples
    --------
    >>> from jkoflow import check_run
    >>> asked = Settings(steps=4)
    >>> run = answered(asked, "steps are longer than it says", 0.01)
    >>> check_run(asked.problem(), run).verdict.name
    'REJECTED'
    """
    problem: Problem = asked.problem()
    if fault is None:
        return flow(problem)
    if not is_among(fault, FAULTS):
        raise InvalidProblem(f"there is no fault {fault!r:.100}: choose from {', '.join(FAULTS)}")
    return flow(problem, Replay(FAULTS[fault](asked, size)), throw=False)
