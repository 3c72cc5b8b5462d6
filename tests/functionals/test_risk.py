"""Risk: derivatives by their orders, the closed value, the convexity claim, bad answers."""

import tracemalloc

import numpy as np
import pytest

from jkoflow import Particles, Quantiles, Risk, free_energy
from jkoflow.functionals.curvature import Action, LowRank
from jkoflow.functionals.features import FeatureMap
from jkoflow.status import InvalidFunctional

rng = np.random.default_rng(5)
Z = rng.normal(size=(7, 3))
Y = rng.normal(size=7)


def features(theta):
    return np.tanh(Z[:, : theta.shape[1]] @ theta.T)


def gradient(theta):
    z = Z[:, : theta.shape[1]]
    return (1 - np.tanh(z @ theta.T) ** 2)[:, :, None] * z[:, None, :]


def curvature(theta, c):
    z = Z[:, : theta.shape[1]]
    t = np.tanh(z @ theta.T)
    return np.einsum("q,qn,qi,qj->nij", c, -2 * t * (1 - t * t), z, z)


def measures():
    plane = np.random.default_rng(1).normal(size=(11, 3))
    weights = np.random.default_rng(2).dirichlet(np.ones(11))
    return [Particles(plane, weights), Quantiles.normal(0.2, 0.7, 15)]


@pytest.mark.parametrize("mu", measures(), ids=lambda m: m.kind)
@pytest.mark.parametrize("given", ["all", "gradient", "nothing"])
def test_value_gradient_and_curvature_have_taylor_orders_two_and_three(mu, given, taylor_rates):
    structure = {
        "all": {"gradient": gradient, "curvature": curvature},
        "gradient": {"gradient": gradient},
        "nothing": {},
    }[given]
    F = Risk(features, Y, **structure)
    after_one, after_two = taylor_rates(F, mu)
    # steps of 1e-2 leave relative deviations of a few per cent from the asymptotic orders
    assert after_one == pytest.approx(2.0, abs=0.25)
    assert after_two == pytest.approx(3.0, abs=0.35)


@pytest.mark.parametrize("mu", measures(), ids=lambda m: m.kind)
def test_first_variation_is_the_derivative_along_mixtures(mu):
    F = Risk(features, Y, weights=np.linspace(0.1, 0.5, 7))
    at = mu.points[:4] + 0.3
    variation = F.first_variation(mu, at)
    mean = mu.weights @ F.first_variation(mu, mu.points)
    for point, value in zip(at, variation, strict=True):
        points = np.concatenate([mu.points, point[None]])

        def mixed(s, points=points):
            return F.value_at_points(points, np.concatenate([(1 - s) * mu.weights, [s]]))

        # R is quadratic along mixtures: the central difference is exact, up to 1e-16/1e-3
        slope = (mixed(1e-3) - mixed(-1e-3)) / 2e-3
        assert slope == pytest.approx(value - mean, rel=1e-9, abs=1e-11)


def test_gradient_is_that_of_the_first_variation():
    mu = measures()[0]
    F = Risk(features, Y, gradient=gradient)
    h = 1e-5
    for k in range(3):
        e = h * np.eye(3)[k]
        slope = F.first_variation(mu, mu.points + e) - F.first_variation(mu, mu.points - e)
        # the h² error of a central difference, 1e-10, and rounding, 1e-11
        assert slope / (2 * h) == pytest.approx(F.gradient(mu)[:, k], abs=1e-8)


def test_value_is_the_expanded_form():
    """R = Σ w y² + 2∫V + ∬U with V = −Σ w y φ, U = Σ w φφ'."""
    mu = measures()[0]
    w = np.linspace(0.2, 1.0, 7)
    phi = features(mu.points)
    V = -(w * Y) @ phi
    U = (phi.T * w) @ phi
    expanded = w @ Y**2 + 2 * mu.weights @ V + mu.weights @ U @ mu.weights
    assert Risk(features, Y, w).value(mu) == pytest.approx(expanded, rel=1e-13)


def test_free_energy_has_half_the_risk():
    mu = measures()[1]
    R = Risk(features, Y)
    F = free_energy(R, lam=0.0, beta=np.inf)
    assert F.value(mu) == pytest.approx(0.5 * R.value(mu), rel=1e-15)


def test_readable_parts_and_residual():
    mu = measures()[0]
    R = Risk(features, Y)
    assert R.weights == pytest.approx(np.full(7, 1 / 7))
    e = R.residual(mu)
    assert e == pytest.approx(R.targets - R.features(mu.points) @ mu.weights, abs=1e-15)
    assert R.residual(mu.points, mu.weights) == pytest.approx(e, abs=0)
    assert R.value(mu) == pytest.approx(np.mean(e**2), rel=1e-14)
    assert R.lower_bound() == 0.0
    assert R.convexity is None


def test_low_rank_and_action_are_the_same_map():
    mu = measures()[0]
    F = Risk(features, Y, gradient=gradient, curvature=curvature)
    H = F.curvature_at_points(mu.points, mu.weights)
    assert isinstance(H.parts[0], LowRank)
    import jkoflow.functionals.risk as module

    limit, module._LARGEST_FACTOR = module._LARGEST_FACTOR, 0
    try:
        G = F.curvature_at_points(mu.points, mu.weights)
    finally:
        module._LARGEST_FACTOR = limit
    assert isinstance(G.parts[0], Action)
    v = np.random.default_rng(0).normal(size=mu.points.shape)
    assert G.apply(v) == pytest.approx(H.apply(v), abs=1e-14)
    # symmetric
    u = np.random.default_rng(1).normal(size=mu.points.shape)
    assert np.sum(u * H.apply(v)) == pytest.approx(np.sum(v * H.apply(u)), rel=1e-12)


def test_memory_is_of_order_n_q():
    n, q = 20_000, 5
    x = np.random.default_rng(0).normal(size=(n, 3))
    F = Risk(lambda t: np.tanh(Z[:q] @ t.T), Y[:q], gradient=lambda t: gradient(t)[:q])
    tracemalloc.start()
    F.value_at_points(x, np.full(n, 1 / n))
    F.gradient_at_points(x, np.full(n, 1 / n))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # pairs would take 8 n² = 3.2 GB; features with their gradients take 8·n·7·3 bytes, a few times
    assert peak < 20 * 8 * n * 7 * 3


class TestConvexityNear:
    slopes = np.linalg.norm(Z, axis=1)
    bends = 4 / (3 * np.sqrt(3)) * np.linalg.norm(Z, axis=1) ** 2

    def risk(self):
        return Risk(features, Y, gradient=gradient, curvature=curvature,
                    slope_bounds=self.slopes, curvature_bound=self.bends)  # fmt: skip

    def test_formula(self):
        mu = measures()[0]
        R = self.risk()
        e = np.abs(R.residual(mu))
        want = -2 / 7 * np.sum((e + 0.3 * self.slopes) * self.bends)
        assert R.convexity_near(mu, 0.3) == pytest.approx(want, rel=1e-13)
        assert (0.5 * R).convexity_near(mu, 0.3) == pytest.approx(0.5 * want, rel=1e-13)

    def test_second_differences_respect_it_along_random_couplings(self):
        mu = measures()[0]
        R, radius = self.risk(), 0.5
        claim = R.convexity_near(mu, radius)
        generator = np.random.default_rng(8)
        for _ in range(50):
            v = generator.normal(size=mu.points.shape)
            v *= radius / np.sqrt(mu.weights @ (v**2).sum(axis=1))
            t, h = generator.uniform(-0.9, 0.9), 1e-3
            values = [R.value_at_points(mu.points + s * v, mu.weights) for s in (t - h, t, t + h)]
            second = (values[0] - 2 * values[1] + values[2]) / h**2 / radius**2
            assert second >= claim - 1e-6  # 1e-16/h² of rounding, with room

    def test_none_where_not_claimed(self):
        mu = measures()[0]
        assert Risk(features, Y).convexity_near(mu, 0.1) is None
        assert Risk(features, Y, curvature_bound=self.bends).convexity_near(mu, 0.1) is None
        assert Risk(features, Y, curvature_bound=self.bends).convexity_near(mu, 0.0) < 0
        infinite = Risk(features, Y, slope_bounds=1.0, curvature_bound=np.inf)
        assert infinite.convexity_near(mu, 0.1) is None


class Quadratics(FeatureMap):
    """One's own feature map with values only."""

    def __call__(self, theta):
        return np.stack([theta[:, 0] ** 2 * theta[:, 1], theta[:, 1] - theta[:, 0]])


def test_feature_map_of_ones_own_needs_values_only(taylor_rates):
    mu = Particles(np.random.default_rng(4).normal(size=(6, 2)))
    after_one, after_two = taylor_rates(Risk(Quadratics(), [0.4, -1.0]), mu)
    assert after_one == pytest.approx(2.0, abs=0.25)
    assert after_two == pytest.approx(3.0, abs=0.35)


class VjpOnly:
    def __call__(self, theta):
        return features(theta)

    def vjp(self, theta, c):
        return np.tensordot(c, gradient(theta), axes=1)


def test_object_with_a_vjp_is_completed_by_differences():
    mu = measures()[0]
    F, G = Risk(VjpOnly(), Y), Risk(features, Y, gradient=gradient, curvature=curvature)
    v = np.random.default_rng(0).normal(size=mu.points.shape)
    A = F.curvature_at_points(mu.points, mu.weights)
    B = G.curvature_at_points(mu.points, mu.weights)
    assert A.apply(v) == pytest.approx(B.apply(v), abs=1e-8)  # central differences: 1e-10


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda t: np.zeros(len(t)), "shape"),
        (lambda t: np.zeros((len(t), 7)), "shape"),
        (lambda t: np.full((7, len(t)), np.nan), "NaN"),
        (lambda t: np.full((7, len(t)), 1j), "complex"),
        (lambda t: np.full((7, len(t)), "a"), "numbers"),
        (lambda t: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_features_that_answer_badly(answer, message):
    with pytest.raises(InvalidFunctional, match=message):
        Risk(answer, Y).value(measures()[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": [1.0, np.nan]}, "NaN"),
        ({"targets": []}, "q"),
        ({"targets": [[1.0]]}, "shape"),
        ({"targets": [1j]}, "complex"),
        ({"targets": ["a"]}, "numbers"),
        ({"targets": [1.0], "weights": [-1.0]}, "negative"),
        ({"targets": [1.0], "weights": [0.5, 0.5]}, "shape"),
        ({"targets": [1.0], "slope_bounds": [1.0, 2.0]}, "slope_bounds"),
        ({"targets": [1.0], "curvature_bound": -1.0}, "curvature_bound"),
    ],
)
def test_parameters_that_make_no_sense(arguments, message):
    with pytest.raises(InvalidFunctional, match=message):
        Risk(features, **arguments)


def test_gradient_with_a_wrong_shape():
    R = Risk(features, Y, gradient=lambda t: np.zeros((7, 3)))
    with pytest.raises(InvalidFunctional, match="gradient"):
        R.gradient(measures()[0])


def test_derivatives_given_twice():
    with pytest.raises(InvalidFunctional, match="bring their derivatives"):
        Risk(VjpOnly(), Y, gradient=gradient)


def test_identity_tells_risks_apart():
    one = Risk(features, Y).spec()
    assert one == Risk(features, Y).spec()
    assert one != Risk(features, Y + 1).spec()
    assert one != Risk(lambda t: 2 * features(t), Y).spec()
    assert one != Risk(features, Y, weights=np.ones(7)).spec()
