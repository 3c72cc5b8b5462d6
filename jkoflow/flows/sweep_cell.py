"""One cell of a sweep: its seed, and what comes of calling the function there."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..measures.base import Array
from ..status import InvalidProblem


@dataclass(frozen=True)
class Cell:
    """Parameters with a key that identifies them, and the root of the sweep's seeds."""

    index: int
    key: str
    parameters: dict[str, Any]
    entropy: int
    spawn_key: tuple[int, ...]

    @property
    def root(self) -> dict[str, Any]:
        """What all cells' seeds come from."""
        return {"entropy": str(self.entropy), "spawn_key": list(self.spawn_key)}

    def generator(self) -> np.random.Generator:
        """The cell's own random generator: a child of the root, numbered by the key."""
        words = tuple(int(self.key[i : i + 8], 16) for i in range(0, len(self.key), 8))
        return np.random.default_rng(
            np.random.SeedSequence(self.entropy, spawn_key=(*self.spawn_key, *words))
        )


@dataclass(frozen=True)
class Outcome:
    """A result, or the text of the error that came instead."""

    index: int
    result: dict[str, Array] | None
    error: str


def compute(function: Callable[..., Any], cell: Cell) -> Outcome:
    """Call the function; whatever it raises stays in this cell."""
    try:
        answer = function(**cell.parameters, rng=cell.generator())
        return Outcome(cell.index, numbers_of(answer), "")
    except Exception:
        return Outcome(cell.index, None, traceback.format_exc())


def numbers_of(answer: Any) -> dict[str, Array]:
    """The function's answer as named arrays of numbers.

    Examples
    --------
    >>> numbers_of({"slope": -0.5})
    {'slope': array(-0.5)}
    """
    if not isinstance(answer, Mapping):
        raise InvalidProblem("the function of a sweep returns a mapping from names to numbers or "
                             f"arrays, not {type(answer).__name__}")  # fmt: skip
    arrays = {str(name): np.asarray(value) for name, value in answer.items()}
    wrong = [name for name, array in arrays.items() if array.dtype.kind not in "fiubc"]
    if wrong:
        raise InvalidProblem(f"results {wrong} are not numbers, so they cannot be kept")
    return arrays
