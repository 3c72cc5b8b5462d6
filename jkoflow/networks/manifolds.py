"""Where parameters live when it is not all of R^D: spheres, tori, products of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import generator, is_finite, is_whole
from ..measures.base import Array
from ..status import InvalidMeasure, InvalidProblem


class Manifold(ABC):
    """A set of points θ (n, D) with tangent vectors, and steps that stay in it."""

    @abstractmethod
    def tangent(self, theta: Array, v: Array) -> Array:
        """The part of v (n, D) that is tangent at θ."""

    @abstractmethod
    def retract(self, theta: Array, v: Array) -> Array:
        """A point of the manifold that is θ + v up to O(|v|²), for tangent v."""

    @abstractmethod
    def contains(self, theta: Array, tolerance: float = 1e-9) -> bool:
        """Whether all points lie in it, up to rounding."""


class Sphere(Manifold):
    """Points of norm ``radius`` in the given columns; the other columns are free.

    The retraction is θ + v brought back to the radius, which agrees with the geodesic to second
    order.

    Parameters
    ----------
    radius : float
    columns : slice
        The coordinates on the sphere; all of them if not given.

    Raises
    ------
    InvalidProblem
        For a radius that is not positive.

    Examples
    --------
    >>> circle = Sphere(2.0)
    >>> theta = np.array([[2.0, 0.0]])
    >>> circle.tangent(theta, np.array([[5.0, 1.0]]))
    array([[0., 1.]])
    >>> circle.contains(circle.retract(theta, np.array([[0.0, 1.0]])))
    True
    """

    def __init__(self, radius: float = 1.0, columns: slice = slice(None)) -> None:
        self.radius, self.columns = _positive(radius, "radius"), columns

    def tangent(self, theta: Array, v: Array) -> Array:
        z, result = theta[:, self.columns], np.array(v)
        u = result[:, self.columns]
        along = np.einsum("nd,nd->n", z, u) / np.einsum("nd,nd->n", z, z)
        result[:, self.columns] = u - along[:, None] * z
        return result

    def retract(self, theta: Array, v: Array) -> Array:
        result = theta + v
        z = result[:, self.columns]
        length = np.linalg.norm(z, axis=1, keepdims=True)
        if not (length > 0).all():
            raise InvalidMeasure(
                "a step led to the centre of the sphere, from where no way back is nearest: take "
                "smaller steps, with tangent vectors"
            )
        result[:, self.columns] = z * (self.radius / length)
        return result

    def contains(self, theta: Array, tolerance: float = 1e-9) -> bool:
        length = np.linalg.norm(theta[:, self.columns], axis=1)
        return bool((np.abs(length - self.radius) <= tolerance * self.radius).all())

    def __repr__(self) -> str:
        return f"Sphere(radius={self.radius:g}, columns={self.columns})"


class Torus(Manifold):
    """Coordinates modulo a period in the given columns, kept in [0, period).

    Raises
    ------
    InvalidProblem
        For a period that is not positive.

    Examples
    --------
    >>> Torus(1.0).retract(np.array([[0.9]]), np.array([[0.3]])).round(12)
    array([[0.2]])
    """

    def __init__(self, period: float = 2 * np.pi, columns: slice = slice(None)) -> None:
        self.period, self.columns = _positive(period, "period"), columns

    def tangent(self, theta: Array, v: Array) -> Array:
        return v

    def retract(self, theta: Array, v: Array) -> Array:
        result = theta + v
        wrapped = np.mod(result[:, self.columns], self.period)
        # mod of a tiny negative number rounds up to the period itself
        result[:, self.columns] = np.where(wrapped < self.period, wrapped, 0.0)
        return result

    def contains(self, theta: Array, tolerance: float = 1e-9) -> bool:
        x = theta[:, self.columns]
        return bool(((x >= 0) & (x < self.period)).all())

    def __repr__(self) -> str:
        return f"Torus(period={self.period:g}, columns={self.columns})"


class Product(Manifold):
    """Several manifolds at once, each in columns of its own.

    Examples
    --------
    >>> both = Product([Sphere(1.0, slice(0, 2)), Torus(1.0, slice(2, 3))])
    >>> both.retract(np.array([[0.0, 1.0, 0.5]]), np.array([[0.0, 1.0, 0.75]]))
    array([[0.  , 1.  , 0.25]])
    """

    def __init__(self, factors: Sequence[Manifold]) -> None:
        self.factors = tuple(factors)

    def tangent(self, theta: Array, v: Array) -> Array:
        for factor in self.factors:
            v = factor.tangent(theta, v)
        return v

    def retract(self, theta: Array, v: Array) -> Array:
        result = theta + v
        for factor in self.factors:
            result = factor.retract(result, np.zeros_like(result))
        return result

    def contains(self, theta: Array, tolerance: float = 1e-9) -> bool:
        return all(factor.contains(theta, tolerance) for factor in self.factors)

    def __repr__(self) -> str:
        return f"Product({list(self.factors)!r})"


def uniform_on_sphere(n: int, dim: int, radius: float = 1.0, rng: Any = None) -> Array:
    """n independent uniform points (n, dim) on the sphere of the given radius in R^dim.

    Raises
    ------
    InvalidProblem
        For a number of points or a dimension that makes no sense.

    Examples
    --------
    >>> x = uniform_on_sphere(5, 3, radius=2.0, rng=0)
    >>> np.linalg.norm(x, axis=1)
    array([2., 2., 2., 2., 2.])
    """
    if not (is_whole(n, least=0) and is_whole(dim)):
        raise InvalidProblem(f"n ≥ 0 points in R^dim, dim ≥ 1, are wanted, not {n!r} and {dim!r}")
    g = generator(rng).standard_normal((int(n), int(dim)))
    return np.asarray(g * (_positive(radius, "radius") / np.linalg.norm(g, axis=1, keepdims=True)))


def _positive(value: float, name: str) -> float:
    if not (is_finite(value) and value > 0):
        raise InvalidProblem(f"{name} must be a positive number, not {value!r}")
    return float(value)
