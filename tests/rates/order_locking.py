"""What grids do to mass besides: which methods leave it in its cell, and which spread it."""

from __future__ import annotations

import numpy as np

import jkoflow as jf
from jkoflow.steppers import (
    BackAndForth,
    ConvexProgram,
    EntropicScaling,
    MeshNewton,
    QuantileNewton,
)

STEPS, N = 8, 64
H = 1.0 / N
SHARES = (0.1, 0.25, 0.45, 0.6)
"""gτ/h: how many cells a step of size τ should move mass by, in a drift g."""

DRIFT = 1e-4 * jf.Entropy() + jf.Potential(
    lambda x: -x[:, 0],
    gradient=lambda x: -np.eye(1, x.shape[1]) * np.ones((len(x), 1)),
    hessian=lambda x: np.zeros((len(x), x.shape[1], x.shape[1])),
)


def bell():
    """A bell six cells wide."""
    return jf.Grid.from_function(
        lambda x: np.exp(-0.5 * ((x[:, 0] - 0.35) / (3.0 * H)) ** 2), 0.0, 1.0, N
    )


def _flow(stepper, mu, tau):
    run = jf.flow(jf.Problem(DRIFT, mu, tau, STEPS), stepper, save=jf.only_last())
    return (run.final.mean() - mu.mean())[0]


def _on_edges(tau):
    return _flow(QuantileNewton(), jf.Quantiles.normal(0.35, 3.0 * H, N), tau)


def _on_a_mesh(tau):
    mu = jf.Mesh.disc(6.0 * H, 6, lambda x: 1.01 - (x**2).sum(axis=1) / (6.0 * H) ** 2)
    return _flow(MeshNewton(proved=0), mu, tau)


def _volumes(tau):
    mu = bell()
    return (jf.finite_volume(DRIFT, mu, dt=tau, steps=STEPS).final.mean() - mu.mean())[0]


MOVED = {
    "QuantileNewton": _on_edges,
    "MeshNewton": _on_a_mesh,
    "finite_volume": _volumes,
    "BackAndForth": lambda tau: _flow(BackAndForth(), bell(), tau),
    "EntropicScaling": lambda tau: _flow(EntropicScaling(), bell(), tau),
    "EntropicScaling(ε = h²/50, allow_locking=True)":
        lambda tau: _flow(EntropicScaling(0.02 * H * H, allow_locking=True), bell(), tau),
    "ConvexProgram": lambda tau: _flow(ConvexProgram(), bell(), tau),
}  # fmt: skip
LOCKED = ("EntropicScaling(ε = h²/50, allow_locking=True)", "ConvexProgram")
"""Those whose mass sits on nodes, at the cost of nodes."""


def share_moved(name, share):
    """How far the mean has gone in eight steps, over 8gτ."""
    return float(MOVED[name](share * H)) / (STEPS * share * H)


ADDING = {
    "BackAndForth(refine=1)": BackAndForth(refine=1),
    "BackAndForth()": BackAndForth(),
    "BackAndForth(refine=3)": BackAndForth(refine=3),
    "EntropicScaling()": EntropicScaling(),
}
"""Steppers whose steps may add a variance of their own to a density on a grid."""


def variance_added(stepper, n, tau=0.01, steps=12):
    """By a step, in units of h²: the variance after heat steps, over the exact one."""
    c, h, std = 0.02, 2.0 / n, 0.15
    mu = jf.Grid.from_function(lambda x: np.exp(-0.5 * (x[:, 0] / std) ** 2), -1.0, 1.0, n)
    nu = jf.flow(jf.Problem(c * jf.Entropy(), mu, tau, steps), stepper, save=jf.only_last()).final
    for _ in range(steps):
        std = (std + np.sqrt(std**2 + 4.0 * tau * c)) / 2.0
    return float((nu.cov()[0, 0] - h * h / 12.0 - std**2) / h**2 / steps)
