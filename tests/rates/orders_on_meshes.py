"""Cases of the table of orders: moving meshes in the plane and in space."""

from __future__ import annotations

from functools import partial

import numpy as np
from order_case import CURVED, ROUNDING, Case, by_ode, first_and_second, l2, one_step
from order_energies import DOUBLE_WELL, OF_PLANE, PLANE, TARGETS
from order_references import moved_by, points_of_a_risk_step

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt_speed
from jkoflow.steppers import MeshNewton
from jkoflow.steppers.exact import next_scale

MESH = MeshNewton(proved=0)
TAU = 0.08
BALLS = {2: jf.Mesh.disc, 3: jf.Mesh.ball}


def spread(m, dim, grading, a=0.0, c=0.8, radius=0.9):
    """Barenblatt profiles: error of the map of a step to the exact dilation."""
    F = jf.PowerEnergy(m, c) + jf.QuadraticPotential(a)
    scale = next_scale(radius, 1.0 + a * TAU, TAU * barenblatt_speed(m, c, dim),
                       dim * (m - 1.0) + 1.0) / radius  # fmt: skip

    def error(rings):
        mu = BALLS[dim](radius, rings, partial(profile, m, radius), grading)
        return l2(one_step(MESH, F, mu, TAU), scale * mu.nodes)

    return error


def profile(m, radius, x):
    return np.maximum(0.0, 1.0 - (x**2).sum(axis=1) / radius**2) ** (1.0 / (m - 1.0))


def cut_normal(F, c, a, std=0.45, grading=None):
    scale = next_scale(std, 1.0 + a * TAU, TAU * c, 1.0) / std

    def bell(x):
        return np.exp(-0.5 * (x**2).sum(axis=1) / std**2)

    def error(rings):
        mu = jf.Mesh.disc(6.0 * std, rings, bell, grading)
        return l2(one_step(MESH, F, mu, TAU), scale * mu.nodes)

    return error


def mesh_and_root(rings):
    """A potential alone moves each node by itself."""
    mu = jf.Mesh.disc(1.0, rings)
    x = mu.nodes.copy()
    for _ in range(300):
        x = mu.nodes - 0.04 * DOUBLE_WELL.gradient(jf.Particles(x))
    return l2(one_step(MESH, DOUBLE_WELL, mu, 0.04), x)


def mesh_of_a_network(grading):
    """A risk alone, from a uniform disc: residuals by quadrature in polar coordinates."""

    def error(rings):
        x, w = np.polynomial.legendre.leggauss(30)
        r, angle = np.sqrt(0.5 * (x + 1.0)), 2.0 * np.pi * np.arange(60) / 60
        rule = np.stack([np.outer(r, np.cos(angle)), np.outer(r, np.sin(angle))], axis=-1)
        weights = np.repeat(w / w.sum() / 60, 60)
        force = PLANE.force(0.3)
        e = points_of_a_risk_step(force, PLANE.values, TARGETS, rule.reshape(-1, 2), weights, 0.2)
        mu = jf.Mesh.disc(1.0, rings, grading=grading)
        return l2(one_step(MESH, OF_PLANE, mu, 0.2), moved_by(force, e, mu.nodes, 0.2))

    return error


SEAMS = "seams of the mesh and its rim: see below; grading= mends both"
COARSE = "14 layers are few, and the rim is a layer of cells; 2 in the limit"
ROOT = "the density is a square root at the rim, for which grading 1 would be right"
DILATION = "closed formula (dilation)"
RINGS, LAYERS = (6, 12, 24, 48), (4, 8, 14)


def on_mesh(measure, energy, error, expected, within=0.15, short="", sizes=RINGS,
            against=DILATION, reason=CURVED, slow=False):  # fmt: skip
    return Case("MeshNewton", measure, energy, "h", sizes, error, against, expected, within,
                reason, short, slow)  # fmt: skip


OF_MESHES = [
    *(on_mesh("Mesh, plane, rings", f"power m = {m:g}", spread(m, 2, None), order, 0.15, SEAMS)
      for m, order in ((1.5, 1.6), (2.0, 1.6), (3.0, 1.45))),
    *(on_mesh("Mesh, plane, grading .9", f"power m = {m:g}", spread(m, 2, 0.9), order, 0.1, short)
      for m, order, short in ((1.5, 2.0, ""), (2.0, 2.0, ""), (3.0, 1.9, ROOT))),
    on_mesh("Mesh, plane, grading .9", "power m = 2 + quadratic", spread(2.0, 2, 0.9, 1.2), 2.0),
    *(on_mesh("Mesh, space, layers", f"power m = {m:g}", spread(m, 3, None), order, 0.15, SEAMS,
              LAYERS, slow=True) for m, order in ((1.5, 1.6), (2.0, 1.5), (3.0, 1.25))),
    *(on_mesh(f"Mesh, space, grading {g}", f"power m = {m:g}", spread(m, 3, float(g)), order, 0.15,
              COARSE, LAYERS, slow=True) for m, g, order in ((1.5, ".5", 1.9), (2.0, ".9", 1.9),
                                                  (3.0, ".9", 1.6))),
    on_mesh("Mesh, plane, rings, cut at 6σ", "entropy (heat)",
            cut_normal(0.4 * jf.Entropy(), 0.4, 0.0), 1.6, 0.15, SEAMS),
    on_mesh("Mesh, plane, grading 0, cut at 6σ", "entropy (heat)",
            cut_normal(0.4 * jf.Entropy(), 0.4, 0.0, grading=0.0), 2.0, slow=True),
    on_mesh("Mesh, plane, rings, cut at 6σ", "entropy + quadratic (OU)",
            cut_normal(0.7 * jf.Entropy() + jf.QuadraticPotential(1.2), 0.7, 1.2), 1.6, 0.15,
            SEAMS),
    on_mesh("Mesh, plane, rings, cut at 6σ", "entropy + quadratic interaction",
            cut_normal(0.7 * jf.Entropy() + jf.QuadraticInteraction(1.2), 0.7, 1.2), 1.6, 0.15,
            SEAMS),
    on_mesh("Mesh, plane, rings", "double well", mesh_and_root, None, 1e-7, sizes=(6, 12),
            against="a fixed point for each node", reason=ROUNDING),
    on_mesh("Mesh, plane, rings", "risk + quadratic", mesh_of_a_network(None), 2.0, sizes=RINGS[1:],
            against="residuals by Gauss's rule"),
]  # fmt: skip


DISC = jf.Mesh.disc(0.9, 4, partial(profile, 2.0, 0.9), 0.5)
BALL = jf.Mesh.ball(0.9, 2, partial(profile, 2.0, 0.9), 0.5)
BELL = jf.Mesh.disc(1.2, 4, lambda x: np.exp(-(x**2).sum(axis=1)))
IN_TIME = (
    ("Mesh, plane", "power m = 2", jf.PowerEnergy(2.0, 0.8), DISC, 0.2),
    ("Mesh, space", "power m = 2", jf.PowerEnergy(2.0, 0.8), BALL, 0.2),
    ("Mesh, plane", "power m = 3 + double well", jf.PowerEnergy(3.0) + DOUBLE_WELL, DISC, 0.1),
    ("Mesh, plane", "entropy + quadratic", jf.Entropy() + jf.QuadraticPotential(1.5), BELL, 0.1),
    ("Mesh, plane", "free energy", jf.free_energy(PLANE.risk, 0.3, 2.0), BELL, 0.2),
)


def in_time():
    """With steps of first and of second order."""
    for measure, energy, F, mu, t in IN_TIME:
        make, slow = by_ode(F, mu, t, "Radau", 1e-9), mu is not DISC or F is not IN_TIME[0][2]
        yield from first_and_second(MESH, make, measure=measure, energy=energy,
                                    sizes=(16, 32, 64, 128), slow=slow,
                                    against="ODE of the same points (Radau)")  # fmt: skip


CASES = [*OF_MESHES, *in_time()]
