"""Which folders are taken, and what the others are told."""

from __future__ import annotations

import os

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.status import InvalidProblem, Status, StoreError
from jkoflow.store.book import Flush


def files(folder) -> list[str]:
    return sorted(os.listdir(folder))


def test_the_layout_on_disk(tmp_path, noisy):
    store = jf.Directory(tmp_path / "a" / "run", Flush(seconds=1e9, steps=4))
    jf.flow(noisy.problem(10), noisy.Noisy(), store=store, rng=7)
    assert files(tmp_path / "a" / "run") == [
        "checkpoint-00000008.npz", "checkpoint-00000010.npz", "initial.npz", "run.json",
        "segment-000001.npz", "segment-000002.npz", "segment-000003.npz", "steps.jsonl",
    ]  # fmt: skip


def test_nothing_on_disk_names_the_machine(tmp_path, noisy):
    jf.flow(noisy.problem(3), noisy.Noisy(), store=tmp_path / "run", rng=7)
    text = b"".join((tmp_path / "run" / name).read_bytes() for name in files(tmp_path / "run"))
    for private in (str(tmp_path), os.getcwd(), os.uname().nodename):
        assert private.encode() not in text


def test_an_empty_folder_is_taken_and_hidden_files_are_no_hindrance(tmp_path, noisy):
    (tmp_path / ".gitkeep").touch()
    jf.flow(noisy.problem(2), noisy.Noisy(), store=str(tmp_path))
    assert jf.Directory(tmp_path).holds_run


def test_a_folder_with_other_things_is_refused_untouched(tmp_path, noisy):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match=r"holds thesis\.tex but no run\.json: choose a new"):
        jf.flow(noisy.problem(2), noisy.Noisy(), store=tmp_path)
    assert files(tmp_path) == ["thesis.tex"]


def test_a_run_without_its_header_is_not_overwritten(stored, noisy):
    (stored / "run.json").unlink()
    before = files(stored)
    with pytest.raises(StoreError, match=r"no run\.json"):
        jf.flow(noisy.problem(9), noisy.Noisy(), store=stored)
    assert files(stored) == before


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, noisy):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="cannot make the folder"):
            jf.flow(noisy.problem(2), noisy.Noisy(), store=path)


def test_a_read_only_folder_is_refused(tmp_path, noisy, monkeypatch):
    """The system's refusal is put in by hand, since a superuser may write anywhere."""

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match=r"cannot write .* \(Permission denied\): check the path"):
        jf.flow(noisy.problem(2), noisy.Noisy(), store=tmp_path)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write anywhere"
)
def test_a_really_read_only_folder_is_refused(tmp_path, noisy):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="Permission denied"):
            jf.flow(noisy.problem(2), noisy.Noisy(), store=tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"strength": 2.0}, "the functionals differ"),
        ({"steps": 8}, "the step sizes differ"),
    ],
)
def test_another_problem_is_refused_untouched(stored, noisy, change, named):
    before = {name: (stored / name).read_bytes() for name in files(stored)}
    problem = noisy.problem(**{"steps": 9, **change})
    with pytest.raises(StoreError, match=f"another problem .{named}.: choose another folder"):
        jf.flow(problem, noisy.Noisy(), store=stored)
    assert {name: (stored / name).read_bytes() for name in files(stored)} == before


def test_another_start_is_another_problem(stored, noisy):
    asked = noisy.problem(9)
    other = jf.Problem(
        asked.functional, asked.initial.displaced(np.full((6, 2), 1e-15)), asked.taus
    )
    with pytest.raises(StoreError, match="the initial measures differ"):
        jf.flow(other, noisy.Noisy(), store=stored)


def test_a_complete_run_resumes_to_itself_without_writing(stored, noisy):
    before = {name: (stored / name).stat().st_mtime_ns for name in files(stored)}
    first = jf.load(stored)
    run = jf.flow(noisy.problem(9), noisy.Noisy(), store=stored, rng=99)
    assert run.status is Status.COMPLETE and len(run) == 9
    np.testing.assert_array_equal(run.energies, first.energies)
    np.testing.assert_array_equal(run.final.points, first.final.points)
    assert {name: (stored / name).stat().st_mtime_ns for name in files(stored)} == before


def test_two_writers_are_one_too_many(tmp_path, noisy):
    def second(record):
        jf.flow(noisy.problem(3), noisy.Noisy(), store=tmp_path, rng=7)

    with pytest.raises(StoreError, match="being written by another run"):
        jf.flow(noisy.problem(3), noisy.Noisy(), store=tmp_path, rng=7, observers=[second])
    run = jf.flow(noisy.problem(3), noisy.Noisy(), store=tmp_path, rng=7)
    assert run.status is Status.COMPLETE


def test_no_steps_are_a_run_too(tmp_path, noisy):
    problem = noisy.problem(0)
    assert jf.flow(problem, noisy.Noisy(), store=tmp_path).status is Status.COMPLETE
    assert len(jf.load(tmp_path)) == 0
    assert jf.flow(problem, noisy.Noisy(), store=tmp_path).status is Status.COMPLETE


def test_a_measure_that_nobody_could_read_back_is_refused_at_once(tmp_path, noisy):
    class Strange(jf.Particles):
        kind = "strange"

    problem = jf.Problem(jf.QuadraticPotential(1.0), Strange([1.0]), 0.1, steps=2)
    with pytest.raises(StoreError, match=r"Strange cannot be stored .*register"):
        jf.flow(problem, noisy.Noisy(), store=tmp_path)


def test_another_stepper_goes_on_with_a_warning(tmp_path, noisy):
    class Other(noisy.Noisy):
        pass

    problem = noisy.problem(6)
    jf.flow(problem, noisy.Noisy(), store=tmp_path, rng=7, max_steps=4)
    with pytest.warns(UserWarning, match="not that of an unbroken run"):
        jf.flow(problem, Other(), store=tmp_path)
    names = [(s["from"], s["stepper"]) for s in jf.Directory(tmp_path).read().steppers]
    assert [k for k, _ in names] == [1, 5] and names[0][1] == "Noisy()"


def test_names_of_steppers_have_no_addresses(tmp_path, noisy):
    from jkoflow.steppers.base import Stepper

    class Plain(Stepper):
        def step(self, F, mu, tau, state, rng):
            return noisy.Noisy().step(F, mu, tau, noisy.Noisy().init(F, mu, tau, rng), rng)

    jf.flow(noisy.problem(2), Plain(), store=tmp_path)
    (entry,) = jf.Directory(tmp_path).read().steppers
    assert "0x" not in entry["stepper"] and "Plain" in entry["stepper"]


@pytest.mark.parametrize("bad", [{"seconds": -1.0}, {"seconds": float("nan")}, {"steps": 0}])
def test_senseless_flushes_are_refused(bad):
    with pytest.raises(InvalidProblem, match="a flush needs"):
        Flush(**bad)


def test_a_directory_stands_wherever_its_path_may(tmp_path) -> None:
    problem = jf.Problem(jf.Entropy(), jf.Gaussian([0.0], [[1.0]]), tau=0.1, steps=2)
    store = jf.Directory(tmp_path / "run")
    run = jf.flow(problem, store=store)
    assert (jf.load(store).energies == run.energies).all()
    assert jf.check_run(problem, store).verdict is jf.Verdict.ACCEPTED
    assert jf.save(run, jf.Directory(tmp_path / "copy")).length == 2
