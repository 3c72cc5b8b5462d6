"""Five layers, five times as many units, one learning curve.

Hidden units take averages, and every weight moves at n_{l−1} n_l times its raw gradient. Then the
risk against time depends on the initial laws and not on the widths. The best that a network without
biases can do here is a multiple of |x|, whatever its depth: both widths find it.
"""

import numpy as np

from jkoflow.dynamics import LayerRecording, multilayer_sgd
from jkoflow.networks import GaussianClasses, MultilayerNetwork
from jkoflow.networks.multilayer import equal_widths

classes = GaussianClasses.std(dim=40, delta=0.8)
x, y = classes.sample(1000, rng=1)
times = np.linspace(0.0, 1.2, 13)


def risks(width):
    """Along SGD on the same samples; first layer N(0, 2/d), middle N(1, 0.1²), outputs 0."""
    layers = equal_widths(5, width, middle=(1.0, 0.1))
    network = MultilayerNetwork(40, layers)
    record = LayerRecording(times, {"risk": lambda w: network.loss_value(w, x, y)})
    run = multilayer_sgd(network, classes, steps=1200, epsilon=1e-3, rng=5, record=record)
    return run.statistics["risk"]


narrow, wide = risks(50), risks(250)
length = np.linalg.norm(x, axis=1)
best = np.mean((y - length * (y @ length) / (length @ length)) ** 2)
print(f"risk at the end: {narrow[-1]:.3f} (n = 50), {wide[-1]:.3f} (n = 250), best c|x| {best:.3f}")
print(f"largest difference of the two curves: {np.abs(narrow - wide).max():.3f}")
assert np.abs(narrow - wide).max() < 0.1 * (wide[0] - wide[-1])
