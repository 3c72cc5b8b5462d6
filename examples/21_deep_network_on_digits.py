"""A four-layer network on digits, at mean-field rates and at rates that forget the widths.

At the products n_{l−1} n_l a network of 200 units a layer repeats the curve of one with 50. At the
rates that were right for 50 it learns as if time went slower.
"""

from jkoflow.dynamics import LayerRecording, multilayer_sgd
from jkoflow.networks import EmpiricalData, MultilayerNetwork, images
from jkoflow.networks.multilayer import equal_widths

data = images.digits(bias=False)
x, x_test = 8 * data.x, 8 * data.x_test


def network(width):
    """64 → n → n → n → 1 with biases; weights N(1, 1) after the first layer."""
    law = (1.0, 1.0)
    return MultilayerNetwork(64, equal_widths(4, width, middle=law, last=law, bias=True))


def test_risk(width, rates="mean-field"):
    net = network(width)
    record = LayerRecording([1.2], {"risk": lambda w: net.loss_value(w, x_test, data.y_test)})
    run = multilayer_sgd(net, EmpiricalData(x, data.y), steps=400, epsilon=3e-3, batch=10,
                         rates=rates, rng=2, record=record)  # fmt: skip
    return float(run.statistics["risk"][0])


narrow, wide, slow = test_risk(50), test_risk(200), test_risk(200, network(50).rates)
print(f"test risk: n = 50 {narrow:.3f}, n = 200 {wide:.3f}, n = 200 at the rates of 50 {slow:.3f}")
assert abs(narrow - wide) < 0.2 * abs(slow - wide)
