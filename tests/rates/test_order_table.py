"""Every row of docs/orders.md: measured again, held against theory, and against the page."""

from __future__ import annotations

import runpy

import orders_of_points
import orders_on_cells
import orders_on_grids
import orders_on_meshes
import pytest
from order_case import holds, measured
from order_locking import ADDING, LOCKED, MOVED, SHARES, share_moved, variance_added

AGAIN = 0.05  # orders on another machine: sums in another order, and iterations that stop elsewhere


@pytest.fixture(scope="module")
def script(root):
    return runpy.run_path(str(root / "docs" / "write_orders.py"))


CASES = [
    *orders_on_cells.CASES, *orders_of_points.CASES, *orders_on_meshes.CASES, *orders_on_grids.CASES
]  # fmt: skip
MARKED = [pytest.param(c, id=c.name, marks=[pytest.mark.slow] if c.slow else []) for c in CASES]


def rows(root):
    """The page's tables: the first four cells of a line → the others."""
    page = (root / "docs" / "orders.md").read_text(encoding="utf-8").splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in page if line[:2] == "| "]
    return {tuple(c[:4]): c[4:] for c in cells if len(c) == 10 and c[0] != "stepper"}


@pytest.mark.parametrize("case", MARKED)
def test_the_order_is_what_theory_says_and_the_page_shows(case, root):
    errors, order = measured(case)
    assert holds(case, errors, order), (errors, order, case.expected, case.within)
    key = (case.stepper, case.measure, case.energy, case.refined)
    sizes, _, written, expected, against, short = rows(root)[key]
    assert sizes == f"{case.sizes[0]} … {case.sizes[-1]}", "run: python docs/write_orders.py"
    assert against == case.against and short == case.short, "run: python docs/write_orders.py"
    if case.expected is None:
        assert written == "exact"
    else:
        assert float(written) == pytest.approx(order, abs=AGAIN), "run: python docs/write_orders.py"
        assert expected == f"{case.expected:g} ± {case.within:g}"


def test_the_page_has_a_row_for_every_case_and_no_other(root, script):
    of_script = [case for cases in script["SECTIONS"].values() for case in cases]
    keys = [(c.stepper, c.measure, c.energy, c.refined) for c in CASES]
    assert len(set(keys)) == len(keys) == len(of_script)
    assert set(rows(root)) == set(keys), "run: python docs/write_orders.py"


def test_every_stepper_is_in_the_table():
    import jkoflow.steppers as steppers

    named = {c.stepper.split("(")[0] for c in CASES}
    assert named == (set(steppers._ORIGIN) - {"Exact", "ConvexExpression"}) | {"finite_volume"}


@pytest.mark.parametrize("name", MOVED)
def test_grid_locking(name):
    """In eight steps of a part of a cell each, mass goes where it should, or nowhere."""
    for share in SHARES:
        moved = share_moved(name, share)
        if name in LOCKED:
            # by round(gτ/h) cells; the kernel's width lets a sixth through just below a half
            assert moved == pytest.approx(round(share) / share, abs=0.2), (share, moved)
        else:
            assert moved == pytest.approx(1.0, abs=0.02), (share, moved)


@pytest.mark.parametrize("n", [64, 128])
@pytest.mark.parametrize("name", ADDING)
def test_what_a_step_on_a_grid_adds_to_the_variance(name, n):
    """Nothing for `BackAndForth`, which knows Sheppard's correction; ε²/4s² for the kernel."""
    stepper = ADDING[name]
    if name.startswith("BackAndForth"):
        expected, within = 0.0, 0.001
    else:
        expected, within = 0.008, 0.004  # s² grows from .0225 to .0273, ε from h² to .025h
    assert variance_added(stepper, n) == pytest.approx(expected, abs=within)
