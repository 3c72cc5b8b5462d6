"""Reports as text and as JSON: columns that stay columns, and numbers that JSON can hold."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Finding, Report, Verdict


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def test_columns_are_as_wide_as_the_longest_claim():
    findings = (
        Finding("mass", Verdict.ACCEPTED, 0.5, 1.0, where="here"),
        Finding("flow of ½R: evolution variational inequality", Verdict.REJECTED, -1.23456e-100,
                math.inf, where="there", reason="so"),
        Finding("record", Verdict.UNDECIDED, where="nowhere"),
    )  # fmt: skip
    lines = Report("all", findings).text().splitlines()[1:]
    columns = [line.index(where) for line, where in zip(lines, ("here", "there", "nowhere"),
                                                        strict=True)]  # fmt: skip
    assert len(set(columns)) == 1
    assert len({line.index(word) for line, word in zip(lines[:2], ("0.5 (", "-1.2"),
                                                       strict=True)}) == 1  # fmt: skip


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan"), 1e-300])
def test_any_number_can_be_read_back(value):
    report = Report("r", (Finding("c", Verdict.UNDECIDED, value, value, ("a",), "w", "r"),))
    row = json.loads(report.to_json(), parse_constant=refuse)["findings"][0]
    for key in ("measured", "bound"):
        back = float(row[key])
        assert back == value or (math.isnan(back) and math.isnan(value))


def test_reports_of_runs_and_of_fixed_points_are_json():
    """Among them the energy identity's findings, and a KL that is infinite."""
    F = jf.Entropy() / 3.0
    problem = jf.Problem(F + jf.QuadraticPotential(1.0), jf.Gaussian(0.0, 1.0), tau=0.1, steps=3)
    run = jf.check_run(problem, jf.flow(problem))
    assert "energy dissipation" in run.claims
    outside = jf.check_fixed_point(F, jf.Quantiles([0.0, 1.0]), domain=(0.0, 0.9))
    assert outside["equation"].measured == math.inf
    for report in (run, outside, Report("nothing", ())):
        read = json.loads(report.to_json(), parse_constant=refuse)
        assert read["verdict"] == str(report.verdict)
        assert [row["claim"] for row in read["findings"]] == [f.claim for f in report.findings]
