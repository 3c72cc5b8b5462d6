"""What orders are worth. The orders themselves are in the table that `test_order_table` asserts."""

from __future__ import annotations

import numpy as np
import pytest
from order_case import l2

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt
from jkoflow.steppers import Exact, QuantileNewton


@pytest.mark.parametrize(("grading", "bound"), [("uniform", 8e-4), ("cosine", 3e-6)])
def test_grading_at_a_vacuum_edge_is_worth_a_factor_of_hundreds(grading, bound):
    """Three steps of the porous medium with 800 cells."""
    F, rng = jf.PowerEnergy(2.0), np.random.default_rng(0)
    mine = exact = barenblatt(2.0, 1.2, 800, grading=grading)
    for _ in range(3):
        mine = QuantileNewton().step(F, mine, 0.1, {}, rng).measure
        exact = Exact().step(F, exact, 0.1, {}, rng).measure
    assert l2(mine, exact.points) < bound
