"""The laboratory: honest answers are accepted, faults are found by what they violate."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import cli
from jkoflow.lab.faults import FAULTS, answered
from jkoflow.lab.pictures import COLOURS, gibbs_law, pictures, rows
from jkoflow.lab.questions import POTENTIALS, SPREADING, Settings, double_well
from jkoflow.status import InvalidProblem, MissingExtra

SMALL = Settings(steps=6, cells=60)
CASES = [
    replace(SMALL, potential=potential, spreading=spreading, attraction=attraction)
    for potential in POTENTIALS for spreading in SPREADING for attraction in (0.0, 0.7)
]  # fmt: skip


@pytest.mark.parametrize("asked", CASES, ids=str)
def test_honest_answers_are_accepted(asked):
    report = jf.check_run(asked.problem(), answered(asked))
    assert report.verdict is jf.Verdict.ACCEPTED, report.text()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("size", [1e-3, 0.03])
def test_faults_are_found_by_the_optimality_condition(fault, size):
    report = jf.check_run(SMALL.problem(), answered(SMALL, fault, size))
    assert report["stationarity"].verdict is jf.Verdict.REJECTED
    assert report["stored distance"].verdict is jf.Verdict.ACCEPTED  # no number contradicts another
    assert report["stored energy"].verdict is jf.Verdict.ACCEPTED


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_size_zero_is_none(fault):
    assert jf.check_run(SMALL.problem(), answered(SMALL, fault)).verdict is jf.Verdict.ACCEPTED


@pytest.mark.parametrize("tilt", [0.0, 0.2, -1.5])
def test_the_wells_are_what_they_claim(tilt):
    V, x = double_well(tilt), np.linspace(-4, 4, 4001)[:, None]
    assert V.V(x).min() >= V.lower_bound()
    assert V.V_hessian(x).min() >= V.convexity
    report = jf.check_functional(V, jf.Quantiles.normal(0.3, 0.8, 40), rng=0)
    assert report.verdict is jf.Verdict.ACCEPTED


def test_the_formula_of_the_attraction_is_a_quarter_of_the_squares():
    F = replace(SMALL, potential="none", strength=0.0, attraction=0.8).functional()
    mu = jf.Quantiles([0.0, 1.0, 4.0], [0.25, 0.75])
    x, w = mu.points[:, 0], mu.weights
    assert F.value(mu) == pytest.approx(0.2 * w @ (x[:, None] - x) ** 2 @ w, rel=1e-14)


def test_the_gibbs_law_bounds_the_energies_where_the_energy_is_convex():
    law, bound = gibbs_law(SMALL.problem())
    run = answered(SMALL)
    assert law.kind == "quantiles" and bound <= run.energies.min()
    law, bound = gibbs_law(replace(SMALL, attraction=1.0).problem())  # not convex along mixtures
    assert law.kind == "quantiles" and bound is None
    assert gibbs_law(replace(SMALL, spreading="porous medium, m = 2").problem()) == (None, None)


def test_the_table_begins_with_what_was_found():
    report = jf.check_run(SMALL.problem(), answered(SMALL, "one step was not taken", 0.1))
    table = rows(report)
    assert len(table) == len(report.findings) and table[0]["verdict"] == "REJECTED"
    assert table[0]["claim"] == "stationarity" and table[-1]["verdict"] == "ACCEPTED"
    assert set(COLOURS) == {verdict.name for verdict in jf.Verdict}


def test_pictures_show_the_gibbs_law_and_the_steps():
    shown = pictures(SMALL.problem(), answered(SMALL))
    labels = [text.get_text() for text in shown[0].axes[0].get_legend().get_texts()]
    assert labels[0] == "T = 0" and labels[-1] == "Gibbs law" and len(shown) == 2


@pytest.mark.parametrize("wrong, words", [
    ({"potential": "steep"}, "potential must be one of"),
    ({"spreading": "none"}, "spreading must be one of"),
    ({"potential": "none", "strength": 0.0}, "nothing would happen"),
])  # fmt: skip
def test_questions_that_make_no_sense(wrong, words):
    with pytest.raises(InvalidProblem, match=words):
        Settings(**wrong).problem()


def test_an_unknown_fault_is_refused():
    with pytest.raises(InvalidProblem, match="choose from"):
        answered(SMALL, "laziness", 0.1)


@pytest.mark.filterwarnings("default")
def test_the_notebook_runs_and_accepts_its_first_answer():
    pytest.importorskip("marimo")
    from jkoflow.lab.notebook import app

    _, found = app.run()
    assert found["report"].verdict is jf.Verdict.ACCEPTED


def test_the_command_serves_the_notebook(monkeypatch):
    pytest.importorskip("marimo")
    asked = []

    def served(command, check):
        asked.append(command)
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr("subprocess.run", served)
    with pytest.raises(SystemExit) as left:
        cli.main(["lab", "--port", "8123", "--headless"])
    assert left.value.code == 0
    assert asked[0][1:4] == ["-m", "marimo", "run"] and asked[0][-1] == "--headless"


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "marimo", None)
    from jkoflow.lab.launch import command

    with pytest.raises(MissingExtra, match=r"jkoflow\[lab\]"):
        command()
