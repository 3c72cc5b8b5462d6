"""Weighted point clouds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from numpy.typing import ArrayLike

from ..status import InvalidMeasure
from .base import Array, Measure, finite_array, frozen, probability_weights, register


@register
class Particles(Measure):
    """The empirical measure Σ w_i δ_{x_i} of n points in R^d.

    Parameters
    ----------
    x : array_like, shape (n, d) or (n,)
        Points; a vector is taken as n points on the line.
    weights : array_like, shape (n,), optional
        Nonnegative, with sum 1; uniform if not given.

    Raises
    ------
    InvalidMeasure
        For wrong shapes, NaN, negative weights or weights that do not sum to 1.

    Examples
    --------
    >>> mu = Particles([[0.0, 0.0], [2.0, 4.0]])
    >>> mu.mean()
    array([1., 2.])
    >>> mu.displaced([[1.0, 0.0], [1.0, 0.0]]).mean()
    array([2., 2.])
    """

    kind: ClassVar[str] = "particles"

    def __init__(self, x: ArrayLike, weights: ArrayLike | None = None) -> None:
        points = finite_array(x, "points x")
        if points.ndim == 1:
            points = points[:, None]
        if points.ndim != 2 or points.size == 0:
            raise InvalidMeasure(
                f"points x must have shape (n, d) with n, d ≥ 1, but have {points.shape}"
            )
        self._points = frozen(points)
        self._weights = frozen(probability_weights(weights, len(points)))

    @property
    def points(self) -> Array:
        return self._points

    @property
    def weights(self) -> Array:
        return self._weights

    @property
    def dim(self) -> int:
        return int(self._points.shape[1])

    def displaced(self, v: ArrayLike) -> Particles:
        return Particles(self._points + self._displacement(v), self._weights)

    def to_arrays(self) -> dict[str, Array]:
        return {"x": self._points, "weights": self._weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Particles:
        return cls(arrays["x"], arrays["weights"])

    def __repr__(self) -> str:
        n, d = self._points.shape
        return f"Particles(n={n}, d={d})"
