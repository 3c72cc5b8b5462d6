"""The answer of a flow whose step sizes were chosen on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ...measures.base import Array, Measure
from ..interpolation import measure_at
from ..trajectory import Trajectory


@dataclass(repr=False)
class AdaptiveTrajectory(Trajectory):
    """A trajectory whose step sizes were chosen on the way: ``problem.taus`` are those taken.

    ``errors`` (steps,) are the estimated errors of the steps in W2; they are forgotten at the
    rate ``contraction``. ``rejected`` steps were tried and taken back, and there were
    ``minimisations`` in all. ``asked`` are the measures at the times ``t_eval``.
    """

    errors: Array = field(default_factory=lambda: np.zeros(0))
    t_eval: Array = field(default_factory=lambda: np.zeros(0))
    rejected: int = 0
    minimisations: int = 0
    contraction: float = 0.0

    @property
    def error(self) -> float:
        """The largest sum of the steps' estimated errors up to any time, old ones contracted."""
        total = largest = 0.0
        for tau, error in zip(self.problem.taus.tolist(), self.errors.tolist(), strict=True):
            total = math.exp(-self.contraction * tau) * total + error
            largest = max(largest, total)
        return largest

    @property
    def asked(self) -> list[Measure]:
        """The measures at ``t_eval``."""
        return [self.at(t) for t in self.t_eval]

    def at(self, t: float) -> Measure:
        """The measure at any time; see `jkoflow.flows.interpolation.measure_at`."""
        return measure_at(self, t)
