"""The convex programme over measures: exact answers, another solver, and gaps that hold."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.equilibrium.convex_programme import minimise_risk, risk_gap
from jkoflow.equilibrium.few_particles import (
    best_atom,
    lemma_constant,
    minimise_particles,
    sampling_constant,
)
from jkoflow.equilibrium.lowest import lowest_on_box
from jkoflow.networks import (
    GaussianClasses,
    SimpleUnit,
    data_risk,
    non_monotone,
    radial_risk,
    tanh,
    truncated_relu,
)
from jkoflow.networks.reduced_limit import limit_risk, limit_separation
from jkoflow.status import InvalidFunctional, InvalidProblem, NotDefined, Status


def moments(r):
    return np.stack([r[:, 0], r[:, 0] ** 2, r[:, 0] ** 3])


def a_data_risk(seed=0, rows=40, dim=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, dim))
    return data_risk(SimpleUnit(tanh), x, np.sign(x[:, 0] + 0.5 * x[:, -1] ** 2 - 0.5))


@pytest.mark.parametrize("delta", [0.25, 0.45, 0.7])
def test_on_candidates_it_is_the_quadratic_programme_of_another_solver(delta):
    cvxpy = pytest.importorskip("cvxpy")
    R = radial_risk(GaussianClasses.std(25, delta), truncated_relu)
    points = np.linspace(0.0, 6.0, 40)
    found = minimise_risk(R, candidates=points)
    p = cvxpy.Variable(40, nonneg=True)
    e = R.targets - R.features(points[:, None]) @ p
    cvxpy.Problem(
        cvxpy.Minimize(cvxpy.sum_squares(cvxpy.multiply(np.sqrt(R.weights), e))),
        [cvxpy.sum(p) == 1],
    ).solve(solver="CLARABEL")
    other = R.value(jf.Particles(points, np.maximum(p.value, 0) / np.maximum(p.value, 0).sum()))
    # Clarabel's own tolerance is 1e-8; ours is exact up to rounding, so never above it
    assert found.value <= other + 1e-12
    assert abs(found.value - other) < 1e-7
    assert 0 <= found.gap < 1e-12  # the active set is exact
    assert abs(R.value(found.measure) - found.value) < 1e-13


def test_a_known_optimal_measure_on_an_interval_is_found():
    # targets are the moments of ½δ_.3 + ½δ_.9, so that the infimum is 0
    y = 0.5 * moments(np.array([[0.3]]))[:, 0] + 0.5 * moments(np.array([[0.9]]))[:, 0]
    found = minimise_risk(jf.Risk(moments, y), (0.0, 1.0))
    assert found.value < 1e-12 and found.status is Status.CONVERGED
    assert not found.proved  # a plain function claims no curvature


def test_targets_out_of_reach_have_their_projection():
    # features (cos, sin): the hull is the disc, the nearest point to (3, 4) is (.6, .8), R = 16
    R = jf.Risk(lambda t: np.stack([np.cos(t[:, 0]), np.sin(t[:, 0])]), [3.0, 4.0], [1.0, 1.0],
                curvature_bound=1.0)
    found = minimise_risk(R, (0.0, 7.0), candidates=[0.0, 1.0, 3.0])
    assert abs(found.value - 16.0) < 1e-9 * 26
    assert found.measure.points == pytest.approx(np.arctan2(4.0, 3.0), abs=1e-5)
    assert len(found.measure.points) == 1


@pytest.mark.parametrize("activation", [truncated_relu, non_monotone])
@pytest.mark.parametrize("dim, delta", [(5, 0.6), (40, 0.3), (90, 0.8)])
def test_the_gap_is_proved_and_no_measure_beats_it(dim, delta, activation):
    R = radial_risk(GaussianClasses.std(dim, delta), activation)
    found = minimise_risk(R, (0.0, 20.0))
    assert found.proved and found.status is Status.CONVERGED
    assert 0 <= found.gap <= 1e-8 * R.value(jf.Particles([[10.0]])) + 1e-8
    # a grid solve with other points is an upper bound of the infimum, hence above the lower bound
    fine = minimise_risk(R, candidates=np.linspace(0.0, 20.0, 3001))
    assert fine.value >= found.lower_bound - 1e-14
    assert fine.value >= found.value - found.gap and fine.value < found.value + 1e-4


def test_the_gap_bounds_the_distance_to_the_minimum_when_it_is_not_small():
    R = radial_risk(GaussianClasses.std(40, 0.8), truncated_relu)
    best = minimise_risk(R, (0.0, 20.0)).value
    for points in ([0.5, 1.0], [1.0, 2.0, 3.0], [4.0]):
        coarse = minimise_risk(R, (0.0, 20.0), candidates=points, max_rounds=1, tolerance=1e-14)
        assert coarse.status is Status.MAX_ITERATIONS
        assert coarse.value - coarse.gap <= best + 1e-12 <= coarse.value + 2e-12


def test_the_gap_of_any_measure_is_at_least_its_distance_from_the_infimum():
    R = radial_risk(GaussianClasses.std(40, 0.8), truncated_relu)
    best = minimise_risk(R, (0.0, 20.0))
    for mu in (jf.Radial.normal(0.3, 40, 200), jf.Particles([[1.0], [3.0]]), best.measure):
        gap, proved = risk_gap(R, mu, (0.0, 20.0))
        assert proved and gap >= R.value(mu) - best.value - 1e-12
    assert gap < 1e-7


def test_a_narrow_valley_in_a_wide_domain_is_not_overlooked():
    # an atom at 0 belongs to the solution, next to which Ψ rises within .3 of 400
    R = radial_risk(GaussianClasses.std(320, 0.6), truncated_relu)
    found = minimise_risk(R, (0.0, 400.0))
    assert found.status is Status.CONVERGED and found.gap < 1e-7
    assert found.measure.points.min() < 0.05


def test_a_box_in_the_plane():
    R = a_data_risk()
    found = minimise_risk(R, ([-4.0, -4.0], [4.0, 4.0]), tolerance=1e-7)
    assert found.proved and found.status is Status.CONVERGED
    rng = np.random.default_rng(5)
    many = minimise_risk(R, candidates=rng.uniform(-4, 4, (3000, 2)))
    assert found.lower_bound <= many.value


def test_multiples_and_sums_of_risks():
    R, S = a_data_risk(1), a_data_risk(2)
    box = ([-3.0, -3.0], [3.0, 3.0])
    one, half = minimise_risk(R, box, tolerance=1e-8), minimise_risk(0.5 * R, box, tolerance=1e-8)
    assert half.value == pytest.approx(0.5 * one.value, abs=1e-7)
    both = minimise_risk(0.5 * R + 2.0 * S, box, tolerance=1e-7)
    F = 0.5 * R + 2.0 * S
    assert both.value == pytest.approx(F.value(both.measure), abs=1e-12)
    alone = 0.5 * one.lower_bound + 2.0 * minimise_risk(S, box, tolerance=1e-8).lower_bound
    assert both.value >= alone


def test_the_static_lemma_and_that_N_points_approach_it():
    R = radial_risk(GaussianClasses.std(40, 0.8), truncated_relu)
    box = (0.0, 20.0)
    star = minimise_risk(R, box)
    K = lemma_constant(R, star.measure)
    assert sampling_constant(R, star.measure) <= K
    for n in (1, 2, 5, 12):
        found = minimise_particles(R, n, box, starts=star.measure, rng=n)
        assert star.lower_bound <= found.value <= star.value + K / n
        assert found.value == min(found.values)
        assert R.value(found.measure) == pytest.approx(found.value, abs=1e-12)
    # three atoms of unequal masses cannot be had with one particle: far above the infimum
    assert minimise_particles(R, 1, box, rng=0).value > star.value + 0.1


def test_the_sampling_constant_is_N_times_the_excess_of_independent_points():
    R = a_data_risk(3)
    rng = np.random.default_rng(0)
    rho = jf.Particles(rng.normal(size=(7, 2)), rng.dirichlet(np.ones(7)))
    n, repeats = 4, 4000
    drawn = rng.choice(7, size=(repeats, n), p=rho.weights)
    values = np.array([R.value(jf.Particles(rho.points[k])) for k in drawn])
    error = values.std(ddof=1) / np.sqrt(repeats)
    z = (values.mean() - R.value(rho) - sampling_constant(R, rho) / n) / error
    assert abs(z) < 4.5  # exceeded once in 150 000 times by chance


def test_the_best_atom_is_at_most_any_atom():
    R = radial_risk(GaussianClasses.std(30, 0.6), truncated_relu)
    atom = best_atom(R, (0.0, 10.0))
    r = np.linspace(0.0, 10.0, 20001)
    every = R.weights @ (R.targets[:, None] - R.features(r[:, None])) ** 2
    assert atom.value <= every.min() and atom.value > every.min() - 1e-6  # h²·R'' of this grid


@pytest.mark.parametrize("delta, single", [(0.40, True), (0.474, True), (0.4745, False)])
def test_a_single_radius_is_optimal_up_to_the_limit_separation(delta, single):
    assert (delta < limit_separation(truncated_relu)) == single
    R = limit_risk(1 + delta, 1 - delta, truncated_relu)
    atom, star = best_atom(R, (0.0, 40.0)), minimise_risk(R, (0.0, 40.0))
    # the tolerance of the programme is 1e-9 of R ≈ 2
    assert (atom.value - star.value < 1e-8) == single
    assert single or star.value < 1e-20  # beyond it the targets are in the hull


def test_the_limit_risk_is_the_limit():
    points, w = np.array([[0.7], [2.0]]), np.array([0.4, 0.6])
    limit = limit_risk(1.3, 0.6, truncated_relu).value_at_points(points, w)
    away = [
        radial_risk(GaussianClasses(d, 1.3, 0.6), truncated_relu).value_at_points(points, w) - limit
        for d in (1000, 10000)
    ]
    assert away[0] / away[1] == pytest.approx(10.0, rel=0.02)  # the next term is of order 1/d


def test_branch_and_bound_is_below_the_minimum_and_not_by_much():
    def f(x):
        return np.cos(3 * x[:, 0]) + 0.5 * np.sin(2 * x[:, 1]) + 0.1 * x[:, 0]

    def gradient(x):
        return np.stack([-3 * np.sin(3 * x[:, 0]) + 0.1, np.cos(2 * x[:, 1])], axis=1)

    box = np.array([-2.0, -1.0]), np.array([3.0, 2.5])
    low = lowest_on_box(f, gradient, 9.0, box, np.zeros((1, 2)), 1e-8)
    side = [np.linspace(a, b, 1500) for a, b in zip(*box, strict=True)]
    fine = f(np.stack(np.meshgrid(*side), axis=-1).reshape(-1, 2)).min()
    assert low.proved and fine - 1e-4 < low.bound <= fine  # 9h²/2 of the fine grid is 5e-5


@pytest.mark.parametrize(
    "domain, candidates",
    [((1.0, 0.0), None), ((0.0, np.inf), None), (None, None), ("ab", None), (3.0, None),
     ((0.0, 1.0), [2.0]), ((0.0, 1.0), [np.nan]), ((0.0, 1.0), [[0.1, 0.2]]), (None, [])],
)
def test_bad_domains(domain, candidates):
    with pytest.raises((InvalidProblem, jf.status.InvalidMeasure)):
        minimise_risk(jf.Risk(moments, [0.0, 0.0, 0.0]), domain, candidates=candidates)


def test_bad_functionals_and_numbers():
    R = jf.Risk(moments, [0.0, 0.0, 0.0])
    for F in (jf.Entropy(), R + jf.QuadraticPotential(1.0), -1.0 * R, None):
        with pytest.raises(NotDefined):
            minimise_risk(F, (0.0, 1.0))
    for wrong in ({"tolerance": 0.0}, {"tolerance": np.nan}, {"max_rounds": 0}):
        with pytest.raises(InvalidProblem):
            minimise_risk(R, (0.0, 1.0), **wrong)
    with pytest.raises(InvalidProblem):
        minimise_particles(R, 0, (0.0, 1.0))
    with pytest.raises(InvalidProblem):
        minimise_particles(R, 2, (0.0, 1.0), starts=jf.Particles([[0.0, 1.0]]))
    with pytest.raises((InvalidProblem, InvalidFunctional)):
        minimise_risk(jf.Risk(lambda r: moments(r) / 0.0, [0.0, 0.0, 0.0]), (0.0, 1.0))
    with pytest.raises(InvalidProblem):
        limit_risk(0.0, 1.0, truncated_relu)
    with pytest.raises(InvalidProblem):
        limit_separation(tanh)
