"""Features of the radius r ≥ 0, tabulated once and read in a few microseconds."""

from __future__ import annotations

from math import comb, factorial

import numpy as np

from ..functionals.features import FeaturesAt, LocalFeatures
from ..measures.base import Array
from ..status import NotDefined

_DEGREE = 5


class RadialTable(LocalFeatures):
    """φ_q(r) = a_q r + b_q(s), s = r/(r + c), with b_q a quintic spline on a uniform grid in s.

    The variable s maps [0, ∞) to [0, 1), so there is no radius beyond the table. The features
    *are* the splines: they are C⁴, and all derivatives are exactly theirs.

    Parameters
    ----------
    linear : array, shape (q,)
        a_q.
    values : array, shape (q, m)
        b_q at s = 0, 1/m, …, (m−1)/m; the last interval continues the polynomial before it.
    scale : float
        c.
    """

    def __init__(self, linear: Array, values: Array, scale: float) -> None:
        self._linear, self._scale = linear, scale
        self._count = values.shape[1]
        self._table = _local_polynomials(values)
        self.slope_bounds, self.curvature_bounds = self._bounds()

    @staticmethod
    def radii(count: int, scale: float) -> Array:
        """The r of the grid's nodes."""
        s = np.arange(count) / count
        return np.asarray(scale * s / (1 - s))

    def at(self, theta: Array) -> RadialFeaturesAt:
        return RadialFeaturesAt(self, theta)

    def _bounds(self) -> tuple[Array, Array]:
        """sup|φ'| and sup|φ''|, rigorous up to rounding.

        With ds/dr = (1−s)²/c: φ' = a + b_s(1−s)²/c and φ'' = [b_ss(1−s) − 2b_s](1−s)³/c². On each
        interval Bernstein coefficients bound the polynomials, and powers of 1 − s fall.
        """
        m, c = self._count, self._scale
        first = _differentiated(self._table)  # b_s = m·first, b_ss = m²·second, s = (i + x)/m
        second = _differentiated(first)
        remaining = m - np.arange(m)
        bracket = -2.0 * first
        bracket[:-1] += second * remaining
        bracket[1:] -= second
        left = remaining / m
        slope = np.abs(self._linear) + (_largest(first) * left**2 * m / c).max(axis=1)
        return slope, (_largest(bracket) * left**3 * m / c**2).max(axis=1)


class RadialFeaturesAt(FeaturesAt):
    """A `RadialTable` at fixed radii (n, 1)."""

    def __init__(self, table: RadialTable, theta: Array) -> None:
        if theta.ndim != 2 or theta.shape[1] != 1:
            raise NotDefined(
                f"radial features are functions of the radius, shape (n, 1), not {theta.shape}: "
                "use a Radial law"
            )
        self._own = table
        r = theta[:, 0]
        shifted = r + table._scale
        u = r / shifted * table._count
        self._index = np.clip(u.astype(np.intp), 0, table._count - 1)
        self._x = u - self._index
        self._rate = table._count * table._scale / shifted**2  # du/dr
        self._bend = -2 * self._rate / shifted  # d²u/dr²
        self._pieces = np.take(table._table, self._index, axis=2)  # (degree + 1, q, n)
        self.values = table._linear[:, None] * r + _horner(self._pieces, self._x)

    def jacobian(self) -> Array:
        slope = self._rate * _horner(_differentiated(self._pieces), self._x)
        return np.asarray(slope + self._own._linear[:, None])[:, :, None]

    def jvp(self, v: Array) -> Array:
        return self.jacobian()[:, :, 0] * v[:, 0]

    def vjp(self, c: Array) -> Array:
        slope = self._rate * _horner(_differentiated(self._combined(c)), self._x)
        return np.asarray(slope + c @ self._own._linear)[:, None]

    def curvature(self, c: Array) -> Array:
        first = _differentiated(self._combined(c))
        second = _horner(_differentiated(first), self._x)
        bend = second * self._rate**2 + _horner(first, self._x) * self._bend
        return bend[:, None, None]

    def _combined(self, c: Array) -> Array:
        """Polynomials (degree + 1, n) of Σ_q c_q φ_q: summed over q before they are read."""
        return np.tensordot(self._own._table, c, axes=(1, 0))[:, self._index]


def _horner(coefficients: Array, x: Array) -> Array:
    result = coefficients[-1] * x
    for c in coefficients[-2:0:-1]:
        result += c
        result *= x
    result += coefficients[0]
    return result


def _differentiated(coefficients: Array) -> Array:
    powers = np.arange(1.0, len(coefficients))
    return coefficients[1:] * powers.reshape(-1, *[1] * (coefficients.ndim - 1))


def _largest(coefficients: Array) -> Array:
    """max |p| on [0, 1] at most: the largest Bernstein coefficient, (k+1, q, m) → (q, m)."""
    degree = len(coefficients) - 1
    to_bernstein = np.array(
        [[comb(i, j) / comb(degree, j) if j <= i else 0.0 for j in range(degree + 1)]
         for i in range(degree + 1)]
    )  # fmt: skip
    return np.abs(np.tensordot(to_bernstein, coefficients, axes=1)).max(axis=0)


def _local_polynomials(values: Array) -> Array:
    """Coefficients (6, q, m) in x ∈ [0, 1] of the quintic spline on each interval."""
    from scipy.interpolate import make_interp_spline

    nodes = np.arange(values.shape[1], dtype=float)
    spline = make_interp_spline(nodes, values.T, k=_DEGREE)
    pieces = [spline.derivative(j)(nodes).T / factorial(j) for j in range(_DEGREE)]
    last = spline.derivative(_DEGREE)(np.minimum(nodes + 0.5, nodes[-1]))
    return np.stack([*pieces, last.T / factorial(_DEGREE)])
