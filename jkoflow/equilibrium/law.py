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
    order = mass.shape[1]
    fine = _finer_cumulated(axis, mass, order)
    position, below, above = fine
    keep = (below > 1e-300) & (above > 1e-300)
    logit = np.log(below[keep]) - np.log(above[keep])
    increasing = np.concatenate([[True], np.diff(logit) > 0])
    table = PchipInterpolator(logit[increasing], position[keep][increasing], extrapolate=True)
    low, high = logit[increasing][[0, -1]]

    def ppf(s: Array) -> Array:
        s = np.asarray(s, dtype=float)
        with np.errstate(divide="ignore"):
            level = np.log(s) - np.log1p(-s)
        inside = np.asarray(table(np.clip(level, low, high)))
        return np.where(s <= 0.0, -np.inf, np.where(s >= 1.0, np.inf, inside))

    if axis.radial:
        return Radial.from_ppf(ppf, axis.dim, n, grading="tails")
    return Quantiles.from_ppf(ppf, n, grading="tails")


def _finer_cumulated(axis: Axis, mass: Array, order: int) -> tuple[Array, Array, Array]:
    """Positions with the mass below and above each, panel ends and points inside panels.

    Inside a panel the density is the polynomial through its Gauss points, integrated exactly.
    """
    t, g = np.polynomial.legendre.leggauss(order)
    nodes = np.linspace(-1.0, 1.0, 9)[1:]
    vandermonde = np.polynomial.legendre.legvander(t, order - 1)
    scale = (2.0 * np.arange(order) + 1.0) / 2.0
    to_coefficients = (vandermonde * g[:, None]).T * scale[:, None]
    coefficients = (mass / g) @ to_coefficients.T
    integrated = np.polynomial.legendre.legint(coefficients.T, lbnd=-1)
    inside = np.polynomial.legendre.legval(nodes, integrated)
    total = mass.sum(axis=1)
    before = np.concatenate([[0.0], np.cumsum(total)[:-1]])
    after = np.concatenate([np.cumsum(total[::-1])[::-1][1:], [0.0]])
    width = np.diff(axis.breaks)
    position = axis.breaks[:-1, None] + 0.5 * (nodes + 1.0) * width[:, None]
    below = before[:, None] + inside
    above = after[:, None] + (total[:, None] - inside)
    return position.ravel(), below.ravel(), above.ravel()
