"""Witnesses added afterwards: what was UNDECIDED is ACCEPTED, what was wrong stays wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import cli
from jkoflow.check import Verdict, check_run, check_step
from jkoflow.flows.complete import complete, witness
from jkoflow.record import Witness
from jkoflow.status import InvalidProblem, StoreError, TransportFailed

RNG = np.random.default_rng(11)


def wells(x, w):
    """∫ |x|²/2 + Σ cos x_k/3 dρ, which is 2/3-convex."""
    return float(w @ (0.5 * x * x + np.cos(x) / 3).sum(axis=1))


WELLS = jf.functional(gradient=lambda x, w: x - np.sin(x) / 3, convexity=2 / 3)(wells)
PROBLEMS = {
    "particles": jf.Problem(WELLS, jf.Particles(RNG.normal(size=(17, 3))), 0.3, steps=3),
    "weighted": jf.Problem(
        WELLS, jf.Particles(RNG.normal(size=(9, 2)), np.arange(9) / 36), 0.3, steps=3
    ),
    "gaussian": jf.Problem(
        jf.QuadraticPotential(0.7) + jf.Entropy() / 2,
        jf.Gaussian([1.0, -2.0], [[2.0, 0.5], [0.5, 0.4]]), 0.2, steps=3,
    ),
    "mesh": jf.Problem(jf.QuadraticPotential(0.7, [0.3, -0.1]), jf.Mesh.disc(1.2, 3), 0.3, steps=3),
}  # fmt: skip


def stripped(problem, keep=()):
    """The honest run, whose witnesses keep some of their arrays or are gone."""
    run = jf.flow(problem)
    for k, record in enumerate(run.records):
        old = record.witness
        arrays = {name: old.arrays[name] for name in keep}
        run.records[k] = dataclasses.replace(
            record, witness=Witness(old.kind, arrays) if keep else None
        )
    run.last = run.records[-1]
    return run


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_run_without_witnesses_becomes_accepted(kind, tmp_path):
    problem = PROBLEMS[kind]
    theirs = stripped(problem)
    before = check_run(problem, theirs)
    assert before.verdict is Verdict.UNDECIDED
    assert before["transport"].verdict is Verdict.UNDECIDED
    jf.save(theirs, tmp_path / "theirs")
    for run in (theirs, tmp_path / "theirs", jf.Directory(tmp_path / "theirs")):
        whole = complete(problem, run)
        assert check_run(problem, whole).verdict is Verdict.ACCEPTED
        assert [r.energy for r in whole] == [r.energy for r in theirs]
    complete(problem, tmp_path / "theirs", tmp_path / "whole")
    report = check_run(problem, tmp_path / "whole")
    assert report.verdict is Verdict.ACCEPTED, report.text()
    assert check_run(problem, tmp_path / "theirs").verdict is Verdict.UNDECIDED  # as it was


def test_a_bare_pairing_is_proved():
    problem = PROBLEMS["particles"]
    theirs = stripped(problem, keep=["order"])
    assert check_run(problem, theirs).verdict is not Verdict.ACCEPTED
    whole = complete(problem, theirs)
    assert {r.witness.kind for r in whole} == {"pairing"}
    assert check_run(problem, whole).verdict is Verdict.ACCEPTED


def test_a_bare_pairing_that_is_not_optimal_stays_and_is_rejected():
    problem = PROBLEMS["particles"]
    theirs = stripped(problem, keep=["order"])
    order = np.roll(theirs.records[1].witness.arrays["order"], 1)
    theirs.records[1] = dataclasses.replace(
        theirs.records[1], witness=Witness("pairing", {"order": order})
    )
    whole = complete(problem, theirs)
    assert np.array_equal(whole.records[1].witness.arrays["order"], order)
    assert check_run(problem, whole)["transport"].verdict is Verdict.REJECTED


def test_a_mesh_gets_potentials_where_node_to_node_is_optimal_and_is_told_where_not():
    """Convex maps are optimal, however far they go; a half turn is not."""
    mu = jf.Mesh.disc(1.2, 3)
    bare = Witness("pairing", {"order": np.arange(len(mu.nodes))})
    far = mu.with_nodes(mu.nodes * [40.0, 0.1] + [7.0, 0.0])
    for given in (None, bare):
        assert witness(far, mu, given).arrays.keys() == {"order", "f", "g"}
        with pytest.raises(TransportFailed, match="not the cheapest"):
            witness(mu.with_nodes(-mu.nodes), mu, given)
    other = jf.Mesh(mu.nodes, np.roll(mu.simplices, 1, axis=0), mu.mass)
    assert witness(other, mu, None) is None and witness(other, mu, bare) is bare


@pytest.mark.parametrize("order", [[0.0, 1.0, 2.0], [0, 1], [0, 1, 7], [0, 0, 1], [[0], [1], [2]]])
def test_a_senseless_pairing_is_rejected(order):
    x = jf.Particles(RNG.normal(size=(3, 2)))
    after = x.displaced(-0.1 * x.points)
    found = witness(after, x, Witness("pairing", {"order": np.array(order)}))
    report = check_step(jf.QuadraticPotential(1.0), x, after, 1 / 9, witness=found)
    assert report["transport"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("what", ["position", "energy", "identity", "time"])
def test_a_wrong_run_stays_rejected(kind, what):
    problem = PROBLEMS[kind]
    theirs = stripped(problem)
    record = theirs.records[1]
    if what == "position":
        measure = record.measure.displaced(np.full(record.measure.points.shape, 1e-3))
        theirs.records[1] = dataclasses.replace(
            record, measure=measure, energy=problem.functional.value(measure)
        )
        theirs.taken[1] = theirs.taken[1]._replace(energy=theirs.records[1].energy)
    elif what == "energy":
        theirs.records[1] = dataclasses.replace(record, energy=record.energy * (1 + 1e-8))
    elif what == "time":
        theirs.records[1] = dataclasses.replace(record, time=record.time * 1.01)
    asked = problem
    if what == "identity":
        asked = jf.Problem(problem.functional * 1.01, problem.initial, problem.taus)
    report = check_run(asked, complete(asked, theirs))
    assert report.verdict is Verdict.REJECTED


def test_what_is_there_stays():
    problem = PROBLEMS["gaussian"]
    honest = jf.flow(problem)
    whole = complete(problem, honest)
    assert all(a.witness is b.witness for a, b in zip(honest, whole, strict=True))
    line = jf.Problem(jf.QuadraticPotential(1.0), jf.Quantiles.normal(0.0, 1.0, 9), 0.1, steps=2)
    assert check_run(line, complete(line, jf.flow(line))).verdict is Verdict.ACCEPTED


def test_masses_and_numbers_of_points_that_differ():
    """A step need not keep the number of points: the coupling splits them."""
    before = jf.Particles(RNG.normal(size=(7, 2)), np.array([1, 2, 3, 0, 4, 5, 6]) / 21)
    after = jf.Particles(0.8 * RNG.normal(size=(5, 2)), np.array([0.4, 0.3, 0.2, 0.1, 0.0]))
    report = check_step(
        jf.QuadraticPotential(1.0), before, after, 0.3, witness=witness(after, before, None)
    )
    assert report["transport"].verdict is Verdict.ACCEPTED, report.text()
    assert report["stationarity"].verdict is Verdict.REJECTED  # it is no step, and stays none


def test_a_map_from_a_singular_gaussian_is_told_and_left_out():
    problem = PROBLEMS["gaussian"]
    theirs = stripped(problem)
    flat = jf.Gaussian([1.0, 0.0], [[1.0, 0.0], [0.0, 0.0]])
    theirs.records[1] = dataclasses.replace(theirs.records[1], measure=flat)
    with pytest.warns(UserWarning, match="step 2 still lacks its witness"):
        whole = complete(problem, theirs)
    assert whole.records[1].witness is None
    assert check_run(problem, whole).verdict is not Verdict.ACCEPTED


def test_a_grid_without_its_potential_is_told_and_left_out():
    start = jf.Grid(np.ones(8) / 8, 0.0, 8.0)
    problem = jf.Problem(jf.Entropy() + jf.Potential(lambda x: -x[:, 0]), start, 4.0, steps=1)
    theirs = stripped(problem)
    with pytest.warns(UserWarning, match="step 1 still lacks its witness: on a grid"):
        whole = complete(problem, theirs)
    assert check_run(problem, whole)["transport"].verdict is Verdict.UNDECIDED


def test_steps_that_were_not_saved_stay_undecided(tmp_path):
    problem = PROBLEMS["particles"]
    run = jf.flow(problem, store=tmp_path / "run", save=jf.every(2))
    for given in (run, tmp_path / "run"):
        with pytest.warns(UserWarning, match="measures were not saved"):
            complete(problem, given, None if given is run else tmp_path / "whole")
    report = check_run(problem, tmp_path / "whole")
    assert report.verdict is Verdict.UNDECIDED and report["evidence"].verdict is Verdict.UNDECIDED


def test_bad_arguments(tmp_path):
    problem = PROBLEMS["gaussian"]
    with pytest.raises(InvalidProblem, match="problem must be"):
        complete(3, jf.flow(problem))
    with pytest.raises(InvalidProblem, match="run must be"):
        complete(problem, 3)
    with pytest.raises(StoreError, match="no run"):
        complete(problem, tmp_path / "none")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="new or an empty"):
        complete(problem, jf.flow(problem), tmp_path / "full")


@pytest.mark.parametrize("seed", range(6))
def test_points_over_many_orders_of_magnitude_are_never_accepted_falsely(seed):
    """As in issue 229 of POT: costs from 1e-18 to 1e26, on which exact solvers lose their way.

    Whatever is found, or not, a pairing that a brute force beats is not ACCEPTED.
    """
    rng = np.random.default_rng(seed)
    n = 6
    points = rng.normal(size=(n, 2)) * 10.0 ** rng.uniform(-9, 13, size=(n, 1))
    x = jf.Particles(points)
    F = jf.QuadraticPotential(1.0)
    good = x.displaced(-0.5 * points)
    bad = jf.Particles(good.points[rng.permutation(n)] * (1 + 1e-3))
    for after in (good, bad):
        try:
            found = witness(after, x, None)
        except jf.status.TransportFailed:
            found = None
        report = check_step(F, x, after, 1.0, witness=found)
        assert after is good or report.verdict is not Verdict.ACCEPTED, report.text()
        if found is not None and report["transport"].verdict is Verdict.ACCEPTED:
            assert abs(best_cost(after.points, x.points) - cost_of(found, after, x)) <= (
                2e-9 * cost_of(found, after, x)
            )


def cost_of(found, after, before):
    moved = after.points[found.arrays["rows"]] - before.points[found.arrays["columns"]]
    return float(found.arrays["values"] @ (moved**2).sum(axis=1))


def best_cost(x, y):
    from itertools import permutations

    costs = ((x[:, None] - y[None]) ** 2).sum(axis=2)
    n = len(x)
    return min(float(costs[np.arange(n), list(p)].sum()) / n for p in permutations(range(n)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_witnesses_with_nan_or_infinity_are_kept_and_rejected(bad):
    problem = PROBLEMS["particles"]
    theirs = jf.flow(problem)
    w = theirs.records[1].witness
    f = np.array(w.arrays["f"])
    f[3] = bad
    theirs.records[1] = dataclasses.replace(
        theirs.records[1], witness=Witness(w.kind, {**w.arrays, "f": f})
    )
    report = check_run(problem, complete(problem, theirs))
    assert report["transport"].verdict is Verdict.REJECTED


def test_a_run_in_single_precision_is_not_accepted():
    """Rounded to float32, energies and stationarity are off by 1e-7: more than the bounds."""
    problem = PROBLEMS["particles"]
    theirs = stripped(problem)
    for k, record in enumerate(theirs.records):
        rounded = jf.Particles(record.measure.points.astype(np.float32), record.measure.weights)
        theirs.records[k] = dataclasses.replace(record, measure=rounded)
    report = check_run(problem, complete(problem, theirs))
    assert report["stored energy"].verdict is Verdict.REJECTED
    assert report["transport"].verdict is Verdict.ACCEPTED


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text(
        "import jkoflow as jf\n"
        "problem = jf.Problem(jf.QuadraticPotential(1.0),\n"
        "    jf.Particles([[0.0, 1.0], [2.0, 0.5], [-1.0, 0.3]]), tau=0.5, steps=3)\n"
    )
    problem = jf.Problem(
        jf.QuadraticPotential(1.0), jf.Particles([[0.0, 1.0], [2.0, 0.5], [-1.0, 0.3]]), 0.5, 3
    )
    jf.save(stripped(problem), tmp_path / "theirs")

    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            cli.main(list(arguments))
        return left.value.code, capsys.readouterr().out

    assert call("check", "p.py", "theirs")[0] == 2
    code, out = call("complete", "p.py", "theirs")
    assert code == 0 and "3 witnesses added to 3 saved steps" in out
    assert call("check", "p.py", "theirs-complete")[0] == 0
    assert call("complete", "p.py", "theirs")[0] == 3  # theirs-complete holds a run by now
    assert call("complete", "p.py", "nowhere", "--out", "x")[0] == 3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow, on the way to being told
@pytest.mark.parametrize("size", [1e160, 1e300])
def test_points_whose_distances_overflow_are_told(size):
    """Costs of infinity and NaN: no witness, a typed reason, and no false acceptance."""
    x = jf.Particles([[0.0, 0.0], [size, 1.0], [1.0, -size]])
    start = jf.Particles([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]])
    problem = jf.Problem(jf.QuadraticPotential(1.0), start, 1.0, steps=1)
    theirs = stripped(problem)
    theirs.records[0] = dataclasses.replace(theirs.records[0], measure=x)
    with pytest.warns(UserWarning, match="step 1 still lacks its witness"):
        whole = complete(problem, theirs)
    assert whole.records[0].witness is None
    assert check_run(problem, whole).verdict is Verdict.REJECTED


def test_points_that_hardly_move_stay_with_themselves() -> None:
    """Costs between all points are 1 and those of the step 1e-9: a linear program leaves 1e-14 of
    the former, which is 1e-5 of the latter, and the step would miss its optimality condition."""
    start = jf.Particles(np.random.default_rng(4).normal(size=(60, 2)))
    V = jf.Potential(lambda x: np.cos(3.0 * x).sum(axis=1), gradient=lambda x: -3 * np.sin(3 * x))
    problem = jf.Problem(V, start, tau=1e-5, steps=2)
    theirs = jf.flow(problem)
    said = [record.distance_squared for record in theirs.records]
    theirs.records = [dataclasses.replace(record, witness=None) for record in theirs.records]
    report = jf.check_run(problem, complete(problem, theirs))
    assert report["stationarity"].verdict is jf.Verdict.ACCEPTED, report.text()
    assert report["stored distance"].verdict is jf.Verdict.ACCEPTED, said


def test_a_thin_cloud_far_from_the_origin_that_hardly_moves_is_proved() -> None:
    """The linear program's potentials are right to 10⁻¹⁵, half as much again as the judge allows
    this step, of 8·10⁻⁴ in a cloud as wide. Those of the pairing itself are right to 10⁻¹⁸."""
    rng = np.random.default_rng(3)
    start = jf.Particles(rng.normal(size=(300, 2)) * [1e-4, 0.03] + [-0.54, -0.54],
                         rng.dirichlet(np.ones(300)))  # fmt: skip
    V = jf.Potential(lambda x: np.log(np.cosh(x + 0.5)).sum(axis=1),
                     gradient=lambda x: np.tanh(x + 0.5), convexity=0.0)  # fmt: skip
    problem = jf.Problem(V + jf.QuadraticInteraction(0.0138), start, tau=0.012, steps=1)
    theirs = stripped(problem)
    assert check_run(problem, complete(problem, theirs))["transport"].verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("from_disk", [False, True])
def test_more_steps_than_were_asked_for_are_kept_whether_saved_or_not(from_disk, tmp_path):
    problem = PROBLEMS["particles"]
    run = jf.flow(problem, save=jf.every(3))
    run.problem = short = jf.Problem(problem.functional, problem.initial, tau=0.3, steps=1)
    given = jf.save(run, tmp_path / "theirs") if from_disk else run
    with pytest.warns(UserWarning, match="measures were not saved"):
        whole = complete(short, given, tmp_path / "whole")
    assert whole.length == 3 and [step.measure is None for step in whole] == [True, True, False]
    assert check_run(short, whole)["completeness"].verdict is Verdict.REJECTED


def test_a_step_whose_measure_was_not_saved_keeps_its_tau(tmp_path):
    """Also a wrong one: it is the run's own."""
    problem = PROBLEMS["particles"]
    run, book = jf.flow(problem), jf.Directory(tmp_path / "theirs").book(problem)
    book.restore(jf.Trajectory(problem, run.initial_energy))
    for record in run.records:
        tau = 0.2 if record.index == 2 else record.tau
        book.write(dataclasses.replace(record, tau=tau), keep=record.index != 2)
    book.close(run)
    with pytest.warns(UserWarning, match="measures were not saved"):
        complete(problem, tmp_path / "theirs", tmp_path / "whole")
    for folder in ("theirs", "whole"):
        assert check_run(problem, tmp_path / folder)["record"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("stepper", [None, jf.steppers.SecondOrder()])
def test_a_completed_run_goes_on_as_the_run_itself_would(stepper, tmp_path):
    """With the stepper's state, the random generator's, and who took the steps so far."""
    problem = PROBLEMS["particles"]
    whole = jf.flow(problem, stepper, rng=5)
    jf.flow(problem, stepper, rng=5, store=tmp_path / "begun", max_steps=2)
    begun = complete(problem, tmp_path / "begun", tmp_path / "copy")
    assert begun.steppers == jf.Directory(tmp_path / "begun").read().steppers != ()
    on = jf.flow(problem, stepper, rng=5, store=tmp_path / "copy")
    np.testing.assert_array_equal(on.final.points, whole.final.points)
    assert on.status is jf.Status.COMPLETE
