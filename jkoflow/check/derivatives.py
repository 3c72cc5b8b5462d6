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
    """F(μ + t(ν − μ)) − F(μ) − t∫δF d(ν − μ) = O(t²); where that is not seen, for ν nearer to μ."""
    for number, curve in enumerate(a.mixtures):
        found = _mixed(a, curve, f"mixture {number + 1}")
        if found.verdict is Verdict.UNDECIDED:
            near = (_mixed(a, c, f"{found.where}, {s:.2g} of its way") for s, c in a.nearer(number))
            found = next((f for f in near if f.verdict is not Verdict.UNDECIDED), found)
        yield found


def _mixed(a: Around, curve: Curve, where: str) -> Finding:
    known = "first variation", curve, real(curve.value(0.0)), a.here.margin
    found = order_of(*known)
    if found.verdict is not Verdict.ACCEPTED:
        found = order_of(*known, 8.0 * curve.noise(1e-7 * breadth(a.here)))
    return found.at(where)


def order_of(claim: str, curve: Curve, start: float, margin: float, blur: float = 0.0) -> Finding:
    """Judge the rate at which |F(ρ_t) − start − t·slope| falls with t; slope is known to ±blur.

    Two steps in a row at which the derivative agrees with the difference are enough (in a row,
    since a remainder may pass through zero once), unless it grew before, as that of a ripple does
    that larger steps do not see. Else the order is that of the smallest steps at
    which the remainder is above rounding, by its margin and by what is seen at the smallest
    steps, and grows at least like t^0.8, as every error of a derivative does: three times in a
    row, or twice, which rejects nothing, but accepts nothing either where it grows like t there and
    passes through zero later. Nor does that reject after a higher order at smaller steps: large
    ones may leave the place where F is smooth on their scale.
    """
    noise = margin / 8.0
    left, remainder, error = np.empty((3, len(_SCALES)))
    for k, t in enumerate(_SCALES):
        left[k] = real(curve.at(t)) - start - t * curve.slope
        remainder[k] = np.maximum(abs(left[k]) - t * blur, 0.0)  # NaN stays
        error[k] = (remainder[k] + noise) / (t * curve.size) if remainder[k] + noise != 0 else 0.0
        accuracy = error[max(k - 1, 0) : k + 1].max()
        if k > 0 and accuracy <= policy.DERIVATIVE and not _growing(remainder[:k], noise, 3).size:
            return at_most(claim, accuracy, policy.DERIVATIVE)
    if not np.isfinite(curve.slope):
        return rejected(claim, "the derivative is NaN or infinite")
    if remainder[2] < 9.0 * remainder[0]:  # no growth over 16 times: that is rounding
        noise = max(noise, remainder[:3].max())
    reached = f"(error {error.min():.1e})"
    twice, thrice = (_growing(remainder, noise, times) for times in (2, 3))
    if not twice.size:
        return undecided(claim, f"rounding hides the remainder {reached}")
    clear, at = int(np.argmax(remainder > 4.0 * noise)), int([*thrice, *twice][0])
    seen = np.log2(remainder[clear : at + 4]) / 2.0  # grows by the order
    rates = [float(seen[k - clear + 2] - seen[k - clear]) / 2.0 for k in (int(twice[0]), at)]
    rate = rates[rates[0] >= policy.ORDER_REJECTED]
    sudden = np.log2(remainder[clear] / (remainder[clear - 1] + noise)) / 2.0  # out of rounding
    orders = np.diff(seen)
    slow = max(orders.max(), sudden) < policy.ORDER_REJECTED and _settles(left, noise)
    wrong = slow and thrice.size > 0 and error.min() > policy.DERIVATIVE
    doubt = Verdict.REJECTED if wrong else Verdict.UNDECIDED
    reason = f"the remainder falls with order {rate:.2f} instead of 2 {reached}"
    return at_most(claim, 2.0 - rate, 2.0 - policy.ORDER, (), reason, doubt)


def _growing(remainder: Array, noise: float, times: int) -> Array:
    """Where it grows, above rounding, like an error of a derivative, so many times in a row."""
    grows = (remainder[:-1] > 4.0 * noise) & (remainder[1:] > 3.0 * remainder[:-1])
    return np.array([k for k in range(len(grows) - times + 1) if grows[k : k + times].all()], int)


def _settles(left: Array, noise: float) -> bool:
    """Whether what is left, over t, has a limit but for rounding and kinks; t log t has none.

    Wrong derivatives leave e + ct, which changes 4 times as much from step to step.
    """
    change = np.abs(np.diff(left / _SCALES))[:9]  # from t = 1/32 on F may be anything
    size = change * _SCALES[:9]
    if (size[1:3] < 3.0 * size[:2]).any():  # t log t grows 4 times: that is rounding
        noise = max(noise, size[:3].max())
    clear = np.flatnonzero(size > 16.0 * noise)
    seen = change[clear[0] : clear[0] + 3] if clear.size else change[:0]
    growth = seen[1:] / seen[:-1]
    return bool((growth > policy.SETTLES).all() or (growth < 1.0 / policy.SETTLES).any())
