"""The battery: tests of points against ρ*, by forces and by points of ρ*, and their p-values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from ...measures.base import Array
from . import statistics as statistic
from .modes import mode_mass_p_value
from .paths import Paths, paths_through
from .resampling import Order, Resampled, across, contrasts, signs, step_down
from .target import MOST, Target, labels_of, outliers

_PROBES = 25  # sign patterns, and one, by which the response of ρ* to the sample is measured
_LONG = 1000  # points beyond which signs are as good as paths, and paths long to compute
_PAIRS = 4_500_000  # pairs of points in all choices beyond which half of these do: n = 150 at 5%
_MANY_PAIRS = 25_000_000  # and in this half, beyond which signs do: n = 500


def _copies(alpha: float, n: int) -> int:
    """Resamples: 1 + copies is a multiple of 1/alpha, so that the level is met exactly."""
    return round((20 if n <= 2000 else 15) / alpha) - 1


def p_values(
    x: Array,
    target: Target,
    order: Order,
    regions: Any,
    alpha: float,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Names of tests with p-values corrected for all of them."""
    flips = signs(order.blocks, _copies(alpha, len(x)), rng)
    scale = _scale(x)
    z, s = (x - x.mean(axis=0)) / scale, target.score * scale
    tests = _by_forces(z, s, order, flips)
    if target.anywhere is not None and order.gap == 0 and len(x) <= _LONG:
        paths = paths_through(x, *target.anywhere, rng)
        if paths is not None and paths.mixed:
            tests = _along(paths, tests, round(10 / alpha) - 1, rng)
    if target.draw is not None:
        y = target.draw(_reference_size(len(x), target.limited), rng)
        tests |= _by_points(x, y, order, regions, flips, rng)
    larger = 1.0 / order.kept
    if target.weighted is not None:
        larger *= _inflation(target.weighted, scale, z, s, flips[order.block, 1:_PROBES])
    tests = {name: test.tempered(larger) for name, test in tests.items()}
    families = [dict(zip(tests, step_down(list(tests.values()), rng), strict=True))]
    if target.draw is None and target.log_density is not None and target.force is not None:
        p = mode_mass_p_value(target.log_density, target.force, x, order.time, rng)
        families += [] if p is None else [{"mode masses": np.float64(p)}]
    corrected = np.concatenate(across([np.array(list(family.values())) for family in families]))
    names = [name for family in families for name in family]
    return {name: float(p) for name, p in zip(names, corrected, strict=True)} | outliers(x, target)


def _reference_size(n: int, limited: int | None) -> int:
    wanted = max(n, min(2 * n, 2000))
    return wanted if limited is None else min(limited, 2 * MOST)


def _inflation(
    weighted: Callable[[Array], Array], scale: Array, z: Array, s: Array, flips: Array
) -> float:
    """By how much the variance of a Stein moment grows as ρ* follows the sample's errors.

    Random signs stand for these errors. Σ_i σ_i g(x_i) is what they do directly; the score moves
    by its derivative in the weights along σ/n. The largest ratio over the moments, at least 1,
    those of pairs of coordinates among them.
    """
    n = len(z)

    def totals(score: Array, weights: Array) -> Array:
        features = chain(
            [statistic.stein_moments(z, score)], statistic.stein_correlations(z, score)
        )
        return np.concatenate([weights @ g for g in features])

    ones, direct, together = np.ones(n), [], []
    base = totals(s, ones)
    for sign in (flips - flips.mean(axis=0)).T:
        moved = 2.0 * (weighted((1.0 + 0.5 * sign) / n) * scale - s)
        direct.append(totals(s, sign))
        together.append(direct[-1] + totals(s + moved, ones) - base)
    ratio = np.square(together).sum(axis=0) / np.square(direct).sum(axis=0)
    return max(1.0, float(ratio.max()))


def _by_forces(z: Array, s: Array, order: Order, flips: Array) -> dict[str, Resampled]:
    """Tests that need the score at the points only."""
    copies = flips.shape[1] - 1
    kernel = statistic.stein_kernel(z, s, float(z.shape[1]))
    each = _light(flips[order.block])
    discrepancy = statistic.quadratic_forms(kernel, each, order.block, order.gap)
    moments = statistic.largest_mean(order.sums(statistic.stein_moments(z, s)), flips)
    tests = {
        "kernel Stein discrepancy": Resampled.of(discrepancy, copies),
        "Stein moments": Resampled.of(moments**2, copies),
    }
    parts = statistic.stein_correlations(z, s)
    largest = [statistic.largest_t(order.sums(part), flips) for part in parts]
    if largest:
        tests["Stein correlations"] = Resampled.of(np.max(largest, axis=0) ** 2, copies)
    return tests


def _along(
    paths: Paths, tests: dict[str, Resampled], copies: int, rng: np.random.Generator
) -> dict[str, Resampled]:
    """The same tests held against choices of other states on the paths.

    The units are those of all states: they do not know which ones are the points.
    """
    n, dim = paths.points.shape[1:]
    every = paths.points.reshape(-1, dim)
    mean, scale, one = every.mean(axis=0), _scale(every), np.ones((n, 1), np.float32)
    compared = copies if n * n * copies <= _PAIRS else copies // 2
    pairwise = n * n * compared <= _MANY_PAIRS
    pairs: list[float] = []
    correlations: list[float] = []
    moments = []
    for x, score in paths.choices(copies, rng):
        z, s = (x - mean) / scale, score * scale
        features = statistic.stein_moments(z.reshape(-1, dim), s.reshape(-1, dim))
        t = statistic.symmetric_t(features.reshape(len(x), n, -1))
        moments.append(np.abs(t).max(axis=1))
        if dim > 1:
            correlations += map(statistic.largest_correlation, z, s)
        if pairwise:
            some = slice(0, compared + 1 - len(pairs))
            single = zip(z[some].astype(np.float32), s[some].astype(np.float32), strict=True)
            kernels = [statistic.stein_kernel(*both, float(dim)) for both in single]
            pairs += [statistic.quadratic_forms(k, one, np.arange(n))[0] for k in kernels]
    found = {
        "Stein moments": np.concatenate(moments) ** 2,
        "Stein correlations": np.square(correlations),
    }
    if pairwise:
        found["kernel Stein discrepancy"] = np.array(pairs)
    return {
        name: test.among(found[name]) if name in found else test for name, test in tests.items()
    }


def _by_points(
    x: Array, y: Array, order: Order, regions: Any, flips: Array, rng: np.random.Generator
) -> dict[str, Resampled]:
    """Tests against points of ρ*. Nothing that they use knows the labels."""
    both = np.concatenate([x, y])
    z = (both - both.mean(axis=0)) / _scale(both)
    v = _light(contrasts(order, flips, len(y), rng))
    directions = rng.standard_normal((10 if x.shape[1] > 1 else 1, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    below, levels = statistic.projection_features(z, directions)
    inside = _regions(z, both, regions, len(x), rng)
    single = v.astype(np.float32, copy=False)
    values = {
        "energy distance": statistic.quadratic_forms(statistic.distances(z), v),
        "projections": statistic.projection_statistic(
            below.T.astype(np.float32) @ single, levels.reshape(len(directions) + 1, -1)
        ),
        "mode masses": statistic.mass_statistic(
            inside.T.astype(np.float32) @ single, inside.mean(axis=0)
        ),
        "moments": statistic.largest_difference(statistic.moment_features(z), v) ** 2,
    }
    return {name: Resampled.of(value, flips.shape[1] - 1) for name, value in values.items()}


def _regions(z: Array, both: Array, regions: Any, n: int, rng: np.random.Generator) -> Array:
    """Which region each point is in, one-hot, (N, K)."""
    if regions is not None:
        label = labels_of(regions, both)
    else:
        label = statistic.nearest(z, statistic.centres_of(z, 8 if n >= 400 else 4, rng))
    return np.asarray(label[:, None] == np.arange(label.max() + 1))


def _scale(x: Array) -> Array:
    spread = x.std(axis=0)
    return np.asarray(np.where(spread > 0, spread, 1.0))


def _light(v: Array) -> Array:
    """Single precision where many points make the products long: 1e-7 is far below chance."""
    return v.astype(np.float32) if len(v) > 3000 else v
