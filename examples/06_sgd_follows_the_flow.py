"""Stochastic gradient descent on data, and the JKO flow of half the risk at twice its time.

The update of SGD carries a factor 2 (of the square) and none of the average's 1/N, so that SGD time
t = kε is JKO time T = 2t for the flow of ½R. Both move the same 60 particles in R³; what remains
between them is the noise of the samples.
"""

import numpy as np

import jkoflow as jf
from jkoflow.networks import EmpiricalData, SimpleUnit, data_risk, tanh

rng = np.random.default_rng(11)
x = rng.normal(size=(200, 3))
y = np.sign(x[:, 0] + 0.5 * x[:, 1] ** 2 - 0.5)
theta = rng.normal(size=(60, 3))

unit, t = SimpleUnit(tanh), 1.0
R = data_risk(unit, x, y)
flow = jf.flow(jf.Problem(0.5 * R, jf.Particles(theta), tau=0.05, t_end=2 * t))
sgd = jf.sgd(unit, EmpiricalData(x, y), theta, steps=20_000, epsilon=t / 20_000, rng=5)

start, risk_flow, risk_sgd = (R.value(mu) for mu in (jf.Particles(theta), flow.final, sgd.measure))
print(f"risk at the start {start:.4f}; at t = {t:g}: flow {risk_flow:.4f}, SGD {risk_sgd:.4f}")
assert abs(risk_flow - risk_sgd) < 0.05 * (start - risk_flow)
