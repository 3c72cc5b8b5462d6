"""Steps of particles: closed forms, orders, certificates, and every way to fail."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow.functionals import Interaction, Potential, QuadraticPotential, Risk
from jkoflow.functionals.base import Smooth
from jkoflow.functionals.internal import Entropy
from jkoflow.measures import Gaussian, Particles
from jkoflow.status import InvalidProblem, MissingStructure, NotDefined, Status
from jkoflow.steppers.particle.stepper import ParticleProximal
from jkoflow.transport.exact import couple

METHODS = ["auto", "newton", "lbfgs"]


@pytest.fixture
def rng():
    return np.random.default_rng(2024)


def step(F, mu, tau, state=None, **options):
    return ParticleProximal(**options).step(F, mu, tau, state or {}, np.random.default_rng(0))


def objective(F, mu, out, tau):
    return F.value(out.measure) + couple(
        out.measure.points, mu.points, mu.weights, mu.weights
    ).cost / (2 * tau)


def tanh_network(q=50, d=3, scale=2.0, seed=5):
    """½ risk of a tanh network on random labels: smooth, not convex, with a bound on L."""
    rng = np.random.default_rng(seed)
    z = scale * rng.normal(size=(q, d))
    y = np.sign(z[:, 0] * z[:, 1])

    def jacobian(theta):
        return (1 - np.tanh(z @ theta.T) ** 2)[:, :, None] * z[:, None, :]

    def curvature(theta, c):
        t = np.tanh(z @ theta.T)
        return np.einsum("qn,qi,qj->nij", c[:, None] * (-2 * t * (1 - t * t)), z, z)

    sizes = (z**2).sum(1)
    return 0.5 * Risk(
        lambda theta: np.tanh(z @ theta.T), y, gradient=jacobian, curvature=curvature,
        slope_bounds=np.sqrt(sizes), curvature_bound=0.7698003589195 * sizes,
    )  # fmt: skip


DOUBLE_WELL = Potential(
    lambda x: ((x**2).sum(1) - 1) ** 2 / 4,
    gradient=lambda x: ((x**2).sum(1) - 1)[:, None] * x,
    hessian=lambda x: ((x**2).sum(1) - 1)[:, None, None] * np.eye(x.shape[1])
    + 2 * x[:, :, None] * x[:, None, :],
)


def assert_proved(out, mu):
    """What the judge verifies: marginals, potentials, distance."""
    x, y, w = out.measure.points, mu.points, mu.weights
    cost = ((x[:, None] - y[None]) ** 2).sum(axis=2)
    arrays = out.witness.arrays
    f, g = arrays["f"], arrays["g"]
    if out.witness.kind == "pairing":
        order = arrays["order"]
        assert sorted(order) == list(range(len(w)))
        np.testing.assert_array_equal(w[order], w)
        paid = w @ cost[np.arange(len(w)), order]
    else:
        rows, columns, values = arrays["rows"], arrays["columns"], arrays["values"]
        np.testing.assert_allclose(np.bincount(rows, values, len(w)), w, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(np.bincount(columns, values, len(w)), w, rtol=1e-12, atol=1e-15)
        paid = values @ cost[rows, columns]
    scale = np.abs(f).max() + np.abs(g).max() + cost.max()
    assert (f[:, None] + g - cost).max() <= 1e-14 * scale  # rounding of a few operations
    assert paid - f @ w - g @ w <= 1e-9 * paid + 1e-14 * scale
    assert out.distance_squared == pytest.approx(paid, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_quadratic_potential_has_its_resolvent(rng, method, weighted):
    w = rng.dirichlet(np.ones(31)) if weighted else None
    mu, centre = Particles(rng.normal(size=(31, 4)), w), np.array([1.0, -2.0, 0.5, 3.0])
    for tau, strength in ((0.3, 2.5), (40.0, 0.7), (0.5, -1.5)):
        out = step(QuadraticPotential(strength, centre), mu, tau, method=method)
        exact = (mu.points + tau * strength * centre) / (1 + tau * strength)
        assert out.status is Status.CONVERGED
        # the residual is 1e-9 of the slope, and 1/τ + strength is at least 1/(4τ) here
        np.testing.assert_allclose(out.measure.points, exact, rtol=0, atol=4e-9 * 12)
        assert_proved(out, mu)


@pytest.mark.parametrize("method", METHODS)
def test_a_quadratic_interaction_contracts_about_the_mean(rng, method):
    kappa, tau = 1.3, 0.4
    F = Interaction(
        lambda z: 0.5 * kappa * (z**2).sum(-1), gradient=lambda z: kappa * z,
        hessian=lambda z: kappa * np.broadcast_to(np.eye(2), (*z.shape[:-1], 2, 2)),
    )  # fmt: skip
    mu = Particles(rng.normal(size=(40, 2)), rng.dirichlet(np.ones(40)))
    out = step(F, mu, tau, method=method)
    mean = mu.mean()
    exact = mean + (mu.points - mean) / (1 + kappa * tau)
    assert out.status is Status.CONVERGED
    np.testing.assert_allclose(out.measure.points, exact, rtol=0, atol=1e-8)  # 1e-9 × slope


def test_the_scheme_is_of_first_order_in_tau():
    """The flow of the double well on each point: ẋ = x(1 − |x|²), solved exactly in |x|²."""
    mu = Particles([[0.3, 0.1], [1.5, -0.4], [-0.2, 0.9]])
    t = 1.0
    r = (mu.points**2).sum(1)[:, None]
    exact = mu.points * np.sqrt(1 / (r + (1 - r) * np.exp(-2 * t)))
    errors = []
    for steps in (16, 32, 64):
        now, state = mu, {}
        for _ in range(steps):
            out = step(DOUBLE_WELL, now, t / steps, state)
            now, state = out.measure, out.state
        errors.append(np.abs(now.points - exact).max())
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert np.all(np.abs(orders - 1.0) < 0.15)  # the next term, O(τ), at τ = 1/16


def test_small_steps_follow_the_gradient_flow(rng):
    """(X − x)/τ → −∇δF with an error O(τ)."""
    F, mu = tanh_network(), Particles(rng.normal(size=(50, 3)))
    drift = F.gradient(mu)
    errors = [
        np.abs((step(F, mu, tau).measure.points - mu.points) / tau + drift).max()
        for tau in (1e-3, 5e-4)
    ]
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.05)
    assert errors[0] < 0.02 * np.abs(drift).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tau", [0.1, 1.0, 5.0, 20.0, 100.0])
def test_every_step_is_stationary_proved_and_downhill(rng, method, tau):
    F, mu = tanh_network(), Particles(rng.normal(size=(60, 3)))
    out = step(F, mu, tau, method=method)
    assert out.status is Status.CONVERGED
    assert_proved(out, mu)
    order = out.witness.arrays["order"]
    xi = F.gradient(out.measure) + (out.measure.points - mu.points[order]) / tau
    slope = np.sqrt(out.distance_squared) / tau
    # 1e-9 of the slope asked for; up to 1e-6 where the energy's rounding is reached first
    assert np.sqrt(mu.weights @ (xi**2).sum(1)) <= 1e-6 * slope
    assert F.value(out.measure) + out.distance_squared / (2 * tau) < F.value(mu)


def test_large_steps_of_a_network_are_paired_anew():
    """At τ = 20 the particles' own places are not their optimal partners any more."""
    rng = np.random.default_rng(1)
    F, mu, tau = tanh_network(q=60), Particles(rng.normal(size=(200, 3))), 20.0
    naive = step(F, mu, tau, certify=False)
    out = step(F, mu, tau)
    assert naive.witness is None and naive.status is Status.CONVERGED
    # the kept pairing costs at least .1% more than the optimal one of the same clouds
    assert couple(naive.measure.points, mu.points).cost < 0.999 * naive.distance_squared
    assert out.stats["pairings"] > 1
    assert_proved(out, mu)
    kept = F.value(naive.measure) + naive.distance_squared / (2 * tau)
    assert F.value(out.measure) + out.distance_squared / (2 * tau) < kept
    assert out.distance_squared == pytest.approx(
        couple(out.measure.points, mu.points).cost, rel=1e-9
    )


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_particles_that_cross_on_the_line_are_sorted(seed):
    """A network with one weight and fixed biases, far beyond τL = 1."""
    rng = np.random.default_rng(seed)
    z, y = 2 * rng.normal(size=15), rng.normal(size=15)
    F = 0.5 * Risk(lambda theta: np.tanh(np.outer(z, theta[:, 0]) + z[::-1, None]), y)
    mu, tau = Particles(rng.normal(size=30)), 100.0
    naive, out = step(F, mu, tau, certify=False), step(F, mu, tau)
    assert (np.argsort(naive.measure.points[:, 0]) != np.argsort(mu.points[:, 0])).any()
    assert out.stats["certificate"] == "sorting" and out.stats["pairings"] > 1
    partners = mu.points[out.witness.arrays["order"], 0]
    assert (np.diff(partners[np.argsort(out.measure.points[:, 0])]) >= 0).all()
    assert_proved(out, mu)
    kept = F.value(naive.measure) + naive.distance_squared / (2 * tau)
    assert F.value(out.measure) + out.distance_squared / (2 * tau) < kept


def test_the_gap_bound_holds_against_a_tighter_solve(rng):
    """Φ − min Φ ≤ r²/(2(1/τ − L)) wherever 1/τ > L; here r is made large by a loose tolerance."""
    F, mu = tanh_network(), Particles(rng.normal(size=(40, 3)))
    tau = 0.02
    modulus = F.convexity_near(mu, 1.0)
    kappa = 1 / tau + modulus
    assert kappa > 0
    best = objective(F, mu, step(F, mu, tau, tolerance=1e-12), tau)
    gaps = []
    for tolerance in (0.5, 0.1, 1e-2, 1e-3):
        out = step(F, mu, tau, tolerance=tolerance, method="lbfgs")
        gaps.append(objective(F, mu, out, tau) - best)
        r = out.stats["residual"]
        assert r <= tolerance * out.stats["slope"]
        assert gaps[-1] <= r**2 / (2 * kappa) + 1e-15  # rounding of an energy of .5
    assert gaps[0] > 1e-10  # else nothing was tested


@pytest.mark.parametrize("tau", [0.5, 100.0])
def test_unequal_weights_split_where_that_is_cheaper(rng, tau):
    F = tanh_network()
    mu = Particles(rng.normal(size=(45, 3)), rng.dirichlet(np.ones(45)))
    naive, out = step(F, mu, tau, certify=False), step(F, mu, tau)
    assert out.status is Status.CONVERGED
    assert_proved(out, mu)
    assert (out.witness.kind == "coupling") == (tau > 1)
    kept = F.value(naive.measure) + naive.distance_squared / (2 * tau)
    value = F.value(out.measure) + out.distance_squared / (2 * tau)
    assert value <= kept + 1e-15
    assert tau < 1 or value < kept - 1e-6


def test_particles_without_mass_stay_and_are_covered_by_the_witness(rng):
    w = np.full(12, 0.1)
    w[[3, 8]] = 0.0
    mu = Particles(rng.normal(size=(12, 2)), w)
    out = step(DOUBLE_WELL, mu, 0.2)
    np.testing.assert_array_equal(out.measure.points[[3, 8]], mu.points[[3, 8]])
    assert_proved(out, mu)
    live = Particles(mu.points[w > 0])
    alone = step(DOUBLE_WELL, live, 0.2)
    # sums over ten weights .1 or 1/10: the same up to rounding
    np.testing.assert_allclose(out.measure.points[w > 0], alone.measure.points, atol=1e-13)


def test_a_step_is_a_pure_function(rng):
    F, mu = tanh_network(), Particles(rng.normal(size=(50, 3)))
    first = step(F, mu, 0.5)
    saved = {name: np.array(a) for name, a in first.state.items()}
    again = step(F, first.measure, 0.5, first.state)
    resumed = step(F, Particles.from_arrays(first.measure.to_arrays()), 0.5, saved)
    np.testing.assert_array_equal(again.measure.points, resumed.measure.points)
    np.testing.assert_array_equal(again.witness.arrays["f"], resumed.witness.arrays["f"])
    np.testing.assert_array_equal(first.state["velocity"], saved["velocity"])


def test_a_good_start_saves_evaluations_and_a_bad_one_does_no_harm(rng):
    F, mu = tanh_network(), Particles(rng.normal(size=(80, 3)))
    one = step(F, mu, 0.05)
    cold, warm = step(F, one.measure, 0.05), step(F, one.measure, 0.05, one.state)
    assert warm.stats["iterations"] < cold.stats["iterations"]
    for bad in (np.full((80, 3), 1e200), np.full((3, 3), 1.0), np.full((80, 3), np.nan)):
        out = step(F, one.measure, 0.05, {"velocity": bad})
        # two minimisations to 1e-9 of a slope of about 1, with 1/τ = 20
        np.testing.assert_allclose(out.measure.points, cold.measure.points, atol=1e-9)


def test_stationary_clouds_stay():
    mu = Particles([[1.0, 0.0], [0.0, -1.0], [0.6, 0.8]])
    for method in METHODS:
        out = step(DOUBLE_WELL, mu, 0.7, method=method)
        assert out.status is Status.CONVERGED
        np.testing.assert_allclose(out.measure.points, mu.points, atol=1e-15)
        assert_proved(out, mu)


def test_twins_stay_together_and_are_proved():
    mu = Particles(np.repeat([[0.3, 0.2], [0.5, -1.0]], 20, axis=0))
    out = step(DOUBLE_WELL, mu, 0.3)
    assert_proved(out, mu)
    assert len(np.unique(out.measure.points.round(12), axis=0)) == 2


class Custom(Smooth):
    """A smooth functional with a value and a gradient only, given as functions."""

    def __init__(self, value, gradient):
        self._value, self._gradient = value, gradient

    def value_at_points(self, x, w):
        return float(w @ self._value(x))

    def first_variation_at_points(self, x, w, at):
        return self._value(at)

    def gradient_at_points(self, x, w):
        return self._gradient(x)

    def spec(self):
        return {"name": "Custom"}


def test_no_curvature_is_no_obstacle_unless_it_is_asked_for(rng):
    rosenbrock = Custom(  # ill-conditioned: more than 60 iterations, so "auto" looks for Newton
        lambda x: 100 * (x[:, 1] - x[:, 0] ** 2) ** 2 + (1 - x[:, 0]) ** 2,
        lambda x: np.stack(
            [-400 * x[:, 0] * (x[:, 1] - x[:, 0] ** 2) - 2 * (1 - x[:, 0]),
             200 * (x[:, 1] - x[:, 0] ** 2)], axis=1),
    )  # fmt: skip
    mu = Particles(rng.normal(size=(10, 2)))
    out = step(rosenbrock, mu, 1e3)
    assert out.status is Status.CONVERGED and out.stats["iterations"] > 60
    with pytest.raises(MissingStructure, match="curvature"):
        step(rosenbrock, mu, 1.0, method="newton")


@pytest.mark.parametrize("method", METHODS)
def test_unbounded_objectives_are_named(rng, method):
    out = step(QuadraticPotential(-2.0), Particles(rng.normal(size=(6, 2))), 1.0, method=method)
    assert out.status is Status.UNBOUNDED
    assert out.witness is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named(bad):
    mu = Particles([[1.0], [2.0]])
    F = Custom(lambda x: np.full(len(x), bad), lambda x: np.ones_like(x))
    assert step(F, mu, 1.0).status is Status.NON_FINITE
    F = Custom(lambda x: x[:, 0] ** 2, lambda x: np.full_like(x, bad))
    assert step(F, mu, 1.0).status is Status.NON_FINITE


def test_a_far_trial_outside_the_domain_is_backed_off_from():
    """−log x: the first step of length τ|gradient| leaves the half line."""
    F = Custom(
        lambda x: np.where(x[:, 0] > 0, 50 * x[:, 0] - np.log(np.maximum(x[:, 0], 1e-300)), np.nan),
        lambda x: 50 - 1 / x,
    )
    mu, tau = Particles([[1.0], [2.0]]), 1.0
    out = step(F, mu, tau)
    x, y = out.measure.points, mu.points
    assert out.status is Status.CONVERGED
    np.testing.assert_allclose(50 - 1 / x + (x - y) / tau, 0.0, atol=1e-6)  # 1e-9 × slope × κ


def test_wrong_gradients_do_not_pass_as_converged(rng):
    """A gradient of the wrong sign leaves nowhere to go down: stalled, not converged."""
    F = Custom(lambda x: (x**2).sum(1), lambda x: -2 * x)
    assert step(F, Particles(rng.normal(size=(5, 2)) + 3), 10.0).status is Status.STALLED


def test_iteration_limits_are_named(rng):
    F, mu = tanh_network(), Particles(rng.normal(size=(30, 3)))
    out = step(F, mu, 20.0, max_iterations=2)
    assert out.status is Status.MAX_ITERATIONS and out.witness is None
    limited = step(F, Particles(np.random.default_rng(1).normal(size=(200, 3))), 100.0,
                   max_pairings=1)  # fmt: skip
    assert limited.status is Status.MAX_ITERATIONS


def test_a_failing_transport_solver_is_a_status(monkeypatch):
    from jkoflow.status import TransportFailed
    from jkoflow.steppers.particle import plan

    def fail(*_, **__):
        raise TransportFailed("no")

    monkeypatch.setattr(plan, "optimal_coupling", fail)
    mu = Particles(np.random.default_rng(1).normal(size=(200, 3)))
    out = step(tanh_network(q=60), mu, 20.0)
    assert out.status is Status.SOLVER_FAILED and out.stats["reason"] == "no"


def test_what_particles_cannot_do_is_said_before_anything_is_computed(rng):
    mu = Particles(rng.normal(size=(5, 2)))
    with pytest.raises(NotDefined, match="Entropy needs a density"):
        step(Entropy() + QuadraticPotential(1.0), mu, 0.1)
    with pytest.raises(NotDefined, match="Gaussian"):
        step(QuadraticPotential(1.0), Gaussian([0.0], [[1.0]]), 0.1)


@pytest.mark.parametrize(
    "options",
    [{"method": "adam"}, {"tolerance": 0.0}, {"tolerance": 2.0}, {"max_iterations": 0},
     {"max_pairings": 0}],
)  # fmt: skip
def test_options_that_make_no_sense(options):
    with pytest.raises(InvalidProblem, match=next(iter(options))):
        ParticleProximal(**options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tau", [0.05, 20.0])
def test_the_judge_accepts_the_transport_and_rejects_another_pairing(rng, weighted, tau):
    from jkoflow.check.transport import Transport, certify
    from jkoflow.record import Witness

    w = rng.dirichlet(np.ones(50)) if weighted else None
    mu = Particles(rng.normal(size=(50, 3)), w)
    out = step(tanh_network(), mu, tau)
    verdict = certify(out.measure, mu, out.witness)
    assert isinstance(verdict, Transport) and verdict.finding.verdict.name == "ACCEPTED"
    assert verdict.squared == pytest.approx(out.distance_squared, rel=1e-13)
    if out.witness.kind == "pairing" and not weighted:
        order = out.witness.arrays["order"].copy()
        order[[0, 1]] = order[[1, 0]]
        wrong = Witness("pairing", {**out.witness.arrays, "order": order})
        verdict = certify(out.measure, mu, wrong)
        assert isinstance(verdict, Transport) and verdict.finding.verdict.name == "REJECTED"


def test_steps_go_on_where_values_are_small_differences_of_large_numbers() -> None:
    """V is known to 1e-8 only: decreases drown in that long before residuals are small."""

    def flow(large: float) -> np.ndarray:
        V = Potential(
            lambda x: (large + np.sqrt(1.0 + (x**2).sum(axis=1))) - large,
            gradient=lambda x: x / np.sqrt(1.0 + (x**2).sum(axis=1))[:, None], convexity=0.0,
        )  # fmt: skip
        mu, state = Particles(np.random.default_rng(4).normal(size=(20, 2))), {}
        for _ in range(30):
            out = step(V, mu, 0.1, state, method="lbfgs")
            mu, state = out.measure, out.state
            assert out.status.ok, out.status
        return mu.points

    # residuals go down to 1e-9 of the slope all the same: gradients are exact
    assert flow(1e8) == pytest.approx(flow(0.0), abs=1e-7)
