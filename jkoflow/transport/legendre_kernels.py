"""Compiled lines of the c-transform: lower envelopes of parabolas, and the transposed map.

A line is a spline f(x) = Σ_k c_k B(x/h − k), B the quadratic B-spline, mirrored at both ends. Its
transform g(y) = min_x f(x) + (x − y)²/2τ is wanted at ``refine`` places y in each cell. First the
node with the least value is found, by walking along the lower envelope of the parabolas that sit
on the nodes (Felzenszwalb and Huttenlocher 2012), then the minimiser within half a cell of it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _envelope(f: Any, stiffness: float, nodes: Any, starts: Any) -> None:
    """Which node's parabola f_k + stiffness·(k − y)² is lowest, from where on, in units of h."""
    last, soft = 0, 0.5 / stiffness
    nodes[0], starts[0], starts[1] = 0, -np.inf, np.inf
    for q in range(1, len(f)):
        while True:
            p = nodes[last]
            rise = soft * (f[q] - f[p])
            meet = (rise if q == p + 1 else rise / (q - p)) + 0.5 * (q + p)
            if meet > starts[last]:
                last += 1
                break
            if last == 0:
                break
            last -= 1
        nodes[last] = q
        starts[last] = meet if last > 0 else -np.inf
        starts[last + 1] = np.inf


def _transform_lines(
    c: Any, stiffness: float, refine: int, value: Any, node: Any, offset: Any
) -> None:
    n = c.shape[1]
    for i in numba.prange(c.shape[0]):
        f = np.empty(n)
        for k in range(n):
            f[k] = 0.125 * c[i, max(k - 1, 0)] + 0.75 * c[i, k] + 0.125 * c[i, min(k + 1, n - 1)]
        nodes, starts = np.empty(n + 1, np.int64), np.empty(n + 2)
        _envelope(f, stiffness, nodes, starts)
        j = 0
        for m in range(n * refine):
            y = (m + 0.5) / refine - 0.5
            while starts[j + 1] < y:
                j += 1
            k = nodes[j]
            below, here, above = c[i, max(k - 1, 0)], c[i, k], c[i, min(k + 1, n - 1)]
            slope = 0.5 * (above - below) + 2.0 * stiffness * (k - y)
            bend = above - 2.0 * here + below + 2.0 * stiffness
            d = 0.0
            if bend > 0.0:
                d = min(0.5, max(-0.5, -slope / bend))
            elif slope != 0.0:
                d = -0.5 if slope > 0.0 else 0.5
            value[i, m] = f[k] + stiffness * (k - y) ** 2 + slope * d + 0.5 * bend * d * d
            node[i, m], offset[i, m] = k, d


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
