"""Swarms that attract each other from afar and repel each other nearby: a ring and a disc.

F = ½∬W(x − y) dρdρ. For W = |z|⁴/4 − |z|²/2 the repulsion is weak at short distances, and all mass
gathers on a circle of radius 1/√3: the force r(2r²·3/2 − 1) of the circle on itself vanishes there.
For W = |z|²/2 − log|z| it is strong, and since ΔW = 2 − 2πδ the density is 1/π on the unit disc.
A grid needs an internal energy; ε∫ρ² rounds the disc's edge. There r − m(r)/r + 2ερ' = 0, m(r) the
mass within r, so that πρ = 1 − I₀(r/ℓ)/I₀(R/ℓ), ℓ² = ε/π, and the mass 1 sets the radius R.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import iv

import jkoflow as jf
from jkoflow.report.plots import plot_plane
from jkoflow.report.plots_2d import plot_density
from jkoflow.report.style import new_figure, png

weak = jf.Interaction(
    lambda z: (z**2).sum(axis=1) ** 2 / 4 - (z**2).sum(axis=1) / 2,
    gradient=lambda z: ((z**2).sum(axis=1, keepdims=True) - 1) * z,
)
x = 0.4 * np.random.default_rng(0).normal(size=(100, 2))
ring = jf.flow(jf.Problem(weak, jf.Particles(x), tau=0.5, t_end=20.0)).final
radii = np.linalg.norm(ring.points - ring.mean(), axis=1)
print(f"ring: radii from {radii.min():.4f} to {radii.max():.4f}, exactly {3**-0.5:.4f}")

eps = 0.05
length = np.sqrt(eps / np.pi)
R = brentq(lambda R: R * R - 2 * R * length * iv(1, R / length) / iv(0, R / length) - 1, 0.5, 3.0)


def disc(x):
    r = np.minimum(np.linalg.norm(x, axis=1), R)
    return 1 - iv(0, r / length) / iv(0, R / length)


strong = jf.Interaction(lambda z: (z**2).sum(axis=1) / 2 - np.log(np.linalg.norm(z, axis=1)))
start = jf.Grid.from_function(lambda x: np.exp(-x[:, 0]**2 / 0.2 - x[:, 1]**2), -2, 2, (40, 40))
energy = jf.PowerEnergy(2.0, eps) + strong
swarm = jf.flow(jf.Problem(energy, start, tau=0.5, t_end=6.0),
                jf.steppers.BackAndForth(tolerance=1e-5)).final  # fmt: skip
exact = jf.Grid.from_function(disc, -2, 2, swarm.shape, rule=6)
apart = abs(swarm.density - exact.density).sum() * swarm.cell_volume
print(f"disc: density {swarm.density.max():.4f}, 1/π = {1 / np.pi:.4f}; L1 error {apart:.4f}")

figure, axes = new_figure(2)
plot_plane(ring, label="100 particles", ax=axes[0]).set_aspect("equal")
plot_density(swarm, axes[1])
print(Path("swarms.png").write_bytes(png(figure)), "bytes in swarms.png")
assert max(abs(radii - 3**-0.5).max(), apart) < 0.01
