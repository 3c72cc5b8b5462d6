"""The law of large numbers for SGD: its error against the flow falls like N^-½.

The flow of ½R for the law of |w| is the limit for infinitely many neurons; its answer for a
bounded Lipschitz f holds for all N. The slope of the error over N is fitted on independent runs,
and its interval is held against the theorem's −½ and against what would be other theorems.
"""

import numpy as np

import jkoflow as jf
from jkoflow.networks import GaussianClasses, SimpleUnit, radial_risk, truncated_relu
from jkoflow.rates import fit_rate

DIM, T, EPSILON = 10, 0.2, 4e-6
classes = GaussianClasses.std(DIM, 0.8)
start = jf.Radial.normal(0.8 / DIM**0.5, DIM, n=300)
risk = radial_risk(classes, truncated_relu)
flow = jf.flow(jf.Problem(0.5 * risk, start, tau=0.004, t_end=2 * T))
limit = flow.final.weights @ np.exp(-flow.final.points[:, 0] ** 2)


def error(neurons: int, seed: int) -> float:
    rng = np.random.default_rng([neurons, seed])
    theta = 0.8 / DIM**0.5 * rng.standard_normal((neurons, DIM))
    run = jf.sgd(SimpleUnit(truncated_relu), classes, theta, steps=round(T / EPSILON),
                 epsilon=EPSILON, rng=rng, dtype=np.float32)  # fmt: skip
    return abs(np.exp(-(run.theta**2).sum(axis=1)).mean() - limit)


N = [30, 120, 480]
rate = fit_rate(N, [[error(n, seed) for n in N] for seed in range(25)])
finding = rate.finding("N^-½", -0.5, not_=(0.0, -1.0))
print(f"error ∝ N^p with {rate}: {finding.verdict}")
assert rate.low < -0.5 < rate.high and rate.high < -0.1
