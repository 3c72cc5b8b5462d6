"""How nearly a law solves ρ = exp(−β δS/δρ)/Z, and how far F(ρ) is from F's minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite, is_whole
from ..functionals.base import Functional, Smooth
from ..measures.base import Array, Measure
from ..measures.gaussian import Gaussian
from ..measures.grid import Grid
from ..measures.quadrature import domain_of
from ..measures.rules import rules_of
from ..status import InvalidProblem, MissingStructure, NotDefined
from ..verdict import Finding, Report, Verdict, at_most, rejected, undecided
from . import policy
from .proximal_gibbs import (
    Compared,
    Question,
    answered,
    by_cells,
    by_quadrature,
    in_closed_form,
    question_of,
)

CONVEX = "S is convex along mixtures, as it claims (attacked around ρ̂)"
GENERAL = "S does not claim convexity along mixtures: there may be other solutions, of less energy"


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
            question = question_of(F, mu, box if closed else None)
            if isinstance(mu, Gaussian) and mu.dim > 3 and not closed:
                here = in_closed_form(question, mu, tolerance)
            elif isinstance(mu, Grid) and closed and domain is None:
                here = by_cells(F, mu, question, tolerance)
            else:
                log: Any = mu if isinstance(mu, Measure) else answered(mu, "log_density")
                rules = rules_of(log, box, closed, nodes, question.facing)
                here = by_quadrature(question, *rules, tolerance)
            found = [*_equation(question, here, tolerance), *_gap(question, here, tolerance)]
    except (MissingStructure, NotDefined) as error:
        found = [undecided("equation", str(error))]
    except Exception as error:  # a user's functional may raise anything
        found = [rejected("evaluation", f"{type(error).__name__}: {error}")]
    what = f"the fixed point of {F!r}" if isinstance(F, Functional) else "ρ = exp(−G(·; ρ))/Z"
    return Report(what, tuple(found))


def _equation(question: Question, here: Compared, tolerance: float) -> list[Finding]:
    """KL decides; the others are held to what KL(ρ‖ρ̂) ≤ tolerance implies."""
    unclear = not here.numbers[0] - here.errors[0] > tolerance
    doubt = Verdict.UNDECIDED if unclear else Verdict.REJECTED
    law = "exp(−G(·; ρ))/Z" if question.smooth is None else "exp(−βψ)/Z"
    coarse = "the quadrature is too coarse: raise nodes, or take finer cells"
    reason = coarse if unclear else f"ρ is not {law}"
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
