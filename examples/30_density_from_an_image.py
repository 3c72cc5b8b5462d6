"""A picture as a density: a written digit spreads as a porous medium.

The grey values of one of scikit-learn's digits are the cells' masses. A step of F = γ∫ρ² in the
plane obeys M(ρ⁺) − M(ρ) + W2²(ρ⁺, ρ) = 4τF(ρ⁺), M = ∫|x|²dρ, since stretching ρ⁺ by 1 + s divides
F by (1 + s)². Unlike heat, the ink keeps a sharp edge, and its mass does not reach the walls.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import jkoflow as jf
from jkoflow.report.plots_2d import plot_row
from jkoflow.report.style import png

grey = load_digits().images[3]
fine = np.kron(grey, np.ones((5, 5)))  # a pixel is 5 × 5 cells
page = np.pad(fine, 20)[::-1].T  # rows of a picture run down, axes to the right and up
start = jf.Grid(page / page.mean(), 0.0, 1.0)
problem = jf.Problem(jf.PowerEnergy(2.0, 0.01), start, tau=0.01, steps=6)
run = jf.flow(problem, jf.steppers.BackAndForth(tolerance=1e-5))

shown = [0, 1, 3, 6]
figure = plot_row([run.measures[k] for k in shown], [f"T = {run.times[k]:.2f}" for k in shown])
print(Path("digit.png").write_bytes(png(figure)), "bytes in digit.png")
M = [mu.integrate(lambda x: (x**2).sum(axis=1)) for mu in run.measures]
spread = M[-1] - M[0] + run.distances_squared[1:].sum()
law = 4 * 0.01 * run.energies[1:].sum()
print("mass", run.final.mass.sum(), "energies", run.energies.round(4))
print(f"second moment and W2²: {spread:.6f}, by the law {law:.6f}")
assert abs(spread / law - 1) < 0.01
