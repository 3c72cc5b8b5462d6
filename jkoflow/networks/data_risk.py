"""The risk on a finite data set, through a unit's derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..functionals.answers import answer_of
from ..functionals.features import FeatureMap
from ..functionals.identity import array_digest, describe
from ..functionals.risk import Risk
from ..measures.base import Array, finite_array, frozen
from ..status import InvalidFunctional
from .units import Unit


class UnitFeatures(FeatureMap):
    """φ_q(θ) = σ*(x_q;θ) for the rows x_q of a data set.

    What the unit lacks (`jvp`, `jacobian`, `curvature`) is replaced by central differences.
    """

    def __init__(self, unit: Any, x: ArrayLike) -> None:
        if not (hasattr(unit, "value") and hasattr(unit, "vjp")):
            raise InvalidFunctional(
                f"a unit needs value(theta, x) and vjp(theta, x, c), which {unit!r} has not"
            )
        rows = finite_array(x, "data x", ndim=2)
        if rows.size == 0:
            raise InvalidFunctional(f"data x must have at least one row, but has {rows.shape}")
        self.unit, self.x = unit, frozen(rows)
        self.slope_bounds = self._claim("slope_bounds")
        self.curvature_bounds = self._claim("curvature_bounds")

    def __call__(self, theta: Array) -> Array:
        expected = self._dimension()
        if expected is not None and theta.shape[1] != expected:
            raise InvalidFunctional(
                f"{self.unit!r} has {expected} parameters for inputs in R^{self.x.shape[1]}, but "
                f"the measure's points live in R^{theta.shape[1]}"
            )
        shape = (len(self.x), len(theta))
        return answer_of(self.unit.value, (theta, self.x), shape, f"{self.unit!r}.value(theta, x)")

    def vjp(self, theta: Array, c: Array) -> Array:
        name = f"{self.unit!r}.vjp(theta, x, c)"
        return answer_of(self.unit.vjp, (theta, self.x, c), theta.shape, name)

    def jvp(self, theta: Array, v: Array) -> Array:
        return self.unit.jvp(theta, self.x, v) if self._has("jvp") else super().jvp(theta, v)

    def jacobian(self, theta: Array) -> Array:
        if self._has("jacobian"):
            return np.asarray(self.unit.jacobian(theta, self.x))
        return super().jacobian(theta)

    def curvature(self, theta: Array, c: Array) -> Array:
        if self._has("curvature"):
            return np.asarray(self.unit.curvature(theta, self.x, c))
        return super().curvature(theta, c)

    def hessian_bound(self, c: Array) -> float | None:
        own = getattr(self.unit, "hessian_bound", None)
        return super().hessian_bound(c) if own is None else float(own(self.x, c))

    def _has(self, method: str) -> bool:
        own = getattr(type(self.unit), method, None)
        return own is not None and own is not getattr(Unit, method)

    def _dimension(self) -> int | None:
        dim = getattr(self.unit, "dim", None)
        return None if dim is None else dim(self.x.shape[1])

    def _claim(self, name: str) -> Array | None:
        bounds = getattr(self.unit, name, None)
        return None if bounds is None else np.asarray(bounds(self.x), dtype=float)

    def spec(self) -> dict[str, Any]:
        return {"unit": describe(self.unit), "x": array_digest(self.x)}


def data_risk(
    unit: Any, x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None
) -> Risk:
    """R(ρ) = Σ_q w_q (y_q − ∫σ*(x_q;θ)ρ(dθ))² over the rows of a data set.

    Parameters
    ----------
    unit : Unit
        `SimpleUnit`, `ScaledUnit`, or any object with ``value`` and ``vjp``.
    x : array_like, shape (q, d)
        Inputs.
    y : array_like, shape (q,)
        Targets, ±1 for two classes.
    weights : array_like, shape (q,), optional
        1/q each if not given.

    Returns
    -------
    Risk
        On laws of θ ∈ R^D. Where the unit states bounds on its derivatives, `convexity_near` is a
        number, so that steps can be certified as minimal.

    Raises
    ------
    InvalidFunctional, InvalidMeasure
        For shapes that do not fit, NaN, or a unit without ``value`` and ``vjp``.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> from jkoflow.networks import SimpleUnit, tanh
    >>> R = data_risk(SimpleUnit(tanh), [[1.0], [-2.0]], [1.0, -1.0])
    >>> R.value(Particles([[0.0]]))
    1.0
    """
    features = UnitFeatures(unit, x)
    targets = finite_array(y, "data y", shape=(len(features.x),))
    return Risk(features, targets, weights)
