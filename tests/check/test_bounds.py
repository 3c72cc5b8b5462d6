"""Each bound from both sides: steps whose error is known in closed form, just inside and outside.

One point x moves under F = a|x|²/2, whose step is X* = x/(1 + aτ). A point X* + δ has the residual
κδ and the gap κδ²/2 exactly, κ = a + 1/τ, so that δ can be chosen to meet any bound.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run, check_step
from jkoflow.check.evaluate import Noise, Rows, Stack
from jkoflow.check.minimality import BOUNDED, CLAIMED, farthest, minimality
from jkoflow.check.residual import Steps
from jkoflow.check.step import energy_inequality, stationarity
from jkoflow.check.transport import Transport, certify
from jkoflow.check.verdict import at_most
from jkoflow.measures.many import Laws
from jkoflow.record import Witness

A, TAU, X0 = 1.3, 1.7, 2.0
KAPPA = A + 1.0 / TAU
EXACT = X0 / (1.0 + A * TAU)
F = jf.QuadraticPotential(A)
ACCEPTED, REJECTED, UNDECIDED = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.UNDECIDED


def step_to(x: float, functional: Any = F, start: float = X0) -> Any:
    return check_step(functional, jf.Particles([start]), jf.Particles([x]), TAU)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_residual_of_a_ten_thousandth_of_the_slope(sign: float) -> None:
    """|κδ| = 10⁻⁴ |X − x|/τ; that rounding hides the energy of small residuals adds 10⁻³ of it."""
    for part, verdict in ((0.999, ACCEPTED), (1.002, REJECTED)):
        # |X − x| = x − X* − δ, so δ(κ + sign·10⁻⁴/τ) = sign·10⁻⁴ (x − X*)/τ
        size = part * 1e-4
        delta = sign * size * (X0 - EXACT) / TAU / (KAPPA + sign * size / TAU)
        found = step_to(EXACT + delta)["stationarity"]
        assert found.verdict is verdict, found
        assert found.measured == pytest.approx(KAPPA * abs(delta), rel=1e-11, abs=0)
        assert 1.0 <= found.bound / (found.measured / part) < 1.0018


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_gap_of_a_millionth_of_the_gain(sign: float) -> None:
    for part, verdict in ((0.999, ACCEPTED), (1.001, UNDECIDED)):
        delta = 0.0
        for _ in range(9):  # the gain, a(x² − X²)/2, depends on δ itself
            gain = 0.5 * A * (X0**2 - (EXACT + delta) ** 2)
            delta = sign * np.sqrt(2.0 * part * 1e-6 * gain / KAPPA)
        found = step_to(EXACT + delta)["minimality"]
        assert found.verdict is verdict, found
        # κδ is a difference of forces of order one
        assert found.measured == pytest.approx(0.5 * KAPPA * delta**2, rel=1e-11, abs=0)
        assert found.bound == pytest.approx(1e-6 * gain, rel=1e-7, abs=0)


@pytest.mark.parametrize(("part", "verdict"), [(1 - 1e-9, ACCEPTED), (1 + 1e-9, REJECTED)])
def test_a_step_twice_as_long_as_the_best_gains_nothing(part: float, verdict: Verdict) -> None:
    """The objective is symmetric about X*: at 2X* − x it is what staying costs."""
    found = step_to(X0 + part * 2.0 * (EXACT - X0))["energy"]
    assert found.verdict is verdict
    assert 0.0 < found.bound < 1e-12
    slope = 2.0 * KAPPA * (X0 - EXACT) ** 2  # d/dpart of κ(part·2(X* − x) + x − X*)²/2 at 1
    assert found.measured == pytest.approx(slope * (part - 1.0), rel=1e-5, abs=0)


def test_what_rounding_hides_is_no_fault_and_what_it_does_not_hide_is() -> None:
    """At the minimum there is no slope and nothing to gain: only rounding is allowed for.

    Energies of order one are known to some 10⁻¹⁴; a shift δ changes the objective by κδ²/2.
    """
    V = jf.Potential(lambda x: 1.0 + 0.5 * A * ((x - 1.0) ** 2).sum(axis=1),
                     gradient=lambda x: A * (x - 1.0), convexity=A)  # fmt: skip
    for delta, minimal, stationary in (
        (0.0, ACCEPTED, ACCEPTED), (1e-9, ACCEPTED, UNDECIDED), (1e-6, UNDECIDED, REJECTED),
    ):  # fmt: skip
        report = step_to(1.0 + delta, V, 1.0)
        assert report["minimality"].verdict is minimal, report.text()
        assert report["stationarity"].verdict is stationary, report.text()
        assert report["energy"].verdict is (ACCEPTED if delta < 1e-7 else REJECTED)


def test_rounding_of_energies_counts_that_of_both_measures() -> None:
    """Far away energies are large, and known less well; either end of a step may be far."""
    bounds = {}
    for start, end in ((1.0, 1.0), (1e3, 1.0), (1.0, 1e3)):
        report = step_to(end, start=start)
        bounds[start, end] = report["energy"].bound
    assert bounds[1e3, 1.0] > 1e5 * bounds[1.0, 1.0]
    assert bounds[1.0, 1e3] > 1e5 * bounds[1.0, 1.0]


# the table of docs/acceptance.md, term by term, on steps with made-up numbers

MU, BETA, LONG = 3e-7, 2e-5, 5.0
EPS = 2.0**-52


def made(*, old: dict[str, float], new: dict[str, float], r: float = 0.0, w2: float = 0.0,
         size: float = 0.0, spread: float = 0.0, functional: Any = F) -> Steps:  # fmt: skip
    """A step of which only the given numbers are not zero; τ and κ are those above."""
    laws = Laws([jf.Particles([0.0])])
    rows = [Rows(*(np.array([row.get(name, 0.0)]) for name in Rows._fields)) for row in (old, new)]
    none = Noise(0.0, 0.0, (0.0, 0.0))
    here = Stack(laws, np.full((1, 1, 1), r), np.array([size]), rows[1], none)
    transport = Transport(np.array([w2**2]), np.zeros((1, 1, 1)), np.array([spread]), np.zeros(1),
                          at_most("transport", 0.0, 0.0))  # fmt: skip
    residual = np.array([r])
    return Steps(functional, laws, rows[0], here, np.array([TAU]), transport, residual, residual,
                 residual, (), 0)  # fmt: skip


def flips(judge: Callable[[Steps], Any], field: str, bound: float, otherwise: Verdict,
          above: float = 1e-9, **numbers: Any) -> None:  # fmt: skip
    """It is accepted just below the bound of ``field`` and not just above."""
    for part, verdict in ((1 - 1e-9, ACCEPTED), (1 + above, otherwise)):
        given = {"old": {}, "new": {}, **numbers, field: part * bound}
        assert judge(made(**given)).verdict is verdict, (field, part, numbers)


def test_findings_about_many_steps_name_them() -> None:
    assert {f.where for f in step_to(EXACT).findings} == {""}  # one step has no number
    found = at_most("transport", 0.0, 1.0, where="W2")
    for first, many, where in ((5, 3, "steps 5 to 7, W2"), (5, 1, "step 5, W2"), (0, 3, "W2")):
        s = dataclasses.replace(made(old={}, new={}), tau=np.ones(many), first=first)
        assert s.somewhere(found).where == where


def test_the_residual_may_be_of_the_size_of_each_rounding_error() -> None:
    def limit(bound: float, **numbers: Any) -> None:
        """Above by more than the 10⁻⁶ by which a kink is looked for."""
        flips(stationarity, "r", bound, REJECTED, 1e-5, **numbers)

    limit(BETA, new={"blur": BETA}, size=1.0)
    limit(1e-4 * 2.0 / TAU, w2=2.0)
    for side in ("old", "new"):
        limit(8.0 * EPS * LONG / TAU, **{side: {"extent": LONG}})
    limit(8.0 * EPS * 3.0 * LONG / TAU, old={"extent": 2.0 * LONG}, new={"extent": LONG})
    limit(BETA + 2e-4 / TAU, new={"blur": BETA}, size=1.0, w2=2.0)


def test_a_residual_that_the_energy_cannot_see_is_no_fault_and_no_step() -> None:
    """It lowers the objective by r²τ/2, of which a sixteenth of μ cannot be seen."""
    unseen = np.sqrt(2.0 * MU / 16.0 / TAU)
    for r, verdict in ((1e-6 * unseen, UNDECIDED), ((1 - 1e-9) * unseen, UNDECIDED),
                       ((1 + 1e-5) * unseen, REJECTED)):  # fmt: skip
        found = stationarity(made(old={}, new={"margin": MU}, r=r))
        assert found.verdict is verdict, (r, found)


def test_a_residual_that_rounding_hides_decides_nothing() -> None:
    """β above a thousandth of the gradients and above what moves points by 10⁻⁹ of themselves."""

    def hides(bound: float, **numbers: Any) -> None:
        for part, verdict in ((1 - 1e-9, ACCEPTED), (1 + 1e-9, UNDECIDED)):
            new = {**numbers.get("new", {}), "blur": part * bound}
            found = stationarity(made(**{"old": {}, **numbers, "new": new}))
            assert found.verdict is verdict, (part, numbers)

    hides(1e-3 * 0.7, size=0.7)
    hides(1e-3 * 2.0 / TAU, w2=2.0)
    hides(1e-3 * (0.7 + 2.0 / TAU), size=0.7, w2=2.0)
    hides(1e-9 * LONG / TAU, old={"extent": LONG})
    hides(1e-9 * LONG / TAU, new={"extent": LONG})
    hides(1e-3 * 0.7 + 1e-9 * LONG / TAU, size=0.7, old={"extent": LONG})


def test_the_gap_may_be_of_the_size_of_each_rounding_error() -> None:
    def limit(bound: float, **numbers: Any) -> None:
        flips(minimality, "r", np.sqrt(2.0 * KAPPA * bound), UNDECIDED, **numbers)

    limit(1e-6 * 0.9, old={"energy": 1.2}, new={"energy": 0.3})
    limit(MU, old={"margin": MU})
    limit(MU, new={"margin": MU})
    limit(BETA**2 / KAPPA, new={"blur": BETA})
    # an energy that rises makes no room
    limit(MU, old={"margin": MU}, new={"energy": 1.0})


def test_the_spread_of_a_coupling_adds_to_the_residual() -> None:
    """(r² + spread/τ²)/(2κ)."""
    for r in (0.0, 3e-4):
        found = minimality(made(old={"energy": 1.0}, new={}, r=r, spread=1e-8))
        true = (r**2 + 1e-8 / TAU**2) / (2.0 * KAPPA)
        assert found.measured == pytest.approx(true, rel=1e-12, abs=0)


def test_an_energy_may_rise_by_its_rounding() -> None:
    def limit(room: float, w2: float = 0.0, **rows: dict[str, float]) -> None:
        """What W2²/(2τ) leaves of the energy, and ``room`` more or less."""
        for part, verdict in ((1 - 1e-8, ACCEPTED), (1 + 1e-8, REJECTED)):
            left = rows.get("old", {}).get("energy", 0.0) - w2**2 / (2.0 * TAU)
            new = {**rows.get("new", {}), "energy": left + part * room}
            found = energy_inequality(made(**{"old": {}, **rows, "new": new}, w2=w2))
            assert found.verdict is verdict, (part, rows)

    limit(MU, old={"margin": MU})
    limit(MU, new={"margin": MU})
    limit(MU, w2=2.0, old={"energy": 2.0, "margin": MU})
    # W2 is known to b = 64ε(‖X‖ + ‖x‖), hence W2² to (W2 + b)² − W2²
    big = 1e9
    b = 64.0 * EPS * big
    for side in ("old", "new"):
        limit(b**2 / (2.0 * TAU), **{side: {"extent": big}})
        limit((4.0 * b + b**2) / (2.0 * TAU), w2=2.0, **{side: {"extent": big}})


@pytest.mark.parametrize(("least", "root"), [
    (lambda w: -0.7, lambda e, tau: np.sqrt(2 * tau * (e + 0.7))),
    (lambda w: 0.4, lambda e, tau: np.sqrt(2 * tau * (e - 0.4))),
    (lambda w: -3.0 * w, lambda e, tau: 3 * tau + np.sqrt(9 * tau**2 + 2 * tau * e)),
    (lambda w: -w * w, lambda e, tau: np.sqrt(2 * tau * e / (1 - 2 * tau))),
])  # fmt: skip
@pytest.mark.parametrize("start", [0.0, 0.3])
def test_how_far_a_better_measure_can_be(least: Any, root: Any, start: float) -> None:
    """The largest w with L(w) + w²/(2τ) ≤ level, where it has a closed form: never less."""
    tau, level = 0.2, 0.9
    asked: list[float] = []
    F_: Any = SimpleNamespace(lower_bound_near=lambda mu, w: asked.append(w) or least(w))
    found = farthest(F_, None, level, start**2, tau)
    true = root(level, tau)
    assert found is not None and true * (1 - 1e-12) <= found < 1.002 * true
    assert start == 0.0 or len(asked) < 30  # a bound may be dear, and a thousandth is enough


def test_where_no_bound_holds_any_measure_may_be_better() -> None:
    for answers in (lambda w: -np.inf, lambda w: np.nan):
        F_ = SimpleNamespace(lower_bound_near=lambda mu, w, f=answers: f(w))
        assert farthest(F_, None, 1.0, 0.0, 0.1) is None  # type: ignore[arg-type]
    # no bound, or one at μ itself and none around it: the ball is all of space
    nowhere, here = (lambda w: None), (lambda w: None if w else 0.0)
    for answers in (nowhere, here, lambda w: -np.inf if w else 0.0):
        F_ = SimpleNamespace(lower_bound_near=lambda mu, w, f=answers: f(w))
        assert farthest(F_, None, 1.0, 0.0, 0.1) == np.inf  # type: ignore[arg-type]


def test_a_local_modulus_is_asked_for_on_the_ball_that_holds_every_minimiser() -> None:
    """Radius W2 + √(2τ(F(ρ⁺) + W2²/(2τ) − L)) about ρ⁺, and a modulus there is enough."""
    asked: list[float] = []
    V = jf.Potential(lambda x: 0.5 * A * (x * x).sum(axis=1), gradient=lambda x: A * x,
                     lower_bound=-0.3)  # fmt: skip

    def near(mu: Any, radius: float) -> float:
        asked.append(radius)
        return A

    V.convexity_near = near  # type: ignore[method-assign]
    report = step_to(EXACT, V)
    assert report.verdict is ACCEPTED
    w2 = X0 - EXACT
    level = 0.5 * A * EXACT**2 + w2**2 / (2.0 * TAU)
    true = w2 + np.sqrt(2.0 * TAU * (level + 0.3))
    assert len(asked) == 1 and true <= asked[0] < 1.002 * true
    assert report.assumptions[-2:] == (CLAIMED, BOUNDED)


def test_without_any_convexity_left_there_is_no_number() -> None:
    """κ = 1/τ + λ = 0: every point is as stationary as every other, and a gap is not bounded."""
    flat = check_step(jf.QuadraticPotential(-1.0), jf.Particles([1.0]), jf.Particles([2.0]), 1.0)
    assert flat["minimality"].verdict is UNDECIDED and np.isnan(flat["minimality"].measured)
    assert flat["stationarity"].measured == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["old", "new"])
def test_the_ball_is_larger_by_what_energies_are_not_known_to(name: str) -> None:
    asked: list[float] = []
    V = jf.Potential(lambda x: x[:, 0], lower_bound=0.0)

    def near(mu: Any, radius: float) -> float:
        asked.append(radius)
        return A

    V.convexity_near = near  # type: ignore[method-assign]
    rows: dict[str, dict[str, float]] = {"old": {}, "new": {"energy": 0.5}}
    rows[name]["margin"] = 0.2
    minimality(made(**rows, w2=2.0, functional=V))
    true = 2.0 + np.sqrt(2.0 * TAU * (0.5 + 0.2 + 2.0**2 / (2.0 * TAU)))
    assert true * (1 - 1e-12) <= asked[0] < 1.002 * true


# transport


def pair(shift: float) -> tuple[jf.Particles, jf.Particles]:
    """Two points of the plane, both moved by (shift, 0); W2 = shift, by potentials f = −2s·x."""
    x = np.array([[0.0, 0.0], [0.25, 0.125]])
    return tuple(jf.Particles(y, [0.25, 0.75]) for y in (x + np.array([shift, 0.0]), x))  # type: ignore[return-value]


def potentials(after: Any, before: Any, shift: float) -> dict[str, Any]:
    f = 2.0 * shift * (after.points[:, 0] - shift) + shift**2
    g = -2.0 * shift * before.points[:, 0]
    return {"order": np.arange(2), "f": f, "g": g}


def proved(spoil: Callable[[dict[str, Any]], None]) -> Any:
    after, before = pair(8.0)
    arrays = potentials(after, before, 8.0)
    spoil(arrays)
    found = certify(after, before, Witness("pairing", arrays))
    return found.finding if isinstance(found, Transport) else found


@pytest.mark.parametrize("name", ["f", "g"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_potentials_may_miss_a_billionth_of_the_cost(name: str, sign: float) -> None:
    """Lowered by δ their value is short by δ; raised by δ, they exceed the cost by as much."""
    squared = 64.0
    for part, verdict in ((0.9995, ACCEPTED), (1.0005, REJECTED)):

        def spoil(arrays: dict[str, Any], part: float = part) -> None:
            arrays[name] = arrays[name] + sign * part * 1e-9 * squared

        found = proved(spoil)
        assert found.verdict is verdict, found
        assert found.bound == pytest.approx(1e-9 * squared, rel=4e-4, abs=0)  # the rest is rounding


def test_one_potential_too_high_counts_with_its_mass() -> None:
    """f_1 + g_1 exceeds |X_1 − x_1|² by δ, at a mass of ¾."""
    for sign in (1.0, -1.0):
        found = proved(lambda arrays, d=sign * 1e-6: arrays.update(f=arrays["f"] + [0.0, d]))
        assert found.measured == pytest.approx(0.75e-6, abs=1e-11)  # |x|² = 64 rounds to 10⁻¹²


@pytest.mark.parametrize("where", [0, 1])
def test_potentials_round_with_their_size_and_that_of_the_points(where: int) -> None:
    """256ε Σw(|f| + |x|²) of either side, f and x about their means: all there is if W2 = 0."""
    x, w = np.array([[0.0, 0.0], [4.0, 0.0]]), np.array([0.25, 0.75])
    mu = jf.Particles(x, w)
    f = np.array([0.0, 8.0])  # both ways between points of distance 4, so f + g ≤ 16
    f, g = (f, -f) if where == 0 else (-f, f)
    found = certify(mu, mu, Witness("pairing", {"order": np.arange(2), "f": f, "g": g}))
    assert isinstance(found, Transport)
    spread = w @ np.abs(f - w @ f)  # f ↦ f − Σwf, g ↦ g + Σwf
    squares = w @ ((x - w @ x) ** 2).sum(axis=1)
    assert found.finding.verdict is ACCEPTED
    true = 256 * EPS * 2.0 * (spread + squares)
    assert found.finding.bound == pytest.approx(true, rel=1e-12, abs=0)


@pytest.mark.parametrize("std", [1e-3, 1.0, 1e3])
def test_a_map_onto_a_point_may_leave_what_rounding_leaves_of_a_variance(std: float) -> None:
    """(δσ)² ≤ εσ², whatever the unit of length."""
    for part, verdict in ((1 - 1e-6, ACCEPTED), (1 + 1e-6, REJECTED)):
        witness = Witness("symmetric-map", {"matrix": np.array([[part * np.sqrt(EPS)]])})
        found = certify(jf.Gaussian(0.0, std**2), jf.Gaussian(0.0, 0.0), witness)
        assert isinstance(found, Transport) and found.finding.verdict is verdict


@pytest.mark.parametrize("change", ["moved", "raised"])
def test_rounding_of_potentials_does_not_depend_on_the_origin(change: str) -> None:
    """Far from the origin, or with a constant added to f and taken from g, all is as before."""
    after, before = pair(0.5)
    arrays = potentials(after, before, 0.5)
    here = certify(after, before, Witness("pairing", arrays))
    if change == "moved":  # numbers with few digits, so that differences are exact
        after, before = (jf.Particles(m.points + 2.0**20, m.weights) for m in (after, before))
    else:
        arrays |= {"f": arrays["f"] + 2.0**20, "g": arrays["g"] - 2.0**20}
    there = certify(after, before, Witness("pairing", arrays))
    assert isinstance(here, Transport) and isinstance(there, Transport)
    assert there.finding.verdict is ACCEPTED
    assert there.finding.bound == pytest.approx(here.finding.bound, rel=1e-3, abs=0)


@pytest.mark.parametrize(("part", "verdict"), [(0.9, ACCEPTED), (1.2, REJECTED)])
def test_masses_of_a_coupling_may_be_off_by_a_trillionth(part: float, verdict: Verdict) -> None:
    """10⁻¹² of each mass, and one unit of rounding: 10⁻³ of it here."""
    after, before = pair(0.5)
    arrays = potentials(after, before, 0.5)
    del arrays["order"]
    k = np.arange(2)
    for j in k:
        values = after.weights.copy()
        values[j] *= 1.0 + part * 1e-12
        witness = Witness("coupling", {**arrays, "rows": k, "columns": k, "values": values})
        found = certify(after, before, witness)
        finding = found.finding if isinstance(found, Transport) else found
        assert finding.verdict is verdict, finding


NARROW, WIDE = np.diag([1.0, 4.0]), np.diag([4.0, 9.0])
MAP = np.diag([2.0, 1.5])


@pytest.mark.parametrize(("spoil", "verdict"), [
    # all lengths are δ too long, W2 = δ(tr Σ)^½, against 10⁻¹⁰(tr Σ)^½ and 16ε‖Σ‖ in each variance
    (MAP * (1 + 0.99e-10), ACCEPTED), (MAP * (1 + 1.01e-10), REJECTED),
    # |A − Aᵀ| = 2δ against 10⁻¹² max|A|
    (MAP + 0.9e-12 * np.array([[0, 1], [-1, 0]]), ACCEPTED),
    (MAP + 1.1e-12 * np.array([[0, 1], [-1, 0]]), REJECTED),
])  # fmt: skip
def test_how_exact_a_map_has_to_be(spoil: Any, verdict: Verdict) -> None:
    found = certify(jf.Gaussian([0.0, 0.0], NARROW), jf.Gaussian([1.0, 0.0], WIDE),
                    Witness("symmetric-map", {"matrix": spoil}))  # fmt: skip
    finding = found.finding if isinstance(found, Transport) else found
    assert finding.verdict is verdict, finding
    if isinstance(found, Transport):  # |m − m_k|² + Σ (s_k − s)², and X − T(X) has that length
        assert found.squared[0] == pytest.approx(1.0 + 1.0 + 1.0, rel=1e-9, abs=0)


@pytest.mark.parametrize(("off", "verdict"), [
    (0.0, ACCEPTED), (0.9e-13, UNDECIDED), (1.1e-13, REJECTED)
])  # fmt: skip
def test_of_a_step_below_rounding_a_map_that_is_right_to_rounding_proves_nothing(
    off: float, verdict: Verdict
) -> None:
    """10⁻⁶ W2 of nothing is nothing; but 10⁻¹³ of the breadth no decomposition can promise."""
    mu = jf.Gaussian([0.0, 0.0], WIDE)
    witness = Witness("symmetric-map", {"matrix": (1.0 + off) * np.eye(2)})
    found = certify(mu, mu, witness)
    finding = found.finding if isinstance(found, Transport) else found
    assert finding.verdict is verdict, finding


@pytest.mark.parametrize(("least", "verdict"), [
    (0.0, ACCEPTED), (-0.9e-12, ACCEPTED), (-1.1e-12, REJECTED), (-1.0, REJECTED)
])  # fmt: skip
def test_how_negative_the_eigenvalues_of_a_map_may_be(least: float, verdict: Verdict) -> None:
    """Nothing has to be known of the map where the new law has no extent, but A ⪰ −10⁻¹² max|A|."""
    matrix = np.diag([1.0, least])
    flat = np.diag([1.0, 0.0])
    found = certify(jf.Gaussian([0.0, 0.0], flat), jf.Gaussian([0.0, 0.0], flat),
                    Witness("symmetric-map", {"matrix": matrix}))  # fmt: skip
    finding = found.finding if isinstance(found, Transport) else found
    assert finding.verdict is verdict, finding


# membership


def raw(measure: Any, **arrays: Any) -> Any:
    """A measure whose private arrays are spoilt behind its constructor's back."""
    spoilt = copy.copy(measure)
    spoilt.__dict__.update(arrays)
    return spoilt


@pytest.mark.parametrize("which", ["before", "after"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_all_weights_may_be_off_by_a_trillionth(which: str, sign: float) -> None:
    """10⁻¹² + nε, of which the second is 10⁻³ of the first here."""
    x = np.linspace(0.0, 1.0, 4)
    for part, verdict in ((0.99, ACCEPTED), (1.01, REJECTED)):
        good = jf.Particles(x)
        off = raw(good, _weights=good.weights * (1.0 + sign * part * 1e-12))
        pair_ = (off, good) if which == "before" else (good, off)
        found = check_step(F, *pair_, TAU)["membership"]
        assert found.verdict is verdict, found


def test_many_weights_may_round_more() -> None:
    """A sum of n numbers may be off by nε: 2·10⁻¹² at n = 10⁴."""
    n = 10_000
    good = jf.Particles(np.linspace(0.0, 1.0, n))
    for part, verdict in ((2.9e-12, ACCEPTED), (3.5e-12, REJECTED)):
        off = raw(good, _weights=good.weights * (1.0 + part))
        assert check_step(F, good, off, TAU)["membership"].verdict is verdict


@pytest.mark.parametrize("which", ["before", "after"])
def test_a_radius_is_not_negative(which: str) -> None:
    """Not even the least of them, and not by the last digit; 0 is one."""
    good = jf.Radial([0.0, 1.0, 2.0], 3)
    for least, verdict in ((0.0, ACCEPTED), (-5e-324, REJECTED), (-0.5, REJECTED)):
        off = raw(good, _edges=np.array([least, 1.0, 2.0]))
        pair_ = (off, good) if which == "before" else (good, off)
        found = check_step(F, *pair_, TAU)["membership"]
        assert found.verdict is verdict and ("radius" in found.reason) == (least < 0), found


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("which", ["before", "after"])
def test_eigenvalues_are_those_of_the_covariance_to_rounding(which: str, dim: int) -> None:
    """64εd, relatively."""
    good = jf.Gaussian(np.zeros(dim), np.diag(np.arange(1.0, dim + 1.0)))
    values, vectors = good.eigen
    for part, verdict in ((0.9, ACCEPTED), (1.1, REJECTED)):
        off = good.with_eigen(values * (1.0 + part * 64 * EPS * dim), vectors)
        pair_ = (off, good) if which == "before" else (good, off)
        found = check_step(F, *pair_, TAU)["membership"]
        assert found.verdict is verdict and ("eigen" in found.reason) == (part > 1.0), found


# what a run says of itself


def told(spoil: Callable[[Any], Any]) -> Any:
    """A run of one point, with a record changed."""
    problem = jf.Problem(F, jf.Particles([X0]), tau=TAU, steps=3)
    run = jf.flow(problem)
    record = dataclasses.replace(run.records[1], **spoil(run.records[1]))
    run.records[1] = record
    run.taken[1] = run.taken[1]._replace(energy=record.energy, time=record.time)
    return check_run(problem, run)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize(("field", "claim"), [
    ("energy", "stored energy"), ("distance_squared", "stored distance"), ("time", "time"),
])  # fmt: skip
def test_numbers_may_be_said_to_a_hundred_billionth(field: str, claim: str, sign: float) -> None:
    """10⁻¹¹ of the number, and the rounding of either: some 10⁻¹⁴."""
    for part, verdict in ((0.98, ACCEPTED), (1.02, REJECTED)):
        report = told(lambda r, p=part: {field: getattr(r, field) * (1.0 + sign * p * 1e-11)})
        assert report[claim].verdict is verdict, report.text()


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_map_that_misses_by_a_length_leaves_a_square_open(unit: float, sign: float) -> None:
    """AΣ⁺A may be off by δ in W2, and then W2² is known to 2δW2 + δ²: in all units alike."""
    wide, miss = unit**2 * np.diag([1.3, 0.4]), 6e-11
    problem = jf.Problem(F, jf.Gaussian(np.zeros(2), wide), tau=TAU, steps=1)
    run = jf.flow(problem)
    record = run.records[0]
    matrix = (1.0 + miss) * record.witness.arrays["matrix"]
    squared = ((1.0 - matrix.diagonal()) ** 2 * np.diag(record.measure.cov())).sum()
    off = miss * np.sqrt(np.trace(wide))
    left = 2.0 * off * np.sqrt(squared) + off**2
    for part, verdict in ((0.99, UNDECIDED), (1.08, REJECTED)):  # 10⁻¹¹W2² is 0.06 of it
        said = squared + sign * part * left
        run.records[0] = dataclasses.replace(
            record, distance_squared=said, witness=Witness("symmetric-map", {"matrix": matrix})
        )
        report = check_run(problem, run)
        assert report["transport"].verdict is ACCEPTED
        assert report["stored distance"].verdict is verdict, report.text()
