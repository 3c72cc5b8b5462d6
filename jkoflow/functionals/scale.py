"""Over which lengths differences are taken, where a functional has no derivatives of its own."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import TypeVar

import numpy as np

from ..measures.base import Measure
from ..status import JkoflowError
from .base import Functional
from .differences import FIRST

_ORDINARY = 0.03, 1e3
"""Laws that reach so far are measured in the unit 1: differences over 6e-6 then err by 1e-7."""

_SEEN = 1e-5  # of the gradient: what rounding may make of differences
_ROUNDING = 64.0 * float(np.finfo(float).eps)


_F = TypeVar("_F", bound=Functional)


def with_scale(F: _F, scale: float, differs: bool) -> _F:
    """A copy with this scale, if F takes differences and has another one."""
    if not differs or F.difference_scale == scale:
        return F
    other = copy.copy(F)
    other.difference_scale = scale
    return other


def at_scale_of(F: Functional, mu: Measure) -> Functional:
    """F with differences over lengths that fit a law: those of a question fit its initial one.

    The unit is 1 for laws that reach between 0.03 and 1000 far. Else it is the smallest length,
    from the lesser of 1 and the reach up in powers of ten, over which differences of F are
    not drowned in rounding; at most the greater of both. It is chosen once, and does not
    follow a law that contracts: what F changes on does not contract with it.

    Examples
    --------
    >>> from jkoflow import Particles, Potential
    >>> V = Potential(lambda x: (x[:, 0] / 1e-9) ** 4)
    >>> mu = Particles([[1e-9], [-2e-9]])
    >>> V.gradient(mu).ravel()[0] > 1e17, 4e9                # over 6e-6: of no use
    (np.True_, 4000000000.0)
    >>> at_scale_of(V, mu).gradient(mu).ravel()
    array([ 4.0e+09, -3.2e+10])
    """
    reach = float(np.abs(mu.points).max())
    if not 0.0 < reach < np.inf or _ORDINARY[0] <= reach <= _ORDINARY[1]:
        return F.at_scale(1.0)
    if F.at_scale(reach) is F:
        return F
    unit, largest = min(1.0, reach), max(1.0, reach)
    while unit < largest and not _seen(F.at_scale(unit), mu, unit):
        unit *= 10.0
    return F.at_scale(min(unit, largest))


def _seen(F: Functional, mu: Measure, unit: float) -> bool:
    """Whether differences over this length are above rounding."""
    size, slope = 0.0, np.zeros_like(mu.points)
    for c, f in F.smooth.terms:
        with np.errstate(all="ignore"), suppress(JkoflowError):  # infinite at obstacles, say
            of_term = f.gradient(mu)
            size, slope = size + abs(c * f.value(mu)), slope + c * of_term
    length = float(np.sqrt(mu.weights @ np.einsum("ij,ij->i", slope, slope)))
    return bool(_ROUNDING * size / (FIRST * unit) <= _SEEN * length)
