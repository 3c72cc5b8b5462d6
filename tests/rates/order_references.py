"""Solutions by other methods than the steppers': differential equations, quadrature, exact laws."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.integrate import solve_bvp, solve_ivp
from scipy.interpolate import CubicHermiteSpline

from jkoflow.measures.profiles import barenblatt_speed


def points_by_ode(F, mu, t, method="DOP853", rtol=1e-11):
    """The gradient flow of F in the points of μ: x' = −∇δF(x), by Runge and Kutta's methods.

    It is what JKO steps on the same points tend to as τ → 0, without any step being taken.
    """
    shape = mu.points.shape

    def velocity(_, x):
        return -F.gradient(mu.displaced(x.reshape(shape) - mu.points)).ravel()

    answer = solve_ivp(velocity, (0.0, t), mu.points.ravel(), method, rtol=rtol, atol=rtol)
    assert answer.success, answer.message
    return answer.y[:, -1].reshape(shape)


def barenblatt_radius(m, c, dim, radius, t, a=0.0):
    """R(t) of the Barenblatt solution in the potential a|x|²/2: with q = d(m−1) + 2,
    R' = K R^{1−q} − aR, a linear equation for R^q."""
    q, speed = dim * (m - 1.0) + 2.0, barenblatt_speed(m, c, dim)
    if a == 0.0:
        return (radius**q + q * speed * t) ** (1.0 / q)
    rest = speed / a
    return (rest + (radius**q - rest) * np.exp(-q * a * t)) ** (1.0 / q)


def ou_moments(mean, var, a, temperature, t):
    """Mean and variance of the Ornstein–Uhlenbeck process dX = −aX dt + √(2 temperature) dB."""
    rest = temperature / a
    return mean * np.exp(-a * t), rest + (var - rest) * np.exp(-2.0 * a * t)


def quantiles_by_bvp(slope, bend, tau, end=1.0):
    """One step between walls ±end from the uniform density, as a boundary value problem.

    With levels s and old places x = end(2s − 1), the new places X(s) solve Euler and Lagrange's
    equation V'(X) + (X − x)/τ = U''(ρ) X_ss/X_s³, ρ = 1/X_s; collocation of order four.

    Parameters
    ----------
    slope, bend : V'(x) and U''(ρ)
    """

    def equation(s, y):
        X, slant = y
        force = slope(X) + (X - end * (2.0 * s - 1.0)) / tau
        return np.stack([slant, slant**3 * force / bend(1.0 / slant)])

    s = np.linspace(0.0, 1.0, 201)
    guess = np.stack([end * (2.0 * s - 1.0), np.full_like(s, 2.0 * end)])
    walls = lambda a, b: np.array([a[0] + end, b[0] - end])  # noqa: E731
    found = solve_bvp(equation, walls, s, guess, tol=1e-10, max_nodes=100_000)
    assert found.success, found.message
    return found.sol


def masses_of(quantiles, faces):
    """Masses between faces of the law with this quantile function (and its slope)."""
    s = np.linspace(0.0, 1.0, 20_001)
    X, slant = quantiles(s)
    return np.diff(CubicHermiteSpline(X, s, 1.0 / slant)(faces))


def points_of_a_risk_step(force, features, targets, x, w, tau):
    """Where a step of ½R + (λ/2)|θ|² takes points, of a law known by a fine rule (x, w).

    X = x − τ∇Ψ(X; e) and e = y − ∫φ(X)dρ are iterated together (a contraction for short steps).
    Returns the residuals e, which determine the map of every other point.
    """
    X, e = x.copy(), targets - features(x) @ w
    for _ in range(200):
        X, last = x - tau * force(X, e), e
        e = targets - features(X) @ w
        if np.abs(e - last).max() < 1e-15:
            break
    return e


def moved_by(force, e, x, tau):
    """X with X = x − τ force(X, e)."""
    X = x.copy()
    for _ in range(200):
        X = x - tau * force(X, e)
    return X


@cache
def gauss_normal(n):
    """Nodes and weights of Gauss's rule for N(0, 1)."""
    x, w = np.polynomial.hermite_e.hermegauss(n)
    return x, w / w.sum()
