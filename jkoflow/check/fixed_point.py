"""How nearly a measure solves ρ = exp(−β δS/δρ)/Z, and how far F(ρ) is from F's minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from ..functionals.base import Functional, Smooth, SmoothSum
from ..measures.base import Array, Measure
from ..measures.radial import log_ball_volume
from ..status import MissingStructure
from . import policy
from .evaluate import Evaluated, real
from .functional import mixtures
from .verdict import Finding, Report, Verdict, at_most, rejected, undecided

CONVEX = "S is convex along mixtures, as it claims (check_functional attacks it)"
TAILS = "exp(−β δS/δρ) is negligible where its logarithm is 45 below its maximum, and beyond"
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class Gibbs(NamedTuple):
    """ρ̂ = exp(−βψ)/Z by quadrature: log Z, and nodes with the masses of ρ̂ at them."""

    log_partition: float
    nodes: Array
    masses: Array


def check_fixed_point(
    F: Functional,
    mu: Measure,
    *,
    tolerance: float = policy.FIXED_POINT,
    domain: tuple[float, float] | None = None,
) -> Report:
    """Judge whether ρ solves the fixed-point equation of F = S + H/β, and bound F(ρ) − min F.

    With ψ = δS/δρ at ρ and ρ̂ = exp(−βψ)/Z, the equation holds iff KL(ρ‖ρ̂) = 0. If S is convex
    along mixtures, every ν has F(ν) ≥ S(ρ) − ∫ψ dρ − log Z/β, which bounds the gap with no
    knowledge of the minimiser (it is KL(ρ‖ρ̂)/β, up to how ∫ψ dρ is summed); and no minimum
    exceeds F(ρ̂). Where S is not, the equation may hold and minimality is UNDECIDED.

    Parameters
    ----------
    F : Functional
        Smooth terms and `Entropy`.
    mu : Measure
        Quantiles, Radial, or Gaussian in dimension at most 3.
    tolerance : float
        Largest KL(ρ‖ρ̂) that counts as solving the equation.
    domain : (float, float), optional
        Ends of the space (walls); the whole line or R^d if not given.

    Returns
    -------
    Report

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, QuadraticPotential
    >>> F = Entropy() / 2 + QuadraticPotential(2.0)
    >>> report = check_fixed_point(F, Gaussian(0.0, 0.25))
    >>> report.verdict.name, bool(report["gap"].measured < 1e-12)
    ('ACCEPTED', True)
    >>> check_fixed_point(F, Gaussian(0.0, 0.5))["equation"].verdict.name
    'REJECTED'
    """
    subject = f"the fixed point of {F!r}"
    names = [f.spec().get("name") for _, f in F.internal.terms]
    inverse = sum(c for c, _ in F.internal.terms)
    if not names or set(names) != {"Entropy"} or not inverse > 0:
        reason = "F is not a smooth functional plus a positive multiple of the entropy"
        return Report(subject, (undecided("equation", reason),))
    try:
        with np.errstate(all="ignore"):
            found = _findings(F, mu, 1.0 / inverse, tolerance, domain)
    except MissingStructure as error:
        found = [undecided("equation", str(error))]
    except Exception as error:  # a user's functional may raise anything
        found = [rejected("evaluation", f"{type(error).__name__}: {error}")]
    return Report(subject, tuple(found))


def _findings(
    F: Functional, mu: Measure, beta: float, tolerance: float, domain: Any
) -> list[Finding]:
    smooth = F.smooth if F.smooth.terms else SmoothSum([])
    local = smooth.on(mu)
    x, w = mu.points, mu.weights

    def psi(at: Array) -> Array:
        return local.first_variation_at_points(x, w, at)

    coarse, fine = _gibbs(mu, psi, beta, domain)
    if fine is None or coarse is None:
        return [undecided("equation", "exp(−β δS/δρ) could not be integrated: "
                          "it does not decay, or the dimension is above 3")]  # fmt: skip
    entropy = real(F.internal.value(mu)) * beta
    at_edges = float(w @ psi(x))
    inside = [_mean(mu, psi, order) for order in (8, 16)]
    error = 4.0 * abs(fine.log_partition - coarse.log_partition)
    error += policy.ROUNDING * policy.EPS * (abs(entropy) + abs(fine.log_partition))
    spread = error + 4.0 * beta * abs(inside[1] - inside[0])
    kl = entropy + beta * inside[1] + fine.log_partition
    tv = _total_variation(mu, psi, beta, fine)
    doubt = Verdict.UNDECIDED if kl - spread <= tolerance else Verdict.REJECTED
    reason = f"KL(ρ‖ρ̂) is {kl:.3g} ± {spread:.1g}"
    found = [
        at_most("equation", kl + spread, tolerance, (TAILS,), reason, doubt),
        at_most("total variation", tv, math.sqrt(0.5 * tolerance) + 1e-3, (TAILS,), reason, doubt),
    ]
    upper = (entropy + beta * at_edges + fine.log_partition + error) / beta
    return found + _gap(F, mu, smooth, psi, beta, fine, upper, tolerance / beta)


def _gap(
    F: Functional,
    mu: Measure,
    smooth: Smooth,
    psi: Callable[[Array], Array],
    beta: float,
    gibbs: Gibbs,
    upper: float,
    bound: float,
) -> list[Finding]:
    """F(ρ) − F* ≤ KL/β, and F(ρ) − F* ≥ F(ρ) − F(ρ̂)."""
    if not smooth.convex_in_mixtures:
        reason = "S does not claim convexity along mixtures: other solutions may have less energy"
        return [undecided("gap", reason)]
    there = smooth.on(mu).value_at_points(gibbs.nodes, gibbs.masses)
    entropy = -beta * float(gibbs.masses @ psi(gibbs.nodes)) - gibbs.log_partition
    lower = real(F.value(mu)) - there - entropy / beta
    reason = f"F(ρ) − min F is between {lower:.6g} and {upper:.6g}"
    doubt = Verdict.REJECTED if lower > bound else Verdict.UNDECIDED
    found = at_most("gap", upper, bound, (CONVEX, TAILS), reason, doubt)
    found = replace(found, reason=reason)
    slack = policy.STORED * abs(there) + 1e-9 + abs(bound)
    consistent = at_most("gap's lower companion", lower - upper, slack, (), "the bounds cross")
    margin = policy.ROUNDING * policy.EPS * abs(there)
    here = Evaluated(mu, there, margin, mu.points, blur=0.0, size=0.0)
    return [found, consistent, *mixtures(smooth, here, np.random.default_rng(0))]


def _mean(mu: Measure, psi: Callable[[Array], Array], order: int) -> float:
    """∫ψ dρ with the density of each cell, not with its edges."""
    if mu.kind == "gaussian":
        nodes, weights = mu.quadrature(2 * order)  # type: ignore[attr-defined]
        return float(weights @ psi(nodes))
    edges, mass = mu.to_arrays()["edges"], mu.to_arrays()["mass"]
    t, g = np.polynomial.legendre.leggauss(order)
    a, b = edges[:-1, None], edges[1:, None]
    nodes = 0.5 * (a + b) + 0.5 * (b - a) * t
    if mu.kind == "radial":
        g = g * (nodes / b) ** (mu.dim - 1)
    else:
        g = np.broadcast_to(g, nodes.shape)
    weights = mass[:, None] * g / g.sum(axis=1, keepdims=True)
    return float(weights.ravel() @ psi(nodes.reshape(-1, 1)))


def _gibbs(
    mu: Measure, psi: Callable[[Array], Array], beta: float, domain: Any
) -> tuple[Gibbs | None, Gibbs | None]:
    """ρ̂ by a coarse and by a fine quadrature."""
    if mu.points.shape[1] == 1:
        density = _log_weight(mu, psi, beta)
        ends = domain if domain is not None else _extent(mu, density)
        if ends is None:
            return None, None
        return _composite(density, ends, 300), _composite(density, ends, 450)
    if mu.dim > 3:
        return None, None
    orders = {2: (40, 60), 3: (20, 30)}[mu.dim]
    return _relative(mu, psi, beta, orders[0]), _relative(mu, psi, beta, orders[1])


def _log_weight(
    mu: Measure, psi: Callable[[Array], Array], beta: float
) -> Callable[[Array], Array]:
    """log of exp(−βψ) with respect to dx, or dr for radial laws."""
    if mu.kind != "radial":
        return lambda r: -beta * psi(r[:, None])
    sphere = math.log(mu.dim) + log_ball_volume(mu.dim)
    return lambda r: sphere + (mu.dim - 1) * np.log(r) - beta * psi(r[:, None])


def _extent(mu: Measure, density: Callable[[Array], Array]) -> tuple[float, float] | None:
    """An interval around the points beyond which exp(−βψ) is negligible; None if it stays."""
    low, high = float(mu.points.min()), float(mu.points.max())
    width = 0.5 * max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-9)
    for _ in range(80):
        grid = np.linspace(low, high, 1025)[1:]
        values = density(grid)
        top = values.max()
        left = bool((values[:8] < top - policy.NEGLIGIBLE).all()) or (
            mu.kind == "radial" and low <= 0.0
        )
        right = bool((values[-8:] < top - policy.NEGLIGIBLE).all())
        if not np.isfinite(top) or (left and right):
            return (low, high) if np.isfinite(top) else None
        low, high = low - (0.0 if left else width), high + (0.0 if right else width)
        low, width = max(low, 0.0) if mu.kind == "radial" else low, 1.3 * width
    return None


def _composite(
    density: Callable[[Array], Array], ends: tuple[float, float], panels: int
) -> Gibbs:
    """Gauss–Legendre on equal panels."""
    grid = np.linspace(*ends, panels + 1)
    half = 0.5 * np.diff(grid)[:, None]
    nodes = (grid[:-1, None] + half + half * _NODES).ravel()
    logs = density(nodes) + np.log((half * _WEIGHTS).ravel())
    total = float(logsumexp(logs))
    return Gibbs(total, nodes[:, None], np.exp(logs - total))


def _relative(mu: Any, psi: Callable[[Array], Array], beta: float, order: int) -> Gibbs:
    """Gauss–Hermite with respect to the Gaussian itself: Z = ∫exp(−βψ − log ρ) dρ."""
    nodes, weights = mu.quadrature(order)
    logs = np.log(weights) - beta * psi(nodes) - mu.log_density(nodes)
    total = float(logsumexp(logs))
    return Gibbs(total, nodes, np.exp(logs - total))


def _total_variation(
    mu: Any, psi: Callable[[Array], Array], beta: float, gibbs: Gibbs
) -> float:
    """½∫|ρ − ρ̂| at the nodes of ρ̂."""
    log_ratio = mu.log_density(gibbs.nodes) + beta * psi(gibbs.nodes) + gibbs.log_partition
    with np.errstate(divide="ignore"):
        here = np.exp(log_ratio + np.log(gibbs.masses))
    return 0.5 * float(np.abs(here - gibbs.masses).sum())
