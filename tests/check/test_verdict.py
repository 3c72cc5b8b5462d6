"""Verdict, printed word and exit code are one value; reports hide nothing and run nothing."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from jkoflow.check import ExitCode, Finding, Report, Verdict
from jkoflow.verdict import at_most, worst

A, R, U = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.UNDECIDED


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_the_verdict_follows_from_the_findings(size: int) -> None:
    for verdicts in itertools.product(Verdict, repeat=size):
        report = Report("x", tuple(Finding("c", v) for v in verdicts))
        expected = R if R in verdicts else A if verdicts and set(verdicts) == {A} else U
        assert report.verdict is expected
        assert report.exit_code == {A: 0, R: 1, U: 2}[expected]
        assert report.text().startswith(str(expected) + ":")
        assert json.loads(report.to_json())["verdict"] == str(expected)


def test_no_evidence_is_no_acceptance() -> None:
    report = Report("nothing", ())
    assert report.verdict is U and "no evidence" in report.text()


def test_every_exit_code_has_one_meaning() -> None:
    assert sorted(ExitCode) == [0, 1, 2, 3, 4]
    assert ExitCode.UNREADABLE == 3 and ExitCode.INTERNAL_ERROR == 4
    assert {v.exit_code for v in Verdict} == {0, 1, 2}


@pytest.mark.parametrize(
    ("measured", "bound", "expected"),
    [
        (0.0, 0.0, A), (1.0, 2.0, A), (-math.inf, 0.0, A),
        (2.0, 1.0, R), (math.nan, 1.0, R), (math.inf, 1.0, R),
        (1.0, math.inf, U), (1.0, math.nan, U), (math.nan, math.nan, U),
    ],
)  # fmt: skip
def test_a_bound_is_kept_only_by_a_number_below_it(
    measured: float, bound: float, expected: Verdict
) -> None:
    assert at_most("c", measured, bound).verdict is expected


def test_assumptions_are_said_once_and_the_worst_finding_is_found() -> None:
    findings = (
        Finding("a", A, 1.0, 2.0, ("x", "y")),
        Finding("a", A, 1.9, 2.0, ("y",)),
        Finding("b", U, assumptions=("z",)),
    )
    report = Report("x", findings)
    assert report.assumptions == ("x", "y", "z")
    assert report["a"].measured == 1.9
    with pytest.raises(KeyError, match="no finding"):
        report["c"]


def test_the_page_is_complete_and_escapes_what_it_shows(tmp_path: Path) -> None:
    evil = "<script>alert('$x')</script>"
    report = Report(evil, (Finding(evil, R, math.nan, 1.0, (evil,), evil, evil),))
    report.to_html(tmp_path / "new" / "page.html")
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page and page.count("&lt;script&gt;") == 6
    assert page.count(">1</a>") == 1 and page.count("<li id=\"a1\">") == 1  # said once, named there
    assert "REJECTED" in page and "http" not in page
    assert json.loads(report.to_json())["findings"][0]["measured"] == "nan"


@pytest.mark.parametrize("bound", [math.inf, math.nan, -math.inf])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_no_bound_of_one_step_is_hidden_by_the_bounds_of_others(k: int, bound: float) -> None:
    """As `at_most` says of that step alone."""
    bounds = np.array([1.0, 2.0, 0.0])
    bounds[k] = bound
    found = worst("c", np.array([0.5, 1.9, 0.0]), bounds, first=4)
    assert found.verdict is U and found.where == f"step {4 + k}"


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_of_steps_that_fail_the_one_is_told_that_fails_by_most(order: tuple[int, ...]) -> None:
    """The verdict may hang on it: far above the bound is rejected, just above is not."""
    measured = np.array([0.5, 1.1, 9.0, 0.0])[list(order)]
    doubt = lambda k: R if measured[k] > 4.0 else U  # noqa: E731
    found = worst("c", measured, np.array([1.0, 1.0, 1.0, 0.0])[list(order)], (), "", doubt)
    assert found.verdict is R and found.measured == 9.0
    assert math.isnan(worst("c", np.array([9.0, math.nan]), np.ones(2)).measured)
    assert worst("c", np.array([9.0, 1e-9]), np.array([1.0, 0.0])).measured == 1e-9
