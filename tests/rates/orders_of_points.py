"""Cases of the table of orders: particles and Gaussians."""

from __future__ import annotations

import numpy as np
from order_case import CHANCE, ROUNDING, Case, by_ode, first_and_second, in_time, l2, one_step
from order_energies import DOUBLE_WELL, GAUSSIAN_TARGET, OF_PLANE, PLANE, RIPPLES, TARGETS
from order_references import moved_by, ou_moments, points_of_a_risk_step
from scipy.integrate import solve_ivp
from scipy.linalg import expm, solve_continuous_lyapunov, sqrtm

import jkoflow as jf
from jkoflow.functionals import BlobEntropy, GaussianKernel
from jkoflow.steppers import BuresProximal, Exact, ParticleProximal, Splitting
from jkoflow.transport.bures import distance_squared

PARTICLES, BURES = ParticleProximal(), BuresProximal()
HALVED, SHORTER = (8, 16, 32, 64), (16, 32, 64, 128)
POINTS_ODE = "ODE of the same points (DOP853)"

# ---- particles ----

CLOUD = jf.Particles(0.7 * np.random.default_rng(11).normal(size=(40, 2)) + [0.3, -0.2])


def of_particles(energy, F, t, sizes=HALVED, **more):
    return first_and_second(PARTICLES, by_ode(F, CLOUD, t), measure="Particles, plane",
                            energy=energy, against=POINTS_ODE, sizes=sizes, **more)  # fmt: skip


def of_a_sample(n, seeds=40, tau=0.2):
    """Root mean square error of a step's map at fixed places, from n independent particles.

    The map is x ↦ X with X + τ∇Ψ(X; e) = x, e the residuals: of the sample's, of the law's.
    """
    force, at = PLANE.force(0.3), CLOUD.points
    x, w = np.polynomial.hermite_e.hermegauss(40)
    grid = 0.7 * np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2) + [0.3, -0.2]
    rule = np.multiply.outer(w, w).ravel() / w.sum() ** 2
    e = points_of_a_risk_step(force, PLANE.values, TARGETS, grid, rule, tau)
    known, squares = moved_by(force, e, at, tau), []
    for seed in range(seeds):
        y = 0.7 * np.random.default_rng([seed, n]).normal(size=(n, 2)) + [0.3, -0.2]
        after = one_step(PARTICLES, OF_PLANE, jf.Particles(y), tau)
        own = TARGETS - PLANE.values(after.points) @ after.weights
        squares.append(((moved_by(force, own, at, tau) - known) ** 2).sum(axis=1).mean())
    return float(np.sqrt(np.mean(squares)))


def split_variance(steps, n=200_000):
    """Noise and JKO in turn, on an Ornstein–Uhlenbeck process: the error of the variance."""
    a, temperature, t = 1.5, 0.6, 1.0
    F = jf.QuadraticPotential(a) + temperature * jf.Entropy()
    x = np.random.default_rng(0).normal(size=(n, 1))
    start = jf.Particles(0.5 * (x - x.mean()) / x.std())
    problem = jf.Problem(F, start, t / steps, steps)
    run = jf.flow(problem, Splitting(), save=jf.only_last(), rng=5)
    return abs(run.final.cov()[0, 0] - ou_moments(0.0, 0.25, a, temperature, t)[1])


def quadratic_of_particles(n):
    F = jf.QuadraticPotential(1.1, [0.5, 0.0]) + jf.QuadraticInteraction(0.7)
    mu = jf.Particles(np.random.default_rng(n).normal(size=(n, 2)))
    return l2(one_step(PARTICLES, F, mu, 0.3), one_step(Exact(), F, mu, 0.3).points)


OF_PARTICLES = [
    Case("ParticleProximal", "Particles, plane", "quadratic + quadratic interaction", "n",
         (25, 100), quadratic_of_particles, "closed formula", None, 1e-8, ROUNDING),
    Case("ParticleProximal", "Particles, iid", "risk + quadratic", "n", (50, 200, 800),
         of_a_sample, "residuals by Gauss's rule", 0.5, 0.1, CHANCE,
         "independent points have a mean error of n^-½ in every integral"),
    *of_particles("double well", DOUBLE_WELL, 0.2, SHORTER),
    *of_particles("risk + quadratic", OF_PLANE, 0.8),
    *of_particles("interaction with ripples", RIPPLES, 0.6, slow=True),
    *of_particles("MMD, Gaussian kernel",
                  jf.MMD(jf.Particles([[1.0, 0.0], [-0.5, 0.5]]), GaussianKernel(0.8)), 0.6),
    *of_particles("blob entropy + quadratic",
                  0.5 * BlobEntropy(0.4) + jf.QuadraticPotential(1.0), 0.4, slow=True),
    Case("Splitting", "Particles, line", "entropy + quadratic (OU)", "τ", (4, 8, 16, 32),
         split_variance, "exact moments", 1.0, 0.2,
         "the variance of 200 000 particles is random by .003 of itself"),
]  # fmt: skip

# ---- Gaussians ----

A = np.array([[1.7, 0.4, -0.2], [0.4, 1.1, 0.3], [-0.2, 0.3, 0.6]])
COV = np.array([[0.6, -0.1, 0.1], [-0.1, 1.2, 0.2], [0.1, 0.2, 0.5]])
MEAN = np.array([0.5, -1.5, 1.0])
MATRIX = jf.Potential(
    lambda x: 0.5 * np.einsum("ij,jk,ik->i", x, A, x),
    gradient=lambda x: x @ A,
    hessian=lambda x: np.broadcast_to(A, (len(x), 3, 3)),
)


def bures(nu, exact):
    return float(np.sqrt(distance_squared(nu, exact)))


def in_a_matrix(stepper):
    beta, t = 1.3, 0.8
    flow, rest = expm(-t * A), np.linalg.inv(A) / beta
    exact = jf.Gaussian(flow @ MEAN, flow @ (COV - rest) @ flow + rest)
    mu, F = jf.Gaussian(MEAN, COV), MATRIX + jf.Entropy() / beta
    return in_time(stepper, F, mu, t, lambda: exact, bures)


def within_gaussians(F, mu, t, temperature):
    """Lambert et al. 2022: m' = −E∇δS, Σ' = 2T·I − HΣ − ΣH, H = E[∇²δS], by DOP853.

    With x = m + Rξ, R = Σ^½, Stein's formula is HR = E[∇δS ξᵀ] =: G. For the cubature of
    `Gaussian`, which is not quite exact, let H solve HR + RH = G + Gᵀ.
    """
    d = mu.dim

    def velocity(_, y):
        now = jf.Gaussian(y[:d], y[d:].reshape(d, d))
        slope = F.smooth.gradient_at_points(now.points, now.weights)
        away = now.points - now.mean()
        root = np.real(sqrtm(now.cov()))
        G = np.einsum("n,na,nb->ab", now.weights, slope, away) @ np.linalg.inv(root)
        H = solve_continuous_lyapunov(root, G + G.T)
        change = 2.0 * temperature * np.eye(d) - H @ now.cov() - now.cov() @ H
        return np.concatenate([-now.weights @ slope, change.ravel()])

    y = solve_ivp(velocity, (0.0, t), np.concatenate([mu.mean(), mu.cov().ravel()]), "DOP853",
                  rtol=1e-11, atol=1e-12).y[:, -1]  # fmt: skip
    cov = y[d:].reshape(d, d)
    return jf.Gaussian(y[:d], 0.5 * (cov + cov.T))


def of_gaussians(energy, F, mu, t, temperature, stepper=BURES, sizes=HALVED):

    def make(s):
        return in_time(s, F, mu, t, lambda: within_gaussians(F, mu, t, temperature), bures)

    return first_and_second(stepper, make, measure="Gaussian", energy=energy, sizes=sizes,
                            against="Lambert et al.'s ODE (DOP853)")  # fmt: skip


FLAT = jf.Gaussian([0.4, -0.3], [[0.3, 0.1], [0.1, 0.5]])


def next_normal(n):
    """Steps of −log-linear s ↦ (s + √(s² + 4cτ/β))/2c, n of them."""
    std, c, mu = 0.4, 1.0 + 0.9 * 0.15, jf.Gaussian([0.0], [[0.16]])
    for _ in range(n):
        std = (std + np.sqrt(std**2 + 4.0 * c * 0.15 / 2.2)) / (2.0 * c)
    F = jf.Entropy() / 2.2 + jf.QuadraticPotential(0.9)
    nu = jf.flow(jf.Problem(F, mu, 0.15, n), BURES, save=jf.only_last()).final
    return abs(float(np.sqrt(nu.cov()[0, 0])) - std)


OF_GAUSSIANS = [
    Case("BuresProximal", "Gaussian", "entropy + quadratic (OU)", "n", (1, 10, 100), next_normal,
         "closed formula", None, 1e-12, ROUNDING, "no cells: the step itself is exact"),
    *first_and_second(BURES, in_a_matrix, measure="Gaussian, d = 3", sizes=HALVED,
                      energy="entropy + matrix potential", against="matrix exponentials"),
    *of_gaussians("entropy + double well", DOUBLE_WELL + 0.5 * jf.Entropy(), FLAT, 0.2, 0.5,
                  sizes=SHORTER),
    *of_gaussians("KL to a normal law", GAUSSIAN_TARGET, FLAT, 0.5, 1.0),
    *of_gaussians("free energy", jf.free_energy(PLANE.risk, 0.3, 4.0), FLAT, 0.5, 0.25),
    *of_gaussians("risk + quadratic", OF_PLANE, FLAT, 0.5, 0.0),
]  # fmt: skip

CASES = [*OF_PARTICLES, *OF_GAUSSIANS]
