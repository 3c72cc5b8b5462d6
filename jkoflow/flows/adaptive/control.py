"""Step sizes from errors: a proportional–integral controller that lands on given times."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...arguments import is_finite, is_whole
from ...measures.base import Array, real_array
from ...status import InvalidMeasure, InvalidProblem

GROWTH = 1.6
"""Below the golden ratio, up to which BDF2's modified energy falls whatever F is."""
_SHRINKING, _AIM, _INTEGRAL, _PROPORTIONAL = 0.2, 0.7, 0.7, 0.4
SHARE = 1e-3
"""Of the tolerance, what any single step may use up, however short it is."""
_SMALLEST = 1e-12


@dataclass
class Controller:
    """Chooses step sizes so that errors add up to the tolerance.

    A step of size τ may be wrong by tolerance·τ/t_end; or by tolerance·(1 − e^{−λτ}) where
    the flow contracts at a rate λ > 1/t_end, since then the errors made before shrink by e^{−λτ};
    or in any case by tolerance·`SHARE`. With r the ratio of a step's error to that and p the
    order, the next step is (0.7/r)^{0.7/p} (r_last/0.7)^{0.4/p} times as long, within [0.2, 1.6]
    (a PI controller after Gustafsson; Hairer and Wanner, IV.8).

    Examples
    --------
    >>> control = Controller(0.1, t_end=1.0, order=1, tau=0.5)
    >>> control.accepts(0.5, error=0.1), control.wanted
    (False, 0.175)
    """

    tolerance: float
    t_end: float
    order: int
    tau: float
    longest: float = math.inf
    contraction: float = 0.0
    last: float = _AIM

    def __post_init__(self) -> None:
        self.wanted = min(self.tau, self.longest)

    def bound(self, tau: float) -> float:
        """What a step may be wrong by."""
        share = tau / self.t_end
        if self.contraction * self.t_end > 1.0:
            share = -math.expm1(-self.contraction * tau)
        return self.tolerance * max(share, SHARE)

    def contracted(self, error: float, tau: float) -> float:
        """What is left of an error after a step: less where the flow forgets."""
        return math.exp(-self.contraction * tau) * error

    def accepts(self, tau: float, error: float) -> bool:
        """Whether a step is good enough; sets the size of the next one."""
        ratio = error / self.bound(tau)
        good = ratio <= 1.0
        p = float(self.order)
        if good:
            ratio = max(ratio, 1e-6)
            factor = (_AIM / ratio) ** (_INTEGRAL / p) * (self.last / _AIM) ** (_PROPORTIONAL / p)
            self.last = ratio
            factor = min(GROWTH, max(_SHRINKING, factor))
        else:
            factor = (_AIM / ratio) ** (1.0 / p) if math.isfinite(ratio) else 0.0
            factor = max(_SHRINKING, factor)
        self.wanted = min(self.longest, factor * tau)
        return good

    def failed(self, tau: float) -> None:
        """A step of this size cannot be taken: the next one is a quarter of it."""
        self.wanted = 0.25 * tau

    @property
    def exhausted(self) -> bool:
        """Whether steps became too short to add up in floating point."""
        return self.wanted < _SMALLEST * self.t_end

    def size(self, t: float, target: float, previous: float | None = None) -> float:
        """The next step from t, in such a way that the steps end exactly at ``target``."""
        wanted = self.wanted if previous is None else min(self.wanted, GROWTH * previous)
        left = target - t
        count = max(1, math.ceil(left / wanted - 1e-9))
        return left / count if count <= 3 else wanted


def stopping_times(t_end: object, t_eval: ArrayLike | None) -> Array:
    """The times that steps must end at: ``t_eval`` and ``t_end``.

    Raises
    ------
    InvalidProblem

    Examples
    --------
    >>> stopping_times(2.0, [0.0, 0.5])
    array([0.5, 2. ])
    """
    if not (is_finite(t_end) and t_end > 0):  # type: ignore[operator]
        raise InvalidProblem(f"t_end must be positive and finite, but is {t_end!r:.100}")
    end = float(t_end)  # type: ignore[arg-type]
    if t_eval is None:
        return np.array([end])
    try:
        times = real_array(t_eval, "t_eval")
    except InvalidMeasure as error:
        raise InvalidProblem(str(error)) from error
    within = np.isfinite(times).all() and (times >= 0).all() and (times <= end).all()
    if times.ndim != 1 or not within or (np.diff(times) <= 0).any():
        raise InvalidProblem(f"t_eval must be increasing times in [0, {end:g}], not {t_eval!r:.90}")
    return np.union1d(times[times > 0], [end])


def require_positive(**options: object) -> None:
    """That the options that were given are positive numbers; ``max_steps`` a whole one.

    Raises
    ------
    InvalidProblem
    """
    for name, value in options.items():
        good = is_whole(value) if name == "max_steps" else is_finite(value) and value > 0  # type: ignore[operator]
        if value is not None and not good:
            raise InvalidProblem(f"{name} must be positive, but is {value!r:.100}")
