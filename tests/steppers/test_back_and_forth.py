"""Steps of densities on grids: exact solutions with their rates, proofs, walls, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import erf

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt_speed
from jkoflow.status import InvalidProblem, MissingStructure, NotDefined
from jkoflow.steppers import BackAndForth, QuantileNewton
from jkoflow.steppers.back_and_forth.potential import Linearised


def step(F, mu, tau, **options):
    out = BackAndForth(**options).step(F, mu, tau, {}, None)
    assert out.status.ok, out.status
    return out


def gap(F, out, tau):
    """Primal value, with the coupling's cost, less the dual value."""
    return F.value(out.measure) + out.stats["coupling_cost"] / (2 * tau) - out.stats["dual_value"]


def l1(a, b):
    return float(np.abs(a.density - b.density).sum() * a.cell_volume)


def paraboloid(radius, n, dim=2, sub=6):
    """Barenblatt's profile for m = 2 on [0, 1]^dim, in cell averages."""
    x = (np.arange(n * sub) + 0.5) / (n * sub) - 0.5
    r2 = sum(np.meshgrid(*[x**2] * dim, indexing="ij"))
    split = [k for _ in range(dim) for k in (n, sub)]
    f = np.maximum(0, 1 - r2 / radius**2).reshape(split).mean(axis=tuple(range(1, 2 * dim, 2)))
    return jf.Grid(f / f.mean(), 0, 1)


def next_radius(radius, gamma, tau):
    """Implicit Euler for the scale, s³(s − R) = τ·8γ/π in the plane: the energy is γ∫ρ²,
    with ∫ρ² = 4/(3πs²) and W2² = (s − R)²/3."""
    roots = np.roots([1.0, -radius, 0.0, 0.0, -8.0 * gamma * tau / np.pi])
    return float(max(r.real for r in roots if abs(r.imag) < 1e-12))


def normal(std, shape, centre=0.0, half=0.5):
    """A Gaussian's cell averages on [−half, half]^d."""
    factors = []
    for n in shape:
        edges = np.linspace(-half, half, n + 1)
        factors.append(np.diff(erf((edges - centre) / std / np.sqrt(2))))
    f = factors[0]
    for other in factors[1:]:
        f = np.multiply.outer(f, other)
    return jf.Grid(f / f.sum() * np.prod([n / (2 * half) for n in shape]), -half, half)


def next_std(std, c, a, tau):
    """F = cH + (a/2)|x|²."""
    k = 1.0 + a * tau
    return (std + np.sqrt(std**2 + 4.0 * k * tau * c)) / (2.0 * k)


def in_cells(shape: tuple[int, ...], masses: dict[tuple[int, ...], float]) -> jf.Grid:
    """A grid on [−1, 1]^d with its mass in few cells."""
    density = np.zeros(shape)
    for cell, mass in masses.items():
        density[cell] = mass * density.size / 2.0**density.ndim
    return jf.Grid(density, -1, 1)


@pytest.mark.parametrize(("gamma", "tau", "radius"), [(0.05, 0.005, 0.1), (0.02, 0.02, 0.15)])
def test_porous_medium_of_second_order(gamma, tau, radius) -> None:
    assert next_radius(1.0, 1.0, 0.1) == pytest.approx(1.1622122816, abs=1e-9)
    errors = []
    for n in (64, 128):
        mu, F = paraboloid(radius, n), jf.PowerEnergy(2.0, gamma)
        out = step(F, mu, tau)
        errors.append(l1(out.measure, paraboloid(next_radius(radius, gamma, tau), n)))
        assert out.measure.weights.sum() == pytest.approx(1.0, abs=1e-13)
        assert 0 < gap(F, out, tau) < 0.05 * (F.value(mu) - F.value(out.measure))
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] > 2.8  # order 1.5 at least, where the edge falls into a cell


@pytest.mark.parametrize(("std", "c", "a", "tau", "centre"), [
    (0.08, 0.05, 1.0, 0.01, 0.0), (0.1, 0.002, 1.0, 0.5, 0.1), (0.06, 0.02, -0.5, 0.04, -0.05),
])  # fmt: skip
def test_fokker_planck_of_second_order(std, c, a, tau, centre) -> None:
    errors = []
    for n in (48, 96):
        mu, F = normal(std, (n, n), centre), c * jf.Entropy() + jf.QuadraticPotential(a)
        # the default tolerance leaves up to 1e-4 of densities that hardly change
        out = BackAndForth(tolerance=1e-9).step(F, mu, tau, {}, None)
        exact = normal(next_std(std, c, a, tau), (n, n), centre / (1 + a * tau))
        errors.append(l1(out.measure, exact))
    assert errors[1] < 2e-3 and errors[0] / errors[1] > 2.5


def heavy_tailed(m, b, s=1.0):
    """Fast diffusion's Barenblatt profile in the plane, (1 + r²/b²)^(−1/(1−m)), mass 1, scaled."""
    k = 1.0 / (1.0 - m)
    top = (k - 1.0) / (np.pi * b**2)  # ∫(1 + r²/b²)^(−k) dx = πb²/(k − 1)
    return lambda x: top / s**2 * (1.0 + (x**2).sum(axis=1) / (b * s) ** 2) ** -k, top


@pytest.mark.parametrize(("m", "c", "b", "tau"), [(0.8, 0.05, 0.3, 0.02), (0.7, 0.02, 0.25, 0.05)])
def test_fast_diffusion_of_second_order(m, c, b, tau) -> None:
    """Barenblatt stays Barenblatt: u'(ρ) is quadratic in r, with ∂u'/∂r = −αr at scale 1, so
    that s − 1 = ταs^(2(1−m)−1)."""
    f, top = heavy_tailed(m, b)
    alpha = 2.0 * c * m / (1.0 - m) * top ** (m - 1.0) / b**2
    s = brentq(lambda s: s - 1.0 - tau * alpha * s ** (2.0 * (1.0 - m) - 1.0), 1.0, 10.0)
    errors = []
    for n in (64, 128):
        before = jf.Grid.from_function(f, [-3, -3], [3, 3], (n, n))
        exact = jf.Grid.from_function(heavy_tailed(m, b, s)[0], [-3, -3], [3, 3], (n, n))
        out = step(jf.PowerEnergy(m, c), before, tau)
        assert out.stats["iterations"] < 150  # the metric knows of heavy tails
        errors.append(l1(out.measure, exact))
    assert errors[1] < 0.03 * l1(before, exact)
    # three and more while h is b/3 and b/6: 2.8 from b/5 to b/10, and falling
    assert np.log2(errors[0] / errors[1]) > 1.8


def test_sums_of_internal_energies_reach_their_gibbs_density() -> None:
    """Long steps end where u'(ρ) + V is constant: at τ = 10 the next one moves nothing."""
    F = 0.1 * jf.Entropy() + jf.PowerEnergy(2.0, 0.05) + jf.QuadraticPotential(1.0, [0.1, 0.0])
    rho = jf.Grid.from_function(lambda x: np.exp(-4 * x[:, 0] ** 2), [-1, -1], [1, 1], (32, 32))
    for _ in range(3):
        rho = step(F, rho, 10.0).measure
    level = F.first_variation(rho, rho.points)
    held = rho.weights > 1e-4 * rho.weights.max()
    # cell means of smooth densities are off by h²/24 of second derivatives
    assert np.ptp(level[held]) < 0.02


def test_the_coupling_is_a_proof() -> None:
    mu, F, tau = paraboloid(0.15, 40), jf.PowerEnergy(2.0, 0.02), 0.02
    out = step(F, mu, tau)
    w = out.witness.arrays
    i, j, m = w["rows"], w["columns"], w["values"]
    n = mu.weights.size
    assert (m > 0).all()
    assert np.bincount(i, m, n) == pytest.approx(out.measure.weights, abs=1e-15)
    assert np.bincount(j, m, n) == pytest.approx(mu.weights, abs=1e-15)
    cost = ((out.measure.points[i] - mu.points[j]) ** 2).sum(axis=1)
    upper = m @ cost
    assert upper == pytest.approx(out.stats["coupling_cost"], rel=1e-12)
    assert out.distance_squared <= upper <= out.distance_squared + 4 * (mu.spacing**2).sum()
    # the potential's dual value, over the cells' centres, is below every step's objective
    psi, x = w["potential"].ravel(), mu.points
    square = ((x[:, None] - x) ** 2).sum(axis=2)
    phi = (square / (2 * tau) - psi).min(axis=1)
    price = np.maximum(-phi, 0.0)
    value = mu.weights @ psi - (price**2 / (4 * 0.02)).sum() * mu.cell_volume
    assert value <= F.value(out.measure) + upper / (2 * tau) + 1e-12


def test_what_rounding_leaves_over_is_in_no_small_cell() -> None:
    """From a start in one cell, all others have too much; what is left is hidden where most is."""
    mu = in_cells((24, 24), {(0, 0): 1.0})
    F = jf.Entropy() + jf.QuadraticPotential(3.0)
    out = step(F, mu, 0.5 * (8 / 12) ** 2)
    w, rho = out.witness.arrays, out.measure.weights
    assert rho.min() < 1e-6  # in cells in which rounding would show
    rows = np.bincount(w["rows"], w["values"], mu.weights.size)
    np.testing.assert_allclose(rows, rho, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize(("n", "cells"), [(64, 8), (64, 16), (128, 16)])
def test_a_start_in_two_cells_of_the_line(n: int, cells: int) -> None:
    """The coupling's cost is above W2² by what centres do not tell of the two cells' masses, many
    times what cells hide elsewhere; the step is that of the two uniform pieces."""
    h = 2.0 / n
    mu = in_cells((n,), {(n // 4,): 1 / 3, (n // 2,): 2 / 3})
    tau = 0.5 * (cells * h) ** 2
    out = step(jf.Entropy(), mu, tau)
    assert out.status is jf.Status.CONVERGED
    assert out.stats["gap"] > 8 * out.stats["resolution"]
    q = np.linspace(0.0, 1.0, 3001)
    left, right = -1 + h * (n // 4), -1 + h * (n // 2)
    edges = np.where(q <= 1 / 3, left + 3 * h * q, right + 1.5 * h * (q - 1 / 3))
    pieces = jf.Quantiles(edges)
    law = jf.flow(jf.Problem(jf.Entropy(), pieces, tau, steps=1, walls=(-1, 1))).final
    mass = np.diff(law.cdf(np.linspace(-1.0, 1.0, n + 1)))
    # where the two meet, points of half a cell go either way, each some 0.05/cells of the mass
    assert np.abs(out.measure.mass - mass).sum() < 0.1 / cells


def test_on_the_line_against_quantiles() -> None:
    F = 0.3 * jf.Entropy() + jf.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2)
    grid = jf.Grid.from_function(lambda x: np.exp(-((x[:, 0] - 0.3) ** 2)), -2.5, 2.5, 400)
    out = step(F, grid, 0.05)
    cells = jf.Quantiles(np.linspace(-2.5, 2.5, 401), grid.mass)
    law = QuantileNewton().step(F, cells, 0.05, {}, None).measure
    edges = np.linspace(-2.5, 2.5, 401)
    mass = np.diff(law.cdf(edges))
    # the line is unbounded for the cells and walled for the grid: tails of 1e-4 differ
    assert np.abs(out.measure.mass - mass).sum() < 2e-3


def test_heat_in_three_dimensions() -> None:
    mu = normal(0.12, (24, 26, 28))
    out = step(jf.Entropy(), mu, 0.001)
    assert l1(out.measure, normal(next_std(0.12, 1.0, 0.0, 0.001), (24, 26, 28))) < 2e-2


def test_unequal_spacings() -> None:
    mu = normal(0.1, (60, 90))
    out = step(0.02 * jf.Entropy(), mu, 0.05)
    assert l1(out.measure, normal(next_std(0.1, 0.02, 0.0, 0.05), (60, 90))) < 3e-3


def test_nothing_enters_an_obstacle() -> None:
    def blocked(x):
        return (x[:, 0] - 0.3) ** 2 + x[:, 1] ** 2 < 0.1

    V = jf.Potential(lambda x: np.where(blocked(x), np.inf, (x[:, 0] - 1) ** 2))
    F, start = 0.1 * jf.Entropy() + V, lambda x: np.exp(-2 * (x**2).sum(axis=1)) * ~blocked(x)
    mu = jf.Grid.from_function(start, -2, 2, (64, 64), rule=1)
    problem = jf.Problem(F, mu, tau=0.1, steps=4)
    run = jf.flow(problem)
    assert (np.diff(run.energies) < 0).all() and np.isfinite(run.energies).all()
    assert run.final.weights[blocked(mu.points)].sum() == 0.0
    assert run.final.mean()[0] > 0.3


def test_interaction_by_linearising() -> None:
    """F = γ∫ρ² − ½∬exp(−|x−y|²): the step's own optimality, φ + δF constant where ρ > 0."""
    mu = jf.Grid.from_function(
        lambda x: np.exp(-2 * (x**2).sum(axis=1)) * (1 + 0.5 * np.sin(3 * x[:, 0])),
        -2, 2, (64, 64),
    )  # fmt: skip
    F = jf.PowerEnergy(2.0, 0.1) + jf.Interaction(lambda z: -np.exp(-(z**2).sum(axis=1)))
    out = step(F, mu, 0.2)
    assert F.value(out.measure) + out.distance_squared / 0.4 < F.value(mu)
    # −ψ^c by brute force over the cells' centres, against δF/δρ of the new density itself
    psi, x = out.witness.arrays["potential"].ravel(), mu.points
    price = -np.concatenate([
        (((y - x) ** 2).sum(axis=1) / 0.4 - psi).min(keepdims=True) for y in x
    ])  # fmt: skip
    held = out.measure.density.ravel() > 0.05
    balance = price[held] - F.first_variation(out.measure, x)[held]
    # prices read at centres are off by up to Σh²/8τ = 4.9e-3
    assert np.ptp(balance) < out.stats["resolution"] < 0.02 * np.ptp(price[held])


def test_attraction_stronger_than_the_transport() -> None:
    """Coarse rounds may end below the minimum; later ones were then damped to a standstill."""
    a, k, beta, tau, mean, std = 0.6, 1.1, 3.0, 0.3, 0.5, 0.8
    F = jf.QuadraticPotential(a) + jf.QuadraticInteraction(k) + jf.Entropy() / beta
    rho = jf.Grid.from_function(lambda x: np.exp(-0.5 * ((x[:, 0] - mean) / std) ** 2), -5, 5, 200)
    out = BackAndForth().step(F, rho, tau, {}, None)
    c = 1.0 + (a + k) * tau
    exact = (std + (std**2 + 4 * c * tau / beta) ** 0.5) / (2 * c)
    assert out.status is jf.Status.CONVERGED
    assert out.stats["gap"] < 5 * out.stats["resolution"]
    h = rho.spacing[0]  # moments are of second order in it
    assert abs(out.measure.mean()[0] - mean / (1 + a * tau)) < 0.1 * h**2
    assert abs(out.measure.cov()[0, 0] ** 0.5 - exact) < 0.1 * h**2


def test_blow_up_is_said_to_be_one() -> None:
    """Keller and Segel's attraction at 2.5 times the critical mass: all into four middle cells."""
    start = jf.Grid.from_function(lambda x: np.exp(-20 * (x**2).sum(axis=1)), -1, 1, (48, 48))
    F = jf.Entropy() + jf.Interaction(lambda z: 10.0 * np.log(np.linalg.norm(z, axis=1)))
    out = BackAndForth().step(F, start, 0.02, {}, None)
    assert out.status is jf.Status.UNRESOLVED and out.measure.weights.max() > 0.2


def test_steps_go_on_from_the_last_potential() -> None:
    F, tau = jf.PowerEnergy(2.0, 0.05), 0.005
    first = step(F, paraboloid(0.1, 64), tau)
    warm = BackAndForth().step(F, first.measure, tau, first.state, None)
    cold = BackAndForth().step(F, first.measure, tau, {}, None)
    assert l1(warm.measure, cold.measure) < 2e-3


def test_what_cannot_be_stepped() -> None:
    mu = paraboloid(0.2, 16)
    with pytest.raises(NotDefined, match="Grid"):
        BackAndForth().step(jf.Entropy(), jf.Gaussian(0.0, 1.0), 0.1, {}, None)
    with pytest.raises(MissingStructure, match="internal"):
        BackAndForth().step(jf.QuadraticPotential(1.0), mu, 0.1, {}, None)
    with pytest.raises(MissingStructure, match="box"):
        BackAndForth().step(jf.Congestion(0.5), mu, 0.1, {}, None)
    for wrong in ({"tolerance": 0.0}, {"refine": 0}, {"memory": -1}, {"max_iterations": 1.5}):
        with pytest.raises(InvalidProblem):
            BackAndForth(**wrong)


def test_many_short_steps_of_a_porous_medium():
    """A hundred steps that move mass by parts of a cell: no ripples, and nothing sticks."""
    c, t, start = 0.05 / 8, 0.5, paraboloid(0.15, 64, dim=1)
    run = jf.flow(jf.Problem(jf.PowerEnergy(2.0, c), start, t / 128, 128), save=jf.only_last())
    radius = (0.15**3 + 3 * barenblatt_speed(2.0, c, 1) * t) ** (1 / 3)
    # in time 1.4e-3 of 128 steps' first order, and that of the cells at the edge
    assert l1(run.final, paraboloid(radius, 64, dim=1)) < 4e-3
    bend = np.abs(np.diff(run.final.density, 2)).max() / run.final.density.max()
    assert bend < 0.12  # what a ripple shows: the kink at the edge has 2h/R = .09


def test_an_ascent_that_stops_where_much_is_missing_is_no_step():
    """A gap of a few resolutions says nothing of a step that moves mass by a part of a cell."""
    mu, F, tau = paraboloid(0.15, 64, dim=1), jf.PowerEnergy(2.0, 0.05 / 8), 2e-3
    out = BackAndForth(max_iterations=1).step(F, mu, tau, {}, None)
    assert out.stats["gap"] < 8 * out.stats["resolution"]
    assert out.stats["missing"] > 1e-2 and out.status is jf.Status.MAX_ITERATIONS
    full = BackAndForth().step(F, mu, tau, {}, None)
    assert full.stats["missing"] < 1e-6 and full.status is jf.Status.CONVERGED


def test_a_step_whose_linearisations_do_not_settle_is_not_called_converged() -> None:
    """Repulsion is linearised at the new density. That the linearised step is right to what the
    cells hide says nothing of the step, whose energy may rise."""
    mu = jf.Grid.from_function(
        lambda x: np.exp(-0.5 * ((x - 0.2) ** 2).sum(axis=1) / 0.36), [-2, -2], [2, 2], (12, 12)
    )
    F, tau = jf.QuadraticInteraction(-0.2) + jf.PowerEnergy(3.0), 4.0
    out = BackAndForth().step(F, mu, tau, {}, None)
    after = F.value(out.measure) + out.stats["coupling_cost"] / (2.0 * tau)
    assert after < F.value(mu) + 8.0 * out.stats["resolution"] or not out.status.ok


@pytest.mark.parametrize(("depth", "waves"), [(186.0, 2.0), (90.0, 2.2), (40.0, 3.0)])
def test_steps_between_wells_end_where_mass_arrives(depth: float, waves: float) -> None:
    """At watersheds whole points go either way: an ascent ends at such a kink, with a gap of 14 to
    31 resolutions, unless points become finer."""
    V = jf.Potential(lambda x: depth * (1.0 - np.cos(waves * x[:, 0] - 0.3)),
                     gradient=lambda x: depth * waves * np.sin(waves * x - 0.3))  # fmt: skip
    start = jf.Grid.from_function(lambda x: np.exp(-((x[:, 0] + 1.4) ** 2) / 5.8), -3.75, 3.75, 172)
    F = 2.1 * jf.PowerEnergy(2.0) + V
    out = BackAndForth().step(F, start, 0.0103, {}, None)
    assert out.status is jf.Status.CONVERGED
    assert out.stats["gap"] < 8 * out.stats["resolution"]
    report = jf.check_step(F, start, out.measure, 0.0103, witness=out.witness)
    assert report["minimality"].verdict is jf.Verdict.ACCEPTED
    assert report.verdict is not jf.Verdict.REJECTED


@pytest.mark.parametrize("n", [44, 86, 120])
def test_repulsion_is_linearised_until_prices_are_right(n: int) -> None:
    """The mean is where that of 4000 cells of a line between walls is, which move: to h², of which
    a cell's .03 is a tenth. Ascents that end too early leave .04, .08 and .26 of a cell."""
    F = 4.85 * jf.PowerEnergy(3.0) + jf.QuadraticInteraction(-2.777)
    rho = jf.Grid.from_function(lambda x: np.exp(-((x[:, 0] + 0.3) ** 2) / 8.0), -3.8, 3.8, n)
    edges = np.linspace(-3.8, 3.8, n + 1)
    cdf = np.concatenate([[0.0], np.cumsum(rho.weights)])
    same = jf.Quantiles(np.interp(np.linspace(0, cdf[-1], 4001), cdf, edges))
    run = jf.flow(jf.Problem(F, same, tau=0.0645, steps=1, walls=(-3.8, 3.8)))
    out = BackAndForth().step(F, rho, 0.0645, {}, None)
    assert out.status is jf.Status.CONVERGED and out.stats["iterations"] < 300
    assert abs(out.measure.mean()[0] - run.final.mean()[0]) < 0.03 * rho.spacing[0]


def test_what_linearising_costs_and_by_how_much_prices_are_wrong() -> None:
    """G = k/2 Var: δG differs by k(c − c')x and a constant, where ρ is."""
    k, box = 1.7, 2.0
    one, two = (jf.Grid.from_function(lambda x, c=c: np.exp(-((x[:, 0] - c) ** 2)), -box, box, 80)
                for c in (0.1, 0.3))  # fmt: skip
    linearised = Linearised(jf.QuadraticInteraction(k), one, 2)
    cost, off = linearised.mismatch(two)
    moved = two.mean()[0] - one.mean()[0]
    assert cost == pytest.approx(-k * moved**2, rel=1e-9)
    assert off == pytest.approx(k * moved * (box - one.spacing[0] / 2), rel=1e-9)


def test_where_rounds_run_out_the_step_is_not_that_of_the_first() -> None:
    """Coarse ascents count, too, until there is a fine one: of .38 in L1 four rounds leave .015."""
    F = 0.3 * jf.Entropy() + jf.QuadraticPotential(2.0) + jf.Interaction(
        lambda z: 4.0 * np.cos(3.0 * z[:, 0]), gradient=lambda z: -12.0 * np.sin(3.0 * z)
    )  # fmt: skip
    rho = jf.Grid.from_function(lambda x: np.exp(-2.0 * (x[:, 0] - 0.3) ** 2), -2.0, 2.0, 128)
    out = [BackAndForth(max_rounds=k).step(F, rho, 0.1, {}, None).measure for k in (1, 4, 50)]
    assert l1(out[1], out[2]) < 0.1 * l1(out[0], out[2])
