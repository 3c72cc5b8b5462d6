"""Laws on the line, by their quantile function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite
from ..status import InvalidMeasure
from .base import Array, register
from .cells import Cells, LogVolumes, cells_from_arrays, edges_from_ppf, level_masses


@register
class Quantiles(Cells):
    """A law on R with a piecewise linear quantile function: mass m_i spread over [x_i, x_{i+1}].

    The density of a cell is m_i/(x_{i+1} − x_i). Integrals of smooth functions are taken on the
    edges, each with half the mass of its two cells; they are second order in the cell size.

    Parameters
    ----------
    edges : array_like, shape (n+1,)
        Sorted.
    mass : array_like, shape (n,), optional
        Positive, with sum 1; equal if not given.

    Raises
    ------
    InvalidMeasure
        For unsorted edges, NaN, masses that are not positive or do not sum to 1.

    Examples
    --------
    >>> mu = Quantiles([0.0, 1.0, 3.0])
    >>> mu.weights
    array([0.25, 0.5 , 0.25])
    >>> round(float(Quantiles.normal(0.0, 2.0, 200).cov()[0, 0]), 2)
    4.0
    """

    kind: ClassVar[str] = "quantiles"

    @property
    def dim(self) -> int:
        return 1

    def log_volumes(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(np.diff(self._edges))

    def volume_slopes(self, edges: Array) -> tuple[Array, Array, Array]:
        length = edges[..., 1:] - edges[..., :-1]
        logs = np.log(length)
        b = np.divide(1.0, length, out=length)
        return logs, -b, b

    def log_volume_derivatives(self) -> LogVolumes:
        length = np.diff(self._edges)
        b = 1.0 / length
        bb = b * b
        return LogVolumes(np.log(length), -b, b, -bb, bb, -bb)

    @classmethod
    def from_ppf(
        cls, ppf: Callable[[Array], ArrayLike], n: int, grading: str = "uniform"
    ) -> Quantiles:
        """Read a quantile function at n+1 levels.

        Parameters
        ----------
        ppf : callable
            Quantile function, (k,) levels in [0, 1] → (k,). An infinite value at 0 or 1 is
            replaced by the mean of the outer half cell.
        n : int
            Number of cells.
        grading : {"uniform", "cosine", "tails"}
            How the masses of the cells shrink towards both ends: not at all; for a density that
            vanishes at a finite edge, so that the edges are clustered like a cosine's; for
            unbounded support.

        Examples
        --------
        >>> Quantiles.from_ppf(lambda s: 2 * s, 4).edges
        array([0. , 0.5, 1. , 1.5, 2. ])
        """
        levels, mass = level_masses(n, grading)
        return cls(edges_from_ppf(ppf, levels, mass), mass)

    @classmethod
    def normal(
        cls, mean: float, std: float, n: int, grading: str = "tails"
    ) -> Quantiles:
        """The normal law N(mean, std²) on n cells, graded in the tails unless asked otherwise."""
        if not (is_finite(mean) and is_finite(std) and std > 0):
            raise InvalidMeasure(f"need a finite mean and std > 0, but got {mean!r}, {std!r}")
        from scipy.special import ndtri

        levels, mass = level_masses(n, grading)
        edges = edges_from_ppf(ndtri, levels, mass, isf=lambda s: -ndtri(s))
        if n % 2 == 0:
            edges[n // 2] = 0.0
        return cls(mean + std * edges, mass)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Quantiles:
        return cls(*cells_from_arrays(arrays))

    def __repr__(self) -> str:
        return f"Quantiles(n={len(self._mass)}, on [{self._edges[0]:.4g}, {self._edges[-1]:.4g}])"
