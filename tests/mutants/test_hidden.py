"""Steps that hide a fault below the rounding of something else: never ACCEPTED."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run, check_step
from jkoflow.flows.trajectory import Trajectory
from jkoflow.record import StepRecord, Witness


def raised(const: float) -> jf.Potential:
    """const + ∫|x|²/2, whose gradient is known to the last digit and whose value is not."""
    return jf.Potential(
        lambda x: const + 0.5 * (x * x).sum(axis=1), gradient=lambda x: 1.0 * x, convexity=1.0,
        lower_bound=const,
    )  # fmt: skip


STILL = [(1.0, 1e-6, 1e-5), (1e3, 1e-3, 1e-5), (1e6, 0.1, 1e-4), (1e6, 1e-3, 1e-3),
         (1e9, 0.1, 1e-3), (1e9, 1e-6, 0.1)]  # fmt: skip


@pytest.mark.parametrize(("const", "tau", "x"), STILL)
def test_staying_where_a_step_is_due_is_not_accepted(const: float, tau: float, x: float) -> None:
    """The step would lower F by less than its rounding, but move x by 1e4 times that of x."""
    mu, F = jf.Particles([[x]]), raised(const)
    assert tau * x * x < 64 * 2.0**-52 * const and tau > 1e4 * 2.0**-52
    report = check_step(F, mu, mu, tau)
    assert report["energy"].verdict is Verdict.ACCEPTED
    assert report["stationarity"].verdict is Verdict.UNDECIDED, report.text()
    assert "below rounding" in report["stationarity"].reason
    right = check_step(F, mu, jf.Particles(mu.points / (1.0 + tau)), tau)
    assert right.verdict is Verdict.ACCEPTED, right.text()


def test_a_run_that_never_moves_is_not_accepted() -> None:
    """F ought to fall by 100 times its rounding in 1000 steps; in each, by a tenth of it."""
    F = jf.Potential(
        lambda x: 1e4 + 5e-4 * x[:, 0] ** 2, gradient=lambda x: 1e-3 * x, convexity=1e-3,
        lower_bound=1e4,
    )  # fmt: skip
    problem = jf.Problem(F, jf.Quantiles(np.linspace(-1.0, 1.0, 9)), tau=4e-5, steps=1000)
    right, still = (Trajectory(problem, float(F.value(problem.initial)),
                               status=jf.Status.COMPLETE) for _ in range(2))  # fmt: skip
    for k in range(1, 1001):
        for run, scale in ((right, (1.0 + 4e-8) ** -k), (still, 1.0)):
            mu = jf.Quantiles(scale * problem.initial.points[:, 0])
            run.add(StepRecord(
                k, float(problem.times[k]), 4e-5, mu, float(F.value(mu)), np.nan,
                Witness("monotone"), {}, jf.Status.CONVERGED, {}, {},
            ), keep=True)  # fmt: skip
    assert check_run(problem, right).verdict is Verdict.ACCEPTED
    report = check_run(problem, still)
    assert report["stationarity"].verdict is Verdict.UNDECIDED, report.text()
    assert [f.claim for f in report.findings if f.verdict is not Verdict.ACCEPTED] == [
        "stationarity"]  # fmt: skip


def test_one_edge_on_a_jump_of_the_energy_hides_nothing() -> None:
    """F jumps by 1e-3 at x = 1, where an edge is put: F's rounding is then 1e-3, the gradient's
    nothing, and half a step costs less than that."""
    F = jf.Potential(
        lambda x: 0.5 * x[:, 0] ** 2 + 1e-3 * (x[:, 0] > 1.0), gradient=lambda x: 1.0 * x,
        convexity=1.0,
    )  # fmt: skip
    mu, tau = jf.Quantiles(np.linspace(0.5, 1.5, 21)), 1e-6
    edges = mu.edges / (1.0 + 0.5 * tau)
    edges[10] = 1.0
    report = check_step(F, mu, jf.Quantiles(edges), tau)
    assert report["stationarity"].verdict is not Verdict.ACCEPTED, report.text()


@pytest.mark.parametrize("scale", [1e-250, 1e-170, 1e-100, 1e100, 1e140])
def test_squares_that_leave_the_range_of_numbers_hide_nothing(scale: float) -> None:
    F, mu = scale * jf.QuadraticPotential(1.0), jf.Particles([[1.0], [2.0]])
    right = check_step(F, mu, jf.Particles(mu.points / 2.0), 1.0 / scale)
    assert right.verdict is Verdict.ACCEPTED, right.text()
    for factor in (1.0, 0.501, 0.0, -0.5):
        report = check_step(F, mu, jf.Particles(factor * mu.points), 1.0 / scale)
        assert report["stationarity"].verdict is not Verdict.ACCEPTED, (factor, report.text())


@pytest.mark.parametrize("thin", [1e-3, 1e-5, 1e-6])
@pytest.mark.parametrize("factor", [0.9, 0.5, 0.01])
def test_a_thin_direction_of_a_gaussian_is_looked_at(thin: float, factor: float) -> None:
    """The map that makes any std stationary misses the old one there: by 1e-12 of Σ or less."""
    F = jf.Potential(lambda x: 0.5 * x[:, 1] ** 2, gradient=lambda x: x * [0.0, 1.0],
                     convexity=0.0, lower_bound=0.0)  # fmt: skip
    claimed = Witness("symmetric-map", {"matrix": np.diag([1.0, 1.1])})
    old = jf.Gaussian([0.0, 0.0], np.diag([1.0, thin**2]))
    for std, verdict in ((thin / 1.1, Verdict.ACCEPTED), (factor * thin / 1.1, Verdict.REJECTED)):
        new = jf.Gaussian([0.0, 0.0], np.diag([1.0, std**2]))
        report = check_step(F, old, new, 0.1, witness=claimed)
        assert report.verdict is verdict, report.text()
        assert report["transport"].verdict is verdict


@pytest.mark.parametrize("far", [1e-5, 1e-7, 1e-9, 1e-11])
def test_a_small_step_of_a_gaussian_may_not_be_another_one(far: float) -> None:
    """Near equilibrium, with the map that would make it stationary: 2% more, or no step at all."""
    F, old, tau = jf.Entropy() + jf.QuadraticPotential(1.0), jf.Gaussian(0.0, (1 + far) ** 2), 0.1
    for std in (1.0 + 0.98 * far / (1 + 2 * tau), 1.0 + far):
        new = jf.Gaussian(0.0, std**2)
        claimed = Witness("symmetric-map", {"matrix": np.array([[1 + tau * (1 - std**-2)]])})
        report = check_step(F, old, new, tau, witness=claimed)
        assert report["stationarity"].verdict is Verdict.ACCEPTED  # by construction
        assert report["transport"].verdict is Verdict.REJECTED, report.text()


@pytest.mark.parametrize(("strength", "tau", "apart"), [(1.0, 1e-4, 1e-7), (1e-3, 1e-2, 3e-8)])
def test_points_that_were_merged_are_not_stationary(
    strength: float, tau: float, apart: float
) -> None:
    """Any coupling with points that coincide is optimal, and their mean satisfies ξ = 0. What they
    would gain by parting is below a millionth of the gain, or nearly; the points are off by 1e-3 of
    the step."""
    F, shrink = jf.QuadraticPotential(strength), 1.0 + tau * strength
    old = np.array([[1.0, 0.0], [1.0, apart], [-1.0, 0.0], [-1.0, apart]])
    new = np.array([[1.0, 0.5], [1.0, 0.5], [-1.0, 0.5], [-1.0, 0.5]]) * [1.0, apart] / shrink
    arrays: dict[str, Any] = {
        "rows": np.repeat(np.arange(4), 2), "columns": np.array([0, 1, 0, 1, 2, 3, 2, 3]),
        "values": np.full(8, 0.125), "f": (1.0 - shrink) * (new**2).sum(axis=1),
        "g": (1.0 - 1.0 / shrink) * (old**2).sum(axis=1),
    }  # fmt: skip
    report = check_step(F, jf.Particles(old), jf.Particles(new), tau,
                        witness=Witness("coupling", arrays))  # fmt: skip
    assert report["transport"].verdict is Verdict.ACCEPTED, report.text()
    assert report["stationarity"].verdict is Verdict.UNDECIDED, report.text()
    assert "several places" in report["stationarity"].reason


def hollow(mu: Any, **arrays: Any) -> Any:
    """A copy that keeps what does not belong to its arrays."""
    spoilt = copy.copy(mu)
    spoilt.__dict__.update(arrays)
    return spoilt


def test_cells_with_other_masses_for_internal_energies_are_no_measure() -> None:
    """log m raised by log 1.01 makes the step of a power energy 1.01 times as strong stationary."""
    F, strong = (c * jf.PowerEnergy(2.0) + jf.QuadraticPotential(1.0) for c in (1.0, 1.01))
    mu, tau = jf.Quantiles.normal(0.0, 1.0, 30), 0.5
    wrong = jf.steppers.QuantileNewton().step(strong, mu, tau, {}, None).measure
    lied = [hollow(law, _log_mass=law.log_mass + np.log(1.01)) for law in (mu, wrong)]
    assert check_step(F, mu, wrong, tau)["stationarity"].verdict is Verdict.REJECTED
    for before, after in ((mu, lied[1]), (lied[0], lied[1])):
        report = check_step(F, before, after, tau)
        assert report["membership"].verdict is Verdict.REJECTED, report.text()


HOLLOW: dict[str, Callable[[], Any]] = {
    "points of a Gaussian": lambda: hollow(
        jf.Gaussian(0.5, 1.0), points=jf.Gaussian(0.4, 1.0).points),
    "the root of a covariance": lambda: hollow(
        jf.Gaussian(0.5, 1.0), sqrt_cov=1.001 * np.eye(1)),
    "weights of cells": lambda: hollow(
        jf.Quantiles([0.0, 1.0, 2.0]), _weights=np.array([0.3, 0.4, 0.3])),
    "weights of a grid": lambda: hollow(
        jf.Grid(np.full(4, 0.25), 0.0, 4.0), weights=np.array([0.3, 0.2, 0.2, 0.3])),
}


@pytest.mark.parametrize("name", HOLLOW)
def test_what_is_kept_besides_arrays_has_to_be_theirs(name: str) -> None:
    mu = HOLLOW[name]()
    report = check_step(jf.QuadraticPotential(1.0), mu, mu, 0.1)
    assert report["membership"].verdict is Verdict.REJECTED, report.text()
    assert "own arrays" in report["membership"].reason


def test_a_subclass_of_a_measure_is_not_believed() -> None:
    class Mine(jf.Quantiles):
        @property
        def points(self) -> Any:
            return 0.9 * self.edges[:, None]

    mu = Mine([0.0, 1.0, 2.0])
    report = check_step(jf.QuadraticPotential(1.0), mu, Mine(mu.edges / 1.1), 0.1)
    assert report["membership"].verdict is Verdict.UNDECIDED, report.text()


def test_a_grid_says_how_much_its_cells_may_hide() -> None:
    """A step of 0.7τ passes on cells as coarse as these, and the report says what that may cost."""
    F, tau = jf.Entropy() + jf.QuadraticPotential(2.0), 0.1
    mu = jf.Grid.from_function(
        lambda x: np.exp(-((x - [0.4, 0.1]) ** 2).sum(axis=1) / 0.3), [-2, -2], [2, 2], (64, 64)
    )
    step = jf.steppers.BackAndForth().step(F, mu, 0.7 * tau, {}, None)
    assert step.witness is not None
    arrays: dict[str, Any] = {**step.witness.arrays}
    arrays["potential"] = 0.7 * np.asarray(arrays["potential"])
    report = check_step(F, mu, step.measure, tau, witness=Witness("grid", arrays))
    told = [a for a in report["minimality"].assumptions if "less than the best" in a]
    assert told and report["minimality"].measured > 0.1 * 0.2  # of a gain of 0.2
    assert float(told[0].split("up to ")[1].split("%")[0]) >= 10.0


SHAPES: dict[str, Any] = {
    "numbers": (np.array(0), np.array(0), np.array(1.0)),
    "an axis too many": (np.arange(2)[:, None], np.arange(2)[:, None], np.full((2, 1), 0.5)),
    "nothing": (None, None, None),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_coupling_of_any_shape_is_a_finding(name: str) -> None:
    rows, columns, values = SHAPES[name]
    mu = jf.Particles([[1.0, 0.0], [0.0, 1.0]])
    cells = jf.Grid(np.full((2, 2), 1.0), [0, 0], [1, 1])
    told = {"rows": rows, "columns": columns, "values": values, "f": np.zeros(2), "g": np.zeros(2)}
    for kind, law in (("coupling", mu), ("grid", cells)):
        witness = Witness(kind, {**told, "potential": np.zeros((2, 2))})
        report = check_step(jf.QuadraticPotential(1.0), law, law, 0.1, witness=witness)
        assert report["transport"].verdict is Verdict.REJECTED, report.text()
        assert "malformed" in report["transport"].reason


@pytest.mark.parametrize("junk", [
    "pairing", 3, Witness("pairing", [1, 2]), {"order": [0]},  # type: ignore[arg-type]
    Witness("pairing", {"order": [[0], [0, 1]]}),  # type: ignore[dict-item]
])  # fmt: skip
def test_what_is_no_witness_is_refused(junk: Any) -> None:
    mu = jf.Particles([[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(jf.status.InvalidProblem, match="witness"):
        check_step(jf.QuadraticPotential(1.0), mu, mu, 0.1, witness=junk)


def test_a_run_whose_question_cannot_be_read_is_a_finding_of_any_judge() -> None:
    class Mute(jf.Problem):
        def spec(self) -> dict[str, Any]:
            raise RuntimeError("no")

    problem = jf.Problem(jf.Entropy(), jf.Gaussian(0.0, 1.0), tau=0.1, steps=2)
    for judge, stepper in ((check_run, None), (jf.check_second_order, jf.steppers.SecondOrder())):
        run = jf.flow(problem, stepper)
        assert judge(problem, run).verdict is Verdict.ACCEPTED
        run.problem = Mute(jf.Entropy(), problem.initial, tau=0.1, steps=2)
        assert judge(problem, run)["identity"].verdict is Verdict.REJECTED


def test_points_that_were_exchanged_are_not_carried_on_by_their_numbers() -> None:
    """On the line W2 needs no witness; but what point i comes from is what the monotone coupling
    says, not what was point i before. By number two neighbours would go on 7% of a step astray."""
    F, tau, alpha = jf.QuadraticPotential(1.0), 0.1, 1 / 3
    start, exchanged = np.array([1.0, 1.02, 2.0, 3.0]), [1, 0, 2, 3]
    problem = jf.Problem(F, jf.Particles(start), tau, 3)
    for order, verdict in (([0, 1, 2, 3], Verdict.ACCEPTED), (exchanged, Verdict.REJECTED)):
        run = Trajectory(problem, float(F.value(problem.initial)), status=jf.Status.COMPLETE)
        old, new, way = start, start[order] / (1.0 + tau), 0.0
        for k in (1, 2, 3):
            mu = jf.Particles(new)
            run.add(StepRecord(
                k, float(problem.times[k]), tau, mu, float(F.value(mu)),
                float(((new - old) ** 2).mean()),
                Witness("extrapolated", {"alpha": np.array([way])}), {}, jf.Status.CONVERGED,
                {}, {},
            ), keep=True)  # fmt: skip
            beyond, way = new + alpha * (new - old), alpha
            old, new = new, beyond / (1.0 + tau - alpha * tau)
        assert jf.check_second_order(problem, run).verdict is verdict
