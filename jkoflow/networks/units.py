"""Units σ*(x;θ) of a two-layer network ŷ(x) = ∫σ*(x;θ)ρ(dθ), with their derivatives in θ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..measures.base import Array
from ..status import InvalidFunctional, MissingStructure
from .activations import Activation


class Unit(ABC):
    """σ*(x;θ) for all pairs of inputs x (b, d) and parameters θ (n, D).

    A unit of one's own needs `value` and `vjp`; SGD and first-order steppers want no more. The
    rest is structure for Newton's method (`jvp`, `jacobian`, `curvature`) and for certificates
    (`slope_bounds`, `curvature_bounds`).

    Examples
    --------
    >>> class Square(Unit):
    ...     def value(self, theta, x):
    ...         return (x @ theta.T) ** 2
    ...     def vjp(self, theta, x, c):
    ...         return (2 * c[:, None] * (x @ theta.T)).T @ x
    >>> Square().vjp(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0]]), np.array([1.0]))
    array([[6., 6.]])
    """

    @abstractmethod
    def value(self, theta: Array, x: Array) -> Array:
        """σ*(x_b;θ_i), shape (b, n)."""

    @abstractmethod
    def vjp(self, theta: Array, x: Array, c: Array) -> Array:
        """Σ_b c_b ∇_θσ*(x_b;θ_i), shape (n, D)."""

    def dim(self, input_dim: int) -> int | None:
        """Number D of parameters for inputs in R^input_dim; None where it is not stated."""
        return None

    def jvp(self, theta: Array, x: Array, v: Array) -> Array:
        """⟨∇_θσ*(x_b;θ_i), v_i⟩, shape (b, n)."""
        raise self._missing("jvp", "directional derivatives, shape (b, n)")

    def jacobian(self, theta: Array, x: Array) -> Array:
        """∇_θσ*(x_b;θ_i), shape (b, n, D)."""
        raise self._missing("jacobian", "all gradients, shape (b, n, D)")

    def curvature(self, theta: Array, x: Array, c: Array) -> Array:
        """Σ_b c_b ∇²_θσ*(x_b;θ_i), shape (n, D, D)."""
        raise self._missing("curvature", "weighted Hessians, shape (n, D, D)")

    def slope_bounds(self, x: Array) -> Array:
        """sup_θ |∇_θσ*(x_b;θ)|, shape (b,); infinite where nothing is claimed."""
        return np.full(len(x), np.inf)

    def curvature_bounds(self, x: Array) -> Array:
        """sup_θ ‖∇²_θσ*(x_b;θ)‖, shape (b,); infinite where nothing is claimed."""
        return np.full(len(x), np.inf)

    def spec(self) -> dict[str, Any]:
        """Identity of the unit as JSON; by default its class, methods' sources and attributes."""
        from ..functionals.identity import describe

        return {
            "unit": type(self).__qualname__,
            "value": describe(type(self).value),
            "vjp": describe(type(self).vjp),
            "state": describe(vars(self)),
        }

    def _missing(self, method: str, what: str) -> MissingStructure:
        return MissingStructure(
            f"{type(self).__name__} has no {method}: define {method} ({what}), or use a method "
            "that needs first derivatives only"
        )


class SimpleUnit(Unit):
    """σ*(x;θ) = σ(⟨w, x⟩) with θ = w ∈ R^d.

    |∇σ*| ≤ sup|σ'||x| and ‖∇²σ*‖ ≤ sup|σ''||x|².

    Examples
    --------
    >>> from jkoflow.networks.activations import relu
    >>> SimpleUnit(relu).value(np.array([[1.0, -2.0]]), np.array([[3.0, 1.0], [0.0, 1.0]]))
    array([[1.],
           [0.]])
    """

    def __init__(self, activation: Activation) -> None:
        self.activation = _activation(activation)

    def dim(self, input_dim: int) -> int:
        return input_dim

    def value(self, theta: Array, x: Array) -> Array:
        return self.activation(x @ theta.T)

    def vjp(self, theta: Array, x: Array, c: Array) -> Array:
        return (c[:, None] * self.activation.derivative(x @ theta.T)).T @ x

    def jvp(self, theta: Array, x: Array, v: Array) -> Array:
        return self.activation.derivative(x @ theta.T) * (x @ v.T)

    def jacobian(self, theta: Array, x: Array) -> Array:
        return self.activation.derivative(x @ theta.T)[:, :, None] * x[:, None, :]

    def curvature(self, theta: Array, x: Array, c: Array) -> Array:
        return weighted_squares(c[:, None] * self.activation.second(x @ theta.T), x)

    def slope_bounds(self, x: Array) -> Array:
        return self.activation.slope_bound * np.linalg.norm(x, axis=1)

    def hessian_bound(self, x: Array, c: Array) -> float:
        """sup‖Σ_b c'_b ∇²σ*(x_b;θ)‖ over θ and |c'_b| ≤ c_b: sup|σ''| λ_max(Σ_b c_b x_b x_bᵀ)."""
        if not np.isfinite(self.activation.curvature_bound):
            return np.inf
        largest = float(np.linalg.eigvalsh((x * c[:, None]).T @ x)[-1])
        return self.activation.curvature_bound * largest

    def curvature_bounds(self, x: Array) -> Array:
        # inf·0: at x = 0 the unit does not depend on θ
        squares = (x**2).sum(axis=1)
        return np.where(squares > 0, self.activation.curvature_bound, 0.0) * squares

    def spec(self) -> dict[str, Any]:
        return {"unit": "SimpleUnit", "activation": self.activation.spec()}

    def __repr__(self) -> str:
        return f"SimpleUnit({self.activation!r})"


class ScaledUnit(Unit):
    """σ*(x;θ) = a σ(⟨x, w⟩ + b) with θ = (a, b, w) ∈ R^{d+2}.

    Its derivatives are unbounded, since a is; so no bound is claimed.

    Examples
    --------
    >>> from jkoflow.networks.activations import relu
    >>> ScaledUnit(relu).value(np.array([[2.0, 1.0, 1.0]]), np.array([[3.0]]))
    array([[8.]])
    """

    def __init__(self, activation: Activation) -> None:
        self.activation = _activation(activation)

    def dim(self, input_dim: int) -> int:
        return input_dim + 2

    @staticmethod
    def _inner(theta: Array, x: Array) -> Array:
        return x @ theta[:, 2:].T + theta[:, 1]

    def value(self, theta: Array, x: Array) -> Array:
        return theta[:, 0] * self.activation(self._inner(theta, x))

    def vjp(self, theta: Array, x: Array, c: Array) -> Array:
        inner = self._inner(theta, x)
        slopes = theta[:, 0] * c[:, None] * self.activation.derivative(inner)
        result = np.empty_like(theta)
        result[:, 0] = c @ self.activation(inner)
        result[:, 1] = slopes.sum(axis=0)
        result[:, 2:] = slopes.T @ x
        return result

    def jvp(self, theta: Array, x: Array, v: Array) -> Array:
        inner = self._inner(theta, x)
        along = self._inner(v, x)
        slope = theta[:, 0] * self.activation.derivative(inner)
        return v[:, 0] * self.activation(inner) + slope * along

    def jacobian(self, theta: Array, x: Array) -> Array:
        inner = self._inner(theta, x)
        slopes = theta[:, 0] * self.activation.derivative(inner)
        return np.concatenate(
            [self.activation(inner)[:, :, None], slopes[:, :, None] * with_ones(x)[:, None, :]],
            axis=2,
        )

    def curvature(self, theta: Array, x: Array, c: Array) -> Array:
        inner, extended = self._inner(theta, x), with_ones(x)
        mixed = (c[:, None] * self.activation.derivative(inner)).T @ extended
        result = np.zeros((*theta.shape, theta.shape[1]), dtype=theta.dtype)
        result[:, 0, 1:] = result[:, 1:, 0] = mixed
        second = theta[:, 0] * c[:, None] * self.activation.second(inner)
        result[:, 1:, 1:] = weighted_squares(second, extended)
        return result

    def spec(self) -> dict[str, Any]:
        return {"unit": "ScaledUnit", "activation": self.activation.spec()}

    def __repr__(self) -> str:
        return f"ScaledUnit({self.activation!r})"


def with_ones(x: Array) -> Array:
    """(1, x), the inputs of the bias and the weights together."""
    return np.concatenate([np.ones((len(x), 1), dtype=x.dtype), x], axis=1)


def weighted_squares(c: Array, x: Array) -> Array:
    """Σ_b c_{bi} x_b x_bᵀ for c (b, n) and x (b, d), shape (n, d, d); exactly symmetric.

    One matrix product with the upper triangles of x_b x_bᵀ, in chunks of b that stay small.
    """
    d = x.shape[1]
    rows, columns = np.triu_indices(d)
    upper = np.zeros((c.shape[1], len(rows)), dtype=np.result_type(c, x))
    if c.any():
        chunk = max(1, 2_000_000 // len(rows))
        for start in range(0, len(x), chunk):
            part = x[start : start + chunk]
            upper += c[start : start + chunk].T @ (part[:, rows] * part[:, columns])
    result = np.empty((c.shape[1], d, d), dtype=upper.dtype)
    result[:, rows, columns] = upper
    result[:, columns, rows] = upper
    return result


def _activation(activation: Activation) -> Activation:
    if not isinstance(activation, Activation):
        raise InvalidFunctional(
            f"activation must be one of jkoflow.networks' activations, not {activation!r}: wrap "
            "your own with PiecewiseLinear(...) or SmoothActivation(...)"
        )
    return activation
