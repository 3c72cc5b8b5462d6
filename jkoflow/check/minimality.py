"""How far a step's objective can be above its minimum: residuals where something is convex."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..functionals.base import Functional
from ..functionals.corners import modulus_in_corners
from ..measures.base import Array
from ..status import MissingStructure, NotDefined
from ..verdict import Finding, Verdict, undecided, worst
from . import policy
from .residual import Steps

CLAIMED = "F is λ-convex along generalised geodesics, as it claims (check_functional attacks it)"
BOUNDED = "F's parts are bounded from below, as they claim (check_functional attacks it)"
PAIRED = "other steps are meshes of these simplices, no place covered twice, the nodes paired alike"
MIXED = "F is convex along mixtures, and δF as convex as it claims (check_functional attacks it)"


def minimality(s: Steps) -> Finding:
    """r²/(2κ) bounds the objective's distance to its minimum, on one of the `grounds`."""
    best = undecided("minimality", "F claims no convexity")
    try:
        F, rest, besides = claiming(s)
        for what, moduli, r, assumed in grounds(s, F):
            lam = np.array(moduli, dtype=float) + rest
            found = gap(s, what, lam, s.with_spread(r), (*assumed, *besides))
            if found.verdict is Verdict.ACCEPTED:
                return found
            best = min(found, best, key=lambda f: f.severity)
    except (MissingStructure, NotDefined) as error:
        best = undecided("minimality", str(error))
    except Exception as error:  # a user's claim may raise anything
        best = undecided("minimality", f"F's claims: {type(error).__name__}: {error}")
    return s.somewhere(best) if math.isnan(best.measured) else best


def claiming(s: Steps) -> tuple[Functional, Array | float, tuple[str, ...]]:
    """What of F has moduli that it claims; λ (K,) of the rest; and what that rests on."""
    F, laws = s.F.internal, s.new.laws
    if laws.mu.kind != "mesh" or not F.terms:
        return s.F, 0.0, ()
    return s.F.smooth, np.array([modulus_in_corners(F, mu) for mu in laws.measures]), (PAIRED,)


Ground = tuple[str, Sequence[float | None], Array, tuple[str, ...]]


def grounds(s: Steps, F: Functional) -> Iterator[Ground]:
    """What F claims to be convex: its name, λ of each step, the residual, what is assumed.

    Along generalised geodesics: objective(ρ⁺) − objective(Y) ≤ r‖Y − X‖ − (κ/2)‖Y − X‖² for all Y
    that the modulus holds for. Along mixtures: F(Y) ≥ F(ρ⁺) + ∫V d(Y − ρ⁺) with V = δF(ρ⁺), and
    where the mass of x_j may go by itself, V(y) + |y − x_j|²/(2τ) is κ-convex in y.
    """
    laws, many = s.new.laws, len(s.tau)
    if F.convexity is not None:
        yield "everywhere", [F.convexity] * many, s.r, (CLAIMED,)
    if F is s.F and F.convex_in_mixtures and not laws.gaussian:
        # cubature points do not move as they like, hence not for Gaussians
        moduli = [F.convexity_of_variation(mu) for mu in laws.measures]
        if None not in moduli:
            yield "of its first variation", moduli, s.raw, (MIXED,)
    if F.convexity is None:
        yield "near the step", [nearby(s, F, k) for k in range(many)], s.r, (CLAIMED, BOUNDED)


def gap(s: Steps, what: str, lam: Array, r: Array, assumed: tuple[str, ...]) -> Finding:
    """r²/(2κ) against what the step gains."""
    claim, new, kappa = "minimality", s.new.rows, 1.0 / s.tau + lam
    if not np.isfinite(kappa).all():
        return undecided(claim, f"F claims no finite modulus of convexity {what}")
    if not (kappa > 0).all():
        why = f"1/τ + λ = {kappa.min():.3g} is not positive: a smaller τ could be certified"
        return undecided(claim, why)
    bound = policy.GAP * np.maximum(0.0, s.old.energy - new.energy)
    bound += s.old.margin + new.margin + new.blur * (new.blur / kappa)
    reason = lambda k: f"the gap is not certified: r = {r[k]:.3g}, κ = {kappa[k]:.3g}"  # noqa: E731
    return worst(claim, r * (r / (2.0 * kappa)), bound, assumed, reason, Verdict.UNDECIDED, s.first)


def nearby(s: Steps, part: Functional, k: int) -> float | None:
    """A modulus between ρ⁺ and every minimiser of the step, if that part of F claims one.

    A minimiser Y has W2²(Y, ρ_k)/(2τ) ≤ F(ρ⁺) + W2²/(2τ) − F(Y), so a lower bound of F keeps it
    in a ball about ρ⁺, on which a local modulus is enough. Without one it may be anywhere.
    """
    squared, tau = float(s.transport.squared[k]), float(s.tau[k])
    level = s.new.rows.energy[k] + s.old.margin[k] + s.new.rows.margin[k] + squared / (2.0 * tau)
    reach = farthest(s.F, s.before.measures[k], float(level), squared, tau)
    if reach is None:
        return None
    return part.convexity_near(s.new.laws.measures[k], math.sqrt(squared) + reach)


def farthest(F: Functional, mu: Any, level: float, squared: float, tau: float) -> float | None:
    """A bound on W2(Y, μ) for all Y with F(Y) + W2²(Y, μ)/(2τ) ≤ level, as one at √squared has.

    With L(w) a lower bound of F within w of μ, such a Y has w ≤ room(w) = √(2τ(level − L(w))).
    """
    least = F.lower_bound_near(mu, 0.0)
    if least is None or not math.isfinite(least):
        return math.inf if least is None else None

    def room(w: float) -> float:
        bound = F.lower_bound_near(mu, w)
        return math.sqrt(2.0 * tau * max(0.0, level - (-math.inf if bound is None else bound)))

    # w² − room(w)² is convex and not positive at √squared: beyond, it has one root, and
    # w ↦ room(w) falls towards it from above
    w = max(math.sqrt(squared), 1e-12)
    while room(w) > w:
        w *= 2.0
    for _ in range(60):
        w, last = room(w), w
        if w > 0.999 * last:
            break
    return w
