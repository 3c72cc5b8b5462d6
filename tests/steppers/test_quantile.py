"""QuantileNewton: optimality, closed forms, walls, crossing, and agreement of its two codes."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.status import InvalidFunctional, InvalidProblem, NotDefined, Status, StoreError
from jkoflow.steppers.quantile.edge_kernels import add_energy, exponent_of
from jkoflow.steppers.quantile.objective import Objective
from jkoflow.steppers.quantile.stepper import QuantileNewton


def one_step(F, mu, tau, stepper=None):
    return (stepper or QuantileNewton()).step(F, mu, tau, {}, np.random.default_rng(0))


def gaussian_step(std, tau, beta, a):
    """Closed form of ALGORITHMS: entropy/β plus (a/2)x²."""
    c = 1 + a * tau
    return (std + np.sqrt(std**2 + 4 * c * tau / beta)) / (2 * c)


def quartic():
    return jf.Potential(
        lambda x: (x[:, 0] ** 2 - 1) ** 2,
        gradient=lambda x: 4 * x * (x**2 - 1),
        hessian=lambda x: (12 * x**2 - 4)[:, :, None],
    )


FUNCTIONALS = {
    "entropy": jf.Entropy(),
    "porous medium": jf.PowerEnergy(3.0, 0.7),
    "fast diffusion": jf.PowerEnergy(0.75) + jf.QuadraticPotential(0.5),
    "free energy in a double well": quartic() + jf.Entropy() / 4.0,
    "interaction": jf.Interaction(lambda z: np.cosh(z[:, 0]) - 1.0) + jf.Entropy() / 2.0,
    "quadratic interaction": jf.QuadraticInteraction(1.7) + jf.Entropy() / 3.0,
    "repulsion": jf.QuadraticInteraction(-0.4) + jf.QuadraticPotential(1.0) + jf.Entropy(),
    "risk": jf.Risk(lambda th: np.tanh(np.outer([1.0, -0.5, 2.0], th[:, 0])), [0.5, 0.2, -1.0])
    + jf.QuadraticPotential(0.1),
    "free energy of a risk": jf.free_energy(
        jf.Risk(lambda th: np.sin(np.outer([1.0, 2.0], th[:, 0]) + 0.3), [0.4, -0.3]), 0.2, 5.0
    ),
}


@pytest.mark.parametrize("name", FUNCTIONALS)
@pytest.mark.parametrize("tau", [0.03, 0.4])
def test_the_step_satisfies_its_optimality_condition(name, tau):
    F, mu = FUNCTIONALS[name], jf.Quantiles.normal(0.3, 0.8, 120)
    out = one_step(F, mu, tau)
    assert out.status is Status.CONVERGED
    moved = (out.measure.edges - mu.edges)[:, None]
    residual = F.gradient(out.measure) + moved / tau
    slope = np.sqrt(mu.weights @ moved[:, 0] ** 2) / tau
    # gradients by differences are good to about 1e-9; the analytic ones reach the tolerance 1e-9
    assert np.sqrt(mu.weights @ residual[:, 0] ** 2) < 1e-7 * (1 + slope)
    assert F.value(out.measure) + 0.5 * out.distance_squared / tau <= F.value(mu)


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_no_random_neighbour_is_better(name):
    F, mu, tau = FUNCTIONALS[name], jf.Quantiles.normal(0.3, 0.8, 60), 0.1
    best = one_step(F, mu, tau).measure
    rng = np.random.default_rng(5)

    def objective(nu):
        return F.value(nu) + 0.5 / tau * mu.weights @ (nu.edges - mu.edges) ** 2

    room = np.diff(best.edges).min()
    for scale in (0.4, 0.04):
        v = scale * room * rng.uniform(-1, 1, len(best.edges))
        assert objective(best.with_edges(best.edges + v)) > objective(best)


@pytest.mark.parametrize(("beta", "a", "tau", "std"), [(1, 0, 0.1, 0.5), (2.5, 1.3, 0.3, 1.4)])
def test_gaussian_steps_at_second_order_in_n(beta, a, tau, std):
    F = jf.Entropy() / beta + jf.QuadraticPotential(a)
    errors = []
    for n in (200, 400, 800):
        mu = jf.Quantiles.normal(0.0, std, n)
        got = np.sqrt(one_step(F, mu, tau).measure.cov()[0, 0])
        errors.append(abs(got - gaussian_step(std, tau, beta, a)))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(rates - 2.0) < 0.15).all()
    assert errors[-1] < 15 * std / 800**2  # h²: the graded cells are a few σ/n wide


@pytest.mark.parametrize("dim", [1, 2, 3, 40])
def test_radial_steps_follow_the_isotropic_gaussian(dim):
    beta, a, tau, std = 3.0, 0.8, 0.15, 0.6
    F = jf.Entropy() / beta + jf.QuadraticPotential(a)
    errors = []
    for n in (250, 500, 1000):
        mu = jf.Radial.normal(std, dim, n)
        out = one_step(F, mu, tau)
        assert out.status is Status.CONVERGED
        second = out.measure.integrate(lambda r: r[:, 0] ** 2) / dim
        errors.append(abs(np.sqrt(second) - gaussian_step(std, tau, beta, a)))
    assert errors[-1] < 3e-5
    assert errors[0] / errors[-1] > 10.0  # second order would give 16


@pytest.mark.parametrize("m", [1.0, 2.0, 3.5, 0.8])
@pytest.mark.parametrize("dim", [0, 1, 2, 40])
def test_compiled_and_numpy_energies_agree(m, dim):
    f = jf.Entropy() if m == 1 else jf.PowerEnergy(m, 1.3)
    mu = jf.Quantiles.normal(0.2, 0.7, 50) if dim == 0 else jf.Radial.normal(0.7, dim, 50)
    x = np.array(mu.edges)
    reference = f.on_edges(mu)
    g, diagonal, off = np.zeros(51), np.zeros(51), np.zeros(50)
    exponent, coefficient = exponent_of(f)
    value = add_energy(mu, x, exponent, coefficient, g, diagonal, off)
    assert value == pytest.approx(reference.value, rel=1e-12)
    for got, expected in [
        (g, reference.gradient), (diagonal, reference.diagonal), (off, reference.off_diagonal)
    ]:  # fmt: skip
        # differences of pressures over thin cells: relative to the largest entry
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


def test_an_unknown_internal_energy_takes_the_numpy_path():
    class Doubled(jf.Entropy):
        def energy_per_mass(self, log_density):
            return 2.0 * log_density, 2.0, 0.0

    mu = jf.Quantiles.normal(0.0, 0.5, 80)
    same = one_step(Doubled(), mu, 0.1).measure.edges
    np.testing.assert_allclose(same, one_step(2.0 * jf.Entropy(), mu, 0.1).measure.edges, atol=1e-9)


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_hessian_of_the_objective_by_differences(name):
    mu = jf.Quantiles.normal(0.3, 0.8, 20, "uniform")
    objective = Objective(FUNCTIONALS[name], mu, 0.2)
    x = mu.edges + 0.02 * np.sin(np.arange(21.0))
    at, rng = objective.expand(x), np.random.default_rng(1)
    v, h = rng.normal(size=21), 1e-6
    diagonal = at.diagonal + (0.0 if at.blocks is None else at.blocks)
    product = diagonal * v
    product[:-1] += at.off_diagonal * v[1:]
    product[1:] += at.off_diagonal * v[:-1]
    for part in at.parts:
        product += part.apply(v[:, None])[:, 0]
    difference = (objective.expand(x + h * v).gradient - objective.expand(x - h * v).gradient) / 2
    # central differences at h = 1e-6: h² and rounding/h both near 1e-9 of the largest entry
    np.testing.assert_allclose(product, difference / h, atol=3e-6 * np.abs(product).max())


def test_fixed_ends_stay_and_the_heat_flow_becomes_uniform():
    mu = jf.Quantiles.from_ppf(lambda s: s**2, 100)
    run = jf.flow(jf.Problem(jf.Entropy(), mu, 0.5, 20), QuantileNewton(ends="fixed"))
    assert run.final.edges[0] == 0.0
    assert run.final.edges[-1] == 1.0
    np.testing.assert_allclose(np.diff(run.final.edges), 0.01, rtol=1e-6)


WALLS = {"both": (0.0, 1.0), "left": (0.0, np.inf), "right": (-np.inf, 1.0), "none": (-3.0, 9.0)}


@pytest.mark.parametrize("which", WALLS)
def test_walls_hold_what_is_pushed_against_them(which):
    """The heat flow moves every end that may move, and the judge agrees with each."""
    mu = jf.Quantiles.from_ppf(lambda s: s, 40)
    problem = jf.Problem(jf.Entropy(), mu, 0.01, 3, walls=WALLS[which])
    run = jf.flow(problem)
    held = [which in ("both", side) for side in ("left", "right")]
    assert (run.final.edges[[0, -1]] == mu.edges[[0, -1]]).tolist() == held
    assert jf.check_run(problem, run).verdict is jf.Verdict.ACCEPTED


def test_options_and_walls_go_together(tmp_path):
    """The question's walls reach a stepper that was given, also in a run that is continued."""
    mu = jf.Quantiles.normal(0.5, 0.3, 40)
    problem = jf.Problem(jf.Entropy(), mu, 0.1, 6, walls=(-1, 2))
    for max_steps in (2, None):
        run = jf.flow(problem, QuantileNewton(tolerance=1e-7), store=tmp_path, max_steps=max_steps)
    assert run.final.edges[[0, -1]].tolist() == [-1.0, 2.0]
    assert jf.check_run(problem, tmp_path).verdict is jf.Verdict.ACCEPTED
    with pytest.raises(StoreError, match="another"):
        jf.flow(jf.Problem(jf.Entropy(), mu, 0.1, 6), store=tmp_path)
    with pytest.raises(NotDefined, match="QuantileNewton"):
        jf.flow(problem, jf.steppers.SecondOrder())


def test_a_law_reaches_walls_and_leaves_them_again():
    """Heat from the middle arrives at both walls; a strong trap then pulls it off both."""
    spread = jf.Problem(jf.Entropy(), jf.Quantiles.normal(0.1, 0.2, 60), 0.05, 30, walls=(-1, 2))
    heat = jf.flow(spread)
    assert heat.final.edges[[0, -1]].tolist() == [-1.0, 2.0]
    # e^(−π²·1.5/9) of the first cosine is left
    assert 0.2 > abs(heat.final.mean()[0] - 0.5) > 0.02
    trap = jf.PowerEnergy(2.0) / 50 + jf.QuadraticPotential(3.0, center=[0.4])
    back = jf.Problem(trap, heat.final, 0.05, 60, walls=(-1, 2))
    fallen = jf.flow(back)
    assert -1.0 < fallen.final.edges[0]
    assert fallen.final.edges[-1] < 2.0
    for problem, run in ((spread, heat), (back, fallen)):
        assert jf.check_run(problem, run).verdict is jf.Verdict.ACCEPTED


@pytest.mark.parametrize("strength", [-1.0, 1.0])
@pytest.mark.parametrize("kind", ["quantiles", "radial"])
def test_what_flows_into_a_wall_gathers_there(kind, strength):
    """Without internal energy a step is that of each edge by itself, cut off at the walls."""
    edges, tau, walls = np.linspace(0.2, 1.7, 50), 0.3, (0.18, 1.75)
    laws = {"quantiles": (jf.Quantiles(edges), 2.0), "radial": (jf.Radial(edges, 3), 0.0)}
    mu, centre = laws[kind]
    F = jf.QuadraticPotential(strength, center=[centre] if centre else None)
    problem = jf.Problem(F, mu, tau, 1, walls=walls)
    run = jf.flow(problem)
    exact = (edges + strength * tau * centre) / (1.0 + strength * tau)
    assert not walls[0] <= exact[0] <= exact[-1] <= walls[1]
    np.testing.assert_allclose(run.final.edges, np.clip(exact, *walls), rtol=0, atol=1e-12)
    assert jf.check_run(problem, run).verdict is jf.Verdict.ACCEPTED


@pytest.mark.parametrize("seed", range(6))
def test_steps_between_walls_are_those_of_another_method(seed):
    """SLSQP on the edges, ten cells; potential, interaction and, for odd seeds, entropy."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    x, (a, b, k) = np.sort(rng.uniform(-1, 1, 11)), rng.uniform(0.5, 3.0, 3)
    F = jf.QuadraticPotential(a, center=[rng.choice([-3.0, 3.0])]) + jf.QuadraticInteraction(k)
    F = F + b * jf.PowerEnergy(2.0) if seed % 2 else F
    mu, tau = jf.Quantiles(x), 0.4
    run = jf.flow(jf.Problem(F, mu, tau, 1, walls=(-1.1, 1.1)))

    def objective(z):
        y = np.cumsum(z)
        return F.value(mu.with_edges(y)) + mu.weights @ (y - x) ** 2 / (2 * tau)

    # the first edge and the lengths
    start = np.concatenate([x[:1], np.diff(x)])
    inside = {"type": "ineq", "fun": lambda z: 1.1 - z.sum()}
    found = minimize(objective, start, method="SLSQP", bounds=[(-1.1, 1.1)] + [(0.0, 2.2)] * 10,
                     constraints=[inside], options={"maxiter": 1000, "ftol": 1e-14})  # fmt: skip
    edges = run.final.edges
    ours = objective(np.concatenate([edges[:1], np.diff(edges)]))
    # finite differences in SLSQP give five or six digits of the edges, twice as many of the value
    assert ours <= found.fun + 1e-9
    np.testing.assert_allclose(edges, np.cumsum(found.x), rtol=0, atol=1e-4)


def test_heat_between_walls_decays_like_the_first_cosine():
    """∂_t ρ = Δρ on [0, 1]: the amplitude of cos πx falls by 1/(1 + π²τ) a step, to first order."""
    amplitude, tau, n = 1e-3, 0.02, 400
    x = np.linspace(0, 1, n + 1)
    mass = np.diff(x + amplitude * np.sin(np.pi * x) / np.pi)
    mu = jf.Quantiles(x, mass / mass.sum())
    run = jf.flow(jf.Problem(jf.Entropy(), mu, tau, 5), QuantileNewton(ends="fixed"))
    modes = [2 * m.integrate(lambda p: np.cos(np.pi * p[:, 0])) for m in run.measures]
    # relative error: amplitude (nonlinearity) and h² = 6e-6 (discretisation)
    ratios = np.divide(modes[1:], modes[:-1])
    np.testing.assert_allclose(ratios, 1 / (1 + np.pi**2 * tau), rtol=2e-3)


def test_pure_transport_keeps_order_and_solves_the_resolvent():
    mu = jf.Quantiles.normal(0.0, 1.0, 50)
    out = one_step(jf.QuadraticPotential(2.0, center=[1.0]), mu, 0.3)
    np.testing.assert_allclose(out.measure.edges, (mu.edges + 0.6) / 1.6, atol=1e-12)


def test_a_large_step_in_a_double_well_keeps_the_order_and_the_descent():
    mu = jf.Quantiles.normal(0.0, 1.0, 40)
    F = quartic()  # −V'' reaches 4, so 1/τ = 0.5 is far below it
    out = one_step(F, mu, 2.0)
    assert (np.diff(out.measure.edges) >= 0).all()
    assert F.value(out.measure) + out.distance_squared / 4.0 < F.value(mu)


def test_warm_start_changes_work_and_not_the_answer():
    F, mu = jf.Entropy() + jf.QuadraticPotential(1.0), jf.Quantiles.normal(0.0, 0.4, 300)
    stepper, rng = QuantileNewton(), np.random.default_rng(0)
    first = stepper.step(F, mu, 0.05, {}, rng)
    warm = stepper.step(F, first.measure, 0.05, first.state, rng)
    cold = stepper.step(F, first.measure, 0.05, {}, rng)
    np.testing.assert_allclose(warm.measure.edges, cold.measure.edges, atol=1e-9)


def test_a_functional_that_turns_nan_is_a_typed_error_and_keeps_the_steps():
    F = jf.functional(lambda x, w: float(w @ np.sqrt(2.0 - x[:, 0])))
    mu = jf.Quantiles.normal(0.0, 0.3, 30)  # pushed to the right, past 2, where F is NaN
    with np.errstate(invalid="ignore"), pytest.raises(InvalidFunctional) as caught:
        jf.flow(jf.Problem(F, mu, 0.05, 400))
    assert 0 < len(caught.value.trajectory) < 400


def test_wrong_options_and_wrong_measures():
    with pytest.raises(InvalidProblem, match="ends"):
        QuantileNewton(ends="periodic")
    with pytest.raises(InvalidProblem, match="tolerance"):
        QuantileNewton(tolerance=0.0)
    with pytest.raises(NotDefined, match="QuantileNewton"):
        one_step(jf.QuadraticPotential(1.0), jf.Particles([[0.0]]), 0.1)


def test_an_objective_without_a_minimiser_is_unbounded():
    """c = 1 + (a + κ)τ < 0: spreading gains more than W2 costs."""
    F = jf.PowerEnergy(2.0) + jf.QuadraticPotential(1.0) + jf.QuadraticInteraction(-2.0)
    out = one_step(F, jf.Quantiles.from_ppf(lambda s: 2 * s - 1, 40), 1.5)
    assert out.status is Status.UNBOUNDED


def test_a_fixed_end_stays_without_internal_energy_too():
    F = quartic() + jf.QuadraticPotential(0.5, center=[3.0])
    mu = jf.Quantiles.from_ppf(lambda s: 2 * s - 1, 40)
    out = one_step(F, mu, 2.0, QuantileNewton(ends="fixed"))
    assert out.measure.edges[[0, -1]].tolist() == [-1.0, 1.0]
    assert (np.diff(out.measure.edges) >= 0).all()
    assert F.value(out.measure) + out.distance_squared / 4.0 < F.value(mu)


@pytest.mark.parametrize("tau", [0.1, 0.9, 3.0])
def test_radial_transport_by_large_steps_keeps_radii_nonnegative(tau):
    """τ up to 50/L: iterates leave r ≥ 0, where the features mean nothing."""
    classes = jf.networks.GaussianClasses.std(40, 0.6)
    F = 0.5 * jf.networks.radial_risk(classes, jf.networks.truncated_relu)
    run = jf.flow(jf.Problem(F, jf.Radial.normal(1.64, 40, 150), tau, 6), throw=False)
    assert run.status.ok
    assert all(mu.edges[0] >= 0 for mu in run.measures)


@pytest.mark.parametrize("grading", ["uniform", "tails"])
def test_a_million_cells_converge_to_what_rounding_leaves(grading):
    """The edges' rounding alone leaves a residual of about n²·2⁻⁵² here."""
    mu = jf.Quantiles.normal(0.0, 0.5, 1_000_000, grading)
    out = one_step(jf.Entropy() + jf.QuadraticPotential(1.0), mu, 0.1)
    assert out.status is Status.CONVERGED
    exact = gaussian_step(0.5, 0.1, 1, 1)
    assert np.sqrt(out.measure.cov()[0, 0]) == pytest.approx(exact, abs=1e-7)


def test_a_long_run_goes_on_where_only_rounding_is_left():
    """F = −37 hides decreases below 1e-13, so residuals of 1e-6 are all that can be reached."""
    F = jf.Entropy() + jf.QuadraticPotential(1.0)
    problem = jf.Problem(F, jf.Radial.normal(0.5, 40, 200), 0.02, 600)
    run = jf.flow(problem)
    assert run.status is Status.COMPLETE
    assert jf.check_run(problem, run).verdict is not jf.Verdict.REJECTED


def test_trials_where_the_potential_overflows_are_shortened() -> None:
    """cosh is infinite beyond 710, where no minimiser is, but a Newton step may look."""
    F = jf.Potential(lambda x: np.cosh(x[:, 0]) + np.sin(3 * x[:, 0])) + jf.Entropy() / 4.0
    taus = np.minimum(0.01 * 1.2 ** np.arange(60), 10.0)
    run = jf.flow(jf.Problem(F, jf.Quantiles.normal(0.0, 1.0, 250), taus))  # and warns of nothing
    assert (np.diff(run.energies) <= 1e-12).all()
    broken = jf.Potential(lambda x: np.where(x[:, 0] == 0.0, 1.0, np.inf), lambda x: 0 * x,
                          lambda x: 0 * x[:, :, None])  # fmt: skip
    with pytest.raises(InvalidFunctional):
        jf.flow(jf.Problem(broken, jf.Quantiles([0.1, 0.2]), tau=0.1, steps=1))


@pytest.mark.parametrize("end", [0, 1])
def test_all_of_a_law_may_be_pressed_against_a_wall(end):
    """Its own minimiser: the force there is towards the wall, and nothing else is left to move."""
    walls, side = (-0.7, 0.7), (-1.0, 1.0)[end]
    F = jf.QuadraticPotential(2.0, center=[2.8 * side])
    problem = jf.Problem(F, jf.Quantiles([-0.3, 0.1, 0.5], [0.4, 0.6]), 1.4, steps=2, walls=walls)
    run = jf.flow(problem)
    assert run.final.edges.tolist() == [walls[end]] * 3
    assert jf.check_run(problem, run).verdict is jf.Verdict.ACCEPTED
