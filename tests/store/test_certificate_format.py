"""docs/certificate-format.md is complete: a program that follows it needs nothing of jkoflow."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import check_run
from jkoflow.measures.base import _KINDS
from jkoflow.store import archive, layout, lines, segment, text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "certificate-format.md"
PROBLEM = jf.Problem(
    jf.QuadraticPotential(1.0), jf.Quantiles([0, 2, 4, 6], [0.25, 0.5, 0.25]), tau=1.0, steps=1
)


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def written(page, tmp_path_factory) -> Path:
    """The run that the page's program writes where no jkoflow can be imported."""
    folder = tmp_path_factory.mktemp("foreign")
    program = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    assert "jkoflow" not in program.replace('"jkoflow run"', "")
    barred = "import sys; sys.modules['jkoflow'] = None\n" + program
    subprocess.run([sys.executable, "-I", "-c", barred], cwd=folder, check=True)
    return folder / "mine"


def test_the_program_of_the_page_is_accepted(written):
    report = check_run(PROBLEM, written)
    assert report.verdict is jf.Verdict.ACCEPTED, report.text()
    assert report.exit_code == 0


def test_the_program_is_short(page):
    program = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    assert sum(bool(line.strip()) for line in program.splitlines()) <= 60


def test_the_line_of_the_page_is_the_program_s(page, written):
    shown = re.search(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1]
    line = (written / "steps.jsonl").read_text()
    assert shown.replace("\n", "") == line.rstrip("\n")


def test_the_masses_digest_is_the_one_spelt_out(page):
    chunks = (b"float64", b"(3,)", bytes.fromhex("d03f e03f d03f".replace(" ", "00" * 6).zfill(48)))
    assert chunks[2] == np.array([0.25, 0.5, 0.25]).tobytes()
    spelt = b"".join(bytes([len(c)]) + bytes(7) + c for c in chunks)
    assert hashlib.sha256(spelt).hexdigest() in page


def test_the_numbers_by_hand_are_the_judge_s(written):
    """In rationals from the page's weights; equality to the last bit, since all are dyadic."""
    w = [Fraction(k, 8) for k in (1, 3, 3, 1)]
    x, y = [Fraction(k) for k in (0, 2, 4, 6)], [Fraction(k) for k in (0, 1, 2, 3)]
    before = sum(a * p * p for a, p in zip(w, x, strict=True)) / 2
    after = sum(a * p * p for a, p in zip(w, y, strict=True)) / 2
    squared = sum(a * (p - q) ** 2 for a, p, q in zip(w, x, y, strict=True))
    assert (before, after, squared) == (6, Fraction(3, 2), 3)
    step = json.loads((written / "steps.jsonl").read_text())
    assert (step["energy"], step["distance_squared"]) == (1.5, 3.0)
    report = check_run(PROBLEM, written)
    assert report["energy"].measured == after + squared / 2 - before == -3
    assert report["total dissipation"].measured == squared / 2 - (before - after) == -3
    assert report["stationarity"].measured == 0 and report["minimality"].measured == 0


def test_the_tables_are_the_code_s(page):
    kinds, witnesses = ({m[1] for m in re.finditer(r"^\| `([\w-]+)` \|", section, re.MULTILINE)}
                        for section in re.split(r"^## ", page, flags=re.MULTILINE)
                        if section.startswith(("Measures", "Witnesses")))  # fmt: skip
    assert kinds == set(_KINDS)
    assert witnesses == {"monotone", "pairing", "coupling", "symmetric-map", "grid", "extrapolated"}


def test_the_limits_are_the_code_s(page):
    limits = page[page.index("## Limits") :]
    for power in (archive.LIMIT, archive.DIRECTORY_LIMIT, text.TEXT_LIMIT, lines.LINE_LIMIT):
        exponent = str(power.bit_length() - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
        assert f"2{exponent}" in limits and power == 1 << (power.bit_length() - 1)
    assert f"{segment.AXES} axes" in limits and f"nesting at most {text.DEPTH}" in page
    assert f"version {layout.VERSION}" in page.splitlines()[0]
