"""The flow of the free energy ends at the Gibbs law that another method solves for.

F = ½R + (λ/2)∫|θ|² + H/β is what noisy, regularised SGD decreases. Its minimiser is the only law
with ρ* = exp(−βΨ_λ(·;ρ*))/Z, and `solve_gibbs` finds it by Newton's method on a dual, with a bound
on how far F could still be decreased. Neither method knows of the other.
"""

import numpy as np

import jkoflow as jf
from jkoflow.networks import GaussianClasses, radial_risk, truncated_relu

DIM = 20
R = radial_risk(GaussianClasses.var(DIM, 0.5), truncated_relu)
F = jf.free_energy(R, lam=0.2, beta=30.0)
start = jf.Radial.normal(1.0 / np.sqrt(DIM), DIM, n=300)

run = jf.flow(jf.Problem(F, start, tau=np.minimum(0.02 * 1.1 ** np.arange(90), 2.0)))
star = jf.solve_gibbs(F, start, n=300)
# The flow's last value may be below F(ρ*): one is of cells, the other of a smooth density.
print(f"F along the flow: {run.energies[0]:.6f} → {run.energies[-1]:.6f}")
print(f"F(ρ*) = {star.free_energy:.6f}, at most {star.gap:.1e} above the least")

distance = np.sqrt(run.final.weights @ (run.final.edges - star.measure.edges) ** 2)
print(f"W2 between the two laws of |θ|: {distance:.1e}")
# Both are laws on the same 300 cells, second order in the cells' size: 1/300² is 1e-5.
assert distance < 1e-3
