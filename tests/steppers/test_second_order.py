"""SecondOrder: its formula, its fallbacks, its energy law, and a judge that believes none of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import extrapolated as judge
from jkoflow.measures.extrapolation import KEPT, carried_edges
from jkoflow.record import Witness
from jkoflow.status import InvalidProblem, NotDefined, Status
from jkoflow.steppers import ParticleProximal, QuantileNewton, SecondOrder
from jkoflow.steppers.base import StepOutput, Stepper
from jkoflow.steppers.second_order import FIRST_STAGE, ONWARDS, extrapolation
from jkoflow.transport.motion import carried, motion

RNG = np.random.default_rng(7)
OU = jf.Entropy() / 2.0 + jf.QuadraticPotential(1.5)
WELL = jf.Potential(
    lambda x: (x[:, 0] ** 2 - 1) ** 2,
    gradient=lambda x: 4 * x * (x**2 - 1),
    hessian=lambda x: (12 * x**2 - 4)[:, :, None],
    convexity=-4.0,
)
CLOUD = jf.Particles(RNG.normal(size=(40, 2)))
PULL = jf.QuadraticPotential(1.0) + jf.QuadraticInteraction(-0.3)
CASES = {
    "quantiles": (OU, jf.Quantiles.normal(0.3, 0.7, 100)),
    "radial": (jf.Entropy() + jf.QuadraticPotential(1.0), jf.Radial.normal(0.5, 5, 100)),
    "gaussian": (OU, jf.Gaussian([1.0, 0.0], [[0.5, 0.2], [0.2, 1.5]])),
    "particles": (PULL, CLOUD),
}
TAUS = np.array([0.05, 0.07, 0.1, 0.06, 0.09, 0.05])


def run_of(name, taus=TAUS, stepper=None):
    problem = jf.Problem(*CASES[name], taus)
    return problem, jf.flow(problem, stepper or SecondOrder())


def test_on_a_quadratic_functional_it_is_bdf2():
    a, tau = 1.3, 0.2
    problem = jf.Problem(jf.QuadraticPotential(a), jf.Particles([1.0, 3.0]), tau, 6)
    run = jf.flow(problem, SecondOrder(start="first-order"))
    x = [1.0, 1.0 / (1 + a * tau)]
    for _ in range(5):
        x.append((4 * x[-1] - x[-2]) / 3 / (1 + 2 * a * tau / 3))
    found = [mu.points[0, 0] for mu in run.measures]
    np.testing.assert_allclose(found, x, rtol=1e-9)  # the inner stepper's tolerance


def test_the_start_is_the_two_stage_method():
    a, tau, g = 0.9, 0.3, 1 - 1 / np.sqrt(2)
    problem = jf.Problem(jf.QuadraticPotential(a), jf.Gaussian(2.0, 1.0), tau, 1)
    run = jf.flow(problem, SecondOrder())
    z = -a * tau
    stability = (1 + (1 - 2 * g) * z) / (1 - g * z) ** 2
    assert run.final.mean()[0] == pytest.approx(2 * stability, rel=1e-14)


def test_extrapolation_makes_bdf2_of_changing_steps_exact_for_parabolas():
    for h, k in ((0.3, 0.2), (0.1, 0.25), (1.0, 1.0)):
        alpha = extrapolation(h, k)
        x = lambda t: 2 - 3 * t + 5 * t * t  # noqa: E731
        slope = -3 + 10 * h
        ahead = x(0.0) + alpha * (x(0.0) - x(-k)) + (h - alpha * k) * slope
        assert ahead == pytest.approx(x(h), rel=1e-14)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("start", ["two-stage", "first-order"])
def test_every_kind_is_accepted_by_its_judge_and_by_no_other(name, start):
    problem, run = run_of(name, stepper=SecondOrder(start=start))
    report = jf.check_second_order(problem, run)
    assert report.verdict is jf.Verdict.ACCEPTED, str(report)
    assert jf.check_run(problem, run).verdict is jf.Verdict.REJECTED
    plain = jf.flow(problem)
    assert jf.check_second_order(problem, plain).verdict is jf.Verdict.UNDECIDED


@pytest.mark.parametrize("name", CASES)
def test_stored_and_resumed_bit_for_bit(name, tmp_path):
    problem, run = run_of(name)
    jf.flow(problem, SecondOrder(), store=tmp_path, max_steps=3)
    again = jf.flow(problem, SecondOrder(), store=tmp_path)
    assert (again.energies == run.energies).all()
    assert jf.check_second_order(problem, tmp_path).verdict is jf.Verdict.ACCEPTED


def forged(run, k, **changes):
    """The run with other fields in the record of step k."""
    run.records[k - 1] = replace(run.records[k - 1], **changes)
    return run


@pytest.mark.parametrize("name", CASES)
def test_a_step_moved_by_a_thousandth_is_rejected(name):
    problem, run = run_of(name)
    mu = run[4].measure
    v = 1e-3 * mu.points if name == "radial" else np.full_like(mu.points, 1e-3)
    moved = mu.displaced(v)
    energy = problem.functional.value(moved)
    forged(run, 4, measure=moved, energy=energy)
    run.taken[3] = run.taken[3]._replace(energy=energy)
    report = jf.check_second_order(problem, run)
    assert report["stationarity"].verdict is jf.Verdict.REJECTED or (
        report["transport"].verdict is jf.Verdict.REJECTED
    )


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.9, -0.1, np.nan])
def test_a_witness_that_lies_about_the_extrapolation_is_rejected(alpha):
    problem, run = run_of("quantiles")
    arrays = {**run[4].witness.arrays, "alpha": np.array([alpha])}
    report = jf.check_second_order(problem, forged(run, 4, witness=Witness("extrapolated", arrays)))
    assert report.verdict is jf.Verdict.REJECTED


def test_a_middle_that_is_not_the_first_stage_is_rejected():
    problem, run = run_of("quantiles")
    arrays = dict(run[1].witness.arrays)
    arrays["middle.edges"] = arrays["middle.edges"] + 1e-3
    report = jf.check_second_order(problem, forged(run, 1, witness=Witness("extrapolated", arrays)))
    assert report.verdict is jf.Verdict.REJECTED


def test_a_gaussian_without_the_map_back_is_undecided():
    problem, run = run_of("gaussian")
    arrays = {k: a for k, a in run[2].witness.arrays.items() if k != "back"}
    report = jf.check_second_order(problem, forged(run, 2, witness=Witness("extrapolated", arrays)))
    assert report.verdict is jf.Verdict.UNDECIDED


def test_steps_of_first_order_do_not_pass_for_second():
    """JKO steps, dressed up as steps of second order that were not extrapolated."""
    problem = jf.Problem(*CASES["quantiles"], TAUS)
    run = jf.flow(problem)
    for k in range(1, 7):
        forged(run, k, witness=Witness("extrapolated", {"alpha": np.zeros(1)}))
    report = jf.check_second_order(problem, run)
    assert report.verdict is jf.Verdict.UNDECIDED
    assert report["second order"].verdict is jf.Verdict.UNDECIDED


def test_the_modified_energy_falls_without_convexity():
    """F + W2²/(4τ) falls by W2²/(4τ) at least, in a double well, and F itself need not."""
    problem = jf.Problem(WELL + jf.Entropy() / 8, jf.Quantiles.normal(0.05, 0.2, 120), 0.02, 60)
    run = jf.flow(problem, SecondOrder(start="first-order"))
    D, F = run.distances_squared, run.energies
    # up to rounding of energies of order one
    assert (np.diff(F + D / 0.08)[1:] <= -D[2:] / 0.08 + 1e-13).all()
    assert jf.check_second_order(problem, run)["modified energy"].verdict is jf.Verdict.ACCEPTED


def test_a_rise_of_the_modified_energy_is_rejected():
    problem, run = run_of("quantiles")
    mu, back = run[5].measure, run[2].measure
    forged(run, 5, measure=back, energy=run[2].energy)
    run.taken[4] = run.taken[4]._replace(energy=run[2].energy)
    assert mu is not back
    report = jf.check_second_order(problem, run)
    assert report["modified energy"].verdict is jf.Verdict.REJECTED
    assert report["energy law"].verdict is jf.Verdict.REJECTED


def test_where_edges_would_fold_they_are_held_back_and_it_is_told():
    """Nearly all of a strong pull happens in the first step: a third more would turn it over."""
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Quantiles([-1.0, 0.0, 1.0]), 50.0, 3)
    run = jf.flow(problem, SecondOrder(start="first-order"))
    assert run.status is Status.COMPLETE
    assert all(np.diff(mu.edges).min() > 0 for mu in run.measures)
    report = jf.check_second_order(problem, run)
    assert report["extrapolation"].verdict is jf.Verdict.UNDECIDED
    assert report["extrapolation"].measured > 0.5
    for claim in ("stationarity", "energy law", "modified energy"):
        assert report[claim].verdict is jf.Verdict.ACCEPTED


def test_a_few_cells_in_the_tail_do_not_spoil_the_order_of_the_whole():
    """The quartic well's tails fall in at once, with hardly any mass."""
    problem = jf.Problem(WELL + jf.Entropy() / 4, jf.Quantiles.normal(0.2, 0.5, 300), 1 / 40, 40)
    run = jf.flow(problem, SecondOrder())
    report = jf.check_second_order(problem, run)
    assert report.verdict is jf.Verdict.ACCEPTED, str(report)
    assert 0.0 < report["extrapolation"].measured


def test_a_gaussian_that_would_fold_is_damped_and_it_is_told():
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Gaussian([0.0, 1.0], np.eye(2)), 50.0, 3)
    run = jf.flow(problem, SecondOrder(start="first-order"))
    assert [r.stats["full"] for r in run] == [True, False, False]
    report = jf.check_second_order(problem, run)
    assert report["second order"].verdict is jf.Verdict.UNDECIDED
    assert report["modified energy"].verdict is jf.Verdict.ACCEPTED


class Fragile(Stepper):
    """Fails wherever it is told a guess, that is, from every extrapolated law."""

    def step(self, F, mu, tau, state, rng):
        out = QuantileNewton().step(F, mu, tau, {}, rng)
        return out._replace(status=Status.STALLED) if state else out


def test_a_minimisation_that_fails_is_tried_again_without_extrapolation():
    problem = jf.Problem(*CASES["quantiles"], 0.1, 3)
    run = jf.flow(problem, SecondOrder(Fragile(), start="first-order"))
    assert [r.stats["alpha"] for r in run] == [0.0, 0.0, 0.0]
    assert [r.stats["full"] for r in run] == [True, False, False]


def test_a_failed_step_has_the_inner_status():
    class Hopeless(Stepper):
        def step(self, F, mu, tau, state, rng):
            return StepOutput(mu, {}, None, {}, Status.UNBOUNDED)

    problem = jf.Problem(*CASES["quantiles"], 0.1, 3)
    run = jf.flow(problem, SecondOrder(Hopeless()), throw=False)
    assert run.status is Status.UNBOUNDED and len(run) == 0


def test_a_gaussian_on_a_line_has_no_map_back_and_says_so():
    start = jf.Gaussian([1.0, 0.0], np.diag([1.0, 0.0]))
    problem = jf.Problem(jf.QuadraticPotential(1.0), start, 0.1, 4)
    run = jf.flow(problem, SecondOrder())
    assert run.final.mean()[0] == pytest.approx(1.1**-4, rel=1e-14)  # ordinary steps
    assert jf.check_second_order(problem, run).verdict is jf.Verdict.UNDECIDED


class Shuffled(Stepper):
    """Particles come back in another order, as after a better pairing was found."""

    def __init__(self, as_coupling):
        self.as_coupling = as_coupling

    def step(self, F, mu, tau, state, rng):
        out = ParticleProximal().step(F, mu, tau, {}, rng)
        new = rng.permutation(len(mu.weights))
        arrays = {k: out.witness.arrays[k] for k in "fg"} | {"order": new}
        arrays["f"] = arrays["f"][new]
        if self.as_coupling:
            del arrays["order"]
            arrays |= {"rows": np.arange(len(new)), "columns": new, "values": mu.weights}
        witness = Witness("coupling" if self.as_coupling else "pairing", arrays)
        law = jf.Particles(out.measure.points[new], mu.weights)
        return out._replace(measure=law, state={}, witness=witness)


@pytest.mark.parametrize("as_coupling", [False, True])
@pytest.mark.parametrize("start", ["two-stage", "first-order"])
def test_particles_that_change_places_keep_their_past(as_coupling, start):
    problem = jf.Problem(*CASES["particles"], TAUS)
    plain = jf.flow(problem, SecondOrder(start=start))
    mixed = jf.flow(problem, SecondOrder(Shuffled(as_coupling), start=start), rng=1)
    order = lambda mu: mu.points[np.argsort(mu.points[:, 0])]  # noqa: E731
    # the inner stepper's tolerance, 1e-9 of a step
    np.testing.assert_allclose(order(mixed.final), order(plain.final), atol=1e-8)
    assert not np.allclose(mixed.final.points, plain.final.points, atol=1e-3)
    report = jf.check_second_order(problem, mixed)
    assert report.verdict is jf.Verdict.ACCEPTED, str(report)


def test_both_sides_know_the_same_start():
    assert (judge.STAGE, judge.ONWARDS) == (FIRST_STAGE, ONWARDS)


@pytest.mark.parametrize("radial", [False, True])
def test_edges_that_are_held_back_are_the_nearest_of_those_allowed(radial):
    """Against a quadratic program solved by other means."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(4)
    x = np.sort(rng.uniform(0.2, 2.0, 12))
    mu = jf.Radial(x, 3) if radial else jf.Quantiles(x)
    shift, alpha = rng.normal(size=12), 0.7
    y, w = carried_edges(mu, shift, alpha), mu.weights
    target = x + alpha * shift
    bounds = [{"type": "ineq", "fun": lambda v: np.diff(v) - KEPT * np.diff(x)}]
    bounds += [{"type": "ineq", "fun": lambda v: v[:1] - KEPT * x[:1]}] if radial else []
    best = minimize(lambda v: w @ (v - target) ** 2, x, jac=lambda v: 2 * w * (v - target),
                    method="SLSQP", constraints=bounds, options={"ftol": 1e-15, "maxiter": 500})
    np.testing.assert_allclose(y, best.x, atol=1e-6)  # what SLSQP reaches
    assert w @ (y - x) ** 2 <= w @ (target - x) ** 2


def test_cells_as_short_as_rounding_are_carried_on_in_order() -> None:
    """Points that have run together in a well: rounding must not turn two of them round."""
    rng, ulp = np.random.default_rng(0), 1.1e-16
    for _ in range(500):  # one in ten was turned round before
        x = np.sort(np.sqrt(0.6) + ulp * rng.integers(0, 3, size=4))
        shift = 1e-3 * rng.normal() + ulp * rng.integers(-3, 4, size=4) * rng.random()
        assert (np.diff(carried_edges(jf.Quantiles(x), shift, 1 / 3)) >= 0).all()


def test_edges_held_back_go_on_being_carried() -> None:
    """From the outermost cells of a normal law, steep walls make cells of a few roundings."""
    V = jf.Potential(
        lambda x: 2.0 * (x[:, 0] ** 2 - 0.6) ** 2,
        gradient=lambda x: 8.0 * x * (x**2 - 0.6),
        hessian=lambda x: 8.0 * (3.0 * x**2 - 0.6)[:, :, None],
    )
    for steps in (8, 16, 32):
        problem = jf.Problem(V, jf.Quantiles.normal(0.2, 0.5, 60), 0.3 / steps, steps)
        assert jf.flow(problem, SecondOrder()).status.ok


def test_meshes_keep_their_simplices_from_folding():
    mesh = jf.Mesh.disc(1.0, 4)
    half = mesh.with_nodes(0.5 * mesh.nodes)
    moved = motion(half, mesh)
    assert carried(half, moved, 0.3).volumes.sum() == pytest.approx(0.49 * half.volumes.sum())
    assert carried(half, moved, 0.9) is None


@pytest.mark.parametrize("options", [{"start": "none"}, {"inner": 3}, {"inner": SecondOrder()}])
def test_options_that_make_no_sense(options):
    with pytest.raises(InvalidProblem):
        SecondOrder(**options)


def test_grids_have_no_points_that_move():
    grid = jf.Grid(np.ones((8, 8)), [0, 0], [1, 1])
    with pytest.raises(NotDefined, match="Quantiles"):
        SecondOrder().step(jf.PowerEnergy(2.0), grid, 0.1, {}, np.random.default_rng(0))
