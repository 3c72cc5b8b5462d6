"""Step sizes that follow the error: a law that spreads fast at first, and slowly for a long time.

From a width of 0.01 in a quadratic well with noise. A tolerance in W2 is given for the whole run;
the steps grow by a factor of thousands, and end at the times asked for. Between them measures come
from geodesics. The run is an ordinary one, with its step sizes, and judged as such.
"""

from pathlib import Path

import numpy as np

import jkoflow as jf
from jkoflow.report.style import new_figure, png

F, start = jf.Entropy() + jf.QuadraticPotential(1.0), jf.Quantiles.normal(0.0, 0.01, 400)
asked = np.array([0.001, 0.01, 0.1, 1.0, 5.0])
run = jf.flow_adaptive(F, start, t_end=5.0, tolerance=1e-2, t_eval=asked)

taus = run.problem.taus
print(f"{len(run)} steps of {taus.min():.1e} to {taus.max():.1e}, {run.rejected} taken back")
exact = lambda t: np.sqrt(1 - (1 - 1e-4) * np.exp(-2 * t))  # noqa: E731
for t, mu in zip(asked, run.asked, strict=True):
    print(f"t = {t:5}: width {mu.cov()[0, 0] ** 0.5:.5f}, exact {exact(t):.5f}")
between = run.at(0.37).cov()[0, 0] ** 0.5
print(f"t = 0.37, between steps: width {between:.5f}, exact {exact(0.37):.5f}")

report = jf.check_second_order(jf.Problem(F, start, taus), run)
print(report)
assert report.verdict is jf.Verdict.ACCEPTED

off = [abs(mu.cov()[0, 0] ** 0.5 - exact(t)) for mu, t in zip(run.measures, run.times, strict=True)]
print(f"worst error {max(off):.1e}, estimated {run.error:.1e}")

figure, (left, right) = new_figure(2)
left.loglog(run.times[1:], taus, ".-")
left.set(xlabel="t", ylabel="step size τ")
right.loglog(run.times[1:], off[1:], label="true, so far")
right.loglog(run.times[1:], run.errors, ".", label="estimated, of each step")
right.set(xlabel="t", ylabel="error in W2")
right.legend()
print(Path("adaptive.png").write_bytes(png(figure)), "bytes in adaptive.png")

assert max(off) < 1e-2
