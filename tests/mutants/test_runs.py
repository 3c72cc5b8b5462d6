"""Runs with a fault that only a judge of many steps together could miss: never ACCEPTED."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run, check_step
from jkoflow.flows.trajectory import Trajectory
from jkoflow.record import StepRecord, Witness


def run_of(problem: jf.Problem, measures: list[Any], witnesses: list[Any] | None = None) -> Any:
    """The laws as a run that says what is true of them."""
    value = problem.functional.value
    run = Trajectory(problem, float(value(problem.initial)), status=jf.Status.COMPLETE)
    for k, mu in enumerate(measures, 1):
        proof = None if witnesses is None else witnesses[k - 1]
        run.add(StepRecord(
            k, float(problem.times[k]), float(problem.taus[k - 1]), mu, float(value(mu)), np.nan,
            proof, {}, jf.Status.CONVERGED, {}, {},
        ), keep=True)  # fmt: skip
    return run


@pytest.mark.parametrize("steps", [100, 545, 555])
def test_a_run_that_settles_excuses_no_step_before(steps: int) -> None:
    """x − 1 falls like 1.05^−k, to 10⁻¹²: rounding is then 10⁻³ of the gradient, and was taken for
    10⁻³ of all gradients. Step 5 falls short by 10⁻³ of itself, which leaves r = 1.05·10⁻³ σ."""
    F, tau, away, laws = jf.QuadraticPotential(1.0, center=[1.0]), 0.05, np.linspace(-1, 1, 21), []
    problem = jf.Problem(F, jf.Quantiles(1.0 + away), tau, steps=steps)
    for k in range(1, steps + 1):
        before, away = away, away / (1.0 + tau)
        if k == 5:
            away = away + 1e-3 * (before - away)
        laws.append(jf.Quantiles(np.maximum.accumulate(1.0 + away)))
    assert check_step(F, laws[3], laws[4], tau)["stationarity"].verdict is Verdict.REJECTED
    found = check_run(problem, run_of(problem, laws))["stationarity"]
    assert found.verdict is Verdict.REJECTED and found.where == "step 5"
    assert found.measured == pytest.approx(1e4 * 1.05e-3 * found.bound, rel=0.01, abs=0)


def still(mu: jf.Grid, on: jf.Grid) -> Witness:
    """Cell i goes to cell i, at a price that is the same everywhere."""
    k = np.arange(mu.mass.size)
    return Witness("grid", {"rows": k, "columns": k, "values": mu.weights,
                            "potential": np.zeros(on.shape)})  # fmt: skip


@pytest.mark.parametrize("other", [
    jf.Grid(np.full((4, 8), 0.5), [0.0, 0.0], [2.0, 1.0]),
    jf.Grid(np.full((8, 4), 0.5), [0.0, 0.0], [1.0, 2.0]),
    jf.Grid(np.full((4, 8), 0.5), [1e-8, 0.0], [1.0 + 1e-8, 2.0]),
])  # fmt: skip
def test_cells_that_change_in_the_middle_of_a_run_are_noticed(other: jf.Grid) -> None:
    """The masses are the same, number by number: such laws were judged together as if alike."""
    rest = jf.Grid(np.full((4, 8), 0.5), [0.0, 0.0], [1.0, 2.0])
    problem = jf.Problem(jf.Entropy(), rest, tau=0.1, steps=3)
    honest = run_of(problem, [rest] * 3, [still(rest, rest)] * 3)
    assert check_run(problem, honest).verdict is Verdict.ACCEPTED
    proofs = [still(rest, rest), still(other, rest), still(other, other)]
    report = check_run(problem, run_of(problem, [rest, other, other], proofs))
    assert report["membership"].verdict is Verdict.REJECTED, report.text()
    assert report["membership"].where == "step 2"


@pytest.mark.parametrize("cells", [(64,), (16, 16)])
def test_a_stored_distance_on_a_grid_is_looked_at(cells: tuple[int, ...]) -> None:
    """Between its bounds W2² is known up to what cells hide, eight times Σh²/4."""
    d = len(cells)
    start = jf.Grid.from_function(lambda x: np.exp(-((x - 0.5) ** 2).sum(axis=1)), [-4.0] * d,
                                  [4.0] * d, cells)  # fmt: skip
    problem = jf.Problem(0.5 * jf.Entropy() + jf.QuadraticPotential(1.0), start, tau=1.0, steps=2)
    run = jf.flow(problem)
    honest = check_run(problem, run)["stored distance"]
    assert honest.verdict is Verdict.ACCEPTED
    hidden = 2.0 * float((start.spacing**2).sum())
    assert honest.bound == pytest.approx(hidden, rel=1e-9)
    said = run.records[1].distance_squared
    for wrong in (said + 2.0 * hidden, said - 2.0 * hidden, np.inf, -np.inf):
        run.records[1] = dataclasses.replace(run.records[1], distance_squared=wrong)
        run.taken[1] = run.taken[1]._replace(distance_squared=wrong)
        found = check_run(problem, run)["stored distance"]
        assert found.verdict is Verdict.REJECTED and found.where == "step 2"
    run.records[1] = dataclasses.replace(run.records[1], distance_squared=np.nan)
    run.taken[1] = run.taken[1]._replace(distance_squared=float("nan"))  # the run does not say
    assert check_run(problem, run)["stored distance"].where == "step 1"


def test_rounding_at_one_place_is_none_elsewhere() -> None:
    """Left of 5 the last digit of x moves ∇F by up to 2·10⁻⁴ of it, right of 5 it does not. What
    was measured at the last law was taken for the rounding of all, and excused a third step that is
    longer than the others by 10⁻³, at 8 to 9, which by itself is REJECTED."""
    F = jf.Potential(
        lambda x: x.sum(axis=1),
        lambda x: np.where(x < 5.0, 1.0 + 1e-4 * np.sin(1e17 * x), 1.0), convexity=0.0,
    )  # fmt: skip
    tau, at = 0.5, np.linspace(10.0, 11.0, 21)
    problem = jf.Problem(F, jf.Quantiles(at), tau, steps=20)

    def found(longer: float) -> Any:
        moved = [tau * (k + longer * (k > 2)) for k in range(1, 21)]
        return check_run(problem, run_of(problem, [jf.Quantiles(at - by) for by in moved]))

    assert found(0.0).verdict is Verdict.ACCEPTED
    worst = found(1e-3)["stationarity"]
    assert worst.verdict is Verdict.REJECTED and worst.where == "step 3"
    assert worst.measured == pytest.approx(1e-3, rel=1e-6)
    assert worst.bound == pytest.approx(1e-4 * 1.001, rel=1e-6)
