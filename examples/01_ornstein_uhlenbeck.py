"""The Ornstein–Uhlenbeck flow ∂ρ = Δρ + ∇·(ρx), as the JKO flow of entropy plus |x|²/2.

A Gaussian stays Gaussian: its standard deviation obeys ds/dT = 1/s − s, whose solution is
s(T)² = 1 + (s(0)² − 1)e^{−2T}. The scheme is first order in τ, and the last line asserts that.
"""

import numpy as np

import jkoflow as jf

F = jf.Entropy() + jf.QuadraticPotential(1.0)
start = jf.Gaussian(mean=[0.0], cov=[[0.25]])
exact = np.sqrt(1.0 - 0.75 * np.exp(-2.0))

errors = []
for tau in (0.1, 0.05, 0.025, 0.0125):
    run = jf.flow(jf.Problem(F, start, tau=tau, t_end=1.0))
    errors.append(abs(float(run.final.cov()[0, 0]) ** 0.5 - exact))
    print(f"τ = {tau:<7g} error of the standard deviation at T = 1: {errors[-1]:.2e}")

order = np.log2(errors[-2] / errors[-1])
print(f"order in τ: {order:.2f}")
assert abs(order - 1.0) < 0.05
