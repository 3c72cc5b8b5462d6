"""Newton's iteration on the nodes of a mesh: directions, steps that turn nothing over, an end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...measures.base import Array
from ...status import Status
from .newton import Assembly, Direction, System
from .objective import MeshObjective, MeshPoint

_ROUNDING = 64.0 * float(np.finfo(float).eps)
_STRAIGHTENED = (0.0, 0.02, 0.15, 1.0)  # shares of the turning term, until the direction is good
_FREE = 0.3  # a direction is good if this much of it can be gone before a simplex is flat
_ARMIJO = 1e-4
_UPHILL = 0.5  # of the slope at first: how much a step within rounding may end with
_SHORTER, _TRIALS = 0.4, 30  # no power of 2, which may lead from x to −x for ever
_ROUNDS = 2000
LIGHT = 1e-3  # of the mean weight
_FAR = 1e8
_SHOWN = 10.0  # the last step of Newton's method, taken on top, gains more than this


class Descended(NamedTuple):
    nodes: Array
    status: Status
    stats: Mapping[str, Any]


def descend(objective: MeshObjective, tolerance: float, max_iterations: int) -> Descended:
    """From the old nodes, until half the decrement is ``tolerance`` of the energy lost, and the
    forces balance: where the Hessian had to be straightened, convergence is linear, and what is
    little to the energy may be much to the residual.

    The energy lost is counted from the first iterate, and up to ten times what the step pays for
    transport: a long step loses much more than its slope W2/τ shows. Conjugate gradients are as
    exact as the root of the last decrement, relative to the energy lost, so that convergence is
    quadratic.
    """
    here = objective.at(objective.mu.nodes)
    assembly, start, rounds, accuracy = Assembly(objective.mu), here.value, 0, 1e-2
    far = _FAR * (1.0 + float(np.abs(here.x).max()))

    def ended(point: MeshPoint, status: Status, k: int, decrement: float = np.nan) -> Descended:
        stats = {"iterations": k, "rounds": rounds, "decrement": decrement}
        return Descended(point.x, status, stats)

    for k in range(max_iterations + 1):
        if not (np.isfinite(here.value) and np.isfinite(here.gradient).all()):
            return ended(here, Status.NON_FINITE, k)
        if np.abs(here.x).max() > far:
            return ended(here, Status.UNBOUNDED, k)
        system = System(objective, here, assembly)
        found, length, used, curved = _direction(objective, here, system, accuracy)
        rounds += used
        rounding = _ROUNDING * here.size
        lost = max(min(start - here.value, _SHOWN * objective.paid(here.x)), 0.0)
        small = 0.5 * found.decrement <= tolerance * lost + rounding
        if small and (not found.curved or found.decrement <= rounding):
            last = objective.at(here.x + found.step) if length == 1.0 else here
            last = last if last.value <= here.value + rounding else here
            # light nodes, as in tails, may never balance so well
            lightest = LIGHT if k == max_iterations else 0.0
            if found.decrement <= rounding or objective.stationary(last, lightest):
                return ended(last, Status.CONVERGED, k, found.decrement)
        if k == max_iterations:
            break
        new = _line_search(objective, here, found, length, rounding)
        if new is None:
            return ended(here, Status.STALLED, k, found.decrement)
        here = new
        accuracy = min(1e-2, max(1e-6, np.sqrt(found.decrement / (start - here.value + rounding))))
    status = Status.NOT_CONVEX if curved else Status.MAX_ITERATIONS
    return ended(here, status, max_iterations, found.decrement)


def _direction(
    objective: MeshObjective, here: MeshPoint, system: System, accuracy: float
) -> tuple[Direction, float, int, bool]:
    """The first good direction, how much of it to try; the rounds that all of them took, and
    whether the Hessian as it is curved downwards."""
    rounds, curved = 0, False
    for share in _STRAIGHTENED:
        found = system.direction(share, accuracy, _ROUNDS)
        rounds += found.rounds
        curved = curved or (share == 0.0 and found.curved)
        length = min(1.0, 0.9 * objective.room(here.x, found.step))
        if length > _FREE and not found.curved:
            break
    return found, length, rounds, curved


def _line_search(
    objective: MeshObjective, here: MeshPoint, found: Direction, length: float, rounding: float
) -> MeshPoint | None:
    """The first of ever shorter steps that lowers the objective enough; None if none does.

    Where rounding hides that, slopes tell: a step of Newton's method on |x|^1.5 leads to −x.
    """
    for _ in range(_TRIALS):
        new = objective.at(here.x + length * found.step)
        excess = new.value - here.value + _ARMIJO * length * found.decrement
        if excess <= 0.0:
            return new
        if excess <= rounding and np.vdot(new.gradient, found.step) <= _UPHILL * found.decrement:
            return new
        length *= _SHORTER
    return None
