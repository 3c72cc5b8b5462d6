"""A crowd that cannot be denser than one person per square metre walks round a pillar to a door.

Maury, Roudneff-Chupin and Santambrogio (2010): everybody would go down V, the length of the way to
the door; the bound on the density holds them back. In the end they stand in a disc about the door.
V = +∞ keeps the pillar free. A step's cost is |x − y|², along straight lines: within a step mass
may cut the pillar's corner, so that steps must be short against it; V itself leads round it.
"""

from pathlib import Path

import numpy as np

import jkoflow as jf
from jkoflow.report.plots_2d import plot_row
from jkoflow.report.style import png

PILLAR, DOOR = 0.35, np.array([1.3, 0.0])  # a disc about 0 of this radius


def way(x):
    """Length of the shortest way to the door: straight, or tangent, arc, tangent."""
    far, near = np.maximum(np.linalg.norm(x, axis=1), PILLAR), np.linalg.norm(DOOR)
    turn = np.arccos(np.clip(x @ DOOR / (far * near), -1.0, 1.0))
    arc = turn - np.arccos(PILLAR / far) - np.arccos(PILLAR / near)
    round_it = np.sqrt(far**2 - PILLAR**2) + np.sqrt(near**2 - PILLAR**2) + PILLAR * arc
    length = np.where(arc > 0.0, round_it, np.linalg.norm(x - DOOR, axis=1))
    return np.where(np.linalg.norm(x, axis=1) < PILLAR, np.inf, length)


def crowd(x):
    return np.linalg.norm(x - [-1.25, 0.15], axis=1) < 0.6


start = jf.Grid.from_function(crowd, [-2.1, -1.2], [2.1, 1.2], (63, 36), rule=4)
problem = jf.Problem(jf.Congestion(1.0) + jf.Potential(way), start, tau=0.25, steps=16)
run = jf.flow(problem, jf.steppers.BackAndForth(tolerance=1e-4))
pillar = np.isinf(way(start.points))
print("mass in the pillar", max(mu.weights[pillar].sum() for mu in run.measures),
      "largest density", max(mu.density.max() for mu in run.measures[1:]))  # fmt: skip

shown = [0, 5, 9, 16]
titles = [f"T = {run.times[k]:.2f}" for k in shown]
figure = plot_row([run.measures[k] for k in shown], titles, unit="m", obstacle=pillar)
print(Path("crowd.png").write_bytes(png(figure)), "bytes in crowd.png")

# In the disc of area 1 about the door the mean way is two thirds of the radius.
way_left = run.energies[-1]
print(f"mean way to the door: {way_left:.4f} m, {2 / (3 * np.pi**0.5):.4f} in the disc")
assert abs(way_left - 2 / (3 * np.pi**0.5)) < 0.004
