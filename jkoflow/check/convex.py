"""What the minimising steps of a λ-convex F satisfy besides: proved, hence checked, not needed.

Let X minimise F + W2²(·, x)/(2τ) up to a residual r = ‖ξ‖, g⁺ = ∇δF(X) = ξ − (X − x)/τ, and F be
λ-convex: F(Y) ≥ F(X) + ⟨g⁺, Y − X⟩ + (λ/2)‖Y − X‖². All that follows is this, at Y = x, at Y = ν,
or with the places of X and Y exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..measures.base import Array, Measure
from . import policy
from .evaluate import name_of
from .many import Rows, norms
from .step import CLAIMED, Steps
from .verdict import Finding, at_most

ASSUMED = (CLAIMED,)
_AFFINE = {"Entropy", "QuadraticPotential", "QuadraticInteraction"}


def modulus(F: Functional, mu: Measure) -> float | None:
    """λ, where F claims one everywhere and the judge's arithmetic is that of the proof.

    Geodesics of Gaussians turn their cubature, so that there only functionals for which it is
    exact obey the inequalities to the last digit.
    """
    if F.convexity is None or not np.isfinite(F.convexity):
        return None
    if mu.kind == "gaussian" and not {name_of(f) for _, f in F.terms} <= _AFFINE:
        return None
    return float(F.convexity)


class Reference(NamedTuple):
    """A measure to compare with, and its rows."""

    measure: Measure
    rows: Rows


def slope_decay(s: Steps, lam: float) -> Finding:
    """(1 + λτ) W2/τ ≤ ‖∇δF(x)‖ + r, since ⟨g⁺ − g, X − x⟩ ≥ λW2²."""
    fall = 1.0 + lam * s.tau
    excess = fall * s.slope - s.old.slope - loose(s)
    bound = s.old.blur + s.new.rows.blur + np.abs(fall) * s.blind / s.tau
    bound += policy.ROUNDING * policy.EPS * (s.old.slope + s.slope)
    return s.worst("slope decay", excess, bound, ASSUMED, "the slope falls too slowly")


def against(s: Steps, lam: float, other: Reference) -> list[Finding]:
    """EVI and contraction towards ν, of cells with the same masses: there W2 is flat.

    [W2²(X,ν) − W2²(x,ν) + W2²(X,x)]/(2τ) + (λ/2)W2²(X,ν) ≤ F(ν) − F(X) + r W2(X,ν), and
    (1/τ + λ) W2(X,ν) ≤ W2(x,ν)/τ + ‖∇δF(ν)‖ + r.
    """
    laws, z = s.new.laws, other.measure.points
    first = norms(s.before[0].points[None] - z, laws.w)
    far = np.append(first, norms(laws.x - z, laws.w))
    here, there, r = far[:-1], far[1:], loose(s)
    size = s.old.extent + s.new.rows.extent + other.rows.extent
    blind = policy.ROUNDING * policy.EPS * size
    excess = (there**2 - here**2 + s.transport.squared) / (2.0 * s.tau) + 0.5 * lam * there**2
    excess += s.new.rows.energy - other.rows.energy - r * there
    reach = here + there + s.slope * s.tau + blind
    bound = blind * reach * (1.0 / s.tau + abs(lam)) + s.new.rows.margin + other.rows.margin
    bound += s.new.rows.blur * there
    why = "the step contradicts the evolution variational inequality"
    evi = s.worst("evolution variational inequality", excess, bound, ASSUMED, why)
    excess = (1.0 / s.tau + lam) * there - here / s.tau - other.rows.slope - r
    bound = blind * (1.0 / s.tau + abs(lam)) + other.rows.blur + s.new.rows.blur
    bound += policy.ROUNDING * policy.EPS * other.rows.slope
    why = "the run approaches a measure more slowly than λ allows"
    return [evi, s.worst("contraction", excess, bound, ASSUMED, why)]


def loose(s: Steps) -> Array:
    """r, with what a coupling that splits points adds."""
    return np.asarray(s.r + np.sqrt(s.transport.spread) / s.tau)


@dataclass
class Dissipation:
    """F_0 − F_K between Σ W2²/(2τ) + Σ τ|∂F|²/2 with the slopes after and before the steps.

    F(x) − F(X) ≥ W2²/(2τ) + (τ/2)|∂F(X)|² + (λ/2)W2² − 2rW2 − τr²/2, and
    F(x) − F(X) ≤ W2²/(2τ) + (τ/2)|∂F(x)|² − (λ/2)W2².
    """

    after: float = 0.0
    before: float = 0.0
    margin: float = 0.0
    count: int = 0

    def add(self, s: Steps, lam: float) -> None:
        """Take up some steps."""
        self.count += len(s.tau)
        squared, r, new = s.transport.squared, loose(s), s.new.rows
        w2, steep = np.sqrt(squared), np.minimum(new.slope, s.slope + r)
        paid = squared / (2.0 * s.tau)
        curved = 0.5 * lam * squared
        off = 2.0 * r * w2 + 0.5 * s.tau * r * r
        self.after += float((paid + 0.5 * s.tau * steep**2 + curved - off).sum())
        self.before += float((paid + 0.5 * s.tau * s.old.slope**2 - curved).sum())
        blur = (s.old.blur + new.blur) * (w2 + s.tau * (s.old.slope + new.slope))
        blur += s.blind_square * (1.0 / s.tau + abs(lam)) + s.old.margin + new.margin
        blur += policy.ROUNDING * policy.EPS * (paid + s.tau * (s.old.slope**2 + new.slope**2))
        self.margin += float(blur.sum())

    def findings(self, spent: float) -> list[Finding]:
        """The two halves against the energy lost."""
        claim, why = "energy dissipation", "the energy lost is not what slopes and distances say"
        excesses = {"after": self.after - spent, "before": spent - self.before}
        return [
            at_most(claim, excess, self.margin, ASSUMED, why, where=f"{side} the steps")
            for side, excess in excesses.items()
        ]
