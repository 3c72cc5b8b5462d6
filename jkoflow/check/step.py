"""One JKO step: is ``after`` the minimiser of F(ρ) + W2²(ρ, before)/(2τ)?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functionals.base import Functional
from ..measures.base import Array, Measure
from ..record import Witness
from ..status import MissingStructure
from . import policy
from .evaluate import consistent, name_of, norm
from .many import Laws, Noise, Rows, Stack, norms, stack
from .transport import Carried, certify_all
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
    member = membership(before, after, tau)
    if member.verdict is not Verdict.ACCEPTED:
        return Report(f"one step of {F!r}", (member,))
    old, new = (evaluated(F, [mu]) for mu in (before, after))
    if isinstance(old, Finding) or isinstance(new, Finding):
        found = (f for f in (old, new) if isinstance(f, Finding))
        return Report(f"one step of {F!r}", (member, *found))
    steps = steps_of(F, [before], old.rows, new, np.array([tau]), [witness])
    findings = [steps] if isinstance(steps, Finding) else judged(steps)
    return Report(f"one step of {F!r}", (member, *findings))


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
        x, w = mu.mean()[None] if mu.kind == "gaussian" else mu.points, mu.weights
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


def evaluated(
    F: Functional, measures: Sequence[Any], noise: Noise | None = None
) -> Stack | Finding:
    """F at alike measures, with rounding errors measured at the last one unless they are known."""
    try:
        noise = Noise.at(F, measures[-1]) if noise is None else noise
        return stack(F, Laws(measures), noise)
    except MissingStructure as error:
        return undecided("evaluation", str(error))
    except Exception as error:  # a user's functional may raise anything
        return rejected("evaluation", f"{type(error).__name__}: {error}")


@dataclass(frozen=True)
class Steps:
    """K steps between alike measures, as arrays of shape (K,).

    ``r`` is ‖ξ‖ over the admissible displacements; ``full`` includes the coupling's spread;
    ``held`` leaves out the ends that the witness calls fixed, wherever they are pulled.
    """

    F: Functional
    before: Sequence[Any]
    old: Rows
    new: Stack
    tau: Array
    transport: Carried
    r: Array
    full: Array
    held: Array
    walls: tuple[str, ...]
    first: int

    def worst(self, *arguments: Any) -> Finding:
        """`worst`, with the number of the step."""
        return worst(self.first, *arguments)

    def somewhere(self, finding: Finding) -> Finding:
        """A finding about all of the steps, with their numbers."""
        last = self.first + len(self.tau) - 1
        named = f"step {last}" if last == self.first else f"steps {self.first} to {last}"
        return finding.at(named) if self.first else finding

    @property
    def blind(self) -> Array:
        """Rounding error of W2: differences of points carry EPS times the points."""
        return policy.ROUNDING * policy.EPS * (self.old.extent + self.new.rows.extent)

    @property
    def blind_square(self) -> Array:
        """Rounding error of W2²."""
        return self.blind * (2.0 * np.sqrt(self.transport.squared) + self.blind)

    @property
    def slope(self) -> Array:
        """W2/τ."""
        return np.asarray(np.sqrt(self.transport.squared) / self.tau)


def steps_of(
    F: Functional,
    before: Sequence[Any],
    old: Rows,
    new: Stack,
    tau: Array,
    witnesses: Sequence[Witness | None],
    first: int = 0,
) -> Steps | Finding:
    """The steps from number ``first`` on (0: they have none), or why W2² is not certified."""
    carried = certify_all(new.laws, before, witnesses)
    if isinstance(carried, Finding):
        return carried.at(f"step {first}") if first else carried
    xi = new.gradient + carried.away / tau[:, None, None]
    if not hasattr(new.laws.mu, "edges"):
        r = held = new.laws.lengths(xi)
        walls: tuple[str, ...] = ()
    else:
        r, held, walls = _on_edges(before, new.laws, xi, witnesses)
    full = np.hypot(r, np.sqrt(carried.spread) / tau)
    return Steps(F, before, old, new, tau, carried, r, full, held, walls, first)


def _on_edges(
    before: Sequence[Any], laws: Laws, xi: Array, witnesses: Sequence[Witness | None]
) -> tuple[Array, Array, tuple[str, ...]]:
    """‖ξ‖ over what may move: tied edges stay sorted, ends on walls and at r = 0 stay inside."""
    w, x, radial = laws.w, laws.x[..., 0], laws.mu.kind == "radial"
    r, walls = norms(xi, w), []
    held = r.copy()
    special = np.any(x[:, 1:] <= x[:, :-1], axis=1)
    if radial:
        special = special | (x[:, 0] == 0.0)
    for k, witness in enumerate(witnesses):
        left, right = fixed_ends(before[k], laws.measures[k], witness)
        if not (special[k] or left or right):
            continue
        origin = radial and x[k, 0] == 0.0
        v = admissible(-xi[k], laws.measures[k], left or origin, right)
        inner = slice(1 if left else 0, -1 if right else None)
        r[k], held[k] = norm(v, w), norm(v[inner], w[inner])
        ends = [f"{x[k, j]:.6g}" for j, wall in ((0, left), (-1, right)) if wall]
        walls += [f"the space ends in walls without flux at {' and '.join(ends)}"] if ends else []
    return r, held, tuple(dict.fromkeys(walls))


def fixed_ends(before: Measure, after: Measure, witness: Witness | None) -> tuple[bool, bool]:
    """Which ends the witness says are walls; only an end that did not move can be one."""
    if witness is None or "fixed" not in witness.arrays:
        return False, False
    flags = np.asarray(witness.arrays["fixed"]).ravel()
    if flags.dtype.kind not in "biuf":
        return False, False
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


def worst(
    first: int,
    claim: str,
    measured: Array,
    bound: Array,
    assumptions: Iterable[str] = (),
    reason: str | Callable[[int], str] = "",
    otherwise: Callable[[int], Verdict] = lambda k: Verdict.REJECTED,
) -> Finding:
    """The finding of the step that uses the most of its bound, or passes it; the steps are
    numbered from ``first`` on, if they are (0: not)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        use = np.where(bound > 0, measured / bound, measured)
    k = int(np.argmax(np.where(measured <= bound, use, np.inf)))
    said, doubt = "", Verdict.REJECTED
    if not measured[k] <= bound[k] < np.inf:
        said, doubt = reason if isinstance(reason, str) else reason(k), otherwise(k)
    where = f"step {first + k}" if first else ""
    return at_most(claim, measured[k], bound[k], assumptions, said, doubt, where)


def judged(steps: Steps) -> Iterator[Finding]:
    """Transport and what rests on it, for measures that are known to belong together."""
    yield steps.somewhere(steps.transport.finding)
    yield energy_inequality(steps)
    yield stationarity(steps)
    yield minimality(steps)


def energy_inequality(s: Steps) -> Finding:
    """F(ρ⁺) + W2²/(2τ) ≤ F(ρ_k): what any step must do, and a wrong one may do too."""
    excess = s.new.rows.energy + s.transport.squared / (2.0 * s.tau) - s.old.energy
    bound = s.old.margin + s.new.rows.margin + s.blind_square / (2.0 * s.tau)
    return s.worst("energy", excess, bound, (), "the step does not pay for its transport")


def stationarity(s: Steps) -> Finding:
    """r ≤ 1e-4 of the slope, up to rounding of the gradient and of the energy.

    A residual r changes the objective by about r²τ/2: below the rounding of the energy no method
    that looks at energies can improve the step, so such an r is no fault of the step.
    """
    claim, new = "stationarity", s.new.rows
    size = (s.old.extent + new.extent) / s.tau
    bound = policy.STATIONARITY * s.slope + new.blur + np.sqrt(2.0 * unseen(s) / s.tau)
    bound += 8.0 * policy.EPS * size
    hidden = new.blur > policy.BLIND * (s.new.size + s.slope) + policy.RESOLUTION * size
    if hidden.any():
        blur = new.blur[np.argmax(hidden)]
        return s.somewhere(undecided(claim, f"rounding alone leaves a residual of {blur:.3g}"))

    def what(k: int) -> tuple[Verdict, str]:
        if s.held[k] <= bound[k]:
            return Verdict.UNDECIDED, "it holds only if ends are held that F pulls inwards"
        if not consistent(s.F, s.new.laws.mu):
            return Verdict.UNDECIDED, "it does not hold, but the cubature may be too coarse"
        return Verdict.REJECTED, "the optimality condition does not hold"

    return s.worst(claim, s.r, bound, s.walls, lambda k: what(k)[1], lambda k: what(k)[0])


def unseen(s: Steps) -> Array:
    """An energy difference too small to be seen."""
    return s.new.rows.margin / 16.0


def minimality(s: Steps) -> Finding:
    """r²/(2κ) bounds the objective's distance to its minimum where κ = 1/τ + λ > 0."""
    claim, new = "minimality", s.new.rows
    try:
        found = convexity(s)
    except Exception as error:  # a user's claim may raise anything
        found = f"F's claims cannot be had: {type(error).__name__}: {error}"
    if isinstance(found, str):
        return s.somewhere(undecided(claim, found))
    modulus, basis = found
    kappa = 1.0 / s.tau + modulus
    if not (kappa > 0).all():
        why = f"1/τ + λ = {kappa.min():.3g} is not positive: a smaller τ could be certified"
        return s.somewhere(undecided(claim, why))
    gap = s.full**2 / (2.0 * kappa)
    floor = s.old.margin + new.margin + new.blur**2 / kappa + 2.0 * unseen(s) / (kappa * s.tau)
    bound = policy.GAP * np.maximum(0.0, s.old.energy - new.energy) + floor
    assumptions = (CLAIMED, *basis, *s.walls)
    return s.worst(
        claim, gap, bound, assumptions,
        lambda k: f"the gap is not certified: r = {s.full[k]:.3g}, κ = {kappa[k]:.3g}",
        lambda k: Verdict.UNDECIDED,
    )  # fmt: skip


def convexity(s: Steps) -> tuple[Array, tuple[str, ...]] | str:
    """Moduli valid between ρ⁺ and every minimiser of the step and what they rest on, or why not.

    A minimiser Y has W2²(Y, ρ_k)/(2τ) ≤ F(ρ⁺) + W2²/(2τ) − F(Y), so a lower bound of F keeps it
    in a ball about ρ⁺, on which a local modulus is enough.
    """
    if s.F.convexity is not None:
        if not math.isfinite(s.F.convexity):
            return "F claims no finite modulus"
        return np.full(len(s.tau), float(s.F.convexity)), ()
    moduli = []
    for k, mu in enumerate(s.new.laws.measures):
        squared = float(s.transport.squared[k])
        level = s.new.rows.energy[k] + s.old.margin[k] + s.new.rows.margin[k]
        reach = farthest(s.F, s.before[k], level + squared / (2.0 * s.tau[k]), squared, s.tau[k])
        if reach is None:
            return "F claims neither convexity everywhere nor a lower bound"
        radius = math.sqrt(squared) + reach
        modulus = s.F.convexity_near(mu, radius)
        if modulus is None:
            return f"F claims no convexity on the ball of radius {radius:.3g}"
        if not math.isfinite(modulus):
            return "F claims no finite modulus"
        moduli.append(float(modulus))
    return np.array(moduli), (BOUNDED,)


def farthest(F: Functional, mu: Any, level: float, squared: float, tau: float) -> float | None:
    """A bound on W2(Y, μ) for all Y with F(Y) + W2²(Y, μ)/(2τ) ≤ level, as one at √squared has.

    The entropy has no lower bound of its own, but H(Y) ≥ −(d/2) log(2πe M/d) for the second
    moment M of Y, and √M ≤ √M(μ) + c·W2 (c = √2 where a cell's mass may sit at its outer edge).
    """
    rest, entropy = 0.0, 0.0
    for c, f in F.terms:
        bound = f.lower_bound()
        if c > 0 and name_of(f) == "Entropy":
            entropy += c
        elif bound is None or c < 0 or not math.isfinite(bound):
            return None
        else:
            rest += c * bound
    d = mu.dim
    if mu.kind == "gaussian":
        root, c = math.sqrt(float(np.trace(mu.cov()) + mu.mean() @ mu.mean())), 1.0
    elif mu.kind == "radial":
        root, c = math.sqrt(float(mu.mass @ mu.edges[1:] ** 2)), math.sqrt(2.0)
    else:
        root, c = norm(mu.points, mu.weights), 1.0

    def room(w: float) -> float:
        least = rest - 0.5 * entropy * d * math.log(2 * math.pi * math.e * (root + c * w) ** 2 / d)
        return math.sqrt(2.0 * tau * max(0.0, level - least))

    # w² − room(w)² is convex and not positive at √squared: beyond, it has one root, and
    # w ↦ room(w) falls towards it from above
    w = max(math.sqrt(squared), 1e-6 * root, 1e-12)
    while room(w) > w:
        w *= 2.0
    for _ in range(60):
        w, last = room(w), w
        if w > 0.999 * last:
            break
    return w
