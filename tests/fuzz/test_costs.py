"""A small hostile folder does not make the judge work for hours: what it may cost is bounded."""

from __future__ import annotations

import json

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run
from jkoflow.functionals.identity import array_digest, spec_digest
from jkoflow.status import StoreError
from jkoflow.store import format as stored
from jkoflow.store.archive import pack
from jkoflow.store.format import most_entries, read_run
from jkoflow.store.segment import AGAIN
from jkoflow.store.text import Impossible, decode, seal, unseal

PROBLEM = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([[1.0]]), 0.1, steps=40)


@pytest.fixture
def folder(tmp_path):
    jf.flow(PROBLEM, store=tmp_path / "run")
    return tmp_path / "run"


def rewritten(folder, forger, places, segments):
    """Every line k with the arrays at ``places(k)`` = (segment, {name: (offset, shape)})."""
    for name, arrays in segments.items():
        (folder / name).write_bytes(pack(arrays))

    def change(lines):
        for k, line in enumerate(lines):
            line["segment"], where = places(k)
            line["places"] = {name: [at, list(shape)] for name, (at, shape) in where.items()}
            line["arrays"] = {
                name: array_digest(
                    segments[line["segment"]][name][at : at + int(np.prod(shape))].reshape(shape))
                for name, (at, shape) in where.items()
            }  # fmt: skip
            line["witness"] = None
        return lines

    forger["rewrite"](folder, lines=change)


def cloud(n, more):
    return {"measure.x": np.zeros(n + more), "measure.weights": np.full(n, 1.0 / n)}


def test_places_that_overlap_are_not_hashed_again_and_again(folder, forger):
    n = 2**14
    arrays = cloud(n, 100)
    lines = lambda k: ("segment-000001.npz",  # noqa: E731
                       {"measure.x": (k, (n, 1)), "measure.weights": (0, (n,))})  # fmt: skip
    rewritten(folder, forger, lines, {"segment-000001.npz": arrays})
    run, read = iter(read_run(folder)), 0
    with pytest.raises(StoreError, match="times as much out of"):
        for _ in run:
            read += 1
    # 128 kB of weights and as much of points are there; a step hashes 96 kB beyond what is free
    assert read <= AGAIN * 256 // 96 + 1 < 40


def test_the_same_place_may_be_named_by_every_line(folder, forger):
    """A run that has settled: that costs no hash."""
    n = 2**14
    lines = lambda k: ("segment-000001.npz",  # noqa: E731
                       {"measure.x": (0, (n, 1)), "measure.weights": (0, (n,))})  # fmt: skip
    rewritten(folder, forger, lines, {"segment-000001.npz": cloud(n, 0)})
    assert sum(1 for _ in read_run(folder)) == 40


def test_segments_are_not_read_again_and_again(folder, forger):
    lines = lambda k: (f"segment-00000{1 + k % 2}.npz",  # noqa: E731
                       {"measure.x": (0, (1, 1)), "measure.weights": (0, (1,))})  # fmt: skip
    rewritten(folder, forger, lines, {f"segment-00000{k}.npz": cloud(1, 0) for k in (1, 2)})
    with pytest.raises(StoreError, match=r"line 3 goes back from segment-000002"):
        list(read_run(folder))


@pytest.mark.parametrize("of", ["measure", "witness"])
def test_arrays_far_larger_than_the_question_are_not_looked_at(folder, forger, of):
    most = most_entries(PROBLEM.initial)
    n = most + 1 if of == "measure" else 1
    arrays = {**cloud(n, 0), "witness.values": np.zeros(0 if of == "measure" else most**2 + 1)}
    size = arrays["witness.values"].size
    where = {"measure.x": (0, (n, 1)), "measure.weights": (0, (n,)), "witness.values": (0, (size,))}
    rewritten(folder, forger, lambda k: ("segment-000001.npz", where), {
        "segment-000001.npz": arrays})  # fmt: skip
    with pytest.raises(StoreError, match="far more than were asked about"):
        check_run(PROBLEM, folder)
    assert sum(1 for _ in read_run(folder)) == 40  # which is for whoever wants to look all the same


def test_particles_may_be_split_within_reason():
    assert most_entries(PROBLEM.initial) >= 1000
    assert most_entries(jf.Particles(np.zeros((2000, 3)))) >= 4 * 6000


def reheaded(folder, initial):
    head = unseal((folder / "run.json").read_bytes().rstrip(b"\n"), "run.json")
    arrays = {f"measure.{k}": a for k, a in initial.to_arrays().items()}
    (folder / "initial.npz").write_bytes(pack({**arrays, "taus": np.asarray(PROBLEM.taus)}))
    digests = {k: array_digest(a) for k, a in initial.to_arrays().items()}
    spec = {**head["problem"], "initial": {"kind": initial.kind, "arrays": digests}}
    head = {**head, "problem": spec, "digest": spec_digest(spec)}
    head.pop("sha256", None)
    (folder / "run.json").write_bytes(seal(json.dumps(head)))


def test_another_question_is_not_decomposed(folder, monkeypatch):
    """The eigenvectors of a covariance of 1 GiB would take hours."""
    reheaded(folder, jf.Gaussian(np.zeros(65), np.eye(65)))
    monkeypatch.setattr(np.linalg, "eigh", lambda *a: pytest.fail("decomposed"))
    report = check_run(PROBLEM, folder)
    assert report["record"].verdict is Verdict.REJECTED
    assert "far larger than the one that was asked about" in report["record"].reason


def test_no_more_steps_are_read_than_were_asked_for(folder, monkeypatch):
    monkeypatch.setattr("jkoflow.store.lines.BLOCK", 0)  # else a megabyte of lines is gathered
    read, line_of = [], stored.line_of
    monkeypatch.setattr(stored, "line_of", lambda *a: read.append(a) or line_of(*a))
    few = jf.Problem(PROBLEM.functional, PROBLEM.initial, 0.1, steps=2)
    for judge in (check_run, jf.check_second_order):
        report = judge(few, folder)
        assert report["completeness"].verdict is Verdict.REJECTED
        # gathering looks one line ahead
        assert len(read) <= 4
        read.clear()


def test_no_more_checkpoints_are_read_than_are_kept(folder, monkeypatch):
    (last,) = [c for c in folder.glob("checkpoint-*") if c.name == "checkpoint-00000040.npz"]
    for k in range(10):
        (folder / f"checkpoint-{k:08d}.npz").write_bytes(last.read_bytes())
    read, read_archive = [], stored.read_archive
    monkeypatch.setattr(stored, "read_archive", lambda p, n: read.append(p) or read_archive(p, n))
    read_run(folder)
    assert len([p for p in read if p.name.startswith("checkpoint")]) == 2


@pytest.mark.parametrize(
    "name", ["i1," * 100_000 + "i1", "O", "f8", "int8,int8", "(9,9)int8", "i8"],
    ids=["many", "object", "float", "two", "nested", "short"],
)  # fmt: skip
def test_only_names_of_integers_are_types(name, monkeypatch):
    """NumPy makes structures of lists of names, 17 s for a million."""
    monkeypatch.setattr(np, "dtype", lambda *a: pytest.fail("asked NumPy"))
    with pytest.raises(Impossible, match="where only integers are stored"):
        decode({"$array": [1], "dtype": name})
