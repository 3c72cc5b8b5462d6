"""JSON without loss, and seals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkoflow.status import StoreError
from jkoflow.store import text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**130), 2**130) | st.text(max_size=5)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_values_come_back_exactly(value):
    back = text.decode(json.loads(text.compact(text.encode(value))))
    assert repr(back) == repr(json_like(value))


def json_like(value):
    """Dicts come back with sorted keys."""
    if isinstance(value, dict):
        return {k: json_like(value[k]) for k in sorted(value)}
    return [json_like(v) for v in value] if isinstance(value, list) else value


def test_no_text_holds_a_nan_token():
    stats = text.presentable({"gap": math.nan, "most": [np.float64("inf"), -math.inf]})
    encoded = text.compact(stats)
    assert "NaN" not in encoded and "Infinity" not in encoded
    back = text.decode(json.loads(encoded))
    assert math.isnan(back["gap"]) and back["most"] == [math.inf, -math.inf]


def test_arrays_of_generators_come_back():
    state = np.random.MT19937(3).state
    back = text.decode(json.loads(text.compact(text.encode(state))))
    np.testing.assert_array_equal(back["state"]["key"], state["state"]["key"], strict=True)


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, np.zeros(2)])
def test_what_cannot_be_restored_is_refused(value):
    with pytest.raises(StoreError, match="cannot be stored"):
        text.encode(value)


def test_statistics_are_always_presentable():
    stats = {"f": print, "z": 1 + 2j, "big": np.zeros(100), "small": np.arange(2), 3: (1,)}
    assert text.presentable(stats) == {
        "f": "<builtin_function_or_method>", "z": "(1+2j)", "big": "array of shape (100,)",
        "small": [0, 1], "3": [1],
    }  # fmt: skip


@given(st.floats(allow_nan=True))
def test_numbers_come_back(x):
    back = text.read_number(json.loads(text.compact(text.number(x))), "x")
    assert repr(back) == repr(x)


@pytest.mark.parametrize("value", [None, True, "1.5", "NaN", [1.0], {}])
def test_no_other_value_is_read_as_a_number(value):
    with pytest.raises(text.Impossible, match="tau must be a number"):
        text.read_number(value, "tau")


def test_every_flipped_bit_breaks_the_seal():
    sealed = text.seal('{"a":1,"b":"é"}')
    for position in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(StoreError):
            text.unseal(bytes(flipped), "here")


def test_every_cut_breaks_the_seal():
    sealed = text.seal('{"a":1}')
    for length in range(len(sealed)):
        with pytest.raises(StoreError, match="here"):
            text.unseal(sealed[:length], "here")


@pytest.mark.parametrize("options", [{}, {"separators": (",", ":")}, {"indent": 1}])
@pytest.mark.parametrize("sealed", [False, True])
def test_what_was_read_and_dumped_again_is_altered(options, sealed):
    value = json.loads(text.seal('{"a":1,"b":2}')) if sealed else {"a": 1}
    value["a"] = 3
    with pytest.raises(text.Altered, match=r"x\.jsonl, line 3 was changed"):
        text.unseal(json.dumps(value, **options).encode(), "x.jsonl, line 3")


@pytest.mark.parametrize("raw", [b'{"a":NaN}', b"[1]", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_unreadable_json_says_where(raw):
    with pytest.raises(StoreError, match="line 3"):
        text.parse(raw, "line 3")


def test_only_integers_are_decoded_into_arrays():
    with pytest.raises(text.Impossible):
        text.decode({"$array": ["x"], "dtype": "U100000000"})
