"""Activations σ : R → R with two derivatives, and bounds on them that certificates may use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from ..measures.base import Array, finite_array
from ..status import InvalidFunctional


class Activation(ABC):
    """σ with σ' and σ''; float32 in, float32 out.

    ``slope_bound`` is sup|σ'| and ``curvature_bound`` is sup|σ''|, infinite where σ has a kink or
    where nothing is known.
    """

    name: str
    slope_bound: float
    curvature_bound: float

    @abstractmethod
    def __call__(self, t: ArrayLike) -> Array: ...

    @abstractmethod
    def derivative(self, t: ArrayLike) -> Array: ...

    @abstractmethod
    def second(self, t: ArrayLike) -> Array: ...

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Identity of the activation as JSON."""


class PiecewiseLinear(Activation):
    """Linear between knots: σ(t) = v_0 + Σ_j s_j (clip(t, t_j, t_{j+1}) − t_j) + the two ends.

    Written with clips because that form is exact on the constant pieces and has no branches.
    At a knot the derivative is the slope on the left, so that ReLU has σ'(0) = 0; the second
    derivative is 0, which holds everywhere else.

    Parameters
    ----------
    name : str
    knots : array_like, shape (m,)
        Strictly increasing.
    values : array_like, shape (m,)
        σ at the knots.
    left_slope, right_slope : float
        Slopes before the first and after the last knot.

    Raises
    ------
    InvalidFunctional
        If the knots do not increase, or the shapes differ.

    Examples
    --------
    >>> hat = PiecewiseLinear("hat", [-1, 0, 1], [0, 1, 0])
    >>> hat([-3.0, -0.5, 0.25])
    array([0.  , 0.5 , 0.75])
    >>> hat.slopes
    array([ 0.,  1., -1.,  0.])
    """

    def __init__(
        self,
        name: str,
        knots: ArrayLike,
        values: ArrayLike,
        left_slope: float = 0.0,
        right_slope: float = 0.0,
    ) -> None:
        t = finite_array(knots, "knots", ndim=1)
        v = finite_array(values, "values", ndim=1)
        ends = finite_array([left_slope, right_slope], "left_slope and right_slope")
        if t.shape != v.shape or t.size == 0 or (np.diff(t) <= 0).any():
            raise InvalidFunctional(
                f"activation {name!r} needs as many values as knots, and increasing knots, but "
                f"got knots {t} and values {v}"
            )
        self.name = name
        self.knots = t
        self.values = v
        self.slopes = np.concatenate([ends[:1], np.diff(v) / np.diff(t), ends[1:]])
        self.slope_bound = float(np.abs(self.slopes).max())
        self.curvature_bound = float("inf") if np.diff(self.slopes).any() else 0.0

    def __call__(self, t: ArrayLike) -> Array:
        u = _floating(t)
        knots, slopes = self.knots.astype(u.dtype), self.slopes.astype(u.dtype)
        result = np.full_like(u, self.values[0])
        if slopes[0]:
            result += slopes[0] * np.minimum(u - knots[0], 0)
        for j in range(len(knots) - 1):
            result += slopes[j + 1] * (np.clip(u, knots[j], knots[j + 1]) - knots[j])
        if slopes[-1]:
            result += slopes[-1] * np.maximum(u - knots[-1], 0)
        return result

    def derivative(self, t: ArrayLike) -> Array:
        u = _floating(t)
        return self.slopes.astype(u.dtype)[np.searchsorted(self.knots.astype(u.dtype), u)]

    def second(self, t: ArrayLike) -> Array:
        return np.zeros_like(_floating(t))

    def spec(self) -> dict[str, Any]:
        return {
            "activation": self.name,
            "knots": self.knots.tolist(),
            "values": self.values.tolist(),
            "slopes": self.slopes[[0, -1]].tolist(),
        }

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, repr=False)
class SmoothActivation(Activation):
    """An activation given by its function and two derivatives, each (array) → array.

    The bounds are claims: leave them out (infinite) where they are not known.

    Examples
    --------
    >>> sine = SmoothActivation("sine", np.sin, np.cos, lambda t: -np.sin(t), 1.0, 1.0)
    >>> float(sine.derivative(0.0))
    1.0
    """

    name: str
    function: Callable[[Array], Array]
    first: Callable[[Array], Array]
    curvature: Callable[[Array], Array]
    slope_bound: float = float("inf")
    curvature_bound: float = float("inf")

    def __call__(self, t: ArrayLike) -> Array:
        return self.function(_floating(t))

    def derivative(self, t: ArrayLike) -> Array:
        return self.first(_floating(t))

    def second(self, t: ArrayLike) -> Array:
        return self.curvature(_floating(t))

    def spec(self) -> dict[str, Any]:
        if _NAMED.get(self.name) == self:
            return {"activation": self.name}
        from ..functionals.identity import describe

        functions = (self.function, self.first, self.curvature)
        bounds = [repr(self.slope_bound), repr(self.curvature_bound)]
        return {
            "activation": self.name,
            "functions": [describe(f) for f in functions],
            "bounds": bounds,
        }

    def __repr__(self) -> str:
        return self.name


def _floating(t: ArrayLike) -> Any:
    array: Any = np.asarray(t)
    return array if array.dtype in (np.float32, np.float64) else array.astype(float)


def _tanh_slope(t: Array) -> Array:
    return 1 - np.tanh(t) ** 2


def _tanh_curvature(t: Array) -> Array:
    s = np.tanh(t)
    return -2 * s * (1 - s * s)


def _softplus(t: Array) -> Array:
    return np.logaddexp(t, t.dtype.type(0))


def _softplus_curvature(t: Array) -> Array:
    return expit(t) * expit(-t)


def _sigmoid_slope(t: Array) -> Array:
    return expit(t) * expit(-t)


def _sigmoid_curvature(t: Array) -> Array:
    return expit(t) * expit(-t) * (expit(-t) - expit(t))


# The rise u³(10 − 15u + 6u²) of the smoothed truncated ReLU happens for |t − 1| < 15/16: then its
# steepest slope, 10·(15/8)/(15/8), is the slope of the truncated ReLU itself.
SMOOTH_STEP = (1 / 16, 15 / 8, -2.5, 10.0)
"""Start, width, lower limit and height of the rise of `smooth_truncated_relu`."""
_START, _WIDTH, _LOW, _RISE = SMOOTH_STEP


def _smooth_step(t: Array) -> Array:
    u = np.clip((t - _START) / _WIDTH, 0, 1)
    return _LOW + _RISE * u**3 * (10 - 15 * u + 6 * u**2)


def _smooth_step_slope(t: Array) -> Array:
    u = np.clip((t - _START) / _WIDTH, 0, 1)
    return (_RISE / _WIDTH) * 30 * u**2 * (1 - u) ** 2


def _smooth_step_curvature(t: Array) -> Array:
    u = np.clip((t - _START) / _WIDTH, 0, 1)
    return (_RISE / _WIDTH**2) * 60 * u * (1 - u) * (1 - 2 * u)


relu = PiecewiseLinear("relu", [0.0], [0.0], right_slope=1.0)
"""max(t, 0)."""

truncated_relu = PiecewiseLinear("truncated_relu", [0.5, 1.5], [-2.5, 7.5])
"""−2.5 for t ≤ ½, 7.5 for t ≥ 3/2, linear between (Mei, Montanari, Nguyen 2018)."""

non_monotone = PiecewiseLinear("non_monotone", [0.0, 0.5, 1.5], [-2.5, -4.0, 7.5])
"""Knots (0, −2.5), (½, −4), (3/2, 7.5), constant outside (Mei, Montanari, Nguyen 2018)."""

tanh = SmoothActivation(
    "tanh", np.tanh, _tanh_slope, _tanh_curvature, 1.0, 4 / (3 * np.sqrt(3.0))
)
"""tanh t; |σ'| ≤ 1, |σ''| ≤ 4/(3√3)."""

softplus = SmoothActivation("softplus", _softplus, expit, _softplus_curvature, 1.0, 0.25)
"""log(1 + eᵗ); |σ'| ≤ 1, |σ''| ≤ 1/4."""

sigmoid = SmoothActivation(
    "sigmoid", expit, _sigmoid_slope, _sigmoid_curvature, 0.25, 1 / (6 * np.sqrt(3.0))
)
"""1/(1 + e⁻ᵗ); |σ'| ≤ 1/4, |σ''| ≤ 1/(6√3)."""

smooth_truncated_relu = SmoothActivation(
    "smooth_truncated_relu",
    _smooth_step,
    _smooth_step_slope,
    _smooth_step_curvature,
    _RISE / _WIDTH * 15 / 8,
    _RISE / _WIDTH**2 * 10 / np.sqrt(3.0),
)
"""C²: −2.5 for t ≤ 1/16, 7.5 for t ≥ 31/16, between them −2.5 + 10 u³(10 − 15u + 6u²) with
u = (t − 1/16)/(15/8). It has the limits, the midpoint (1, 2.5) and the steepest slope, 10, of
`truncated_relu`; |σ''| ≤ 10·(8/15)²·10/√3 = 16.4."""

_NAMED = {a.name: a for a in (tanh, softplus, sigmoid, smooth_truncated_relu)}
