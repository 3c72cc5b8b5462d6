"""check_run: honest runs of many kinds, constant memory, and what it does not let through."""

from __future__ import annotations

import dataclasses
import itertools
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from honest_runs import random_question

import jkoflow as jf
from jkoflow.check import Verdict, check_run, taken
from jkoflow.check import run as judge
from jkoflow.check.evaluate import Rows
from jkoflow.measures.many import Laws
from jkoflow.record import Witness
from jkoflow.status import Status


def honest(seed: int) -> tuple[jf.Problem, jf.Trajectory]:
    """A random problem that is certainly convex enough, and its run."""
    rng = np.random.default_rng(seed)
    kind = ("quantiles", "radial", "gaussian", "particles")[seed % 4]
    d = {"quantiles": 1, "radial": int(rng.integers(2, 30))}.get(kind, int(rng.integers(1, 4)))
    tau = 10.0 ** rng.uniform(-3, 0)
    F = jf.QuadraticPotential(10.0 ** rng.uniform(-1, 1))
    if rng.random() < 0.5:
        F = F + jf.QuadraticInteraction(10.0 ** rng.uniform(-1, 0.5))
    if kind != "particles" and rng.random() < 0.7:
        F = F + 10.0 ** rng.uniform(-1.5, 0.5) * jf.Entropy()
    if kind != "gaussian" and rng.random() < 0.5:
        b, y = rng.normal(size=(3, 1 if kind == "radial" else d)), rng.normal(size=3)
        size = np.linalg.norm(b, axis=1)
        risk = jf.Risk(
            lambda t: np.tanh(b @ t.T), y, slope_bounds=size, curvature_bound=0.77 * size**2
        )
        F, tau = F + 0.5 * risk, min(tau, 0.01)
    n = int(10 ** rng.uniform(1.2, 2.3))
    start = {
        "quantiles": lambda: jf.Quantiles.normal(rng.normal(), 10 ** rng.uniform(-1, 0.7), n),
        "radial": lambda: jf.Radial.normal(10 ** rng.uniform(-0.7, 0.5), d, n),
        "gaussian": lambda: jf.Gaussian(rng.normal(size=d), np.diag(rng.uniform(0.1, 3.0, d))),
        "particles": lambda: jf.Particles(rng.normal(size=(n % 50 + 2, d))),
    }[kind]()
    problem = jf.Problem(F, start, tau=tau, steps=int(rng.integers(1, 12)))
    return problem, jf.flow(problem, throw=False)


@pytest.mark.parametrize("seed", range(40))
def test_honest_runs_are_accepted(seed: int) -> None:
    report = check_run(*honest(seed))
    assert report.verdict is Verdict.ACCEPTED, report.text()


@pytest.mark.parametrize("block", [
    0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, 5)), *(
        pytest.param(block, marks=[pytest.mark.slow, pytest.mark.exhaustive])
        for block in range(5, 200)),
])  # fmt: skip
def test_many_honest_runs_are_never_rejected(block: int) -> None:
    """10 000 of them, over functionals, measures, units, τ and n; every second 50 of them with
    kinks, roots, narrow blobs and pairs. Half are UNDECIDED: F claims nothing of its convexity,
    cells are coarse, or steps too long to be proved minimal."""
    for seed in range(50 * block, 50 * (block + 1)):
        problem = random_question(seed, rough=block % 2 == 1)
        report = check_run(problem, jf.flow(problem, throw=False))
        assert report.verdict is not Verdict.REJECTED, (seed, report.text())


def test_a_search_that_loses_its_way_is_a_status_and_no_error() -> None:
    """A Gaussian step of which the search of BuresProximal asks at NaN."""
    problem = random_question(4536)
    report = check_run(problem, jf.flow(problem, throw=False))
    assert report.verdict is not Verdict.REJECTED


@pytest.mark.parametrize("seed", [27, 3807])
def test_points_that_lose_each_other(seed: int) -> None:
    """Blobs that hardly overlap: mixtures put mass where p was 1e-9, and F changes like t log t."""
    problem = random_question(seed)
    assert check_run(problem, jf.flow(problem)).verdict is not Verdict.REJECTED


@pytest.mark.parametrize("seed", [2688, 3708, 6898])
def test_rough_and_narrow_starts_on_grids(seed: int) -> None:
    """Piles at walls of less than a cell; noise in every cell; two cells of the line: each of them
    was a step that was REJECTED, by the judge's fault or the stepper's."""
    problem = random_question(seed)
    run = jf.flow(problem, throw=False)
    assert run.status is Status.COMPLETE
    assert check_run(problem, run).verdict is not Verdict.REJECTED


def test_a_grid_step_whose_mass_has_not_arrived_does_not_say_that_it_has() -> None:
    """After 1000 iterations from noise the dual is right to 1e-7, and mass .034 W2²/2τ away."""
    run = jf.flow(random_question(8668), throw=False)
    assert run.status is Status.MAX_ITERATIONS and not run.records


@pytest.mark.parametrize("seed", [957, 3993, 5894, 8858])
def test_rough_questions_whose_steps_were_rejected(seed: int) -> None:
    """A discrepancy near its zero, whose terms cancel but for rounding that the order of points
    decides; a step that goes nowhere, with potentials of 10⁴; one that ended beyond a hill; mass
    of one cell that goes 35 cells far, and then meets kinks of the energy distance."""
    problem = random_question(seed, rough=True)
    assert check_run(problem, jf.flow(problem)).verdict is not Verdict.REJECTED


@pytest.mark.parametrize("seed", [4017, 6103, 6357, 7327, 8847, 9377])
def test_particles_whose_steps_were_rejected_or_failed(seed: int) -> None:
    """One point, where x − ∫x dρ is rounding; masses of 1e-22, whose rows couplings lost; blobs
    that hardly overlap, and change F like t log t at every t there is."""
    problem = random_question(seed)
    assert check_run(problem, jf.flow(problem)).verdict is not Verdict.REJECTED


def on_a_mesh(seed: int) -> tuple[jf.Problem, jf.Trajectory]:
    """A random problem in the plane or in space, and its run."""
    rng = np.random.default_rng(seed)
    m, strength = rng.uniform(0.6, 3.0), 10.0 ** rng.uniform(-1, 0.5)
    energy = jf.Entropy() if rng.random() < 0.3 else jf.PowerEnergy(m)
    F = 10.0 ** rng.uniform(-2, 0) * energy + jf.QuadraticPotential(strength)
    end = rng.uniform(1.0, 1.5)  # the density there: 0, or a jump
    shape = jf.Mesh.disc if rng.random() < 0.8 else jf.Mesh.ball
    layers = int(rng.integers(2, 9 if shape is jf.Mesh.disc else 4))
    start = shape(1.0, layers, lambda x: end - (x * x).sum(axis=1), rng.choice([None, 0.5]))
    turned = start.with_nodes(start.nodes * rng.uniform(0.5, 2.0, start.dim) + 0.3)
    problem = jf.Problem(F, turned, tau=10.0 ** rng.uniform(-4, -0.5), steps=3)
    return problem, jf.flow(problem, throw=False)


@pytest.mark.parametrize("block", [
    0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, 10)),
])  # fmt: skip
def test_honest_runs_on_meshes_are_accepted_or_not_proved_minimal(block: int) -> None:
    """Steps in space are not proved minimal, nor those that cross cells; all others here are."""
    accepted = 0
    for seed in range(30 * block, 30 * (block + 1)):
        problem, run = on_a_mesh(seed)
        report = check_run(problem, run)
        open_ = {f.claim for f in report.findings if f.verdict is not Verdict.ACCEPTED}
        assert report.verdict is not Verdict.REJECTED, (seed, report.text())
        assert open_ <= {"minimality", "completeness", "transport"}, (seed, report.text())
        accepted += not open_
    assert accepted >= 15  # a fifth are in space


def test_an_edge_of_little_mass_is_not_forgotten() -> None:
    """The first radius holds 6e-8 of the mass and lags behind the others in Newton's method."""
    problem, run = honest(5949)
    assert run.records and check_run(problem, run)["stationarity"].verdict is Verdict.ACCEPTED


def test_a_functional_that_cannot_be_evaluated_here_leaves_the_steps_counted() -> None:
    """What is missing is no fault of the run: it is UNDECIDED, and no step is said to lack."""

    class Silent(jf.QuadraticPotential):
        def value_and_gradient_at_points(self, x: Any, w: Any) -> Any:
            raise jf.status.MissingStructure("no gradient today")

        def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
            raise jf.status.MissingStructure("no gradient today")

    start = jf.Particles([1.0, 2.0])
    run = jf.flow(jf.Problem(jf.QuadraticPotential(1.0), start, tau=0.1, steps=3))
    report = check_run(jf.Problem(Silent(1.0), start, tau=0.1, steps=3), run)
    assert report["evaluation"].verdict is Verdict.UNDECIDED
    assert report["completeness"].verdict is Verdict.ACCEPTED


class Endless:
    """A run that makes its steps while they are read, as a stored one does."""

    def __init__(self, problem: jf.Problem, count: int) -> None:
        self.problem, self.count, self.head, self.status = problem, count, "", Status.COMPLETE
        self.initial_energy = float(problem.functional.value(problem.initial))

    def __iter__(self) -> Iterator[Any]:
        F, mu, tau = self.problem.functional, self.problem.initial, float(self.problem.taus[0])
        times = self.problem.times
        for k in range(1, self.count + 1):
            old = mu
            mu = jf.Particles(old.points / (1.0 + tau))
            squared = float(old.weights @ ((mu.points - old.points) ** 2)[:, 0])
            yield SimpleNamespace(
                index=k, time=float(times[k]), tau=tau, energy=float(F.value(mu)), measure=mu,
                distance_squared=squared, witness=Witness("monotone"), status=Status.EXACT,
            )  # fmt: skip


def test_memory_does_not_grow_with_the_number_of_steps() -> None:
    start = jf.Particles(np.sort(np.random.default_rng(0).normal(size=500)))
    peaks = []
    for count in (200, 800):
        problem = jf.Problem(jf.QuadraticPotential(1.0), start, tau=1e-3, steps=count)
        tracemalloc.start()
        report = check_run(problem, Endless(problem, count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.verdict is Verdict.ACCEPTED, report.text()
    # 600 more measures would be 600 × 8 kB; the times alone are 4.8 kB, read three times over
    assert peaks[1] - peaks[0] < 100_000


def test_nothing_asked_and_nothing_done_is_undecided() -> None:
    problem = jf.Problem(jf.Entropy(), jf.Gaussian(0.0, 1.0), tau=0.1, steps=0)
    report = check_run(problem, jf.flow(problem))
    assert (report.verdict is Verdict.UNDECIDED and "no steps") or report["completeness"]
    assert report["completeness"].verdict is Verdict.UNDECIDED


def test_a_functional_whose_claim_is_false_spoils_its_run() -> None:
    """cos x claimed convex: steps at small τ are right, but nothing certifies them."""
    wave = jf.Potential(
        lambda x: np.cos(2 * x[:, 0]), gradient=lambda x: -2 * np.sin(2 * x), convexity=0.0
    )
    problem = jf.Problem(wave, jf.Particles(np.linspace(-1, 1, 9)), tau=0.01, steps=3)
    report = check_run(problem, jf.flow(problem))
    assert report["convexity"].verdict is Verdict.REJECTED
    assert report.verdict is Verdict.REJECTED


def test_a_solver_that_lies_about_its_status_gains_nothing() -> None:
    problem, run = honest(0)
    for k, status in itertools.product(range(len(run)), (Status.EXACT, Status.CONVERGED)):
        moved = run.records[k].measure.displaced(np.full(run.records[k].measure.points.shape, 0.05))
        spoilt = jf.flow(problem)
        energy = float(problem.functional.value(moved))
        object.__setattr__(spoilt.records[k], "measure", moved)
        object.__setattr__(spoilt.records[k], "energy", energy)
        object.__setattr__(spoilt.records[k], "status", status)
        spoilt.taken[k] = spoilt.taken[k]._replace(energy=energy)
        assert check_run(problem, spoilt).verdict is Verdict.REJECTED


def test_a_run_is_found_by_path_and_by_store(tmp_path: Path) -> None:
    problem = jf.Problem(jf.Entropy(), jf.Gaussian(0.0, 1.0), tau=0.1, steps=2)
    jf.flow(problem, store=tmp_path / "a")
    for run in (tmp_path / "a", str(tmp_path / "a"), jf.Directory(tmp_path / "a")):
        assert check_run(problem, run).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(("asked", "status", "taken", "verdict"), [
    (3, Status.COMPLETE, 3, Verdict.ACCEPTED), (3, Status.COMPLETE, 2, Verdict.REJECTED),
    (3, Status.COMPLETE, 4, Verdict.REJECTED), (3, Status.INTERRUPTED, 2, Verdict.UNDECIDED),
    (3, Status.INTERRUPTED, 3, Verdict.ACCEPTED), (3, Status.INTERRUPTED, 4, Verdict.REJECTED),
    (3, Status.INTERRUPTED, 0, Verdict.UNDECIDED), (0, Status.COMPLETE, 0, Verdict.UNDECIDED),
    (1, Status.COMPLETE, 1, Verdict.ACCEPTED), (1, Status.COMPLETE, 0, Verdict.REJECTED),
])  # fmt: skip
def test_all_steps_that_were_asked_for(
    asked: int, status: Status, taken: int, verdict: Verdict
) -> None:
    problem = jf.Problem(jf.Entropy(), jf.Gaussian(0.0, 1.0), tau=0.1, steps=asked)
    assert judge.completeness(problem, status, taken).verdict is verdict


def test_rounding_is_measured_when_steps_have_grown_fourfold_or_by_1024(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mu = jf.Gaussian(0.0, 1.0)
    walk = judge.Walk(jf.Problem(jf.Entropy(), mu, tau=0.1, steps=4000), np.zeros(1))
    measured, laws = [], Laws([mu])
    real = judge.evaluated

    def watched(F: Any, at: Any, noise: Any = None) -> Any:
        if noise is None:
            measured.append(walk.count)
        return real(F, at, noise)

    monkeypatch.setattr(judge, "evaluated", watched)
    for k in range(1, 3200):
        walk.count = k
        walk._evaluated(laws, fresh=k == 77)
    assert measured == [1, 4, 16, 64, 77, 256, 1024, 2048, 3072]
    assert walk.other is not None and walk.other.measure is mu


def numbered(*measures: Any) -> list[taken.Step]:
    return [taken.Step(k, None if mu is None else SimpleNamespace(measure=mu), 0.0, 0.0, "0.0")
            for k, mu in enumerate(measures, 1)]  # fmt: skip


def cut(*measures: Any) -> list[list[int]]:
    return [[s.number for s in block] for block in taken.blocks(numbered(*measures))]


def test_steps_are_taken_together_as_long_as_they_are_alike() -> None:
    a, b = jf.Quantiles([0.0, 1.0, 2.0]), jf.Quantiles([0.0, 1.0, 2.0], [0.1, 0.9])
    moved = a.with_edges(2.0 * a.edges)
    assert cut() == []
    assert cut(a, moved, a) == [[1, 2, 3]]
    assert cut(a, b, moved, moved) == [[1], [2], [3, 4]]
    assert cut(a, None, None, a, a) == [[1], [2], [3], [4, 5]]
    assert cut(None, a, a, None) == [[1], [2, 3], [4]]


@pytest.mark.parametrize(("mu", "many"), [
    # numbers of the positions: edges; n·d coordinates; d² entries of a covariance
    (jf.Quantiles(np.linspace(0, 1, 2**13)), 16), (jf.Particles(np.ones((2**12, 4))), 8),
    (jf.Gaussian(np.zeros(128), np.eye(128)), 8), (jf.Quantiles(np.linspace(0, 1, 2**18)), 0),
])  # fmt: skip
def test_blocks_hold_some_131072_numbers(mu: Any, many: int) -> None:
    """One measure more than those that fit, since a block ends when it is too large."""
    blocks = cut(*[mu] * (2 * many + 3))
    assert [len(block) for block in blocks] == [many + 1, many + 1, 1]
    assert [k for block in blocks for k in block] == list(range(1, 2 * many + 4))


def test_a_record_that_cannot_be_read_leaves_the_steps_before_it() -> None:
    mu = jf.Quantiles([0.0, 1.0])

    def broken() -> Iterator[taken.Step]:
        yield from numbered(mu, mu)
        raise judge.Altered("no more")

    found = taken.blocks(broken())
    assert len(next(found)) == 2
    with pytest.raises(judge.Altered):
        next(found)


def test_the_sum_of_what_steps_paid_is_what_the_energy_lost() -> None:
    """Σ W2²/(2τ) ≤ F_0 − F_K, up to the rounding of each step and of the last energy."""
    mu = jf.Gaussian(0.0, 1.0)
    problem = jf.Problem(jf.Entropy(), mu, tau=0.1, steps=3)

    def at(energy: float, margin: float) -> judge.Reference:
        rows = Rows(*(np.array([v]) for v in (energy, margin, 0.0, 0.0, 0.0)))
        return judge.Reference(mu, rows)

    for part, verdict in ((1 - 1e-9, Verdict.ACCEPTED), (1 + 1e-9, Verdict.REJECTED)):
        walk = judge.Walk(problem, problem.times, count=3, first=at(2.0, 0.5), last=at(0.7, 0.02))
        walk.dissipation.paid, walk.dissipation.room = 1.3 + part * 0.05, 0.03
        (found,) = walk.totals()
        assert (found.claim, found.verdict) == ("total dissipation", verdict)
        walk.dissipation.count = 3
        assert [f.claim for f in walk.totals()][1:] == ["energy dissipation"] * 2
        walk.dissipation.count = 2  # λ-convexity was not looked at everywhere
        assert len(list(walk.totals())) == 1
    for missing in ({"first": None}, {"last": None}, {"count": 0}):
        empty = {"count": 3, "first": at(1.0, 0.0), "last": at(0.0, 0.0), **missing}
        assert not list(judge.Walk(problem, problem.times, **empty).totals())


def test_an_energy_that_rises_by_its_last_digits_only() -> None:
    """Said energies may rise by 10⁻¹¹ of themselves, and by the rounding of the energy before."""
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0]), tau=0.1, steps=2)
    for part, verdict in ((0.97, Verdict.ACCEPTED), (1.03, Verdict.REJECTED)):
        run = jf.flow(problem)
        before = run.taken[0].energy
        run.taken[1] = run.taken[1]._replace(energy=before * (1.0 + part * 1e-11))
        assert check_run(problem, run)["monotone energy"].verdict is verdict
    run.taken[0] = run.taken[0]._replace(energy=1.01 * run.initial_energy)
    found = check_run(problem, run)["monotone energy"]
    assert found.verdict is Verdict.REJECTED and found.where == "step 1"


def test_where_no_measure_was_saved_energies_may_rise_by_their_last_digits_too() -> None:
    """10⁻¹¹ of themselves, and no more: nothing is known of how F rounds there."""
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0]), tau=0.1, steps=4)
    for part, verdict in ((0.97, Verdict.ACCEPTED), (1.03, Verdict.REJECTED)):
        run = jf.flow(problem)
        run.records.clear()
        before = run.taken[1].energy
        run.taken[2] = run.taken[2]._replace(energy=before * (1.0 + part * 1e-11))
        found = check_run(problem, run)["monotone energy"]
        assert found.verdict is verdict, found
    assert found.where == "step 3"


@pytest.mark.parametrize("field", ["index", "tau", "time", "energy", "distance_squared"])
def test_a_record_that_says_other_than_the_list_of_steps(field: str) -> None:
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0]), tau=0.1, steps=3)
    run = jf.flow(problem)
    said = {field: getattr(run.records[1], field) + (0.5 if field != "index" else 0)}
    if field == "index":
        run.records[1], run.records[2] = run.records[2], run.records[1]
    else:
        run.records[1] = dataclasses.replace(run.records[1], **said)
    found = check_run(problem, run)["record"]
    assert found.verdict is Verdict.REJECTED
    assert field == "index" or (found.where == "step 2" and repr(said[field]) in found.reason)


def test_what_is_no_problem_or_no_run_is_an_error() -> None:
    problem = jf.Problem(jf.Entropy(), jf.Gaussian(0.0, 1.0), tau=0.1, steps=1)
    run = jf.flow(problem)
    for asked, given in ((run, run), (problem, 3), (problem, None), (None, "folder")):
        with pytest.raises(jf.status.InvalidProblem):
            check_run(asked, given)


def test_only_what_a_closer_look_may_change_is_looked_at_again() -> None:
    """Accepted, or undecided because F claims nothing: there is no number to be made anew."""
    F = judge.Finding
    for found, settled in (
        (F("energy", Verdict.ACCEPTED, 1.0, 2.0), True),
        (F("minimality", Verdict.ACCEPTED, 1.0, 2.0), True),
        (F("minimality", Verdict.UNDECIDED), True),
        (F("minimality", Verdict.UNDECIDED, 3.0, 2.0), False),
        (F("minimality", Verdict.REJECTED), False),
        (F("transport", Verdict.UNDECIDED), False),
        (F("energy", Verdict.REJECTED, 3.0, 2.0), False),
    ):
        assert judge._settled(found) is settled, found


@pytest.mark.parametrize("unit", [1e-7, 1.0, 1e7])
def test_a_run_is_judged_alike_in_all_units_of_length(unit: float) -> None:
    """Σ 2x² + cos(x/unit)·unit², whose derivatives change within a unit."""
    V = jf.Potential(
        lambda x: (2.0 * x**2 + unit**2 * np.cos(x / unit)).sum(axis=1),
        gradient=lambda x: 4.0 * x - unit * np.sin(x / unit), convexity=3.0,
    )  # fmt: skip
    start = jf.Quantiles(unit * np.linspace(-1.0, 2.0, 12))
    problem = jf.Problem(V, start, tau=0.2, steps=4)
    report = check_run(problem, jf.flow(problem))
    assert report.verdict is Verdict.ACCEPTED, report.text()


def test_a_run_that_ends_in_a_point_is_attacked_at_the_length_it_came_from() -> None:
    """A last measure without extent shows no length by itself; the first one's is taken."""
    V = jf.Potential(lambda x: (0.5 * x**2).sum(axis=1), gradient=lambda x: x, convexity=1.0)
    start = jf.Particles(np.array([[1.0, 2.0], [0.5, -1.0]]))
    problem = jf.Problem(V, start, tau=1.0, steps=2)
    end = judge.Reference(jf.Particles(np.zeros((2, 2))), None)  # type: ignore[arg-type]
    walk = judge.Walk(problem, problem.times, count=2, last=end)
    walk.first = judge.Reference(start, end.rows)
    found = [f for f in walk.attacks() if f.where.startswith("last measure")]
    assert found and all(f.verdict is Verdict.ACCEPTED for f in found), found
    lengths = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "attack", lambda F, here, *_: lengths.append(here.unit) or [])
        list(walk.attacks())
    assert lengths[0] == lengths[1] == judge.breadth(judge.evaluate(V, start)) > 0.5


def test_an_initial_energy_that_is_not_that_of_the_start_is_found_there() -> None:
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0]), tau=0.1, steps=2)
    run = jf.flow(problem)
    for part, verdict in ((0.98, Verdict.ACCEPTED), (1.02, Verdict.REJECTED)):
        run.initial_energy = 0.5 * (1.0 + part * 1e-11)
        found = [f for f in check_run(problem, run).findings if f.where.startswith("step 0")
                 or (f.claim == "stored energy" and f.verdict is Verdict.REJECTED)]  # fmt: skip
        assert all(f.verdict is verdict for f in found)
    assert [(f.claim, f.where) for f in found] == [("stored energy", "step 0")]


@pytest.mark.parametrize("indices", [[0, 1, 2], [1, 1, 2], [1, 3, 2], [1, 2, 4], [2, 2, 3], [3, 4]])
def test_records_are_those_of_different_steps_in_order(indices: list[int]) -> None:
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0]), tau=0.1, steps=3)
    run = jf.flow(problem)
    run.records = [dataclasses.replace(run.records[min(max(k, 1), 3) - 1], index=k)
                   for k in indices]  # fmt: skip
    assert check_run(problem, run)["record"].verdict is Verdict.REJECTED
    with pytest.raises(judge.Impossible, match=re.escape(f"{indices}, out of order")):
        list(taken.steps_taken(run, 3))


def test_of_the_steps_beyond_those_asked_for_one_is_read() -> None:
    """How many a forger added costs nothing; and one is enough to see that there are more."""
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0]), tau=0.1, steps=6)
    for run in (jf.flow(problem), Endless(problem, 10**6)):
        assert [step.number for step in taken.steps_taken(run, 3)] == [1, 2, 3, 4]


@pytest.mark.parametrize("tau", [1e-8, 1e8])
def test_times_are_compared_in_their_own_unit(tau: float) -> None:
    problem = jf.Problem(jf.QuadraticPotential(1.0 / tau), jf.Particles([1.0]), tau=tau, steps=3)
    for part, verdict in ((0.97, Verdict.ACCEPTED), (1.03, Verdict.REJECTED)):
        run = jf.flow(problem)
        time = run.taken[1].time * (1.0 + part * 1e-11)
        run.taken[1] = run.taken[1]._replace(time=time)
        run.records[1] = dataclasses.replace(run.records[1], time=time)
        assert check_run(problem, run)["time"].verdict is verdict


def test_f_is_attacked_at_the_last_measure_though_it_has_no_value_at_the_first() -> None:
    V = jf.Potential(lambda x: np.where(x[:, 0] > 1.0, np.nan, x[:, 0] ** 2))
    problem = jf.Problem(V, jf.Particles([2.0]), tau=0.1, steps=1)
    rows = Rows(*[np.zeros(1)] * 5)
    walk = judge.Walk(problem, problem.times, count=1,
                      first=judge.Reference(jf.Particles([2.0]), rows),
                      last=judge.Reference(jf.Particles([0.5]), rows))  # fmt: skip
    found = list(walk.attacks())
    assert (found[0].where, found[0].claim) == ("initial measure", "evaluation")
    assert found[0].verdict is Verdict.REJECTED
    assert len(found) > 1 and all(f.where.startswith("last measure") for f in found[1:])
    walk.first = None  # where F had no value there, the walk began without it
    assert [f.where for f in walk.attacks()] == [f.where for f in found[1:]]


@pytest.mark.parametrize("steps", [2, 3, 50])
def test_steps_that_are_judged_together_are_nudged_once(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nudge costs two evaluations: one at the start, and one for all steps of a block."""
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0, 2.0]), 0.1, steps=steps)
    run, nudges, real = jf.flow(problem), [], judge.evaluated

    def watched(F: Any, laws: Any, noise: Any = None) -> Any:
        nudges.append(noise is None)
        return real(F, laws, noise)

    monkeypatch.setattr(judge, "evaluated", watched)
    assert check_run(problem, run).verdict is Verdict.ACCEPTED
    assert nudges == [True, True]


def test_of_findings_that_are_alike_the_first_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotone map of cells leaves no gap, in any step."""
    monkeypatch.setattr(taken, "_BLOCK", 0)
    start = jf.Quantiles([0.0, 1.0, 2.0])
    problem = jf.Problem(jf.QuadraticPotential(1.0), start, 0.1, steps=4)
    found = check_run(problem, jf.flow(problem))["transport"]
    assert (found.measured, found.where) == (0.0, "step 1")


@pytest.mark.parametrize("block", [0, 2, 2**16])  # numbers: blocks of 1, 2 and all steps
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_a_rise_of_the_energy_is_found_between_any_two_steps(
    k: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between the last step of a block and the first of the next."""
    monkeypatch.setattr(taken, "_BLOCK", block)
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0, 2.0]), 0.1, steps=5)
    run = jf.flow(problem)
    before = run.initial_energy if k == 1 else run.taken[k - 2].energy
    run.taken[k - 1] = run.taken[k - 1]._replace(energy=before * (1.0 + 1e-9))
    found = check_run(problem, run)["monotone energy"]
    assert found.verdict is Verdict.REJECTED and found.where == f"step {k}"
    assert found.measured == pytest.approx(1e-9 * before, rel=1e-5, abs=0)


def test_what_is_not_accepted_is_judged_again_with_its_own_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One wrong step of three: nudged at the start, for the block, and at each step again."""
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0, 2.0]), 0.1, steps=3)
    run, nudges, real = jf.flow(problem), [], judge.evaluated
    moved = run.records[1].measure.displaced(np.full((2, 1), 1e-3))
    run.records[1] = dataclasses.replace(run.records[1], measure=moved)

    def watched(F: Any, laws: Any, noise: Any = None) -> Any:
        nudges.append(noise is None)
        return real(F, laws, noise)

    monkeypatch.setattr(judge, "evaluated", watched)
    report = check_run(problem, run)
    assert report["stationarity"].verdict is Verdict.REJECTED
    assert report["stationarity"].where.startswith("step")
    assert nudges == [True] * 5


@pytest.mark.parametrize("steps", [2, 3])
def test_steps_that_go_on_from_another_number_of_points_are_judged_one_by_one(steps: int) -> None:
    """The same law in twice as many points: of the run only the start is not what was asked for."""
    F, x = jf.QuadraticPotential(1.0), [1.0, 2.0]
    run = jf.flow(jf.Problem(F, jf.Particles(np.repeat(x, 2)), 0.1, steps=steps))
    run.records[0] = dataclasses.replace(run.records[0], witness=None)  # a plan with other masses
    report = check_run(jf.Problem(F, jf.Particles(x), 0.1, steps=steps), run)
    wrong = {f.claim: f.verdict for f in report.findings if f.verdict is not Verdict.ACCEPTED}
    assert wrong == {"identity": Verdict.REJECTED}, report.text()
    honest = jf.flow(jf.Problem(F, jf.Particles(x), 0.1, steps=steps))
    honest.records[1] = dataclasses.replace(honest.records[1], measure=run.records[1].measure)
    found = check_run(honest.problem, honest)["transport"]
    assert found.verdict is Verdict.REJECTED and found.where == "step 2"


def test_what_comes_after_a_gap_is_judged() -> None:
    """The second measure is lost: steps 2 and 3 are undecided, but a wrong step 5 is found."""
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([1.0, 2.0]), 0.1, steps=5)
    run = jf.flow(problem)
    wrong = run.records[4].measure.displaced(np.full((2, 1), 1e-3))
    run.records[4] = dataclasses.replace(run.records[4], measure=wrong)
    del run.records[1]
    report = check_run(problem, run)
    assert report["evidence"].verdict is Verdict.UNDECIDED
    assert report["stationarity"].verdict is Verdict.REJECTED
    assert report["stationarity"].where == "step 5"
    lost = {f.where for f in report.findings if f.claim == "evidence"}
    assert lost == {"step 2"} or lost == {"step 3"}  # of the two, one is told


def test_where_f_has_no_value_between_the_cells_nothing_is_held_against_a_run() -> None:
    """An obstacle that lies between two centres: displaced points may meet it, masses never."""
    wall = jf.Potential(lambda x: np.where(np.abs(x[:, 0]) < 0.1, np.inf, 0.0))
    start = jf.Grid.from_function(lambda x: np.exp(-x[:, 0] ** 2), -2.0, 2.0, 16)
    problem = jf.Problem(0.1 * jf.Entropy() + wall, start, tau=0.2, steps=1)
    found = check_run(problem, jf.flow(problem)).findings
    assert {f.verdict for f in found} == {Verdict.ACCEPTED, Verdict.UNDECIDED}
    assert any("NaN or infinity" in f.reason for f in found)
    points = jf.Particles(start.points, start.weights)
    assert jf.check_functional(wall, points, rng=0)["gradient"].verdict is Verdict.REJECTED


def test_on_a_grid_the_energy_may_rise_by_what_cells_hide_and_that_is_undecided() -> None:
    """Each step is allowed as much by its finding "energy", which rejects what is more."""
    start = jf.Grid.from_function(lambda x: np.exp(-x[:, 0] ** 2), -2.0, 2.0, 16)
    problem = jf.Problem(jf.Entropy() + jf.QuadraticPotential(1.0), start, tau=0.2, steps=2)
    run = jf.flow(problem)
    for rise in (1e-9, 1.0):
        energy = run.initial_energy + rise
        run.taken[0] = run.taken[0]._replace(energy=energy)
        run.records[0] = dataclasses.replace(run.records[0], energy=energy)
        report = check_run(problem, run)
        assert report["monotone energy"].verdict is Verdict.UNDECIDED
        assert report["stored energy"].verdict is Verdict.REJECTED  # it is that of no measure


def test_a_stored_distance_that_the_witness_cannot_tell_apart_is_undecided() -> None:
    """A coupling that is certified to a gap knows W2² to that gap, and the run may know better."""
    start = jf.Particles(np.random.default_rng(3).normal(size=(30, 2)))
    problem = jf.Problem(jf.QuadraticPotential(1.0), start, tau=0.01, steps=1)
    run = jf.flow(problem)
    squared, gap = run.records[0].distance_squared, check_run(problem, run)["transport"].measured
    assert 0.0 < gap < 1e-9 * squared
    for off, verdict in ((1e-12, Verdict.ACCEPTED), (1e-8, Verdict.REJECTED)):
        said = dataclasses.replace(run.records[0], distance_squared=squared * (1.0 - off))
        run.records[0] = said
        assert check_run(problem, run)["stored distance"].verdict is verdict
    two = np.array([1.0, 1.0])
    for gap, verdict in ((0.0, Verdict.REJECTED), (1e-6, Verdict.UNDECIDED)):
        off = np.array([0.0, 9e-7])
        assert judge.stored("stored", two - off, two, 0.0 * two, 1, gap).verdict is verdict


def test_a_functional_without_values_beyond_a_barrier_is_no_fault_of_the_run() -> None:
    """Σ_k ½x_k² − log x_k, of positive numbers: the attack on F asks elsewhere, and finds none."""
    F = jf.Potential(
        lambda x: (0.5 * x**2 - np.log(x)).sum(axis=1), lambda x: x - 1.0 / x, convexity=1.0
    )
    x = np.random.default_rng(0).uniform(0.2, 3.0, size=(6, 2))
    problem = jf.Problem(F, jf.Particles(x), tau=0.1, steps=3)
    report = check_run(problem, jf.flow(problem))
    doubtful = [f for f in report.findings if f.verdict is not Verdict.ACCEPTED]
    assert report.verdict is Verdict.UNDECIDED, report.text()
    assert {f.where for f in doubtful} == {"initial measure", "last measure"}
    assert "NaN or infinity" in report["gradient"].reason
