"""Prices raised or lowered together until they buy the mass 1."""

from __future__ import annotations

import numpy as np

from ..measures.base import Array
from ..status import MissingStructure
from .conjugate import Capped, Conjugate, OfEntropy, OfPower

_TOO_SMALL = (
    "the box cannot hold the mass 1 under the bound on the density: take a larger box or bound"
)


def normalised(
    conjugate: Conjugate, price: Array, volume: float, tolerance: float = 1e-13
) -> tuple[float, Array]:
    """C and σ(p + C) with Σ σ(p + C)·volume = 1: mass grows with the price.

    Raises
    ------
    MissingStructure
        If no price buys the mass 1 (a bound on the density that the box cannot hold it under).
    """
    finite = price > -np.inf
    if isinstance(conjugate, OfEntropy):
        top = float(price.max())
        weights = np.exp((price - top) / conjugate.c)
        total = float(weights.sum()) * volume
        return conjugate.c * (1.0 - np.log(total)) - top, weights / total
    if isinstance(conjugate, Capped) and conjugate.inner is None:
        return _filled(price, conjugate.bound, volume)
    if isinstance(conjugate, OfPower) and conjugate.m == 2.0:
        shift = _level(price[finite], 2.0 * conjugate.c / volume)
        return shift, conjugate.density(price + shift)
    return _bracketed(conjugate, price, volume, tolerance)


def _filled(price: Array, bound: float, volume: float) -> tuple[float, Array]:
    """The places of highest price filled to the bound, the last of them in part."""
    order = np.argsort(-price, axis=None, kind="stable")
    full = int(1.0 / (bound * volume) + 1e-12)
    room = int((price > -np.inf).sum())
    if full > room or (full == room and full * bound * volume < 1.0 - 1e-12):
        raise MissingStructure(_TOO_SMALL)
    density = np.zeros(price.size)
    density[order[:full]] = bound
    last = order[min(full, price.size - 1)]
    if full < room:
        density[last] = max(0.0, (1.0 - full * bound * volume) / volume)
    return -float(price.ravel()[last]), density.reshape(price.shape)


def _level(price: Array, mass: float) -> float:
    """C with Σ (p + C)_+ = mass: only the highest prices are above −C, so many that it fits."""
    ordered = -np.sort(-price.ravel())
    shifts = (mass - np.cumsum(ordered)) / np.arange(1, len(ordered) + 1)
    following = np.append(ordered[1:], -np.inf)
    return float(shifts[int(np.argmax(following + shifts <= 0.0))])


@np.errstate(over="ignore")  # masses far from 1 may be anything
def _bracketed(
    conjugate: Conjugate, price: Array, volume: float, tolerance: float
) -> tuple[float, Array]:
    """By Newton steps on the logarithm of the mass, which is linear in C for entropy, kept
    inside a bracket; from C = 0, where prices of an earlier look were normalised already."""
    top, size = float(price.max()), float(np.abs(price[np.isfinite(price)]).max(initial=0.0))
    size = size or 1.0
    # flat places far from the solution send Newton's method away: at first no further than this
    low, high, shift, moved, stride = -np.inf, np.inf, 0.0, 20.0 * size, 1e-3 * size
    for _ in range(500):
        density = conjugate.density(price + shift)
        mass = float(density.sum()) * volume
        if abs(mass - 1.0) <= tolerance:
            break
        low, high = (shift, high) if mass < 1.0 else (low, shift)
        if high - low <= 4e-16 * max(size, abs(shift)):  # of the prices: rounding
            break
        following, slope = np.nan, 0.0
        if 0.0 < mass < np.inf:
            slope = float(conjugate.slope(price + shift, density).sum()) * volume
        if 0.0 < slope < np.inf:
            following = shift - mass * np.log(mass) / slope
        # Newton steps that do not halve meet slopes that are steep in many small places
        if not (low < following < high and abs(following - shift) <= 0.5 * moved):
            following, stride = _safe(low, high, top, stride)
        moved, shift = abs(following - shift), following
    else:
        raise MissingStructure(_TOO_SMALL)
    return shift, density


def _safe(low: float, high: float, top: float, stride: float) -> tuple[float, float]:
    """The middle of the bracket, or ever longer strides beyond its only end.

    Most energies buy nothing below the price 0, and with m < 1 everything there: so −top, where
    the highest price is 0, is where to go first.
    """
    if low > -np.inf and high < np.inf:
        return 0.5 * (low + high), stride
    if low > -np.inf:
        return max(low, -top) + stride, 2.0 * stride
    return min(high, -top) - stride, 2.0 * stride
