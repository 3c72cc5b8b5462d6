"""What the minimising steps of a λ-convex F satisfy besides: proved, hence checked, not needed.

Let X minimise F + W2²(·, x)/(2τ) up to a residual r = ‖ξ‖, g⁺ = ∇δF(X) = ξ − (X − x)/τ, and F be
λ-convex: F(Y) ≥ F(X) + ⟨g⁺, Y − X⟩ + (λ/2)‖Y − X‖². All that follows is this, at Y = x, at Y = ν,
or with the places of X and Y exchanged. Where a coupling splits points, ξ is that of the coupling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..functionals.interaction import QuadraticInteraction
from ..functionals.internal import Entropy
from ..functionals.potential import QuadraticPotential
from ..measures.base import Array, Measure
from ..measures.lengths import norms
from ..verdict import Finding, at_most, worst
from . import policy
from .evaluate import Rows
from .minimality import CLAIMED
from .residual import Steps

ASSUMED = (CLAIMED,)
UNIT = policy.ROUNDING * policy.EPS
_AFFINE = {Entropy, QuadraticPotential, QuadraticInteraction}


def modulus(F: Functional, mu: Measure) -> float | None:
    """λ, where F claims one everywhere and the judge's arithmetic is that of the proof.

    Geodesics of Gaussians turn their cubature, so that there only functionals for which it is
    exact obey the inequalities to the last digit.
    """
    try:
        lam = float(F.convexity)  # type: ignore[arg-type]
    except Exception:  # None, or a user's claim that raises, which the attack on F will say
        return None
    turned = mu.kind == "gaussian" and not {type(f) for _, f in F.terms} <= _AFFINE
    folded = mu.kind == "mesh" and F.internal.terms  # simplices are not convex in their nodes
    return lam if np.isfinite(lam) and not (turned or folded) else None


class Reference(NamedTuple):
    """A measure to compare with, and its rows."""

    measure: Measure
    rows: Rows


def hidden(one: Rows, two: Rows, far: Array) -> Array:
    """What slopes may lack for convexity over a distance: 2μ/W2, which F's own values hide.

    F(y) − F(x) − ⟨g, y − x⟩ is known to ±μ, and monotone gradients are two of those, one from
    each side. Differences of values are no better gradients than that.
    """
    room = 2.0 * (one.margin + two.margin)
    return np.divide(room, far, out=np.zeros_like(far), where=far > 0)


def slope_decay(s: Steps, lam: float) -> Finding:
    """(1 + λτ) W2/τ ≤ ‖∇δF(x)‖ + r, since ⟨g⁺ − g, X − x⟩ ≥ λW2²."""
    fall = 1.0 + lam * s.tau
    excess = fall * s.slope - s.old.slope - s.with_spread(s.r)
    bound = s.old.blur + s.new.rows.blur + np.abs(fall) * s.blind / s.tau
    bound += UNIT * (s.old.slope + s.slope) + hidden(s.old, s.new.rows, s.slope * s.tau)
    return worst("slope decay", excess, bound, ASSUMED, "the slope falls too slowly", first=s.first)


def against(s: Steps, lam: float, other: Reference) -> list[Finding]:
    """EVI and contraction towards ν, of cells with the same masses: there W2 is flat.

    [W2²(X,ν) − W2²(x,ν) + W2²(X,x)]/(2τ) + (λ/2)W2²(X,ν) ≤ F(ν) − F(X) + r W2(X,ν), and
    (1/τ + λ) W2(X,ν) ≤ W2(x,ν)/τ + ‖∇δF(ν)‖ + r.
    """
    laws, new, nu, z = s.new.laws, s.new.rows, other.rows, other.measure.points
    first = norms(s.before.x[:1] - z, laws.w)
    far = np.append(first, norms(laws.x - z, laws.w))
    here, there = far[:-1], far[1:]
    blind = UNIT * (s.old.extent + new.extent + nu.extent)
    stiff = 1.0 / s.tau + abs(lam)
    evi = (there**2 - here**2 + s.transport.squared) / (2.0 * s.tau) + 0.5 * lam * there**2
    evi += new.energy - nu.energy - s.r * there
    room = blind * (here + there + s.slope * s.tau + blind) * stiff
    room += new.margin + nu.margin + new.blur * there
    late = (1.0 / s.tau + lam) * there - here / s.tau - nu.slope - s.r
    slack = blind * stiff + nu.blur + new.blur + UNIT * nu.slope + hidden(new, nu, there)
    claim = "evolution variational inequality"
    return [
        worst(claim, evi, room, ASSUMED, f"the step contradicts the {claim}", first=s.first),
        worst("contraction", late, slack, ASSUMED,
              "the run approaches a measure more slowly than λ allows", first=s.first),
    ]  # fmt: skip


@dataclass
class Dissipation:
    """F_0 − F_K against Σ W2²/(2τ), and between it and Σ τ|∂F|²/2 with the slopes of both sides.

    F(x) − F(X) ≥ W2²/(2τ) + (τ/2)|∂F(X)|² + (λ/2)W2² − 2rW2 − τr²/2, and
    F(x) − F(X) ≤ W2²/(2τ) + (τ/2)|∂F(x)|² − (λ/2)W2².
    """

    paid: float = 0.0
    room: float = 0.0
    after: float = 0.0
    before: float = 0.0
    margin: float = 0.0
    count: int = 0

    def pay(self, s: Steps) -> None:
        """Take up some steps."""
        self.paid += float((s.transport.squared / (2.0 * s.tau)).sum())
        self.room += float((s.old.margin + s.blind_square / (2.0 * s.tau)).sum())

    def add(self, s: Steps, lam: float) -> None:
        """Take up what λ-convexity says of them."""
        self.count += len(s.tau)
        squared, r, old, new = s.transport.squared, s.with_spread(s.r), s.old, s.new.rows
        w2, steep = np.sqrt(squared), np.minimum(new.slope, s.slope + r)
        paid, curved = squared / (2.0 * s.tau), 0.5 * lam * squared
        off = 2.0 * r * w2 + 0.5 * s.tau * r * r
        self.after += float((paid + 0.5 * s.tau * steep * steep + curved - off).sum())
        self.before += float((paid + 0.5 * s.tau * old.slope * old.slope - curved).sum())
        blur = (old.blur + new.blur) * (w2 + s.tau * (old.slope + new.slope))
        blur += s.blind_square * (1.0 / s.tau + abs(lam)) + old.margin + new.margin
        blur += UNIT * (paid + s.tau * old.slope * old.slope + s.tau * new.slope * new.slope)
        self.margin += float(blur.sum())

    def findings(self, spent: float) -> list[Finding]:
        """The two halves against the energy lost."""
        claim, why = "energy dissipation", "the energy lost is not what slopes and distances say"
        excesses = {"after": self.after - spent, "before": spent - self.before}
        return [
            at_most(claim, excess, self.margin, ASSUMED, why, where=f"{side} the steps")
            for side, excess in excesses.items()
        ]
