"""Internal energies seen from prices: the density that a price buys, and what is left over.

For u convex, σ(p) = argmax_ρ pρ − u(ρ) is the density at which u'(ρ) = p, and u*(p) = pσ − u(σ)
is the conjugate, whose derivative is σ. The dual of a JKO step is written in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..measures.base import Array
from ..status import MissingStructure, NotDefined
from .base import Functional
from .internal import Congestion, Entropy, Internal, PowerEnergy


class Conjugate(Protocol):
    """σ and u* of a convex u, elementwise; ``slope`` is σ'."""

    def density(self, price: Array) -> Array: ...

    def surplus(self, price: Array, density: Array) -> Array: ...

    def slope(self, price: Array, density: Array) -> Array: ...


class OfEntropy:
    """u = cρ log ρ: σ = e^{p/c − 1}, u* = cσ."""

    def __init__(self, c: float) -> None:
        self.c = c

    def density(self, price: Array) -> Array:
        return np.asarray(np.exp(price / self.c - 1.0))

    def surplus(self, price: Array, density: Array) -> Array:
        return self.c * density

    def slope(self, price: Array, density: Array) -> Array:
        return density / self.c


class OfPower:
    """u = cρ^m/(m−1): σ = ((m−1)p/(cm))^{1/(m−1)} where that is defined, u* = cσ^m."""

    def __init__(self, m: float, c: float) -> None:
        self.m, self.c = m, c

    def density(self, price: Array) -> Array:
        base = price * ((self.m - 1.0) / (self.c * self.m))
        if self.m == 2.0:
            return np.maximum(base, 0.0)
        with np.errstate(divide="ignore"):  # m < 1: the price 0 buys any density
            return np.asarray(np.maximum(base, 0.0) ** (1.0 / (self.m - 1.0)))

    def surplus(self, price: Array, density: Array) -> Array:
        return np.asarray(self.c * density**self.m)

    def slope(self, price: Array, density: Array) -> Array:
        """1/u''(σ) = σ^{2−m}/(cm), and 0 where the price buys nothing."""
        held = np.where(density > 0, density, 1.0)
        return np.where(density > 0, held ** (2.0 - self.m), 0.0) / (self.c * self.m)


class Capped:
    """Another conjugate under the bound ρ ≤ κ; alone (``inner`` None), κ where p > 0."""

    def __init__(self, bound: float, inner: Conjugate | None) -> None:
        self.bound, self.inner = bound, inner

    def density(self, price: Array) -> Array:
        if self.inner is None:
            return np.where(price > 0.0, self.bound, 0.0)
        return np.minimum(self.inner.density(price), self.bound)

    def surplus(self, price: Array, density: Array) -> Array:
        if self.inner is None:
            return self.bound * np.maximum(price, 0.0)
        free = self.inner.density(price)
        # u* is linear beyond the price at which the bound is reached; there σ is the bound
        edge = self._price_of_bound()
        capped = self.inner.surplus(np.full(1, edge), np.full(1, self.bound))[0]
        return np.where(
            free < self.bound,
            self.inner.surplus(price, density),
            capped + self.bound * (price - edge),
        )

    def slope(self, price: Array, density: Array) -> Array:
        if self.inner is None:
            return np.zeros_like(price)
        return np.where(density < self.bound, self.inner.slope(price, density), 0.0)

    def _price_of_bound(self) -> float:
        inner = self.inner
        if isinstance(inner, OfEntropy):
            return inner.c * (np.log(self.bound) + 1.0)
        if isinstance(inner, OfPower):
            return inner.c * inner.m / (inner.m - 1.0) * self.bound ** (inner.m - 1.0)
        assert isinstance(inner, OfSum)
        return float(inner.price(np.array([np.log(self.bound)]))[0])


_LEAST = -690.0  # log of the least density that counts


class OfSum:
    """Σ c_k u_k: u' is increasing in ℓ = log ρ, and inverted by Newton steps and bisection."""

    def __init__(self, terms: Sequence[tuple[float, Internal]]) -> None:
        self.terms = list(terms)

    def price(self, log_density: Array) -> Array:
        """u'(ρ) at ℓ = log ρ."""
        return np.asarray(sum(c * f.slope(log_density) for c, f in self.terms))

    def _per_mass(self, log_density: Array) -> Array:
        return np.asarray(sum(c * f.energy_per_mass(log_density)[0] for c, f in self.terms))

    def _bend(self, log_density: Array) -> Array:
        """d(u')/dℓ = e' + e'' > 0."""
        total = np.zeros_like(log_density)
        for c, f in self.terms:
            _, de, dde = f.energy_per_mass(log_density)
            total += c * (np.asarray(de) + dde)
        return total

    def density(self, price: Array) -> Array:
        least = self.price(np.array([_LEAST]))[0]
        bought = price > least  # below, the density is less than 1e-300
        density = np.zeros(price.shape)
        density[bought] = np.exp(self._inverted(price[bought]))
        return density

    def _guessed(self, price: Array) -> Array:
        """The least ℓ at which one term alone has the price: there u' is not below it, but where
        entropy is negative, and from there Newton's method on a convex function comes down."""
        alone = np.full(price.shape, 60.0)
        for c, f in self.terms:
            if isinstance(f, Entropy):
                alone = np.minimum(alone, price / c - 1.0)
        for c, f in self.terms:
            if isinstance(f, PowerEnergy):
                k = f.m - 1.0
                with np.errstate(divide="ignore", invalid="ignore"):
                    power = np.log(price * k / (c * f.coefficient * f.m)) / k
                alone = np.where((power < alone) & (alone > -1.0), power, alone)
        return alone

    def _inverted(self, price: Array) -> Array:
        """ℓ with u'(e^ℓ) = p, inside a bracket."""
        low, high = np.full(price.shape, _LEAST), np.full(price.shape, 60.0)
        ell = np.clip(self._guessed(price), _LEAST, 60.0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for _ in range(80):
                excess = self.price(ell) - price
                low, high = np.where(excess < 0, ell, low), np.where(excess > 0, ell, high)
                newton = ell - excess / self._bend(ell)
                inside = (newton > low) & (newton < high)
                new = np.where(inside, newton, 0.5 * (low + high))
                done = np.abs(new - ell).max(initial=0.0) < 1e-14 * -_LEAST
                ell = new
                if done:
                    break
        return ell

    def surplus(self, price: Array, density: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = density * (price - self._per_mass(np.log(density)))
        return np.where(density > 0, value, 0.0)

    def slope(self, price: Array, density: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = density / self._bend(np.log(density))
        return np.where(density > 0, value, 0.0)


def conjugate(F: Functional) -> Conjugate:
    """The conjugate of F's internal part.

    Raises
    ------
    MissingStructure
        If F has no internal energy, or one that is not convex or not known here.
    """
    terms = [(c, f) for c, f in F.internal.terms]
    unknown = [f for c, f in terms if not isinstance(f, Internal) or c <= 0]
    if unknown:
        raise MissingStructure(
            f"the dual of a step needs convex internal energies with positive factors, which "
            f"{unknown[0]!r} is not here"
        )
    if not terms:
        raise MissingStructure(
            "a functional without internal energy makes atoms, which a grid cannot hold: add "
            "Entropy, PowerEnergy or Congestion, or use Particles"
        )
    bounds = [f.bound for _, f in terms if isinstance(f, Congestion)]
    others = [(c, f) for c, f in terms if isinstance(f, Internal) and not isinstance(f, Congestion)]
    inner = _plain(others)
    if bounds:
        return Capped(min(bounds), inner)
    assert inner is not None
    return inner


def _plain(terms: Sequence[tuple[float, Internal]]) -> Conjugate | None:
    if not terms:
        return None
    if all(isinstance(f, Entropy) for _, f in terms):
        return OfEntropy(sum(c for c, _ in terms))
    c, only = terms[0]
    if len(terms) == 1 and isinstance(only, PowerEnergy):
        return OfPower(only.m, c * only.coefficient)
    if any(isinstance(f, PowerEnergy) and f.m < 1 for _, f in terms):
        raise NotDefined("sums of internal energies with fast diffusion are not supported here")
    return OfSum(terms)


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


def _bracketed(
    conjugate: Conjugate, price: Array, volume: float, tolerance: float
) -> tuple[float, Array]:
    """By Newton steps on the mass, kept inside a bracket by bisection."""
    top = float(price.max())
    low, high, step = -top - 1.0, -top + 1.0, 1.0

    def mass(shift: float) -> float:
        return float(conjugate.density(price + shift).sum()) * volume

    for _ in range(200):
        if mass(low) <= 1.0:
            break
        low -= step
        step *= 2.0
    step = 1.0
    for _ in range(200):
        if mass(high) >= 1.0:
            break
        high += step
        step *= 2.0
    else:
        raise MissingStructure(_TOO_SMALL)
    shift, moved = 0.5 * (low + high), np.inf
    for _ in range(200):
        density = conjugate.density(price + shift)
        excess = float(density.sum()) * volume - 1.0
        rounding = 4e-16 * max(1.0, abs(shift))  # of the prices: no shift is told apart from it
        if abs(excess) <= tolerance or high - low <= rounding:
            break
        low, high = (shift, high) if excess < 0 else (low, shift)
        slope = float(conjugate.slope(price + shift, density).sum()) * volume
        newton = shift - excess / slope if slope > 0 else np.inf
        if abs(newton - shift) <= rounding:
            break
        # Newton steps that do not halve meet slopes that are steep in many small places
        local = low < newton < high and abs(newton - shift) <= 0.5 * moved
        following = newton if local else 0.5 * (low + high)
        moved, shift = abs(following - shift), following
    return shift, conjugate.density(price + shift)
