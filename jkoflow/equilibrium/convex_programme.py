"""The risk minimised over all probability measures on a box: a convex programme, with its gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite, is_whole
from ..functionals.base import Functional
from ..functionals.risk import Risk
from ..measures.base import Array, Measure, a_measure, finite_array
from ..measures.particles import Particles
from ..status import InvalidProblem, NotDefined, Status
from .atoms import join, slide
from .lowest import Lowest, lowest_on_box

_DUST = 1e-13  # of the largest mass: what rounding leaves where there is none

@dataclass(frozen=True)
class ConvexMinimum:
    """A measure whose risk is within ``gap`` of the infimum over all measures on the domain.

    ``value`` is F(ρ). ``proved`` says whether the gap holds on the whole domain: on a box this
    needs features that claim bounds on their curvature; without them the gap is against the
    points that were looked at, a fine grid and what descent from it found.
    """

    measure: Particles
    value: float
    gap: float
    proved: bool
    rounds: int
    status: Status

    @property
    def lower_bound(self) -> float:
        """value − gap, which no measure's risk is below."""
        return self.value - self.gap


def minimise_risk(
    F: Functional,
    domain: Any = None,
    *,
    candidates: ArrayLike | None = None,
    tolerance: float = 1e-9,
    max_rounds: int = 60,
) -> ConvexMinimum:
    """Minimise a risk over the probability measures on a box, or on given points.

    With c(θ) = √w (y − φ(θ)) in R^q the risk is |∫c dρ|². So the minimiser is the point of the
    convex hull of all c(θ) that is nearest to 0, and has at most q + 1 atoms. On finitely many
    points it is found by non-negative least squares, and new points come from where the first
    variation is lowest, until

        F(ρ) − F* ≤ F(ρ) − max(min_θ Ψ_c(θ), 0)²/F(ρ),   Ψ_c(θ) = ⟨c(θ), ∫c dρ⟩,

    is small: any ν has |∫c dν|·|∫c dρ| ≥ ⟨∫c dν, ∫c dρ⟩ ≥ min Ψ_c. (This is never worse than the
    linear bound ∫δF dρ − min δF, as Ψ_c = F(ρ) + ½(δF − ∫δF dρ).)

    Parameters
    ----------
    F : Risk
        Or a sum of positive multiples of risks.
    domain : (lower, upper), optional
        Numbers, or arrays (D,): a box of R^D. For a radial risk an interval of radii. Without it
        only the candidates may carry mass.
    candidates : array_like, shape (n, D) or (n,), optional
        Points to begin with; a grid on the box if not given.
    tolerance : float
        On the gap, relative to the risk of the first measure.
    max_rounds : int

    Returns
    -------
    ConvexMinimum
        With status MAX_ITERATIONS where the tolerance was not reached: the gap is then still true.

    Raises
    ------
    NotDefined
        If F is not made of risks.
    InvalidProblem
        For a domain, candidates or a tolerance that make no sense.

    Notes
    -----
    Bengio, Le Roux, Vincent, Delalleau, Marcotte, Convex neural networks (2006). The scale factor
    of non-negative least squares is free: with the row s·1ᵀ and right-hand side s added, the
    solution is a multiple of the best *probability* measure, whatever s > 0 is.

    Examples
    --------
    >>> R = Risk(lambda r: np.stack([r[:, 0], r[:, 0] ** 2]), [0.5, 0.5], weights=[1.0, 1.0])
    >>> found = minimise_risk(R, (0.0, 1.0))            # half the mass at 0, half at 1
    >>> round(found.value, 12), found.measure.points.ravel().round(9), found.measure.weights
    (0.0, array([0., 1.]), array([0.5, 0.5]))
    """
    programme = Programme(F)
    if not (is_finite(tolerance) and tolerance > 0 and is_whole(max_rounds)):
        raise InvalidProblem(
            f"tolerance must be positive and finite, max_rounds a positive integer, not "
            f"{tolerance!r:.50} and {max_rounds!r:.50}"
        )
    first, box = _places(domain, candidates)
    if box is None:
        return _on_points(programme, first)
    goal = tolerance * max(programme.value(first), np.finfo(float).tiny)
    rounds, gap = 0, np.inf
    while gap > goal and rounds < max_rounds:
        rounds += 1
        points, w = slide(programme, *programme.weighted(first), box)
        points, w = join(programme, points, w, box, goal)
        low = _lowest(programme, points, w, box, goal)
        value, gap = _gap(programme, points, w, low.bound)
        first = np.concatenate([points, low.points])
    status = Status.CONVERGED if gap <= goal else Status.MAX_ITERATIONS
    return ConvexMinimum(Particles(points, w), value, gap, low.proved, rounds, status)


def risk_gap(
    F: Functional, mu: Measure, domain: Sequence[Any], *, tolerance: float = 1e-9
) -> tuple[float, bool]:
    """How far any measure's risk is above the infimum on a box, at most; and whether it is proved.

    The bound of `minimise_risk`, at a measure that somebody else found. Its part that comes from
    looking for the lowest Ψ_c is at most ``tolerance`` relative to F(ρ), where that was reached.

    Examples
    --------
    >>> R = Risk(lambda r: np.stack([r[:, 0], r[:, 0] ** 2]), [0.5, 0.5], weights=[1.0, 1.0])
    >>> gap, proved = risk_gap(R, Particles([0.5]), (0.0, 1.0))     # the value is 1/16
    >>> round(gap, 9), proved
    (0.0625, False)
    """
    programme, box = Programme(F), as_box(domain)
    x, w = a_measure(mu).points, mu.weights
    if x.shape[1] != len(box[0]):
        raise InvalidProblem(f"the measure's points lie in R^{x.shape[1]}, the domain does not")
    value = _gap(programme, x, w, 0.0)[0]
    near = np.clip(x[np.argsort(w)[-4:]], *box)
    low = _lowest(programme, x, w, box, tolerance * value, near)
    return _gap(programme, x, w, low.bound)[1], low.proved


class Programme:
    """min |C p|² over probability vectors p, with a column c(θ) = √w (y − φ(θ)) for each point."""

    def __init__(self, F: Functional) -> None:
        terms = F.terms if isinstance(F, Functional) else ()
        if not terms or not all(isinstance(f, Risk) and c > 0 for c, f in terms):
            raise NotDefined(
                f"minimise_risk works on a Risk, or on a sum of positive multiples of risks, not "
                f"on {F!r:.200}"
            )
        self.terms: list[tuple[Array, Risk]] = [
            (np.sqrt(c * f.weights), f) for c, f in terms if isinstance(f, Risk)
        ]

    def columns(self, points: Array) -> Array:
        """c(θ_j), shape (q, n)."""
        blocks = []
        for root, risk in self.terms:
            values = risk.features(points)
            if values.shape != (len(root), len(points)) or not np.isfinite(values).all():
                raise InvalidProblem("the features are not finite numbers (q, n) on the domain")
            blocks.append(root[:, None] * (risk.targets[:, None] - values))
        return np.concatenate(blocks)

    def value(self, points: Array) -> float:
        """F of equal weights."""
        return float(np.sum(self.columns(points).mean(axis=1) ** 2))

    def vjp(self, points: Array, r: Array) -> Array:
        """∇_θ⟨c(θ), r⟩ at the points, shape (n, D)."""
        total, start = np.zeros(points.shape), 0
        for root, risk in self.terms:
            total -= risk.features.vjp(points, root * r[start : start + len(root)])
            start += len(root)
        return total

    def bend(self, r: Array) -> float | None:
        """A bound on ‖∇²⟨c(θ), r⟩‖ for all θ, None where the features claim none."""
        total, start = 0.0, 0
        for root, risk in self.terms:
            c = np.abs(root * r[start : start + len(root)])
            bound = risk.features.hessian_bound(c)
            if bound is None or not np.isfinite(bound):
                return None
            total += bound
            start += len(root)
        return total

    def weighted(self, points: Array) -> tuple[Array, Array]:
        """The points that carry mass in the best measure on these points, and their masses."""
        from scipy.optimize import nnls

        c = self.columns(points)
        s = max(float(np.median(np.linalg.norm(c, axis=0))), np.finfo(float).tiny)
        system = np.concatenate([c, np.full((1, len(points)), s)])
        right = np.zeros(len(system))
        right[-1] = s
        p = nnls(system, right, maxiter=30 * len(points))[0]
        used = p > _DUST * p.max()
        return points[used], p[used] / p[used].sum()


def _gap(programme: Programme, points: Array, w: Array, bound: float) -> tuple[float, float]:
    """F(ρ), and F(ρ) − max(bound, 0)²/F(ρ)."""
    r = programme.columns(points) @ w
    value = float(r @ r)
    if value <= 0.0:
        return 0.0, 0.0
    low = min(max(bound, 0.0), value)
    return value, (value - low) * (value + low) / value


def _lowest(
    programme: Programme,
    points: Array,
    w: Array,
    box: tuple[Array, Array],
    goal: float,
    near: Array | None = None,
) -> Lowest:
    """A lower bound of Ψ_c on the box, and points where it is low."""
    r = programme.columns(points) @ w
    return lowest_on_box(
        lambda x: r @ programme.columns(x), lambda x: programme.vjp(x, r), programme.bend(r),
        box, points if near is None else near, 0.2 * goal,
    )  # fmt: skip


def _on_points(programme: Programme, points: Array) -> ConvexMinimum:
    """The minimum over measures on finitely many points; they are all that is looked at."""
    support, w = programme.weighted(points)
    r = programme.columns(support) @ w
    value, gap = _gap(programme, support, w, float((r @ programme.columns(points)).min()))
    return ConvexMinimum(Particles(support, w), value, gap, True, 1, Status.CONVERGED)


def _places(domain: Any, candidates: Any) -> tuple[Array, tuple[Array, Array] | None]:
    """Points to begin with, and the box."""
    box = None if domain is None else as_box(domain)
    if candidates is None:
        if box is None:
            raise InvalidProblem("give a domain (lower, upper), or candidates, or both")
        return grid(box, 2000 if len(box[0]) > 1 else 400), box
    points = finite_array(candidates, "candidates")
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or points.size == 0:
        raise InvalidProblem(f"candidates must have shape (n, D) or (n,), not {points.shape}")
    if box is not None and (
        points.shape[1] != len(box[0]) or (points < box[0]).any() or (points > box[1]).any()
    ):
        raise InvalidProblem("the candidates must lie in the domain: clip them, or leave them out")
    return points, box


def as_box(domain: Sequence[Any]) -> tuple[Array, Array]:
    """(lower, upper) as arrays (D,)."""
    try:
        lower, upper = (np.atleast_1d(finite_array(end, "an end of the domain")) for end in domain)
    except (TypeError, ValueError) as error:
        raise InvalidProblem(
            f"a domain is (lower, upper), two numbers or two arrays (D,): {error}"
        ) from error
    if lower.ndim != 1 or lower.shape != upper.shape or (lower >= upper).any():
        raise InvalidProblem(f"a domain is (lower, upper) with lower < upper, not {domain!r:.90}")
    return lower, upper


def grid(box: tuple[Array, Array], count: int) -> Array:
    """About ``count`` points on a grid over the box, its corners among them, (n, D)."""
    lower, upper = box
    each = max(round(count ** (1.0 / len(lower))), 2)
    axes = [np.linspace(a, b, each) for a, b in zip(lower, upper, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(lower))
