"""Quadrature on the line and on radii, on an interval that holds all but a negligible mass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from ..measures.base import Array
from ..status import InvalidProblem

_PANELS, _ORDER = 240, 10
_NEGLIGIBLE = 60.0  # e^-60 of the largest value: far below the rounding of any sum


@dataclass(frozen=True)
class Axis:
    """Points (k,) with log weights for ∫ f dx over R^dim, f a function of the coordinate.

    On the line the coordinate is x; for radial functions it is r, and the weights carry
    |S^{d−1}| r^{d−1}. ``breaks`` are the ends of the panels; ``walls`` says that the ends of the
    interval are walls, where a density need not vanish.
    """

    breaks: Array
    points: Array
    log_weights: Array
    radial: bool
    dim: int
    walls: bool = False

    def log_integral(self, log_f: Array) -> float:
        """log ∫ exp(log f)."""
        return float(logsumexp(log_f + self.log_weights))

    def masses(self, log_density: Array) -> Array:
        """Mass at each quadrature point of a density that is already normalised."""
        return np.exp(log_density + self.log_weights)


    def covers(self, other: Axis) -> bool:
        """Whether the other's interval lies inside this one's, up to a panel."""
        slack = self.breaks[1] - self.breaks[0]
        left = self.breaks[0] <= other.breaks[0] + slack
        return bool(left and other.breaks[-1] <= self.breaks[-1] + slack)

    def hull(self, other: Axis) -> Axis:
        """An axis over both intervals, as fine as the finer of the two."""
        lower = min(self.breaks[0], other.breaks[0])
        upper = max(self.breaks[-1], other.breaks[-1])
        finest = min(self.breaks[1] - self.breaks[0], other.breaks[1] - other.breaks[0])
        panels = int(np.clip(np.ceil((upper - lower) / finest), _PANELS, 20 * _PANELS))
        return make_axis(lower, upper, radial=self.radial, dim=self.dim, panels=panels)


def make_axis(
    lower: float,
    upper: float,
    *,
    radial: bool = False,
    dim: int = 1,
    walls: bool = False,
    panels: int = _PANELS,
) -> Axis:
    """Composite Gauss–Legendre rule on [lower, upper]."""
    breaks = np.linspace(lower, upper, panels + 1)
    t, g = np.polynomial.legendre.leggauss(_ORDER)
    half = 0.5 * np.diff(breaks)
    points = (0.5 * (breaks[:-1] + breaks[1:])[:, None] + half[:, None] * t).ravel()
    log_weights = np.log((half[:, None] * g).ravel())
    if radial:
        log_sphere = np.log(2.0) + 0.5 * dim * np.log(np.pi) - gammaln(0.5 * dim)
        log_weights = log_weights + log_sphere + (dim - 1) * np.log(points)
    return Axis(breaks, points, log_weights, radial, dim, walls)


def fit_axis(
    log_f: Callable[[Array], Array],
    lower: float,
    upper: float,
    *,
    radial: bool = False,
    dim: int = 1,
    fixed: bool = False,
) -> Axis:
    """The axis from about where exp(log f) becomes negligible to where it is so again.

    Starts from [lower, upper], grows until the integrand is negligible at both ends, then
    shrinks to where it is not. ``fixed`` keeps the interval as it is.

    Raises
    ------
    InvalidProblem
        If the integrand does not decay, so that there is no Gibbs measure.
    """
    axis = make_axis(lower, upper, radial=radial, dim=dim, walls=fixed)
    if fixed:
        return axis
    for _ in range(60):
        height = log_f(axis.points) + axis.log_weights
        if not np.isfinite(height).all():
            raise InvalidProblem("the first variation is not finite on the axis of the fixed point")
        top = height.max()
        alive = np.flatnonzero(height >= top - _NEGLIGIBLE)
        grow_left = alive[0] < _ORDER and not (radial and axis.breaks[0] == 0.0)
        grow_right = alive[-1] >= len(height) - _ORDER
        a, b = axis.breaks[0], axis.breaks[-1]
        if not (grow_left or grow_right):
            left, right = alive[0] // _ORDER, alive[-1] // _ORDER + 1
            tight = right - left > 0.6 * _PANELS
            a, b = axis.breaks[max(left - 1, 0)], axis.breaks[min(right + 1, _PANELS)]
            axis = make_axis(a, b, radial=radial, dim=dim)
            if tight:
                return axis
            continue
        width = b - a
        a = max(0.0, a - width) if radial and grow_left else a - width * grow_left
        axis = make_axis(a, b + width * grow_right, radial=radial, dim=dim)
    raise InvalidProblem(
        "exp(−β δF/δρ) is not integrable as far as can be seen: the functional needs a confining "
        "potential, for instance weight decay lam > 0"
    )
