"""ReLU units on anisotropic classes: a flow in R⁴ instead of one in R³²².

The risk of a law of (a, b, w) that is invariant under rotations of the informative and of the other
inputs depends on (a, b, |w₁|, |w₂|) only, and so does its JKO flow. SGD moves 400 neurons in R³²²
with steps ε t^(−¼); its clock against the flow's is T = 2∫ξ dt = (8/3) t^¾.
"""

import numpy as np

import jkoflow as jf
from jkoflow.dynamics import Recording
from jkoflow.networks import GaussianClasses, ScaledUnit, reduced_relu_risk, relu
from jkoflow.networks.four_parameters import four_parameters, normal_four_parameters

dim, active, kappa, epsilon = 320, 60, 0.8, 2e-5
classes = GaussianClasses.std(dim, 0.4, active=active)
R = reduced_relu_risk(classes)
start = normal_four_parameters(200, dim, active, kappa)
flow = jf.flow(jf.Problem(0.5 * R, start, tau=0.02, t_end=1.0))

t = (3 / 8) ** (4 / 3)  # where T = 1
w = kappa / dim**0.5 * np.random.default_rng(0).normal(size=(400, dim))
sgd = jf.sgd(
    ScaledUnit(relu), classes, np.concatenate([np.ones((400, 2)), w], axis=1), rng=1,
    steps=round(t / epsilon), epsilon=epsilon, xi=lambda t: t**-0.25, dtype=np.float32,
    record=Recording([t], {"means": lambda theta: four_parameters(theta, active).mean(axis=0)}),
)  # fmt: skip

of_flow, of_sgd = flow.final.points.mean(axis=0), sgd.statistics["means"][-1]
print("means of a, b, r1, r2 at T = 1:", of_flow.round(3), "and by SGD:", of_sgd.round(3))
assert np.abs(of_flow - of_sgd).max() < 0.03
