"""A functional against its own derivatives and claims, for users as much as for the judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..arguments import generator, is_finite
from ..functionals.base import Functional, Smooth, make_sum
from ..functionals.curves import Curve, displacement, mixture, remassed
from ..measures.base import Array, Measure, a_measure
from ..measures.cells import Cells
from ..measures.displacements import (
    monotone_displacements,
    random_companions,
    random_displacements,
)
from ..measures.grid import Grid
from ..measures.mesh import Mesh
from ..measures.particles import Particles
from ..status import InvalidFunctional, MissingStructure, NotDefined
from . import policy
from .evaluate import Evaluated, evaluate, gradients, norm, real
from .verdict import Finding, Report, Verdict, at_most, rejected, undecided

_SCALES = 0.5 * 4.0 ** np.arange(-12.0, 1.0)


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
    rng = generator(rng)
    here = guarded("evaluation", partial(evaluate, a_functional(F), a_measure(mu, "mu")))
    found = [here] if isinstance(here, Finding) else attack(F, here, rng)
    return Report(f"{F!r} at {mu!r}", tuple(found))


def a_functional(value: Any) -> Functional:
    """``value`` itself, if it is a functional."""
    if isinstance(value, Functional):
        return value
    raise InvalidFunctional(f"F must be a functional, not {type(value).__name__}: "
                            "wrap a Python function with @jkoflow.functional")  # fmt: skip


def on_some_cells(F: Functional, mu: Grid, most: int = 400) -> tuple[Functional, Particles]:
    """What a run on a grid is attacked with: the smooth terms without obstacles, at some of the
    centres that hold mass, evenly along the cells' order."""
    held = np.flatnonzero(mu.weights > 0)
    kept = held[:: len(held) // most + 1]
    terms = [(c, f) for c, f in F.smooth.terms
             if np.isfinite(f.first_variation(mu, mu.points)).all()]  # fmt: skip
    return make_sum(terms), Particles(mu.points[kept], mu.weights[kept] / mu.weights[kept].sum())


def attack(F: Functional, here: Evaluated, rng: Any) -> list[Finding]:
    """The findings of `check_functional`."""
    around = Around(F, here, generator(rng))
    findings: list[Finding] = []
    for claim, test in _TESTS.items():
        found = guarded(claim, partial(_listed, test, around))
        findings += [found] if isinstance(found, Finding) else found
    return findings


def _listed(test: Callable[[Around], Iterator[Finding]], around: Around) -> list[Finding]:
    return list(test(around.of_points if test in _MOVING else around))


def guarded(claim: str, test: Callable[[], Any]) -> Any:
    """What the test returns, or what its exception means."""
    try:
        with np.errstate(all="ignore"):
            return test()
    except (MissingStructure, NotDefined) as error:
        return undecided(claim, str(error))
    except Exception as error:  # a user's functional may raise anything
        return rejected(claim, f"{type(error).__name__}: {error}")


def breadth(here: Evaluated) -> float:
    """The standard deviation, but not below a thousandth of the coordinates; 1 for δ_0."""
    x, w = here.measure.points, here.measure.weights
    return max(norm(x - w @ x, w), 1e-3 * norm(x, w), here.unit) or 1.0


@dataclass(frozen=True)
class Around:
    """F near a measure: random displacements of it and mixtures with it, which all tests share."""

    F: Functional
    here: Evaluated
    rng: np.random.Generator

    @cached_property
    def of_points(self) -> Around:
        """Itself; on a grid, where moving masses blurs them, the smooth part at the centres."""
        F, mu = self.F.smooth, self.here.measure
        if not isinstance(mu, Grid):
            return self
        return Around(F, evaluate(F, Particles(mu.points, mu.weights)), self.rng)

    @cached_property
    def fields(self) -> list[Array]:
        """Displacements, of norm at most the breadth."""
        return random_displacements(self.here.measure, breadth(self.here), self.rng)

    @cached_property
    def monotone(self) -> list[Array]:
        """Those along which internal energies may claim to be convex."""
        if self.here.measure.kind != "mesh" or not self.F.internal.terms:
            return self.fields
        return monotone_displacements(self.here.measure, breadth(self.here), self.rng)

    @cached_property
    def displaced(self) -> list[Measure]:
        """Where they lead."""
        return [self.here.measure.displaced(v) for v in self.fields]

    @cached_property
    def values(self) -> list[float]:
        """F there."""
        return [self.F.value(nu) for nu in self.displaced]

    @cached_property
    def others(self) -> list[tuple[Array, Array]]:
        """Three laws (points, weights) on some of μ's points, displaced."""
        return random_companions(self.here.measure, self.fields[:3], self.rng)

    @cached_property
    def mixtures(self) -> list[Curve]:
        """Of the smooth part with other laws; of the internal part with other masses of cells."""
        F, mu, found = self.F, self.here.measure, []
        if F.smooth.terms:
            S = F.smooth.on(mu)
            found += [mixture(S, mu.points, mu.weights, y, u) for y, u in self.others]
        if F.internal.terms and isinstance(mu, (Cells, Grid, Mesh)) and len(mu.mass) > 1:
            shares = mu.mass * self.rng.uniform(0.1, 1.9, (3, len(mu.mass)))
            found += [remassed(F.internal, mu, s / s.sum()) for s in shares]
        return found


def purity(a: Around) -> Iterator[Finding]:
    """The same question gets the same answer, and nothing else happens."""
    F, mu, here = a.F, a.here.measure, a.here
    before = {name: np.array(array) for name, array in mu.to_arrays().items()}
    same = real(F.value(mu)) == here.energy
    same = same and np.array_equal(sum(gradients(F, mu)), here.gradient)
    yield at_most("purity", float(not same), 0.0, (), "two evaluations gave different answers")
    changed = any(not np.array_equal(v, before[name]) for name, v in mu.to_arrays().items())
    yield at_most("purity", float(changed), 0.0, (), "the measure was changed by evaluating F")
    if mu.kind == "particles":
        order = a.rng.permutation(len(mu.weights))
        other = type(mu).from_arrays({"x": mu.points[order], "weights": mu.weights[order]})
        off = abs(real(F.value(other)) - here.energy)
        yield at_most("purity", off, here.margin, (), "F depends on the order of the points")


def gradient(a: Around) -> Iterator[Finding]:
    """F(μ displaced by tv) − F(μ) − tΣw⟨∇δF, v⟩ = O(t²)."""
    mu, here, found = a.here.measure, a.here, []
    if np.isnan(a.values).any():
        raise InvalidFunctional("F is NaN near the measure")
    for number, v in enumerate(a.fields):
        curve, length = displacement(a.F, mu, v, here.gradient), norm(v, mu.weights)
        curve = curve._replace(size=here.size * length)
        known = here.energy, here.margin, here.blur * length
        f = order_of("gradient", curve, *known).at(f"direction {number + 1}")
        if f.verdict is Verdict.REJECTED and not here.exact:
            f = undecided(f.claim, f"{f.reason}: the cubature may be too coarse", f.where)
        elif f.verdict is Verdict.REJECTED and curve.kinked(list(_SCALES[:-1]), *known):
            f = undecided(f.claim, f"{f.reason}: F has a kink here", f.where)
        found.append(f)
    # without the directions that rounding hides, if others are seen
    clear = [f for f in found if f.verdict is not Verdict.UNDECIDED]
    yield from clear if len(clear) > 1 else found


def first_variation(a: Around) -> Iterator[Finding]:
    """F(μ + t(ν − μ)) − F(μ) − t∫δF d(ν − μ) = O(t²)."""
    for number, curve in enumerate(a.mixtures):
        known = "first variation", curve, real(curve.value(0.0)), a.here.margin
        found = order_of(*known)
        if found.verdict is not Verdict.ACCEPTED:
            found = order_of(*known, 8.0 * curve.noise(1e-7 * breadth(a.here)))
        yield found.at(f"mixture {number + 1}")


def order_of(claim: str, curve: Curve, start: float, margin: float, blur: float = 0.0) -> Finding:
    """Judge the rate at which |F(ρ_t) − start − t·slope| falls with t; slope is known to ±blur.

    Two steps in a row at which the derivative agrees with the difference are enough (in a row,
    since a remainder may pass through zero once). Else the order is that of the smallest steps at
    which the remainder is above rounding, by its margin and by what is seen at the smallest
    steps, and grows at least like t^0.8, as every error of a derivative does: three times in a
    row, or twice, which rejects nothing. Nor does that after a higher order at smaller steps: large
    ones may leave the place where F is smooth on their scale.
    """
    noise = margin / 8.0
    remainder, error = np.empty((2, len(_SCALES)))
    for k, t in enumerate(_SCALES):
        off = abs(real(curve.value(t)) - start - t * curve.slope) - t * blur
        remainder[k] = np.maximum(off, 0.0)  # NaN stays
        error[k] = (remainder[k] + noise) / (t * curve.size) if remainder[k] + noise != 0 else 0.0
        accuracy = error[max(k - 1, 0) : k + 1].max()
        if k > 0 and accuracy <= policy.DERIVATIVE:
            return at_most(claim, accuracy, policy.DERIVATIVE)
    if not np.isfinite(curve.slope):
        return rejected(claim, "the derivative is NaN or infinite")
    if remainder[2] < 9.0 * remainder[0]:  # no growth over 16 times: that is rounding
        noise = max(noise, remainder[:3].max())
    reached = f"(error {error.min():.1e})"
    grows = (remainder[:-1] > 4.0 * noise) & (remainder[1:] > 3.0 * remainder[:-1])
    thrice = np.flatnonzero(grows[:-2] & grows[1:-1] & grows[2:])
    found = thrice if thrice.size else np.flatnonzero(grows[:-1] & grows[1:])
    if not found.size:
        return undecided(claim, f"rounding hides the remainder {reached}")
    clear, at = int(np.argmax(remainder > 4.0 * noise)), int(found[0])
    seen = np.log2(remainder[clear : at + 4]) / 2.0  # grows by the order
    rate = float(seen[at - clear + 2] - seen[at - clear]) / 2.0
    slow = thrice.size > 0 and np.diff(seen).max() < policy.ORDER_REJECTED
    doubt = Verdict.REJECTED if slow and error.min() > policy.DERIVATIVE else Verdict.UNDECIDED
    reason = f"the remainder falls with order {rate:.2f} instead of 2 {reached}"
    return at_most(claim, 2.0 - rate, 2.0 - policy.ORDER, (), reason, doubt)


def lacks(ends: tuple[float, float], middle: float, more: float = 0.0) -> tuple[float, float]:
    """How far the middle is above the mean of the ends, and the rounding of that."""
    if np.isinf(ends).any():
        return -math.inf, 0.0
    scale = abs(middle) + abs(ends[0]) + abs(ends[1]) + more
    return middle - 0.5 * (ends[0] + ends[1]), policy.ROUNDING * policy.EPS * scale


def convexity(a: Around) -> Iterator[Finding]:
    """F(½(ν_0+ν_1)) ≤ ½F(ν_0) + ½F(ν_1) − (λ/8)|v_0−v_1|² along displacements of μ."""
    for size in (1.0, 0.1):
        radius = size * breadth(a.here)
        modulus = a.F.convexity
        if modulus is None:
            modulus = a.F.convexity_near(a.here.measure, radius)
        if modulus is None:
            continue
        if not is_finite(modulus):
            yield rejected("convexity", f"F claims to be {modulus!r:.50}-convex: a modulus is a "
                                        "finite number, or None")  # fmt: skip
            return
        reason = f"F is not {modulus:.3g}-convex as it claims"
        found = [at_most("convexity", *excess, (), reason, where=f"within {radius:.3g}")
                 for excess in _bends(a, modulus, size)]  # fmt: skip
        yield max(found, key=lambda f: f.severity)


def _bends(a: Around, modulus: float, size: float) -> Iterator[tuple[float, float]]:
    """What convexity lacks in the middle of pairs of displacements, and its rounding."""
    F, here, mu, w = a.F, a.here, a.here.measure, a.here.measure.weights
    fields, extent = [size * v for v in a.monotone], norm(mu.points, w)
    known = a.values if size == 1.0 and a.monotone is a.fields else None
    ends = [*zip(fields, known or [F.value(mu.displaced(v)) for v in fields], strict=True)]
    still = (0.0 * fields[0], here.energy)
    for (v0, f0), (v1, f1) in [*((still, end) for end in ends), *pairwise(ends)]:
        far = norm(v0 - v1, w)
        excess, rounding = lacks(
            (f0, f1), F.value(mu.displaced(0.5 * (v0 + v1))),
            (extent + far) * (here.size + abs(modulus) * far),  # what rounding of the points costs
        )  # fmt: skip
        yield excess + modulus / 8.0 * far * far, here.margin + rounding


def convexity_in_mixtures(a: Around) -> Iterator[Finding]:
    """F(½ρ + ½ν) ≤ ½F(ρ) + ½F(ν), where F claims to be convex along mixtures."""
    reason = "F is not convex along mixtures as it claims"
    for curve in a.mixtures if a.F.convex_in_mixtures else ():
        start, middle, end = curve.at_halves
        excess, rounding = lacks((start, end), middle)
        yield at_most("convexity in mixtures", excess, a.here.margin + rounding, (), reason)


def convexity_of_variation(a: Around) -> Iterator[Finding]:
    """V(½y + ½z) ≤ ½V(y) + ½V(z) − (λ/8)|y − z|², V = δF/δρ at μ, for the λ that F claims for V."""
    F, mu, claim = a.F, a.here.measure, "convexity of the first variation"
    modulus = F.convexity_of_variation(mu)
    if modulus is None:
        return
    S = F.smooth.on(mu)
    for (y, _), (z, _) in pairwise(a.others):
        at = np.concatenate([y, z, 0.5 * (y + z)])
        V = S.first_variation_at_points(mu.points, mu.weights, at).reshape(3, -1)
        far = ((y - z) ** 2).sum(axis=1)
        excess = V[2] - 0.5 * (V[0] + V[1]) + modulus / 8.0 * far
        turn = np.abs(V[:2] - V[2]).sum(axis=0) + abs(modulus) * far  # slopes times |y − z|
        moved = 1.0 + np.sqrt((z * z).sum(axis=1) / np.where(far > 0, far, np.inf))
        rounding = policy.ROUNDING * policy.EPS * (np.abs(V).sum(axis=0) + turn * moved)
        k = int(np.argmax(excess - rounding))
        reason = f"δF is not {modulus:.3g}-convex as F claims"
        yield at_most(claim, excess[k], rounding[k] + a.here.margin, (), reason)


def linearity(a: Around) -> Iterator[Finding]:
    """∫V dρ is affine in ρ and V a function of one point, for terms that say they are linear."""
    x, w = a.here.measure.points, a.here.measure.weights
    for c, f in a.F.terms:
        if isinstance(f, Smooth) and getattr(f, "linear", False):
            S, (y, u) = f.on(a.here.measure), a.others[0]
            curve = mixture(S, x, w, y, u)
            start, middle, end = curve.at_halves
            excess, rounding = lacks((start, end), middle, curve.size)
            both = S.first_variation_at_points(x, w, np.concatenate([x, y]))[: len(x)]
            off = abs(excess) + float(w @ np.abs(S.first_variation_at_points(x, w, x) - both))
            reason = f"{f!r} is not the integral of a function"
            yield at_most("linearity", off, rounding + a.here.margin / abs(c), (), reason)


def lower_bounds(a: Around) -> Iterator[Finding]:
    """No value lies below the lower bounds that F and its terms claim."""
    mu, far = a.here.measure, [0.0, *(norm(v, a.here.measure.weights) for v in a.fields)]
    known = [a.here.energy, *a.values]
    for f in dict.fromkeys([a.F, *(f for _, f in a.F.terms)]):
        found, anywhere = [], f.lower_bound()
        for k, (nu, radius) in enumerate(zip([mu, *a.displaced], far, strict=True)):
            for bound in (b for b in {anywhere, f.lower_bound_near(mu, radius)} if b is not None):
                value = known[k] if f is a.F else f.value(nu)
                reason = f"{f!r} takes a value below the bound {bound:.6g} that it claims"
                found.append(at_most("lower bound", bound - value, a.here.margin, (), reason))
        yield from sorted(found, key=lambda found: found.severity)[-1:]


_TESTS: dict[str, Callable[[Around], Iterator[Finding]]] = {
    "purity": purity,
    "gradient": gradient,
    "first variation": first_variation,
    "convexity": convexity,
    "convexity in mixtures": convexity_in_mixtures,
    "convexity of the first variation": convexity_of_variation,
    "linearity": linearity,
    "lower bound": lower_bounds,
}
_MOVING = (gradient, convexity)
