"""Energies that several cases share; the parameters are nobody's but ours."""

from __future__ import annotations

import numpy as np

import jkoflow as jf

DOUBLE_WELL = jf.Potential(
    lambda x: 2.0 * ((x**2).sum(axis=1) - 0.6) ** 2,
    gradient=lambda x: 8.0 * x * ((x**2).sum(axis=1, keepdims=True) - 0.6),
    hessian=lambda x: (
        8.0 * ((x**2).sum(axis=1) - 0.6)[:, None, None] * np.eye(x.shape[1])
        + 16.0 * x[:, :, None] * x[:, None, :]
    ),
)


def well_slope(x):
    """V' of `DOUBLE_WELL` on the line."""
    return 8.0 * x * (x**2 - 0.6)


DATA = np.linspace(-2.0, 2.0, 5)
TARGETS = np.cos(DATA) * DATA


class Network:
    """Features tanh(x_q θ_1 + x_q² θ_2/2 + …) at five data points, for θ in R^D."""

    def __init__(self, dim):
        self.data = np.stack([DATA ** (k + 1) / (k + 1.0) for k in range(dim)], axis=1)  # (5, D)
        self.risk = jf.Risk(self.values, TARGETS, gradient=self.slopes, curvature=self.curvature)

    def values(self, theta):
        return np.tanh(self.data @ theta.T)

    def slopes(self, theta):
        return (1.0 - self.values(theta) ** 2)[:, :, None] * self.data[:, None, :]

    def curvature(self, theta, c):
        t = self.values(theta)
        return np.einsum("q,qn,qa,qb->nab", c, -2.0 * t * (1.0 - t**2), self.data, self.data)

    def force(self, lam):
        """∇(Ψ + λ|θ|²/2) as a function of points and residuals, Ψ = ½δR/δρ."""

        def of(x, e):
            return lam * x - np.einsum("q,qna->na", e / len(DATA), self.slopes(x))

        return of


LINE, PLANE = Network(1), Network(2)
OF_PLANE = 0.5 * PLANE.risk + jf.QuadraticPotential(0.3)

LOG_GAS = jf.Interaction(
    lambda z: 0.4 * z[:, 0] ** 2 - np.log(abs(z[:, 0])),
    gradient=lambda z: 0.8 * z - 1.0 / z,
    hessian=lambda z: (0.8 + 1.0 / z**2)[:, :, None],
    self_interaction=False,
)
"""Semicircles stay semicircles: −(log|·|*ρ)' = −2x/R² on one of radius R."""

RIPPLES = jf.Interaction(
    lambda z: 1.0 - np.cos(1.3 * z).prod(axis=1) + 0.3 * (z**2).sum(axis=1),
)
"""A smooth interaction that is not quadratic."""

GAUSSIAN_TARGET = jf.KullbackLeibler(
    lambda x: -0.9 * ((x - 0.3) ** 2).sum(axis=1),
    gradient=lambda x: -1.8 * (x - 0.3),
    hessian=lambda x: np.broadcast_to(-1.8 * np.eye(x.shape[1]), (len(x), *2 * x.shape[1:])),
)
"""KL to a normal law of mean .3 and variance 1/1.8."""
