"""SGD on multilayer networks: against two-layer SGD, against a limit, and what it says."""

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.dynamics import LayerRecording, Recording, curve_spread, multilayer_sgd
from jkoflow.networks import (
    Dense,
    EmpiricalData,
    GaussianClasses,
    MultilayerNetwork,
    ScaledUnit,
    relu,
    tanh,
)
from jkoflow.networks.multilayer import equal_widths, five_layers
from jkoflow.status import InvalidMeasure, InvalidProblem, Status, StepFailed

CLASSES = GaussianClasses.std(6, 0.5)


def a_network(width=20, **options):
    return MultilayerNetwork(6, equal_widths(3, width, last=(0.5, 0.5)), tanh, **options)


@pytest.mark.parametrize("batch", [1, 5])
def test_one_hidden_layer_is_two_layer_sgd(batch):
    """Units a σ(⟨w, x⟩ + b) by jf.sgd, θ = (a, b, w): the same numbers on the same samples."""
    rng = np.random.default_rng(3)
    theta, n, d = rng.normal(size=(40, 8)), 40, 6

    class Same:  # both draw from children of a seed, but not from the same child
        dim = d

        def __init__(self):
            self.rng = np.random.default_rng(9)

        def sample(self, count, _):
            x = self.rng.normal(size=(count, d))
            return x, np.sign(x[:, 0])

    two = jf.sgd(ScaledUnit(tanh), Same(), theta, steps=150, epsilon=0.02, batch=batch, rng=0,
                 xi=lambda t: 1 / (1 + t), record=Recording([]))  # fmt: skip
    network = MultilayerNetwork(d, [Dense(n, bias=True), Dense(1)], tanh)
    start = (np.concatenate([theta[:, 2:].T, theta[:, 1][None]]), theta[:, :1].copy())
    many = multilayer_sgd(network, Same(), start, steps=150, epsilon=0.02, batch=batch,
                          xi=lambda t: 1 / (1 + t))  # fmt: skip
    # sums of 40 terms in another order, for 150 steps
    assert many.theta[0][:d].T == pytest.approx(two.theta[:, 2:], abs=1e-11)
    assert many.theta[0][d] == pytest.approx(two.theta[:, 1], abs=1e-11)
    assert many.theta[1][:, 0] == pytest.approx(two.theta[:, 0], abs=1e-11)


def test_bias_free_relu_networks_end_at_the_best_multiple_of_the_norm():
    """ŷ is homogeneous in x, so on isotropic classes R ≥ 1 − (E y|x|)²/E|x|² for isotropic weights.

    E y|x| = Δ c and E|x|² = (1 + Δ²) d with c = E|g|, g ~ N(0, I_d).
    """
    from scipy.special import gammaln

    d, delta = 12, 0.7
    c = np.sqrt(2) * np.exp(gammaln((d + 1) / 2) - gammaln(d / 2))
    best = 1 - (delta * c) ** 2 / ((1 + delta**2) * d)
    classes = GaussianClasses.std(d, delta)
    network = MultilayerNetwork(d, five_layers(200))
    x, y = classes.sample(20_000, np.random.default_rng(0))
    record = LayerRecording([3.0], {"risk": lambda w: network.loss_value(w, x, y)})
    run = multilayer_sgd(network, classes, steps=3000, epsilon=1e-3, batch=20, rng=1,
                         record=record, dtype=np.float32)  # fmt: skip
    # 20 000 test samples: 4 standard errors are .014; 200 units are isotropic to a few percent
    assert run.statistics["risk"][0] == pytest.approx(best, abs=0.014)


def test_widths_agree_at_mean_field_rates_and_not_at_fixed_ones():
    x, y = CLASSES.sample(2000, np.random.default_rng(1))

    def curves(fixed):
        found = []
        for n in (25, 50, 100):
            network = MultilayerNetwork(6, five_layers(n))
            rates = MultilayerNetwork(6, five_layers(25)).rates if fixed else "mean-field"
            record = LayerRecording(
                np.linspace(0, 0.6, 13), {"risk": lambda w, net=network: net.loss_value(w, x, y)}
            )
            found.append([
                multilayer_sgd(network, CLASSES, steps=300, epsilon=2e-3, batch=10, rng=(n, s),
                               rates=rates, record=record).statistics["risk"]
                for s in range(4)
            ])  # fmt: skip
        return np.array(found)

    # four runs: .5 is expected of one law, and 1 is exceeded by F(2, 9) once in 20 at most
    assert curve_spread(curves(False)).ratio < 1.2
    assert curve_spread(curves(True)).ratio > 2.0


def test_same_seed_same_numbers_whatever_is_recorded():
    network = a_network()
    options = {"steps": 450, "epsilon": 0.01, "rng": 5, "batch": 3}
    a = multilayer_sgd(network, CLASSES, **options)
    b = multilayer_sgd(network, CLASSES, record=[0.0, 1.23, 4.5], **options)
    assert all((u == v).all() for u, v in zip(a.theta, b.theta, strict=True))
    assert all((u == v).all() for u, v in zip(b.snapshots[-1], b.theta, strict=True))
    assert len(b.snapshots) == 3 and b.times == pytest.approx([0, 1.23, 4.5])
    assert a.status is Status.COMPLETE and a.steps == 450 and a.time == pytest.approx(4.5)


def test_start_is_not_touched_and_the_clock_is_integrated():
    network = a_network()
    theta = network.initial(1)
    before = [w.copy() for w in theta]
    run = multilayer_sgd(network, CLASSES, theta, steps=10, epsilon=0.1, rng=2,
                         xi=lambda t: 1 / (1 + t), record=[1.0])  # fmt: skip
    assert all((u == v).all() for u, v in zip(before, theta, strict=True))
    assert run.flow_times == pytest.approx([np.log(2.0)], rel=1e-9)


def test_rates_given_as_numbers():
    network = a_network()
    options = {"steps": 20, "epsilon": 0.01, "rng": 5}
    own = multilayer_sgd(network, CLASSES, rates=network.rates, **options)
    default = multilayer_sgd(network, CLASSES, **options)
    frozen = multilayer_sgd(network, CLASSES, network.initial(0), rates=(0, 0, 20.0), **options)
    assert all(np.allclose(u, v, rtol=1e-12) for u, v in zip(own.theta, default.theta, strict=True))
    assert (frozen.theta[1] == network.initial(0)[1]).all()
    assert (frozen.theta[2] != network.initial(0)[2]).all()


def test_divergence_is_told_and_the_finite_part_kept():
    network = MultilayerNetwork(6, equal_widths(2, 20), tanh)
    with pytest.raises(StepFailed, match="epsilon") as caught:
        multilayer_sgd(network, CLASSES, steps=2000, epsilon=50.0, rng=0)
    run = caught.value.trajectory
    assert run.status is Status.NON_FINITE and all(np.isfinite(w).all() for w in run.theta)
    quiet = multilayer_sgd(network, CLASSES, steps=2000, epsilon=50.0, rng=0, throw=False)
    assert quiet.status is Status.NON_FINITE


def test_errors_of_statistics_and_populations():
    network = a_network()

    def fails(theta):
        raise RuntimeError("ouch")

    with pytest.raises(InvalidProblem, match="ouch") as caught:
        multilayer_sgd(network, CLASSES, steps=10, epsilon=0.1, rng=0,
                       record=LayerRecording([0.5], {"f": fails}))  # fmt: skip
    assert caught.value.trajectory.steps == 5
    with pytest.raises(InvalidProblem, match="real numbers"):
        multilayer_sgd(network, CLASSES, steps=1, epsilon=0.1,
                       record=LayerRecording([0], {"f": lambda w: "x"}))  # fmt: skip
    with pytest.raises(InvalidProblem, match="changed its shape"):
        sizes = iter([np.ones(1), np.ones(2)])
        multilayer_sgd(network, CLASSES, steps=1, epsilon=0.1,
                       record=LayerRecording([0, 0.1], {"f": lambda w: next(sizes)}))  # fmt: skip
    with pytest.raises(ValueError, match="read-only"):
        try:
            multilayer_sgd(network, CLASSES, steps=1, epsilon=0.1,
                           record=LayerRecording([0], {"f": lambda w: w[0].sort()}))  # fmt: skip
        except InvalidProblem as error:
            raise error.__cause__ from None
    labels = EmpiricalData(np.ones((3, 6)), [0.0, 1.0, 5.0])
    with pytest.raises(InvalidProblem, match="labels"):
        multilayer_sgd(MultilayerNetwork(6, equal_widths(3, 4, outputs=3), relu, "cross-entropy"),
                       labels, steps=50, epsilon=0.1)  # fmt: skip


def test_interrupt_returns_what_there_is():
    import signal

    def hit(theta):
        signal.raise_signal(signal.SIGINT)
        return 0.0

    run = multilayer_sgd(a_network(), CLASSES, steps=100, epsilon=0.1, rng=0,
                         record=LayerRecording([3.0, 10.0], {"f": hit}))  # fmt: skip
    assert run.status is Status.INTERRUPTED and run.steps == 30


@pytest.mark.parametrize(
    "options",
    [
        {"steps": -1}, {"steps": 1.5}, {"epsilon": 0.0}, {"epsilon": np.nan}, {"batch": 0},
        {"rates": "standard"}, {"rates": (1.0, 2.0)}, {"rates": (1, 2, -1)}, {"rates": 3},
        {"rates": (1, 2, np.inf)}, {"rng": "x"}, {"dtype": np.int32}, {"dtype": "nothing"},
        {"xi": -1.0}, {"record": [2.0]}, {"record": [-1.0]},
        {"record": LayerRecording([0.0], {"f": 3})}, {"theta0": [np.ones((2, 2))]},
    ],
)  # fmt: skip
def test_senseless_arguments(options):
    arguments = {"steps": 3, "epsilon": 0.1, "rng": 0, **options}
    with pytest.raises(InvalidProblem):
        multilayer_sgd(a_network(), CLASSES, **arguments)


def test_senseless_network_and_population():
    with pytest.raises(InvalidProblem, match=r"jkoflow\.sgd"):
        multilayer_sgd(ScaledUnit(tanh), CLASSES, steps=1, epsilon=0.1)
    with pytest.raises(InvalidProblem, match=r"R\^5"):
        multilayer_sgd(a_network(), GaussianClasses.std(5, 0.1), steps=1, epsilon=0.1)
    with pytest.raises(InvalidProblem, match="sample"):
        multilayer_sgd(a_network(), (1, 2), steps=1, epsilon=0.1)
    with pytest.raises(InvalidMeasure):
        multilayer_sgd(a_network(), CLASSES, steps=1, epsilon=0.1, record=[np.nan])


class InOrder:
    """Given rows, once and in their order."""

    def __init__(self, x, y):
        self.x, self.y, self.dim, self.one_pass_size = x, y, x.shape[1], len(x)

    def sample(self, n, rng, dtype=float):
        first, self.x = self.x[:n].astype(dtype), self.x[n:]
        labels, self.y = self.y[:n].astype(dtype), self.y[n:]
        return first, labels


def limit_by_hand(w1, x, y, alpha):
    """SGD of the five-layer limit: n first-layer units, one number for each layer above W_2."""
    n = len(w1)
    w1, w2, w3, w4, w5 = w1.copy(), np.ones(n), 1.0, 1.0, 0.0
    for point, label in zip(x, y, strict=True):
        h1 = w1 @ point
        seen = np.maximum(h1, 0.0)
        h2 = np.mean(w2 * seen)
        h3 = w3 * max(h2, 0.0)
        h4 = w4 * max(h3, 0.0)
        d5 = 2.0 * (w5 * max(h4, 0.0) - label)
        d4 = (h4 > 0) * w5 * d5
        d3 = (h3 > 0) * w4 * d4
        d2 = (h2 > 0) * w3 * d3
        d1 = (h1 > 0) * w2 * d2
        w5 -= alpha * max(h4, 0.0) * d5
        w4 -= alpha * max(h3, 0.0) * d4
        w3 -= alpha * max(h2, 0.0) * d3
        w2 = w2 - alpha * seen * d2
        w1 = w1 - alpha * d1[:, None] * point
    return w1, w2, (w3, w4, w5)


def test_middle_weights_without_spread_are_the_limit_whatever_their_width():
    # docs/multilayer.md derives that the limit is the network with τ2 = 0, and that one unit of a
    # middle layer stands for all: by hand, with one unit, and with seven, all in float64
    n, steps, alpha = 30, 60, 0.02
    classes = GaussianClasses.std(6, 0.8)
    rng = np.random.default_rng(5)
    w1 = 0.6 * rng.standard_normal((n, 6))
    x, y = classes.sample(steps, rng)
    by_hand = limit_by_hand(w1, x, y, alpha)
    for width in (1, 7):
        layers = [Dense(n), *[Dense(width, mean=1.0, std=0.0)] * 3, Dense(1, std=0.0)]
        network = MultilayerNetwork(6, layers)
        start = (w1.T.copy(), *network.initial(0)[1:])
        end = multilayer_sgd(network, InOrder(x, y), start, steps=steps, epsilon=alpha, rng=0).theta
        assert abs(w1.T - end[0]).max() > 0.01  # or nothing would be tested
        assert end[0] == pytest.approx(by_hand[0].T, abs=1e-12)
        assert end[1] == pytest.approx(np.repeat(by_hand[1][:, None], width, axis=1), abs=1e-12)
        for weights, number in zip(end[2:], by_hand[2], strict=True):
            assert weights == pytest.approx(np.full_like(weights, number), abs=1e-12)
