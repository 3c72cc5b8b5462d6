"""Interactions: exact sums, orders of the derivatives, the closed quadratic one, radial laws."""

import numpy as np
import pytest

from jkoflow import (
    Interaction,
    Particles,
    QuadraticInteraction,
    QuadraticPotential,
    Quantiles,
    Radial,
)
from jkoflow.functionals import interaction as module
from jkoflow.functionals.curvature import Action, Dense
from jkoflow.status import InvalidFunctional, NotDefined


def bump(z):
    return np.exp(-(z**2).sum(axis=1))


def bump_gradient(z):
    return -2 * z * bump(z)[:, None]


def bump_hessian(z):
    outer = 4 * z[:, :, None] * z[:, None, :] - 2 * np.eye(z.shape[1])
    return outer * bump(z)[:, None, None]


CLOUD = Particles(
    np.random.default_rng(0).normal(size=(12, 2)), np.random.default_rng(1).dirichlet(np.ones(12))
)
LINE = Quantiles.normal(0.1, 1.3, 9)


@pytest.mark.parametrize("mu", [CLOUD, LINE], ids=lambda m: m.kind)
def test_value_is_the_double_sum(mu):
    total = 0.0
    for x, p in zip(mu.points, mu.weights, strict=True):
        for y, q in zip(mu.points, mu.weights, strict=True):
            total += 0.5 * p * q * bump((x - y)[None])[0]
    assert Interaction(bump).value(mu) == pytest.approx(total, rel=1e-13)


def test_chunks_change_nothing(monkeypatch):
    F = Interaction(bump, bump_gradient, bump_hessian)
    v = np.random.default_rng(2).normal(size=CLOUD.points.shape)

    def everything():
        H = F.curvature_at_points(CLOUD.points, CLOUD.weights)
        return [F.value(CLOUD), F.gradient(CLOUD), F.first_variation(CLOUD, v), H.apply(v)]

    whole = everything()
    monkeypatch.setattr(module, "_CHUNK", 50)
    for a, b in zip(whole, everything(), strict=True):
        assert a == pytest.approx(b, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("mu", [CLOUD, LINE], ids=lambda m: m.kind)
@pytest.mark.parametrize(
    "F",
    [Interaction(bump, bump_gradient, bump_hessian), Interaction(bump, bump_gradient),
     Interaction(bump), QuadraticInteraction(1.7), QuadraticInteraction(-0.4)],
    ids=["all", "gradient", "nothing", "quadratic", "repelling"],
)  # fmt: skip
def test_taylor_orders(F, mu, taylor_rates):
    after_one, after_two = taylor_rates(F, mu)
    assert after_one == pytest.approx(2.0, abs=0.25)
    if isinstance(F, QuadraticInteraction):  # nothing is left after two terms but rounding
        x, v = mu.points, np.ones_like(mu.points) * np.linspace(0, 1, len(mu.points))[:, None]
        value, slope, bend = F.expansion(x, mu.weights)
        two = value + np.sum(mu.weights[:, None] * slope * v) + 0.5 * np.sum(v * bend.apply(v))
        assert F.value_at_points(x + v, mu.weights) == pytest.approx(two, rel=1e-13)
    else:
        assert after_two == pytest.approx(3.0, abs=0.5)  # steps of 1e-2 are not yet asymptotic


@pytest.mark.parametrize("F", [Interaction(bump), QuadraticInteraction(1.7)])
def test_first_variation_is_the_derivative_along_mixtures(F):
    at = np.array([[0.3, -0.2], [1.5, 2.0]])
    mean = CLOUD.weights @ F.first_variation(CLOUD, CLOUD.points)
    for point, value in zip(at, F.first_variation(CLOUD, at), strict=True):
        points = np.concatenate([CLOUD.points, point[None]])

        def mixed(s, points=points):
            return F.value_at_points(points, np.concatenate([(1 - s) * CLOUD.weights, [s]]))

        # quadratic along mixtures: the central difference is exact up to rounding
        slope = (mixed(1e-3) - mixed(-1e-3)) / 2e-3
        assert slope == pytest.approx(value - mean, abs=1e-11)


@pytest.mark.parametrize("kappa", [2.5, -0.7])
def test_quadratic_equals_the_general_one(kappa):
    F = QuadraticInteraction(kappa)
    G = Interaction(lambda z: 0.5 * kappa * (z**2).sum(axis=1), lambda z: kappa * z,
                    lambda z: np.broadcast_to(kappa * np.eye(2), (len(z), 2, 2)))  # fmt: skip
    v = np.random.default_rng(4).normal(size=CLOUD.points.shape)
    assert F.value(CLOUD) == pytest.approx(G.value(CLOUD), rel=1e-12)
    assert F.value(CLOUD) == pytest.approx(0.5 * kappa * np.trace(CLOUD.cov()), rel=1e-13)
    assert F.gradient(CLOUD) == pytest.approx(G.gradient(CLOUD), rel=1e-12, abs=1e-14)
    difference = F.first_variation(CLOUD, v) - G.first_variation(CLOUD, v)
    assert difference == pytest.approx(difference[0], abs=1e-13)  # up to a constant
    A, B = (f.curvature_at_points(CLOUD.points, CLOUD.weights) for f in (F, G))
    assert A.apply(v) == pytest.approx(B.apply(v), abs=1e-14)


def test_convexity_claims():
    assert Interaction(bump).convexity is None
    assert Interaction(bump, convexity=-2.0).convexity == -2.0
    assert Interaction(lambda z: (z**2).sum(axis=1), convexity=2.0).convexity == 0.0
    assert QuadraticInteraction(3.0).convexity == 0.0
    assert QuadraticInteraction(-3.0).convexity == -3.0


def test_dense_and_action_are_the_same_map(monkeypatch):
    F = Interaction(bump, bump_gradient, bump_hessian)
    v = np.random.default_rng(5).normal(size=CLOUD.points.shape)
    H = F.curvature_at_points(CLOUD.points, CLOUD.weights)
    monkeypatch.setattr(module, "_LARGEST_DENSE", 1)
    G = F.curvature_at_points(CLOUD.points, CLOUD.weights)
    assert isinstance(H.parts[0], Dense) and isinstance(G.parts[0], Action)
    assert H.apply(v) == pytest.approx(G.apply(v), abs=1e-15)


def logarithm(z):
    return -np.log(np.linalg.norm(z, axis=1))


class TestSingular:
    def test_infinite_diagonal_is_an_error_that_names_the_option(self):
        with pytest.raises(InvalidFunctional, match="self_interaction=False"):
            Interaction(logarithm).value(CLOUD)

    def test_without_the_diagonal(self):
        F = Interaction(logarithm, self_interaction=False)
        mu = Particles([[0.0], [2.0]])
        assert F.value(mu) == pytest.approx(0.5 * 2 * 0.25 * -np.log(2), rel=1e-14)
        # ∇(W*ρ)(0) = ½ W'(−2) = ¼; central differences are good to 1e-10
        assert F.gradient(mu).ravel() == pytest.approx([0.25, -0.25], abs=1e-8)
        assert F.first_variation(mu, [[2.0]]) == pytest.approx([-0.5 * np.log(2)], rel=1e-14)

    def test_taylor_orders(self, taylor_rates):
        x = np.linspace(-2, 2, 7)[:, None]
        F = Interaction(
            logarithm, lambda z: -z / (z**2).sum(axis=1)[:, None], self_interaction=False
        )
        after_one, after_two = taylor_rates(F, Particles(x))
        assert after_one == pytest.approx(2.0, abs=0.3)
        assert after_two == pytest.approx(3.0, abs=0.5)

    def test_semicircle_energy(self):
        """W = x²/2 − log|x|: minimised by the semicircle of radius √2, E = .5482867951."""
        from scipy.optimize import brentq

        def cdf(x):
            u = x / np.sqrt(2)
            return 0.5 + (u * np.sqrt(1 - u * u) + np.arcsin(u)) / np.pi

        F = Interaction(lambda z: 0.5 * z[:, 0] ** 2 + logarithm(z), self_interaction=False)
        errors = []
        for n in (50, 100, 200):
            levels = (np.arange(n) + 0.5) / n
            edge = np.sqrt(2)
            x = [brentq(lambda t, s=s: cdf(t) - s, -edge, edge) for s in levels]
            errors.append(F.value(Particles(x)) - 0.5482867951)
        errors = np.array(errors)
        assert errors[-1] == pytest.approx(0.0, abs=0.02)
        # the missing diagonal costs ½ log(n)/n, which doubles n by a factor of 0.58
        assert errors[1:] / errors[:-1] == pytest.approx(0.58, abs=0.05)


def test_coinciding_points_have_a_curvature():
    """All particles at one point: W'' = 2 there counts, although ∇W(0) = 0."""
    F = Interaction(lambda z: (z**2).sum(axis=1), lambda z: 2 * z,
                    lambda z: np.broadcast_to(2 * np.eye(1), (len(z), 1, 1)))  # fmt: skip
    H = F.curvature_at_points(np.zeros((2, 1)), np.array([0.5, 0.5]))
    assert H.apply(np.array([[1.0], [-1.0]])).ravel() == pytest.approx([1.0, -1.0])


class TestRadial:
    law = Radial.normal(0.6, 5, 200)

    def test_quadratic_is_a_potential_of_the_radius(self):
        F, G = QuadraticInteraction(1.4), QuadraticPotential(1.4)
        assert F.value(self.law) == pytest.approx(G.value(self.law), rel=1e-15)
        assert F.gradient(self.law) == pytest.approx(G.gradient(self.law), abs=0)
        at = np.array([[0.5], [2.0]])
        assert F.first_variation(self.law, at) == pytest.approx(G.first_variation(self.law, at))

    def test_agrees_with_particles_in_the_full_space(self):
        x = np.random.default_rng(6).normal(scale=0.6, size=(40_000, 5))
        # both estimate (κ/2)·5·0.36; the sample's relative error is √(2/(5·40000)) = 0.3 %
        want = QuadraticInteraction(1.4).value(self.law)
        assert QuadraticInteraction(1.4).value(Particles(x)) == pytest.approx(want, rel=0.015)

    def test_sum_uses_the_radial_form(self):
        F = QuadraticInteraction(1.0) + QuadraticPotential(2.0)
        assert F.value(self.law) == pytest.approx(QuadraticPotential(3.0).value(self.law))

    def test_general_average_of_the_quadratic_one(self):
        F = Interaction(lambda z: 0.7 * (z**2).sum(axis=1), lambda z: 1.4 * z,
                        lambda z: np.broadcast_to(1.4 * np.eye(5), (len(z), 5, 5)))  # fmt: skip
        law, G = Radial.normal(0.6, 5, 12), QuadraticInteraction(1.4)
        assert F.value(law) == pytest.approx(G.value(law), rel=1e-13)
        assert F.gradient(law) == pytest.approx(G.gradient(law), rel=1e-12)
        v = np.random.default_rng(0).normal(size=law.points.shape)
        A, B = (f.on(law).curvature_at_points(law.points, law.weights) for f in (F, G))
        assert A.apply(v) == pytest.approx(B.apply(v), abs=1e-13)

    @pytest.mark.parametrize(("dim", "std"), [(2, 0.9), (5, 0.5), (30, 0.2)])
    def test_gaussian_energy_of_gaussians(self, dim, std):
        """E exp(−|X − Y|²) = (1 + 4σ²)^{−d/2} for X, Y ~ N(0, σ²I) independent."""
        want = 0.5 * (1 + 4 * std**2) ** (-dim / 2)
        got = Interaction(bump).value(Radial.normal(std, dim, 150))
        assert got == pytest.approx(want, rel=2e-4)  # second order in the cells

    @pytest.mark.parametrize("given", [(bump_gradient, bump_hessian), (bump_gradient,), ()])
    def test_taylor_orders_of_the_average(self, given, taylor_rates):
        law = Radial.normal(0.5, 3, 10)
        after_one, after_two = taylor_rates(Interaction(bump, *given).on(law), law)
        assert after_one == pytest.approx(2.0, abs=0.25)
        assert after_two == pytest.approx(3.0, abs=0.5)

    def test_newtons_theorem(self):
        """−log|z| in the plane: E = −log max(r, r'), as good as the Gauss sum near r = r'."""
        F = Interaction(logarithm, self_interaction=False)
        mu = Radial([0.5, 0.5, 3.0], 2)
        want = -(0.75 * np.log(np.maximum(2.0, 0.5)) + 0.25 * np.log(3.0))
        assert F.first_variation(mu, [[2.0]]) == pytest.approx([want], rel=1e-8)

    def test_direction_dependence_is_a_typed_error(self):
        with pytest.raises(NotDefined, match="direction"):
            Interaction(lambda z: z[:, 0] ** 2).value(self.law)


@pytest.mark.parametrize(
    ("W", "message"),
    [
        (lambda z: z, "shape"),
        (lambda z: z[:, 0] * 1j, "complex"),
        (lambda z: z[:, 0] * np.nan, "NaN"),
        (lambda z: z[:, 0], "even"),
        (lambda z: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_bad_answers(W, message):
    with pytest.raises(InvalidFunctional, match=message):
        Interaction(W).value(CLOUD)


def test_bad_parameters():
    for make in (lambda: Interaction(3.0), lambda: QuadraticInteraction(np.nan)):
        with pytest.raises(InvalidFunctional):
            make()


def test_identity():
    assert Interaction(bump).spec() == Interaction(bump).spec()
    assert Interaction(bump).spec() != Interaction(logarithm).spec()
    assert QuadraticInteraction(1.0).spec() != QuadraticInteraction(2.0).spec()


def test_points_that_are_one_do_not_attract_each_other_whatever_their_weights_sum_up_to() -> None:
    """x − ∫x dρ is 0 then, and not the rounding of the mean: with weights off by ε that is no slope
    of the value, and small as both are one would not be the other's derivative."""
    x, w = np.tile([0.1 / 3.0, 7e5], (3, 1)), np.array([0.3, 0.3, 0.4 - 2.0**-53])
    F = QuadraticInteraction(-100.0)
    assert F.value_at_points(x, w) == 0.0 and not F.gradient_at_points(x, w).any()
    assert not F.first_variation_at_points(x, w, x).any()
