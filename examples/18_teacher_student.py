"""A ReLU student learns a ReLU teacher once it has somewhat more units than the teacher.

Gaussian inputs make the risk exact (the arc-cosine kernel). A student narrower than its teacher
keeps some risk; a wider one comes to zero, although the risk is not convex in its parameters
(Chizat and Bach 2018). The gradient flow of the first part is followed to its end by quasi-Newton.
"""

import numpy as np

from jkoflow.dynamics.particle_flow import particle_flow
from jkoflow.dynamics.stationary import stationary_point
from jkoflow.networks.teacher import TeacherRisk

dim, teacher, seeds, excess = 8, 6, 5, {}
for n in (4, 5, 6, 7, 8, 12):
    values = []
    for seed in range(seeds):
        R = TeacherRisk.draw(teacher, dim, rng=seed)
        w = np.random.default_rng([n, seed]).standard_normal((n, dim)) / np.sqrt(dim)
        theta = np.column_stack([np.linalg.norm(w, axis=1) * (-1.0) ** np.arange(n), w])
        flow = particle_flow(0.5 * R, theta, dt=0.05, steps=100)
        values.append(stationary_point(R, flow.theta).value / R.second_moment)
    excess[n] = float(np.median(values))
    print(f"n = {n:2d} against {teacher} teachers: median excess risk {excess[n]:.1e}")

assert excess[12] < 1e-9 < 1e-4 < excess[5]
