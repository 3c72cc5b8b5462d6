"""What a user's function captures: told apart, the same in every process, and always described."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from jkoflow.functionals.identity import describe, spec_digest


class Slotted:
    """A function with its state in slots."""

    __slots__ = ("strength",)

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, x: Any) -> Any:
        return self.strength * (x**2).sum(axis=1)


def capturing(thing: Any) -> Any:
    return lambda x: (x**2).sum(axis=1) * (thing is not None)


STRENGTH, PAIR = 1.0, (1.0, 2.0)


def inside(x: Any) -> Any:
    """STRENGTH is read by the generator, and PAIR[0] by a lambda."""
    twice = lambda y: PAIR[0] * y  # noqa: E731
    return sum(STRENGTH * twice(y) @ y for y in x)


@pytest.mark.parametrize(("name", "other"), [("STRENGTH", 1.0 + 1e-9), ("PAIR", (1.0 + 1e-9, 2.0))])
def test_what_is_read_by_what_is_written_inside_is_told_apart(
    name: str, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = spec_digest(describe(inside))
    assert spec_digest(describe(inside)) == before
    monkeypatch.setitem(inside.__globals__, name, other)
    assert spec_digest(describe(inside)) != before


def test_defaults_of_keywords_are_told_apart() -> None:
    def of(strength: float) -> Any:
        def V(x: Any, *, strength: float = strength) -> Any:
            return strength * (x**2).sum(axis=1)

        return V

    one, same, other = (spec_digest(describe(of(c))) for c in (1.0, 1.0, 1.0 + 1e-9))
    assert one == same != other


def test_states_in_slots_are_told_apart() -> None:
    assert describe(Slotted(2.0)) == describe(Slotted(2.0)) != describe(Slotted(3.0))
    assert describe(capturing(Slotted(2.0))) != describe(capturing(Slotted(3.0)))
    assert describe(Slotted(2.0).__call__) != describe(Slotted(3.0).__call__)


def test_splines_are_told_apart_by_their_coefficients() -> None:
    from scipy.interpolate import CubicSpline

    one, two = (CubicSpline([0.0, 1.0, 2.0], [0.0, 1.0, c]) for c in (4.0, 5.0))
    assert describe(capturing(one)) != describe(capturing(two))


def test_compiled_functions_are_those_that_were_compiled() -> None:
    numba = pytest.importorskip("numba")

    def square(x: Any) -> Any:
        return x[:, 0] ** 2

    assert describe(numba.njit(square)) == describe(square)
    assert json.dumps(describe(capturing(numba.njit(square))))


def test_a_module_is_its_name_and_not_all_that_it_holds() -> None:
    assert describe(np) == {"module": "numpy"}
    assert len(json.dumps(describe(capturing(np)))) < 500


PROCESS = """
import numpy as np
from jkoflow.functionals.identity import describe, spec_digest
names, pair = {"a", "b", "c", "d", "e"}, frozenset([("x", 1), ("y", 2), ("z", 3)])
random = np.random.default_rng(3)
print(spec_digest(describe([names, pair, random, object(), {"k": names}])))
"""


def test_the_same_in_every_process() -> None:
    """Neither the order of a set nor the address of an object is a property of it."""
    said = {
        subprocess.run(
            [sys.executable, "-c", PROCESS], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in (1, 2, 3)
    }  # fmt: skip
    assert len(said) == 1
    assert spec_digest(describe({"a", "b"})) != spec_digest(describe({"a", "c"}))
