"""Cells, faces and fluxes of finite volumes on a box: the Scharfetter–Gummel flux and its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from ..measures.base import Array
from ..measures.grid import Grid

Indices = np.ndarray[Any, np.dtype[np.intp]]


def bernoulli(z: Array) -> Array:
    """B(z) = z/(e^z − 1), B(0) = 1; it decreases, and B(−z) = e^z B(z).

    Examples
    --------
    >>> bernoulli(np.array([0.0, -800.0, 800.0]))
    array([  1., 800.,   0.])
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return np.where(z == 0.0, 1.0, z / np.expm1(z))


def bernoulli_slope(z: Array) -> Array:
    """B'(z) = (B(z)/z)(1 − B(−z)), between −1 and 0.

    Examples
    --------
    >>> bernoulli_slope(np.array([0.0, -800.0]))
    array([-0.5, -1. ])
    """
    small = np.abs(z) < 1e-2  # where the difference cancels; the next term is z⁵/5040
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        large = bernoulli(z) / z * (1.0 - bernoulli(-z))
    return np.where(small, -0.5 + z / 6.0 - z**3 / 180.0, large)


class Fluxes(NamedTuple):
    """Mass through each face from left to right, per area and time, and its derivatives: in the
    density on the left, minus that on the right, and in the jump of the potential."""

    value: Array
    out: Array
    back: Array
    slope: Array


@dataclass(frozen=True)
class Faces:
    """The open faces of a grid: between cells that are both no obstacle; walls have none.

    ``left`` and ``right`` number the open cells on both sides, ``h`` is the distance of their
    centres, ``open`` (N,) says which cells are open.
    """

    left: Indices
    right: Indices
    h: Array
    open: np.ndarray[Any, np.dtype[np.bool_]]

    @classmethod
    def of(cls, mu: Grid, potential: Array) -> Faces:
        """Of a grid with obstacles where the potential (N,) is +∞."""
        is_open = np.isfinite(potential)
        number = np.where(is_open, np.cumsum(is_open) - 1, -1).reshape(mu.shape)
        sides = []
        for axis, h in enumerate(mu.spacing):
            ahead = np.moveaxis(number, axis, 0)
            left, right = ahead[:-1].ravel(), ahead[1:].ravel()
            both = (left >= 0) & (right >= 0)
            sides.append((left[both], right[both], np.full(int(both.sum()), h)))
        left, right, spacing = (np.concatenate(parts) for parts in zip(*sides, strict=True))
        return cls(left, right, spacing, is_open)

    @property
    def cells(self) -> int:
        """How many cells are open."""
        return int(self.open.sum())

    def jump(self, phi: Array) -> Array:
        """φ on the right minus φ on the left."""
        return np.asarray(phi[self.right] - phi[self.left])

    def fluxes(self, rho: Array, jump: Array, temperature: float) -> Fluxes:
        """(1/h)(a(s)ρ_l − a(−s)ρ_r), s the jump of φ and a(s) = cB(s/c) at the temperature c.

        It vanishes iff ρ ∝ exp(−φ/c), and points where c log ρ + φ is less. At c = 0 it is the
        upwind flux, a(s) = (−s)⁺.
        """
        if temperature > 0:
            ahead = temperature * bernoulli(jump / temperature)
            behind = temperature * bernoulli(-jump / temperature)
            d_ahead = bernoulli_slope(jump / temperature)
            d_behind = bernoulli_slope(-jump / temperature)
        else:
            ahead, behind = np.maximum(-jump, 0.0), np.maximum(jump, 0.0)
            d_ahead, d_behind = -np.heaviside(-jump, 0.0), -np.heaviside(jump, 0.0)
        left, right = rho[self.left], rho[self.right]
        slope = (d_ahead * left + d_behind * right) / self.h
        value = (ahead * left - behind * right) / self.h
        return Fluxes(value, ahead / self.h, behind / self.h, slope)

    def divergence(self, flux: Array) -> Array:
        """Sum of the outward fluxes over the faces of each open cell, over its length."""
        per_length = flux / self.h
        out = np.bincount(self.left, per_length, self.cells)
        return np.asarray(out - np.bincount(self.right, per_length, self.cells))

    def matrix(self, out: Array, back: Array) -> sparse.csc_array:
        """I + (what flows out of the left and back from the right); its columns sum to 1.

        With nonnegative ``out`` and ``back`` it is an M-matrix: its inverse is nonnegative.
        """
        n, a, b = self.cells, out / self.h, back / self.h
        everyone = np.arange(n)
        rows = np.concatenate([everyone, self.left, self.right, self.right, self.left])
        columns = np.concatenate([everyone, self.left, self.left, self.right, self.right])
        values = np.concatenate([np.ones(n), a, -a, b, -b])
        return sparse.csc_array((values, (rows, columns)), shape=(n, n))
