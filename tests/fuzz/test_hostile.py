"""Hostile run folders are unreadable or REJECTED: never believed, executed, or out of memory."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jkoflow as jf
from jkoflow.check import Verdict, check_run
from jkoflow.status import StoreError
from jkoflow.store.format import read_run
from jkoflow.store.text import seal

# extreme numbers overflow on the way to being rejected
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
FUZZ = settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
FILES = ["run.json", "initial.npz", "steps.jsonl", "segment-000001.npz"]


def contents(folder):
    """What a run says, to compare with the honest one; that it says RUNNING does no harm."""
    run = read_run(folder)
    steps = [
        (s.time, s.tau, s.energy, s.distance_squared, {
            k: a.tolist() for k, a in s.measure.to_arrays().items()
        }) for s in run
    ]  # fmt: skip
    return run.problem.spec(), run.initial_energy, steps


def judged(honest, spoil):
    """The verdict on a spoilt copy, or None where it is unreadable; any other error passes.

    A copy may only be ACCEPTED if it still says what the honest run says.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = honest.copy(Path(place) / "run")
        spoil(folder)
        try:
            report = check_run(honest.problem, folder)
        except StoreError as error:
            assert str(error)
            return None
        if report.verdict is Verdict.ACCEPTED:
            assert close(contents(folder), contents(honest.folder))
        report.text()
        json.loads(report.to_json())
        return report.verdict


def close(one, two):
    """Equal, but for numbers within what the judge lets pass (1e-11, and 1e-4 of a slope)."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(close(one[k], two[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(close(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) <= 1e-4 * max(1.0, abs(two)) or np.isnan(one)
    return one == two


@FUZZ
@given(data=st.data())
def test_bytes_are_overwritten_inserted_or_removed(honest, data):
    name = data.draw(st.sampled_from(FILES))
    start = data.draw(st.floats(0, 1))
    removed, put = data.draw(st.integers(0, 40)), data.draw(st.binary(max_size=40))

    def spoil(folder):
        raw = (folder / name).read_bytes()
        at = int(start * len(raw))
        (folder / name).write_bytes(raw[:at] + put + raw[at + removed :])

    judged(honest, spoil)


ODD = st.sampled_from([
    None, True, -1, 0, 2, 2**63, 10**300, 10**400, 1e308, -1e308, 5e-324, "nan", "inf", "", "x",
    "\ud800", "../../etc/passwd", "particles", "radial", "gaussian", "quantiles", "COMPLETE",
    "RUNNING", "segment-000001.npz", "segment-000002.npz", [], {}, [[]], [0, [2**62]],
    [0, [0, 2**61]], [0, [1] * 70], {"$float": "x"}, {"$float": []}, {"$float": "inf"},
    {"$array": [1], "dtype": "O"}, {"$array": [2**70], "dtype": "int8"},
    {"$array": [1], "dtype": "no such"}, {"$array": [1], "dtype": "int64"},
])  # fmt: skip
VALUES = st.one_of(
    ODD,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                                    max_size=3),
        max_leaves=5,
    ),
)  # fmt: skip


def places_in(value, path=()):
    """The path of each value within a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ()
    )  # fmt: skip
    for key, child in children:
        yield from places_in(child, (*path, key))


def put_at(value, path, new, remove):
    for key in path[:-1]:
        value = value[key]
    if remove:
        del value[path[-1]]
    else:
        value[path[-1]] = copy.deepcopy(new)


@FUZZ
@given(data=st.data())
def test_any_value_of_the_header_is_replaced_by_any_other(honest, forger, data):
    def change(head):
        paths = [p for p in places_in(head) if p]
        path = data.draw(st.sampled_from(paths))
        put_at(head, path, data.draw(VALUES), data.draw(st.booleans()))
        return head

    judged(honest, lambda folder: forger["rewrite"](folder, header=change))


@FUZZ
@given(data=st.data())
def test_any_value_of_a_line_is_replaced_by_any_other(honest, forger, data):
    def change(steps):
        for _ in range(data.draw(st.integers(1, 2))):
            paths = [p for p in places_in(steps) if len(p) > 1]
            path = data.draw(st.sampled_from(paths))
            put_at(steps, path, data.draw(VALUES), data.draw(st.booleans()))
        return steps

    judged(honest, lambda folder: forger["rewrite"](folder, lines=change))


@FUZZ
@given(data=st.data())
def test_any_array_is_replaced_by_any_other(honest, forger, data):
    types = ["<f8", "<f4", "<f2", "<i8", "<i4", "<u1", "|b1", "<c16"]
    numbers = [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 1e-200]

    def change(flat):
        name = data.draw(st.sampled_from(sorted(flat)))
        array = np.array(flat[name])
        how = data.draw(st.sampled_from(["type", "entry", "all", "shorter", "longer", "missing"]))
        if how == "type":
            with np.errstate(all="ignore"):
                array = array.astype(data.draw(st.sampled_from(types)))
        elif how == "entry":
            value = data.draw(st.sampled_from(numbers) | st.floats())
            with np.errstate(all="ignore"):
                array[data.draw(st.integers(0, len(array) - 1))] = (
                    value if array.dtype.kind == "f" else int(np.nan_to_num(value) % 2**40)
                )
        elif how == "all":
            array = np.full_like(array, 1)
        elif how == "shorter":
            array = array[: data.draw(st.integers(0, len(array)))]
        elif how == "longer":
            array = np.concatenate([array, array])
        return {**{k: a for k, a in flat.items() if k != name},
                **({} if how == "missing" else {name: array})}  # fmt: skip

    judged(honest, lambda folder: forger["rewrite"](folder, arrays=change))


TEXTS = {
    "NaN": '{"step":NaN}',
    "Infinity": '{"step":-Infinity}',
    "a key twice": '{"step":1,"step":1}',
    "deep lists": '{"a":' + "[" * 3000 + "]" * 3000 + "}",
    "deeper lists": '{"a":' + "[" * 200_000 + "]" * 200_000 + "}",
    "deep objects": '{"a":' * 500 + "1" + "}" * 500,
    "a huge integer": '{"step":' + "9" * 100_000 + "}",
    "a list": "[1,2]]",
    "nothing": "}",
    "a string": '"x"}',
}


@pytest.mark.parametrize("name", ["run.json", "steps.jsonl"])
@pytest.mark.parametrize("what", TEXTS)
def test_json_that_is_none_or_ambiguous_is_refused(honest, what, name, tmp_path):
    folder = honest.copy(tmp_path / "run")
    text = TEXTS[what]
    if name == "run.json":
        text = text.replace("{", '{"format":"jkoflow run","version":1,', 1)
    (folder / name).write_bytes(seal(text) + b"\n")
    with pytest.raises(StoreError):
        list(read_run(folder))


@pytest.mark.parametrize("name", ["run.json", "steps.jsonl"])
@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xff\xfe{}", b"\x00" * 100, b'{"a":"\xc3"}',
                                 "{}".encode("utf-16"), b"\xef\xbb\xbf{}"])  # fmt: skip
def test_bytes_that_are_no_utf_8_are_refused(honest, name, raw, tmp_path):
    folder = honest.copy(tmp_path / "run")
    (folder / name).write_bytes(raw)
    with pytest.raises(StoreError):
        list(read_run(folder))


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("name", ["initial.npz", "segment-000001.npz", "checkpoint-00000003.npz"])
def test_nothing_is_unpickled(honest, forger, name, tmp_path):
    folder, marker = honest.copy(tmp_path / "run"), tmp_path / "executed"
    objects = np.array([Bomb(marker)], dtype=object)
    pickled = forger["npy"](objects, allow_pickle=True)
    numbers = forger["npy"](np.zeros(1)).split(b"\n")[0] + b"\n"
    for content in (pickled, numbers + pickle.dumps(Bomb(marker)), pickle.dumps(Bomb(marker))):
        for raw in (forger["sealed_zip"]([("measure.x.npy", content)]), content):
            (folder / name).write_bytes(raw)
            with pytest.raises(StoreError):
                list(read_run(folder))
    assert not marker.exists()


HEADERS = [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 999999999999999999), }",
    "{'descr': '>f8', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<M8', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (1,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1, " * 100 + "), }",
    "__import__('os').mkdir('executed')",
    "-" * 9000 + "1",
    "(" * 9000,
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_headers_of_arrays_are_not_evaluated(honest, forger, header, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = honest.copy(tmp_path / "run")
    raw = header.encode() + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + bytes(8)
    (folder / "segment-000001.npz").write_bytes(forger["sealed_zip"]([("measure.x.npy", content)]))
    with pytest.raises(StoreError):
        list(read_run(folder))
    assert not (tmp_path / "executed").exists()


def overlapping(forger):
    """A zip whose directory names one member a thousand times."""
    raw = forger["sealed_zip"]([("x.npy", forger["npy"](np.zeros(1000)))])
    start = raw.rindex(b"PK\x01\x02")
    end = raw.rindex(b"PK\x05\x06")
    entry, tail = raw[start:end], bytearray(raw[end:-64])
    tail[8:12] = (1000).to_bytes(2, "little") * 2
    tail[12:16] = (1000 * len(entry)).to_bytes(4, "little")
    import hashlib

    body = raw[:start] + entry * 1000 + bytes(tail)
    return body + hashlib.sha256(body).hexdigest().encode()


def bad_zips(forger):
    numbers = forger["npy"](np.zeros(10**6))
    honest = forger["npy"](np.zeros(3))
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = forger["sealed_zip"]([("measure.x.npy", honest), ("measure.x.npy", honest)])
    yield "deflated", forger["sealed_zip"]([("x.npy", numbers)], zipfile.ZIP_DEFLATED)
    yield "bzip2", forger["sealed_zip"]([("x.npy", numbers)], zipfile.ZIP_BZIP2)
    yield "name twice", twice
    yield "overlapping", overlapping(forger)
    yield "outside", forger["sealed_zip"]([("../../../outside.npy", honest)])
    yield "no arrays", forger["sealed_zip"]([("x.txt", b"x")])
    yield "empty", forger["sealed_zip"]([])
    yield "many", forger["sealed_zip"]([(f"x{k}.npy", b"") for k in range(40_000)])


def test_bad_zips_are_refused(honest, forger, tmp_path):
    folder = honest.copy(tmp_path / "run")
    for what, raw in bad_zips(forger):
        (folder / "segment-000001.npz").write_bytes(raw)
        with pytest.raises(StoreError):
            list(read_run(folder))
            pytest.fail(what)
    assert not (tmp_path.parent / "outside.npy").exists()


def replaced(how, file, tmp_path):
    raw = file.read_bytes()
    file.unlink()
    if how == "folder":
        file.mkdir()
    elif how == "pipe":
        os.mkfifo(file)
    elif how == "link out":
        (tmp_path / "secret").write_bytes(raw)
        file.symlink_to(tmp_path / "secret")
    elif how == "link in":
        file.with_name("other").write_bytes(raw)
        file.symlink_to("other")
    elif how == "loop":
        file.symlink_to(file.name)
    elif how == "dangling":
        file.symlink_to("nowhere")
    elif how == "device":
        file.symlink_to("/dev/zero")
    elif how == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(file))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes in folders")
@pytest.mark.parametrize("name", [*FILES, "checkpoint-00000003.npz"])
@pytest.mark.parametrize(
    "how", ["folder", "pipe", "link out", "link in", "loop", "dangling", "device", "socket"]
)
def test_what_is_no_regular_file_of_the_folder_is_refused(honest, name, how, tmp_path, monkeypatch):
    if how == "socket":
        monkeypatch.chdir(tmp_path)  # names of sockets must be short
        folder = honest.copy(Path("r"))
    else:
        folder = honest.copy(tmp_path / "run")
    replaced(how, folder / name, tmp_path)
    with pytest.raises(StoreError):
        list(read_run(folder))


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
from jkoflow.store.format import read_run
from jkoflow.status import StoreError
try:
    list(read_run(sys.argv[1]))
    print("read")
except StoreError as error:
    # not ru_maxrss, which a process inherits from the one that started it
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print("refused", int(peak.split()[1]) // 1024)
"""


def sparse(file, size):
    with open(file, "r+b") as handle:
        handle.truncate(size)


def grow(what, folder, forger):
    segment = folder / "segment-000001.npz"
    if what == "sparse segment":
        sparse(segment, 800 * 2**20)
    elif what == "sparse segment above the limit":
        sparse(segment, 2**40)
    elif what == "sparse header":
        sparse(folder / "run.json", 2**40)
    elif what == "sparse lines":
        sparse(folder / "steps.jsonl", 2**40)
    elif what == "large header":
        text = '{"format":"jkoflow run","version":1,"a":[' + "[]," * 2_600_000 + "[]]}"
        (folder / "run.json").write_bytes(seal(text))
    elif what == "large line":
        (folder / "steps.jsonl").write_bytes(seal('{"a":[' + "[]," * 5_000_000 + "[]]}") + b"\n")
    elif what == "long shape":
        raw = seal('{"step":1,"a":[0,[' + "4611686018427387903," * 40_000 + "1]]}")
        (folder / "steps.jsonl").write_bytes(raw + b"\n")
    elif what == "bomb":
        content = forger["npy"](np.zeros(50 * 2**20, np.uint8))
        raw = forger["sealed_zip"]([("x.npy", content)] * 1, zipfile.ZIP_DEFLATED)
        segment.write_bytes(raw)
    elif what == "overlap":
        segment.write_bytes(overlapping(forger))


@pytest.mark.skipif(sys.platform != "linux", reason="limits and their units are Linux's")
@pytest.mark.parametrize(
    "what",
    ["sparse segment", "sparse segment above the limit", "sparse header", "sparse lines",
     "large header", "large line", "long shape", "bomb", "overlap"],
)  # fmt: skip
def test_memory_stays_bounded(what, forger, tmp_path):
    problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Particles([[1.0, 2.0]]), 0.1, steps=2)
    jf.flow(problem, store=tmp_path / "run")
    grow(what, tmp_path / "run", forger)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "run")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    word, megabytes = done.stdout.split()
    # 8 MiB of JSON may become 60 times as much; the interpreter with NumPy takes 60
    assert word == "refused" and int(megabytes) < 700


@FUZZ
@given(data=st.data())
def test_any_value_of_a_checkpoint_is_replaced_by_any_other(honest, forger, data):
    """Loading and going on read checkpoints: a hostile one is passed over, or an error is typed."""
    with tempfile.TemporaryDirectory() as place:
        folder = honest.copy(Path(place) / "run")
        file = folder / "checkpoint-00000003.npz"
        arrays = dict(np.load(file))
        meta = json.loads(arrays["meta"].tobytes())
        path = data.draw(st.sampled_from([p for p in places_in(meta) if p]))
        put_at(meta, path, data.draw(VALUES), data.draw(st.booleans()))
        arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
        members = [(name + ".npy", forger["npy"](a)) for name, a in arrays.items()]
        file.write_bytes(forger["sealed_zip"](members))
        for read in (jf.load, lambda p: jf.flow(honest.problem, store=p)):
            try:
                read(folder)
            except StoreError as error:
                assert str(error)
