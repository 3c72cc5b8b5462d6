"""The question: which functional, from where, in which steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .arguments import is_finite, is_whole
from .functionals.base import Functional
from .functionals.identity import array_digest, spec_digest
from .functionals.scale import at_scale_of
from .measures.base import Array, Measure, real_array
from .measures.cells import Cells
from .status import InvalidMeasure, InvalidProblem

_MOST_STEPS = 100_000_000
_ROUNDING = 4.0 * float(np.finfo(float).eps)


@dataclass(frozen=True, init=False)
class Problem:
    """Minimise F(ρ) + W2²(ρ, ρ_k)/(2τ_k), step by step, from an initial measure.

    Parameters
    ----------
    functional : Functional
        Kept with its differences, if it takes some, over lengths that fit the initial measure.
    initial : Measure
    tau : float or array_like
        Step size, or one for each step.
    steps : int, optional
        Number of steps, for a single ``tau``.
    t_end : float, optional
        End time instead of ``steps``: ⌈t_end/τ⌉ steps, the last one shortened to end there.
    walls : (lower, upper), optional
        For `Quantiles` and `Radial`: the space is this interval, and no mass leaves it. One of the
        ends may be infinite. The boxes of grids have walls without being asked.

    Raises
    ------
    InvalidProblem
        If a step is not positive and finite, the number of steps is not determined, or the
        initial measure is not between the walls.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian
    >>> Problem(Entropy(), Gaussian([0.0], [[1.0]]), tau=0.25, t_end=0.6).taus.round(12)
    array([0.25, 0.25, 0.1 ])
    """

    functional: Functional
    initial: Measure
    taus: Array = field(repr=False)
    walls: tuple[float, float] | None = field(repr=False)

    def __init__(
        self,
        functional: Functional,
        initial: Measure,
        tau: float | ArrayLike,
        steps: int | None = None,
        t_end: float | None = None,
        *,
        walls: ArrayLike | None = None,
    ) -> None:
        if not isinstance(functional, Functional):
            raise InvalidProblem(
                f"functional must be a jkoflow functional, not {type(functional).__name__}: "
                "wrap a Python function with @jkoflow.functional"
            )
        if not isinstance(initial, Measure):
            raise InvalidProblem(
                f"initial must be a measure, not {type(initial).__name__}: "
                "for points, use jkoflow.Particles(x)"
            )
        taus = step_sizes(tau, steps, t_end)
        taus.setflags(write=False)
        object.__setattr__(self, "functional", at_scale_of(functional, initial))
        object.__setattr__(self, "initial", initial)
        object.__setattr__(self, "taus", taus)
        object.__setattr__(self, "walls", None if walls is None else interval(walls, initial))

    @property
    def steps(self) -> int:
        """Number of steps asked for."""
        return len(self.taus)

    @property
    def times(self) -> Array:
        """Times 0, τ_1, τ_1+τ_2, …, shape (steps+1,); multiples of τ where all steps are equal."""
        return clock(self.taus)

    def spec(self) -> dict[str, Any]:
        """The question's identity: functional, initial measure, steps, and walls if there are."""
        arrays = self.initial.to_arrays()
        walls = {} if self.walls is None else {"walls": array_digest(np.array(self.walls))}
        return {
            "functional": self.functional.spec(),
            "initial": {
                "kind": self.initial.kind,
                "arrays": {name: array_digest(a) for name, a in sorted(arrays.items())},
            },
            "taus": array_digest(self.taus),
            "steps": self.steps,
            **walls,
        }

    def digest(self) -> str:
        """Hash of `spec`."""
        return spec_digest(self.spec())


def interval(walls: ArrayLike, mu: Measure) -> tuple[float, float]:
    """Walls, as two numbers that the measure is between.

    Raises
    ------
    InvalidProblem
        If they are not, or the measure does not live on the line.
    """
    try:
        ends = real_array(walls, "walls")
    except InvalidMeasure as error:
        raise InvalidProblem(str(error)) from error
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise InvalidProblem(f"walls must be two numbers (lower, upper), not {walls!r:.100}")
    if not isinstance(mu, Cells):
        raise InvalidProblem(f"walls are for Quantiles and Radial, not for {type(mu).__name__}: "
                             "a Grid has walls round its box")  # fmt: skip
    if mu.edges[0] < ends[0] or mu.edges[-1] > ends[1]:
        raise InvalidProblem(f"the initial measure, from {mu.edges[0]:.6g} to {mu.edges[-1]:.6g}, "
                             f"is not between the walls {ends.tolist()}")  # fmt: skip
    return float(ends[0]), float(ends[1])


def clock(taus: Array) -> Array:
    """Times at the ends of the steps, from 0; exact multiples where all steps are equal.

    Examples
    --------
    >>> clock(np.full(3, 0.1))
    array([0. , 0.1, 0.2, 0.3])
    """
    if len(taus) and (taus == taus[0]).all():
        return np.asarray(taus[0] * np.arange(len(taus) + 1.0))
    return np.concatenate([[0.0], np.cumsum(taus)])


def step_sizes(tau: float | ArrayLike, steps: int | None, t_end: float | None) -> Array:
    """All step sizes of a problem; see `Problem`."""
    try:
        sizes = real_array(tau, "tau")
    except InvalidMeasure as error:
        raise InvalidProblem(f"tau must be a number or one number per step: {error}") from error
    if sizes.ndim > 1 or not np.isfinite(sizes).all() or (sizes <= 0).any() or sizes.size == 0:
        raise InvalidProblem(f"tau must be positive and finite, but is {tau!r:.100}")
    if sizes.ndim == 1:
        if t_end is not None or (steps is not None and steps != len(sizes)):
            raise InvalidProblem(
                f"tau has {len(sizes)} entries, one per step: leave out steps and t_end"
            )
        return np.array(sizes)
    if (steps is None) == (t_end is None):
        raise InvalidProblem("give either steps or t_end (and not both)")
    if steps is not None:
        if not is_whole(steps, least=0):
            raise InvalidProblem(f"steps must be a nonnegative integer, but is {steps!r:.100}")
        return np.full(_affordable(int(steps)), float(sizes))
    if t_end is None or not is_finite(t_end) or t_end <= 0:
        raise InvalidProblem(f"t_end must be positive and finite, but is {t_end!r:.100}")
    count = _affordable(max(1, math.ceil(min(t_end / float(sizes), 1e18) - 1e-9)))
    result = np.full(count, float(sizes))
    last = t_end - float(sizes) * (count - 1)
    if abs(last - float(sizes)) > _ROUNDING * t_end:  # else it is the question with ``steps``
        result[-1] = last
    return result


def _affordable(steps: int) -> int:
    """The number of steps, if their sizes fit into memory."""
    if steps > _MOST_STEPS:
        raise InvalidProblem(f"{steps} steps are too many: take a larger tau or a smaller t_end")
    return steps
