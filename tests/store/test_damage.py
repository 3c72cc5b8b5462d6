"""Whatever is flipped or cut off in any file of a run is noticed."""

from __future__ import annotations

import random

import pytest

import jkoflow as jf
from jkoflow.status import StoreError
from jkoflow.store.format import read_run

FILES = (
    "run.json", "initial.npz", "steps.jsonl", "segment-000001.npz", "checkpoint-00000009.npz",
)  # fmt: skip


def read_all(folder) -> None:
    for _ in read_run(folder):
        pass


def check_noticed(stored, name, damaged) -> None:
    file = stored / name
    whole = file.read_bytes()
    try:
        for what, data in damaged(whole):
            file.write_bytes(data)
            with pytest.raises(StoreError):
                read_all(stored)
                pytest.fail(f"{name}: {what} was not noticed")
    finally:
        file.write_bytes(whole)
    read_all(stored)


def flips(whole, positions):
    for position in positions:
        data = bytearray(whole)
        data[position // 8] ^= 1 << position % 8
        yield f"flipped bit {position}", bytes(data)


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits(stored, name):
    rng = random.Random(name)
    check_noticed(stored, name, lambda w: flips(w, rng.sample(range(8 * len(w)), 60)))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_every_byte(stored, name):
    rng = random.Random(name)
    check_noticed(
        stored, name, lambda w: flips(w, [8 * k + rng.randrange(8) for k in range(len(w))])
    )


@pytest.mark.parametrize("name", FILES)
def test_truncation(stored, name):
    rng = random.Random(name)

    def cuts(whole):
        for length in [0, len(whole) - 1, *rng.sample(range(len(whole)), 30)]:
            if name == "run.json" and length == len(whole) - 1:
                continue  # the newline after the seal says nothing
            yield f"cut to {length} bytes", whole[:length]

    check_noticed(stored, name, cuts)


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_missing_file(stored, name):
    (stored / name).unlink()
    with pytest.raises(StoreError):
        read_all(stored)


def test_a_run_without_checkpoints_can_be_read_but_not_gone_on_with(stored, noisy):
    """Other programs need not write them. That some of two were lost is noticed."""
    (stored / FILES[-1]).unlink()
    read_all(stored)
    with pytest.raises(StoreError, match="no readable checkpoint"):
        jf.flow(noisy.problem(9), noisy.Noisy(), store=stored, rng=7)


def test_lines_lost_at_a_line_s_end(stored):
    """Each remaining line is whole: only the count and the chain's head can tell."""
    lines = (stored / "steps.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        (stored / "steps.jsonl").write_bytes(b"".join(lines[:kept]))
        with pytest.raises(StoreError, match=f"holds {kept} steps"):
            read_all(stored)
