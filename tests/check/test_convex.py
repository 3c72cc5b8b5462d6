"""What λ-convexity implies holds at every point, minimiser or not, and catches false claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run
from jkoflow.check.convex import Dissipation, Reference, against, modulus, slope_decay
from jkoflow.check.evaluate import Noise, stack
from jkoflow.check.residual import Steps, steps_of
from jkoflow.measures.many import Laws
from jkoflow.record import Witness

NOISE = Noise(1e-14, 1e-13, (1.0, 1.0))  # as measured for these functionals
EXTRA = ["slope decay", "evolution variational inequality", "contraction", "energy dissipation"]


def steps(F: Any, before: Any, after: Any, tau: float, witness: Any = None) -> Steps:
    """A step between any two measures."""
    old, new = (stack(F, Laws([mu]), NOISE) for mu in (before, after))
    return steps_of(F, old.laws, old.rows, new, np.array([tau]), [witness])


def law(rng: np.random.Generator, kind: str) -> Any:
    start = rng.normal() if kind == "quantiles" else 0.0
    edges = start + np.cumsum(rng.exponential(size=9))
    return jf.Quantiles(edges) if kind == "quantiles" else jf.Radial(edges - edges[0], 3)


@pytest.mark.parametrize("kind", ["quantiles", "radial"])
@pytest.mark.parametrize("lam", [0.0, 1.6, -0.5])
def test_they_hold_between_any_measures_with_the_residual(kind: str, lam: float) -> None:
    """The proofs never use that X is a minimiser: random X with large r must obey them."""
    rng = np.random.default_rng(5)
    F = jf.Entropy() / 2 + jf.QuadraticPotential(lam) + jf.PowerEnergy(2.0)
    worst = -np.inf
    for _ in range(60):
        x, X, nu = (law(rng, kind) for _ in range(3))
        tau = 10.0 ** rng.uniform(-2, 0.3)
        s = steps(F, x, X, tau)
        other = Reference(nu, stack(F, Laws([nu]), NOISE).rows)
        found = [slope_decay(s, lam), *against(s, lam, other)]
        halves = Dissipation()
        halves.add(s, lam)
        found += halves.findings(F.value(x) - F.value(X))
        assert all(f.verdict is Verdict.ACCEPTED for f in found), found
        worst = max(worst, found[1].measured / abs(found[1].bound + F.value(nu)))
    assert worst > -30.0  # and not because they say next to nothing


@pytest.mark.parametrize("d", [1, 3])
def test_they_hold_for_couplings_that_split_points(d: int) -> None:
    rng = np.random.default_rng(6)
    F = jf.QuadraticPotential(0.8) + jf.QuadraticInteraction(0.5)
    lam = modulus(F, jf.Particles([0.0]))
    assert lam is not None
    for _ in range(30):
        x, X = jf.Particles(rng.normal(size=(5, d))), jf.Particles(rng.normal(size=(4, d)))
        from jkoflow.transport.distances import squared_distances
        from jkoflow.transport.exact import optimal_coupling

        best = optimal_coupling(squared_distances(X.points, x.points), X.weights, x.weights)
        names = ("rows", "columns", "values", "f", "g")
        witness = Witness("coupling", {name: np.asarray(getattr(best, name)) for name in names})
        s = steps(F, x, X, 0.3, witness)
        halves = Dissipation()
        halves.add(s, lam)
        found = [slope_decay(s, lam), *halves.findings(F.value(x) - F.value(X))]
        assert all(f.verdict is Verdict.ACCEPTED for f in found), found


@pytest.mark.parametrize(("lam", "kind"), [(1.1, "quantiles"), (1.1, "particles"), (3.0, "line")])
def test_a_false_modulus_contradicts_the_run(lam: float, kind: str) -> None:
    """|x|²/2 is 1-convex and no more; a run that is right in all else shows it."""
    F = jf.Potential(
        lambda x: 0.5 * (x * x).sum(axis=1), gradient=lambda x: np.array(x), convexity=lam
    )
    rng = np.random.default_rng(0)
    mu = {
        "quantiles": jf.Quantiles.normal(0.5, 1.0, 20),
        "particles": jf.Particles(rng.normal(size=(6, 2))),
        "line": jf.Quantiles.normal(0.5, 1.0, 20),
    }[kind]
    problem = jf.Problem(F, mu, tau=0.2, steps=5)
    report = check_run(problem, jf.flow(problem))
    assert report["stationarity"].verdict is Verdict.ACCEPTED
    assert report["slope decay"].verdict is Verdict.REJECTED, report.text()
    assert report["energy dissipation"].verdict is Verdict.REJECTED
    if kind != "particles":
        assert report["evolution variational inequality"].verdict is Verdict.REJECTED
        assert report["contraction"].verdict is Verdict.REJECTED


X0 = jf.Quantiles([-1.0, 0.3, 0.7, 2.0], [0.2, 0.5, 0.3])
LAM, TAU = 1.6, 0.7


def dilated(delta: float, lam: float = LAM, tau: float = TAU) -> tuple[Any, Steps]:
    """λ|x|²/2, whose step is x ↦ x/(1 + λτ), and one that is off by a factor of 1 + δ."""
    F = jf.QuadraticPotential(lam)
    X = X0.with_edges((1.0 + delta) * X0.edges / (1.0 + lam * tau))
    return F, steps(F, X0, X, tau)


def size(edges: Any) -> float:
    return float(np.sqrt(X0.weights @ edges**2))


@pytest.mark.parametrize("delta", [0.0, 0.01, -0.01])
@pytest.mark.parametrize("lam", [LAM, -0.4])
@pytest.mark.parametrize("scale", [0.0, 0.9, 2.0])
def test_for_quadratics_they_are_equalities(delta: float, lam: float, scale: float) -> None:
    """All vectors are multiples of x, so that each inequality is one or misses by 2r times a
    distance, as the signs are; λ a little larger is contradicted, a little smaller is not."""
    F, s = dilated(delta, lam)
    X = s.new.laws.measures[0]
    nu = X0.with_edges(scale * X0.edges)
    other = Reference(nu, stack(F, Laws([nu]), NOISE).rows)
    kappa, r, far = 1.0 / TAU + lam, float(s.r[0]), size(X.edges - nu.edges)
    assert r == pytest.approx(kappa * abs(delta) / (1.0 + lam * TAU) * size(X0.edges), abs=1e-14)
    decay, (evi, contraction) = slope_decay(s, lam), against(s, lam, other)
    assert decay.measured == pytest.approx(-2.0 * r if delta * lam > 0 else 0.0, abs=1e-13)
    towards = delta * (scale - (1.0 + delta) / (1.0 + lam * TAU))  # the sign of ⟨ξ, ν − X⟩
    assert evi.measured == pytest.approx(-2.0 * r * far if towards > 0 else 0.0, abs=1e-13)
    exact = [decay, evi]
    if scale == 0.0:
        assert contraction.measured == pytest.approx(-2.0 * r if delta < 0 else 0.0, abs=1e-13)
        exact.append(contraction)
    for found in (decay, evi, contraction):
        assert found.verdict is Verdict.ACCEPTED and 0.0 < found.bound < 1e-10
    if delta == 0.0:  # 10⁻⁸ of λ changes them by 10⁻⁹, and margins are 10⁻¹²
        false = [slope_decay(s, lam + 1e-8), *against(s, lam + 1e-8, other)]
        assert all(f.verdict is Verdict.REJECTED for f in false[: len(exact)])
        true = [slope_decay(s, lam - 1e-8), *against(s, lam - 1e-8, other)]
        assert all(f.verdict is Verdict.ACCEPTED for f in true)


@pytest.mark.parametrize("delta", [0.0, 0.01, -0.01])
def test_the_halves_of_the_dissipation_in_closed_form(delta: float) -> None:
    """F(x) − F(X) less the first half is 2rW2, the second less it τ(‖∇δF(x)‖ − W2/τ)²/2."""
    halves, spent, after, before, paid, room = Dissipation(), 0.0, 0.0, 0.0, 0.0, 0.0
    for tau in (0.7, 0.2):
        F, s = dilated(delta, tau=tau)
        w2 = float(np.sqrt(s.transport.squared[0]))
        alone = Dissipation()
        alone.pay(s)
        room += alone.room
        halves.pay(s)
        halves.add(s, LAM)
        spent += F.value(X0) - F.value(s.new.laws.mu)
        after += 2.0 * float(s.r[0]) * w2
        before += 0.5 * tau * (LAM * size(X0.edges) - w2 / tau) ** 2
        paid += w2**2 / (2.0 * tau)
    found = halves.findings(spent)
    assert halves.count == 2 and halves.paid == pytest.approx(paid, rel=1e-14, abs=0)
    assert found[0].measured == pytest.approx(-after, abs=1e-14)
    assert found[1].measured == pytest.approx(-before, abs=1e-14)
    assert all(0.0 < f.bound < 1e-11 for f in found) and 0.0 < halves.room < 1e-12
    assert halves.room == pytest.approx(room, rel=1e-14, abs=0)


def known_to(s: Steps, **errors: float) -> Steps:
    """The same step with rounding errors of one's own, named as old_margin or new_extent."""
    zero = {"margin": 0.0, "blur": 0.0, "extent": 0.0}
    old, new = (
        rows._replace(**{k: np.array([errors.get(f"{side}_{k}", v)]) for k, v in zero.items()})
        for side, rows in (("old", s.old), ("new", s.new.rows))
    )
    return replace(s, old=old, new=s.new._replace(rows=new))


ERRORS = ["old_margin", "new_margin", "old_blur", "new_blur", "old_extent", "new_extent"]


@pytest.mark.parametrize("name", [*ERRORS, "nu_margin", "nu_blur", "nu_extent"])
@pytest.mark.parametrize(("lam", "tau"), [(LAM, TAU), (-0.4, TAU), (LAM, 0.02)])
def test_what_rounding_can_do_to_them_is_allowed_for_and_not_much_more(
    name: str, lam: float, tau: float
) -> None:
    """Each number is moved by its own error, as if it spoke against the claim."""
    F, s = dilated(0.05, lam, tau)
    nu = X0.with_edges(0.3 * X0.edges + 0.1)
    far, there = size(s.new.laws.mu.edges - nu.edges), stack(F, Laws([nu]), NOISE).rows
    w2 = float(np.sqrt(s.transport.squared[0]))
    came = size(X0.edges - nu.edges)
    error = 1e7 if name.endswith("extent") else 1e-6
    noisy = known_to(s, **{name: error})

    def judged(t: Steps, **errors: float) -> list[Any]:
        known = {k: np.array([errors.get(f"nu_{k}", 0.0)]) for k in ("margin", "blur", "extent")}
        return [slope_decay(t, lam), *against(t, lam, Reference(nu, there._replace(**known)))]

    without, with_ = judged(known_to(s)), judged(noisy, **{name: error})
    assert [b.measured for b in with_] == [a.measured for a in without]
    grew = [b.bound - a.bound for a, b in zip(without, with_, strict=True)]
    b = 64 * 2.0**-52 * error  # of every W2
    stiff = 1.0 / tau + abs(lam)
    # by how much the excesses change: [slope decay, variational inequality, contraction]
    least = {
        # gradients by differences of F are known to μ/δ, δ the distance: that is where W2 goes in
        "old_margin": [2.0 * error / w2, 0.0, 0.0],
        "new_margin": [2.0 * error / w2, error, 2.0 * error / far],
        "old_blur": [error, 0.0, 0.0],
        "new_blur": [error, error * far, error],
        "nu_margin": [0.0, error, 2.0 * error / far],
        "nu_blur": [0.0, 0.0, error],
        # d/dW2 of each: (1 + λτ)/τ; a third of there/τ + here/τ + W2/τ + λ·there and of 2/τ + λ,
        # since the three distances do not err at once by b, which is 64 units of rounding
        **{f"{k}_extent": [b * abs(1.0 + lam * tau) / tau * (k != "nu"),
                           b * (far * (1.0 / tau + lam) + (came + w2) / tau) / 3, b * stiff / 3]
           for k in ("old", "new", "nu")},
    }[name]  # fmt: skip
    for room, need in zip(grew, least, strict=True):
        assert need * (1 - 1e-6) <= room <= 6.0 * need * (1 + 1e-6), (name, grew, least)


def test_what_is_exact_still_rounds_when_it_is_added_up() -> None:
    """64ε of what the excesses are sums of, even where every number is known."""
    F, exact = dilated(0.05)
    s, unit = known_to(exact), 64 * 2.0**-52
    old, slope = float(s.old.slope[0]), float(s.slope[0])
    assert slope_decay(s, LAM).bound == pytest.approx(unit * (old + slope), rel=1e-12, abs=0)
    nu = stack(F, Laws([X0]), NOISE).rows._replace(
        margin=np.zeros(1), blur=np.zeros(1), extent=np.zeros(1))  # fmt: skip
    contraction = against(s, LAM, Reference(X0, nu))[1]
    assert contraction.bound == pytest.approx(unit * float(nu.slope[0]), rel=1e-12, abs=0)
    halves = Dissipation()
    halves.add(s, LAM)
    paid = float(s.transport.squared[0]) / (2.0 * TAU)
    both = TAU * (old**2 + float(s.new.rows.slope[0]) ** 2)
    assert halves.margin == pytest.approx(unit * (paid + both), rel=1e-12, abs=0)


@pytest.mark.parametrize("name", ERRORS)
def test_what_rounding_can_do_to_the_dissipation_is_allowed_for(name: str) -> None:
    s = dilated(0.05)[1]
    w2, tau = float(np.sqrt(s.transport.squared[0])), TAU
    steep = float(s.old.slope[0] + s.new.rows.slope[0])
    error = 1e7 if name.endswith("extent") else 1e-6
    halves = []
    for t in (known_to(s), known_to(s, **{name: error})):
        halves.append(Dissipation())
        halves[-1].pay(t)
        halves[-1].add(t, LAM)
    b = 64 * 2.0**-52 * error
    square = b * (2.0 * w2 + b)
    room, margin = (getattr(halves[1], k) - getattr(halves[0], k) for k in ("room", "margin"))
    # of the sum of W2²/(2τ), and of both halves
    need, needs = {
        "old_margin": (error, error), "new_margin": (0.0, error),
        **{f"{k}_blur": (0.0, error * (w2 + tau * steep)) for k in ("old", "new")},
    }.get(name, (square / (2.0 * tau), square * (1.0 / tau + LAM)))  # fmt: skip
    assert room == pytest.approx(need, rel=1e-6, abs=1e-15)
    assert margin == pytest.approx(needs, rel=1e-6, abs=1e-15)


def test_they_appear_only_where_they_are_proved() -> None:
    start = jf.Quantiles.normal(0.0, 0.7, 20)
    claimed = jf.Problem(jf.Entropy() + jf.QuadraticPotential(1.0), start, tau=0.1, steps=3)
    assert set(EXTRA) <= set(check_run(claimed, jf.flow(claimed)).claims)
    V = jf.Potential(lambda x: 0.5 * x[:, 0] ** 2, gradient=lambda x: 1.0 * x, lower_bound=0.0)
    silent = jf.Problem(V, start, tau=0.1, steps=3)
    assert not set(EXTRA) & set(check_run(silent, jf.flow(silent)).claims)
    quartic = jf.Potential(
        lambda x: (x**4).sum(axis=1), gradient=lambda x: 4 * x**3, convexity=0.0
    )
    # between points that are not sorted, W2 is not flat, and a mesh has a density
    cloud = jf.Particles(np.random.default_rng(3).normal(size=(5, 2)))
    points = jf.Problem(jf.QuadraticPotential(1.0), cloud, tau=0.1, steps=3)
    there = set(check_run(points, jf.flow(points)).claims)
    assert "slope decay" in there and not {"contraction", EXTRA[1]} & there
    mesh = jf.Mesh.disc(1.0, 2)
    assert modulus(jf.Entropy() + jf.QuadraticPotential(1.0), mesh) is None
    assert modulus(jf.QuadraticPotential(1.0), mesh) == 1.0
    for claim in (None, np.inf, np.nan):
        assert modulus(jf.Potential(lambda x: x[:, 0], convexity=claim), cloud) is None
    gaussian = jf.Gaussian(0.3, 0.5)
    assert modulus(quartic, gaussian) is None and modulus(quartic, start) == 0.0
    assert modulus(jf.Entropy() + jf.QuadraticPotential(-1.0), gaussian) == -1.0


def test_both_halves_close_in_on_the_energy_as_the_step_falls() -> None:
    """Both bounds → F_0 − F_K: their distance is O(τ²) for a quadratic F, whose λ is exact."""
    F, start = jf.QuadraticPotential(1.0), jf.Gaussian([1.0, 0.5], np.eye(2))
    gaps = []
    for steps_ in (20, 40):
        problem = jf.Problem(F, start, tau=1.0 / steps_, steps=steps_)
        report = check_run(problem, jf.flow(problem))
        found = [f for f in report.findings if f.claim == "energy dissipation"]
        assert {f.where for f in found} == {"after the steps", "before the steps"}
        gaps.append(-sum(f.measured for f in found))
    assert 0.2 < gaps[1] / gaps[0] < 0.3
