"""Limited-memory quasi-Newton ascent of a concave function, in a metric of one's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from ...measures.base import Array

_SUFFICIENT = 1e-4  # part of the predicted gain that a step must bring
_SHORTER = 0.4
_TRIALS = 12
_WORTHWHILE = 1e-2  # of the expected gain: less is no reason to go on
_CRAWLING = 0.1  # of what was expected of so many steps: less is a crawl along kinks
_WINDOW = 16


class Point(Protocol):
    """Where the function was looked at: place, value, gradient."""

    @property
    def place(self) -> Array: ...

    @property
    def value(self) -> float: ...

    @property
    def gradient(self) -> Array: ...


P = TypeVar("P", bound=Point)


class Ascent(NamedTuple, Generic[P]):
    """The last point, the gain that the model still expected there, and how it went."""

    point: P
    expected: float
    iterations: int
    evaluations: int
    converged: bool


def ascend(
    look: Callable[[Array], P],
    start: P,
    metric: Callable[[Array], Array],
    enough: Callable[[P, float, int], bool],
    iterations: int,
    memory: int,
    improved: Callable[[P], P] | None = None,
) -> Ascent[P]:
    """Climb from ``start`` by L-BFGS whose first model of the inverse Hessian is ``metric``.

    ``enough(point, expected, k)`` ends it, where ⟨gradient, direction⟩ = ``expected`` is twice
    the gain that the quadratic model foresees. A step must bring a part of that; where none
    does, the memory is dropped; if that does not help, ``improved`` may offer another point from
    which to go on; and if that is no higher, the ascent ends. It ends as well where steps gain
    hardly anything of what is expected of them: smooth functions give nearly all, kinks do not.
    """
    pairs: deque[tuple[Array, Array, float]] = deque(maxlen=memory)
    gains: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
    here, looks, expected = start, 0, np.inf
    for k in range(iterations):
        direction = _direction(here.gradient, pairs, metric)
        expected = float(np.vdot(here.gradient, direction))
        if enough(here, expected, k):
            return Ascent(here, expected, k, looks, True)
        new, tried = _step(look, here, direction, expected)
        looks += tried
        if new is None:
            if pairs:
                pairs.clear()
                continue
            other = here if improved is None else improved(here)
            if other.value <= here.value + _WORTHWHILE * expected:
                return Ascent(here, expected, k, looks, False)
            here = other
            continue
        gains.append((new.value - here.value, 0.5 * expected))
        gained, foreseen = map(sum, zip(*gains, strict=True))
        if len(gains) == _WINDOW and gained < _CRAWLING * foreseen:
            return Ascent(new, expected, k + 1, looks, False)
        s, y = new.place - here.place, here.gradient - new.gradient
        curvature = float(np.vdot(s, y))
        if curvature > 1e-12 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            pairs.append((s, y, curvature))
        here = new
    return Ascent(here, expected, iterations, looks, False)


def _direction(
    gradient: Array, pairs: deque[tuple[Array, Array, float]], metric: Callable[[Array], Array]
) -> Array:
    """Nocedal's two loops, with the metric scaled by the last pair."""
    q, parts = gradient.copy(), []
    for s, y, curvature in reversed(pairs):
        part = float(np.vdot(s, q)) / curvature
        parts.append(part)
        q -= part * y
    z = metric(q)
    if pairs:
        s, y, curvature = pairs[-1]
        z *= curvature / float(np.vdot(y, metric(y)))
    for (s, y, curvature), part in zip(pairs, reversed(parts), strict=True):
        z += (part - float(np.vdot(y, z)) / curvature) * s
    return z


def _step(
    look: Callable[[Array], P], here: P, direction: Array, expected: float
) -> tuple[P | None, int]:
    """The first of ever shorter steps that gains enough, and how many were tried."""
    length = 1.0
    for tried in range(1, _TRIALS + 1):
        new = look(here.place + length * direction)
        if new.value >= here.value + _SUFFICIENT * length * expected:
            return new, tried
        length *= _SHORTER
    return None, _TRIALS
