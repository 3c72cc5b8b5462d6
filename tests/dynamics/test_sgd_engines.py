"""Every engine takes the steps that plain NumPy takes, however they are cut into calls."""

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.dynamics.sgd.layout import compiled_formula, pack, unpack
from jkoflow.networks import (
    EmpiricalData,
    GaussianClasses,
    PiecewiseLinear,
    ScaledUnit,
    SimpleUnit,
    SmoothActivation,
    non_monotone,
    relu,
    smooth_truncated_relu,
    softplus,
    tanh,
    truncated_relu,
)

WAVY = PiecewiseLinear("wavy", [-1.0, 0.0, 0.5], [1.0, -1.0, 2.0], -0.5, 1.5)
CONSTANT = PiecewiseLinear("constant", [0.0], [2.0])
SINE = SmoothActivation("sine", np.sin, np.cos, lambda t: -np.sin(t), 1.0, 1.0)  # not compiled
SIMPLE = [truncated_relu, non_monotone, relu, WAVY, smooth_truncated_relu, tanh, softplus, SINE]
UNITS = [*map(SimpleUnit, SIMPLE), *map(ScaledUnit, [relu, tanh, CONSTANT, SINE])]


class Logged:
    """A population that remembers all the rows it gave."""

    def __init__(self, population):
        self.population = population
        self.x, self.y = [], []

    def sample(self, n, rng):
        x, y = self.population.sample(n, rng)
        self.x.append(x)
        self.y.append(y)
        return x, y

    @property
    def rows(self):
        return np.concatenate(self.x), np.concatenate(self.y)


def gradients(unit, theta, x):
    """σ*(x;θ_i) (N,) and its gradients (N, D), written out."""
    scaled = isinstance(unit, ScaledUnit)
    w = theta[:, 1:] if scaled else theta
    x = np.concatenate([[1.0], x]) if scaled else x
    t = w @ x
    value, slope = unit.activation(t), unit.activation.derivative(t)
    if not scaled:
        return value, slope[:, None] * x
    a = theta[:, 0]
    return a * value, np.concatenate([value[:, None], (a * slope)[:, None] * x], axis=1)


def plain_sgd(unit, rows, theta, sizes, *, lam=0.0, variance=0.0, batch=1, seed=0):
    """θ after len(sizes) steps; ``variance`` is the noise's in units of s_k."""
    (x, y), theta = rows, theta.copy()
    noise = np.random.default_rng(seed).spawn(2)[1]
    for k, s in enumerate(sizes):
        change = np.zeros_like(theta)
        for i in range(k * batch, (k + 1) * batch):
            value, gradient = gradients(unit, theta, x[i])
            change += 2 * s * (y[i] - value.mean()) * gradient / batch
        theta = (1 - 2 * lam * s) * theta + change
        if variance:
            theta += np.sqrt(variance * s) * noise.standard_normal(theta.T.shape).T
    return theta


def start(unit, n=45, d=7, seed=2):
    """45 particles: neither a multiple of the lanes nor of a block."""
    return 0.4 * np.random.default_rng(seed).standard_normal((n, unit.dim(d)))


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_same_numbers_as_numpy(unit, batch):
    data = Logged(GaussianClasses.std(7, 0.6, active=4))
    theta0, steps, epsilon = start(unit), 300, 3e-3
    options = dict(steps=steps, epsilon=epsilon, xi=lambda t: 1 / (1 + t), batch=batch, rng=4)
    run = jf.sgd(unit, data, theta0, lam=0.05, beta=30.0, **options)
    sizes = epsilon / (1 + epsilon * np.arange(steps))
    expected = plain_sgd(
        unit, data.rows, theta0, sizes, lam=0.05, variance=4 / 30, batch=batch, seed=4
    )
    # 300 steps of rounding 1e-16, amplified by at most e^{O(1)} in time 0.6
    np.testing.assert_allclose(run.theta, expected, rtol=1e-9, atol=1e-11)
    assert np.abs(expected - theta0).max() > 0.1  # and something happened


@pytest.mark.parametrize(("n", "d", "batch"), [(1, 1, 1), (1, 3, 4), (70, 1, 1), (2000, 3, 40)])
def test_same_numbers_at_other_sizes(n, d, batch):
    unit = SimpleUnit(truncated_relu)
    data, theta0 = Logged(GaussianClasses.var(d, 0.5)), start(unit, n, d)
    run = jf.sgd(unit, data, theta0, steps=40, epsilon=1e-2, batch=batch, rng=0)
    expected = plain_sgd(unit, data.rows, theta0, np.full(40, 1e-2), batch=batch)
    np.testing.assert_allclose(run.theta, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("unit", [SimpleUnit(truncated_relu), ScaledUnit(relu), SimpleUnit(SINE)])
def test_single_precision_follows_double(unit, batch):
    data = EmpiricalData(*GaussianClasses.std(7, 0.6).sample(50, 0))
    options = dict(steps=200, epsilon=1e-3, batch=batch, rng=1)
    double = jf.sgd(unit, data, start(unit), **options)
    single = jf.sgd(unit, data, start(unit), dtype=np.float32, **options)
    assert single.theta.dtype == np.float32 and double.theta.dtype == np.float64
    # 200 roundings of 6e-8 relative; a sample within rounding of a kink would show as 1e-3
    np.testing.assert_allclose(single.theta, double.theta, atol=3e-5)


@pytest.mark.parametrize("beta", [np.inf, 50.0])
@pytest.mark.parametrize(("unit", "batch"), [(UNITS[0], 1), (UNITS[8], 3), (UNITS[7], 2)])
def test_recording_changes_nothing(unit, batch, beta):
    theta0, population = start(unit), GaussianClasses.std(7, 0.6)
    options = dict(epsilon=1e-3, batch=batch, rng=8, beta=beta, xi=lambda t: (t + 1e-3) ** -0.3)
    plain = jf.sgd(unit, population, theta0, steps=5000, **options)
    often = jf.sgd(unit, population, theta0, steps=5000, record=np.linspace(0, 5, 38), **options)
    short = jf.sgd(unit, population, theta0, steps=int(often.times[3] / 1e-3 + 0.5), **options)
    np.testing.assert_array_equal(plain.theta, often.theta)
    np.testing.assert_array_equal(short.theta, often.snapshots[3].points)


def test_threads_change_nothing():
    unit, population = ScaledUnit(relu), GaussianClasses.std(5, 0.6)
    runs = [
        jf.sgd(unit, population, start(unit, 3000, 5), steps=9, epsilon=1e-3, batch=50, rng=0,
               threads=threads)
        for threads in (1, 2, 3)
    ]  # fmt: skip
    np.testing.assert_array_equal(runs[0].theta, runs[1].theta)
    np.testing.assert_array_equal(runs[0].theta, runs[2].theta)


def test_which_units_are_compiled():
    compiled = [compiled_formula(unit, np.float64) is not None for unit in UNITS]
    assert compiled == [unit.activation is not SINE for unit in UNITS]


@pytest.mark.parametrize("n", [1, 32, 33, 100])
def test_layout(n):
    theta = np.arange(3.0 * n).reshape(n, 3)
    W = pack(theta, 32)
    assert W.shape == (-(-n // 32), 3, 32) and W.ctypes.data % 64 == 0
    np.testing.assert_array_equal(W[0, :, 0], theta[0])
    np.testing.assert_array_equal(unpack(W, n), theta)
