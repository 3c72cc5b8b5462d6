"""A network of Gaussian units learns a random cubic on a sphere, and what its finite width costs.

The 3-spin energy f(x) = (1/d) Σ a_pqr x_p x_q x_r on the sphere of radius √d (Rotskoff and
Vanden-Eijnden 2018). Spherical harmonics make the risk of n units exact: no samples of x. Charges
move on the line, positions on the sphere. At the start, before the units know of each other, the
mean excess of n iid units over the limit is (∫U(θ,θ)dρ − ∬U dρdρ)/n, exactly.
"""

import numpy as np

import jkoflow as jf
from jkoflow.dynamics.particle_flow import particle_flow
from jkoflow.functionals.finite_size import finite_size_correction
from jkoflow.networks.manifolds import uniform_on_sphere
from jkoflow.networks.sphere import SphereUnit, SpinRisk
from jkoflow.networks.spin import ThreeSpin

rng, d, n = np.random.default_rng(0), 5, 64
unit = SphereUnit(d, alpha=1.0)
R = SpinRisk(ThreeSpin.draw(d, rng=0), unit)


def units(count):
    """Independent units: charges N(0, 1), positions uniform on the sphere."""
    z = uniform_on_sphere(count, d, np.sqrt(d), rng)
    return np.column_stack([rng.standard_normal(count), z])


run = particle_flow(0.5 * R, units(n), dt=0.1, steps=400, manifold=unit.manifold,
                    record=[0, 1, 4, 10, 20])  # fmt: skip
for t, risk in zip(run.times, run.values(R), strict=True):
    print(f"T = {t:4.1f}: risk {risk:.4f} of {R.spin.second_moment:.4f}")

law = jf.Particles(units(500))
draws = [R.value(jf.Particles(law.points[rng.integers(0, 500, n)])) for _ in range(2000)]
measured, exact = np.mean(draws) - R.value(law), finite_size_correction(R, law, n)
print(f"mean excess of {n} units: {measured:.4f} measured, {exact:.4f} exact")
assert abs(measured - exact) < 4.0 * np.std(draws) / np.sqrt(len(draws))
