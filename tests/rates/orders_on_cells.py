"""Cases of the table of orders: laws on the line and of a radius."""

from __future__ import annotations

import numpy as np
from order_case import (
    CURVED,
    ROUNDING,
    Case,
    by_ode,
    first_and_second,
    in_time,
    l2,
    one_step,
    to_exact_step,
)
from order_energies import DOUBLE_WELL, GAUSSIAN_TARGET, LINE, LOG_GAS, RIPPLES, TARGETS, well_slope
from order_references import (
    barenblatt_radius,
    gauss_normal,
    moved_by,
    ou_moments,
    points_of_a_risk_step,
    quantiles_by_bvp,
)
from scipy.optimize import brentq

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt
from jkoflow.networks import GaussianClasses, radial_risk, truncated_relu
from jkoflow.steppers import ConvexProgram, Exact, QuantileNewton, SecondOrder

NEWTON, WALLS = QuantileNewton(), QuantileNewton(ends="fixed")
SIZES = (100, 200, 400, 800)
TAU = 0.09
DILATION = "closed formula (dilation)"
TAILS = "n^-2 times a logarithm: the tails' cells are never small"
EQUAL = "two tail cells of mass 1/n cost √(1/n) in W2: take graded tails"
VACUUM = "a linear edge cut into equal masses: take grading=\"cosine\""


def normal(grading="tails"):
    return lambda n: jf.Quantiles.normal(-0.4, 0.6, n, grading)


def radial(dim):
    return lambda n: jf.Radial.normal(0.6, dim, n)


def profile(m, dim=None, grading="cosine"):
    return lambda n: barenblatt(m, 1.1, n, dim=dim, grading=grading)


def against_formula(measure, energy, F, start, expected, within=0.06, short="", stepper=NEWTON,
                    sizes=SIZES, reason=CURVED):  # fmt: skip
    return Case(type(stepper).__name__, measure, energy, "n", sizes,
                to_exact_step(stepper, F, start, TAU), DILATION, expected, within, reason,
                short)  # fmt: skip


HEAT = jf.Entropy() / 1.4
OU = jf.Entropy() / 1.6 + jf.QuadraticPotential(0.8)
ATTRACTED = jf.Entropy() / 2.0 + jf.QuadraticInteraction(1.2)
IN_CELLS = [
    against_formula("Quantiles, equal masses", "entropy (heat)", HEAT, normal("uniform"), 0.53,
                    short=EQUAL),
    against_formula("Quantiles, tails", "entropy (heat)", HEAT, normal(), 1.84, short=TAILS),
    against_formula("Quantiles, tails", "entropy + quadratic (OU)", OU, normal(), 1.84,
                    short=TAILS),
    against_formula("Quantiles, tails", "entropy + quadratic interaction", ATTRACTED, normal(),
                    1.84, short=TAILS),
    against_formula("Quantiles, equal masses", "power m = 2", jf.PowerEnergy(2.0, 0.7),
                    profile(2.0, grading="uniform"), 0.92, short=VACUUM),
    *(against_formula("Quantiles, cosine", f"power m = {m:g}", jf.PowerEnergy(m, 0.7), profile(m),
                      2.0) for m in (1.5, 2.0, 3.0)),
    *(against_formula("Quantiles, cosine", f"power m = {m:g} + quadratic",
                      jf.PowerEnergy(m, 0.7) + jf.QuadraticPotential(1.3), profile(m), 2.0)
      for m in (1.5, 2.0, 3.0)),
    against_formula("Radial, d = 7, tails", "entropy + quadratic (OU)", OU, radial(7), 1.84,
                    0.1, short=TAILS),
    *(against_formula(f"Radial, d = {d}, cosine", "power m = 2", jf.PowerEnergy(2.0, 0.7),
                      profile(2.0, d), 2.0) for d in (3, 6)),
    against_formula("Quantiles, tails", "entropy + quadratic (OU)", OU, normal(), 1.8,
                    0.1, short=TAILS, stepper=ConvexProgram(), sizes=(40, 80, 160, 320)),
    against_formula("Quantiles, cosine", "power m = 2", jf.PowerEnergy(2.0, 0.7), profile(2.0),
                    2.0, 0.1, stepper=ConvexProgram(), sizes=(20, 40, 80)),
    against_formula("Quantiles, any", "quadratic", jf.QuadraticPotential(0.8), normal(), None,
                    1e-9, reason=ROUNDING),
]  # fmt: skip


def kullback_leibler(n):
    """KL is entropy + quadratic, of which the formula knows; the stepper sees a function."""
    mu, same = normal()(n), jf.Entropy() + jf.QuadraticPotential(1.8, [0.3])
    found = one_step(NEWTON, GAUSSIAN_TARGET, mu, TAU)
    return l2(found, one_step(Exact(), same, mu, TAU).points)


def double_well_alone(n):
    """Every point solves X + τV'(X) = x by itself."""
    mu = normal()(n)
    found = one_step(NEWTON, DOUBLE_WELL, mu, TAU)
    roots = [brentq(lambda X, x=x: X + TAU * well_slope(X) - x, -9, 9, xtol=1e-14)
             for x in mu.edges]  # fmt: skip
    return l2(found, roots)


def chebyshev(n):
    """The semicircle of radius 1.5, with edges at Chebyshev's points."""
    angles = np.linspace(0.0, np.pi, n + 1)
    share = np.diff(angles - 0.5 * np.sin(2.0 * angles)) / np.pi
    return jf.Quantiles(-1.5 * np.cos(angles), share)


def semicircle(n):
    """(1 + .8τ)R⁺ − R = 2τ/R⁺ for the radius."""
    mu = chebyshev(n)
    c = 1.0 + 0.8 * TAU
    scale = (1.5 + np.sqrt(1.5**2 + 8.0 * c * TAU)) / (2.0 * c) / 1.5
    return l2(one_step(NEWTON, LOG_GAS, mu, TAU), scale * mu.edges)


def network(n):
    """Against residuals by Gauss's rule and fixed points."""
    x, w = gauss_normal(60)
    force = LINE.force(0.2)
    e = points_of_a_risk_step(force, LINE.values, TARGETS, -0.4 + 0.6 * x[:, None], w, TAU)
    mu, F = normal()(n), 0.5 * LINE.risk + jf.QuadraticPotential(0.2)
    return l2(one_step(NEWTON, F, mu, TAU), moved_by(force, e, mu.points, TAU))


WALLED = {
    "entropy + double well": (jf.Entropy() + DOUBLE_WELL, lambda r: 1.0 / r),
    "power m = 2 + double well": (jf.PowerEnergy(2.0) + DOUBLE_WELL, lambda r: 2.0 + 0.0 * r),
    "power m = 3 + double well": (jf.PowerEnergy(3.0) + DOUBLE_WELL, lambda r: 3.0 * r),
}


def between_walls(energy):
    """From a uniform density on [−1, 1]."""
    F, bend = WALLED[energy]

    def error(n):
        mu = jf.Quantiles(np.linspace(-1.0, 1.0, n + 1))
        exact = quantiles_by_bvp(well_slope, bend, TAU)(np.linspace(0.0, 1.0, n + 1))[0]
        return l2(one_step(WALLS, F, mu, TAU), exact)

    return error


BY_OTHER_METHODS = [
    Case("QuantileNewton", "Quantiles, tails", "KL to a normal law", "n", SIZES, kullback_leibler,
         DILATION, 1.84, 0.06, short=TAILS),
    Case("QuantileNewton", "Quantiles, any", "double well", "n", SIZES[:2], double_well_alone,
         "X + τV'(X) = x, a root for each point", None, 1e-9, ROUNDING),
    Case("QuantileNewton", "Quantiles, Chebyshev", "quadratic − log interaction", "n",
         (25, 50, 100, 200), semicircle, "semicircle (dilation)", 1.0, 0.1,
         short="points i ≠ j leave out what near neighbours of a density add: O(1/n)"),
    Case("QuantileNewton", "Quantiles, tails", "risk + quadratic", "n", SIZES, network,
         "residuals by Gauss's rule", 2.0, 0.1),
    *(Case("QuantileNewton(fixed)", "Quantiles between walls", energy, "n", (50, 100, 200, 400),
           between_walls(energy), "boundary value problem (collocation)", 2.0, 0.06,
           slow=energy != "entropy + double well")
      for energy in WALLED),
]  # fmt: skip


# ---- in τ ----

def ornstein_uhlenbeck(stepper):
    mu, t = jf.Quantiles.normal(0.9, 0.35, 1500), 0.7
    mean, var = ou_moments(0.9, 0.35**2, 0.8, 1 / 1.6, t)

    def gap(nu, _):
        return float(np.hypot(nu.mean()[0] - mean, np.sqrt(nu.cov()[0, 0]) - np.sqrt(var)))

    return in_time(stepper, OU, mu, t, lambda: None, gap)


def spreading(m, a=0.0, dim=None, n=2000):
    def make(stepper):
        F = jf.PowerEnergy(m, 0.7) + jf.QuadraticPotential(a)
        mu, t = barenblatt(m, 0.8, n, dim=dim), 0.4
        scale = barenblatt_radius(m, 0.7, dim or 1, 0.8, t, a) / 0.8
        return in_time(stepper, F, mu, t, lambda: scale * mu.edges)

    return make


HALVED = (8, 16, 32, 64)
SHORTER = (16, 32, 64, 128)
POINTS_ODE = "ODE of the same points (DOP853)"
STIFF_ODE = "ODE of the same points (Radau)"
BARENBLATT = "Barenblatt's solution"
NETWORK_40 = 0.5 * radial_risk(GaussianClasses.std(30, 0.7), truncated_relu)


def in_tau(measure, energy, make, against, sizes=HALVED, **more):
    return first_and_second(NEWTON, make, measure=measure, energy=energy, against=against,
                            sizes=sizes, **more)  # fmt: skip


few = jf.Quantiles.normal(0.2, 0.5, 60)
IN_TIME = [
    *in_tau("Quantiles, tails", "entropy + quadratic (OU)", ornstein_uhlenbeck,
            "exact moments"),
    *in_tau("Quantiles, cosine", "power m = 2", spreading(2.0), BARENBLATT, SHORTER),
    *in_tau("Quantiles, cosine", "power m = 3", spreading(3.0), BARENBLATT, SHORTER, within=0.2,
            slow=True),
    *in_tau("Quantiles, cosine", "power m = 1.5 + quadratic", spreading(1.5, 1.3), BARENBLATT,
            slow=True),
    *in_tau("Radial, d = 3, cosine", "power m = 2", spreading(2.0, dim=3), BARENBLATT,
            SHORTER, within=0.2, slow=True),
    *in_tau("Quantiles, tails", "double well", by_ode(DOUBLE_WELL, few, 0.3), POINTS_ODE),
    *in_tau("Quantiles, tails", "entropy + double well",
            by_ode(0.4 * jf.Entropy() + DOUBLE_WELL, few, 0.3, "Radau", 1e-9), STIFF_ODE, SHORTER),
    *in_tau("Quantiles, tails", "KL to a normal law",
            by_ode(GAUSSIAN_TARGET, few, 0.5, "Radau", 1e-9), STIFF_ODE, slow=True),
    *in_tau("Quantiles, tails", "interaction with ripples", by_ode(RIPPLES, few, 0.6), POINTS_ODE,
            slow=True),
    *in_tau("Quantiles, Chebyshev", "quadratic − log interaction",
            by_ode(LOG_GAS, chebyshev(30), 0.4), POINTS_ODE),
    *in_tau("Quantiles, tails", "risk + quadratic",
            by_ode(0.5 * LINE.risk + jf.QuadraticPotential(0.2), few, 1.0), POINTS_ODE),
    *in_tau("Quantiles, tails", "free energy",
            by_ode(jf.free_energy(LINE.risk, 0.2, 8.0), few, 0.6, "Radau", 1e-9), STIFF_ODE),
    *in_tau("Radial, d = 30, tails", "risk",
            by_ode(NETWORK_40, jf.Radial.normal(0.8 / np.sqrt(30), 30, 100), 0.2), POINTS_ODE,
            SHORTER),
    *in_tau("Radial, d = 30, tails", "free energy",
            by_ode(NETWORK_40 + jf.QuadraticPotential(0.5) + jf.Entropy() / 300.0,
                   jf.Radial.normal(0.8 / np.sqrt(30), 30, 60), 0.1, "Radau", 1e-9), STIFF_ODE,
            SHORTER, slow=True),
]  # fmt: skip

AWAY = jf.Quantiles(-1.5 * np.cos(np.linspace(0.0, np.pi, 31)))  # equal masses: no semicircle
IN_TIME.append(
    Case("SecondOrder(QuantileNewton)", "Quantiles, far from the semicircle",
         "quadratic − log interaction", "τ", SHORTER, by_ode(LOG_GAS, AWAY, 0.4)(
             SecondOrder(NEWTON)), POINTS_ODE, 1.75, 0.15,
         short="points that are close fly apart faster than the first steps see")
)  # fmt: skip

CASES = [*IN_CELLS, *BY_OTHER_METHODS, *IN_TIME]
