"""A functional against its own derivatives: remainders of expansions must fall like t²."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress

import numpy as np

from ..functionals.curves import Curve, displacement
from ..measures.base import Array
from ..measures.displacements import displacements_along
from ..status import InvalidFunctional
from . import policy
from .around import Around, breadth
from .evaluate import norm, real
from .verdict import Finding, Verdict, at_most, rejected, undecided

_SCALES = 0.5 * 4.0 ** np.arange(-12.0, 1.0)


def gradient(a: Around) -> Iterator[Finding]:
    """F(μ displaced by tv) − F(μ) − tΣw⟨∇δF, v⟩ = O(t²)."""
    mu, here, found = a.here.measure, a.here, []
    if np.isnan(a.values).any():
        raise InvalidFunctional("F is NaN near the measure")
    # an error in the length of a gradient shows in full along itself, and little along others
    own = a.F.smooth.gradient(mu) if a.F.internal.terms and a.F.smooth.terms else here.gradient
    more = displacements_along(mu, own, breadth(here))
    fields, tangents = [*a.fields, *more], [*a.tangents, *map(mu.tangent, more)]
    nearest = a.at([t * v for v in tangents for t in _SCALES[:2]]).reshape(-1, 2)
    for number, (v, (one, two)) in enumerate(zip(fields, nearest, strict=True)):
        curve, length = displacement(a.F, mu, v, here.gradient), norm(v, mu.weights)
        curve = curve._replace(size=here.size * length, known={_SCALES[0]: one, _SCALES[1]: two})
        known = here.energy, here.margin, here.blur * length
        f = order_of("gradient", curve, *known).at(f"direction {number + 1}")
        if f.verdict is Verdict.REJECTED and not here.exact:
            f = undecided(f.claim, f"{f.reason}: the cubature may be too coarse", f.where)
        elif f.verdict is Verdict.REJECTED and curve.kinked(list(_SCALES[:-1]), *known):
            f = undecided(f.claim, f"{f.reason}: F has a kink here", f.where)
        found.append(f)
    # without the directions that rounding hides, if others are seen; its own, which leaves points
    # of gradient 0 where they are, is not one of those
    clear = [f.verdict is not Verdict.UNDECIDED for f in found]
    yield from compress(found, clear) if sum(clear[: len(a.fields)]) > 1 else found


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
    since a remainder may pass through zero once), unless it grew before, as that of a ripple does
    that larger steps do not see. Else the order is that of the smallest steps at
    which the remainder is above rounding, by its margin and by what is seen at the smallest
    steps, and grows at least like t^0.8, as every error of a derivative does: three times in a
    row, or twice, which rejects nothing. Nor does that after a higher order at smaller steps: large
    ones may leave the place where F is smooth on their scale.
    """
    noise = margin / 8.0
    remainder, error = np.empty((2, len(_SCALES)))
    for k, t in enumerate(_SCALES):
        off = abs(real(curve.at(t)) - start - t * curve.slope) - t * blur
        remainder[k] = np.maximum(off, 0.0)  # NaN stays
        error[k] = (remainder[k] + noise) / (t * curve.size) if remainder[k] + noise != 0 else 0.0
        accuracy = error[max(k - 1, 0) : k + 1].max()
        if k > 0 and accuracy <= policy.DERIVATIVE and not _growing(remainder[:k], noise, 3).size:
            return at_most(claim, accuracy, policy.DERIVATIVE)
    if not np.isfinite(curve.slope):
        return rejected(claim, "the derivative is NaN or infinite")
    if remainder[2] < 9.0 * remainder[0]:  # no growth over 16 times: that is rounding
        noise = max(noise, remainder[:3].max())
    reached = f"(error {error.min():.1e})"
    thrice = _growing(remainder, noise, 3)
    found = thrice if thrice.size else _growing(remainder, noise, 2)
    if not found.size:
        return undecided(claim, f"rounding hides the remainder {reached}")
    clear, at = int(np.argmax(remainder > 4.0 * noise)), int(found[0])
    seen = np.log2(remainder[clear : at + 4]) / 2.0  # grows by the order
    rate = float(seen[at - clear + 2] - seen[at - clear]) / 2.0
    sudden = np.log2(remainder[clear] / (remainder[clear - 1] + noise)) / 2.0  # out of rounding
    orders = np.diff(seen)
    slow = max(orders.max(), sudden) < policy.ORDER_REJECTED and orders.min() < policy.ORDER_WRONG
    wrong = slow and thrice.size > 0 and error.min() > policy.DERIVATIVE
    doubt = Verdict.REJECTED if wrong else Verdict.UNDECIDED
    reason = f"the remainder falls with order {rate:.2f} instead of 2 {reached}"
    return at_most(claim, 2.0 - rate, 2.0 - policy.ORDER, (), reason, doubt)


def _growing(remainder: Array, noise: float, times: int) -> Array:
    """Where it grows, above rounding, like an error of a derivative, so many times in a row."""
    grows = (remainder[:-1] > 4.0 * noise) & (remainder[1:] > 3.0 * remainder[:-1])
    return np.array([k for k in range(len(grows) - times + 1) if grows[k : k + times].all()], int)
