"""Values out of a stored run that have the shape the format promises, or an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..measures.base import Measure, measure_from_arrays
from ..status import InvalidMeasure, Status
from .text import Impossible

DEFECTS = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What Python raises where JSON has another shape than the format's."""


_STATUSES = dict(Status.__members__)


def whole(value: Any, what: str) -> int:
    """A nonnegative integer.

    Examples
    --------
    >>> whole(-1, "offset")
    Traceback (most recent call last):
        ...
    jkoflow.store.text.Impossible: offset must be a nonnegative integer, but is -1
    """
    if type(value) is int and 0 <= value < 2**62:  # no bool, which is an int too
        return value
    raise Impossible(f"{what} must be a nonnegative integer, but is {value!r:.80}")


def status_named(name: Any, where: str) -> Status:
    """The status of this name."""
    if not isinstance(name, str) or name not in _STATUSES:
        raise Impossible(f"{where}: {name!r:.80} is no status")
    return _STATUSES[name]


def measures_of(
    kind: Any, arrays: Sequence[Mapping[str, NDArray[Any]]], where: str
) -> Sequence[Measure] | None:
    """`measure_of` for steps of one kind that are alike; None where one by one must be looked."""
    if any(array.dtype != np.float64 for a in arrays for array in a.values()):
        return None
    return measure_of(kind, arrays[0], where).siblings(arrays)


def measure_of(kind: Any, arrays: Mapping[str, NDArray[Any]], where: str) -> Measure:
    """The measure of this kind, from float64 arrays."""
    for name, array in arrays.items():
        if array.dtype != np.float64:
            raise Impossible(f"{where}: {name} of the measure has type {array.dtype}, not float64")
    try:
        measure = measure_from_arrays(str(kind), arrays)
    except InvalidMeasure as error:
        raise Impossible(f"{where} holds no measure: {error}") from error
    kept = measure.to_arrays()
    if kept.keys() != arrays.keys():
        raise Impossible(f"{where}: a {kind} measure has arrays {sorted(kept)} and no others")
    for name, array in kept.items():
        if not np.array_equal(array, arrays[name]):  # masses, say, that do not quite sum to 1
            raise Impossible(f"{where}: {name} of the measure is not as a measure keeps it")
    return measure
