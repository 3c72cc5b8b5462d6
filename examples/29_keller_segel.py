"""Cells that spread and attract each other (Keller and Segel 1970), around the critical mass.

F = ∫ρ log ρ + ½∬W dρdρ with W = (χ/2π) log|z|: with the mass 1, χ plays the part of the mass.
∫|x|²dρ changes at the rate 4(1 − χ/8π), whatever ρ is: beyond χ = 8π it would be negative after
a finite time, and the density blows up before. A JKO step obeys a law of its own, exactly: to
stretch ρ⁺ by x ↦ (1 + s)x must not lower the step's objective, so that for M = ∫|x|²dρ

    M(ρ⁺) − M(ρ) + W2²(ρ⁺, ρ) = 4τ(1 − χ/8π).
"""

from pathlib import Path

import numpy as np

import jkoflow as jf
from jkoflow.report.plots_2d import plot_row
from jkoflow.report.style import png

start = jf.Grid.from_function(lambda x: np.exp(-2 * (x**2).sum(axis=1)), -2.5, 2.5, (60, 60))
steps, tau, worst, ends = 3, 0.04, 0.0, []
for critical in (0.5, 1.0, 1.5):  # χ/8π
    attraction = jf.Interaction(lambda z, c=4 * critical: c * np.log(np.linalg.norm(z, axis=1)))
    run = jf.flow(jf.Problem(jf.Entropy() + attraction, start, tau, steps),
                  jf.steppers.BackAndForth(tolerance=1e-5))  # fmt: skip
    M = [mu.integrate(lambda x: (x**2).sum(axis=1)) for mu in (start, run.final)]
    rate = (M[1] - M[0] + run.distances_squared[1:].sum()) / (steps * tau)
    law = 4 * (1 - critical)
    print(f"χ = {critical:g}·8π: largest density {run.final.density.max():6.3f}, "
          f"M changed by {M[1] - M[0]:+.3f}; with W2² its rate is {rate:+.3f}, law {law:+.3f}")
    worst = max(worst, abs(rate - law))
    ends.append(run.final)

figure = plot_row([start, *ends], ["start", "χ = 4π", "χ = 8π", "χ = 12π"], top=1.5)
print(Path("keller_segel.png").write_bytes(png(figure)), "bytes in keller_segel.png")
assert worst < 0.1
