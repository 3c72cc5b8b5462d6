"""Reading a run: what comes back, and what a careful reader refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.identity import spec_digest
from jkoflow.status import Status, StoreError
from jkoflow.store.archive import pack, unpack
from jkoflow.store.book import Flush
from jkoflow.store.format import Altered, Impossible, read_run
from jkoflow.store.text import seal, unseal


def test_everything_comes_back(tmp_path, noisy):
    problem = noisy.problem(9)
    run = jf.flow(problem, noisy.Noisy(), store=tmp_path, rng=7, save=jf.every(4))
    stored = read_run(tmp_path)
    assert stored.problem.spec() == problem.spec()
    assert stored.problem.digest() == problem.digest()
    assert stored.status is Status.COMPLETE and stored.length == 9 and stored.version == 1
    assert stored.initial_energy == run.initial_energy
    np.testing.assert_array_equal(stored.problem.taus, problem.taus)
    np.testing.assert_array_equal(stored.problem.times, problem.times)
    steps = list(stored)
    assert [s.energy for s in steps] == run.energies[1:].tolist()
    assert [s.time for s in steps] == run.times[1:].tolist()
    assert [s.distance_squared for s in steps] == run.distances_squared[1:].tolist()
    assert [s.index for s in steps if s.measure is not None] == [4, 8, 9]
    for step in (s for s in steps if s.measure is not None):
        record = run[step.index]
        np.testing.assert_array_equal(step.measure.points, record.measure.points)
        np.testing.assert_array_equal(step.witness.arrays["order"], record.witness.arrays["order"])
        assert step.witness.kind == "pairing" and step.status is Status.CONVERGED
        assert step.stats["count"] == step.index and np.isnan(step.stats["gap"])


@pytest.mark.parametrize(
    "measure",
    [
        jf.Quantiles.normal(0.3, 2.0, 37),
        jf.Radial.normal(0.7, 5, 23),
        jf.Gaussian([0.1, -0.2], [[2.0, 0.3], [0.3, 1.0]]),
        jf.Particles([[0.1], [0.7], [2.0]], [0.2, 0.3, 0.5]),
    ],
    ids=lambda m: m.kind,
)
def test_every_kind_of_measure_comes_back_bit_for_bit(tmp_path, measure, noisy):
    problem = jf.Problem(jf.QuadraticPotential(2.0), measure, 0.1, steps=3)
    run = jf.flow(problem, store=tmp_path)
    back = jf.load(tmp_path)
    for one, two in zip(run.measures, back.measures, strict=True):
        assert type(one) is type(two)
        for name, array in one.to_arrays().items():
            np.testing.assert_array_equal(two.to_arrays()[name], array, strict=True)


def test_a_spec_with_infinities_keeps_its_hash(tmp_path, noisy):
    class Bounded(jf.QuadraticPotential):
        def spec(self):
            return {"name": "Bounded", "bound": float("inf"), "pair": (1, 2.5)}

    problem = jf.Problem(Bounded(1.0), jf.Particles([1.0]), 0.1, steps=2)
    jf.flow(problem, noisy.Noisy(), store=tmp_path)
    assert read_run(tmp_path).problem.digest() == spec_digest(problem.spec())


def test_reading_loads_nothing_of_running():
    """The judge reads runs, and must not meet a stepper or a solver on the way."""
    code = (
        "import sys, jkoflow.store.format as f; "
        "print([m for m in sys.modules if m.startswith(('jkoflow.flows', 'jkoflow.steppers', "
        "'jkoflow.transport', 'jkoflow.store.book', 'jkoflow.store.directory', 'scipy.optimize', "
        "'ot', 'cvxpy', 'numba', 'matplotlib'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_memory_does_not_grow_with_the_run(tmp_path, noisy):
    points = np.zeros((2000, 2)) + np.arange(2000)[:, None]
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles(points), 0.05, steps=60)
    size = 64 * 2000  # measure, witness, weights of a step: 16+8+8 kB; a segment holds about two
    jf.flow(problem, noisy.Noisy(), store=jf.Directory(tmp_path, Flush(bytes=size)), rng=1)
    tracemalloc.start()
    for _ in read_run(tmp_path):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # file, members and the measure's copies of one segment; all 60 steps would take 30 segments
    assert peak < 8 * size


def test_no_folder_and_no_run_are_told(tmp_path):
    with pytest.raises(StoreError, match=r"holds no run: it has no run\.json"):
        read_run(tmp_path / "none")
    with pytest.raises(StoreError, match="holds no run"):
        read_run(tmp_path)


def reheaded(folder, **change) -> None:
    """A header with a correct seal and contents of one's choosing."""
    header = unseal((folder / "run.json").read_bytes().rstrip(b"\n"), "run.json")
    (folder / "run.json").write_bytes(seal(json.dumps({**header, **change})))


def test_a_version_from_the_future_says_what_to_do(stored):
    reheaded(stored, version=2)
    with pytest.raises(StoreError, match="format version 2, this jkoflow reads up to 1: install"):
        read_run(stored)


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5, True])
def test_senseless_versions_are_refused(stored, version):
    reheaded(stored, version=version)
    with pytest.raises(StoreError, match="version"):
        read_run(stored)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "something else"}, {"status": "FINE"}, {"status": 3}, {"steps": -1},
        {"steps": "9"}, {"steps": 1e300}, {"initial_energy": None}, {"problem": {}},
        {"problem": None}, {"digest": "0"}, {"created": 3}, {"steppers": 3},
    ],
)  # fmt: skip
def test_senseless_headers_are_refused(stored, change):
    reheaded(stored, **change)
    with pytest.raises(StoreError, match=r"run\.json"):
        list(read_run(stored))


@pytest.mark.parametrize("steps", [8, 10])
def test_the_number_of_steps_must_agree(stored, steps):
    reheaded(stored, steps=steps)
    with pytest.raises(StoreError, match=f"holds 9 steps, but run.json says {steps}"):
        list(read_run(stored))


def test_the_head_of_the_chain_must_agree(stored):
    reheaded(stored, head="0" * 64)
    with pytest.raises(Altered, match="chain does not end"):
        list(read_run(stored))


def test_another_initial_measure_is_altered(stored):
    file = stored / "initial.npz"
    arrays = unpack(file.read_bytes(), "initial")
    file.write_bytes(pack({**arrays, "measure.x": arrays["measure.x"] + 1e-9}))
    with pytest.raises(Altered, match="initial measure is not that"):
        read_run(stored)
    file.write_bytes(pack({**arrays, "taus": arrays["taus"] * 2}))
    with pytest.raises(Altered, match="steps tau are not those"):
        read_run(stored)


def test_a_step_altered_by_hand_is_found(stored):
    """With NumPy's own tools, and then with ours: the line's digest still tells."""
    file = stored / "segment-000001.npz"
    arrays = {name: np.array(a) for name, a in unpack(file.read_bytes(), "segment").items()}
    arrays["measure.x"][40] += 1e-12
    file.write_bytes(pack(arrays))
    with pytest.raises(Altered, match=r"steps\.jsonl, line 4: measure\.x in segment-000001\.npz"):
        list(read_run(stored))
    np.savez(file, **arrays)
    with pytest.raises(StoreError, match="written anew, or without one"):
        list(read_run(stored))


def test_a_line_changed_with_its_seal_breaks_the_chain(stored):
    file = stored / "steps.jsonl"
    lines = file.read_bytes().splitlines()
    data = unseal(lines[2], "line")
    lines[2] = seal(json.dumps({**data, "energy": data["energy"] - 1e-9}))
    file.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(Altered, match=r"line 3: the hash chain breaks"):
        list(read_run(stored))


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 0, 1], [0, 2]])
def test_lines_exchanged_repeated_or_left_out_are_found(stored, order):
    file = stored / "steps.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*(lines[k] for k in order), *lines[3:]]))
    with pytest.raises(StoreError, match=r"line [123] holds step"):
        list(read_run(stored))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "unheard-of"}, "unknown kind"),
        ({"kind": "quantiles"}, "lack"),
        ({"kind": 3}, "unknown kind"),
        ({"status": "FINE"}, "no status"),
        ({"energy": None}, "energy must be a number"),
        ({"tau": True}, "tau must be a number"),
        ({"time": 10**400}, "garbles"),
        ({"arrays": []}, "garbles"),
        ({"places": 3}, "garbles"),
        ({"segment": "/etc/hosts"}, "no name of a segment"),
    ],
)
def test_a_clever_liar_is_told_what_is_senseless(stored, forge, change, message):
    forge(stored, lambda data: data.update(change) if data["step"] == 4 else None)
    with pytest.raises(Impossible, match=f"line 4.*{message}"):
        list(read_run(stored))


def test_a_measure_of_another_precision_is_refused(tmp_path, noisy, forge):
    jf.flow(noisy.problem(2), noisy.Noisy(), store=tmp_path, rng=7)
    file = tmp_path / "segment-000001.npz"
    arrays = unpack(file.read_bytes(), "segment")
    single = {**arrays, "measure.x": arrays["measure.x"].astype(np.float32)}
    file.write_bytes(pack(single))

    def digests(data):
        from jkoflow.functionals.identity import array_digest

        start, shape = data["places"]["measure.x"]
        piece = single["measure.x"][start : start + int(np.prod(shape))].reshape(shape)
        data["arrays"]["measure.x"] = array_digest(piece)

    forge(tmp_path, digests)
    with pytest.raises(Impossible, match="float32, not float64"):
        list(read_run(tmp_path))


def test_a_measure_with_nan_is_impossible(tmp_path, noisy, forge):
    jf.flow(noisy.problem(2), noisy.Noisy(), store=tmp_path, rng=7)
    file = tmp_path / "segment-000001.npz"
    arrays = {k: np.array(a) for k, a in unpack(file.read_bytes(), "segment").items()}
    arrays["measure.x"][0] = np.nan
    file.write_bytes(pack(arrays))

    def digests(data):
        from jkoflow.functionals.identity import array_digest

        if data["step"] == 1:
            data["arrays"]["measure.x"] = array_digest(arrays["measure.x"][:12].reshape(6, 2))

    forge(tmp_path, digests)
    with pytest.raises(Impossible, match="line 1 holds no measure: points x holds NaN"):
        list(read_run(tmp_path))


def test_a_linked_segment_is_refused(stored, tmp_path):
    (stored / "segment-000001.npz").rename(tmp_path / "elsewhere.npz")
    (stored / "segment-000001.npz").symlink_to(tmp_path / "elsewhere.npz")
    with pytest.raises(StoreError, match="is a link"):
        list(read_run(stored))


def test_a_limit_is_kept(stored):
    with pytest.raises(StoreError, match="more than the limit of 100"):
        read_run(stored, limit=100)


def test_an_endless_line_is_not_read(stored, monkeypatch):
    monkeypatch.setattr("jkoflow.store.lines.LINE_LIMIT", 50)
    with pytest.raises(StoreError, match="line 1 is longer than 50 bytes"):
        list(read_run(stored))


def test_a_run_can_be_read_while_it_goes_on(tmp_path, noisy):
    seen = []

    def look(record):
        seen.append(sum(1 for _ in read_run(tmp_path)))

    store = jf.Directory(tmp_path, Flush(seconds=0.0))
    jf.flow(noisy.problem(5), noisy.Noisy(), store=store, rng=7, observers=[look])
    assert seen == [1, 2, 3, 4, 5]
