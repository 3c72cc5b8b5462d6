"""What a stepper is: two pure functions, `init` and `step`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..arguments import is_among, is_finite, whole
from ..functionals.base import Functional
from ..measures.base import Measure
from ..record import State, Witness
from ..status import InvalidProblem, NotDefined, Status


class StepOutput(NamedTuple):
    """The answer to one step: the new measure and the evidence for it.

    ``distance_squared`` is W2² to the old measure. ``status`` says how the step ended; a measure
    comes back even when it is not good, so that it can be looked at.
    """

    measure: Measure
    state: State
    witness: Witness | None
    stats: Mapping[str, Any]
    status: Status
    distance_squared: float = float("nan")


def require_options(
    tolerance: object = 0.5, words: tuple[str, ...] = (), **options: object
) -> None:
    """That a tolerance lies in (0, 1) and the other options are words, or numbers of rounds.

    Raises
    ------
    InvalidProblem
        Naming the option.

    Examples
    --------
    >>> require_options(1e-9, max_iterations=0)
    Traceback (most recent call last):
        ...
    jkoflow.status.InvalidProblem: max_iterations must be an integer ≥ 1, but is 0
    """
    if not (is_finite(tolerance) and 0 < tolerance < 1):  # type: ignore[operator]
        raise InvalidProblem(f"tolerance must lie in (0, 1), but is {tolerance!r:.100}")
    for name, value in options.items():
        if words and not is_among(value, words):
            raise InvalidProblem(f"{name} must be one of {words}, not {value!r:.100}")
        if not words:
            whole(value, name)


class Stepper(ABC):
    """Minimises F(ρ) + W2²(ρ, μ)/(2τ) over the measures of μ's representation.

    A stepper is a value: its fields are options, and neither method changes it.
    """

    def init(
        self, F: Functional, mu: Measure, tau: float, rng: np.random.Generator
    ) -> State:
        """The state before the first step; empty where steps do not depend on the past."""
        return {}

    def recorded(self, F: Functional) -> Functional:
        """The functional whose values a run records: F itself, unless its measures have no F."""
        return F

    def within(self, walls: tuple[float, float]) -> Stepper:
        """This stepper, for a problem with these walls.

        Raises
        ------
        NotDefined
            If it knows of none.
        """
        raise NotDefined(f"{type(self).__name__} knows no walls: take QuantileNewton, or a Grid, "
                         "which has walls round its box")  # fmt: skip

    @abstractmethod
    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        """One step from ``mu``; never raises for numerical trouble, but says so in the status."""
