"""What a step dissipates: closed forms of Gaussians, the identity's halves, and the gap."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.report import budget as budget_module
from jkoflow.report import style
from jkoflow.report.budget import plot_budget, step_budget
from jkoflow.report.run_page import write_run_page


@pytest.mark.parametrize("tau", [0.3, 2.0])
@pytest.mark.parametrize("a", [0.7, 3.0])
def test_a_translation_in_closed_form(a, tau):
    """A point in (a/2)|x|²: x⁺ = x/(1 + aτ), so cost, slopes and both halves are known."""
    F = jf.QuadraticPotential(a)
    problem = jf.Problem(F, jf.Particles([[2.0]]), tau=tau, steps=4)
    budget = step_budget(problem, jf.flow(problem))
    x = 2.0 / (1 + a * tau) ** np.arange(5)
    moved = np.diff(x) ** 2
    np.testing.assert_allclose(budget.lost, -np.diff(0.5 * a * x**2), rtol=1e-9)
    np.testing.assert_allclose(budget.cost, moved / (2 * tau), rtol=1e-9)
    after, before = (0.5 * tau * (a * y) ** 2 for y in (x[1:], x[:-1]))
    np.testing.assert_allclose(budget.lower, budget.cost + after + 0.5 * a * moved, rtol=1e-9)
    np.testing.assert_allclose(budget.upper, budget.cost + before - 0.5 * a * moved, rtol=1e-9)
    # equality for quadratics: the convexity inequality from X to x is sharp
    np.testing.assert_allclose(budget.lower, budget.lost, rtol=1e-9)
    assert (budget.lost <= budget.upper * (1 + 1e-9)).all()
    np.testing.assert_allclose(budget.times, tau * np.arange(1, 5), rtol=1e-12)


CONVEX = jf.Entropy() + jf.Potential(lambda x: x[:, 0] ** 4, convexity=0.0)
PROBLEMS = {
    "line": jf.Problem(CONVEX, jf.Quantiles.normal(1.0, 0.4, 60), tau=0.05, steps=12),
    "radial": jf.Problem(jf.Entropy() + jf.QuadraticPotential(1.0), jf.Radial.normal(0.3, 5, 60),
                         tau=0.1, steps=12),
    "gaussian": jf.Problem(jf.Entropy() + jf.QuadraticPotential(1.0),
                           jf.Gaussian([1.0, 0.0], np.diag([0.2, 3.0])), tau=0.1, steps=12),
}  # fmt: skip


@pytest.mark.parametrize("kind", PROBLEMS)
def test_the_loss_lies_between_the_halves_where_f_is_convex(kind):
    run = jf.flow(PROBLEMS[kind])
    budget = step_budget(PROBLEMS[kind], run)
    room = 1e-9 * abs(run.energies[0])  # energies of this size are subtracted
    assert (budget.cost <= budget.lost + room).all()
    assert (budget.lower <= budget.lost + room).all()
    assert (budget.lost <= budget.upper + room).all()
    assert (budget.gap <= budget.allowed).all() and np.isfinite(budget.gap).all()


def test_steps_are_spread_evenly_and_need_both_measures():
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Gaussian(1.0, 1.0), tau=0.01, steps=90)
    run = jf.flow(problem)
    few = step_budget(problem, run, most=10)
    assert len(few.times) == 10 and few.times[0] == run.times[1] and few.times[-1] == run.times[-1]
    assert np.ptp(np.diff(few.times)) < 0.011  # whole steps of 0.01
    assert len(step_budget(problem, run).times) == 90
    assert len(step_budget(problem, jf.flow(problem, save=jf.every(2))).times) == 0


def test_many_particles_are_looked_at_at_fewer_steps(monkeypatch):
    monkeypatch.setattr(budget_module, "_PAIRS", 10**4)
    x = np.random.default_rng(0).normal(size=(40, 1))
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles(x), tau=0.1, steps=9)
    assert len(step_budget(problem, jf.flow(problem)).times) == 6  # times 40² pairs


def test_no_claim_no_gap_and_the_figure_says_so():
    F = jf.Risk(lambda th: np.tanh(th.T), [0.5])
    problem = jf.Problem(F, jf.Particles(np.linspace(0, 1, 5)), tau=0.5, steps=3)
    budget = step_budget(problem, jf.flow(problem))
    assert np.isnan(budget.gap).all() and np.isfinite(budget.lower).all()
    figure = plot_budget(budget)
    assert "claims too little" in " ".join(t.get_text() for t in figure.axes[2].texts)
    assert style.png(figure).startswith(b"\x89PNG")


def test_a_functional_that_fails_leaves_the_numbers_that_are_known():
    problem = PROBLEMS["gaussian"]
    run = jf.flow(problem)

    class Broken(jf.QuadraticPotential):
        def gradient(self, mu):
            raise RuntimeError("not today")

    broken = jf.Problem(Broken(1.0), problem.initial, problem.taus)
    budget = step_budget(broken, run)
    assert np.isnan(budget.lower).all() and np.isfinite(budget.lost).all()
    assert style.png(plot_budget(budget)).startswith(b"\x89PNG")


def test_the_page_shows_both_figures(tmp_path):
    problem = PROBLEMS["gaussian"]
    jf.flow(problem, store=tmp_path / "run")
    report = jf.check_run(problem, tmp_path / "run")
    page = write_run_page(tmp_path / "a.html", tmp_path / "run", problem=problem, report=report)
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure>") == 2 and "energy identity" in text
    bare = write_run_page(tmp_path / "b.html", tmp_path / "run").read_text(encoding="utf-8")
    assert bare.count("<figure>") == 1, "without a functional nothing can be computed anew"
