"""KL against Gaussian closed forms, MMD against its definition and a Gaussian closed form."""

import numpy as np
import pytest

from jkoflow import MMD, Entropy, KullbackLeibler, Particles, Quantiles, Radial
from jkoflow.functionals.divergence import EnergyKernel, GaussianKernel
from jkoflow.status import InvalidFunctional, MissingStructure, NotDefined


def log_normal(mean, std):
    """A log density by hand, up to nothing: normalised on the line."""

    def log_density(x):
        return -0.5 * ((x[:, 0] - mean) / std) ** 2 - np.log(std * np.sqrt(2 * np.pi))

    return log_density


class TestKullbackLeibler:
    @pytest.mark.parametrize(("m", "s", "mean", "std"), [(0.3, 0.8, -0.2, 1.1), (0, 2, 0, 0.7)])
    def test_between_gaussians(self, m, s, mean, std):
        want = np.log(std / s) + (s**2 + (m - mean) ** 2) / (2 * std**2) - 0.5
        errors = [
            KullbackLeibler(log_normal(mean, std)).value(Quantiles.normal(m, s, n)) - want
            for n in (200, 400, 800)
        ]
        assert errors[-1] == pytest.approx(0.0, abs=2e-2)  # tail cells
        assert abs(errors[2]) < 0.75 * abs(errors[1]) < 0.6 * abs(errors[0])  # and falling

    def test_zero_at_the_target_and_unnormalised(self):
        mu = Quantiles.normal(0.4, 0.9, 2000)
        F = KullbackLeibler(log_normal(0.4, 0.9))
        G = KullbackLeibler(lambda x: log_normal(0.4, 0.9)(x) + 3.0)
        assert F.value(mu) == pytest.approx(0.0, abs=5e-3)  # the discretisation
        assert F.value(mu) - G.value(mu) == pytest.approx(3.0, rel=1e-12)
        assert F.gradient(mu) == pytest.approx(G.gradient(mu), abs=1e-6)

    def test_is_entropy_plus_potential(self):
        F = KullbackLeibler(log_normal(0.0, 2.0), lambda x: -x / 4, convexity=0.25)
        assert isinstance(F.internal.terms[0][1], Entropy)
        assert F.smooth.convexity == 0.25
        assert F.spec()["name"] == "KullbackLeibler"
        assert F.spec() != KullbackLeibler(log_normal(0.0, 3.0)).spec()

    def test_no_density_on_particles(self):
        with pytest.raises(NotDefined):
            KullbackLeibler(log_normal(0.0, 1.0)).value(Particles([[0.0], [1.0]]))

    def test_not_a_function(self):
        with pytest.raises(InvalidFunctional, match="log_density"):
            KullbackLeibler(np.zeros(3))

    def test_bad_answer(self):
        with pytest.raises(InvalidFunctional):
            KullbackLeibler(lambda x: x).value(Quantiles([0.0, 1.0]))


rng = np.random.default_rng(0)
CLOUD = Particles(rng.normal(size=(10, 2)), rng.dirichlet(np.ones(10)))
TARGET = Particles(rng.normal(size=(6, 2)) + 1, rng.dirichlet(np.ones(6)))


class Multiquadric:
    """One's own kernel with a gradient."""

    def __call__(self, x, y):
        return (1 + ((x[:, None] - y) ** 2).sum(axis=2)) ** -0.5

    def gradient(self, x, y):
        return -(x[:, None] - y) * (self(x, y) ** 3)[:, :, None]


KERNELS = [GaussianKernel(1.3), EnergyKernel(), Multiquadric(), lambda x, y: Multiquadric()(x, y)]
NAMES = ["gaussian", "energy", "own", "function"]


def by_definition(kernel, mu, nu):
    z, s = np.concatenate([mu.points, nu.points]), np.concatenate([mu.weights, -nu.weights])
    return s @ kernel(z, z) @ s


@pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
class TestMMD:
    def test_value(self, kernel):
        want = by_definition(kernel, CLOUD, TARGET)
        assert MMD(TARGET, kernel).value(CLOUD) == pytest.approx(want, rel=1e-12)
        assert want > 0
        # zero at the target: rounding of sums of order one
        assert MMD(TARGET, kernel).value(TARGET) == pytest.approx(0.0, abs=1e-14)

    def test_gradient_has_taylor_order_two(self, kernel):
        F, x, w = MMD(TARGET, kernel), CLOUD.points, CLOUD.weights
        v = np.random.default_rng(1).normal(size=x.shape)
        slope = np.sum(w[:, None] * F.gradient(CLOUD) * v)
        steps = np.array([4e-3, 2e-3, 1e-3])
        left = [abs(F.value_at_points(x + h * v, w) - F.value(CLOUD) - h * slope) for h in steps]
        assert np.diff(np.log(left)) / np.log(0.5) == pytest.approx(2.0, abs=0.1)

    def test_first_variation_along_mixtures(self, kernel):
        F, at = MMD(TARGET, kernel), np.array([[0.2, 0.5]])
        mean = CLOUD.weights @ F.first_variation(CLOUD, CLOUD.points)
        points = np.concatenate([CLOUD.points, at])

        def mixed(s):
            return F.value_at_points(points, np.concatenate([(1 - s) * CLOUD.weights, [s]]))

        slope = (mixed(1e-3) - mixed(-1e-3)) / 2e-3  # exact for a quadratic, up to rounding
        assert slope == pytest.approx(F.first_variation(CLOUD, at)[0] - mean, abs=1e-11)

    def test_chunks_change_nothing(self, kernel, monkeypatch):
        F = MMD(TARGET, kernel)
        whole = F.value(CLOUD), F.gradient(CLOUD)
        monkeypatch.setattr("jkoflow.functionals.divergence._CHUNK", 25)
        assert F.value(CLOUD) == pytest.approx(whole[0], rel=1e-12)
        assert F.gradient(CLOUD) == pytest.approx(whole[1], abs=1e-14)


def test_gaussian_kernel_between_gaussians():
    """E k(X, Y) = √(h²/(h² + a² + b²)) exp(−(m − n)²/(2(h² + a² + b²))) on the line."""
    h, (m, a), (n, b) = 0.7, (0.2, 0.9), (-0.5, 0.6)

    def mean_kernel(shift, variance):
        return np.sqrt(h**2 / (h**2 + variance)) * np.exp(-(shift**2) / (2 * (h**2 + variance)))

    want = mean_kernel(0, 2 * a**2) + mean_kernel(0, 2 * b**2)
    want -= 2 * mean_kernel(m - n, a**2 + b**2)
    F = MMD(Quantiles.normal(n, b, 600), GaussianKernel(h))
    # the trapezoid rule in mass, second order: 1e-5 at 600 graded cells
    assert F.value(Quantiles.normal(m, a, 600)) == pytest.approx(want, abs=1e-4)


def test_energy_distance_on_the_line():
    """The energy distance is 2∫(F − G)², by cumulated masses."""
    x, y = np.array([0.0, 1.0, 3.0]), np.array([0.5, 2.0])
    grid = np.sort(np.concatenate([x, y]))
    gaps = [np.mean(x <= t) - np.mean(y <= t) for t in grid[:-1]]
    want = 2 * np.sum(np.square(gaps) * np.diff(grid))
    assert MMD(Particles(y), EnergyKernel()).value(Particles(x)) == pytest.approx(want, rel=1e-12)


def test_curvature_of_the_gaussian_kernel():
    F, x, w = MMD(TARGET, GaussianKernel(1.3)), CLOUD.points, CLOUD.weights
    v = np.random.default_rng(1).normal(size=x.shape)
    H, h = F.curvature_at_points(x, w), 1e-5
    up, down = F.gradient_at_points(x + h * v, w), F.gradient_at_points(x - h * v, w)
    assert H.apply(v) == pytest.approx(w[:, None] * (up - down) / (2 * h), abs=1e-8)
    with pytest.raises(MissingStructure):
        MMD(TARGET, EnergyKernel()).curvature_at_points(x, w)


def test_claims():
    F = MMD(TARGET, GaussianKernel(1.0))
    assert F.lower_bound() == 0.0 and F.convexity is None and F.convex_in_mixtures
    own = MMD(TARGET, Multiquadric())
    assert own.lower_bound() is None and own.convex_in_mixtures is None


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda x, y: np.zeros(len(x)), "shape"),
        (lambda x, y: np.full((len(x), len(y)), np.nan), "NaN"),
        (lambda x, y: np.full((len(x), len(y)), 1j), "complex"),
        (lambda x, y: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_bad_kernels(kernel, message):
    with pytest.raises(InvalidFunctional, match=message):
        MMD(TARGET, kernel).value(CLOUD)


def test_bad_parameters():
    for bandwidth in (0.0, -1.0, np.nan, "wide"):
        with pytest.raises(InvalidFunctional):
            GaussianKernel(bandwidth)
    with pytest.raises(InvalidFunctional):
        MMD(TARGET, 3.0)
    with pytest.raises(InvalidFunctional, match="R"):
        MMD(TARGET, GaussianKernel(1.0)).value(Particles([[0.0]]))
    with pytest.raises(NotDefined):
        MMD(TARGET, GaussianKernel(1.0)).value(Radial.normal(1.0, 2, 5))


def test_identity():
    spec = MMD(TARGET, GaussianKernel(1.0)).spec()
    assert spec == MMD(TARGET, GaussianKernel(1.0)).spec()
    assert spec != MMD(TARGET, GaussianKernel(2.0)).spec()
    assert spec != MMD(CLOUD, GaussianKernel(1.0)).spec()
