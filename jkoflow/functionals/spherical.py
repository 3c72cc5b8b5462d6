"""Interactions of rotation-invariant laws: W averaged over the angle between two points.

For W(z) = w(|z|) and u the cosine of the angle between two independent directions in R^d, of
density ∝ (1 − u²)^{(d−3)/2}, the energy is ½∬W̄(r, r')dρdρ with W̄(r, r') = E w(ℓ) and
ℓ² = r² + r'² − 2rr'u. The average is a Gauss–Jacobi sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..measures.base import Array
from .base import Smooth
from .curvature import Curvature, Dense

_NODES = 48  # of the angle
_CHUNK = 2_000_000  # numbers in the vectors handed to W at once

Profile = Callable[[Array], Array]


class SphericalInteraction(Smooth):
    """½∬W̄(r, r') dρdρ on laws of the radius, in O(48·n²) evaluations of W.

    The diagonal is in the sum: a sphere has an energy of its own. Where W is singular at 0 the
    Gauss sum is only as good as 1/48 near r = r'.

    Parameters
    ----------
    profile, slope, bend : callable
        w, w' and w'' as functions of lengths (m,) → (m,).
    dim : int
        Dimension d ≥ 2 of the space.
    identity : dict
        The spec of the interaction that is averaged.
    """

    def __init__(
        self, profile: Profile, slope: Profile, bend: Profile, dim: int, identity: dict[str, Any]
    ) -> None:
        from scipy.special import roots_jacobi

        self._profile, self._slope, self._bend = profile, slope, bend
        self._dim, self._identity = dim, identity
        u, g = roots_jacobi(_NODES, 0.5 * (dim - 3), 0.5 * (dim - 3))
        self._u, self._g = u, g / g.sum()

    def spec(self) -> dict[str, Any]:
        return {"name": "SphericalInteraction", "dim": self._dim, "of": self._identity}

    def value_at_points(self, x: Array, w: Array) -> float:
        return 0.5 * float(w @ self.first_variation_at_points(x, w, x))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        result = np.empty(len(at))
        for rows, _, _, length in self._lengths(at[:, 0], x[:, 0]):
            result[rows] = (_at(self._profile, length) @ self._g) @ w
        return result

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        result = np.empty(len(x))
        for rows, r, s, length in self._lengths(x[:, 0], x[:, 0]):
            towards = (r - s * self._u) / length  # ∂ℓ/∂r
            result[rows] = ((_at(self._slope, length) * towards) @ self._g) @ w
        return result[:, None]

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        """The matrix of second derivatives: memory n²."""
        blocks, matrix = np.empty(len(x)), np.empty((len(x), len(x)))
        for rows, r, s, length in self._lengths(x[:, 0], x[:, 0]):
            own, other = (r - s * self._u) / length, (s - r * self._u) / length
            bend, tension = _at(self._bend, length), _at(self._slope, length) / length
            twice = (bend * own**2 + tension * (1 - own**2)) @ self._g
            mixed = (bend * own * other - tension * (self._u + own * other)) @ self._g
            blocks[rows] = w[rows] * (twice @ w)
            matrix[rows] = w[rows, None] * w * mixed
        return Curvature(blocks[:, None, None], [Dense(matrix)])

    def _lengths(self, r: Array, s: Array) -> Iterator[tuple[slice, Array, Array, Array]]:
        """Rows, r and r' of shapes to broadcast, and ℓ of shape (rows, n, nodes), never 0."""
        size = max(1, _CHUNK // (len(s) * _NODES * self._dim))
        for start in range(0, len(r), size):
            rows = slice(start, min(start + size, len(r)))
            a, b = r[rows, None, None], s[None, :, None]
            square = (a - b) ** 2 + 2 * a * b * (1 - self._u)
            yield rows, a, b, np.sqrt(np.maximum(square, 1e-300))


def _at(function: Profile, length: Array) -> Array:
    return function(length.ravel()).reshape(length.shape)
