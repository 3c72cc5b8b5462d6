"""Hold the loop yourself: the next step's size from the last step's slope.

`jf.flow` needs all step sizes beforehand. Here each step aims at the same W2 length, so that the
steps grow as the flow slows down, and the loop ends when the slope is small.
"""

import numpy as np

import jkoflow as jf

F = jf.QuadraticPotential(2.0) + jf.Entropy()
mu = jf.Quantiles.normal(3.0, 0.2, 200)
stepper, rng = jf.steppers.QuantileNewton(), np.random.default_rng(0)
length, time, tau, slope, count = 0.1, 0.0, 0.01, np.inf, 0
state = stepper.init(F, mu, tau, rng)
while slope > 1e-3:
    output = stepper.step(F, mu, tau, state, rng)
    assert output.status.ok, output.status
    slope = output.distance_squared**0.5 / tau
    mu, state, time, count = output.measure, output.state, time + tau, count + 1
    tau = min(max(length / slope, 0.01), 1.0)

print(f"{count} steps to T = {time:.3g}; mean {mu.mean()[0]:.5f}, variance {mu.cov()[0, 0]:.5f}")
# The fixed point is N(0, 1/2). On 200 cells the variance is second order in the cells' size.
assert abs(mu.cov()[0, 0] - 0.5) < 1e-3
