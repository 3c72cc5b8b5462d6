"""Files cut, renamed, exchanged or written anew: REJECTED or unreadable, never ACCEPTED.

Where a table says None the run has to be unreadable (`StoreError`): what is missing proves nothing
about what was there. Else it names the finding that has to reject it.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_run
from jkoflow.functionals.identity import array_digest
from jkoflow.status import StoreError
from jkoflow.store.format import Altered, read_run
from jkoflow.store.layout import CORE, chained
from jkoflow.store.text import compact, seal, unseal

F = jf.Entropy() / 2.3 + jf.QuadraticPotential(0.9)
PROBLEM = jf.Problem(F, jf.Quantiles.normal(0.4, 0.5, 20), tau=0.2, steps=6)
OTHER = jf.Problem(F, jf.Quantiles.normal(0.4, 0.6, 20), tau=0.2, steps=6)
SEGMENT = "segment-000001.npz"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The honest run, and an honest run of another problem."""
    place = tmp_path_factory.mktemp("runs")
    for name, problem in (("mine", PROBLEM), ("theirs", OTHER)):
        jf.flow(problem, store=place / name)
    return {name: place / name for name in ("mine", "theirs")}


Fault = Callable[[Path, Path], None]


def edit(name: str, change: Callable[[bytes], bytes]) -> Fault:
    def fault(folder: Path, other: Path) -> None:
        raw = (folder / name).read_bytes()
        new = change(raw)
        assert new != raw
        (folder / name).write_bytes(new)

    return fault


def on_lines(change: Callable[[list[bytes]], list[bytes]]) -> Fault:
    return edit("steps.jsonl", lambda raw: b"".join(change(raw.splitlines(keepends=True))))


def taken(*names: str) -> Fault:
    """Files of the other problem's run."""

    def fault(folder: Path, other: Path) -> None:
        for name in names:
            shutil.copy(other / name, folder / name)

    return fault


def gone(name: str) -> Fault:
    return lambda folder, other: (folder / name).unlink()


def renamed(old: str, new: str) -> Fault:
    return lambda folder, other: (folder / old).rename(folder / new)


def saved_by_numpy(name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Fault:
    def fault(folder: Path, other: Path) -> None:
        np.savez(folder / name, **change(dict(np.load(folder / name))))

    return fault


def numbers_edited(old: str, new: str) -> Fault:
    return on_lines(lambda lines: [lines[0].replace(old.encode(), new.encode()), *lines[1:]])


EDITED: dict[str, tuple[Fault, str | None]] = {
    "lines: the last cut": (edit("steps.jsonl", lambda raw: raw[:-30]), None),
    "lines: the last lost": (on_lines(lambda lines: lines[:-1]), None),
    "lines: the first lost": (on_lines(lambda lines: lines[1:]), "record"),
    "lines: one in the middle lost": (on_lines(lambda lines: lines[:2] + lines[3:]), "record"),
    "lines: one twice": (on_lines(lambda lines: [*lines[:3], *lines[2:]]), "record"),
    "lines: the last twice": (on_lines(lambda lines: [*lines, lines[-1]]), "record"),
    "lines: two exchanged": (
        on_lines(lambda lines: [lines[1], lines[0], *lines[2:]]), "record"),
    "lines: reversed": (on_lines(lambda lines: lines[::-1]), "record"),
    "lines: none": (edit("steps.jsonl", lambda raw: b""), None),
    "lines: an empty one": (on_lines(lambda lines: [lines[0], b"\n", *lines[1:]]), None),
    "lines: of Windows": (
        on_lines(lambda lines: [s[:-1] + b"\r\n" for s in lines]), "record"),
    "lines: a comment": (on_lines(lambda lines: [b"// mine\n", *lines]), None),
    "lines: an object without anything": (on_lines(lambda lines: [b"{}\n", *lines]), "record"),
    "lines: spaces put in": (
        on_lines(lambda lines: [lines[0].replace(b",", b", ", 1), *lines[1:]]), "record"),
    "lines: tau": (numbers_edited('"tau":0.2', '"tau":0.3'), "record"),
    "lines: time": (numbers_edited('"time":0.2', '"time":0.4'), "record"),
    "lines: step": (numbers_edited('"step":1', '"step":2'), "record"),
    "lines: status": (numbers_edited('"status":"CONVERGED"', '"status":"EXACT"'), "record"),
    "lines: kind": (numbers_edited('"kind":"quantiles"', '"kind":"radial"'), "record"),
    "lines: witness": (numbers_edited('"witness":"monotone"', '"witness":null'), "record"),
    "lines: a seal": (numbers_edited('"sha256":"', '"sha256":"0'), "record"),
    "header: status": (
        edit("run.json", lambda raw: raw.replace(b"COMPLETE", b"RUNNING")), "record"),
    "header: number of steps": (
        edit("run.json", lambda raw: raw.replace(b'"steps": 6', b'"steps": 5', 1)), "record"),
    "header: strength": (edit("run.json", lambda raw: raw.replace(b"0.9", b"0.8")), "record"),
    "header: cut": (edit("run.json", lambda raw: raw[:-5]), None),
    "header: empty": (edit("run.json", lambda raw: b""), None),
    "header: version 2": (
        edit("run.json", lambda raw: raw.replace(b'"version": 1', b'"version": 2')), None),
    "header: version 0": (
        edit("run.json", lambda raw: raw.replace(b'"version": 1', b'"version": 0')), None),
    "header: another format": (
        edit("run.json", lambda raw: raw.replace(b"jkoflow run", b"other run")), None),
    "segment: cut": (edit(SEGMENT, lambda raw: raw[: len(raw) // 2]), None),
    "segment: a byte": (edit(SEGMENT, lambda raw: raw[:500] + b"?" + raw[501:]), "record"),
    "segment: a byte more": (edit(SEGMENT, lambda raw: raw + b"?"), None),
    "segment: saved by NumPy": (saved_by_numpy(SEGMENT, lambda a: a), "record"),
    "segment: edges moved, by NumPy": (
        saved_by_numpy(SEGMENT, lambda a: {**a, "measure.edges": a["measure.edges"] + 1e-3}),
        "record"),
    "segment: gone": (gone(SEGMENT), None),
    "segment: renamed": (renamed(SEGMENT, "segment-000002.npz"), None),
    "segment: the initial one": (
        lambda folder, other: shutil.copy(folder / "initial.npz", folder / SEGMENT), "record"),
    "initial: saved by NumPy": (saved_by_numpy("initial.npz", lambda a: a), "record"),
    "initial: cut": (edit("initial.npz", lambda raw: raw[:-200]), None),
    "initial: gone": (gone("initial.npz"), None),
    "header: gone": (gone("run.json"), None),
    "lines: gone": (gone("steps.jsonl"), None),
    "another run's segment": (taken(SEGMENT), "record"),
    "another run's lines": (taken("steps.jsonl"), "record"),
    "another run's start": (taken("initial.npz"), "record"),
    "another run's header": (taken("run.json"), "record"),
    "another run's lines and segment": (taken("steps.jsonl", SEGMENT), "record"),
    "another run's header and start": (taken("run.json", "initial.npz"), "record"),
    "all of another run": (taken("run.json", "initial.npz", "steps.jsonl", SEGMENT), "identity"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITED)
def test_edited_files(name: str, written: dict[str, Path], tmp_path: Path) -> None:
    fault, claim = EDITED[name]
    folder = tmp_path / "run"
    shutil.copytree(written["mine"], folder)
    fault(folder, written["theirs"])
    if claim is None:
        with pytest.raises(StoreError) as raised:
            check_run(PROBLEM, folder)
        assert not isinstance(raised.value, Altered)
        return
    report = check_run(PROBLEM, folder)
    assert report[claim].verdict is Verdict.REJECTED, report.text()


def archive(arrays: dict[str, Any]) -> bytes:
    """An archive as docs/certificate-format.md says."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            with file.open(name + ".npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array))
        file.comment = b"0" * 64
    body = buffer.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def forge(
    folder: Path, lines: Callable[[list[Any]], list[Any]] | None = None,
    arrays: Callable[[dict[str, Any]], dict[str, Any]] | None = None, **header: Any,
) -> None:  # fmt: skip
    """Change lines, arrays and header, and make every hash anew."""
    run = read_run(folder)
    head = unseal((folder / "run.json").read_bytes().rstrip(b"\n"), "run.json")
    steps = [unseal(raw, "line") for raw in (folder / "steps.jsonl").read_bytes().splitlines()]
    flat = dict(np.load(folder / SEGMENT))
    flat = arrays(flat) if arrays else flat
    (folder / SEGMENT).write_bytes(archive(flat))
    steps = lines(steps) if lines else steps
    link = run.start
    for step in steps:
        for name, (start, shape) in step["places"].items():
            held = flat[name][start : start + int(np.prod(shape))].reshape(shape)
            step["arrays"][name] = array_digest(held)
        link = chained(link, compact({k: step[k] for k in CORE}))
        step["link"] = link
    (folder / "steps.jsonl").write_bytes(b"".join(seal(compact(s)) + b"\n" for s in steps))
    head = {**head, "head": link, "steps": len(steps), **header}
    (folder / "run.json").write_bytes(seal(json.dumps(head)))
    for checkpoint in folder.glob("checkpoint-*"):
        checkpoint.unlink()


def each(**fields: Callable[[Any], Any]) -> dict[str, Any]:
    """Fields of the third line, changed."""

    def change(steps: list[Any]) -> list[Any]:
        for name, new in fields.items():
            steps[2][name] = new(steps[2][name])
        return steps

    return {"lines": change}


def renumbered(steps: list[Any], times: bool = True) -> list[Any]:
    for k, step in enumerate(steps, start=1):
        step["step"] = k
        step["time"] = 0.2 * k if times else step["time"]
    return steps


def on_array(name: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    return {"arrays": lambda flat: {**flat, name: change(np.array(flat[name]))}}


def third(change: Callable[[Any], Any]) -> dict[str, Any]:
    """The edges of the third step, changed; there are 21 of them."""

    def on_edges(flat: Any) -> Any:
        flat[42:63] = change(flat[42:63])
        return flat

    return on_array("measure.edges", on_edges)


def put(k: int, value: float) -> Callable[[Any], Any]:
    def spoil(edges: Any) -> Any:
        edges[k] = value
        return edges

    return spoil


def without(name: str) -> dict[str, Any]:
    def change(steps: list[Any]) -> list[Any]:
        for step in steps:
            del step["arrays"][name], step["places"][name]
        return steps

    return {"lines": change}


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "energy raised by 1e-8": (each(energy=lambda e: e * (1 + 1e-8)), "stored energy"),
    "energy lowered by 1e-8": (each(energy=lambda e: e * (1 - 1e-8)), "stored energy"),
    "energy is NaN": (each(energy=lambda e: "nan"), "stored energy"),
    "energy is infinite": (each(energy=lambda e: "inf"), "stored energy"),
    "energy is minus infinity": (each(energy=lambda e: "-inf"), "stored energy"),
    "energy is zero": (each(energy=lambda e: 0.0), "stored energy"),
    "energy's sign": (each(energy=lambda e: -e), "stored energy"),
    "energy is text": (each(energy=lambda e: "low"), "record"),
    "energy is null": (each(energy=lambda e: None), "record"),
    "energy is true": (each(energy=lambda e: True), "record"),
    "distance with ½": (each(distance_squared=lambda d: d / 2), "stored distance"),
    "distance not squared": (each(distance_squared=lambda d: d**0.5), "stored distance"),
    "distance raised by 1e-8": (each(distance_squared=lambda d: d * (1 + 1e-8)), "stored distance"),
    "distance is infinite": (each(distance_squared=lambda d: "inf"), "stored distance"),
    "distance is negative": (each(distance_squared=lambda d: -d), "stored distance"),
    "time a bit later": (each(time=lambda t: t * (1 + 1e-9)), "time"),
    "time is NaN": (each(time=lambda t: "nan"), "time"),
    "time stands still": (each(time=lambda t: 0.4), "time"),
    "tau doubled": (each(tau=lambda t: 2 * t), "record"),
    "tau is NaN": (each(tau=lambda t: "nan"), "record"),
    "tau is negative": (each(tau=lambda t: -t), "record"),
    "another step's number": (each(step=lambda k: 4), "record"),
    "step zero": (each(step=lambda k: 0), "record"),
    "an unknown status": (each(status=lambda s: "FINE"), "record"),
    "another kind": (each(kind=lambda k: "particles"), "record"),
    "an unknown kind": (each(kind=lambda k: "dust"), "record"),
    "a pairing for the line": (each(witness=lambda w: "pairing"), "transport"),
    "an unknown witness": (each(witness=lambda w: "trust me"), "transport"),
    "a line dropped, the rest renumbered": (
        {"lines": lambda steps: renumbered([*steps[:2], *steps[3:]])}, "stationarity"),
    "a line twice, renumbered": (
        {"lines": lambda steps: renumbered([*steps[:3], *json.loads(json.dumps(steps[2:5]))])},
        "stationarity"),
    "two lines exchanged, renumbered": (
        {"lines": lambda steps: renumbered([steps[1], steps[0], *steps[2:]])}, "monotone energy"),
    "all lines reversed, renumbered": (
        {"lines": lambda steps: renumbered(steps[::-1])}, "monotone energy"),
    "one line too many": (
        {"lines": lambda steps: renumbered([*steps, json.loads(json.dumps(steps[-1]))])},
        "completeness"),
    "one line too few": ({"lines": lambda steps: steps[:-1]}, "completeness"),
    "no lines, and COMPLETE": ({"lines": lambda steps: []}, "completeness"),
    "times not renumbered": (
        {"lines": lambda steps: renumbered([*steps[:2], *steps[3:], steps[2]], times=False)},
        "time"),
    "edges shifted by 1e-3": (third(lambda x: x + 1e-3), "stationarity"),
    "edges shrunk by 1e-3": (third(lambda x: x * 0.999), "stationarity"),
    "edges mirrored": (third(lambda x: -x[::-1]), "stationarity"),
    "edges reversed": (third(lambda x: x[::-1]), "record"),
    "an edge is NaN": (third(put(3, np.nan)), "record"),
    "an edge is infinite": (third(put(-1, np.inf)), "record"),
    "an edge is huge": (third(put(-1, 1e200)), "evaluation"),
    "edges in single precision": (
        on_array("measure.edges", lambda x: x.astype(np.float32)), "record"),
    "edges are integers": (on_array("measure.edges", lambda x: x.astype(int)), "record"),
    "edges are complex": (on_array("measure.edges", lambda x: x + 0j), "record"),
    "masses permuted": (on_array("measure.mass", lambda m: np.roll(m, 1)), "transport"),
    "masses uniform": (on_array("measure.mass", lambda m: np.full_like(m, 1 / 20)), "transport"),
    "masses with 1e-9 lost": (on_array("measure.mass", lambda m: m * (1 - 1e-9)), "record"),
    "masses with 1e-9 moved": (
        on_array("measure.mass", lambda m: m + 1e-9 * (np.arange(20) == 4)
                 - 1e-9 * (np.arange(20) == 15)), "transport"),
    "a mass is negative": (on_array("measure.mass", lambda m: put(0, -m[0])(m)), "record"),
    "a mass is NaN": (on_array("measure.mass", put(0, np.nan)), "record"),
    "no masses": (without("measure.mass"), "record"),
    "no edges": (without("measure.edges"), "record"),
    "initial energy": ({"initial_energy": 1.0}, "record"),
    "another status": ({"status": "FINE"}, "record"),
    "a chain's head": ({"head": "0" * 64}, "record"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FORGED)
def test_forged_files(name: str, written: dict[str, Path], tmp_path: Path) -> None:
    change, claim = FORGED[name]
    folder = tmp_path / "run"
    shutil.copytree(written["mine"], folder)
    forge(folder, **change)
    report = check_run(PROBLEM, folder)
    assert report.verdict is Verdict.REJECTED, report.text()
    assert report[claim].verdict is Verdict.REJECTED, report.text()


def test_forging_nothing_changes_nothing(written: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(written["mine"], tmp_path / "run")
    forge(tmp_path / "run")
    assert check_run(PROBLEM, tmp_path / "run").verdict is Verdict.ACCEPTED


def nothing_saved(steps: list[Any]) -> list[Any]:
    for step in steps:
        step.update(kind=None, witness=None, arrays={}, places={}, segment=None)
    return steps


@pytest.mark.parametrize("status", ["COMPLETE", "RUNNING", "EVENT"])
def test_vacuous_records_are_undecided(
    status: str, written: dict[str, Path], tmp_path: Path
) -> None:
    """All numbers, and no measure to compute them from."""
    shutil.copytree(written["mine"], tmp_path / "run")
    forge(tmp_path / "run", lines=nothing_saved, status=status)
    report = check_run(PROBLEM, tmp_path / "run")
    assert report.verdict is Verdict.UNDECIDED
    assert report["evidence"].verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("status", ["RUNNING", "EVENT", "INTERRUPTED", "MAX_STEPS"])
def test_a_run_of_no_steps_is_undecided(
    status: str, written: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(written["mine"], tmp_path / "run")
    forge(tmp_path / "run", lines=lambda steps: [], status=status)
    report = check_run(PROBLEM, tmp_path / "run")
    assert report.verdict is Verdict.UNDECIDED
    assert report["completeness"].verdict is Verdict.UNDECIDED


TAUS = np.array([0.1, 0.2, 0.3])
OTHER_QUESTIONS: dict[str, jf.Problem] = {
    "tau list permuted": jf.Problem(F, PROBLEM.initial, TAUS[::-1]),
    "one tau altered": jf.Problem(F, PROBLEM.initial, TAUS * [1, 1, 1 + 1e-12]),
    "a tau more": jf.Problem(F, PROBLEM.initial, [*TAUS, 0.1]),
    "equal taus": jf.Problem(F, PROBLEM.initial, [0.2, 0.2, 0.2]),
    "order of terms and factor": jf.Problem(F * 2.0, PROBLEM.initial, TAUS),
    "another start, by one edge": jf.Problem(
        F, PROBLEM.initial.displaced(1e-9 * np.eye(21)[:, :1]), TAUS),
    "another start, by masses": jf.Problem(
        F, jf.Quantiles(PROBLEM.initial.edges, PROBLEM.initial.mass[::-1] * np.linspace(1, 1.0001,
            20) / (PROBLEM.initial.mass[::-1] * np.linspace(1, 1.0001, 20)).sum()), TAUS),
    "another centre": jf.Problem(
        jf.Entropy() / 2.3 + jf.QuadraticPotential(0.9, [0.0]), PROBLEM.initial, TAUS),
    "a term of zero": jf.Problem(F + 1e-300 * jf.QuadraticPotential(1.0), PROBLEM.initial, TAUS),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_QUESTIONS)
def test_a_run_answers_its_own_question_only(name: str) -> None:
    run = jf.flow(jf.Problem(F, PROBLEM.initial, TAUS))
    assert check_run(jf.Problem(F, PROBLEM.initial, TAUS), run).verdict is Verdict.ACCEPTED
    report = check_run(OTHER_QUESTIONS[name], run)
    assert report["identity"].verdict is Verdict.REJECTED
