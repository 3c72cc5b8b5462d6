"""What chance would give: permuted labels, random signs, and both for correlated chains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...measures.base import Array
from .statistics import Labels


def autocorrelation_time(series: Array) -> Array:
    """τ = 1 + 2 Σ_t corr(x_0, x_t) of each column of (n, K); 1 for independent values.

    The sum ends at the first lag t ≥ 5τ(t) (Sokal), and what the unknown mean takes from each of
    its terms, τ/n, is given back (Wolff 2004). The mean of n values is as uncertain as that of n/τ
    independent ones.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.repeat(rng.normal(size=2000), 5)      # each value five times
    >>> float(autocorrelation_time(x[:, None])[0].round(0))
    5.0
    """
    return _correlations(series)[1]


def _correlations(series: Array) -> tuple[Array, Array]:
    """Correlations at each lag up to that where the sum ends, and 0 beyond, (n, K); and τ, (K,)."""
    n = len(series)
    centred = series - series.mean(axis=0)
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size, axis=0)) ** 2
    covariance = np.fft.irfft(power, size, axis=0)[:n]
    variance = covariance[0]
    flat = variance <= 0
    correlation, lags = covariance / np.where(flat, 1.0, variance), np.arange(n)[:, None]
    tau = 2.0 * np.cumsum(correlation, axis=0) - 1.0
    stop = np.argmax(lags >= 5.0 * tau, axis=0)
    correlation = np.where(lags <= stop, correlation + tau[stop, np.arange(len(flat))] / n, 0.0)
    found = 2.0 * correlation.sum(axis=0) - 1.0
    return correlation, np.where(flat, 1.0, np.maximum(found, 1.0))


class Order(NamedTuple):
    """How the points depend on each other: ``block`` (n,) numbers stretches of a chain.

    Independent points are blocks of their own, and ``time`` is 1. ``kept`` is the share of the
    variance of a mean that is seen by signs of blocks.
    """

    block: Labels
    time: float
    kept: float = 1.0

    @property
    def blocks(self) -> int:
        return int(self.block[-1]) + 1

    @property
    def gap(self) -> int:
        """Blocks nearer than this are not independent of each other."""
        return 0 if self.blocks == len(self.block) else 1

    @property
    def effective(self) -> float:
        """Effective sample size."""
        return len(self.block) / self.time

    def sums(self, values: Array) -> Array:
        """Sums of the rows of (n, K) over each block."""
        if self.gap == 0:
            return values
        first = np.searchsorted(self.block, np.arange(self.blocks))
        return np.asarray(np.add.reduceat(values, first, axis=0))


def independent(n: int) -> Order:
    return Order(np.arange(n), 1.0)


def chain(time: float, n: int) -> Order:
    """Blocks of length τ (n/τ)^{1/3}: longer than the memory, and (n/τ)^{2/3} of them.

    The dependence across a block's ends hides a share of about τ/length of the variance, and few
    blocks leave few sign patterns; the cube root balances both.
    """
    effective = max(n / time, 1.0)
    count = max(2, min(n, math.floor(effective ** (2.0 / 3.0))))
    return Order(np.arange(n) * count // n, time)


def chain_of(series: Array) -> Order:
    """The blocks of a chain from some functions of its points (n, K), as long as for the slowest.

    Sums over blocks of length L have Σ_{|t|<L} (1 − |t|/L) corr_t of a function's variance τ;
    ``kept`` is the quotient of the sums of both over the functions.

    Examples
    --------
    >>> from scipy.signal import lfilter
    >>> rng = np.random.default_rng(0)
    >>> x = lfilter([1.0], [1.0, -0.5], rng.normal(size=(30_000, 1)), axis=0)
    >>> order = chain_of(x)          # τ = 3: blocks of 65, which keep 1 − 4/(3·65) of it
    >>> round(order.time, 1), round(order.kept, 2)
    (3.0, 0.98)
    """
    correlation, times = _correlations(series)
    order = chain(float(times.max()), len(series))
    lags, both = np.arange(len(series)), correlation.sum(axis=1)
    weights = np.where(lags > 0, 2.0, 1.0)
    seen = float(weights * np.maximum(0.0, 1.0 - lags * order.blocks / len(series)) @ both)
    every = float(weights @ both)
    return order._replace(kept=max(seen / every, 0.1) if 0.0 < seen < every else 1.0)


def signs(blocks: int, copies: int, rng: np.random.Generator) -> Array:
    """Random signs, one for each block; column 0 is all ones. Shape (blocks, copies+1)."""
    flips = np.where(rng.random((blocks, copies + 1)) < 0.5, -1.0, 1.0)
    flips[:, 0] = 1.0
    return np.asarray(flips)


def contrasts(order: Order, flips: Array, m: int, rng: np.random.Generator) -> Array:
    """Labels 1/n of n points and −1/m of m reference points, then resampled ones, (n+m, ·).

    After the observed labels come, for each column of ``flips`` but the first, the labels times
    random signs, those of the points being the given ones, centred among the points and among the
    reference (Leucht and Neumann 2013, Chwialkowski et al. 2014). For independent points, as many
    random exchanges of the labels follow: with them a test is exact. Stretches of a chain are not
    exchangeable with independent points.
    """
    n, copies = len(order.block), flips.shape[1] - 1
    observed = np.concatenate([np.full(n, 1.0 / n), np.full(m, -1.0 / m)])[:, None]
    x, y = flips[order.block, 1:], signs(m, copies, rng)[:, 1:]
    x = (x - x.mean(axis=0)) / np.sqrt(1.0 - 1.0 / max(order.blocks, 2))  # which centring takes
    signed = np.concatenate([x / n, -(y - y.mean(axis=0)) / m])
    if order.gap > 0:
        return np.concatenate([observed, signed], axis=1)
    exchanged = np.tile(observed.T, (copies, 1))
    rng.permuted(exchanged, axis=1, out=exchanged)
    return np.concatenate([observed, signed, exchanged.T], axis=1)


class Resampled(NamedTuple):
    """A statistic as observed, with resamples for its p-value, and others shared by all tests."""

    observed: float
    own: Array
    common: Array

    @classmethod
    def of(cls, values: Array, copies: int) -> Resampled:
        """From the observed value, the common resamples, and the test's own ones if it has any."""
        return cls(float(values[0]), values[-copies:], values[1 : copies + 1])

    def among(self, values: Array) -> Resampled:
        """Observed and resampled in another way, with the common resamples that there were."""
        return Resampled(float(values[0]), values[1:], self.common)

    def tempered(self, factor: float) -> Resampled:
        """Held against resamples that are larger by a factor."""
        return Resampled(self.observed / factor, self.own, self.common)

    def p_value(self, rng: np.random.Generator) -> float:
        """The rank of the observation among its resamples, ties broken at random: uniform."""
        above = (self.own > self.observed).sum()
        ties = 1 + (self.own == self.observed).sum()
        return float((above + rng.random() * ties) / (1 + len(self.own)))

    def common_p_values(self, rng: np.random.Generator) -> Array:
        """The same for each of the common resamples among themselves."""
        order = np.lexsort((rng.random(len(self.common)), -self.common))
        p = np.empty(len(order))
        p[order] = np.arange(len(order)) + rng.random(len(order))
        return p / len(order)


def step_down(tests: Sequence[Resampled], rng: np.random.Generator) -> Array:
    """p-values of tests, adjusted by the smallest p of each common resample.

    Holm's step-down with the joint distribution of the tests in place of Bonferroni's bound
    (Westfall and Young 1993).
    """
    p = np.array([test.p_value(rng) for test in tests])
    common = np.stack([test.common_p_values(rng) for test in tests])
    order = np.argsort(p, kind="stable")
    adjusted, last = np.empty(len(p)), 0.0
    for rank, k in enumerate(order):
        smallest = common[order[rank:]].min(axis=0)
        last = max(last, float(1 + (smallest <= p[k]).sum()) / (1 + len(smallest)))
        adjusted[k] = last
    return adjusted


def across(groups: Sequence[Array]) -> list[Array]:
    """Holm's correction between groups whose p-values are adjusted within already.

    A group's share of the level is handed on once all of its tests are rejected.

    Examples
    --------
    >>> across([np.array([0.01]), np.array([0.04])])
    [array([0.02]), array([0.04])]
    >>> across([np.array([0.01, 0.2]), np.array([0.04])])
    [array([0.02, 0.2 ]), array([0.08])]
    """
    result: list[Array] = [np.zeros(0)] * len(groups)
    order = sorted(range(len(groups)), key=lambda g: float(groups[g].max()))
    handed = 0.0
    for rank, g in enumerate(order):
        full = len(groups) * groups[g]
        adjusted = np.minimum(full, np.maximum(handed, (len(groups) - rank) * groups[g]))
        result[g] = np.minimum(adjusted, 1.0)
        handed = max(handed, float(result[g].max()))
    return result
