"""The judge of second order, piece by piece: its limits, what is carried on, and what is paid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict
from jkoflow.check import extrapolated as judge
from jkoflow.check.evaluate import Noise, Rows, Stack
from jkoflow.check.residual import Steps
from jkoflow.check.step import evaluated
from jkoflow.check.transport import Transport
from jkoflow.measures.many import Laws
from jkoflow.record import Witness
from jkoflow.steppers import SecondOrder
from jkoflow.verdict import Decided, at_most

EPS = 2.0**-52
POINT = jf.Particles([0.0])
ACCEPTED, REJECTED, UNDECIDED = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.UNDECIDED


def rows(**numbers: float) -> Rows:
    return Rows(*(np.array([numbers.get(name, 0.0)]) for name in Rows._fields))


def law(squared: float = 0.0, tau: float = 1.0, **numbers: float) -> judge.Reached:
    """A point that came a way of the given squared length in a time τ, and what F is there."""
    return judge.Reached(POINT, rows(**numbers), np.array([[np.sqrt(squared)]]), squared, tau)


@pytest.mark.parametrize("limit", [1 / 3, np.sqrt(2.0), 0.1])
def test_the_way_that_is_carried_on_is_that_of_second_order(limit: float) -> None:
    """Eight units of rounding; less is a method of first order, more is none."""
    for part, verdict in ((0, ACCEPTED), (7, ACCEPTED), (-7, ACCEPTED), (9, REJECTED),
                          (-9, UNDECIDED)):  # fmt: skip
        found = judge._order(limit * (1.0 + part * EPS), limit, 5)
        assert found.verdict is verdict, part
        assert found.where == "step 5"
    assert judge._order(0.0, 0.0, 1).verdict is ACCEPTED
    assert judge._order(1e-300, 0.0, 1).verdict is REJECTED


def flips(found: Any, room: float, base: float) -> None:
    """Accepted while the new energy is below base + room, and not above."""
    for part, verdict in ((1 - 1e-6, ACCEPTED), (1 + 1e-6, REJECTED)):
        assert found(base + part * room).verdict is verdict


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_the_modified_energy_in_closed_form(alpha: float) -> None:
    """F⁺ ≤ F − (1−α)D⁺/(2τ') + αD/(2τ'), τ' = τ − ατ_k, up to the rounding of F, F⁺ and D⁺."""
    tau, before, came, way = 0.5, 0.4, 0.9, 0.2
    short = tau - alpha * before
    least = 2.0 - (1 - alpha) * way / (2 * short) + alpha * came / (2 * short)
    big = 1e10
    b = 64 * EPS * big
    for room, old, new in (
        (1e-4, {"margin": 1e-4}, {}), (1e-4, {}, {"margin": 1e-4}),
        # W2 is known to b, hence its square to b(2W2 + b), of which twice 1/(2τ') is allowed
        ((2 * b * np.sqrt(way) + b * b) / short, {"extent": big}, {}),
        ((2 * b * np.sqrt(way) + b * b) / short, {}, {"extent": big}),
    ):  # fmt: skip
        last = law(came, before, energy=2.0, **old)
        flips(lambda e, o=last, n=new: judge._modified(o, law(way, energy=e, **n), alpha, tau, 3),
              room, least)  # fmt: skip


def test_a_start_has_no_way_behind_it() -> None:
    """α = 0 needs nothing of how the law before was reached: then F⁺ ≤ F − D⁺/(2τ)."""
    old = judge.Reached(POINT, rows(energy=2.0, margin=1e-6))
    flips(lambda e: judge._modified(old, law(0.2, energy=e), 0.0, 0.5, 1), 1e-6, 2.0 - 0.2)


def test_staying_is_a_competitor_in_closed_form() -> None:
    """F⁺ + W2²(ρ⁺, y)/(2τ') ≤ F + α²D/(2τ')."""
    alpha, tau, squared, came = 0.3, 0.7, 0.25, 0.9

    def found(energy: float, **at: dict[str, float]) -> Any:
        laws = Laws([POINT])
        here = rows(energy=energy, **at.get("new", {}))
        new = Stack(laws, np.zeros((1, 1, 1)), np.zeros(1), here, Noise(0.0, 0.0, (0.0, 0.0)))
        moved = Transport(np.array([squared]), np.zeros((1, 1, 1)), np.zeros(1), np.zeros(1),
                          at_most("transport", 0.0, 0.0))  # fmt: skip
        zero = np.zeros(1)
        s = Steps(jf.QuadraticPotential(1.0), laws, rows(**at.get("y", {})), new, np.array([tau]),
                  moved, zero, zero, zero, (), 4)  # fmt: skip
        return judge._competitor(s, law(came, energy=2.0, **at.get("old", {})), alpha)

    least = 2.0 + (alpha**2 * came - squared) / (2 * tau)
    flips(lambda e: found(e, old={"margin": 1e-4}), 1e-4, least)
    flips(lambda e: found(e, new={"margin": 1e-4}), 1e-4, least)
    b = 64 * EPS * 1e10
    flips(lambda e: found(e, y={"extent": 1e10}), (b + b * b) / tau, least)
    assert found(3.0).where == "step 4"


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_minimisation_loses_energy_from_the_law_it_starts_from(alpha: float) -> None:
    """F(ρ⁺) + W2²/(2τ') ≤ F(y) at y = 2 − α/2, the law 2 carried on as it came from 2.5."""
    F, old, after, tau = jf.QuadraticPotential(1.3), jf.Particles([2.0]), jf.Particles([1.5]), 0.5
    problem = jf.Problem(F, old, tau=tau, steps=4)
    came = judge.Reached(old, evaluated(F, Laws([old])).rows, np.array([[-0.5]]), 0.25, 0.4)
    found = {f.claim: f for f in judge._minimised(problem, came, after, tau, alpha, alpha, None, 4)}
    y, shorter = 2.0 - 0.5 * alpha, tau - 0.4 * alpha
    excess = 0.65 * (1.5**2 - y**2) + (y - 1.5) ** 2 / (2.0 * shorter)
    assert found["energy"].measured == pytest.approx(excess, rel=1e-13, abs=0)


@pytest.mark.parametrize("alpha", [
    None, np.array(0.3), np.array([0.3, 0.3]), np.array([1]), np.array([np.nan]),
    np.array([np.inf]), np.array([-1e-9]), np.array(["0.3"]), np.array([0.3 + 0j]),
    np.array([[0.3]]),
])  # fmt: skip
def test_how_far_is_one_number_that_is_not_negative(alpha: Any) -> None:
    with pytest.raises(Decided) as found:
        judge._number({} if alpha is None else {"alpha": alpha})
    assert found.value.finding.verdict is REJECTED
    assert [judge._number({"alpha": np.array([a])}) for a in (0.0, 0.3)] == [0.0, 0.3]


def test_points_and_gaussians_are_carried_on_as_they_came() -> None:
    cloud = jf.Particles(np.array([[0.0, 1.0], [2.0, 3.0]]))
    away = np.array([[1.0, 0.0], [0.0, -2.0]])
    found, held = judge._beyond(judge.Reached(cloud, rows(), away, 2.5), 0.3)
    np.testing.assert_array_equal(found.points, cloud.points + 0.3 * away)
    assert held == 0.0


def test_edges_are_held_back_and_the_share_is_that_of_their_way() -> None:
    mu = jf.Quantiles([0.0, 1.0, 2.0])
    away = np.array([[0.1], [0.0], [-0.2]])
    free, held = judge._beyond(judge.Reached(mu, rows(), away, 0.25 * 0.01 + 0.25 * 0.04), 0.5)
    np.testing.assert_allclose(free.points[:, 0], [0.05, 1.0, 1.9], rtol=1e-14)
    assert held < 1e-14
    strong = 20.0 * away
    squared = float(mu.weights @ strong[:, 0] ** 2)
    folded, held = judge._beyond(judge.Reached(mu, rows(), strong, squared), 0.5)
    missing = folded.points[:, 0] - mu.edges - 0.5 * strong[:, 0]
    share = np.sqrt(mu.weights @ missing**2) / (0.5 * np.sqrt(squared))
    assert held == pytest.approx(share, rel=1e-13, abs=0) and 0.1 < held < 1.0
    still, held = judge._beyond(judge.Reached(mu, rows(), 0.0 * away, 0.0), 0.5)
    assert held == 0.0
    np.testing.assert_allclose(still.points, mu.points)


def test_where_points_were_is_read_from_the_certified_witness() -> None:
    values, masses = np.array([[1.0], [3.0], [5.0]]), [0.5, 0.5, 0.0]
    after, base = (jf.Particles(x, masses) for x in ([0.0, 2.0, 4.0], [3.0, 1.0, 7.0]))
    arrays = {"rows": np.array([0, 0, 1]), "columns": np.array([0, 1, 2]),
              "values": np.array([0.1, 0.4, 0.5])}  # fmt: skip
    cases = {
        "pairing": ({"order": np.array([2, 0, 1])}, values[[2, 0, 1]]),
        # barycentres; a point without mass has none
        "coupling": (arrays, np.array([[2.6], [5.0], [0.0]])),
        # without a coupling the monotone one, whatever the order of the points
        "monotone": ({}, np.array([[3.0], [1.0], [0.0]])),
    }  # fmt: skip
    for kind, (given, expected) in cases.items():
        found = judge._pulled(Witness(kind, given), after, base, values)
        np.testing.assert_allclose(found, expected, rtol=1e-15)
    found = judge._pulled(None, after, base, values)
    np.testing.assert_allclose(found, [[3.0], [1.0], [0.0]], rtol=1e-15)
    other = jf.Particles([3.0, 1.0], [0.25, 0.75])  # 0 ← 1; 2 ← 1 and 3 in equal parts
    found = judge._pulled(None, after, other, values[:2])
    np.testing.assert_allclose(found, [[3.0], [2.0], [0.0]], rtol=1e-15)


@pytest.mark.parametrize("field", ["middle", "measure"])
def test_laws_on_other_cells_are_findings(field: str) -> None:
    """The edges of 20 cells did not come from those of 40 one by one."""
    F = jf.Entropy() + jf.QuadraticPotential(1.0)
    problem = jf.Problem(F, jf.Quantiles.normal(1.0, 0.5, 40), 0.1, 3)
    run, other = jf.flow(problem, SecondOrder()), jf.Quantiles.normal(1.0, 0.5, 20)
    witness = run.records[0].witness
    assert witness is not None
    arrays = {**witness.arrays, "middle.edges": other.edges, "middle.mass": other.mass}
    change = {"measure": other} if field == "measure" else {
        "witness": Witness(witness.kind, arrays)}  # fmt: skip
    report = jf.check_second_order(problem, spoilt(run, 1, **change))
    assert report.verdict is REJECTED, report.text()


def test_each_minimisation_has_a_witness_of_its_own() -> None:
    arrays = {"first.matrix": 1, "last.order": 2, "last.f": 3, "alpha": 4, "middle.edges": 5}
    first, last = (judge._inner(arrays, name) for name in ("first.", "last."))
    assert first is not None and last is not None
    assert (first.kind, dict(first.arrays)) == ("symmetric-map", {"matrix": 1})
    assert (last.kind, dict(last.arrays)) == ("pairing", {"order": 2, "f": 3})
    assert judge._inner(arrays, "none.") is None
    edges = judge._inner({"last.fixed": 1}, "last.")
    coupling = judge._inner({"last.values": 1}, "last.")
    assert edges is not None and edges.kind == "monotone"
    assert coupling is not None and coupling.kind == "coupling"
    assert judge._matrix_of(first) == 1 and judge._matrix_of(None) is None


def point_run(taus: Any, **options: Any) -> tuple[jf.Problem, jf.Trajectory]:
    problem = jf.Problem(jf.QuadraticPotential(1.3), jf.Gaussian(2.0, 1.0), taus)
    return problem, jf.flow(problem, SecondOrder(**options))


def spoilt(run: jf.Trajectory, k: int, **changes: Any) -> jf.Trajectory:
    run.records[k - 1] = replace(run.records[k - 1], **changes)
    names = ("energy", "time", "distance_squared")
    said = {name: getattr(run.records[k - 1], name) for name in names}
    run.taken[k - 1] = run.taken[k - 1]._replace(**said)
    return run


@pytest.mark.parametrize("start", ["two-stage", "first-order"])
def test_nothing_is_measured_on_an_exact_run(start: str) -> None:
    """Closed-form steps of a quadratic: residuals, α and distances are right to rounding."""
    problem, run = point_run([0.1, 0.2, 0.05, 0.1], start=start)
    report = jf.check_second_order(problem, run)
    assert report.verdict is ACCEPTED, report.text()
    assert report["stationarity"].measured < 1e-12
    for claim in ("second order", "stored distance", "stored energy", "time", "transport"):
        assert report[claim].measured < 1e-14
    assert report["second order"].where == "step 1"  # of findings that are alike, the first
    # the budget: what BDF2 dissipates of F + αD/(2τ') in a step is not zero
    assert report["modified energy"].measured < -1e-6
    assert report["energy law"].measured < -1e-6


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize(("field", "claim"), [
    ("energy", "stored energy"), ("distance_squared", "stored distance"), ("time", "time"),
])  # fmt: skip
def test_numbers_may_be_said_to_a_hundred_billionth(field: str, claim: str, sign: float) -> None:
    for part, verdict in ((0.97, ACCEPTED), (1.03, REJECTED)):
        problem, run = point_run([0.1, 0.2, 0.05])
        said = getattr(run.records[1], field) * (1.0 + sign * part * 1e-11)
        report = jf.check_second_order(problem, spoilt(run, 2, **{field: said}))
        found = report[claim]
        assert found.verdict is verdict, report.text()
        assert verdict is ACCEPTED or found.where == "step 2"


@pytest.mark.parametrize("tau", [1e-8, 1e8])
def test_times_are_compared_in_their_own_unit(tau: float) -> None:
    problem = jf.Problem(jf.QuadraticPotential(1.0 / tau), jf.Gaussian(2.0, 1.0), tau, 3)
    for part, verdict in ((0.97, ACCEPTED), (1.03, REJECTED)):
        run = jf.flow(problem, SecondOrder())
        said = run.records[1].time * (1.0 + part * 1e-11)
        report = jf.check_second_order(problem, spoilt(run, 2, time=said))
        assert report["time"].verdict is verdict


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_lost_record_leaves_two_steps_undecided(k: int) -> None:
    problem, run = point_run([0.1, 0.2, 0.05])
    del run.records[k - 1]
    report = jf.check_second_order(problem, run)
    assert report.verdict is UNDECIDED and report["evidence"].verdict is UNDECIDED
    assert report["completeness"].verdict is ACCEPTED


def test_a_run_need_not_say_how_far_its_steps_went() -> None:
    problem, run = point_run([0.1, 0.2, 0.05])
    report = jf.check_second_order(problem, spoilt(run, 2, distance_squared=float("nan")))
    assert report.verdict is ACCEPTED, report.text()


def test_a_witness_of_a_measure_that_was_not_saved_is_no_evidence(tmp_path: Path) -> None:
    """As a forger may store it: the line has a witness and no measure."""
    problem, run = point_run([0.1, 0.2, 0.05])
    stored = jf.save(run, tmp_path / "run")
    lines = [replace(step, measure=None) if step.index == 2 else step for step in stored]
    forged = Forged(lines, "", stored.problem, stored.initial_energy, stored.status)
    report = jf.check_second_order(problem, forged)
    assert report["evidence"].verdict is UNDECIDED and report.verdict is UNDECIDED


@dataclass
class Forged:
    """What is read of a stored run, with lines of one's own."""

    lines: list[Any]
    head: str
    problem: Any
    initial_energy: float
    status: jf.Status

    def __iter__(self) -> Iterator[Any]:
        return iter(self.lines)


@pytest.mark.parametrize("field", ["tau", "time", "energy", "distance_squared"])
def test_a_record_that_says_other_than_the_list_of_steps(field: str) -> None:
    problem, run = point_run([0.1, 0.2, 0.05])
    run.records[1] = replace(run.records[1], **{field: getattr(run.records[1], field) + 0.5})
    report = jf.check_second_order(problem, run)
    assert report["record"].verdict is REJECTED and report["record"].where == "step 2"


def test_more_and_fewer_steps_than_were_asked_for() -> None:
    problem, run = point_run([0.1, 0.2, 0.05])
    run.records.append(run.records[-1])
    run.taken.append(run.taken[-1])
    assert jf.check_second_order(problem, run).verdict is REJECTED
    problem, run = point_run([0.1, 0.2, 0.05])
    del run.records[2:], run.taken[2:]
    assert jf.check_second_order(problem, run)["completeness"].verdict is REJECTED
    del run.records[:], run.taken[:]
    assert jf.check_second_order(problem, run).verdict is REJECTED


def test_the_functional_is_attacked_at_the_start_and_at_the_last_law() -> None:
    wrong = jf.Potential(lambda x: (x**2).sum(axis=1), gradient=lambda x: x, convexity=1.0)
    mu = jf.Particles([1.0, 2.0])
    run = jf.flow(jf.Problem(jf.QuadraticPotential(1.0), mu, 0.1, 2), SecondOrder())
    report = jf.check_second_order(jf.Problem(wrong, mu, 0.1, 2), run)
    where = {f.where.split(",")[0] for f in report.findings if f.claim == "gradient"}
    assert where == {"initial measure", "last measure"}


def test_a_map_back_on_the_line_is_known_without_a_witness() -> None:
    """It is the ratio of the standard deviations; in the plane it would have to be told."""
    for mean, expected in (([2.0], ACCEPTED), ([2.0, 1.0], UNDECIDED)):
        start = jf.Gaussian(mean, np.diag([1.0, 3.0][: len(mean)]))
        problem = jf.Problem(jf.QuadraticPotential(1.3), start, [0.1, 0.2, 0.05])
        run = jf.flow(problem, SecondOrder())
        for k, record in enumerate(run.records, 1):
            arrays = {name: a for name, a in record.witness.arrays.items() if name != "back"}
            spoilt(run, k, witness=Witness(judge.KIND, arrays))
        report = jf.check_second_order(problem, run)
        assert report.verdict is expected, report.text()


def test_where_f_has_no_value_at_the_start_no_step_begins_there() -> None:
    """A run of another functional, since this one has none at all."""
    problem, run = point_run([0.1, 0.2, 0.05])
    nowhere = jf.Potential(lambda x: np.full(len(x), np.nan), gradient=np.zeros_like)
    asked = jf.Problem(nowhere, problem.initial, [0.1, 0.2, 0.05])
    report = jf.check_second_order(asked, run)
    assert report["evaluation"].verdict is REJECTED and report["evidence"].verdict is UNDECIDED
    assert report["completeness"].verdict is ACCEPTED
