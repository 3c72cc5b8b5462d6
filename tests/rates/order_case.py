"""What a measured order is: a case of the table, and its measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from order_references import points_by_ode

import jkoflow as jf
from jkoflow.steppers import Exact, SecondOrder

CURVED = "the next terms of the expansion are not yet small at these sizes"
WAVERS = "where in its cell a free boundary falls is accidental, and the error wavers with it"
CHANCE = "the errors are means over finitely many seeds"
ROUNDING = "rounding and the stepper's tolerance"


@dataclass(frozen=True)
class Case:
    """One row: errors at sizes, whose order −d log error/d log size should be ``expected``.

    ``refined`` is what the sizes count: "n" points or cells, "h" cells along an axis (rings of a
    mesh), "τ" steps to a fixed time, "ε" inverse variances of a kernel. An expected order of None
    says that there is no error: then all of them must be below ``within``. ``reason`` says where
    the tolerance ``within`` of the order comes from, ``short`` why the order is not what one would
    hope for.
    """

    stepper: str
    measure: str
    energy: str
    refined: str
    sizes: tuple[int, ...]
    error: Callable[[int], float] = field(repr=False)
    against: str
    expected: float | None
    within: float
    reason: str = CURVED
    short: str = ""
    slow: bool = False

    @property
    def name(self) -> str:
        return f"{self.stepper}, {self.measure}, {self.energy}, {self.refined}"


def measured(case: Case) -> tuple[np.ndarray, float]:
    """The errors, and the fitted order (NaN where there is no error)."""
    errors = np.array([case.error(size) for size in case.sizes])
    if case.expected is None:
        return errors, np.nan
    return errors, -float(np.polyfit(np.log(case.sizes), np.log(errors), 1)[0])


def holds(case: Case, errors: np.ndarray, order: float) -> bool:
    """Whether the case's claim is true of what was measured."""
    if case.expected is None:
        return bool(errors.max() <= case.within)
    return abs(order - case.expected) <= case.within


def l2(mu, points):
    """The distance in L2(μ) of μ's points from others."""
    away = (mu.points - np.reshape(points, mu.points.shape)) ** 2
    return float(np.sqrt(mu.weights @ away.sum(axis=1)))


def one_step(stepper, F, mu, tau):
    out = stepper.step(F, mu, tau, stepper.init(F, mu, tau, None), np.random.default_rng(0))
    assert out.status.ok, (stepper, out.status, out.stats)
    return out.measure


def final(stepper, F, mu, t, steps, rng=None):
    """The law at time t after so many equal steps."""
    problem = jf.Problem(F, mu, t / steps, steps)
    return jf.flow(problem, stepper, save=jf.only_last(), rng=rng).final


def to_exact_step(stepper, F, start, tau):
    """Error of a step on start(n) against the closed formula on the same points."""

    def error(n):
        mu = start(n)
        return l2(one_step(stepper, F, mu, tau), one_step(Exact(), F, mu, tau).points)

    return error


def in_time(stepper, F, mu, t, reference, gap=l2):
    """Errors of a flow at time t, for a number of steps; reference() is made once."""
    known = []

    def error(steps):
        if not known:
            known.append(reference())
        return gap(final(stepper, F, mu, t, steps), known[0])

    return error


def by_ode(F, mu, t, method="DOP853", rtol=1e-11):
    """Errors in time against the differential equation of the same points, for a stepper."""

    def make(stepper):
        return in_time(stepper, F, mu, t, lambda: points_by_ode(F, mu, t, method, rtol))

    return make


def first_and_second(stepper, make, **about):
    """The same problem with a stepper, and with `SecondOrder` around it.

    ``make(stepper)`` gives the function of the number of steps.
    """
    name = type(stepper).__name__
    twice = SecondOrder(stepper)
    return [
        Case(name, refined="τ", error=make(stepper), expected=1.0, **{"within": 0.1, **about}),
        Case(f"SecondOrder({name})", refined="τ", error=make(twice), expected=2.0,
             **{"within": 0.15, **about}),
    ]  # fmt: skip
