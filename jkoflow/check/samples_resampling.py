"""What chance would give: permuted labels, random signs, and both for correlated chains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..measures.base import Array
from .samples_statistics import Labels


def autocorrelation_time(series: Array) -> Array:
    """τ = 1 + 2 Σ_t corr(x_0, x_t) of each column of (n, K); 1 for independent values.

    The sum ends at the first lag t ≥ 5τ(t) (Sokal). The mean of n values is as uncertain as that
    of n/τ independent ones.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.repeat(rng.normal(size=2000), 5)      # each value five times
    >>> float(autocorrelation_time(x[:, None])[0].round(0))
    5.0
    """
    n = len(series)
    centred = series - series.mean(axis=0)
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size, axis=0)) ** 2
    covariance = np.fft.irfft(power, size, axis=0)[:n]
    variance = covariance[0]
    flat = variance <= 0
    tau = 2.0 * np.cumsum(covariance / np.where(flat, 1.0, variance), axis=0) - 1.0
    stop = np.argmax(np.arange(n)[:, None] >= 5.0 * tau, axis=0)
    found = tau[stop, np.arange(series.shape[1])]
    return np.asarray(np.where(flat, 1.0, np.maximum(found, 1.0)), dtype=float)


class Order(NamedTuple):
    """How the points depend on each other: ``block`` (n,) numbers stretches of a chain.

    Independent points are blocks of their own, and ``time`` is 1.
    """

    block: Labels
    time: float

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


def signs(blocks: int, copies: int, rng: np.random.Generator) -> Array:
    """Random signs, one for each block; column 0 is all ones. Shape (blocks, copies+1)."""
    flips = np.where(rng.random((blocks, copies + 1)) < 0.5, -1.0, 1.0)
    flips[:, 0] = 1.0
    return np.asarray(flips)


def contrasts(order: Order, m: int, copies: int, rng: np.random.Generator) -> Array:
    """Labels 1/n of n points and −1/m of m reference points, and resampled ones, (n+m, copies+1).

    Independent points are exchanged with the reference: then the test is exact. Stretches of a
    chain are not exchangeable with independent points; they keep their place and get random signs,
    which are then centred (Leucht and Neumann 2013, Chwialkowski et al. 2014).
    """
    n = len(order.block)
    observed = np.concatenate([np.full(n, 1.0 / n), np.full(m, -1.0 / m)])
    if order.gap == 0:
        labels = np.tile(observed, (copies + 1, 1))
        rng.permuted(labels[1:], axis=1, out=labels[1:])
        return np.ascontiguousarray(labels.T)
    x = signs(order.blocks, copies, rng)[order.block]
    y = signs(m, copies, rng)
    both = np.concatenate([(x - x.mean(axis=0)) / n, -(y - y.mean(axis=0)) / m])
    both[:, 0] = observed
    return both


def step_down(statistics: Sequence[Array]) -> Array:
    """Adjusted p-values of tests that share their resamples, by the smallest p of each resample.

    Holm's step-down with the joint distribution in place of Bonferroni's bound (Westfall and
    Young 1993). Column 0 is the observation; it counts among the resamples.
    """
    rows = np.stack(statistics)
    count = rows.shape[1]
    ordered = np.sort(rows, axis=1)
    p = np.stack(
        [count - np.searchsorted(o, r, side="left") for o, r in zip(ordered, rows, strict=True)]
    )
    order = np.argsort(p[:, 0], kind="stable")
    adjusted, last = np.empty(len(rows)), 0.0
    for rank, k in enumerate(order):
        smallest = p[order[rank:]].min(axis=0)
        last = max(last, float((smallest <= p[k, 0]).mean()))
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
