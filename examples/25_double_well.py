"""A double well in the plane: exact-W2 steps and finite volumes on their way to the Gibbs law.

F = ∫V dρ + H/β. Both schemes are of first order in their step and have one limit, the
Fokker–Planck equation; where it ends, exp(−βV)/Z on the same cells, `solve_gibbs` finds without any
flow. Finite volumes with the flux of Scharfetter and Gummel end there to rounding.
"""

from pathlib import Path

import numpy as np

import jkoflow as jf
from jkoflow.report.plots_2d import plot_row
from jkoflow.report.style import png

BETA, T = 2.0, 0.6


def well(x):
    return (x[:, 0] ** 2 - 1) ** 2 + 0.3 * x[:, 0] + 2 * x[:, 1] ** 2


def apart(a, b):
    """Half the L1 distance."""
    return 0.5 * float(np.abs(a.weights - b.weights).sum())


F = jf.Potential(well) + jf.Entropy() / BETA
start = jf.Grid.from_function(
    lambda x: np.exp(-8 * ((x - [1.1, 0.2]) ** 2).sum(axis=1)), [-2.2, -1.6], [2.2, 1.6], (66, 48))

star = jf.solve_gibbs(F, start)
jko = jf.flow(jf.Problem(F, start, T / 12, 12), jf.steppers.BackAndForth(tolerance=1e-5))
volumes = jf.finite_volume(F, start, dt=T / 400, t_end=T)
print(f"at t = {T:g}: JKO and finite volumes differ by {apart(jko.final, volumes.final):.4f}, "
      f"and are {apart(volumes.final, star.measure):.3f} from the Gibbs law")  # fmt: skip

late = jf.finite_volume(F, start, dt=20.0, steps=200)
print(f"min F = {star.free_energy:.12f}, at the end of the flow {late.energies[-1]:.12f}")

shown = [(start, "t = 0"), (jko.final, f"t = {T:g}, JKO"), (star.measure, "Gibbs")]
Path("double_well.png").write_bytes(png(plot_row([m for m, _ in shown], [t for _, t in shown])))

assert apart(jko.final, volumes.final) < 0.03 and apart(late.final, star.measure) < 1e-11
