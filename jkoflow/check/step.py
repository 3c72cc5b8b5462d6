"""One JKO step: is ``after`` the minimiser of F(ρ) + W2²(ρ, before)/(2τ)?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..measures.base import Array, Measure
from ..measures.cubature import normal_cubature
from ..record import Witness
from ..status import MissingStructure
from . import policy
from .evaluate import Evaluated, evaluate, norm
from .transport import Transport, certify
from .verdict import Finding, Report, Verdict, at_most, rejected, undecided

CLAIMED = "F is λ-convex along generalised geodesics, as it claims (check_functional attacks it)"
BOUNDED = "F's parts are bounded from below, as they claim (check_functional attacks it)"
DISCRETE = {
    "particles": "the step is that of point clouds: W2 and F of the given points",
    "quantiles": "integrals and W2 are those of the edges with lumped masses",
    "radial": "integrals and W2 are those of the radii with lumped masses",
    "gaussian": "the step is that of Gaussian laws; smooth integrals are taken by cubature",
}


def check_step(
    F: Functional,
    before: Measure,
    after: Measure,
    tau: float,
    *,
    witness: Witness | None = None,
) -> Report:
    """Judge one step: membership, transport, energy, stationarity, minimality.

    With ξ = ∇δF(X) + (X − T(X))/τ at the new points and κ = 1/τ + λ, the step is accepted if
    F(ρ⁺) + W2²/(2τ) ≤ F(ρ_k), r = ‖ξ‖ is small against the slope W2/τ, and r²/(2κ), which bounds
    the distance of the objective to its minimum, is small against F(ρ_k) − F(ρ⁺). The exact
    bounds are in docs/acceptance.md and `jkoflow.check.policy`.

    Parameters
    ----------
    F : Functional
    before, after : Measure
        ρ_k and ρ⁺, of one kind.
    tau : float
    witness : Witness, optional
        Evidence for the transport; without it only laws on the line can be judged.

    Returns
    -------
    Report

    Examples
    --------
    >>> from jkoflow import Gaussian, QuadraticPotential
    >>> step = lambda mean: check_step(
    ...     QuadraticPotential(1.0), Gaussian(2.0, 1.0), Gaussian(mean, 0.25), tau=1.0)
    >>> step(1.0).verdict.name, step(1.001).verdict.name
    ('ACCEPTED', 'REJECTED')
    """
    return Report(f"one step of {F!r}", tuple(step_findings(F, before, after, tau, witness)))


def step_findings(
    F: Functional, before: Measure, after: Measure, tau: float, witness: Witness | None
) -> list[Finding]:
    """The findings of `check_step`."""
    found = [membership(before, after, tau)]
    if found[0].verdict is not Verdict.ACCEPTED:
        return found
    try:
        old, new = evaluate(F, before), evaluate(F, after)
    except MissingStructure as error:
        return [*found, undecided("evaluation", str(error))]
    except Exception as error:  # a user's functional may raise anything
        return [*found, rejected("evaluation", f"{type(error).__name__}: {error}")]
    judgement = judged(F, old, new, tau, witness)
    return found + [item for item in judgement if isinstance(item, Finding)]


def judged(
    F: Functional, old: Evaluated, new: Evaluated, tau: float, witness: Witness | None
) -> Iterator[Finding | Transport]:
    """Transport and what rests on it, for measures that are known to belong together."""
    transport = certify(new.measure, old.measure, witness)
    if isinstance(transport, Finding):
        yield transport
        return
    yield transport
    yield transport.finding
    yield energy_inequality(old, new, transport, tau)
    at_rest = residual(old, new, transport, tau, witness)
    yield stationarity(old, new, transport, tau, at_rest)
    yield minimality(F, old, new, transport, tau, at_rest)


def membership(before: Measure, after: Measure, tau: float) -> Finding:
    """Same kind and space, finite, nonnegative weights of sum 1, and a step that is one."""
    claim = "membership"
    if not (np.ndim(tau) == 0 and np.isfinite(tau) and tau > 0):
        return rejected(claim, f"tau must be positive and finite, but is {tau!r}")
    if after.kind != before.kind or after.dim != before.dim:
        return rejected(claim, f"a {after.kind} in R^{after.dim} after a {before.kind} in "
                               f"R^{before.dim}")  # fmt: skip
    off, bound = 0.0, policy.MASS
    for mu in (before, after):
        x, w = mu.points, mu.weights
        if not (np.isfinite(x).all() and np.isfinite(w).all() and (w >= 0).all()):
            return rejected(claim, "points or weights are not finite, or weights are negative")
        if hasattr(mu, "edges") and (np.diff(x[:, 0]) < 0).any():
            return rejected(claim, "the edges are not sorted")
        if mu.kind == "radial" and x[0, 0] < 0:
            return rejected(claim, "a radius is negative")
        off = max(off, abs(float(w.sum()) - 1.0))
        bound = max(bound, policy.MASS + len(w) * policy.EPS)
    return at_most(claim, off, bound, (DISCRETE[after.kind],) if after.kind in DISCRETE else (),
                   "the weights do not sum to 1")  # fmt: skip


def energy_inequality(old: Evaluated, new: Evaluated, transport: Transport, tau: float) -> Finding:
    """F(ρ⁺) + W2²/(2τ) ≤ F(ρ_k): what any step must do, and a wrong one may do too."""
    excess = new.energy + transport.squared / (2.0 * tau) - old.energy
    bound = old.margin + new.margin + blind_square(new, old, transport.squared) / (2.0 * tau)
    return at_most("energy", excess, bound, (), "the step does not pay for its transport")


def blind_square(new: Evaluated, old: Evaluated, squared: float) -> float:
    """Rounding error of W2²: differences of points carry EPS times the points."""
    blind = policy.ROUNDING * policy.EPS * extent(old.measure, new.measure)
    return blind * (2.0 * math.sqrt(squared) + blind)


def extent(x: Measure, y: Measure) -> float:
    """Size of the coordinates whose differences make up W2."""
    return norm(x.points, x.weights) + norm(y.points, y.weights)


class Residual(NamedTuple):
    """‖ξ‖ over the admissible displacements: ``r``; with the coupling's spread: ``full``.

    ``held`` leaves out the ends that the witness calls fixed, wherever they are pulled.
    """

    r: float
    full: float
    held: float
    walls: tuple[str, ...] = ()


def residual(
    old: Evaluated, new: Evaluated, transport: Transport, tau: float, witness: Witness | None
) -> Residual:
    """How far ξ = ∇δF(X) + (X − T(X))/τ is from zero."""
    mu = new.measure
    xi = new.gradient + (mu.points - transport.target) / tau
    if mu.kind == "gaussian":
        r = affine_norm(mu, xi)
        return Residual(r, r, r)
    if not hasattr(mu, "edges"):
        r = norm(xi, mu.weights)
        return Residual(r, math.hypot(r, math.sqrt(transport.spread) / tau), r)
    left, right = fixed_ends(old.measure, mu, witness)
    ends = [f"{mu.points[k, 0]:.6g}" for k, wall in ((0, left), (-1, right)) if wall]
    walls = (f"the space ends in walls without flux at {' and '.join(ends)}",) if ends else ()
    origin = mu.kind == "radial" and mu.points[0, 0] == 0.0
    v = admissible(-xi, mu, left or origin, right)
    r = norm(v, mu.weights)
    inner = slice(1 if left else 0, -1 if right else None)
    full = math.hypot(r, math.sqrt(transport.spread) / tau)
    return Residual(r, full, norm(v[inner], mu.weights[inner]), walls)


def affine_norm(mu: Measure, xi: Array) -> float:
    """Norm of the tangent vector of Gaussians, b + H(x − m) with H symmetric, that ξ stands for.

    The points are m + Rz, and a change of R by δR changes the objective by ⟨G, δR⟩ with
    G = Σ w ξ zᵀ; so HR + RH = G + Gᵀ, and the squared norm is |b|² + tr(HR²H).
    """
    z, w = normal_cubature(mu.dim)
    values, vectors = np.linalg.eigh(mu.cov())
    s = np.sqrt(np.maximum(values, 0.0))
    G = vectors.T @ (xi * w[:, None]).T @ z @ vectors
    sums = s[:, None] + s
    H = np.divide(G + G.T, sums, out=np.zeros_like(G), where=sums > 0)
    return float(np.hypot(np.linalg.norm(w @ xi), np.linalg.norm(H * s)))


def fixed_ends(before: Measure, after: Measure, witness: Witness | None) -> tuple[bool, bool]:
    """Which ends the witness says are walls; only an end that did not move can be one."""
    if witness is None or "fixed" not in witness.arrays:
        return False, False
    flags = np.asarray(witness.arrays["fixed"]).ravel().astype(bool)
    x, y = before.points[:, 0], after.points[:, 0]
    return (
        bool(len(flags) == 2 and flags[0] and x[0] == y[0]),
        bool(len(flags) == 2 and flags[1] and x[-1] == y[-1]),
    )


def admissible(v: Array, mu: Measure, left: bool, right: bool) -> Array:
    """The projection of v on the displacements that keep the edges sorted, and within walls.

    Only edges that coincide can cross, so it is isotonic regression on each run of equal edges.
    For every sorted Y, ⟨v, Y − X⟩ ≤ ‖projection‖‖Y − X‖.
    """
    v, x, w = np.array(v), mu.points[:, 0], mu.weights
    tied = np.flatnonzero(np.diff(x) == 0)
    for run in np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1) if len(tied) else []:
        block = slice(run[0], run[-1] + 2)
        v[block, 0] = isotonic(v[block, 0], w[block])
    if left:
        v[x == x[0]] = np.maximum(v[x == x[0]], 0.0)
    if right:
        v[x == x[-1]] = np.minimum(v[x == x[-1]], 0.0)
    return v


def isotonic(v: Array, w: Array) -> Array:
    """The nearest nondecreasing vector in the weighted L2 norm, by pooling adjacent violators.

    Examples
    --------
    >>> isotonic(np.array([1.0, 3.0, 1.0]), np.array([1.0, 1.0, 3.0]))
    array([1. , 1.5, 1.5])
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(v, w, strict=True):
        pool = (float(value), float(weight), 1)
        while pools and pools[-1][0] >= pool[0]:
            mean, mass, count = pools.pop()
            total = mass + pool[1]
            pool = ((mean * mass + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    return np.repeat([p[0] for p in pools], [p[2] for p in pools])


def stationarity(
    old: Evaluated, new: Evaluated, transport: Transport, tau: float, at_rest: Residual
) -> Finding:
    """r ≤ 1e-4 of the slope, up to rounding of the gradient and of the energy.

    A residual r changes the objective by about r²τ/2: below the rounding of the energy no method
    that looks at energies can improve the step, so such an r is no fault of the step.
    """
    claim, slope = "stationarity", math.sqrt(transport.squared) / tau
    size = extent(old.measure, new.measure) / tau
    bound = policy.STATIONARITY * slope + new.blur + math.sqrt(2.0 * blindness(new) / tau)
    bound += 8.0 * policy.EPS * size
    if new.blur > policy.BLIND * (new.size + slope) + policy.RESOLUTION * size:
        return undecided(claim, f"rounding alone leaves a residual of {new.blur:.3g}")
    doubt, reason = Verdict.REJECTED, "the optimality condition does not hold"
    if at_rest.held <= bound:
        doubt, reason = Verdict.UNDECIDED, "it holds only if ends are held that F pulls inwards"
    elif not new.exact:
        doubt, reason = Verdict.UNDECIDED, "it does not hold, but the cubature may be too coarse"
    return at_most(claim, at_rest.r, bound, at_rest.walls, reason, doubt)


def blindness(new: Evaluated) -> float:
    """An energy difference too small to be seen."""
    return new.margin / 16.0


def minimality(
    F: Functional,
    old: Evaluated,
    new: Evaluated,
    transport: Transport,
    tau: float,
    at_rest: Residual,
) -> Finding:
    """r²/(2κ) bounds the objective's distance to its minimum where κ = 1/τ + λ > 0."""
    claim = "minimality"
    try:
        modulus, basis = convexity(F, old, new, transport, tau)
    except Exception as error:  # a user's claim may raise anything
        return undecided(claim, f"F's claims cannot be had: {type(error).__name__}: {error}")
    if modulus is None or not math.isfinite(modulus):
        return undecided(claim, basis if modulus is None else "F claims no finite modulus")
    kappa = 1.0 / tau + modulus
    if not kappa > 0:
        why = f"1/τ + λ = {kappa:.3g} is not positive: a smaller τ could be certified"
        return undecided(claim, why)
    r = at_rest.full
    gap = r * r / (2.0 * kappa)
    floor = old.margin + new.margin + new.blur**2 / kappa + 2.0 * blindness(new) / (kappa * tau)
    bound = policy.GAP * max(0.0, old.energy - new.energy) + floor
    reason = f"the gap is not certified: r = {r:.3g}, κ = {kappa:.3g}"
    assumptions = (CLAIMED, *((BOUNDED,) if basis == BOUNDED else ()), *at_rest.walls)
    return at_most(claim, gap, bound, assumptions, reason, Verdict.UNDECIDED)


def convexity(
    F: Functional, old: Evaluated, new: Evaluated, transport: Transport, tau: float
) -> tuple[float | None, str]:
    """A modulus valid between ρ⁺ and every minimiser of the step, and what it rests on.

    A minimiser Y has W2²(Y, ρ_k)/(2τ) ≤ F(ρ⁺) + W2²/(2τ) − F(Y), so a lower bound of F keeps it
    in a ball about ρ⁺, on which a local modulus is enough.
    """
    if F.convexity is not None:
        return float(F.convexity), "claimed everywhere"
    reach = farthest(F, old, new, transport, tau)
    if reach is None:
        return None, "F claims neither convexity everywhere nor a lower bound"
    radius = math.sqrt(transport.squared) + reach
    modulus = F.convexity_near(new.measure, radius)
    if modulus is None:
        return None, f"F claims no convexity on the ball of radius {radius:.3g}"
    return float(modulus), BOUNDED


def farthest(
    F: Functional, old: Evaluated, new: Evaluated, transport: Transport, tau: float
) -> float | None:
    """A bound on W2(Y, ρ_k) for all Y whose objective F(Y) + W2²(Y, ρ_k)/(2τ) is as low as ρ⁺'s.

    The entropy has no lower bound of its own, but H(Y) ≥ −(d/2) log(2πe M/d) for the second
    moment M of Y, and √M ≤ √M(ρ_k) + c·W2 (c = √2 where a cell's mass may sit at its outer edge).
    """
    rest, entropy = 0.0, 0.0
    for c, f in F.terms:
        bound = f.lower_bound()
        if c > 0 and f.spec().get("name") == "Entropy":
            entropy += c
        elif bound is None or c < 0 or not math.isfinite(bound):
            return None
        else:
            rest += c * bound
    mu, d = old.measure, old.measure.dim
    if mu.kind == "gaussian":
        root, c = math.sqrt(float(np.trace(mu.cov()) + mu.mean() @ mu.mean())), 1.0
    elif mu.kind == "radial":
        root, c = math.sqrt(float(mu.mass @ mu.edges[1:] ** 2)), math.sqrt(2.0)  # type: ignore[attr-defined]
    else:
        root, c = norm(mu.points, mu.weights), 1.0

    def room(w: float) -> float:
        least = rest - 0.5 * entropy * d * math.log(2 * math.pi * math.e * (root + c * w) ** 2 / d)
        return math.sqrt(2.0 * tau * max(0.0, level - least))

    level = new.energy + old.margin + new.margin + transport.squared / (2.0 * tau)
    # w² − room(w)² is convex and not positive at w = W2(ρ⁺, ρ_k): beyond, it has one root
    w = max(math.sqrt(transport.squared), 1e-6 * root, 1e-12)
    while room(w) > w:
        w *= 2.0
    for _ in range(60):
        w = room(w)
    return w
