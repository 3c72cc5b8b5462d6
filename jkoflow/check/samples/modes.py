"""Masses of modes without a reference: the density at hand tells them, by bridge sampling.

Forces alone do not see how the mass is split among modes that are far apart. But f = log ρ* + const
is known, so for each cluster of the points, Z_k = ∫_{A_k} exp(f) over its cell A_k can be estimated
from points on both sides of a bridge: those of the cluster, and draws from a normal law fitted to
others of the same cluster. The shares Z_k/ΣZ are then compared with the counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc, logsumexp

from ...measures.base import Array
from .statistics import Labels, nearest

LogDensity = Callable[[Array], Array]
Force = Callable[[Array], Array]
FEWEST = 5
"""Points of a cluster below which its mass is not tested."""

_VALLEY = 1.0  # how far f falls between two modes, from the lower one
_STARTS, _CLIMB = 50, 80
_DRAWS = (500, 2000)
_ROUNDS = 100


class Bridge(NamedTuple):
    """log Z of one cell, and the variance of its error."""

    log_z: float
    variance: float


def mode_mass_p_value(
    f: LogDensity, force: Force, x: Array, time: float, rng: np.random.Generator
) -> float | None:
    """p-value for the masses of the modes that the points are in; None if there is one mode.

    ``force`` is ∇f, about. ``time`` is the autocorrelation time: counts and bridges are as
    uncertain as n/time independent points say.

    Examples
    --------
    >>> def f(x): return -0.5 * (x**2).sum(axis=1) + np.log(np.cosh(5.0 * x[:, 0]))
    >>> def force(x): return -x + [5.0, 0.0] * np.tanh(5.0 * x[:, :1])
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(500, 2)) + [5.0, 0.0] * rng.choice([-1, 1], (500, 1), p=[0.2, 0.8])
    >>> mode_mass_p_value(f, force, x, 1.0, rng) < 1e-9
    True
    """
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    z = x / scale

    def g(at: Array) -> Array:
        return f(at * scale)

    starts = z[rng.permutation(len(z))[:_STARTS]]
    tops = _summits(g, _climbed(lambda at: force(at * scale) * scale, starts))
    label = nearest(z, tops)
    kept = [k for k in range(len(tops)) if (label == k).sum() >= FEWEST]
    if len(kept) < 2:
        return None
    pooled = _pooled_cov(z, label, kept)
    bridges = [_bridge(_within(g, k, tops), z[label == k], pooled, time, rng) for k in kept]
    counts = np.array([(label == k).sum() for k in kept], dtype=float)
    return _p_value(counts, time, bridges)


def _climbed(force: Force, z: Array) -> Array:
    """Points moved uphill by the signs of the force, with a step for each coordinate.

    A step grows while its sign stays and is halved when it turns (Riedmiller and Braun 1993).
    """
    step, last = np.full(z.shape, 0.1), np.zeros(z.shape)
    for _ in range(_CLIMB):
        sign = np.sign(force(z))
        step = np.clip(step * np.where(sign * last < 0, 0.5, 1.2), 1e-4, 0.5)
        z, last = z + step * sign, sign
    return z


def _summits(f: LogDensity, ends: Array) -> Array:
    """One point for each hill: ends are of the same if f has no valley on the way between them."""
    heights = f(ends)
    order = np.argsort(-heights)
    tops = [ends[order[0]]]
    s = np.linspace(0.0, 1.0, 21)[:, None]
    for end in ends[order[1:]]:
        ways = np.concatenate([(1.0 - s) * top + s * end for top in tops])
        along = f(ways).reshape(len(tops), -1)
        if (along[:, -1] - along.min(axis=1) >= _VALLEY).all():
            tops.append(end)
    return np.array(tops)


def _within(f: LogDensity, k: int, tops: Array) -> LogDensity:
    """f in the cell of one mode, −∞ outside."""
    return lambda at: np.where(nearest(at, tops) == k, f(at), -np.inf)


def _pooled_cov(z: Array, label: Labels, kept: list[int]) -> Array:
    centred = [z[label == k] - z[label == k].mean(axis=0) for k in kept]
    every = np.concatenate(centred)
    return every.T @ every / len(every) + 1e-9 * np.eye(z.shape[1])


def _bridge(
    f: LogDensity,
    points: Array,
    pooled: Array,
    time: float,
    rng: np.random.Generator,
) -> Bridge:
    """Meng and Wong's optimal bridge (1996), fitted on one half of the points, run on the other."""
    half = len(points) // 2
    fit, own = points[:half], points[half:]
    mean, root = _fitted(fit, pooled)
    m = int(np.clip(2 * len(points), *_DRAWS))
    draws = mean + rng.standard_normal((m, len(mean))) @ root.T
    there = f(draws) - _log_normal(draws, mean, root)  # log of p/q at draws from q
    here = f(own) - _log_normal(own, mean, root)  # and at the points
    n = len(own) / time
    s1, s2 = np.log(n / (n + m)), np.log(m / (n + m))
    log_z = float(np.median(here))
    for _ in range(_ROUNDS):
        top = there - np.logaddexp(s1 + there - log_z, s2)
        bottom = -np.logaddexp(s1 + here - log_z, s2)
        new = float(_log_mean(top) - _log_mean(bottom))
        if not np.isfinite(new) or abs(new - log_z) < 1e-10:
            break
        log_z = new
    variance = _relative_variance(top) / m + _relative_variance(bottom) / n
    return Bridge(log_z, variance)


def _fitted(points: Array, pooled: Array) -> tuple[Array, Array]:
    """Mean, and a root of the covariance, pulled towards that of all modes by 2D points."""
    dim = points.shape[1]
    mean = points.mean(axis=0)
    centred = points - mean
    cov = (centred.T @ centred + 2 * dim * pooled) / (len(points) + 2 * dim)
    return mean, np.linalg.cholesky(cov)


def _log_normal(x: Array, mean: Array, root: Array) -> Array:
    from scipy.linalg import solve_triangular

    y = solve_triangular(root, (x - mean).T, lower=True)
    constant = 0.5 * len(mean) * np.log(2.0 * np.pi) + np.log(np.diag(root)).sum()
    return np.asarray(-0.5 * (y * y).sum(axis=0) - constant)


def _log_mean(values: Array) -> float:
    return float(logsumexp(values) - np.log(len(values)))


def _relative_variance(logs: Array) -> float:
    """Variance over squared mean of exp(logs)."""
    w = np.exp(logs - logs.max())
    return float(w.var() / w.mean() ** 2)


def _p_value(counts: Array, time: float, bridges: list[Bridge]) -> float:
    """χ² of observed shares less those of the bridges, with the errors of both."""
    log_z = np.array([b.log_z for b in bridges])
    share = np.exp(log_z - logsumexp(log_z))
    spread = np.diag(share) - np.outer(share, share)
    n = counts.sum() / time
    error = spread @ np.diag([b.variance for b in bridges]) @ spread
    difference = (counts / counts.sum() - share)[:-1]
    covariance = (spread / n + error)[:-1, :-1]
    chi = float(difference @ np.linalg.solve(covariance, difference))
    return float(chdtrc(len(counts) - 1, max(chi, 0.0)))
