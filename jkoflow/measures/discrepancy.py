"""How far apart two laws are: KL, total variation and W2, in closed form or by quadrature."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp

from .base import Array
from .gaussian import Gaussian
from .quadrature import Rule


def normal_divergence(mu: Gaussian, nu: Gaussian) -> float:
    """KL(μ‖ν) = ½(tr Λ − d − log det Λ + |T^{-½}(m − n)|²), Λ the spectrum of T⁻¹S.

    Examples
    --------
    >>> normal_divergence(Gaussian(2.0, 1.0), Gaussian(0.0, 1.0))
    2.0
    """
    values, vectors = nu.eigen
    inverse = vectors / np.sqrt(values)
    ratio = np.linalg.svd(inverse.T @ mu.sqrt_cov, compute_uv=False) ** 2
    shift = inverse.T @ (mu.mean() - nu.mean())
    return 0.5 * float((ratio - 1.0 - np.log(ratio)).sum() + shift @ shift)


def normal_variation(mu: Gaussian, nu: Gaussian) -> float:
    """A bound of ½∫|μ − ν|: min((K/2)^½, (1 − e^{−K})^½), K = KL(μ‖ν) (Pinsker; Bretagnolle and
    Huber).

    Examples
    --------
    >>> normal_variation(Gaussian(0.2, 1.0), Gaussian(0.0, 1.0))
    0.1
    """
    kl = max(normal_divergence(mu, nu), 0.0)
    return math.sqrt(min(0.5 * kl, -math.expm1(-kl)))


def normal_distance(mu: Gaussian, nu: Gaussian) -> float:
    """W2 = (|m − n|² + tr S + tr T − 2 ‖S^½T^½‖₁)^½, with the nuclear norm.

    Examples
    --------
    >>> normal_distance(Gaussian(3.0, 4.0), Gaussian(0.0, 64.0))
    6.708203932499369
    """
    cross = np.linalg.svd(mu.sqrt_cov @ nu.sqrt_cov, compute_uv=False).sum()
    shift = mu.mean() - nu.mean()
    square = float(shift @ shift + np.trace(mu.cov() + nu.cov()) - 2.0 * cross)
    return math.sqrt(max(square, 0.0))


def quantile_distance(one: Rule, other: Rule) -> float:
    """W2 of two laws on the line, each uniform on its pieces: (∫(Q_1 − Q_2)² ds)^½, exactly."""
    levels = [np.append(0.0, np.cumsum(r.masses) / np.cumsum(r.masses)[-1]) for r in (one, other)]
    s, ends = np.unique(np.concatenate(levels)), []
    for rule, level in zip((one, other), levels, strict=True):
        i = np.searchsorted(level, s[:-1], side="right") - 1
        # the share of a piece first: the slope of one that holds 1e-310 is infinite
        share = (np.stack([s[:-1], s[1:]]) - level[i]) / (level[i + 1] - level[i])
        ends.append(rule.pieces[i, 0] + (rule.pieces[i, 1] - rule.pieces[i, 0]) * share)
    a, b = ends[0] - ends[1]
    return math.sqrt(float(np.diff(s) @ (a * a + a * b + b * b)) / 3.0)


def variation_and_distance(rho: Rule, hat: Rule, exponent: Array) -> tuple[float, float]:
    """Total variation and W2 of ρ and ρ̂ = exp(−exponent)/Z, known at ρ's points, (m,).

    In several coordinates W2 is the bound (2∫|x − x̄|² d|ρ − ρ̂|)^½, x̄ the mean of ρ̂ (Villani,
    Optimal transport, theorem 6.15).
    """
    held, there = rho.masses > 0, np.zeros(len(rho.masses))
    ratio = -exponent - hat.log_total - rho.log_density
    there[held] = np.exp(np.log(rho.masses[held]) + ratio[held])
    off = np.abs(rho.masses - there)
    variation = 0.5 * float(off.sum() + max(0.0, 1.0 - there.sum()))
    if rho.points.shape[1] == 1:
        return variation, quantile_distance(rho, hat)
    square = hat.distances(rho.points)
    beyond = float(hat.masses @ hat.distances(hat.points) - there @ square)
    return variation, math.sqrt(2.0 * (float(off @ square) + max(0.0, beyond)))


def distance_by_divergence(hat: Rule, kl: float) -> float:
    """Largest W2(ρ, ρ̂) that KL(ρ‖ρ̂) ≤ K allows: C(√K + (K/2)^¼) for every α > 0,
    C = 2((3/2 + log∫exp(α|x − x̄|²) dρ̂)/α)^½ (Bolley & Villani 2005, Corollary 2.3)."""
    square = hat.distances(hat.points)
    alpha = 0.25 * hat.points.shape[1] / float(hat.masses @ square)
    moment = float(logsumexp(alpha * square, b=hat.masses))
    constant = 2.0 * math.sqrt((1.5 + moment) / alpha)
    return constant * (math.sqrt(kl) + (0.5 * kl) ** 0.25)
