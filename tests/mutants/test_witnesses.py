"""Planted faults in the evidence: couplings, potentials and maps that prove nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_step
from jkoflow.record import Witness

TAU = 0.21
F = jf.QuadraticPotential(1.3) + jf.QuadraticInteraction(0.4)
WITH_ENTROPY = F + jf.Entropy() / 2  # under F alone the optimal map is a multiple of the identity
WEIGHTS = np.array([1, 2, 3, 4, 5, 6, 7.0]) / 28
CLOUD = jf.Particles(np.random.default_rng(2).normal(size=(7, 3)), WEIGHTS)
NORMAL = jf.Gaussian([1.0, -0.5], [[2.0, 0.7], [0.7, 0.9]])
LINE = jf.Quantiles.normal(0.4, 0.8, 12)

Arrays = dict[str, Any]


def step(mu: Any, functional: Any = F) -> tuple[Any, Witness]:
    record = jf.flow(jf.Problem(functional, mu, TAU, steps=1)).records[0]
    assert record.witness is not None
    return record.measure, record.witness


STEPS = {"coupling": (CLOUD, *step(CLOUD)), "map": (NORMAL, *step(NORMAL, WITH_ENTROPY)),
         "line": (LINE, *step(LINE))}  # fmt: skip


def coupling() -> Arrays:
    """The stepper's pairing, spelt out as a coupling."""
    arrays = dict(STEPS["coupling"][2].arrays)
    order = arrays.pop("order")
    return {"rows": np.arange(7), "columns": order, "values": WEIGHTS.copy(), **arrays}


def report_on(what: str, witness: Witness | None) -> Any:
    before, after, _ = STEPS[what]
    functional = WITH_ENTROPY if what == "map" else F
    return check_step(functional, before, after, TAU, witness=witness)


def test_the_honest_evidence_is_accepted() -> None:
    for what, (_, _, witness) in STEPS.items():
        assert report_on(what, witness).verdict is Verdict.ACCEPTED
    assert report_on("coupling", Witness("coupling", coupling())).verdict is Verdict.ACCEPTED
    split = {**coupling()}  # every entry in two halves
    for name in ("rows", "columns", "values"):
        split[name] = np.repeat(split[name], 2) * (0.5 if name == "values" else 1)
    assert report_on("coupling", Witness("coupling", split)).verdict is Verdict.ACCEPTED


def put(name: str, spoil: Callable[[Any], Any]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, name: spoil(np.array(arrays[name]))}


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {k: a for k, a in arrays.items() if k != name}


def entry(k: int, value: Any) -> Callable[[Any], Any]:
    def spoil(array: Any) -> Any:
        array[k] = value
        return array

    return spoil


def dropped(arrays: Arrays) -> Arrays:
    return {k: a[1:] if k in ("rows", "columns", "values") else a for k, a in arrays.items()}


def independent(arrays: Arrays) -> Arrays:
    """A coupling with the right marginals, and not optimal."""
    i, j = np.indices((7, 7)).reshape(2, -1)
    return {**arrays, "rows": i, "columns": j, "values": WEIGHTS[i] * WEIGHTS[j]}


def cheaper(arrays: Arrays) -> Arrays:
    """Mass that cancels: marginals are right, but some entries are negative."""
    extra = np.array([1e-3, -1e-3, 1e-3, -1e-3])
    return {**arrays, "rows": np.append(arrays["rows"], [0, 0, 1, 1]),
            "columns": np.append(arrays["columns"], [0, 1, 1, 0]),
            "values": np.append(arrays["values"], -extra)}  # fmt: skip


def moved_mass(arrays: Arrays) -> Arrays:
    values = np.array(arrays["values"])
    values[0], values[1] = values[0] + 1e-9, values[1] - 1e-9
    return {**arrays, "values": values}


COUPLINGS: dict[str, Callable[[Arrays], Arrays]] = {
    "an entry dropped": dropped,
    "an entry twice": lambda a: {
        k: np.append(v, v[:1]) if k in ("rows", "columns", "values") else v for k, v in a.items()},
    "not optimal": independent,
    "negative entries": cheaper,
    "1e-9 of the mass elsewhere": moved_mass,
    "1e-9 of the mass lost": put("values", lambda v: v * (1 - 1e-9)),
    "values doubled": put("values", lambda v: 2 * v),
    "values uniform": put("values", lambda v: np.full_like(v, 1 / 7)),
    "values of zero": put("values", lambda v: 0 * v),
    "values with NaN": put("values", entry(2, np.nan)),
    "values with infinity": put("values", entry(2, np.inf)),
    "values in single precision": put("values", lambda v: v.astype(np.float32)),
    "values complex": put("values", lambda v: v + 1e-3j),
    "values as a matrix": put("values", lambda v: v[None]),
    "values permuted": put("values", lambda v: v[::-1]),
    "rows permuted": put("rows", lambda v: np.roll(v, 1)),
    "columns permuted": put("columns", lambda v: np.roll(v, 1)),
    "rows from one": put("rows", lambda v: v + 1),
    "columns from one": put("columns", lambda v: v + 1),
    "negative rows": put("rows", lambda v: v - 7),
    "rows all the same": put("rows", lambda v: 0 * v),
    "rows of floats": put("rows", lambda v: v.astype(float)),
    "columns of floats": put("columns", lambda v: v.astype(float)),
    "rows of booleans": put("rows", lambda v: v.astype(bool)),
    "rows too short": put("rows", lambda v: v[:-1]),
    "rows beyond memory": put("rows", entry(0, 2**62)),
    "no rows": without("rows"),
    "no columns": without("columns"),
    "no values": without("values"),
    "empty": lambda a: {**a, "rows": a["rows"][:0], "columns": a["rows"][:0],
                        "values": a["values"][:0]},
    "no f": without("f"),
    "no g": without("g"),
    "f and g exchanged": lambda a: {**a, "f": a["g"], "g": a["f"]},
    "f shifted up": put("f", lambda v: v + 1e-6),
    "f shifted down": put("f", lambda v: v - 1e-6),
    "g shifted up": put("g", lambda v: v + 1e-6),
    "f scaled": put("f", lambda v: 1.001 * v),
    "g scaled": put("g", lambda v: 1.001 * v),
    "f of the other sign": put("f", lambda v: -v),
    "potentials of half the cost": lambda a: {**a, "f": a["f"] / 2, "g": a["g"] / 2},
    "potentials of zero": lambda a: {**a, "f": 0 * a["f"], "g": 0 * a["g"]},
    "one f raised": put("f", lambda v: v + 1e-6 * (np.arange(7) == 3)),
    "f with NaN": put("f", entry(3, np.nan)),
    "f with infinity": put("f", entry(3, np.inf)),
    "f with minus infinity": put("f", entry(3, -np.inf)),
    "g with NaN": put("g", entry(0, np.nan)),
    "f beyond double precision": put("f", lambda v: v + np.longdouble("1e4000")),
    "f in single precision": put("f", lambda v: v.astype(np.float32)),
    "f complex": put("f", lambda v: v + 1j),
    "f as a column": put("f", lambda v: v[:, None]),
    "f too long": put("f", lambda v: np.append(v, 0.0)),
    "not optimal, behind huge potentials": lambda a: {
        **independent(a), "f": a["f"] - 1e15, "g": a["g"] + 1e15},
}  # fmt: skip


@pytest.mark.parametrize("name", COUPLINGS)
def test_a_false_coupling_is_rejected(name: str) -> None:
    report = report_on("coupling", Witness("coupling", COUPLINGS[name](coupling())))
    assert report["transport"].verdict is Verdict.REJECTED, report.text()


C, S = np.cos(0.01), np.sin(0.01)
TURN = np.array([[C, -S], [S, C]])
MAPS: dict[str, Callable[[Any], Any]] = {
    "the identity": lambda A: np.eye(2),
    "the inverse": np.linalg.inv,
    "the square": lambda A: A @ A,
    "the negative": lambda A: -A,
    "doubled": lambda A: 2 * A,
    "a millionth more": lambda A: A * (1 + 1e-6),
    "turned": lambda A: A @ TURN,
    "turned before": lambda A: TURN @ A,
    "conjugated": lambda A: TURN @ A @ TURN.T,
    "not symmetric": lambda A: A + 1e-6 * np.array([[0.0, 1.0], [-1.0, 0.0]]),
    "reflected": lambda A: A @ np.diag([1.0, -1.0]),
    "symmetric, with another root": lambda A: other_root(A),
    "axes exchanged": lambda A: A[::-1, ::-1],
    "zero": lambda A: 0 * A,
    "NaN": lambda A: A * np.nan,
    "one NaN": lambda A: A + np.array([[0, np.nan], [0, 0]]),
    "infinite": lambda A: A / 0.0,
    "huge": lambda A: A * 1e200,
    "complex": lambda A: A + 0.1j,
    "in single precision": lambda A: A.astype(np.float32),
    "of integers": lambda A: np.rint(A).astype(int),
    "a vector": lambda A: A[0],
    "of another dimension": lambda A: np.eye(3),
    "a number": lambda A: np.array(1.0),
    "empty": lambda A: np.zeros((0, 0)),
    "of text": lambda A: A.astype(str) + "?",
}


def other_root(A: Any) -> Any:
    """A symmetric B with BΣ⁺B = Σ that is not positive: a map, but not the optimal one."""
    new, old = STEPS["map"][1].cov(), STEPS["map"][0].cov()
    values, vectors = np.linalg.eigh(new)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inner, basis = np.linalg.eigh(root @ old @ root)
    middle = (basis * (np.sqrt(inner) * [1.0, -1.0])) @ basis.T
    back = np.linalg.inv(root)
    B = back @ middle @ back
    assert np.allclose(B @ new @ B, old) and np.allclose(B, B.T)
    return 0.5 * (B + B.T)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", MAPS)
def test_a_false_map_is_rejected(name: str) -> None:
    matrix = np.array(STEPS["map"][2].arrays["matrix"])
    report = report_on("map", Witness("symmetric-map", {"matrix": MAPS[name](matrix)}))
    assert report["transport"].verdict is Verdict.REJECTED, report.text()


OTHER_KINDS = [
    ("coupling", "monotone"), ("coupling", "symmetric-map"), ("coupling", "no such"),
    ("coupling", ""), ("map", "monotone"), ("map", "pairing"), ("map", "coupling"),
    ("map", "no such"), ("line", "pairing"), ("line", "coupling"), ("line", "symmetric-map"),
    ("line", "no such"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "kind"), OTHER_KINDS)
def test_a_witness_of_another_kind_is_rejected(what: str, kind: str) -> None:
    arrays = coupling() if what == "coupling" else dict(STEPS[what][2].arrays)
    report = report_on(what, Witness(kind, arrays))
    assert report["transport"].verdict is Verdict.REJECTED, report.text()


def test_a_monotone_witness_of_other_masses_is_rejected() -> None:
    before, after, _ = STEPS["line"]
    mass = np.array(after.mass)
    mass[[3, 4]] = mass[[4, 3]]
    permuted = jf.Quantiles(after.edges, mass)
    report = check_step(F, before, permuted, TAU, witness=Witness("monotone"))
    assert report["transport"].verdict is Verdict.REJECTED
    turned = jf.Quantiles(after.edges, after.mass[::-1] * np.linspace(0.99, 1.01, 12) / 1.0
                          / (after.mass[::-1] * np.linspace(0.99, 1.01, 12)).sum())  # fmt: skip
    report = check_step(F, before, turned, TAU, witness=Witness("monotone"))
    assert report["transport"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("what", ["coupling", "map"])
def test_no_witness_leaves_the_step_undecided(what: str) -> None:
    report = report_on(what, None)
    assert report.verdict is Verdict.UNDECIDED
    assert report["transport"].verdict is Verdict.UNDECIDED


def raw(measure: Any, **arrays: Any) -> Any:
    """A measure whose private arrays are spoilt behind its constructor's back."""
    spoilt = copy.copy(measure)
    spoilt.__dict__.update(arrays)
    return spoilt


def at(array: Any, k: int, value: float) -> Any:
    spoilt = np.array(array)
    spoilt.ravel()[k] = value
    return spoilt


MEASURES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "particles: NaN": ("coupling", lambda m: raw(m, _points=at(m.points, 4, np.nan))),
    "particles: infinity": ("coupling", lambda m: raw(m, _points=at(m.points, 4, np.inf))),
    "particles: NaN weight": ("coupling", lambda m: raw(m, _weights=at(m.weights, 2, np.nan))),
    "particles: infinite weight": ("coupling", lambda m: raw(m, _weights=at(m.weights, 2, np.inf))),
    "particles: negative weight": ("coupling", lambda m: raw(
        m, _weights=m.weights + np.array([-0.2, 0.2, 0, 0, 0, 0, 0]))),
    "particles: mass gained": ("coupling", lambda m: raw(m, _weights=m.weights * (1 + 1e-9))),
    "particles: another dimension": ("coupling", lambda m: jf.Particles(m.points[:, :2], WEIGHTS)),
    "particles: a law on the line": ("coupling", lambda m: LINE),
    "line: NaN": ("line", lambda m: raw(m, _edges=at(m.edges, 0, np.nan))),
    "line: infinity": ("line", lambda m: raw(m, _edges=at(m.edges, -1, np.inf))),
    "line: reversed": ("line", lambda m: raw(m, _edges=m.edges[::-1])),
    "line: NaN weight": ("line", lambda m: raw(m, _weights=at(m.weights, 1, np.nan))),
    "line: radii": ("line", lambda m: jf.Radial(m.edges - m.edges[0], 1, m.mass)),
    "line: points": ("line", lambda m: jf.Particles(m.edges, m.weights)),
    "map: another dimension": ("map", lambda m: jf.Gaussian(np.zeros(3), np.eye(3))),
    "map: points": ("map", lambda m: jf.Particles(m.points, m.weights)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", MEASURES)
def test_what_is_no_measure_of_the_space_is_rejected(name: str) -> None:
    what, spoil = MEASURES[name]
    before, after, witness = STEPS[what]
    report = check_step(F, before, spoil(after), TAU, witness=witness)
    assert report["membership"].verdict is Verdict.REJECTED, report.text()


def test_a_far_point_without_mass_hides_no_false_coupling() -> None:
    before, after, _ = STEPS["coupling"]
    far = jf.Particles(np.vstack([after.points, [[1e8, 0.0, 0.0]]]), np.append(WEIGHTS, 0.0))
    arrays = independent(coupling())
    arrays["f"] = np.append(arrays["f"], -1e17)
    report = check_step(F, before, far, TAU, witness=Witness("coupling", arrays))
    assert report["transport"].verdict is Verdict.REJECTED, report.text()


def test_a_radius_below_zero_and_another_dimension_are_rejected() -> None:
    before = jf.Radial.normal(0.8, 4, 10)
    after, witness = step(before)
    for spoilt in (raw(after, _edges=after.edges - 2 * after.edges[0] - 1e-6),
                   jf.Radial(after.edges, 5, after.mass)):  # fmt: skip
        report = check_step(F, before, spoilt, TAU, witness=witness)
        assert report["membership"].verdict is Verdict.REJECTED, report.text()
