"""Compiled lines of the c-transform: lower envelopes of pieces, and the transposed map.

A line is a spline f(x) = Σ_k c_k B(x/h − k), B the quadratic B-spline, mirrored at both ends. Its
transform g(y) = min_x f(x) + (x − y)²/2τ is wanted at ``refine`` places y in each cell. f is a
parabola in each cell, and the least value over a cell is a function of y. Two of those cross but
once, since the minimiser further right gains as y goes right: so it is known which cell is the
lowest by walking along their lower envelope, as Felzenszwalb and Huttenlocher (2012) walk along
that of parabolas on nodes. Nothing is missed, and g is concave in c, to rounding.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_CLOSE = 1e-14  # of the line's length, to which crossings are sought
_TRIALS = 50


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _cell(c: Any, k: int) -> Any:
    """Coefficients before, at and after the cell."""
    return c[max(k - 1, 0)], c[k], c[min(k + 1, len(c) - 1)]


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _least(c: Any, stiffness: float, k: int, y: float) -> Any:
    """The least f + stiffness·(x − y)² over the cell k, and where: x − k.

    A cell that is concave is known to be at an end of the line, and takes that end: the other one
    is its neighbour's.
    """
    below, here, above = _cell(c, k)
    slope = 0.5 * (above - below) + 2.0 * stiffness * (k - y)
    bend = above - 2.0 * here + below + 2.0 * stiffness
    d = -0.5 if k == 0 else 0.5
    if bend > 0.0:
        d = min(0.5, max(-0.5, -slope / bend))
    middle = 0.125 * below + 0.75 * here + 0.125 * above + stiffness * (k - y) ** 2
    return middle + (slope + 0.5 * bend * d) * d, d


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _convex(c: Any, stiffness: float, k: int) -> bool:
    below, here, above = _cell(c, k)
    return bool(above - 2.0 * here + below + 2.0 * stiffness > 0.0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _crossing(c: Any, stiffness: float, p: int, q: int) -> float:
    """From which y on the cell q > p is the lower one: Newton's method on what rises with y, with
    slopes of 2·stiffness times the way between the minimisers, in a bracket."""
    low, high, soft = -np.inf, np.inf, 0.5 / stiffness
    y = 0.5 * (p + q) + soft * (c[q] - c[p]) / (q - p)
    for _ in range(_TRIALS):
        (first, at_p), (second, at_q) = _least(c, stiffness, p, y), _least(c, stiffness, q, y)
        rise = first - second
        low, high = (y, high) if rise < 0.0 else (low, y)
        new = y - soft * rise / (q + at_q - p - at_p)
        if not low <= new <= high:
            new = 0.5 * (low + high)
        if abs(new - y) <= _CLOSE * len(c):
            return new
        y = new
    return y


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _envelope(c: Any, stiffness: float, cells: Any, starts: Any) -> None:
    """Which cell is lowest, from which y on, in units of h. Ends of concave ones are others'."""
    last, soft, n = -1, 0.5 / stiffness, len(c)
    for q in range(n):
        convex = _convex(c, stiffness, q)
        if not convex and 0 < q < n - 1:
            continue
        meet = -np.inf
        while last >= 0:
            p = cells[last]
            if q == p + 1 and convex and (p > 0 or _convex(c, stiffness, p)):
                meet = p + 0.5 + soft * (c[q] - c[p])  # both are at the edge between them
            else:
                meet = _crossing(c, stiffness, p, q)
            if meet > starts[last]:
                break
            last -= 1
            meet = -np.inf
        last += 1
        cells[last], starts[last], starts[last + 1] = q, meet, np.inf


def _transform_lines(
    c: Any, stiffness: float, refine: int, value: Any, node: Any, offset: Any
) -> None:
    n = c.shape[1]
    for i in numba.prange(c.shape[0]):
        cells, starts = np.empty(n + 1, np.int64), np.empty(n + 2)
        _envelope(c[i], stiffness, cells, starts)
        j = 0
        for m in range(n * refine):
            y = (m + 0.5) / refine - 0.5
            while starts[j + 1] < y:
                j += 1
            value[i, m], offset[i, m] = _least(c[i], stiffness, cells[j], y)
            node[i, m] = cells[j]


def _transposed_lines(mass: Any, node: Any, offset: Any, out: Any) -> None:
    last = out.shape[1] - 1
    for i in numba.prange(mass.shape[0]):
        for m in range(mass.shape[1]):
            w = mass[i, m]
            if w != 0.0:
                k, d = node[i, m], offset[i, m]
                out[i, max(k - 1, 0)] += 0.5 * (0.5 - d) ** 2 * w
                out[i, k] += (0.75 - d * d) * w
                out[i, min(k + 1, last)] += 0.5 * (0.5 + d) ** 2 * w


_SERIAL = numba.njit(cache=True)
_PARALLEL = numba.njit(cache=True, parallel=True)
_TRANSFORM = _SERIAL(_transform_lines), _PARALLEL(_transform_lines)
_TRANSPOSE = _SERIAL(_transposed_lines), _PARALLEL(_transposed_lines)
_MANY = 2**18  # numbers from which on several threads are worth waking


def transform_lines(
    c: Any, stiffness: float, refine: int, value: Any, node: Any, offset: Any
) -> None:
    """g (lines, n·refine) of splines c (lines, n); the minimiser lies at node + offset."""
    _TRANSFORM[value.size >= _MANY](c, stiffness, refine, value, node, offset)


def transposed_lines(mass: Any, node: Any, offset: Any, out: Any) -> None:
    """Add mass (lines, n·refine) to the splines (lines, n) that its minimisers lie on."""
    _TRANSPOSE[mass.size >= _MANY](mass, node, offset, out)
