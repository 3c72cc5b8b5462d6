"""What λ-convexity implies holds at every point, minimiser or not, and catches false claims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run
from jkoflow.check.convex import Dissipation, Reference, against, modulus, slope_decay
from jkoflow.check.evaluate import Noise, stack
from jkoflow.check.step import Steps, steps_of
from jkoflow.measures.many import Laws
from jkoflow.record import Witness

NOISE = Noise(1e-14, 1e-13)  # relative; what evaluate measures for these functionals
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
