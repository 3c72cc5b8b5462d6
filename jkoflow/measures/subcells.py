"""Masses of cells, on cells cut into parts: those of a density with a slope in each cell."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d

from .base import Array
from .grid import repeated


def sloped(mass: Array, parts: int) -> Array:
    """Masses on ``parts`` pieces a cell and axis; each cell keeps its mass, no piece is negative.

    In a cell the density goes along the line that half the difference of its neighbours gives,
    or a flatter one where that would be negative. Walls mirror. Put at their centres, the pieces
    have the moments of a smooth density whose cells' means are means over pieces.

    Examples
    --------
    >>> sloped(np.array([2.0, 4.0, 6.0, 6.0]), 2)
    array([0.875, 1.125, 1.75 , 2.25 , 2.875, 3.125, 3.   , 3.   ])
    >>> sloped(np.array([0.0, 1.0, 64.0]), 2)[2:4]
    array([0., 1.])
    """
    place = (np.arange(parts) + 0.5) / parts - 0.5  # of the pieces' centres, in cells
    fine = repeated(mass, parts) / parts**mass.ndim
    if parts == 1:
        return fine
    for axis in range(mass.ndim):
        slope = correlate1d(mass, [-0.5, 0.0, 0.5], axis=axis, mode="reflect")
        steepest = mass / place[-1]
        share = np.divide(np.clip(slope, -steepest, steepest), mass, out=np.zeros(mass.shape),
                          where=mass > 0)  # fmt: skip
        shape = [-1 if a == axis else 1 for a in range(mass.ndim)]
        line = np.tile(place, mass.shape[axis]).reshape(shape)
        fine *= 1.0 + line * repeated(share, parts)
    return np.maximum(fine, 0.0)
