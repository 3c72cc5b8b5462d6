"""Whether a network will learn, from the risk of a single radius and the flow of its risk.

The non-monotone activation of Mei, Montanari and Nguyen (2018) has a barrier between small and
large weights. Starts below it shrink to w = 0, where the risk is 7.25; those beyond reach .0143.
"""

import numpy as np

import jkoflow as jf
from jkoflow.networks import GaussianClasses, non_monotone, radial_risk

d = 320
R = radial_risk(GaussianClasses.std(d, 0.5), non_monotone)
r = np.linspace(0.0, 1.0, 1001)
risk = np.array([R.value(jf.Particles([[x]])) for x in r])
barrier = r[np.argmax(risk)]
print(f"R(δ_0) = {risk[0]:.3f}; the barrier is {risk.max():.3f} at |w| = {barrier:.3f}")

for kappa, tau, end in ((0.1, 5e-4, 0.018), (0.4, 0.02, 16.0)):
    start = jf.Radial.normal(kappa / d**0.5, d, 200)
    run = jf.flow(jf.Problem(0.5 * R, start, tau=tau, t_end=end))
    print(f"κ = {kappa}: mean |w| from {start.mean()[0]:.3f} to {run.final.mean()[0]:.4f}, "
          f"R = {2 * run.energies[-1]:.4f} at T = {end:g}")  # fmt: skip
    assert (run.final.mean()[0] > start.mean()[0]) == (kappa > barrier)

assert abs(2 * run.energies[-1] - 0.0143) < 1e-4
