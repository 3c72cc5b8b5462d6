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
from .couplings import without_dust
from .distances import paired_distances
from .one_dimensional import monotone_coupling

_EPS = float(np.finfo(float).eps)
_DUST = 1e-10  # of the smaller weight: entries below are rounding, not mass
_BLOCK = 2**17  # entries at a time: they stay in the cache
Indices = np.ndarray[Any, np.dtype[np.intp]]


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

    One matrix product of (−2x, |x|² − f, 1) and (y, 1, |y|² − g) about a common centre. It leaves
    an error of about eps(|x|² + |y|²), which would drown the slack of particles that hardly
    moved, or that sit on top of each other.
    """
    reach = float(np.abs(x).max() + np.abs(y).max())
    # a power of a float that overflows raises, and a product is inf
    doubtful = 64 * _EPS * (reach * reach * x.shape[1] + float(np.ptp(f)))
    centre = 0.5 * (x.mean(axis=0) + y.mean(axis=0))
    u, v = x - centre, y - centre
    left = np.column_stack([-2.0 * u, np.einsum("ij,ij->i", u, u) - f, np.ones(len(u))])
    right = np.column_stack([v, np.ones(len(v)), np.einsum("ij,ij->i", v, v) - g]).T
    step = max(1, _BLOCK // len(y))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        slack = left[rows] @ right
        near_x, near_y = np.nonzero(slack < doubtful)
        bound = f[rows][near_x] + g[near_y]
        slack[near_x, near_y] = paired_distances(x[rows][near_x], y[near_y]) - bound
        yield rows, slack


def centred(f: Array) -> Array:
    """f without its mean, whose rounding is that of f's differences and not of a constant in f.

    Examples
    --------
    >>> f = np.full(10, 1e9 / 3)
    >>> bool((f - f.mean()).any()), bool(centred(f).any())
    (True, False)
    """
    f = f - f[0]
    return np.asarray(f - f.mean())


def _plausible(f: Array, x: Array, y: Array) -> Array:
    """f, or zeros: feasible potentials that some pairs meet differ no more than costs do.

    More is rounding, of a large constant in F where the points have nearly come together.
    """
    both = np.concatenate([x, y])
    widest = float((np.ptp(both, axis=0) ** 2).sum())
    return f if np.ptp(f) <= widest else np.zeros_like(f)


def rounding_margin(x: Array, y: Array, f: Array) -> float:
    """What rounding can do to the slack of a tight pair: that of the potentials."""
    return 8 * _EPS * float(np.ptp(f) + paired_distances(x, y).max())


def pairing_potentials(x: Array, y: Array, f: Array, sweeps: int = 8) -> Potentials | None:
    """Potentials that prove the pairing i ↔ i optimal, from a guess f; None if none were found.

    Each sweep lowers g_j to min_i |x_i − y_j|² − f_i and sets f_i = |x_i − y_i|² − g_i again:
    Bellman–Ford on the graph whose negative cycles are the better pairings. The gap is zero by
    construction; what is checked is feasibility.

    Parameters
    ----------
    x, y : ndarray, shape (n, d)
    f : ndarray, shape (n,)
    sweeps : int
        Each costs as much as the check, O(n²d); more than some cost more than the exact solver.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [3.0]])
    >>> pairing_potentials(x, x + 0.5, np.zeros(3)) is not None
    True
    >>> pairing_potentials(x, x[::-1], np.zeros(3)) is None
    True
    """
    own = paired_distances(x, y)
    f = _plausible(centred(f), x, y)
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
) -> tuple[Indices, Indices, Array, Potentials]:
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
    rows, columns, values = monotone_coupling(x, y, a, b)
    dust = values <= _DUST * np.minimum(a[rows], b[columns])
    rows, columns, values = without_dust(rows, columns, values, dust, a, b)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    ends = np.append(starts[1:], len(rows)) - 1
    xs, ys = x - x.mean(), y - x.mean()
    middle = 0.5 * (ys[columns[ends[:-1]]] + ys[columns[starts[1:]]])
    sorted_x = xs[rows[starts]]
    steps = np.diff(sorted_x) * (sorted_x[1:] + sorted_x[:-1] - 2.0 * middle)
    f, g = np.full(len(x), np.nan), np.full(len(y), np.nan)
    f[rows[starts]] = centred(np.concatenate([[0.0], np.cumsum(steps)]))
    g[columns] = (xs[rows] - ys[columns]) ** 2 - f[rows]
    lost, gone = (np.flatnonzero(np.isnan(p)) for p in (f, g))  # masses below rounding
    partners, slacks = _nearest(xs[lost], ys, g)
    f[lost] = slacks
    others, g[gone] = _nearest(ys[gone], xs, f)
    rows, columns = np.concatenate([rows, lost, others]), np.concatenate([columns, partners, gone])
    values = np.concatenate([values, a[lost], b[gone]])
    return rows, columns, values, Potentials(f, g, 0.0)


def _nearest(x: Array, y: Array, g: Array) -> tuple[Indices, Array]:
    """For each x the j that minimises (x − y_j)² − g_j where that is known, and the minimum."""
    slack = (x[:, None] - y) ** 2 - np.where(np.isnan(g), -np.inf, g)
    return slack.argmin(axis=1), slack.min(axis=1)
