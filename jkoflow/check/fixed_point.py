"""How nearly a law solves ρ = exp(−β δS/δρ)/Z, and how far F(ρ) is from F's minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite, is_whole
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
from ..measures.quadrature import Rule, Space, domain_of
from ..measures.rules import refined, rules_of, shaped, tabulated
from ..status import InvalidProblem, MissingStructure, NotDefined
from ..verdict import Finding, Report, Verdict, at_most, rejected, undecided
from . import policy

VARIATION = "δS/δρ, or G, is the function that was given (check_functional attacks δS/δρ)"
CONVEX = "S is convex along mixtures, as it claims (attacked around ρ̂)"
TAILS = "densities are negligible outside of a box if they are around it, to three times its width"
REFINED = "the fine quadrature is at most 4 times as far off as it differs from the coarse one"
QUADRATIC = "δS/δρ is the quadratic that it agrees with at random points"
TALAGRAND = "S is λ-convex along geodesics, as it claims, so ρ̂ has Talagrand's inequality with βλ"
INSIDE = "ρ, of which a grid tells the masses of cells, is shaped like ρ̂ inside of them"
WALLS = "the space ends where the domain does"
GENERAL = "S does not claim convexity along mixtures: there may be other solutions, of less energy"
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


def check_fixed_point(
    F: Functional | Callable[[Array, Array, Array], ArrayLike],
    mu: Measure | Callable[[Array], ArrayLike],
    *,
    tolerance: float = policy.FIXED_POINT,
    domain: ArrayLike | None = None,
    walls: bool | None = None,
    nodes: int | None = None,
) -> Report:
    """Judge whether ρ solves the fixed-point equation of F = S + H/β, and bound F(ρ) − min F.

    With ψ = δS/δρ at ρ and ρ̂ = exp(−βψ)/Z, the equation holds iff KL(ρ‖ρ̂) = 0. If S is convex
    along mixtures, S(ν) ≥ S(ρ) + ∫ψ d(ν−ρ) for every ν, so that
    KL(ρ‖ρ*) ≤ β(F(ρ) − min F) ≤ KL(ρ‖ρ̂), with no knowledge of ρ*. And no minimum exceeds
    F(ρ̂). Where S is not, the equation may hold, and minimality and uniqueness are UNDECIDED.

    Parameters
    ----------
    F : Functional or callable
        Smooth terms and `Entropy`; or G of the equation ρ = exp(−G(·; ρ))/Z, as a function
        ``G(at (m, d), x (n, d), w (n,)) -> (m,)`` of the law Σ w_i δ_{x_i}.
    mu : Measure or callable
        Quantiles, Radial, or Gaussian (beyond dimension 3 where ψ is quadratic); or the log of a
        density, (m, D) → (m,), D ≤ 3, up to a constant.
    tolerance : float
        Largest KL(ρ‖ρ̂) that counts as solving the equation.
    domain : (lower, upper), optional
        Numbers, or vectors (D,). For a log density: where to look first. For a measure: the ends
        of the space.
    walls : bool, optional
        Whether the space ends where the domain does; by default for measures only.
    nodes : int, optional
        Quadrature nodes an axis (the fine rule has half as many again).

    Returns
    -------
    Report

    Raises
    ------
    InvalidProblem
        For options that make no sense. What F and the density do is a finding.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, QuadraticPotential
    >>> F = Entropy() / 2 + QuadraticPotential(2.0)
    >>> report = check_fixed_point(F, Gaussian(0.0, 0.25))
    >>> report.verdict.name, bool(report["gap"].measured < 1e-12)
    ('ACCEPTED', True)
    >>> check_fixed_point(F, Gaussian(0.0, 0.5))["equation"].verdict.name
    'REJECTED'
    >>> check_fixed_point(F, lambda x: -2 * x[:, 0] ** 2, domain=(-1, 1)).verdict.name
    'ACCEPTED'
    """
    if not (is_finite(tolerance) and tolerance > 0):
        raise InvalidProblem(f"tolerance must be positive and finite, not {tolerance!r:.50}")
    if not isinstance(mu, Measure) and (not callable(mu) or domain is None):
        raise InvalidProblem("give a measure, or a log density with a domain=(lower, upper)")
    if isinstance(F, type) or not (callable(F) or isinstance(F, Functional)):
        raise InvalidProblem(f"F must be a functional or a function G, not {type(F).__name__}: "
                             "wrap a Python function with @jkoflow.functional")  # fmt: skip
    box = domain_of(domain, mu)
    space: Any = mu.points if isinstance(mu, Measure) else box
    most = int(policy.MOST_NODES ** (1.0 / min(space.shape[1], 3)))
    if not (nodes is None or (is_whole(nodes, 8) and nodes <= most)):
        raise InvalidProblem(f"nodes must be a whole number, at least 8 and at most {most} for the "
                             f"sake of memory, not {nodes!r:.50}")  # fmt: skip
    closed = box is not None and (isinstance(mu, Measure) if walls is None else bool(walls))
    try:
        with np.errstate(all="ignore"):
            question = _question(F, mu, box if closed else None)
            if isinstance(mu, Gaussian) and mu.dim > 3 and not closed:
                here = _in_closed_form(question, mu, tolerance)
            elif isinstance(mu, Grid) and closed and domain is None:
                here = _by_cells(F, mu, question, tolerance)
            else:
                log: Any = mu if isinstance(mu, Measure) else _answered(mu, "log_density")
                here = _by_quadrature(question, *rules_of(log, box, closed, nodes), tolerance)
            found = [*_equation(question, here, tolerance), *_gap(question, here, tolerance)]
    except (MissingStructure, NotDefined) as error:
        found = [undecided("equation", str(error))]
    except Exception as error:  # a user's functional may raise anything
        found = [rejected("evaluation", f"{type(error).__name__}: {error}")]
    return Report(f"the fixed point of {F!r}", tuple(found))


def _answered(f: Any, name: str) -> Callable[..., Array]:
    """A user's function of points, checked: one number a point."""
    return lambda at, *more: answer_of(f, (at, *more), (len(at),), name)


def _question(F: Any, mu: Any, walls: Array | None) -> Question:
    """F or G as an exponent, infinite outside of walls."""
    asked = _asked(F, mu) if isinstance(F, Functional) else Question(_answered(F, "G(at, x, w)"))
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


def _by_quadrature(
    question: Question, space: Space, rho: list[Rule], tolerance: float
) -> Compared:
    """In at most three coordinates, by a coarse and by a fine rule."""
    log_f = [lambda x, r=r: -question.exponent(x, r.points, r.masses) for r in rho]
    box = space.support(log_f[0])
    hat = [space.integrated(f, box, level) for level, f in enumerate(log_f)]
    levels = [(question, *laws) for laws in zip(rho, hat, strict=True)]
    return _compared(levels, tolerance, (TAILS, REFINED))


def _by_cells(F: Any, mu: Grid, asked: Question, tolerance: float) -> Compared:
    """On a grid's own box: ρ is the density with its cells' masses that is shaped like ρ̂ inside
    of them, on cells cut coarsely and finely."""
    levels, centres = [], asked.exponent(mu.points, mu.points, mu.weights)
    for level in (0, 1):
        fine = refined(mu, level)
        question, x = _cut(_question(F, fine, None), mu, fine, centres), fine.points
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


def _in_closed_form(question: Question, mu: Gaussian, tolerance: float) -> Compared:
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


def _equation(question: Question, here: Compared, tolerance: float) -> list[Finding]:
    """KL decides; the others are held to what KL(ρ‖ρ̂) ≤ tolerance implies."""
    unclear = not here.numbers[0] - here.errors[0] > tolerance
    doubt = Verdict.UNDECIDED if unclear else Verdict.REJECTED
    reason = "the quadrature is too coarse: raise nodes, or take finer cells"
    reason = reason if unclear else "ρ is not exp(−βψ)/Z"
    reach = min(here.reach, math.sqrt(question.talagrand * tolerance))
    rows = zip(("equation", "total variation", "W2"), ("KL(ρ‖ρ̂) =", *here.how),
               (tolerance, math.sqrt(0.5 * tolerance), reach),
               here.numbers, here.errors, strict=False)  # fmt: skip
    return [at_most(claim, value + error, bound, (*question.assumed, *here.assumed), reason, doubt,
                    where=f"{what} {value:.4g} ± {error:.1g}")
            for claim, what, bound, value, error in rows]  # fmt: skip


def _gap(question: Question, here: Compared, tolerance: float) -> list[Finding]:
    """F(ρ) − min F, where there is an F: at most KL/β if S is convex along mixtures."""
    if question.smooth is None:
        return []
    bound, assumed = tolerance / question.beta, (*question.assumed, *here.assumed)
    lower = float(here.numbers[3] - here.errors[3])
    upper = float(here.numbers[0] + here.errors[0]) / question.beta
    doubt = Verdict.REJECTED if lower > bound else Verdict.UNDECIDED
    if not question.convex:
        reason = GENERAL if doubt is Verdict.UNDECIDED else "ρ̂ has less energy"
        where = f"F(ρ) − F(ρ̂) ≥ {lower:.4g}"
        return [Finding("gap", doubt, lower, bound, assumed, where, reason)]
    where = f"F(ρ) − min F is between {max(lower, 0.0):.4g} and {upper:.4g}"
    gap = at_most("gap", upper, bound, (*assumed, CONVEX), "", doubt, where)
    return [gap, _attack(question.smooth, question.beta, here)]


def _attack(S: Smooth, beta: float, here: Compared) -> Finding:
    """S(ν) ≥ S(ρ) + ∫ψ d(ν − ρ), all that the bound uses, at ρ̂ and at random laws on its nodes."""
    rho, hat, rng = here.rho, here.hat, np.random.default_rng(0)
    psi, mean = -(hat.log_density + hat.log_total) / beta, here.mean / beta
    start, held = S.value_at_points(rho.points, rho.masses), np.flatnonzero(hat.masses)
    psi[hat.masses == 0], everywhere = 0.0, np.arange(len(psi))  # obstacles
    some = [rng.choice(held, min(len(held), 64), replace=False) for _ in range(8)]
    laws = [(chosen, rng.dirichlet(np.full(len(chosen), 0.3))) for chosen in some]
    above, sizes = [], [np.abs(psi).max() + abs(hat.log_total) / beta]
    for chosen, nu in [(everywhere, hat.masses), *laws]:
        value = S.value_at_points(hat.points[chosen], nu)
        above.append(start + nu @ psi[chosen] - mean - value)
        sizes.append(abs(value) + nu @ np.abs(psi[chosen]))
    slack = policy.ROUNDING * policy.EPS * (np.max(sizes) + abs(start) + abs(mean))
    reason = "S lies below its tangent at ρ: it is not convex along mixtures as it claims"
    return at_most("convexity in mixtures", np.max(above), slack, (), reason)
