"""Multilayer networks: gradients, averages, convolutions against loops, and senseless input."""

import numpy as np
import pytest

from jkoflow.networks import Convolution, Dense, MultilayerNetwork, relu, tanh
from jkoflow.networks.multilayer import equal_widths, five_layers
from jkoflow.status import InvalidMeasure, InvalidProblem

RNG = np.random.default_rng(5)


def convolutional(loss="cross-entropy", outputs=3):
    layers = [Convolution(3, 3, 2, 1, 0.2, 1.0, True), Convolution(4, 2, 1, 0, 0.5, 1.0, True),
              Dense(5, 1.0, 0.5, True), Dense(outputs, 0.2, 1.0, True)]  # fmt: skip
    return MultilayerNetwork((5, 6, 2), layers, tanh, loss)


NETWORKS = {
    "dense, square": MultilayerNetwork(7, equal_widths(5, 6, last=(0.3, 0.5)), tanh),
    "biases, logistic": MultilayerNetwork(7, equal_widths(3, 4, last=(1, 1), bias=True), tanh,
                                          "logistic"),
    "convolutions, cross-entropy": convolutional(),
    "convolutions, square": convolutional("square", 1),
}  # fmt: skip


def batch(network, rows=6):
    x = RNG.normal(size=(rows, network.dim))
    if network.outputs > 1:
        return x, RNG.integers(0, network.outputs, rows).astype(float)
    return x, RNG.choice([-1.0, 1.0], rows)


@pytest.mark.parametrize("name", NETWORKS)
def test_taylor_order(name):
    """With its gradient subtracted, the loss changes to second order: 4 at half the distance."""
    network = NETWORKS[name]
    theta, (x, y) = network.initial(1), batch(network)
    v = [RNG.normal(size=w.shape) for w in theta]
    slope = sum(float((g * d).sum()) for g, d in zip(network.gradient(theta, x, y), v, strict=True))
    start = network.loss_value(theta, x, y)

    def remainder(h):
        moved = tuple(w + h * d for w, d in zip(theta, v, strict=True))
        return abs(network.loss_value(moved, x, y) - start - h * slope)

    h = np.array([4e-3, 2e-3, 1e-3, 5e-4])
    orders = np.diff(np.log([remainder(s) for s in h])) / np.log(0.5)
    # third-order terms are of relative size h; a wrong gradient has order 1
    assert orders[-1] == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_layer_against_central_differences(name):
    network = NETWORKS[name]
    theta, (x, y) = network.initial(2), batch(network)
    gradient = network.gradient(theta, x, y)
    for layer, w in enumerate(theta):
        for _ in range(3):
            i = tuple(RNG.integers(0, n) for n in w.shape)
            ends = []
            for h in (1e-5, -1e-5):
                moved = [v.copy() for v in theta]
                moved[layer][i] += h
                ends.append(network.loss_value(tuple(moved), x, y))
            # round-off 1e-16/h = 1e-11 and the third derivative times h² = 1e-10
            assert gradient[layer][i] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=3e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_descend_is_the_gradient_times_the_rates(name):
    """W_l moves by −s n_{l−1} n_l ∂ℓ, a bias by −s n_l ∂ℓ; outputs count as one."""
    network = NETWORKS[name]
    theta, (x, y) = network.initial(3), batch(network)
    gradient = network.gradient(theta, x, y)
    sizes = [0.1, 0.2, 0.3, 0.4, 0.5][: len(theta)]
    moved = tuple(w.copy() for w in theta)
    network.descend(moved, x, y, sizes)
    for w, new, g, size, wired in zip(theta, moved, gradient, sizes, network.wired, strict=True):
        units = 1 if wired.last else wired.width
        factor = np.full((len(w), 1), size * wired.rate)
        factor[wired.fan_in :] = size * units
        assert new == pytest.approx(w - factor * g, rel=1e-12, abs=1e-13)


def test_rates():
    layers = [Dense(4), Dense(6), Dense(5), Dense(3)]
    assert MultilayerNetwork(9, layers, loss="cross-entropy").rates == (4, 24, 30, 5)


def test_forward_by_hand():
    network = MultilayerNetwork(2, [Dense(3, bias=True), Dense(2), Dense(1)])
    theta = network.initial(0)
    theta[0][-1] = [0.5, -1.0, 2.0]
    x = np.array([0.3, -0.7])
    z = np.maximum(x @ theta[0][:2] + theta[0][2], 0)
    z = np.maximum((z[:, None] * theta[1]).sum(axis=0) / 3, 0)
    assert network(theta, x[None])[0, 0] == pytest.approx((z @ theta[2][:, 0]) / 2, rel=1e-14)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_convolution_by_loops(stride, padding):
    """Filter by filter, position by position, channel by channel."""
    height, width, channels, units, size = 5, 7, 2, 3, 3
    network = MultilayerNetwork(
        (height, width, channels), [Convolution(units, size, stride, padding), Dense(1, 1.0)], tanh
    )
    theta, x = network.initial(4), RNG.normal(size=(2, height * width * channels))
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    image = np.pad(x.reshape(2, height, width, channels), around)
    filters = theta[0].reshape(size, size, channels, units)
    found = []
    for i in range(0, height + 2 * padding - size + 1, stride):
        for j in range(0, width + 2 * padding - size + 1, stride):
            window = image[:, i : i + size, j : j + size]
            found.append(np.einsum("bijc,ijcu->bu", window, filters))
    z = np.tanh(np.stack(found, axis=1)).reshape(2, -1)
    assert network(theta, x) == pytest.approx(z @ theta[1] / units, rel=1e-12)


def test_initial_laws():
    """Means and variances of N(μ/m, τ²/m): first layer m = d, after it m = positions."""
    hidden = Convolution(60, 3, mean=0.5, std=2.0)
    layers = [hidden, Dense(50, 1.5, 0.7, bias=True), Dense(10, -1, 3)]
    network = MultilayerNetwork((6, 6, 3), layers, loss="cross-entropy")
    first, second, third = network.initial(6)
    for w, m, mean, std in ((first, 27, 0.5, 2.0), (second[:-1], 16, 1.5, 0.7), (third, 1, -1, 3)):
        z = (w.mean() - mean / m) / (std / np.sqrt(m * w.size))
        assert abs(z) < 4.5  # one in 10⁵
        assert w.std() == pytest.approx(std / np.sqrt(m), rel=4 / np.sqrt(2 * w.size))
    assert (second[-1] == 0).all()


def test_outputs_start_at_zero_in_the_five_layers_and_do_not_stay():
    network = MultilayerNetwork(10, five_layers(30))
    theta, (x, y) = network.initial(1), batch(network, 20)
    assert (network(theta, x) == 0).all()
    network.descend(theta, x, y, [0.01] * 5)
    assert (network(theta, x) != 0).any()


def test_copies_of_all_units_are_the_same_network():
    """Every hidden unit twice: same outputs, and the same after a step, at the mean-field rates."""
    small = MultilayerNetwork(5, equal_widths(4, 3, last=(0.5, 1.0), bias=True), tanh)
    large = MultilayerNetwork(5, equal_widths(4, 6, last=(0.5, 1.0), bias=True), tanh)
    theta, (x, y) = small.initial(7), batch(small)

    def doubled(weights):
        result = []
        for k, w in enumerate(weights):
            rows, bias = w[: small.wired[k].fan_in], w[small.wired[k].fan_in :]
            w = np.concatenate([rows if k == 0 else np.tile(rows, (2, 1)), bias])
            result.append(w if k == len(weights) - 1 else np.tile(w, (1, 2)))
        return tuple(result)

    twice = doubled(theta)
    assert large(twice, x) == pytest.approx(small(theta, x), rel=1e-13)
    small.descend(theta, x, y, [0.1] * 4)
    large.descend(twice, x, y, [0.1] * 4)
    for a, b in zip(doubled(theta), twice, strict=True):
        assert a == pytest.approx(b, rel=1e-11, abs=1e-13)


def test_averages_of_mean_zero_weights_vanish_with_the_width():
    """Hence μ2 ≠ 0: with μ2 = 0 the hidden values are of order n^{−½} after one average."""
    x = RNG.normal(size=(50, 8))
    sizes = []
    for width in (100, 1600):
        layers = equal_widths(3, width, middle=(0.0, 1.0), last=(1.0, 0.0))
        network = MultilayerNetwork(8, layers)
        theta = network.initial(8)
        sizes.append(np.sqrt(np.mean(network._forward(theta, x)[1][1] ** 2)))
    assert sizes[0] / sizes[1] == pytest.approx(4.0, rel=0.15)  # √16; n = 100 has 7% of its own


def test_float32_in_float32_out():
    network = MultilayerNetwork(4, five_layers(8))
    theta = network.initial(0, np.float32)
    assert {w.dtype for w in theta} == {np.dtype(np.float32)}
    assert network(theta, np.ones((2, 4))).dtype == np.float32
    network.descend(theta, np.ones((2, 4), np.float32), np.ones(2, np.float32), [0.1] * 5)
    assert {w.dtype for w in theta} == {np.dtype(np.float32)}


def test_accuracy_and_losses():
    network = MultilayerNetwork(1, [Dense(1), Dense(2)], loss="cross-entropy")
    theta = (np.array([[1.0]]), np.array([[0.0, 1.0]]))  # outputs (0, relu(x))
    assert network.accuracy(theta, [[1.0], [2.0], [3.0], [1.0]], [1, 1, 0, 1]) == 0.75
    expected = np.mean([np.log(1 + np.exp(1.0)) - 1.0, np.log(1 + np.exp(1.0))])
    assert network.loss_value(theta, [[1.0], [1.0]], [1, 0]) == pytest.approx(expected, rel=1e-14)
    large = (np.array([[1.0]]), np.array([[0.0, 1e4]]))
    assert network.loss_value(large, [[1.0]], [0]) == pytest.approx(1e4)


def test_spec_tells_networks_apart():
    a, b = MultilayerNetwork(4, five_layers(8)), MultilayerNetwork(4, five_layers(8, 3.0))
    assert a.spec() != b.spec() and a.spec() == MultilayerNetwork(4, five_layers(8)).spec()
    assert "8 → 8" in repr(a)


@pytest.mark.parametrize(
    "build",
    [
        lambda: MultilayerNetwork(4, [Dense(1)]),
        lambda: MultilayerNetwork(4, 3),
        lambda: MultilayerNetwork(4, [Dense(2), "dense"]),
        lambda: MultilayerNetwork(0, five_layers(2)),
        lambda: MultilayerNetwork((2, 2, 2, 2), five_layers(2)),
        lambda: MultilayerNetwork("4", five_layers(2)),
        lambda: MultilayerNetwork(4, five_layers(2), activation=np.tanh),
        lambda: MultilayerNetwork(4, five_layers(2), loss="hinge"),
        lambda: MultilayerNetwork((3, 3), [Convolution(2, 4), Dense(1)]),
        lambda: MultilayerNetwork((3, 3), [Dense(2), Convolution(2, 1, padding=1)]),
        lambda: Dense(0),
        lambda: Dense(2.5),
        lambda: Dense(2, std=-1.0),
        lambda: Dense(2, mean=np.nan),
        lambda: Convolution(2, 0),
        lambda: Convolution(2, 3, stride=0),
        lambda: Convolution(2, 3, padding=-1),
        lambda: equal_widths(1, 5),
        lambda: MultilayerNetwork(4, five_layers(2)).initial(0, np.int64),
        lambda: MultilayerNetwork(4, five_layers(2)).initial("seed"),
    ],
)
def test_senseless_networks(build):
    with pytest.raises(InvalidProblem):
        build()


def test_senseless_data_and_weights():
    network = MultilayerNetwork(4, five_layers(3))
    theta = network.initial(0)
    with pytest.raises(InvalidProblem, match="shape"):
        network(theta, np.ones((2, 5)))
    with pytest.raises(InvalidMeasure, match="NaN"):
        network(theta, [[1.0, 2.0, 3.0, np.nan]])
    with pytest.raises(InvalidMeasure, match="complex"):
        network.gradient(theta, np.ones((1, 4)) + 1j, [1.0])
    with pytest.raises(InvalidMeasure, match="y"):
        network.loss_value(theta, np.ones((2, 4)), [1.0])
    with pytest.raises(InvalidProblem, match="theta"):
        network(theta[:-1], np.ones((2, 4)))
    with pytest.raises(InvalidProblem, match="float"):
        network((theta[0].astype(np.float32), *theta[1:]), np.ones((2, 4)))
    with pytest.raises(InvalidProblem, match="NaN"):
        network((theta[0] * np.nan, *theta[1:]), np.ones((2, 4)))
    classes = MultilayerNetwork(4, equal_widths(3, 3, outputs=3), relu, "cross-entropy")
    with pytest.raises(InvalidProblem, match="labels"):
        classes.loss_value(classes.initial(0), np.ones((2, 4)), [0, 3])
    signs = MultilayerNetwork(4, equal_widths(3, 3), relu, "logistic")
    with pytest.raises(InvalidProblem, match="labels"):
        signs.loss_value(signs.initial(0), np.ones((2, 4)), [0, 1])
    several = MultilayerNetwork(4, equal_widths(3, 3, outputs=2))
    with pytest.raises(InvalidProblem, match="one output"):
        several.loss_value(several.initial(0), np.ones((2, 4)), [0, 1])
