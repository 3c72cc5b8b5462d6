"""The law of a network's parameters does not depend on how many units there are.

Networks of 100, 400 and 1600 units see N images each, at steps of size 3/N. The distance of their
parameters' law from that of one with 4800 units is what sampling gives, and nothing else: times
the square root of N it stays the same.
"""

import numpy as np
from scipy.stats import ks_2samp

import jkoflow as jf
from jkoflow.networks import EmpiricalData, ScaledUnit, images, tanh

data = images.digits(bias=False)
population = EmpiricalData(2 * data.x, data.y)


def output_weights(n, seed):
    """a of every unit a·tanh(⟨w, x⟩ + b) after n images."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, data.x.shape[1] + 2))
    return jf.sgd(ScaledUnit(tanh), population, theta, steps=n, epsilon=3 / n, rng=rng).theta[:, 0]


reference = output_weights(4800, 0)
scaled = []
for n in (100, 400, 1600):
    distance = np.mean([ks_2samp(output_weights(n, k), reference).statistic for k in range(1, 7)])
    scaled.append(distance * np.sqrt(n * 4800 / (n + 4800)))
    print(f"N = {n:4d}: distance {distance:.3f}, scaled by the sample size's root {scaled[-1]:.2f}")
# Independent samples have √(π/2) log 2 = 0.87; SGD's noise is common to the units of a run.
assert max(scaled) < 1.6
