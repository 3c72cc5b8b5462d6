"""What a user's function answers, and what is claimed of it, checked before it is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_real
from ..measures.base import Array, Measure, finite_array
from ..status import InvalidFunctional, InvalidMeasure, JkoflowError


def answer_of(
    function: Callable[..., ArrayLike],
    arguments: tuple[Any, ...],
    shape: tuple[int, ...],
    name: str,
) -> Array:
    """function(*arguments) as a real float array of the given shape; the arguments are read-only.

    Raises
    ------
    InvalidFunctional
        If the function raises (chained), changes its input, or answers with another shape or
        complex numbers.
    """
    try:
        given = function(*[read_only(a) for a in arguments])
        answer = np.asarray(given)
    except JkoflowError:
        raise
    except Exception as error:
        raise InvalidFunctional(said(name, error)) from error
    if given is None:
        raise InvalidFunctional(f"{name} returned None: does it lack a return statement?")
    if np.iscomplexobj(answer):
        raise InvalidFunctional(f"{name} must be real, but answered with complex numbers")
    if answer.shape != shape:
        raise InvalidFunctional(f"{name} must have shape {shape}, but has shape {answer.shape}")
    if answer.dtype.kind not in "biufO":
        raise InvalidFunctional(f"{name} must be numbers, not of {answer.dtype}")
    try:
        return answer.astype(float, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidFunctional(f"{name} must be numbers: {error}") from error


def said(name: str, error: Exception) -> str:
    """The sentence for a user's function that raised."""
    if isinstance(error, ValueError) and "read-only" in str(error):
        return f"{name} changes its input: work on a copy, x = x.copy()"
    return f"{name} raised {type(error).__name__}: {error}"


def read_only(argument: Any) -> Any:
    """The argument itself; of an array that may be written, a view that may not."""
    if not isinstance(argument, np.ndarray) or not argument.flags.writeable:
        return argument
    view = argument.view()
    view.setflags(write=False)
    return view


def finite_answer(answer: Array, name: str) -> Array:
    """The answer itself, if it is finite."""
    if not np.isfinite(answer).all():
        raise InvalidFunctional(f"{name} answered with NaN or infinity")
    return answer


def claimed(claim: Any, name: str) -> float | None:
    """A claimed number, or None where nothing is claimed."""
    if claim is None:
        return None
    if not is_real(claim):
        raise InvalidFunctional(f"{name} must be a number or None, not {claim!r:.100}")
    return float(claim)


def require_functions(**functions: Any) -> None:
    """Each is a function or None, or an error names it."""
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise InvalidFunctional(f"{name} must be a function or None, not {function!r:.100}")


@cache
def of_the_library(kind: type) -> bool:
    """Whether a class of functionals is the library's own, whose answers need no checks."""
    return kind.__module__.startswith(__name__.partition(".")[0] + ".")


def points_at(mu: Measure, at: ArrayLike) -> Array:
    """``at`` as an array (m, d) of points of the measure's space; a vector is (m, 1)."""
    try:
        a = finite_array(at, "the points of first_variation")
    except InvalidMeasure as error:
        raise InvalidFunctional(str(error)) from error
    if a.ndim == 1 and mu.points.shape[1] == 1:
        a = a[:, None]
    if a.ndim != 2 or a.shape[1] != mu.points.shape[1]:
        raise InvalidFunctional(
            f"first_variation needs points of shape (m, {mu.points.shape[1]}), not {a.shape}"
        )
    return a
