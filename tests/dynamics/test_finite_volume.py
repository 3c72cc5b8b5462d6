"""Finite volumes: what the scheme keeps exactly, its orders, exact solutions, obstacles, input."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.dynamics import finite_volume_solver
from jkoflow.dynamics.finite_volume import finite_volume
from jkoflow.dynamics.finite_volume_faces import bernoulli, bernoulli_slope
from jkoflow.dynamics.finite_volume_solver import coarsened, refined
from jkoflow.status import InvalidMeasure, InvalidProblem, JkoflowError, NotDefined, StepFailed


def well(x):
    return 2.0 * (x[:, 0] ** 2 - 1) ** 2 + 0.3 * (x[:, 1:] ** 2).sum(axis=1)


def bell(z):
    return -2.0 * np.exp(-(z**2).sum(axis=1))


def normal(mean, std):
    return lambda x: np.exp(-0.5 * ((x - mean) ** 2).sum(axis=1) / std**2)


def distance(a, b):
    """L1."""
    return float(np.abs(a.density - b.density).sum() * a.cell_volume)


def rough(shape, lower=-2.0, upper=2.0, seed=0):
    """A density with jumps and holes."""
    rng = np.random.default_rng(seed)
    rho = rng.random(shape) * (rng.random(shape) < 0.7)
    volume = ((upper - lower) ** len(shape)) / np.prod(shape)
    return jf.Grid(rho / (rho.sum() * volume), lower, upper)


def test_bernoulli_functions():
    z = np.concatenate([np.linspace(-40, 40, 801), [1e-9, -1e-9, 700.0, -700.0]])
    np.testing.assert_allclose(bernoulli(-z), bernoulli(z) + z, rtol=1e-14, atol=1e-14)
    h = 1e-5  # central differences: h²/6 and 1e-16·|B|/h, both below 1e-9 for |z| ≤ 40
    slope = (bernoulli(z[:801] + h) - bernoulli(z[:801] - h)) / (2 * h)
    np.testing.assert_allclose(bernoulli_slope(z[:801]), slope, atol=2e-9)


FUNCTIONALS = {
    "potential": lambda: jf.Potential(well),
    "Fokker–Planck": lambda: jf.Potential(well) + 0.4 * jf.Entropy(),
    "porous medium": lambda: 0.5 * jf.PowerEnergy(2.0),
    "m = 1.4": lambda: 0.5 * jf.PowerEnergy(1.4) + jf.Potential(well),
    "fast diffusion": lambda: jf.PowerEnergy(0.7),
    "aggregation": lambda: jf.Interaction(bell),
    "aggregation, cusp": lambda: jf.Interaction(lambda z: np.sqrt((z**2).sum(axis=1))),
    "McKean–Vlasov": lambda: jf.Interaction(bell) + 0.1 * jf.Entropy(),
    "risk": lambda: jf.Risk(lambda t: np.tanh(t).sum(axis=1)[None], [0.3]) + 0.2 * jf.Entropy(),
    "all": lambda: (jf.Potential(well) + jf.Interaction(bell) + jf.QuadraticInteraction(0.7)
                    + 0.1 * jf.Entropy() + jf.PowerEnergy(3.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONALS)
@pytest.mark.parametrize("shape", [(40,), (16, 22), (6, 8, 5)])
@pytest.mark.parametrize("dt", [0.01, 2.0])
def test_energy_falls_mass_stays_and_nothing_is_negative(name, shape, dt):
    F = FUNCTIONALS[name]()
    run = finite_volume(F, rough(shape), dt=dt, steps=4)
    # rounding: the tolerance is 1e-12 of the mass, times a potential of order 10
    assert (np.diff(run.energies) < 1e-10).all() and run.energies[-1] < run.energies[0] - 1e-6
    for mu in run.measures:
        assert (mu.density >= 0).all()
        assert abs(mu.weights.sum() - 1) < 1e-13
    np.testing.assert_array_equal(run.times, dt * np.arange(5))


@pytest.mark.parametrize("shape", [(50,), (24, 30), (9, 8, 10), (20, 20, 20)])
def test_discrete_gibbs_states_do_not_move(shape):
    c = 0.37
    g = np.exp(-well(rough(shape).points) / c)
    mu = rough(shape).with_density((g / (g.sum() * rough(shape).cell_volume)).reshape(shape))
    run = finite_volume(jf.Potential(well) + c * jf.Entropy(), mu, dt=0.7, steps=30)
    # twenty cubed cells go by BiCGSTAB, which finds nothing to do
    assert np.abs(run.final.density / mu.density - 1).max() < 1e-13
    assert np.abs(run.final.density - mu.density).max() < 2e-15 * mu.density.max()


def test_order_two_in_h_with_scharfetter_and_gummel():
    F = jf.Potential(well) + 0.4 * jf.Entropy()
    runs = {}
    for n in (16, 32, 64, 256):
        mu = jf.Grid.from_function(normal(0.5, 0.5), [-2.5, -2], [2.5, 2], (n, n), rule=4)
        runs[n] = finite_volume(F, mu, dt=0.05, steps=4).final
    while len(runs[256].density) > 64:
        runs = {**runs, 256: jf.Grid(coarsened(runs[256].density), [-2.5, -2], [2.5, 2])}
    fine = [runs[256]]
    for _ in range(2):
        fine.insert(0, jf.Grid(coarsened(fine[0].density), [-2.5, -2], [2.5, 2]))
    errors = [distance(runs[n], f) for n, f in zip((16, 32, 64), fine, strict=True)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert abs(orders[-1] - 2) < 0.2  # the reference's own error is 1/16 of the last: .09


def test_order_one_in_h_upwind_and_in_dt():
    def barenblatt(t):
        """Of ∂_t ρ = (ρ²)'' with mass 1: t^(−1/3)(A − x²/(12 t^(2/3)))⁺."""
        a = (0.75 / np.sqrt(12)) ** (2 / 3)
        return lambda x: np.maximum(a - x[:, 0] ** 2 / (12 * t ** (2 / 3)), 0) / t ** (1 / 3)

    errors = []
    for n in (100, 200, 400):  # h and dt together
        mu = jf.Grid.from_function(barenblatt(0.1), -2.0, 2.0, n, rule=6)
        run = finite_volume(jf.PowerEnergy(2.0), mu, dt=2.0 / n, t_end=0.2)
        exact = jf.Grid.from_function(barenblatt(0.3), -2.0, 2.0, n, rule=6)
        errors.append(distance(run.final, exact))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert abs(orders[-1] - 1) < 0.25  # the corner at the front costs some
    F = jf.Potential(well) + 0.4 * jf.Entropy()
    mu = jf.Grid.from_function(normal(0.5, 0.5), [-2.5, -2], [2.5, 2], (24, 24))
    ends = [finite_volume(F, mu, dt=0.4 / k, steps=k).final for k in (4, 8, 16, 256)]
    errors = [distance(end, ends[-1]) for end in ends[:-1]]
    assert abs(np.log2(errors[1] / errors[2]) - 1) < 0.15  # reference: 1/16 of the last error


def test_an_ornstein_uhlenbeck_process_is_followed():
    a, beta, T = 1.5, 2.0, 0.6
    mu = jf.Grid.from_function(normal(1.0, 0.4), -4.0, 4.0, 400)
    F = jf.QuadraticPotential(a) + jf.Entropy() / beta
    coarse, fine = (finite_volume(F, mu, dt=T / k, steps=k).final for k in (40, 80))
    for exact, at in [(np.exp(-a * T), lambda m: m.mean()[0]),
                      (1 / (a * beta) + (0.16 - 1 / (a * beta)) * np.exp(-2 * a * T),
                       lambda m: m.cov()[0, 0])]:  # fmt: skip
        # extrapolated in dt; what remains is O(dt²) and h² = 4e-4 a fifth of which shows
        assert 2 * at(fine) - at(coarse) == pytest.approx(exact, abs=3e-4)


def test_porous_medium_in_a_bowl_ends_where_it_should():
    F = jf.PowerEnergy(2.0) + jf.QuadraticPotential(1.0)
    mu = jf.Grid.from_function(normal(0.0, 0.5), [-1.8, -1.8], [1.8, 1.8], (72, 72))
    run = finite_volume(F, mu, dt=1.0, steps=25)
    assert run.energies[-1] == pytest.approx(0.5319230405, abs=0.05**2)  # h², as it is a minimum


def test_back_and_forth_and_finite_volumes_agree_in_the_limit():
    """Both are first order in the step, with different constants, towards one solution."""
    F = jf.Potential(lambda x: 0.5 * x[:, 0] ** 2 + x[:, 1] ** 2) + 0.5 * jf.Entropy()
    mu = jf.Grid.from_function(normal(0.4, 0.35), [-1.8, -1.8], [1.8, 1.8], (64, 64))
    found = {"jko": [], "volumes": []}
    for k in (2, 4):
        problem = jf.Problem(F, mu, 0.16 / k, steps=k)
        found["jko"].append(jf.flow(problem, jf.steppers.BackAndForth(tolerance=1e-5)).final)
        found["volumes"].append(finite_volume(F, mu, dt=0.16 / k, steps=k).final)
    apart = [distance(a, b) for a, b in zip(*found.values(), strict=True)]
    assert 1.5 < apart[0] / apart[1] < 2.2  # first order, and what h² adds
    limits = [2 * fine.density - coarse.density for coarse, fine in found.values()]
    assert np.abs(limits[0] - limits[1]).sum() * mu.cell_volume < 0.45 * apart[1]


def test_interactions_keep_the_mean_and_the_discrete_chain_of_the_mean_potential():
    mu = jf.Grid.from_function(normal(0.3, 0.5), -3.0, 3.0, 120)
    W = jf.Interaction(lambda z: 0.5 * (z**2).sum(axis=1))  # κ = 1
    run = finite_volume(W + 0.1 * jf.Entropy(), mu, dt=0.02, t_end=3.0)
    assert run.final.mean()[0] == pytest.approx(mu.mean()[0], abs=1e-9)
    assert run.final.cov()[0, 0] == pytest.approx(0.1, rel=0.01)  # 1/(βκ), up to h² = .0025/12


def test_no_mass_goes_where_the_potential_is_infinite():
    def barrier(x):
        closed = (np.abs(x[:, 0]) < 0.1) & (np.abs(x[:, 1]) > 0.2)
        return np.where(closed, np.inf, 0.0)

    def wall(x):
        return np.where(np.abs(x[:, 0]) < 0.1, np.inf, 0.0)

    left = jf.Grid.from_function(lambda x: 1.0 * (x[:, 0] < -0.5), [-1, -1], [1, 1], (40, 40))
    for energy in (jf.Entropy(), jf.PowerEnergy(2.0)):
        shut = finite_volume(jf.Potential(wall) + energy, left, dt=0.5, steps=20).final
        assert shut.density[20:].max() == 0.0
        np.testing.assert_allclose(shut.density[:18], 1 / 1.8, rtol=1e-9)  # 18 of 40 cells
        gap = finite_volume(jf.Potential(barrier) + energy, left, dt=0.5, steps=200).final
        free = np.isfinite(barrier(gap.points)).reshape(40, 40)
        assert (gap.density[~free] == 0).all()
        np.testing.assert_allclose(gap.density[free], gap.density[free].mean(), rtol=1e-6)


def test_coarse_and_fine_cells():
    rho = np.random.default_rng(0).random((6, 8, 4))
    np.testing.assert_allclose(refined(rho).sum(), 8 * rho.sum(), rtol=1e-14)
    np.testing.assert_allclose(coarsened(np.repeat(rho, 2, axis=1)).sum(), rho.sum() / 4)
    line = np.arange(8.0)
    np.testing.assert_allclose(refined(line)[1:-1], np.arange(0.25, 7.0, 0.5))


def test_the_diagonal_serves_where_no_factorisation_fits(monkeypatch):
    mu = rough((9, 10, 8))
    F = jf.Potential(well) + 0.4 * jf.Entropy()
    G = F + jf.PowerEnergy(2.0)
    direct = [finite_volume(f, mu, dt=0.3, steps=3) for f in (F, G)]
    monkeypatch.setitem(finite_volume_solver._LARGEST_DIRECT, 3, 100)
    for f, run in zip((F, G), direct, strict=True):
        other = finite_volume(f, mu, dt=0.3, steps=3)
        assert other.factorisations == 0 < run.factorisations
        assert distance(other.final, run.final) < 1e-11  # ten times the tolerance


def test_steps_that_newton_cannot_take_are_taken_in_parts():
    F, mu = jf.PowerEnergy(3.0), rough((64,))
    run = finite_volume(F, mu, dt=0.5, steps=2, max_iterations=4)
    assert run.substeps > 2 and run.times[-1] == 1.0 and (np.diff(run.energies) < 0).all()
    with pytest.raises(StepFailed, match="smaller dt") as caught:
        finite_volume(F, mu, dt=0.5, steps=2, max_iterations=1)
    assert caught.value.trajectory.final is mu and not caught.value.trajectory.status.ok
    assert len(finite_volume(F, mu, dt=0.5, steps=2, max_iterations=1, throw=False).times) == 1


def test_what_is_recorded():
    F, mu = jf.Entropy(), rough((20,))
    run = finite_volume(F, mu, dt=0.1, t_end=1.0, record=[0.0, 0.31])
    np.testing.assert_allclose(run.recorded, [0.0, 0.3, 1.0])  # and the end
    assert run.at(0.33) is run.measures[1] and len(run.energies) == 11
    steps = finite_volume(F, mu, dt=[0.1, 0.2], record=[0.3])
    assert steps.factorisations == 2
    np.testing.assert_allclose(steps.times, [0.0, 0.1, 0.3])


def test_bad_input():
    mu, F = rough((10,)), jf.Entropy()
    obstacle = jf.Potential(lambda x: np.where(np.abs(x[:, 0]) < 1, np.inf, 0.0))
    for what, error in [
        (lambda: finite_volume(F, jf.Gaussian(0.0, 1.0), dt=0.1, steps=1), InvalidMeasure),
        (lambda: finite_volume("F", mu, dt=0.1, steps=1), InvalidProblem),
        (lambda: finite_volume(F, mu, dt=0.1), InvalidProblem),
        (lambda: finite_volume(F, mu, dt=-0.1, steps=1), InvalidProblem),
        (lambda: finite_volume(F, mu, dt=np.nan, steps=1), InvalidProblem),
        (lambda: finite_volume(F, mu, dt=0.1, steps=1, tolerance=0), InvalidProblem),
        (lambda: finite_volume(F, mu, dt=0.1, steps=1, max_iterations=0), InvalidProblem),
        (lambda: finite_volume(F, mu, dt=0.1, steps=1, record=[2.0]), InvalidProblem),
        (lambda: finite_volume(F, mu, dt=0.1, steps=1, record=[np.nan]), JkoflowError),
        (lambda: finite_volume(F + jf.Congestion(9.0), mu, dt=0.1, steps=1), NotDefined),
        (lambda: finite_volume(-1.0 * F, mu, dt=0.1, steps=1), NotDefined),
        (lambda: finite_volume(-1.0 * jf.PowerEnergy(2.0), mu, dt=0.1, steps=1), NotDefined),
        (lambda: finite_volume(F + obstacle, mu, dt=0.1, steps=1), InvalidMeasure),
        (lambda: finite_volume(jf.Potential(lambda x: np.nan * x[:, 0]), mu, dt=0.1, steps=1),
         JkoflowError),
    ]:  # fmt: skip
        with pytest.raises(error):
            what()
