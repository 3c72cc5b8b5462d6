"""Points on the line that repel each other by −log|x − y| and sit in the bowl x²/2.

The minimiser is known: N points of mass 1/N end at the zeros of the Hermite polynomial H_N, divided
by √N (Stieltjes). The flow finds them from equidistant points.
"""

import numpy as np

import jkoflow as jf

N = 8


def repulsion_gradient(x, w):
    gaps = x - x.T + np.eye(N)
    return -((1.0 / gaps - np.eye(N)) @ w)[:, None]


@jf.functional(gradient=repulsion_gradient)
def repulsion(x, w):
    i, j = np.triu_indices(N, 1)
    return -(w[i] * w[j]) @ np.log(abs(x[i, 0] - x[j, 0]))


F = repulsion + jf.QuadraticPotential(1.0)
start = jf.Particles(np.linspace(-1.0, 1.0, N))
run = jf.flow(jf.Problem(F, start, tau=0.5, steps=60))
print(run)

# At the minimiser x_i = Σ_{j≠i} 1/(N(x_i − x_j)). The zeros z of H_N, with H'' − 2zH' + 2NH = 0,
# have z_i = Σ_{j≠i} 1/(z_i − z_j). So x = z/√N.
zeros = np.polynomial.hermite.hermroots([0] * N + [1])
distance = float(np.max(np.abs(np.sort(run.final.points[:, 0]) - zeros / np.sqrt(N))))
print(f"largest distance to the scaled zeros of H_{N}: {distance:.1e}")
assert distance < 1e-6
