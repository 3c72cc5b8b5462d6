"""Damped Newton iteration on the edges of a law on the line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...measures.base import Array
from ...measures.lengths import length
from ...status import InvalidFunctional, Status
from .objective import Expanded, Objective


class Newton:
    """Damped Newton iteration on an `Objective`.

    The residual of Newton's method is squared from one full step to the next. Once two of them
    foretell that the next is below the tolerance, that step is taken without another evaluation.
    """

    def __init__(self, objective: Objective, tolerance: float, max_iterations: int) -> None:
        self.objective, self.tolerance, self.max_iterations = objective, tolerance, max_iterations
        self.iterations, self.residual, self.slope = 0, np.inf, np.nan
        self.foretold, self.before = np.inf, np.inf
        self.force: Array | float = np.inf
        self.trusting = False  # that the start was no higher than the old edges

    @property
    def stats(self) -> dict[str, Any]:
        return {
            "iterations": self.iterations,
            "residual": float(min(self.residual, self.foretold)),
            "slope": float(self.slope),
        }

    def run(self, x: Array) -> tuple[Array, Status]:
        """Iterate from x; returns the last edges and how it ended."""
        x, here = self._start(x)
        old = self.objective.mu.edges
        far = 1e8 * (1.0 + max(abs(float(old[0])), abs(float(old[-1]))))
        while True:
            if not (np.isfinite(here.value) and np.isfinite(here.gradient).all()):
                return x, Status.NON_FINITE
            if max(abs(x[0]), abs(x[-1])) > far:
                return x, Status.UNBOUNDED
            if self._converged(x, here):
                return x, Status.CONVERGED
            if self.iterations == self.max_iterations:
                small = self._small(x, here)
                return x, Status.CONVERGED if small else Status.MAX_ITERATIONS
            self.iterations += 1
            d = self.objective.direction(x, here)
            if self.foretold <= 0.1 * self.tolerance * self.slope and self._last(x + d):
                return x + d, Status.CONVERGED
            found = self._line_search(x, here, d)
            if found is None:
                if self._small(x, here):
                    return x, Status.CONVERGED
                found = self._line_search(x, here, self.objective.steepest(here))
            if found is None:
                return x, Status.STALLED
            x, here = found
            self._measure(x, here)

    def _start(self, x: Array) -> tuple[Array, Expanded]:
        """x expanded, or the old edges where the objective is not finite at x, or is less there.

        The last step repeated, d, is better than no step wherever F's force has not changed by
        half: the objective's slope along d is −|d|²/τ at first, and at most half of that at last.
        (It may have gone over a hill between.)
        """
        here, old = self.objective.expand(x), self.objective.mu.edges
        self._measure(x, here)
        alike = here.face.covers(len(x)) and self.residual <= 0.5 * self.slope
        if x is old or (alike and np.isfinite(here.value)):
            self.trusting = x is not old
            return x, here
        there = self.objective.expand(old)
        if here.value <= there.value:
            return x, here
        self.residual, self.force = np.inf, np.inf
        self._measure(old, there)
        return old, there

    def _converged(self, x: Array, here: Expanded) -> bool:
        if self.residual <= self.tolerance * self.slope:
            return True
        # rounding is worth a look where little is left, or where progress ends
        slow = self.residual > 0.1 * self.before and self.residual <= 1e-3 * (1.0 + self.slope)
        near = self.residual <= 1e-4 * (1.0 + self.slope)
        return (slow or near) and self.residual <= 2.0 * self.objective.rounding(x, here)

    def _measure(self, x: Array, here: Expanded) -> None:
        """The residual and the slope in L2(ρ⁺), and the next residual, foretold."""
        w, tau = self.objective.mu.weights, self.objective.tau
        moved = x - self.objective.mu.edges
        self.before = before = self.residual
        self.slope = _length(w, moved) / tau
        old, self.force = self.force, here.push
        self.residual = _length(w, here.push)
        self.foretold = np.inf
        if self.residual < 0.05 * before < np.inf:
            # edge by edge: one of little mass may lag far behind the others
            fall = self.force / np.maximum(np.abs(old), before)
            self.foretold = math.sqrt(w @ (self.force * fall**2) ** 2)

    def _last(self, x: Array) -> bool:
        """Whether x, not evaluated, may be returned: finite, admissible and sorted."""
        inside = bool(np.isfinite(x).all()) and self.objective.inside(x) is x
        return inside and self.objective.admissible(x)

    def _small(self, x: Array, here: Expanded) -> bool:
        """Whether no decrease means convergence: the residual is as small as can be.

        A residual r is worth about r²τ/2 of the objective, which float64 may not show.
        """
        invisible = math.sqrt(0.5 * _visible(here.scale) / self.objective.tau)
        rounding = 2.0 * self.objective.rounding(x, here)
        return self.residual <= max(1e-6 * self.slope, rounding, invisible)

    def _line_search(self, x: Array, here: Expanded, d: Array) -> tuple[Array, Expanded] | None:
        """The first of x + d, x + d/2, … that decreases the objective enough; None if none.

        Each is put back where edges may be, and judged by the decrease foretold for that. Where F
        has no finite value so far away, the next one is nearer.
        """
        rounding = 10.0 * _visible(here.scale)
        # the value cannot judge a step of less: the residual does
        slope = float(here.gradient @ d)
        hidden = -slope <= rounding
        t, whole = 1.0, True
        for _ in range(6 if hidden else 40):
            trial = self.objective.inside(reached := x + (t * d if t < 1.0 else d))
            if whole and not self.objective.admissible(trial):
                trial = self.objective.squeezed(x, d)
            if self.objective.admissible(trial):
                moved = trial is not reached
                decrease = float(here.gradient @ (trial - x)) if moved else t * slope
                try:
                    with np.errstate(over="ignore", invalid="ignore"):  # of F so far away
                        there = self.objective.expand(trial)
                except InvalidFunctional:
                    if t < _NEAREST:
                        raise
                    t, whole = 0.5 * t, False
                    continue
                lower = decrease < 0 and there.value <= here.value + 1e-4 * decrease
                level = hidden and there.value <= here.value + rounding
                if (lower and not hidden) or (level and self._smaller(there)):
                    return trial, there
            t, whole = 0.5 * t, False
        return None

    def _smaller(self, there: Expanded) -> bool:
        """Whether the residual still falls, where the value no longer can."""
        w = self.objective.mu.weights
        return _length(w, there.push) < 0.7 * self.residual


def _length(w: Array, v: Array) -> float:
    return length(lambda u: float(w @ (u * u)), v)


_NEAREST = 1e-6  # part of a direction at which F must have a value


def _visible(scale: float) -> float:
    """The least difference of objectives of this `Expanded.scale` that is more than rounding."""
    return 16.0 * float(np.finfo(float).eps) * scale
