"""Weighted points spread over the cells of a box, without losing mass."""

from __future__ import annotations

import itertools

import numpy as np

from .base import Array


def deposit(
    x: Array, w: Array, lower: Array, spacing: Array, shape: tuple[int, ...]
) -> Array:
    """Masses of the cells, of the given shape: each point shared by the cells around it.

    A point at x gives the cell with centre c the part Π_a max(0, 1 − |x_a − c_a|/h_a) of its
    mass (cloud in cell), so that total mass and, away from walls, the mean are exact. What lies
    beyond the centres of the outermost cells goes to those: the walls of the box let nothing
    through.

    Examples
    --------
    >>> deposit(np.array([[0.75]]), np.array([1.0]), np.zeros(1), np.full(1, 0.5), (2,))
    array([0., 1.])
    """
    place = np.clip((x - lower) / spacing - 0.5, 0.0, np.array(shape) - 1.0)
    first = np.minimum(place.astype(np.intp), np.maximum(np.array(shape) - 2, 0))
    part = place - first
    mass = np.zeros(int(np.prod(shape)))
    for corner in itertools.product((0, 1), repeat=len(shape)):
        share, index = w, np.zeros(len(w), dtype=np.intp)
        for axis, side in enumerate(corner):
            share = share * (part[:, axis] if side else 1.0 - part[:, axis])
            cell = np.minimum(first[:, axis] + side, shape[axis] - 1)
            index = index * shape[axis] + cell
        mass += np.bincount(index, weights=share, minlength=len(mass))
    return mass.reshape(shape)
