"""The sentence about power says what the documented table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jkoflow.check.samples.power import ALTERNATIVES, POWER, power_of

DOCS = Path(__file__).parents[2] / "docs" / "samples.md"
SIZES = (100, 400, 1600)
CASES = ((2, True), (40, True), (40, False))


def documented():
    """Rows of the table of measured power: alternative → nine numbers."""
    text = DOCS.read_text("utf-8").split("## Measured power")[1]
    rows = {}
    for line in text.splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 9 and all(re.fullmatch(r"\d+", cell) for cell in cells):
            rows[name] = [int(cell) for cell in cells]
    return rows


def test_the_table_is_the_documented_one():
    rows = documented()
    assert len(rows) == len(ALTERNATIVES)
    for k, name in enumerate(ALTERNATIVES):
        said = next(row for row, _ in rows.items() if row.startswith(name))
        for c, case in enumerate(CASES):
            # a 5 stands for what cannot be seen: rejected at the level, about
            table = [POWER[case][n][k] for n in SIZES]
            found = rows[said][3 * c : 3 * c + 3]
            assert table == found or (set(table[:3]) == {5} and max(found) <= 10)


def numbers(sentence):
    return tuple(int(p) for p in re.findall(r" (\d+)%(?:,|$)", sentence))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n", SIZES)
def test_the_sentence_is_that_of_the_case(case, n):
    sentence = power_of(float(n), *case)
    assert f"n = {n}, D = {case[0]}" in sentence and "smaller" not in sentence
    assert numbers(sentence) == tuple(POWER[case][n])
    assert all(name in sentence for name in ALTERNATIVES)


def test_never_an_easier_case_is_told():
    """Sizes are rounded down, dimensions up; without points of ρ*, the case without."""
    assert power_of(399.9, 2, True) == power_of(100.0, 1, True)
    assert power_of(1e9, 10, True) == power_of(1600.0, 2, True)
    assert power_of(400.0, 11, True) == power_of(400.0, 40, True)
    assert power_of(400.0, 1, False) == power_of(400.0, 40, False)
    assert "D = 40" in power_of(400.0, 1, False)


def test_below_the_smallest_size_it_is_less():
    sentence = power_of(99.0, 2, True)
    assert "n = 100" in sentence and "this sample is smaller: less" in sentence
    assert numbers(sentence) == tuple(POWER[2, True][100])
