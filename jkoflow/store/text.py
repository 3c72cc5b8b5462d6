"""JSON without loss, and sealed with the hash of its own bytes.

Finite floats are written by ``repr`` and come back exactly; NaN and infinities, which JSON lacks,
are written as ``{"$float": "nan"}``; arrays (as in the states of some random generators) as
``{"$array": [...], "dtype": "uint32"}``. Integers of any size are kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from ..status import StoreError

_SEAL = b',"sha256":"'
_TAIL = len(_SEAL) + 64 + len(b'"}')
_COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_INTEGERS = re.compile(r"bool|u?int(8|16|32|64)")
_FLOATS = ("nan", "inf", "-inf")

TEXT_LIMIT = 8 * 2**20
"""Longest JSON text that is read, in bytes: parsed, it may take sixty times as much memory."""

DEPTH = 64
"""How deep lists and objects may be nested; a functional's spec needs a handful."""


class Altered(StoreError):
    """Something stored disagrees with its checksum: it was changed after it was written."""


class Impossible(StoreError):
    """What is stored is intact but makes no sense, such as a measure of unsorted edges."""


def encode(value: Any) -> Any:
    """A JSON value from which `decode` restores ``value``.

    Raises
    ------
    StoreError
        For anything but numbers, strings, None, lists, dicts with string keys, and arrays.

    Examples
    --------
    >>> encode({"bound": math.inf, "n": np.int64(3)})
    {'bound': {'$float': 'inf'}, 'n': 3}
    >>> decode(encode([0.1, math.inf]))
    [0.1, inf]
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return {"$array": value.tolist(), "dtype": value.dtype.name}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    raise StoreError(f"a {type(value).__name__} cannot be stored: use numbers, strings and lists")


def decode(value: Any) -> Any:
    """Inverse of `encode`, up to tuples, which come back as lists."""
    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$float"}:
        return float(value["$float"])
    if value.keys() == {"$array", "dtype"}:
        name = str(value["dtype"])
        if not _INTEGERS.fullmatch(name):  # and NumPy would take long over some other names
            raise Impossible(f"an array of type {name:.80} where only integers are stored")
        return np.array(value["$array"], dtype=np.dtype(name))
    return {k: decode(v) for k, v in value.items()}


def presentable(value: Any) -> Any:
    """What `encode` accepts and eyes can use: for statistics, where loss does no harm."""
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.size <= 64 else f"array of shape {value.shape}"
    if isinstance(value, (list, tuple)):
        return [presentable(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): presentable(v) for k, v in value.items()}
    if isinstance(value, (complex, np.complexfloating)):
        return str(value)
    known = value is None or isinstance(value, (bool, int, float, str, np.generic))
    return encode(value) if known else f"<{type(value).__qualname__}>"


def number(value: float) -> float | str:
    """A float for a field that is known to hold one; NaN and infinities become strings."""
    x = float(value)
    return x if math.isfinite(x) else str(x)


def read_number(value: Any, what: str) -> float:
    """Inverse of `number`; anything else is `Impossible`."""
    if isinstance(value, str) and value in _FLOATS:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Impossible(f"{what} must be a number, but is {value!r:.80}")
    return float(value)


def compact(value: Any) -> str:
    """Canonical text of a JSON value: no spaces, keys sorted."""
    return _COMPACT.encode(value)


def parse(text: bytes, where: str) -> dict[str, Any]:
    """A JSON object, or a `StoreError` that says where: no NaN, no key twice, not too deep."""
    if len(text) > TEXT_LIMIT:
        raise StoreError(f"{where} has {len(text)} bytes of JSON, the limit is {TEXT_LIMIT}")
    try:
        value = _loaded(text.decode("utf-8"))
        if text.count(b"{") + text.count(b"[") > DEPTH:
            _check_depth(value, DEPTH)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{where} is not readable JSON: {error}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{where} must hold a JSON object, not a {type(value).__name__}")
    return value


def _no_constant(token: str) -> NoReturn:
    raise ValueError(f"{token} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _check_depth(value: Any, left: int) -> None:
    if left < 0:
        raise ValueError(f"lists and objects are nested deeper than {DEPTH}")
    if isinstance(value, (list, dict)):
        for child in value.values() if isinstance(value, dict) else value:
            _check_depth(child, left - 1)


_JSON = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def _loaded(text: str) -> Any:
    """`json.loads`, faster where there is no space around the value."""
    if text[:1] == "{":
        value, end = _JSON.raw_decode(text)
        if end == len(text):
            return value
    return _JSON.decode(text)


def seal(text: str) -> bytes:
    """A JSON object's text with a last key ``sha256``, the hash of all bytes before it.

    Examples
    --------
    >>> unseal(seal('{"a": 1}'), "here")
    {'a': 1}
    """
    body = text[:-1].encode()
    return body + _SEAL + hashlib.sha256(body).hexdigest().encode() + b'"}'


def unseal(data: bytes, where: str) -> dict[str, Any]:
    """The object in sealed text.

    Raises
    ------
    StoreError
        If the text is cut off; `Altered` if it is whole, but the seal is missing or wrong.
    """
    body, tail = data[:-_TAIL], data[-_TAIL:]
    if not tail.startswith(_SEAL) or not tail.endswith(b'"}'):
        raise _unsealed(data, where)
    if hashlib.sha256(body).hexdigest().encode() != tail[len(_SEAL) : -2]:
        raise Altered(f"{where} was changed after it was written: its checksum does not fit")
    return parse(body + b"}", where)


def _unsealed(data: bytes, where: str) -> StoreError:
    """Text that is whole without its seal was written anew, for instance by an editor."""
    try:
        parse(data, where)
    except StoreError:
        return StoreError(f"{where} is cut off or damaged: it does not end in its checksum")
    return Altered(f"{where} was changed after it was written: it does not end in its checksum")
