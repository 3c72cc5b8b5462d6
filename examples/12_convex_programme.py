"""The least risk of a network over all laws of its weights, with a proof of how near it is.

In the law the risk is convex. So its infimum can be found and certified, and it bounds what any
number of neurons can do: inf R ≤ inf R_N ≤ inf R + K/N (Mei, Montanari and Nguyen 2018).
"""

from jkoflow.equilibrium.convex_programme import minimise_risk
from jkoflow.equilibrium.few_particles import best_atom, lemma_constant, minimise_particles
from jkoflow.networks import GaussianClasses, radial_risk, truncated_relu

radii = (0.0, 50.0)
for delta in (0.3, 0.8):
    R = radial_risk(GaussianClasses.std(40, delta), truncated_relu)
    least, atom = minimise_risk(R, radii), best_atom(R, radii)
    print(f"Δ = {delta}: inf R = {least.value:.6f}, proved to {least.gap:.0e}")
    print(f"    atoms {least.measure.points.ravel().round(3)}; best one alone {atom.value:.6f}")

K = lemma_constant(R, least.measure)
for n in (1, 2, 4, 8, 16):
    few = minimise_particles(R, n, radii, starts=least.measure, rng=0)
    print(f"N = {n:2d}: inf R_N − inf R ≤ {few.value - least.value:.5f}; K/N = {K / n:.5f}")
    assert least.lower_bound <= few.value <= least.value + K / n

assert least.proved and least.gap < 1e-7
