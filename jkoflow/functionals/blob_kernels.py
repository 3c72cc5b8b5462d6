"""All-pairs sums with a Gaussian kernel, in O(n) memory; compiled when first used.

The functions below are plain Python on arrays, so that importing them costs nothing; `compiled`
hands them to numba. Lanes are targets and the loop runs over sources, so that every inner loop
works on many targets at once, no sum is reordered, and results do not depend on the machine's
vector width. The exponential is written out, since a compiler without a vector library of its
own calls it one number at a time: e^t = 2^k e^r with |r| ≤ ½ log 2 and Taylor's polynomial of
degree 13, whose remainder is below 4e-18; k is read off the low bits of t/log 2 + 1.5·2⁵².
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

_LANES = 128
_MAGIC = 6755399441055744.0  # 1.5·2⁵²
_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770e-10  # their sum is log 2
_LEAST = -708.0  # below, e^t counts as 0: less than 3e-308
_C = tuple(1.0 / float(np.prod(np.arange(1.0, k + 1.0))) for k in range(14))
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = _C[2:]


def moments(x: Any, c: Any, at: Any, h: float, total: Any, moment: Any) -> None:
    """total_i = Σ_j c_j k_ij and moment_i = Σ_j c_j k_ij (at_i − x_j), k = exp(−h|at_i − x_j|²).

    ``x`` (d, n), ``at`` (d, m), ``total`` (m,), ``moment`` (d, m), or (0, m) where not wanted.
    """
    d, n, m = x.shape[0], x.shape[1], at.shape[1]
    wanted = moment.shape[0]
    square, rounded, k = np.empty(_LANES), np.empty(_LANES), np.empty(_LANES)
    bits, power = rounded.view(np.int64), np.empty(_LANES, np.int64)
    scale = power.view(np.float64)
    there, added = np.empty((d, _LANES)), np.empty((d, _LANES))
    mass = np.empty(_LANES)
    for first in range(0, m, _LANES):
        lanes = min(_LANES, m - first)
        there[:, :] = 0.0
        for a in range(d):
            for i in range(lanes):
                there[a, i] = at[a, first + i]
        added[:, :] = 0.0
        mass[:] = 0.0
        for j in range(n):
            for i in range(_LANES):
                square[i] = 0.0
            for a in range(d):
                y = x[a, j]
                for i in range(_LANES):
                    z = there[a, i] - y
                    square[i] += z * z
            for i in range(_LANES):
                rounded[i] = max(-h * square[i], _LEAST) * _LOG2E + _MAGIC
            for i in range(_LANES):
                power[i] = (bits[i] + 1023) << 52
            weight = c[j]
            for i in range(_LANES):
                t = max(-h * square[i], _LEAST)
                whole = rounded[i] - _MAGIC
                r = (t - whole * _LN2_HIGH) - whole * _LN2_LOW
                p = _C12 + r * _C13
                p = _C11 + r * p
                p = _C10 + r * p
                p = _C9 + r * p
                p = _C8 + r * p
                p = _C7 + r * p
                p = _C6 + r * p
                p = _C5 + r * p
                p = _C4 + r * p
                p = _C3 + r * p
                p = _C2 + r * p
                p = 1.0 + r * p
                p = 1.0 + r * p
                k[i] = weight * (p * scale[i] if t > _LEAST else 0.0)
                mass[i] += k[i]
            for a in range(wanted):
                y = x[a, j]
                for i in range(_LANES):
                    added[a, i] += k[i] * (there[a, i] - y)
        for i in range(lanes):
            total[first + i] = mass[i]
        for a in range(wanted):
            for i in range(lanes):
                moment[a, first + i] = added[a, i]


@cache
def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """One of the functions above as machine code."""
    numba = import_module("numba")  # functionals import no compiler; it is needed only here
    options = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    return numba.njit(**options)(function)  # type: ignore[no-any-return]
