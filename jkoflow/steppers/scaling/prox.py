"""KL-proximal maps of internal energies, in logarithms: what entropic scaling does to F.

For s > 0 they give the minimiser ρ of σ u(ρ) + ρ log(ρ/s) − ρ, which solves

    σ u'(ρ) + log ρ = log s.

An entropy divides log s, a power energy takes Wright's omega function, and a bound caps: all in
log ρ, where nothing under- or overflows (Peyré 2015; Chizat, Peyré, Schmitzer and Vialard 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import wrightomega

from ...functionals.base import Functional
from ...functionals.internal import Congestion, Entropy, Internal, PowerEnergy
from ...measures.base import Array
from ...status import MissingStructure

_ROUNDS = 100
_CLOSE = 1e-14


class ProximalMap:
    """log s ↦ log ρ for c H + Σ c_k ρ^{m_k}/(m_k − 1) under ρ ≤ κ, weighted with σ.

    Parameters
    ----------
    F : Functional
        Its internal part is taken, a sum of `Entropy`, `PowerEnergy` and `Congestion`.
    sigma : float
        σ = τ/ε.

    Attributes
    ----------
    bound : float
        Of the density; infinite without `Congestion`.
    scales : bool
        Whether a multiple of s gives a multiple of ρ, as for entropy alone or nothing.

    Raises
    ------
    MissingStructure
        For other internal energies, and for factors that are not positive.

    Examples
    --------
    >>> from jkoflow import Entropy, Congestion
    >>> ProximalMap(Entropy() + Congestion(0.5), 1.0)(np.array([-3.0, 7.0]))
    array([-2.        , -0.69314718])
    """

    def __init__(self, F: Functional, sigma: float) -> None:
        terms: list[tuple[float, Internal]] = []
        for c, f in F.internal.terms:
            if c <= 0 or not isinstance(f, Entropy | PowerEnergy | Congestion):
                raise MissingStructure(
                    f"the proximal map of {c:g}*{f!r} is not known: EntropicScaling takes sums of "
                    "Entropy, PowerEnergy and Congestion with positive factors"
                )
            terms.append((c, f))
        self.entropy = sigma * sum(c for c, f in terms if isinstance(f, Entropy))
        self.powers = _merged(
            [(sigma * c * f.coefficient * f.m, f.m - 1.0)
             for c, f in terms if isinstance(f, PowerEnergy)]
        )  # fmt: skip
        bounds = [f.bound for _, f in terms if isinstance(f, Congestion)]
        self.log_bound = float(np.log(min(bounds))) if bounds else np.inf
        self.bound = min(bounds, default=np.inf)
        self.scales = not self.powers and np.isinf(self.log_bound)

    def __call__(self, log_s: Array) -> Array:
        """log ρ; where s is 0 so is ρ, unless fast diffusion wants mass everywhere."""
        slope = 1.0 + self.entropy
        rest = (log_s - self.entropy) / slope
        if len(self.powers) == 1:
            weight, k = self.powers[0]
            rest = _one_power(rest, weight / slope, k)
        elif self.powers:
            rest = _many_powers(rest, [(weight / slope, k) for weight, k in self.powers])
        return np.minimum(rest, self.log_bound)


def _merged(powers: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Terms of the same exponent as one."""
    total: dict[float, float] = {}
    for weight, k in powers:
        total[k] = total.get(k, 0.0) + weight
    return [(weight, k) for k, weight in total.items()]


def _one_power(right: Array, weight: float, k: float) -> Array:
    """log ρ with log ρ + (w/k) ρ^k = right: y = wρ^k solves y + log y = k·right + log w."""
    log_weight = float(np.log(weight))
    z = k * right + log_weight
    y = np.asarray(wrightomega(z))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(y > 1.0, (np.log(y) - log_weight) / k, right - y / k)


def _many_powers(right: Array, powers: Sequence[tuple[float, float]]) -> Array:
    """log ρ =: r with r + Σ (w/k) e^{kr} = right, by Newton's method inside a bracket."""
    finite = right > -np.inf
    target = right[finite]
    # each term alone bounds the root on one side: for k > 0 all terms are positive
    low, high = _bracket(target, powers)
    r = 0.5 * (low + high)
    for round_ in range(_ROUNDS):
        terms = [w * np.exp(np.minimum(k * r, 700.0)) for w, k in powers]
        excess = r + sum(t / k for t, (_, k) in zip(terms, powers, strict=True)) - target
        low, high = np.where(excess < 0, r, low), np.where(excess > 0, r, high)
        newton = r - excess / (1.0 + sum(terms))
        halve = (high - low > 1.0) & (round_ % 2 == 1)  # exponentials mislead Newton from afar
        inside = (newton > low) & (newton < high) & ~halve
        new = np.where(inside, newton, 0.5 * (low + high))
        change = float(np.max(np.abs(new - r) / (1.0 + np.abs(r)), initial=0.0))
        r = new
        if change < _CLOSE:
            break
    result = np.full(right.shape, -np.inf)
    result[finite] = r
    return result


def _bracket(target: Array, powers: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    """Where the increasing function r + Σ (w/k) e^{kr} is below and above the target."""
    def excess(r: Array) -> Array:
        terms = [w / k * np.exp(np.clip(k * r, -700.0, 700.0)) for w, k in powers]
        return np.asarray(r + sum(terms) - target)

    low, high, width = target - 1.0, target + 1.0, 1.0
    for _ in range(_ROUNDS):
        below, above = excess(low) > 0, excess(high) < 0
        if not (below.any() or above.any()):
            break
        low, high = np.where(below, low - width, low), np.where(above, high + width, high)
        width *= 2.0
    return low, high
