"""Noisy SGD ends in the Gibbs law of its free energy, whichever particles it starts from.

A network of tanh(wx + b) on nine inputs has two parameters a neuron, so that its Gibbs law ρ* is a
density in the plane: the judge holds it against its own equation, and a battery of tests holds
the particles of noisy SGD against it. "Not rejected" is all that such tests can say.
"""

import numpy as np

import jkoflow as jf
from jkoflow.equilibrium.box import solve_gibbs_density
from jkoflow.networks import EmpiricalData, SimpleUnit, data_risk, tanh

LAM, BETA = 0.1, 20.0
inputs = np.linspace(-2, 2, 9)
x, y = np.stack([inputs, np.ones(9)], axis=1), 0.8 * np.sin(1.5 * inputs) + 0.3
unit = SimpleUnit(tanh)
F = jf.free_energy(data_risk(unit, x, y), LAM, BETA)

star = solve_gibbs_density(F, [-1, -1], [1, 1])
assert jf.check_fixed_point(F, star, domain=star.domain).verdict is jf.Verdict.ACCEPTED

start = 3.0 * np.random.default_rng(0).normal(size=(400, 2))
run = jf.sgd(unit, EmpiricalData(x, y), start, steps=6000, epsilon=4e-3, lam=LAM, beta=BETA,
             batch=40, rng=1)  # fmt: skip
report = jf.check_samples(F, run.theta, reference=star.sample(1500, rng=2), rng=3)
print(report)
assert report.verdict is jf.Verdict.ACCEPTED

R = data_risk(unit, x, y)
found, limit = R.value(run.measure), R.value(star.measure)
print(f"R of the particles {found:.4f}, of ρ* {limit:.4f}")
assert abs(found - limit) < 0.02
