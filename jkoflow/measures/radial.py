"""Rotation-invariant laws on R^d, by the law of the radius."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite, is_whole
from ..status import InvalidMeasure
from .base import Array, finite_array, register
from .cells import Cells, LogVolumes, cells_from_arrays, edges_from_ppf, level_masses


def log_ball_volume(dim: int) -> float:
    """log of the volume of the unit ball of R^dim, π^{d/2}/Γ(d/2+1)."""
    from scipy.special import gammaln

    return float(0.5 * dim * np.log(np.pi) - gammaln(0.5 * dim + 1.0))


@register
class Radial(Cells):
    """A rotation-invariant law on R^d, given by the law of r = |θ|.

    Cell i carries mass m_i, spread uniformly over the shell x_i ≤ |θ| ≤ x_{i+1} of R^d. The
    points are the radii, shape (n+1, 1), and functions on a radial law are functions of r.
    W2 between two radial laws is the W2 of their radii. `dim` is d.

    Parameters
    ----------
    edges : array_like, shape (n+1,)
        Radii, sorted, not negative.
    dim : int
        Dimension d of the space.
    mass : array_like, shape (n,), optional
        Positive, with sum 1; equal if not given.

    Raises
    ------
    InvalidMeasure
        As `Quantiles`, and for negative radii or dim < 1.

    Examples
    --------
    >>> mu = Radial.normal(0.5, 40, 400)          # θ ~ N(0, 0.25 I) in R^40
    >>> round(float(mu.integrate(lambda r: r[:, 0] ** 2)), 3)     # E|θ|² = 40/4
    10.0
    """

    kind: ClassVar[str] = "radial"

    def __init__(self, edges: ArrayLike, dim: int, mass: ArrayLike | None = None) -> None:
        super().__init__(edges, mass)
        self._dim = _dimension(dim)
        self._check_radii(self._edges)

    @staticmethod
    def _check_radii(edges: Array) -> None:
        if edges[0] < 0:
            raise InvalidMeasure(f"radii must not be negative, but the first edge is {edges[0]}")

    def with_edges(self, edges: ArrayLike) -> Radial:
        self._check_radii(finite_array(edges, "edges", ndim=1))
        return super().with_edges(edges)

    def _admits(self, edges: Array) -> bool:
        return bool((edges[..., 0] >= 0).all())

    @property
    def dim(self) -> int:
        return self._dim

    def _logarithms(self, edges: Array) -> tuple[Array, Array, Array]:
        """log b, q = (a/b)^d and 1 − q for the edges a < b of each cell."""
        a, b = edges[..., :-1], edges[..., 1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = self._dim * np.where(a > 0, np.log(a / b), -np.inf)
        return np.log(b), np.exp(exponent), -np.expm1(exponent)

    def log_volumes(self) -> Array:
        log_b, _, thickness = self._logarithms(self._edges)
        with np.errstate(divide="ignore"):
            return log_ball_volume(self._dim) + self._dim * log_b + np.log(thickness)

    def volume_slopes(self, edges: Array) -> tuple[Array, Array, Array]:
        d, a, b = self._dim, edges[..., :-1], edges[..., 1:]
        log_b, q, t = self._logarithms(edges)
        slope = d / (b * t)
        inner = q * b / a if a.all() else (a / b) ** (d - 1)  # (a/b)^(d−1), by a power where a = 0
        return log_ball_volume(d) + d * log_b + np.log(t), -slope * inner, slope

    def log_volume_derivatives(self) -> LogVolumes:
        d, a, b = self._dim, self._edges[:-1], self._edges[1:]
        log_b, _, t = self._logarithms(self._edges)
        value = log_ball_volume(d) + d * log_b + np.log(t)
        first_b = d / (b * t)
        first_a = -d * _power_ratio(a, b, d - 1) / (b * t)
        bb = d * (d - 1) / (b * b * t) - first_b**2
        aa = -d * (d - 1) * _power_ratio(a, b, d - 2) / (b * b * t) - first_a**2
        return LogVolumes(value, first_a, first_b, aa, -first_a * first_b, bb)

    @classmethod
    def from_ppf(
        cls, ppf: Callable[[Array], ArrayLike], dim: int, n: int, grading: str = "tails"
    ) -> Radial:
        """Read the quantile function of the radius at n+1 levels; see `Quantiles.from_ppf`.

        Examples
        --------
        >>> Radial.from_ppf(lambda s: 1 + s, 3, 2, grading="uniform").edges
        array([1. , 1.5, 2. ])
        """
        levels, mass = level_masses(n, grading)
        return cls(edges_from_ppf(ppf, levels, mass), dim, mass)

    @classmethod
    def normal(cls, std: float, dim: int, n: int, grading: str = "tails") -> Radial:
        """The law of |θ| for θ ~ N(0, std² I_dim) on n cells."""
        if not (is_finite(std) and std > 0):
            raise InvalidMeasure(f"need a finite std > 0, but got {std!r:.100}")
        dim = _dimension(dim)
        from scipy.special import gammainccinv, gammaincinv

        levels, mass = level_masses(n, grading)
        ppf, isf = _chi_ppf(gammaincinv, dim), _chi_ppf(gammainccinv, dim)
        edges = edges_from_ppf(ppf, levels, mass, isf)
        if dim > 1:
            t, g = np.polynomial.laguerre.laggauss(40)
            edges[0] = g @ ppf(0.5 * mass[0] * np.exp(-t))
        return cls(std * edges, dim, mass)

    def to_arrays(self) -> dict[str, Array]:
        return {**super().to_arrays(), "dim": np.array(float(self._dim))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Radial:
        edges, mass = cells_from_arrays(arrays)
        return cls(edges, int(np.asarray(arrays["dim"])), mass)

    def __repr__(self) -> str:
        return (
            f"Radial(n={len(self._mass)}, dim={self._dim}, "
            f"on [{self._edges[0]:.4g}, {self._edges[-1]:.4g}])"
        )


def _dimension(dim: int) -> int:
    if not is_whole(dim):
        raise InvalidMeasure(f"dim must be a positive integer, but is {dim!r:.100}")
    return int(dim)


def _chi_ppf(inverse: Callable[..., Array], dim: int) -> Callable[[Array], Array]:
    return lambda s: np.sqrt(2.0 * inverse(0.5 * dim, s))


def _power_ratio(a: Array, b: Array, k: int) -> Array:
    """(a/b)^k; for k < 0 only reached in dimension one, where its factor d − 1 is zero."""
    return (a / b) ** k if k >= 0 else np.zeros_like(a)
