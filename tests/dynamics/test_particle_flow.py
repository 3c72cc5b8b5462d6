"""Euler's method on particles: against closed forms, the implicit flow, and its own noise law."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import Particles, QuadraticPotential
from jkoflow.dynamics.particle_flow import of_batches, of_functional, particle_flow
from jkoflow.networks import EmpiricalData, SimpleUnit, data_risk, tanh
from jkoflow.networks.manifolds import Sphere, uniform_on_sphere
from jkoflow.networks.sphere import SphereUnit, SpinRisk
from jkoflow.networks.spin import ThreeSpin
from jkoflow.status import InvalidMeasure, InvalidProblem, NotDefined, StepFailed


def test_it_is_of_first_order():
    errors = []
    for steps in (50, 100):
        run = particle_flow(QuadraticPotential(2.0), [[1.5]], dt=1.0 / steps, steps=steps)
        errors.append(abs(run.theta[0, 0] - 1.5 * np.exp(-2.0)))
    assert 1.9 < errors[0] / errors[1] < 2.1


def test_on_the_sphere_it_descends_and_stays():
    f = ThreeSpin.draw(4, rng=0)
    unit = SphereUnit(4, 1.0)
    R = SpinRisk(f, unit)
    rng = np.random.default_rng(1)
    theta = np.column_stack([rng.normal(size=30), uniform_on_sphere(30, 4, 2.0, rng)])
    run = particle_flow(0.5 * R, theta, dt=0.05, steps=200, manifold=unit.manifold,
                        record=np.arange(0, 10.1, 0.5))  # fmt: skip
    assert all(unit.manifold.contains(snapshot) for snapshot in run.snapshots)
    risks = run.values(R)
    assert (np.diff(risks) < 0).all() and risks[-1] < 0.3 * risks[0]


def test_it_agrees_with_the_jko_flow():
    """The risk's value off the sphere makes the flow in R^{1+d} stay on it, up to O(τ)."""
    f, unit = ThreeSpin.draw(3, rng=2), SphereUnit(3, 1.0)
    R = SpinRisk(f, unit)
    rng = np.random.default_rng(3)
    theta = np.column_stack([rng.normal(size=10), uniform_on_sphere(10, 3, 3**0.5, rng)])
    gaps = []
    for tau in (0.02, 0.01):
        implicit = jf.flow(jf.Problem(0.5 * R, Particles(theta), tau=tau, t_end=1.0)).final
        steps = round(1 / tau)
        explicit = particle_flow(0.5 * R, theta, dt=tau, steps=steps, manifold=unit.manifold)
        gaps.append(np.abs(implicit.points - explicit.theta).max())
    assert gaps[1] < 0.05 and 1.7 < gaps[0] / gaps[1] < 2.3  # both are of first order


def test_batches_are_unbiased_with_variance_one_over_their_size():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(50, 2))
    data, unit = EmpiricalData(x, np.sign(x[:, 0])), SimpleUnit(tanh)
    theta = rng.normal(size=(3, 2))
    exact = of_functional(0.5 * data_risk(unit, data.x, data.y))(theta, rng)
    spread = {}
    for batch in (4, 16):
        draws = np.array([of_batches(unit, data, batch)(theta, rng) for _ in range(3000)])
        error = draws.std(axis=0) / np.sqrt(len(draws))
        assert (np.abs(draws.mean(axis=0) - exact) < 4.5 * error).all()
        spread[batch] = draws.var(axis=0).sum()
    assert spread[4] / spread[16] == pytest.approx(4.0, rel=0.15)  # 3000 draws: 3% each


def test_records_are_at_their_times_and_runs_repeat():
    x = np.random.default_rng(5).normal(size=(20, 2))
    velocity = of_batches(SimpleUnit(tanh), EmpiricalData(x, np.sign(x[:, 0])), 2)
    runs = [particle_flow(velocity, x[:4], dt=0.1, steps=10, record=[0.0, 0.3], rng=7)
            for _ in range(2)]  # fmt: skip
    np.testing.assert_allclose(runs[0].times, [0.0, 0.3, 1.0])
    assert np.array_equal(runs[0].theta, runs[1].theta)
    assert np.array_equal(runs[0].snapshots[0], x[:4])
    assert not np.array_equal(
        runs[0].theta, particle_flow(velocity, x[:4], dt=0.1, steps=10, rng=8).theta
    )


def test_bad_input():
    F, x = QuadraticPotential(1.0), [[1.0, 0.0]]
    for options in ({"dt": 0.0}, {"dt": np.nan}, {"steps": -1}, {"steps": 2.5}, {"record": [9.0]}):
        with pytest.raises(InvalidProblem):
            particle_flow(F, x, **{"dt": 0.1, "steps": 3, **options})
    for theta in ([1.0], [[np.nan]], np.zeros((0, 2)), Particles(np.eye(2), [0.3, 0.7])):
        with pytest.raises(InvalidMeasure):
            particle_flow(F, theta, dt=0.1, steps=1)
    with pytest.raises(InvalidMeasure, match="retract"):
        particle_flow(F, x, dt=0.1, steps=1, manifold=Sphere(2.0))
    with pytest.raises(InvalidProblem, match="shape"):
        particle_flow(lambda theta, rng: theta[:1, :1], x, dt=0.1, steps=1)
    with pytest.raises(NotDefined):
        particle_flow(F + jf.Entropy(), x, dt=0.1, steps=1)
    with pytest.raises(StepFailed, match="smaller dt"):
        particle_flow(QuadraticPotential(1e200), x, dt=1e200, steps=3)
