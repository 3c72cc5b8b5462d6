"""Schedules: when, as a value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkoflow import at_times, every, only_last
from jkoflow.status import InvalidProblem


def due(when, taus) -> list[int]:
    times = np.cumsum(taus)
    n = len(taus)
    return [k for k in range(1, n + 1) if when.due(k, times[k - 1], k == n, taus[k - 1])]


@given(st.integers(1, 12), st.integers(1, 40))
def test_every(n, steps):
    assert due(every(n), [0.1] * steps) == sorted({*range(n, steps + 1, n), steps})


@given(
    st.lists(st.floats(1e-3, 2.0), min_size=1, max_size=30),
    st.lists(st.floats(0.0, 30.0), max_size=6),
)
def test_at_times_finds_the_first_step_that_reaches_each(taus, asked):
    times = np.cumsum(taus)
    expected = set()
    for t in asked:
        reached = np.flatnonzero(times >= t - 1e-12)
        if t > 1e-12 and len(reached):
            expected.add(int(reached[0]) + 1)
    found = set(due(at_times(asked), taus))
    # a time within the slack of a step's end, or of the start, belongs to that step
    ends = np.concatenate([[0.0], times])
    near = {int(k) for t in asked for k in np.flatnonzero(abs(ends - t) < 1e-8)}
    near |= {k + 1 for k in near}
    assert found - near == expected - near


@pytest.mark.parametrize(("tau", "steps"), [(0.1, 1000), (1e-3, 300_000), (1 / 3, 3000)])
def test_at_times_forgives_the_rounding_of_the_clock(tau, steps):
    """The asked time is a multiple of τ; the clock, a sum of k rounded terms, may miss it."""
    times = np.cumsum(np.full(steps, tau))
    for k in (3, steps // 7, steps // 2, steps - 2):
        when = at_times([k * tau])
        near = [j for j in range(k - 2, k + 3) if when.due(j, times[j - 1], False, tau)]
        assert near == [k]


def test_only_last_and_either():
    assert due(only_last(), [0.1] * 5) == [5]
    assert due(at_times([0.15]) | only_last() | every(3), [0.1] * 7) == [2, 3, 6, 7]
    assert due(at_times([]), [0.1] * 5) == []


@pytest.mark.parametrize("bad", [0, -2, 1.5, True, "3"])
def test_senseless_every(bad):
    with pytest.raises(InvalidProblem, match="positive integer"):
        every(bad)


@pytest.mark.parametrize("bad", [[float("nan")], [0.1, float("inf")]])
def test_senseless_times(bad):
    with pytest.raises(InvalidProblem, match="finite"):
        at_times(bad)


def test_schedules_are_values():
    assert every(3) == every(3) and at_times([2, 1]) == at_times((1.0, 2.0))
    assert "every(steps=3)" in repr(every(3))
