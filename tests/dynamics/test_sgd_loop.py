"""The noise: which law each of the published constants samples."""

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.networks import EmpiricalData, SimpleUnit, SmoothActivation, Unit, truncated_relu


class Well(Unit):
    """No output, but a force: with y = 1 the drift is −2s∇Ψ for Ψ(θ) = (θ² − 1)²."""

    def value(self, theta, x):
        return np.zeros((len(x), len(theta)))

    def vjp(self, theta, x, c):
        return -c.sum() * 4 * theta * (theta**2 - 1)


def test_default_noise_samples_the_gibbs_law_of_the_double_well():
    data = EmpiricalData([[0.0]], [1.0])
    n, s = 20_000, 2e-3
    theta0 = np.random.default_rng(0).choice([-1.0, 1.0], size=(n, 1))
    run = jf.sgd(Well(), data, theta0, steps=1500, epsilon=s, beta=3.0, rng=1)
    x = run.theta[:, 0]
    grid = np.linspace(-4, 4, 8001)
    weights = np.exp(-3.0 * (grid**2 - 1) ** 2)
    for power, published in ((2, 0.8893), (4, 0.9726)):
        exact = weights @ grid**power / weights.sum()
        # Euler–Maruyama at s = 2e-3 shifts the moments by O(s): .004 and .014 here
        assert exact == pytest.approx(published, abs=0.02)
        z = (np.mean(x**power) - published) / (np.std(x**power) / np.sqrt(n))
        assert abs(z) < 4


FLAT = {  # nothing but regularisation and noise, through each of the three engines
    "single": (SimpleUnit(truncated_relu), 1),
    "blocks": (SimpleUnit(truncated_relu), 2),
    "any": (SimpleUnit(SmoothActivation("zero", *[np.zeros_like] * 3)), 1),
}


@pytest.mark.parametrize("engine", FLAT)
@pytest.mark.parametrize(("noise", "factor"), [("default", 1), ("literature", 2), ("slides", 4)])
def test_what_each_noise_constant_samples(noise, factor, engine):
    """Where σ is flat, θ is Ornstein–Uhlenbeck: its law is exp(−factor·βλ|θ|²/2)."""
    unit, batch = FLAT[engine]
    data = EmpiricalData(np.zeros((1, 2)), [0.0])
    n, lam, beta, s, steps = 8000, 0.7, 5.0, 0.05, 120
    run = jf.sgd(unit, data, np.zeros((n, 2)), steps=steps, epsilon=s, lam=lam, beta=beta,
                 batch=batch, rng=3, noise=noise)  # fmt: skip
    shrink = (1 - 2 * lam * s) ** 2
    variance = 4 * s / (factor * beta) * (1 - shrink**steps) / (1 - shrink)  # exact for the chain
    z = (np.mean(run.theta**2) / variance - 1) * np.sqrt(2 * n / 2)
    assert abs(z) < 4
    assert variance == pytest.approx(1 / (factor * beta * lam), rel=2 * lam * s)  # O(s) off Gibbs
