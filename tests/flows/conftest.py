"""Steppers small enough to see through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.status import Status
from jkoflow.steppers.base import StepOutput, Stepper


@dataclass(frozen=True)
class Contraction(Stepper):
    """The exact step of QuadraticPotential(1): x ↦ x/(1 + τ); at some step, something else."""

    at: int = 0
    instead: Any = field(default=None, repr=False)

    def init(self, F, mu, tau, rng):
        return {"count": np.array(0)}

    def step(self, F, mu, tau, state, rng):
        count = state["count"] + 1
        moved = mu.points * (-tau / (1.0 + tau))
        distance = float(mu.weights @ (moved**2).sum(axis=1))
        output = StepOutput(
            mu.displaced(moved), {"count": count}, None, {"n": int(count)}, Status.EXACT, distance
        )
        return self.instead(output) if int(count) == self.at else output


@pytest.fixture
def contraction():
    """The class `Contraction`."""
    return Contraction


@pytest.fixture
def problem():
    """Eight steps of size ¼ of the quadratic potential, from two points."""
    return jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0, 3.0]), 0.25, steps=8)
