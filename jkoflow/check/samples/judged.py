"""Are these points samples of ρ*? A calibrated battery of tests, which never says that they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...arguments import generator
from ...functionals.base import Functional
from ...measures.base import Array
from ...measures.particles import Particles
from ...status import InvalidProblem
from ..verdict import Finding, Report, Verdict
from .battery import p_values
from .power import power_of
from .resampling import Order, chain_of, independent
from .target import MOST, is_level, points_of, target_of

SHORT = 50
"""Effective sample size below which nothing is concluded from not rejecting."""

SHORT_CHAIN = 100
"""The same for a chain, whose resamples are signs of (n/τ)^{2/3} stretches: 21 of them here."""

CAUTION = 4.0
"""A sample of fewer than SHORT points is rejected at the level over this only. Signs and exchanges
are random enough for laws near to normal ones there, but of 10 or 20 points of a skewed law or of
one of two modes 6 to 10% were rejected at 5%."""

PATTERNS = 5
"""Of the 2^(n−1) patterns of signs of n points, up to a common one, at least so many have to lie
beyond that level: at 5%, 10 points or more. At n = 3 true samples were rejected in a quarter of all
cases."""

LOOKS_CORRELATED = 6.0
"""Standard errors by which the autocorrelation of points called independent may differ from 0."""


def check_samples(
    F: Functional,
    x: ArrayLike | Particles,
    *,
    rng: Any,
    reference: Any = None,
    correlated: bool = False,
    regions: Callable[[Array], ArrayLike] | None = None,
    alpha: float = 0.05,
) -> Report:
    """Test whether points are samples of ρ* ∝ exp(−β δS/δρ), for F = S + H/β.

    One finding a test, named "not rejected: ...": that is all that ACCEPTED says here. The chance
    that anything at all is rejected of a sample of ρ* is ``alpha``. With S depending on ρ, the law
    is the proximal Gibbs law of the reference, or of the sample itself; the report says which.

    Parameters
    ----------
    F : Functional
        Smooth terms and `Entropy`.
    x : array_like (n, D), or Particles of equal weight
        Points; for a chain in its order.
    rng : seed or Generator
    reference : optional
        ρ*, as far as it is known: a measure (a `Radial` law means its points in R^D), what has a
        ``measure`` (the answer of `solve_gibbs`), independent points (m, D), a function
        x (n, D) → ∇log ρ* (n, D), or a pair of such a function and one of the others. If not
        given, ρ* is drawn from a grid for D ≤ 2.
    correlated : bool
        Whether the points are one stationary chain. Signs are then random for stretches of it.
    regions : callable, optional
        Points (n, D) → whole numbers (n,), the modes whose masses are compared; clusters of all
        points if not given.
    alpha : float
        Level of all tests together.

    Returns
    -------
    Report
        ``measured`` is 1 − p with p corrected for all tests, ``bound`` is 1 − alpha.

    Raises
    ------
    InvalidMeasure
        For points or a reference that are none, or of unequal weights.
    NotDefined
        If F has no Gibbs law, or is a functional of another kind of measure.
    InvalidProblem
        For options that make no sense.

    Notes
    -----
    Kernel Stein discrepancy (Gorham and Mackey 2017) with random signs (Chwialkowski, Strathmann
    and Gretton 2016) and functions of mean zero by partial integration need forces only; the energy
    distance (Székely and Rizzo), projections, masses of regions and moments need points of ρ*, with
    which the labels are exchanged. docs/samples.md has the formulas and the measured power.

    Examples
    --------
    >>> from jkoflow import Entropy, QuadraticPotential
    >>> x = np.random.default_rng(0).normal(0.0, 0.5, size=(300, 2))
    >>> F = QuadraticPotential(2.0) + Entropy() / 2
    >>> check_samples(F, x, rng=1).verdict.name, check_samples(F, 1.3 * x, rng=1).verdict.name
    ('ACCEPTED', 'REJECTED')
    """
    if not is_level(alpha):
        raise InvalidProblem(f"alpha must be a level between 0.0001 and 0.5, not {alpha!r:.50}")
    if not isinstance(correlated, (bool, np.bool_)):
        raise InvalidProblem(f"correlated must be True or False, not {correlated!r:.50}")
    if regions is not None and not callable(regions):
        raise InvalidProblem(f"regions must be a function of points, not {regions!r:.50}")
    random = generator(rng)
    points, notes = _thinned(points_of(x), correlated, random)
    target = target_of(F, points, reference)
    order, looks = _order(points, correlated)
    tests = p_values(points, target, order, regions, float(alpha), random)
    notes = (_independence(order, correlated), *notes, *target.assumptions)
    notes += (power_of(order.effective, points.shape[1], target.draw is not None),)
    findings = _findings(tests, order, correlated, looks, float(alpha), notes)
    return Report(f"{len(points)} points in R^{points.shape[1]} against ρ* of {F!r}", findings)


def _thinned(x: Array, correlated: bool, rng: np.random.Generator) -> tuple[Array, tuple[str, ...]]:
    """At most MOST points: every k-th of a chain, any of independent ones."""
    if len(x) <= MOST:
        return x, ()
    note = (f"of {len(x)} points, {MOST} were used",)
    if correlated:
        return x[np.linspace(0, len(x) - 1, MOST).round().astype(int)], note
    return x[np.sort(rng.choice(len(x), MOST, replace=False))], note


def _order(x: Array, correlated: bool) -> tuple[Order, float]:
    """How the points depend on each other, and how dependent they look, in standard errors."""
    centred = x - x.mean(axis=0)
    series = np.concatenate([x, (centred**2).sum(axis=1, keepdims=True)], axis=1)
    if correlated:
        return chain_of(series), 0.0
    c = series - series.mean(axis=0)
    variance = np.maximum((c * c).sum(axis=0), np.finfo(float).tiny)
    lagged = (c[1:] * c[:-1]).sum(axis=0) / variance
    return independent(len(x)), float(lagged.max() * np.sqrt(len(x)))


def _independence(order: Order, correlated: bool) -> str:
    if not correlated:
        return "the points are independent (correlated=False)"
    return (
        f"the points are one stationary chain; autocorrelation time {order.time:.3g}, effective "
        f"sample size {order.effective:.0f}"
    )


def _findings(
    tests: dict[str, float], order: Order, correlated: bool, looks: float, alpha: float, notes: Any
) -> tuple[Finding, ...]:
    doubt = ""
    short = order.effective < (SHORT_CHAIN if correlated else SHORT)
    if looks > LOOKS_CORRELATED:
        doubt = "neighbouring points are correlated, so no p-value holds: say correlated=True"
    elif short:
        doubt = f"effective sample size {order.effective:.0f} is too small to tell"
    stands = alpha / CAUTION  # a rejection at this, short or not
    resolved = stands * 2.0 ** min(order.blocks - 1, 99) >= PATTERNS
    if correlated or looks > LOOKS_CORRELATED or not resolved:
        stands = -1.0  # below every p, of which bridges' may be 0
    return tuple(_finding(name, p, alpha, doubt, stands, notes) for name, p in tests.items())


def _finding(
    name: str, p: float, alpha: float, doubt: str, stands: float, notes: tuple[str, ...]
) -> Finding:
    fails = p <= alpha * (1.0 + 1e-9)
    said, level = f"p = {p:.3g}, corrected for all tests", f"{100 * alpha:g}%"
    if doubt and not p <= stands * (1.0 + 1e-9):
        verdict, reason = Verdict.UNDECIDED, f"{doubt}; {said}"
    elif fails:
        verdict, reason = Verdict.REJECTED, f"REJECTED at {level}: {said}"
    else:
        verdict, reason = Verdict.ACCEPTED, f"not rejected at {level}: {said}"
    return Finding(f"not rejected: {name}", verdict, 1.0 - p, 1.0 - alpha, notes, reason=reason)
