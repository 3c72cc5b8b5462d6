"""Segments: constant arrays once, ragged arrays, and lines that lie about places."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow.functionals.identity import array_digest
from jkoflow.status import StoreError
from jkoflow.store.archive import pack
from jkoflow.store.segment import Segment, Segments
from jkoflow.store.text import Altered, Impossible


def written(tmp_path, steps):
    segment = Segment(1)
    added = [segment.add(arrays) for arrays in steps]
    (tmp_path / "segment-000001.npz").write_bytes(pack(segment.arrays()))
    return segment, [
        {"arrays": digests, "places": {k: [p, list(s)] for k, (p, s) in places.items()},
         "segment": "segment-000001.npz"}
        for places, digests in added
    ]  # fmt: skip


def test_ragged_arrays_come_back(tmp_path):
    steps = [{"rows": np.arange(k), "x": np.full((k, 2), 0.5)} for k in (3, 0, 5)]
    _, lines = written(tmp_path, steps)
    reader = Segments(tmp_path, 10**6)
    for arrays, line in zip(steps, lines, strict=True):
        back = reader.arrays(line, "here")
        for name, array in arrays.items():
            np.testing.assert_array_equal(back[name], array, strict=True)


def test_constant_arrays_are_written_once(tmp_path):
    mass = np.full(100, 0.01)
    segment, lines = written(
        tmp_path, [{"mass": mass.copy(), "x": np.ones(1) * k} for k in range(9)]
    )
    assert segment.bytes == 8 * (100 + 9)
    assert {tuple(line["places"]["mass"][1]) for line in lines} == {(100,)}


def test_an_array_changed_in_place_is_written_again():
    segment, x = Segment(1), np.zeros(3)
    segment.add({"x": x})
    x[0] = 1.0
    _, digests = segment.add({"x": x})
    assert digests["x"] == array_digest(np.array([1.0, 0.0, 0.0]))
    assert segment.arrays()["x"].tolist() == [0, 0, 0, 1, 0, 0]


def test_minus_zero_and_nan_are_not_confused_with_equals():
    segment = Segment(1)
    segment.add({"x": np.array([0.0])})
    segment.add({"x": np.array([-0.0])})
    assert np.signbit(segment.arrays()["x"]).tolist() == [False, True]


def test_types_must_stay(tmp_path):
    segment = Segment(1)
    segment.add({"x": np.zeros(2)})
    assert segment.fits({"x": np.ones(7), "y": np.arange(3)})
    assert not segment.fits({"x": np.arange(2)})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"segment": "../segment-000001.npz"}, Impossible),
        ({"segment": None}, Impossible),
        ({"segment": "segment-000002.npz"}, StoreError),
        ({"places": {}}, Impossible),
        ({"places": {"x": [1, [3]]}}, StoreError),
        ({"places": {"x": [-1, [3]]}}, Impossible),
        ({"places": {"x": [0, [2**40, 2**40]]}}, StoreError),
        ({"places": {"x": [0, [3.0]]}}, Impossible),
        ({"places": {"x": [0, [True]]}}, Impossible),
        ({"places": {"x": [0, [2]]}}, Altered),
        ({"places": {"x": [0, [3, 1]]}}, Altered),
        ({"arrays": {"x": "0" * 64}}, Altered),
    ],
)
def test_lies_about_places_are_found(tmp_path, change, error):
    _, (line,) = written(tmp_path, [{"x": np.arange(3.0)}])
    with pytest.raises(error, match=r"line 1|segment-000002"):
        Segments(tmp_path, 10**6).arrays({**line, **change}, "line 1")


def test_a_segment_that_grows_while_it_is_read_is_read_again(tmp_path):
    _, lines = written(tmp_path, [{"x": np.arange(3.0)}])
    reader = Segments(tmp_path, 10**6)
    reader.arrays(lines[0], "here")
    _, lines = written(tmp_path, [{"x": np.arange(3.0)}, {"x": np.ones(2)}])
    assert reader.arrays(lines[1], "here")["x"].tolist() == [1.0, 1.0]
