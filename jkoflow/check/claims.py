"""What a functional claims of itself, attacked at random: surviving is no proof."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ..arguments import is_finite
from ..functionals.base import Smooth
from ..functionals.curves import mixture
from ..functionals.many import values_at
from . import policy
from .around import Around, breadth
from .evaluate import evaluate, gradients, norm, real
from .verdict import Finding, at_most, rejected


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
        around = np.abs(a.values[np.isfinite(a.values)]).max(initial=0.0)  # of what cancels here
        rounding = here.margin + policy.ROUNDING * policy.EPS * around
        yield at_most("purity", off, rounding, (), "F depends on the order of the points")


def lacks(ends: tuple[float, float], middle: float, more: float = 0.0) -> tuple[float, float]:
    """How far the middle is above the mean of the ends, and the rounding of that."""
    if np.isinf(ends).any():
        return -math.inf, 0.0
    scale = abs(middle) + abs(ends[0]) + abs(ends[1]) + more
    return middle - 0.5 * (ends[0] + ends[1]), policy.ROUNDING * policy.EPS * scale


def convexity(a: Around) -> Iterator[Finding]:
    """F(½(ν_0+ν_1)) ≤ ½F(ν_0) + ½F(ν_1) − (λ/8)|v_0−v_1|² along displacements of μ."""
    S, mu = a.F.smooth, a.here.measure
    if mu.kind == "mesh" and S.terms and a.F.internal.terms:  # whose modulus is used by itself
        yield from convexity(Around(S, evaluate(S, mu), a.rng))
    for size in (1.0, 0.1):
        radius = size * breadth(a.here)
        everywhere = a.F.convexity
        modulus = a.F.convexity_near(mu, radius) if everywhere is None else everywhere
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
    here, mu = a.here, a.here.measure
    fields, extent = [size * v for v in a.monotone], norm(mu.points, mu.weights)
    known = a.values if size == 1.0 and a.monotone is a.tangents else a.at(fields)
    still, ends = (0.0 * fields[0], here.energy), [*zip(fields, known, strict=True)]
    pairs = [*((still, end) for end in ends), *pairwise(ends)]
    middles = a.at([0.5 * (v0 + v1) for (v0, _), (v1, _) in pairs])
    for ((v0, f0), (v1, f1)), half in zip(pairs, middles, strict=True):
        far = mu.length(v0 - v1)
        # with what rounding of the points turns
        excess, rounding = lacks((f0, f1), half, (extent + far) * (here.size + abs(modulus) * far))
        yield excess + modulus / 8.0 * far * far, here.margin + rounding


def convexity_in_mixtures(a: Around) -> Iterator[Finding]:
    """F(½ρ + ½ν) ≤ ½F(ρ) + ½F(ν), where F claims to be convex along mixtures."""
    reason = "F is not convex along mixtures as it claims"
    for curve in a.mixtures if a.F.convex_in_mixtures else ():
        start, middle, end = curve.at_halves
        excess, rounding = lacks((start, end), middle)
        yield at_most("convexity in mixtures", excess, a.here.margin + rounding, (), reason)


def convexity_of_the_first_variation(a: Around) -> Iterator[Finding]:
    """V(½y + ½z) ≤ ½V(y) + ½V(z) − (λ/8)|y − z|², V = δF/δρ at μ, for the λ that F claims for V."""
    F, mu, claim = a.F, a.here.measure, "convexity of the first variation"
    modulus = F.convexity_of_variation(mu)
    if modulus is None:
        return
    S = F.smooth.on(mu)
    for y, z in pairwise(nu.points() for nu in a.others):
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
            S, y = f.on(a.here.measure), a.others[0].points()
            curve = mixture(S, x, w, y, a.others[0].weights)
            start, middle, end = curve.at_halves
            excess, rounding = lacks((start, end), middle, curve.size)
            both = S.first_variation_at_points(x, w, np.concatenate([x, y]))[: len(x)]
            off = abs(excess) + float(w @ np.abs(S.first_variation_at_points(x, w, x) - both))
            reason = f"{f!r} is not the integral of a function"
            yield at_most("linearity", off, rounding + a.here.margin / abs(c), (), reason)


def lower_bound(a: Around) -> Iterator[Finding]:
    """No value lies below the lower bounds that F and its terms claim."""
    mu, far = a.here.measure, [0.0, *map(a.here.measure.length, a.tangents)]
    for f, c in {a.F: 1.0, **{f: c for c, f in a.F.terms}}.items():
        claimed = [(k, b) for k, radius in enumerate(far)
                   for b in {f.lower_bound(), f.lower_bound_near(mu, radius)} - {None}]  # fmt: skip
        if claimed:
            values = np.append(f.value(mu), a.values if f is a.F else values_at(f, a.moved))
            excess = np.array([b - values[k] for k, b in claimed])
            k = int(np.argmax(excess))  # or the first NaN
            reason = f"{f!r} takes a value below the bound {claimed[k][1]:.6g} that it claims"
            yield at_most("lower bound", excess[k], a.here.margin / abs(c), (), reason)
