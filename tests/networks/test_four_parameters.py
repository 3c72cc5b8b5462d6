"""Laws of (a, b, r1, r2): moments, symmetry of the flow, and the risk of networks."""

import numpy as np
import pytest
from scipy.special import gammaln, roots_genlaguerre

import jkoflow as jf
from jkoflow import Particles
from jkoflow.networks import GaussianClasses, ScaledUnit, reduced_relu_risk, relu
from jkoflow.networks.four_parameters import four_parameters, normal_four_parameters
from jkoflow.status import InvalidMeasure, InvalidProblem


@pytest.mark.parametrize(("dim", "active", "kappa"), [(320, 60, 0.8), (11, 4, 1.7), (3, 1, 0.2)])
def test_moments_of_the_start(dim, active, kappa):
    x = normal_four_parameters(2000, dim, active, kappa, a=0.3, b=-0.4).points
    assert (x[:, 0] == 0.3).all() and (x[:, 1] == -0.4).all()
    for r, k in ((x[:, 2], active), (x[:, 3], dim - active)):
        scale = kappa / np.sqrt(dim)
        mean = scale * np.sqrt(2) * np.exp(gammaln(0.5 * (k + 1)) - gammaln(0.5 * k))
        # 1/n of the standard deviation for the first, a few for the second; iid draws leave 2%
        assert abs(r.mean() - mean) < 5e-3 * r.std()
        assert abs((r**2).mean() - scale**2 * k) < 5e-3 * (r**2).std()
    assert abs(np.corrcoef(x[:, 2], x[:, 3])[0, 1]) < 5e-3


@pytest.mark.parametrize("convention", ["std", "var"])
@pytest.mark.parametrize(("dim", "active", "delta"), [(30, 10, 0.5), (18, 13, 0.3)])
def test_the_reduced_risk_is_that_of_wide_networks(dim, active, delta, convention):
    """E(y − ŷ)(y − ŷ') = R for independent neurons with these four parameters: a z-score."""
    rng = np.random.default_rng(dim)
    classes = getattr(GaussianClasses, convention)(dim, delta, active=active)
    n = 300_000
    x, y = classes.sample(n, rng)
    answers = []
    laws = np.array([[1.2, 0.5, 0.6, 0.9], [-0.7, -0.3, 1.4, 0.2], [0.5, 1.0, 0.1, 1.1]])
    for _ in range(2):
        law = laws[rng.integers(0, 3, n)]
        w = rng.standard_normal((n, dim))
        for part, r in ((w[:, :active], law[:, 2]), (w[:, active:], law[:, 3])):
            part *= (r / np.linalg.norm(part, axis=1))[:, None]
        answers.append(law[:, 0] * np.maximum(np.einsum("nd,nd->n", w, x) + law[:, 1], 0))
    product = (y - answers[0]) * (y - answers[1])
    R = reduced_relu_risk(classes, terms=4).value(Particles(laws))
    assert abs(product.mean() - R) < 4 * product.std() / np.sqrt(n)  # 6e-5 by chance
    assert product.std() / np.sqrt(n) < 0.01 * R


def test_the_gradient_on_w_is_radial_and_pushes_forward():
    """|∇_w|, block by block, is the slope in r: (a, b, w) → (a, b, r1, r2) is a submersion.

    The risk of N neurons in every rotation of both blocks is the reduced one, so its derivative
    along w/|w| in block k is ∂/∂r_k: here for d = 2, active = 1, where rotations are signs and
    the empirical law over all four sign patterns is exactly invariant.
    """
    rng = np.random.default_rng(4)
    theta = rng.normal(size=(6, 4))
    signs = np.array([[s, t] for s in (1, -1) for t in (1, -1)])
    many = np.concatenate([np.column_stack([theta[:, :2], theta[:, 2:] * s]) for s in signs])
    # x on a fine product rule instead of Monte Carlo: Gauss–Hermite in both coordinates
    g, gw = np.polynomial.hermite_e.hermegauss(80)
    gw = gw / gw.sum()
    x1, x2 = (v.ravel() for v in np.meshgrid(g, g))
    w = np.outer(gw, gw).ravel()
    classes = GaussianClasses(2, 1.5, 0.6, active=1)
    xs = np.concatenate([np.column_stack([x1 * s, x2]) for s in (1.5, 0.6)])
    y, weights = np.repeat([1.0, -1.0], len(w)), 0.5 * np.concatenate([w, w])
    unit = ScaledUnit(relu)
    error = y - unit.value(many, xs).mean(axis=1)
    gradient = -2.0 * unit.vjp(many, xs, weights * error)[:6]
    reduced = reduced_relu_risk(classes, terms=40)
    points = four_parameters(many, 1)
    slope = reduced.gradient_at_points(points, np.full(24, 1 / 24))[:6]
    slope[:, 2:] *= np.sign(theta[:, 2:])
    # kinks of ReLU cost the Gauss rule, and the slow series in d = 2 its tail, about 1%
    np.testing.assert_allclose(gradient, slope, atol=0.03 * np.abs(slope).max())


def test_published_plateaus_and_escapes():
    """d = 320, s0 = 60, std: R at intrinsic time ∫ξ = T/2, against RK4 of the particles' ODE.

    Particles' number, not time steps, limits the digits: R(10) at Δ = .6 is .507 with 8192
    particles, and from .46 to .56 for samples of 400.
    """
    R = reduced_relu_risk(GaussianClasses.std(320, 0.6, active=60), terms=2)
    start = normal_four_parameters(300, 320, 60, 0.8)
    problem = jf.Problem(0.5 * R, start, np.full(100, 0.02))
    run = jf.flow(problem)
    assert 2 * run.energies[-1] == pytest.approx(1.0189, abs=0.003)  # intrinsic time 1
    mean = run.final.points.mean(axis=0)
    assert mean == pytest.approx([0.3724, 0.4969, 0.4224, 0.5927], abs=0.004)  # time error


def test_an_even_start_has_the_flow_of_its_law():
    """R and the mean of b at intrinsic time 5 (T = 10), Δ = .6: particles against cubature."""
    R = reduced_relu_risk(GaussianClasses.std(320, 0.6, active=60), terms=2)

    def at_the_end(points, weights):
        for _ in range(50):  # RK4 of the particles' equation, dT = .2
            k1 = R.gradient_at_points(points, weights)
            k2 = R.gradient_at_points(points - 0.05 * k1, weights)
            k3 = R.gradient_at_points(points - 0.05 * k2, weights)
            k4 = R.gradient_at_points(points - 0.1 * k3, weights)
            points = points - 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)  # ½R moves by half of R's
        return R.value_at_points(points, weights), weights @ points[:, 1]

    nodes, masses = [], []
    for k in (60, 260):  # r²/2 of χ_k has a gamma law: a product of two Gauss–Laguerre rules
        x, w = roots_genlaguerre(10, 0.5 * k - 1)
        nodes.append(0.8 / np.sqrt(320) * np.sqrt(2 * x))
        masses.append(w / w.sum())
    r1, r2 = (r.ravel() for r in np.meshgrid(*nodes, indexing="ij"))
    law = at_the_end(np.stack([np.ones(100), np.ones(100), r1, r2], axis=1),
                     np.outer(*masses).ravel())  # fmt: skip
    assert law == pytest.approx((0.8478, 0.0842), abs=1e-4)  # the digits that the demo quotes
    even = normal_four_parameters(300, 320, 60, 0.8)
    # 1/n of the spread .3 of what the particles do: independent ones would be off by .005
    assert at_the_end(even.points, even.weights) == pytest.approx(law, abs=0.001)


BAD = [np.ones((3, 4)), np.ones(5), [[np.nan] * 5], np.ones((3, 5)) * 1j]


@pytest.mark.parametrize("theta", BAD)
def test_bad_parameters(theta):
    with pytest.raises(InvalidMeasure, match="theta"):
        four_parameters(theta, 2)


@pytest.mark.parametrize(
    "change", [{"n": 0}, {"active": 9}, {"dim": 2.5}, {"kappa": 0.0}, {"a": np.nan}, {"b": 1j}]
)
def test_bad_start(change):
    with pytest.raises(InvalidProblem, match="needs"):
        normal_four_parameters(**{"n": 5, "dim": 9, "active": 3, "kappa": 1.0, **change})
