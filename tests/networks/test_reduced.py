"""Population risks on reduced laws, against quadrature over |x|, Monte Carlo and derivatives."""


import numpy as np
import pytest
from scipy.special import betainc, gammaln, roots_genlaguerre

from jkoflow import Particles, Quantiles, Radial, Risk, free_energy
from jkoflow.networks import (
    GaussianClasses,
    PiecewiseLinear,
    ScaledUnit,
    SimpleUnit,
    data_risk,
    non_monotone,
    radial_risk,
    reduced_relu_risk,
    relu,
    smooth_truncated_relu,
    softplus,
    tanh,
    truncated_relu,
)
from jkoflow.networks.hermite import bounded_part, growth
from jkoflow.networks.reduced_table import RadialTable
from jkoflow.status import InvalidFunctional, InvalidMeasure, NotDefined

CLASSES = [
    GaussianClasses.std(2, 0.3),
    GaussianClasses.var(5, 0.6),
    GaussianClasses.std(40, 0.8),
    GaussianClasses.var(40, 0.25),
    GaussianClasses.std(320, 0.5),
]
# what the series leaves out at the radii used here (at most 3): BASELINES of this test, d = 2 is
# slow because there the response has kinks of order 3/2 in |x|
LEFT_OUT = {2: 3e-5, 5: 1e-8, 40: 3e-9, 320: 3e-9}


def sphere_mean(activation, t, d):
    """Eσ(t u_1), u uniform on the sphere: closed for piecewise linear σ, else panels."""
    if not isinstance(activation, PiecewiseLinear):
        g, gw = np.polynomial.legendre.leggauss(4)
        panels = 1000 if d < 10 else 8000
        ends = np.linspace(-0.5 * np.pi, 0.5 * np.pi, panels)  # u = sin(angle)
        h = np.diff(ends)[:, None]
        angle, w = (ends[:-1, None] + 0.5 * h * (g + 1)).ravel(), (0.5 * h * gw).ravel()
        w = w * np.cos(angle) ** (d - 2)
        used = w > 1e-18 * w.max()
        w = w[used] / w[used].sum()
        return np.array([activation(s * np.sin(angle[used])) @ w for s in np.ravel(t)])
    density = np.exp(gammaln(0.5 * d) - gammaln(0.5 * (d - 1))) / np.sqrt(np.pi)
    slopes, knots = activation.slopes, activation.knots
    result = np.full_like(t, activation.values[0] - slopes[0] * knots[0])
    for c, jump in zip(knots, np.diff(slopes), strict=True):
        z = np.clip(c / np.maximum(t, 1e-300), -1, 1)
        tail = 0.5 * betainc(0.5 * (d - 1), 0.5, 1 - z * z)
        tail = np.where(z >= 0, tail, 1 - tail)
        first = density * (1 - z * z) ** (0.5 * (d - 1)) / (d - 1)
        result += jump * (t * first - c * tail)
    return result


def chi_rule(d, count, panels):
    """A rule for |x|, x ~ N(0, I_d): Gauss for large d, panels where kinks in |x| are felt."""
    if d >= 20:
        x, w = roots_genlaguerre(count, 0.5 * d - 1)
        return np.sqrt(2 * x), w / w.sum()
    g, gw = np.polynomial.legendre.leggauss(8)
    ends = np.linspace(0, np.sqrt(d) + 8, panels)
    h = np.diff(ends)[:, None]
    rho, w = (ends[:-1, None] + 0.5 * h * (g + 1)).ravel(), (0.5 * h * gw).ravel()
    w *= rho ** (d - 1) * np.exp(-0.5 * rho**2)
    return rho, w / w.sum()


def risk_by_quadrature(classes, activation, r, p, count=24, panels=4000):
    rho, w = chi_rule(classes.dim, count, panels)
    risk = 0.0
    for label, std in ((1.0, classes.std_plus), (-1.0, classes.std_minus)):
        response = sum(
            pi * sphere_mean(activation, std * rho * ri, classes.dim)
            for ri, pi in zip(r, p, strict=True)
        )
        risk += 0.5 * w @ (label - response) ** 2
    return risk


RADII, WEIGHTS = np.array([0.2, 0.7, 1.3, 3.0]), np.array([0.1, 0.2, 0.4, 0.3])


@pytest.mark.parametrize("activation", [truncated_relu, non_monotone, relu], ids=repr)
@pytest.mark.parametrize("classes", CLASSES, ids=repr)
def test_piecewise_linear_against_quadrature_over_the_norm(classes, activation):
    R = radial_risk(classes, activation)
    tolerance = LEFT_OUT[classes.dim] * (10 if activation is relu else 1)  # accuracy/(1 + r²)
    for r in RADII:  # a single radius is the worst case
        want = risk_by_quadrature(classes, activation, [r], [1.0], 64)
        assert R.value(Particles([[r]])) == pytest.approx(want, abs=tolerance)
    want = risk_by_quadrature(classes, activation, RADII, WEIGHTS, 64)
    got = R.value(Particles(RADII[:, None], WEIGHTS))
    assert got == pytest.approx(want, abs=tolerance)


@pytest.mark.parametrize("activation", [softplus, smooth_truncated_relu], ids=repr)
@pytest.mark.parametrize("classes", CLASSES[1:], ids=repr)
def test_smooth_activations_against_quadrature(classes, activation):
    R = radial_risk(classes, activation)
    # smooth_truncated_relu is C², which slows the series in d = 5 to 1e-6
    tolerance = 3e-6 if classes.dim < 10 else 1e-8
    want = risk_by_quadrature(classes, activation, RADII, WEIGHTS, 64, panels=60)
    got = R.value(Particles(RADII[:, None], WEIGHTS))
    assert got == pytest.approx(want, abs=tolerance)


def test_an_odd_activation_answers_zero():
    R = radial_risk(GaussianClasses.std(7, 0.4), tanh)
    assert R.value(Radial.normal(1.0, 7, 50)) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("activation", [truncated_relu, non_monotone, softplus], ids=repr)
@pytest.mark.parametrize("classes", CLASSES[:4], ids=repr)
def test_against_monte_carlo(classes, activation):
    """The risk of an unbiased pair of independent networks: z-score of the mean."""
    rng = np.random.default_rng(17)
    d, std, n = classes.dim, 1.1 / np.sqrt(classes.dim), 200_000
    x, y = classes.sample(n, rng)
    # E(y − a)(y − b) = R for a, b the answers of independent neurons
    one, two = (std * rng.standard_normal((n, d)) for _ in range(2))
    a, b = (activation(np.einsum("nd,nd->n", x, w)) for w in (one, two))
    product = (y - a) * (y - b)
    R = radial_risk(classes, activation).value(Radial.normal(std, d, 4000))
    z = (product.mean() - R) / (product.std() / np.sqrt(n))
    assert abs(z) < 4.0  # 6e-5 by chance; the seed is fixed


def test_reference_of_the_isotropic_experiment():
    """A1 at t = 0: R = 1.7044, mean radius .795."""
    law = Radial.normal(0.8 / np.sqrt(40), 40, 2000)
    R = radial_risk(GaussianClasses.std(40, 0.8), truncated_relu)
    assert R.value(law) == pytest.approx(1.7044, abs=2e-4)
    assert law.integrate(lambda r: r[:, 0]) == pytest.approx(0.795, abs=5e-4)


def test_few_features_do_what_gauss_quadrature_needs_many_for():
    """At d = 40, over single radii: 10 features are better than Gauss rules with 20."""
    classes, radii = GaussianClasses.std(40, 0.8), np.linspace(0.1, 8.0, 40)
    R = radial_risk(classes, truncated_relu)
    assert len(R.targets) <= 12

    def gauss(count):
        risk = risk_by_quadrature
        return np.array([risk(classes, truncated_relu, [r], [1.0], count) for r in radii])

    exact = gauss(64)
    error = np.abs([R.value(Particles([[r]])) for r in radii] - exact).max()
    assert error < 1e-9  # as promised; 4.9e-10 measured
    assert np.abs(gauss(10) - exact).max() > 10 * error  # 1.1e-8
    assert np.abs(gauss(24) - exact).max() < 1e-12  # so `exact` is


def test_accuracy_is_a_part_that_is_missing():
    """Compression only leaves squares out: R grows with accuracy, by no more than promised."""
    classes = GaussianClasses.std(20, 0.5)
    fine = radial_risk(classes, truncated_relu, accuracy=1e-11)
    coarse = radial_risk(classes, truncated_relu, accuracy=1e-4)
    assert len(coarse.targets) < len(fine.targets)
    r = np.linspace(0, 20, 300)
    gaps = [fine.value(Particles([[s]])) - coarse.value(Particles([[s]])) for s in r]
    assert min(gaps) > -1e-11  # the finer one's own accuracy
    assert 1e-6 < max(gaps) <= 1e-4


def test_weights_targets_and_features_are_readable():
    classes = GaussianClasses.std(40, 0.8)
    R = radial_risk(classes, truncated_relu)
    mu = Radial.normal(0.3, 40, 100)
    e = R.targets - R.features(mu.points) @ mu.weights
    assert R.value(mu) == pytest.approx(R.weights @ e**2, rel=1e-14)
    assert e == pytest.approx(R.residual(mu), abs=1e-15)
    assert R.targets[:2].tolist() == [1.0, -1.0] and not R.targets[2:].any()


@pytest.mark.parametrize("classes", [CLASSES[1], CLASSES[2]], ids=repr)
def test_table_against_the_series_between_its_nodes(classes):
    """The first two features are h_0(τ± r): closed forms, off the grid and far beyond 1."""
    R = radial_risk(classes, truncated_relu)
    r = np.concatenate([np.random.default_rng(0).uniform(0, 8, 200), [50.0, 1e3]])
    for k, std in enumerate((classes.std_plus, classes.std_minus)):
        want = bounded_part(truncated_relu, std * r, 1)[0]
        assert R.features(r[:, None])[k] == pytest.approx(want, abs=1e-9)
    # at infinity half of the neurons answer −2.5, the other half 7.5
    assert R.features(np.array([[1e15]]))[:2, 0] == pytest.approx(2.5, abs=1e-9)


@pytest.mark.parametrize("activation", [truncated_relu, relu, softplus], ids=repr)
def test_derivatives_are_the_features_own(activation):
    features = radial_risk(GaussianClasses.std(10, 0.6), activation).features
    r = np.concatenate([np.random.default_rng(1).uniform(0.05, 6, 100), [0.0, 40.0]])[:, None]
    here, h = features.at(r), 1e-4 * (1 + r[:, 0])
    up, down = features(r + h[:, None]), features(r - h[:, None])
    # h² times a third derivative (below 100 for r < 6), and rounding
    assert (up - down) / (2 * h) == pytest.approx(here.jacobian()[:, :, 0], abs=2e-5)
    c = np.linspace(-1, 1, len(up))
    assert here.vjp(c) == pytest.approx(np.tensordot(c, here.jacobian(), 1), abs=1e-13)
    bend = (features.vjp(r + h[:, None], c) - features.vjp(r - h[:, None], c))[:, 0] / (2 * h)
    assert here.curvature(c)[:, 0, 0] == pytest.approx(bend, abs=1e-3)


@pytest.mark.parametrize("activation", [truncated_relu, non_monotone, softplus], ids=repr)
def test_taylor_orders_on_radial_laws(activation, taylor_rates):
    R = radial_risk(GaussianClasses.var(12, 0.5), activation)
    after_one, after_two = taylor_rates(R, Radial.normal(0.3, 12, 40), 1e-2, relative=True)
    assert after_one == pytest.approx(2.0, abs=0.25)  # steps of 1e-2 are not yet asymptotic
    assert after_two == pytest.approx(3.0, abs=0.4)


def test_first_variation_along_mixtures():
    R, mu = radial_risk(GaussianClasses.std(9, 0.4), truncated_relu), Radial.normal(0.4, 9, 30)
    at = np.array([[0.3], [1.7]])
    mean = mu.weights @ R.first_variation(mu, mu.points)
    for point, value in zip(at, R.first_variation(mu, at), strict=True):
        x = np.concatenate([mu.points, point[None]])

        def mixed(s, x=x):
            return R.value_at_points(x, np.concatenate([(1 - s) * mu.weights, [s]]))

        slope = (mixed(1e-3) - mixed(-1e-3)) / 2e-3  # exact for a quadratic, up to rounding
        assert slope == pytest.approx(value - mean, abs=1e-10)


@pytest.mark.parametrize("activation", [truncated_relu, relu], ids=repr)
def test_bounds_hold_and_are_not_wasteful(activation):
    features = radial_risk(GaussianClasses.std(15, 0.7), activation).features
    r = np.concatenate([np.linspace(0, 12, 20_000), np.geomspace(12, 1e6, 2000)])[:, None]
    here = features.at(r)
    slopes = np.abs(here.jacobian()[:, :, 0]).max(axis=1)
    assert (slopes <= features.slope_bounds * (1 + 1e-12)).all()
    assert (features.slope_bounds <= 1.05 * slopes + 1e-9).all()
    for k, e in enumerate(np.eye(len(slopes))):
        bend = np.abs(here.curvature(e)).max()
        assert bend <= features.curvature_bounds[k] * (1 + 1e-12) + 1e-9
        assert features.curvature_bounds[k] <= 1.2 * bend + 1e-6


def test_convexity_near_is_claimed_and_halves():
    R, mu = radial_risk(GaussianClasses.std(40, 0.8), truncated_relu), Radial.normal(0.1, 40, 50)
    whole = R.convexity_near(mu, 0.1)
    assert whole < 0
    assert (0.5 * R).convexity_near(mu, 0.1) == pytest.approx(0.5 * whole, rel=1e-14)


def test_growth_of_relu():
    """Eσ(rG) = r/√(2π): nothing is left beside the linear part."""
    assert growth(relu, 3)[0] == pytest.approx(1 / np.sqrt(2 * np.pi), rel=1e-15)
    assert not growth(truncated_relu, 3).any()


class TestErrors:
    risk = radial_risk(GaussianClasses.std(4, 0.3), truncated_relu)

    def test_anisotropic(self):
        with pytest.raises(NotDefined, match="isotropic"):
            radial_risk(GaussianClasses.std(40, 0.3, active=7), truncated_relu)

    def test_isotropic_in_two_ways(self):
        assert radial_risk(GaussianClasses(6, 0.8, 1.2, active=6), relu).classes.active == 6

    def test_wrong_dimension_and_particles_in_the_full_space(self):
        with pytest.raises(NotDefined, match=r"R\^4"):
            self.risk.value(Radial.normal(1.0, 5, 10))
        with pytest.raises(NotDefined, match="Radial"):
            self.risk.value(Particles(np.ones((3, 4))))
        with pytest.raises(NotDefined, match="radius"):
            self.risk.value_at_points(np.ones((3, 4)), np.full(3, 1 / 3))
        assert np.isfinite(self.risk.value(Quantiles([0.5, 1.0])))

    def test_radii_below_zero(self):
        """The features there are what their series happens to be: 6e6 for a normal law."""
        with pytest.raises(NotDefined, match="not negative"):
            self.risk.value(Quantiles.normal(0.0, 1.0, 5))

    def test_parameters(self):
        classes = GaussianClasses.std(4, 0.3)
        for arguments in ((3, relu), (classes, np.tanh)):
            with pytest.raises(InvalidFunctional):
                radial_risk(*arguments)
        with pytest.raises(InvalidFunctional, match="accuracy"):
            radial_risk(classes, relu, accuracy=0.0)

    def test_free_energy_of_a_wrong_dimension(self):
        with pytest.raises(NotDefined):
            free_energy(self.risk, 0.1, 2.0).value(Radial.normal(1.0, 5, 10))


def test_identity_is_the_question():
    one = radial_risk(GaussianClasses.std(4, 0.3), truncated_relu)
    assert one.spec() == radial_risk(GaussianClasses.std(4, 0.3), truncated_relu).spec()
    assert one.spec() != radial_risk(GaussianClasses.std(4, 0.31), truncated_relu).spec()
    assert one.spec() != radial_risk(GaussianClasses.std(4, 0.3), relu).spec()


def test_table_reproduces_a_function_with_linear_growth():
    r = RadialTable.radii(256, 0.7)
    table = RadialTable(np.array([2.0]), (r / (1 + r**2))[None], 0.7)
    at = np.array([0.0, 0.123, 1.9, 30.0, 1e5])
    assert table(at[:, None])[0] == pytest.approx(2 * at + at / (1 + at**2), rel=1e-11, abs=1e-9)


class TestReducedRelu:
    classes = GaussianClasses.std(30, 0.5, active=11)

    def law(self, n=60):
        rng = np.random.default_rng(2)
        columns = [rng.normal(1.0, 0.5, n), rng.normal(0.2, 0.4, n)]
        columns += [np.abs(rng.normal(1.2, 0.4, n)), np.abs(rng.normal(0.7, 0.2, n))]
        return Particles(np.stack(columns, axis=1), rng.dirichlet(np.ones(n)))

    @pytest.mark.parametrize("classes", [classes, GaussianClasses.var(12, 0.4, active=3)], ids=repr)
    def test_against_monte_carlo(self, classes):
        """E(y − σ*)(y − σ*') over data and two neurons with random directions, by z-score."""
        rng, mu, n = np.random.default_rng(3), self.law(), 300_000
        x, y = classes.sample(n, rng)

        def answers():
            a, b, r1, r2 = mu.points[rng.choice(len(mu.points), n, p=mu.weights)].T
            w = rng.standard_normal(x.shape)
            s0 = classes.active
            w[:, :s0] *= (r1 / np.linalg.norm(w[:, :s0], axis=1))[:, None]
            w[:, s0:] *= (r2 / np.linalg.norm(w[:, s0:], axis=1))[:, None]
            return a * np.maximum(np.einsum("nd,nd->n", w, x) + b, 0)

        product = (y - answers()) * (y - answers())
        R = reduced_relu_risk(classes, terms=8).value(mu)
        z = (product.mean() - R) / (product.std() / np.sqrt(n))
        assert abs(z) < 4.0  # 6e-5 by chance; the seed is fixed

    def test_terms_fall_like_powers_of_the_smaller_block(self):
        mu = self.law()
        values = [reduced_relu_risk(self.classes, terms=k).value(mu) for k in range(6)]
        steps = np.abs(np.diff(values))
        assert (steps[1:] < steps[:-1] / 5).all()  # about 1/11 each

    def test_two_terms_of_the_published_formula(self):
        """u = aa'·½Σ_± [G_0G_0' + E c²/2 G_2G_2'], written out."""
        mu, c = self.law(20), self.classes
        a, b, r1, r2 = mu.points.T
        w = mu.weights
        from scipy.stats import norm

        risk = 0.0
        for label, tau in ((1.0, c.std_plus), (-1.0, c.std_minus)):
            s = np.sqrt(tau**2 * r1**2 + r2**2)
            g0 = b * norm.cdf(b / s) + s * norm.pdf(b / s)
            g2 = norm.pdf(b / s) / s
            ec2 = tau**4 * np.multiply.outer(r1**2, r1**2) / 11
            ec2 += np.multiply.outer(r2**2, r2**2) / 19
            u = np.multiply.outer(a * g0, a * g0) + ec2 / 2 * np.multiply.outer(a * g2, a * g2)
            risk += 0.5 * (1 - 2 * label * (w @ (a * g0)) + w @ u @ w)
        assert reduced_relu_risk(c, terms=1).value(mu) == pytest.approx(risk, rel=1e-12)

    def test_taylor_orders(self, taylor_rates):
        R = reduced_relu_risk(self.classes)
        after_one, after_two = taylor_rates(R, self.law(), 1e-2, relative=True)
        assert after_one == pytest.approx(2.0, abs=0.25)
        assert after_two == pytest.approx(3.0, abs=0.4)

    def test_zero_amplitude_has_its_derivatives(self):
        x = self.law(5).points.copy()
        x[0, 0] = 0.0
        features = reduced_relu_risk(self.classes).features
        c = np.linspace(0.3, 1.0, len(features(x)))
        h, H = 1e-6, features.curvature(x, c)
        for k, e in enumerate(np.eye(4)):
            slope = (features.vjp(x + h * e, c) - features.vjp(x - h * e, c)) / (2 * h)
            assert slope == pytest.approx(H[:, :, k], rel=1e-6, abs=1e-7)

    def test_errors(self):
        with pytest.raises(NotDefined, match="active < dim"):
            reduced_relu_risk(GaussianClasses.std(5, 0.2))
        with pytest.raises(InvalidFunctional, match="terms"):
            reduced_relu_risk(self.classes, terms=-1)
        with pytest.raises(NotDefined, match="a, b, r1, r2"):
            reduced_relu_risk(self.classes).value(Particles(np.ones((3, 2))))

    def test_identity(self):
        spec = reduced_relu_risk(self.classes).spec()
        assert spec == reduced_relu_risk(self.classes).spec()
        assert spec != reduced_relu_risk(self.classes, terms=1).spec()


class TestDataRisk:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(40, 4)), np.sign(rng.normal(size=40))
    theta = rng.normal(size=(8, 4))

    @pytest.mark.parametrize(("unit", "D"), [(SimpleUnit(tanh), 4), (ScaledUnit(softplus), 6)])
    def test_value_and_taylor_orders(self, unit, D, taylor_rates):
        mu = Particles(np.random.default_rng(1).normal(size=(8, D)))
        R = data_risk(unit, self.x, self.y)
        answer = unit.value(mu.points, self.x).mean(axis=1)
        assert isinstance(R, Risk)
        assert R.value(mu) == pytest.approx(np.mean((self.y - answer) ** 2), rel=1e-13)
        after_one, after_two = taylor_rates(R, mu, 1e-2, relative=True)
        assert after_one == pytest.approx(2.0, abs=0.3)
        assert after_two == pytest.approx(3.0, abs=0.4)

    def test_a_unit_with_value_and_vjp_only(self):
        class Mine:
            def value(self, theta, x):
                return np.tanh(x @ theta.T)

            def vjp(self, theta, x, c):
                return (c[:, None] * (1 - np.tanh(x @ theta.T) ** 2)).T @ x

        mu, v = Particles(self.theta), np.random.default_rng(0).normal(size=self.theta.shape)
        mine, ours = (data_risk(u, self.x, self.y) for u in (Mine(), SimpleUnit(tanh)))
        A, B = (R.curvature_at_points(mu.points, mu.weights) for R in (mine, ours))
        assert A.apply(v) == pytest.approx(B.apply(v), abs=1e-8)  # central differences
        assert mine.convexity_near(mu, 0.1) is None

    def test_bounds_come_from_the_unit(self):
        R, mu = data_risk(SimpleUnit(tanh), self.x, self.y), Particles(self.theta)
        e, size = np.abs(R.residual(mu)), np.linalg.norm(self.x, axis=1)
        c = (e + 0.2 * size) / len(size)
        shared = np.linalg.eigvalsh((self.x * c[:, None]).T @ self.x)[-1]
        want = -2 * 4 / (3 * np.sqrt(3)) * shared
        assert R.convexity_near(mu, 0.2) == pytest.approx(want, rel=1e-13)
        scaled, wide = data_risk(ScaledUnit(tanh), self.x, self.y), Particles(np.ones((2, 6)))
        assert scaled.convexity_near(wide, 0.2) is None

    def test_errors(self):
        with pytest.raises(InvalidMeasure):
            data_risk(SimpleUnit(tanh), self.x, self.y[:-1])
        with pytest.raises(InvalidMeasure, match="NaN"):
            data_risk(SimpleUnit(tanh), self.x * np.nan, self.y)
        with pytest.raises(InvalidFunctional, match="value"):
            data_risk(tanh, self.x, self.y)
        with pytest.raises(InvalidFunctional, match="6 parameters"):
            data_risk(ScaledUnit(tanh), self.x, self.y).value(Particles(self.theta))

    def test_identity(self):
        spec = data_risk(SimpleUnit(tanh), self.x, self.y).spec()
        assert spec == data_risk(SimpleUnit(tanh), self.x, self.y).spec()
        assert spec != data_risk(SimpleUnit(tanh), self.x + 1, self.y).spec()
        assert spec != data_risk(SimpleUnit(softplus), self.x, self.y).spec()
