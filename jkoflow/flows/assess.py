"""What the loop checks of every step by itself: finite values, the mass, an honest functional."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..arguments import is_real
from ..functionals.base import Functional
from ..measures.base import Measure
from ..problem import Problem
from ..record import StepRecord, Witness
from ..status import InvalidFunctional, InvalidProblem, JkoflowError, Status
from ..steppers.base import StepOutput

MASS_TOLERANCE = 1e-9
"""Measures are normalised to rounding, n·2⁻⁵³; a mass further off than this was lost."""


def assessed(F: Functional, output: StepOutput) -> tuple[float, Status]:
    """Energy of the new measure, and the status after the loop's own checks."""
    measure = output.measure
    mass = float(measure.weights.sum())
    if not (math.isfinite(mass) and np.isfinite(measure.points).all()):
        return math.nan, Status.NON_FINITE
    if not output.status.ok:
        return _energy_if_any(F, measure), output.status
    if abs(mass - 1.0) > MASS_TOLERANCE:
        return _energy_if_any(F, measure), Status.LOST_MASS
    energy = energy_of(F, measure)
    return energy, output.status if math.isfinite(energy) else Status.NON_FINITE


def _energy_if_any(F: Functional, measure: Measure) -> float:
    """For a step that has failed already: its energy is for eyes, an error would hide the cause."""
    try:
        return energy_of(F, measure)
    except JkoflowError:
        return math.nan


def energy_of(F: Functional, mu: Measure) -> float:
    """F(μ) as a float.

    Raises
    ------
    InvalidFunctional
        If the answer is not one real number, or F raises an error that is not jkoflow's own.

    Examples
    --------
    >>> from jkoflow import Particles, QuadraticPotential
    >>> energy_of(QuadraticPotential(1.0), Particles([2.0]))
    2.0
    """
    try:
        value = F.value(mu)
    except JkoflowError:
        raise
    except Exception as error:
        raise InvalidFunctional(raised(F, error)) from error
    array = np.asarray(value)
    if array.ndim != 0 or array.dtype.kind not in "fiu":
        raise InvalidFunctional(f"{F!r}.value must return one real number, but gave {value!r:.200}")
    return float(array)


def raised(F: Functional, error: Exception) -> str:
    """The sentence for a functional that raised."""
    text = f"{F!r} raised {type(error).__name__}: {error}"
    if "read-only" in str(error):
        text += ". Points and weights belong to the measure: work on a copy, x = x.copy()"
    return text


def require_runnable(problem: object, stepper: object) -> None:
    """That these are a problem and a stepper (or None, for the default).

    Raises
    ------
    InvalidProblem
    """
    if not isinstance(problem, Problem):
        raise InvalidProblem(
            f"problem must be a jkoflow.Problem, not {type(problem).__name__}: "
            "jkoflow.Problem(functional, initial, tau, steps)"
        )
    if stepper is not None and not all(
        callable(getattr(stepper, name, None)) for name in ("init", "step")
    ):
        raise InvalidProblem(
            f"stepper must have init and step, which {stepper!r:.100} has not: take an instance "
            "from jkoflow.steppers, or subclass jkoflow.steppers.Stepper"
        )
    if isinstance(stepper, type):
        raise InvalidProblem(
            f"stepper must be an instance, not the class {stepper.__name__}: {stepper.__name__}()"
        )


def require_record(resume: object) -> None:
    """That this is a step to go on from.

    Raises
    ------
    InvalidProblem
    """
    if not isinstance(resume, StepRecord):
        raise InvalidProblem(
            f"resume must be the StepRecord of the last step, not {type(resume).__name__}"
        )
    if resume.index > 0 and not resume.rng_state:  # stores keep the state of the last step only
        raise InvalidProblem(
            f"the record of step {resume.index} has neither the stepper's state nor the random "
            "generator's: of a stored run only the last has, jf.load(path)[-1]; or go on by "
            "flow(..., store=path)"
        )


def require_output(output: object, stepper: object) -> None:
    """That a stepper of one's own answers with what the loop, the store and the judge need.

    Raises
    ------
    InvalidProblem
        Naming the field that is wrong.
    """
    fields = {
        "measure": isinstance(getattr(output, "measure", None), Measure),
        "state": isinstance(getattr(output, "state", None), Mapping),
        "witness": isinstance(getattr(output, "witness", 0), Witness | None),
        "stats": isinstance(getattr(output, "stats", None), Mapping),
        "status": isinstance(getattr(output, "status", None), Status),
        "distance_squared": is_real(getattr(output, "distance_squared", None)),
    }
    wrong = [name for name, right in fields.items() if not right]
    if wrong:
        raise InvalidProblem(
            f"{stepper!r:.100}.step must return jkoflow.steppers.StepOutput(measure, state, "
            f"witness, stats, status, distance_squared), but its {', '.join(wrong)} is not one"
        )


def recorded(stepper: object, F: Functional) -> Functional:
    """The functional whose values are a run's energies: F, unless the stepper says otherwise."""
    choose = getattr(stepper, "recorded", None)
    return F if choose is None else choose(F)  # type: ignore[no-any-return]


def initial_energy(problem: Problem, stepper: object = None) -> float:
    """F at the start (or what the stepper has recorded in its place), asked for twice.

    Raises
    ------
    InvalidFunctional
        If F is not finite there, or answers differently twice.
    """
    F, mu = recorded(stepper, problem.functional), problem.initial
    energy = energy_of(F, mu)
    if not math.isfinite(energy):
        raise InvalidFunctional(
            f"F is {energy} at the initial measure: start from a measure of finite energy"
        )
    again = energy_of(F, mu)
    # threads may sum in another order each time, which moves the last digits only
    if not math.isclose(energy, again, rel_tol=1e-10, abs_tol=1e-12):
        raise InvalidFunctional(
            f"F answers {energy!r} and then {again!r} for the same measure: a functional must "
            "depend on the measure alone; draw random numbers once, before, and keep them"
        )
    return energy
