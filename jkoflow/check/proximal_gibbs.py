"""A law against its proximal Gibbs law ρ̂ = exp(−β δS/δρ)/Z: divergence, distances, energies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arguments import is_finite
from ..functionals.answers import answer_of
from ..functionals.base import Functional, Smooth
from ..functionals.internal import Entropy
from ..functionals.quadratic_fit import quadratic_fit
from ..measures.base import Array, Measure
from ..measures.discrepancy import (
    distance_by_divergence,
    normal_distance,
    normal_variation,
    variation_and_distance,
)
from ..measures.gaussian import Gaussian
from ..measures.grid import Grid, with_whole_obstacles
from ..measures.quadrature import Rule, Space
from ..measures.rules import refined, shaped, tabulated
from ..status import NotDefined
from . import policy

VARIATION = "δS/δρ, or G, is the function that was given (check_functional attacks δS/δρ)"
TAILS = "densities are negligible outside of a box if they are around it, to three times its width"
REFINED = "the fine quadrature is at most 4 times as far off as it differs from the coarse one"
QUADRATIC = "δS/δρ is the quadratic that it agrees with at random points"
TALAGRAND = "S is λ-convex along geodesics, as it claims, so ρ̂ has Talagrand's inequality with βλ"
INSIDE = "ρ, of which a grid tells the masses of cells, is shaped like ρ̂ inside of them"
WALLS = "the space ends where the domain does"
LINE = ("½∫|ρ − ρ̂| =", "W2(ρ, ρ̂), of quantile functions, =")
BOX = (LINE[0], "W2(ρ, ρ̂), by (2∫|x − x̄|² d|ρ − ρ̂|)^½ or Talagrand's inequality, ≤")
CLOSED = ("½∫|ρ − ρ̂|, by Pinsker's inequality, ≤", "W2(ρ, ρ̂), in closed form, =")


class Question(NamedTuple):
    """ρ = exp(−exponent(·; ρ))/Z; S (as it acts on ρ's points), whether it claims to be convex
    along mixtures of all laws, β, and T with W2(ν, ρ̂)² ≤ T·KL(ν‖ρ̂), where there are such."""

    exponent: Callable[[Array, Array, Array], Array]
    smooth: Smooth | None = None
    convex: bool = False
    beta: float = 1.0
    talagrand: float = math.inf
    assumed: tuple[str, ...] = (VARIATION,)

    def facing(self, rho: Rule) -> Callable[[Array], Array]:
        """The log of ρ̂, up to a constant."""
        return lambda x: -self.exponent(x, rho.points, rho.masses)


class Compared(NamedTuple):
    """ρ against ρ̂: β∫ψ dρ; KL(ρ‖ρ̂), total variation, W2 and F(ρ) − F(ρ̂), which are ``numbers``;
    their ``errors``; the W2 that the tolerance allows; what was assumed, and how it was found."""

    rho: Rule
    hat: Rule
    mean: float
    numbers: Array
    errors: Array
    reach: float
    assumed: tuple[str, ...]
    how: tuple[str, str]


def answered(f: Any, name: str) -> Callable[..., Array]:
    """A user's function of points, checked: one number a point."""
    return lambda at, *more: answer_of(f, (at, *more), (len(at),), name)


def question_of(F: Any, mu: Any, walls: Array | None) -> Question:
    """F or G as an exponent, infinite outside of walls."""
    asked = _asked(F, mu) if isinstance(F, Functional) else Question(answered(F, "G(at, x, w)"))
    if walls is None:
        return asked

    def exponent(at: Array, x: Array, w: Array) -> Array:
        outside = ((at < walls[0]) | (at > walls[1])).any(axis=1)
        return np.where(outside, np.inf, asked.exponent(at, x, w))

    return asked._replace(exponent=exponent, assumed=(*asked.assumed, WALLS))


def _asked(F: Functional, mu: Any) -> Question:
    """βψ as the exponent, and what S claims."""
    inverse = sum(c for c, _ in F.internal.terms)
    if not (inverse > 0 and all(type(f) is Entropy for _, f in F.internal.terms)):
        raise NotDefined("F is not a smooth functional plus a positive multiple of the entropy")
    beta, modulus = 1.0 / inverse, F.smooth.convexity
    S = F.smooth.on(mu) if isinstance(mu, Measure) else F.smooth
    asked = Question(lambda at, x, w: beta * S.first_variation_at_points(x, w, at), S,
                     bool(F.smooth.convex_in_mixtures), beta)  # fmt: skip
    if modulus is None or not (is_finite(modulus) and modulus > 0):
        return asked
    return asked._replace(talagrand=2.0 / (beta * modulus), assumed=(VARIATION, TALAGRAND))


def by_quadrature(question: Question, space: Space, rho: list[Rule], tolerance: float) -> Compared:
    """In at most three coordinates, by a coarse and by a fine rule, in a box that shows ρ̂."""
    hat = [space.integrated(question.facing(r), space.box, level) for level, r in enumerate(rho)]
    levels = [(question, *laws) for laws in zip(rho, hat, strict=True)]
    return _compared(levels, tolerance, (TAILS, REFINED))


def by_cells(F: Any, mu: Grid, asked: Question, tolerance: float) -> Compared:
    """On a grid's own box: ρ is the density with its cells' masses that is shaped like ρ̂ inside
    of them, on cells cut coarsely and finely."""
    levels, centres = [], asked.exponent(mu.points, mu.points, mu.weights)
    for level in (0, 1):
        fine = refined(mu, level)
        question, x = _cut(question_of(F, fine, None), mu, fine, centres), fine.points
        rho = shaped(mu, fine, -question.exponent(x, x, fine.weights))
        hat = tabulated(fine, -question.exponent(x, x, rho.masses))
        levels.append((question, rho, hat))
    return _compared(levels, tolerance, (INSIDE, REFINED), together=True)


def _cut(question: Question, mu: Grid, fine: Grid, centres: Array) -> Question:
    """The exponent on the finer cells; obstacles are whole cells of μ."""
    asked = question.exponent
    return question._replace(exponent=lambda at, x, w: with_whole_obstacles(
        asked(at, x, w).reshape(fine.shape), centres.reshape(mu.shape)).ravel())  # fmt: skip


def _compared(
    levels: list[tuple[Question, Rule, Rule]], tolerance: float, assumed: tuple[str, ...],
    together: bool = False,
) -> Compared:  # fmt: skip
    """The fine numbers, and as their errors what they differ by from the coarse ones: KL's terms
    each by itself, but where ρ and ρ̂ are read ``together``, at the same points."""
    found, (question, rho, hat) = [_numbers(*level) for level in levels], levels[1]
    terms, numbers = found[1]
    off, errors = (policy.QUADRATURE * np.abs(np.where(a == b, 0.0, a - b))
                   for a, b in zip(*found, strict=True))  # fmt: skip
    errors[0] = (errors[0] if together else off.sum()) + rounding(terms)
    line = rho.points.shape[1] == 1
    most = math.sqrt(question.talagrand * max(numbers[0] + errors[0], 0.0))
    if not line and most < numbers[2]:
        numbers[2], errors[2] = most, 0.0
    reach, how = distance_by_divergence(hat, tolerance), LINE if line else BOX
    return Compared(rho, hat, terms[0], numbers, errors, reach, assumed, how)


def in_closed_form(question: Question, mu: Gaussian, tolerance: float) -> Compared:
    """In any dimension, where the exponent is quadratic, so that ρ̂ is a normal law too."""
    rho = Rule(mu.points, mu.weights, mu.log_density(mu.points), mu.points, 0.0)
    fit = quadratic_fit(lambda z: question.exponent(
        mu.mean() + z @ mu.sqrt_cov, rho.points, rho.masses), mu.dim)  # fmt: skip
    if not fit.relative <= policy.QUADRATIC:
        raise NotDefined("the dimension is above 3 and δS/δρ is not quadratic: a law that is "
                         "invariant under rotations can be judged as Radial")  # fmt: skip
    star, log_z = fit.law(mu.mean(), mu.sqrt_cov)
    hat = Rule(star.points, star.weights, star.log_density(star.points), star.points, log_z)
    terms, numbers = _numbers(question, rho, hat,
                              (normal_variation(mu, star), normal_distance(mu, star)))
    error = policy.QUADRATURE * fit.near + rounding(terms)
    blur = math.sqrt(policy.EPS * np.trace(mu.cov() + star.cov()))
    errors = np.array([error, math.sqrt(error), blur, error / question.beta])
    reach = math.sqrt(2.0 * tolerance * star.eigen[0][-1])  # Talagrand's inequality for ρ̂
    return Compared(rho, hat, terms[0], numbers, errors, reach, (QUADRATIC,), CLOSED)


def _numbers(question: Question, rho: Rule, hat: Rule, apart: Any = None) -> tuple[Array, Array]:
    """What KL(ρ‖ρ̂) is the sum of; and KL, total variation, W2, F(ρ) − F(ρ̂)."""
    exponent = question.exponent(rho.points, rho.points, rho.masses)
    entropies = [law.mean_of(law.log_density) for law in (rho, hat)]
    terms = np.array([rho.mean_of(exponent), entropies[0], hat.log_total])
    apart = apart or variation_and_distance(rho, hat, exponent)
    lead: Any = math.nan
    if question.smooth is not None:
        energies = [question.smooth.value_at_points(law.points, law.masses) for law in (rho, hat)]
        lead = energies[0] - energies[1] + (entropies[0] - entropies[1]) / question.beta
    return terms, np.array([terms.sum(), *apart, lead])


def rounding(terms: Array) -> float:
    """Of their sum; KL may well be infinite."""
    return float(policy.ROUNDING * policy.EPS * np.abs(terms[np.isfinite(terms)]).sum())
