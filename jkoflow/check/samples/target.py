"""The law that points are held against: its score at the points, and points of its own.

ρ* ∝ exp(−β δS/δρ) of F = S + H/β. Where S is linear (potentials), δS/δρ is one function. Where it
is not (risks, interactions), δS/δρ is taken at the reference law if one is given, and else at the
sample itself; the law tested is then the proximal Gibbs law of the sample.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...functionals.answers import answer_of, finite_answer
from ...functionals.base import Functional, Smooth, SmoothSum
from ...functionals.internal import Entropy
from ...functionals.potential import Potential
from ...measures.base import Array, Measure
from ...measures.conversion import sample
from ...measures.particles import Particles
from ...status import InvalidFunctional, InvalidMeasure, InvalidProblem, JkoflowError, NotDefined
from .grid import grid_law
from .paths import LogRatio, Score, ratio_along, ratio_of
from .statistics import Labels

OWN = (
    "ρ* is the proximal Gibbs law exp(−β δS/δρ)/Z of the sample itself, since S depends on ρ and "
    "no reference law was given; what the sample's error does to this law is allowed for, to first "
    "order, where it would reject more samples"
)
GIVEN = "δS/δρ is taken at the given reference law: that this law solves the equation is not tested"
UNSEEN = (
    "no reference law: without one, only where the points are is compared with the forces there, "
    "and a mode that no point has visited is invisible"
)
FUNCTION = "∇log ρ* is the given function"
GRID = "points of ρ* come from its density on a grid, resolved to 1e-3 in log Z"
RARE = 1000.0
"""A single point is held against alpha/RARE: it has to be absurd, and hardly costs the others."""
MOST = 10_000
"""Points used: more are thinned, since pairwise sums cost their square."""
_FEW = 500
_BLOCK = 2000  # points at once where the gradient of S is wanted at points that carry no mass


@dataclass(frozen=True)
class Target:
    """``score`` (n, D) is ∇log ρ* at the points; ``draw(m, rng)`` gives points of ρ*, or is None.

    ``limited`` is the number of reference points there are, where they cannot be drawn at will;
    ``log_density`` is log ρ* up to a constant, and ``force`` its gradient, about: where S is not
    linear, that of a part of the sample. ``weighted`` is the score as a function of the weights of
    the points, where ρ* depends on them; ``anywhere`` are ∇log ρ* and the changes of log ρ*, where
    it does not and they cost no more than at the sample. ``tail`` is ρ*'s mass where log_density is
    at most some level, if it is known.
    """

    score: Array
    draw: Callable[[int, np.random.Generator], Array] | None
    log_density: Callable[[Array], Array] | None
    force: Callable[[Array], Array] | None
    weighted: Callable[[Array], Array] | None
    anywhere: tuple[Score, LogRatio] | None
    limited: int | None
    assumptions: tuple[str, ...]
    tail: Callable[[float], float] | None = None


def target_of(F: Functional, x: Array, reference: Any) -> Target:
    """ρ* of F, as far as F and the reference say what it is."""
    score, law = parts_of(reference, x.shape[1])
    smooth, beta = split(F)
    given = law is not None
    local = _Local(smooth, beta, Particles(x) if law is None else law, x.shape[1])
    notes = () if local.linear or score is not None else (GIVEN,) if given else (OWN,)
    if score is not None:
        s = _checked(score)
        known = s, ratio_along(s)
        target = Target(s(x), None, None, None, None, known, None, (FUNCTION,))
    else:
        weighted = None if given or local.linear else local.weighted
        about, f = local.about().score, local.log_density
        everywhere = (local.score, ratio_of(f)) if local.linear else None
        target = Target(local.score(x), None, f, about, weighted, everywhere, None, notes)
    if law is not None:
        return _with_points(target, law)
    if target.log_density is not None and x.shape[1] <= 2:
        grid = grid_law(target.log_density, x, cheap=local.linear)
        if grid is not None:
            return replace(target, draw=grid.draw, tail=grid.tail, assumptions=(*notes, GRID))
    return replace(target, assumptions=(*target.assumptions, UNSEEN))


def outliers(x: Array, target: Target) -> dict[str, float]:
    """A bound of the chance that any of n points is where ρ* is as low as at the lowest of these,
    times `RARE`, if that is known: exchanges of labels and bounded functions do not see one point.
    """
    if target.tail is None or target.log_density is None:
        return {}
    return {"outliers": min(1.0, RARE * len(x) * target.tail(float(target.log_density(x).min())))}


def _checked(score: Any) -> Score:
    def at(x: Array) -> Array:
        return finite_answer(answer_of(score, (x,), x.shape, "the score"), "the score")

    return at


def split(F: Functional) -> tuple[Smooth, float]:
    """The smooth part S and β of F = S + H/β."""
    if not isinstance(F, Functional):
        raise InvalidProblem(f"F must be a functional, not {type(F).__name__}")
    if any(not isinstance(f, Entropy) for _, f in F.internal.terms):
        raise NotDefined("ρ* = exp(−β δS/δρ)/Z needs Entropy as the only internal energy of F")
    total = sum(c for c, _ in F.internal.terms)
    if not total > 0:
        raise NotDefined("a Gibbs law needs a positive multiple of Entropy() in F: add Entropy()/β")
    return F.smooth, 1.0 / total


def parts_of(reference: Any, dim: int) -> tuple[Any, Measure | None]:
    """A score and a law, each or None, from one of them, a pair, or what has a ``measure``."""
    if reference is None:
        return None, None
    if isinstance(reference, tuple) and len(reference) == 2 and callable(reference[0]):
        return reference[0], _law(reference[1], dim)
    if callable(reference) and not isinstance(reference, Measure):
        return reference, None
    return None, _law(reference, dim)


def _law(reference: Any, dim: int) -> Measure:
    inside = getattr(reference, "measure", reference)
    law = inside if isinstance(inside, Measure) else Particles(inside)
    if law.dim != dim:
        raise InvalidMeasure(f"the reference lives in R^{law.dim}, but the points in R^{dim}")
    if isinstance(law, Particles) and np.ptp(law.weights) > 1e-12:
        raise InvalidMeasure("reference points must have equal weights: draw with jkoflow.sample")
    if isinstance(law, Particles) and len(law.weights) < 2:
        raise InvalidMeasure("a reference of one point says nothing: give points of ρ*")
    return law


def _with_points(target: Target, law: Measure) -> Target:
    """The target with points of the given law."""
    if not isinstance(law, Particles):
        return replace(target, draw=lambda m, rng: sample(law, m, rng).points)
    points = law.points

    def chosen(m: int, rng: np.random.Generator) -> Array:
        return points[rng.permutation(len(points))[:m]]

    notes = (*target.assumptions, "the reference points are independent draws from ρ*")
    return replace(target, draw=chosen, limited=len(points), assumptions=notes)


class _Local:
    """ψ = δS/δρ at a law, and its gradient, at points of R^D."""

    def __init__(self, smooth: Smooth, beta: float, law: Measure, dim: int) -> None:
        self.beta, self.law = beta, law
        self.linear = all(getattr(f, "linear", False) for _, f in smooth.terms)
        self.radial = law.kind == "radial" and dim > 1
        try:
            self.smooth = smooth.on(law)
        except NotDefined as error:
            raise NotDefined(
                f"{error}; for points of R^D, give reference=solve_gibbs(F, ...).measure or "
                "another law of the kind that F is a functional of"
            ) from error

    def about(self) -> _Local:
        """The same at fewer points of the law, where that makes a difference."""
        if self.linear or len(self.law.points) <= _FEW or not isinstance(self.law, Particles):
            return self
        some = np.linspace(0, len(self.law.points) - 1, _FEW).round().astype(int)
        fewer = Particles(self.law.points[some])
        return _Local(self.smooth, self.beta, fewer, fewer.dim)

    def log_density(self, at: Array) -> Array:
        """−βψ, (m,); −∞ where a potential is +∞."""
        points = np.linalg.norm(at, axis=1)[:, None] if self.radial else at
        psi = np.zeros(len(at))
        for c, f in SmoothSum(self.smooth.terms).terms:
            psi += c * self._variation(f, points)
        finite_answer(np.where(psi == np.inf, 0.0, psi), "δS/δρ")
        return -self.beta * psi

    def _variation(self, f: Any, at: Array) -> Array:
        if isinstance(f, Potential):
            return f.extended(at)
        where = self.law.points, self.law.weights
        return answer_of(f.first_variation_at_points, (*where, at), (len(at),), "δS/δρ")

    def score(self, x: Array) -> Array:
        """−β∇ψ, (n, D); for a radial law the slope in r, along x/r."""
        if not self.radial:
            return -self.beta * self._slope(x)
        r = np.linalg.norm(x, axis=1)[:, None]
        slope = self._slope(r)
        return np.asarray(-self.beta * slope * np.divide(x, r, out=np.zeros_like(x), where=r > 0))

    def weighted(self, w: Array) -> Array:
        """−β∇ψ at the law's own points if they weigh w."""
        x = self.law.points
        terms = SmoothSum(self.smooth.terms).terms
        return -self.beta * sum((c * _gradient(f, x, w) for c, f in terms), np.zeros_like(x))

    def _slope(self, x: Array) -> Array:
        total = np.zeros_like(x)
        for c, f in SmoothSum(self.smooth.terms).terms:
            total += c * self._slope_of(f, x)
        return total

    def _slope_of(self, f: Any, x: Array) -> Array:
        own = self.law.points
        if getattr(f, "linear", False) or (x.shape == own.shape and np.array_equal(x, own)):
            weights = np.full(len(x), 1.0 / len(x))
            return _gradient(f, x, weights)
        # the gradient at points that are not of the law: they join it, without mass
        parts = []
        for k in range(0, len(x), _BLOCK):
            part = x[k : k + _BLOCK]
            weights = np.concatenate([self.law.weights, np.zeros(len(part))])
            parts.append(_gradient(f, np.concatenate([own, part]), weights)[len(own) :])
        return np.concatenate(parts)


def _gradient(f: Any, x: Array, w: Array) -> Array:
    name = f"the gradient of {type(f).__name__}"
    return finite_answer(answer_of(f.gradient_at_points, (x, w), x.shape, name), name)


def points_of(x: Any) -> Array:
    """The sample as an array (n, D), with n ≥ 2 and equal weights."""
    if isinstance(x, Measure) and not isinstance(x, Particles):
        raise NotDefined(
            f"check_samples reads points, not {type(x).__name__}: use check_fixed_point for laws"
        )
    particles = x if isinstance(x, Particles) else Particles(x)
    if np.ptp(particles.weights) > 1e-12:
        raise InvalidMeasure(
            "the points must have equal weights: draw from them with jkoflow.sample first"
        )
    if len(particles.points) < 2:
        raise InvalidMeasure("one point is no sample: give points of shape (n, D)")
    return particles.points


def labels_of(regions: Callable[[Array], Any], z: Array) -> Labels:
    """Whole numbers that a user's regions give the points, as 0, 1, ..., K−1."""
    try:
        answer = np.asarray(regions(z.copy()))
    except JkoflowError:
        raise
    except Exception as error:  # a user's function may raise anything
        raise InvalidFunctional(f"regions raised {type(error).__name__}: {error}") from error
    if answer.shape != (len(z),) or answer.dtype.kind not in "biu":
        raise InvalidFunctional(
            f"regions must map points (n, D) to whole numbers (n,), not to {answer.dtype} of shape "
            f"{answer.shape}"
        )
    return np.unique(answer, return_inverse=True)[1].ravel()


def is_level(alpha: Any) -> bool:
    """Whether alpha is a level that 1/alpha resamples can resolve."""
    return isinstance(alpha, numbers.Real) and 1e-4 <= float(alpha) <= 0.5
