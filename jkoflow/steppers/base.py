"""What a stepper is: two pure functions, `init` and `step`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..measures.base import Measure
from ..record import State, Witness
from ..status import Status


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


class Stepper(ABC):
    """Minimises F(ρ) + W2²(ρ, μ)/(2τ) over the measures of μ's representation.

    A stepper is a value: its fields are options, and neither method changes it.
    """

    def init(
        self, F: Functional, mu: Measure, tau: float, rng: np.random.Generator
    ) -> State:
        """The state before the first step; empty where steps do not depend on the past."""
        return {}

    @abstractmethod
    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        """One step from ``mu``; never raises for numerical trouble, but says so in the status."""
