"""Internal energies seen from prices: the density that a price buys, and what is left over.

For u convex, σ(p) = argmax_ρ pρ − u(ρ) is the density at which u'(ρ) = p, and u*(p) = pσ − u(σ)
is the conjugate, whose derivative is σ. The dual of a JKO step is written in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from ..measures.base import Array
from ..status import MissingStructure, NotDefined
from .base import Functional
from .internal import Congestion, Entropy, Internal, PowerEnergy

_KNOWN = Entropy, PowerEnergy, Congestion


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
        with np.errstate(over="ignore"):  # under a bound no price is too high
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
        # m < 1: the price 0 buys any density; under a bound no price is too high
        with np.errstate(divide="ignore", over="ignore"):
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


class OfSum:
    """Σ c_k u_k: u' is increasing in ℓ = log ρ, and inverted by Newton's method from a table."""

    def __init__(self, terms: Sequence[tuple[float, Internal]]) -> None:
        self.terms = list(terms)
        self.tail = min(f.m if isinstance(f, PowerEnergy) else 1.0 for _, f in self.terms)

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """Increasing prices, and the ℓ at which they are u', for all ρ that can be told from 0."""
        with np.errstate(over="ignore"):
            ell = np.linspace(-690.0, 60.0, 15001)
            _, price, bend = self._at(ell)
        kept = np.isfinite(price) & np.isfinite(bend) & (bend > 1e-290)
        return price[kept], ell[kept]

    def _at(self, ell: Array) -> tuple[Array, Array, Array]:
        """e', u' and d(u')/dℓ = e' + e'' at ℓ."""
        pressure, price, bend = np.zeros((3, *ell.shape))
        for c, f in self.terms:
            e, de, dde = f.energy_per_mass(ell)
            pressure += c * de
            price += c * (e + de)
            bend += c * (np.asarray(de) + dde)
        return pressure, price, bend

    def density(self, price: Array) -> Array:
        prices, logs = self._table
        bought = price > prices[0]
        wanted = np.minimum(price[bought], prices[-1])  # above, e^60 is as good as any
        ell = np.interp(wanted, prices, logs)
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(30):
                _, there, bend = self._at(ell)
                move = (wanted - there) / bend
                ell = ell + move
                if np.abs(move).max(initial=0.0) < 1e-12:
                    break
        density = np.zeros(price.shape)
        density[bought] = np.exp(ell)
        return density

    def surplus(self, price: Array, density: Array) -> Array:
        """u* = ρu' − u, the pressure."""
        held = density > 0
        pressure = self._at(np.log(np.where(held, density, 1.0)))[0]
        return np.where(held, density * pressure, 0.0)

    def slope(self, price: Array, density: Array) -> Array:
        held = density > 0
        bend = self._at(np.log(np.where(held, density, 1.0)))[2]
        return np.where(held, density / bend, 0.0)


def conjugate(F: Functional) -> Conjugate:
    """The conjugate of F's internal part.

    Raises
    ------
    MissingStructure
        If F has no internal energy, or one that is not convex or not known here.
    """
    terms = [(c, f) for c, f in F.internal.terms]
    unknown = [f for c, f in terms if not isinstance(f, _KNOWN) or c <= 0]
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
    others = [(c, f) for c, f in terms if isinstance(f, (Entropy, PowerEnergy))]
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
