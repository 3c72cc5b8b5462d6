"""Steps made together are those made one by one, and errors come where they would come then."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jkoflow as jf
from jkoflow.functionals.identity import array_digest
from jkoflow.status import StoreError
from jkoflow.store import lines
from jkoflow.store.archive import pack, unpack
from jkoflow.store.format import read_run
from jkoflow.store.layout import CORE, STEPS, chained
from jkoflow.store.text import Altered, Impossible, compact, seal, unseal

OU = jf.Entropy() + jf.QuadraticPotential(1.3)
PROBLEMS = {
    "quantiles": jf.Problem(OU, jf.Quantiles.normal(0.3, 0.7, 12), 0.1, 20),
    "radial": jf.Problem(OU, jf.Radial.normal(0.6, 5, 10), 0.1, 20),
    "gaussian": jf.Problem(OU, jf.Gaussian([1.0, 0.0], [[2.0, 0.3], [0.3, 0.5]]), 0.1, 20),
    "gaussian, d=1": jf.Problem(OU, jf.Gaussian(1.0, 2.0), 0.1, 20),
    "particles": jf.Problem(
        jf.QuadraticPotential(1.3), jf.Particles(np.arange(14.0).reshape(7, 2)), 0.1, 20
    ),
}


@pytest.fixture(scope="module", params=list(PROBLEMS))
def run_folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lines") / "run"
    every = jf.every(1) if "," in request.param else jf.every(3)
    jf.flow(PROBLEMS[request.param], store=folder, save=every)
    return folder


def described(step):
    """All of a step, as text: NaN is then equal to itself."""
    arrays = {} if step.measure is None else step.measure.to_arrays()
    witness = {} if step.witness is None else step.witness.arrays
    numbers = (step.index, step.time, step.tau, step.energy, step.distance_squared, step.status)
    entries = {k: (a.dtype, a.tolist()) for k, a in {**arrays, **witness}.items()}
    return repr((numbers, entries, step.stats, step.link, step.end, step.segment))


def heard(folder):
    """What is read, and the error at its end, if there is one."""
    steps, run = [], read_run(folder)
    try:
        for step in run:
            steps.append(described(step))
    except StoreError as error:
        return steps, type(error), str(error)
    return steps, None, None


@pytest.fixture
def one_by_one(monkeypatch):
    """Switch to reading with blocks of one line, whose measures are made by their own class."""

    def switch():
        monkeypatch.setattr(lines, "BLOCK", 0)

    return switch


def test_blocks_of_any_size_give_the_same(run_folder, monkeypatch):
    found = []
    for size in (0, 3000, 20_000, 2**20):
        monkeypatch.setattr(lines, "BLOCK", size)
        found.append(heard(run_folder))
    assert len(found[0][0]) == 20 and found[0][1] is None
    assert all(other == found[0] for other in found[1:])


def forged(folder, numbers, change) -> None:
    """Change some lines; seals, links and run.json are made anew."""
    run = read_run(folder)
    link, texts = run.start, []
    for number, raw in enumerate((folder / STEPS).read_bytes().splitlines(), start=1):
        data = unseal(raw, "line")
        if number in numbers:
            change(data)
        link = chained(link, compact({k: data.get(k) for k in CORE}))
        texts.append(seal(compact({**data, "link": link})) + b"\n")
    (folder / STEPS).write_bytes(b"".join(texts))
    for checkpoint in folder.glob("checkpoint-*"):
        checkpoint.unlink()


def take(*path):
    def change(data):
        for key in path[:-1]:
            data = data[key]
        if path[-1] in data:
            del data[path[-1]]

    return change


def put(value, *path):
    def change(data):
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


CHANGES = [
    put("gaussian", "kind"), put("quantiles", "kind"), put(3, "kind"), put(None, "kind"),
    put([], "kind"), put("x", "energy"), put("nan", "energy"), put(True, "time"), put(1, "tau"),
    put("WELL", "status"), put(7, "witness"), put({}, "arrays"), put([], "arrays"), put(0, "step"),
    put({}, "places"), put("segment-000009.npz", "segment"), put(None, "segment"),
    put({"$float": "x"}, "stats"), put({"$float": "inf"}, "stats"), put({"a": [1, {}]}, "stats"),
    take("arrays"), take("places"), take("segment"), take("stats"), take("status"),
    put([1.0, [2]], "places", "measure.mass"), put([0, [2]], "places", "measure.edges"),
    put([0, [True]], "places", "measure.dim"), put([0, [2, 2]], "places", "measure.x"),
]  # fmt: skip


@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_an_error_is_the_one_that_would_come_one_by_one(run_folder, data):
    numbers = data.draw(st.sets(st.integers(1, 20), min_size=1, max_size=3))
    change = data.draw(st.sampled_from(CHANGES))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        shutil.copytree(run_folder, folder)
        forged(folder, numbers, lambda line: _tried(change, line))
        together = heard(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lines, "BLOCK", 0)
            assert heard(folder) == together


def _tried(change, line):
    try:
        change(line)
    except (KeyError, TypeError):  # this kind has no such array
        line["stats"] = []


def in_segment(folder, name, change) -> None:
    """Change a flat array; digests of the lines, links and seals are made anew."""
    file = folder / "segment-000001.npz"
    flat = {k: np.array(a) for k, a in unpack(file.read_bytes(), "segment").items()}
    flat[name] = change(flat[name])
    file.write_bytes(pack(flat))

    def digests(line):
        for key, (start, shape) in line["places"].items():
            part = flat[key][start : start + int(np.prod(shape))]
            line["arrays"][key] = array_digest(part.reshape(shape))

    forged(folder, range(1, 21), digests)


def spoilt(at, value):
    def change(flat):
        flat[at] = value
        return flat

    return change


CASES = [
    ("quantiles", "measure.edges", spoilt(13 * 7 + 4, np.nan), 8),
    ("quantiles", "measure.edges", spoilt(13 * 7 + 4, 1e9), 8),
    ("quantiles", "measure.edges", spoilt(13 * 7 + 12, np.inf), 8),
    ("quantiles", "measure.edges", lambda a: a.astype(np.float32), 1),
    ("quantiles", "measure.mass", spoilt(3, -0.1), 1),
    ("quantiles", "measure.mass", lambda a: a * (1 + 1e-10), 1),
    ("radial", "measure.edges", spoilt(11 * 4, -0.5), 5),
    ("radial", "measure.dim", lambda a: a + 0.5, 1),
    ("gaussian", "measure.cov", spoilt(4 * 5 + 1, 0.7), 6),
    ("gaussian", "measure.cov", spoilt(4 * 5, -1.0), 6),
    ("gaussian", "measure.cov", spoilt(4 * 5, np.inf), 6),
    ("gaussian", "measure.mean", spoilt(2 * 19, np.nan), 20),
]


@pytest.mark.parametrize(("kind", "name", "change", "first"), CASES)
def test_a_measure_that_is_none_ends_the_reading_at_its_step(
    kind, name, change, first, tmp_path, one_by_one
):
    jf.flow(PROBLEMS[kind], store=tmp_path)
    in_segment(tmp_path, name, change)
    steps, error, text = heard(tmp_path)
    assert error is Impossible and re.search(rf"line {first}\b", text) and len(steps) == first - 1
    one_by_one()
    assert heard(tmp_path) == (steps, error, text)


def test_measures_share_their_masses_and_are_read_only(tmp_path):
    jf.flow(PROBLEMS["radial"], store=tmp_path)
    steps = list(read_run(tmp_path))
    assert len({id(step.measure.mass) for step in steps}) == 1
    for step in steps:
        with pytest.raises(ValueError, match="read-only"):
            step.measure.edges[0] = 0.0
        with pytest.raises(ValueError, match="read-only"):
            step.measure.mass[0] = 0.0


def test_gaussians_read_together_have_their_own_decomposition(tmp_path):
    jf.flow(PROBLEMS["gaussian"], store=tmp_path)
    for step in read_run(tmp_path):
        values, vectors = step.measure.eigen
        back = (vectors * values) @ vectors.T
        # LAPACK's eigh is backward stable: a few units of rounding of the norm, which is below 3
        np.testing.assert_allclose(back, step.measure.cov(), atol=3e-15)
        assert not values.flags.writeable and not vectors.flags.writeable


def test_a_swapped_segment_of_another_run_is_altered(tmp_path):
    """Whole and sealed, but not what the lines say."""
    for name, tau in (("one", 0.1), ("two", 0.11)):
        asked = jf.Problem(OU, jf.Quantiles.normal(0.3, 0.7, 12), tau, 20)
        jf.flow(asked, store=tmp_path / name)
    segment = "segment-000001.npz"
    (tmp_path / "one" / segment).write_bytes((tmp_path / "two" / segment).read_bytes())
    steps, error, text = heard(tmp_path / "one")
    assert error is Altered and "digest" in text and len(steps) == 0
