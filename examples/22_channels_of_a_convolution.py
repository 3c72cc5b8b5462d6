"""A convolution-like network: averages over channels, while filters and images keep their sizes.

Its limit is one of many channels. Four times as many of them leave the accuracy on test digits
where it was, to within what 449 images can tell.
"""

import numpy as np

from jkoflow.dynamics import multilayer_sgd
from jkoflow.networks import Convolution, Dense, EmpiricalData, MultilayerNetwork, images

data = images.digits(bias=False)
x, x_test = 8 * data.x, 8 * data.x_test


def accuracy(channels):
    """After 300 batches of ten; every layer after the first starts from N(1/m, 1/m)."""
    network = MultilayerNetwork(
        (8, 8),
        [
            Convolution(channels, size=3, stride=2, padding=1, std=2**0.5, bias=True),
            Dense(channels, 1.0, 1.0, bias=True),
            Dense(1, 1.0, 1.0, bias=True),
        ],
    )
    run = multilayer_sgd(network, EmpiricalData(x, data.y), steps=300, epsilon=0.01, batch=10,
                         rng=3, dtype=np.float32)  # fmt: skip
    return network.accuracy(run.theta, x_test, data.y_test)


few, many = accuracy(25), accuracy(100)
print(f"test accuracy with 25 channels {few:.3f}, with 100 {many:.3f}")
assert abs(few - many) < 0.05 and min(few, many) > 0.8
