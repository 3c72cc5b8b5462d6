"""Cases of the table of orders: densities on grids, by four methods."""

from __future__ import annotations

from functools import cache

import numpy as np
from order_boxes import crowd, grid, l1, normal, profile
from order_case import CURVED, WAVERS, Case, in_time, one_step
from order_energies import DOUBLE_WELL, GAUSSIAN_TARGET, LINE, TARGETS, well_slope
from order_references import (
    barenblatt_radius,
    masses_of,
    ou_moments,
    quantiles_by_bvp,
)

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt_speed
from jkoflow.steppers import BackAndForth, ConvexProgram, EntropicScaling
from jkoflow.steppers.exact import next_scale

ASCENT = BackAndForth(tolerance=1e-11, max_iterations=2000)  # for errors of 1e-6
DEBIASED = EntropicScaling(tolerance=1e-10, max_iterations=10_000)
BLURRED = EntropicScaling(debiased=False, tolerance=1e-10, max_iterations=10_000)
ORACLE = ConvexProgram()
STEPPERS = {"BackAndForth": ASCENT, "EntropicScaling": DEBIASED,
            "EntropicScaling(debiased=False)": BLURRED, "ConvexProgram": ORACLE}  # fmt: skip


# ---- one step, in h ----

TAU = 0.02


def dilated_normal(F, c, a, dim, mean=0.2, std=0.12, centre=0.0, tau=TAU):
    """cH + a|x − centre|²/2 keeps normal laws."""
    def error(stepper, n):
        new = (mean + a * tau * centre) / (1.0 + a * tau)
        after = next_scale(std, 1.0 + a * tau, tau * c, 1.0)
        return l1(one_step(stepper, F, normal(mean, std, n, dim), tau),
                  normal(new, after, n, dim).mass)  # fmt: skip

    return error


RADII = (0.30, 0.312, 0.324, 0.336)  # means over some edges: they fall anywhere in a cell


def dilated_profile(m, c, a, dim, tau=TAU):
    F = jf.PowerEnergy(m, c) + jf.QuadraticPotential(a)

    def of_one(stepper, n, radius):
        after = next_scale(radius, 1.0 + a * tau, tau * barenblatt_speed(m, c, dim),
                           dim * (m - 1.0) + 1.0)  # fmt: skip
        return l1(one_step(stepper, F, profile(m, radius, n, dim), tau),
                  profile(m, after, n, dim).mass)  # fmt: skip

    return lambda stepper, n: float(np.mean([of_one(stepper, n, r) for r in RADII]))


def rigid(stepper, n, place=-0.3, pull=1.5, tau=0.2):
    """A crowd at its bound moves as a rigid disc towards the potential's centre."""

    def of_one(centre):
        after = (place + pull * tau * centre) / (1.0 + pull * tau)
        full = crowd(place, n)
        F = jf.Congestion(full.density.max()) + jf.QuadraticPotential(pull, [centre, 0.0])
        return l1(one_step(stepper, F, full, tau), crowd(after, n).mass)

    return float(np.mean([of_one(centre) for centre in (0.31, 0.43)]))


WALL_TAU = 0.09


@cache
def walled(energy):
    if energy == "free energy":
        return _free_energy_by_bvp(), jf.free_energy(LINE.risk, 0.4, 2.0)
    m, F = {"entropy": (1.0, jf.Entropy()), "power m = 2": (2.0, jf.PowerEnergy(2.0)),
            "power m = 3": (3.0, jf.PowerEnergy(3.0))}[energy]  # fmt: skip
    bend = (lambda r: 1.0 / r) if m == 1.0 else (lambda r: m * r ** (m - 2.0))
    return quantiles_by_bvp(well_slope, bend, WALL_TAU), F + DOUBLE_WELL


def _free_energy_by_bvp():
    """Residuals e and boundary value problems in turn; e contracts, τ being short."""
    s = np.linspace(0.0, 1.0, 4001)
    w = np.full(4001, 2.0)  # Simpson's rule
    w[1::2], w[[0, -1]] = 4.0, 1.0
    force, e, points = LINE.force(0.4), TARGETS, (2.0 * s - 1.0)[:, None]
    for _ in range(12):
        e = TARGETS - LINE.values(points) @ w / w.sum()
        found = quantiles_by_bvp(
            lambda x, e=e: force(x[:, None], e)[:, 0], lambda r: 0.5 / r, WALL_TAU
        )
        last, points = points, found(s)[0][:, None]
    assert np.abs(points - last).max() < 1e-10
    return found


def between_walls(energy):
    """From the uniform density on [−1, 1]."""
    def error(stepper, n):
        quantiles, F = walled(energy)
        faces = np.linspace(-1.0, 1.0, n + 1)
        return l1(one_step(stepper, F, grid(np.full(n, 1.0 / n)), WALL_TAU),
                  masses_of(quantiles, faces))  # fmt: skip

    return error


DILATION = "closed formula (dilation)"
COLLOCATION = "boundary value problem (collocation)"
HEAT = dilated_normal(0.3 * jf.Entropy(), 0.3, 0.0, 1)
OU = dilated_normal(0.2 * jf.Entropy() + jf.QuadraticPotential(2.0), 0.2, 2.0, 1)
OU_PLANE = dilated_normal(0.2 * jf.Entropy() + jf.QuadraticPotential(2.0), 0.2, 2.0, 2)
ATTRACTED = dilated_normal(0.2 * jf.Entropy() + jf.QuadraticInteraction(2.0), 0.2, 2.0, 1, mean=0.0)
KL = dilated_normal(0.2 * GAUSSIAN_TARGET, 0.2, 0.36, 1, centre=0.3)
LINE_SIZES, PLANE_SIZES = (32, 64, 128, 256), (16, 32, 64, 128)

PROBLEMS = {
    ("Grid, line", "entropy (heat)"): (HEAT, LINE_SIZES, DILATION),
    ("Grid, line", "entropy + quadratic (OU)"): (OU, LINE_SIZES, DILATION),
    ("Grid, plane", "entropy + quadratic (OU)"): (OU_PLANE, PLANE_SIZES, DILATION),
    ("Grid, line", "entropy + quadratic interaction"): (ATTRACTED, LINE_SIZES, DILATION),
    ("Grid, line", "KL to a normal law"): (KL, LINE_SIZES, DILATION),
    ("Grid, line", "power m = 1.5"): (dilated_profile(1.5, 0.1, 0.0, 1), LINE_SIZES, DILATION),
    ("Grid, line", "power m = 2"): (dilated_profile(2.0, 0.1, 0.0, 1), LINE_SIZES, DILATION),
    ("Grid, line", "power m = 3"): (dilated_profile(3.0, 0.1, 0.0, 1), LINE_SIZES, DILATION),
    ("Grid, plane", "power m = 2 + quadratic"):
        (dilated_profile(2.0, 0.05, 1.5, 2), PLANE_SIZES, DILATION),
    ("Grid, plane", "congestion + quadratic"): (rigid, (64, 128, 256), "rigid motion"),
    **{("Grid, line with walls", f"{energy} + double well"):
       (between_walls(energy), LINE_SIZES, COLLOCATION)
       for energy in ("entropy", "power m = 2", "power m = 3")},
    ("Grid, line with walls", "free energy"):
        (between_walls("free energy"), LINE_SIZES, COLLOCATION),
}  # fmt: skip

LIMITED = (50, 71, 100, 141, 200)  # ConvexProgram keeps the whole coupling


def in_h(name, problem, expected=2.0, within=0.15, reason=CURVED, short="", sizes=None, slow=False):
    (measure, energy), stepper = problem, STEPPERS[name]
    error, usual, against = PROBLEMS[problem]
    return Case(name, measure, energy, "h", sizes or usual, lambda n: error(stepper, n), against,
                expected, within, reason, short, slow)  # fmt: skip


EDGE = "a square root at the edge: cell averages err by h^1.5 on the cells there"
RIM = "the crowd's rim is rounded over some cells"
BLUR = "ε is h√τ/4 here, and an edge of exponent p = 1/(m−1) blurred over √ε costs ε^((1+p)/2)"
NODES = "the cost is that between centres: h²/8τ too much, by where in its cell mass arrives"
COARSE = "errors grow to .2 cells of rim, then order 1 (by hand: .72, .90, .98 up to 320 cells)"
CROWD = dict(expected=1.0, within=0.35, short=RIM, reason=WAVERS, slow=True)
ON_GRIDS = {
    "BackAndForth": {
        "power m = 3": dict(expected=1.5, short=EDGE, reason=WAVERS, sizes=(64, 128, 256, 512)),
        "power m = 2 + quadratic": dict(sizes=(32, 64, 128)),
        "congestion + quadratic": CROWD,
    },
    "EntropicScaling": {
        "power m = 1.5": dict(expected=1.5, short=BLUR),
        "power m = 2": dict(expected=1.0, short=BLUR),
        "power m = 3": dict(expected=0.75, short=BLUR),
        "power m = 2 + quadratic": dict(expected=1.0, short=BLUR, within=0.3, sizes=(64, 128, 256)),
        "congestion + quadratic": CROWD,
    },
    "EntropicScaling(debiased=False)": {
        "power m = 2 + quadratic": dict(sizes=(32, 64, 128)),
        "congestion + quadratic": {
            **CROWD, "sizes": (32, 64, 128), "expected": 0.5, "within": 0.2, "short": COARSE},
    },
}  # fmt: skip


_QUICK = ("entropy (heat)", "entropy + quadratic (OU)", "power m = 2", "power m = 3",
          "entropy + double well")  # fmt: skip


def cases_in_h():
    """Every problem by every stepper that takes it."""
    for problem in PROBLEMS:
        measure, energy = problem
        for name in ("BackAndForth", "EntropicScaling", "EntropicScaling(debiased=False)"):
            more = {"within": 0.15, **ON_GRIDS[name].get(energy, {})}
            if name == "BackAndForth" and problem == ("Grid, plane", "entropy + quadratic (OU)"):
                more.setdefault("sizes", (64, 128, 256))  # on 32 cells, h = σ/2, h⁴ is not small
            if name == "BackAndForth" and measure == "Grid, line" and "power" not in energy:
                more.setdefault("sizes", (64, 128, 256, 512))
            if name == "EntropicScaling" and measure == "Grid, line":
                more.setdefault("sizes", (64, 128, 256, 512))
            if name == "EntropicScaling" and measure == "Grid, plane":
                more.setdefault("sizes", (64, 128, 256))
            costly = "plane" in measure or energy not in _QUICK
            yield in_h(name, problem, **{"slow": costly, **more})
        if "plane" not in measure and "interaction" not in energy:
            yield in_h("ConvexProgram", problem, 1.75, 0.35, WAVERS, NODES, LIMITED,
                       slow=energy != "power m = 2")


CASES = list(cases_in_h())


# ---- in space ----

IN_SPACE = {
    "BackAndForth": BackAndForth(tolerance=1e-8, max_iterations=1000),
    "EntropicScaling": EntropicScaling(tolerance=1e-8, witnessed=False),
    "EntropicScaling(debiased=False)":
        EntropicScaling(debiased=False, tolerance=1e-8, witnessed=False),
}  # fmt: skip
"""Errors of 1e-4 need no more, and couplings in space take longer than the steps."""


def bell_in_space(name):
    error = dilated_normal(0.05 * jf.Entropy() + jf.QuadraticPotential(2.0), 0.05, 2.0, 3, mean=0.1,
                           std=0.18, tau=0.05)  # fmt: skip
    return lambda n: error(IN_SPACE[name], n)


def profile_in_space(name, m=2.0, c=0.1, a=1.5, tau=0.05):
    F = jf.PowerEnergy(m, c) + jf.QuadraticPotential(a)

    def of_one(n, radius):
        after = next_scale(radius, 1.0 + a * tau, tau * barenblatt_speed(m, c, 3), 3 * m - 2.0)
        return l1(one_step(IN_SPACE[name], F, profile(m, radius, n, 3), tau),
                  profile(m, after, n, 3).mass)  # fmt: skip

    return lambda n: float(np.mean([of_one(n, radius) for radius in (0.5, 0.53)]))


SIDE = "sides of 16 to 48 cells are few: the next terms, h⁴ and the kink's, are as large"
CUBES, SMALL_CUBES = (16, 24, 32, 48), (16, 24, 32)


def in_space(name, energy, error, sizes, expected=2.0, within=0.2, short="", slow=True):
    return Case(name, "Grid, space", energy, "h", sizes, error(name), DILATION, expected, within,
                WAVERS if "power" in energy else CURVED, short, slow)  # fmt: skip


CASES += [
    in_space("BackAndForth", "entropy + quadratic (OU)", bell_in_space, CUBES, 3.6, 0.3, SIDE),
    in_space("EntropicScaling(debiased=False)", "entropy + quadratic (OU)", bell_in_space, CUBES),
    in_space("BackAndForth", "power m = 2 + quadratic", profile_in_space, SMALL_CUBES, 2.0, 0.3),
    in_space("EntropicScaling", "power m = 2 + quadratic", profile_in_space, CUBES, 2.8, 0.4,
             SIDE),
    in_space("EntropicScaling(debiased=False)", "power m = 2 + quadratic", profile_in_space, CUBES),
]  # fmt: skip


# ---- in ε, at fixed cells ----

def kernel(debiased):
    """Error of the standard deviation of a step, with kernels of variance 1/k."""
    def error(k):
        stepper = EntropicScaling(1.0 / k, debiased=debiased, tolerance=1e-11)
        F = 0.2 * jf.Entropy() + jf.QuadraticPotential(2.0)
        found = one_step(stepper, F, normal(0.2, 0.12, 256, 1), TAU)
        exact = next_scale(0.12, 1.0 + 2.0 * TAU, 0.2 * TAU, 1.0)
        # the mean of squares over a cell is h²/12 more than its centre's, before and after
        return abs(np.sqrt(found.cov()[0, 0] - (2.0 / 256) ** 2 / 12) - exact)

    return error


IN_EPSILON = [
    Case(name, "Grid, line", "entropy + quadratic (OU)", "ε", (300, 600, 1200, 2400),
         kernel(debiased), DILATION, expected, 0.1)
    for name, debiased, expected in (("EntropicScaling(debiased=False)", False, 1.0),
                                     ("EntropicScaling", True, 2.0))
]  # fmt: skip


# ---- in τ, and finite volumes ----

def ou_in_time(stepper, n, c=0.05, a=2.0, t=0.3):
    """Error of the standard deviation at time t, in the same cells."""
    mu = normal(0.2, 0.12, n, 1)
    _, var = ou_moments(0.2, 0.12**2, a, c, t)
    gap = lambda nu, _: abs(np.sqrt(nu.cov()[0, 0]) - np.sqrt(var))  # noqa: E731
    return in_time(stepper, c * jf.Entropy() + jf.QuadraticPotential(a), mu, t, lambda: None, gap)


def porous_in_time(stepper, n, m=2.0, c=0.1, t=0.15):
    mu, after = profile(m, 0.3, n, 1), barenblatt_radius(m, c, 1, 0.3, t)
    exact = profile(m, after, n, 1).mass
    return in_time(stepper, jf.PowerEnergy(m, c), mu, t, lambda: exact, l1)


def volumes_and_moments(n, mean=0.2, std=0.12, c=0.05, dim=1, a=2.0, dt=0.05, steps=4):
    """Implicit Euler's own moments are known: (1 + 2a dt) M⁺ = M + 2c dt."""
    mu = normal(mean, std, n, dim)
    F = c * jf.Entropy() + jf.QuadraticPotential(a)
    nu = jf.finite_volume(F, mu, dt=dt, steps=steps).final
    second = mean**2 + std**2
    for _ in range(steps):
        second = (second + 2.0 * c * dt) / (1.0 + 2.0 * a * dt)
    return abs(nu.mass @ nu.points[:, 0] ** 2 - (2.0 / n) ** 2 / 12 - second)


def volumes_in_space(n):
    return volumes_and_moments(n, 0.1, 0.17, 0.1, 3)


def volumes_in_time(steps, n=1600, c=0.05, a=2.0, t=0.3):
    mu = normal(0.2, 0.12, n, 1)
    F = c * jf.Entropy() + jf.QuadraticPotential(a)
    nu = jf.finite_volume(F, mu, dt=t / steps, steps=steps).final
    return abs(nu.cov()[0, 0] - ou_moments(0.2, 0.12**2, a, c, t)[1])


def volumes_and_barenblatt(n, m=2.0, c=0.1, t=0.15):
    """Steps as many as cells: both orders at once."""
    mu, after = profile(m, 0.3, n, 1), barenblatt_radius(m, c, 1, 0.3, t)
    nu = jf.finite_volume(jf.PowerEnergy(m, c), mu, dt=2.0 * t / n, steps=n // 2).final
    return l1(nu, profile(m, after, n, 1).mass)


FEW = (8, 16, 32, 64)
SHARP = {"BackAndForth": ASCENT, "EntropicScaling": DEBIASED}
IN_TIME = [
    *(Case(name, "Grid, line", "entropy + quadratic (OU)", "τ", FEW,
           ou_in_time(stepper, 256), "exact moments", 1.0, 0.15)
      for name, stepper in SHARP.items()),
    *(Case(name, "Grid, line", "power m = 2", "τ", FEW, porous_in_time(stepper, 256),
           "Barenblatt's solution", 1.0, 0.15, slow=True) for name, stepper in SHARP.items()),
    Case("finite_volume", "Grid, line", "entropy + quadratic (OU)", "h", LINE_SIZES,
         volumes_and_moments, "moments of implicit Euler", 2.0, 0.1),
    Case("finite_volume", "Grid, space", "entropy + quadratic (OU)", "h", (12, 16, 24, 32),
         volumes_in_space, "moments of implicit Euler", 2.0, 0.15, slow=True),
    Case("finite_volume", "Grid, line", "entropy + quadratic (OU)", "τ", FEW, volumes_in_time,
         "exact moments", 1.0, 0.1),
    Case("finite_volume", "Grid, line", "power m = 2", "h and τ", (64, 128, 256, 512),
         volumes_and_barenblatt, "Barenblatt's solution", 1.0, 0.15, slow=True,
         short="the upwind flux is of first order"),
]  # fmt: skip

CASES += [*IN_EPSILON, *IN_TIME]
