"""Compiled sweeps over the particles, in tiles that keep one coordinate of many particles together.

The weights of the n particles are stored as ``W`` of shape (tiles, rows, lanes): particle i is
lane i mod lanes of tile i // lanes, and lanes past n are zero and stay zero, since their slopes
are. A sweep *finishes* the step of one sample, w ← w + (slope·u − decay·w), and in the same pass
over memory begins the next one by its inner products ⟨w, x⟩.
"""

from __future__ import annotations

import math

import numba
import numpy as np

LANES = 32
"""Particles in a tile for single samples: a compile-time constant, so that the innermost loop
becomes a few vector instructions and the inner products stay in registers."""

PIECEWISE, SMOOTH_STEP, TANH, SOFTPLUS = 0, 1, 2, 3

# Helpers are inlined by force: as functions of their own they are optimised once less, keep the
# inner products in memory instead of registers, and run three times slower.
# No "nnan" and "ninf": a diverging run must show its NaN, and a piece may end at infinity.
_OPTIONS = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}
_HELPER = {**_OPTIONS, "forceinline": True}


@numba.njit(**_HELPER)
def activate(pre, value, slope, n, kind, table):  # type: ignore[no-untyped-def]
    """σ and σ' at pre[:n], without branches. ``table[0, 0]`` is a constant, and for piecewise
    linear σ each further row (lo, hi, ref, s) adds s·(clip(t, lo, hi) − ref); at least one does."""
    if kind == PIECEWISE:
        base, lo, hi, ref, s = table[0, 0], table[1, 0], table[1, 1], table[1, 2], table[1, 3]
        nothing = s - s
        for i in range(n):
            t = pre[i]
            value[i] = base + s * (min(max(t, lo), hi) - ref)
            slope[i] = s if (t > lo) & (t <= hi) else nothing
        for r in range(2, table.shape[0]):
            lo, hi, ref, s = table[r, 0], table[r, 1], table[r, 2], table[r, 3]
            for i in range(n):
                t = pre[i]
                value[i] += s * (min(max(t, lo), hi) - ref)
                slope[i] += s if (t > lo) & (t <= hi) else nothing
    elif kind == SMOOTH_STEP:
        start, width, low, rise = table[0, 0], table[0, 1], table[0, 2], table[0, 3]
        zero, one = table[1, 0], table[1, 1]
        for i in range(n):
            u = min(max((pre[i] - start) / width, zero), one)
            value[i] = low + rise * u * u * u * (10 * one + u * (6 * u - 15 * one))
            slope[i] = 30 * rise / width * u * u * (one - u) * (one - u)
    elif kind == TANH:
        for i in range(n):
            v = math.tanh(pre[i])
            value[i] = v
            slope[i] = 1 - v * v
    else:
        for i in range(n):
            t = pre[i]
            e = math.exp(-abs(t))
            value[i] = max(t, 0) + math.log1p(e)
            slope[i] = (1 if t > 0 else e) / (1 + e)


@numba.njit(**_HELPER)
def _sum(outer, value, n, scaled):  # type: ignore[no-untyped-def]
    """Σ_{i<n} a_i v_i, or Σ v_i; blocks are added in double precision."""
    total = 0.0
    for start in range(0, n, 1024):
        v = value[start : min(start + 1024, n)]
        part = v[0] - v[0]
        if scaled:
            a = outer[start : start + len(v)]
            for i in range(len(v)):  # slices, since loops from 0 become vector instructions
                part += a[i] * v[i]
        else:
            for i in range(len(v)):
                part += v[i]
        total += part
    return total


@numba.njit(**_HELPER)
def _sweep(W, slope, pre, u, x, decay):  # type: ignore[no-untyped-def]
    """Finish a step and begin the next one; ``W`` is flat, see the module."""
    rows = len(x)
    for tile in range(W.size // (rows * LANES)):
        at = tile * LANES
        for lane in range(LANES):
            pre[at + lane] = 0
        for j in range(rows):
            row = (tile * rows + j) * LANES
            for lane in range(LANES):
                w = W[row + lane]
                w += slope[at + lane] * u[j] - decay * w
                W[row + lane] = w
                pre[at + lane] += w * x[j]


@numba.njit(**_HELPER)
def _noisy_sweep(W, slope, pre, u, x, decay, n, noise, amplitude):  # type: ignore[no-untyped-def]
    """`_sweep` with ``amplitude`` times the rows of ``noise`` (rows, n) added to the step."""
    rows = len(x)
    pre[:] = 0
    for tile in range(W.size // (rows * LANES)):
        at = tile * LANES
        for j in range(rows):
            row = (tile * rows + j) * LANES
            for lane in range(min(LANES, n - at)):
                w = W[row + lane]
                w += slope[at + lane] * u[j] - decay * w + amplitude * noise[j, at + lane]
                W[row + lane] = w
                pre[at + lane] += w * x[j]


@numba.njit(**_OPTIONS)
def run_single(  # type: ignore[no-untyped-def]
    W, outer, pre, value, slope, X, y, s, decay, noise, amplitude, n, scaled, kind, table
):
    """Steps of batch 1 for the samples (X (k, rows), y (k,)).

    ``W`` is flat. ``s`` (in float64), ``decay`` and ``amplitude`` (k,) are s_k, 2λs_k and the
    standard deviation of the noise; ``noise`` is (k, D, n), or empty. With ``scaled`` the
    parameters are (a, w), a in ``outer`` and in the first row of the noise, and the unit is
    aσ(⟨w, x⟩); else it is σ(⟨w, x⟩).
    """
    k, rows = X.shape
    slope[:] = 0
    u, factor = np.zeros(rows, W.dtype), np.zeros(1, W.dtype)
    shrink = factor[0]
    noisy, first = noise.size > 0, 1 if scaled else 0
    for m in range(k + 1):  # sweep m finishes sample m − 1 and begins sample m
        x = X[min(m, k - 1)]
        if noisy and m > 0:
            z = noise[m - 1]
            _noisy_sweep(W, slope, pre, u, x, shrink, n, z[first:], amplitude[m - 1])
        else:
            _sweep(W, slope, pre, u, x, shrink)
        if scaled and m > 0:
            for i in range(n):
                outer[i] += factor[0] * value[i] - shrink * outer[i]
            if noisy:
                for i in range(n):
                    outer[i] += amplitude[m - 1] * noise[m - 1, 0, i]
        if m == k:
            break
        activate(pre, value, slope, n, kind, table)
        factor[0] = 2 * s[m] * (y[m] - _sum(outer, value, n, scaled) / n)
        shrink = decay[m]
        for j in range(rows):
            u[j] = factor[0] * x[j]
        if scaled:
            for i in range(n):
                slope[i] *= outer[i]


@numba.njit(**_HELPER)
def begin_block(W, outer, value, slope, pre, sums, X, count, scaled, kind, table):  # type: ignore[no-untyped-def]
    """Forward pass of a batch X (b, rows) through one block W (rows, lanes): σ, σ' and Σ aσ."""
    np.dot(X, W, pre)
    for r in range(X.shape[0]):
        v = value[r if scaled else 0]
        activate(pre[r], v, slope[r], count, kind, table)
        sums[r] = _sum(outer, v, count, scaled)


@numba.njit(**_HELPER)
def finish_block(W, outer, value, slope, change, c, cX, decay, noise, at, amplitude, count, scaled):  # type: ignore[no-untyped-def]
    """Update one block by Σ_b c_b ∇σ*, where ``cX`` (b, rows) is c_b x_b; ``noise`` (D, n) is
    read from particle ``at`` on."""
    rows, noisy, first = W.shape[0], noise.size > 0, 1 if scaled else 0
    np.dot(cX.T, slope, change)
    for j in range(rows):
        if scaled:
            for i in range(count):
                change[j, i] *= outer[i]
        for i in range(count):
            W[j, i] += change[j, i] - decay * W[j, i]
        if noisy:
            z = noise[first + j, at : at + count]
            for i in range(count):
                W[j, i] += amplitude * z[i]
    if scaled:
        for i in range(count):
            outer[i] -= decay * outer[i]
        for r in range(len(c)):
            for i in range(count):
                outer[i] += c[r] * value[r, i]
        if noisy:
            z = noise[0, at : at + count]
            for i in range(count):
                outer[i] += amplitude * z[i]


@numba.njit(**_OPTIONS)
def run_blocks(  # type: ignore[no-untyped-def]
    blocks, finish, begin, W, outer, value, slope, pre, change, sums, c, cX, X, decay, noise,
    amplitude, n, scaled, kind, table,
):  # fmt: skip
    """For each block in the range ``blocks``: ``finish`` the step of the last batch, of which
    c and cX are left, and ``begin`` that of the batch X (b, rows), which fills ``sums``
    (all blocks, b)."""
    lanes = W.shape[2]
    for block in range(blocks[0], blocks[1]):
        at = block * lanes
        count = min(lanes, n - at)
        a, v = outer[at : at + lanes], value[block if scaled else 0]
        if finish:
            finish_block(
                W[block], a, v, slope[block], change, c, cX, decay, noise, at, amplitude, count,
                scaled,
            )  # fmt: skip
        if begin:
            begin_block(
                W[block], a, v, slope[block], pre, sums[block], X, count, scaled, kind, table
            )


@numba.njit(**_OPTIONS)
def weigh(sums, n, X, y, s, c, cX):  # type: ignore[no-untyped-def]
    """c_b = 2s(y_b − ŷ_b)/b and c_b x_b, from the blocks' sums in their order."""
    for r in range(len(y)):
        total = 0.0
        for block in range(sums.shape[0]):
            total += sums[block, r]
        c[r] = 2 * s * (y[r] - total / n) / len(y)
        for j in range(X.shape[1]):
            cX[r, j] = c[r] * X[r, j]


@numba.njit(**_OPTIONS)
def run_batches(  # type: ignore[no-untyped-def]
    W, outer, value, slope, pre, change, sums, c, cX, X, y, s, decay, noise, amplitude, n, scaled,
    kind, table,
):  # fmt: skip
    """Steps for the batches (X (k, b, rows), y (k, b)) on one thread. ``noise`` is (k, D, n), or
    (1, 0, 0) for none."""
    k, every = len(s), (0, W.shape[0])
    for m in range(k + 1):  # visit m finishes batch m − 1 and begins batch m
        last, now = max(m - 1, 0), min(m, k - 1)
        run_blocks(
            every, m > 0, m < k, W, outer, value, slope, pre, change, sums, c, cX, X[now],
            decay[last], noise[min(last, len(noise) - 1)], amplitude[last], n, scaled, kind, table,
        )  # fmt: skip
        if m < k:
            weigh(sums, n, X[m], y[m], s[m], c, cX)
