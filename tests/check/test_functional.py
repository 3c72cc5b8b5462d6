"""check_functional: right functionals pass on every measure, wrong ones fail for the reason."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Finding, Verdict, check_functional, claims, derivatives, policy
from jkoflow.check import around as around_module
from jkoflow.check.around import Around, breadth
from jkoflow.check.derivatives import order_of
from jkoflow.check.evaluate import evaluate
from jkoflow.check.functional import guarded, on_some_cells
from jkoflow.functionals import BlobEntropy, BlobPower
from jkoflow.functionals.base import Smooth
from jkoflow.functionals.curves import Curve
from jkoflow.measures.displacements import Companion
from jkoflow.status import InvalidFunctional, InvalidMeasure, InvalidProblem

RNG = np.random.default_rng(11)
CLOUD = jf.Particles(RNG.normal(size=(17, 2)), RNG.dirichlet(np.ones(17)))
LINE = jf.Quantiles.normal(0.4, 0.7, 90)
SHELLS = jf.Radial.normal(0.8, 6, 80)
NORMAL = jf.Gaussian([0.3, -1.0], [[1.2, 0.3], [0.3, 0.5]])
BUMP = jf.Grid.from_function(lambda x: np.exp(-(x**2).sum(axis=1)), [-2, -2], [2, 3], (12, 15))
SQUARE = jf.Mesh([[0, 0], [2, 0], [2, 1], [0, 1], [1, 0.3]],
                 [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]], [0.1, 0.2, 0.3, 0.4])  # fmt: skip
MEASURES = {"cloud": CLOUD, "line": LINE, "shells": SHELLS, "normal": NORMAL, "grid": BUMP,
            "mesh": SQUARE}  # fmt: skip


def tanh_risk(dim: int) -> jf.Risk:
    B, y = np.random.default_rng(5).normal(size=(4, dim)), np.array([1.0, -0.5, 0.3, 0.0])
    return jf.Risk(lambda theta: np.tanh(B @ theta.T), y)


FUNCTIONALS: dict[str, Callable[[int], Any]] = {
    "quadratic": lambda d: jf.QuadraticPotential(1.3),
    "concave": lambda d: jf.QuadraticPotential(-0.7),
    "quartic": lambda d: jf.Potential(lambda x: (x**4).sum(axis=1), convexity=0.0),
    "interaction": lambda d: jf.QuadraticInteraction(0.6),
    "risk": tanh_risk,
    "entropy": lambda d: jf.Entropy(),
    "porous": lambda d: jf.PowerEnergy(2.0),
    "free energy": lambda d: jf.free_energy(tanh_risk(d), lam=0.2, beta=3.0),
    "zero": lambda d: 0.0 * jf.Entropy(),
}


@pytest.mark.parametrize("where", MEASURES)
@pytest.mark.parametrize("name", FUNCTIONALS)
def test_right_functionals_are_accepted_everywhere(name: str, where: str) -> None:
    mu = MEASURES[where]
    F = FUNCTIONALS[name](mu.points.shape[1])
    if where == "cloud" and F.internal.terms:
        pytest.skip("a cloud has no density")
    report = check_functional(F, mu, rng=3)
    assert report.verdict is Verdict.ACCEPTED, report.text()
    assert {"purity", "gradient"} <= set(report.claims)


class Quartic(Smooth):
    """∫Σx⁴ dρ, with faults to be planted."""

    def __init__(self, **claims: Any) -> None:
        self.factor, self.variation = claims.pop("factor", 1.0), claims.pop("variation", 1.0)
        self.bound = claims.pop("bound", None)
        self.__dict__.update(claims)
        self.calls = 0

    def value_at_points(self, x: Any, w: Any) -> float:
        return float(w @ (x**4).sum(axis=1))

    def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
        return self.variation * (at**4).sum(axis=1)

    def gradient_at_points(self, x: Any, w: Any) -> Any:
        return self.factor * 4 * x**3

    def lower_bound(self) -> float | None:
        return self.bound

    def spec(self) -> dict[str, Any]:
        return {"name": "Quartic"}


class Restless(Quartic):
    def value_at_points(self, x: Any, w: Any) -> float:
        self.calls += 1
        return super().value_at_points(x, w) * (1.0 + 1e-15 * self.calls)


class Shaken(Restless):
    """Whose gradients differ, not the values."""

    value_at_points = Quartic.value_at_points

    def gradient_at_points(self, x: Any, w: Any) -> Any:
        self.calls += 1
        return super().gradient_at_points(x, w) * (1.0 + 1e-15 * self.calls)


class Ordered(Quartic):
    def value_at_points(self, x: Any, w: Any) -> float:
        return super().value_at_points(x, w) + 1e-6 * float(x[0, 0])


class Greedy(Quartic):
    def value_at_points(self, x: Any, w: Any) -> float:
        x += 1.0
        return super().value_at_points(x, w)


class Minus(Quartic):
    """Concave along mixtures."""

    def value_at_points(self, x: Any, w: Any) -> float:
        return -float(w @ (x**2).sum(axis=1)) ** 2

    def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
        return -2 * float(w @ (x**2).sum(axis=1)) * (at**2).sum(axis=1)

    def gradient_at_points(self, x: Any, w: Any) -> Any:
        return -4 * float(w @ (x**2).sum(axis=1)) * x


FAULTS = [
    (Quartic(factor=-1.0), "gradient"),
    (Quartic(factor=0.5), "gradient"),
    (Quartic(factor=2.0), "gradient"),
    (Quartic(factor=1 + 1e-4), "gradient"),
    (Quartic(factor=0.0), "gradient"),
    (Quartic(factor=np.nan), "evaluation"),
    (Quartic(variation=-1.0), "first variation"),
    (Quartic(variation=2.0), "first variation"),
    (Quartic(variation=1 + 1e-4), "first variation"),
    (Quartic(convexity=2.0), "convexity"),
    (Quartic(convexity=np.nan), "convexity"),
    (Quartic(convexity=np.inf), "convexity"),
    (Quartic(convexity=-np.inf), "convexity"),
    (Quartic(convexity="1"), "convexity"),
    (Quartic(bound=0.5), "lower bound"),
    (Quartic(bound=np.nan), "lower bound"),
    (Quartic(bound=np.inf), "lower bound"),
    (Restless(), "purity"),
    (Shaken(), "purity"),
    (Ordered(), "purity"),
    (Greedy(), "evaluation"),
    (Minus(convex_in_mixtures=True), "convexity in mixtures"),
]


@pytest.mark.parametrize(("F", "claim"), FAULTS, ids=lambda v: v if isinstance(v, str) else None)
def test_a_wrong_functional_is_rejected_by_the_finding_meant_for_it(F: Any, claim: str) -> None:
    mu = jf.Particles(0.4 * RNG.normal(size=(12, 2)))
    report = check_functional(F, mu, rng=0)
    assert report[claim].verdict is Verdict.REJECTED, report.text()
    assert report[claim].reason, "it says why"


class Rescaled(Smooth):
    """c·F of points measured in another unit of length: F(x/s)."""

    def __init__(self, inner: Any, energy: float, length: float) -> None:
        self.inner, self.c, self.s = inner, energy, length
        self.convex_in_mixtures = inner.convex_in_mixtures
        if isinstance(inner.convexity, float):
            self.convexity = inner.convexity * energy / length**2

    def value_at_points(self, x: Any, w: Any) -> float:
        return self.c * self.inner.value_at_points(x / self.s, w)

    def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
        return self.c * self.inner.first_variation_at_points(x / self.s, w, at / self.s)

    def gradient_at_points(self, x: Any, w: Any) -> Any:
        return self.c / self.s * self.inner.gradient_at_points(x / self.s, w)

    def lower_bound(self) -> float | None:
        bound = self.inner.lower_bound()
        return None if bound is None else self.c * bound

    def spec(self) -> dict[str, Any]:
        return {"name": "Rescaled"}


SMOOTH_FAULTS = [(F, claim) for F, claim in FAULTS if claim not in ("evaluation", "purity")]


@pytest.mark.parametrize(("energy", "length"), [(1e-14, 1e4), (1e9, 1e-5)])
def test_verdicts_do_not_depend_on_the_units(energy: float, length: float) -> None:
    x = 0.4 * np.random.default_rng(8).normal(size=(12, 2))
    mu = jf.Particles(length * x)
    right = Rescaled(jf.QuadraticInteraction(1.0), energy, length)
    assert check_functional(right, mu, rng=0).verdict is Verdict.ACCEPTED
    for F, claim in SMOOTH_FAULTS:
        report = check_functional(Rescaled(F, energy, length), mu, rng=0)
        if isinstance(F.convexity, str):
            continue
        assert report[claim].verdict is Verdict.REJECTED, report.text()
        good = {"gradient", "first variation"} - {claim}
        if F.convexity is None and isinstance(F, Quartic) and not isinstance(F, Minus):
            assert all(report[c].verdict is Verdict.ACCEPTED for c in good)


def test_breadth_is_the_deviation_but_something_for_a_point() -> None:
    def of(x: Any, unit: float = 0.0) -> float:
        here = evaluate(jf.QuadraticPotential(1.0), jf.Particles(x))
        return breadth(replace(here, unit=unit))

    assert of([[1.0], [3.0]]) == pytest.approx(1.0)
    assert of([[7.0]]) == pytest.approx(7e-3)
    assert of([[1000.0], [1000.2]]) == pytest.approx(1.0, rel=1e-3)
    assert of([[0.0]]) == 1.0 and of([[0.0]], unit=0.2) == 0.2 and of([[1.0], [3.0]], 0.2) == 1.0


@pytest.mark.parametrize(("cells", "mixtures"), [(1, 3), (2, 6), (9, 6)])
def test_two_cells_have_other_masses_and_one_has_not(cells: int, mixtures: int) -> None:
    """Three laws to mix the smooth part with, and three shares of the masses for the internal."""
    F, mu = jf.Entropy() + jf.QuadraticPotential(1.0), jf.Quantiles(np.arange(cells + 1.0))
    found = Around(F, evaluate(F, mu), np.random.default_rng(0)).mixtures
    assert len(found) == mixtures
    S, H = F.smooth.value(mu), F.internal.value(mu)
    starts = [curve.value(0.0) for curve in found]
    np.testing.assert_allclose(starts, [S] * 3 + [H] * (mixtures - 3), rtol=1e-12, atol=1e-15)
    assert all(curve.value(1.0) != curve.value(0.0) for curve in found)


def test_cells_get_from_a_tenth_to_nearly_twice_of_their_masses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Far enough for u″ to show, and no cell is emptied. Of 5000 numbers between 0.1 and 1.9 the
    mean is 1 ± 0.02 (three standard errors), and the ends are met to 0.01."""
    told: list[Any] = []
    monkeypatch.setattr(around_module, "remassed", lambda F, mu, shares: told.append(shares))
    mu = jf.Quantiles(np.linspace(0.0, 1.0, 5001), RNG.dirichlet(np.full(5000, 3.0)))
    assert len(Around(jf.Entropy(), evaluate(jf.Entropy(), mu), RNG).mixtures) == len(told) == 3
    for shares in told:
        assert shares.sum() == pytest.approx(1.0, rel=1e-12)
        least, most = (f(shares / mu.mass) for f in (np.min, np.max))
        assert 0.095 < least < 0.115 and 1.84 < most < 1.95


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("AUUUUU", Verdict.UNDECIDED), ("AAUUUU", Verdict.ACCEPTED), ("RUUUUU", Verdict.REJECTED),
        ("UUUUUU", Verdict.UNDECIDED), ("AARUUU", Verdict.REJECTED), ("AAAAAA", Verdict.ACCEPTED),
    ],
)  # fmt: skip
def test_two_directions_at_least_must_be_seen(
    seen: str, expected: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {v.name[0]: v for v in Verdict}
    found = iter(Finding("gradient", names[letter]) for letter in seen)
    monkeypatch.setattr(derivatives, "order_of", lambda *_: next(found))
    around = Around(jf.QuadraticInteraction(1.0), evaluate(jf.QuadraticInteraction(1.0), CLOUD),
                    np.random.default_rng(0))  # fmt: skip
    assert Verdict.of(list(derivatives.gradient(around))) is expected


@pytest.mark.parametrize(("found", "told"), [
    (Verdict.REJECTED, Verdict.UNDECIDED), (Verdict.ACCEPTED, Verdict.ACCEPTED),
])  # fmt: skip
def test_a_cubature_may_be_too_coarse_where_a_gradient_is_wrong_and_only_there(
    found: Verdict, told: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a user's density at Gaussians the value is in closed form, and the gradient is not."""

    class Mine(jf.PowerEnergy):
        pass

    monkeypatch.setattr(derivatives, "order_of", lambda *_: Finding("gradient", found))
    F = Mine(2.0)
    findings = list(derivatives.gradient(Around(F, evaluate(F, NORMAL), RNG)))
    assert {f.verdict for f in findings} == {told}
    assert all(("cubature" in f.reason) is (told is Verdict.UNDECIDED) for f in findings)


@pytest.mark.parametrize("mu", [
    jf.Particles(np.random.default_rng(3).normal(size=(2000, 40))),
    jf.Quantiles.normal(0.3, 1.0, 501), jf.Radial.normal(1.0, 20, 200),
], ids=["particles", "line", "radial"])  # fmt: skip
def test_a_gradient_that_is_too_long_is_found_along_itself(mu: Any) -> None:
    """Of an error along ∇F, random directions see 1/√(nd) only: 1e-4 of it was found by luck."""
    for long, expected in ((0.0, Verdict.ACCEPTED), (1e-4, Verdict.REJECTED)):
        V = jf.Potential(lambda x: 0.5 * (x * x).sum(axis=1) + np.cos(x).sum(axis=1),
                         gradient=lambda x, e=long: (1.0 + e) * (x - np.sin(x)))  # fmt: skip
        for seed in range(3):
            assert check_functional(V, mu, rng=seed)["gradient"].verdict is expected


def remainder(power: float, slope: float = 1.0) -> Curve:
    """t ↦ 2 + t + t^power, with another slope than 1 if one is given."""
    return Curve(lambda t: 2.0 + t + t**power, slope, 1.0)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (remainder(2.0), Verdict.ACCEPTED), (remainder(3.0), Verdict.ACCEPTED),
        (remainder(1.05), Verdict.UNDECIDED), (remainder(1.35), Verdict.UNDECIDED),
        (remainder(2.0, slope=1.001), Verdict.REJECTED),
        # mass t in a place that had 1e-9 of it: the slope is right, to all steps but the smallest
        (Curve(lambda t: 2.0 + (1e-9 + t) * np.log1p(1e9 * t), 1.0, 20.0), Verdict.UNDECIDED),
        # and 1e-300 of it, so that the order is 1.002
        (Curve(lambda t: 2.0 + t * np.log(t) if t else 2.0, -690.0, 690.0), Verdict.UNDECIDED),
        (remainder(2.0, slope=np.nan), Verdict.REJECTED),
        (remainder(2.0, slope=np.inf), Verdict.REJECTED),
        (Curve(lambda t: 2.0, 0.0, 0.0), Verdict.ACCEPTED),
        (Curve(lambda t: 2.0 + t, 0.0, 0.0), Verdict.REJECTED),
        (Curve(lambda t: 2.0 + t * t, 0.0, 0.0), Verdict.ACCEPTED),
        (Curve(lambda t: 2.0 + abs(t - 2.0**-9) - 2.0**-9, -1.0, 1.0), Verdict.ACCEPTED),
    ],
)  # fmt: skip
def test_the_order_of_known_remainders(curve: Curve, expected: Verdict) -> None:
    with np.errstate(all="ignore"):
        found = order_of("gradient", curve, 2.0, 0.0)
    assert found.verdict is expected, found


def test_between_the_two_orders_nothing_is_decided() -> None:
    """t^1.7 at steps where the difference is not yet within 10⁻⁶ of the slope."""
    curve = Curve(lambda t: 2.0 + t + 1e3 * t**1.7, 1.0, 1.0)
    found = order_of("gradient", curve, 2.0, 0.0)
    assert found.verdict is Verdict.UNDECIDED and found.measured == pytest.approx(0.3, abs=1e-6)
    assert found.bound == pytest.approx(0.1) and "order 1.70" in found.reason


def test_steps_that_rounding_hides_are_left_out() -> None:
    """Noise of 10⁻⁹ on a slope wrong by 10⁻⁴, and by 10⁻⁸."""
    for off, expected in ((1e-2, Verdict.REJECTED), (1e-9, Verdict.UNDECIDED)):
        jitter = np.random.default_rng(1)

        def value(t: float, off: float = off, jitter: Any = jitter) -> float:
            return 2.0 + t * (1.0 + off) + 1e-9 * jitter.uniform(-1, 1)

        found = order_of("gradient", Curve(value, 1.0, 1e-4), 2.0, 8e-9)
        assert found.verdict is expected, found
        assert ("rounding" in found.reason) == (expected is Verdict.UNDECIDED)


@pytest.mark.parametrize(("noise", "agreed"), [(2.4e-11, True), (6e-11, False)])
def test_two_steps_in_a_row_have_to_agree(noise: float, agreed: bool) -> None:
    """Errors Ct + noise/t at t = ½4⁻ᵏ: below 10⁻⁶ at k = 5 and 6 only, or at k = 6 only."""
    curve = Curve(lambda t: 2.0 + t + 6e-3 * t * t, 1.0, 1.0)
    found = order_of("gradient", curve, 2.0, 8.0 * noise)
    assert (found.bound == policy.DERIVATIVE) is agreed, found


def known(*remainders: float, margin: float = 0.0) -> Finding:
    """The judgement of remainders at t = ½4⁻¹², …, ½: the last one stays if fewer are given. A
    derivative of size 10⁻⁹ agrees to 10⁻⁶ where there is none."""
    told = [*remainders, *[remainders[-1]] * (13 - len(remainders))]
    values = dict(zip(0.5 * 4.0 ** np.arange(-12.0, 1.0), told, strict=True))
    with np.errstate(all="ignore"):
        return order_of("gradient", Curve(values.__getitem__, 0.0, 1e-9), 0.0, margin)


NOISE, LONG_NOISE = [0.2] * 4, [0.2] * 10
"""What does not grow is rounding; a remainder is told from it above four times that."""


def test_agreement_is_that_of_the_first_two_steps_or_of_any_two_in_a_row() -> None:
    for told, agreed in (([0, 0, 1], True), ([0, 1, 4, 16, 64], False), ([1, 0, 1], False),
                         ([1, 0, 0, 1], True)):  # fmt: skip
        found = known(*told)
        assert (found.bound == policy.DERIVATIVE) is agreed, (told, found)
        assert agreed or found.verdict is not Verdict.ACCEPTED


@pytest.mark.parametrize(("told", "verdict", "reason"), [
    # in the middle twice by 4², then not: that is order 2
    ([*NOISE, 1, 16, 256], Verdict.ACCEPTED, ""),
    # twice by 4: order 1, but twice rejects nothing
    ([*LONG_NOISE, 1, 4, 16], Verdict.UNDECIDED, "order 1.00"),
    ([*LONG_NOISE[1:], 1, 4, 16, 64], Verdict.REJECTED, "order 1.00"),
    # once, by whatever, is no order
    ([1, 70, 200], Verdict.UNDECIDED, "rounding hides"),
    ([*NOISE, 1, 256], Verdict.UNDECIDED, "rounding hides"),
])  # fmt: skip
def test_an_order_is_seen_in_two_growths_in_a_row_and_a_fault_in_three(
    told: list[float], verdict: Verdict, reason: str
) -> None:
    found = known(*told)
    assert found.verdict is verdict and reason in found.reason, found


@pytest.mark.parametrize(("told", "verdict"), [
    # a derivative that agrees at last, after an error that grew twice, three times, or by 4²
    ([0.5] * 4 + [1, 4, 16, 0, 0], Verdict.ACCEPTED),
    ([0.5] * 4 + [1, 4, 16, 64, 0, 0], Verdict.UNDECIDED),
    ([*NOISE, 1, 16, 256, 4096, 0, 0], Verdict.ACCEPTED),
])  # fmt: skip
def test_agreement_of_long_steps_does_not_undo_an_error_of_short_ones(
    told: list[float], verdict: Verdict
) -> None:
    assert known(*told).verdict is verdict


@pytest.mark.parametrize("unit", [1e-5, 1e-4])
def test_a_ripple_that_the_gradient_forgets_is_not_accepted(unit: float) -> None:
    """ε sin(x/δ) with ε = δ/1000: a thousandth of the slope, at every point, and of F to 1e-7."""
    wave = jf.Potential(lambda x: x[:, 0] + 1e-3 * unit * np.sin(x[:, 0] / unit),
                        gradient=lambda x: np.ones_like(x))  # fmt: skip
    whole = jf.Potential(wave.V, gradient=lambda x: 1.0 + 1e-3 * np.cos(x / unit))
    for mu in (jf.Quantiles.normal(0.0, 1.0, 50), jf.Particles(RNG.normal(size=(20, 1)))):
        assert check_functional(wave, mu, rng=0)["gradient"].verdict is not Verdict.ACCEPTED
        assert check_functional(whole, mu, rng=0)["gradient"].verdict is not Verdict.REJECTED


@pytest.mark.parametrize(("part", "verdict"), [(0.99, Verdict.REJECTED), (1.01, Verdict.UNDECIDED)])
def test_a_remainder_that_leaves_rounding_at_once_rejects_nothing(
    part: float, verdict: Verdict
) -> None:
    """Rounding of 1, beside a last remainder of 1, and then one that is 4^1.4 times their sum:
    the order may have been higher there than the 1 that is seen above."""
    first = part * 2.0 * 4.0 ** policy.ORDER_REJECTED
    assert known(*[1] * 9, *(first * 4.0 ** np.arange(4.0)), margin=8.0).verdict is verdict


@pytest.mark.parametrize(("part", "verdict"), [(0.99, Verdict.REJECTED), (1.01, Verdict.UNDECIDED)])
def test_a_remainder_is_seen_above_half_of_the_margin(part: float, verdict: Verdict) -> None:
    """An eighth of it is noise, and what grows is above four of these: three times, or twice."""
    assert known(*LONG_NOISE[1:], 1, 4, 16, 64, margin=2.0 * part).verdict is verdict


@pytest.mark.parametrize(("changes", "verdict"), [
    # of remainder/t as t grows 4 times, in units of its rounding at the smallest t: e + ct, t log t
    (0.1 * 4.0 ** np.arange(8.0), Verdict.REJECTED), (np.ones(9), Verdict.UNDECIDED),
    # three count that are above 16 times it: those from the fourth on above 1/4
    ([0, 0, 0, 0.26, 0.8, 2.5, 2.5], Verdict.REJECTED),
    ([0, 0, 0, 0.26, 0.8, 2.3], Verdict.UNDECIDED), ([0, 0, 0, 0.26, 0.7, 2.5], Verdict.UNDECIDED),
    ([0, 0, 0, 0.24, 0.26, 0.8, 2.5], Verdict.REJECTED),
    # the first three are rounding if they do not grow 3 times, in units of their own
    ([1.1, 0, 0, 0.26, 0.28, 0.9, 3], Verdict.REJECTED),
    ([1, 0, 0, 0.26, 0.28, 0.9, 3], Verdict.UNDECIDED),
    ([1, 1, 1, 0.26, 0.28, 0.9, 3], Verdict.UNDECIDED),
    ([2, 1, 1, 4.1, 13, 40, 60], Verdict.REJECTED),
    ([2, 1, 1, 3.9, 13, 40, 60], Verdict.UNDECIDED),
    # less than a third of the one before: a kink that was passed
    ([0, 0, 0, 9, 2.9, 2.9], Verdict.REJECTED), ([0, 0, 0, 9, 4, 1.2], Verdict.REJECTED),
    ([0, 0, 0, 9, 4, 1.4], Verdict.UNDECIDED),
    # from t = 1/32 on F may be anything
    ([0] * 8 + [1, 1, 1], Verdict.REJECTED), ([0] * 7 + [1, 1, 1], Verdict.UNDECIDED),
])  # fmt: skip
def test_remainders_of_wrong_derivatives_settle(changes: list[float], verdict: Verdict) -> None:
    steps = 4.0 ** np.arange(13.0)
    over_t = 1e3 + np.cumsum([0.0, *changes, *[0.0] * (12 - len(changes))])
    assert known(*(steps * over_t), margin=8.0).verdict is verdict


@pytest.mark.parametrize(("over_t", "verdict"), [
    ([-9, -8, -7, -4, 1, 5, 20, 80], Verdict.UNDECIDED), ([-9, -4, 1, 5, 20, 80], Verdict.ACCEPTED),
    ([1, 1.7, 2.9, 1, 5, 20, 80], Verdict.UNDECIDED),
    ([1, 1.8, 3.2, 1, 5, 20, 80], Verdict.ACCEPTED),
])  # fmt: skip
def test_an_error_that_passes_through_zero_is_not_accepted_for_what_it_is_afterwards(
    over_t: list[float], verdict: Verdict
) -> None:
    """Order 2 at three steps in a row, and of order below 1.4 at two in a row before, or above."""
    assert known(*(4.0 ** np.arange(len(over_t)) * over_t)).verdict is verdict


def test_rounding_that_the_margin_misses_rejects_nothing_and_hides_little() -> None:
    """Values that are off by a thousand times the margin; a right derivative, and one 2% off."""
    verdicts = []
    for seed in range(40):
        jitter, size = np.random.default_rng(seed), 10.0 ** (-seed % 6 - 13)

        def value(t: float, jitter: Any = jitter, size: float = size) -> float:
            return 2.0 + t + 0.4 * t * t + size * jitter.normal()

        right = order_of("gradient", Curve(value, 1.0, 0.01), 2.0, 8e-3 * size)
        assert right.verdict is not Verdict.REJECTED, (seed, right)
        wrong = order_of("gradient", Curve(value, 1.02, 0.01), 2.0, 8e-3 * size)
        verdicts.append(wrong.verdict)
    assert Verdict.ACCEPTED not in verdicts
    assert verdicts.count(Verdict.REJECTED) >= 36  # noise may spoil one of three rates


def test_cells_far_from_the_origin_and_noisy_gradients_are_no_fault() -> None:
    """Edges that agree in six digits, and a gradient by differences."""
    far = jf.Quantiles.normal(340.0, 1e-4, 90)
    rough = jf.Potential(lambda x: (x**4).sum(axis=1))
    for seed in range(10):
        F = 0.1 * jf.Entropy() + 0.3 * jf.QuadraticInteraction(-0.1)
        assert check_functional(F, far, rng=seed).verdict is not Verdict.REJECTED
        mu = jf.Particles(0.3 * np.random.default_rng(seed).normal(size=(9, 4)))
        assert check_functional(3.0 * rough, mu, rng=seed).verdict is not Verdict.REJECTED


def test_entropy_on_a_mesh_is_convex_along_gradients_only() -> None:
    for seed in range(12):
        assert check_functional(jf.Entropy(), SQUARE, rng=seed).verdict is Verdict.ACCEPTED


def test_a_claim_everywhere_is_attacked_even_if_nothing_is_claimed_nearby() -> None:
    class Boastful(Quartic):
        def convexity_near(self, mu: Any, radius: float) -> float | None:
            return None

    mu = jf.Particles([[0.1], [0.2]])
    report = check_functional(Boastful(convexity=2.0), mu, rng=0)
    assert report["convexity"].verdict is Verdict.REJECTED


def test_a_functional_that_moves_its_measure_is_told_so() -> None:
    class Sneaky(Quartic):
        def value(self, mu: Any) -> float:
            found = super().value(mu)
            for name, value in vars(mu).items():
                if isinstance(value, np.ndarray) and value.ndim == 2:
                    mu.__dict__[name] = value * (1.0 + 1e-15)
            return found

    report = check_functional(Sneaky(), jf.Particles([[0.3], [0.7]]), rng=0)
    assert "changed" in " ".join(f.reason for f in report.findings if f.claim == "purity")


def test_findings_say_where() -> None:
    report = check_functional(jf.Entropy() + jf.QuadraticPotential(1.0), LINE, rng=0)
    where = [f.where for f in report.findings if f.claim in ("gradient", "first variation")]
    assert where == [*(f"direction {k}" for k in (1, 2, 3, 4, 5)),
                     *(f"mixture {k}" for k in (1, 2, 3, 4, 5, 6))]  # fmt: skip


class HalfEntropy(type(jf.Entropy())):  # type: ignore[misc]
    """An entropy whose pressure is wrong by a factor."""

    def energy_per_mass(self, log_density: Any) -> Any:
        return log_density, 0.5, 0.0


@pytest.mark.parametrize("mu", [LINE, SHELLS], ids=["line", "shells"])
def test_a_wrong_pressure_is_rejected_on_cells(mu: Any) -> None:
    report = check_functional(HalfEntropy(), mu, rng=0)
    assert report["gradient"].verdict is Verdict.REJECTED
    # δF/δρ = log ρ + ½ is log ρ + 1 up to a constant, hence right
    assert report["first variation"].verdict is Verdict.ACCEPTED


def test_the_measured_order_is_two_and_one() -> None:
    """For a functional with visible remainder the order itself is what is judged."""
    mu = jf.Particles([[1.0], [2.0]])
    found = check_functional(Quartic(factor=1.01), mu, rng=0)["gradient"]
    assert abs(found.measured - 1.0) < 0.005 and found.bound == pytest.approx(0.1)


@pytest.mark.parametrize("error", [ValueError("no"), ZeroDivisionError(), MemoryError()])
def test_whatever_a_functional_raises_becomes_a_finding(error: Exception) -> None:
    def V(x: Any) -> Any:
        raise error

    report = check_functional(jf.Potential(V), CLOUD, rng=0)
    assert report["evaluation"].verdict is Verdict.REJECTED
    assert type(error).__name__ in report["evaluation"].reason


def test_rounding_is_undecided_and_not_accepted() -> None:
    """A gradient that is wrong by a sign, hidden under a constant of 1e12."""
    F = jf.Potential(lambda x: 1e12 + 1e-6 * np.sin(x[:, 0]), gradient=lambda x: -1e-6 * np.cos(x))
    report = check_functional(F, jf.Particles([[0.3], [0.8]]), rng=0)
    assert report["gradient"].verdict is Verdict.UNDECIDED


def test_reports_do_not_change_with_the_seed_for_right_functionals() -> None:
    for seed in range(15):
        F = jf.free_energy(tanh_risk(1), lam=0.2, beta=3.0)
        assert check_functional(F, LINE, rng=seed).verdict is Verdict.ACCEPTED


def test_a_linear_functional_is_the_integral_of_a_function_of_one_point() -> None:
    """The judge evaluates linear terms at the points of many measures together."""

    class Quadratic(jf.QuadraticInteraction):
        linear = True

    mu = jf.Particles(np.random.default_rng(3).normal(size=(6, 2)))
    found = check_functional(Quadratic(1.0), mu)["linearity"]
    assert found.verdict is Verdict.REJECTED and "not the integral" in found.reason
    centred = jf.Potential(
        lambda x: ((x - x.mean(axis=0)) ** 2).sum(axis=1),
        gradient=lambda x: 2.0 * (x - x.mean(axis=0)),
    )
    assert check_functional(centred, mu)["linearity"].verdict is Verdict.REJECTED
    slope = 3.0 * jf.Potential(lambda x: x[:, 0])
    for F in (jf.QuadraticPotential(-2.0, center=[1.0, 3.0]), slope):
        assert check_functional(F, mu)["linearity"].verdict is Verdict.ACCEPTED
    assert "linearity" not in check_functional(jf.QuadraticInteraction(1.0), mu).claims
    large = check_functional(jf.QuadraticPotential(1.0) + 1e12 * Quadratic(1.0), mu)
    assert large["linearity"].verdict is Verdict.REJECTED  # F's rounding is not the term's


def test_of_the_pairs_that_bend_the_one_that_does_beyond_rounding_is_told() -> None:
    """V is concave near 0, and 10¹⁴ far away, where what ½ is lost in rounding."""
    V = jf.Potential(lambda x: np.where(np.abs(x[:, 0]) < 5.0, -0.5 * x[:, 0] ** 2, 1e14),
                     gradient=lambda x: -x, convexity=0.0)  # fmt: skip
    mu = jf.Particles([[-1.0], [1.0]])
    around = Around(V, evaluate(V, mu), np.random.default_rng(0))
    origin = np.array([[0.0], [9.0]])
    pair = [Companion(origin, np.full((2, 1), s), np.full(2, 0.5)) for s in (-1.0, 1.0)]
    around.__dict__["others"] = pair
    (found,) = claims.convexity_of_the_first_variation(around)
    assert found.verdict is Verdict.REJECTED and found.measured == 0.5


def test_a_claim_that_holds_near_the_measure_only_is_attacked_there() -> None:
    class Near(Quartic):
        """V'' = 12x² ≥ 3 where |x| ≥ ½; within 0.3 of ±1 that holds."""

        def __init__(self, modulus: float) -> None:
            super().__init__()
            self.modulus = modulus

        def convexity_near(self, mu: Any, radius: float) -> float | None:
            return self.modulus if radius < 0.2 else None

    mu = jf.Particles([[1.0], [-1.0]])  # of breadth 1: attacked within 1, and within 0.1
    assert "convexity" not in check_functional(Quartic(), mu, rng=0).claims
    report = check_functional(Near(3.0), mu, rng=0)
    assert report["convexity"].verdict is Verdict.ACCEPTED and "0.1" in report["convexity"].where
    assert check_functional(Near(14.0), mu, rng=0)["convexity"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("size", [1e-3, 1.0, 40.0])
def test_a_local_claim_is_asked_for_on_balls_of_the_breadth_and_of_a_tenth(size: float) -> None:
    asked: list[float] = []

    class Near(Quartic):
        def convexity_near(self, mu: Any, radius: float) -> float | None:
            asked.append(radius)
            return 0.0

    mu = jf.Particles([[size], [-size]])
    report = check_functional(Near(), mu, rng=0)
    assert report["convexity"].verdict is Verdict.ACCEPTED
    assert asked == pytest.approx([size, 0.1 * size], rel=1e-12)


def test_what_convexity_lacks_in_the_middle_and_how_that_rounds() -> None:
    """64ε of the absolute values, whatever their signs; beside an infinite end nothing lacks."""
    unit = policy.ROUNDING * policy.EPS
    for signs in np.array(list(itertools.product([1.0, -1.0], repeat=3))):
        a, b, c = signs * [2.0, 3.0, 5.0]
        assert claims.lacks((a, b), c) == (c - 0.5 * (a + b), unit * 10.0)
        assert claims.lacks((a, b), c, 7.0)[1] == unit * 17.0
    for ends in ((np.inf, 1.0), (1.0, np.inf)):
        assert claims.lacks(ends, 2.0)[0] == -np.inf


@pytest.mark.parametrize("modulus", [0.5, 1.0, 1.5])
def test_convexity_is_resolved_to_small_differences(modulus: float) -> None:
    """½|x|² is 1-convex and no more: a claim of 1 holds with equality, to rounding."""
    for mu in (CLOUD, LINE, NORMAL):
        F = jf.Potential(lambda x: 0.5 * (x**2).sum(axis=1), convexity=modulus)
        found = check_functional(F, mu, rng=1)["convexity"]
        assert (found.verdict is Verdict.ACCEPTED) == (modulus <= 1.0)
        if modulus > 1.0:  # excess ⅛(λ − 1)|v|², |v| at most twice the breadth
            assert found.measured <= 0.5 * (modulus - 1.0) * np.trace(np.atleast_2d(mu.cov()))
        F = jf.Potential(lambda x: 0.5 * (x**2).sum(axis=1), convexity=1.0 + 1e-7)
        assert check_functional(F, mu, rng=1)["convexity"].verdict is Verdict.REJECTED


def test_values_that_are_infinite_are_no_fault_but_nan_is() -> None:
    mu = jf.Particles([[0.2], [0.4]])

    class Ended(Quartic):
        """∫x⁴ dρ, something else where |x| > 0.41."""

        def value_at_points(self, x: Any, w: Any) -> float:
            return super().value_at_points(x, w) if (np.abs(x) < 0.41).all() else self.outside

    wall = Ended(convexity=0.0, outside=np.inf)
    assert check_functional(wall, mu, rng=0)["gradient"].verdict is Verdict.ACCEPTED
    assert check_functional(wall, mu, rng=0)["convexity"].verdict is Verdict.ACCEPTED
    report = check_functional(Ended(outside=np.nan), mu, rng=0)
    assert "NaN" in report["gradient"].reason and report["gradient"].verdict is Verdict.REJECTED


def test_a_wrong_pressure_and_a_wrong_potential_are_found_on_grids_and_meshes() -> None:
    class Twice(type(jf.Entropy())):  # type: ignore[misc]
        def slope(self, log_density: Any) -> Any:
            return 2.0 * super().slope(log_density)

    wrong = jf.Potential(lambda x: (x**2).sum(axis=1), gradient=lambda x: x)
    for mu in (BUMP, SQUARE):
        report = check_functional(wrong, mu, rng=0)
        assert report["gradient"].verdict is Verdict.REJECTED
        assert report["first variation"].verdict is Verdict.ACCEPTED
        assert check_functional(Twice(), mu, rng=0)["first variation"].verdict is Verdict.REJECTED


def test_the_same_directions_serve_all_tests_so_that_few_values_are_needed() -> None:
    calls = 0

    def V(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return (x**2).sum(axis=1)

    F = jf.Potential(V, gradient=lambda x: 2 * x, convexity=2.0, lower_bound=0.0)
    assert check_functional(F, CLOUD, rng=0).verdict is Verdict.ACCEPTED
    assert calls < 120  # thirteen scales in five directions would be 65 for the gradient alone


@pytest.mark.parametrize("junk", [None, 3.0, "F", np.ones(3), jf.Entropy])
def test_what_is_no_functional_or_no_measure_is_refused(junk: Any) -> None:
    with pytest.raises(InvalidFunctional, match=r"must be a functional.*@jkoflow\.functional"):
        check_functional(junk, CLOUD)
    with pytest.raises(InvalidMeasure, match=r"jkoflow\.Particles"):
        check_functional(jf.Entropy(), junk)
    with pytest.raises(InvalidProblem, match="seed"):
        check_functional(jf.QuadraticPotential(1.0), CLOUD, rng="seven")


def test_the_derivative_of_what_is_not_twice_differentiable_is_not_called_wrong() -> None:
    """|x|^1.5 has the derivative 0 at 0, where its remainder is of order 1.5."""
    power = jf.Potential(
        lambda x: (np.abs(x) ** 1.5).sum(axis=1),
        gradient=lambda x: 1.5 * np.sign(x) * np.sqrt(np.abs(x)),
    )
    cloud = jf.Particles([[0.0, 0.0], [1.0, 0.0], [0.0, -2.0]])
    for seed in range(20):
        found = jf.check_functional(power, cloud, rng=seed)["gradient"]
        assert found.verdict is not jf.Verdict.REJECTED, found
    wrong = jf.Potential(power.V, gradient=lambda x: 1e-3 + 1.5 * np.sign(x) * np.sqrt(np.abs(x)))
    assert jf.check_functional(wrong, cloud, rng=0)["gradient"].verdict is jf.Verdict.REJECTED


def test_a_kink_of_the_slope_that_rounding_hides_is_no_wrong_gradient() -> None:
    """max(x, 0)² near 0 beside a constant: over long ways the remainder is of order 1, over short
    ones of order 2, of which only the last step is above rounding."""
    width = 2.0**-17  # where values leave the parabola

    def value(t: float) -> float:
        return 2.0 + (t * t if t < width else width * (2.0 * t - width))

    curve = Curve(value, 0.0, 1e-3)
    for noise in 8.0 * value(width) * 2.0 ** np.arange(-6.0, 3.0):
        assert order_of("gradient", curve, 2.0, noise).verdict is not Verdict.REJECTED, noise
    wrong = Curve(lambda t: value(t) + 1e-5 * t, 0.0, 1e-3)
    assert order_of("gradient", wrong, 2.0, 1e-11).verdict is Verdict.REJECTED


def test_a_law_without_room_to_displace_it_is_undecided() -> None:
    """Simplices that have become flat turn over by rounding: that is no fault of F."""

    def no_room() -> None:
        raise jf.status.InvalidMeasure("24 simplices are turned over")

    assert guarded("gradient", no_room).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(("held", "every"), [(1, 1), (399, 1), (400, 2), (801, 3), (1999, 5)])
def test_a_grid_is_attacked_at_some_of_the_cells_that_hold_mass(held: int, every: int) -> None:
    """At 400 at most, evenly, with their shares of what is kept; obstacles are left out."""
    density = np.r_[np.zeros(5), np.linspace(1.0, 3.0, held), np.zeros(4)]
    mu = jf.Grid(density / density.sum(), 0.0, held + 9.0)
    wall = jf.Potential(lambda x: np.where(x[:, 0] < 3.0, np.inf, 0.0))
    V = jf.QuadraticPotential(1.0)
    F, points = on_some_cells(2.0 * V + wall + jf.Entropy(), mu)
    assert F.terms == ((2.0, V),)
    np.testing.assert_array_equal(points.points[:, 0], 5.5 + np.arange(held)[::every])
    assert len(points.weights) <= 400
    shares = density[5 : 5 + held : every]
    np.testing.assert_allclose(points.weights, shares / shares.sum(), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-12, 1.7e-12, 2.3e-12, 3.1e-12])
def test_a_term_is_known_to_the_rounding_of_f_over_its_coefficient(scale: float) -> None:
    """Of all laws with its second moment a round Gaussian has the least entropy, which it takes to
    rounding: of 600, while F is 10⁻¹²."""
    mu = jf.Gaussian(np.zeros(50), scale * np.eye(50))
    F = jf.QuadraticPotential(1.0) + 1e-12 * jf.Entropy()
    assert check_functional(F, mu, rng=0)["lower bound"].verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("c", [1e-12, 1.0, 1e12])
def test_a_false_bound_of_a_term_is_found_whatever_its_coefficient(c: float) -> None:
    """Too high by 10⁻⁹ of itself: the other terms are nothing beside it, or all."""
    V = jf.Potential(lambda x: 1e3 + 0.0 * x[:, 0], gradient=np.zeros_like, lower_bound=1e3 + 1e-6)
    small = jf.Particles(1e-6 * RNG.normal(size=(12, 2)))
    report = check_functional(jf.QuadraticPotential(1.0) + c * V, small, rng=0)
    assert report["lower bound"].verdict is Verdict.REJECTED, report.text()


@pytest.mark.parametrize("bandwidth", [1.0, 0.1, 0.02, 0.004])
@pytest.mark.parametrize("base", [BlobEntropy, partial(BlobPower, 1.05), partial(BlobPower, 3.0)])
def test_first_variations_of_blobs_that_hardly_overlap(base: Any, bandwidth: float) -> None:
    """At the companions p may be e^(-10^4): F is like t log t, of order 1.00, at every t there is.
    Nearer to the points it is not, and there one that is too long is seen."""
    for seed in range(6):
        mu = jf.Particles(np.random.default_rng(seed).normal(size=(12, 1 + seed % 3)))
        F = base(bandwidth)
        assert check_functional(F, mu, rng=seed)["first variation"].verdict is Verdict.ACCEPTED
        right = F.first_variation_at_points
        F.first_variation_at_points = lambda x, w, at, right=right: 1.01 * right(x, w, at)
        assert check_functional(F, mu, rng=seed)["first variation"].verdict is Verdict.REJECTED


def test_the_finding_says_how_near_first_variations_were_seen() -> None:
    report = check_functional(BlobEntropy(0.01), jf.Particles([[0.0], [1.0], [3.0]]), rng=0)
    where = {f.where for f in report.findings if f.claim == "first variation"}
    assert any("of its way" in said for said in where) and all("mixture" in said for said in where)
