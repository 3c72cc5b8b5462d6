"""A functional against its own derivatives and claims, for users as much as for the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..arguments import generator
from ..functionals.base import Functional, make_sum
from ..functionals.interaction import Interaction
from ..functionals.scale import at_scale_of
from ..measures.base import Measure, a_measure
from ..measures.grid import Grid
from ..measures.particles import Particles
from ..status import InvalidFunctional, InvalidMeasure, MissingStructure, NotDefined
from ..verdict import Decided, Finding, Report, rejected, undecided
from . import claims, derivatives
from .around import Around
from .evaluate import Evaluated, evaluate


def check_functional(F: Functional, mu: Measure, *, rng: Any = None) -> Report:
    """Judge a functional at one measure: purity, derivatives, and what it claims of itself.

    Purity: the same bits twice, the input unchanged, and no dependence on the order of points.
    Gradient and first variation: the remainder of a first-order expansion must fall like t²
    along random displacements and mixtures. Claims: convexity along generalised geodesics and
    mixtures, and lower bounds, are attacked at random; surviving is no proof.

    Parameters
    ----------
    F : Functional
    mu : Measure
        Where; try several.
    rng : seed or Generator, optional
        Of the directions.

    Returns
    -------
    Report
        An exception raised by F is a finding, not an exception.

    Raises
    ------
    InvalidFunctional, InvalidMeasure, InvalidProblem
        If F is no functional, mu no measure, or rng no seed.

    Examples
    --------
    >>> from jkoflow import Particles, Potential
    >>> mu = Particles([[0.3], [1.2]])
    >>> right = Potential(lambda x: x[:, 0] ** 4, gradient=lambda x: 4 * x**3)
    >>> wrong = Potential(lambda x: x[:, 0] ** 4, gradient=lambda x: -4 * x**3)
    >>> check_functional(right, mu, rng=0).verdict.name
    'ACCEPTED'
    >>> check_functional(wrong, mu, rng=0)["gradient"].verdict.name
    'REJECTED'
    """
    F, rng = at_scale_of(a_functional(F), a_measure(mu, "mu")), generator(rng)
    here = guarded("evaluation", partial(evaluate, F, mu))
    found = [here] if isinstance(here, Finding) else attack(F, here, rng)
    return Report(f"{F!r} at {mu!r}", tuple(found))


def a_functional(value: Any) -> Functional:
    """``value`` itself, if it is a functional."""
    if isinstance(value, Functional):
        return value
    raise InvalidFunctional(f"F must be a functional, not {type(value).__name__}: "
                            "wrap a Python function with @jkoflow.functional")  # fmt: skip


def on_some_cells(F: Functional, mu: Grid, most: int = 400) -> tuple[Functional, Particles]:
    """What a run on a grid is attacked with: the smooth terms that are finite, hence no obstacles,
    and no `Interaction` that is singular where a point, unlike a cell, meets itself; at some of the
    centres that hold mass, evenly along the cells' order. What else fails at points is a fault."""
    held = np.flatnonzero(mu.weights > 0)
    kept = held[:: len(held) // most + 1]
    some = Particles(mu.points[kept], mu.weights[kept] / mu.weights[kept].sum())
    return make_sum([(c, f) for c, f in F.smooth.terms if _is_finite(f, mu) and
                    (not isinstance(f, Interaction) or _is_finite(f, some))]), some  # fmt: skip


def _is_finite(f: Functional, mu: Measure) -> bool:
    """Whether δf is known, and finite, at the points of μ."""
    found = guarded("evaluation", partial(f.first_variation, mu, mu.points))
    return not isinstance(found, Finding) and bool(np.isfinite(found).all())


def attack(F: Functional, here: Evaluated, rng: Any, *unknown: type[Exception]) -> list[Finding]:
    """The findings of `check_functional`; ``unknown`` errors, too, leave a question open."""
    around = Around(F, here, generator(rng))
    findings: list[Finding] = []
    for test in _TESTS:
        found = guarded(test.__name__.replace("_", " "), partial(_listed, test, around), *unknown)
        findings += [found] if isinstance(found, Finding) else found
    return findings


def _listed(test: Callable[[Around], Iterator[Finding]], around: Around) -> list[Finding]:
    return list(test(around.of_points if test in _MOVING else around))


def guarded(claim: str, test: Callable[[], Any], *unknown: type[Exception]) -> Any:
    """What the test returns, or what its exception means; the ``unknown`` ones no fault."""
    try:
        with np.errstate(all="ignore"):
            return test()
    except (MissingStructure, NotDefined, InvalidMeasure, *unknown) as error:  # type: ignore[misc]
        return undecided(claim, str(error))
    except Exception as error:  # a user's functional may raise anything
        return rejected(claim, f"{type(error).__name__}: {error}")


def known(claim: str, test: Callable[[], Any]) -> Any:
    """What the test returns; `Decided` where it does not."""
    if isinstance(found := guarded(claim, test), Finding):
        raise Decided(found)
    return found


_TESTS = (
    claims.purity, derivatives.gradient, derivatives.first_variation, claims.convexity,
    claims.convexity_in_mixtures, claims.convexity_of_the_first_variation, claims.linearity,
    claims.lower_bound,
)  # fmt: skip
_MOVING = (derivatives.gradient, claims.convexity)
