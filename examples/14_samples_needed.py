"""Samples until the risk is below a target: twice the dimension, twice the samples.

With step ε = c/d the time that SGD needs, in units of kε, hardly depends on the dimension d, so the
number of samples k grows like d. One sample a step; half of the inputs tell the classes apart.
"""

import numpy as np

import jkoflow as jf
from jkoflow.dynamics import Recording, test_risk
from jkoflow.networks import GaussianClasses, SimpleUnit, truncated_relu
from jkoflow.rates import fit_rate

unit, c, target = SimpleUnit(truncated_relu), 2e-3, 0.4
dims, needed = [40, 80, 160], []
for d in dims:
    classes = GaussianClasses.std(d, 0.6, active=d // 2)
    rng = np.random.default_rng(d)
    x, y = classes.sample(500, rng)
    neurons = round(2 * d * np.log(d))
    run = jf.sgd(
        unit, classes, 0.8 / d**0.5 * rng.normal(size=(neurons, d)), rng=rng,
        steps=round(0.2 * d / c), epsilon=c / d, dtype=np.float32,
        record=Recording(np.linspace(0, 0.2, 81), {"risk": test_risk(unit, x, y)}),
    )  # fmt: skip
    reached = run.times[np.argmax(run.statistics["risk"] < target)]
    needed.append(reached * d / c)

rate = fit_rate(dims, needed)
print(f"samples until R < {target}:", dict(zip(dims, np.round(needed), strict=True)), rate)
assert 0.75 < rate.slope < 1.15
