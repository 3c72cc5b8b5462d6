"""From a density on an axis to a law on cells."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from ..measures.base import Array
from ..measures.cells import Cells
from ..measures.quantiles import Quantiles
from ..measures.radial import Radial
from .axis import Axis


def law_of_density(axis: Axis, log_density: Array, n: int) -> Cells:
    """A law of n cells, graded in the tails, with the quantile function of the density.

    The quantile function is interpolated against log(s/(1−s)), in which tails are smooth.
    """
    panels = len(axis.breaks) - 1
    mass = axis.masses(log_density).reshape(panels, -1)
    position, below, above = _cumulated(axis, mass)
    keep = (below > 1e-300) & (above > 1e-300)
    position, logit = position[keep], np.log(below[keep]) - np.log(above[keep])
    rising = np.concatenate([[True], logit[1:] > np.maximum.accumulate(logit)[:-1]])
    ppf = _Quantile(axis, position[rising], logit[rising])
    if axis.radial:
        return Radial.from_ppf(ppf, axis.dim, n, grading="tails")
    return Quantiles.from_ppf(ppf, n, grading="tails")


class _Quantile:
    """Levels → positions; power laws at ends where the density does not vanish."""

    def __init__(self, axis: Axis, position: Array, logit: Array) -> None:
        self.axis, self.ends = axis, position[[0, -1]]
        self.logarithmic = axis.radial  # r is a power of the level near 0: smooth as log r
        self.table = PchipInterpolator(logit, np.log(position) if axis.radial else position)
        self.low, self.high = logit[[0, -1]]
        self.power = axis.dim if axis.radial and axis.breaks[0] == 0.0 else 1

    def __call__(self, s: Array) -> Array:
        s = np.asarray(s, dtype=float)
        with np.errstate(divide="ignore"):
            level = np.log(s) - np.log1p(-s)
        x = np.asarray(self.table(np.clip(level, self.low, self.high)))
        x = np.exp(x) if self.logarithmic else x
        below = np.exp(np.minimum(level - self.low, 0.0) / self.power)
        above = np.exp(np.minimum(self.high - level, 0.0))
        a, b = self.axis.breaks[[0, -1]]
        x = np.where(level < self.low, a + (self.ends[0] - a) * below, x)
        x = np.where(level > self.high, b - (b - self.ends[1]) * above, x)
        wall = self.axis.walls or (self.axis.radial and self.axis.dim == 1)
        x = np.where(s <= 0.0, a if wall else -np.inf, x)
        return np.where(s >= 1.0, b if self.axis.walls else np.inf, x)


def _cumulated(axis: Axis, mass: Array) -> tuple[Array, Array, Array]:
    """Positions with the mass below and above each, panel ends and points inside panels.

    Inside a panel the density is the polynomial through its Gauss points, integrated exactly.
    """
    order = mass.shape[1]
    t, g = np.polynomial.legendre.leggauss(order)
    nodes = np.linspace(-1.0, 1.0, 9)[1:]
    vandermonde = np.polynomial.legendre.legvander(t, order - 1)
    scale = (2.0 * np.arange(order) + 1.0) / 2.0
    to_coefficients = (vandermonde * g[:, None]).T * scale[:, None]
    coefficients = (mass / g) @ to_coefficients.T
    integrated = np.polynomial.legendre.legint(coefficients.T, lbnd=-1)
    inside = np.asarray(np.polynomial.legendre.legval(nodes, integrated), dtype=float)
    total = mass.sum(axis=1)
    before = np.concatenate([[0.0], np.cumsum(total)[:-1]])
    after = np.concatenate([np.cumsum(total[::-1])[::-1][1:], [0.0]])
    width = np.diff(axis.breaks)
    position = axis.breaks[:-1, None] + 0.5 * (nodes + 1.0) * width[:, None]
    below = before[:, None] + inside
    above = after[:, None] + (total[:, None] - inside)
    return position.ravel(), below.ravel(), above.ravel()
