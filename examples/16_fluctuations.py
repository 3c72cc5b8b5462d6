"""Networks trained from independent starts differ by O(1/n) in mean square.

The variance of the prediction, times n, is the same for 32 and for 128 units along the gradient
flow (Rotskoff and Vanden-Eijnden 2018); it falls with time, since training repairs fluctuations.
"""

import numpy as np

from jkoflow.dynamics.particle_flow import particle_flow
from jkoflow.networks.manifolds import uniform_on_sphere
from jkoflow.networks.sphere import SphereUnit, SpinRisk
from jkoflow.networks.spin import ThreeSpin

rng, d = np.random.default_rng(1), 5
unit = SphereUnit(d, alpha=1.0)
R = SpinRisk(ThreeSpin.draw(d, rng=0), unit)
x = uniform_on_sphere(500, d, np.sqrt(d), rng)

scaled = {}
for n in (32, 128):
    predictions = []
    for _ in range(40):
        z = uniform_on_sphere(n, d, np.sqrt(d), rng)
        theta = np.column_stack([rng.standard_normal(n), z])
        run = particle_flow(0.5 * R, theta, dt=0.2, steps=20, manifold=unit.manifold, record=[0.0])
        predictions.append([unit.value(th, x).mean(axis=1) for th in run.snapshots])
    scaled[n] = n * np.var(predictions, axis=0, ddof=1).mean(axis=1)
    print(f"n = {n}: n·variance {scaled[n][0]:.2f} at T = 0, {scaled[n][1]:.2f} at T = 4")

# 1/√n would make this ratio 2, 1/n² would make it ¼
assert abs(scaled[128][1] / scaled[32][1] - 1) < 0.5
