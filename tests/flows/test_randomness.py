"""Snapshots of random generators."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow.flows.randomness import generator, restored, snapshot
from jkoflow.status import InvalidProblem

KINDS = ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_generator_goes_on_alike(kind):
    rng = np.random.Generator(getattr(np.random, kind)(11))
    rng.random(3, dtype=np.float32)  # leaves half a word over
    rng.spawn(2)
    state = snapshot(rng)
    twin = restored(state)
    np.testing.assert_array_equal(rng.random(5, dtype=np.float32), twin.random(5, dtype=np.float32))
    np.testing.assert_array_equal(rng.standard_normal(5), twin.standard_normal(5))
    children = [parent.spawn(1)[0].random() for parent in (rng, twin)]
    assert children[0] == children[1]


def test_a_snapshot_is_not_moved_by_what_follows():
    rng = np.random.default_rng(2)
    state = snapshot(rng)
    expected = rng.random(4)
    rng.random(100)
    np.testing.assert_array_equal(restored(state).random(4), expected)


def test_children_of_children():
    child = np.random.default_rng(2).spawn(3)[1]
    child.spawn(1)
    twin = restored(snapshot(child))
    assert child.spawn(1)[0].random() == twin.spawn(1)[0].random()


def test_an_empty_snapshot_is_a_seed():
    assert restored({}, 5).random() == np.random.default_rng(5).random()


def test_unknown_generators_are_told():
    with pytest.raises(InvalidProblem, match="of kind 'Dice'"):
        restored({"bit_generator": "Dice"})


@pytest.mark.parametrize("bad", ["seven", 1.5, -1, object()])
def test_what_is_no_seed(bad):
    with pytest.raises(InvalidProblem, match="rng must be"):
        generator(bad)
