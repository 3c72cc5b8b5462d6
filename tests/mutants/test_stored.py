"""Stored runs that were changed after they were written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run
from jkoflow.status import StoreError

F = jf.Entropy() / 2.3 + jf.QuadraticPotential(0.9)
PROBLEM = jf.Problem(F, jf.Quantiles.normal(0.4, 0.5, 40), tau=0.2, steps=6)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("runs") / "honest"
    jf.flow(PROBLEM, store=folder)
    return folder


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(written, folder)
    return folder


def test_the_honest_run_is_accepted_from_disk_as_from_memory(written: Path) -> None:
    for run in (written, str(written), jf.Directory(written), jf.Directory(written).read()):
        report = check_run(PROBLEM, run)
        assert report.verdict is Verdict.ACCEPTED, report.text()
    in_memory = check_run(PROBLEM, jf.load(written))
    assert in_memory.claims == report.claims


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def edited_energy(folder: Path) -> None:
    file = folder / "steps.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    energy = json.loads(lines[2])["energy"]
    lines[2] = lines[2].replace(repr(energy), repr(energy * (1 + 1e-8)))
    file.write_text("".join(lines))


def flipped_bit(folder: Path) -> None:
    file = first(folder, "segment-*.npz")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def lines_exchanged(folder: Path) -> None:
    file = folder / "steps.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]
    file.write_text("".join(lines))


def edited_header(folder: Path) -> None:
    file = folder / "run.json"
    file.write_text(file.read_text().replace("COMPLETE", "RUNNING"))


def cut(folder: Path) -> None:
    file = folder / "steps.jsonl"
    file.write_bytes(file.read_bytes()[:-70])


def lines_lost(folder: Path) -> None:
    file = folder / "steps.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def segment_lost(folder: Path) -> None:
    first(folder, "segment-*.npz").unlink()


def other_version(folder: Path) -> None:
    file = folder / "run.json"
    text = re.sub(r'"version": ?1\b', '"version": 99', file.read_text(), count=1)
    assert "99" in text
    file.write_text(text)


@pytest.mark.parametrize("fault", [edited_energy, flipped_bit, lines_exchanged, edited_header])
def test_an_altered_record_is_rejected(fault: Callable[[Path], None], copied: Path) -> None:
    fault(copied)
    report = check_run(PROBLEM, copied)
    assert report["record"].verdict is Verdict.REJECTED, report.text()


@pytest.mark.parametrize("fault", [cut, lines_lost, segment_lost, other_version])
def test_a_damaged_run_is_unreadable_or_rejected(
    fault: Callable[[Path], None], copied: Path
) -> None:
    fault(copied)
    try:
        report = check_run(PROBLEM, copied)
    except StoreError:
        return
    assert report.verdict is Verdict.REJECTED


def test_nothing_there_is_unreadable_and_not_undecided(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run"):
        check_run(PROBLEM, tmp_path / "nowhere")


def test_a_run_of_another_problem_on_disk_is_rejected(written: Path) -> None:
    other = jf.Problem(F, jf.Quantiles.normal(0.4, 0.6, 40), tau=0.2, steps=6)
    assert check_run(other, written)["identity"].verdict is Verdict.REJECTED


def test_steps_that_were_not_saved_are_undecided(tmp_path: Path) -> None:
    jf.flow(PROBLEM, store=tmp_path / "run", save=jf.every(3))
    report = check_run(PROBLEM, tmp_path / "run")
    assert report.verdict is Verdict.UNDECIDED
    assert report["evidence"].verdict is Verdict.UNDECIDED
    assert np.isfinite(report["monotone energy"].measured)
