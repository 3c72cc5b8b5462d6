"""A functional against its own derivatives and claims, for users as much as for the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..functionals.base import Functional, Smooth
from ..measures.base import Array, Measure
from ..status import MissingStructure
from . import policy
from .evaluate import Evaluated, evaluate, norm, real
from .verdict import Finding, Report, Verdict, at_most, rejected, undecided

_SCALES = 0.5 * 4.0 ** -np.arange(13.0)


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
    with np.errstate(all="ignore"):
        here = guarded("evaluation", partial(evaluate, F, mu))
    found = [here] if isinstance(here, Finding) else attack(F, here, rng)
    return Report(f"{F!r} at {mu!r}", tuple(found))


def attack(F: Functional, here: Evaluated, rng: Any) -> list[Finding]:
    """The findings of `check_functional`."""
    findings: list[Finding] = []
    rng = np.random.default_rng(rng)
    with np.errstate(all="ignore"):
        for claim, test in _TESTS.items():
            found = guarded(claim, partial(_listed, test, F, here, rng))
            findings += [found] if isinstance(found, Finding) else found
    return findings


def _listed(test: Callable[..., Iterator[Finding]], *arguments: Any) -> list[Finding]:
    return list(test(*arguments))


def guarded(claim: str, test: Callable[[], Any]) -> Any:
    """What the test returns, or what its exception means."""
    try:
        return test()
    except MissingStructure as error:
        return undecided(claim, str(error))
    except Exception as error:  # a user's functional may raise anything
        return rejected(claim, f"{type(error).__name__}: {error}")


def purity(F: Functional, here: Evaluated, rng: np.random.Generator) -> Iterator[Finding]:
    """The same question gets the same answer, and nothing else happens."""
    mu = here.measure
    before = {name: np.array(a) for name, a in mu.to_arrays().items()}
    same = real(F.value(mu)) == here.energy
    same = same and np.array_equal(F.gradient(mu), F.gradient(mu))
    yield at_most("purity", float(not same), 0.0, (), "two evaluations gave different answers")
    changed = any(not np.array_equal(a, before[name]) for name, a in mu.to_arrays().items())
    yield at_most("purity", float(changed), 0.0, (), "the measure was changed by evaluating F")
    if mu.kind == "particles":
        order = rng.permutation(len(mu.weights))
        other = type(mu).from_arrays({"x": mu.points[order], "weights": mu.weights[order]})
        off = abs(real(F.value(other)) - here.energy)
        yield at_most("purity", off, here.margin, (), "F depends on the order of the points")


def directions(here: Evaluated, rng: np.random.Generator) -> list[Array]:
    """Displacements v of the spread of μ, for which μ.displaced(tv) exists where |t| ≤ 1."""
    mu = here.measure
    x, w = mu.points, mu.weights
    mean, spread = w @ x, breadth(here)
    if mu.kind == "gaussian":
        vectors = np.linalg.eigh(mu.cov())[1]
        stretch = rng.uniform(-0.5, 0.5, (4, mu.dim))
        return [
            spread * rng.normal(size=mu.dim) + (x - mean) @ (vectors * s) @ vectors.T
            for s in stretch
        ]
    waves = [_wave((x - mean) / spread, spread, rng) for _ in range(3)]
    noise = spread * rng.normal(size=x.shape)
    if not hasattr(mu, "edges"):
        single = np.zeros_like(x)
        single[rng.integers(len(x))] = spread * rng.normal(size=x.shape[1])
        return [*waves, noise, single]
    lengths = np.diff(x[:, 0])
    room = np.minimum(np.append(lengths, np.inf), np.insert(lengths, 0, np.inf))[:, None]
    if mu.kind == "radial":
        waves = [v * x / (x + spread) for v in waves]
        room[0] = min(room[0, 0], x[0, 0])
    rough = 0.25 * room * np.sign(noise)
    return [_ordered(v, x, lengths) for v in waves] + [rough]


def breadth(here: Evaluated) -> float:
    """The standard deviation, but not below a thousandth of the coordinates; 1 for δ_0."""
    x, w = here.measure.points, here.measure.weights
    return max(norm(x - w @ x, w), 1e-3 * norm(x, w), here.unit) or 1.0


def _wave(z: Array, spread: float, rng: np.random.Generator) -> Array:
    """A smooth random vector field."""
    frequency = rng.normal(size=(3, z.shape[1]))
    phase, size = rng.uniform(0, 2 * np.pi, 3), rng.normal(size=(3, z.shape[1]))
    return spread * np.sin(z @ frequency.T + phase) @ size


def _ordered(v: Array, x: Array, lengths: Array) -> Array:
    """v, made so small that no cell and no first radius loses more than half of itself."""
    ratio = np.abs(np.diff(v[:, 0]))[lengths > 0] / lengths[lengths > 0]
    first = abs(v[0, 0] / x[0, 0]) if x[0, 0] > 0 else 0.0
    return v * (0.5 / max(0.5, ratio.max(initial=0.0), first))


def gradient(F: Functional, here: Evaluated, rng: np.random.Generator) -> Iterator[Finding]:
    """F(μ displaced by tv) − F(μ) − tΣw⟨∇δF, v⟩ = O(t²)."""
    mu, all_found = here.measure, []
    for number, v in enumerate(directions(here, rng)):
        slope = float(mu.weights @ np.einsum("ij,ij->i", here.gradient, v))
        values, size = partial(_moved, F, mu, v), here.size * norm(v, mu.weights)
        where = f"direction {number + 1}"
        found = order_of("gradient", values, here.energy, slope, size, here.margin, where)
        if found.verdict is Verdict.REJECTED and not here.exact:
            found = undecided("gradient", f"{found.reason}: the cubature may be too coarse", where)
        all_found.append(found)
    yield from resolved(all_found)


def resolved(found: list[Finding]) -> list[Finding]:
    """Without the directions that rounding hides, if others are seen: at least two accepted."""
    clear = [f for f in found if f.verdict is not Verdict.UNDECIDED]
    return clear if len(clear) > 1 else found


def order_of(
    claim: str,
    values: Callable[[float], float],
    start: float,
    slope: float,
    size: float,
    margin: float,
    where: str,
) -> Finding:
    """Judge the rate at which |values(t) − start − t·slope| falls with t.

    Steps at which the remainder is rounding are left out. Too few left: the derivative is right
    if what rounding hides is small (a linear functional has no remainder), else UNDECIDED.
    """
    noise = margin / 8.0
    remainder = np.array([abs(values(t) - start - t * slope) for t in _SCALES])
    if np.isnan(remainder).any():
        return rejected(claim, "NaN near the measure", where)
    error = (remainder + noise) / (_SCALES * size) if size > 0 else np.zeros_like(_SCALES)
    # two steps in a row, since a remainder may pass through zero once
    accuracy = float(np.maximum(error[1:], error[:-1]).min())
    if accuracy <= policy.DERIVATIVE:
        return at_most(claim, accuracy, policy.DERIVATIVE, where=where)
    visible = np.flatnonzero(remainder > 4.0 * noise)
    last = visible[-3:]
    if len(visible) < 3 or (np.diff(last) != 1).any():
        return undecided(claim, f"rounding hides the remainder ({accuracy:.1e} relative)", where)
    rate = float(np.log(remainder[last[0]] / remainder[last[2]]) / np.log(16.0))
    doubt = Verdict.REJECTED if rate < policy.ORDER_REJECTED else Verdict.UNDECIDED
    reason = f"the remainder falls with order {rate:.2f} instead of 2 (error {accuracy:.1e})"
    return at_most(claim, 2.0 - rate, 2.0 - policy.ORDER, (), reason, doubt, where)


def first_variation(F: Functional, here: Evaluated, rng: np.random.Generator) -> Iterator[Finding]:
    """F(μ + t(ν − μ')) − F(μ) − t∫δF d(ν − μ') = O(t²), for mass moved from points to others."""
    mu, claim = here.measure, "first variation"
    if F.smooth.terms:
        S, x, w = F.smooth.on(mu), mu.points, mu.weights
        start, margin = real(S.value_at_points(x, w)), evaluate(F.smooth, mu).margin
        for number, v in enumerate(directions(here, rng)[:3]):
            taken = rng.permutation(len(x))[:8]
            u = np.zeros(len(x))
            u[taken] = rng.uniform(0.2, 0.9, len(taken)) * w[taken]
            y, share = x[taken] + 0.5 * v[taken], u.sum() * rng.dirichlet(np.ones(len(taken)))
            at = np.concatenate([x[taken], y])
            old, new = S.first_variation_at_points(x, w, at).reshape(2, -1)
            slope = float(share @ new - u[taken] @ old)
            size = float(share @ np.abs(new) + u[taken] @ np.abs(old))
            values = partial(_mixed, S, np.concatenate([x, y]), w, u, share)
            where = f"mixture {number + 1}"
            yield order_of(claim, values, start, slope, size, margin, where)
    if F.internal.terms and hasattr(mu, "edges"):
        inner, mass = F.internal, mu.to_arrays()["mass"]
        delta = inner.first_variation(mu, 0.5 * (mu.points[1:] + mu.points[:-1]))
        change = mass * rng.uniform(-0.9, 0.9, len(mass))
        change -= mass * change.sum()
        size, slope = float(np.abs(change) @ np.abs(delta)), float(change @ delta)
        margin = evaluate(inner, mu).margin
        values = partial(_massed, inner, mu, mass, change)
        yield order_of(claim, values, values(0.0), slope, size, margin, "masses")


def _mixed(S: Smooth, x: Array, w: Array, u: Array, share: Array, t: float) -> float:
    return real(S.value_at_points(x, np.concatenate([w - t * u, t * share])))


def _massed(inner: Functional, mu: Measure, mass: Array, change: Array, t: float) -> float:
    return real(inner.value(_reweighted(mu, mass + t * change)))


def _moved(F: Functional, mu: Measure, v: Array, t: float) -> float:
    return real(F.value(mu.displaced(t * v)))


def _reweighted(mu: Measure, mass: Array) -> Measure:
    return type(mu).from_arrays({**mu.to_arrays(), "mass": mass})


def convexity(F: Functional, here: Evaluated, rng: np.random.Generator) -> Iterator[Finding]:
    """F(½(ν_0+ν_1)) ≤ ½F(ν_0) + ½F(ν_1) − (λ/8)|v_0−v_1|² along displacements of μ."""
    mu, w = here.measure, here.measure.weights
    spread = breadth(here)
    everywhere = F.convexity is not None
    for radius in (None,) if everywhere else (2.0 * spread, 0.1 * spread):
        modulus = F.convexity if radius is None else F.convexity_near(mu, radius)
        if modulus is None:
            continue
        what = "everywhere" if radius is None else f"within {radius:.3g}"
        found = []
        for size in (1.0, 0.1):
            pool = directions(here, rng)
            for v0, v1 in [*((v, 0.0 * v) for v in pool), *pairwise(pool)]:
                far = max(norm(v0, w), norm(v1, w)) or 1.0
                s = size if radius is None else size * min(1.0, radius / far)
                found.append(_midpoint(F, here, s * v0, s * v1, float(modulus), what))
        yield max(found, key=lambda f: f.severity)


def _midpoint(
    F: Functional, here: Evaluated, v0: Array, v1: Array, modulus: float, what: str
) -> Finding:
    mu = here.measure
    ends = [F.value(mu.displaced(v)) for v in (v0, v1)]
    middle = F.value(mu.displaced(0.5 * (v0 + v1)))
    far, size = norm(v0 - v1, mu.weights), norm(mu.points, mu.weights)
    excess = middle - 0.5 * sum(ends) + modulus / 8.0 * far * far
    moved = (size + far) * (here.size + abs(modulus) * far)  # what rounding of the points costs
    scale = abs(middle) + sum(map(abs, ends)) + moved
    bound = here.margin + policy.ROUNDING * policy.EPS * scale
    if np.isinf(ends).any():
        excess, bound = 0.0, 0.0
    reason = f"F is not {modulus:.3g}-convex as it claims {what}"
    return at_most("convexity", excess, bound, (), reason)


def mixtures(F: Functional, here: Evaluated, rng: np.random.Generator) -> Iterator[Finding]:
    """F(½ρ + ½ν) ≤ ½F(ρ) + ½F(ν), where F claims to be convex along mixtures."""
    mu, claim = here.measure, "convexity in mixtures"
    if not F.convex_in_mixtures:
        return
    for v in directions(here, rng)[:3]:
        reason, excess, size = "F is not convex along mixtures as it claims", 0.0, 0.0
        if F.smooth.terms:
            S, x, w = F.smooth.on(mu), mu.points, mu.weights
            y, u = x + v, rng.dirichlet(np.ones(len(x)))
            ends = [S.value_at_points(x, w), S.value_at_points(y, u)]
            middle = S.value_at_points(np.concatenate([x, y]), 0.5 * np.concatenate([w, u]))
            excess, size = middle - 0.5 * sum(ends), sum(map(abs, ends)) + abs(middle)
        bound = here.margin + policy.ROUNDING * policy.EPS * size
        yield at_most(claim, real(excess), bound, (), reason)
        if F.internal.terms and hasattr(mu, "edges"):
            mass = mu.to_arrays()["mass"]
            other = mass * rng.uniform(0.1, 1.9, len(mass))
            other /= other.sum()
            a, b, c = (real(F.internal.value(_reweighted(mu, m)))
                       for m in (mass, other, 0.5 * (mass + other)))  # fmt: skip
            bound = here.margin + policy.ROUNDING * policy.EPS * (abs(a) + abs(b) + abs(c))
            yield at_most(claim, c - 0.5 * (a + b), bound, (), reason)


def linearity(F: Functional, here: Evaluated, rng: np.random.Generator) -> Iterator[Finding]:
    """∫V dρ is affine in ρ and V a function of one point, for terms that say they are linear."""
    x, w, claim = here.measure.points, here.measure.weights, "linearity"
    for _, f in F.terms:
        if not (isinstance(f, Smooth) and getattr(f, "linear", False)):
            continue
        S, y, u = f.on(here.measure), x + directions(here, rng)[0], rng.dirichlet(np.ones(len(x)))
        both, mixed = np.concatenate([x, y]), np.concatenate([w, u])
        parts = [real(S.value_at_points(x, w)), real(S.value_at_points(y, u))]
        off = abs(real(S.value_at_points(both, 0.5 * mixed)) - 0.5 * sum(parts))
        V = S.first_variation_at_points(x, w, both)
        size = float(mixed @ np.abs(V)) + sum(map(abs, parts))
        off += float(w @ np.abs(S.first_variation_at_points(x, w, x) - V[: len(x)]))
        bound = policy.ROUNDING * policy.EPS * size + evaluate(f, here.measure).margin
        yield at_most(claim, off, bound, (), f"{f!r} is not the integral of a function")


def lower_bounds(F: Functional, here: Evaluated, rng: np.random.Generator) -> Iterator[Finding]:
    """No value lies below the lower bounds that F and its terms claim."""
    mu = here.measure
    for f in dict.fromkeys([F, *(f for _, f in F.terms)]):
        bound = f.lower_bound()
        if bound is None:
            continue
        seen = [f.value(mu), *(f.value(mu.displaced(v)) for v in directions(here, rng))]
        reason = f"{f!r} takes a value below the bound {bound:.6g} that it claims"
        yield at_most("lower bound", bound - min(seen), here.margin, (), reason)


_TESTS = {
    "purity": purity,
    "gradient": gradient,
    "first variation": first_variation,
    "convexity": convexity,
    "convexity in mixtures": mixtures,
    "linearity": linearity,
    "lower bound": lower_bounds,
}
