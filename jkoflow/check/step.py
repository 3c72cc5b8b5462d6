"""One JKO step: is ``after`` the minimiser of F(ρ) + W2²(ρ, before)/(2τ)?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite
from ..functionals.base import Functional
from ..functionals.many import is_exact
from ..functionals.scale import at_scale_of
from ..measures.base import Measure, a_measure, is_registered
from ..measures.many import Laws, alike
from ..measures.order import kept_sorted
from ..problem import interval
from ..record import Witness, a_witness
from ..verdict import Decided, Finding, Report, Verdict, at_most, rejected, undecided, worst
from . import policy
from .evaluate import Noise, Rows, Stack, stack
from .functional import a_functional, known
from .grid import GridStep, judged_on_grid, same_cells
from .minimality import minimality
from .residual import Steps, Walls, steps_of

DISCRETE = {
    "particles": "the step is that of point clouds: W2 and F of the given points",
    "quantiles": "integrals and W2 are those of the edges with lumped masses",
    "radial": "integrals and W2 are those of the radii with lumped masses",
    "gaussian": "the step is that of Gaussian laws; smooth integrals are taken by cubature",
    "grid": "the step is that of the cells' masses at their centres",
    "mesh": "the step is that of the nodes with lumped masses, and of the simplices' densities",
}


def check_step(
    F: Functional,
    before: Measure,
    after: Measure,
    tau: float,
    *,
    witness: Witness | None = None,
    walls: ArrayLike | None = None,
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
    walls : (lower, upper), optional
        The ends of the space, as those of a `Problem`.

    Returns
    -------
    Report

    Raises
    ------
    InvalidFunctional, InvalidMeasure, InvalidProblem
        If F is no functional, a measure none, or the witness none.

    Examples
    --------
    >>> from jkoflow import Gaussian, QuadraticPotential
    >>> step = lambda mean: check_step(
    ...     QuadraticPotential(1.0), Gaussian(2.0, 1.0), Gaussian(mean, 0.25), tau=1.0)
    >>> step(1.0).verdict.name, step(1.001).verdict.name
    ('ACCEPTED', 'REJECTED')
    """

    def findings() -> Iterator[Finding]:
        if not (is_finite(tau) and tau > 0):
            raise Decided(rejected("membership", f"τ must be positive and finite, not {tau!r}"))
        old, new = (Laws([a_measure(mu, "a step's measure")]) for mu in (before, after))
        between = None if walls is None else interval(walls, before)
        yield membership(old, new, between)
        rows, here = evaluated(F, old).rows, evaluated(F, new)
        if here.laws.mu.kind == "grid":
            yield from judged_on_grid(grid_step(F, old.mu, here, rows, float(tau), witness))
        else:
            yield from judged(steps_of(F, old, rows, here, np.array([tau]), [witness], 0, between))

    a_witness(witness)
    F = at_scale_of(a_functional(F), a_measure(before, "a step's measure"))
    return Report(f"one step of {F!r}", tuple(told(findings())))


def grid_step(
    F: Functional, before: Any, new: Stack, old: Rows, tau: float, witness: Witness | None,
    k: int = 0, said: float = np.nan,
) -> GridStep:  # fmt: skip
    """The k-th of some steps on a grid, and what a run says of its W2²."""
    lost = float(old.energy[k] - new.rows.energy[k])
    margin = float(old.margin[k] + new.rows.margin[k])
    return GridStep(F, before, new.laws.measures[k], tau, witness, lost, margin, said)


def told(findings: Iterator[Finding], where: str = "") -> Iterator[Finding]:
    """The findings up to the one that decides, if one does."""
    try:
        with np.errstate(all="ignore"):
            yield from findings
    except Decided as decided:
        yield decided.finding.at(where) if where else decided.finding


def membership(before: Laws, after: Laws, walls: Walls = None) -> Finding:
    """Same kind and space, finite, in order, weights that are masses; or else `Decided`."""
    claim, old, new = "membership", before.mu, after.mu
    off, bound = 0.0, policy.MASS
    if (new.kind, new.dim) != (old.kind, old.dim):
        what = f"a {new.kind} in R^{new.dim} after a {old.kind} in R^{old.dim}"
        raise Decided(rejected(claim, what))
    if new.kind == "grid" and not same_cells(old, new):
        raise Decided(rejected(claim, "the two densities live on different grids"))
    if new.kind not in DISCRETE or not (is_registered(old) and is_registered(new)):
        raise Decided(undecided(claim, f"no arithmetic for steps of a {type(new).__name__}"))
    for laws in (before, after):
        w, wrong = laws.w, ""
        x = laws.means[:, None] if laws.gaussian else laws.x
        if not (np.isfinite(x).all() and np.isfinite(w).all() and (w >= 0).all()):
            wrong = "points or weights are not finite, or weights are negative"
        elif laws.cells and not laws.in_order:
            wrong = "the edges are not sorted"
        elif new.kind == "radial" and (x[:, 0] < 0).any():
            wrong = "a radius is negative"
        elif walls and (x.min() < walls[0] or x.max() > walls[1]):
            wrong = f"there is mass outside of the walls {walls}"
        elif not laws.consistent:
            wrong = "weights, masses or points are not those of the measure's own arrays"
        elif laws.gaussian and not laws.is_decomposed(policy.ROUNDING * policy.EPS * new.dim):
            wrong = "the eigenvalues and eigenvectors are not those of the covariance"
        if wrong:
            raise Decided(rejected(claim, wrong))
        off = max(off, abs(float(w.sum()) - 1.0))
        bound = max(bound, policy.MASS + len(w) * policy.EPS)
    found = at_most(claim, off, bound, (DISCRETE[new.kind],), "the weights do not sum to 1")
    if found.verdict is not Verdict.ACCEPTED:
        raise Decided(found)
    if new.kind == "mesh" and not alike(old, new):
        raise Decided(undecided(claim, "the mesh was changed: no step leads from one to the other"))
    return found


def evaluated(F: Functional, laws: Laws, noise: Noise | None = None) -> Stack:
    """F there; `Decided` where it has no value."""
    return known("evaluation", partial(stack, F, laws, noise))  # type: ignore[no-any-return]


def judged(s: Steps) -> Iterator[Finding]:
    """Transport and what rests on it, for measures that are known to belong together."""
    yield s.somewhere(s.transport.finding)
    yield energy_inequality(s)
    yield stationarity(s)
    yield minimality(s)


def energy_inequality(s: Steps) -> Finding:
    """F(ρ⁺) + W2²/(2τ) ≤ F(ρ_k): what any step must do, and a wrong one may do too."""
    excess = s.new.rows.energy + s.transport.squared / (2.0 * s.tau) - s.old.energy
    bound = s.old.margin + s.new.rows.margin + s.blind_square / (2.0 * s.tau)
    reason = "the step does not pay for its transport"
    return worst("energy", excess, bound, (), reason, first=s.first)


def stationarity(s: Steps) -> Finding:
    """r ≤ 1e-4 of the slope, up to rounding of the points and of the gradient.

    A residual r changes the objective by about r²τ/2: below the rounding of the energy no method
    that looks at energies can improve the step, so such an r is no fault of the step; nor is it a
    step that was taken, and the verdict is UNDECIDED.
    """
    claim, new = "stationarity", s.new.rows
    size = (s.old.extent + new.extent) / s.tau
    bound = policy.STATIONARITY * s.slope + new.blur + 8.0 * policy.EPS * size
    hidden = new.blur > policy.BLIND * (s.new.size + s.slope) + policy.RESOLUTION * size
    if hidden.any():
        blur = new.blur[np.argmax(hidden)]
        return s.somewhere(undecided(claim, f"rounding alone leaves a residual of {blur:.3g}"))

    if not is_exact(s.F, s.new.laws):
        return s.somewhere(undecided(claim, "a gradient by cubature is not that of F's value"))

    def excuse(k: int) -> str:
        if s.r[k] <= bound[k]:
            return "it holds, but points came from several places: some of them may part"
        if s.held[k] <= bound[k]:
            return "it holds only if ends are held on walls that F pulls them off"
        if s.r[k] <= bound[k] + np.sqrt(new.margin[k] / (8.0 * s.tau[k])):
            return "it does not hold, but the energy lost by that is below rounding"
        if len(s.tau) == 1 and left_below(s) <= bound[k]:
            return "it does not hold, but does a little further on: points rest on a kink of F"
        return ""

    reason = lambda k: excuse(k) or "the optimality condition does not hold"  # noqa: E731
    doubt = lambda k: Verdict.UNDECIDED if excuse(k) else Verdict.REJECTED  # noqa: E731
    return worst(claim, s.with_spread(s.r), bound, (), reason, doubt, s.first)


def left_below(s: Steps) -> float:
    """What is left of one step's residual a little way down it: nothing where X rests on a kink.

    Of each point counts what still descends. If δF is smooth there, that is nearly all.
    """
    laws, w = s.new.laws, s.new.laws.w
    xi = (s.new.gradient + s.transport.away / s.tau[0])[0]
    if laws.gaussian:  # whose points do not move as they like
        return np.inf
    down = -xi if not laws.cells else kept_sorted(-xi[:, 0], laws.mu.edges, w)[:, None]
    S = s.F.smooth.on(laws.mu)
    move = policy.KINK * s.tau[0] * down
    turned = S.gradient_at_points(laws.x[0] + move, w) - S.gradient_at_points(laws.x[0], w)
    left = xi + turned + move / s.tau[0]
    return float(np.sqrt(w @ np.maximum(0.0, -(left * down).sum(axis=1))))
