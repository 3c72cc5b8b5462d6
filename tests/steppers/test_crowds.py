"""A crowd, ρ ≤ 1, in a parabola moves as a rigid disc, by whichever stepper of grids."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.steppers import BackAndForth, EntropicScaling


def disc(centre, n=96, sub=8):
    """Cell averages on [−2, 2]² of the disc of density 1 about (centre, 0)."""
    x = 4.0 * (np.arange(n * sub) + 0.5) / (n * sub) - 2.0
    inside = (x[:, None] - centre) ** 2 + x**2 < 1.0 / np.pi
    f = inside.reshape(n, sub, n, sub).mean(axis=(1, 3))
    return jf.Grid(f / f.sum() * (n / 4.0) ** 2, -2.0, 2.0)


@pytest.mark.parametrize(
    ("stepper", "above", "off"),
    [
        (BackAndForth(), 1e-9, 2e-2),  # off: half of a boundary cell's mass, on both sides
        (EntropicScaling(), 1e-12, 3e-2),  # the edge, 2√π long, blurred over some √ε = h
    ],
    ids=["back-and-forth", "scaling"],
)
def test_a_crowd_moves_as_a_rigid_disc(stepper, above, off) -> None:
    k, a, tau, b = 1.0, 0.8, 0.3, -0.6
    mu, F = disc(b), jf.Congestion(1.0) + jf.QuadraticPotential(k, [a, 0.0])
    for _ in range(2):
        out = stepper.step(F, mu, tau, {}, None)
        mu, b = out.measure, (b + k * tau * a) / (1.0 + k * tau)
        assert out.status.ok and mu.density.max() <= 1.0 + above
        assert np.abs(mu.density - disc(b).density).sum() * mu.cell_volume < off
