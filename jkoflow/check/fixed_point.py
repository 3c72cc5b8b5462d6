"""How nearly a law solves ρ = exp(−β δS/δρ)/Z, and how far F(ρ) is from F's minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from ..arguments import is_finite, is_whole
from ..functionals.answers import answer_of
from ..functionals.base import Functional, Smooth
from ..measures.base import Array, Measure
from ..measures.gaussian import Gaussian
from ..status import InvalidProblem, MissingStructure, NotDefined
from ..verdict import Finding, Report, Verdict, at_most, rejected, undecided
from . import policy
from .fixed_point_quadrature import Rule, domain_of, quadratic_form, quantile_distance, rules_of

VARIATION = "δS/δρ, or G, is the function that was given (check_functional attacks δS/δρ)"
CONVEX = "S is convex along mixtures, as it claims (attacked around ρ̂)"
TAILS = "densities are negligible outside of a box if they are around it, to three times its width"
REFINED = "the fine quadrature is at most 4 times as far off as it differs from the coarse one"
QUADRATIC = "δS/δρ is the quadratic that it agrees with at random points"
TALAGRAND = "S is λ-convex along geodesics, as it claims, so ρ̂ has Talagrand's inequality with βλ"
WALLS = "the space ends where the domain does"
GENERAL = "S does not claim convexity along mixtures: there may be other solutions, of less energy"


class Question(NamedTuple):
    """ρ = exp(−exponent(·; ρ))/Z; S (as it acts on ρ's points), whether it claims to be convex
    along mixtures of all laws, β, and T with W2(ν, ρ̂)² ≤ T·KL(ν‖ρ̂), where there are such."""

    exponent: Callable[[Array, Array, Array], Array]
    smooth: Smooth | None
    convex: bool
    beta: float
    talagrand: float


class Compared(NamedTuple):
    """ρ against ρ̂: KL(ρ‖ρ̂), total variation, W2 and F(ρ) − F(ρ̂), which are ``numbers``; their
    ``errors``; and ∫ψ dρ, β times that and the other terms that KL is the sum of."""

    rho: Rule
    hat: Rule
    numbers: Array
    errors: Array
    terms: Array


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
    if not (nodes is None or is_whole(nodes, 8)):
        raise InvalidProblem(f"nodes must be a whole number, at least 8, not {nodes!r:.50}")
    if not isinstance(mu, Measure) and (not callable(mu) or domain is None):
        raise InvalidProblem("give a measure, or a log density with a domain=(lower, upper)")
    if not (callable(F) or isinstance(F, Functional)):
        raise InvalidProblem(f"F must be a functional or a function G, not {type(F).__name__}")
    box = domain_of(domain, mu)
    closed = box is not None and (isinstance(mu, Measure) if walls is None else bool(walls))
    try:
        with np.errstate(all="ignore"):
            question = _question(F, mu, box if closed else None)
            if isinstance(mu, Gaussian) and mu.dim > 3 and not closed:
                found = _gaussian(question, mu, tolerance)
            else:
                rules = rules_of(mu, box, closed, nodes)
                found = _by_quadrature(question, *rules, tolerance, [WALLS] * closed)
    except (MissingStructure, NotDefined) as error:
        found = [undecided("equation", str(error))]
    except Exception as error:  # a user's functional may raise anything
        found = [rejected("evaluation", f"{type(error).__name__}: {error}")]
    return Report(f"the fixed point of {F!r}", tuple(found))


def _question(F: Any, mu: Any, walls: Array | None) -> Question:
    """F or G as an exponent, infinite outside of walls."""
    smooth, beta, talagrand = None, 1.0, math.inf
    if isinstance(F, Functional):
        inverse = sum(c for c, _ in F.internal.terms)
        if {f.spec().get("name") for _, f in F.internal.terms} != {"Entropy"} or not inverse > 0:
            raise NotDefined("F is not a smooth functional plus a positive multiple of the entropy")
        smooth, beta = F.smooth.on(mu) if isinstance(mu, Measure) else F.smooth, 1.0 / inverse
        if F.smooth.convexity is not None and F.smooth.convexity > 0:
            talagrand = 2.0 / (beta * F.smooth.convexity)

    def exponent(at: Array, x: Array, w: Array) -> Array:
        if smooth is None:
            values = answer_of(F, (at, x, w), (len(at),), "G(at, x, w)")
        else:
            values = beta * smooth.first_variation_at_points(x, w, at)
        if walls is None:
            return values
        return np.where(((at < walls[0]) | (at > walls[1])).any(axis=1), np.inf, values)

    convex = smooth is not None and bool(F.smooth.convex_in_mixtures)
    return Question(exponent, smooth, convex, beta, talagrand)


def _by_quadrature(
    question: Question, space: Any, rho: list[Rule], tolerance: float, more: list[str]
) -> list[Finding]:
    """The findings in at most three coordinates."""
    box = space.support(lambda x: -question.exponent(x, rho[0].points, rho[0].masses))
    both = [_compared(question, rule, space, box, level) for level, rule in enumerate(rho)]
    pairs = zip(*((c.terms, c.numbers) for c in both), strict=True)
    terms, numbers = (policy.QUADRATURE * np.abs(np.where(a == b, 0.0, a - b)) for a, b in pairs)
    size = np.abs(both[1].terms[np.isfinite(both[1].terms)]).sum()  # KL may well be infinite
    numbers[0] = terms.sum() + policy.ROUNDING * policy.EPS * size
    here = both[1]._replace(errors=numbers)
    reach, how = _reach(here.hat, tolerance), ("½∫|ρ − ρ̂| =", "W2(ρ, ρ̂), of quantile functions, =")
    if box.shape[1] > 1:
        how = (how[0], "W2(ρ, ρ̂), by (2∫|x − x̄|² d|ρ − ρ̂|)^½ or Talagrand's inequality, ≤")
        most = math.sqrt(question.talagrand * max(here.numbers[0] + here.errors[0], 0.0))
        if most < here.numbers[2]:
            here.numbers[2], here.errors[2] = most, 0.0
    return _findings(question, here, tolerance, reach, [VARIATION, TAILS, REFINED, *more], how)


def _compared(question: Question, rho: Rule, space: Any, box: Array, level: int) -> Compared:
    """The numbers, by the coarse or by the fine rule."""

    def log_f(x: Array) -> Array:
        return -question.exponent(x, rho.points, rho.masses)

    hat, exponent = space.integrated(log_f, box, level), -log_f(rho.points)
    there = np.exp(np.log(rho.masses) - exponent - hat.log_total - rho.log_density)
    off, square = np.abs(rho.masses - there), hat.distances(rho.points)
    variation = 0.5 * (off.sum() + max(0.0, 1.0 - there.sum()))
    if box.shape[1] == 1:
        distance = quantile_distance(rho, hat)
    else:
        beyond = hat.masses @ hat.distances(hat.points) - there @ square
        distance = math.sqrt(2.0 * (off @ square + max(0.0, beyond)))
    entropy, mean = rho.masses @ rho.log_density, rho.masses @ exponent
    lower = _lead(question, rho, hat) + (entropy - hat.masses @ hat.log_density) / question.beta
    terms = np.array([mean, entropy, hat.log_total])
    numbers = np.array([terms.sum(), variation, distance, lower])
    return Compared(rho, hat, numbers, np.zeros(4), terms)


def _gaussian(question: Question, mu: Any, tolerance: float) -> list[Finding]:
    """The same in any dimension, where the exponent is quadratic: ρ̂ = m + Σ^½ N(−A⁻¹b, A⁻¹)."""
    root, x, w, log_det = mu.sqrt_cov, mu.points, mu.weights, mu.log_det()
    c, b, A, off = quadratic_form(lambda z: question.exponent(mu.mean() + z @ root, x, w), mu.dim)
    values, vectors = np.linalg.eigh(A)
    if not values[0] > 1e-12 * values[-1]:
        raise MissingStructure("exp(−β δS/δρ) does not decay in every direction")
    shift, factor = -vectors @ ((vectors.T @ b) / values), root @ (vectors / np.sqrt(values))
    star = Gaussian(mu.mean() + root @ shift, factor @ factor.T)
    kl = 0.5 * float((values - 1.0 - np.log(values)).sum() + shift @ A @ shift)
    cross = np.linalg.svd(root @ factor, compute_uv=False).sum()
    square = ((root @ shift) ** 2).sum() + np.trace(mu.cov() + star.cov()) - 2.0 * cross
    log_z = 0.5 * (mu.dim * math.log(2.0 * math.pi) + star.log_det() + shift @ A @ shift) - c
    rho, hat = (Rule(g.points, g.weights, g.log_density(g.points), g.points, log_z)
                for g in (mu, star))  # fmt: skip
    lower = _lead(question, rho, hat)
    lower += 0.5 * (star.log_det() - log_det) / question.beta
    size = mu.dim + values.sum() + abs(log_z)
    error = policy.QUADRATURE * off + policy.ROUNDING * policy.EPS * size
    variation = min(math.sqrt(0.5 * kl), math.sqrt(-math.expm1(-kl)))
    blur = math.sqrt(policy.EPS * np.trace(mu.cov() + star.cov()))
    here = Compared(rho, hat, np.array([kl, variation, math.sqrt(max(square, 0.0)), lower]),
                    np.array([error, math.sqrt(error), blur, error / question.beta]),
                    np.array([c + 0.5 * np.trace(A)]))  # fmt: skip
    reach = math.sqrt(2.0 * tolerance * star.eigen[0][-1])
    how = ("½∫|ρ − ρ̂|, by Pinsker's inequality, ≤", "W2(ρ, ρ̂), in closed form, =")
    return _findings(question, here, tolerance, reach, [VARIATION, QUADRATIC], how)


def _findings(
    question: Question,
    here: Compared,
    tolerance: float,
    reach: float,
    assumed: list[str],
    how: tuple[str, str],
) -> list[Finding]:
    """KL decides; the others are held to what KL(ρ‖ρ̂) ≤ tolerance implies."""
    if math.isfinite(question.talagrand):
        reach = min(reach, math.sqrt(question.talagrand * tolerance))
        assumed = [*assumed, TALAGRAND]
    numbers, errors = here.numbers, here.errors
    doubt = Verdict.REJECTED if numbers[0] - errors[0] > tolerance else Verdict.UNDECIDED
    unclear = doubt is Verdict.UNDECIDED
    reason = "the quadrature is too coarse: raise nodes" if unclear else "ρ is not exp(−βψ)/Z"
    rows = zip(("equation", "total variation", "W2"), numbers, errors,
               (tolerance, math.sqrt(0.5 * tolerance), reach),
               ("KL(ρ‖ρ̂) =", *how), strict=False)  # fmt: skip
    found = [at_most(claim, value + error, bound, assumed, reason, doubt,
                     where=f"{what} {value:.4g} ± {error:.1g}")
             for claim, value, error, bound, what in rows]  # fmt: skip
    if question.smooth is None:
        return found
    lower, upper = numbers[3] - errors[3], (numbers[0] + errors[0]) / question.beta
    bound = tolerance / question.beta
    doubt = Verdict.REJECTED if lower > bound else Verdict.UNDECIDED
    if not question.convex:
        where = f"F(ρ) − F(ρ̂) ≥ {lower:.4g}"
        reason = GENERAL if doubt is Verdict.UNDECIDED else "ρ̂ has less energy"
        return [*found, Finding("gap", doubt, float(lower), bound, tuple(assumed), where, reason)]
    where = f"F(ρ) − min F is between {max(lower, 0.0):.4g} and {upper:.4g}"
    gap = at_most("gap", upper, bound, (*assumed, CONVEX), "", doubt, where)
    return [*found, gap, _attack(question, question.smooth, here)]


def _lead(question: Question, rho: Rule, hat: Rule) -> float:
    """S(ρ) − S(ρ̂)."""
    if question.smooth is None:
        return math.nan
    S = question.smooth.value_at_points
    return float(S(rho.points, rho.masses) - S(hat.points, hat.masses))


def _reach(hat: Rule, tolerance: float) -> float:
    """Largest W2(ρ, ρ̂) that KL(ρ‖ρ̂) ≤ tolerance allows: C(√K + (K/2)^¼) for every α > 0,
    C = 2((3/2 + log∫exp(α|x − x̄|²) dρ̂)/α)^½ (Bolley & Villani 2005, Corollary 2.3)."""
    square = hat.distances(hat.points)
    alpha = 0.25 * hat.points.shape[1] / float(hat.masses @ square)
    moment = float(logsumexp(alpha * square, b=hat.masses))
    constant = 2.0 * math.sqrt((1.5 + moment) / alpha)
    return constant * (math.sqrt(tolerance) + (0.5 * tolerance) ** 0.25)


def _attack(question: Question, S: Smooth, here: Compared) -> Finding:
    """S(ν) ≥ S(ρ) + ∫ψ d(ν − ρ), all that the bound uses, at ρ̂ and at random laws on its nodes."""
    rho, hat, rng = here.rho, here.hat, np.random.default_rng(0)
    psi, mean = -(hat.log_density + hat.log_total) / question.beta, here.terms[0] / question.beta
    start, worst = S.value_at_points(rho.points, rho.masses), -np.inf
    size = (np.abs(hat.log_density).max() + abs(hat.log_total)) / question.beta
    some = [rng.choice(len(psi), min(len(psi), 64), replace=False) for _ in range(8)]
    laws = [(chosen, rng.dirichlet(np.full(len(chosen), 0.3))) for chosen in some]
    for chosen, nu in [(np.arange(len(psi)), hat.masses), *laws]:
        value, slope = S.value_at_points(hat.points[chosen], nu), float(nu @ psi[chosen])
        worst = max(worst, start + slope - mean - value)
        size = max(size, abs(value) + float(nu @ np.abs(psi[chosen])))
    slack = policy.ROUNDING * policy.EPS * (size + abs(start) + abs(mean))
    reason = "S lies below its tangent at ρ: it is not convex along mixtures as it claims"
    return at_most("convexity in mixtures", worst, slack, (), reason)
