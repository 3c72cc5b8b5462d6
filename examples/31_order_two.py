"""Order two in time: the same minimisations from an extrapolated law, and the error falls like τ².

Noise in a double well, on quantiles. Each step of second order is a JKO step of size 2τ/3 from the
law that lies a third of the last step further on (BDF2). F itself need not fall, but
F + W2²/(4τ) does, whatever F is; the judge sees to that, and judges every minimisation.
"""

from pathlib import Path

import numpy as np

import jkoflow as jf
from jkoflow.report.style import new_figure, png
from jkoflow.steppers import QuantileNewton, SecondOrder

well = jf.Potential(
    lambda x: (x[:, 0] ** 2 - 1) ** 2,
    gradient=lambda x: 4 * x * (x**2 - 1),
    hessian=lambda x: (12 * x**2 - 4)[:, :, None],
    convexity=-4.0,
)
F, start, t_end = well + jf.Entropy() / 4, jf.Quantiles.normal(0.2, 0.5, 200), 1.0


def final(stepper, steps):
    return jf.flow(jf.Problem(F, start, t_end / steps, steps), stepper).final


reference = final(SecondOrder(), 2000)
counts = np.array([40, 80, 160, 320])
errors = {}
for name, stepper in (("JKO", QuantileNewton()), ("BDF2", SecondOrder())):
    moved = [final(stepper, n).edges - reference.edges for n in counts]
    errors[name] = np.sqrt([start.weights @ v**2 for v in moved])
    print(f"{name:4}", *(f"{e:.1e}" for e in errors[name]), "in W2, steps", *counts)

problem = jf.Problem(F, start, t_end / 40, 40)
report = jf.check_second_order(problem, jf.flow(problem, SecondOrder()))
print(report)
assert report.verdict is jf.Verdict.ACCEPTED

figure, (axes,) = new_figure(1)
for (name, e), mark in zip(errors.items(), "os", strict=True):
    axes.loglog(t_end / counts, e, mark + "-", label=name)
axes.set(xlabel="step size τ", ylabel="W2 to the flow at t = 1")
axes.legend()
print(Path("order_two.png").write_bytes(png(figure)), "bytes in order_two.png")

order = -np.polyfit(np.log(counts), np.log(errors["BDF2"]), 1)[0]
print(f"order {order:.2f}")
assert abs(order - 2.0) < 0.15
