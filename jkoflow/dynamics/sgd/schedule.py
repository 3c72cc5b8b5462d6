"""Step sizes s_k = ε ξ(kε), the clock T(t) = 2∫₀ᵗ ξ, and the constants of the noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...arguments import is_finite
from ...measures.base import Array
from ...status import InvalidProblem

Schedule = float | Callable[[float], float]

NOISE = {"default": 4.0, "literature": 2.0, "slides": 1.0}
"""Variance of the noise, per step and coordinate, in units of s_k/β.

``"default"`` √(4s/β) : samples exp(−βΨ_λ), the Gibbs law of F_{β,λ}; the only consistent one.
``"literature"`` √(2s/β) : as often printed; its stationary law is exp(−2βΨ_λ), half as warm.
``"slides"`` √(s/β) : as a talk of 2018 prints it; its stationary law is exp(−4βΨ_λ).
"""


class StepSizes:
    """s_k = ε ξ(kε) for k = 0, 1, …

    Where ξ is infinite at 0, as t^{−1/4} is, the first step is s_0 = ∫₀^ε ξ: what s_k stands for,
    and finite whenever the clock is.

    Parameters
    ----------
    epsilon : float
    xi : float or callable, t ↦ ξ(t) ≥ 0

    Raises
    ------
    InvalidProblem
        If ε is not positive, or ξ gives a negative, complex or non-finite number at t > 0.

    Examples
    --------
    >>> StepSizes(0.5, lambda t: 1 / (1 + t)).between(0, 3).round(3)
    array([0.5  , 0.333, 0.25 ])
    >>> StepSizes(0.0625, lambda t: t**-0.25).between(0, 2).round(6)       # 4/3·ε^¾, ε^¾
    array([0.166667, 0.125   ])
    """

    def __init__(self, epsilon: float, xi: Schedule = 1.0) -> None:
        if not (is_finite(epsilon) and epsilon > 0):
            raise InvalidProblem(f"epsilon must be positive and finite, but is {epsilon!r}")
        if not callable(xi) and not (is_finite(xi) and xi >= 0):
            raise InvalidProblem(
                f"xi must be a nonnegative number or a function of the time t, but is {xi!r}"
            )
        self.epsilon = float(epsilon)
        self.xi = xi
        self._vectorised = callable(xi) and _takes_arrays(xi, self.epsilon)

    def between(self, start: int, stop: int) -> Array:
        """s_k for start ≤ k < stop."""
        if not callable(self.xi):
            return np.full(stop - start, self.epsilon * self.xi)
        times = self.epsilon * np.arange(start, stop)
        sizes = np.empty(len(times))
        begin = 1 if start == 0 and stop > 0 else 0
        if begin:
            sizes[0] = self._first()
        if self._vectorised and len(times) > begin:
            sizes[begin:] = self.epsilon * np.asarray(self.xi(times[begin:]))  # type: ignore[arg-type]
        else:
            for i in range(begin, len(times)):
                sizes[i] = self.epsilon * _number(self.xi, float(times[i]))
        wrong = ~np.isfinite(sizes) | (sizes < 0)
        if wrong.any():
            raise InvalidProblem(
                "xi must be finite and nonnegative, but step sizes ε ξ(t) at t = "
                f"{times[wrong][:3]} are {sizes[wrong][:3]}"
            )
        return sizes

    def _first(self) -> float:
        assert callable(self.xi)
        try:
            at_zero = _number(self.xi, 0.0)
        except ZeroDivisionError:
            at_zero = math.inf
        if math.isinf(at_zero):
            return 0.5 * jko_time(self.xi, self.epsilon)
        return self.epsilon * at_zero


def jko_time(xi: Schedule, t: float) -> float:
    """T(t) = 2∫₀ᵗ ξ, the JKO time at SGD time t; an integrable singularity at 0 is welcome.

    Examples
    --------
    >>> jko_time(1.0, 3.0)
    6.0
    >>> round(jko_time(lambda t: t**-0.25, 16.0), 9)     # (8/3)·16^¾
    21.333333333
    """
    if not callable(xi):
        return 2.0 * float(xi) * t
    if t == 0:
        return 0.0
    from scipy.integrate import quad

    # t = u⁴ turns a power t^{−α}, α < 1, into a bounded (for α = ¼ polynomial) integrand.
    def integrand(u: float) -> float:
        return _number(xi, u**4) * 4.0 * u**3

    found = quad(integrand, 0.0, t**0.25, limit=500, epsabs=0.0, epsrel=1e-11, full_output=1)
    value, error = found[:2]
    if not math.isfinite(value) or error > 1e-4 * abs(value):
        raise InvalidProblem(f"the clock 2∫ξ up to t={t:g} could not be computed: is ξ integrable?")
    return 2.0 * float(value)


def _number(xi: Callable[[float], float], t: float) -> float:
    """ξ(t) as a float; a vectorised ξ gives an array of one number."""
    with np.errstate(divide="ignore", over="ignore"):
        value = np.asarray(xi(t))
    if value.size != 1 or np.iscomplexobj(value):
        raise InvalidProblem(f"xi must map a time to one real number, but xi({t:g}) is {value!r}")
    return float(value.reshape(()))


def _takes_arrays(xi: Callable[[float], float], epsilon: float) -> bool:
    """Whether ξ of an array is the array of ξ's: tried at times over many orders of magnitude."""
    times = epsilon * np.geomspace(1.0, 1e9, 19)
    try:
        together = np.asarray(xi(times))  # type: ignore[arg-type]
        if together.shape != times.shape or together.dtype.kind not in "fiu":
            return False
        apart = [_number(xi, float(t)) for t in times]
    except Exception:  # a ξ written for numbers may fail in any way it likes
        return False
    return bool(np.allclose(together, apart, rtol=1e-12, atol=0.0, equal_nan=True))
