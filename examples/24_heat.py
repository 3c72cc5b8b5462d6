"""Heat, three ways: exact-W2 steps, finite volumes, and particles whose entropy is that of blobs.

The flow of ∫ρ log ρ is the heat equation; from N(0, s²I) it is N(0, (s² + 2t)I), while a JKO step
makes the standard deviation (s + √(s² + 4τ))/2.
"""

from pathlib import Path

import numpy as np

import jkoflow as jf
from jkoflow.functionals import BlobEntropy
from jkoflow.report.plots_2d import plot_row
from jkoflow.report.style import png

S, TAU, STEPS = 0.4, 0.02, 5


def normal(x):
    return np.exp(-0.5 * (x**2).sum(axis=1) / S**2)


def std(mu):
    return float(np.sqrt(np.trace(mu.cov()) / 2))


start = jf.Grid.from_function(normal, [-2.4, -2.4], [2.4, 2.4], (72, 72))
jko = jf.flow(jf.Problem(jf.Entropy(), start, TAU, STEPS), jf.steppers.BackAndForth())
volumes = jf.finite_volume(jf.Entropy(), start, dt=TAU / 20, t_end=TAU * STEPS)

x = S * np.random.default_rng(0).standard_normal((600, 2))
x = (x - x.mean(axis=0)) / x.std(axis=0) * S
problem = jf.Problem(BlobEntropy(0.15), jf.Particles(x), TAU, STEPS)
blobs = jf.flow(problem, jf.steppers.ParticleProximal(tolerance=1e-6))

exact_step, exact = S, np.sqrt(S**2 + 2 * TAU * STEPS)
for _ in range(STEPS):
    exact_step = 0.5 * (exact_step + np.sqrt(exact_step**2 + 4 * TAU))
print(f"standard deviation at t = {TAU * STEPS:g}: {exact:.4f}, of JKO steps {exact_step:.4f}")
print(f"back and forth {std(jko.final):.4f}, finite volumes {std(volumes.final):.4f}, "
      f"blobs {std(blobs.final):.4f} (they begin with S, and spread less)")  # fmt: skip

shown = [(start, "t = 0"), (jko.final, "exact-W2 steps"), (volumes.final, "finite volumes")]
Path("heat.png").write_bytes(png(plot_row([m for m, _ in shown], [t for _, t in shown])))

error = max(abs(std(jko.final) / exact_step - 1), abs(std(volumes.final) / exact - 1))
assert error < 5e-3
