"""What all ways to a Gibbs law share: the question's parts, and the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..functionals.base import Functional, Smooth, SmoothSum
from ..functionals.internal import Entropy
from ..functionals.risk import Risk
from ..measures.base import Array
from ..status import InvalidProblem, NotDefined, Status


@dataclass(frozen=True)
class Gibbs:
    """The minimiser of a free energy S(ρ) + H(ρ)/β, with the evidence for it.

    ``measure`` is ρ*, on cells or on the grid; ``free_energy`` is F(ρ*) and ``log_partition`` is
    log Z, by quadrature on the axis and not of the cells, or on the grid. ``gap`` is F(ρ*) minus a
    lower bound of F, so it bounds how far ρ* is from optimal; it is infinite where S is not
    claimed convex along mixtures.
    ``residual`` is the largest |log ρ* + βΨ(·;ρ*) + log Z| weighted by ρ*.
    """

    measure: Any
    free_energy: float
    gap: float
    log_partition: float
    beta: float
    residual: float
    iterations: int
    status: Status
    axis: Any = field(repr=False)
    log_density: Array = field(repr=False)


def split_free_energy(F: Functional) -> tuple[Smooth, float]:
    """The smooth part S and β of F = S + H/β."""
    if not isinstance(F, Functional):
        raise InvalidProblem(f"F must be a functional, not {type(F).__name__}")
    coefficients = []
    for c, f in F.internal.terms:
        if not isinstance(f, Entropy):
            raise NotDefined(f"a Gibbs measure needs Entropy as the only internal energy, not {f}")
        coefficients.append(c)
    total = sum(coefficients)
    if not total > 0:
        raise NotDefined("a Gibbs measure needs a positive multiple of Entropy(): add Entropy()/β")
    return F.smooth, 1.0 / total


def classify(smooth: Smooth) -> tuple[Smooth, list[tuple[float, Risk]], list[Any]]:
    """Split S into its linear part, its risks, and whatever else there is."""
    linear, risks, other = [], [], []
    for c, f in smooth.terms:
        if isinstance(f, Risk) and c > 0:
            risks.append((c, f))
        elif getattr(f, "linear", False):
            linear.append((c, f))
        else:
            other.append((c, f))
    return SmoothSum(linear), risks, other
