"""Entropy and power energies of cells in one compiled pass over the edges.

The same quantities as `Internal.on_edges` (which any internal energy has, in NumPy, and which the
judge uses): value, gradient and tridiagonal Hessian of Σ m_i e(log m_i − log|cell_i|), added to
arrays that the caller owns. One pass instead of twenty is what a Newton step's time is made of.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ...functionals.internal import Entropy, Internal, PowerEnergy
from ...measures.base import Array
from ...measures.cells import Cells
from ...measures.radial import log_ball_volume


def exponent_of(f: Internal) -> tuple[float, float] | None:
    """(m, coefficient) of the energies known here, with m = 1 for the entropy; None for others."""
    if type(f) is Entropy:
        return 1.0, 1.0
    if type(f) is PowerEnergy:
        return f.m, f.coefficient
    return None


def add_energy(
    mu: Cells, x: Array, m: float, c: float, gradient: Array, diagonal: Array, off: Array
) -> float:
    """Add c times the energy of exponent m at edges x to the arrays; returns its value."""
    if mu.kind == "radial":
        ball = log_ball_volume(mu.dim)
        return float(
            _radial(x, mu.mass, mu.log_mass, m, c, float(mu.dim), ball, gradient, diagonal, off)
        )
    return float(_line(x, mu.mass, mu.log_mass, m, c, gradient, diagonal, off))


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _per_mass(m, log_density):  # type: ignore[no-untyped-def]
    """e, e', e'' at log ρ."""
    if m == 1.0:
        return log_density, 1.0, 0.0
    k = m - 1.0
    e = math.exp(k * log_density) / k
    return e, k * e, k * k * e


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _line(x, mass, log_mass, m, c, gradient, diagonal, off):  # type: ignore[no-untyped-def]
    value, n = 0.0, mass.size
    last_slope, last_bend = 0.0, 0.0
    for i in range(n):
        length = x[i + 1] - x[i]
        e, de, dde = _per_mass(m, log_mass[i] - np.log(length))
        inverse = 1.0 / length
        slope = c * mass[i] * de * inverse
        bend = (slope + c * mass[i] * dde * inverse) * inverse
        value += mass[i] * e
        gradient[i] += slope - last_slope
        diagonal[i] += bend + last_bend
        off[i] -= bend
        last_slope, last_bend = slope, bend
    gradient[n] -= last_slope
    diagonal[n] += last_bend
    return c * value


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _radial(x, mass, log_mass, m, c, d, ball, gradient, diagonal, off):  # type: ignore[no-untyped-def]
    """Shells of R^d: log volume = ball + d log b + log(1 − (a/b)^d)."""
    value, n = 0.0, mass.size
    for i in range(n):
        a, b = x[i], x[i + 1]
        ratio = a / b
        log_q = d * math.log(ratio) if a > 0.0 else -np.inf
        thickness = -math.expm1(log_q)
        e, de, dde = _per_mass(m, log_mass[i] - (ball + d * math.log(b) + math.log(thickness)))
        value += mass[i] * e
        pressure, stiffness = c * mass[i] * de, c * mass[i] * dde
        vb = d / (b * thickness)
        va = -vb * ratio ** (d - 1.0) if d > 1.0 else -vb
        vbb = vb * (d - 1.0) / b - vb * vb
        vaa = -va * va
        if d > 1.0:
            vaa -= vb * (d - 1.0) * ratio ** (d - 2.0) / b
        gradient[i] -= pressure * va
        gradient[i + 1] -= pressure * vb
        diagonal[i] += stiffness * va * va - pressure * vaa
        diagonal[i + 1] += stiffness * vb * vb - pressure * vbb
        off[i] += stiffness * va * vb + pressure * va * vb
    return c * value
