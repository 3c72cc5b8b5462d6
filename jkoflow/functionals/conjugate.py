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
    """σ and u* of a convex u, elementwise; ``slope`` is σ'. Thin places see u as one of power
    ``tail``, 1 for entropy."""

    tail: float

    def density(self, price: Array) -> Array: ...

    def surplus(self, price: Array, density: Array) -> Array: ...

    def slope(self, price: Array, density: Array) -> Array: ...


class OfEntropy:
    """u = cρ log ρ: σ = e^{p/c − 1}, u* = cσ."""

    tail = 1.0

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
        self.m, self.c, self.tail = m, c, m

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
    """Another conjugate under the bound ρ ≤ κ, reached at the price ``edge`` = u'(κ); alone
    (``inner`` None), κ where p > 0."""

    def __init__(self, bound: float, inner: Conjugate | None, edge: float = 0.0) -> None:
        self.bound, self.inner, self.edge = bound, inner, edge
        self.tail = 2.0 if inner is None else inner.tail

    def density(self, price: Array) -> Array:
        if self.inner is None:
            return np.where(price > 0.0, self.bound, 0.0)
        return np.minimum(self.inner.density(price), self.bound)

    def surplus(self, price: Array, density: Array) -> Array:
        if self.inner is None:
            return self.bound * np.maximum(price, 0.0)
        free = self.inner.density(price)
        # u* is linear beyond the edge; there σ is the bound
        capped = self.inner.surplus(np.full(1, self.edge), np.full(1, self.bound))[0]
        return np.where(
            free < self.bound,
            self.inner.surplus(price, density),
            capped + self.bound * (price - self.edge),
        )

    def slope(self, price: Array, density: Array) -> Array:
        if self.inner is None:
            return np.zeros_like(price)
        return np.where(density < self.bound, self.inner.slope(price, density), 0.0)


class OfEntropyAndPower:
    """u = cρ log ρ + aρ^m/(m−1), where u'(ρ) = p is c(ℓ + 1) + (am/k)e^{kℓ} = p, k = m − 1.

    With y = (am/c)ρ^k that is y + log y = k(p/c − 1) + log(am/c) = z: Wright's omega y = ω(z)
    (Corless and Jeffrey 2002), and ℓ = p/c − 1 − y/k. For every m > 0.
    """

    def __init__(self, c: float, m: float, a: float) -> None:
        self.c, self.m, self.a, self.tail = c, m, a, min(1.0, m)

    def density(self, price: Array) -> Array:
        from scipy.special import wrightomega

        k, relative = self.m - 1.0, self.a * self.m / self.c
        free = price / self.c - 1.0
        y = wrightomega(k * free + np.log(relative))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # the second form where log ρ is a difference of large numbers
            rho = np.where(y < 1.0, np.exp(free - y / k), (y / relative) ** (1.0 / k))
        return np.where(price > -np.inf, rho, 0.0)

    def surplus(self, price: Array, density: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(self.c * density + self.a * density**self.m)

    def slope(self, price: Array, density: Array) -> Array:
        held = np.where(density > 0, density, 1.0)
        slope = held / (self.c + self.a * self.m * held ** (self.m - 1.0))
        return np.where(density > 0, slope, 0.0)


_LEAST = -690.0  # log of the least density that counts


class OfSum:
    """Σ c_k u_k: u' is increasing in ℓ = log ρ, and inverted by Newton steps and bisection."""

    def __init__(self, terms: Sequence[tuple[float, Internal]]) -> None:
        self.terms = list(terms)
        self.tail = min(f.m if isinstance(f, PowerEnergy) else 1.0 for _, f in self.terms)

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
        least = min(bounds)
        edge = sum(c * float(f.slope(np.log([least]))[0]) for c, f in others)
        return Capped(least, inner, edge)
    assert inner is not None
    return inner


def _plain(terms: Sequence[tuple[float, Internal]]) -> Conjugate | None:
    entropy = sum(c for c, f in terms if isinstance(f, Entropy))
    powers: dict[float, float] = {}
    for c, f in terms:
        if isinstance(f, PowerEnergy):
            powers[f.m] = powers.get(f.m, 0.0) + c * f.coefficient
    if len(powers) > 1:
        if min(powers) < 1.0:
            raise NotDefined("sums of several powers with m < 1 have no conjugate here")
        return OfSum(terms)
    for m, a in powers.items():
        return OfEntropyAndPower(entropy, m, a) if entropy else OfPower(m, a)
    return OfEntropy(entropy) if entropy else None
