"""Proofs that pairing X_i with y_i is optimal for |x − y|², without a linear program.

Potentials f with f_i + g_j ≤ |X_i − y_j|², g_i = |X_i − y_i|² − f_i, are such a proof. The
minimiser of a JKO step brings a candidate, f = −2τ δF/δρ(X); shortest-path sweeps repair it
where it almost is one; and on the line sorting replaces all of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..measures.base import Array
from .distances import distance_blocks, paired_distances, recompute

_EPS = float(np.finfo(float).eps)


class Potentials(NamedTuple):
    """f (n,) and g (m,) with f_i + g_j ≤ |X_i − y_j|², up to ``violation`` ≥ 0."""

    f: Array
    g: Array
    violation: float


def violation(x: Array, y: Array, f: Array, g: Array) -> float:
    """max_ij f_i + g_j − |x_i − y_j|², at least 0; O(nmd) in blocks of bounded memory.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0]])
    >>> violation(x, x[::-1], np.zeros(2), np.ones(2))     # the crossing pairing is not optimal
    1.0
    """
    lowest = np.full(len(g), np.inf)
    for _, slack in _slacks(x, y, f, g):
        np.minimum(lowest, slack.min(axis=0), out=lowest)
    return max(0.0, -float(lowest.min()))


def _slacks(x: Array, y: Array, f: Array, g: Array) -> Iterator[tuple[slice, Array]]:
    """Blocks of |x_i − y_j|² − f_i − g_j; entries near or below zero come from differences.

    A matrix product leaves an error of about eps(|x|² + |y|²) in a distance, which would drown
    the slack of particles that hardly moved, or that sit on top of each other.
    """
    size = float(np.abs(x).max() + np.abs(y).max()) ** 2 * x.shape[1]
    doubtful = 64 * _EPS * (size + float(np.ptp(f)))
    for rows, block in distance_blocks(x, y):
        bound = f[rows, None] + g
        near = block - bound < doubtful
        recompute(block, near, x[rows], y)
        yield rows, block - bound


def rounding_margin(x: Array, y: Array, f: Array) -> float:
    """What rounding can do to the slack of a tight pair: that of the potentials."""
    return 8 * _EPS * float(np.ptp(f) + paired_distances(x, y).max())


def pairing_potentials(x: Array, y: Array, f: Array, sweeps: int = 20) -> Potentials | None:
    """Potentials that prove the pairing i ↔ i optimal, from a guess f; None if none were found.

    Each sweep lowers g_j to min_i |x_i − y_j|² − f_i and sets f_i = |x_i − y_i|² − g_i again:
    Bellman–Ford on the graph whose negative cycles are the better pairings. The gap is zero by
    construction; what is checked is feasibility.

    Parameters
    ----------
    x, y : ndarray, shape (n, d)
    f : ndarray, shape (n,)
    sweeps : int
        Each costs as much as the check, O(n²d).

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [3.0]])
    >>> pairing_potentials(x, x + 0.5, np.zeros(3)) is not None
    True
    >>> pairing_potentials(x, x[::-1], np.zeros(3)) is None
    True
    """
    own = paired_distances(x, y)
    f = f - f.mean()
    margin = rounding_margin(x, y, f)
    for _ in range(sweeps + 1):
        g = own - f
        lowest = np.zeros(len(y))
        for _, slack in _slacks(x, y, f, g):
            np.minimum(lowest, slack.min(axis=0), out=lowest)
        worst = -float(lowest.min())
        if worst <= margin:
            return Potentials(f, g, worst)
        f = f - lowest
    return None


def line_coupling(
    x: Array, y: Array, a: Array, b: Array
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Array, Potentials]:
    """The monotone coupling of weighted points of the line, with potentials, by sorting.

    f(x) = ∫ 2(z − T(z)) dz along the line, where T(z) lies between the points that the mass on
    the left and on the right of z goes to; g_j = |x_i − y_j|² − f_i for any i coupled with j.

    Parameters
    ----------
    x, y : ndarray, shapes (n,) and (m,)
    a, b : ndarray, shapes (n,) and (m,)
        Positive weights with equal sums.

    Returns
    -------
    rows, columns, values, Potentials

    Examples
    --------
    >>> half = np.array([0.5, 0.5])
    >>> line_coupling(np.array([0.0, 1.0]), np.array([5.0, 3.0]), half, half)[:2]
    (array([0, 1]), array([1, 0]))
    """
    at_x, at_y = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    upto_x, upto_y = np.cumsum(a[at_x]), np.cumsum(b[at_y])
    upto_y *= upto_x[-1] / upto_y[-1]
    levels, i, j = _pieces(upto_x, upto_y)
    values = np.diff(levels, prepend=0.0)
    first = np.searchsorted(i, np.arange(len(x)))
    last = np.searchsorted(i, np.arange(len(x)), side="right") - 1
    xs, ys = x[at_x] - x.mean(), y[at_y] - x.mean()
    middle = 0.5 * (ys[j[last[:-1]]] + ys[j[first[1:]]])
    steps = np.diff(xs) * (xs[1:] + xs[:-1] - 2.0 * middle)
    sorted_f = np.concatenate([[0.0], np.cumsum(steps)])
    f, g = np.empty(len(x)), np.empty(len(y))
    f[at_x] = sorted_f
    g[at_y[j]] = (xs[i] - ys[j]) ** 2 - sorted_f[i]
    return at_x[i], at_y[j], values, Potentials(f, g, 0.0)


def _pieces(
    upto_x: Array, upto_y: Array
) -> tuple[Array, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Levels where mass changes hands, and the sorted points on either side of each piece.

    Levels that agree up to rounding are one level: equal weights give a permutation.
    """
    same = 4 * _EPS * (len(upto_x) + len(upto_y)) * upto_x[-1]
    near = np.clip(np.searchsorted(upto_x, upto_y), 0, len(upto_x) - 1)
    below = np.maximum(near - 1, 0)
    near = np.where(np.abs(upto_x[below] - upto_y) < np.abs(upto_x[near] - upto_y), below, near)
    snapped = np.where(np.abs(upto_x[near] - upto_y) <= same, upto_x[near], upto_y)
    levels = np.union1d(upto_x, snapped)
    i = np.searchsorted(upto_x, levels)
    j = np.searchsorted(snapped, levels)
    return levels, i, j
