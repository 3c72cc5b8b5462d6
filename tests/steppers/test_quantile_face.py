"""Edges pulled into r = 0 or onto each other: faces, projections, and flows that end in an atom."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import jkoflow as jf
from jkoflow.check import Verdict, check_run, check_step
from jkoflow.functionals.curvature import Action, Dense, LowRank
from jkoflow.measures.order import kept_sorted
from jkoflow.status import Status
from jkoflow.steppers.quantile.face import Bounds, Face, face_of
from jkoflow.steppers.quantile.stepper import QuantileNewton

FREE = Bounds(0.0, np.inf)


def cone(c):
    """c r: a constant pull towards the origin, which comes to an end in finite time."""
    return c * jf.Potential(
        lambda x: x[:, 0],
        gradient=lambda x: np.ones_like(x),
        hessian=lambda x: np.zeros((len(x), 1, 1)),
    )


def ring(c):
    """c (r² − 1)²."""
    return c * jf.Potential(
        lambda x: (x[:, 0] ** 2 - 1) ** 2,
        gradient=lambda x: 4 * x * (x**2 - 1),
        hessian=lambda x: (12 * x**2 - 4)[:, :, None],
    )


def one_step(F, mu, tau, state=None):
    return QuantileNewton().step(F, mu, tau, state or {}, np.random.default_rng(0))


def tied_edges(rng, n=12):
    return np.sort(rng.integers(0, 4, n) * 0.5)


@pytest.mark.parametrize("seed", range(20))
def test_the_push_is_the_projection_that_the_judge_takes(seed):
    rng = np.random.default_rng(seed)
    x, v, w = tied_edges(rng), rng.normal(size=12), rng.uniform(0.1, 1.0, 12)
    expected = kept_sorted(v, x, w)
    expected[x == 0.0] = np.maximum(expected[x == 0.0], 0.0)
    face, push = face_of(x, v, w, FREE, tied=True)
    np.testing.assert_allclose(push, expected, atol=1e-14)  # means of twelve numbers
    assert (push[: face.low] == 0.0).all() and (push[face.low : face.high] != 0.0).all()


@pytest.mark.parametrize("seed", range(20))
def test_moving_along_a_face_keeps_the_order_at_first(seed):
    rng = np.random.default_rng(seed)
    x, v, w = tied_edges(rng), rng.normal(size=12), rng.uniform(0.1, 1.0, 12)
    face, push = face_of(x, v, w, FREE, tied=True)
    moved = x + 1e-3 * push  # runs are 0.5 apart and |v| is below 5
    assert (np.diff(moved) >= -1e-16).all() and moved[0] >= 0.0
    assert FREE.nearest(x, w) is x
    # as many blocks as values in each run
    steps = (np.diff(x) > 0) | (np.diff(push) != 0)
    blocks = 12 if face.starts is None else len(face.starts)
    assert face.starts is None or blocks == steps[face.low : face.high - 1].sum() + 1


def test_walls_hold_their_edges_and_what_is_pressed_on_them():
    x, w = np.array([0.0, 0.0, 0.5, 1.0, 1.0]), np.full(5, 0.2)
    walls = Bounds(0.0, 1.0, fixed=True)
    face, push = face_of(x, np.array([3.0, -1.0, 2.0, 1.0, -4.0]), w, walls, tied=True)
    assert push.tolist() == [0.0, 0.0, 2.0, 0.0, 0.0] and (face.low, face.high) == (2, 3)
    face, push = face_of(x, np.array([3.0, 1.0, 2.0, -1.0, -4.0]), w, walls, tied=True)
    assert push.tolist() == [0.0, 1.0, 2.0, -1.0, 0.0] and (face.low, face.high) == (1, 4)


def test_matrices_on_blocks_are_those_of_the_whole_line():
    rng = np.random.default_rng(3)
    face, n = Face(1, 7, np.array([0, 2, 3])), 8
    P = np.zeros((n, 3))
    P[[1, 2], 0] = P[3, 1] = P[[4, 5, 6], 2] = 1.0
    y = rng.normal(size=3)
    np.testing.assert_array_equal(face.spread(y, n), P @ y)
    diagonal, off = rng.normal(size=n), rng.normal(size=n - 1)
    T = np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1)
    d, o = face.tridiagonal(diagonal, off)
    # sums of a few numbers in another order
    np.testing.assert_allclose(np.diag(d) + np.diag(o, 1) + np.diag(o, -1), P.T @ T @ P, atol=1e-14)
    A = T @ T
    low = LowRank(rng.normal(size=(2, n, 1)), np.array([1.0, -1.0]))
    for part in (low, Dense(A), Action(lambda v: A @ v)):
        whole = P.T @ part.apply((P @ y)[:, None])[:, 0]
        np.testing.assert_allclose(face.part(part, n).apply(y[:, None])[:, 0], whole, atol=1e-13)
    fewer = face.between(3, 7)
    assert (fewer.low, fewer.high, fewer.starts.tolist()) == (3, 7, [0, 1])
    inner = face.between(1, 6)
    assert (inner.low, inner.high, inner.starts.tolist()) == (1, 6, [0, 2, 3])


@pytest.mark.parametrize("dim", [1, 2, 7, 320])
@pytest.mark.parametrize("tau", [0.004, 0.7])
def test_a_cone_pulls_each_radius_into_the_origin_in_finite_time(dim, tau):
    """Steps are r ↦ (r − cτ)₊, exactly."""
    mu = jf.Radial.normal(0.6 / np.sqrt(dim), dim, 60)
    problem = jf.Problem(cone(1.3), mu, tau, 5)
    run = jf.flow(problem)
    assert run.status is Status.COMPLETE
    exact = np.maximum(mu.edges - 5 * 1.3 * tau, 0.0)
    np.testing.assert_allclose(run.final.edges, exact, atol=1e-12)
    assert (run.final.edges == 0.0).sum() == (exact == 0.0).sum()


@pytest.mark.parametrize("dim", [1, 2, 5, 40])
@pytest.mark.parametrize("entropy", [0.02, 1.0])
@pytest.mark.parametrize("tau", [0.01, 2.0])
def test_with_entropy_only_the_first_radius_comes_to_the_origin(dim, entropy, tau):
    mu = jf.Radial.normal(0.5, dim, 80)
    F = cone(40.0) + jf.QuadraticPotential(0.7) + entropy * jf.Entropy()
    for _ in range(12):
        out = one_step(F, mu, tau)
        assert out.status is Status.CONVERGED
        report = check_step(F, mu, out.measure, tau, witness=out.witness)
        assert report["stationarity"].verdict is Verdict.ACCEPTED, report.text()
        mu = out.measure
    assert mu.edges[0] == 0.0 and (np.diff(mu.edges) > 0).all()


def test_an_atom_leaves_the_origin_again():
    """The cone gathers radii at 0; the ring's pull is outwards everywhere but there."""
    mu = jf.Radial(np.array([0.0, 0.0, 0.0, 0.3, 0.5]), 5)
    F = ring(1.0) - cone(0.5)
    out = one_step(F, mu, 0.05)
    assert out.status is Status.CONVERGED and (out.measure.edges > 0).all()
    residual = F.gradient(out.measure)[:, 0] + (out.measure.edges - mu.edges) / 0.05
    np.testing.assert_allclose(residual, 0.0, atol=1e-7)  # 1e-9 of a slope of about 1


def test_tied_edges_with_a_risk_against_a_general_solver():
    """τL > 1 ties edges; a risk couples all of them; SLSQP knows nothing of faces."""
    classes = jf.networks.GaussianClasses.std(10, 0.5)
    F = 0.5 * jf.networks.radial_risk(classes, jf.networks.non_monotone) + cone(2.0)
    mu, tau = jf.Radial.normal(0.12, 10, 12), 0.08
    out = one_step(F, mu, tau)
    assert out.status is Status.CONVERGED
    assert 0 < (out.measure.edges == 0.0).sum() < 13  # otherwise this would test nothing

    def objective(x):
        nu = mu.with_edges(np.maximum.accumulate(np.maximum(x, 0.0)))
        return F.value(nu) + 0.5 / tau * mu.weights @ (nu.edges - mu.edges) ** 2

    order = {"type": "ineq", "fun": lambda x: np.diff(x)}
    other = minimize(objective, mu.edges, method="SLSQP", bounds=[(0, None)] * 13,
                     constraints=order, options={"ftol": 1e-13, "maxiter": 500})  # fmt: skip
    # SLSQP differentiates numerically: its value is good to about 1e-8
    assert objective(out.measure.edges) <= other.fun + 1e-9
    assert objective(out.measure.edges) == pytest.approx(other.fun, abs=1e-6)


def test_a_repeated_step_over_a_barrier_is_not_taken_for_a_minimum():
    """Velocities of the last step lead from the ring to the origin, which is a worse minimum."""
    F = cone(0.3) + ring(1.0)
    mu = jf.Radial(np.linspace(0.95, 1.0, 11), 4)
    out = one_step(F, mu, 5.0)
    # the state of a step that came from far out: repeated, it ends at 0
    state = {**out.state, "velocity": -np.full(11, 0.25)}
    again = one_step(F, out.measure, 5.0, state)
    assert again.status is Status.CONVERGED
    paid = F.value(again.measure) + again.distance_squared / 10.0
    assert paid <= F.value(out.measure) + 1e-12


@pytest.mark.parametrize(("delta", "kappa"), [(0.5, 0.1), (0.4, 0.06)])
def test_the_collapse_of_a_network_is_followed_to_its_end(delta, kappa):
    """d = 320, |w| ≈ κ: before the barrier of the risk all radii go to 0, R to 7.25."""
    classes = jf.networks.GaussianClasses.std(320, delta)
    F = 0.5 * jf.networks.radial_risk(classes, jf.networks.non_monotone)
    problem = jf.Problem(F, jf.Radial.normal(kappa / np.sqrt(320), 320, 60), 5e-4, t_end=0.06)
    run = jf.flow(problem)
    assert run.status is Status.COMPLETE and np.max(run.final.edges) == 0.0
    assert 2 * run.energies[-1] == pytest.approx(7.25, abs=1e-9)
    report = check_run(problem, run)
    for claim in ("transport", "energy", "stationarity", "minimality"):
        assert report[claim].verdict is Verdict.ACCEPTED, report.text()
