"""Stored runs that were changed after they were written."""

from __future__ import annotations

import dataclasses
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
from jkoflow.store.checkpoint import checkpoint_bytes, newest_checkpoint

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


@pytest.mark.parametrize("what", ["measure", "energy", "witness"])
def test_a_checkpoint_that_is_not_that_of_its_line_is_not_gone_on_from(
    what: str, copied: Path, tmp_path: Path
) -> None:
    """The judge looks at the lines alone: what is loaded has to be what was judged."""
    found, _ = newest_checkpoint(copied)
    assert found is not None
    other = {"measure": jf.Quantiles.normal(5.0, 0.5, 40), "energy": 7.0, "witness": None}
    forged = dataclasses.replace(found[0], **{what: other[what]})
    newest = sorted(copied.glob("checkpoint-*.npz"))[-1]
    newest.write_bytes(checkpoint_bytes(*found))
    np.testing.assert_array_equal(jf.load(copied).final.points, found[0].measure.points)
    newest.write_bytes(checkpoint_bytes(forged, found[1]))
    for use in (
        lambda: jf.load(copied), lambda: jf.flow(PROBLEM, store=copied),
        lambda: jf.complete(PROBLEM, copied),
    ):  # fmt: skip
        with pytest.raises(StoreError, match="not that of its line"):
            use()


def test_of_a_step_that_was_not_saved_the_checkpoint_has_to_have_its_numbers(
    tmp_path: Path,
) -> None:
    jf.flow(PROBLEM, store=tmp_path / "run", save=jf.every(4), max_steps=3)
    found, _ = newest_checkpoint(tmp_path / "run")
    assert found is not None and jf.load(tmp_path / "run").final is not None
    forged = dataclasses.replace(found[0], energy=7.0)
    newest = sorted((tmp_path / "run").glob("checkpoint-*.npz"))[-1]
    newest.write_bytes(checkpoint_bytes(forged, found[1]))
    for use in (
        lambda: jf.load(tmp_path / "run"), lambda: jf.flow(PROBLEM, store=tmp_path / "run"),
        lambda: jf.complete(PROBLEM, tmp_path / "run", tmp_path / "out"),
    ):  # fmt: skip
        with pytest.raises(StoreError, match="not that of its line"):
            use()


def test_a_run_whose_end_was_not_saved_is_not_complete_once_it_is_loaded(tmp_path: Path) -> None:
    """Without checkpoints, as other programs write it: what is left is part of it."""
    folder = tmp_path / "run"
    jf.flow(PROBLEM, store=folder, save=jf.at_times([0.4]))
    for file in folder.glob("checkpoint-*.npz"):
        file.unlink()
    assert check_run(PROBLEM, folder).verdict is Verdict.UNDECIDED
    loaded = jf.load(folder)
    assert (len(loaded), loaded.status) == (2, jf.Status.INTERRUPTED)
    assert check_run(PROBLEM, loaded).verdict is Verdict.UNDECIDED
