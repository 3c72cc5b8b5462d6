"""Edges of a law on the line carried on the way they came, and kept from folding."""

from __future__ import annotations

import numpy as np

from .base import Array
from .cells import Cells
from .order import isotonic

KEPT = 0.1
"""What a cell, a simplex or a principal axis keeps at least of itself when it is carried on."""


def carried_edges(mu: Cells, shift: Array, alpha: float) -> Array:
    """The edges nearest to x + α·shift, in L²(ρ), whose cells keep `KEPT` of their lengths.

    So does the distance of a radial law's innermost edge from the centre. The edges allowed are
    a convex set that holds x, so that nothing moves farther than without this: the norm of the
    result minus x is at most α‖shift‖. It is isotonic regression of x + α·shift − KEPT·x.

    Parameters
    ----------
    mu : Quantiles or Radial
    shift : ndarray, shape (n+1,)
    alpha : float

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> mu = Quantiles([0.0, 1.0, 2.0])
    >>> carried_edges(mu, np.array([0.0, 0.0, -1.0]), 0.5)        # nothing folds
    array([0. , 1. , 1.5])
    >>> carried_edges(mu, np.array([0.0, 0.0, -2.0]), 0.5).round(8)
    array([0.        , 0.96666667, 1.06666667])
    """
    x = mu.edges
    y = x + alpha * shift
    z = y - KEPT * x
    inside = (z[1:] >= z[:-1]).all() and (mu.kind != "radial" or z[0] >= 0.0)
    if inside or alpha <= 0.0:
        return np.asarray(np.maximum.accumulate(y))  # cells as short as rounding may cross by it
    z = isotonic(z, mu.weights)
    if mu.kind == "radial":
        z = np.maximum(z, 0.0)
    return np.asarray(np.maximum.accumulate(KEPT * x + z))
