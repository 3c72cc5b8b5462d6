"""Whole flows against other methods: finite volumes, an ODE of radii, particles in the space."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.sparse import diags
from scipy.special import betainc, exprel, gammaln
from scipy.stats import chi

import jkoflow as jf
from jkoflow.networks import GaussianClasses, non_monotone, radial_risk, truncated_relu

BETA, T_END = 3.0, 0.5


def wells(x):
    return (x**2 - 1) ** 2


DOUBLE_WELL = jf.Potential(
    lambda x: wells(x[:, 0]),
    gradient=lambda x: 4 * x * (x**2 - 1),
    hessian=lambda x: (12 * x**2 - 4)[:, :, None],
    convexity=-4.0,
)
FOKKER_PLANCK = DOUBLE_WELL + jf.Entropy() / BETA


def finite_volumes(t_end, n=1200, end=2.6):
    """Moments 1, 2 and 4 by Scharfetter and Gummel's fluxes and BDF, from N(.3, .4²)."""
    h = 2 * end / n
    x = -end + h * (np.arange(n) + 0.5)
    jump = BETA * np.diff(wells(x))
    right, left = (1 / exprel(z) / (BETA * h * h) for z in (jump, -jump))
    main = np.zeros(n)
    main[:-1] -= right
    main[1:] -= left
    A = diags([main, right, left], [0, -1, 1]).tocsc()
    start = np.exp(-0.5 * ((x - 0.3) / 0.4) ** 2)
    start /= start.sum()
    p = solve_ivp(lambda _, y: A @ y, (0, t_end), start, "BDF", jac=A, rtol=1e-8, atol=1e-13).y[
        :, -1
    ]
    return np.array([p @ x**k for k in (1, 2, 4)])


def test_fokker_planck_in_a_double_well():
    reference, found = finite_volumes(T_END), []
    for steps in (20, 40, 80):
        start = jf.Quantiles.normal(0.3, 0.4, 800)
        problem = jf.Problem(FOKKER_PLANCK, start, T_END / steps, steps)
        mu = jf.flow(problem, save=jf.only_last()).final
        found.append([mu.integrate(lambda x, k=k: x[:, 0] ** k) for k in (1, 2, 4)])
    errors = np.abs(np.array(found) - reference)
    ratios = errors[:-1] / errors[1:]
    assert (np.abs(ratios - 2.0) < 0.1).all()  # first order in τ
    extrapolated = 2 * np.array(found[2]) - np.array(found[1])
    # What remains: τ² = 4e-5 with a constant of order one, and both grids' squares, 1e-5.
    np.testing.assert_allclose(extrapolated, reference, atol=4e-5)


def test_the_energy_falls_by_the_squared_slope():
    """dF/dT = −∫|∇δF/δρ|² dρ, the density's slope by differences of neighbouring cells."""
    F, misses = FOKKER_PLANCK + jf.QuadraticInteraction(0.4), []
    for steps in (20, 40, 80):
        run = jf.flow(jf.Problem(F, jf.Quantiles.normal(0.3, 0.4, 400), 0.4 / steps, steps))
        k = steps // 2
        mu, decay = run.measures[k], (run.energies[k - 1] - run.energies[k + 1]) * steps / 0.8
        length = np.diff(mu.edges)
        log_slope = np.diff(np.log(mu.mass / length)) / (0.5 * (length[1:] + length[:-1]))
        x = mu.edges[1:-1]
        xi = 4 * x * (x**2 - 1) + log_slope / BETA + 0.4 * (x - mu.mean()[0])
        misses.append(decay / (mu.weights[1:-1] @ xi**2) - 1)
    # First order in τ: each halving leaves half, up to the next order's share.
    assert 1.6 < misses[0] / misses[1] < 2.2 and 1.7 < misses[1] / misses[2] < 2.2
    assert abs(misses[-1]) < 0.02


class ReducedNetwork:
    """Two isotropic classes seen by a rotation-invariant law: by beta functions and Legendre."""

    def __init__(self, d, stds, knots, values):
        self.d, self.knots, self.values = d, knots, values
        t, w = np.polynomial.legendre.leggauss(160)
        top = np.sqrt(d) + 7.0
        norm, w = 0.5 * top * (t + 1), 0.5 * top * w
        self.scale = np.concatenate([s * norm for s in stds])
        self.weight = 0.5 * np.tile(w * chi.pdf(norm, d), 2)
        self.target = np.repeat([1.0, -1.0], len(norm))

    def below(self, u):
        """P(u_1 ≤ u) on the sphere."""
        return 0.5 + 0.5 * np.sign(u) * betainc(0.5, (self.d - 1) / 2, np.clip(u * u, 0, 1))

    def mean_below(self, u):
        """E[u_1; u_1 ≤ u]."""
        c = np.exp(gammaln(self.d / 2) - gammaln((self.d - 1) / 2)) / np.sqrt(np.pi)
        return -c * np.maximum(1 - u * u, 0) ** ((self.d - 1) / 2) / (self.d - 1)

    def pieces(self, t):
        u = [np.clip(k / t, -1, 1) for k in self.knots]
        slopes = np.diff(self.values) / np.diff(self.knots)
        return u, slopes

    def phi(self, t):
        """E σ(t u_1)."""
        u, slopes = self.pieces(t)
        total = self.values[0] * self.below(u[0]) + self.values[-1] * (1 - self.below(u[-1]))
        for i, s in enumerate(slopes):
            offset = self.values[i] - s * self.knots[i]
            total += offset * (self.below(u[i + 1]) - self.below(u[i]))
            total += s * t * (self.mean_below(u[i + 1]) - self.mean_below(u[i]))
        return total

    def dphi(self, t):
        u, slopes = self.pieces(t)
        return sum(
            s * (self.mean_below(u[i + 1]) - self.mean_below(u[i])) for i, s in enumerate(slopes)
        )

    def residual(self, r, w):
        return self.target - self.phi(self.scale[:, None] * r) @ w

    def risk(self, r, w):
        return self.weight @ self.residual(r, w) ** 2

    def velocity(self, r, w):
        """−∂_r Ψ: the flow of ½R in JKO time."""
        push = self.weight * self.residual(r, w) * self.scale
        return push @ self.dphi(self.scale[:, None] * r)


SIGMA = {
    "truncated": (truncated_relu, [0.5, 1.5], [-2.5, 7.5]),
    "non-monotone": (non_monotone, [0.0, 0.5, 1.5], [-2.5, -4.0, 7.5]),
}
STDS = {"std": (1.37, 0.63), "var": (1.37**0.5, 0.63**0.5)}


@pytest.mark.parametrize("sigma", SIGMA)
@pytest.mark.parametrize("convention", STDS)
@pytest.mark.parametrize("d", [7, 33])
def test_the_radial_risk_by_beta_functions(d, convention, sigma):
    activation, knots, values = SIGMA[sigma]
    mu = jf.Radial.from_ppf(lambda s: 0.7 + 2 * s * s, d, 200, grading="uniform")
    mine = ReducedNetwork(d, STDS[convention], knots, values).risk(mu.edges, mu.weights)
    R = radial_risk(getattr(GaussianClasses, convention)(d, 0.37), activation)
    # Legendre's 160 nodes see φ's kinks of order (d−1)/2 in d = 7; in d = 33 they see none.
    assert R.value(mu) == pytest.approx(mine, abs=1e-8)


def test_the_radial_flow_against_an_ode_of_the_radii():
    d, t_end = 7, 0.8
    start = jf.Radial.normal(0.9 / np.sqrt(d), d, 60)
    network = ReducedNetwork(d, STDS["std"], *SIGMA["truncated"][1:])
    ode = solve_ivp(
        lambda _, r: network.velocity(r, start.weights), (0, t_end), start.edges, "DOP853",
        rtol=1e-9, atol=1e-10,
    )  # fmt: skip
    R = radial_risk(GaussianClasses.std(d, 0.37), truncated_relu)
    ends = []
    for steps in (20, 40, 80):
        problem = jf.Problem(0.5 * R, start, t_end / steps, steps)
        ends.append(jf.flow(problem, save=jf.only_last()).final.edges)

    def miss(r):
        return np.sqrt(start.weights @ (r - ode.y[:, -1]) ** 2)

    assert [miss(a) / miss(b) for a, b in pairwise(ends)] == pytest.approx(
        [2.0, 2.0], abs=0.06
    )  # first order; the radii move by 1 and the error is .02 … .005
    assert miss(2 * ends[2] - ends[1]) < 0.1 * miss(ends[2])  # the rest is of second order


def test_a_radial_flow_is_that_of_its_points_in_the_space():
    """Points r_i u_i with any directions: the risk sees radii, so they move on their rays."""
    rng = np.random.default_rng(3)
    d = 5
    R = radial_risk(GaussianClasses.std(d, 0.37), truncated_relu)
    start = jf.Radial.normal(0.9 / np.sqrt(d), d, 60)
    rays = rng.normal(size=(61, d))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)

    def radii(theta):
        return np.linalg.norm(theta, axis=1, keepdims=True)

    in_space = jf.Risk(
        lambda theta: R.features(radii(theta)), R.targets, R.weights,
        gradient=lambda theta: R.features.jacobian(radii(theta)) * (theta / radii(theta)),
    )  # fmt: skip
    cloud = jf.Particles(start.edges[:, None] * rays, start.weights)
    line = jf.flow(jf.Problem(0.5 * R, start, tau=0.02, steps=20))
    space = jf.flow(jf.Problem(0.5 * in_space, cloud, tau=0.02, steps=20))
    # Two steppers with tolerances of 1e-9 relative to the slope, 20 steps.
    np.testing.assert_allclose(radii(space.final.points)[:, 0], line.final.edges, atol=1e-7)
    np.testing.assert_allclose(space.energies, line.energies, atol=1e-9)
