"""The judge agrees with its second implementation in exact rationals, step by step."""

from __future__ import annotations

import importlib.util
import math
import sys
from fractions import Fraction as Q
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import jkoflow as jf
from jkoflow.check import Verdict, check_step
from jkoflow.record import Witness

_spec = importlib.util.spec_from_file_location(
    "exact_judge", Path(__file__).with_name("exact_judge.py")
)
exact = importlib.util.module_from_spec(_spec)
sys.modules["exact_judge"] = exact
_spec.loader.exec_module(exact)

RATIONAL = settings(max_examples=80, deadline=None, derandomize=True)
EPS = 2.0**-52


def numbers(low, high):
    """Numbers with few digits, which floats hold exactly."""
    return st.integers(16 * low, 16 * high).map(lambda k: k / 16)


TAUS = st.sampled_from([1 / 16, 0.25, 0.5, 1.0, 0.3])


def fractions(array):
    return [Q(float(v)) for v in np.asarray(array).ravel()]


@st.composite
def functionals(draw, dim, power):
    """A functional of jkoflow and the same one in rationals; λ is what the former claims."""
    a, kappa = draw(numbers(0, 3)), draw(numbers(-1, 2))
    centre = draw(st.lists(numbers(-2, 2), min_size=dim, max_size=dim))
    F = jf.QuadraticPotential(a, centre) + jf.QuadraticInteraction(1.0) * kappa
    p: tuple[float, ...] = ()
    if draw(st.booleans()):
        p = tuple(draw(st.lists(numbers(0, 1), min_size=5, max_size=5)))
        p = (*p[:3], 0.0, p[4])  # convex: no cube
        F = F + polynomial(p)
    m = draw(st.sampled_from([0, 2, 3])) if power else 0
    coefficient = draw(st.sampled_from([0.5, 1.0])) if m else 0.0
    if m:
        F = F + jf.PowerEnergy(float(m), coefficient)
    terms = exact.Terms(
        Q(a), tuple(Q(c) for c in centre), tuple(Q(b) for b in p), Q(kappa), m, Q(coefficient)
    )
    return F, terms


def polynomial(p):
    coefficients = np.array(p)
    slopes = np.polynomial.polynomial.polyder(coefficients)
    return jf.Potential(
        lambda x: np.polynomial.polynomial.polyval(x, coefficients).sum(axis=1),
        gradient=lambda x: np.polynomial.polynomial.polyval(x, slopes),
        convexity=2.0 * p[2],
    )


def cells(draw, n):
    gaps = draw(st.lists(numbers(1, 3), min_size=n, max_size=n))
    start = draw(numbers(-3, 1))
    mass = np.array(draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)), dtype=float)
    return jf.Quantiles(start + np.concatenate([[0.0], np.cumsum(gaps)]) / 4, mass / mass.sum())


def points_of(mu):
    if hasattr(mu, "edges"):
        return exact.Points.cells(fractions(mu.edges), fractions(mu.mass))
    return exact.Points([fractions(x) for x in mu.points], fractions(mu.weights))


def close(measured, true, scale):
    """Equal up to rounding: some hundred operations, none of which exceeds ``scale``."""
    return abs(Q(measured) - true) <= Q(1000 * EPS) * Q(scale)


def size_of(F, old, new, tau):
    """A bound on everything that is added up in a judgement."""
    points = float(max(np.abs(old.points).max(), np.abs(new.points).max()))
    return 10.0 * (1.0 + abs(F.value(old)) + abs(F.value(new)) + points**4 + points**2 / tau)


def agree(report, truth, F, old, new, tau):
    """Measured numbers, and the verdicts wherever the bounds are not within rounding."""
    scale = size_of(F, old, new, tau)
    assert close(report["energy"].measured, truth.excess, scale)
    r = Q(report["stationarity"].measured)
    slack = Q(1000 * EPS * scale / tau * 10)
    full = truth.residual_squared + truth.spread / Q(tau) ** 2
    assert abs(r - root(full)) <= slack + Q(1000 * EPS) * r
    if truth.excess > Q(1e-11) * Q(scale):
        assert report["energy"].verdict is Verdict.REJECTED
    if truth.excess <= 0:
        assert report["energy"].verdict is Verdict.ACCEPTED
    # margins only ever widen the bound 1e-4 σ, the largest of them by 4e-8 √(scale/τ)
    if truth.stationary():
        assert report["stationarity"].verdict is not Verdict.REJECTED
    if not truth.stationary(Q(2)) and truth.residual_squared > Q(1e-12) * Q(scale / tau):
        assert report["stationarity"].verdict is Verdict.REJECTED
    if full > Q(4, 10**8) * truth.slope_squared and full > Q(1e-12) * Q(scale / tau):
        assert report["stationarity"].verdict is not Verdict.ACCEPTED
    gap = None if F.convexity is None else truth.gap(Q(tau), Q(F.convexity))
    if gap is None:
        assert report["minimality"].verdict is Verdict.UNDECIDED
    elif truth.transport == 0 or not math.isnan(report["minimality"].measured):
        measured = Q(report["minimality"].measured)
        assert abs(measured - gap) <= Q(1e-6) * gap + slack**2 / 2 + slack * root(gap) * 2
        if gap <= Q(1, 10**6) * max(truth.lost, Q(0)):
            assert report["minimality"].verdict is Verdict.ACCEPTED


def root(q):
    """√q to 40 digits."""
    digits = 10**80
    return Q(math.isqrt(q.numerator * digits // q.denominator), 10**40)


@RATIONAL
@given(data=st.data())
def test_any_two_laws_of_cells(data):
    """Two random laws with the same masses: nearly always a faulty step."""
    n = data.draw(st.integers(1, 7))
    F, terms = data.draw(functionals(1, power=True))
    tau = data.draw(TAUS)
    old = cells(data.draw, n)
    new = jf.Quantiles(cells(data.draw, n).edges, old.mass)
    truth = exact.judge_line(terms, points_of(old), points_of(new), Q(tau))
    agree(check_step(F, old, new, tau), truth, F, old, new, tau)


@RATIONAL
@given(data=st.data(), fault=st.sampled_from([0.0, 0.0, 1e-9, 1e-3, -1e-2]))
def test_honest_steps_of_cells_and_their_neighbours(data, fault):
    """ρ_k = (id + τ∇δF)(ρ⁺): then ρ⁺ is the step from ρ_k, and beside it is not."""
    n = data.draw(st.integers(1, 7))
    F, terms = data.draw(functionals(1, power=True))
    tau = data.draw(TAUS)
    new = cells(data.draw, n)
    edges = new.edges + tau * F.gradient(new)[:, 0]
    assume((np.diff(edges) > 1e-3).all() and np.abs(edges).max() < 50)
    old = jf.Quantiles(edges, new.mass)
    new = jf.Quantiles(new.edges + fault, new.mass)
    truth = exact.judge_line(terms, points_of(old), points_of(new), Q(tau))
    report = check_step(F, old, new, tau)
    agree(report, truth, F, old, new, tau)
    if fault == 0.0 and F.convexity is not None and 1 / tau + F.convexity > 0:
        assert report.verdict is Verdict.ACCEPTED, report.text()


def cloud(draw, n, dim):
    x = draw(st.lists(numbers(-2, 2), min_size=n * dim, max_size=n * dim))
    return np.array(x).reshape(n, dim)


def coupling_of(witness, new):
    if witness.kind == "pairing":
        return [(i, int(j), Q(float(w)))
                for i, (j, w) in enumerate(zip(witness.arrays["order"], new.weights, strict=True))]
    names = ("rows", "columns", "values")
    return [(int(i), int(j), Q(float(v)))
            for i, j, v in zip(*(witness.arrays[k] for k in names), strict=True)]


def judged_points(F, terms, old, new, tau, witness):
    """The report and the truth; both say whether the coupling is one, and proved."""
    report = check_step(F, old, new, tau, witness=witness)
    truth = exact.judge_coupling(
        terms, points_of(old), points_of(new), Q(tau), coupling_of(witness, new),
        fractions(witness.arrays["f"]), fractions(witness.arrays["g"]),
    )  # fmt: skip
    transport = report["transport"]
    if truth is None:
        assert transport.verdict is Verdict.REJECTED
        return report, None
    scale = size_of(F, old, new, tau)
    assert close(transport.measured, truth.transport, scale)
    bound = Q(1, 10**9) * truth.squared
    if truth.transport > 2 * bound + Q(1e-12) * Q(scale):
        assert transport.verdict is Verdict.REJECTED
    if truth.transport <= bound:
        assert transport.verdict is Verdict.ACCEPTED
    return report, truth


@RATIONAL
@given(data=st.data())
def test_any_coupling_of_points(data):
    """Couplings, right and wrong, with potentials that seldom prove anything."""
    n, dim = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 3))
    F, terms = data.draw(functionals(dim, power=False))
    tau = data.draw(TAUS)
    weights = np.array(data.draw(st.lists(st.sampled_from([1, 2, 4]), min_size=n, max_size=n)))
    w = weights / weights.sum()
    old, new = (jf.Particles(cloud(data.draw, n, dim), w) for _ in range(2))
    f, g = (np.array(data.draw(st.lists(numbers(-1, 1), min_size=n, max_size=n))) for _ in "fg")
    order = np.array(data.draw(st.permutations(range(n))))
    if data.draw(st.booleans()):
        witness = Witness("pairing", {"order": order, "f": f, "g": g})
    else:
        i, j = np.indices((n, n)).reshape(2, -1)
        arrays = {"rows": i, "columns": j, "values": w[i] * w[j], "f": f, "g": g}
        witness = Witness("coupling", arrays)
    report, truth = judged_points(F, terms, old, new, tau, witness)
    if truth is not None:
        agree(report, truth, F, old, new, tau)


@RATIONAL
@given(data=st.data(), fault=st.sampled_from([0.0, 0.0, 1e-9, 1e-3, -1e-2]))
def test_honest_steps_of_points_and_their_neighbours(data, fault):
    """As for cells; a convex F brings its own potentials, f = −2τ δF, which prove the pairing."""
    n, dim = data.draw(st.integers(1, 6)), data.draw(st.integers(2, 3))
    F, terms = data.draw(functionals(dim, power=False))
    tau = data.draw(TAUS)
    new = jf.Particles(cloud(data.draw, n, dim))
    old = jf.Particles(new.points + tau * F.gradient(new))
    assume(np.abs(old.points).max() < 50)
    f = -2.0 * tau * F.first_variation(new, new.points)
    g = ((new.points - old.points) ** 2).sum(axis=1) - f
    order = np.arange(n)
    if data.draw(st.booleans()) and fault == 0.0:  # the same measure in another order
        order = np.array(data.draw(st.permutations(range(n))))
        old = jf.Particles(old.points[np.argsort(order)])
        g = g[np.argsort(order)]
    new = jf.Particles(new.points + fault)
    witness = Witness("pairing", {"order": order, "f": f, "g": g})
    report, truth = judged_points(F, terms, old, new, tau, witness)
    agree(report, truth, F, old, new, tau)
    if report["transport"].verdict is Verdict.ACCEPTED:  # then no other pairing is cheaper
        best = exact.best_pairing(points_of(new), points_of(old))
        assert truth.squared - best <= Q(2, 10**9) * truth.squared + Q(1e-10)
    if fault == 0.0 and F.convexity is not None and F.convexity >= 0:
        assert report.verdict is Verdict.ACCEPTED, report.text()


def matrix(draw, dim):
    """A symmetric positive matrix with few digits."""
    b = np.array(draw(st.lists(numbers(-1, 1), min_size=dim * dim, max_size=dim * dim)))
    b = b.reshape(dim, dim)
    return b @ b.T + np.eye(dim) * draw(st.sampled_from([0.25, 0.5, 1.0]))


def rows(a):
    return [fractions(row) for row in a]


@RATIONAL
@given(
    data=st.data(),
    fault=st.sampled_from(["none", "none", "map", "mean", "cov", "turn", "sign"]),
)
def test_gaussians(data, fault):
    """Σ_k = AΣ⁺A with A = (1 + τ(a+κ))I is the step; A of one's choosing is only transport."""
    dim = data.draw(st.integers(1, 3))
    a, kappa = data.draw(numbers(0, 3)), data.draw(numbers(0, 2))
    tau = data.draw(st.sampled_from([0.25, 0.5, 1.0]))
    centre = data.draw(st.lists(numbers(-2, 2), min_size=dim, max_size=dim))
    F = jf.QuadraticPotential(a, centre) + jf.QuadraticInteraction(1.0) * kappa
    terms = exact.Terms(Q(a), tuple(Q(c) for c in centre), (), Q(kappa))
    mean, cov = cloud(data.draw, 1, dim)[0], matrix(data.draw, dim)
    A = (1 + tau * (a + kappa)) * np.eye(dim)
    honest = data.draw(st.booleans())
    if not honest:
        A = matrix(data.draw, dim)
    old = jf.Gaussian(mean + tau * a * (mean - np.array(centre)), A @ cov @ A)
    if fault == "mean":
        mean = mean + 1e-3
    elif fault == "cov":
        cov = 1.001 * cov
    elif fault == "map":
        A = A * (1 + 1e-6)
    elif fault == "turn":
        A = A + 1e-6 * (np.triu(np.ones((dim, dim)), 1) - np.tril(np.ones((dim, dim)), -1))
    elif fault == "sign":
        A = -A
    new = jf.Gaussian(mean, cov)
    report = check_step(F, old, new, tau, witness=Witness("symmetric-map", {"matrix": A}))
    truth = exact.judge_normal(
        terms, exact.Normal(fractions(old.mean()), rows(old.cov())),
        exact.Normal(fractions(mean), rows(new.cov())), Q(tau), rows(A),
    )  # fmt: skip
    if truth is None:
        assert report["transport"].verdict is Verdict.REJECTED
        return
    scale = size_of(F, old, new, tau) * (1 + np.abs(A).max() ** 2 * np.abs(cov).max())
    # W2 of the difference D of covariances: between |D|/max(s + s') and |D|/min s, to first order,
    # s and s' the deviations along the axes and before and after; and sums of rounding over min s
    off, std = float(root(truth.transport)), np.sqrt(np.linalg.eigvalsh(old.cov()))
    most, slack = std[-1] + np.sqrt(std[-1] ** 2 + off), 1e-12 * scale / std[0]
    assert off / most - slack <= report["transport"].measured <= off / std[0] + slack
    if fault in ("map", "cov"):
        assert report["transport"].verdict is Verdict.REJECTED
        return
    agree(report, truth, F, old, new, tau)
    if honest and fault == "none":
        assert report.verdict is Verdict.ACCEPTED, report.text()


@pytest.mark.parametrize("kind", ["line", "points"])
def test_the_second_implementation_finds_faults_by_itself(kind):
    """The example of docs/certificate-format.md: right, then with a wrong factor and a shift."""
    terms = exact.Terms(a=Q(1))
    old, new = ([[Q(k)] for k in ks] for ks in ([0, 2, 4, 6], [0, 1, 2, 3]))
    w = [Q(k, 8) for k in (1, 3, 3, 1)]
    if kind == "line":
        judge = lambda F, y, t: exact.judge_line(F, exact.Points(old, w), exact.Points(y, w), t)  # noqa: E731
    else:
        entries = [(k, k, w[k]) for k in range(4)]
        f = [-2 * x[0] ** 2 / 2 for x in new]
        g = [exact.distance(x, y) - b for x, y, b in zip(old, new, f, strict=True)]
        judge = lambda F, y, t: exact.judge_coupling(  # noqa: E731
            F, exact.Points(old, w), exact.Points(y, w), t, entries, f, g)
    good = judge(terms, new, Q(1))
    assert (good.squared, good.excess, good.residual_squared, good.transport) == (3, -3, 0, 0)
    assert good.stationary() and good.gap(Q(1), Q(1)) == 0
    assert not judge(exact.Terms(a=Q(1001, 1000)), new, Q(1)).stationary()
    assert not judge(terms, new, Q(1001, 1000)).stationary()
    assert not judge(terms, [[x[0] + Q(1, 1000)] for x in new], Q(1)).stationary()
