"""The clock T = 2∫ξ and the step sizes that add up to it."""

import numpy as np
import pytest

from jkoflow.dynamics import jko_time
from jkoflow.dynamics.sgd.schedule import StepSizes
from jkoflow.status import InvalidProblem


def warm(t):
    """Written for numbers only."""
    return 2.0 if t < 1.0 else 0.5


@pytest.mark.parametrize(
    ("xi", "exact"),
    [
        (1.0, lambda t: 2 * t),
        (0.3, lambda t: 0.6 * t),
        (lambda t: t**-0.25, lambda t: 8 / 3 * t**0.75),
        (lambda t: 1 / np.sqrt(t), lambda t: 4 * t**0.5),
        (lambda t: np.exp(-t), lambda t: 2 * (1 - np.exp(-t))),
        (lambda t: 1 / (1 + 10 * t), lambda t: 0.2 * np.log1p(10 * t)),
        (warm, lambda t: 4 * min(t, 1) + max(t - 1, 0)),
    ],
)
@pytest.mark.parametrize("t", [0.0, 1e-3, 0.7, 30.0, 2e3])
def test_clock(xi, exact, t):
    # the quadrature asks for 1e-11; a jump inside costs it some digits
    assert jko_time(xi, t) == pytest.approx(exact(t), rel=1e-7, abs=1e-15)


@pytest.mark.parametrize("xi", [1.0, lambda t: t**-0.25, lambda t: np.exp(-t), warm])
def test_steps_add_up_to_the_clock(xi):
    """2Σs_k is a Riemann sum of T: what is left falls with ε, in rate and not only in size."""
    errors = []
    for n in (4000, 8000):
        total = 2 * StepSizes(4.0 / n, xi).between(0, n).sum()
        errors.append(abs(total / jko_time(xi, 4.0) - 1))
    # A left sum is off by ε(ξ(0) − ξ(t))/(2∫ξ) ≤ 5e-4, and halves with ε; by O(ε^¾) where ξ is
    # t^{−1/4}, so it falls by 2^{−¾} = .59 (here .61). The clock's own error is below 1e-9.
    assert errors[0] < 1e-3 and errors[1] < 0.63 * errors[0] + 1e-9


def test_steps_do_not_depend_on_the_cut():
    sizes = StepSizes(1e-3, lambda t: (0.1 + t) ** -0.25)
    parts = [sizes.between(0, 7), sizes.between(7, 8), sizes.between(8, 50)]
    # a vector instruction and its remainder loop may round a power differently
    np.testing.assert_allclose(np.concatenate(parts), sizes.between(0, 50), rtol=1e-15)
    np.testing.assert_allclose(sizes.between(3, 4), 1e-3 * (0.103) ** -0.25, rtol=1e-15)


def test_a_schedule_for_numbers_only():
    np.testing.assert_array_equal(StepSizes(0.4, warm).between(0, 4), [0.8, 0.8, 0.8, 0.2])


def test_a_constant_function():
    np.testing.assert_array_equal(StepSizes(0.5, lambda t: 1.0).between(1, 3), [0.5, 0.5])


def test_infinite_at_zero():
    """s_0 = ∫₀^ε ξ, from a division by zero or from NumPy's infinity alike."""
    for xi in (lambda t: 1 / t**0.25, lambda t: np.power(t, -0.25)):
        assert StepSizes(0.2, xi).between(0, 1)[0] == pytest.approx(4 / 3 * 0.2**0.75, rel=1e-10)


def test_not_integrable():
    with pytest.raises(InvalidProblem, match="integrable"):
        jko_time(lambda t: 1 / t, 1.0)


def test_later_infinities():
    with pytest.raises(InvalidProblem, match=r"t = \[0.5\]"):
        StepSizes(0.25, lambda t: np.inf if t == 0.5 else 1.0).between(0, 4)
