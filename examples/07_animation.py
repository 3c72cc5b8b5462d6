"""The law of |w| under SGD and under the flow of its risk, as frames of an animation.

Eighty inputs, two hundred units (Mei, Montanari and Nguyen 2018). A frame is a time: the flow's law
is read at T = 2t, SGD's radii at t.
"""

from pathlib import Path

import numpy as np

import jkoflow as jf
from jkoflow.networks import GaussianClasses, SimpleUnit, radial_risk, truncated_relu
from jkoflow.report.animation import write_gif
from jkoflow.report.plots import plot_histogram, plot_law
from jkoflow.report.style import new_figure

classes = GaussianClasses.std(80, 0.8)
R = radial_risk(classes, truncated_relu)
times = np.linspace(0.0, 0.5, 6)
flow = jf.flow(jf.Problem(0.5 * R, jf.Radial.normal(0.8 / 80**0.5, 80, 200), tau=0.01, t_end=1.0))
theta = 0.8 / 80**0.5 * np.random.default_rng(0).standard_normal((200, 80))
sgd = jf.sgd(SimpleUnit(truncated_relu), classes, theta, steps=25_000, epsilon=2e-5, rng=1,
             dtype=np.float32, record=times)  # fmt: skip

laws = [flow.measures[int(np.argmin(abs(flow.times - 2 * t)))] for t in times]
radii = sgd.statistics["radii"]
figure, (ax,) = new_figure()


def frame(k):
    ax.clear()
    plot_histogram(radii[k], label="SGD", quantity="|w|", bins=20, ax=ax)
    plot_law(laws[k], label="JKO flow of ½R", quantity="|w|", ax=ax)
    ax.set(title=f"t = {times[k]:g}, T = {2 * times[k]:g}", xlim=(0.0, 2.5))


print(write_gif(Path("law.gif"), figure, frame, len(times), per_second=3))
worst = max(abs(r.mean() - law.mean()[0]) for r, law in zip(radii, laws, strict=True))
print(f"mean of |w|: SGD and flow differ by at most {worst:.4f}")
assert worst < 0.03
