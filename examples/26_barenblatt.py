"""A Barenblatt profile in the plane stays one: the porous medium on a mesh moving with the mass.

For ∂ρ = Δρ² the profile C s⁻²(1 − |x|²/s²)₊, C = 2/π, has ds/dT = 4C s⁻³; a JKO step is the
implicit Euler step s⁺ − s = τ·4C·(s⁺)⁻³ of the scale. The triangles keep their masses, and their
nodes follow the exact map x ↦ sx; the last line asserts how closely. That a step is the minimiser
among meshes of its triangles the judge proves where it is short.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import brentq

import jkoflow as jf
from jkoflow.report.style import new_figure, png

start = jf.Mesh.disc(1.0, 24, density=lambda x: 1.0 - (x**2).sum(axis=1))
tau, steps = 0.1, 10
run = jf.flow(jf.Problem(jf.PowerEnergy(2.0), start, tau=tau, steps=steps))

scale, rate = [1.0], 8.0 / np.pi
for _ in range(steps):
    scale.append(brentq(lambda s: s - scale[-1] - tau * rate * s**-3, 1.0, 9.0))

errors = []
for k in (0, 1, 3, 10):
    mu = run.measures[k]
    away = ((mu.nodes - scale[k] * start.nodes) ** 2).sum(axis=1)
    errors.append(float(np.sqrt(mu.weights @ away)))
    print(f"T = {k * tau:.1f}: F = {run.energies[k]:.5f}, scale {scale[k]:.4f}, "
          f"map off by {errors[-1]:.1e}, worst triangle {mu.quality().min():.2f}")  # fmt: skip

short = jf.Problem(jf.PowerEnergy(2.0), start, tau=0.01, steps=5)
verdict = jf.check_run(short, jf.flow(short)).verdict
print(f"steps of {short.taus[0]:g}, each proved minimal: {verdict}")

figure, axes = new_figure(2)
limit = 1.05 * np.abs(run.final.nodes).max()
for ax, mu in zip(axes, (start, run.final), strict=True):
    ax.tripcolor(*mu.nodes.T, mu.simplices, np.exp(mu.log_density()), edgecolors="0.8", lw=0.1)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
axes[0].set_title("T = 0")
axes[1].set_title("T = 1")
print(Path("barenblatt.png").write_bytes(png(figure)), "bytes in barenblatt.png")
assert max(errors) < 3e-3
