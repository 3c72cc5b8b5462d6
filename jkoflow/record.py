"""What passes between the parts: the witness of a step, and the record of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .measures.base import Array, Measure
from .status import InvalidProblem, Status

State = Mapping[str, Array]
"""What a stepper's next step needs, as named arrays, so that it can be stored."""


@dataclass(frozen=True)
class Witness:
    """Evidence for one step, which turns judging into arithmetic.

    ``kind`` names the evidence, ``arrays`` holds it:

    ``"monotone"`` : nothing
        Both measures are sorted cells with the same masses, and edge i goes to edge i.
    ``"pairing"`` : ``order`` (n,) integers, ``f`` (n,), ``g`` (n,)
        Point i of the new measure is coupled with point order[i] of the old one, which has the
        same weight; dual potentials with f_i + g_j ≤ |X_i − x_j|².
    ``"coupling"`` : ``rows`` (k,), ``columns`` (k,), ``values`` (k,), ``f`` (n,), ``g`` (m,)
        The entries of a coupling of the new (rows) with the old measure (columns); potentials.
    ``"grid"`` : ``rows`` (k,), ``columns`` (k,), ``values`` (k,), ``potential`` (n_1, …)
        The entries of a coupling of the new cells (rows) with the old ones, and the potential ψ on
        the old cells of the step's dual problem.
    ``"symmetric-map"`` : ``matrix`` (d, d)
        The optimal map between Gaussians from the new to the old one, symmetric and positive.
    ``"extrapolated"`` : ``alpha`` (1,), ``last.…``, also ``back`` (d, d), ``first.…``, ``middle.…``
        Not of a JKO step, but of one of `jkoflow.steppers.SecondOrder`: how far beyond the old
        measure it was taken from, and the arrays of the evidence for the minimisation from
        there. Gaussians: the matrix of the optimal map to the old one. A step of two minimisations:
        the arrays of the measure between them, and of the evidence for the first.
    """

    kind: str
    arrays: Mapping[str, Array] = field(default_factory=dict)


def a_witness(value: Any) -> Witness | None:
    """``value`` itself, if it is None or a witness with arrays; the judge reads what they say."""
    try:
        if value is not None:
            {name: np.asarray(array) for name, array in value.arrays.items()}
    except (AttributeError, ValueError) as error:  # no witness, or lists of unequal lengths
        raise InvalidProblem("a witness is None or a jkoflow.record.Witness(kind, {name: array}), "
                             f"not {value!r:.60}: {error}") from error  # fmt: skip
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True, repr=False)
class StepRecord:
    """Everything that is known of step ``index`` (1 is the first) once it has been taken.

    ``distance_squared`` is W2² between the two measures as the stepper found it. ``state`` and
    ``rng_state`` are what is needed to go on from here; ``stats`` are for eyes only.
    """

    index: int
    time: float
    tau: float
    measure: Measure
    energy: float
    distance_squared: float
    witness: Witness | None
    stats: Mapping[str, Any]
    status: Status
    state: State
    rng_state: Mapping[str, Any]

    @classmethod
    def of_start(cls, measure: Measure, energy: float) -> StepRecord:
        """The start of a run, as a record of no step: number 0, time 0, no witness."""
        return cls(0, 0.0, 0.0, measure, energy, 0.0, None, {}, Status.EXACT, {}, {})

    def __repr__(self) -> str:
        return (
            f"StepRecord(step {self.index}, t={self.time:.6g}, F={self.energy:.6g}, "
            f"W2²={self.distance_squared:.3g}, {self.measure!r}, {self.status.name})"
        )
