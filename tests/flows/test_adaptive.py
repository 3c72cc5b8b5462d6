"""flow_adaptive: errors below the tolerance, times landed on, an ordinary run that is judged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import jkoflow as jf
from jkoflow.flows.adaptive.control import GROWTH, Controller, stopping_times
from jkoflow.flows.adaptive.error import Paths, local_error
from jkoflow.record import Witness
from jkoflow.status import InvalidFunctional, InvalidProblem, NotDefined, Status, StepFailed
from jkoflow.steppers import QuantileNewton, SecondOrder
from jkoflow.steppers.base import Stepper

A, BETA, STD, MEAN = 1.5, 2.0, 0.4, 0.7
OU = jf.Entropy() / BETA + jf.QuadraticPotential(A)
X = np.linspace(-1.0, 1.0, 5)
RISK = jf.Risk(
    lambda th: np.tanh(np.outer(X, th[:, 0]) + th[:, 1]),
    np.cos(2 * X),
    gradient=lambda th: np.stack(
        [(1 - np.tanh(np.outer(X, th[:, 0]) + th[:, 1]) ** 2) * s for s in (X[:, None], 1.0)],
        axis=-1,
    ),
)


def exact(t):
    stationary = 1 / (BETA * A)
    std = np.sqrt(stationary + (STD**2 - stationary) * np.exp(-2 * A * t))
    return MEAN * np.exp(-A * t), std


def off(mu, t):
    mean, std = exact(t)
    return float(np.hypot(mu.mean()[0] - mean, mu.cov()[0, 0] ** 0.5 - std))


STARTS = {
    "gaussian": (lambda: jf.Gaussian(MEAN, STD**2), None),
    "quantiles": (lambda: jf.Quantiles.normal(MEAN, STD, 1000), None),
    "quantiles, first order": (lambda: jf.Quantiles.normal(MEAN, STD, 600), QuantileNewton()),
}


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("tolerance", [3e-2, 3e-3])
def test_the_error_is_below_the_tolerance_and_near_the_estimate(name, tolerance):
    make, stepper = STARTS[name]
    mu = make()
    run = jf.flow_adaptive(OU, mu, 3.0, tolerance=tolerance, stepper=stepper)
    worst = max(off(nu, t) for nu, t in zip(run.measures, run.times, strict=True))
    assert run.status is Status.COMPLETE and run.times[-1] == pytest.approx(3.0, rel=1e-14)
    # estimates leave out what an implicit step damps, and the next order: within five times
    assert worst <= tolerance and run.error <= tolerance
    assert run.error / 5 < worst < 1.5 * run.error
    problem = jf.Problem(OU, mu, run.problem.taus)
    judge = jf.check_run if stepper else jf.check_second_order
    report = judge(problem, run)
    assert report.verdict is jf.Verdict.ACCEPTED, str(report)
    plain = jf.check_run(problem, run).verdict
    assert plain is (jf.Verdict.ACCEPTED if stepper else jf.Verdict.REJECTED)


def test_the_same_error_takes_fewer_minimisations_than_equal_steps():
    """A fast start and a slow end: both runs are wrong by as much at their worst."""
    F, mu = jf.Entropy() + jf.QuadraticPotential(1.0), jf.Gaussian(0.0, 1e-4)
    run = jf.flow_adaptive(F, mu, 5.0, tolerance=1e-2)
    std = lambda t: np.sqrt(1 - (1 - 1e-4) * np.exp(-2 * t))  # noqa: E731

    def worst(run):
        pairs = zip(run.measures, run.times, strict=True)
        return max(abs(nu.cov()[0, 0] ** 0.5 - std(t)) for nu, t in pairs)

    equal = jf.flow(jf.Problem(F, mu, 5.0 / 1000, 1000), SecondOrder())
    assert worst(run) < worst(equal)
    assert run.minimisations < 1000 / 5


def test_particles_of_a_network_against_the_ordinary_differential_equation():
    mu = jf.Particles(np.random.default_rng(1).normal(size=(12, 2)))
    F, ends = 0.5 * RISK + jf.QuadraticPotential(0.05), [0.5, 2.0, 4.0]

    def velocity(_, x):
        return -F.smooth.gradient_at_points(x.reshape(12, 2), mu.weights).ravel()

    ode = solve_ivp(velocity, (0, 4), mu.points.ravel(), "DOP853", t_eval=ends, rtol=1e-11,
                    atol=1e-12)  # fmt: skip
    run = jf.flow_adaptive(F, mu, 4.0, tolerance=1e-3, t_eval=ends)
    for k, nu in enumerate(run.asked):
        distance = np.sqrt(nu.weights @ ((nu.points - ode.y[:, k].reshape(12, 2)) ** 2).sum(axis=1))
        assert distance < 1e-3


def test_a_mesh_spreads():
    mesh = jf.Mesh.disc(1.0, 4, lambda x: 1 - (x**2).sum(axis=1))
    run = jf.flow_adaptive(jf.PowerEnergy(2.0), mesh, 0.2, tolerance=1e-2)
    fine = jf.flow(jf.Problem(jf.PowerEnergy(2.0), mesh, 0.2 / 400, 400), SecondOrder())
    moved = ((run.final.nodes - fine.final.nodes) ** 2).sum(axis=1)
    assert np.sqrt(mesh.weights @ moved) < 1e-2
    assert np.array_equal(run.final.mass, mesh.mass)


def test_times_asked_for_are_ends_of_steps():
    asked = [0.0, 0.1, 0.1003, 1.0]
    run = jf.flow_adaptive(OU, jf.Gaussian(MEAN, STD**2), 2.0, t_eval=asked, tolerance=1e-2)
    for t, nu in zip(asked, run.asked, strict=True):
        assert np.abs(run.times - t).min() <= 1e-14
        assert off(nu, t) < 1e-2
    assert repr(run).startswith("AdaptiveTrajectory(") and len(repr(run)) < 100
    # nobody's step grows faster than BDF2's energy law allows
    taus = run.problem.taus
    assert (taus[1:] / taus[:-1]).max() <= GROWTH * (1 + 1e-9)


def test_any_time_between_by_geodesics():
    run = jf.flow_adaptive(OU, jf.Gaussian(MEAN, STD**2), 2.0, tolerance=3e-3)
    for t in np.linspace(0.0, 2.0, 37):
        # |x''| of this flow is below 3: the geodesic's part is (τ²/8)|x''|
        k = max(1, np.searchsorted(run.times, t))
        assert off(run.at(t), t) < 3e-3 + 0.4 * run.problem.taus[min(k, len(run)) - 1] ** 2
    with pytest.raises(InvalidProblem):
        run.at(2.1)
    with pytest.raises(InvalidProblem):
        run.at(float("nan"))


def test_stored_and_read_back(tmp_path):
    mu = jf.Quantiles.normal(MEAN, STD, 60)
    run = jf.flow_adaptive(OU, mu, 1.0, tolerance=1e-2, store=tmp_path / "run")
    back = jf.load(tmp_path / "run")
    assert (back.energies == run.energies).all() and (back.problem.taus == run.problem.taus).all()
    problem = jf.Problem(OU, mu, run.problem.taus)
    report = jf.check_second_order(problem, tmp_path / "run")
    assert report.verdict is jf.Verdict.ACCEPTED
    other = jf.Problem(OU, mu, run.problem.taus * 1.01)
    assert jf.check_second_order(other, run).verdict is jf.Verdict.REJECTED


def test_nothing_to_do_at_equilibrium():
    mu = jf.Gaussian(0.0, 1 / (BETA * A))
    run = jf.flow_adaptive(OU, mu, 10.0)
    assert len(run) < 20 and run.error < 1e-12


class Hopeless(Stepper):
    """Good until t = 0.3 or so, and nothing after."""

    def step(self, F, mu, tau, state, rng):
        out = QuantileNewton().step(F, mu, tau, {}, rng)
        late = mu.mean()[0] < 0.5
        return out._replace(status=Status.STALLED) if late else out


def test_steps_that_become_too_short_end_the_run_with_what_there_is():
    mu = jf.Quantiles.normal(MEAN, STD, 50)
    with pytest.raises(StepFailed, match="is good enough") as caught:
        jf.flow_adaptive(OU, mu, 1.0, tolerance=1e-2, stepper=Hopeless())
    run = caught.value.trajectory
    assert len(run) > 2 and run.status is Status.FAILED and run.final.mean()[0] < 0.5
    same = jf.flow_adaptive(OU, mu, 1.0, tolerance=1e-2, stepper=Hopeless(), throw=False)
    assert len(same) == len(run)
    assert jf.check_run(jf.Problem(OU, mu, run.problem.taus), run)["completeness"]


def test_an_error_on_the_way_carries_the_steps_before():
    calls = []

    @jf.functional(gradient=lambda x, w: x)
    def moody(x, w):
        calls.append(1)
        if len(calls) > 200:
            raise ZeroDivisionError("enough")
        return float(w @ (x * x).sum(axis=1)) / 2

    with pytest.raises(InvalidFunctional) as caught:
        jf.flow_adaptive(moody, jf.Particles([1.0, 2.0]), 5.0, tolerance=1e-4)
    assert len(caught.value.trajectory) > 0


def test_a_limit_of_steps():
    run = jf.flow_adaptive(OU, jf.Gaussian(0.0, 4.0), 5.0, tolerance=1e-4, max_steps=7)
    assert len(run) == 7 and run.status is Status.MAX_STEPS


def test_a_start_that_is_far_from_smooth():
    """Uniform cells under the entropy: the ends move like √t."""
    mu = jf.Quantiles(np.linspace(-1, 1, 101))
    run = jf.flow_adaptive(jf.Entropy(), mu, 1.0, tolerance=1e-2)
    fine = jf.flow(jf.Problem(jf.Entropy(), mu, run.problem.taus.repeat(8) / 8), SecondOrder())
    assert np.sqrt(mu.weights @ (run.final.edges - fine.final.edges) ** 2) < 1e-2
    assert run.problem.taus[0] < 1e-2 * run.problem.taus.max()


BAD = {
    "t_end": [0.0, -1.0, np.nan, np.inf, "1", None, 1j],
    "tolerance": [0.0, -1e-3, np.nan, np.inf, "x"],
    "tau": [0.0, -1.0, np.nan],
    "tau_max": [0.0, np.nan],
    "max_steps": [0, 1.5, -2],
    "t_eval": [[2.0], [0.5, 0.5], [0.5, 0.2], [np.nan], [[0.5]], ["a"], [-0.1], [1j]],
    "stepper": [3, SecondOrder],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in BAD.items() for v in vs], ids=str)
def test_bad_options(name, value):
    options = {"t_end": 1.0, name: value}
    with pytest.raises(InvalidProblem):
        jf.flow_adaptive(OU, jf.Gaussian(0.0, 1.0), **options)


def test_measures_without_paths():
    with pytest.raises(InvalidProblem):
        jf.flow_adaptive(OU, np.zeros(3), 1.0)
    with pytest.raises(NotDefined):
        jf.flow_adaptive(jf.PowerEnergy(2.0), jf.Particles([0.0]), 1.0)


def test_the_longest_step_is_kept():
    run = jf.flow_adaptive(OU, jf.Gaussian(0.0, 1.0), 1.0, tolerance=0.1, tau=0.01, tau_max=0.03)
    assert run.problem.taus.max() <= 0.03 * (1 + 1e-12)


def test_the_controller_lands_without_tiny_steps():
    control = Controller(1e-3, 1.0, 2, tau=0.3)
    assert control.size(0.0, 1.0) == 0.3
    assert control.size(0.3, 1.0) == pytest.approx(0.7 / 3)
    assert control.size(0.9, 1.0) == pytest.approx(0.1)
    assert control.size(0.0, 1.0, previous=0.1) == pytest.approx(0.16)
    with pytest.raises(InvalidProblem):
        stopping_times(1.0, [1.5])


def test_local_errors_of_paths_in_closed_form():
    """x = t³ with steps k, h: the step from exact values misses by what the formula says."""
    k, h = 0.3, 0.2
    t = (0.0, 0.5, 0.5 + k, 0.5 + k + h)
    for power, alpha in ((3, h * h / k / k / (1 + 2 * h / k)), (2, 0.1), (2, 0.0)):
        x = [s**power for s in t]
        paths = Paths(t, tuple(np.array([[v]]) for v in x), np.ones(1))
        slope = power * t[3] ** (power - 1)
        missed = abs(x[2] + alpha * (x[2] - x[1]) + (h - alpha * k) * slope - x[3])
        assert local_error(paths, alpha) == pytest.approx(missed, rel=1e-9)


def test_interpolation_of_every_kind():
    between = jf.interpolate(jf.Radial([1.0, 2.0], 3), jf.Radial([3.0, 4.0], 3), 0.25)
    assert between.edges.tolist() == [1.5, 2.5] and between.dim == 3
    mesh = jf.Mesh.disc(1.0, 2)
    half = jf.interpolate(mesh, mesh.with_nodes(3 * mesh.nodes), 0.5)
    np.testing.assert_allclose(half.nodes, 2 * mesh.nodes, rtol=1e-15)
    x, y = jf.Particles([[0.0], [4.0]]), jf.Particles([[5.0], [1.0]])
    swap = Witness("pairing", {"order": np.array([1, 0])})
    assert jf.interpolate(x, y, 0.5, swap).points.ravel().tolist() == [4.5, 0.5]
    split = Witness("coupling", {
        "rows": np.array([0, 1, 1]), "columns": np.array([1, 0, 1]),
        "values": np.array([0.25, 0.5, 0.25]),
    })  # fmt: skip
    nu = jf.Particles([[5.0], [1.0]], [0.25, 0.75])
    middle = jf.interpolate(x, nu, 0.5, split)
    assert middle.points.ravel().tolist() == [4.5, 0.5, 2.5]
    assert middle.weights.tolist() == [0.25, 0.5, 0.25]


def test_geodesics_have_constant_speed():
    rng = np.random.default_rng(2)
    roots = rng.normal(size=(2, 3, 3))
    mu, nu = (jf.Gaussian(rng.normal(size=3), r @ r.T + 0.1 * np.eye(3)) for r in roots)
    whole = jf.transport.wasserstein(mu, nu)
    for t in (0.1, 0.6):
        at = jf.interpolate(mu, nu, t)
        assert jf.transport.wasserstein(mu, at) == pytest.approx(t * whole, rel=1e-10)
        assert jf.transport.wasserstein(at, nu) == pytest.approx((1 - t) * whole, rel=1e-10)


@pytest.mark.parametrize("t", [-0.1, 1.1, np.nan, "x", 1j])
def test_no_geodesic_outside(t):
    with pytest.raises(InvalidProblem):
        jf.interpolate(jf.Gaussian(0.0, 1.0), jf.Gaussian(1.0, 1.0), t)


def test_no_geodesic_between_strangers():
    pairs = [
        (jf.Gaussian(0.0, 1.0), jf.Quantiles([0.0, 1.0])),
        (jf.Quantiles([0.0, 1.0, 2.0]), jf.Quantiles([0.0, 1.0])),
        (jf.Quantiles([0.0, 1.0, 2.0], [0.2, 0.8]), jf.Quantiles([0.0, 1.0, 2.0])),
        (jf.Gaussian(0.0, 1.0), jf.Gaussian([0.0, 0.0], np.eye(2))),
    ]
    for mu, nu in pairs:
        with pytest.raises(NotDefined):
            jf.interpolate(mu, nu, 0.5)


def test_times_between_steps_that_were_not_saved():
    run = jf.flow(jf.Problem(OU, jf.Gaussian(0.0, 1.0), 0.1, 6), save=jf.every(3))
    from jkoflow.flows.interpolation import measure_at

    assert measure_at(run, 0.3).cov() == run[3].measure.cov()
    with pytest.raises(InvalidProblem):
        measure_at(run, 0.25)
