"""Feature maps θ ↦ (φ_1(θ), …, φ_q(θ)) with the derivatives that a risk needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..measures.base import Array
from ..status import InvalidFunctional
from .answers import answer_of, require_functions
from .identity import describe

_FIRST = float(np.cbrt(np.finfo(float).eps))  # balances the h² error and the rounding eps/h
_SECOND = float(np.finfo(float).eps ** 0.25)  # the same for second differences


class FeatureMap(ABC):
    """q features of points θ (n, D); only the values have to be given.

    `vjp`, `jvp`, `jacobian` and `curvature` are central differences unless a subclass knows
    better, and each uses the best of the others that is known. ``slope_bounds`` and
    ``curvature_bounds``, (q,), are claims: sup_θ|∇φ_q| and sup_θ‖∇²φ_q‖, None where not claimed.

    Examples
    --------
    >>> class Powers(FeatureMap):
    ...     def __call__(self, theta):
    ...         return np.stack([theta[:, 0], theta[:, 0] ** 2])
    >>> Powers().vjp(np.array([[3.0]]), np.array([0.0, 1.0])).round(6)
    array([[6.]])
    """

    difference_scale: float = 1.0
    """A length on which features change, for differences."""
    slope_bounds: Array | None = None
    curvature_bounds: Array | None = None

    @abstractmethod
    def __call__(self, theta: Array) -> Array:
        """φ_q(θ_i), shape (q, n)."""

    def vjp(self, theta: Array, c: Array) -> Array:
        """Σ_q c_q ∇φ_q(θ_i), shape (n, D)."""
        return np.stack([c @ self.jvp(theta, e) for e in _directions(theta)], axis=-1)

    def jvp(self, theta: Array, v: Array) -> Array:
        """⟨∇φ_q(θ_i), v_i⟩, shape (q, n)."""
        length = np.linalg.norm(v, axis=1)
        h = _steps(theta, _FIRST, self.difference_scale) / np.where(length > 0, length, 1.0)
        difference = self(theta + h[:, None] * v) - self(theta - h[:, None] * v)
        return difference / (2 * h)

    def jacobian(self, theta: Array) -> Array:
        """∇φ_q(θ_i), shape (q, n, D)."""
        return np.stack([self.jvp(theta, e) for e in _directions(theta)], axis=-1)

    def curvature(self, theta: Array, c: Array) -> Array:
        """Σ_q c_q ∇²φ_q(θ_i), shape (n, D, D)."""
        if type(self).vjp is FeatureMap.vjp and type(self).jvp is FeatureMap.jvp:
            return _second_differences(lambda t: c @ self(t), theta, self.difference_scale)
        h = _steps(theta, _FIRST, self.difference_scale)[:, None]
        columns = [
            (self.vjp(theta + h * e, c) - self.vjp(theta - h * e, c)) / (2 * h)
            for e in _directions(theta)
        ]
        hessian = np.stack(columns, axis=-1)
        return 0.5 * (hessian + hessian.transpose(0, 2, 1))

    def hessian_bound(self, c: Array) -> float | None:
        """A bound on ‖Σ_q c'_q ∇²φ_q(θ)‖ for all θ and all |c'_q| ≤ c_q; None where not claimed.

        Here Σ c_q H_q; features that share directions have a smaller one.
        """
        if self.curvature_bounds is None:
            return None
        used = c > 0  # a feature without weight may have no bound
        return float(c[used] @ np.asarray(self.curvature_bounds)[used])

    def at(self, theta: Array) -> FeaturesAt:
        """The features at fixed points; override it to share work between the derivatives."""
        return FeaturesAt(self, theta)

    def spec(self) -> dict[str, Any]:
        """Identity as JSON."""
        state = {k: v for k, v in vars(self).items() if k != "difference_scale"}
        return {"features": type(self).__qualname__, "state": describe(state)}


class FeaturesAt:
    """A feature map at fixed points."""

    def __init__(self, features: FeatureMap, theta: Array) -> None:
        self._features, self._theta = features, theta
        self.values = features(theta)

    def vjp(self, c: Array) -> Array:
        return self._features.vjp(self._theta, c)

    def jvp(self, v: Array) -> Array:
        return self._features.jvp(self._theta, v)

    def jacobian(self) -> Array:
        return self._features.jacobian(self._theta)

    def curvature(self, c: Array) -> Array:
        return self._features.curvature(self._theta, c)


class LocalFeatures(FeatureMap):
    """A feature map that is defined by `at`: values and derivatives at given points together."""

    @abstractmethod
    def at(self, theta: Array) -> FeaturesAt: ...

    def __call__(self, theta: Array) -> Array:
        return self.at(theta).values

    def vjp(self, theta: Array, c: Array) -> Array:
        return self.at(theta).vjp(c)

    def jvp(self, theta: Array, v: Array) -> Array:
        return self.at(theta).jvp(v)

    def jacobian(self, theta: Array) -> Array:
        return self.at(theta).jacobian()

    def curvature(self, theta: Array, c: Array) -> Array:
        return self.at(theta).curvature(c)


class CallableFeatures(FeatureMap):
    """Features given as Python functions, whose answers are checked at every call.

    Parameters
    ----------
    function : callable
        (n, D) → (q, n).
    q : int
        Number of features that is expected.
    gradient, curvature : callable, optional
        θ ↦ ∇φ_q(θ_i), (q, n, D), and (θ, c) ↦ Σ_q c_q ∇²φ_q(θ_i), (n, D, D).
    """

    def __init__(
        self,
        function: Callable[[Array], ArrayLike],
        q: int,
        gradient: Callable[[Array], ArrayLike] | None = None,
        curvature: Callable[[Array, Array], ArrayLike] | None = None,
    ) -> None:
        self.function, self.q = function, q
        self.gradient, self.given_curvature = gradient, curvature

    def __call__(self, theta: Array) -> Array:
        shape = (self.q, len(theta))
        return answer_of(self.function, (theta,), shape, "features(theta), the (q, n) features,")

    def jacobian(self, theta: Array) -> Array:
        if self.gradient is None:
            return super().jacobian(theta)
        return answer_of(self.gradient, (theta,), (self.q, *theta.shape), "gradient(theta)")

    def vjp(self, theta: Array, c: Array) -> Array:
        if self.gradient is None:
            return super().vjp(theta, c)
        return np.tensordot(c, self.jacobian(theta), axes=1)

    def jvp(self, theta: Array, v: Array) -> Array:
        if self.gradient is None:
            return super().jvp(theta, v)
        return np.asarray(np.einsum("qnd,nd->qn", self.jacobian(theta), v))

    def curvature(self, theta: Array, c: Array) -> Array:
        if self.given_curvature is not None:
            shape = (*theta.shape, theta.shape[1])
            return answer_of(self.given_curvature, (theta, c), shape, "curvature(theta, c)")
        if self.gradient is None:
            return _second_differences(lambda t: c @ self(t), theta, self.difference_scale)
        return super().curvature(theta, c)

    def spec(self) -> dict[str, Any]:
        return {"features": describe(self.function)}


class ObjectFeatures(FeatureMap):
    """A user's object with `__call__`, `vjp` and perhaps more, completed by differences."""

    def __init__(self, features: Any, q: int) -> None:
        self.features, self.q = features, q
        self.slope_bounds = getattr(features, "slope_bounds", None)
        self.curvature_bounds = getattr(features, "curvature_bounds", None)

    def __call__(self, theta: Array) -> Array:
        shape = (self.q, len(theta))
        return answer_of(self.features, (theta,), shape, "features(theta), the (q, n) features,")

    def vjp(self, theta: Array, c: Array) -> Array:
        return answer_of(self.features.vjp, (theta, c), theta.shape, "features.vjp(theta, c)")

    def jvp(self, theta: Array, v: Array) -> Array:
        own = getattr(self.features, "jvp", None)
        return super().jvp(theta, v) if own is None else own(theta, v)

    def jacobian(self, theta: Array) -> Array:
        own = getattr(self.features, "jacobian", None)
        return super().jacobian(theta) if own is None else own(theta)

    def curvature(self, theta: Array, c: Array) -> Array:
        own = getattr(self.features, "curvature", None)
        return super().curvature(theta, c) if own is None else own(theta, c)

    def spec(self) -> dict[str, Any]:
        return {"features": describe(self.features)}


def as_feature_map(
    features: Any,
    q: int,
    gradient: Callable[[Array], ArrayLike] | None = None,
    curvature: Callable[[Array, Array], ArrayLike] | None = None,
) -> FeatureMap:
    """A feature map from an object that is one, has a `vjp`, or is a plain function."""
    if not callable(features):
        raise InvalidFunctional(
            f"features must be a function of points (n, D) that returns (q, n), not {features!r}"
        )
    require_functions(gradient=gradient, curvature=curvature)
    if not hasattr(features, "vjp"):
        return CallableFeatures(features, q, gradient, curvature)
    if gradient is not None or curvature is not None:
        raise InvalidFunctional("features with a vjp bring their derivatives: give no others")
    return features if isinstance(features, FeatureMap) else ObjectFeatures(features, q)


def _steps(theta: Array, relative: float, unit: float) -> Array:
    return relative * np.maximum(unit, np.abs(theta).max(axis=1))


def _directions(theta: Array) -> list[Array]:
    return [np.broadcast_to(e, theta.shape) for e in np.eye(theta.shape[1])]


def _second_differences(f: Callable[[Array], Array], theta: Array, unit: float) -> Array:
    """Hessians (n, D, D) of f : (n, D) → (n,) by central second differences."""
    n, d = theta.shape
    h = _steps(theta, _SECOND, unit)[:, None]
    e = [h * direction for direction in _directions(theta)]
    hessian = np.empty((n, d, d))
    centre = f(theta)
    for i in range(d):
        pure = f(theta + e[i]) - 2 * centre + f(theta - e[i])
        hessian[:, i, i] = pure / h[:, 0] ** 2
        for j in range(i):
            mixed = f(theta + e[i] + e[j]) + f(theta - e[i] - e[j])
            mixed = mixed - f(theta + e[i] - e[j]) - f(theta - e[i] + e[j])
            hessian[:, i, j] = hessian[:, j, i] = mixed / (4 * h[:, 0] ** 2)
    return hessian
