"""What an argument is: one real number, a whole one, a word out of a list, a precision, a seed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .status import InvalidProblem


def is_real(value: object) -> bool:
    """Whether a value is one real number, infinite ones and NaN included, and not a bool.

    Examples
    --------
    >>> [is_real(v) for v in (1, 2.5, np.float32(1), np.array(3.0), True, "1", 1j, [1.0], None)]
    [True, True, True, True, False, False, False, False, False]
    """
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "iuf"
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether a value is one real number that is neither infinite nor NaN, nor beyond all floats.

    Examples
    --------
    >>> is_finite(2), is_finite(math.inf), is_finite(10**400)
    (True, False, False)
    """
    try:
        return is_real(value) and math.isfinite(value)
    except OverflowError:
        return False


def is_whole(value: Any, least: int = 1) -> bool:
    """Whether a value is an integer of at least ``least``; 3.0 is one.

    Examples
    --------
    >>> is_whole(3.0), is_whole(2.5), is_whole(0), is_whole(0, least=0), is_whole(math.nan)
    (True, False, False, True, False)
    """
    return is_finite(value) and int(value) == value and value >= least


def whole(value: Any, name: str, least: int = 1) -> int:
    """The value as an integer, if it is one of at least ``least``; else an `InvalidProblem`.

    Examples
    --------
    >>> whole(3.0, "steps")
    3
    """
    if not is_whole(value, least):
        raise InvalidProblem(f"{name} must be an integer ≥ {least}, but is {value!r:.100}")
    return int(value)


def is_among(value: object, words: Collection[str]) -> bool:
    """Whether a value is one of the words; anything may be asked, arrays and lists too."""
    return isinstance(value, str) and value in words


def generator(rng: Any) -> np.random.Generator:
    """Anything that `numpy.random.default_rng` takes, as a generator.

    Raises
    ------
    InvalidProblem
        If ``rng`` is none of those.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise InvalidProblem(
            f"rng must be a seed or a numpy Generator, not {rng!r:.100}: {error}"
        ) from error


def working_precision(dtype: DTypeLike) -> np.dtype[Any]:
    """float64 or float32; anything else is an `InvalidProblem`.

    Examples
    --------
    >>> working_precision("f4"), working_precision(float)
    (dtype('float32'), dtype('float64'))
    """
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InvalidProblem(f"dtype must be float64 or float32, not {dtype!r:.100}")
    return kind
