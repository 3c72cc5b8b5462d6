"""A larger network takes no longer: noisy SGD's time to an accuracy, against N.

The Gibbs law ρ* says how low the regularised risk R + λ∫|w|² can get at this temperature; measured
is the first time within η of that, in the law of |w|, for several N. The exponent in N is fitted,
and what is asserted is that the time does not grow, not even like N^0.1.
"""

import numpy as np

import jkoflow as jf
from jkoflow.dynamics import Recording, of_radii
from jkoflow.networks import GaussianClasses, SimpleUnit, radial_risk, truncated_relu
from jkoflow.rates import fit_rate

DIM, LAM, BETA, ETA, END = 10, 0.5, 40.0, 0.1, 1.5
classes, unit = GaussianClasses.std(DIM, 0.8), SimpleUnit(truncated_relu)
R = radial_risk(classes, truncated_relu)
star = jf.solve_gibbs(jf.free_energy(R, LAM, BETA), jf.Radial.normal(0.3, DIM, 300))
target = R.value(star.measure) + LAM * star.measure.weights @ star.measure.points[:, 0] ** 2 + ETA
t = np.linspace(0.0, END, 151)


def first_time(neurons: int, seed: int) -> float:
    rng = np.random.default_rng([neurons, seed])
    theta = 2.5 / DIM**0.5 * rng.standard_normal((neurons, DIM))
    risk, decay = of_radii(R), lambda th: LAM * (th**2).sum(axis=1).mean()
    run = jf.sgd(unit, classes, theta, steps=1500, epsilon=END / 1500, lam=LAM, beta=BETA, rng=rng,
                 record=Recording(t, {"R": lambda th: risk(th) + decay(th)}))  # fmt: skip
    return t[np.argmax(run.statistics["R"] <= target)]


N = [50, 150, 450]
times = np.array([[first_time(n, seed) for n in N] for seed in range(6)])
rate = fit_rate(N, times)
print(f"mean times {times.mean(axis=0).round(3)} for N = {N}: {rate}")
assert (times > 0).all() and rate.high < 0.1
