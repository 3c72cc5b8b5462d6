"""What the compiled kernels are given: units as numbers, particles in tiles."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...measures.base import Array
from ...networks import activations
from ...networks.units import ScaledUnit, SimpleUnit, Unit
from . import kernels


class Formula(NamedTuple):
    """A unit that the compiled kernels know: aσ(⟨w, x⟩) or σ(⟨w, x⟩)."""

    scaled: bool
    kind: int
    table: Array


def compiled_formula(unit: Unit, dtype: Any) -> Formula | None:
    """How the kernels evaluate this unit, or None where they cannot."""
    if type(unit) not in (SimpleUnit, ScaledUnit):
        return None
    sigma = unit.activation  # type: ignore[attr-defined]
    if type(sigma) is activations.PiecewiseLinear:
        kind, table = kernels.PIECEWISE, _pieces(sigma)
    elif sigma == activations.smooth_truncated_relu:
        kind, table = kernels.SMOOTH_STEP, np.array([activations.SMOOTH_STEP, (0, 1, 0, 0)])
    elif sigma == activations.tanh:
        kind, table = kernels.TANH, np.zeros((1, 4))
    elif sigma == activations.softplus:
        kind, table = kernels.SOFTPLUS, np.zeros((1, 4))
    else:
        return None
    return Formula(type(unit) is ScaledUnit, kind, table.astype(dtype))


def _pieces(sigma: activations.PiecewiseLinear) -> Array:
    """Rows (lo, hi, ref, slope) of the pieces that are not constant; see `kernels.activate`."""
    knots = sigma.knots
    lo = np.concatenate([[-np.inf], knots])
    hi = np.concatenate([knots, [np.inf]])
    ref = np.concatenate([knots[:1], knots])
    pieces = np.stack([lo, hi, ref, sigma.slopes], axis=1)
    steep = pieces[sigma.slopes != 0]
    if len(steep) == 0:  # a constant
        steep = np.zeros((1, 4))
    return np.concatenate([[[sigma.values[0], 0, 0, 0]], steep])


def pack(theta: Array, lanes: int) -> Array:
    """(N, rows) → (tiles, rows, lanes), padded with zeros."""
    n, rows = theta.shape
    tiles = -(-n // lanes)
    padded = np.zeros((tiles * lanes, rows), dtype=theta.dtype)
    padded[:n] = theta
    W = aligned_zeros((tiles, rows, lanes), theta.dtype)
    W[...] = padded.reshape(tiles, lanes, rows).transpose(0, 2, 1)
    return W


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros that start on a cache line: unaligned, each vector operation touches two of them,
    and the sweeps take twice as long."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + 64, dtype=np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].view(dtype).reshape(shape)


def unpack(W: Array, n: int) -> Array:
    """Inverse of `pack`."""
    return np.ascontiguousarray(W.transpose(0, 2, 1).reshape(-1, W.shape[1])[:n])
