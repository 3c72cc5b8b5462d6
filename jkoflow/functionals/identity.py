"""Who a functional is: JSON descriptions of numbers, arrays and functions, and their hash."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable
from itertools import chain
from types import CodeType
from typing import Any

import numpy as np


def digest(*chunks: bytes) -> str:
    """SHA-256 over the chunks, each with its length before it."""
    h = hashlib.sha256()
    for chunk in chunks:
        h.update(len(chunk).to_bytes(8, "little"))
        h.update(chunk)
    return h.hexdigest()


def array_digest(array: Any) -> str:
    """Hash of an array's shape, type and bytes."""
    a = np.asarray(array, order="C")  # unlike ascontiguousarray, keeps a number a number
    return digest(str(a.dtype).encode(), str(a.shape).encode(), a.tobytes())


def describe(value: Any) -> Any:
    """A JSON value that identifies ``value``: functions by source and captured values.

    Examples
    --------
    >>> describe(0.5), describe(None)
    (0.5, None)
    >>> sorted(describe(np.zeros(3)))
    ['array', 'shape']
    """
    return _describe(value, frozenset())


def _describe(value: Any, seen: frozenset[int]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "array": array_digest(value)}
    if id(value) in seen:
        return {"again": type(value).__qualname__}
    seen = seen | {id(value)}
    if hasattr(value, "spec") and not isinstance(value, type):
        return value.spec()
    if isinstance(value, (list, tuple)):
        return [_describe(v, seen) for v in value]
    if isinstance(value, dict):
        return {str(k): _describe(v, seen) for k, v in sorted(value.items(), key=str)}
    if isinstance(value, (set, frozenset)):  # whose order changes from one process to the next
        return {"set": sorted(json.dumps(_describe(v, seen), sort_keys=True) for v in value)}
    if inspect.ismodule(value):
        return {"module": value.__name__}
    if callable(value):
        return _describe_callable(value, seen)
    state = _state(value)
    if state is not None:
        return {"object": type(value).__qualname__, "state": _describe(state, seen)}
    return {"object": type(value).__qualname__, "repr": _ADDRESS.sub("", repr(value))}


_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")  # of the object in this process


def _state(value: Any) -> dict[str, Any] | None:
    """The attributes of an object, in its dictionary or in slots; None if there are none."""
    kinds = type(value).__mro__
    slots = [name for kind in kinds for name in _names(getattr(kind, "__slots__", ()))]
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    if hasattr(value, "__dict__"):
        return {**found, **vars(value)}
    return found or None


def _names(slots: Any) -> list[str]:
    given = [slots] if isinstance(slots, str) else list(slots)
    return [name for name in given if name not in ("__dict__", "__weakref__")]


def _describe_callable(function: Any, seen: frozenset[int]) -> dict[str, Any]:
    function = getattr(function, "py_func", function)  # what Numba has compiled
    bound = getattr(function, "__self__", None)
    if bound is not None and not inspect.ismodule(bound):
        return {"method": function.__name__, "of": _describe(bound, seen)}
    if hasattr(function, "func") and hasattr(function, "args"):  # functools.partial
        pieces = [function.func, list(function.args), dict(function.keywords)]
        return {"partial": [_describe(piece, seen) for piece in pieces]}
    code = getattr(function, "__code__", None)
    if code is None:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        described: dict[str, Any] = {"function": name}
        state = None if isinstance(function, type) else _state(function)
        if type(function).__module__ != "builtins" and state:
            described["state"] = _describe(state, seen)
        return described
    described = {"function": function.__name__, "source": _source_digest(function)}
    return {**described, **_captured(function, seen)}


def _source_digest(function: Callable[..., Any]) -> str:
    try:
        text = inspect.cleandoc(inspect.getsource(function)).encode()
    except (OSError, TypeError):
        code = function.__code__  # type: ignore[attr-defined]
        text = code.co_code + repr([c for c in code.co_consts if not inspect.iscode(c)]).encode()
    return digest(text)


def _captured(function: Any, seen: frozenset[int]) -> dict[str, Any]:
    """Closure cells, defaults, and the plain global values that the function reads."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # a cell not filled yet
            continue
    for name in _names_read(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, (bool, int, float, str, tuple, np.ndarray, np.number)):
            found[name] = value
    captured: dict[str, Any] = {}
    if found:
        captured["captured"] = _describe(found, seen)
    if function.__defaults__:
        captured["defaults"] = _describe(list(function.__defaults__), seen)
    if function.__kwdefaults__:
        captured["keywords"] = _describe(function.__kwdefaults__, seen)
    return captured


def _names_read(code: CodeType) -> list[str]:
    """Names of a function's code, and of the lambdas and generators that are written in it."""
    inner = [_names_read(c) for c in code.co_consts if inspect.iscode(c)]
    return [*code.co_names, *chain.from_iterable(inner)]


def spec_digest(spec: Any) -> str:
    """Hash of a JSON description, independent of key order."""
    return digest(json.dumps(spec, sort_keys=True, allow_nan=True).encode())
