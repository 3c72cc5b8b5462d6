"""Spikes on the circle, found by particles that cover it at first, and missed by those that don't.

A particle (r, θ) is a spike of mass r²/n at θ. Five spikes are seen through the Dirichlet kernel of
order 7 (Chizat and Bach 2018). Non-negative least squares on a grid certifies how small the risk
can be among all positive measures.
"""

import numpy as np

import jkoflow as jf
from jkoflow.networks.deconvolution import deconvolution_risk, fit_on_grid, spike_coefficients

angles, masses = [0.5, 1.8, 3.0, 4.2, 5.5], [1.0, 0.8, 1.2, 0.6, 0.9]
y = spike_coefficients(angles, masses, order=7) + 0.02 * np.random.default_rng(0).normal(size=15)
R, fit = deconvolution_risk(y), fit_on_grid(y)

n, risks = 30, {}
for name, first, length in (("all of the circle", 0.0, 2 * np.pi), ("an arc", 1.8, 1.0)):
    theta = first + length * (np.arange(n) + 0.5) / n
    start = jf.Particles(np.column_stack([np.full(n, 0.5), theta]))
    run = jf.flow(jf.Problem(0.5 * R, start, tau=np.full(150, 0.01)),
                  jf.steppers.ParticleProximal(tolerance=1e-5))  # fmt: skip
    risks[name] = 2 * run.energies[-1]
    print(f"start on {name}: R = {risks[name]:.2g}, certified infimum {fit.lower_bound:.1g}")

near = np.abs(np.array(angles)[:, None] - fit.angles) < 0.15
print("masses on the grid near the spikes:", (near @ fit.masses).round(2))
assert risks["all of the circle"] - fit.lower_bound < 0.01 < 1.0 < risks["an arc"]
