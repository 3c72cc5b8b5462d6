"""The risk of a two-layer network along the W2 flow of its risk, in forty dimensions.

Two isotropic Gaussian classes in R^40 with standard deviations 1 ± 0.8 (the convention "std"),
units σ(⟨w, x⟩) with the truncated ReLU, w ~ N(0, 0.64/40 I): Mei, Montanari and Nguyen (2018). The
law of w stays rotation invariant, so that the law of |w| says it all. SGD's clock t is half the JKO
time T.
"""

import numpy as np

import jkoflow as jf
from jkoflow.networks import GaussianClasses, radial_risk, truncated_relu

R = radial_risk(GaussianClasses.std(40, 0.8), truncated_relu)
start = jf.Radial.normal(0.8 / np.sqrt(40), dim=40, n=500)
taus = np.concatenate([np.full(80, 0.0025), np.full(72, 0.025)])  # to T = 0.2, then to T = 2
run = jf.flow(jf.Problem(0.5 * R, start, tau=taus))

for t in (0.0, 0.1, 1.0):
    k = int(np.argmin(abs(run.times - 2 * t)))
    radius = run.measures[k].mean()[0]
    print(f"t = {t:3g}: risk {2 * run.energies[k]:.4f}, mean radius {radius:.4f}")

# Reference at t = 1: 1.0705. These steps leave an error of first order in τ, below one percent.
assert abs(2 * run.energies[-1] - 1.0705) < 0.01
