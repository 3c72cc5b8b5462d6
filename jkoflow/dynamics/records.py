"""Statistics of a run at given times: when they are due, and what a user's functions answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..functionals.answers import said
from ..measures.base import Array, finite_array
from ..status import InvalidProblem, JkoflowError


class Records:
    """Named statistics at the SGD times t = kε, rounded to steps: a row for each time."""

    def __init__(
        self, times: ArrayLike, names: Iterable[str], epsilon: float, steps: int
    ) -> None:
        asked = finite_array(times, "record times", ndim=1)
        if asked.size and (asked.min() < 0 or asked.max() > epsilon * (steps + 0.5)):
            raise InvalidProblem(
                f"record times must lie between 0 and steps·epsilon = {epsilon * steps:g}, but "
                f"range from {asked.min():g} to {asked.max():g}"
            )
        self.due = np.unique(np.rint(asked / epsilon).astype(np.int64))
        self.values: dict[str, list[Array]] = {name: [] for name in names}
        self.count = 0

    def next_due(self, otherwise: int) -> int:
        """The next step after which something is to be recorded."""
        return int(self.due[self.count]) if self.count < len(self.due) else otherwise

    def keep(self, questions: Mapping[str, Callable[[], Any]]) -> None:
        """A row of each statistic; nothing is kept unless all of them have an answer."""
        found = {name: self._answer(name, ask) for name, ask in questions.items()}
        for name, value in found.items():
            self.values[name].append(value)
        self.count += 1

    def _answer(self, name: str, ask: Callable[[], Any]) -> Array:
        try:
            value = ask()
            array = np.array(value)
        except JkoflowError:
            raise
        except Exception as error:  # a user's statistic may raise anything
            raise InvalidProblem(said(f"statistic {name!r}", error)) from error
        if array.dtype.kind not in "biuf":
            raise InvalidProblem(f"statistic {name!r} must give real numbers, not {value!r:.100}")
        earlier = self.values[name]
        if earlier and earlier[0].shape != array.shape:
            raise InvalidProblem(
                f"statistic {name!r} changed its shape from {earlier[0].shape} to {array.shape}"
            )
        return array

    def times(self, epsilon: float) -> Array:
        """SGD times t = kε of what was recorded."""
        return np.asarray(epsilon * self.due[: self.count], dtype=float)

    def statistics(self) -> dict[str, Array]:
        """Name → array with one row for each recorded time."""
        return {name: np.array(values) for name, values in self.values.items()}
