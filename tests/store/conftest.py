"""Runs to store, and comparisons of stored runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.store.format import read_run
from jkoflow.store.header import Header
from jkoflow.store.layout import CORE, STEPS, chained
from jkoflow.store.text import compact, seal, unseal

SCRIPT = Path(__file__).with_name("noisy_run.py")


@pytest.fixture(scope="session")
def noisy():
    """The module tests/store/noisy_run.py."""
    spec = importlib.util.spec_from_file_location("noisy_run", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stored(tmp_path, noisy):
    """The folder of a complete run of nine steps."""
    folder = tmp_path / "run"
    jf.flow(noisy.problem(9), noisy.Noisy(), store=folder, rng=7)
    return folder


@pytest.fixture
def assert_same_runs():
    """Two folders hold the same steps, bit for bit; timings in the statistics may differ."""

    def compare(one: Path, two: Path) -> None:
        first, second = read_run(one), read_run(two)
        assert (first.status, first.length, first.head) == (
            second.status, second.length, second.head
        )  # fmt: skip
        for a, b in zip(first, second, strict=True):
            assert a.link == b.link
            assert (a.energy, a.time, a.distance_squared) == (b.energy, b.time, b.distance_squared)
            assert (a.measure is None) == (b.measure is None)
            if a.measure is not None:
                assert_same_arrays(a.measure.to_arrays(), b.measure.to_arrays())
                assert_same_arrays(a.witness.arrays, b.witness.arrays)

    return compare


def assert_same_arrays(one, two) -> None:
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], strict=True)


@pytest.fixture
def forge():
    """Rewrite the lines of a run with all checksums and the chain in order: a clever liar."""

    def rewrite(folder: Path, change) -> None:
        run = read_run(folder)
        link, lines = run.start, []
        for line in (folder / STEPS).read_bytes().splitlines():
            data = unseal(line, "line")
            change(data)
            link = chained(link, compact({k: data[k] for k in CORE}))
            lines.append(seal(compact({**data, "link": link})) + b"\n")
        (folder / STEPS).write_bytes(b"".join(lines))
        header = Header.of(run)
        header = type(header)(**{**vars(header), "head": link})
        (folder / "run.json").write_bytes(header.bytes())

    return rewrite
